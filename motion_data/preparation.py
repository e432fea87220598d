"""Preparation of corpora item by item, so that an interrupted preparation can be continued."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from motion_data.csv_file import read_csv
from motion_data.errors import DataError
from motion_data.labels import Labels
from motion_data.manifest import MARK, Corpus, write_manifest
from motion_data.motion import Motion
from motion_data.motion_file import read_motion, write_motion
from motion_data.pair import SPLITS, MotionPair, from_record, to_record
from motionbeat_upstream.atomic_write import is_hidden, is_unwritable_disk, write_text
from motionbeat_upstream.errors import AudioWarning
from motionbeat_upstream.file_name import printable, safe_file_name
from motionbeat_upstream.processes import parallel_map, use_one_thread
from motionbeat_upstream.tracking.grid import Grid
from motionbeat_upstream.version import __version__

LENGTH_TOLERANCE = 0.05
"""Maximum relative difference between the lengths of a motion and its audio."""

PreparedPair = tuple[MotionPair, Motion, Grid | None] | tuple[MotionPair, Motion, Grid | None, Labels]
"""A pair, whose ``motion`` is set when its file is written, its motion, its grid, and optionally its
labels."""


@dataclass(frozen=True)
class Job:
    """An item of a preparation, such as a recording, which gives one or several pairs."""

    name: str
    """Name of its record; shortened if it does not fit a file name."""
    sources: tuple[Path, ...]
    """Source files; the job is repeated when one of them changes."""
    make: Callable[[], Sequence[PreparedPair]]
    """Creates the pairs. Raises ValueError, including DataError and AudioError, or OSError if the sources
    cannot be used."""
    facts: tuple[Any, ...] = ()
    """Further JSON values that the job depends on, such as its piece and split."""
    remember_failure: bool = False
    """Whether a failed job is left out until something changes; otherwise it is tried again each time."""


@dataclass(frozen=True)
class Outcome:
    """Pairs of a job, or the reason why there are none."""

    pairs: tuple[MotionPair, ...] = ()
    left_out: str = ""


def failed_job(name: str, sources: tuple[Path, ...], error: ValueError | OSError) -> Job:
    """Create a job that fails with ``error``, for sources that are known to be unusable."""

    def make() -> Sequence[PreparedPair]:
        raise error

    return Job(name, sources, make)


def prepare_pairs(
    out: str | Path,
    corpus: str,
    options: Mapping[str, Any],
    jobs: Sequence[Job],
    notes: Mapping[str, int] | None = None,
) -> Corpus:
    """Run all jobs that are not done yet, then write the manifest.

    Failed jobs are left out and listed in ``prepared.json``. Warnings of readers are the list ``notes`` in
    the provenance of a job's first pair.

    Args:
        out: folder of the corpus.
        corpus: name of the corpus.
        options: options of the preparation; if they change, all jobs are repeated.
        jobs: the items to prepare.
        notes: number of items that were skipped on purpose, by reason; written to ``prepared.json``.

    Raises:
        DataError: all jobs failed, the splits share something, or ``out`` contains only other pairs.
    """
    outcomes = run_jobs(Path(out), corpus, options, jobs)
    pairs = [pair for outcome in outcomes for pair in outcome.pairs]
    left_out = {
        safe_file_name(job.name): outcome.left_out
        for job, outcome in zip(jobs, outcomes, strict=True)
        if outcome.left_out
    }
    return write_manifest(out, pairs, corpus, options, left_out, notes)


def run_jobs(
    out: Path, corpus: str, options: Mapping[str, Any], jobs: Sequence[Job], workers: int = 1
) -> list[Outcome]:
    """Return the outcome of each job. Complete outcomes of an earlier preparation are reused.

    Arguments as for :func:`prepare_pairs`. ``workers`` is a number of processes; with several, jobs are
    pickled.

    Raises:
        DataError: ``out`` contains only other pairs.
        OSError: the disk is full or read-only.
    """
    existing = {path.stem for path in (out / "pairs").glob("*.json") if not is_hidden(path)}
    if existing and existing.isdisjoint(safe_file_name(job.name) for job in jobs):
        raise DataError(
            f"{out}: holds {len(existing)} other pairs ({min(existing)}, …) and none of these; give another "
            f"folder as OUT, or delete it"
        )
    (out / MARK).unlink(missing_ok=True)
    fingerprints = [_fingerprint(job, options) for job in jobs]
    outcomes = [
        _previous_outcome(out, job, fingerprint) for job, fingerprint in zip(jobs, fingerprints, strict=True)
    ]
    remaining = [number for number, outcome in enumerate(outcomes) if outcome is None]
    workers = min(workers, len(remaining))
    results = parallel_map(
        partial(_run_job, out),
        [(jobs[number], fingerprints[number]) for number in remaining],
        workers,
        # A forked process would inherit torch's threads and hang.
        method="spawn",
        initializer=use_one_thread if workers > 1 else None,
    )
    done = len(jobs) - len(remaining)
    with tqdm(total=len(jobs), initial=done, desc=f"prepare {corpus}", unit="item") as bar:
        for number, outcome in zip(remaining, results, strict=True):
            outcomes[number] = outcome
            bar.update()
    return [outcome for outcome in outcomes if outcome is not None]


def check_option(name: str, value: float | None, minimum: float, maximum: float = math.inf) -> None:
    """Check that a number of the command line is finite and in [minimum, maximum]; None is allowed.

    Raises:
        DataError: names the option and the allowed range.
    """
    if value is not None and not (minimum <= value <= maximum and math.isfinite(value)):
        allowed = f"{minimum:g} or more" if maximum == math.inf else f"{minimum:g} to {maximum:g}"
        raise DataError(f"{name} {value:g}: expected {allowed}")


def check_lengths(location: str, motion_seconds: float, audio_seconds: float) -> None:
    """Check that the lengths of a motion and its audio differ by at most 5 %.

    Raises:
        DataError: contains both lengths.
    """
    if abs(motion_seconds - audio_seconds) > LENGTH_TOLERANCE * audio_seconds:
        raise DataError(
            f"{location}: {motion_seconds:.2f} s of motion and {audio_seconds:.2f} s of audio; expected "
            f"lengths within {100 * LENGTH_TOLERANCE:g} %: cut one of them, or check the frame rate"
        )


def motion_fields(motion: Motion, grid: Grid | None, source: str) -> dict[str, Any]:
    """Return the fields of a pair that describe its motion and grid: fps, joints, pulses, grid, metre and
    bpm.

    ``source`` is the source of the grid, one of ``GRID_SOURCES``.
    """
    return {
        "fps": motion.fps if motion.names else 0.0,
        "joints": motion.names,
        "pulses": {limb: len(times) for limb, times in motion.pulses.items()},
        "grid": "none" if grid is None else source,
        "metre": None if grid is None else grid.metre,
        "bpm": None if grid is None else grid.bpm,
    }


def _run_job(out: Path, task: tuple[Job, str]) -> Outcome:
    """Run a job, write its motions, and then its record."""
    job, fingerprint = task
    try:
        outcome = Outcome(_write_pairs(out, job))
    except (ValueError, OSError) as error:
        if isinstance(error, OSError) and is_unwritable_disk(error):
            raise
        outcome = Outcome(left_out=str(error))
        if not job.remember_failure:
            return outcome
    pairs = [to_record(pair) for pair in outcome.pairs]
    record = {"fingerprint": fingerprint, "pairs": pairs, "left_out": outcome.left_out}
    write_text(_record_path(out, job), json.dumps(record, ensure_ascii=False))
    return outcome


def _write_pairs(out: Path, job: Job) -> tuple[MotionPair, ...]:
    with _collect_warnings() as messages:
        prepared = job.make()
    pairs: list[MotionPair] = []
    for pair, motion, grid, *labels in prepared:
        name = safe_file_name(pair.name)
        notes = list(pair.provenance.get("notes", ()))
        if not pairs:
            notes += messages
        pair = replace(
            pair,
            name=name,
            piece=printable(pair.piece),
            take=printable(pair.take),
            motion=f"motion/{name}.npz",
            provenance={**pair.provenance, "notes": notes} if notes else pair.provenance,
        )
        write_motion(out / f"motion/{name}.npz", motion, grid, *labels)
        pairs.append(pair)
    return tuple(pairs)


class _MessageCollector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def _collect_warnings() -> Iterator[list[str]]:
    """Collect warnings and log messages of readers, instead of printing them into the progress bar."""
    handler = _MessageCollector()
    loggers = [logging.getLogger(package) for package in ("motion_data", "motionbeat_upstream")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            # Appended, because an earlier filter may turn warnings about damaged files into errors.
            warnings.filterwarnings("always", category=AudioWarning, append=True)
            warnings.showwarning = lambda message, *_: handler.lines.append(str(message))
            yield handler.lines
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


def _previous_outcome(out: Path, job: Job, fingerprint: str) -> Outcome | None:
    """Outcome of a job in an earlier preparation, if its sources have not changed and it is complete."""
    path = _record_path(out, job)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["fingerprint"] != fingerprint:
            return None
        pairs = tuple(from_record(pair, str(path)) for pair in record["pairs"])
        for pair in pairs:
            read_motion(out / str(pair.motion))
        left_out = str(record["left_out"])
    except (OSError, json.JSONDecodeError, KeyError, TypeError, DataError):
        return None
    sounds = {Path(pair.audio.path) for pair in pairs if pair.audio is not None}
    missing = any(not sound.is_absolute() and not (out / sound).is_file() for sound in sounds)
    return None if missing else Outcome(pairs, left_out)


def _record_path(out: Path, job: Job) -> Path:
    return out / "pairs" / f"{safe_file_name(job.name)}.json"


def _fingerprint(job: Job, options: Mapping[str, Any]) -> str:
    states = []
    for source in job.sources:
        try:
            state = source.stat()
            states.append([str(source), state.st_size, state.st_mtime_ns])
        except (OSError, ValueError):  # a name from a table may not be a valid path
            states.append([str(source), 0, 0])
    text = json.dumps([__version__, states, job.facts, dict(options)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def hash_fraction(name: str) -> float:
    """Map a name to a number in [0, 1) by a hash."""
    return int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:8]) / 2**64


def split_by_hash(piece: str) -> str:
    """Map a piece to train, dev or test by a hash, 80/10/10."""
    share = hash_fraction(piece)
    return SPLITS[0] if share < 0.8 else SPLITS[1] if share < 0.9 else SPLITS[2]


def read_splits(path: Path) -> dict[str, str]:
    """Read the split of each piece from a CSV file with the columns piece and split.

    Raises:
        DataError: the file is missing or has other columns, a split is unknown, or a piece has two.
    """
    splits: dict[str, str] = {}
    for row in read_csv(path, ("piece", "split")):
        piece, split = row.cells["piece"], row.cells["split"]
        if not piece or split not in SPLITS or splits.get(piece, split) != split:
            raise DataError(
                f"{row.location}: piece {piece!r} in split {split!r}; expected one of "
                f"{', '.join(SPLITS)}, the same for all of a piece"
            )
        splits[piece] = split
    return splits
