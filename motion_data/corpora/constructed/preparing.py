"""The manifest of a constructed corpus: pairs planned, arranged and danced, but not rendered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from motion_data.corpora.constructed.capture import Take, read_takes, warp_onto
from motion_data.corpora.constructed.dancer import take_name
from motion_data.corpora.constructed.plan import (
    Plan,
    Pools,
    joints_sha256,
    move,
    plan_pair,
    play,
    pool,
    stage_rng,
    to_provenance,
)
from motion_data.corpora.constructed.styles import PROGRAMS
from motion_data.corpora.constructed.tunes import METRES, Tune, corpus_tunes, midi_tunes, one_name_a_piece
from motion_data.errors import DataError
from motion_data.manifest import MARK, Corpus, read_corpus, write_manifest
from motion_data.motion_file import write_motion
from motion_data.pair import SPLITS, MotionPair
from motion_data.preparation import check_option, in_processes, motion_facts
from motion_data.soundfont import check_soundfont, default_soundfont, synthesiser
from motionbeat_upstream.threads import cores

SHORTEST, LONGEST = 4.0, 120.0
"""Seconds a pair may last."""

TAKES = "takes"
"""Folder of the captured takes in a prepared corpus."""

MOST_TRIES = 8
"""Takes that are tried on one piece of music before the parametric dancer has to do."""

LICENCE_OF = {
    "music21": "tune in the public domain, as encoded in music21's corpus; arrangement and dance: Apache-2.0",
    "midi": "the MIDI file's own; arrangement and dance: Apache-2.0",
    "made": "Apache-2.0",
}


@dataclass(frozen=True)
class Settings:
    """What a preparation was asked for."""

    pairs: int
    seed: int
    seconds: float
    tunes: int | None
    """Most tunes of music21's corpus; None for all."""
    midi: tuple[Path, ...]
    soundfont: Path | None
    motion: Path | None
    """Folder of captured takes; None for the parametric dancer alone."""


def prepare_corpus(out: Path, settings: Settings) -> Corpus:
    """Plan every pair and write the manifest; a second call with the same settings finds it whole.

    Raises:
        DataError: settings that cannot be, or what they name cannot be used.
    """
    check_option("--pairs", settings.pairs, 1)
    check_option("--seed", settings.seed, 0)
    check_option("--tunes", settings.tunes, 0)
    check_option("--seconds", settings.seconds, SHORTEST, LONGEST)
    synthesiser(settings.soundfont or default_soundfont())
    said = {key: str(value) if value is not None else None for key, value in vars(settings).items()}
    if (out / MARK).is_file():
        try:
            corpus = read_corpus(out)
        except DataError:
            pass  # broken, or of another version: made again
        else:
            if corpus.made["corpus"] == "constructed" and corpus.made["options"] == said:
                return corpus
    if settings.soundfont is not None:
        check_soundfont(settings.soundfont, PROGRAMS)
    tunes, left_out = gather(settings)
    takes = keep_takes(settings.motion, out / TAKES) if settings.motion is not None else {}
    planner = settings, pool(tunes), str((out / TAKES).resolve()), takes
    made = in_processes(
        _make, range(settings.pairs), min(cores(), 8), begin=_begin, arguments=planner, chunk=8
    )
    pairs = []
    for pair, why in tqdm(made, desc="prepare constructed", total=settings.pairs, unit="pair"):
        if isinstance(pair, MotionPair):
            pairs.append(pair)
        else:
            left_out[pair] = why
    return write_manifest(out, pairs, "constructed", said, left_out)


def gather(settings: Settings) -> tuple[list[Tune], dict[str, str]]:
    """The tunes that settings ask for, and what was left out of them, and why."""
    found = corpus_tunes() if settings.tunes is None or settings.tunes > 0 else []
    tunes = list(found)
    left_out: dict[str, str] = {}
    for folder in settings.midi:
        more, unusable = midi_tunes(folder)
        tunes += more
        left_out |= unusable
    if tunes:
        # Before a limit is laid on them, so that a tune's name does not depend on the limit.
        tunes = one_name_a_piece(tunes)
    if settings.tunes is not None:
        tunes = spread(tunes[: len(found)], settings.tunes) + tunes[len(found) :]
    return tunes, left_out


def spread(tunes: Sequence[Tune], count: int) -> list[Tune]:
    """At most ``count`` tunes, of each metre as many as of the others as far as there are, evenly apart."""
    chosen: list[Tune] = []
    by_metre = sorted(([tune for tune in tunes if tune.metre == metre] for metre in METRES), key=len)
    for place, of in enumerate(by_metre):
        share = min(len(of), (count - len(chosen)) // (len(by_metre) - place))
        chosen += [of[number * len(of) // share] for number in range(share)]
    return chosen


def keep_takes(folder: Path, kept: Path) -> dict[str, list[Take]]:
    """Read a folder of takes, write them where they are read fast, and deal them to splits.

    Raises:
        DataError: no such folder, or no take in it.
    """
    takes = read_takes(folder)
    for take in takes:
        write_motion(kept / f"{take.name}.npz", take, None)
    return deal_takes(takes)


def deal_takes(takes: Sequence[Take]) -> dict[str, list[Take]]:
    """Takes by split, 80/10/10 by group, in an order that a hash of the groups' names gives."""
    groups = sorted(
        {take.group or take.name for take in takes}, key=lambda name: sha256(name.encode()).digest()
    )
    held = max(1, round(0.1 * len(groups))) if len(groups) >= len(SPLITS) else 0
    # Train, the first split, has what is left.
    split_of = {name: SPLITS[1 + number // held] for number, name in enumerate(groups[: 2 * held])}
    dealt: dict[str, list[Take]] = {split: [] for split in SPLITS}
    for take in takes:
        dealt[split_of.get(take.group or take.name, SPLITS[0])].append(take)
    return dealt


_planner: list[tuple[Settings, Pools, str, Mapping[str, Sequence[Take]]]] = []
"""Settings, tunes, folder of the takes, and takes by split: handed to a process once, not with every pair."""


def _begin(*planner: Any) -> None:
    _planner[:] = [planner]


def _make(index: int) -> tuple[MotionPair | str, str]:
    """A pair, or its name and why there is none."""
    settings, tunes, folder, takes = _planner[0]
    plan = plan_pair(settings.seed, index, tunes, settings.seconds, settings.soundfont)
    try:
        return make_pair(plan, folder, takes.get(plan.split, ())), ""
    except DataError as error:
        return pair_name(index), str(error)


def pair_name(index: int) -> str:
    """Name of a pair in its corpus."""
    return f"constructed-{index:06}"


def make_pair(plan: Plan, folder: str = "", takes: Sequence[Take] = ()) -> MotionPair:
    """The manifest's line of a plan: all but the sound is made for it.

    Of ``takes``, which lie in ``folder`` and belong to the plan's split, one that fits the music replaces the
    parametric dancer.

    Raises:
        DataError: the motion cannot be made.
    """
    arrangement = play(plan)
    order = stage_rng(plan.seed, plan.index, "take").permutation(len(takes))
    for number in order[:MOST_TRIES]:
        rng = np.random.default_rng(plan.dancer)
        if warp_onto(takes[number], arrangement.grid, plan.seconds, rng) is not None:
            take = takes[number]
            plan = replace(plan, motion=folder, take=take.name, take_sha256=joints_sha256(take), dance="")
            break
    motion = move(plan, arrangement)
    licence = LICENCE_OF[plan.tune.source.split(":")[0]]
    return MotionPair(
        name=pair_name(plan.index),
        corpus="constructed",
        piece=plan.tune.piece,
        take=plan.take or take_name(plan.dance, plan.dancer),
        split=plan.split,
        licence=f"{licence}; the captured motion's own" if plan.take else licence,
        seconds=plan.seconds,
        **motion_facts(motion, arrangement.grid, "exact"),
        provenance=to_provenance(plan),
    )
