"""Scores of all trackers on all recordings, and tables of their means."""

from __future__ import annotations

import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from motion_data.beats_file import Beats
from motion_data.errors import DataError
from motionbeat_upstream.atomic_write import write_text
from recipes.benchmark.beats.sets import AnnotatedSound, MusicSet
from recipes.benchmark.beats.trackers import Estimate, Samples, Tracker
from recipes.downstream.beat_tracking.scores import SCORES, score_piece
from recipes.results.record import Results, Row, Run, command_and_versions, item_rows
from recipes.results.tables import ResultTable, markdown_table, mean_table

TEMPO, OCTAVE, SPEED = "tempo ratio", "octave error", "seconds per second"
CONFIDENCE = {"beat": "confidence", "downbeat": "downbeat confidence"}

TEMPO_RATIOS = {"same": 1.0, "double": 2.0, "half": 1 / 2, "triple": 3.0, "third": 1 / 3}
"""Ratio of the estimated to the annotated tempo by class; all but the first are octave errors."""

OTHER_CLASSES = ("other", "none")
"""Classes of other ratios, and of fewer than two beats."""

TEMPO_TOLERANCE = 0.04
"""Relative tolerance of a tempo, as in MIREX."""

WARM_UP_SECONDS = 10.0
"""Length of the excerpt that a tracker processes before it is timed."""


@dataclass(frozen=True)
class TimedEstimate:
    """An estimate and its computing time."""

    estimate: Estimate
    speed: float
    """Computing time per second of sound, of the fastest of ``repeats`` calls."""
    repeats: int


def tempo_ratio(annotated: NDArray[np.float64], estimated: NDArray[np.float64]) -> float:
    """Ratio of the estimated to the annotated tempo, by median intervals; NaN for fewer than two beats."""
    if len(annotated) < 2 or len(estimated) < 2:
        return float("nan")
    return float(np.median(np.diff(annotated)) / np.median(np.diff(estimated)))


def tempo_class(ratio: float) -> str:
    """Class of a tempo ratio: one of ``TEMPO_RATIOS`` or ``OTHER_CLASSES``."""
    if np.isnan(ratio):
        return "none"
    return next(
        (name for name, level in TEMPO_RATIOS.items() if abs(ratio / level - 1) <= TEMPO_TOLERANCE), "other"
    )


def measures(sound: AnnotatedSound, tracker: Tracker, timed: TimedEstimate) -> dict[str, float]:
    """Measures of a tracker on a recording, without undefined ones."""
    estimate = timed.estimate
    beats = sound.within_spans(estimate.beats)
    scores = score_piece(sound.annotated, beats)
    metrics = {
        name: scores[name]
        for name in SCORES
        if name in scores and (tracker.has_downbeats or not name.startswith("downbeat"))
    }
    ratio = tempo_ratio(sound.annotated.times, beats.times)
    metrics[TEMPO] = ratio
    metrics[OCTAVE] = float(tempo_class(ratio) not in ("same", *OTHER_CLASSES))
    metrics[SPEED] = timed.speed
    for target, value in (("beat", estimate.confidence), ("downbeat", estimate.downbeat_confidence)):
        if value is not None:
            metrics[CONFIDENCE[target]] = value
    return {name: value for name, value in metrics.items() if not np.isnan(value)}


def compare(
    sets: Sequence[MusicSet], trackers: Sequence[Tracker], folder: Path, repeats: int, overwrite: bool
) -> list[Results]:
    """Evaluate all trackers on all recordings.

    Args:
        sets: sets with different names.
        trackers: trackers with different names.
        folder: folder of cached estimates.
        repeats: number of calls, of which the fastest counts.
        overwrite: whether to recompute cached estimates.

    Returns:
        A run for each set and tracker; items are recordings, groups are pieces.

    Raises:
        DataError, AudioError: an invalid recording, or an invalid environment for madmom.
    """
    rows: dict[tuple[str, str], list[Row]] = defaultdict(list)
    warmed_up: set[str] = set()
    total = len(trackers) * sum(len(music_set.sounds) for music_set in sets)
    with tqdm(total=total, unit="estimate", disable=None) as bar:
        for music_set in sets:
            bar.set_description(music_set.name)
            for load in music_set.sounds:
                sound = load()
                if len(sound.annotated.times) < 2:
                    raise DataError(
                        f"{music_set.name}: {sound.name} has fewer than 2 annotated beats; leave it out"
                    )
                samples: dict[int, Samples] = {}
                for tracker in trackers:
                    path = estimate_path(folder, tracker, sound)
                    timed = None if overwrite else read_estimate(path)
                    if timed is None or timed.repeats < repeats:
                        if tracker.rate not in samples:
                            samples[tracker.rate] = sound.samples(tracker.rate)
                        wav = samples[tracker.rate]
                        if tracker.name not in warmed_up:
                            tracker.track(wav[: round(WARM_UP_SECONDS * tracker.rate)])
                            warmed_up.add(tracker.name)
                        timed = timed_estimate(tracker, wav, repeats)
                        write_estimate(path, timed, tracker, sound)
                    metrics = measures(sound, tracker, timed)
                    rows[music_set.name, tracker.name] += item_rows(sound.name, sound.piece, metrics)
                    bar.update()
    fingerprints = {tracker.name: tracker.fingerprint for tracker in trackers}
    return [
        Results(
            Run("beats", music_set, name, details={"made_of": fingerprints[name], **command_and_versions()}),
            run_rows,
        )
        for (music_set, name), run_rows in rows.items()
    ]


def estimate_path(folder: Path, tracker: Tracker, sound: AnnotatedSound) -> Path:
    """File of a cached estimate, named by the hashes of tracker and recording."""
    return folder / f"{hashlib.sha256(f'{tracker.fingerprint} {sound.sha256}'.encode()).hexdigest()}.json"


def read_estimate(path: Path) -> TimedEstimate | None:
    """Read a cached estimate; None if there is no valid file."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        beats = Beats(
            np.array(record["times"], dtype=np.float64), np.array(record["positions"], dtype=np.int64)
        )
        if len(beats.times) != len(beats.positions):
            return None
        estimate = Estimate(beats, record["confidence"], record["downbeat_confidence"])
        return TimedEstimate(estimate, float(record["speed"]), int(record["repeats"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_estimate(path: Path, timed: TimedEstimate, tracker: Tracker, sound: AnnotatedSound) -> None:
    """Write an estimate to the cache."""
    record: dict[str, Any] = {
        "tracker": tracker.fingerprint,
        "recording": sound.name,
        "audio": sound.sha256,
        "times": timed.estimate.beats.times.tolist(),
        "positions": timed.estimate.beats.positions.tolist(),
        "confidence": timed.estimate.confidence,
        "downbeat_confidence": timed.estimate.downbeat_confidence,
        "speed": timed.speed,
        "repeats": timed.repeats,
    }
    write_text(path, json.dumps(record))


def timed_estimate(tracker: Tracker, samples: Samples, repeats: int) -> TimedEstimate:
    """Call a tracker ``repeats`` times; the fastest call counts, because other processes may be running."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        estimate = tracker.track(samples)
        seconds.append(time.perf_counter() - start)
    return TimedEstimate(estimate, min(seconds) / (len(samples) / tracker.rate), repeats)


def score_table(rows: pd.DataFrame, music_set: str, trackers: Sequence[str], reference: str) -> ResultTable:
    """Table of mean scores with intervals, and paired differences from the reference tracker."""
    set_rows = rows[rows["data"] == music_set]
    downbeat_count = set_rows.loc[set_rows["measure"] == "downbeat F", "item"].nunique()
    notes = (
        f"{set_rows['item'].nunique()} recordings of {set_rows['group'].nunique()} pieces; downbeats scored "
        f"on {downbeat_count} recordings. 95 % bootstrap intervals over pieces; the last rows are paired "
        f"differences."
    )
    differences = [(name, reference) for name in trackers if name != reference]
    columns = {score: score for score in (*SCORES, OCTAVE)}
    return mean_table(music_set, set_rows, columns, notes, differences=differences, row_heading="tracker")


def tempo_lines(rows: pd.DataFrame, music_set: str, trackers: Sequence[str]) -> list[str]:
    """Markdown table of the number of recordings by tempo class, and of the computing time."""
    classes = [*TEMPO_RATIOS, *OTHER_CLASSES]
    cells = []
    for name in trackers:
        set_rows = rows[(rows["data"] == music_set) & (rows["upstream"] == name)]
        by_recording = set_rows.pivot(index="item", columns="measure", values="value")
        by_recording = by_recording.reindex(columns=[TEMPO, OCTAVE, SPEED])
        class_counts = by_recording[TEMPO].map(tempo_class).value_counts()
        counts = [str(class_counts.get(tempo, 0)) for tempo in classes]
        errors, seconds = f"{by_recording[OCTAVE].sum():.0f}", f"{by_recording[SPEED].mean():.4f}"
        cells.append([name, *counts, errors, seconds])
    return markdown_table(["tracker", *classes, "octave errors", SPEED], cells)


def score_tables(rows: pd.DataFrame, trackers: Sequence[str], reference: str) -> list[ResultTable]:
    """Tables of all sets; see :func:`score_table`.

    Args:
        rows: results of :func:`compare` in long form.
        trackers: names of the trackers.
        reference: tracker to compare the others with.
    """
    return [score_table(rows, name, trackers, reference) for name in rows["data"].unique()]


def report(rows: pd.DataFrame, tables: Sequence[ResultTable], fingerprints: Mapping[str, str]) -> str:
    """Format the tables of all sets and the fingerprints of the trackers as markdown.

    Args:
        rows: results of :func:`compare` in long form.
        tables: output of :func:`score_tables`.
        fingerprints: fingerprints of the trackers by name.
    """
    lines: list[str] = []
    for table in tables:
        lines += [f"## {table.title}", "", *table.lines(), ""]
        lines += ["Recordings by estimated tempo over annotated tempo:", ""]
        lines += [*tempo_lines(rows, table.title, list(fingerprints)), ""]
    lines += ["Trackers, with hashes of weights and code:", ""]
    lines += [f"- {name}: {fingerprint}" for name, fingerprint in fingerprints.items()]
    return "\n".join(lines) + "\n"
