"""Plan of each pair of a constructed corpus (source, tune, style, instruments, dance), and its rendering."""

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
"""Version of plans; a change means that old plans cannot be rendered, or only differently."""

STAGES = ("plan", "arrangement", "acoustics", "dance", "take", "surroundings", "applause", "cast", "sound")
"""Each stage has its own random stream, so that a change to one does not affect the others."""

METRE_SHARES = {
    "4/4": 0.48,
    "3/4": 0.15,
    "6/8": 0.1,
    "2/4": 0.08,
    "12/8": 0.07,
    "5/4": 0.06,
    "7/8": 0.06,
}
"""Shares of pairs if every metre has music at the drawn tempo."""

TUNES, BEATLESS = "tunes", "beatless"
"""Sources of pairs besides scores: tunes arranged here, and sounds without music."""

GENERATED_TUNE_SHARE = 0.25
"""Share of pairs with a generated tune even if there are others, for variety."""

GENERATED_TUNES = 400
"""Generated tunes per time signature."""

MAX_TAKE_TRIES = 8
"""Takes that are tried with the music of a pair before the parametric dancer is used."""

FPS = 60.0
"""Frames of motion per second."""

SPLIT_OF = ("train", "train", "train", "train", "dev", "train", "train", "train", "train", "test")
"""Split of a pair by the last digit of its index."""


@dataclass(frozen=True)
class Plan:
    """Everything that determines a pair; its fields are the pair's provenance in the manifest."""

    seed: int
    index: int
    split: str
    source: str
    """:data:`TUNES`, :data:`BEATLESS`, or the style of a score."""
    tune: Tune | None
    """Tune to arrange; None for other sources."""
    score: ScoreEntry | None
    """Score to take an excerpt from; None for other sources."""
    style: str
    """Accompaniment style; kind of sound of a beatless pair; source of a score."""
    bpm: float
    """Tempo; 0 without music."""
    program: int
    """General MIDI program of the tune's melody."""
    dance: str
    """Style of the parametric dancer (the favourite one, if it follows music); empty for captured motion."""
    dancer: int
    """Seed of the parametric dancer."""
    seconds: float
    soundfont: str | None
    """Path; None for the default."""
    soundfont_sha256: str
    motion: str | None = None
    """Folder of captured takes; None for the parametric dancer."""
    take: str = ""
    """Name of the captured take; empty until one is chosen."""
    take_sha256: str = ""
    """Hash of the take's joints."""
    sounds: str | None = None
    """Folder of measured sounds, used instead of the soundfont; None for the soundfont."""
    sounds_sha256: str = ""
    sources: str = "seen"
    """One of :data:`~motion_data.corpora.constructed.sounds.SOURCES`."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """Fields of :class:`~motion_data.corpora.constructed.sounds.SoundShares` that are not the default."""
    format: int = FORMAT
    follows: Follows = "beats"
    """What the parametric dancer follows; absent in old manifests."""

    def __post_init__(self) -> None:
        if self.follows not in get_args(Follows):
            raise ValueError(f"follows {self.follows!r}; expected {' or '.join(get_args(Follows))}")

    @property
    def piece(self) -> str:
        """Name of the piece."""
        if self.tune is not None:
            return self.tune.piece
        return f"{self.style}:{self.seed}-{self.index}" if self.score is None else self.score.piece

    @property
    def take_name(self) -> str:
        """Name of the take."""
        return self.take or take_name(self.dance, self.dancer, self.follows)

    @property
    def metre(self) -> int | None:
        """Beats per bar; None without music."""
        return None if self.signature is None else METRES[self.signature][0]

    @property
    def signature(self) -> str | None:
        """Time signature; None without music."""
        music = self.tune or self.score
        return None if music is None else music.signature


def stage_seed(seed: int, index: int, stage: str) -> np.random.SeedSequence:
    """Seed of one stage of a pair."""
    return np.random.SeedSequence(seed, spawn_key=(index, STAGES.index(stage)))


def stage_rng(seed: int, index: int, stage: str) -> np.random.Generator:
    """Random generator of one stage of a pair."""
    return np.random.default_rng(stage_seed(seed, index, stage))


TunePools = Mapping[tuple[str, str], Sequence[Tune]]
"""Tunes by split and time signature."""


def group_tunes(tunes: Sequence[Tune]) -> TunePools:
    """Group tunes by split and time signature; the split depends only on the name of the piece."""
    pools: dict[tuple[str, str], list[Tune]] = {}
    for tune in tunes:
        pools.setdefault((split_by_hash(tune.piece), tune.signature), []).append(tune)
    return pools


@lru_cache(maxsize=1)
def generated_tune_numbers() -> Mapping[tuple[str, str], Sequence[int]]:
    """Numbers of the generated tunes by split and time signature."""
    pools: dict[tuple[str, str], list[int]] = {}
    for metre in METRES:
        for number in range(GENERATED_TUNES):
            pools.setdefault((split_by_hash(f"made:{metre}-{number}"), metre), []).append(number)
    return pools


@lru_cache(maxsize=16)
def dance_styles(signature: str) -> tuple[str, ...]:
    """Styles of the parametric dancer whose steps fall on beats of a metre or on their subdivisions."""
    metre, parts = METRES[signature]
    return tuple(
        name
        for name, pattern in PATTERNS[metre].items()
        if all(abs(step.beat * parts - round(step.beat * parts)) < 1e-6 for step in pattern.steps)
    )


@dataclass(frozen=True)
class Mix:
    """Sources of pairs."""

    shares: Mapping[str, float] = field(default_factory=lambda: {TUNES: 1.0})
    """Share of each source."""
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
    """Plan one pair, independently of all others.

    Args:
        seed: of the corpus.
        index: of the pair, from 0.
        tunes: from :func:`group_tunes`; generated tunes are used where it has none.
        seconds: length of the pair.
        soundfont: None for the default.
        mix: sources and scores; a tune is used if no score has the drawn tempo.
        played: the plan's fields from ``sounds`` on; None for the soundfont.
        follows: what the parametric dancer follows.
    """
    rng = stage_rng(seed, index, "plan")
    split = SPLIT_OF[index % len(SPLIT_OF)]
    bpm = float(np.exp(rng.uniform(np.log(MIN_BPM), np.log(MAX_BPM))))
    source = str(rng.choice(list(mix.shares), p=list(mix.shares.values())))
    generated_draw, music_draw, style_draw, program_draw, dance_draw = rng.random(5)
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
        style, dance_style, bpm = _pick(surroundings.BEATLESS_SOUNDS, style_draw), STANDING, 0.0
    else:
        weights = np.array([METRE_SHARES[metre] * bool(music) for metre, music in fitting.items()])
        signature = str(rng.choice(list(fitting), p=weights / weights.sum()))
        dance_style = _pick(dance_styles(signature), dance_draw)
        if source == TUNES:
            style = _pick(fitting[signature], style_draw).name
            given_tunes = tunes.get((split, signature), ())
            if generated_draw < GENERATED_TUNE_SHARE or not given_tunes:
                number = _pick(generated_tune_numbers()[split, signature], music_draw)
                tune = generate_tune(signature, number)
            else:
                tune = _pick(given_tunes, music_draw)
            program = _pick(split_programs(split, MELODY), program_draw)
        else:
            style, score = source, _pick(fitting[signature], music_draw)
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
        dance_style,
        int(stage_seed(seed, index, "dance").generate_state(1, np.uint64)[0] >> np.uint64(1)),
        seconds,
        None if soundfont is None else str(soundfont),
        soundfont_sha256(soundfont or default_soundfont()),
        **(played or {}),
        follows=follows,
    )


def _pick(choices: Sequence[T], share: float) -> T:
    """Element at a share in [0, 1) of a sequence."""
    return choices[int(share * len(choices))]


@lru_cache(maxsize=4)
def soundfont_sha256(soundfont: Path) -> str:
    """SHA-256 of a soundfont.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return file_sha256(soundfont)
    except OSError as error:
        raise DataError(f"{soundfont}: {error.strerror}; give a soundfont (.sf2) with --soundfont") from None


def to_provenance(plan: Plan) -> dict[str, Any]:
    """Plan as a pair's provenance."""
    return {
        **vars(plan),
        "tune": None if plan.tune is None else tune_to_record(plan.tune),
        "score": None if plan.score is None else {**vars(plan.score), "bpm": list(plan.score.bpm)},
    }


def from_provenance(provenance: Mapping[str, Any], place: str) -> Plan:
    """Read a plan from a pair's provenance; ``place`` names the pair in messages.

    Raises:
        DataError: the provenance is not a plan, or has another format version.
    """
    if "tune" in provenance and (version := provenance.get("format", 1)) != FORMAT:
        raise DataError(
            f"{place}: its plan has format {version}; expected format {FORMAT}: prepare the corpus again "
            f"(`motionbeat data prepare constructed OUT`)"
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
            f"{place}: its provenance is not a plan of a constructed pair ({error}); prepare the corpus again"
        ) from None


def render_pair(pair: MotionPair, folder: str | Path = ".") -> LoadedPair:
    """Render sound and motion of a constructed pair; bit-identical each time on one machine.

    Args:
        pair: from a manifest, with a plan as its ``provenance``.
        folder: of the manifest, which contains the scores.

    Raises:
        DataError: the plan is invalid, or its soundfont, score or captured take is missing or has changed.
    """
    plan = from_provenance(pair.provenance, f"pair {pair.name!r}")
    if plan.source == BEATLESS:
        wav = torch.from_numpy(make_beatless_audio(plan))
        return LoadedPair(
            pair, wav, make_standing_motion(plan), None, beatless_labels(plan.style, plan.seconds)
        )
    arrangement = make_arrangement(plan, folder)
    if plan.motion is not None and not plan.take:
        plan = choose_take(plan, arrangement)
        pair = replace(pair, take=plan.take_name, provenance=to_provenance(plan))
    motion = make_motion(plan, arrangement)
    sound = torch.from_numpy(make_audio(plan, arrangement))
    return LoadedPair(pair, sound, motion, arrangement.grid, arrangement_labels(arrangement))


def make_arrangement(plan: Plan, folder: str | Path = ".") -> Arrangement:
    """Notes, with the programs that sound, and grid of a plan with music.

    Raises:
        DataError: the score is missing in the corpus's folder or has changed.
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
    """Motion of a plan without music."""
    return stand(plan.seconds, np.random.default_rng(plan.dancer), FPS)


def make_motion(plan: Plan, arrangement: Arrangement) -> Motion:
    """Motion of a plan with music.

    Raises:
        DataError: the captured take is missing or does not fit the music.
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
        problem = "is missing" if take is None else "has changed since the corpus was prepared"
        raise DataError(f"{plan.motion}: the take {plan.take!r} {problem}; prepare the corpus again")
    motion = warp_to_grid(take, arrangement.grid, plan.seconds, rng)
    if motion is None:
        raise DataError(
            f"{plan.motion}: the take {plan.take!r} does not fit the music; prepare the corpus again"
        )
    return motion


def choose_take(plan: Plan, arrangement: Arrangement) -> Plan:
    """Choose a captured take for a plan that has a folder of takes but no take yet.

    The takes of the plan's split are tried in random order. If none of :data:`MAX_TAKE_TRIES` fits the music,
    the parametric dancer is used.

    Raises:
        DataError: the folder is missing or has no takes.
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
    """Takes of a folder by split, cached.

    Raises:
        DataError: the folder is missing or has no takes.
    """
    return split_takes(list(takes_by_name(folder).values()))


@lru_cache(maxsize=2)
def takes_by_name(folder: str) -> Mapping[str, Take]:
    """Takes of a folder by name, cached.

    Raises:
        DataError: the folder is missing or has no takes.
    """
    return {take.name: take for take in read_takes(folder)}


def joints_sha256(take: Take) -> str:
    """SHA-256 of a take's joints."""
    return hashlib.sha256(np.ascontiguousarray(take.joints).tobytes()).hexdigest()


def make_audio(plan: Plan, arrangement: Arrangement) -> NDArray[np.float32]:
    """(T,) sound of a plan at 16 kHz.

    Raises:
        DataError: a soundfont is missing or has changed, or the sound is not finite.
    """
    recording = surroundings.apply_surroundings(
        _render_recording(plan, arrangement),
        arrangement.surroundings,
        stage_rng(plan.seed, plan.index, "applause"),
    )
    rng = stage_rng(plan.seed, plan.index, "acoustics")
    audio = acoustics.apply_acoustics(recording, acoustics.draw_acoustics(rng), rng)
    if not np.isfinite(audio).all():
        raise DataError(f"pair {plan.index} of seed {plan.seed}: NaN or infinity in its sound; leave it out")
    return audio


def _render_recording(plan: Plan, arrangement: Arrangement) -> NDArray[np.float32]:
    """(T,) sound at 16 kHz before surroundings and acoustics are applied."""
    if plan.sounds is not None:
        rng = stage_rng(plan.seed, plan.index, "sound")
        measured = sounds.read_checked_sounds(plan.sounds, plan.sounds_sha256)
        mix = sounds.render_casting(arrangement, plan.split, measured, rng)
        return production.apply_production(
            mix, production.draw_production(sounds.SoundShares(**plan.shares), rng), rng
        )
    soundfont = Path(plan.soundfont) if plan.soundfont is not None else default_soundfont()
    if (digest := soundfont_sha256(soundfont)) != plan.soundfont_sha256:
        raise DataError(
            f"{soundfont}: not the soundfont that the corpus was prepared with (sha256 {digest[:12]}, "
            f"expected {plan.soundfont_sha256[:12]}); restore it, or prepare the corpus again"
        )
    return render_soundfont(arrangement, soundfont)


def make_beatless_audio(plan: Plan) -> NDArray[np.float32]:
    """(T,) sound of a plan without music at 16 kHz."""
    sound = surroundings.beatless_sound(
        plan.style, plan.seconds, stage_rng(plan.seed, plan.index, "surroundings")
    )
    if plan.style == "silence":  # acoustics would amplify it
        return sound
    rng = stage_rng(plan.seed, plan.index, "acoustics")
    return acoustics.apply_acoustics(sound, acoustics.draw_acoustics(rng), rng)


def render_soundfont(arrangement: Arrangement, soundfont: Path) -> NDArray[np.float32]:
    """Render an arrangement through a soundfont: (T,) mono at 16 kHz, as long as the pair.

    Notes before 0 s are rendered too, so that they may sound across the start of the pair.

    Raises:
        DataError: the soundfont cannot be used, or the result is silent.
    """
    shift = np.array([LEAD_SECONDS, 0, 0, 0])
    score = make_score(
        (part.role, part.program, part.drums, part.notes + shift) for part in arrangement.parts
    )
    # Lead and pair are whole numbers of samples at both rates.
    return render_score(score, soundfont, LEAD_SECONDS, LEAD_SECONDS + arrangement.seconds)
