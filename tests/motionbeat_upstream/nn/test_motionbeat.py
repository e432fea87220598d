"""Both towers together: shapes, gradients and invariances of the outputs for the losses."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from motionbeat_upstream.errors import ConfigError
from motionbeat_upstream.nn.motionbeat import MotionBeat
from motionbeat_upstream.tracking.grid import regular_grid
from tests import small
from tests.motionbeat_upstream.nn import test_motion_tower


def test_shapes_and_gradients() -> None:
    torch.manual_seed(0)
    model = MotionBeat(small.SMALL, test_motion_tower.SMALL, projection=5)
    lengths = torch.tensor([32_000, 20_000])
    wav = torch.randn(2, 32_000) * (torch.arange(32_000) < lengths[:, None])
    grids = [regular_grid(2.0, 120.0, 4), regular_grid(1.25, 90.0, 3)]
    music = model.encode_music(wav, lengths, grids)
    joints, pulses = torch.randn(2, 100, 22, 3), torch.rand(2, 100, 2)
    motion = model.encode_motion(joints, pulses, torch.tensor([True, False]), torch.tensor([100, 63]), grids)
    assert music.frames.shape == motion.frames.shape == (2, 100, 5)
    for curve in (music.trunk_onsets, music.trunk_contacts, music.onsets, motion.contacts):
        assert curve.shape == (2, 100)
    assert music.trunk_contacts is music.features.pulses
    assert music.features.embedding.shape == motion.features.embedding.shape
    curves = [music.frames, music.trunk_onsets, music.trunk_contacts, music.onsets]
    total = sum(
        (curve.square().mean() for curve in [*curves, motion.frames, motion.contacts]), torch.zeros(())
    )
    for side in (music, motion):
        assert torch.allclose(side.joint_embedding.norm(dim=-1), torch.ones(2))
    beats = music.features.beats
    assert beats is not None
    heads = sum((logits.square().mean() for logits in vars(beats).values()), torch.zeros(()))
    (total + heads + (music.joint_embedding * motion.joint_embedding).sum()).backward()
    without_gradient = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without_gradient == []


@pytest.mark.parametrize("change", [{"embedding_dim": 9}, {"subdivisions": 2}])
def test_towers_that_do_not_match_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(change))} is .* give both the same"):
        MotionBeat(small.SMALL, replace(test_motion_tower.SMALL, **change))  # type: ignore[arg-type]


def test_similarity_depends_on_the_phase_between_music_and_motion() -> None:
    """One δ on all phases does not change the similarity; a shift of the motion alone does."""
    torch.manual_seed(0)
    model = MotionBeat(small.SMALL, test_motion_tower.SMALL).eval()
    wav, lengths = torch.randn(1, 64_000), torch.tensor([64_000])
    joints, pulses = torch.randn(1, 200, 22, 3), torch.rand(1, 200, 2)
    body = torch.tensor([True]), torch.tensor([200])

    def similarity(music_shift: float, motion_shift: float) -> float:
        # Downbeats are shifted by a whole number of tokens, so tokens have the same frames.
        shifts = (0.125 * round(shift / 0.125) for shift in (music_shift, motion_shift))
        grids = [regular_grid(4.0, 120.0, 4, shift) for shift in shifts]
        music = model.encode_music(wav, lengths, grids[:1])
        motion = model.encode_motion(joints, pulses, *body, grids[1:])
        return (music.joint_embedding * motion.joint_embedding).sum().item()

    assert similarity(0.0, 0.0) == pytest.approx(similarity(0.5, 0.5), abs=1e-5)
    assert abs(similarity(0.0, 0.0) - similarity(0.0, 0.5)) > 1e-3
