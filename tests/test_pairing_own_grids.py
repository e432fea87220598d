"""Each motion on its own grid."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from motion_data.motion import Motion
from motion_data.pipeline.batch import Batch
from motion_data.pipeline.config import PipelineConfig
from motion_data.pipeline.reader import ClipReader
from motion_data.rhythm.motion_grid import motion_grid
from recipes.pairing.own_grids import motion_grids, own_grids
from tests.made_corpus import Made, write_corpus

TEMPI = {"slow": 105.0, "fast": 132.0, "chart": 120.0}


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    made = [Made(name, bpm=bpm, seconds=12.0, joints=name != "chart") for name, bpm in TEMPI.items()]
    corpus = write_corpus(tmp_path_factory.mktemp("corpus"), made)
    return next(iter(ClipReader(corpus, "train", PipelineConfig(bars=4, batch_size=3, tempo_octaves=1.0))))


def test_there_is_one_a_clip_and_it_is_the_motions_own(batch: Batch) -> None:
    grids = motion_grids(batch)
    assert len(grids) == len(batch) == len(TEMPI)
    for row, (name, grid) in enumerate(zip(batch.names, grids, strict=True)):
        expected = motion_grid(batch.motion(row), float(batch.feature_lengths[row]) / 50)
        assert (grid.beats == expected.beats).all()
        # Half or twice as fast is the same pulse.
        octaves = np.log2(grid.bpm / TEMPI[name])
        assert abs(octaves - round(octaves)) < 0.06


def test_neither_the_audio_nor_its_grid_is_looked_at(batch: Batch) -> None:
    deaf = replace(batch, wav=torch.zeros_like(batch.wav), grids=(None,) * len(batch), negatives=())
    for one, other in zip(motion_grids(batch), motion_grids(deaf), strict=True):
        assert (one.beats == other.beats).all()
        assert (one.positions == other.positions).all()


def test_a_motion_without_a_pulse_gets_the_fallback(batch: Batch) -> None:
    still = replace(
        batch,
        joints=torch.ones_like(batch.joints),
        pulse_counts=torch.zeros_like(batch.pulse_counts),
        has_pulses=torch.zeros_like(batch.has_pulses),
    )
    assert [grid.confidence for grid in motion_grids(still)] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("seconds", [0.04, 0.3, 1.0])
def test_the_shortest_clips_have_one_too(seconds: float) -> None:
    rng = np.random.default_rng(0)
    frames = max(2, round(seconds * 60))
    motion = Motion(60.0, ("pelvis",), rng.random((frames, 1, 3)), 0.0, None, {"left_foot": np.array([0.02])})
    (grid,) = own_grids([motion], [seconds])
    assert len(grid.beats) >= 2


def test_nothing_has_none(tmp_path: Path) -> None:
    assert own_grids([], []) == ()
