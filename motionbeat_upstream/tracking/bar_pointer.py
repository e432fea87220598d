"""Beats, tempo, bars and metre in one: the best path of a semi-Markov bar-pointer model [O].

A state is a beat: its frame, the beat period, the metre and the position in the bar. After the bar-pointer
model of Krebs, Böck and Widmer, "An efficient state-space model for joint tempo and meter tracking" (ISMIR
2015), but beats are decided and not frames, so that the evidence of a beat is counted once.

The probability of no beat is the same sum over all frames for every path, so a beat adds the log-odds of its
frame, and the frames between two beats add nothing. All frames within the shortest interval are decided at
once. Sums run over whole numbers and each clip is decoded alone, so a clip has the same beats in any batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor

from motionbeat_upstream.tracking.grid import METRES
from motionbeat_upstream.tracking.silence import silence
from motionbeat_upstream.tracking.tempo import class_tempi
from motionbeat_upstream.tracking.viterbi import best_path

Scores = NDArray[np.int32]

PER_OCTAVE = 16
"""Tempi in an octave: the next one is 4.4 % faster. Intervals may be a frame off, so all are within reach."""

STEP = 1e-3
"""Scores are rounded to these steps of a natural logarithm."""

IMPOSSIBLE = -(10**9)
"""Score of a state that may not be, in steps. An hour adds up to less than a fifth of it."""

CHUNK = 240
"""Blocks of frames whose scores are held at a time. Those of earlier chunks are computed again on the way
back."""

SAME_TEMPO, SAME_PHASE = 1 / 8, 1 / 4
"""A beat is another one than that of the best path if its tempo differs by more than so many octaves, or its
time by more than so many beat periods."""

SHORT_BARS = 4
"""Beats are decided together with bars of at most so many beats, where the hints admit any; then bars of all
metres are compared over these beats. Longer bars hardly change beats, and would take three times as long."""

LEAST_PERIOD = 4.0
"""Frames that a beat must have."""


@dataclass(frozen=True)
class Hints:
    """What is known of the music; nothing else is decoded.

    Raises:
        ValueError: no tempo or no metre is left.
    """

    min_bpm: float = 50.0
    """Slowest tempo in beats per minute."""
    max_bpm: float = 215.0
    """Fastest tempo in beats per minute."""
    metres: tuple[int, ...] = METRES
    """Beats per bar to choose from; a bar of 6/8 counts as two."""

    def __post_init__(self) -> None:
        if not 0 < self.min_bpm <= self.max_bpm < math.inf:
            raise ValueError(
                f"no tempo lies between {self.min_bpm:g} and {self.max_bpm:g} bpm; give the slowest and the "
                f"fastest tempo, both above 0"
            )
        if not self.metres or not set(self.metres) <= set(METRES):
            raise ValueError(f"metres must be one or more of {METRES} beats a bar, got {self.metres}")


NO_HINTS = Hints()
"""Nothing is known."""


@dataclass(frozen=True)
class BarPointerWeights:
    """What the model weighs. Costs are negative logarithms of probability."""

    beat: float = 1.0
    """Factor of a beat's log-odds."""
    beat_bias: float = 0.0
    """Added to them. About 1 in 25 frames is a beat, so log-odds of 0 speak for one. Higher values lead to
    faster tempi."""
    beat_limit: float = 5.0
    """L in L·tanh(x / L), which log-odds x are reduced to, so that no frame decides alone."""
    downbeat: float = 1.0
    """Factor of the log-likelihood ratio of a downbeat, or of no downbeat, on a beat."""
    downbeat_rate: float = 0.25
    """Share of downbeats among beats, which that ratio is relative to."""
    downbeat_doubt: float = 0.05
    """Probability of a beat below which its downbeat activation says little."""
    downbeat_least: float = 0.02
    """Least probability of a downbeat, and of no downbeat, on a beat."""
    tempo_change: float = 3.0
    """Cost of going on in the next faster or slower tempo, 4.4 % away."""
    tempo_jump: float = 20.0
    """Cost of going on in any other tempo."""
    jitter: float = 0.03
    """Standard deviation of an interval from the beat period, in periods."""
    quantisation: float = 0.5
    """The same in frames, in addition."""
    tempo_centre: float = 120.0
    """Tempo in beats per minute that is the likeliest before anything is heard."""
    tempo_spread: float = 0.8
    """Standard deviation of the tempo from it, in octaves."""
    metre_change: float = 8.0
    """Cost of another metre from one bar to the next."""
    metre_prior: tuple[float, ...] = (0.05, 0.2, 1.0, 0.02, 0.02, 0.01)
    """Probability, up to a factor, of each of ``METRES``."""
    tempo: float = 1.0
    """Factor of the logarithms of probability of the tempo head, per second."""


WEIGHTS = BarPointerWeights()


@dataclass(frozen=True)
class DecoderInput:
    """What is decoded of a batch; what lies beyond a clip's end does not matter."""

    beat: Tensor
    """(B, F) logits of a beat at each frame."""
    downbeat: Tensor
    """(B, F) logits of a downbeat, which is a beat as well."""
    lengths: Tensor
    """(B,) frames of each clip."""
    tempo: Tensor | None = None
    """(B, F, 32) logits of the tempo, see :func:`~motionbeat_upstream.tracking.tempo.tempo_class`."""
    sounding: Tensor | None = None
    """(B, F) as :func:`~motionbeat_upstream.tracking.silence.sounds` gives it; silences have no
    beats. None: everything sounds."""


@dataclass(frozen=True)
class BarPath:
    """The best path through one clip, and how far it leads others."""

    frames: NDArray[np.int64]
    """(N,) frame of each beat, increasing; possibly none."""
    positions: NDArray[np.int64]
    """(N,) position of each beat in its bar, counted from 1; 1 is a downbeat."""
    metres: NDArray[np.int64]
    """(N,) beats of the bar that each beat is in."""
    periods: NDArray[np.float64]
    """(N,) beat period in frames of the interval that ends at each beat."""
    beat_margin: float
    """Lead of the beats over the best others, as a natural logarithm of probability: each of those has
    another tempo or phase. Bars do not count, so it may be below 0. Infinite where the hints admit no others.
    """
    bar_margin: float
    """Lead of the bars over the best others through the same beats, in which each beat has another position
    or metre. Infinite where the hints admit no others."""


@torch.no_grad()
def decode_bars(
    given: DecoderInput,
    rate: float = 50.0,
    *,
    hints: Hints = NO_HINTS,
    weights: BarPointerWeights = WEIGHTS,
    margins: bool = True,
) -> list[BarPath]:
    """The best beats and bars of each clip.

    Args:
        given: activations and evidence at ``rate``.
        rate: frames a second.
        hints: range of tempi, and metres to choose from.
        weights: what the model weighs.
        margins: without them both are NaN, and decoding is faster.

    Returns:
        One path a clip. Its beats go from its first to its last frame, silences apart.

    Raises:
        ValueError: shapes that do not fit each other, or tempi too fast for the rate.
    """
    beat, downbeat, lengths, sounding = given.beat, given.downbeat, given.lengths, given.sounding
    if beat.ndim != 2 or beat.shape != downbeat.shape or lengths.shape != (len(beat),):
        raise ValueError(
            f"beats of shape {tuple(beat.shape)}, downbeats of shape {tuple(downbeat.shape)} and "
            f"{len(lengths)} lengths do not fit each other; expected (B, F) twice and B lengths"
        )
    if 60 * rate / hints.max_bpm < LEAST_PERIOD:
        raise ValueError(
            f"a beat at {hints.max_bpm:g} bpm has fewer than {LEAST_PERIOD:g} of {rate:g} frames a second; "
            f"ask for at most {60 * rate / LEAST_PERIOD:g} bpm"
        )
    metres = tuple(sorted(set(hints.metres)))
    short = tuple(metre for metre in metres if metre <= SHORT_BARS) or metres
    with_bars = _model(hints, rate, metres, weights)
    beats_alone = _model(hints, rate, (1,), weights) if margins else None
    of_beats = _model(hints, rate, short, weights)
    gains = _gains(given, with_bars, weights)
    tempo_gains = None
    if given.tempo is not None and weights.tempo:
        tempo_gains = _tempo_gains(given.tempo, with_bars.periods, rate, weights)
    paths = []
    for row, size in enumerate(lengths.tolist()):
        tempo = None if tempo_gains is None else tempo_gains[row, :, :size]
        path = _decode(gains[:, row, :size], tempo, of_beats, with_bars, beats_alone)
        if sounding is not None:
            path = _where_it_sounds(path, sounding[row, :size])
        paths.append(path)
    return paths


@dataclass(frozen=True)
class _Model:
    """Costs and layout of the states of a clip: S periods, and P positions, metre after metre."""

    periods: NDArray[np.float64]  # (S,) beat periods in frames, evenly spaced in octaves, increasing
    intervals: NDArray[np.int64]  # (S,) the same in whole frames
    shorter: Scores  # (S, 1, 1) cost of an interval that is a frame shorter
    longer: Scores  # (S, 1, 1) cost of an interval that is a frame longer
    change: Scores  # (1,) cost of the next tempo
    jump: Scores  # (1,) cost of any other tempo
    step: Scores  # (S, 3, S) cost of a tempo after an interval longer, whole or shorter from another tempo
    metres: NDArray[np.int64]  # (M,) beats per bar
    metre_of: NDArray[np.int64]  # (P,) index of the metre of each position
    first: NDArray[np.int64]  # (M,) index of the first position of each metre
    last: NDArray[np.int64]  # (M,) index of the last position of each metre
    is_first: NDArray[np.bool_]  # (P,) true for downbeats
    other_metre: Scores  # (M,) cost of changing to each metre
    following: NDArray[np.int64]  # (P, P) score of a position followed by another one
    start: Scores  # (S, P) score of a beat before the first frame

    @property
    def block(self) -> int:
        """Frames that are decided at once: no beat among them follows on another one."""
        return int(self.intervals[0]) - 1

    @property
    def blocks_before(self) -> int:
        """Blocks that the beat before one of the next block may lie in."""
        return -(-(int(self.intervals[-1]) + 2) // self.block)


@lru_cache(maxsize=8)
def _model(hints: Hints, rate: float, metres: tuple[int, ...], weights: BarPointerWeights) -> _Model:
    count = math.ceil(math.log2(hints.max_bpm / hints.min_bpm) * PER_OCTAVE) + 1
    periods = np.geomspace(60 * rate / hints.max_bpm, 60 * rate / hints.min_bpm, count)
    intervals = periods.round().astype(np.int64)
    spread = np.hypot(weights.quantisation, weights.jitter * periods)
    off = ((intervals + np.arange(-1, 2)[:, None] - periods) / spread) ** 2 / 2
    deviation = _steps((off - off[1]).clip(min=0))
    change, jump = _steps(np.array([[weights.tempo_change], [weights.tempo_jump]]))
    apart = np.abs(np.arange(len(periods)) - np.arange(len(periods))[:, None])
    tempo = np.where(apart == 1, np.minimum(change, jump), jump) * (apart > 0)
    priors = dict(zip(METRES, weights.metre_prior, strict=True))
    prior = np.array([priors.get(metre, 1.0) for metre in metres])
    prior = np.log(prior / prior.sum())
    of_tempo = -((np.log2(60 * rate / periods / weights.tempo_centre) / weights.tempo_spread) ** 2) / 2
    last = np.cumsum(metres) - 1
    first = last - np.array(metres) + 1
    is_first = np.isin(np.arange(sum(metres)), first)
    other_metre = _steps(weights.metre_change - prior)
    following = np.full((len(is_first), len(is_first)), IMPOSSIBLE, dtype=np.int64)
    following[last[:, None], first] = -other_metre
    following[last, first] = 0
    inner = np.flatnonzero(~is_first)
    following[inner - 1, inner] = 0
    return _Model(
        periods=periods,
        intervals=intervals,
        shorter=deviation[0, :, None, None],
        longer=deviation[2, :, None, None],
        change=change,
        jump=jump,
        step=tempo[:, None] + deviation.T[:, ::-1, None],
        metres=np.array(metres),
        metre_of=np.repeat(np.arange(len(metres)), metres),
        first=first,
        last=last,
        is_first=is_first,
        other_metre=other_metre,
        following=following,
        start=_steps(of_tempo[:, None] + np.repeat(prior - np.log(metres), metres)),
    )


def _steps(score: NDArray[np.float64]) -> Scores:
    steps: Scores = np.round(score / STEP).astype(np.int32)
    return steps


def _gains(given: DecoderInput, model: _Model, weights: BarPointerWeights) -> Scores:
    """(3, B, F) in steps: what a beat at each frame adds, and what a downbeat or another beat adds to it."""
    beat, downbeat = (torch.nan_to_num(x.double().cpu()) for x in (given.beat, given.downbeat))
    probable, rate = beat.sigmoid(), weights.downbeat_rate
    first = (downbeat.sigmoid() + weights.downbeat_doubt * rate) / (probable + weights.downbeat_doubt)
    first = first.clamp(weights.downbeat_least, 1 - weights.downbeat_least)
    odds = weights.beat * weights.beat_limit * torch.tanh(beat / weights.beat_limit) + weights.beat_bias
    down = weights.downbeat * torch.log(first / rate)
    other = weights.downbeat * torch.log((1 - first) / (1 - rate))
    gains = torch.stack([odds, down, other])
    if given.sounding is not None:
        sounding = given.sounding.cpu()
        gains.masked_fill_(silence(sounding, torch.full(beat.shape, float(model.periods[0]))), 0.0)
    return _steps(gains.numpy())


def _tempo_gains(
    logits: Tensor, periods: NDArray[np.float64], rate: float, weights: BarPointerWeights
) -> Scores:
    """(B, S, F) in steps: what each frame adds to a path with each of the periods."""
    probability = torch.nan_to_num(logits.double()).log_softmax(-1).cpu().numpy().swapaxes(1, 2)
    classes = np.log(class_tempi().double().numpy())
    index = np.interp(np.log(60 * rate / periods), classes, np.arange(len(classes)))
    below = np.minimum(index.astype(np.int64), len(classes) - 2)
    share = (index - below)[:, None]
    between = probability[:, below] + share * (probability[:, below + 1] - probability[:, below])
    return _steps(between * weights.tempo / rate)


@dataclass(frozen=True)
class _Evidence:
    """What the frames of a clip add to a path, in whole blocks of frames."""

    gains: Scores
    """(F, P) a beat in each position in the bar."""
    tempo: Scores | None
    """(S, F) an interval of each period that ends at a frame."""
    blocked: NDArray[np.bool_] | None = None
    """(S, F) true where there may be no beat."""


def _decode(
    gains: Scores, tempo: Scores | None, of_beats: _Model, model: _Model, alone: _Model | None
) -> BarPath:
    """The path of one clip.

    Args:
        gains: (3, F) as :func:`_gains` gives them.
        tempo: (S, F) as :func:`_tempo_gains` gives it.
        of_beats: with short bars.
        model: with bars of all metres.
        alone: with beats alone, in bars of one, for the margins; without it they are NaN.
    """
    size = gains.shape[1]
    odds, down, other = np.pad(gains, ((0, 0), (0, -size % model.block)))
    if tempo is not None:
        tempo = _over_intervals(np.pad(tempo, ((0, 0), (0, -size % model.block))), model.intervals)
    evidence = _Evidence(odds[:, None] + np.where(of_beats.is_first, down[:, None], other[:, None]), tempo)
    frames, tempi = _best_path(of_beats, evidence, size)
    beats = frames[1:]
    bar_gains = np.where(model.is_first, down[beats, None], other[beats, None]).astype(np.int64)
    positions = _best_positions(model, bar_gains)
    metre = model.metre_of[positions]
    path = BarPath(
        frames=beats,
        positions=positions - model.first[metre] + 1,
        metres=model.metres[metre],
        periods=model.periods[tempi[1:]],
        beat_margin=math.nan,
        bar_margin=math.nan,
    )
    if alone is None:
        return path
    own = _own(beats, tempi[1:], model.periods, len(odds))
    rival = _best_end(alone, _forward_all(alone, _Evidence(odds[:, None], tempo, own))[-1], size)[0]
    lead = _beat_score(alone, odds, tempo, frames, tempi) - rival
    return replace(
        path,
        beat_margin=lead * STEP if rival > IMPOSSIBLE / 2 else math.inf,
        bar_margin=_bar_margin(model, bar_gains, positions),
    )


def _best_path(model: _Model, evidence: _Evidence, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Frames and tempi of the beats with the greatest sum of scores.

    The first of them lies before the clip of ``size`` frames.
    """
    *heads, scores = _forward_all(model, evidence)
    _, frame, index, position = _best_end(model, scores, size)
    path = [(frame, index)]
    block, chunk = model.block, len(heads) - 1
    around = np.arange(-1, 2)
    while frame >= 0:
        if frame // block // CHUNK != chunk:
            chunk = frame // block // CHUNK
            scores = _forward(model, heads[chunk], chunk * CHUNK, evidence)
        whole = frame - int(model.intervals[index])
        row, column = np.divmod(around + whole - (chunk * CHUNK - model.blocks_before) * block, block)
        step = model.step[index]
        before = scores[row, :, column] - step[..., None]
        position = int((before.max((0, 1)) + model.following[:, position]).argmax())
        late, index = divmod(int(before[..., position].argmax()), step.shape[1])
        frame = whole - 1 + late
        path.append((frame, index))
    frames, tempi = np.array(path[::-1], dtype=np.int64).T
    return frames, tempi


def _best_end(model: _Model, scores: Scores, size: int) -> tuple[int, int, int, int]:
    """The best score, and frame, tempo and position of its last beat.

    Args:
        model: costs and layout of the states.
        scores: (K, S, N, P) of the last blocks of a clip.
        size: frames of the clip; the next beat would lie beyond them.
    """
    frames = np.arange(size - int(model.intervals[-1]), size)
    # Blocks end where the last one does; a clip without a frame has those before it.
    row, column = np.divmod(frames - -(-size // model.block) * model.block, model.block)
    ends = frames[:, None] + model.intervals >= size
    last = np.where(ends[..., None], scores[row, :, column], IMPOSSIBLE)
    offset, index, position = (int(x) for x in np.unravel_index(int(last.argmax()), last.shape))
    return int(last[offset, index, position]), int(frames[offset]), index, position


def _forward_all(model: _Model, evidence: _Evidence) -> list[Scores]:
    """The blocks before each chunk of a clip, and at the end the scores of the last chunk."""
    size = (model.blocks_before, len(model.start), model.block, model.start.shape[1])
    scores = np.broadcast_to(model.start[:, None], size)
    heads = []
    for first in range(0, max(len(evidence.gains) // model.block, 1), CHUNK):
        heads.append(scores[-model.blocks_before :].copy())
        scores = _forward(model, heads[-1], first, evidence)
    return [*heads, scores]


def _forward(model: _Model, head: Scores, first: int, evidence: _Evidence) -> Scores:
    """(H + K, S, N, P): the greatest score of a path that ends with a beat in each state and frame.

    Args:
        model: costs and layout of the states.
        head: (H, S, N, P) the same of the blocks before ``first``, of N frames each.
        first: the first block of the chunk.
        evidence: of the whole clip.
    """
    gains, tempo, blocked = evidence.gains, evidence.tempo, evidence.blocked
    before, count, block, positions = head.shape
    stop = min(first + CHUNK, len(gains) // block)
    scores = np.empty((before + stop - first, *head.shape[1:]), dtype=np.int32)
    scores[:before] = head
    # The best that the beats around a frame give to one that lies a whole interval after it. Of this only the
    # last frames are kept.
    kept = before * block
    leaving = np.empty((count, 3 * kept, positions), dtype=np.int32)
    onward = np.empty((count, kept, positions), dtype=np.int32)
    _spread(model, head.swapaxes(0, 1).reshape(onward.shape), onward)
    _over_deviations(model, onward, leaving[:, 1 : kept - 1])
    onward = np.concatenate([onward[:, -2:], onward[:, :block]], axis=1)
    # In a run of the flat array that begins one position earlier, each position has what the one before it
    # gives, and the first position of a metre what the last one of the metre before it gives.
    runs = sliding_window_view(leaving.reshape(-1), (block + 1) * positions)
    origin = (np.arange(count) * leaving.shape[1] - model.intervals) * positions - 1
    frame = np.arange(block) * positions
    at_first, after_last = frame + model.first[:, None], frame + model.last[:, None] + 1
    to_other = model.other_metre[:, None]
    at = kept
    for number in range(first, stop):
        if at + block > leaving.shape[1]:
            leaving[:, :kept] = leaving[:, at - kept : at]
            at = kept
        now = scores[before + number - first]
        here = slice(number * block, (number + 1) * block)
        arriving = runs[origin + at * positions]
        if positions > 1:
            ended = arriving[:, after_last]
            if len(to_other) > 1:
                np.maximum(ended, ended.max(1, keepdims=True) - to_other, out=ended)
            arriving[:, at_first] = ended
            arriving = arriving.reshape(count, block + 1, positions)[:, :-1]
        else:
            arriving = arriving[:, 1:, None]
        np.add(arriving, gains[here], out=now)
        if tempo is not None:
            now += tempo[:, here, None]
        if blocked is not None:
            np.copyto(now, IMPOSSIBLE, where=blocked[:, here, None])
        _spread(model, now, onward[:, 2:])
        _over_deviations(model, onward, leaving[:, at - 1 : at + block - 1])
        onward[:, :2] = onward[:, -2:]
        at += block
    return scores


def _spread(model: _Model, scores: Scores, out: Scores) -> None:
    """(S, N, P) the best score of a beat of any tempo, less the cost of going on in each tempo."""
    np.maximum(scores, np.maximum.reduce(scores) - model.jump, out=out)
    from_next = scores - model.change
    np.maximum(out[1:], from_next[:-1], out=out[1:])
    np.maximum(out[:-1], from_next[1:], out=out[:-1])


def _over_deviations(model: _Model, onward: Scores, out: Scores) -> None:
    """(S, N - 2, P) the best of an interval that is a frame shorter, whole, or a frame longer."""
    np.maximum(onward[:, 1:-1], onward[:, 2:] - model.shorter, out=out)
    np.maximum(out, onward[:, :-2] - model.longer, out=out)


def _over_intervals(tempo: Scores, intervals: NDArray[np.int64]) -> Scores:
    """(S, F) sum of (S, F) over the interval of each period that ends at each frame."""
    total = np.pad(np.cumsum(tempo, axis=1, dtype=np.int32), ((0, 0), (1, 0)))
    start = np.maximum(np.arange(1, total.shape[1]) - intervals[:, None], 0)
    return total[:, 1:] - np.take_along_axis(total, start, axis=1)


def _beat_score(
    model: _Model, odds: Scores, tempo: Scores | None, frames: NDArray[np.int64], tempi: NDArray[np.int64]
) -> int:
    """The sum of scores along beats as :func:`_best_path` gives them, in bars of one."""
    off = model.intervals[tempi[1:]] + 1 - np.diff(frames)
    total = int(model.start[tempi[0], 0]) + int(odds[frames[1:]].sum(dtype=np.int64))
    total -= int(model.step[tempi[1:], off, tempi[:-1]].sum())
    return total if tempo is None else total + int(tempo[tempi[1:], frames[1:]].sum(dtype=np.int64))


def _own(
    beats: NDArray[np.int64], chosen: NDArray[np.int64], periods: NDArray[np.float64], size: int
) -> NDArray[np.bool_]:
    """(S, F) true where a beat of a period is about the same as one of (N,) beats with their periods."""
    if len(beats) == 0:
        return np.zeros((len(periods), size), dtype=np.bool_)
    frame = np.arange(size)
    nearest = np.searchsorted((beats[1:] + beats[:-1]) / 2, frame)
    same_phase = np.abs(frame - beats[nearest]) <= SAME_PHASE * periods[chosen[nearest]]
    same_tempo = np.abs(np.log2(periods[:, None] / periods)) <= SAME_TEMPO
    own: NDArray[np.bool_] = same_tempo[:, chosen[nearest]] & same_phase
    return own


def _best_positions(model: _Model, gains: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) index of the best position of each beat; ``gains`` (N, P) are those of a beat at each position."""
    if len(gains) == 0:
        return np.zeros(0, dtype=np.int64)
    scores = gains.copy()
    scores[0] += model.start[0]
    count = torch.tensor([len(gains)])
    return best_path(torch.from_numpy(scores)[None], torch.from_numpy(model.following), count)[0].numpy()


def _bar_margin(model: _Model, gains: NDArray[np.int64], positions: NDArray[np.int64]) -> float:
    """Lead of the (N,) positions over the best in which each beat has another one; ``gains`` as above."""
    if len(positions) == 0:
        return 0.0
    beats = np.arange(len(positions))

    def total(path: NDArray[np.int64]) -> int:
        between = model.following[path[:-1], path[1:]].sum()
        return int(model.start[0, path[0]] + gains[beats, path].sum() + between)

    own = total(positions)
    gains = gains.copy()
    gains[beats, positions] = IMPOSSIBLE
    rival = total(_best_positions(model, gains))
    return math.inf if rival < IMPOSSIBLE / 2 else (own - rival) * STEP


def _where_it_sounds(path: BarPath, sounding: Tensor) -> BarPath:
    """The path without its beats in silences."""
    if len(path.frames) == 0:
        return path
    nearest = np.searchsorted((path.frames[1:] + path.frames[:-1]) / 2, np.arange(len(sounding)))
    period = torch.from_numpy(path.periods[nearest]).float()
    kept = ~silence(sounding.cpu()[None], period[None])[0].numpy()[path.frames]
    return replace(
        path,
        frames=path.frames[kept],
        positions=path.positions[kept],
        metres=path.metres[kept],
        periods=path.periods[kept],
    )
