"""Each motion on its own grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from motion_data.motion import Motion
from motion_data.pipeline.batch import collate
from motion_data.pipeline.config import PipelineConfig
from motion_data.pipeline.example import Example
from motion_data.pipeline.reader import ClipReader
from motion_data.rhythm.motion_grid import motion_grid
from motionbeat_upstream.tracking.grid import Grid
from tests.made_corpus import Made, write_corpus

TEMPI = {"slow": 105.0, "fast": 132.0, "chart": 120.0}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    made = [Made(name, bpm=bpm, seconds=12.0, joints=name != "chart") for name, bpm in TEMPI.items()]
    corpus = write_corpus(tmp_path_factory.mktemp("corpus"), made)
    config = PipelineConfig(bars=4, batch_size=3, tempo_octaves=1.0, margin_seconds=1.0)
    return next(ClipReader(corpus, "train", config))


def own_grids(clips: list[Example]) -> tuple[Grid, ...]:
    batch = collate(clips, 0.0, np.random.default_rng(0), motions=False, motion_grids=True)
    return batch.motion_grids


def test_there_is_one_a_clip_and_it_is_the_motions_own(clips: list[Example]) -> None:
    grids = own_grids(clips)
    assert len(grids) == len(clips) == len(TEMPI)
    for example, grid in zip(clips, grids, strict=True):
        # What lies around the clip is not looked at.
        motion = example.motion.between(0.0, example.seconds)
        expected = motion_grid(motion, -(-len(example.wav) // 320) / 50)
        assert (grid.beats == expected.beats).all()
        # Half or twice as fast is the same pulse.
        octaves = np.log2(grid.bpm / TEMPI[example.pair.name])
        assert abs(octaves - round(octaves)) < 0.06
    assert collate(clips, 0.0, np.random.default_rng(0)).motion_grids == ()


def test_neither_the_audio_nor_its_grid_is_looked_at(clips: list[Example]) -> None:
    deaf = [replace(example, wav=torch.zeros_like(example.wav), grid=None) for example in clips]
    for one, other in zip(own_grids(clips), own_grids(deaf), strict=True):
        assert (one.beats == other.beats).all()
        assert (one.positions == other.positions).all()


def test_a_motion_without_a_pulse_gets_the_fallback(clips: list[Example]) -> None:
    still = [
        replace(example, motion=replace(motion, joints=np.ones_like(motion.joints), pulses={}))
        for example in clips
        for motion in [example.motion]
    ]
    assert [grid.confidence for grid in own_grids(still)] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("seconds", [0.04, 0.3, 1.0])
def test_the_shortest_clips_have_one_too(seconds: float) -> None:
    rng = np.random.default_rng(0)
    frames = max(2, round(seconds * 60))
    motion = Motion(60.0, ("pelvis",), rng.random((frames, 1, 3)), 0.0, None, {"left_foot": np.array([0.02])})
    assert len(motion_grid(motion, seconds).beats) >= 2
