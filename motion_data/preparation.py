"""Preparing a corpus: item by item, so that an interrupted preparation goes on where it was."""

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
"""Share by which a motion may be longer or shorter than its audio."""

PreparedPair = tuple[MotionPair, Motion, Grid | None] | tuple[MotionPair, Motion, Grid | None, Labels]
"""A pair, whose ``motion`` is filled in when that is written; its motion; its grid; labels, if it has any."""


@dataclass(frozen=True)
class Job:
    """What one or several pairs are made of, such as a recording."""

    name: str
    """Of its record; shortened where it does not fit a file."""
    sources: tuple[Path, ...]
    """Files it is made of: when one of them changes, it is done again."""
    make: Callable[[], Sequence[PreparedPair]]
    """Raises ValueError, of which DataError and AudioError are kinds, or OSError where the sources cannot be
    used."""
    facts: tuple[Any, ...] = ()
    """What else it depends on that other files may change, such as its piece and split; as JSON holds it."""
    remember_failure: bool = False
    """Whether it stays left out until something changes; otherwise it is tried again each time."""


@dataclass(frozen=True)
class Outcome:
    """What became of a job: pairs, or why there are none."""

    pairs: tuple[MotionPair, ...] = ()
    left_out: str = ""


def failed_job(name: str, sources: tuple[Path, ...], error: ValueError | OSError) -> Job:
    """A job for sources that are known to be of no use: it is left out, for the reason given."""

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
    """Do every job that is not done yet, then write the manifest.

    What cannot be made is left out and listed in ``prepared.json``. What readers warn of, and what was passed
    over in a job's sources, is the list ``notes`` in the provenance of its first pair.

    Args:
        out: folder of the corpus.
        corpus: its name.
        options: what the preparation depends on; with other options every job is done again.
        jobs: what is prepared.
        notes: what was passed over on purpose, and how often; told in ``prepared.json``.

    Raises:
        DataError: not one pair could be made, the splits share something, or ``out`` holds other pairs only.
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
    """The outcome of each job, of an earlier preparation where nothing has changed and it is whole.

    Arguments as for :func:`prepare_pairs`; with several ``workers``, which are processes, jobs are pickled.

    Raises:
        DataError: ``out`` holds other pairs only.
        OSError: the disk is full or read-only.
    """
    there = {path.stem for path in (out / "pairs").glob("*.json") if not is_hidden(path)}
    if there and there.isdisjoint(safe_file_name(job.name) for job in jobs):
        raise DataError(
            f"{out}: holds {len(there)} other pairs ({min(there)}, …) and none of these; give another "
            f"folder as OUT, or delete it"
        )
    (out / MARK).unlink(missing_ok=True)
    fingerprints = [_fingerprint(job, options) for job in jobs]
    outcomes = [
        _previous_outcome(out, job, fingerprint) for job, fingerprint in zip(jobs, fingerprints, strict=True)
    ]
    left = [number for number, outcome in enumerate(outcomes) if outcome is None]
    workers = min(workers, len(left))
    done = parallel_map(
        partial(_run_job, out),
        [(jobs[number], fingerprints[number]) for number in left],
        workers,
        # A forked process would inherit torch's threads, and hang.
        method="spawn",
        initializer=use_one_thread if workers > 1 else None,
    )
    with tqdm(total=len(jobs), initial=len(jobs) - len(left), desc=f"prepare {corpus}", unit="item") as bar:
        for number, outcome in zip(left, done, strict=True):
            outcomes[number] = outcome
            bar.update()
    return [outcome for outcome in outcomes if outcome is not None]


def check_option(name: str, value: float | None, least: float, most: float = math.inf) -> None:
    """Refuse a number of the command line that is not finite or outside [least, most]; None is none.

    Raises:
        DataError: naming the option and what is allowed.
    """
    if value is not None and not (least <= value <= most and math.isfinite(value)):
        allowed = f"{least:g} or more" if most == math.inf else f"{least:g} to {most:g}"
        raise DataError(f"{name} {value:g}: expected {allowed}")


def check_lengths(location: str, motion_seconds: float, audio_seconds: float) -> None:
    """Refuse a motion that is longer or shorter than its audio by more than 5 %.

    Raises:
        DataError: with both lengths.
    """
    if abs(motion_seconds - audio_seconds) > LENGTH_TOLERANCE * audio_seconds:
        raise DataError(
            f"{location}: {motion_seconds:.2f} s of motion beside {audio_seconds:.2f} s of audio; expected "
            f"lengths within {100 * LENGTH_TOLERANCE:g} %: cut one of them, or check the frame rate"
        )


def motion_fields(motion: Motion, grid: Grid | None, source: str) -> dict[str, Any]:
    """What a pair's record says of its motion and grid: fps, joints, pulses, grid, metre and bpm.

    ``grid`` is None where no beats are known; ``source`` says where it comes from, one of ``GRID_SOURCES``.
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
    """Do a job, write its motions, and then its record."""
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
    with _collect_warnings() as warned:
        made = job.make()
    pairs: list[MotionPair] = []
    for pair, motion, grid, *labels in made:
        name = safe_file_name(pair.name)
        notes = [*pair.provenance.get("notes", ()), *(() if pairs else warned)]
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
    """What readers log or warn of, to be recorded with the pair instead of printed into the progress bar."""
    handler = _MessageCollector()
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


def _previous_outcome(out: Path, job: Job, fingerprint: str) -> Outcome | None:
    """What an earlier preparation made of a job, if its sources are the same and all of it is whole."""
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
    lost = any(not sound.is_absolute() and not (out / sound).is_file() for sound in sounds)
    return None if lost else Outcome(pairs, left_out)


def _record_path(out: Path, job: Job) -> Path:
    return out / "pairs" / f"{safe_file_name(job.name)}.json"


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


def hash_fraction(name: str) -> float:
    """A number in [0, 1), always the same for a name."""
    return int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:8]) / 2**64


def split_by_hash(piece: str) -> str:
    """train, dev or test, 80/10/10, always the same for a piece."""
    share = hash_fraction(piece)
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
                f"{row.location}: piece {piece!r} in split {split!r}; expected one of "
                f"{', '.join(SPLITS)}, the same for all of a piece"
            )
        splits[piece] = split
    return splits
