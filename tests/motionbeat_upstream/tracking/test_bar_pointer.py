from __future__ import annotations

import itertools
import math
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import astuple, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from madmom_infer.features.downbeats import DBNDownBeatTrackingProcessor
from mir_eval.beat import f_measure
from numpy.typing import NDArray
from torch import Tensor

from motionbeat_upstream.tracking import bar_pointer
from motionbeat_upstream.tracking.bar_pointer import (
    DEFAULT_WEIGHTS,
    NO_HINTS,
    SAME_PHASE_PERIODS,
    SAME_TEMPO_OCTAVES,
    BarPath,
    BarPointerWeights,
    DecoderInput,
    Hints,
    decode_bars,
)
from motionbeat_upstream.tracking.grid import METRES
from motionbeat_upstream.tracking.tempo import TEMPO_CLASSES, tempo_class
from recipes.downstream.beat_tracking.decoding import decode_dbn
from tests.frame_activations import MODERATE, RATE, SEVERE, Flaws, logits_of, positions_of, random_beats

Beat = tuple[int, int, int, int]
"""Frame, index of the tempo, metre, position."""


def decode(
    beat: Tensor,
    downbeat: Tensor,
    hints: Hints = NO_HINTS,
    rate: float = RATE,
    weights: BarPointerWeights = DEFAULT_WEIGHTS,
    margins: bool = True,
    **more: Tensor,
) -> BarPath:
    activations = DecoderInput(beat[None], downbeat[None], torch.tensor([len(beat)]), **more)
    (path,) = decode_bars(activations, rate, hints=hints, weights=weights, margins=margins)
    return path


def times_of(path: BarPath, rate: float = RATE) -> NDArray[np.float64]:
    return (path.frames + 0.5) / rate


class Enumerated:
    """The model in loops: all paths of a short clip and their scores."""

    def __init__(
        self,
        beat: Tensor,
        downbeat: Tensor,
        rate: float,
        bpm: tuple[float, float],
        metres: tuple[int, ...],
        weights: BarPointerWeights,
    ) -> None:
        self.rate, self.metres, self.weights, self.size = rate, metres, weights, len(beat)
        count = math.ceil(math.log2(bpm[1] / bpm[0]) * bar_pointer.TEMPI_PER_OCTAVE) + 1
        share = [k / max(count - 1, 1) for k in range(count)]
        self.periods = [60 * rate / (bpm[1] * (bpm[0] / bpm[1]) ** s) for s in share]
        self.odds: list[float] = []
        self.down: list[float] = []
        self.other: list[float] = []
        for b, d in zip(beat.double().sigmoid().tolist(), downbeat.double().sigmoid().tolist(), strict=True):
            logit = math.log(b / (1 - b))
            cut = weights.beat_limit * math.tanh(logit / weights.beat_limit)
            first = (d + weights.downbeat_doubt * weights.downbeat_rate) / (b + weights.downbeat_doubt)
            first = max(weights.min_downbeat, min(1 - weights.min_downbeat, first))
            self.odds.append(weights.beat * cut + weights.beat_bias)
            self.down.append(weights.downbeat * math.log(first / weights.downbeat_rate))
            self.other.append(weights.downbeat * math.log((1 - first) / (1 - weights.downbeat_rate)))

    def prior(self, metre: int) -> float:
        share = {m: self.weights.metre_prior[METRES.index(m)] if m > 1 else 1.0 for m in self.metres}
        return math.log(share[metre] / sum(share.values()))

    def start(self, tempo: int) -> float:
        octaves = math.log2(60 * self.rate / self.periods[tempo] / self.weights.tempo_centre)
        return -((octaves / self.weights.tempo_spread) ** 2) / 2

    def off(self, interval: int, tempo: int) -> float:
        spread = math.hypot(self.weights.quantisation, self.weights.jitter * self.periods[tempo])
        deviation: float = (interval - self.periods[tempo]) / spread
        return deviation * deviation / 2

    def step(self, before: Beat, after: Beat) -> float:
        """Score of a beat after another one, without its evidence and its bar."""
        apart = abs(before[1] - after[1])
        cost = min(apart * self.weights.tempo_change, self.weights.tempo_jump) if apart < 2 else None
        interval, whole = after[0] - before[0], round(self.periods[after[1]])
        deviation = max(0.0, self.off(interval, after[1]) - self.off(whole, after[1]))
        return -(self.weights.tempo_jump if cost is None else cost) - deviation

    def bar(self, before: Beat, after: Beat) -> float:
        """Score of the positions of two successive beats; minus infinity if they are impossible."""
        if after[3] > 1:
            return 0.0 if before[2:] == (after[2], after[3] - 1) else -math.inf
        if before[3] != before[2]:
            return -math.inf
        return 0.0 if before[2] == after[2] else self.prior(after[2]) - self.weights.metre_change

    def starts(self) -> Iterator[tuple[Beat, float]]:
        for frame in range(-max(map(round, self.periods)) - 2, 0):
            for tempo, metre in itertools.product(range(len(self.periods)), self.metres):
                for position in range(1, metre + 1):
                    score = self.start(tempo) + self.prior(metre) - math.log(metre)
                    yield (frame, tempo, metre, position), score

    def onward(self, before: Beat) -> Iterator[tuple[Beat, float]]:
        for tempo, metre in itertools.product(range(len(self.periods)), self.metres):
            for interval in (round(self.periods[tempo]) + e for e in (-1, 0, 1)):
                frame = before[0] + interval
                if not 0 <= frame < self.size:
                    continue
                for position in range(1, metre + 1):
                    after = (frame, tempo, metre, position)
                    gain = self.odds[frame] + (self.down if position == 1 else self.other)[frame]
                    yield after, self.step(before, after) + self.bar(before, after) + gain

    def best(self, allowed: Callable[[Beat], bool] = lambda beat: True) -> float:
        @cache
        def from_here(beat: Beat) -> float:
            scores = [-math.inf]
            if beat[0] + round(self.periods[beat[1]]) >= self.size:
                scores.append(0.0)
            for after, gain in self.onward(beat):
                if gain > -math.inf and allowed(after):
                    scores.append(gain + from_here(after))
            return max(scores)

        return max(score + from_here(beat) for beat, score in self.starts())

    def score(self, path: list[Beat]) -> float:
        """Score of beats within the clip after the best start."""
        if not path:
            return max(s for b, s in self.starts() if b[0] + round(self.periods[b[1]]) >= self.size)
        total, whole = -math.inf, round(self.periods[path[0][1]])
        for beat, score in self.starts():
            if abs(path[0][0] - beat[0] - whole) <= 1:
                first = self.step(beat, path[0]) + self.bar(beat, path[0])
                total = max(total, score + first)
        total += sum(self.step(*pair) + self.bar(*pair) for pair in itertools.pairwise(path))
        return total + sum(self.odds[b[0]] + (self.down if b[3] == 1 else self.other)[b[0]] for b in path)


LOOSE = replace(DEFAULT_WEIGHTS, tempo_change=0.4, tempo_jump=0.9, metre_change=0.5, jitter=0.2)
"""Weights for which all kinds of changes are frequent."""


def beats_of(path: BarPath, model: Enumerated) -> list[Beat]:
    tempo = [int(np.abs(np.array(model.periods) - period).argmin()) for period in path.periods]
    return list(zip(path.frames.tolist(), tempo, path.metres.tolist(), path.positions.tolist(), strict=True))


@given(seed=st.integers(0, 9999), size=st.integers(1, 40), low=st.sampled_from([100.0, 121.0, 128.0]))
@settings(max_examples=20, deadline=None)
def test_the_path_has_the_maximum_score_of_all_paths(seed: int, size: int, low: float) -> None:
    beat, downbeat = 3 * torch.randn(2, size, generator=torch.Generator().manual_seed(seed))
    model = Enumerated(beat, downbeat, 10.0, (low, 128.0), (2, 3), LOOSE)
    path = decode(beat, downbeat, Hints(low, 128.0, (2, 3)), rate=10.0, weights=LOOSE)
    # A few terms are each rounded to 0.001.
    assert model.score(beats_of(path, model)) == pytest.approx(model.best(), abs=0.02)


@pytest.mark.slow
@given(seed=st.integers(0, 9999), size=st.integers(8, 40))
@settings(max_examples=20, deadline=None)
def test_margins_are_relative_to_the_best_alternative(seed: int, size: int) -> None:
    beat, downbeat = 3 * torch.randn(2, size, generator=torch.Generator().manual_seed(seed))
    path = decode(beat, downbeat, Hints(90.0, 128.0, (2, 3)), rate=10.0, weights=LOOSE)
    alone = Enumerated(beat, downbeat, 10.0, (90.0, 128.0), (1,), LOOSE)
    alone.down = alone.other = [0.0] * size
    beats_of_path = [(frame, tempo, 1, 1) for frame, tempo, _, _ in beats_of(path, alone)]

    def is_other(beat: Beat) -> bool:
        frame, tempo, _, _ = min(beats_of_path, key=lambda x: (abs(x[0] - beat[0]), x[0]))
        tempi_apart = abs(math.log2(alone.periods[tempo] / alone.periods[beat[1]]))
        return (
            abs(frame - beat[0]) > SAME_PHASE_PERIODS * alone.periods[tempo]
            or tempi_apart > SAME_TEMPO_OCTAVES
        )

    margin = alone.score(beats_of_path) - alone.best(is_other)
    assert path.beat_margin == pytest.approx(margin, abs=0.03)

    bars = Enumerated(beat, downbeat, 10.0, (90.0, 128.0), (2, 3), LOOSE)
    states = [(metre, position) for metre in (2, 3) for position in range(1, metre + 1)]

    def score(path_states: tuple[tuple[int, int], ...]) -> float:
        beats = [(frame, 0, *state) for frame, state in zip(path.frames.tolist(), path_states, strict=True)]
        total = bars.prior(path_states[0][0]) - math.log(path_states[0][0])
        total += sum(bars.bar(*pair) for pair in itertools.pairwise(beats))
        evidence: float = sum((bars.down if b[3] == 1 else bars.other)[b[0]] for b in beats)
        return total + evidence

    best = tuple(zip(path.metres.tolist(), path.positions.tolist(), strict=True))
    others = itertools.product(*([state for state in states if state != best_state] for best_state in best))
    assert path.bar_margin == pytest.approx(score(best) - max(map(score, others)), abs=0.03)


def test_paths_do_not_depend_on_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    beats = random_beats(97.0, 40.0, draw)
    logits = logits_of(beats, positions_of(len(beats), 3), 40.0, draw, SEVERE)
    whole = decode(*logits)
    for blocks in (1, 7):
        monkeypatch.setattr(bar_pointer, "CHUNK_BLOCKS", blocks)
        chunked = decode(*logits)
        for first, second in zip(astuple(chunked), astuple(whole), strict=True):
            np.testing.assert_array_equal(first, second)


def scores_of(beats: NDArray[np.float64], positions: NDArray[np.int64], path: BarPath) -> tuple[float, float]:
    times = times_of(path)
    return f_measure(beats, times), f_measure(beats[positions == 1], times[path.positions == 1])


@pytest.mark.slow
@pytest.mark.parametrize("flaws", [MODERATE, SEVERE])
def test_accuracy_against_other_bar_pointer_models(flaws: Flaws) -> None:
    draw = np.random.default_rng(0)
    madmom = DBNDownBeatTrackingProcessor(beats_per_bar=[3, 4], fps=50, min_bpm=50, max_bpm=215)
    scores = []
    for _ in range(12):
        metre = int(draw.integers(3, 5))
        beats = random_beats(float(np.exp(draw.uniform(np.log(55), np.log(200)))), 15.0, draw)
        positions = positions_of(len(beats), metre, int(draw.integers(metre)))
        beat, downbeat = logits_of(beats, positions, 15.0, draw, flaws)
        ours = scores_of(beats, positions, decode(beat, downbeat, Hints(metres=(3, 4))))
        bars = decode_dbn(torch.stack([beat, downbeat], 1), (3, 4), 50.0, 215.0, RATE)
        first = downbeat.sigmoid().double()
        either = torch.stack([(beat.sigmoid() - first).clamp(min=1e-5), first], 1).clamp(1e-5, 1 - 1e-5)
        theirs = madmom(either.numpy()) + np.array([0.5 / RATE, 0])
        scores.append(
            [
                ours,
                (f_measure(beats, bars.times), f_measure(beats[positions == 1], bars.downbeats)),
                (
                    f_measure(beats, theirs[:, 0]),
                    f_measure(beats[positions == 1], theirs[theirs[:, 1] == 1, 0]),
                ),
            ]
        )
    ours_mean, metricon_mean, madmom_mean = np.mean(scores, axis=0)
    assert (ours_mean >= np.maximum(metricon_mean, madmom_mean) - 0.01).all()


@pytest.mark.parametrize(
    ("bpm", "metre"),
    [(63.0, 2), (120.0, 2), (97.0, 3), (180.0, 3), (78.0, 4), (190.0, 4), (140.0, 5), (110.0, 6)],
)
def test_constant_tempo_and_metre(bpm: float, metre: int) -> None:
    draw = np.random.default_rng(1)
    beats = np.arange(0.21, 30.0, 60 / bpm)
    positions = positions_of(len(beats), metre, first=1)
    path = decode(*logits_of(beats, positions, 30.0, draw))
    np.testing.assert_allclose(times_of(path), beats, atol=0.031)
    assert path.positions.tolist() == positions.tolist()
    assert set(path.metres.tolist()) == {metre}
    assert path.periods == pytest.approx(60 * RATE / bpm, rel=0.05)
    assert path.beat_margin > 10
    assert path.bar_margin > 1


def test_seven_eighths() -> None:
    draw = np.random.default_rng(2)
    beats = np.arange(0.3, 20.0, 60 / 205)
    positions = positions_of(len(beats), 7)
    path = decode(*logits_of(beats, positions, 20.0, draw))
    assert scores_of(beats, positions, path) == (1.0, 1.0)
    assert set(path.metres.tolist()) == {7}


@given(shift=st.integers(1, 60), seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_a_shift_of_the_activations_shifts_the_beats(shift: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    beats = random_beats(130.0, 12.0, draw)
    logits = logits_of(beats, positions_of(len(beats), 4), 12.0, draw)
    early = decode(*logits)
    later = [torch.cat([x.new_full((shift,), -5.0), x]) for x in logits]
    late = decode(later[0], later[1])
    inside = early.frames > 60
    shifted = late.frames > shift + 60
    # Ties between two frames may be resolved differently.
    np.testing.assert_allclose(late.frames[shifted] - shift, early.frames[inside], atol=1)
    np.testing.assert_array_equal(late.positions[shifted], early.positions[inside])


@pytest.mark.parametrize("second_bpm", [140.0, 75.0, 200.0, 66.0])
def test_sudden_change_of_tempo(second_bpm: float) -> None:
    draw = np.random.default_rng(3)
    beats = np.concatenate([np.arange(0.1, 12.0, 0.6), np.arange(12.1, 24.0, 60 / second_bpm)])
    positions = positions_of(len(beats), 4)
    path = decode(*logits_of(beats, positions, 24.0, draw, Flaws(missing=0.05)))
    beat, downbeat = scores_of(beats, positions, path)
    assert beat > 0.97
    assert downbeat > 0.9


@pytest.mark.parametrize(("first", "last"), [(100.0, 140.0), (70.0, 140.0), (180.0, 90.0)])
def test_gradual_change_of_tempo(first: float, last: float) -> None:
    draw = np.random.default_rng(4)
    beats = [0.2]
    while beats[-1] < 30.0:
        beats.append(beats[-1] + 60 / (first + (last - first) * beats[-1] / 30.0))
    times = np.array(beats[:-1])
    positions = positions_of(len(times), 4)
    path = decode(*logits_of(times, positions, 30.0, draw, Flaws(missing=0.05, jitter=0.01)))
    beat, downbeat = scores_of(times, positions, path)
    assert beat > 0.97
    assert downbeat > 0.95
    assert 60 * RATE / path.periods[[2, -2]] == pytest.approx([first, last], rel=0.1)


def test_metre_changes_at_a_bar() -> None:
    draw = np.random.default_rng(5)
    beats = np.arange(0.3, 30.0, 0.45)
    positions = np.concatenate([positions_of(32, 4), positions_of(len(beats) - 32, 3)])
    path = decode(*logits_of(beats, positions, 30.0, draw))
    assert path.positions.tolist() == positions.tolist()
    assert path.metres.tolist() == [4] * 32 + [3] * (len(beats) - 32)


def test_hints_decide_octave_and_metre() -> None:
    draw = np.random.default_rng(6)
    beats = np.arange(0.3, 20.0, 0.5)
    logits = logits_of(beats, positions_of(len(beats), 4), 20.0, draw)
    assert 60 * RATE / decode(*logits).periods == pytest.approx(120.0, rel=0.05)
    slow = decode(*logits, Hints(50.0, 70.0))
    np.testing.assert_allclose(np.diff(slow.frames), 50, atol=1)
    fast = decode(*logits, Hints(min_bpm=200.0))
    assert np.median(np.diff(fast.frames)) < 15.1
    only = decode(*logits, Hints(120.0, 120.0, (3,)))
    np.testing.assert_allclose(times_of(only), beats, atol=0.031)
    assert set(only.metres.tolist()) == {3}
    assert decode(*logits, Hints(metres=(2,))).metres.tolist() == [2] * len(beats)


def test_the_tempo_head_decides_between_octaves() -> None:
    beats = np.arange(0.3, 20.0, 60 / 140)
    beat, downbeat = logits_of(beats, positions_of(len(beats), 4), 20.0, np.random.default_rng(7))
    beat[:] = torch.where(beat > -1, 1.0, -3.0)
    for bpm in (70.0, 140.0):
        classes = torch.zeros(1, len(beat), TEMPO_CLASSES)
        classes[..., round(float(tempo_class(torch.tensor(bpm))))] = 9.0
        path = decode(beat, downbeat, tempo=classes)
        assert 60 * RATE / np.median(path.periods) == pytest.approx(bpm, rel=0.05)


def test_there_are_no_beats_in_silence() -> None:
    draw = np.random.default_rng(8)
    beats = np.concatenate([np.arange(2.1, 14.0, 0.5), np.arange(26.3, 40.0, 0.5)])
    positions = np.concatenate([positions_of(24, 4), positions_of(len(beats) - 24, 4)])
    beat, downbeat = logits_of(beats, positions, 45.0, draw, Flaws(missing=0.1))
    frame = np.arange(len(beat)) / RATE
    sounding = torch.from_numpy(((frame > 2) & (frame < 14)) | ((frame > 26.2) & (frame < 40)))[None]
    path = decode(beat, downbeat, sounding=sounding)
    times = times_of(path)
    assert not ((times < 1.5) | ((times > 14.5) & (times < 25.5)) | (times > 40.5)).any()
    assert scores_of(beats, positions, path) > (0.97, 0.9)
    nothing = decode(beat, downbeat, sounding=torch.zeros_like(sounding))
    assert len(nothing.frames) == len(nothing.positions) == 0


@pytest.mark.parametrize("size", [0, 1, 5, 13, 14, 61])
def test_short_clips(size: int) -> None:
    path = decode(torch.full((size,), -3.0), torch.full((size,), -3.0))
    assert len(path.frames) <= max(1, size // 13 + 1)
    assert len(path.frames) == len(path.positions) == len(path.metres) == len(path.periods)
    assert not math.isnan(path.beat_margin + path.bar_margin)


def test_equal_logits_give_a_steady_pulse_with_little_margin() -> None:
    path = decode(torch.zeros(1500), torch.zeros(1500))
    assert len(set(np.diff(path.frames).tolist())) <= 2
    assert path.beat_margin < 1.0
    wild = torch.tensor([math.nan, math.inf, -math.inf]).repeat(500)
    assert len(decode(wild, wild).frames) > 10


def test_paths_do_not_depend_on_the_batch() -> None:
    draw = np.random.default_rng(9)
    clips = []
    for seconds, bpm in ((6.0, 90.0), (0.5, 120.0), (17.0, 150.0), (11.0, 70.0)):
        beats = random_beats(bpm, seconds, draw)
        clips.append(logits_of(beats, positions_of(len(beats), 4), seconds, draw, MODERATE))
    lengths = torch.tensor([len(beat) for beat, _ in clips])
    batch = torch.randn(2, len(clips), int(lengths.max()) + 33) * 9
    for row, pair in enumerate(clips):
        batch[:, row, : lengths[row]] = torch.stack(pair)
    for alone, together in zip(clips, decode_bars(DecoderInput(batch[0], batch[1], lengths)), strict=True):
        for first, second in zip(astuple(decode(*alone)), astuple(together), strict=True):
            np.testing.assert_array_equal(first, second)


@pytest.mark.slow
def test_memory_grows_slowly_with_length() -> None:
    draw = np.random.default_rng(10)
    beat, downbeat = torch.from_numpy(draw.normal(-3, 2, (2, 24_000))).float()
    peaks = []
    for size in (12_000, 24_000):
        tracemalloc.start()
        assert len(decode(beat[:size], downbeat[:size]).frames) > size / 100
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # An hour, 180,000 frames, takes less than 200 MB.
    assert (peaks[1] - peaks[0]) / 12_000 * 180_000 + peaks[0] < 200e6


@pytest.mark.parametrize(
    ("hints", "message"),
    [
        ({"min_bpm": 130.0, "max_bpm": 120.0}, "no tempo lies between 130 and 120 bpm"),
        ({"min_bpm": 0.0}, "both above 0"),
        ({"max_bpm": math.inf}, "no tempo lies between 50 and inf bpm"),
        ({"metres": ()}, "one or more of"),
        ({"metres": (4, 9)}, r"got \(4, 9\)"),
    ],
)
def test_impossible_hints_are_refused(hints: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Hints(**hints)


def test_tempi_too_high_for_the_frame_rate_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 750 bpm"):
        decode(torch.zeros(100), torch.zeros(100), Hints(max_bpm=900.0))


def test_shapes_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match=r"downbeats of shape \(2, 99\)"):
        decode_bars(DecoderInput(torch.zeros(2, 100), torch.zeros(2, 99), torch.tensor([100, 100])))
