"""Prepared corpora on disk: ``manifest.jsonl``, one line per pair, and ``prepared.json``, written last."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol

from motion_data.errors import DataError, ShardError
from motion_data.pair import MotionPair, from_record, to_record
from motion_data.storage import file_sizes, read_range
from motionbeat_upstream.atomic_write import write_text
from motionbeat_upstream.version import __version__

MANIFEST, MARK = "manifest.jsonl", "prepared.json"


class PairSource(Protocol):
    """Pairs that clips are cut from, epoch by epoch.

    A :class:`Corpus` has the same pairs in every epoch. A generating source may have different ones in each:
    each of its pairs is a function of its seed and the pair's index, and an epoch has a fixed number of
    indices. Epochs of both kinds are planned, shared among ranks and resumed in the same way.
    """

    @property
    def folder(self) -> Path:
        """Folder that file paths are relative to; also the source's name in messages."""

    @property
    def sha256(self) -> str:
        """Hash of everything that the pairs depend on; a run is not resumed with another one."""

    @property
    def endless(self) -> bool:
        """Whether each epoch has new pairs, so that caching them is of no use."""

    def epoch_pairs(self, split: str, epoch: int) -> Sequence[tuple[int, MotionPair]]:
        """Return index and pair of all pairs of a split in an epoch; the same for the same arguments.

        An index denotes one pair in all epochs. Names are unique.
        """

    def group_ids(self, pair: MotionPair) -> tuple[int, int]:
        """Return the ids of the pair's piece and take: equal for pairs that share them, and on all ranks."""


@dataclass(frozen=True)
class Corpus:
    """A prepared corpus: a :class:`PairSource` with a manifest."""

    folder: Path
    pairs: tuple[MotionPair, ...]
    info: Mapping[str, Any]
    """Content of ``prepared.json``: corpus, options, version, number of pairs, ``left_out`` items."""
    sha256: str
    """Hash of the manifest."""
    endless: ClassVar[bool] = False

    def split(self, name: str) -> tuple[MotionPair, ...]:
        """Return the pairs of train, dev or test."""
        return tuple(pair for pair in self.pairs if pair.split == name)

    def epoch_pairs(self, split: str, epoch: int) -> Sequence[tuple[int, MotionPair]]:
        """Return index in the corpus and pair for all pairs of a split; the same in each epoch."""
        return [(index, pair) for index, pair in enumerate(self.pairs) if pair.split == split]

    def group_ids(self, pair: MotionPair) -> tuple[int, int]:
        """Return the ids of the pair's piece and take, in the order of their names in all splits."""
        return self._piece_ids[pair.piece], self._take_ids[pair.take]

    @property
    def made(self) -> Mapping[str, Any]:
        """Old name of :attr:`info`."""
        warnings.warn("made is called info", DeprecationWarning, stacklevel=2)
        return self.info

    def numbers(self, pair: MotionPair) -> tuple[int, int]:
        """Old name of :meth:`group_ids`."""
        warnings.warn("numbers is called group_ids", DeprecationWarning, stacklevel=2)
        return self.group_ids(pair)

    @cached_property
    def _piece_ids(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(sorted({pair.piece for pair in self.pairs}))}

    @cached_property
    def _take_ids(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(sorted({pair.take for pair in self.pairs}))}


def write_manifest(
    folder: str | Path,
    pairs: Sequence[MotionPair],
    corpus: str,
    options: Mapping[str, Any],
    left_out: Mapping[str, str] | None = None,
    notes: Mapping[str, int] | None = None,
) -> Corpus:
    """Check the pairs against each other and write ``manifest.jsonl`` and then ``prepared.json``.

    Args:
        folder: folder of the corpus.
        pairs: in any order; the manifest sorts them by name.
        corpus: name of the corpus.
        options: options of the preparation.
        left_out: reason for each item that could not be used.
        notes: number of items that were skipped on purpose, by reason.

    Raises:
        DataError: there are no pairs, a name occurs twice, or splits share a piece, a take or a recording.
    """
    folder = Path(folder)
    if not pairs:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list((left_out or {}).items())[:3])
        raise DataError(f"{folder}: not one pair could be prepared" + (f" ({reasons})" if reasons else ""))
    pairs = sorted(pairs, key=lambda pair: pair.name)
    check_splits(pairs)
    text = "".join(json.dumps(to_record(pair), ensure_ascii=False) + "\n" for pair in pairs)
    sha256 = hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()
    info = {
        "corpus": corpus,
        "version": __version__,
        "options": dict(options),
        "pairs": len(pairs),
        "left_out": dict(left_out or {}),
        "notes": dict(notes or {}),
        "sha256": sha256,
    }
    write_text(folder / MANIFEST, text)
    write_text(folder / MARK, json.dumps(info, indent=2, ensure_ascii=False) + "\n")
    return Corpus(folder, tuple(pairs), info, sha256)


def read_corpus(folder: str | Path) -> Corpus:
    """Read a prepared corpus. For a corpus in shards, check that each tar exists and has the expected size.

    Args:
        folder: on disk, or any URL that fsspec opens, such as ``s3://bucket/corpus``.

    Raises:
        DataError: the corpus is not prepared, not completely prepared, or has been changed.
        ShardError: a tar is missing or has another size.
    """
    try:
        manifest, mark = (read_range(f"{folder}/{name}") for name in (MANIFEST, MARK))
    except FileNotFoundError:
        raise DataError(
            f"{folder}: no prepared corpus ({MANIFEST} with {MARK}); "
            f"`motionbeat data prepare NAME RAW {folder}` creates one, or continues an interrupted one"
        ) from None
    try:
        text = manifest.decode().replace("\r\n", "\n")
        info = json.loads(mark)
        expected = str(info["sha256"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"{folder}: {MANIFEST} or {MARK} is damaged ({error}); prepare the corpus again"
        ) from error
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    if sha256 != expected:
        raise DataError(
            f"{folder}/{MANIFEST}: changed since it was prepared (sha256 {sha256[:12]!r}, expected "
            f"{expected[:12]!r}); prepare the corpus again"
        )
    pairs = []
    # splitlines would also split at other characters, which names may contain.
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        location = f"{folder}/{MANIFEST}:{number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{location}: not JSON ({error}); prepare the corpus again") from error
        pairs.append(from_record(record, location))
    return Corpus(Path(folder), _resolve_shards(folder, pairs), info, sha256)


def check_splits(pairs: Sequence[MotionPair]) -> None:
    """Check that names are unique and that splits share no piece, take or recording.

    Raises:
        DataError: names the piece, take or recording and the two pairs.
    """
    names: set[str] = set()
    first_pairs: dict[tuple[str, str], MotionPair] = {}
    for pair in pairs:
        if pair.name in names:
            raise DataError(f"pair {pair.name!r} is there twice; names must differ")
        names.add(pair.name)
        keys = [("piece", pair.piece), ("take", pair.take)]
        if pair.audio is not None:
            keys.append(("recording", pair.audio.sha256))
        for key in keys:
            first = first_pairs.setdefault(key, pair)
            if first.split != pair.split:
                raise DataError(
                    f"the {key[0]} {key[1]!r} is in two splits: {first.name!r} in {first.split}, "
                    f"{pair.name!r} in {pair.split}; put all its pairs into one"
                )


def _resolve_shards(folder: str | Path, pairs: Sequence[MotionPair]) -> tuple[MotionPair, ...]:
    """Check existence and size of the tars and return the pairs with the tars' full paths."""
    expected = {f"{folder}/{pair.shard.path}": pair.shard.size for pair in pairs if pair.shard is not None}
    try:
        sizes = file_sizes(list(expected))
    except FileNotFoundError as error:
        raise ShardError(
            f"{folder}: one of its {len(expected)} shards is missing ({error}); copy it again, or write the "
            f"shards again"
        ) from error
    for (path, expected_size), size in zip(expected.items(), sizes, strict=True):
        if size is not None and size != expected_size:
            raise ShardError(
                f"{path}: {size} bytes, expected {expected_size}: it is cut off, or another file; copy it "
                f"again, or write the shards again"
            )
    return tuple(
        pair
        if pair.shard is None
        else replace(pair, shard=replace(pair.shard, path=f"{folder}/{pair.shard.path}"))
        for pair in pairs
    )
