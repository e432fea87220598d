"""From a song to its dance: hear it, dance it, take down when the feet touch the floor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from motion_data.motion import Motion
from motion_data.rhythm.contacts import contact_pulses
from motion_data.skeleton import JOINTS
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.errors import AudioError
from recipes.downstream.dance_generation.along import dance_along
from recipes.downstream.dance_generation.body_numbers import FPS
from recipes.downstream.dance_generation.dance_file import DanceFile
from recipes.downstream.dance_generation.hearing import Hearing
from recipes.downstream.dance_generation.rigid import on_rigid_body

SHORTEST = 1.0
"""Seconds of a song that can be danced; what is shorter than a slice is danced as the beginning of one."""


def dance_song(
    wav: Tensor,
    encode: Callable[[Tensor], Tensor],
    dancer: DanceFile,
    seed: int = 0,
    guidance: float | None = None,
    steps: int | None = None,
    start: Tensor | None = None,
    progress: Callable[[int], object] = lambda frames: None,
) -> Motion:
    """Dance a song from its first sample to its last.

    Args:
        wav: (S,) at 16 kHz.
        encode: gives (1, F, D) features of samples, as the dancer was trained on.
        dancer: the model.
        seed: another one gives another dance.
        guidance: overrides the dancer's.
        steps: the same.
        start: (1, s, N) numbers of frames to begin with, at the origin.
        progress: is told the frames that were danced since it was told last.

    Returns:
        22 joints at 30 frames a second, frame 0 at 0 s, with the touch-downs of the feet.

    Raises:
        AudioError: a song of less than a second.
    """
    seconds = len(wav) / SAMPLE_RATE
    if seconds < SHORTEST:
        raise AudioError(f"{seconds:.2f} s of sound; a dance takes {SHORTEST:g} s or more")
    hear = Hearing(wav, encode, dancer.heard.upstream, dancer.heard.rate)
    generator = torch.Generator().manual_seed(seed)
    parts = []
    frames = int(seconds * FPS)
    for part in dance_along(dancer.model, hear, frames, generator, start, guidance, steps):
        parts.append(dancer.model.numbers.joints(part)[0].float().cpu().numpy())
        progress(len(parts[-1]))
    joints = on_rigid_body(np.concatenate(parts))
    return Motion(FPS, JOINTS, joints, 0.0, None, contact_pulses(joints, JOINTS, FPS))
