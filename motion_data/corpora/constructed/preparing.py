"""The manifest of a constructed corpus: pairs planned, arranged and danced, but not rendered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from tqdm import tqdm

from motion_data.corpora.constructed import mma, pieces
from motion_data.corpora.constructed.capture import read_takes
from motion_data.corpora.constructed.dancer import Follows
from motion_data.corpora.constructed.plan import (
    BEATLESS,
    FORMAT,
    FPS,
    TUNES,
    Plan,
    choose_take,
    make_arrangement,
    make_motion,
    make_standing_motion,
    to_provenance,
)
from motion_data.corpora.constructed.planner import PLANNER_FILE, TAKES_FOLDER, Planner, write_planner
from motion_data.corpora.constructed.scores import Score, ScoreEntry, write_score
from motion_data.corpora.constructed.sounds import SOURCES, SoundShares, as_settings, sounds_sha256
from motion_data.corpora.constructed.styles import PROGRAMS
from motion_data.corpora.constructed.tunes import (
    METRES,
    Tune,
    read_midi_tunes,
    read_music21_tunes,
    unify_piece_names,
)
from motion_data.errors import DataError
from motion_data.files import file_sha256
from motion_data.manifest import MARK, Corpus, read_corpus, write_manifest
from motion_data.measured_sounds import read_measured_sounds
from motion_data.motion_file import write_motion
from motion_data.pair import NO_BEATS, MotionPair
from motion_data.preparation import check_option, motion_fields
from motion_data.skeleton import JOINTS
from motion_data.soundfont import check_soundfont, default_soundfont, make_synthesiser
from motionbeat_upstream.processes import in_processes
from motionbeat_upstream.threads import cores

MIN_SECONDS, MAX_SECONDS = 4.0, 120.0
"""Seconds a pair may last."""

SCORES_FOLDER = "scores"
"""Folder of the scores in a prepared corpus."""

DEFAULT_SHARES = {mma.STYLE: 0.25, pieces.STYLE: 0.2}
"""Of pairs from scores, where there are any and nothing else is asked for."""

TUNE_LICENCES = {
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
    mma: str | None = None
    """Path of MMA's program, ``auto`` for the one that is installed, None for none."""
    pieces: tuple[Path, ...] = ()
    """Folders of MIDI files that are played as they are."""
    mix: tuple[tuple[str, float], ...] = ()
    """Shares of sources that are not the default."""
    beatless: float = 0.03
    """Share of pairs without music."""
    soundfonts: Path | None = None
    """Folder of measured sounds to play in place of the soundfont."""
    sources: str = SOURCES[0]
    shares: SoundShares = field(default_factory=SoundShares)
    follows: Follows = "music"
    """What the parametric dancer dances to."""

    def played(self) -> dict[str, Any] | None:
        """The fields of a plan that say through which of the measured sounds it is played; None without them.

        Raises:
            DataError: the folder cannot be used.
        """
        if self.soundfonts is None:
            return None
        return {
            "sounds": str(self.soundfonts),
            "sounds_sha256": sounds_sha256(self.soundfonts),
            "sources": self.sources,
            "shares": as_settings(self.shares),
        }


def prepare_corpus(out: Path, settings: Settings) -> Corpus:
    """Plan every pair and write the manifest; a second call with the same settings finds it whole.

    Raises:
        DataError: settings that cannot be, or what they name cannot be used.
    """
    check_option("--pairs", settings.pairs, 1)
    check_option("--seed", settings.seed, 0)
    check_option("--tunes", settings.tunes, 0)
    check_option("--seconds", settings.seconds, MIN_SECONDS, MAX_SECONDS)
    check_option("--beatless", settings.beatless, 0, 0.5)
    shares = source_shares(settings)
    program = mma.find_program(settings.mma) if settings.mma is not None else None
    make_synthesiser(settings.soundfont or default_soundfont())
    if settings.soundfonts is not None:
        read_measured_sounds(settings.soundfonts)
    said: dict[str, Any] = {"format": FORMAT}
    said |= {key: str(value) if value is not None else None for key, value in vars(settings).items()}
    if (out / MARK).is_file():
        try:
            corpus = read_corpus(out)
        except DataError:
            pass  # broken, or of another version: made again
        else:
            same = corpus.info["corpus"] == "constructed" and corpus.info["options"] == said
            if same and (out / PLANNER_FILE).is_file():
                return corpus
    if settings.soundfont is not None:
        check_soundfont(settings.soundfont, PROGRAMS)
    tunes, left_out = gather_tunes(settings)
    if settings.motion is not None:
        prepare_takes(settings.motion, out / TAKES_FOLDER)
    entries: dict[str, list[ScoreEntry]] = {}
    if program is not None:
        entries[mma.STYLE], unusable = prepare_grooves(program, out)
        left_out |= unusable
    if settings.pieces:
        entries[pieces.STYLE], unusable = prepare_pieces(settings.pieces, out)
        left_out |= unusable
    planner = Planner(
        out,
        settings.seed,
        settings.seconds,
        settings.soundfont,
        tunes,
        shares,
        entries,
        settings.motion is not None,
        settings.played(),
        settings.follows,
    )
    made = in_processes(
        _make_indexed_pair, range(settings.pairs), min(cores(), 8), begin=_set_planner, arguments=(planner,)
    )
    pairs = []
    for pair, why in tqdm(made, desc="prepare constructed", total=settings.pairs, unit="pair"):
        if isinstance(pair, MotionPair):
            pairs.append(pair)
        else:
            left_out[pair] = why
    write_planner(planner)
    return write_manifest(out, pairs, "constructed", said, left_out)


def source_shares(settings: Settings) -> dict[str, float]:
    """Share of each source: as requested, otherwise :data:`DEFAULT_SHARES`; tunes get the remainder.

    Raises:
        DataError: a source that is not there, or shares that leave less than nothing for tunes.
    """
    there = {mma.STYLE: settings.mma is not None, pieces.STYLE: bool(settings.pieces)}
    wanted = {source: DEFAULT_SHARES[source] for source, given in there.items() if given}
    for source, share in settings.mix:
        if not there.get(source):
            known = ", ".join(f"{name} (with --{name})" for name in there)
            raise DataError(f"--mix {source}: no such source here; expected {known}")
        check_option(f"--mix {source}", share, 0, 1)
        wanted[source] = share
    wanted[BEATLESS] = settings.beatless
    rest = 1.0 - sum(wanted.values())
    if rest < -1e-9:
        raise DataError(f"--mix and --beatless: shares of {1 - rest:g} together; expected 1 or less")
    return {TUNES: max(rest, 0.0), **wanted}


def prepare_grooves(program: mma.Program, out: Path) -> tuple[list[ScoreEntry], dict[str, str]]:
    """The scores of MMA's grooves, kept in the corpus, and what was left out and why."""
    grooves = mma.find_grooves(program)
    made = in_processes(
        partial(mma.load_or_play_groove, program, out / SCORES_FOLDER), grooves, min(cores(), 8)
    )
    entries, left_out = [], {}
    for groove, (source, score) in zip(
        grooves, tqdm(made, desc="play MMA's grooves", total=len(grooves), unit="groove"), strict=True
    ):
        if isinstance(score, Score):
            entries.append(_entry(mma.score_path(groove, out / SCORES_FOLDER), score, out))
        else:
            left_out[source] = score
    if not entries:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(left_out.items())[:2])
        raise DataError(f"{program.path}: not one of {len(grooves)} grooves could be played ({reasons})")
    return entries, left_out


def prepare_pieces(folders: Sequence[Path], out: Path) -> tuple[list[ScoreEntry], dict[str, str]]:
    """The scores of folders of MIDI files, kept in the corpus, and what was left out and why."""
    entries: list[ScoreEntry] = []
    left_out: dict[str, str] = {}
    for folder in folders:
        scores, unusable = pieces.read_pieces(folder)
        left_out |= unusable
        for score in scores:
            path = out / SCORES_FOLDER / f"pieces-{sha256(score.source.encode()).hexdigest()[:16]}.npz"
            write_score(path, score)
            entries.append(_entry(path, score, out))
    if not entries:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(left_out.items())[:2])
        raise DataError(f"--pieces: no piece of {len(left_out)} files can be used ({reasons})")
    return entries, left_out


def _entry(path: Path, score: Score, out: Path) -> ScoreEntry:
    place = path.relative_to(out).as_posix()
    return ScoreEntry(
        place, file_sha256(path), score.source, score.piece, score.licence, score.signature, score.bpm
    )


def gather_tunes(settings: Settings) -> tuple[list[Tune], dict[str, str]]:
    """The tunes that settings ask for, and what was left out of them, and why."""
    found = read_music21_tunes() if settings.tunes is None or settings.tunes > 0 else []
    tunes = list(found)
    left_out: dict[str, str] = {}
    for folder in settings.midi:
        more, unusable = read_midi_tunes(folder)
        tunes += more
        left_out |= unusable
    if tunes:
        # Before a limit is laid on them, so that a tune's name does not depend on the limit.
        tunes = unify_piece_names(tunes)
    if settings.tunes is not None:
        tunes = select_tunes(tunes[: len(found)], settings.tunes) + tunes[len(found) :]
    return tunes, left_out


def select_tunes(tunes: Sequence[Tune], count: int) -> list[Tune]:
    """At most ``count`` tunes, of each metre as many as of the others as far as there are, evenly apart."""
    chosen: list[Tune] = []
    by_metre = sorted(([tune for tune in tunes if tune.signature == metre] for metre in METRES), key=len)
    for place, of in enumerate(by_metre):
        share = min(len(of), (count - len(chosen)) // (len(by_metre) - place))
        chosen += [of[number * len(of) // share] for number in range(share)]
    return chosen


def prepare_takes(folder: Path, kept: Path) -> None:
    """Read a folder of takes, and write them where they are read fast, with no others beside them.

    Raises:
        DataError: no such folder, or no take in it.
    """
    names = []
    for take in read_takes(folder):
        names.append(f"{take.name}.npz")
        write_motion(kept / names[-1], take, None)
    for other in kept.glob("*.npz"):
        if other.name not in names:
            other.unlink()


_planner: list[Planner] = []
"""Handed to a process once, not with every pair."""


def _set_planner(planner: Planner) -> None:
    _planner[:] = [planner]


def _make_indexed_pair(index: int) -> tuple[MotionPair | str, str]:
    """A pair, or its name and why there is none."""
    try:
        return make_pair(_planner[0].plan(index), _planner[0].folder), ""
    except DataError as error:
        return pair_name(index), str(error)


def pair_name(index: int) -> str:
    """Name of a pair in its corpus."""
    return f"constructed-{index:06}"


def make_pair(plan: Plan, folder: str | Path = ".") -> MotionPair:
    """The manifest's line of a plan, whose corpus lies in ``folder``: all but the sound is made for it.

    Raises:
        DataError: the motion cannot be made.
    """
    if plan.source == BEATLESS:
        still = make_standing_motion(plan)
        return _pair_from_plan(plan, {**motion_fields(still, None, NO_BEATS), "grid": NO_BEATS})
    arrangement = make_arrangement(plan, folder)
    plan = choose_take(plan, arrangement)
    return _pair_from_plan(plan, motion_fields(make_motion(plan, arrangement), arrangement.grid, "exact"))


def planned_pair(plan: Plan) -> MotionPair:
    """What is known of a pair before it is arranged and danced.

    Its ``bpm`` is the tempo that was drawn, about which the music may wander. No touch-downs are told, and of
    captured motion the take is not known yet.
    """
    facts = {"fps": FPS, "joints": JOINTS, "pulses": {}, "grid": "exact"}
    if plan.source == BEATLESS:
        return _pair_from_plan(plan, {**facts, "grid": NO_BEATS})
    return _pair_from_plan(plan, {**facts, "metre": plan.metre, "bpm": plan.bpm})


def _pair_from_plan(plan: Plan, facts: Mapping[str, Any]) -> MotionPair:
    licence = TUNE_LICENCES["made"] if plan.score is None else plan.score.licence
    if plan.tune is not None:
        licence = TUNE_LICENCES[plan.tune.source.split(":")[0]]
    return MotionPair(
        name=pair_name(plan.index),
        corpus="constructed",
        piece=plan.piece,
        take=plan.take_name,
        split=plan.split,
        licence=f"{licence}; the captured motion's own" if plan.motion is not None else licence,
        seconds=plan.seconds,
        **facts,
        provenance=to_provenance(plan),
    )
