"""Which sources a pair's parts sound through, and how they sound together.

All is drawn from the pair's own random stream, by shares that are settings of the corpus. Each note is played
earlier by the time that its program needs at its pitch (:mod:`motion_data.soundfont_survey`), so that it is
heard when the arrangement has it. Parts are not panned: the model hears one channel, in which a pan changes a
level, and levels are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from dataclasses import dataclass as plain_dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from motion_data.amplifier import amplify
from motion_data.corpora.constructed.arrangement import LEAD_SECONDS, Arrangement, Part
from motion_data.corpora.constructed.styles import BASS, CHORDS, MELODY, split_programs
from motion_data.errors import DataError
from motion_data.files import file_sha256
from motion_data.measured_sounds import (
    CABINETS_FILE,
    MEASURED_FILE,
    SYLLABLES_FILE,
    MeasuredSounds,
    Soundfont,
    read_cabinets,
    read_measured_sounds,
)
from motion_data.settings import CONFIG, Share
from motion_data.singing import Syllable, read_syllables, sing
from motion_data.soundfont import MIN_PEAK, MIN_PITCH, PEAK_AMPLITUDE, fold_pitches
from motion_data.voices import VOICE_RATE
from motionbeat_upstream.config import SAMPLE_RATE

SOURCES = ("seen", "unseen")
"""Sound sources of training, and those that are kept out of it."""


@dataclass(config=CONFIG, frozen=True)
class SoundShares:
    """Shares of the pairs, or of their parts, that get each source and effect."""

    fonts: Share = 1.0
    """Pairs that any soundfont may play; the others are played by the first one, timgm6mb."""
    mixed: Share = 0.5
    """Of these, pairs each of whose parts has a soundfont of its own."""
    programs: Share = 0.5
    """Parts that are played by another program of their role than the arranger's."""
    kits: Share = 0.25
    """Drums that an acoustic kit plays."""
    amplifier: Share = 0.15
    """Chords and melodies that a guitar plays through an amplifier."""
    sung: Share = 0.1
    """Melodies that are sung."""
    tuning: Share = 0.25
    """Pairs that are tuned up to half a semitone off."""
    detuning: Share = 0.08
    """Parts, but for drums, that are up to 12 cents out of tune with the others."""
    vibrato: Share = 0.08
    """Melodies with vibrato."""
    bends: Share = 0.08
    """Melodies whose notes are bent up to from below."""
    mastering: Share = 0.5
    """Pairs that are compressed and limited."""
    vinyl: Share = 0.05
    """Pairs with crackle and rumble."""
    crowd: Share = 0.08
    """Pairs with applause or an audience."""
    codec: Share = 0.05
    """Pairs coded with Opus."""


@plain_dataclass(frozen=True)
class Casting:
    """How the parts of an arrangement are played."""

    parts: tuple[Cast, ...]
    tuning: float
    """Cents by which all of them are off."""


@plain_dataclass(frozen=True)
class Cast:
    """How one part is played."""

    font: str
    """Name of its soundfont; empty for a sung part."""
    program: int
    """What is played; of an amplified guitar a clean one."""
    sounding_program: int
    """General MIDI program that it sounds like."""
    kit: str = ""
    """Soundfont of the acoustic kit that plays those drums that it has."""
    cabinet: str = ""
    """Of the amplifier; empty without one."""
    drive: float = 0.0
    level: float = 0.0
    """dB."""
    cents: float = 0.0
    """Against the other parts."""
    vibrato: tuple[float, float] = (0.0, 0.0)
    """Depth in cents and rate in Hz."""
    bend: tuple[float, float] = (0.0, 0.0)
    """Cents from which a note is bent up, and seconds within which."""


ROLE_LEVELS = {"drums": 0.0, "bass": -2.0, "chords": -7.0, "melody": -2.0}
"""Mean level of the roles in dB, of what sounds of them; others are as loud as chords."""

SOUNDFONT_WEIGHTS = {"fluidr3": 0.35, "fluidr3mono": 0.35}
"""How often a soundfont is drawn, against 1 of the others: these two share most of their samples and take
longest to render."""

CLEAN_GUITARS = (24, 25, 26, 27, 28)
OVERDRIVEN_GUITAR, VOICE_OOHS = 30, 53
"""What amplified guitars and sung parts sound like."""

SPLIT_DIGITS = {"dev": 4, "test": 9}
"""Of every ten cabinets and syllables, those of dev and test."""


def sounds_sha256(folder: Path) -> str:
    """Hash of all that the folder of measured sounds holds.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return "".join(
            file_sha256(folder / name)[:16] if name == MEASURED_FILE or (folder / name).is_file() else "-"
            for name in (MEASURED_FILE, CABINETS_FILE, SYLLABLES_FILE)
        )
    except OSError as error:
        raise DataError(
            f"{folder}: not readable ({error.strerror}); make it with `motionbeat data soundfonts`"
        ) from None


def draw_casting(
    arrangement: Arrangement,
    split: str,
    sounds: MeasuredSounds,
    unseen: bool,
    shares: SoundShares,
    rng: np.random.Generator,
) -> Casting:
    """Draw how each part is played.

    Args:
        arrangement: its parts have the arranger's programs.
        split: train, dev or test: programs, cabinets and syllables are those of the split.
        sounds: what there is.
        unseen: whether to play the soundfonts that are kept out of training, and them alone.
        shares: of sources and effects.
        rng: for all choices.

    Raises:
        DataError: no soundfont has a program for a part.
    """
    fonts = {name: font for name, font in sounds.select(unseen).items() if not font.kit}
    if not fonts:
        asked = "kept out of training" if unseen else "for training"
        raise DataError(
            f"{sounds.folder}: no soundfont {asked} in it; run `motionbeat data soundfonts` with it"
        )
    kits = [name for name, font in sounds.select(unseen).items() if font.kit]
    responses = _names_in_split(sorted(read_cabinets(sounds.folder)), split) if not unseen else []
    may_sing = not unseen and bool(load_syllables(sounds.folder))
    names = list(fonts)
    anywhere, mixed = rng.random() < shares.fonts, rng.random() < shares.mixed
    weights = np.array([SOUNDFONT_WEIGHTS.get(name, 1.0) for name in names])
    weights /= weights.sum()
    common = str(rng.choice(names, p=weights))
    tuning = float(rng.uniform(-50, 50)) if rng.random() < shares.tuning else 0.0
    casts = []
    for part in arrangement.parts:
        # All is drawn each time, so that one share does not move the others' draws.
        own = str(rng.choice(names, p=weights))
        font = (own if mixed else common) if anywhere else names[0]
        order = rng.permutation(128)
        keeps = rng.random() >= shares.programs
        level = ROLE_LEVELS.get(part.role, ROLE_LEVELS["chords"]) + float(rng.normal(0, 3))
        chance = rng.random(7)
        amounts = rng.uniform(0, 1, 7)
        if part.drums:
            kit = kits[int(amounts[0] * len(kits))] if kits and chance[0] < shares.kits else ""
            font, program = _find_kit(fonts, font, part, order)
            casts.append(Cast(font, program, part.program, kit=kit, level=level))
            continue
        cents = 24 * amounts[1] - 12 if chance[1] < shares.detuning else 0.0
        lead = part.role == "melody"
        if lead and may_sing and chance[2] < shares.sung:
            casts.append(Cast("", VOICE_OOHS, VOICE_OOHS, level=level))
            continue
        chosen = Cast("", 0, 0, level=level, cents=cents)
        if lead and chance[3] < shares.vibrato:
            chosen = replace(chosen, vibrato=(10 + 50 * amounts[3], 4.5 + 2.5 * amounts[4]))
        if lead and chance[4] < shares.bends:
            chosen = replace(chosen, bend=(-50 - 150 * amounts[5], 0.04 + 0.08 * amounts[6]))
        if part.role in ("chords", "melody") and responses and chance[5] < shares.amplifier:
            font, program = _find_program(fonts, font, part, CLEAN_GUITARS, order)
            chosen = replace(
                chosen,
                cabinet=responses[int(amounts[2] * len(responses))],
                drive=float(np.exp(np.log(3) + amounts[0] * np.log(8))),
                sounding_program=OVERDRIVEN_GUITAR,
            )
        else:
            pool = _role_programs(part, split)
            if keeps:
                order = np.concatenate([[part.program], order[order != part.program]])
            font, program = _find_program(fonts, font, part, pool, order)
            chosen = replace(chosen, sounding_program=program)
        casts.append(replace(chosen, font=font, program=program))
    return Casting(tuple(casts), tuning)


def _names_in_split(names: list[str], split: str) -> list[str]:
    """The names of a split: of every ten one for dev and one for test."""
    held = [name for number, name in enumerate(names) if number % 10 == SPLIT_DIGITS.get(split, -1)]
    return held or [name for number, name in enumerate(names) if number % 10 not in SPLIT_DIGITS.values()]


def _role_programs(part: Part, split: str) -> tuple[int, ...]:
    """Programs that can play a part's role; its own alone where the role is none of ours."""
    if part.role == "bass":
        return BASS
    pool = MELODY if part.role == "melody" else CHORDS if part.role == "chords" else ()
    allowed = split_programs(split, pool)
    return allowed if pool else (part.program,)


def _find_program(
    fonts: Mapping[str, Soundfont], font: str, part: Part, pool: tuple[int, ...], order: NDArray[np.int64]
) -> tuple[str, int]:
    """A soundfont, ``font`` if it can, and the first program of an order that is in a pool and fits."""
    pitches = fold_pitches(part.notes[:, 2])
    # Every second pitch is measured.
    needed = {int(pitch) - int(pitch - MIN_PITCH) % 2 for pitch in pitches}
    for name in (font, *(name for name in fonts if name != font)):
        usable = fonts[name].programs
        for program in order.tolist():
            if program in pool and program in usable and needed <= fonts[name].sounding(program, False):
                return name, program
    raise DataError(
        f"part {part.role!r}: no soundfont has a usable program of {', '.join(map(str, sorted(pool)))} for "
        f"pitches {min(needed)} to {max(needed)}; give more soundfonts"
    )


def _find_kit(
    fonts: Mapping[str, Soundfont], font: str, part: Part, order: NDArray[np.int64]
) -> tuple[str, int]:
    """A soundfont and a kit of it that has the part's drums: the part's own kit, or else the standard one."""
    needed = {int(pitch) for pitch in np.round(part.notes[:, 2])}
    missing: dict[tuple[str, int], int] = {}
    for name in (font, *(name for name in fonts if name != font)):
        for kit in (part.program, 0):
            if kit in fonts[name].kits:
                missing[name, kit] = len(needed - fonts[name].sounding(kit, True))
                if not missing[name, kit]:
                    return name, kit
    if not missing:
        raise DataError("no soundfont has a drum kit that can be used; give more soundfonts")
    return min(missing, key=lambda choice: missing[choice])


def apply_casting(arrangement: Arrangement, casting: Casting) -> Arrangement:
    """The arrangement with its casting, and the programs that are heard."""
    cast = zip(arrangement.parts, casting.parts, strict=True)
    parts = (replace(part, program=played.sounding_program) for part, played in cast)
    return replace(arrangement, parts=tuple(parts), casting=casting)


def render_casting(
    arrangement: Arrangement, split: str, sounds: MeasuredSounds, rng: np.random.Generator
) -> NDArray[np.float32]:
    """(T,) mono at 16 kHz, as long as the pair: the parts as they are cast, mixed, at :data:`PEAK_AMPLITUDE`.

    Raises:
        DataError: a voice plays NaN, or nothing sounds.
    """
    casting = arrangement.casting
    if casting is None:
        raise ValueError("the arrangement is not cast")
    # What is read at another speed has another pitch. All is played in the time of a tape that is read so.
    speed = 2 ** (casting.tuning / 1200)
    total = LEAD_SECONDS + arrangement.seconds
    voices = np.zeros(round(total * speed * VOICE_RATE), dtype=np.float32)
    others = np.zeros(round(total * SAMPLE_RATE), dtype=np.float32)
    for part, cast in zip(arrangement.parts, casting.parts, strict=True):
        notes = part.notes + np.array([LEAD_SECONDS, 0, 0, 0])
        if not cast.font:
            notes[:, 2] += casting.tuning / 100
            sung = sing(notes, _syllables_in_split(sounds.folder, split), total, rng)
            others += sung * _level_gain(sung, SAMPLE_RATE, cast.level)
            continue
        notes[:, :2] *= speed
        played = _play_part(part, notes, cast, sounds, total * speed)
        if cast.cabinet:
            cabinet = read_cabinets(sounds.folder)[cast.cabinet]
            guitar = amplify(played, VOICE_RATE * speed, cabinet, cast.drive)[: len(others)]
            others[: len(guitar)] += guitar * _level_gain(guitar, SAMPLE_RATE, cast.level)
        else:
            played *= _level_gain(played, VOICE_RATE, cast.level)
            voices += played
    mix = soxr.resample(voices, VOICE_RATE * speed, SAMPLE_RATE, quality=soxr.HQ)[: len(others)]
    others[: len(mix)] += mix
    heard = others[round(LEAD_SECONDS * SAMPLE_RATE) :]
    peak = float(np.abs(heard).max(initial=0.0))
    if not MIN_PEAK < peak < np.inf:
        fault = "nothing sounds" if peak <= MIN_PEAK else "NaN or infinity in what sounds"
        raise DataError(f"{fault} ({', '.join(f'{cast.font} {cast.program}' for cast in casting.parts)})")
    scaled: NDArray[np.float32] = (heard * np.float32(PEAK_AMPLITUDE / peak)).astype(np.float32)
    return scaled


def _play_part(
    part: Part, notes: NDArray[np.float64], cast: Cast, sounds: MeasuredSounds, total: float
) -> NDArray[np.float32]:
    """(T,) a part at :data:`VOICE_RATE`, each note heard when it is written."""
    font = sounds.soundfonts[cast.font]
    if cast.kit:
        kit = sounds.soundfonts[cast.kit]
        by_kit = np.isin(np.round(notes[:, 2]), list(kit.sounding(0, True)))
        played = kit.play(0, True, notes[by_kit], 0.0, total)
        return played + font.play(cast.program, True, notes[~by_kit], 0.0, total)
    if not (cast.cents or cast.vibrato[0] or cast.bend[0]):
        return font.play(cast.program, part.drums, notes, 0.0, total)
    # Its own tape, whose speed changes: notes are placed where this reading finds them in time.
    clock = np.arange(0, total + 0.01, 0.005)
    cents = cast.cents + cast.vibrato[0] * np.sin(2 * np.pi * cast.vibrato[1] * clock)
    if cast.bend[0]:
        starts = notes[:, 0]
        last = np.searchsorted(starts, clock, side="right") - 1
        since = np.where(last >= 0, clock - starts[np.maximum(last, 0)], np.inf)
        cents = cents + cast.bend[0] * np.clip(1 - since / cast.bend[1], 0, 1)
    speed = 2 ** (cents / 1200)
    read = np.concatenate([[0.0], np.cumsum(0.5 * (speed[1:] + speed[:-1]) * 0.005)])
    moved = notes.copy()
    moved[:, 0] = np.interp(notes[:, 0], clock, read)
    moved[:, 1] = np.interp(notes[:, 0] + notes[:, 1], clock, read) - moved[:, 0]
    moved[:, 1] = np.maximum(moved[:, 1], 0.02)
    played = font.play(cast.program, part.drums, moved, 0.0, float(read[-1]) + 0.01)
    places = np.interp(np.arange(round(total * VOICE_RATE)) / VOICE_RATE, clock, read * VOICE_RATE)
    return np.interp(places, np.arange(len(played)), played).astype(np.float32)


def _level_gain(audio: NDArray[np.float32], rate: int, level: float) -> np.float32:
    """Factor that brings a part to a level in dB: the root mean square of its blocks of 50 ms that sound."""
    block = rate // 20
    blocks = np.sqrt(np.mean(np.square(audio[: len(audio) // block * block].reshape(-1, block)), axis=1))
    loud = blocks[blocks > 0.1 * blocks.max(initial=0.0)]
    return np.float32(10 ** (level / 20) / np.sqrt(np.mean(np.square(loud))) if len(loud) else 0.0)


@lru_cache(maxsize=2)
def load_syllables(folder: Path) -> list[Syllable]:
    """The syllables of a folder of measured sounds; none where it has none.

    Raises:
        DataError: a damaged file.
    """
    path = folder / SYLLABLES_FILE
    return read_syllables(path) if path.is_file() else []


def _syllables_in_split(folder: Path, split: str) -> list[Syllable]:
    every = load_syllables(folder)
    return [
        every[int(number)] for number in _names_in_split([str(number) for number in range(len(every))], split)
    ]


def as_settings(shares: SoundShares) -> dict[str, float]:
    """The shares as a manifest holds them."""
    return asdict(shares)


@lru_cache(maxsize=2)
def read_checked_sounds(folder: str, sha256: str) -> MeasuredSounds:
    """The measured sounds of a folder, if they are those of a plan.

    Raises:
        DataError: they are gone or others.
    """
    if (found := sounds_sha256(Path(folder))) != sha256:
        raise DataError(
            f"{folder}: other sounds than the corpus was prepared with ({found}, expected {sha256}); put "
            f"those back, or prepare the corpus again"
        )
    return read_measured_sounds(Path(folder))
