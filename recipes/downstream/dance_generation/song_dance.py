"""Dances of any length: slices are generated one after the other, each as a continuation of the last.

EDGE samples all slices at once with overlapping halves, which needs the whole dance in memory. Here half a
second of a slice is given to the next one [O], so memory does not depend on the length. With half a slice
given, a small model amplified its own errors: within 20 s it sank to its knees. The bone lengths of the first
slice are kept; otherwise bodies slowly grew or shrank until, after a minute, they were unlike those in
training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from motion_data.body.rotation_fit import posed_body
from motion_data.errors import DataError
from motion_data.motion import Motion
from motion_data.rhythm.contacts import contact_pulses
from motion_data.skeleton import JOINTS
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.errors import AudioError
from motionbeat_upstream.frame_resampling import resample_frames
from recipes.downstream.dance_generation.body_numbers import FPS, Placement, RotationNumbers
from recipes.downstream.dance_generation.dance_file import DanceFile
from recipes.downstream.dance_generation.model import DanceModel
from recipes.downstream.dance_generation.rigid import fix_bone_lengths
from recipes.downstream.dance_generation.slices import encode_motion

FIRST_FRAME: Mapping[str, float] = {
    **dict.fromkeys(("fbank", "fbank_no_cmvn", "mfcc"), 0.0125),
    "edge_librosa": 0.0,
}
"""Centre of the first frame in seconds, by upstream: Kaldi's windows of 25 ms start at 0, librosa's are
centred at 0. The default is half a frame, as for convolutions without padding."""


def features_at(features: Tensor, upstream: str, rate: float, times: Tensor) -> Tensor:
    """(..., N, D) features at (N,) times.

    Args:
        features: (..., T, D) features of an upstream.
        upstream: name of the upstream in S3PRL's hub.
        rate: samples at 16 kHz per feature.
        times: (N,) times in seconds of the audio.
    """
    step = rate / SAMPLE_RATE
    return resample_frames(features, FIRST_FRAME.get(upstream, 0.5 * step), step, times)


BLOCK_SECONDS, CONTEXT_SECONDS = 60.0, 10.0
"""Length of a block, and of the context on either side for the upstream."""

CACHED_BLOCKS = 2
"""Blocks in memory; a slice may span two."""

MIN_SECONDS = 1.0
"""Minimum length of a song."""

MAX_START_SECONDS = 2.0
"""Length of a motion to continue from; less than half a slice."""

OVERLAP_SECONDS = 0.5
"""Overlap of consecutive slices."""

MusicFeatures = Callable[[int, int], Tensor]
"""Maps the first and end frame to (B, T, D) features; frames may be beyond the end of the music."""


class SongFeatures:
    """(1, T, D) features of any frames of a song, computed in blocks.

    Args:
        wav: (S,) samples at 16 kHz.
        encode: computes (1, F, D) features of samples.
        upstream: name of the upstream, for the times of its frames.
        rate: samples per feature.
    """

    def __init__(self, wav: Tensor, encode: Callable[[Tensor], Tensor], upstream: str, rate: float) -> None:
        self._wav, self._encode, self._upstream, self._rate = wav, encode, upstream, rate
        self._block = lru_cache(maxsize=CACHED_BLOCKS)(self._encode_block)
        self._frames = round(BLOCK_SECONDS * FPS)
        self._last = max(0, (len(wav) - 1) // round(BLOCK_SECONDS * SAMPLE_RATE))

    def __call__(self, begin: int, end: int) -> Tensor:
        """Features of frames ``begin`` to ``end``; beyond the end of the song the last one is repeated."""
        parts = []
        for number in sorted({min(frame // self._frames, self._last) for frame in (begin, end - 1)}):
            first = number * self._frames
            last = end if number == self._last else min(end, first + self._frames)
            inside = torch.arange(max(begin, first), last) - first
            parts.append(self._block(number)[:, inside.clamp(max=self._frames - 1)])
        return torch.cat(parts, 1)

    def _encode_block(self, number: int) -> Tensor:
        start = number * BLOCK_SECONDS
        before = max(0.0, start - CONTEXT_SECONDS)
        first, last = (
            round(seconds * SAMPLE_RATE) for seconds in (before, start + BLOCK_SECONDS + CONTEXT_SECONDS)
        )
        features = self._encode(self._wav[first:last])
        times = torch.arange(self._frames, dtype=torch.float64) / FPS + start - before
        return features_at(features, self._upstream, self._rate, times).float()


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
    """Generate a dance to a whole song.

    Args:
        wav: (S,) samples at 16 kHz.
        encode: computes the (1, F, D) features of samples that the model was trained on.
        dancer: the dance model.
        seed: seed of the noise.
        guidance: replaces the value of the model.
        steps: replaces the value of the model.
        start: (1, s, N) body numbers to continue from, see :func:`start_numbers`.
        progress: called with the number of new frames.

    Returns:
        22 joints at 30 frames per second, frame 0 at 0 s, with the touch-downs of the feet.

    Raises:
        AudioError: the song is shorter than a second.
    """
    seconds = len(wav) / SAMPLE_RATE
    if seconds < MIN_SECONDS:
        raise AudioError(f"{seconds:.2f} s of audio; expected at least {MIN_SECONDS:g} s")
    music = SongFeatures(wav, encode, dancer.upstream, dancer.rate)
    generator = torch.Generator().manual_seed(seed)
    parts = []
    frames = int(seconds * FPS)
    for part in generate_dance(dancer.model, music, frames, generator, start, guidance, steps):
        parts.append(dancer.model.numbers.joints(part)[0].float().cpu().numpy())
        progress(len(parts[-1]))
    joints = fix_bone_lengths(np.concatenate(parts))
    return as_motion(joints, 0.0)


def as_motion(joints: NDArray[np.float32], start: float) -> Motion:
    """A dance as a motion with touch-downs; ``start`` is the time of frame 0 in the audio."""
    return Motion(FPS, JOINTS, joints, start, None, contact_pulses(joints, JOINTS, FPS, start))


def start_numbers(model: DanceModel, motion: Motion, name: str) -> Tensor:
    """(1, s, N) body numbers of the last frames of a motion, starting at the origin.

    Args:
        model: the dance model.
        motion: the motion to continue from.
        name: name of the motion, for error messages.

    Raises:
        DataError: another skeleton than the common one, or fewer than two frames.
    """
    if motion.names != JOINTS:
        raise DataError(
            f"{name}: {len(motion.names)} joints; expected the {len(JOINTS)} of the common skeleton"
        )
    rotated = isinstance(model.numbers, RotationNumbers)
    try:
        last = replace(motion, rotations=posed_body(motion).rotations if rotated else None).at_rate(FPS)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    frames = np.arange(len(last.joints))[-round(MAX_START_SECONDS * FPS) :]
    return encode_motion(last, model.numbers, frames[None])


def generate_dance(
    model: DanceModel,
    music: MusicFeatures,
    frames: int,
    generator: torch.Generator,
    start: Tensor | None = None,
    guidance: float | None = None,
    steps: int | None = None,
) -> Iterator[Tensor]:
    """Generate a dance in consecutive parts of (B, t, N) body numbers in the room.

    Args:
        model: the dance model; its averaged weights are used.
        music: features of the music.
        frames: total number of frames.
        generator: random generator on the CPU.
        start: (B, s, N) body numbers to start with, at the origin; s is less than a slice.
        guidance: replaces the value of the model.
        steps: replaces the value of the model.
    """
    slice_frames = model.frames
    overlap = min(slice_frames // 2, round(OVERLAP_SECONDS * FPS))
    step = slice_frames - overlap
    given: Tensor | None = start
    placement: Placement | None = None
    bones: Tensor | None = None
    begin, done = 0, 0
    while done < frames:
        features = music(begin, begin + slice_frames)
        if given is not None:
            given = F.pad(given, (0, 0, 0, slice_frames - given.shape[1]), value=torch.nan)
        slices = model.sample(features, generator, given, guidance, steps)
        if placement is None or bones is None:
            placement = Placement(slices.new_zeros(len(slices), 2), slices.new_zeros(len(slices)))
            bones = model.numbers.bones(slices if start is None else start)
        in_room = model.numbers.move(slices, placement, to_origin=False)
        end = min(frames, begin + slice_frames)
        yield in_room[:, done - begin : end - begin]
        done, begin = end, begin + step
        # The next slice starts at the origin, with the end of this one.
        placement = model.numbers.placement(in_room, step)
        last = model.numbers.with_bones(in_room[:, step:], bones)
        given = model.numbers.move(last, placement, to_origin=True)
