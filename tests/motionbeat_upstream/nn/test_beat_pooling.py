import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from motionbeat_upstream.nn.beat_pooling import FRAME_SECONDS, overlaps, pool, spread
from motionbeat_upstream.tracking.grid import Grid, Tokens, cut_tokens, regular_grid

durations = st.floats(0.05, 4)
tempi = st.floats(40, 900)


def matrix(tokens: Tokens, duration: float, frames: int) -> Tensor:
    """(N, F) overlap of each token with each frame in seconds, computed in two loops."""
    shared = torch.zeros(tokens.start.shape[1], frames, dtype=torch.float64)
    for n in range(shared.shape[0]):
        for k in range(frames):
            start = max(float(tokens.start[0, n]), k * FRAME_SECONDS)
            stop = min(float(tokens.stop[0, n]), (k + 1) * FRAME_SECONDS, duration)
            shared[n, k] = max(0.0, stop - start)
    return shared


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(durations, tempi, st.floats(0, 1), st.integers(0, 99))
def test_pooling_and_spreading_equal_the_overlap_matrix(
    duration: float, bpm: float, offset: float, seed: int
) -> None:
    frames = math.ceil(duration / FRAME_SECONDS)
    tokens = cut_tokens([regular_grid(duration, bpm, 4, offset)], [duration], 4)
    table = overlaps(tokens, frames)
    shared = matrix(tokens, duration, frames)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(1, frames, 5, dtype=torch.float64, generator=generator)
    pooled = shared @ x[0] / shared.sum(1, keepdim=True)
    torch.testing.assert_close(pool(x, table)[0], pooled, rtol=0, atol=2e-4)
    y = torch.randn(1, shared.shape[0], 5, dtype=torch.float64, generator=generator)
    scattered = shared.T @ y[0] / shared.sum(0)[:, None]
    # The weight of a frame that the clip hardly overlaps is inexact.
    wide = shared.sum(0) > 1e-4
    torch.testing.assert_close(spread(y, table)[0][wide], scattered[wide], rtol=0, atol=2e-3)


@given(durations, tempi)
def test_pooling_and_spreading_preserve_constants(duration: float, bpm: float) -> None:
    frames = math.ceil(duration / FRAME_SECONDS)
    table = overlaps(cut_tokens([regular_grid(duration, bpm, 4)], [duration], 4), frames)
    pooled = pool(torch.ones(1, frames, 1), table)
    torch.testing.assert_close(pooled, torch.ones_like(pooled))
    torch.testing.assert_close(spread(pooled, table)[:, :-1], torch.ones(1, frames - 1, 1))


def test_tokens_shorter_than_a_frame_have_its_value() -> None:
    tokens = cut_tokens([regular_grid(0.1, 3000, 4)], [0.1], 8)
    x = torch.arange(5.0)[None, :, None]
    pooled = pool(x, overlaps(tokens, 5))[0, :, 0]
    assert len(pooled) == 40
    torch.testing.assert_close(pooled, torch.arange(5.0).repeat_interleave(8))


def test_clips_of_a_batch_are_independent_and_padding_is_zero() -> None:
    grids = [regular_grid(1.0, 100, 3), regular_grid(0.4, 140, 4)]
    table = overlaps(cut_tokens(grids, [1.0, 0.4], 4), 50)
    x = torch.zeros(2, 50, 1)
    x[0] = 1
    pooled = pool(x, table)
    assert (pooled[1] == 0).all()
    back = spread(torch.ones(2, pooled.shape[1], 1), table)
    assert (back[1, :20] == 1).all()
    assert (back[1, 20:] == 0).all()


def test_pooling_is_differentiable() -> None:
    grid = Grid(np.array([0.013, 0.31, 0.42]), np.array([1, 2, 3]), 3)
    table = overlaps(cut_tokens([grid], [0.45], 2), 23)
    x = torch.randn(1, 23, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda frames: pool(frames, table), (x,))
    y = torch.randn(1, table.tokens, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda tokens: spread(tokens, table), (y,))
