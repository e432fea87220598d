"""Preparation of a constructed corpus: a manifest of pairs that are planned but not rendered."""

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
from motionbeat_upstream.processes import parallel_map
from motionbeat_upstream.threads import cores

MIN_SECONDS, MAX_SECONDS = 4.0, 120.0
"""Range of the length of a pair."""

SCORES_FOLDER = "scores"
"""Folder of the scores in a prepared corpus."""

DEFAULT_SHARES = {mma.STYLE: 0.25, pieces.STYLE: 0.2}
"""Default shares of pairs from scores, if the source is available."""

TUNE_LICENCES = {
    "music21": "tune in the public domain, as encoded in music21's corpus; arrangement and dance: Apache-2.0",
    "midi": "the MIDI file's own; arrangement and dance: Apache-2.0",
    "made": "Apache-2.0",
}


@dataclass(frozen=True)
class Settings:
    """Settings of a preparation, which its options give."""

    pairs: int
    seed: int
    seconds: float
    tunes: int | None
    """Maximum number of tunes from music21's corpus; None for all."""
    midi: tuple[Path, ...]
    soundfont: Path | None
    motion: Path | None
    """Folder of captured takes; None for the parametric dancer only."""
    mma: str | None = None
    """Path of MMA's program, ``auto`` for the installed one, None to disable it."""
    pieces: tuple[Path, ...] = ()
    """Folders of MIDI files that are used as scores."""
    mix: tuple[tuple[str, float], ...] = ()
    """Shares of sources that are not the default."""
    beatless: float = 0.03
    """Share of pairs without music."""
    soundfonts: Path | None = None
    """Folder of measured sounds, used instead of the soundfont."""
    sources: str = SOURCES[0]
    shares: SoundShares = field(default_factory=SoundShares)
    follows: Follows = "music"
    """What the parametric dancer follows."""

    def played(self) -> dict[str, Any] | None:
        """A plan's fields that select the measured sounds; None without them.

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
    """Plan every pair and write the manifest; return an existing corpus with the same settings.

    Raises:
        DataError: settings are invalid, or a file or program that they name cannot be used.
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
    options: dict[str, Any] = {"format": FORMAT}
    options |= {key: str(value) if value is not None else None for key, value in vars(settings).items()}
    if (out / MARK).is_file():
        try:
            corpus = read_corpus(out)
        except DataError:
            pass  # damaged or of another version: prepare it again
        else:
            same = corpus.info["corpus"] == "constructed" and corpus.info["options"] == options
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
    outcomes = parallel_map(
        _make_indexed_pair,
        range(settings.pairs),
        min(cores(), 8),
        initializer=_set_planner,
        initargs=(planner,),
    )
    pairs = []
    for pair, reason in tqdm(outcomes, desc="prepare constructed", total=settings.pairs, unit="pair"):
        if isinstance(pair, MotionPair):
            pairs.append(pair)
        else:
            left_out[pair] = reason
    write_planner(planner)
    return write_manifest(out, pairs, "constructed", options, left_out)


def source_shares(settings: Settings) -> dict[str, float]:
    """Share of each source: as requested, otherwise :data:`DEFAULT_SHARES`; tunes get the remainder.

    Raises:
        DataError: a source is not available, or the shares exceed 1.
    """
    available = {mma.STYLE: settings.mma is not None, pieces.STYLE: bool(settings.pieces)}
    shares = {source: DEFAULT_SHARES[source] for source, is_available in available.items() if is_available}
    for source, share in settings.mix:
        if not available.get(source):
            expected = ", ".join(f"{name} (with --{name})" for name in available)
            raise DataError(f"--mix {source}: source not available; expected {expected}")
        check_option(f"--mix {source}", share, 0, 1)
        shares[source] = share
    shares[BEATLESS] = settings.beatless
    rest = 1.0 - sum(shares.values())
    if rest < -1e-9:
        raise DataError(f"--mix and --beatless: the shares add up to {1 - rest:g}; expected 1 or less")
    return {TUNES: max(rest, 0.0), **shares}


def prepare_grooves(program: mma.Program, out: Path) -> tuple[list[ScoreEntry], dict[str, str]]:
    """Write the scores of MMA's grooves into the corpus; also the reasons for grooves that are left out."""
    grooves = mma.find_grooves(program)
    scores = parallel_map(
        partial(mma.load_or_play_groove, program, out / SCORES_FOLDER), grooves, min(cores(), 8)
    )
    scores = tqdm(scores, desc="play MMA's grooves", total=len(grooves), unit="groove")
    entries, left_out = [], {}
    for groove, (source, score) in zip(grooves, scores, strict=True):
        if isinstance(score, Score):
            entries.append(_entry(mma.score_path(groove, out / SCORES_FOLDER), score, out))
        else:
            left_out[source] = score
    if not entries:
        raise DataError(
            f"{program.path}: none of {len(grooves)} grooves could be played ({_first_reasons(left_out)})"
        )
    return entries, left_out


def prepare_pieces(folders: Sequence[Path], out: Path) -> tuple[list[ScoreEntry], dict[str, str]]:
    """Write the scores of MIDI files into the corpus; also the reasons for files that are left out."""
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
        raise DataError(f"--pieces: none of {len(left_out)} files can be used ({_first_reasons(left_out)})")
    return entries, left_out


def _first_reasons(left_out: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in list(left_out.items())[:2])


def _entry(path: Path, score: Score, out: Path) -> ScoreEntry:
    return ScoreEntry(
        path.relative_to(out).as_posix(),
        file_sha256(path),
        score.source,
        score.piece,
        score.licence,
        score.signature,
        score.bpm,
    )


def gather_tunes(settings: Settings) -> tuple[list[Tune], dict[str, str]]:
    """Read the tunes of the settings; also the reasons for files that are left out."""
    tunes = read_music21_tunes() if settings.tunes is None or settings.tunes > 0 else []
    count = len(tunes)
    left_out: dict[str, str] = {}
    for folder in settings.midi:
        midi_tunes, unusable = read_midi_tunes(folder)
        tunes = tunes + midi_tunes
        left_out |= unusable
    if tunes:
        # Before the number of tunes is limited, so that the name of a piece does not depend on the limit.
        tunes = unify_piece_names(tunes)
    if settings.tunes is not None:
        tunes = select_tunes(tunes[:count], settings.tunes) + tunes[count:]
    return tunes, left_out


def select_tunes(tunes: Sequence[Tune], count: int) -> list[Tune]:
    """Select at most ``count`` tunes, evenly spaced and if possible equally many of each time signature."""
    selected: list[Tune] = []
    groups = sorted(([tune for tune in tunes if tune.signature == metre] for metre in METRES), key=len)
    for index, group in enumerate(groups):
        size = min(len(group), (count - len(selected)) // (len(groups) - index))
        selected += [group[number * len(group) // size] for number in range(size)]
    return selected


def prepare_takes(folder: Path, target: Path) -> None:
    """Convert a folder of takes to .npz files in ``target``, and delete other .npz files there.

    Raises:
        DataError: the folder is missing or has no takes.
    """
    names = []
    for take in read_takes(folder):
        names.append(f"{take.name}.npz")
        write_motion(target / names[-1], take, None)
    for other in target.glob("*.npz"):
        if other.name not in names:
            other.unlink()


_planner: list[Planner] = []
"""The planner of a worker process, passed once instead of with every pair."""


def _set_planner(planner: Planner) -> None:
    _planner[:] = [planner]


def _make_indexed_pair(index: int) -> tuple[MotionPair | str, str]:
    """A pair and an empty text, or its name and the reason to leave it out."""
    try:
        return make_pair(_planner[0].plan(index), _planner[0].folder), ""
    except DataError as error:
        return pair_name(index), str(error)


def pair_name(index: int) -> str:
    """Name of a pair in its corpus."""
    return f"constructed-{index:06}"


def make_pair(plan: Plan, folder: str | Path = ".") -> MotionPair:
    """Make the pair of a plan, whose corpus lies in ``folder``; this computes its motion but not its sound.

    Raises:
        DataError: the motion cannot be computed.
    """
    if plan.source == BEATLESS:
        motion = make_standing_motion(plan)
        return _pair_from_plan(plan, {**motion_fields(motion, None, NO_BEATS), "grid": NO_BEATS})
    arrangement = make_arrangement(plan, folder)
    plan = choose_take(plan, arrangement)
    return _pair_from_plan(plan, motion_fields(make_motion(plan, arrangement), arrangement.grid, "exact"))


def planned_pair(plan: Plan) -> MotionPair:
    """Make a pair without computing its motion.

    Its ``bpm`` is the drawn tempo, around which the tempo of the music varies. It has no touch-downs, and no
    captured take is chosen yet.
    """
    fields = {"fps": FPS, "joints": JOINTS, "pulses": {}, "grid": "exact"}
    if plan.source == BEATLESS:
        return _pair_from_plan(plan, {**fields, "grid": NO_BEATS})
    return _pair_from_plan(plan, {**fields, "metre": plan.metre, "bpm": plan.bpm})


def _pair_from_plan(plan: Plan, fields: Mapping[str, Any]) -> MotionPair:
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
        **fields,
        provenance=to_provenance(plan),
    )
