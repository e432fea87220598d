"""Both frame trunks: independence of the batch, and the receptive field."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from motionbeat_upstream.config import TRUNKS
from motionbeat_upstream.errors import ConfigError
from motionbeat_upstream.nn.music_tower import untrained_music_tower
from tests.small import SMALL


def trunk(kind: str) -> nn.Module:
    return untrained_music_tower(replace(SMALL, trunk=kind)).trunk.eval()


@pytest.mark.parametrize("kind", TRUNKS)
def test_frames_do_not_depend_on_the_batch(kind: str) -> None:
    torch.manual_seed(0)
    network = trunk(kind)
    mel = torch.randn(1, 60, SMALL.n_mels)
    alone = network(mel, torch.tensor([60]))
    padded = torch.zeros(2, 90, SMALL.n_mels)
    padded[0, :60] = mel
    padded[1] = torch.randn(90, SMALL.n_mels)
    together = network(padded, torch.tensor([60, 90]))
    assert len(alone) == len(together) == 1 + len(SMALL.trunk_dilations)
    for first, second in zip(alone, together, strict=True):
        assert first.shape == (1, 30, SMALL.dim)
        assert torch.allclose(first[0], second[0, :30], atol=1e-5)
        assert not second[0, 30:].any()


@pytest.mark.parametrize("kind", TRUNKS)
def test_receptive_field(kind: str) -> None:
    torch.manual_seed(0)
    network, frames = trunk(kind), 400
    mel = torch.randn(1, 2 * frames, SMALL.n_mels, requires_grad=True)
    network(mel, torch.tensor([2 * frames]))[-1][0, frames // 2].sum().backward()
    assert mel.grad is not None
    receptive_field = torch.nonzero(mel.grad[0].abs().sum(1))[:, 0] // 2
    reach = SMALL.trunk_reach
    # The stem adds at most two frames.
    assert reach <= frames // 2 - int(receptive_field.min()) <= reach + 2
    assert reach <= int(receptive_field.max()) - frames // 2 <= reach + 2


def test_an_unknown_trunk_is_refused() -> None:
    with pytest.raises(ConfigError, match="trunk must be one of bottleneck, depthwise, got 'square'"):
        replace(SMALL, trunk="square").validate()


@given(seed=st.integers(0, 1000), size=st.integers(1, 3), frames=st.integers(1, 40))
@settings(max_examples=10, deadline=None)
def test_gradients_do_not_change_the_states(seed: int, size: int, frames: int) -> None:
    """The memory layout differs with and without gradients."""
    torch.manual_seed(seed)
    network = trunk("bottleneck")
    mel, lengths = torch.randn(size, 2 * frames, SMALL.n_mels), torch.full((size,), 2 * frames)
    with torch.no_grad():
        plain = network(mel, lengths)
    for state, expected in zip(network(mel, lengths), plain, strict=True):
        torch.testing.assert_close(state, expected, rtol=1e-5, atol=1e-5)
