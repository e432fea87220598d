"""The fit: searches, their scores on held-out folds, calibrations, and the report."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError
from motion_data.files import file_sha256
from motionbeat_upstream.atomic_write import write_text
from motionbeat_upstream.tracking.decoded_grid import BAR_CALIBRATION, BEAT_CALIBRATION, Calibration
from recipes.benchmark.fit_bar_pointer.activations import Activations, read_activations
from recipes.benchmark.fit_bar_pointer.calibration import (
    Outcome,
    calibration_errors,
    calibration_samples,
    fit_calibration,
    fit_pulse_threshold,
    noise_pulses,
    outcome,
)
from recipes.benchmark.fit_bar_pointer.search import (
    Values,
    bar_pointer_weights,
    current_values,
    folds,
    lead,
    objective,
    rounded,
    scores,
    search,
)
from recipes.results.tables import markdown_table

FOLDS = (0, 1)


@dataclass(frozen=True)
class Fitted:
    """Values fitted to each fold and to all recordings."""

    by_fold: tuple[Values, Values]
    on_all: Values
    proposals: tuple[int, int, int]


def fit(recordings: Sequence[Activations], fold: NDArray[np.int64], seed: int, seconds: float) -> Fitted:
    """Run three searches of a third of ``seconds`` each; the last starts from the better of the others."""
    searches = [
        search(list(compress(recordings, fold == number)), current_values(), seed + number, seconds / 3)
        for number in FOLDS
    ]
    sets = [recording.set for recording in recordings]
    better = int(np.argmax([objective(scores(recordings, values), sets) for values, _ in searches]))
    on_all, proposals = search(recordings, searches[better][0], seed + len(FOLDS), seconds / 3)
    return Fitted((searches[0][0], searches[1][0]), on_all, (searches[0][1], searches[1][1], proposals))


def variants(
    recordings: Sequence[Activations], fold: NDArray[np.int64], by_fold: tuple[Values, Values]
) -> dict[str, NDArray[np.float64]]:
    """(N, 2) held-out scores of the current weights, the fitted ones, and these without the tempo head.

    Each recording is scored with the values fitted to the other fold.
    """
    without = tuple(values | {"tempo": 0.0} for values in by_fold)
    values_by_variant = {"present": (current_values(),) * 2, "fitted": by_fold, "no tempo head": without}
    result = {name: np.empty((len(recordings), 2)) for name in values_by_variant}
    for name, values in values_by_variant.items():
        for number in FOLDS:
            members = list(compress(recordings, fold == number))
            result[name][fold == number] = scores(members, values[1 - number])
    return result


def table(
    variant_scores: Mapping[str, NDArray[np.float64]], sets: NDArray[np.str_], fold: NDArray[np.int64]
) -> str:
    """Table of objectives, differences from ``fitted`` with standard errors, and means of each set.

    Args:
        variant_scores: (N, 2) scores by variant, one of them ``fitted``.
        sets: (N,) names of sets.
        fold: (N,) 0 or 1.
    """
    names = sorted(set(sets))
    heading = ["", "objective", "fold 0", "fold 1", "lead over fitted", *(f"{name} F" for name in names)]
    rows = []
    for variant, values in variant_scores.items():
        fold_objectives = [objective(values[fold == number], sets[fold == number]) for number in FOLDS]
        difference, error = lead(values, variant_scores["fitted"], sets)
        means = [np.nanmean(values[sets == name], axis=0) for name in names]
        cells = [
            variant,
            f"{objective(values, sets):.4f}",
            *(f"{value:.4f}" for value in fold_objectives),
            f"{difference:+.4f} ± {error:.4f}",
            *(f"{beat:.3f} ({down:.3f})" for beat, down in means),
        ]
        rows.append(cells)
    return "\n".join(markdown_table(heading, rows)) + "\n"


def run(options: argparse.Namespace) -> int:
    """Fit, print and write the results."""
    from motionbeat_upstream.checkpoint import load_music_tower
    from recipes.benchmark.beats.sets import read_set

    sets = [read_set(text, options.limit) for text in options.sets]
    recordings = read_activations(sets, options.checkpoint, options.out / "activations", options.seconds)
    fold = folds(recordings, options.seed)
    set_names = np.array([recording.set for recording in recordings])
    for music_set in sets:
        if len(np.unique(fold[set_names == music_set.name])) < 2:
            raise DataError(
                f"--sets: {music_set.name} has fewer than two pieces with beats; each fold needs one"
            )
    fitted = fit(recordings, fold, options.seed, 60 * options.minutes)
    variant_scores = variants(recordings, fold, fitted.by_fold)
    outcomes = [
        outcome(recording, fitted.by_fold[1 - number])
        for recording, number in zip(recordings, fold.tolist(), strict=True)
    ]
    curves = {
        "BEAT_CALIBRATION": _curve(outcomes, 0, BEAT_CALIBRATION),
        "BAR_CALIBRATION": _curve(outcomes, 1, BAR_CALIBRATION),
    }
    noise = noise_pulses(load_music_tower(options.checkpoint)[0], fitted.on_all, options.seed)
    music = np.nan_to_num([result.mean_beat_probability for result in outcomes]).tolist()
    no_pulse = fit_pulse_threshold(music, [value for values in noise.values() for value in values])
    text = table(variant_scores, set_names, fold) + constants(fitted.on_all, curves, no_pulse)
    record = {
        "checkpoint": file_sha256(options.checkpoint),
        **{name: getattr(options, name) for name in ("sets", "limit", "seconds", "minutes", "seed")},
        "recordings": Counter(set_names.tolist()),
        "proposals": fitted.proposals,
        "values": fitted.on_all,
        "values by fold": fitted.by_fold,
        "held out": {
            name: {
                "objective": objective(values, set_names),
                "objective by fold": [
                    objective(values[fold == number], set_names[fold == number]) for number in FOLDS
                ],
                "beat F and downbeat F": {
                    music_set.name: np.nanmean(values[set_names == music_set.name], axis=0).tolist()
                    for music_set in sets
                },
            }
            for name, values in variant_scores.items()
        },
        "calibrations": curves,
        "MIN_BEAT_PROBABILITY": no_pulse,
        "mean probability of beats": {"music": sorted(music), **noise},
    }
    write_text(options.out / "fit.json", json.dumps(record, indent=1) + "\n")
    write_text(options.out / "fit.txt", text)
    print(text, end="")
    return 0


def _curve(outcomes: Sequence[Outcome], target: int, present: Calibration) -> dict[str, Any]:
    margin, right = calibration_samples(outcomes, target)
    fitted = fit_calibration(margin, right)
    before, after = calibration_errors(margin, right, present)
    return {
        "recordings": len(right),
        "right": int(right.sum()),
        "fitted": None if fitted is None else asdict(fitted),
        "calibration error of the present one": before,
        "calibration error of fitted ones, left out in turn": after,
    }


def constants(values: Values, curves: Mapping[str, Mapping[str, Any]], no_pulse: float) -> str:
    """The constants as source code."""
    weights = bar_pointer_weights(values)
    lines = [f"    {field.name} = {_literal(getattr(weights, field.name))}" for field in fields(weights)]
    for name, curve in curves.items():
        fitted = curve["fitted"]
        if fitted is None:
            lines.append(f"{name}: nothing to fit to, {curve['right']} of {curve['recordings']} are right")
        else:
            lines.append(
                f"{name} = Calibration(scale={fitted['scale']:.2g}, midpoint={fitted['midpoint']:.2g})"
            )
    return "\n".join(["", "BarPointerWeights:", *lines, f"MIN_BEAT_PROBABILITY = {no_pulse:.2g}", ""])


def _literal(value: float | tuple[float, ...]) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(_literal(number) for number in value)})"
    return repr(rounded(value))
