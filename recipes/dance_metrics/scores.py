"""All measures of generated and true dances, as results and as a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError
from recipes.dance_metrics.dance import Dance
from recipes.dance_metrics.dance_features import geometric_features, kinetic_features
from recipes.dance_metrics.feature_distances import diversity, gaussian_distance, truth_scale
from recipes.dance_metrics.feet import foot_skating, physical_foot_contact
from recipes.dance_metrics.music_alignment import Movement, movement, music_scores, scores_on_others_music
from recipes.results.estimates import Estimate, jackknife_estimate
from recipes.results.record import Results, Row, Run, item_rows, item_table
from recipes.results.tables import markdown_table, run_estimates

if TYPE_CHECKING:
    import pandas as pd

FEATURES = {
    kind: tuple(f"{kind} {number}" for number in range(count))
    for kind, count in (("kinetic", 72), ("geometric", 32))
}
"""Measures of the features of single dances, which are not standardised."""

HEADINGS: Mapping[str, str] = {
    "fid_kinetic": "FIDk ↓",
    "fid_geometric": "FIDg ↓",
    "div_kinetic": "Divk",
    "div_geometric": "Divg",
    "beat_align_fact": "BeatAlign, FACT ↑",
    "beat_align_bailando": "BeatAlign, Bailando ↑",
    "pfc": "PFC ↓",
    "skating_ratio": "skating ratio ↓",
    "skating_speed": "skating m/s ↓",
    "contacts_on_beats": "contacts on beats, F ↑",
    "contacts_on_steps": "contacts on true steps, F ↑",
}
"""Headings of all measures, in the order of tables."""

SET_MEASURES = tuple(HEADINGS)[:4]
"""Measures of sets of dances."""

ITEM_MEASURES = tuple(HEADINGS)[4:]
"""Measures of single dances."""

TRUTH = "the true dances"
"""Name of their reference run."""

OTHERS_MUSIC = ", others' music"
"""Suffix of measures of a dance on the music of other dances."""

ABOVE_OTHERS = " above others' music"
"""Suffix of measures minus those on the music of other dances."""

HALVINGS = 20
"""Number of random halvings of the true dances, for the distance between halves."""


@dataclass(frozen=True)
class DanceScores:
    """The measures of :data:`HEADINGS` of generated and true dances.

    NaN if no dance has a value. Intervals are over dances, with fixed true dances: bootstrap intervals of
    means, jackknife intervals of FID and diversity.
    """

    generated: dict[str, Estimate]
    truth: dict[str, Estimate]
    """FID is the mean distance between halves of the true dances, without an interval; NaN for fewer than
    four."""
    warnings: tuple[str, ...]
    """Warnings about the scores."""


def dance_results(
    run: Run,
    generated: Sequence[Dance],
    truth: Sequence[Dance],
    progress: Callable[[Sequence[Dance]], Iterable[Dance]] = iter,
) -> list[Results]:
    """Measure each of the generated and the true dances; they need not be pairs.

    Args:
        run: of the generated dances.
        generated: at least two, of different names.
        truth: at least two, of different names.
        progress: wraps the dances as they are measured, such as ``tqdm``.

    Returns:
        The run, and another of the true dances, called :data:`TRUTH`.

    Raises:
        DataError: too few dances, or a name that is there twice.
    """
    for kind, dances in (("generated", generated), ("true", truth)):
        names = [dance.name for dance in dances]
        if len(dances) < 2:
            raise DataError(f"{len(dances)} {kind} dance(s); expected at least 2, as FID and diversity need")
        if len(set(names)) < len(names):
            duplicate = next(name for name in names if names.count(name) > 1)
            raise DataError(f"two {kind} dances are named {duplicate}; give each another name")
    truth_run = replace(run, upstream=TRUTH, checkpoint="", details={})
    return [Results(run, _rows(generated, progress)), Results(truth_run, _rows(truth, progress))]


def dance_scores(results: Sequence[Results]) -> DanceScores:
    """The measures of the results of :func:`dance_results`.

    Raises:
        DataError: identical true dances.
    """
    generated, truth = results
    undefined = Estimate(math.nan)
    scores = [dict.fromkeys(HEADINGS, undefined) | run_estimates(each, ITEM_MEASURES) for each in results]
    warnings: list[str] = []
    for kind, names in FEATURES.items():
        features = [item_table(each)[list(names)].to_numpy() for each in (generated, truth)]
        scale = truth_scale(features[1])
        x, y = (scale.normalised(each) for each in features)
        warnings += [f"FID {kind}: {warning}" for warning in scale.warnings(len(x), len(y))]
        scores[0][f"fid_{kind}"] = _distance(x, y)
        scores[1][f"fid_{kind}"] = Estimate(_distance_of_halves(y, generated.run.seed))
        scores[0][f"div_{kind}"] = diversity(x)
        scores[1][f"div_{kind}"] = diversity(y)
    return DanceScores(scores[0], scores[1], tuple(warnings))


def item_scores(dance: Dance, moves: Movement) -> dict[str, float]:
    """The :data:`ITEM_MEASURES` of a dance, NaN if undefined, and its :data:`FEATURES`."""
    skating_ratio, skating_speed = foot_skating(dance.joints, dance.fps)
    values = {
        "pfc": physical_foot_contact(dance.joints, dance.fps),
        "skating_ratio": skating_ratio,
        "skating_speed": skating_speed,
        **music_scores(dance, moves),
    }
    scores = {measure: values[measure] for measure in ITEM_MEASURES}
    scores |= zip(FEATURES["kinetic"], kinetic_features(dance.joints, dance.fps), strict=True)
    scores |= zip(FEATURES["geometric"], geometric_features(dance.joints, dance.fps), strict=True)
    return scores


def _rows(dances: Sequence[Dance], progress: Callable[[Sequence[Dance]], Iterable[Dance]]) -> list[Row]:
    moves = [movement(dance) for dance in dances]
    others = scores_on_others_music(dances, moves)
    rows: list[Row] = []
    for dance, own, on_others in zip(progress(dances), moves, others, strict=True):
        scores = item_scores(dance, own)
        for name, value in on_others.items():
            scores[f"{name}{OTHERS_MUSIC}"] = value
            scores[f"{name}{ABOVE_OTHERS}"] = scores[name] - value
        rows += item_rows(dance.name, dance.name, scores)
    return rows


def _distance(generated: NDArray[np.float64], truth: NDArray[np.float64]) -> Estimate:
    """FID of standardised features with its interval."""
    return jackknife_estimate(
        lambda items: gaussian_distance(generated[items], truth), len(generated), minimum=0.0
    )


def _distance_of_halves(truth: NDArray[np.float64], seed: int) -> float:
    """Mean FID between random halves of standardised features; NaN for fewer than four dances."""
    if len(truth) < 4:
        return float("nan")
    rng = np.random.default_rng(seed)
    half = len(truth) // 2
    orders = [rng.permutation(len(truth)) for _ in range(HALVINGS)]
    return float(
        np.mean([gaussian_distance(truth[order[:half]], truth[order[half : 2 * half]]) for order in orders])
    )


def markdown(results: Sequence[Results]) -> str:
    """A table with a row per measure, for generated and true dances; undefined measures are left out.

    Args:
        results: results of :func:`dance_results`, with the source of the beats in the details of the run.
    """
    scores = dance_scores(results)
    generated, truth = (item_table(each) for each in results)

    def on_others_music(values: pd.DataFrame, measure: str) -> Estimate:
        name = f"{measure}{OTHERS_MUSIC}"
        return Estimate(float(values[name].mean()) if name in values else math.nan)

    rows = [
        [
            heading,
            scores.generated[measure].text(),
            on_others_music(generated, measure).text(),
            scores.truth[measure].text(),
            on_others_music(truth, measure).text(),
        ]
        for measure, heading in HEADINGS.items()
        if not math.isnan(scores.generated[measure].value) or not math.isnan(scores.truth[measure].value)
    ]
    heading = [
        "",
        f"generated ({len(generated)})",
        "to others' music",
        f"truth ({len(truth)})",
        "to others' music",
    ]
    lines = [
        *markdown_table(heading, rows),
        "",
        f"Beats of the music: {results[0].run.details['beats']}. In brackets: 95 % intervals over dances, "
        "with fixed true dances. FID of the truth: between halves of it. To others' music: the same dances "
        "with the beats of other pieces, as an estimate of chance.",
        *(f"- {warning}." for warning in scores.warnings),
    ]
    return "\n".join(lines) + "\n"
