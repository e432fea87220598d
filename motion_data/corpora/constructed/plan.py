"""What pair number ``index`` of a seed is: its tune, style, instrument and dance. No sound, no motion yet."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from motion_data.corpora.constructed.dancer import STYLES as DANCES
from motion_data.corpora.constructed.styles import MELODY, programs_of, styles_of
from motion_data.corpora.constructed.tunes import METRES, Tune, from_json, made_tune, to_json
from motion_data.errors import DataError
from motion_data.preparation import hashed_split
from motion_data.soundfont import default_soundfont

STAGES = ("plan", "arrangement", "acoustics", "dance", "take")
"""Each has a random stream of its own, so that a change to one leaves the others as they were."""

METRE_SHARES = {4: 0.5, 3: 0.25, 2: 0.25}

MADE_SHARE = 0.25
"""Pairs that have a made tune although there are others: folk tunes alone are one kind of music."""

MADE_TUNES = 400
"""Made tunes of each metre."""

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
        with soundfont.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
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
