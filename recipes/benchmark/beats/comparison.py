"""Scores of every tracker on every recording, and the tables of their means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from motion_data.errors import DataError
from recipes.benchmark.beats.kept_estimates import (
    TimedEstimate,
    estimate_path,
    read_estimate,
    timed_estimate,
    write_estimate,
)
from recipes.benchmark.beats.sets import AnnotatedSound, MusicSet
from recipes.benchmark.beats.trackers import Samples, Tracker
from recipes.benchmark.result_table import ResultTable
from recipes.downstream.beat_tracking.scores import MEASURES, TARGETS, score_piece
from recipes.statistics.estimate import mean_estimate

SCORES = tuple(f"{target} {measure}" for target in TARGETS for measure in MEASURES)
"""Measures with means and intervals in the table."""

TEMPO, OCTAVE, SPEED = "tempo ratio", "octave error", "seconds per second"
CONFIDENCE = {"beat": "confidence", "downbeat": "downbeat confidence"}
COLUMNS = ["set", "piece", "recording", "tracker", "measure", "value"]

LEVELS = {"same": 1.0, "double": 2.0, "half": 1 / 2, "triple": 3.0, "third": 1 / 3}
"""Estimated tempo over the annotated one, by class; all but the first are octave errors."""

OTHER_LEVELS = ("other", "none")
"""Classes of another ratio, and of fewer than two beats."""

SAME_TEMPO = 0.04
"""Tempi this share apart are the same, as MIREX takes it for tempo estimation."""

WARM_UP = 10.0
"""Seconds of the first recording that a tracker gets before its time is taken."""


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
    scores = score_piece(sound.name, tracker.name, sound.annotated, beats)
    found = {f"beat {measure}": value for measure, value in scores.beat.items()}
    if tracker.has_downbeats and scores.downbeat is not None:
        found |= {f"downbeat {measure}": value for measure, value in scores.downbeat.items()}
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
) -> pd.DataFrame:
    """Every tracker on every recording.

    Args:
        sets: with different names.
        trackers: with different names.
        folder: of kept estimates.
        repeats: calls of which the fastest counts.
        overwrite: estimate anew what is kept.

    Returns:
        The columns ``COLUMNS``, a row a measure.

    Raises:
        DataError, AudioError: what is wrong with a recording, or with madmom's environment.
    """
    rows: list[tuple[str, str, str, str, str, float]] = []
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
                    for measure, value in measures(sound, tracker, timed).items():
                        rows.append((one.name, sound.piece, sound.name, tracker.name, measure, value))
                    bar.update()
    return pd.DataFrame(rows, columns=COLUMNS)


def piece_means(rows: pd.DataFrame, music_set: str, measure: str, trackers: Sequence[str]) -> pd.DataFrame:
    """Means over a piece's recordings: a row a piece, a column a tracker, NaN where nothing is known."""
    chosen = rows[(rows["set"] == music_set) & (rows["measure"] == measure)]
    means = chosen.pivot_table("value", "piece", "tracker", "mean")
    return means.reindex(columns=list(trackers))


def score_table(rows: pd.DataFrame, music_set: str, trackers: Sequence[str], reference: str) -> ResultTable:
    """Means of ``SCORES`` with intervals, and the paired differences of the others and the reference."""
    values = {measure: piece_means(rows, music_set, measure, trackers) for measure in SCORES}
    means = {
        name: [mean_estimate(values[measure][name].to_numpy()) for measure in SCORES] for name in trackers
    }
    differences = {
        f"{name} − {reference}": [
            mean_estimate((values[measure][name] - values[measure][reference]).to_numpy())
            for measure in SCORES
        ]
        for name in trackers
        if name != reference
    }
    chosen = rows[rows["set"] == music_set]
    known = chosen.loc[chosen["measure"] == "downbeat F", "recording"].nunique()
    notes = (
        f"{chosen['recording'].nunique()} recordings of {chosen['piece'].nunique()} pieces; downbeats scored "
        f"on {known} recordings. 95 % bootstrap intervals over pieces; the last rows are paired differences."
    )
    return ResultTable(music_set, SCORES, means, differences, notes=notes, row_heading="tracker")


def tempo_lines(rows: pd.DataFrame, music_set: str, trackers: Sequence[str]) -> list[str]:
    """How many recordings have which tempo, and how long a second of sound takes, as markdown."""
    classes = [*LEVELS, *OTHER_LEVELS]
    lines = [
        f"| tracker | {' | '.join(classes)} | octave errors | {SPEED} |",
        "|---" * (len(classes) + 3) + "|",
    ]
    for name in trackers:
        chosen = rows[(rows["set"] == music_set) & (rows["tracker"] == name)]
        by_recording = chosen.pivot(index="recording", columns="measure", values="value")
        by_recording = by_recording.reindex(columns=[TEMPO, OCTAVE, SPEED])
        found = by_recording[TEMPO].map(tempo_class).value_counts()
        cells = [str(found.get(one, 0)) for one in classes]
        cells += [f"{by_recording[OCTAVE].sum():.0f}", f"{by_recording[SPEED].mean():.4f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def report(rows: pd.DataFrame, made_of: Mapping[str, str], reference: str) -> str:
    """The tables of all sets, and what the trackers are, as markdown.

    Args:
        rows: of :func:`compare`.
        made_of: of the trackers, by name.
        reference: the tracker that the others are compared with.
    """
    lines: list[str] = []
    for music_set in rows["set"].unique():
        lines += [f"## {music_set}", "", *score_table(rows, music_set, list(made_of), reference).lines(), ""]
        lines += ["Recordings by estimated tempo over annotated tempo:", ""]
        lines += [*tempo_lines(rows, music_set, list(made_of)), ""]
    lines += ["Trackers, with hashes of weights and code:", ""]
    lines += [f"- {name}: {what}" for name, what in made_of.items()]
    return "\n".join(lines) + "\n"
