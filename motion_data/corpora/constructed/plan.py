"""What pair number ``index`` of a seed is (tune, style, instrument, dance), and its performance: arranged,
danced, rendered and heard in a room."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from motion_data.corpora.constructed import acoustics
from motion_data.corpora.constructed.arrangement import LEAD, Arrangement, arrange
from motion_data.corpora.constructed.capture import Take, read_takes, warp_onto
from motion_data.corpora.constructed.dancer import STYLES as DANCES
from motion_data.corpora.constructed.dancer import dance
from motion_data.corpora.constructed.styles import MELODY, programs_of, styles_of
from motion_data.corpora.constructed.tunes import METRES, Tune, from_json, made_tune, to_json
from motion_data.errors import DataError
from motion_data.files import file_sha256
from motion_data.loading import LoadedPair
from motion_data.motion import Motion
from motion_data.pair import MotionPair
from motion_data.preparation import hashed_split
from motion_data.soundfont import default_soundfont, make_score
from motion_data.soundfont import play as play_score

STAGES = ("plan", "arrangement", "acoustics", "dance", "take")
"""Each has a random stream of its own, so that a change to one leaves the others as they were."""

METRE_SHARES = {4: 0.5, 3: 0.25, 2: 0.25}

MADE_SHARE = 0.25
"""Pairs that have a made tune although there are others: folk tunes alone are one kind of music."""

MADE_TUNES = 400
"""Made tunes of each metre."""

FPS = 60.0
"""Frames of motion a second."""

SPLIT_OF = ("train", "train", "train", "train", "dev", "train", "train", "train", "train", "test")
"""The split of a pair by the last digit of its index."""


@dataclass(frozen=True)
class Plan:
    """All that it takes to make a pair again."""

    seed: int
    index: int
    split: str
    tune: Tune
    style: str
    program: int
    """General MIDI program of the melody."""
    dance: str
    """Style of the parametric dancer; empty with captured motion."""
    dancer: int
    """Seed of the parametric dancer, which is its take."""
    seconds: float
    soundfont: str | None
    """Its path; None for the default."""
    soundfont_sha256: str
    motion: str | None = None
    """Folder of the captured take; None with the parametric dancer."""
    take: str = ""
    """Name of the captured take."""
    take_sha256: str = ""
    """Of the take's joints."""


def stage_seed(seed: int, index: int, stage: str) -> np.random.SeedSequence:
    """The seed of one stage of one pair, independent of all others."""
    return np.random.SeedSequence(seed, spawn_key=(index, STAGES.index(stage)))


def stage_rng(seed: int, index: int, stage: str) -> np.random.Generator:
    """The random stream of one stage of one pair."""
    return np.random.default_rng(stage_seed(seed, index, stage))


Pools = Mapping[tuple[str, int], Sequence[Tune]]
"""Tunes by split and metre."""


def pool(tunes: Sequence[Tune]) -> Pools:
    """Tunes by split and metre; the split is dealt by the piece's name and so never changes."""
    pools: dict[tuple[str, int], list[Tune]] = {}
    for tune in tunes:
        pools.setdefault((hashed_split(tune.piece), tune.metre), []).append(tune)
    return pools


@lru_cache(maxsize=1)
def made_pools() -> Mapping[tuple[str, int], Sequence[tuple[int, int]]]:
    """Metre and number of the made tunes, by split and metre."""
    pools: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for metre in METRES:
        for number in range(MADE_TUNES):
            pools.setdefault((hashed_split(f"made:{metre}-{number}"), metre), []).append((metre, number))
    return pools


def plan_pair(seed: int, index: int, tunes: Pools, seconds: float, soundfont: Path | None) -> Plan:
    """The plan of one pair, whatever others there are.

    Args:
        seed: of the corpus.
        index: of the pair, from 0.
        tunes: what :func:`pool` gave; made tunes stand in where it has none.
        seconds: length of the pair.
        soundfont: None for the default.
    """
    rng = stage_rng(seed, index, "plan")
    split = SPLIT_OF[index % len(SPLIT_OF)]
    metre = int(rng.choice(list(METRE_SHARES), p=list(METRE_SHARES.values())))
    known = tunes.get((split, metre), ())
    made = made_pools()[split, metre]
    use_made, pick = rng.random() < MADE_SHARE or not known, rng.random()
    tune = made_tune(*made[int(pick * len(made))]) if use_made else known[int(pick * len(known))]
    styles = styles_of(metre)
    programs = programs_of(split, MELODY)
    return Plan(
        seed,
        index,
        split,
        tune,
        styles[rng.integers(len(styles))].name,
        int(programs[rng.integers(len(programs))]),
        DANCES[metre][rng.integers(len(DANCES[metre]))],
        int(stage_seed(seed, index, "dance").generate_state(1, np.uint64)[0] >> np.uint64(1)),
        seconds,
        None if soundfont is None else str(soundfont),
        soundfont_sha256(soundfont or default_soundfont()),
    )


@lru_cache(maxsize=4)
def soundfont_sha256(soundfont: Path) -> str:
    """Hash of a soundfont's bytes.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return file_sha256(soundfont)
    except OSError as error:
        raise DataError(f"{soundfont}: {error.strerror}; give a soundfont (.sf2) with --soundfont") from None


def to_provenance(plan: Plan) -> dict[str, Any]:
    """The plan as a manifest holds it."""
    return {**vars(plan), "tune": to_json(plan.tune)}


def from_provenance(provenance: Mapping[str, Any], place: str) -> Plan:
    """The plan of a manifest's line.

    Raises:
        DataError: it is no plan.
    """
    try:
        return Plan(**{**provenance, "tune": from_json(provenance["tune"])})
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{place}: its provenance is no plan of a constructed pair ({error}); prepare again"
        ) from None


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
