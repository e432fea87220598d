"""Both towers together: what the losses see, and that the music side hears nothing of the motion."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from motionbeat_upstream.errors import ConfigError
from motionbeat_upstream.nn.motionbeat import MotionBeat
from motionbeat_upstream.tracking.grid import regular_grid
from tests import small
from tests.motionbeat_upstream.nn import test_motion_tower


def test_shapes_and_that_every_head_learns() -> None:
    torch.manual_seed(0)
    model = MotionBeat(small.SMALL, test_motion_tower.SMALL, projection=5)
    lengths = torch.tensor([32_000, 20_000])
    wav = torch.randn(2, 32_000) * (torch.arange(32_000) < lengths[:, None])
    grids = [regular_grid(2.0, 120.0, 4), regular_grid(1.25, 90.0, 3)]
    music = model.encode_music(wav, lengths, grids)
    joints, pulses = torch.randn(2, 100, 22, 3), torch.rand(2, 100, 2)
    motion = model.encode_motion(joints, pulses, torch.tensor([True, False]), torch.tensor([100, 63]), grids)
    assert music.frames.shape == motion.frames.shape == (2, 100, 5)
    for curve in (music.heard_onsets, music.heard_contacts, music.onsets, motion.contacts):
        assert curve.shape == (2, 100)
    assert music.heard_contacts is music.features.pulses
    assert music.features.embedding.shape == motion.features.embedding.shape
    curves = [music.frames, music.heard_onsets, music.heard_contacts, music.onsets]
    total = sum(
        (curve.square().mean() for curve in [*curves, motion.frames, motion.contacts]), torch.zeros(())
    )
    for side in (music, motion):
        assert torch.allclose(side.compared.norm(dim=-1), torch.ones(2))
    beats = music.features.beats
    assert beats is not None
    heads = sum((logits.square().mean() for logits in vars(beats).values()), torch.zeros(()))
    (total + heads + (music.compared * motion.compared).sum()).backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@pytest.mark.parametrize("change", [{"embedding_dim": 9}, {"subdivisions": 2}])
def test_towers_that_do_not_fit_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(change))} is .* give both the same"):
        MotionBeat(small.SMALL, replace(test_motion_tower.SMALL, **change))  # type: ignore[arg-type]


def test_the_same_wrong_grid_on_both_sides_costs_nothing_and_a_late_motion_does() -> None:
    """One δ on all phases turns both spectra alike; a motion moved against its music turns one."""
    torch.manual_seed(0)
    model = MotionBeat(small.SMALL, test_motion_tower.SMALL).eval()
    wav, lengths = torch.randn(1, 64_000), torch.tensor([64_000])
    joints, pulses = torch.randn(1, 200, 22, 3), torch.rand(1, 200, 2)
    body = torch.tensor([True]), torch.tensor([200])

    def similar(heard: float, seen: float) -> float:
        # The downbeat a whole number of tokens late: the same frames are in each token.
        grids = [regular_grid(4.0, 120.0, 4, 0.125 * round(late / 0.125)) for late in (heard, seen)]
        music = model.encode_music(wav, lengths, grids[:1])
        return float((music.compared * model.encode_motion(joints, pulses, *body, grids[1:]).compared).sum())

    assert similar(0.0, 0.0) == pytest.approx(similar(0.5, 0.5), abs=1e-5)
    assert abs(similar(0.0, 0.0) - similar(0.0, 0.5)) > 1e-3
