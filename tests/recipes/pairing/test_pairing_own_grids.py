"""Grids of motions."""

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


def test_every_clip_has_the_grid_of_its_motion(clips: list[Example]) -> None:
    grids = own_grids(clips)
    assert len(grids) == len(clips) == len(TEMPI)
    for example, grid in zip(clips, grids, strict=True):
        # The margins of the clip are not used.
        motion = example.motion.between(0.0, example.seconds)
        expected = motion_grid(motion, -(-len(example.wav) // 320) / 50)
        assert (grid.beats == expected.beats).all()
        # Octave errors are allowed.
        octaves = np.log2(grid.bpm / TEMPI[example.pair.name])
        assert abs(octaves - round(octaves)) < 0.06
    assert collate(clips, 0.0, np.random.default_rng(0)).motion_grids == ()


def test_the_audio_and_its_grid_are_not_used(clips: list[Example]) -> None:
    silent = [replace(example, wav=torch.zeros_like(example.wav), grid=None) for example in clips]
    for grid, expected in zip(own_grids(silent), own_grids(clips), strict=True):
        assert (grid.beats == expected.beats).all()
        assert (grid.positions == expected.positions).all()


def test_a_motion_without_beats_has_the_fallback_grid(clips: list[Example]) -> None:
    still = [
        replace(
            example, motion=replace(example.motion, joints=np.ones_like(example.motion.joints), pulses={})
        )
        for example in clips
    ]
    assert [grid.confidence for grid in own_grids(still)] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("seconds", [0.04, 0.3, 1.0])
def test_short_clips_have_a_grid(seconds: float) -> None:
    rng = np.random.default_rng(0)
    frames = max(2, round(seconds * 60))
    motion = Motion(60.0, ("pelvis",), rng.random((frames, 1, 3)), 0.0, None, {"left_foot": np.array([0.02])})
    assert len(motion_grid(motion, seconds).beats) >= 2
