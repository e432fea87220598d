"""Decoding with given values of the constants, the objective, and the search for its maximum."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from motion_data.beats_file import Beats
from motionbeat_upstream.config import FRAME_RATE
from motionbeat_upstream.tracking.bar_pointer import DEFAULT_WEIGHTS, BarPath, BarPointerWeights, decode_bars
from motionbeat_upstream.tracking.decoded_grid import beat_times
from motionbeat_upstream.tracking.grid import METRES
from recipes.benchmark.fit_bar_pointer.activations import Activations
from recipes.downstream.beat_tracking.scores import F_WINDOW, f_measure

Values = dict[str, float]
"""Of ``RANGES``."""

RANGES = {
    "beat": (0.2, 3.0, True),
    "beat_bias": (-3.0, 4.0, False),
    "beat_limit": (1.5, 12.0, True),
    "downbeat": (0.1, 4.0, True),
    "downbeat_doubt": (0.005, 0.5, True),
    "tempo_change": (0.5, 12.0, True),
    "tempo_jump": (3.0, 60.0, True),
    "jitter": (0.005, 0.1, True),
    "tempo_centre": (80.0, 180.0, True),
    "tempo_spread": (0.2, 2.0, True),
    "metre_change": (2.0, 40.0, True),
    "metre_2": (0.005, 1.0, True),
    "metre_3": (0.02, 2.0, True),
    "metres_5_to_7": (0.02, 10.0, True),
    "tempo": (0.0, 4.0, False),
}
"""Lowest and highest value, and whether steps are even in the logarithm. ``metre_2`` and ``metre_3`` are
``metre_prior`` of these metres, that of 4 being 1; ``metres_5_to_7`` is a factor of the three others."""

DOWNBEAT_SHARE = 0.5
"""Factor of downbeat F in the objective."""

SMALLEST_STEP, GREATEST_STEP = 0.03, 0.5
"""Standard deviation of a step of the search, in lengths of the range; drawn evenly in the logarithm."""

HELD = 0.02
"""Fall of the objective for a value that is a whole range away from the present one, and by the square of the
distance for others. Where the data tell little, values stay."""

QUARTERS = 4
"""Parts of the recordings after each of which a proposal that is behind is given up."""


def present_values() -> Values:
    """Those of ``DEFAULT_WEIGHTS``."""
    metre = dict(zip(METRES, DEFAULT_WEIGHTS.metre_prior, strict=True))
    of_metre = {"metre_2": metre[2] / metre[4], "metre_3": metre[3] / metre[4], "metres_5_to_7": 1.0}
    return {name: of_metre[name] if name in of_metre else getattr(DEFAULT_WEIGHTS, name) for name in RANGES}


def weights_of(values: Values) -> BarPointerWeights:
    """The weights with some values."""
    known = {field.name for field in fields(BarPointerWeights)}
    metre = dict(zip(METRES, DEFAULT_WEIGHTS.metre_prior, strict=True))
    metre = {one: share / metre[4] * values["metres_5_to_7"] for one, share in metre.items()}
    metre |= {2: values["metre_2"], 3: values["metre_3"], 4: 1.0}
    chosen = {name: value for name, value in values.items() if name in known}
    return replace(DEFAULT_WEIGHTS, **chosen, metre_prior=tuple(metre.values()))


def decode(one: Activations, values: Values, margins: bool = False) -> BarPath:
    """The path through a recording."""
    (path,) = decode_bars(one.evidence, FRAME_RATE, weights=weights_of(values), margins=margins)
    return path


def beats_of(one: Activations, path: BarPath) -> Beats:
    """The beats of a path that lie in what is annotated, or within 70 ms of it."""
    times = beat_times(path, one.evidence.beat[0], FRAME_RATE)
    start, stop = one.spans.T
    inside = ((times[:, None] >= start - F_WINDOW) & (times[:, None] <= stop + F_WINDOW)).any(1)
    return Beats(times[inside], path.positions[inside])


def scores(recordings: Sequence[Activations], values: Values) -> NDArray[np.float64]:
    """(N, 2) beat F and downbeat F of each recording; downbeat F is NaN where downbeats are not known."""
    return np.array([score(one, beats_of(one, decode(one, values))) for one in recordings]).reshape(-1, 2)


def score(one: Activations, beats: Beats) -> tuple[float, float]:
    """Beat F and downbeat F, which is NaN where downbeats are not known."""
    known = one.annotated.downbeats_known
    return (
        f_measure(one.annotated.times, beats.times),
        f_measure(one.annotated.downbeats, beats.downbeats) if known else float("nan"),
    )


def objective(found: NDArray[np.float64], sets: Sequence[str]) -> float:
    """Mean over sets of beat F + 0.5 · downbeat F.

    Args:
        found: (N, 2) as :func:`scores` gives it.
        sets: N names.
    """
    return float(shares(found, sets).sum())


def shares(found: NDArray[np.float64], sets: Sequence[str]) -> NDArray[np.float64]:
    """(N,) what each recording adds to the objective."""
    names, member = np.unique(np.asarray(sets), return_inverse=True)
    known = ~np.isnan(found)
    each = np.zeros(len(found))
    for column, factor in enumerate((1.0, DOWNBEAT_SHARE)):
        count = np.bincount(member, known[:, column], len(names))[member]
        each += factor * np.nan_to_num(found[:, column]) / np.maximum(count, 1) / len(names)
    return each


def lead(
    found: NDArray[np.float64], reference: NDArray[np.float64], sets: Sequence[str]
) -> tuple[float, float]:
    """Difference of the objectives of two (N, 2) scores, and its standard error over recordings."""
    each, member = shares(found, sets) - shares(reference, sets), np.asarray(sets)
    # A set's shares add up, so their number times their variance is the variance of the sum.
    variance = sum((member == name).sum() * each[member == name].var() for name in set(sets))
    return float(each.sum()), float(np.sqrt(variance))


def search(
    recordings: Sequence[Activations],
    start: Values,
    seed: int,
    seconds: float,
    proposals: int | None = None,
) -> tuple[Values, int]:
    """The values of the greatest objective that a random search finds, and the number of its proposals.

    Each proposal moves a few of the best values so far. It is tried on a quarter of each set after the other,
    and given up as soon as it is behind them by more than a standard error.

    Args:
        recordings: to fit to.
        start: values to begin with.
        seed: of the proposals, and of the order of the recordings.
        seconds: of processor time, after which no proposal is made.
        proposals: most of them; None for any number.
    """
    draw = np.random.default_rng(seed)
    order = _mixed([one.set for one in recordings], draw)
    recordings = [recordings[number] for number in order]
    sets = [one.set for one in recordings]
    ends = [len(recordings) * quarter // QUARTERS for quarter in range(1, QUARTERS + 1)]
    present = present_values()
    best, of_best = start, scores(recordings, start)
    stop, tried = time.process_time() + seconds, 0
    while time.process_time() < stop and (proposals is None or tried < proposals):
        tried += 1
        proposal = _moved(best, draw)
        found = of_best[:0]
        for end in ends:
            found = np.concatenate([found, scores(recordings[len(found) : end], proposal)])
            ahead, error = lead(found, of_best[:end], sets[:end])
            ahead += HELD * (distance(best, present) - distance(proposal, present))
            if ahead < -error:
                break
        if len(found) == len(recordings) and ahead > 0:
            best, of_best = proposal, found
    return best, tried


def distance(values: Values, others: Values) -> float:
    """Sum of the squared distances between some values, in lengths of their ranges."""
    total = 0.0
    for name, (low, high, logarithmic) in RANGES.items():
        if values[name] != others[name]:
            ends = np.array([values[name], others[name], high, low])
            ends = np.log(ends) if logarithmic else ends
            total += float((ends[0] - ends[1]) / (ends[2] - ends[3])) ** 2
    return total


def _moved(values: Values, draw: np.random.Generator) -> Values:
    """Some values with one to about four of them moved."""
    count = min(int(draw.geometric(0.5)), len(RANGES))
    moved = dict(values)
    for name in draw.choice(list(RANGES), count, replace=False).tolist():
        low, high, logarithmic = RANGES[name]
        step = draw.normal() * np.exp(draw.uniform(np.log(SMALLEST_STEP), np.log(GREATEST_STEP)))
        moved_by = values[name] * ((high / low) ** step - 1) if logarithmic else (high - low) * step
        moved[name] = rounded(min(max(values[name] + moved_by, low), high))
    return moved


def rounded(value: float) -> float:
    """To three significant digits, as it is to stand in the source."""
    return float(f"{value:.3g}")


def _mixed(sets: Sequence[str], draw: np.random.Generator) -> NDArray[np.int64]:
    """(N,) an order in which each set is spread evenly, and drawn within."""
    place = np.empty(len(sets))
    for name in set(sets):
        member = np.flatnonzero(np.asarray(sets) == name)
        place[member] = (draw.permutation(len(member)) + 0.5) / len(member)
    order: NDArray[np.int64] = np.argsort(place, kind="stable")
    return order


def folds(recordings: Sequence[Activations], seed: int) -> NDArray[np.int64]:
    """(N,) 0 or 1: half of the pieces of each set, with all their recordings."""
    draw = np.random.default_rng(seed)
    pieces = sorted({(one.set, one.piece) for one in recordings})
    drawn = [pieces[number] for number in draw.permutation(len(pieces))]
    drawn.sort(key=lambda piece: piece[0])
    fold = {piece: number % 2 for number, piece in enumerate(drawn)}
    return np.array([fold[one.set, one.piece] for one in recordings], dtype=np.int64)
