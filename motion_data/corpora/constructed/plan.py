"""What pair number ``index`` of a seed is (source, tune, style, instrument, dance), and its performance:
arranged, danced, rendered and heard in a room."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from motion_data.corpora.constructed import acoustics, production, sounds, surroundings
from motion_data.corpora.constructed.arrangement import LEAD_SECONDS, MAX_BPM, MIN_BPM, Arrangement, arrange
from motion_data.corpora.constructed.capture import Take, read_takes, split_takes, warp_to_grid
from motion_data.corpora.constructed.dancer import Follows, dance, take_name
from motion_data.corpora.constructed.form import arrangement_labels, beatless_labels
from motion_data.corpora.constructed.music_cues import cues_from_notes
from motion_data.corpora.constructed.responsive import dance_to_music
from motion_data.corpora.constructed.scores import ScoreEntry, Scores, arrange_score, load_score
from motion_data.corpora.constructed.standing import STANDING, stand
from motion_data.corpora.constructed.step_patterns import PATTERNS
from motion_data.corpora.constructed.styles import MELODY, find_styles, split_programs
from motion_data.corpora.constructed.tunes import (
    METRES,
    Tune,
    generate_tune,
    tune_from_record,
    tune_to_record,
)
from motion_data.errors import DataError
from motion_data.files import file_sha256
from motion_data.loading import LoadedPair
from motion_data.motion import Motion
from motion_data.pair import MotionPair
from motion_data.preparation import split_by_hash
from motion_data.soundfont import default_soundfont, make_score, render_score

T = TypeVar("T")

FORMAT = 3
"""Goes up when an old plan would be played otherwise than it was, or cannot be played."""

STAGES = ("plan", "arrangement", "acoustics", "dance", "take", "surroundings", "applause", "cast", "sound")
"""Each has a random stream of its own, so that a change to one leaves the others as they were."""

METRE_SHARES = {
    "4/4": 0.48,
    "3/4": 0.15,
    "6/8": 0.1,
    "2/4": 0.08,
    "12/8": 0.07,
    "5/4": 0.06,
    "7/8": 0.06,
}
"""Of all pairs, where every metre has music at the tempo that was drawn."""

TUNES, BEATLESS = "tunes", "beatless"
"""Sources of pairs beside the styles of scores: tunes arranged here, and sounds without any music."""

GENERATED_TUNE_SHARE = 0.25
"""Pairs that have a made tune although there are others: folk tunes alone are one kind of music."""

GENERATED_TUNES = 400
"""Made tunes of each metre."""

MAX_TAKE_TRIES = 8
"""Takes that are tried on one piece of music before the parametric dancer has to do."""

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
    source: str
    """:data:`TUNES`, :data:`BEATLESS`, or the style of scores that its own is of."""
    tune: Tune | None
    """That is arranged; None with another source."""
    score: ScoreEntry | None
    """That a stretch is cut from; None with another source."""
    style: str
    """Of the accompaniment; what a beatless pair sounds like; of a score the source."""
    bpm: float
    """Tempo of the music; 0 without any."""
    program: int
    """General MIDI program of the tune's melody."""
    dance: str
    """Style of the parametric dancer, its favourite one where it follows the music; empty with captured
    motion."""
    dancer: int
    """Seed of the parametric dancer, which is its take."""
    seconds: float
    soundfont: str | None
    """Its path; None for the default."""
    soundfont_sha256: str
    motion: str | None = None
    """Folder of captured takes; None with the parametric dancer."""
    take: str = ""
    """Name of the captured take; empty until one is chosen."""
    take_sha256: str = ""
    """Of the take's joints."""
    sounds: str | None = None
    """Folder of measured sounds, which are played in place of the soundfont; None for the soundfont alone."""
    sounds_sha256: str = ""
    sources: str = "seen"
    """Which of the measured sounds: one of :data:`~motion_data.corpora.constructed.sounds.SOURCES`."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """Fields of :class:`~motion_data.corpora.constructed.sounds.SoundShares`; others have their defaults."""
    format: int = FORMAT
    follows: Follows = "beats"
    """What the parametric dancer follows; manifests from before there was a choice do not say it."""

    def __post_init__(self) -> None:
        if self.follows not in get_args(Follows):
            raise ValueError(f"follows {self.follows!r}; expected {' or '.join(get_args(Follows))}")

    @property
    def piece(self) -> str:
        """Name of the music."""
        if self.tune is not None:
            return self.tune.piece
        return f"{self.style}:{self.seed}-{self.index}" if self.score is None else self.score.piece

    @property
    def take_name(self) -> str:
        """Name of the dance."""
        return self.take or take_name(self.dance, self.dancer, self.follows)

    @property
    def metre(self) -> int | None:
        """Beats a bar; None without music."""
        return None if self.signature is None else METRES[self.signature][0]

    @property
    def signature(self) -> str | None:
        """Time signature; None without music."""
        music = self.tune or self.score
        return None if music is None else music.signature


def stage_seed(seed: int, index: int, stage: str) -> np.random.SeedSequence:
    """The seed of one stage of one pair, independent of all others."""
    return np.random.SeedSequence(seed, spawn_key=(index, STAGES.index(stage)))


def stage_rng(seed: int, index: int, stage: str) -> np.random.Generator:
    """The random stream of one stage of one pair."""
    return np.random.default_rng(stage_seed(seed, index, stage))


TunePools = Mapping[tuple[str, str], Sequence[Tune]]
"""Tunes by split and time signature."""


def group_tunes(tunes: Sequence[Tune]) -> TunePools:
    """Tunes by split and time signature; the split is dealt by the piece's name and so never changes."""
    pools: dict[tuple[str, str], list[Tune]] = {}
    for tune in tunes:
        pools.setdefault((split_by_hash(tune.piece), tune.signature), []).append(tune)
    return pools


@lru_cache(maxsize=1)
def generated_tune_numbers() -> Mapping[tuple[str, str], Sequence[int]]:
    """Numbers of the made tunes, by split and time signature."""
    pools: dict[tuple[str, str], list[int]] = {}
    for metre in METRES:
        for number in range(GENERATED_TUNES):
            pools.setdefault((split_by_hash(f"made:{metre}-{number}"), metre), []).append(number)
    return pools


@lru_cache(maxsize=16)
def dance_styles(signature: str) -> tuple[str, ...]:
    """The parametric dancer's styles that step on the beats of a metre and on what they are divided into."""
    metre, parts = METRES[signature]
    return tuple(
        name
        for name, pattern in PATTERNS[metre].items()
        if all(abs(step.beat * parts - round(step.beat * parts)) < 1e-6 for step in pattern.steps)
    )


@dataclass(frozen=True)
class Mix:
    """What pairs are made of."""

    shares: Mapping[str, float] = field(default_factory=lambda: {TUNES: 1.0})
    """Of each source."""
    scores: Scores = field(default_factory=dict)


TUNES_ONLY = Mix()


def plan_pair(
    seed: int,
    index: int,
    tunes: TunePools,
    seconds: float,
    soundfont: Path | None,
    mix: Mix = TUNES_ONLY,
    played: Mapping[str, Any] | None = None,
    follows: Follows = "music",
) -> Plan:
    """The plan of one pair, whatever others there are.

    Args:
        seed: of the corpus.
        index: of the pair, from 0.
        tunes: what :func:`group_tunes` gave; made tunes stand in where it has none.
        seconds: length of the pair.
        soundfont: None for the default.
        mix: sources, and scores to choose from; a tune stands in where they have none of the tempo drawn.
        played: the plan's fields from ``sounds`` on; None for the soundfont alone.
        follows: what the parametric dancer dances to.
    """
    rng = stage_rng(seed, index, "plan")
    split = SPLIT_OF[index % len(SPLIT_OF)]
    bpm = float(np.exp(rng.uniform(np.log(MIN_BPM), np.log(MAX_BPM))))
    source = str(rng.choice(list(mix.shares), p=list(mix.shares.values())))
    use_made, pick, of_style, of_program, of_dance = rng.random(5)
    fitting: Mapping[str, Sequence[Any]] = {
        signature: [
            entry
            for entry in mix.scores.get((split, source), ())
            if entry.signature == signature and entry.bpm[0] <= bpm <= entry.bpm[1]
        ]
        for signature in METRE_SHARES
    }
    if source != BEATLESS and not any(fitting.values()):
        source = TUNES
    if source == TUNES:
        fitting = {signature: find_styles(signature, bpm) for signature in METRE_SHARES}
    tune, score, program = None, None, 0
    if source == BEATLESS:
        style, danced, bpm = _pick(surroundings.BEATLESS_SOUNDS, of_style), STANDING, 0.0
    else:
        weights = np.array([METRE_SHARES[metre] * bool(found) for metre, found in fitting.items()])
        signature = str(rng.choice(list(fitting), p=weights / weights.sum()))
        danced = _pick(dance_styles(signature), of_dance)
        if source == TUNES:
            style = _pick(fitting[signature], of_style).name
            known, made = tunes.get((split, signature), ()), generated_tune_numbers()[split, signature]
            if use_made < GENERATED_TUNE_SHARE or not known:
                tune = generate_tune(signature, _pick(made, pick))
            else:
                tune = _pick(known, pick)
            program = _pick(split_programs(split, MELODY), of_program)
        else:
            style, score = source, _pick(fitting[signature], pick)
    return Plan(
        seed,
        index,
        split,
        source,
        tune,
        score,
        style,
        bpm,
        program,
        danced,
        int(stage_seed(seed, index, "dance").generate_state(1, np.uint64)[0] >> np.uint64(1)),
        seconds,
        None if soundfont is None else str(soundfont),
        soundfont_sha256(soundfont or default_soundfont()),
        **(played or {}),
        follows=follows,
    )


def _pick(choices: Sequence[T], share: float) -> T:
    """One of several, by a number in [0, 1)."""
    return choices[int(share * len(choices))]


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
    return {
        **vars(plan),
        "tune": None if plan.tune is None else tune_to_record(plan.tune),
        "score": None if plan.score is None else {**vars(plan.score), "bpm": list(plan.score.bpm)},
    }


def from_provenance(provenance: Mapping[str, Any], place: str) -> Plan:
    """The plan of a manifest's line.

    Raises:
        DataError: it is no plan, or one of another version.
    """
    if "tune" in provenance and (found := provenance.get("format", 1)) != FORMAT:
        raise DataError(
            f"{place}: planned in format {found}, and this version plays format {FORMAT}; prepare the corpus "
            f"again (`motionbeat data prepare constructed OUT`)"
        )
    try:
        tune, score = provenance["tune"], provenance["score"]
        return Plan(
            **{
                **provenance,
                "tune": None if tune is None else tune_from_record(tune),
                "score": None if score is None else ScoreEntry(**{**score, "bpm": tuple(score["bpm"])}),
            }
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{place}: its provenance is no plan of a constructed pair ({error}); prepare again"
        ) from None


def render_pair(pair: MotionPair, folder: str | Path = ".") -> LoadedPair:
    """Play and dance a constructed pair; the same, bit by bit, each time on one machine.

    Args:
        pair: from a manifest; its ``provenance`` holds the plan.
        folder: of that manifest, where scores are.

    Raises:
        DataError: no such plan, or the soundfont, score or captured take it needs is gone or another one.
    """
    plan = from_provenance(pair.provenance, f"pair {pair.name!r}")
    if plan.source == BEATLESS:
        nothing = beatless_labels(plan.style, plan.seconds)
        return LoadedPair(
            pair, torch.from_numpy(make_beatless_audio(plan)), make_standing_motion(plan), None, nothing
        )
    arrangement = make_arrangement(plan, folder)
    if plan.motion is not None and not plan.take:
        plan = choose_take(plan, arrangement)
        pair = replace(pair, take=plan.take_name, provenance=to_provenance(plan))
    motion = make_motion(plan, arrangement)
    sound = torch.from_numpy(make_audio(plan, arrangement))
    return LoadedPair(pair, sound, motion, arrangement.grid, arrangement_labels(arrangement))


def make_arrangement(plan: Plan, folder: str | Path = ".") -> Arrangement:
    """The notes and the grid of a plan with music; no sound yet.

    Its programs are those that are heard.

    Raises:
        DataError: the score cannot be found in the corpus's folder, or is another one.
    """
    arrangement = _arrange_music(plan, folder)
    if plan.sounds is None:
        return arrangement
    casting = sounds.draw_casting(
        arrangement,
        plan.split,
        sounds.read_checked_sounds(plan.sounds, plan.sounds_sha256),
        plan.sources == "unseen",
        sounds.SoundShares(**plan.shares),
        stage_rng(plan.seed, plan.index, "cast"),
    )
    return sounds.apply_casting(arrangement, casting)


def _arrange_music(plan: Plan, folder: str | Path) -> Arrangement:
    rng = stage_rng(plan.seed, plan.index, "arrangement")
    if plan.score is not None:
        score = load_score(Path(folder) / plan.score.path, plan.score.sha256)
        arrangement = arrange_score(score, plan.split, plan.seconds, plan.bpm, rng)
    else:
        assert plan.tune is not None
        arrangement = arrange(plan.tune, plan.style, plan.program, plan.split, plan.seconds, rng, plan.bpm)
    around = surroundings.draw_surroundings(arrangement, stage_rng(plan.seed, plan.index, "surroundings"))
    return surroundings.trim_to_music(arrangement, around)


def make_standing_motion(plan: Plan) -> Motion:
    """The motion of a plan without music."""
    return stand(plan.seconds, np.random.default_rng(plan.dancer), FPS)


def make_motion(plan: Plan, arrangement: Arrangement) -> Motion:
    """The motion of a plan, to its grid or to its notes.

    Raises:
        DataError: the take cannot be found, or does not fit the music.
    """
    rng = np.random.default_rng(plan.dancer)
    if plan.motion is not None:
        return _warp_take(plan, arrangement, rng)
    if plan.follows == "music":
        cues = cues_from_notes(arrangement)
        figures = None if plan.signature is None else dance_styles(plan.signature)
        return dance_to_music(
            arrangement.grid, cues, plan.dance, plan.seconds, arrangement.energy, rng, FPS, figures
        )
    return dance(arrangement.grid, plan.dance, plan.seconds, arrangement.energy, rng, FPS)


def _warp_take(plan: Plan, arrangement: Arrangement, rng: np.random.Generator) -> Motion:
    take = takes_by_name(str(plan.motion)).get(plan.take)
    if take is None or joints_sha256(take) != plan.take_sha256:
        fault = "is not there any more" if take is None else "has changed since the corpus was prepared"
        raise DataError(f"{plan.motion}: the take {plan.take!r} {fault}; prepare the corpus again")
    motion = warp_to_grid(take, arrangement.grid, plan.seconds, rng)
    if motion is None:
        raise DataError(
            f"{plan.motion}: the take {plan.take!r} does not fit the music; prepare the corpus again"
        )
    return motion


def choose_take(plan: Plan, arrangement: Arrangement) -> Plan:
    """The plan with a captured take, where it names a folder of takes and none of them yet.

    It is the first of the takes of the plan's split that fits the music, in an order of the plan's own. Where
    none of :data:`MAX_TAKE_TRIES` does, the parametric dancer dances.

    Raises:
        DataError: no such folder, or no takes in it.
    """
    if plan.motion is None or plan.take:
        return plan
    takes = takes_by_split(plan.motion)[plan.split]
    order = stage_rng(plan.seed, plan.index, "take").permutation(len(takes))
    for take in (takes[number] for number in order[:MAX_TAKE_TRIES]):
        rng = np.random.default_rng(plan.dancer)
        if warp_to_grid(take, arrangement.grid, plan.seconds, rng) is not None:
            return replace(plan, take=take.name, take_sha256=joints_sha256(take), dance="")
    return replace(plan, motion=None)


@lru_cache(maxsize=2)
def takes_by_split(folder: str) -> Mapping[str, Sequence[Take]]:
    """The takes of a folder by split, read once a process.

    Raises:
        DataError: no such folder, or no takes in it.
    """
    return split_takes(list(takes_by_name(folder).values()))


@lru_cache(maxsize=2)
def takes_by_name(folder: str) -> Mapping[str, Take]:
    """The takes of a folder by name, read once a process.

    Raises:
        DataError: no such folder, or no takes in it.
    """
    return {take.name: take for take in read_takes(folder)}


def joints_sha256(take: Take) -> str:
    """Hash of a take's joints."""
    return hashlib.sha256(np.ascontiguousarray(take.joints).tobytes()).hexdigest()


def make_audio(plan: Plan, arrangement: Arrangement) -> NDArray[np.float32]:
    """(T,) the sound of a plan at 16 kHz.

    Raises:
        DataError: a soundfont is gone or another one, or what is rendered is not finite.
    """
    clapping = stage_rng(plan.seed, plan.index, "applause")
    played = surroundings.apply_surroundings(
        _render_recording(plan, arrangement), arrangement.surroundings, clapping
    )
    rng = stage_rng(plan.seed, plan.index, "acoustics")
    heard = acoustics.apply_acoustics(played, acoustics.draw_acoustics(rng), rng)
    if not np.isfinite(heard).all():
        raise DataError(f"pair {plan.index} of seed {plan.seed}: NaN or infinity in its sound; leave it out")
    return heard


def _render_recording(plan: Plan, arrangement: Arrangement) -> NDArray[np.float32]:
    """(T,) the recording that is then heard somewhere, at 16 kHz."""
    if plan.sounds is not None:
        rng = stage_rng(plan.seed, plan.index, "sound")
        known = sounds.read_checked_sounds(plan.sounds, plan.sounds_sha256)
        mix = sounds.render_casting(arrangement, plan.split, known, rng)
        return production.apply_production(
            mix, production.draw_production(sounds.SoundShares(**plan.shares), rng), rng
        )
    soundfont = Path(plan.soundfont) if plan.soundfont is not None else default_soundfont()
    if (found := soundfont_sha256(soundfont)) != plan.soundfont_sha256:
        raise DataError(
            f"{soundfont}: another soundfont than the corpus was prepared with (sha256 {found[:12]}, "
            f"expected {plan.soundfont_sha256[:12]}); put that one back, or prepare the corpus again"
        )
    return render_soundfont(arrangement, soundfont)


def make_beatless_audio(plan: Plan) -> NDArray[np.float32]:
    """(T,) the sound of a plan without music at 16 kHz."""
    sound = surroundings.beatless_sound(
        plan.style, plan.seconds, stage_rng(plan.seed, plan.index, "surroundings")
    )
    if plan.style == "silence":  # acoustics would make it loud
        return sound
    rng = stage_rng(plan.seed, plan.index, "acoustics")
    return acoustics.apply_acoustics(sound, acoustics.draw_acoustics(rng), rng)


def render_soundfont(arrangement: Arrangement, soundfont: Path) -> NDArray[np.float32]:
    """(T,) mono at 16 kHz, as long as the pair: an arrangement played through a soundfont.

    Its notes before 0 s are played as well, so that they sound on into the pair.

    Raises:
        DataError: the soundfont cannot be used, or nothing sounds.
    """
    later = np.array([LEAD_SECONDS, 0, 0, 0])
    score = make_score(
        (part.role, part.program, part.drums, part.notes + later) for part in arrangement.parts
    )
    # Lead and pair are cut exactly: both are whole samples at both rates.
    return render_score(score, soundfont, LEAD_SECONDS, LEAD_SECONDS + arrangement.seconds)
