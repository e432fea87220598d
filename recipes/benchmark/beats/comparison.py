"""Scores of every tracker on every recording, and the tables of their means."""

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

LEVELS = {"same": 1.0, "double": 2.0, "half": 1 / 2, "triple": 3.0, "third": 1 / 3}
"""Estimated tempo over the annotated one, by class; all but the first are octave errors."""

OTHER_LEVELS = ("other", "none")
"""Classes of another ratio, and of fewer than two beats."""

SAME_TEMPO = 0.04
"""Tempi this share apart are the same, as MIREX takes it for tempo estimation."""

WARM_UP = 10.0
"""Seconds of the first recording that a tracker gets before its time is taken."""


@dataclass(frozen=True)
class TimedEstimate:
    """An estimate, and how long it took."""

    estimate: Estimate
    speed: float
    """Seconds of computing a second of sound, the fastest of ``repeats`` calls."""
    repeats: int


def tempo_ratio(annotated: NDArray[np.float64], estimated: NDArray[np.float64]) -> float:
    """Estimated tempo over the annotated one, both by the median interval; NaN for fewer than two beats."""
    if len(annotated) < 2 or len(estimated) < 2:
        return float("nan")
    return float(np.median(np.diff(annotated)) / np.median(np.diff(estimated)))


def tempo_class(ratio: float) -> str:
    """One of ``LEVELS`` or ``OTHER_LEVELS``."""
    if np.isnan(ratio):
        return "none"
    return next((name for name, level in LEVELS.items() if abs(ratio / level - 1) <= SAME_TEMPO), "other")


def measures(sound: AnnotatedSound, tracker: Tracker, timed: TimedEstimate) -> dict[str, float]:
    """What is measured of a tracker on a recording; without what is not known."""
    estimate = timed.estimate
    beats = sound.scored(estimate.beats)
    scores = score_piece(sound.annotated, beats)
    found = {
        name: scores[name]
        for name in SCORES
        if name in scores and (tracker.has_downbeats or not name.startswith("downbeat"))
    }
    ratio = tempo_ratio(sound.annotated.times, beats.times)
    found[TEMPO] = ratio
    found[OCTAVE] = float(tempo_class(ratio) not in ("same", *OTHER_LEVELS))
    found[SPEED] = timed.speed
    for target, value in (("beat", estimate.confidence), ("downbeat", estimate.downbeat_confidence)):
        if value is not None:
            found[CONFIDENCE[target]] = value
    return {name: value for name, value in found.items() if not np.isnan(value)}


def compare(
    sets: Sequence[MusicSet], trackers: Sequence[Tracker], folder: Path, repeats: int, overwrite: bool
) -> list[Results]:
    """Every tracker on every recording.

    Args:
        sets: with different names.
        trackers: with different names.
        folder: of kept estimates.
        repeats: calls of which the fastest counts.
        overwrite: estimate anew what is kept.

    Returns:
        A run for each set and tracker: items are recordings, groups are pieces.

    Raises:
        DataError, AudioError: what is wrong with a recording, or with madmom's environment.
    """
    rows: dict[tuple[str, str], list[Row]] = defaultdict(list)
    warm: set[str] = set()
    total = len(trackers) * sum(len(one.sounds) for one in sets)
    with tqdm(total=total, unit="estimate", disable=None) as bar:
        for one in sets:
            bar.set_description(one.name)
            for load in one.sounds:
                sound = load()
                if len(sound.annotated.times) < 2:
                    raise DataError(
                        f"{one.name}: {sound.name} has fewer than 2 annotated beats; leave it out"
                    )
                samples: dict[int, Samples] = {}
                for tracker in trackers:
                    path = estimate_path(folder, tracker, sound)
                    timed = None if overwrite else read_estimate(path)
                    if timed is None or timed.repeats < repeats:
                        if tracker.rate not in samples:
                            samples[tracker.rate] = sound.samples(tracker.rate)
                        wav = samples[tracker.rate]
                        if tracker.name not in warm:
                            tracker.track(wav[: round(WARM_UP * tracker.rate)])
                            warm.add(tracker.name)
                        timed = timed_estimate(tracker, wav, repeats)
                        write_estimate(path, timed, tracker, sound)
                    found = measures(sound, tracker, timed)
                    rows[one.name, tracker.name] += item_rows(sound.name, sound.piece, found)
                    bar.update()
    made_of = {tracker.name: tracker.made_of for tracker in trackers}
    return [
        Results(
            Run("beats", music_set, name, details={"made_of": made_of[name], **command_and_versions()}), of
        )
        for (music_set, name), of in rows.items()
    ]


def estimate_path(folder: Path, tracker: Tracker, sound: AnnotatedSound) -> Path:
    """Where the estimate of a tracker on a recording is kept; another place where either has changed."""
    return folder / f"{hashlib.sha256(f'{tracker.made_of} {sound.sha256}'.encode()).hexdigest()}.json"


def read_estimate(path: Path) -> TimedEstimate | None:
    """What was kept there; None where nothing whole is."""
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
    """Keep an estimate, whole or not at all."""
    record: dict[str, Any] = {
        "tracker": tracker.made_of,
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
    """Call a tracker some times; the fastest counts, because the machine may have other work."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        estimate = tracker.track(samples)
        seconds.append(time.perf_counter() - start)
    return TimedEstimate(estimate, min(seconds) / (len(samples) / tracker.rate), repeats)


def score_table(rows: pd.DataFrame, music_set: str, trackers: Sequence[str], reference: str) -> ResultTable:
    """Means of the scores with intervals, and the paired differences of the others and the reference."""
    chosen = rows[rows["data"] == music_set]
    known = chosen.loc[chosen["measure"] == "downbeat F", "item"].nunique()
    notes = (
        f"{chosen['item'].nunique()} recordings of {chosen['group'].nunique()} pieces; downbeats scored "
        f"on {known} recordings. 95 % bootstrap intervals over pieces; the last rows are paired differences."
    )
    differences = [(name, reference) for name in trackers if name != reference]
    columns = {score: score for score in (*SCORES, OCTAVE)}
    return mean_table(music_set, chosen, columns, notes, differences=differences, row_heading="tracker")


def tempo_lines(rows: pd.DataFrame, music_set: str, trackers: Sequence[str]) -> list[str]:
    """How many recordings have which tempo, and how long a second of sound takes, as markdown."""
    classes = [*LEVELS, *OTHER_LEVELS]
    cells = []
    for name in trackers:
        chosen = rows[(rows["data"] == music_set) & (rows["upstream"] == name)]
        by_recording = chosen.pivot(index="item", columns="measure", values="value")
        by_recording = by_recording.reindex(columns=[TEMPO, OCTAVE, SPEED])
        found = by_recording[TEMPO].map(tempo_class).value_counts()
        counts = [str(found.get(one, 0)) for one in classes]
        errors, seconds = f"{by_recording[OCTAVE].sum():.0f}", f"{by_recording[SPEED].mean():.4f}"
        cells.append([name, *counts, errors, seconds])
    return markdown_table(["tracker", *classes, "octave errors", SPEED], cells)


def score_tables(rows: pd.DataFrame, trackers: Sequence[str], reference: str) -> list[ResultTable]:
    """A table for each set, see :func:`score_table`.

    Args:
        rows: of :func:`compare`, in long form.
        trackers: their names.
        reference: the tracker that the others are compared with.
    """
    return [score_table(rows, name, trackers, reference) for name in rows["data"].unique()]


def report(rows: pd.DataFrame, tables: Sequence[ResultTable], made_of: Mapping[str, str]) -> str:
    """The tables of all sets, and what the trackers are, as markdown.

    Args:
        rows: of :func:`compare`, in long form.
        tables: of :func:`score_tables`.
        made_of: of the trackers, by name.
    """
    lines: list[str] = []
    for table in tables:
        lines += [f"## {table.title}", "", *table.lines(), ""]
        lines += ["Recordings by estimated tempo over annotated tempo:", ""]
        lines += [*tempo_lines(rows, table.title, list(made_of)), ""]
    lines += ["Trackers, with hashes of weights and code:", ""]
    lines += [f"- {name}: {what}" for name, what in made_of.items()]
    return "\n".join(lines) + "\n"
