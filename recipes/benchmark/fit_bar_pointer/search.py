"""Decoding with given constants, the objective, and the random search for its maximum."""

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
"""Values by the names of ``RANGES``."""

Names = Sequence[str] | NDArray[np.str_]

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
"""Minimum, maximum, and whether steps are in the logarithm. ``metre_2`` and ``metre_3`` are ``metre_prior``
of these metres relative to 4; ``metres_5_to_7`` is a factor for the three others."""

DOWNBEAT_SHARE = 0.5
"""Weight of downbeat F in the objective."""

MIN_STEP, MAX_STEP = 0.03, 0.5
"""Range of the standard deviation of a step, relative to the range of a value; log-uniform."""

DISTANCE_PENALTY = 0.02
"""Penalty on the squared distance of a value from the current one, relative to its range. It keeps values on
which the objective hardly depends."""

PARTS = 4
"""Number of parts of the recordings; a proposal that is worse after a part is rejected."""


def current_values() -> Values:
    """Values of ``DEFAULT_WEIGHTS``."""
    metre = dict(zip(METRES, DEFAULT_WEIGHTS.metre_prior, strict=True))
    metre_values = {"metre_2": metre[2] / metre[4], "metre_3": metre[3] / metre[4], "metres_5_to_7": 1.0}
    return {
        name: metre_values[name] if name in metre_values else getattr(DEFAULT_WEIGHTS, name)
        for name in RANGES
    }


def bar_pointer_weights(values: Values) -> BarPointerWeights:
    """Weights with the given values."""
    known = {field.name for field in fields(BarPointerWeights)}
    metre = dict(zip(METRES, DEFAULT_WEIGHTS.metre_prior, strict=True))
    metre = {beats: share / metre[4] * values["metres_5_to_7"] for beats, share in metre.items()}
    metre |= {2: values["metre_2"], 3: values["metre_3"], 4: 1.0}
    named_values = {name: value for name, value in values.items() if name in known}
    return replace(DEFAULT_WEIGHTS, **named_values, metre_prior=tuple(metre.values()))


def decode(recording: Activations, values: Values, margins: bool = False) -> BarPath:
    """Decode a recording."""
    (path,) = decode_bars(
        recording.evidence, FRAME_RATE, weights=bar_pointer_weights(values), margins=margins
    )
    return path


def path_beats(recording: Activations, path: BarPath) -> Beats:
    """Beats of a path within the annotated spans, or at most 70 ms outside."""
    times = beat_times(path, recording.evidence.beat[0], FRAME_RATE)
    start, stop = recording.spans.T
    inside = ((times[:, None] >= start - F_WINDOW) & (times[:, None] <= stop + F_WINDOW)).any(1)
    return Beats(times[inside], path.positions[inside])


def scores(recordings: Sequence[Activations], values: Values) -> NDArray[np.float64]:
    """(N, 2) beat F and downbeat F of each recording; see :func:`score`."""
    paths = [decode(recording, values) for recording in recordings]
    results = [
        score(recording, path_beats(recording, path))
        for recording, path in zip(recordings, paths, strict=True)
    ]
    return np.array(results).reshape(-1, 2)


def score(recording: Activations, beats: Beats) -> tuple[float, float]:
    """Beat F and downbeat F; the latter is NaN if downbeats are unknown."""
    known = recording.annotated.downbeats_known
    return (
        f_measure(recording.annotated.times, beats.times),
        f_measure(recording.annotated.downbeats, beats.downbeats) if known else float("nan"),
    )


def objective(recording_scores: NDArray[np.float64], sets: Names) -> float:
    """Mean over sets of beat F + 0.5 · downbeat F.

    Args:
        recording_scores: (N, 2) output of :func:`scores`.
        sets: N names of sets.
    """
    return float(shares(recording_scores, sets).sum())


def shares(recording_scores: NDArray[np.float64], sets: Names) -> NDArray[np.float64]:
    """(N,) contribution of each recording to the objective."""
    names, member = np.unique(np.asarray(sets), return_inverse=True)
    known = ~np.isnan(recording_scores)
    differences = np.zeros(len(recording_scores))
    for column, factor in enumerate((1.0, DOWNBEAT_SHARE)):
        count = np.bincount(member, known[:, column], len(names))[member]
        differences += factor * np.nan_to_num(recording_scores[:, column]) / np.maximum(count, 1) / len(names)
    return differences


def lead(
    recording_scores: NDArray[np.float64], reference: NDArray[np.float64], sets: Names
) -> tuple[float, float]:
    """Difference of the objectives of two (N, 2) scores, and its standard error over recordings."""
    differences, member = shares(recording_scores, sets) - shares(reference, sets), np.asarray(sets)
    # The variance of a sum of n independent terms is n times their variance.
    variance = sum((member == name).sum() * differences[member == name].var() for name in set(sets))
    return float(differences.sum()), float(np.sqrt(variance))


def search(
    recordings: Sequence[Activations], start: Values, seed: int, seconds: float, proposals: int | None = None
) -> tuple[Values, int]:
    """Maximise the objective by random search; return the best values and the number of proposals.

    A proposal changes a few of the best values so far. It is scored on one quarter of each set after the
    other, and rejected when it is worse by more than a standard error.

    Args:
        recordings: recordings to fit to.
        start: initial values.
        seed: seed of the proposals and of the order of the recordings.
        seconds: processor time after which the search ends.
        proposals: maximum number of proposals; None for no limit.
    """
    draw = np.random.default_rng(seed)
    order = _interleave([recording.set for recording in recordings], draw)
    recordings = [recordings[number] for number in order]
    sets = [recording.set for recording in recordings]
    ends = [len(recordings) * quarter // PARTS for quarter in range(1, PARTS + 1)]
    current = current_values()
    best, best_scores = start, scores(recordings, start)
    stop, proposal_count = time.process_time() + seconds, 0
    while time.process_time() < stop and (proposals is None or proposal_count < proposals):
        proposal_count += 1
        proposal = _propose(best, draw)
        recording_scores = best_scores[:0]
        for end in ends:
            recording_scores = np.concatenate(
                [recording_scores, scores(recordings[len(recording_scores) : end], proposal)]
            )
            difference, error = lead(recording_scores, best_scores[:end], sets[:end])
            difference += DISTANCE_PENALTY * (distance(best, current) - distance(proposal, current))
            if difference < -error:
                break
        if len(recording_scores) == len(recordings) and difference > 0:
            best, best_scores = proposal, recording_scores
    return best, proposal_count


def distance(values: Values, others: Values) -> float:
    """Sum of the squared distances between values, relative to their ranges."""
    total = 0.0
    for name, (low, high, logarithmic) in RANGES.items():
        if values[name] != others[name]:
            ends = np.array([values[name], others[name], high, low])
            ends = np.log(ends) if logarithmic else ends
            total += float((ends[0] - ends[1]) / (ends[2] - ends[3])) ** 2
    return total


def _propose(values: Values, draw: np.random.Generator) -> Values:
    """Change one to about four of the values at random."""
    count = min(int(draw.geometric(0.5)), len(RANGES))
    proposal = dict(values)
    for name in draw.choice(list(RANGES), count, replace=False).tolist():
        low, high, logarithmic = RANGES[name]
        step = draw.normal() * np.exp(draw.uniform(np.log(MIN_STEP), np.log(MAX_STEP)))
        change = values[name] * ((high / low) ** step - 1) if logarithmic else (high - low) * step
        proposal[name] = rounded(min(max(values[name] + change, low), high))
    return proposal


def rounded(value: float) -> float:
    """Round to three significant digits."""
    return float(f"{value:.3g}")


def _interleave(sets: Sequence[str], draw: np.random.Generator) -> NDArray[np.int64]:
    """(N,) random order in which each set is evenly distributed."""
    position = np.empty(len(sets))
    for name in set(sets):
        member = np.flatnonzero(np.asarray(sets) == name)
        position[member] = (draw.permutation(len(member)) + 0.5) / len(member)
    order: NDArray[np.int64] = np.argsort(position, kind="stable")
    return order


def folds(recordings: Sequence[Activations], seed: int) -> NDArray[np.int64]:
    """(N,) 0 or 1: half of the pieces of each set, with all their recordings."""
    draw = np.random.default_rng(seed)
    pieces = sorted({(recording.set, recording.piece) for recording in recordings})
    drawn = [pieces[number] for number in draw.permutation(len(pieces))]
    drawn.sort(key=lambda piece: piece[0])
    fold = {piece: number % 2 for number, piece in enumerate(drawn)}
    return np.array([fold[recording.set, recording.piece] for recording in recordings], dtype=np.int64)
