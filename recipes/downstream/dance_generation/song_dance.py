"""From a song to its dance, as long as the song: slices one after the other, each going on from the last.

EDGE draws all slices at once and ties their halves together, which holds the whole dance in memory. Here
half a second is given to the next slice [O], so an hour takes no more memory than a slice. It says where the
body is and where it is going; given half a slice instead, a small model takes its own errors for the dance:
within 20 s it sank to its knees. And the body of the first slice is kept: positions leave the length of bones
open, so a dancer of whom each slice was given as it was drawn grew or shrank by a little each time, and had
within a minute a body that none has been trained on; from there on it slid through the room.
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
from recipes.downstream.dance_generation.body_numbers import FPS, Place, RotationNumbers
from recipes.downstream.dance_generation.dance_file import DanceFile
from recipes.downstream.dance_generation.model import DanceModel
from recipes.downstream.dance_generation.rigid import on_rigid_body
from recipes.downstream.dance_generation.slices import encode_motion

FIRST_FRAME: Mapping[str, float] = {
    **dict.fromkeys(("fbank", "fbank_no_cmvn", "mfcc"), 0.0125),
    "edge_librosa": 0.0,
}
"""Seconds at which an upstream's first frame is centred: Kaldi's windows of 25 ms begin at 0; librosa's are
centred on 0. Of all others half a frame, as convolutions without padding, and ours, have it."""


def at_frames(features: Tensor, upstream: str, rate: float, times: Tensor) -> Tensor:
    """(..., N, D) features at (N,) seconds of the sound.

    Args:
        features: (..., T, D) of an upstream.
        upstream: its name in S3PRL's hub.
        rate: samples at 16 kHz from one of its frames to the next.
        times: (N,).
    """
    step = rate / SAMPLE_RATE
    return resample_frames(features, FIRST_FRAME.get(upstream, 0.5 * step), step, times)


BLOCK, CONTEXT = 60.0, 10.0
"""Seconds of a block, and of what is heard on either side of it; the latter is left away."""

KEPT = 2
"""Blocks in memory: a slice may lie across two."""

SHORTEST = 1.0
"""Seconds of a song that can be danced; what is shorter than a slice is danced as the beginning of one."""

LONGEST_START = 2.0
"""Seconds of a motion that are kept to go on from: less than half a slice, so that there is something to
dance."""

GIVEN_SECONDS = 0.5
"""What a slice is given of the last one."""

Listen = Callable[[int, int], Tensor]
"""(B, T, D) features of the frames from one to another, which may lie beyond the music's end."""


class Hearing:
    """Gives (1, T, D) features of any frames of a song.

    Args:
        wav: (S,) at 16 kHz.
        encode: gives (1, F, D) features of (S',) samples.
        upstream: name of the upstream, which says when its frames are.
        rate: samples a feature.
    """

    def __init__(self, wav: Tensor, encode: Callable[[Tensor], Tensor], upstream: str, rate: float) -> None:
        self._wav, self._encode, self._upstream, self._rate = wav, encode, upstream, rate
        self._block = lru_cache(maxsize=KEPT)(self._encode_block)
        self._frames = round(BLOCK * FPS)
        self._last = max(0, (len(wav) - 1) // round(BLOCK * SAMPLE_RATE))

    def __call__(self, begin: int, end: int) -> Tensor:
        """The frames from one to another; beyond the song's end the last one is held."""
        parts = []
        for number in sorted({min(frame // self._frames, self._last) for frame in (begin, end - 1)}):
            first = number * self._frames
            last = end if number == self._last else min(end, first + self._frames)
            inside = torch.arange(max(begin, first), last) - first
            parts.append(self._block(number)[:, inside.clamp(max=self._frames - 1)])
        return torch.cat(parts, 1)

    def _encode_block(self, number: int) -> Tensor:
        start = number * BLOCK
        before = max(0.0, start - CONTEXT)
        first, last = (round(seconds * SAMPLE_RATE) for seconds in (before, start + BLOCK + CONTEXT))
        features = self._encode(self._wav[first:last])
        times = torch.arange(self._frames, dtype=torch.float64) / FPS + start - before
        return at_frames(features, self._upstream, self._rate, times).float()


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
        start: (1, s, N) numbers of frames to begin with, see :func:`start_numbers`.
        progress: is told the frames that were danced since it was told last.

    Returns:
        22 joints at 30 frames a second, frame 0 at 0 s, with the touch-downs of the feet.

    Raises:
        AudioError: a song of less than a second.
    """
    seconds = len(wav) / SAMPLE_RATE
    if seconds < SHORTEST:
        raise AudioError(f"{seconds:.2f} s of sound; a dance takes {SHORTEST:g} s or more")
    hear = Hearing(wav, encode, dancer.upstream, dancer.rate)
    generator = torch.Generator().manual_seed(seed)
    parts = []
    frames = int(seconds * FPS)
    for part in dance_along(dancer.model, hear, frames, generator, start, guidance, steps):
        parts.append(dancer.model.numbers.joints(part)[0].float().cpu().numpy())
        progress(len(parts[-1]))
    joints = on_rigid_body(np.concatenate(parts))
    return as_motion(joints, 0.0)


def as_motion(joints: NDArray[np.float32], start: float) -> Motion:
    """A dance with the touch-downs of its feet; ``start`` is frame 0's second of the sound."""
    return Motion(FPS, JOINTS, joints, start, None, contact_pulses(joints, JOINTS, FPS, start))


def start_numbers(model: DanceModel, motion: Motion, name: str) -> Tensor:
    """(1, s, N) numbers of a motion's last frames, the first of them at the origin; ``name`` is for messages.

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
    kept = np.arange(len(last.joints))[-round(LONGEST_START * FPS) :]
    return encode_motion(last, model.numbers, kept[None])


def dance_along(
    model: DanceModel,
    listen: Listen,
    frames: int,
    generator: torch.Generator,
    start: Tensor | None = None,
    guidance: float | None = None,
    steps: int | None = None,
) -> Iterator[Tensor]:
    """The dance piece by piece, (B, t, N) in the room, ``frames`` in all.

    Args:
        model: whose averaged weights dance.
        listen: gives the music's features.
        frames: of the dance.
        generator: of the noise.
        start: (B, s, N) frames that it begins with, at the origin; s less than a slice.
        guidance, steps: instead of the model's.
    """
    slice_frames = model.frames
    kept = min(slice_frames // 2, round(GIVEN_SECONDS * FPS))
    step = slice_frames - kept
    given: Tensor | None = start
    place: Place | None = None
    bones: Tensor | None = None
    begin, told = 0, 0
    while told < frames:
        music = listen(begin, begin + slice_frames)
        if given is not None:
            given = F.pad(given, (0, 0, 0, slice_frames - given.shape[1]), value=torch.nan)
        slices = model.draw(music, generator, given, guidance, steps)
        if place is None or bones is None:
            place = Place(slices.new_zeros(len(slices), 2), slices.new_zeros(len(slices)))
            bones = model.numbers.bones(slices if start is None else start)
        in_room = model.numbers.moved(slices, place, to_origin=False)
        until = min(frames, begin + slice_frames)
        yield in_room[:, told - begin : until - begin]
        told, begin = until, begin + step
        # The next slice begins at the origin again, with the end of this one.
        place = model.numbers.place(in_room, step)
        ended = model.numbers.with_bones(in_room[:, step:], bones)
        given = model.numbers.moved(ended, place, to_origin=True)
