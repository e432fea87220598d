"""How well heads follow their targets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recipes.pretrain.validation.head_correlation import clip_correlations, head_correlation

SEEDS = st.integers(0, 10_000)


@given(SEEDS, st.integers(0, 20))
def test_is_pearson_over_a_clips_own_frames_whatever_lies_beyond(seed: int, more: int) -> None:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, 31, 4)
    predicted, target = rng.standard_normal((2, 4, 30 + more)).astype(np.float32)
    for curve in (predicted, target):
        curve[np.arange(30 + more) >= lengths[:, None]] = np.nan
    result = clip_correlations(*(torch.from_numpy(x) for x in (predicted, target, lengths)))
    for row, length in enumerate(lengths):
        expected = np.corrcoef(predicted[row, :length], target[row, :length])[0, 1]
        assert float(result[row]) == pytest.approx(expected, abs=1e-6)


@given(SEEDS, st.floats(0.01, 100), st.floats(-10, 10))
def test_scale_and_level_do_not_matter_and_the_sign_does(seed: int, scale: float, level: float) -> None:
    target = torch.from_numpy(np.random.default_rng(seed).random((1, 50)))
    length = torch.tensor([50])
    assert float(clip_correlations(scale * target + level, target, length)) == pytest.approx(1, abs=1e-6)
    assert float(clip_correlations(level - scale * target, target, length)) == pytest.approx(-1, abs=1e-6)


def test_a_constant_target_is_left_out_and_a_constant_prediction_knows_nothing() -> None:
    target = torch.rand(3, 40)
    target[1] = 0.1
    predicted = torch.rand(3, 40)
    predicted[2] = 0.7
    result = clip_correlations(predicted, target, torch.tensor([40, 40, 40]))
    assert torch.isnan(result).tolist() == [False, True, False]
    assert float(result[2]) == 0
    figures = head_correlation("onset", result.numpy(), [0, 1, 2])
    assert figures["onset"] == pytest.approx(float(result[0]) / 2)
    assert figures["onset_left_out"] == 1


def test_no_clip_at_all_is_no_figure() -> None:
    assert head_correlation("onset", np.array([np.nan]), [0]) == {"onset_left_out": 1.0}


def test_a_head_that_gives_no_number_is_refused() -> None:
    broken = torch.full((1, 9), torch.nan)
    with pytest.raises(ValueError, match="NaN"):
        clip_correlations(broken, torch.rand(1, 9), torch.tensor([9]))
