"""The small beat probe."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from recipes.pretrain.validation.beat_probe import _in_context, _ridge, _sums, beat_probe

Clips = tuple[list[NDArray[np.float32]], list[NDArray[np.float64]], NDArray[np.int64]]


def random_clips(strength: float, count: int = 24, dim: int = 12, seed: int = 0) -> Clips:
    """Noise, with a bump at each beat in some mixture of features."""
    rng = np.random.default_rng(seed)
    features, beats = [], []
    for _ in range(count):
        frames = int(rng.integers(300, 400))
        period = 60 / rng.uniform(80, 160)
        times = np.arange(rng.uniform(0, period), frames / 50, period)
        clock = (np.arange(frames) + 0.5) / 50
        bump = np.exp(-0.5 * ((clock[:, None] - times) / 0.025) ** 2).max(1)
        clip = rng.standard_normal((frames, dim)) + strength * bump[:, None] * np.linspace(-1, 1, dim)
        features.append(clip.astype(np.float32))
        beats.append(times)
    return features, beats, np.arange(count) // 2


def test_finds_beats_where_they_are_and_not_in_noise() -> None:
    plain, absent = beat_probe(*random_clips(2.0)), beat_probe(*random_clips(0.0))
    assert plain.f.value > 0.93
    # Peaks at random, as many as are best, hit some: beats are 375 to 750 ms apart, windows 140 ms wide.
    assert 0.15 < absent.f.value < 0.48
    assert absent.f.value < beat_probe(*random_clips(0.5)).f.value < plain.f.value


def test_is_the_same_every_time_and_another_division_gives_about_the_same() -> None:
    clips = random_clips(1.0)
    first = beat_probe(*clips)
    assert beat_probe(*clips) == first
    y = beat_probe(*clips, seed=1)
    assert y.test_pieces != first.test_pieces
    assert y.f.value == pytest.approx(first.f.value, abs=0.1)


def test_beats_of_test_pieces_are_not_fitted_on() -> None:
    features, beats, pieces = random_clips(2.0)
    right = beat_probe(features, beats, pieces)
    wrong = [
        times + 0.15 if piece in right.test_pieces else times
        for times, piece in zip(beats, pieces, strict=True)
    ]
    result = beat_probe(features, wrong, pieces)
    assert (result.penalty, result.threshold) == (right.penalty, right.threshold)
    assert result.f.value < 0.1


def test_the_order_of_clips_and_the_units_of_features_do_not_matter() -> None:
    features, beats, pieces = random_clips(1.0)
    plain = beat_probe(features, beats, pieces)
    order = np.random.default_rng(2).permutation(len(pieces))
    scale = np.linspace(0.1, 100, features[0].shape[1]).astype(np.float32)
    turned = beat_probe([features[k] * scale + 3 for k in order], [beats[k] for k in order], pieces[order])
    assert turned.test_pieces == plain.test_pieces
    assert turned.f.value == pytest.approx(plain.f.value, abs=0.01)


def test_constant_features_and_beats_outside_a_clip_do_no_harm() -> None:
    features, beats, pieces = random_clips(2.0)
    plain = beat_probe(features, beats, pieces)
    more = [np.concatenate([clip, np.full((len(clip), 1), 5.0, np.float32)], 1) for clip in features]
    beyond = [np.concatenate([[-0.3], times, [1000.0]]) for times in beats]
    result = beat_probe(more, beyond, pieces)
    assert result.f.value == pytest.approx(plain.f.value, abs=0.02)
    without = beat_probe([*features, features[0]], [*beats, np.empty(0)], [*pieces, 99])
    assert without.skipped == 1
    assert without.f == plain.f


def test_ridge_is_least_squares_with_a_penalty_and_parts_add_up() -> None:
    rng = np.random.default_rng(0)
    inputs = [_in_context(rng.standard_normal((50, 3))) for _ in range(3)]
    targets = [rng.random(50).astype(np.float32) for _ in inputs]
    rows, target = np.concatenate(inputs), np.concatenate(targets)
    # The penalty on all weights but the constant's, as further equations.
    ridge = np.sqrt(0.1 * len(rows)) * np.eye(rows.shape[1])[:-1]
    expected = np.linalg.lstsq(
        np.concatenate([rows, ridge]), np.concatenate([target, np.zeros(len(ridge))]), rcond=None
    )[0]
    parts = [_sums([x], [y]) for x, y in zip(inputs, targets, strict=True)]
    assert _ridge(parts, 0.1) == pytest.approx(expected, abs=1e-5)


def test_context_is_the_neighbours_and_stays_inside_the_clip() -> None:
    clip = np.arange(6, dtype=np.float32)[:, None]
    assert _in_context(clip)[[0, 3, 5]].tolist() == [
        [0, 0, 0, 1, 2, 1],
        [1, 2, 3, 4, 5, 1],
        [3, 4, 5, 5, 5, 1],
    ]


def test_what_cannot_be_probed_is_refused() -> None:
    features, beats, pieces = random_clips(1.0, 4)
    with pytest.raises(ValueError, match="has 2 pieces with beats"):
        beat_probe(features, beats, pieces)
    with pytest.raises(ValueError, match="beats of 3"):
        beat_probe(features, beats[:3], pieces)
    features[1][4, 2] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        beat_probe(features, beats, np.arange(4))
