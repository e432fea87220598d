"""Preparing a corpus of files: pair by pair, so that an interrupted preparation goes on where it was."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from motion_data.csv_file import read_csv
from motion_data.errors import DataError
from motion_data.manifest import MARK, Corpus, write_manifest
from motion_data.motion import Motion
from motion_data.motion_file import read_motion, write_motion
from motion_data.pair import SPLITS, MotionPair, from_record, to_record
from motionbeat_upstream.atomic_write import is_hidden, stops_writing, write_text
from motionbeat_upstream.beats.grid import Grid
from motionbeat_upstream.errors import AudioWarning
from motionbeat_upstream.file_name import fit_name, printable
from motionbeat_upstream.version import __version__

LENGTH_TOLERANCE = 0.05
"""Share by which a motion may be longer or shorter than its audio."""


@dataclass(frozen=True)
class Job:
    """One pair to be made."""

    name: str
    """Of the pair; shortened where it does not fit a file."""
    sources: tuple[Path, ...]
    """Files it is made of: when one of them changes, it is made again."""
    make: Callable[[], tuple[MotionPair, Motion, Grid | None]]
    """Gives pair (its ``motion`` is filled in later), motion and grid.

    Raises ValueError, of which DataError and AudioError are kinds, or OSError where the sources cannot be
    used."""
    facts: tuple[str, ...] = ()
    """What else it depends on that other files may change, such as its piece and split."""


def refused(name: str, sources: tuple[Path, ...], error: ValueError | OSError) -> Job:
    """A job for sources that are known to be of no use: the pair is left out, for the reason given."""

    def make() -> tuple[MotionPair, Motion, Grid | None]:
        raise error

    return Job(name, sources, make)


def prepare_pairs(
    out: str | Path,
    corpus: str,
    options: Mapping[str, Any],
    jobs: Sequence[Job],
    notes: Mapping[str, int] | None = None,
) -> Corpus:
    """Make every pair that is not made yet, then write the manifest.

    A pair that cannot be made is left out and listed in ``prepared.json``; the others are done. What readers
    warn of, and what was passed over in a pair's sources, is the list ``notes`` in its provenance.

    Args:
        out: folder of the corpus.
        corpus: its name.
        options: what the preparation depends on; with other options every pair is made again.
        jobs: the pairs.
        notes: what was passed over on purpose, and how often; told in ``prepared.json``.

    Raises:
        DataError: not one pair could be made, the splits share something, or ``out`` holds other pairs only.
    """
    out = Path(out)
    there = {path.stem for path in (out / "pairs").glob("*.json") if not is_hidden(path)}
    if there and there.isdisjoint(fit_name(job.name) for job in jobs):
        raise DataError(
            f"{out}: holds {len(there)} other pairs ({min(there)}, …) and none of these; give another "
            f"folder as OUT, or delete it"
        )
    (out / MARK).unlink(missing_ok=True)
    pairs, left_out = [], {}
    for job in tqdm(jobs, desc=f"prepare {corpus}", unit="pair"):
        name, fingerprint = fit_name(job.name), _fingerprint(job, options)
        pair = _kept(out, name, fingerprint)
        if pair is None:
            try:
                pair = _make(out, job, name, fingerprint)
            except (ValueError, OSError) as error:
                if isinstance(error, OSError) and stops_writing(error):
                    raise
                left_out[name] = str(error)
                continue
        pairs.append(pair)
    return write_manifest(out, pairs, corpus, options, left_out, notes)


def check_lengths(place: str, motion_seconds: float, audio_seconds: float) -> None:
    """Refuse a motion that is longer or shorter than its audio by more than 5 %.

    Raises:
        DataError: with both lengths.
    """
    if abs(motion_seconds - audio_seconds) > LENGTH_TOLERANCE * audio_seconds:
        raise DataError(
            f"{place}: {motion_seconds:.2f} s of motion beside {audio_seconds:.2f} s of audio; expected "
            f"lengths within {100 * LENGTH_TOLERANCE:g} %: cut one of them, or check the frame rate"
        )


def motion_facts(motion: Motion, grid: Grid | None, source: str) -> dict[str, Any]:
    """What a pair's record says of its motion and grid: fps, joints, pulses, grid, metre and bpm.

    Args:
        motion: of the pair.
        grid: of the pair; None where no beats are known.
        source: where the grid comes from, one of ``GRID_SOURCES``.
    """
    return {
        "fps": motion.fps if motion.names else 0.0,
        "joints": motion.names,
        "pulses": {limb: len(times) for limb, times in motion.pulses.items()},
        "grid": "none" if grid is None else source,
        "metre": None if grid is None else grid.metre,
        "bpm": None if grid is None else grid.bpm,
    }


def file_sha256(path: str | Path) -> str:
    """Hash of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make(out: Path, job: Job, name: str, fingerprint: str) -> MotionPair:
    """Make a pair, write its motion, and then its record."""
    with _warnings_kept() as warned:
        pair, motion, grid = job.make()
    notes = [*pair.provenance.get("notes", ()), *warned]
    pair = replace(
        pair,
        name=name,
        piece=printable(pair.piece),
        take=printable(pair.take),
        motion=f"motion/{name}.npz",
        provenance={**pair.provenance, "notes": notes} if notes else pair.provenance,
    )
    write_motion(out / f"motion/{name}.npz", motion, grid)
    record = {"fingerprint": fingerprint, "pair": to_record(pair)}
    write_text(_record_path(out, name), json.dumps(record, ensure_ascii=False))
    return pair


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def _warnings_kept() -> Iterator[list[str]]:
    """What readers log or warn of, to be recorded with the pair instead of printed into the progress bar."""
    handler = _Lines()
    loggers = [logging.getLogger(package) for package in ("motion_data", "motionbeat_upstream")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            # Behind other filters, of which one may make errors of damaged files.
            warnings.filterwarnings("always", category=AudioWarning, append=True)
            warnings.showwarning = lambda message, *_: handler.lines.append(str(message))
            yield handler.lines
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


def _kept(out: Path, name: str, fingerprint: str) -> MotionPair | None:
    """The pair as an earlier preparation made it, if its sources are the same and it is whole."""
    path = _record_path(out, name)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["fingerprint"] != fingerprint:
            return None
        read_motion(out / f"motion/{name}.npz")
        return from_record(record["pair"], str(path))
    except (OSError, json.JSONDecodeError, KeyError, TypeError, DataError):
        return None


def _record_path(out: Path, name: str) -> Path:
    return out / "pairs" / f"{name}.json"


def _fingerprint(job: Job, options: Mapping[str, Any]) -> str:
    states = []
    for source in job.sources:
        try:
            state = source.stat()
            states.append([str(source), state.st_size, state.st_mtime_ns])
        except (OSError, ValueError):  # a name from a table may be no name at all
            states.append([str(source), 0, 0])
    told = json.dumps([__version__, states, job.facts, dict(options)], sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()


def hashed_split(piece: str) -> str:
    """train, dev or test, 80/10/10, always the same for a piece."""
    share = int.from_bytes(hashlib.sha256(os.fsencode(piece)).digest()[:8]) / 2**64
    return SPLITS[0] if share < 0.8 else SPLITS[1] if share < 0.9 else SPLITS[2]


def read_splits(path: Path) -> dict[str, str]:
    """Split by piece from a CSV with the columns piece and split.

    Raises:
        DataError: no such file, other columns, a split that is none, or a piece in two.
    """
    splits: dict[str, str] = {}
    for row in read_csv(path, ("piece", "split")):
        piece, split = row.cells["piece"], row.cells["split"]
        if not piece or split not in SPLITS or splits.get(piece, split) != split:
            raise DataError(
                f"{row.place}: piece {piece!r} in split {split!r}; expected one of "
                f"{', '.join(SPLITS)}, the same for all of a piece"
            )
        splits[piece] = split
    return splits
