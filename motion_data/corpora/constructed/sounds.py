"""Measured sounds of the parts of a pair, and their mix.

Everything is drawn from the pair's random stream, by shares that are settings of the corpus. Each note is
played earlier by the latency of its program at its pitch (:mod:`motion_data.soundfont_survey`), so that its
onset is that of the arrangement. Parts are not panned, because the sound is mono.
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
"""Sound sources for training, and those excluded from it."""


@dataclass(config=CONFIG, frozen=True)
class SoundShares:
    """Shares of pairs, or of their parts, with each source and effect."""

    fonts: Share = 1.0
    """Pairs with any soundfont; the others have the first one, timgm6mb."""
    mixed: Share = 0.5
    """Of these, pairs with a separate soundfont for each part."""
    programs: Share = 0.5
    """Parts with another program of their role than the arranger's."""
    kits: Share = 0.25
    """Drums with an acoustic kit."""
    amplifier: Share = 0.15
    """Chords and melodies with a guitar through an amplifier."""
    sung: Share = 0.1
    """Melodies that are sung."""
    tuning: Share = 0.25
    """Pairs with a tuning up to half a semitone off."""
    detuning: Share = 0.08
    """Parts, except drums, that are up to 12 cents out of tune with the others."""
    vibrato: Share = 0.08
    """Melodies with vibrato."""
    bends: Share = 0.08
    """Melodies whose notes begin with an upward bend."""
    mastering: Share = 0.5
    """Pairs that are compressed and limited."""
    vinyl: Share = 0.05
    """Pairs with crackle and rumble."""
    crowd: Share = 0.08
    """Pairs with applause or an audience."""
    codec: Share = 0.05
    """Pairs encoded with Opus."""


@plain_dataclass(frozen=True)
class Casting:
    """Sounds of the parts of an arrangement."""

    parts: tuple[Cast, ...]
    tuning: float
    """Common tuning offset in cents."""


@plain_dataclass(frozen=True)
class Cast:
    """Sound of one part."""

    font: str
    """Name of its soundfont; empty for a sung part."""
    program: int
    """Program of the soundfont; a clean guitar if amplified."""
    sounding_program: int
    """General MIDI program that describes the sound."""
    kit: str = ""
    """Soundfont of the acoustic kit, which plays those drums that it has."""
    cabinet: str = ""
    """Cabinet of the amplifier; empty without one."""
    drive: float = 0.0
    level: float = 0.0
    """dB."""
    cents: float = 0.0
    """Tuning relative to the other parts."""
    vibrato: tuple[float, float] = (0.0, 0.0)
    """Depth in cents and rate in Hz."""
    bend: tuple[float, float] = (0.0, 0.0)
    """Initial pitch of notes in cents, and seconds to the final pitch."""


ROLE_LEVELS = {"drums": 0.0, "bass": -2.0, "chords": -7.0, "melody": -2.0}
"""Mean level of the roles in dB, silence excluded; other roles are as loud as chords."""

SOUNDFONT_WEIGHTS = {"fluidr3": 0.35, "fluidr3mono": 0.35}
"""Weights of soundfonts, against 1 of the others: these two share most of their samples and are slow."""

CLEAN_GUITARS = (24, 25, 26, 27, 28)
OVERDRIVEN_GUITAR, VOICE_OOHS = 30, 53
"""Sounding programs of amplified guitars and sung parts."""

SPLIT_DIGITS = {"dev": 4, "test": 9}
"""Last digit of the indices of cabinets and syllables for dev and test."""


def sounds_sha256(folder: Path) -> str:
    """Hash of the files in a folder of measured sounds.

    Raises:
        DataError: they cannot be read.
    """
    try:
        return "".join(
            file_sha256(folder / name)[:16] if name == MEASURED_FILE or (folder / name).is_file() else "-"
            for name in (MEASURED_FILE, CABINETS_FILE, SYLLABLES_FILE)
        )
    except OSError as error:
        raise DataError(
            f"{folder}: not readable ({error.strerror}); create it with `motionbeat data soundfonts`"
        ) from None


def draw_casting(
    arrangement: Arrangement,
    split: str,
    sounds: MeasuredSounds,
    unseen: bool,
    shares: SoundShares,
    rng: np.random.Generator,
) -> Casting:
    """Draw the sound of each part.

    Args:
        arrangement: with the arranger's programs.
        split: train, dev or test; selects programs, cabinets and syllables.
        sounds: available sounds.
        unseen: whether to use only the soundfonts that are excluded from training.
        shares: of sources and effects.
        rng: for all choices.

    Raises:
        DataError: no soundfont has a program for a part.
    """
    fonts = {name: font for name, font in sounds.select(unseen).items() if not font.kit}
    if not fonts:
        kind = "excluded from training" if unseen else "for training"
        raise DataError(
            f"{sounds.folder}: it has no soundfont {kind}; run `motionbeat data soundfonts` with one"
        )
    kits = [name for name, font in sounds.select(unseen).items() if font.kit]
    responses = _names_in_split(sorted(read_cabinets(sounds.folder)), split) if not unseen else []
    may_sing = not unseen and bool(load_syllables(sounds.folder))
    names = list(fonts)
    any_font, mixed = rng.random() < shares.fonts, rng.random() < shares.mixed
    weights = np.array([SOUNDFONT_WEIGHTS.get(name, 1.0) for name in names])
    weights /= weights.sum()
    common = str(rng.choice(names, p=weights))
    tuning = float(rng.uniform(-50, 50)) if rng.random() < shares.tuning else 0.0
    casts = []
    for part in arrangement.parts:
        # Every value is drawn each time, so that one share does not affect the draws of the others.
        separate = str(rng.choice(names, p=weights))
        font = (separate if mixed else common) if any_font else names[0]
        order = rng.permutation(128)
        keeps_program = rng.random() >= shares.programs
        level = ROLE_LEVELS.get(part.role, ROLE_LEVELS["chords"]) + float(rng.normal(0, 3))
        chance = rng.random(7)
        amounts = rng.uniform(0, 1, 7)
        if part.drums:
            kit = kits[int(amounts[0] * len(kits))] if kits and chance[0] < shares.kits else ""
            font, program = _find_kit(fonts, font, part, order)
            casts.append(Cast(font, program, part.program, kit=kit, level=level))
            continue
        cents = 24 * amounts[1] - 12 if chance[1] < shares.detuning else 0.0
        is_melody = part.role == "melody"
        if is_melody and may_sing and chance[2] < shares.sung:
            casts.append(Cast("", VOICE_OOHS, VOICE_OOHS, level=level))
            continue
        cast = Cast("", 0, 0, level=level, cents=cents)
        if is_melody and chance[3] < shares.vibrato:
            cast = replace(cast, vibrato=(10 + 50 * amounts[3], 4.5 + 2.5 * amounts[4]))
        if is_melody and chance[4] < shares.bends:
            cast = replace(cast, bend=(-50 - 150 * amounts[5], 0.04 + 0.08 * amounts[6]))
        if part.role in ("chords", "melody") and responses and chance[5] < shares.amplifier:
            font, program = _find_program(fonts, font, part, CLEAN_GUITARS, order)
            cast = replace(
                cast,
                cabinet=responses[int(amounts[2] * len(responses))],
                drive=float(np.exp(np.log(3) + amounts[0] * np.log(8))),
                sounding_program=OVERDRIVEN_GUITAR,
            )
        else:
            pool = _role_programs(part, split)
            if keeps_program:
                order = np.concatenate([[part.program], order[order != part.program]])
            font, program = _find_program(fonts, font, part, pool, order)
            cast = replace(cast, sounding_program=program)
        casts.append(replace(cast, font=font, program=program))
    return Casting(tuple(casts), tuning)


def _names_in_split(names: list[str], split: str) -> list[str]:
    """Names of a split: of every ten one for dev and one for test; those of train if there are none."""
    selected = [name for number, name in enumerate(names) if number % 10 == SPLIT_DIGITS.get(split, -1)]
    return selected or [name for number, name in enumerate(names) if number % 10 not in SPLIT_DIGITS.values()]


def _role_programs(part: Part, split: str) -> tuple[int, ...]:
    """Programs for a part's role; only its own program for other roles."""
    if part.role == "bass":
        return BASS
    pool = MELODY if part.role == "melody" else CHORDS if part.role == "chords" else ()
    allowed = split_programs(split, pool)
    return allowed if pool else (part.program,)


def _find_program(
    fonts: Mapping[str, Soundfont], font: str, part: Part, pool: tuple[int, ...], order: NDArray[np.int64]
) -> tuple[str, int]:
    """A soundfont, preferably ``font``, and the first program in ``order`` that is in ``pool`` and fits."""
    pitches = fold_pitches(part.notes[:, 2])
    # Every second pitch is measured.
    needed = {int(pitch) - int(pitch - MIN_PITCH) % 2 for pitch in pitches}
    for name in (font, *(name for name in fonts if name != font)):
        usable = fonts[name].programs
        for program in order.tolist():
            if program in pool and program in usable and needed <= fonts[name].sounding(program, False):
                return name, program
    raise DataError(
        f"part {part.role!r}: no soundfont has one of the programs {', '.join(map(str, sorted(pool)))} with "
        f"pitches {min(needed)} to {max(needed)}; add soundfonts"
    )


def _find_kit(
    fonts: Mapping[str, Soundfont], font: str, part: Part, order: NDArray[np.int64]
) -> tuple[str, int]:
    """A soundfont, preferably ``font``, and a kit with the part's drums: its own kit or the standard one."""
    needed = {int(pitch) for pitch in np.round(part.notes[:, 2])}
    missing: dict[tuple[str, int], int] = {}
    for name in (font, *(name for name in fonts if name != font)):
        for kit in (part.program, 0):
            if kit in fonts[name].kits:
                missing[name, kit] = len(needed - fonts[name].sounding(kit, True))
                if not missing[name, kit]:
                    return name, kit
    if not missing:
        raise DataError("no soundfont has a usable drum kit; add soundfonts")
    return min(missing, key=lambda choice: missing[choice])


def apply_casting(arrangement: Arrangement, casting: Casting) -> Arrangement:
    """Add a casting to an arrangement, and replace its programs by the sounding ones."""
    parts = tuple(
        replace(part, program=cast.sounding_program)
        for part, cast in zip(arrangement.parts, casting.parts, strict=True)
    )
    return replace(arrangement, parts=parts, casting=casting)


def render_casting(
    arrangement: Arrangement, split: str, sounds: MeasuredSounds, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Render and mix the parts of an arrangement with a casting.

    Returns:
        (T,) mono at 16 kHz, as long as the pair, with a peak of :data:`PEAK_AMPLITUDE`.

    Raises:
        DataError: the result is silent or not finite.
    """
    casting = arrangement.casting
    if casting is None:
        raise ValueError("the arrangement has no casting")
    # Parts are rendered at another tempo and then resampled, which changes their tuning.
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
        audio = _play_part(part, notes, cast, sounds, total * speed)
        if cast.cabinet:
            cabinet = read_cabinets(sounds.folder)[cast.cabinet]
            guitar = amplify(audio, VOICE_RATE * speed, cabinet, cast.drive)[: len(others)]
            others[: len(guitar)] += guitar * _level_gain(guitar, SAMPLE_RATE, cast.level)
        else:
            audio *= _level_gain(audio, VOICE_RATE, cast.level)
            voices += audio
    mix = soxr.resample(voices, VOICE_RATE * speed, SAMPLE_RATE, quality=soxr.HQ)[: len(others)]
    others[: len(mix)] += mix
    result = others[round(LEAD_SECONDS * SAMPLE_RATE) :]
    peak = float(np.abs(result).max(initial=0.0))
    if not MIN_PEAK < peak < np.inf:
        problem = "the mix is silent" if peak <= MIN_PEAK else "NaN or infinity in the mix"
        raise DataError(f"{problem} ({', '.join(f'{cast.font} {cast.program}' for cast in casting.parts)})")
    scaled: NDArray[np.float32] = (result * np.float32(PEAK_AMPLITUDE / peak)).astype(np.float32)
    return scaled


def _play_part(
    part: Part, notes: NDArray[np.float64], cast: Cast, sounds: MeasuredSounds, total: float
) -> NDArray[np.float32]:
    """(T,) audio of a part at :data:`VOICE_RATE`, with latencies compensated."""
    font = sounds.soundfonts[cast.font]
    if cast.kit:
        kit = sounds.soundfonts[cast.kit]
        by_kit = np.isin(np.round(notes[:, 2]), list(kit.sounding(0, True)))
        audio = kit.play(0, True, notes[by_kit], 0.0, total)
        return audio + font.play(cast.program, True, notes[~by_kit], 0.0, total)
    if not (cast.cents or cast.vibrato[0] or cast.bend[0]):
        return font.play(cast.program, part.drums, notes, 0.0, total)
    # The part is rendered with warped times and then resampled at a varying speed, which varies its pitch.
    clock = np.arange(0, total + 0.01, 0.005)
    cents = cast.cents + cast.vibrato[0] * np.sin(2 * np.pi * cast.vibrato[1] * clock)
    if cast.bend[0]:
        starts = notes[:, 0]
        last = np.searchsorted(starts, clock, side="right") - 1
        elapsed = np.where(last >= 0, clock - starts[np.maximum(last, 0)], np.inf)
        cents = cents + cast.bend[0] * np.clip(1 - elapsed / cast.bend[1], 0, 1)
    speed = 2 ** (cents / 1200)
    warped = np.concatenate([[0.0], np.cumsum(0.5 * (speed[1:] + speed[:-1]) * 0.005)])
    warped_notes = notes.copy()
    warped_notes[:, 0] = np.interp(notes[:, 0], clock, warped)
    warped_notes[:, 1] = np.interp(notes[:, 0] + notes[:, 1], clock, warped) - warped_notes[:, 0]
    warped_notes[:, 1] = np.maximum(warped_notes[:, 1], 0.02)
    audio = font.play(cast.program, part.drums, warped_notes, 0.0, float(warped[-1]) + 0.01)
    samples = np.interp(np.arange(round(total * VOICE_RATE)) / VOICE_RATE, clock, warped * VOICE_RATE)
    return np.interp(samples, np.arange(len(audio)), audio).astype(np.float32)


def _level_gain(audio: NDArray[np.float32], rate: int, level: float) -> np.float32:
    """Factor that gives a part a level in dB: the RMS of its blocks of 50 ms that are not silent."""
    block = rate // 20
    blocks = np.sqrt(np.mean(np.square(audio[: len(audio) // block * block].reshape(-1, block)), axis=1))
    loud = blocks[blocks > 0.1 * blocks.max(initial=0.0)]
    return np.float32(10 ** (level / 20) / np.sqrt(np.mean(np.square(loud))) if len(loud) else 0.0)


@lru_cache(maxsize=2)
def load_syllables(folder: Path) -> list[Syllable]:
    """Syllables of a folder of measured sounds, if any.

    Raises:
        DataError: the file is damaged.
    """
    path = folder / SYLLABLES_FILE
    return read_syllables(path) if path.is_file() else []


def _syllables_in_split(folder: Path, split: str) -> list[Syllable]:
    syllables = load_syllables(folder)
    numbers = _names_in_split([str(number) for number in range(len(syllables))], split)
    return [syllables[int(number)] for number in numbers]


def as_settings(shares: SoundShares) -> dict[str, float]:
    """Shares as a dictionary."""
    return asdict(shares)


@lru_cache(maxsize=2)
def read_checked_sounds(folder: str, sha256: str) -> MeasuredSounds:
    """Read the measured sounds of a folder and compare them with a plan's hash.

    Raises:
        DataError: they are missing or have changed.
    """
    if (digest := sounds_sha256(Path(folder))) != sha256:
        raise DataError(
            f"{folder}: not the sounds that the corpus was prepared with ({digest}, expected {sha256}); "
            f"restore them, or prepare the corpus again"
        )
    return read_measured_sounds(Path(folder))
