"""Every measure of generated dances, and the true dances' own beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform

from motion_data.errors import DataError
from recipes.dance_metrics.dance import Dance
from recipes.dance_metrics.diversity import diversity
from recipes.dance_metrics.frechet_distance import frechet_distance, gaussian_distance
from recipes.dance_metrics.item_scores import ITEM_MEASURES, ItemScores, item_scores
from recipes.dance_metrics.normalisation import truth_scale
from recipes.dance_metrics.others_music import to_others_music
from recipes.statistics.estimate import Estimate, mean_estimate
from recipes.statistics.jackknife import jackknife_interval

FEATURES = ("kinetic", "geometric")

MEASURES = ("fid_kinetic", "fid_geometric", "div_kinetic", "div_geometric", *ITEM_MEASURES)
"""Keys of every measure, in the order of tables."""

HALVINGS = 20
"""How often the truth is cut in two, for its distance from itself."""


@dataclass(frozen=True)
class SetScores:
    """What a set of dances reaches."""

    items: tuple[ItemScores, ...]
    measures: dict[str, Estimate]
    """By :data:`MEASURES`; NaN where no dance has a score. Intervals are over dances, the true ones held
    fixed: the bootstrap's for means, the jackknife's for FID and diversity."""
    to_others_music: tuple[dict[str, float], ...]
    """Of each dance, as :func:`~recipes.dance_metrics.others_music.to_others_music` says."""


@dataclass(frozen=True)
class DanceScores:
    """Generated dances against true ones."""

    generated: SetScores
    truth: SetScores
    """The true dances' own. Its FID, without an interval, is the mean distance between halves of them: what
    so few dances from the same source are apart; NaN for fewer than four."""
    warnings: tuple[str, ...]
    """Sentences to stand beside the figures."""


def score_dances(
    generated: Sequence[Dance],
    truth: Sequence[Dance],
    seed: int = 0,
    progress: Callable[[Sequence[Dance]], Iterable[Dance]] = iter,
) -> DanceScores:
    """Score generated dances against true ones; they need not be pairs.

    Args:
        generated: at least two, of different names.
        truth: at least two, of different names.
        seed: of the halves of the truth.
        progress: wraps the dances as they are measured, such as ``tqdm``.

    Raises:
        DataError: too few dances, a name that is there twice, or true dances that are all alike.
    """
    for what, dances in (("generated", generated), ("true", truth)):
        names = [dance.name for dance in dances]
        if len(dances) < 2:
            raise DataError(f"{len(dances)} {what} dance(s); expected at least 2, as FID and diversity need")
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise DataError(f"two {what} dances are called {twice}; give each a name of its own")
    items = [item_scores(dance) for dance in progress([*generated, *truth])]
    made, true = tuple(items[: len(generated)]), tuple(items[len(generated) :])
    made_measures, true_measures = _item_measures(made), _item_measures(true)
    warnings: list[str] = []
    for kind in FEATURES:
        made_features, true_features = _features(made, kind), _features(true, kind)
        distance = frechet_distance(made_features, true_features)
        warnings += [f"FID {kind}: {warning}" for warning in distance.warnings]
        scale = truth_scale(true_features)
        own, other = scale.normalised(made_features), scale.normalised(true_features)
        made_measures[f"fid_{kind}"] = _distance(own, other)
        true_measures[f"fid_{kind}"] = Estimate(_halves_apart(other, seed))
        made_measures[f"div_{kind}"] = _diversity(own)
        true_measures[f"div_{kind}"] = _diversity(other)
    return DanceScores(
        _set_scores(generated, made, made_measures),
        _set_scores(truth, true, true_measures),
        tuple(warnings),
    )


def _set_scores(
    dances: Sequence[Dance], items: tuple[ItemScores, ...], measures: Mapping[str, Estimate]
) -> SetScores:
    others = to_others_music(dances, [item.moves for item in items])
    return SetScores(items, {key: measures[key] for key in MEASURES}, tuple(others))


def _features(items: Sequence[ItemScores], kind: str) -> NDArray[np.float64]:
    return np.stack([item.kinetic if kind == "kinetic" else item.geometric for item in items])


def _item_measures(items: Sequence[ItemScores]) -> dict[str, Estimate]:
    return {key: mean_estimate([item.scores[key] for item in items]) for key in ITEM_MEASURES}


def _distance(own: NDArray[np.float64], other: NDArray[np.float64]) -> Estimate:
    """FID of normalised features, which cannot be below 0."""
    value = gaussian_distance(own, other)
    ends = jackknife_interval(lambda chosen: gaussian_distance(own[chosen], other), len(own))
    return Estimate(value) if ends is None else Estimate(value, max(ends[0], 0.0), ends[1])


def _diversity(features: NDArray[np.float64]) -> Estimate:
    apart = squareform(pdist(features))

    def mean(chosen: NDArray[np.int64]) -> float:
        return float(apart[np.ix_(chosen, chosen)].sum() / (len(chosen) * (len(chosen) - 1)))

    ends = jackknife_interval(mean, len(features))
    value = diversity(features)
    return Estimate(value) if ends is None else Estimate(value, max(ends[0], 0.0), ends[1])


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
