"""Joint decoding of beats, tempo, bars and metre with a semi-Markov bar-pointer model [O].

A state is a beat: its frame, the beat period, the metre and the position in the bar. After the bar-pointer
model of Krebs, Böck and Widmer, "An efficient state-space model for joint tempo and meter tracking" (ISMIR
2015), but states are beats, not frames, so that the evidence of a beat is counted once.

The log-probability of no beat, summed over all frames, is the same for every path. So a beat adds the
log-odds of its frame, and the frames between two beats add nothing. All frames within the shortest interval
are decided at once. Sums are over integers and each clip is decoded separately, so beats do not depend on the
batch.
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
from motionbeat_upstream.tracking.silence import silent_frames
from motionbeat_upstream.tracking.tempo import class_tempi
from motionbeat_upstream.tracking.viterbi import best_path

Scores = NDArray[np.int32]

TEMPI_PER_OCTAVE = 16
"""Tempi per octave: the next one is 4.4 % faster. Intervals may differ by a frame, so all tempi are
possible."""

SCORE_STEP = 1e-3
"""Step of scores, as a natural logarithm of probability."""

IMPOSSIBLE = -(10**9)
"""Score of an impossible state, in steps. The scores of an hour add up to less than a fifth of it."""

CHUNK_BLOCKS = 240
"""Blocks of frames per chunk. Only the scores of one chunk are in memory; those of earlier chunks are
recomputed when the path is traced back."""

SAME_TEMPO_OCTAVES, SAME_PHASE_PERIODS = 1 / 8, 1 / 4
"""A beat differs from that of the best path if their tempi differ by more octaves, or their times by more
beat periods, than these."""

MAX_SHORT_BAR = 4
"""Beats are decoded together with bars of at most so many beats, if the hints allow any; then bars of all
metres are decoded over these beats. Longer bars hardly change the beats, but decoding would take three times
as long."""

MIN_PERIOD_FRAMES = 4.0
"""Shortest beat period in frames."""


@dataclass(frozen=True)
class Hints:
    """Restrictions of tempo and metre, where these are known.

    Raises:
        ValueError: no tempo or no metre remains.
    """

    min_bpm: float = 50.0
    """Lowest tempo in beats per minute."""
    max_bpm: float = 215.0
    """Highest tempo in beats per minute."""
    metres: tuple[int, ...] = METRES
    """Possible numbers of beats per bar; a bar of 6/8 counts as two."""

    def __post_init__(self) -> None:
        if not 0 < self.min_bpm <= self.max_bpm < math.inf:
            raise ValueError(
                f"no tempo lies between {self.min_bpm:g} and {self.max_bpm:g} bpm; give the lowest and the "
                f"highest tempo, both above 0"
            )
        if not self.metres or not set(self.metres) <= set(METRES):
            raise ValueError(f"metres must be one or more of {METRES} beats per bar, got {self.metres}")


NO_HINTS = Hints()
"""The default range of tempi, and all metres."""


@dataclass(frozen=True)
class BarPointerWeights:
    """Parameters of the model. Costs are negative logarithms of probability."""

    beat: float = 1.0
    """Factor of the log-odds of a beat."""
    beat_bias: float = 0.0
    """Offset of the log-odds. About 1 in 25 frames is a beat, so log-odds of 0 favour one. Higher values lead
    to faster tempi."""
    beat_limit: float = 5.0
    """L in L·tanh(x / L), by which log-odds x are compressed, so that no single frame dominates."""
    downbeat: float = 1.0
    """Factor of the log-likelihood ratio of a downbeat, or of no downbeat, on a beat."""
    downbeat_rate: float = 0.25
    """Prior probability of a downbeat on a beat, in that ratio."""
    downbeat_doubt: float = 0.05
    """Probability of a beat below which the downbeat activation has little weight."""
    min_downbeat: float = 0.02
    """Minimum probability of a downbeat, and of no downbeat, on a beat."""
    tempo_change: float = 3.0
    """Cost of a change to the next higher or lower tempo, 4.4 % away."""
    tempo_jump: float = 20.0
    """Cost of a change to any other tempo."""
    jitter: float = 0.03
    """Standard deviation of intervals from the beat period, in periods."""
    quantisation: float = 0.5
    """Additional standard deviation in frames."""
    tempo_centre: float = 120.0
    """Most probable tempo a priori, in beats per minute."""
    tempo_spread: float = 0.8
    """Standard deviation of the tempo a priori, in octaves."""
    metre_change: float = 8.0
    """Cost of a change of metre between bars."""
    metre_prior: tuple[float, ...] = (0.05, 0.2, 1.0, 0.02, 0.02, 0.01)
    """Prior probability of each of ``METRES``, up to a factor."""
    tempo: float = 1.0
    """Factor of the log-probabilities of the tempo head, per second."""


DEFAULT_WEIGHTS = BarPointerWeights()


@dataclass(frozen=True)
class DecoderInput:
    """Activations of a batch; values beyond a clip's end are ignored."""

    beat: Tensor
    """(B, F) logits of beats, downbeats included."""
    downbeat: Tensor
    """(B, F) logits of downbeats."""
    lengths: Tensor
    """(B,) frames of each clip."""
    tempo: Tensor | None = None
    """(B, F, 32) logits of the tempo, see :func:`~motionbeat_upstream.tracking.tempo.tempo_class`."""
    sounding: Tensor | None = None
    """(B, F) bool from :func:`~motionbeat_upstream.tracking.silence.sounding_frames`; there are no beats in
    silences. None if all frames are sounding."""


@dataclass(frozen=True)
class BarPath:
    """The best path of one clip, with its margins over other paths."""

    frames: NDArray[np.int64]
    """(N,) frame of each beat, increasing; may be empty."""
    positions: NDArray[np.int64]
    """(N,) position of each beat in its bar, from 1; 1 is a downbeat."""
    metres: NDArray[np.int64]
    """(N,) metre of the bar of each beat."""
    periods: NDArray[np.float64]
    """(N,) beat period in frames of the interval before each beat."""
    beat_margin: float
    """Log-probability of the beats minus that of the best alternative, in which every beat has another tempo
    or phase. Bars are ignored, so it may be below 0. Infinite if the hints allow no alternative.
    """
    bar_margin: float
    """The same of the bars over the same beats; in the alternative every beat has another position or metre.
    Infinite if the hints allow no alternative."""


@torch.no_grad()
def decode_bars(
    activations: DecoderInput,
    rate: float = 50.0,
    *,
    hints: Hints = NO_HINTS,
    weights: BarPointerWeights = DEFAULT_WEIGHTS,
    margins: bool = True,
) -> list[BarPath]:
    """Decode the beats and bars of each clip.

    Args:
        activations: at ``rate``.
        rate: frames per second.
        hints: range of tempi, and possible metres.
        weights: parameters of the model.
        margins: whether to compute the margins. Decoding is faster without them, and they are NaN.

    Returns:
        One path per clip. Its beats cover the clip except for silences.

    Raises:
        ValueError: shapes do not match, or tempi are too high for the rate.
    """
    beat, downbeat, lengths, sounding = (
        activations.beat,
        activations.downbeat,
        activations.lengths,
        activations.sounding,
    )
    if beat.ndim != 2 or beat.shape != downbeat.shape or lengths.shape != (len(beat),):
        raise ValueError(
            f"beats of shape {tuple(beat.shape)}, downbeats of shape {tuple(downbeat.shape)} and "
            f"{len(lengths)} lengths do not match; expected (B, F) twice and B lengths"
        )
    if 60 * rate / hints.max_bpm < MIN_PERIOD_FRAMES:
        raise ValueError(
            f"a beat at {hints.max_bpm:g} bpm has fewer than {MIN_PERIOD_FRAMES:g} frames at {rate:g} Hz; "
            f"reduce max_bpm to at most {60 * rate / MIN_PERIOD_FRAMES:g} bpm"
        )
    metres = tuple(sorted(set(hints.metres)))
    short = tuple(metre for metre in metres if metre <= MAX_SHORT_BAR) or metres
    bar_model = _model(hints, rate, metres, weights)
    margin_model = _model(hints, rate, (1,), weights) if margins else None
    beat_model = _model(hints, rate, short, weights)
    gains = _frame_gains(activations, bar_model, weights)
    tempo_gains = None
    if activations.tempo is not None and weights.tempo:
        tempo_gains = _tempo_gains(activations.tempo, bar_model.periods, rate, weights)
    paths = []
    for row, size in enumerate(lengths.tolist()):
        tempo = None if tempo_gains is None else tempo_gains[row, :, :size]
        path = _decode(gains[:, row, :size], tempo, beat_model, bar_model, margin_model)
        if sounding is not None:
            path = _drop_silent_beats(path, sounding[row, :size])
        paths.append(path)
    return paths


@dataclass(frozen=True)
class _Model:
    """Costs and layout of the states: S periods, and P positions, grouped by metre."""

    periods: NDArray[np.float64]  # (S,) beat periods in frames, evenly spaced in octaves, increasing
    intervals: NDArray[np.int64]  # (S,) the same in whole frames
    shorter: Scores  # (S, 1, 1) cost of an interval one frame shorter
    longer: Scores  # (S, 1, 1) cost of an interval one frame longer
    change: Scores  # (1,) cost of a change to the next tempo
    jump: Scores  # (1,) cost of a change to any other tempo
    step: Scores  # (S, 3, S) cost of a tempo with an interval longer, equal or shorter, after another tempo
    metres: NDArray[np.int64]  # (M,) beats per bar
    metre_of: NDArray[np.int64]  # (P,) index of the metre of each position
    first: NDArray[np.int64]  # (M,) index of the first position of each metre
    last: NDArray[np.int64]  # (M,) index of the last position of each metre
    is_first: NDArray[np.bool_]  # (P,) downbeats
    other_metre: Scores  # (M,) cost of a change to each metre
    transition: NDArray[np.int64]  # (P, P) score of a position followed by another
    start: Scores  # (S, P) score of a beat before the first frame

    @property
    def block(self) -> int:
        """Frames that are decided at once; no two beats of a path lie among them."""
        return int(self.intervals[0]) - 1

    @property
    def blocks_before(self) -> int:
        """Number of blocks that may contain the beat before one in the next block."""
        return -(-(int(self.intervals[-1]) + 2) // self.block)


@lru_cache(maxsize=8)
def _model(hints: Hints, rate: float, metres: tuple[int, ...], weights: BarPointerWeights) -> _Model:
    count = math.ceil(math.log2(hints.max_bpm / hints.min_bpm) * TEMPI_PER_OCTAVE) + 1
    periods = np.geomspace(60 * rate / hints.max_bpm, 60 * rate / hints.min_bpm, count)
    intervals = periods.round().astype(np.int64)
    spread = np.hypot(weights.quantisation, weights.jitter * periods)
    squares = ((intervals + np.arange(-1, 2)[:, None] - periods) / spread) ** 2 / 2
    deviation = _to_steps((squares - squares[1]).clip(min=0))
    change, jump = _to_steps(np.array([[weights.tempo_change], [weights.tempo_jump]]))
    distance = np.abs(np.arange(len(periods)) - np.arange(len(periods))[:, None])
    tempo = np.where(distance == 1, np.minimum(change, jump), jump) * (distance > 0)
    priors = dict(zip(METRES, weights.metre_prior, strict=True))
    prior = np.array([priors.get(metre, 1.0) for metre in metres])
    prior = np.log(prior / prior.sum())
    tempo_prior = -((np.log2(60 * rate / periods / weights.tempo_centre) / weights.tempo_spread) ** 2) / 2
    last = np.cumsum(metres) - 1
    first = last - np.array(metres) + 1
    is_first = np.isin(np.arange(sum(metres)), first)
    other_metre = _to_steps(weights.metre_change - prior)
    transition = np.full((len(is_first), len(is_first)), IMPOSSIBLE, dtype=np.int64)
    transition[last[:, None], first] = -other_metre
    transition[last, first] = 0
    inner = np.flatnonzero(~is_first)
    transition[inner - 1, inner] = 0
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
        transition=transition,
        start=_to_steps(tempo_prior[:, None] + np.repeat(prior - np.log(metres), metres)),
    )


def _to_steps(score: NDArray[np.float64]) -> Scores:
    steps: Scores = np.round(score / SCORE_STEP).astype(np.int32)
    return steps


def _frame_gains(activations: DecoderInput, model: _Model, weights: BarPointerWeights) -> Scores:
    """(3, B, F) in steps: gain of a beat at each frame, and additional gains of a downbeat and of another
    beat."""
    beat, downbeat = (torch.nan_to_num(x.double().cpu()) for x in (activations.beat, activations.downbeat))
    probability, rate = beat.sigmoid(), weights.downbeat_rate
    first = (downbeat.sigmoid() + weights.downbeat_doubt * rate) / (probability + weights.downbeat_doubt)
    first = first.clamp(weights.min_downbeat, 1 - weights.min_downbeat)
    odds = weights.beat * weights.beat_limit * torch.tanh(beat / weights.beat_limit) + weights.beat_bias
    down = weights.downbeat * torch.log(first / rate)
    other = weights.downbeat * torch.log((1 - first) / (1 - rate))
    gains = torch.stack([odds, down, other])
    if activations.sounding is not None:
        sounding = activations.sounding.cpu()
        gains.masked_fill_(silent_frames(sounding, torch.full(beat.shape, float(model.periods[0]))), 0.0)
    return _to_steps(gains.numpy())


def _tempo_gains(
    logits: Tensor, periods: NDArray[np.float64], rate: float, weights: BarPointerWeights
) -> Scores:
    """(B, S, F) in steps: gain of each period at each frame."""
    probability = torch.nan_to_num(logits.double()).log_softmax(-1).cpu().numpy().swapaxes(1, 2)
    classes = np.log(class_tempi().double().numpy())
    index = np.interp(np.log(60 * rate / periods), classes, np.arange(len(classes)))
    below = np.minimum(index.astype(np.int64), len(classes) - 2)
    share = (index - below)[:, None]
    interpolated = probability[:, below] + share * (probability[:, below + 1] - probability[:, below])
    return _to_steps(interpolated * weights.tempo / rate)


@dataclass(frozen=True)
class _Evidence:
    """Gains of the frames of a clip, padded to whole blocks."""

    gains: Scores
    """(F, P) gain of a beat at each position in the bar."""
    tempo: Scores | None
    """(S, F) gain of an interval of each period that ends at each frame."""
    blocked: NDArray[np.bool_] | None = None
    """(S, F) true for states without beats."""


def _decode(
    gains: Scores, tempo: Scores | None, beat_model: _Model, model: _Model, margin_model: _Model | None
) -> BarPath:
    """Decode one clip.

    Args:
        gains: (3, F) from :func:`_frame_gains`.
        tempo: (S, F) from :func:`_tempo_gains`.
        beat_model: with short bars, for the beats.
        model: with bars of all metres, for the bars.
        margin_model: with bars of one beat, for the margins; None for NaN.
    """
    size = gains.shape[1]
    odds, down, other = np.pad(gains, ((0, 0), (0, -size % model.block)))
    if tempo is not None:
        tempo = _interval_sums(np.pad(tempo, ((0, 0), (0, -size % model.block))), model.intervals)
    evidence = _Evidence(odds[:, None] + np.where(beat_model.is_first, down[:, None], other[:, None]), tempo)
    frames, tempi = _best_beats(beat_model, evidence, size)
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
    if margin_model is None:
        return path
    matching = _matching_states(beats, tempi[1:], model.periods, len(odds))
    scores = _forward_all(margin_model, _Evidence(odds[:, None], tempo, matching))[-1]
    alternative = _best_end(margin_model, scores, size)[0]
    margin = _beat_score(margin_model, odds, tempo, frames, tempi) - alternative
    return replace(
        path,
        beat_margin=margin * SCORE_STEP if alternative > IMPOSSIBLE / 2 else math.inf,
        bar_margin=_bar_margin(model, bar_gains, positions),
    )


def _best_beats(model: _Model, evidence: _Evidence, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Frames and tempi of the path with the maximum score.

    The first beat lies before the clip of ``size`` frames.
    """
    *heads, scores = _forward_all(model, evidence)
    _, frame, index, position = _best_end(model, scores, size)
    path = [(frame, index)]
    block, chunk = model.block, len(heads) - 1
    around = np.arange(-1, 2)
    while frame >= 0:
        if frame // block // CHUNK_BLOCKS != chunk:
            chunk = frame // block // CHUNK_BLOCKS
            scores = _forward(model, heads[chunk], chunk * CHUNK_BLOCKS, evidence)
        whole = frame - int(model.intervals[index])
        row, column = np.divmod(around + whole - (chunk * CHUNK_BLOCKS - model.blocks_before) * block, block)
        step = model.step[index]
        before = scores[row, :, column] - step[..., None]
        position = int((before.max((0, 1)) + model.transition[:, position]).argmax())
        late, index = divmod(int(before[..., position].argmax()), step.shape[1])
        frame = whole - 1 + late
        path.append((frame, index))
    frames, tempi = np.array(path[::-1], dtype=np.int64).T
    return frames, tempi


def _best_end(model: _Model, scores: Scores, size: int) -> tuple[int, int, int, int]:
    """The maximum score of a path, and frame, tempo and position of its last beat.

    Args:
        model: costs and layout of the states.
        scores: (K, S, N, P) scores of the last K blocks of a clip.
        size: frames of the clip; the beat after the last lies beyond.
    """
    frames = np.arange(size - int(model.intervals[-1]), size)
    # The last block ends here; for an empty clip, those before it.
    row, column = np.divmod(frames - -(-size // model.block) * model.block, model.block)
    ends = frames[:, None] + model.intervals >= size
    last = np.where(ends[..., None], scores[row, :, column], IMPOSSIBLE)
    offset, index, position = (int(x) for x in np.unravel_index(int(last.argmax()), last.shape))
    return int(last[offset, index, position]), int(frames[offset]), index, position


def _forward_all(model: _Model, evidence: _Evidence) -> list[Scores]:
    """The blocks before each chunk of a clip, then the scores of the last chunk."""
    size = (model.blocks_before, len(model.start), model.block, model.start.shape[1])
    scores = np.broadcast_to(model.start[:, None], size)
    heads = []
    for first in range(0, max(len(evidence.gains) // model.block, 1), CHUNK_BLOCKS):
        heads.append(scores[-model.blocks_before :].copy())
        scores = _forward(model, heads[-1], first, evidence)
    return [*heads, scores]


def _forward(model: _Model, head: Scores, first: int, evidence: _Evidence) -> Scores:
    """(H + K, S, N, P) maximum score of a path that ends with a beat in each state and frame.

    Args:
        model: costs and layout of the states.
        head: (H, S, N, P) scores of the H blocks of N frames before ``first``.
        first: index of the first block of the chunk.
        evidence: of the whole clip.
    """
    gains, tempo, blocked = evidence.gains, evidence.tempo, evidence.blocked
    before, count, block, positions = head.shape
    stop = min(first + CHUNK_BLOCKS, len(gains) // block)
    scores = np.empty((before + stop - first, *head.shape[1:]), dtype=np.int32)
    scores[:before] = head
    # Maximum over the beats around a frame of the score of a beat one interval later. Only the last frames
    # are needed.
    needed = before * block
    leaving = np.empty((count, 3 * needed, positions), dtype=np.int32)
    onward = np.empty((count, needed, positions), dtype=np.int32)
    _spread(model, head.swapaxes(0, 1).reshape(onward.shape), onward)
    _over_deviations(model, onward, leaving[:, 1 : needed - 1])
    onward = np.concatenate([onward[:, -2:], onward[:, :block]], axis=1)
    # In the flat array from one position earlier, each position has the score of the previous position, and
    # the first position of a metre that of the last position of the metre before.
    runs = sliding_window_view(leaving.reshape(-1), (block + 1) * positions)
    origin = (np.arange(count) * leaving.shape[1] - model.intervals) * positions - 1
    frame = np.arange(block) * positions
    at_first, after_last = frame + model.first[:, None], frame + model.last[:, None] + 1
    to_other = model.other_metre[:, None]
    cursor = needed
    for number in range(first, stop):
        if cursor + block > leaving.shape[1]:
            leaving[:, :needed] = leaving[:, cursor - needed : cursor]
            cursor = needed
        now = scores[before + number - first]
        here = slice(number * block, (number + 1) * block)
        arriving = runs[origin + cursor * positions]
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
        _over_deviations(model, onward, leaving[:, cursor - 1 : cursor + block - 1])
        onward[:, :2] = onward[:, -2:]
        cursor += block
    return scores


def _spread(model: _Model, scores: Scores, out: Scores) -> None:
    """(S, N, P) maximum over tempi of the score of a beat less the cost of a change to each tempo."""
    np.maximum(scores, np.maximum.reduce(scores) - model.jump, out=out)
    from_next = scores - model.change
    np.maximum(out[1:], from_next[:-1], out=out[1:])
    np.maximum(out[:-1], from_next[1:], out=out[:-1])


def _over_deviations(model: _Model, onward: Scores, out: Scores) -> None:
    """(S, N - 2, P) maximum over intervals one frame shorter, equal, and one frame longer."""
    np.maximum(onward[:, 1:-1], onward[:, 2:] - model.shorter, out=out)
    np.maximum(out, onward[:, :-2] - model.longer, out=out)


def _interval_sums(tempo: Scores, intervals: NDArray[np.int64]) -> Scores:
    """(S, F) sums over the interval of each period that ends at each frame."""
    total = np.pad(np.cumsum(tempo, axis=1, dtype=np.int32), ((0, 0), (1, 0)))
    start = np.maximum(np.arange(1, total.shape[1]) - intervals[:, None], 0)
    return total[:, 1:] - np.take_along_axis(total, start, axis=1)


def _beat_score(
    model: _Model, odds: Scores, tempo: Scores | None, frames: NDArray[np.int64], tempi: NDArray[np.int64]
) -> int:
    """Score of beats from :func:`_best_beats`, in bars of one beat."""
    off = model.intervals[tempi[1:]] + 1 - np.diff(frames)
    total = int(model.start[tempi[0], 0]) + int(odds[frames[1:]].sum(dtype=np.int64))
    total -= int(model.step[tempi[1:], off, tempi[:-1]].sum())
    return total if tempo is None else total + int(tempo[tempi[1:], frames[1:]].sum(dtype=np.int64))


def _matching_states(
    beats: NDArray[np.int64], chosen_tempi: NDArray[np.int64], periods: NDArray[np.float64], size: int
) -> NDArray[np.bool_]:
    """(S, F) true for states about equal to one of (N,) beats with their periods."""
    if len(beats) == 0:
        return np.zeros((len(periods), size), dtype=np.bool_)
    frame = np.arange(size)
    nearest = np.searchsorted((beats[1:] + beats[:-1]) / 2, frame)
    same_phase = np.abs(frame - beats[nearest]) <= SAME_PHASE_PERIODS * periods[chosen_tempi[nearest]]
    same_tempo = np.abs(np.log2(periods[:, None] / periods)) <= SAME_TEMPO_OCTAVES
    matching: NDArray[np.bool_] = same_tempo[:, chosen_tempi[nearest]] & same_phase
    return matching


def _best_positions(model: _Model, gains: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) index of the best position of each beat, for (N, P) ``gains`` of beats at each position."""
    if len(gains) == 0:
        return np.zeros(0, dtype=np.int64)
    scores = gains.copy()
    scores[0] += model.start[0]
    count = torch.tensor([len(gains)])
    return best_path(torch.from_numpy(scores)[None], torch.from_numpy(model.transition), count)[0].numpy()


def _bar_margin(model: _Model, gains: NDArray[np.int64], positions: NDArray[np.int64]) -> float:
    """Margin of (N,) positions over the best alternative in which every beat has another position."""
    if len(positions) == 0:
        return 0.0
    beats = np.arange(len(positions))

    def total(path: NDArray[np.int64]) -> int:
        between = model.transition[path[:-1], path[1:]].sum()
        return int(model.start[0, path[0]] + gains[beats, path].sum() + between)

    score = total(positions)
    gains = gains.copy()
    gains[beats, positions] = IMPOSSIBLE
    alternative = total(_best_positions(model, gains))
    return math.inf if alternative < IMPOSSIBLE / 2 else (score - alternative) * SCORE_STEP


def _drop_silent_beats(path: BarPath, sounding: Tensor) -> BarPath:
    """Drop the beats in silences."""
    if len(path.frames) == 0:
        return path
    nearest = np.searchsorted((path.frames[1:] + path.frames[:-1]) / 2, np.arange(len(sounding)))
    period = torch.from_numpy(path.periods[nearest]).float()
    audible = ~silent_frames(sounding.cpu()[None], period[None])[0].numpy()[path.frames]
    return replace(
        path,
        frames=path.frames[audible],
        positions=path.positions[audible],
        metres=path.metres[audible],
        periods=path.periods[audible],
    )
