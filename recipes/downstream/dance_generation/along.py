"""A dance as long as the music: slices one after the other, each beginning with what the last one ended in.

EDGE draws all slices at once and ties their halves together, which holds the whole dance in memory. Here
half a second is given to the next slice [O], so an hour takes no more memory than a slice. It says where the
body is and where it is going; given half a slice instead, a small model takes its own errors for the dance:
within 20 s it sank to its knees. And the body of the first slice is kept: positions leave the length of bones
open, so a dancer of whom each slice was given as it was drawn grew or shrank by a little each time, and had
within a minute a body that none has been trained on; from there on it slid through the room.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from recipes.downstream.dance_generation.body_numbers import FPS
from recipes.downstream.dance_generation.constraints import Constraint, frames_given
from recipes.downstream.dance_generation.model import DanceModel
from recipes.downstream.dance_generation.placing import Place

GIVEN_SECONDS = 0.5
"""What a slice is given of the last one."""

Listen = Callable[[int, int], Tensor]
"""(B, T, D) features of the frames from one to another, which may lie beyond the music's end."""


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
        guidance: overrides the model's.
        steps: the same.
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
        constraint = None if given is None else _begins_with(given, slice_frames)
        slices = model.draw(music, generator, constraint, guidance, steps)
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


def _begins_with(given: Tensor, frames: int) -> Constraint:
    rest = given.new_zeros(len(given), frames - given.shape[1], given.shape[2])
    return frames_given(torch.cat([given, rest], 1), slice(0, given.shape[1]))
