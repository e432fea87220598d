"""Writing of a corpus as shards, tar by tar, so that an interrupted run can be continued."""

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
from motionbeat_upstream.processes import parallel_map, use_one_thread
from motionbeat_upstream.version import __version__

MEMBERS_PER_PAIR = 3
"""json, npz and the sound."""


@dataclass(frozen=True)
class _Tar:
    """A tar to write."""

    path: Path
    pairs: Sequence[tuple[int, MotionPair]]
    """Index in the corpus, which names the members, and pair."""


def write_shards(
    corpus: Corpus, out: str | Path, pairs_per_tar: int, lossy: bool = False, workers: int = 1
) -> Corpus:
    """Load every pair and write it to a tar of its split; write the manifest last.

    The same corpus and settings give the same bytes. Complete tars of an earlier call are kept.

    Args:
        corpus: a prepared corpus.
        out: output folder.
        pairs_per_tar: number of pairs per tar; the last tar of a split may have fewer.
        lossy: whether FLAC may change a sample by up to 2⁻²³, see :func:`~motion_data.shards.to_members`.
        workers: number of processes, each of which writes one tar at a time.

    Raises:
        DataError, AudioError: a pair cannot be loaded, or ``out`` contains something else.
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
    written = parallel_map(
        partial(_write_tar, corpus.folder, made_by),
        tars,
        workers,
        # A forked process would inherit torch's threads and hang.
        method="spawn",
        initializer=use_one_thread if workers > 1 else None,
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
    """Refuse a folder that contains another corpus or other tars."""
    # A killed process leaves a hidden draft.
    existing = {path for path in out.glob("*.tar") if not is_hidden(path)}
    others = sorted(existing - {tar.path for tar in tars})
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
    """Write a tar unless it exists and is complete; return its pairs with their shard spans."""
    rows = _read_tar(tar, made_by)
    if rows is None:
        with atomic_path(tar.path) as draft, tarfile.open(draft, "w", format=tarfile.USTAR_FORMAT) as file:
            for index, pair in tar.pairs:
                loaded = load_pair(pair, folder)
                content = ShardContent(loaded.wav, loaded.motion, loaded.grid, loaded.labels)
                members = to_members(content, made_by["lossy"])
                for suffix, data in {"json": _pair_json(pair, made_by, members), **members}.items():
                    info = tarfile.TarInfo(f"{index:06}.{suffix}")
                    info.size = len(data)
                    file.addfile(info, io.BytesIO(data))
        rows = _read_tar(tar, made_by)
        assert rows is not None
    return rows


def _pair_json(pair: MotionPair, made_by: Mapping[str, Any], members: Mapping[str, bytes]) -> bytes:
    """JSON member of a pair: manifest line, settings of the shards, and hashes of the other members."""
    hashes = {suffix: hashlib.sha256(data).hexdigest() for suffix, data in members.items()}
    record = {"pair": to_record(replace(pair, shard=None)), "shards": made_by, "sha256": hashes}
    return json.dumps(record).encode()


def _read_tar(tar: _Tar, made_by: Mapping[str, Any]) -> list[MotionPair] | None:
    """Return the pairs with their shard spans; None if the tar is missing, damaged or has other content."""
    rows = []
    try:
        with tarfile.open(tar.path) as file, tar.path.open("rb") as content:
            members = file.getmembers()
            for number, (index, pair) in enumerate(tar.pairs):
                pair_members = members[MEMBERS_PER_PAIR * number : MEMBERS_PER_PAIR * (number + 1)]
                data = {}
                for member in pair_members:
                    content.seek(member.offset_data)
                    data[member.name.removeprefix(f"{index:06}.")] = content.read(member.size)
                if data.pop("json") != _pair_json(pair, made_by, data):
                    return None
                last = pair_members[-1]
                start = pair_members[0].offset
                stop = last.offset_data + -(-last.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                content.seek(start)
                sha256 = hashlib.sha256(content.read(stop - start)).hexdigest()
                size = tar.path.stat().st_size
                rows.append(replace(pair, shard=ShardSpan(tar.path.name, size, start, stop, sha256)))
    except (FileNotFoundError, tarfile.TarError, KeyError, IndexError):
        return None
    return rows if len(members) == MEMBERS_PER_PAIR * len(tar.pairs) else None
