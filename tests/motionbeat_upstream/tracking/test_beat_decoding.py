import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionbeat_upstream.tracking import beat_decoding
from motionbeat_upstream.tracking.beat_decoding import MAX_INTERVAL, MIN_INTERVAL, TIGHTNESS, decode_beats
from motionbeat_upstream.tracking.viterbi import best_path


def naive_beats(activation: list[float], period: float) -> list[int]:
    """Ellis's recursion in loops over frames."""
    score, before = [0.0] * len(activation), [-1] * len(activation)
    for frame in range(len(activation)):
        best = 0.0
        for earlier in range(frame):
            ratio = (frame - earlier) / period
            if MIN_INTERVAL <= ratio <= MAX_INTERVAL:
                value = score[earlier] - TIGHTNESS * math.log(ratio) ** 2
                if value > best:
                    best, before[frame] = value, earlier
        score[frame] = activation[frame] + best
    last = range(max(0, len(score) - math.ceil(period)), len(score))
    frame = max(last, key=lambda index: score[index])
    beats = []
    while frame >= 0:
        beats.append(frame)
        frame = before[frame]
    return beats[::-1]


@pytest.mark.slow
@given(seed=st.integers(0, 9999), size=st.integers(1, 150), period=st.floats(4, 25))
@settings(max_examples=40, deadline=None)
def test_decoding_equals_the_recursion_in_loops(seed: int, size: int, period: float) -> None:
    activation = torch.randn(1, size, generator=torch.Generator().manual_seed(seed))
    periods = torch.tensor([period])
    choice = torch.zeros(1, size, dtype=torch.long)
    (beats,) = decode_beats(activation, periods, choice, torch.tensor([size]), 100.0)
    assert beats.tolist() == naive_beats(activation[0].tolist(), float(periods[0]))


def test_beats_do_not_depend_on_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    size = 9000
    activation = torch.randn(3, size, generator=generator)
    activation[0, ::41] += 3.0
    activation[1, ::57] += 1.5
    activation[2, ::50] += 1.5
    periods = torch.tensor([40.0, 50.0, 58.0])
    choice = torch.tensor([0, 2, 1])[:, None].expand(-1, size)
    lengths = torch.tensor([size, size - 33, 6017])
    activation = activation * (torch.arange(size) < lengths[:, None])
    chunked = decode_beats(activation, periods, choice, lengths, 100.0)
    monkeypatch.setattr(beat_decoding, "CHUNK_SECONDS", 1e3)
    whole = decode_beats(activation, periods, choice, lengths, 100.0)
    assert len(whole[0]) > 200
    for beats, expected in zip(chunked, whole, strict=True):
        np.testing.assert_array_equal(beats, expected)


@given(data=st.data(), steps=st.integers(1, 5), states=st.integers(1, 4), seed=st.integers(0, 9999))
@settings(max_examples=40, deadline=None)
def test_best_path_has_the_maximum_score_of_all_paths(
    data: st.DataObject, steps: int, states: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(2, steps, states, generator=generator)
    transition = torch.randn(states, states, generator=generator).abs().neg().fill_diagonal_(0.0)
    lengths = torch.tensor([data.draw(st.integers(1, steps)), steps])
    path = best_path(scores, transition, lengths)
    for row, length in enumerate(lengths.tolist()):

        def value(states_: tuple[int, ...], row: int = row) -> float:
            gained = sum(float(scores[row, step, state]) for step, state in enumerate(states_))
            return gained + sum(float(transition[a, b]) for a, b in itertools.pairwise(states_))

        best = max(itertools.product(range(states), repeat=length), key=value)
        assert tuple(path[row, :length].tolist()) == best
        assert bool((path[row, length:] == path[row, length - 1]).all())
