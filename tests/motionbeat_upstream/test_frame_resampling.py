"""Resampling of features: against numpy's interpolation, at the ends, and at late times."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionbeat_upstream.frame_resampling import resample_frames


@settings(deadline=None, max_examples=50)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(0, 12), st.floats(-1, 1), st.floats(0.001, 2)
)
def test_interpolation_equals_numpys(seed: int, frames: int, count: int, first: float, step: float) -> None:
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(frames, 3))
    centres = first + step * np.arange(frames)
    times = generator.uniform(first - 2 * step, centres[-1] + 2 * step, count)
    expected = np.stack([np.interp(times, centres, features[:, k]) for k in range(3)], -1)
    actual = resample_frames(torch.from_numpy(features), first, step, torch.from_numpy(times))
    np.testing.assert_allclose(actual.numpy(), expected, atol=1e-9)
    batch = torch.from_numpy(features).float().expand(2, 4, -1, -1)
    many = resample_frames(batch, first, step, torch.from_numpy(times))
    assert many.shape == (2, 4, count, 3)
    assert many.dtype == torch.float32
    np.testing.assert_allclose(many[1, 2].numpy(), expected, atol=1e-5)


def test_features_are_constant_beyond_the_ends() -> None:
    features = torch.tensor([[1.0], [2.0], [4.0]])
    times = torch.tensor([-9.0, 0.0, 0.01, 0.02, 0.04, 0.05, 9.0])
    actual = resample_frames(features, 0.01, 0.02, times)
    assert actual[:, 0].tolist() == pytest.approx([1, 1, 1, 1.5, 3, 4, 4])


def test_frames_are_exact_after_ten_hours() -> None:
    count = 10 * 3600 * 50
    ramp = (torch.arange(count) % 2).float()[:, None]
    times = 0.01 + 0.02 * (count - 8 + torch.arange(8, dtype=torch.float64))
    np.testing.assert_allclose(resample_frames(ramp, 0.01, 0.02, times)[:, 0], [0, 1] * 4, atol=1e-5)


def test_gradients_with_respect_to_the_features() -> None:
    features = torch.randn(5, 2, requires_grad=True)
    resample_frames(features, 0.0, 1.0, torch.tensor([0.5, 3.25])).sum().backward()
    assert features.grad is not None
    assert features.grad[:, 0].tolist() == [0.5, 0.5, 0, 0.75, 0.25]
