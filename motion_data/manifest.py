"""A prepared corpus on disk: ``manifest.jsonl``, a line a pair, and ``prepared.json``, its mark."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
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

    A :class:`Corpus` has the same ones in every epoch. A source that makes pairs as they are asked for may
    have others in each: its pair is a function of its seed and the pair's index, as a constructed pair's plan
    is, and an epoch is as many indices as it says. Its epochs are planned, shared among ranks and resumed
    like those of a corpus.
    """

    @property
    def folder(self) -> Path:
        """That the paths of its files start from; the source's name in messages."""

    @property
    def sha256(self) -> str:
        """Of all that its pairs depend on; a training that goes on with another one is refused by it."""

    @property
    def endless(self) -> bool:
        """Whether an epoch has pairs that no other epoch has: they need not be kept in memory."""

    def epoch_pairs(self, split: str, epoch: int) -> Sequence[tuple[int, MotionPair]]:
        """Index and pair of all that an epoch has of train, dev or test; the same whenever it is asked for.

        An index stands for one pair in all epochs, and names differ.
        """

    def group_ids(self, pair: MotionPair) -> tuple[int, int]:
        """Of the pair's piece and take: the same for pairs that share them, and on all ranks."""


@dataclass(frozen=True)
class Corpus:
    """A prepared corpus: a :class:`PairSource` with a manifest."""

    folder: Path
    pairs: tuple[MotionPair, ...]
    info: Mapping[str, Any]
    """What ``prepared.json`` says: corpus, options, version, number of pairs, what was left out."""
    sha256: str
    """Of the manifest."""
    endless: ClassVar[bool] = False

    def split(self, name: str) -> tuple[MotionPair, ...]:
        """The pairs of train, dev or test."""
        return tuple(pair for pair in self.pairs if pair.split == name)

    def epoch_pairs(self, split: str, epoch: int) -> Sequence[tuple[int, MotionPair]]:
        """Index among all pairs, and pair, of all of a split; the same in each epoch."""
        return [(index, pair) for index, pair in enumerate(self.pairs) if pair.split == split]

    def group_ids(self, pair: MotionPair) -> tuple[int, int]:
        """Of the pair's piece and take, by the order of their names in all splits."""
        return self._pieces[pair.piece], self._takes[pair.take]

    @cached_property
    def _pieces(self) -> dict[str, int]:
        return _enumerate_names(pair.piece for pair in self.pairs)

    @cached_property
    def _takes(self) -> dict[str, int]:
        return _enumerate_names(pair.take for pair in self.pairs)


def write_manifest(
    folder: str | Path,
    pairs: Sequence[MotionPair],
    corpus: str,
    options: Mapping[str, Any],
    left_out: Mapping[str, str] | None = None,
    notes: Mapping[str, int] | None = None,
) -> Corpus:
    """Check the pairs against each other and write manifest and mark, the mark last.

    Args:
        folder: of the corpus.
        pairs: in any order; the manifest has them by name.
        corpus: its name.
        options: what it was prepared with.
        left_out: what could not be used, and why.
        notes: what was passed over on purpose, and how often.

    Raises:
        DataError: no pair at all, a name given twice, or splits that share a piece, a take or a recording.
    """
    folder = Path(folder)
    if not pairs:
        reasons = "; ".join(f"{name}: {why}" for name, why in list((left_out or {}).items())[:3])
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
    """Read a prepared corpus; of one in shards, check that every tar is there and as long as it was.

    Args:
        folder: on disk, or any URL that fsspec opens, such as ``s3://bucket/corpus``.

    Raises:
        DataError: not prepared, not to its end, or changed since.
        ShardError: a tar is missing, or of another length.
    """
    try:
        lines, mark = (read_range(f"{folder}/{name}") for name in (MANIFEST, MARK))
    except FileNotFoundError:
        raise DataError(
            f"{folder}: no prepared corpus ({MANIFEST} with {MARK}); "
            f"`motionbeat data prepare NAME RAW {folder}` makes one, or goes on with an interrupted one"
        ) from None
    try:
        text = lines.decode().replace("\r\n", "\n")  # as Windows ends lines
        info = json.loads(mark)
        expected = str(info["sha256"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"{folder}: {MANIFEST} or {MARK} is damaged ({error}); prepare the corpus again"
        ) from error
    found = hashlib.sha256(text.encode()).hexdigest()
    if found != expected:
        raise DataError(
            f"{folder}/{MANIFEST}: changed since it was prepared (sha256 {found[:12]!r}, expected "
            f"{expected[:12]!r}); prepare the corpus again"
        )
    pairs = []
    # Not splitlines: a name may hold a character that it takes for the end of a line.
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        location = f"{folder}/{MANIFEST}:{number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{location}: not JSON ({error}); prepare the corpus again") from error
        pairs.append(from_record(record, location))
    return Corpus(Path(folder), _resolve_shards(folder, pairs), info, found)


def check_splits(pairs: Sequence[MotionPair]) -> None:
    """Refuse names given twice, and what is in two splits.

    Raises:
        DataError: naming the piece, take or recording and the two pairs.
    """
    names: dict[str, MotionPair] = {}
    seen: dict[tuple[str, str], MotionPair] = {}
    for pair in pairs:
        if pair.name in names:
            raise DataError(f"pair {pair.name!r} is there twice; names must differ")
        names[pair.name] = pair
        keys = [("piece", pair.piece), ("take", pair.take)]
        if pair.audio is not None:
            keys.append(("recording", pair.audio.sha256))
        for key in keys:
            first = seen.setdefault(key, pair)
            if first.split != pair.split:
                raise DataError(
                    f"the {key[0]} {key[1]!r} is in two splits: {first.name!r} in {first.split}, "
                    f"{pair.name!r} in {pair.split}; put all its pairs into one"
                )


def _resolve_shards(folder: str | Path, pairs: Sequence[MotionPair]) -> tuple[MotionPair, ...]:
    """The pairs with the whole paths of their tars, which are there and as long as they were written."""
    written = {f"{folder}/{pair.shard.path}": pair.shard.size for pair in pairs if pair.shard is not None}
    try:
        found = file_sizes(list(written))
    except FileNotFoundError as error:
        raise ShardError(
            f"{folder}: one of its {len(written)} shards is missing ({error}); copy it again, or write the "
            f"shards again"
        ) from error
    for (path, size), is_now in zip(written.items(), found, strict=True):
        if is_now is not None and is_now != size:
            raise ShardError(
                f"{path}: {is_now} bytes, expected {size}: it is cut off, or another file; copy it again, or "
                f"write the shards again"
            )
    return tuple(
        pair
        if pair.shard is None
        else replace(pair, shard=replace(pair.shard, path=f"{folder}/{pair.shard.path}"))
        for pair in pairs
    )


def _enumerate_names(names: Iterable[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(sorted(set(names)))}
