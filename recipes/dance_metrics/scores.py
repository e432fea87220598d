"""Every measure of generated dances and the true dances' own beside them, as results and as a table."""

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
from recipes.dance_metrics.music_alignment import Movement, movement, music_scores, to_others_music
from recipes.results.estimates import Estimate, jackknife_estimate
from recipes.results.record import Results, Row, Run, item_rows, item_table
from recipes.results.tables import markdown_table, run_estimates

if TYPE_CHECKING:
    import pandas as pd

FEATURES = {
    kind: tuple(f"{kind} {number}" for number in range(count))
    for kind, count in (("kinetic", 72), ("geometric", 32))
}
"""Names of the features of single dances, which are not normalised."""

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
"""Every measure, in the order of tables."""

SET_MEASURES = tuple(HEADINGS)[:4]
"""Measures of all dances together."""

ITEM_MEASURES = tuple(HEADINGS)[4:]
"""Measures of single dances."""

TRUTH = "the true dances"
"""Name of their reference run."""

OTHERS_MUSIC = ", others' music"
"""Follows the name of a measure in what the same dance reaches on the music of other dances."""

ABOVE_OTHERS = " above others' music"
"""Follows it in what is left of it without that, which is chance."""

HALVINGS = 20
"""How often the truth is cut in two, for its distance from itself."""


@dataclass(frozen=True)
class DanceScores:
    """Generated dances against true ones, by the measures of :data:`HEADINGS`.

    NaN where no dance has a score. Intervals are over dances, the true ones held fixed: the bootstrap's for
    means, the jackknife's for FID and diversity.
    """

    generated: dict[str, Estimate]
    truth: dict[str, Estimate]
    """The true dances' own. Its FID, without an interval, is the mean distance between halves of them: what
    so few dances from the same source are apart; NaN for fewer than four."""
    warnings: tuple[str, ...]
    """Sentences to stand beside the figures."""


def dance_results(
    run: Run,
    generated: Sequence[Dance],
    truth: Sequence[Dance],
    progress: Callable[[Sequence[Dance]], Iterable[Dance]] = iter,
) -> list[Results]:
    """Measure each of the generated and the true dances; they need not be pairs.

    Args:
        run: of the generated dances.
        generated: at minimum two, of different names.
        truth: at minimum two, of different names.
        progress: wraps the dances as they are measured, such as ``tqdm``.

    Returns:
        The run, and another of the true dances, called :data:`TRUTH`.

    Raises:
        DataError: too few dances, or a name that is there twice.
    """
    for kind, dances in (("generated", generated), ("true", truth)):
        names = [dance.name for dance in dances]
        if len(dances) < 2:
            raise DataError(
                f"{len(dances)} {kind} dance(s); expected at minimum 2, as FID and diversity need"
            )
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise DataError(f"two {kind} dances are called {twice}; give each a name of its own")
    of_truth = replace(run, upstream=TRUTH, checkpoint="", details={})
    return [Results(run, _rows(generated, progress)), Results(of_truth, _rows(truth, progress))]


def dance_scores(results: Sequence[Results]) -> DanceScores:
    """The measures of what :func:`dance_results` gave.

    Raises:
        DataError: true dances that are all alike.
    """
    made, true = results
    undefined = Estimate(math.nan)
    scores = [dict.fromkeys(HEADINGS, undefined) | run_estimates(one, ITEM_MEASURES) for one in results]
    warnings: list[str] = []
    for kind, names in FEATURES.items():
        made_features, true_features = (item_table(one)[list(names)].to_numpy() for one in (made, true))
        scale = truth_scale(true_features)
        own, other = scale.normalised(made_features), scale.normalised(true_features)
        warnings += [f"FID {kind}: {warning}" for warning in scale.warnings(len(own), len(other))]
        scores[0][f"fid_{kind}"] = _distance(own, other)
        scores[1][f"fid_{kind}"] = Estimate(_halves_apart(other, made.run.seed))
        scores[0][f"div_{kind}"] = diversity(own)
        scores[1][f"div_{kind}"] = diversity(other)
    return DanceScores(scores[0], scores[1], tuple(warnings))


def item_scores(dance: Dance, moves: Movement) -> dict[str, float]:
    """Measure one dance: :data:`ITEM_MEASURES`, NaN where one is not defined, and :data:`FEATURES`."""
    skating_ratio, skating_speed = foot_skating(dance.joints, dance.fps)
    found = {
        "pfc": physical_foot_contact(dance.joints, dance.fps),
        "skating_ratio": skating_ratio,
        "skating_speed": skating_speed,
        **music_scores(dance, moves),
    }
    scores = {measure: found[measure] for measure in ITEM_MEASURES}
    scores |= zip(FEATURES["kinetic"], kinetic_features(dance.joints, dance.fps), strict=True)
    scores |= zip(FEATURES["geometric"], geometric_features(dance.joints, dance.fps), strict=True)
    return scores


def _rows(dances: Sequence[Dance], progress: Callable[[Sequence[Dance]], Iterable[Dance]]) -> list[Row]:
    moves = [movement(dance) for dance in dances]
    others = to_others_music(dances, moves)
    rows: list[Row] = []
    for dance, own, on_others in zip(progress(dances), moves, others, strict=True):
        scores = item_scores(dance, own)
        for name, value in on_others.items():
            scores[f"{name}{OTHERS_MUSIC}"] = value
            scores[f"{name}{ABOVE_OTHERS}"] = scores[name] - value
        rows += item_rows(dance.name, dance.name, scores)
    return rows


def _distance(own: NDArray[np.float64], other: NDArray[np.float64]) -> Estimate:
    """FID of normalised features, which cannot be below 0."""
    return jackknife_estimate(lambda chosen: gaussian_distance(own[chosen], other), len(own), minimum=0.0)


def _halves_apart(truth: NDArray[np.float64], seed: int) -> float:
    """Mean FID between two halves of normalised features; NaN for fewer than four dances."""
    if len(truth) < 4:
        return float("nan")
    draw = np.random.default_rng(seed)
    half = len(truth) // 2
    orders = [draw.permutation(len(truth)) for _ in range(HALVINGS)]
    return float(
        np.mean([gaussian_distance(truth[order[:half]], truth[order[half : 2 * half]]) for order in orders])
    )


def markdown(results: Sequence[Results]) -> str:
    """A row a measure, generated beside true; measures that neither has are left out.

    Args:
        results: of :func:`~recipes.dance_metrics.scores.dance_results`, with the source of the music's beats
            in the run's details.
    """
    scores = dance_scores(results)
    made, true = (item_table(one) for one in results)

    def on_others_music(values: pd.DataFrame, measure: str) -> Estimate:
        name = f"{measure}{OTHERS_MUSIC}"
        return Estimate(float(values[name].mean()) if name in values else math.nan)

    rows = [
        [
            heading,
            scores.generated[measure].text(),
            on_others_music(made, measure).text(),
            scores.truth[measure].text(),
            on_others_music(true, measure).text(),
        ]
        for measure, heading in HEADINGS.items()
        if not math.isnan(scores.generated[measure].value) or not math.isnan(scores.truth[measure].value)
    ]
    heading = ["", f"generated ({len(made)})", "to others' music", f"truth ({len(true)})", "to others' music"]
    lines = [
        *markdown_table(heading, rows),
        "",
        f"Beats of the music: {results[0].run.details['beats']}. In brackets: 95 % intervals over dances, "
        "the truth held fixed. FID of the truth: between halves of it, which are fewer dances. To others' "
        "music: the same dances by the beats of other pieces, as they would score who do not listen.",
        *(f"- {warning}." for warning in scores.warnings),
    ]
    return "\n".join(lines) + "\n"
