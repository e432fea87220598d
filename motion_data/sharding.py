"""Writing a corpus as shards: tar by tar, so that an interrupted writing goes on where it was."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from motion_data.errors import DataError
from motion_data.loading import load_pair
from motion_data.manifest import MANIFEST, MARK, Corpus, write_manifest
from motion_data.pair import SPLITS, MotionPair, ShardSpan, to_record
from motion_data.shards import ShardContent, to_members
from motionbeat_upstream.atomic_write import atomic_path, is_hidden
from motionbeat_upstream.processes import in_processes, use_one_thread
from motionbeat_upstream.version import __version__

MEMBERS_PER_PAIR = 3
"""Of a pair: json, npz and the sound."""

BLOCK = tarfile.BLOCKSIZE
"""Bytes that each member is filled up to a multiple of."""


@dataclass(frozen=True)
class _Tar:
    """A tar to write."""

    path: Path
    pairs: Sequence[tuple[int, MotionPair]]
    """Index in the corpus, which names the members, and pair."""


def write_shards(
    corpus: Corpus, out: str | Path, pairs_per_tar: int, lossy: bool = False, workers: int = 1
) -> Corpus:
    """Load every pair and write it into a tar of its split; the manifest and its mark come last.

    The same corpus and settings give the same bytes; tars of an earlier call that are whole are kept.

    Args:
        corpus: prepared.
        out: folder to write into.
        pairs_per_tar: the last tar of a split may have fewer.
        lossy: whether FLAC may move a sample by up to 2⁻²³, see :func:`~motion_data.shards.to_members`.
        workers: processes, each of which writes a tar at a time.

    Raises:
        DataError, AudioError: a pair that cannot be loaded, or ``out`` holds something else.
        OSError: the disk is full or read-only.
    """
    out = Path(out)
    made_by = {
        "corpus": corpus.sha256,
        "version": __version__,
        "pairs_per_tar": pairs_per_tar,
        "lossy": lossy,
    }
    tars = []
    for split in SPLITS:
        pairs = corpus.epoch_pairs(split, 0)
        for number, first in enumerate(range(0, len(pairs), pairs_per_tar)):
            tars.append(_Tar(out / f"{split}-{number:06}.tar", pairs[first : first + pairs_per_tar]))
    _check_output(out, tars, made_by)
    workers = min(workers, len(tars))
    written = in_processes(
        partial(_write_tar, corpus.folder, made_by),
        tars,
        workers,
        # A forked process would inherit torch's threads, and hang.
        method="spawn",
        begin=use_one_thread if workers > 1 else None,
    )
    rows = [pair for pairs in tqdm(written, "shards", len(tars), unit="tar") for pair in pairs]
    options = {**corpus.info.get("options", {}), "shards": made_by}
    return write_manifest(
        out,
        rows,
        str(corpus.info["corpus"]),
        options,
        corpus.info.get("left_out"),
        corpus.info.get("notes"),
    )


def _check_output(out: Path, tars: Sequence[_Tar], made_by: Mapping[str, Any]) -> None:
    """Refuse to write into another corpus, or beside tars that would be taken for shards of this one."""
    # A killed process leaves a draft.
    there = {path for path in out.glob("*.tar") if not is_hidden(path)}
    others = sorted(there - {tar.path for tar in tars})
    if others:
        raise DataError(
            f"{out}: holds {others[0].name}, which is none of the {len(tars)} shards to write; give another "
            f"folder as OUT, or delete it"
        )
    if not (out / MARK).is_file() and not (out / MANIFEST).is_file():
        return
    try:
        same = json.loads((out / MARK).read_text(encoding="utf-8"))["options"]["shards"] == made_by
    except (OSError, ValueError, KeyError, TypeError):
        same = False
    if not same:
        raise DataError(
            f"{out}: holds a prepared corpus, or shards of another one or with other settings; give another "
            f"folder as OUT, or delete it"
        )


def _write_tar(folder: Path, made_by: Mapping[str, Any], tar: _Tar) -> list[MotionPair]:
    """The pairs of a tar with their places in it; it is written unless it is there and whole."""
    found = _read_tar(tar, made_by)
    if found is None:
        with atomic_path(tar.path) as draft, tarfile.open(draft, "w", format=tarfile.USTAR_FORMAT) as file:
            for index, pair in tar.pairs:
                loaded = load_pair(pair, folder)
                content = ShardContent(loaded.wav, loaded.motion, loaded.grid, loaded.labels)
                members = to_members(content, made_by["lossy"])
                for suffix, data in {"json": _pair_json(pair, made_by, members), **members}.items():
                    info = tarfile.TarInfo(f"{index:06}.{suffix}")
                    info.size = len(data)
                    file.addfile(info, io.BytesIO(data))
        found = _read_tar(tar, made_by)
        assert found is not None
    return found


def _pair_json(pair: MotionPair, made_by: Mapping[str, Any], members: Mapping[str, bytes]) -> bytes:
    """A pair's json: its manifest's line, what the shards were made by, and hashes of its other members."""
    hashes = {suffix: hashlib.sha256(data).hexdigest() for suffix, data in members.items()}
    record = {"pair": to_record(replace(pair, shard=None)), "shards": made_by, "sha256": hashes}
    return json.dumps(record).encode()


def _read_tar(tar: _Tar, made_by: Mapping[str, Any]) -> list[MotionPair] | None:
    """The pairs with their places in the tar; None where it is missing, damaged, or holds anything else."""
    rows = []
    try:
        with tarfile.open(tar.path) as file, tar.path.open("rb") as content:
            members = file.getmembers()
            for number, (index, pair) in enumerate(tar.pairs):
                own = members[MEMBERS_PER_PAIR * number : MEMBERS_PER_PAIR * (number + 1)]
                data = {}
                for member in own:
                    content.seek(member.offset_data)
                    data[member.name.removeprefix(f"{index:06}.")] = content.read(member.size)
                if data.pop("json") != _pair_json(pair, made_by, data):
                    return None
                start, stop = own[0].offset, own[-1].offset_data + -(-own[-1].size // BLOCK) * BLOCK
                content.seek(start)
                sha256 = hashlib.sha256(content.read(stop - start)).hexdigest()
                size = tar.path.stat().st_size
                rows.append(replace(pair, shard=ShardSpan(tar.path.name, size, start, stop, sha256)))
    except (FileNotFoundError, tarfile.TarError, KeyError, IndexError):
        return None
    return rows if len(members) == MEMBERS_PER_PAIR * len(tar.pairs) else None
