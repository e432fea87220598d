"""A planned pair performed: arranged, danced, rendered and heard in a room."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from motion_data.corpora.constructed import acoustics
from motion_data.corpora.constructed.arrangement import LEAD, Arrangement, arrange
from motion_data.corpora.constructed.capture import Take, read_takes, warp_onto
from motion_data.corpora.constructed.dancer import dance
from motion_data.corpora.constructed.plan import Plan, from_provenance, soundfont_sha256, stage_rng
from motion_data.errors import DataError
from motion_data.loading import LoadedPair
from motion_data.motion import Motion
from motion_data.pair import MotionPair
from motion_data.soundfont import default_soundfont, make_score
from motion_data.soundfont import play as play_score

FPS = 60.0
"""Frames of motion a second."""


def perform(pair: MotionPair) -> LoadedPair:
    """Play and dance a constructed pair; the same, bit by bit, each time on one machine.

    Args:
        pair: from a manifest; its ``provenance`` holds the plan.

    Raises:
        DataError: no such plan, or the soundfont or the captured take it needs is gone or another one.
    """
    plan = from_provenance(pair.provenance, f"pair {pair.name!r}")
    arrangement = play(plan)
    motion = move(plan, arrangement)
    return LoadedPair(pair, torch.from_numpy(hear(plan, arrangement)), motion, arrangement.grid)


def play(plan: Plan) -> Arrangement:
    """The notes and the grid of a plan; no sound yet."""
    rng = stage_rng(plan.seed, plan.index, "arrangement")
    return arrange(plan.tune, plan.style, plan.program, plan.split, plan.seconds, rng)


def move(plan: Plan, arrangement: Arrangement) -> Motion:
    """The motion of a plan, to its grid.

    Raises:
        DataError: the take cannot be found, or does not fit the music.
    """
    rng = np.random.default_rng(plan.dancer)
    if plan.motion is not None:
        return _warped(plan, arrangement, rng)
    return dance(arrangement.grid, plan.dance, plan.seconds, arrangement.energy, rng, FPS)


def _warped(plan: Plan, arrangement: Arrangement, rng: np.random.Generator) -> Motion:
    take = takes_of(str(plan.motion)).get(plan.take)
    if take is None or joints_sha256(take) != plan.take_sha256:
        fault = "is not there any more" if take is None else "has changed since the corpus was prepared"
        raise DataError(f"{plan.motion}: the take {plan.take!r} {fault}; prepare the corpus again")
    motion = warp_onto(take, arrangement.grid, plan.seconds, rng)
    if motion is None:
        raise DataError(
            f"{plan.motion}: the take {plan.take!r} does not fit the music; prepare the corpus again"
        )
    return motion


@lru_cache(maxsize=2)
def takes_of(folder: str) -> Mapping[str, Take]:
    """The takes of a folder by name, read once a process.

    Raises:
        DataError: no such folder, or no takes in it.
    """
    return {take.name: take for take in read_takes(folder)}


def joints_sha256(take: Take) -> str:
    """Hash of a take's joints."""
    return hashlib.sha256(np.ascontiguousarray(take.joints).tobytes()).hexdigest()


def hear(plan: Plan, arrangement: Arrangement) -> NDArray[np.float32]:
    """(T,) the sound of a plan at 16 kHz.

    Raises:
        DataError: the soundfont is gone or another one.
    """
    soundfont = Path(plan.soundfont) if plan.soundfont is not None else default_soundfont()
    if (found := soundfont_sha256(soundfont)) != plan.soundfont_sha256:
        raise DataError(
            f"{soundfont}: another soundfont than the corpus was prepared with (sha256 {found[:12]}, "
            f"expected {plan.soundfont_sha256[:12]}); put that one back, or prepare the corpus again"
        )
    rng = stage_rng(plan.seed, plan.index, "acoustics")
    return acoustics.apply(render(arrangement, soundfont), acoustics.draw(rng), rng)


def render(arrangement: Arrangement, soundfont: Path) -> NDArray[np.float32]:
    """(T,) mono at 16 kHz, as long as the pair: an arrangement played through a soundfont.

    Its notes before 0 s are played as well, so that they sound on into the pair.

    Raises:
        DataError: the soundfont cannot be used, or nothing sounds.
    """
    later = np.array([LEAD, 0, 0, 0])
    score = make_score(
        (part.role, part.program, part.drums, part.notes + later) for part in arrangement.parts
    )
    # Lead and pair are cut exactly: both are whole samples at both rates.
    return play_score(score, soundfont, LEAD, LEAD + arrangement.seconds)
