"""The fit: searches, what they are worth on held-out folds, calibrations, and the report."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
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
    fit_calibration,
    least_pulse,
    noise_pulses,
    outcome,
    samples,
)
from recipes.benchmark.fit_bar_pointer.search import (
    Values,
    folds,
    lead,
    objective,
    present_values,
    rounded,
    scores,
    search,
    weights_of,
)
from recipes.results.tables import markdown_table

FOLDS = (0, 1)


@dataclass(frozen=True)
class Fitted:
    """Values fitted to either fold and to all recordings."""

    by_fold: tuple[Values, Values]
    to_all: Values
    proposals: tuple[int, int, int]


def fit(recordings: Sequence[Activations], fold: NDArray[np.int64], seed: int, seconds: float) -> Fitted:
    """Three searches of a third of ``seconds`` each; the last begins at the better of the two others."""
    found = [
        search(_of_fold(recordings, fold == number), present_values(), seed + number, seconds / 3)
        for number in FOLDS
    ]
    sets = [one.set for one in recordings]
    better = int(np.argmax([objective(scores(recordings, values), sets) for values, _ in found]))
    to_all, tried = search(recordings, found[better][0], seed + len(FOLDS), seconds / 3)
    return Fitted((found[0][0], found[1][0]), to_all, (found[0][1], found[1][1], tried))


def held_out(
    recordings: Sequence[Activations], fold: NDArray[np.int64], by_fold: Sequence[Values]
) -> NDArray[np.float64]:
    """(N, 2) scores of each recording with the values fitted to the other fold."""
    found = np.empty((len(recordings), 2))
    for number in FOLDS:
        found[fold == number] = scores(_of_fold(recordings, fold == number), by_fold[1 - number])
    return found


def variants(
    recordings: Sequence[Activations], fold: NDArray[np.int64], by_fold: tuple[Values, Values]
) -> dict[str, NDArray[np.float64]]:
    """(N, 2) held-out scores of the present weights, the fitted ones, and these without the tempo head."""
    without = tuple(values | {"tempo": 0.0} for values in by_fold)
    tried = {"present": (present_values(),) * 2, "fitted": by_fold, "no tempo head": without}
    return {name: held_out(recordings, fold, values) for name, values in tried.items()}


def table(found: Mapping[str, NDArray[np.float64]], sets: Sequence[str], fold: NDArray[np.int64]) -> str:
    """Objective, its lead over that of ``fitted`` with a standard error, and the means of each set.

    Args:
        found: (N, 2) scores by variant, one of them ``fitted``.
        sets: N names.
        fold: (N,) 0 or 1.
    """
    names = sorted(set(sets))
    heading = ["", "objective", "fold 0", "fold 1", "lead over fitted", *(f"{name} F" for name in names)]
    rows = []
    member = np.asarray(sets)
    for variant, values in found.items():
        each = [objective(values[fold == number], member[fold == number].tolist()) for number in FOLDS]
        ahead, error = lead(values, found["fitted"], sets)
        means = [np.nanmean(values[member == name], axis=0) for name in names]
        cells = [
            variant,
            f"{objective(values, sets):.4f}",
            *(f"{value:.4f}" for value in each),
            f"{ahead:+.4f} ± {error:.4f}",
            *(f"{beat:.3f} ({down:.3f})" for beat, down in means),
        ]
        rows.append(cells)
    return "\n".join(markdown_table(heading, rows)) + "\n"


def run(options: argparse.Namespace) -> int:
    """Fit, print and write what the command line asks for; raises what its files raise."""
    from motionbeat_upstream.checkpoint import load_music_tower
    from recipes.benchmark.beats.sets import read_set

    sets = [read_set(text, options.limit) for text in options.sets]
    recordings = read_activations(sets, options.checkpoint, options.out / "activations", options.seconds)
    fold = folds(recordings, options.seed)
    for one in sets:
        if len({number for found, number in zip(recordings, fold, strict=True) if found.set == one.name}) < 2:
            raise DataError(f"--sets: {one.name} has no two pieces with beats; each fold needs one")
    fitted = fit(recordings, fold, options.seed, 60 * options.minutes)
    of_set = [one.set for one in recordings]
    found = variants(recordings, fold, fitted.by_fold)
    outcomes = [
        outcome(one, fitted.by_fold[1 - number])
        for one, number in zip(recordings, fold.tolist(), strict=True)
    ]
    curves = {
        "BEAT_CALIBRATION": _curve(outcomes, 0, BEAT_CALIBRATION),
        "BAR_CALIBRATION": _curve(outcomes, 1, BAR_CALIBRATION),
    }
    noise = noise_pulses(load_music_tower(options.checkpoint)[0], fitted.to_all, options.seed)
    music = [0.0 if np.isnan(one.pulse) else one.pulse for one in outcomes]
    no_pulse = least_pulse(music, [value for values in noise.values() for value in values])
    text = table(found, of_set, fold) + constants(fitted.to_all, curves, no_pulse)
    record = {
        "checkpoint": file_sha256(options.checkpoint),
        **{name: getattr(options, name) for name in ("sets", "limit", "seconds", "minutes", "seed")},
        "recordings": Counter(of_set),
        "proposals": fitted.proposals,
        "values": fitted.to_all,
        "values by fold": fitted.by_fold,
        "held out": {
            name: {
                "objective": objective(values, of_set),
                "objective by fold": [
                    objective(values[fold == number], np.asarray(of_set)[fold == number].tolist())
                    for number in FOLDS
                ],
                "beat F and downbeat F": {
                    one.name: np.nanmean(values[np.asarray(of_set) == one.name], axis=0).tolist()
                    for one in sets
                },
            }
            for name, values in found.items()
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
    margin, right = samples(outcomes, target)
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
    """The constants as they stand in the source."""
    weights = weights_of(values)
    lines = [f"    {field.name} = {_literal(getattr(weights, field.name))}" for field in fields(weights)]
    for name, found in curves.items():
        fitted = found["fitted"]
        if fitted is None:
            lines.append(f"{name}: nothing to fit to, {found['right']} of {found['recordings']} are right")
        else:
            lines.append(
                f"{name} = Calibration(scale={fitted['scale']:.2g}, midpoint={fitted['midpoint']:.2g})"
            )
    return "\n".join(["", "BarPointerWeights:", *lines, f"MIN_BEAT_PROBABILITY = {no_pulse:.2g}", ""])


def _literal(value: float | tuple[float, ...]) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(_literal(one) for one in value)})"
    return repr(rounded(value))


def _of_fold(recordings: Sequence[Activations], chosen: NDArray[np.bool_]) -> list[Activations]:
    return [one for one, kept in zip(recordings, chosen, strict=True) if kept]
