"""A small dance model and constructed bodies, for tests."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motion_data.corpora.constructed.dancer import dance
from motionbeat_upstream.tracking.grid import regular_grid
from recipes.downstream.dance_generation.body_numbers import BodyNumbers, JointNumbers
from recipes.downstream.dance_generation.model import DanceModel
from recipes.downstream.dance_generation.settings import (
    DataSettings,
    DiffusionSettings,
    ModelSettings,
    TaskSettings,
)

SMALL = ModelSettings(width=16, layers=1, heads=2, hidden=16)

QUICK = DiffusionSettings(steps=4)

FRAMES = 30


def small_model(numbers: BodyNumbers | None = None, music_dim: int = 3, **diffusion: float) -> DanceModel:
    torch.manual_seed(0)
    return DanceModel(numbers or JointNumbers(), music_dim, small_settings(**diffusion)).eval()


def small_settings(**diffusion: float) -> TaskSettings:
    settings = DiffusionSettings(**{**vars(QUICK), **diffusion})
    return TaskSettings(DataSettings(slice_seconds=FRAMES / 30), SMALL, settings)


def constructed(seconds: float = 4.0, seed: int = 0, bpm: float = 110.0) -> NDArray[np.float32]:
    """(T, 22, 3) joints at 30 frames a second."""
    grid = regular_grid(seconds, bpm, 4)
    joints: NDArray[np.float32] = dance(
        grid, "two_step", seconds, 0.5, np.random.default_rng(seed), 30.0
    ).joints
    return joints


def music_like(model: DanceModel, size: int = 2, frames: int = FRAMES, seed: int = 0) -> Tensor:
    return torch.randn(
        size, frames, model.music_scale.num_features, generator=torch.Generator().manual_seed(seed)
    )
