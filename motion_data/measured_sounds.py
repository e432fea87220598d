"""The folder that ``motionbeat data soundfonts`` writes: the programs to use, and how late each is heard."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from motion_data.errors import DataError
from motion_data.files import file_sha256, read_npz
from motion_data.soundfont import MAX_SCORE_SECONDS, MIN_PEAK, PEAK_AMPLITUDE, fold_pitches
from motion_data.soundfont_survey import Latencies
from motion_data.voices import LAYER_VELOCITIES, SOFT_VELOCITY, VOICE_RATE, Voice, play_voice
from motionbeat_upstream.atomic_write import write_text
from motionbeat_upstream.config import SAMPLE_RATE

MEASURED_FILE, CABINETS_FILE, SYLLABLES_FILE = "soundfonts.json", "cabinets.npz", "syllables.npz"
"""Files of the folder; the last two are absent where their source is."""

FORMAT = 1


@dataclass(frozen=True)
class Soundfont:
    """A soundfont and the programs of it that can be used."""

    path: str
    sha256: str
    licence: str
    kit: bool
    """Whether its program 0 is a drum kit."""
    unseen: bool
    """Whether it is kept out of training."""
    programs: Mapping[int, tuple[Latencies, ...]]
    """By General MIDI program: for each of LAYERS, seconds by which a note of a pitch is heard late."""
    kits: Mapping[int, tuple[Latencies, ...]]
    """The same of drum kits."""
    excluded: Mapping[str, str]
    """Programs and kits that are left out, and why."""

    def voice(self, program: int, drums: bool) -> Voice:
        """A program or, where ``drums``, a kit of it."""
        return Voice(self.path, program, drums and not self.kit)

    def sounding(self, program: int, drums: bool) -> frozenset[int]:
        """Measured pitches at which something sounds."""
        return frozenset(self._of(program, drums)[-1])

    def latency(self, program: int, drums: bool, notes: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,) seconds by which notes are heard after their start.

        Args:
            program: one of ``programs``, or of ``kits``.
            drums: whether it is a kit.
            notes: (N, 4) start and duration in seconds, MIDI pitch, MIDI velocity.
        """
        pitch = notes[:, 2] if drums else fold_pitches(notes[:, 2])
        late = np.zeros(len(notes))
        for layer, table in zip(LAYER_VELOCITIES, self._of(program, drums), strict=True):
            chosen = (notes[:, 3] < SOFT_VELOCITY) == (layer < SOFT_VELOCITY)
            if table:
                # Between measured pitches a sample is stretched a little more or less.
                late[chosen] = np.interp(
                    pitch[chosen], sorted(table), [table[each] for each in sorted(table)]
                )
        return late

    def play(
        self, program: int, drums: bool, notes: NDArray[np.float64], later: float, seconds: float
    ) -> NDArray[np.float32]:
        """Play notes so that they are heard when they are written.

        Args:
            program: one of ``programs``, or of ``kits``.
            drums: whether it is a kit.
            notes: (N, 4) start and duration in seconds, MIDI pitch, MIDI velocity.
            later: seconds by which all is played later; notes cannot start before 0 s.
            seconds: length of the result.

        Returns:
            (T,) mono at :data:`~motion_data.voices.VOICE_RATE`.
        """
        notes = notes.copy()
        if len(notes):
            notes[:, 0] = np.maximum(notes[:, 0] + later - self.latency(program, drums, notes), 0.0)
        soft, loud = self._of(program, drums)
        # Layers that are heard at the same times at all pitches are one.
        return play_voice(self.voice(program, drums), notes, seconds, layered=soft != loud)

    def _of(self, program: int, drums: bool) -> tuple[Latencies, ...]:
        return (self.kits if drums else self.programs)[program]


@dataclass(frozen=True)
class MeasuredSounds:
    """All that was measured."""

    folder: Path
    soundfonts: Mapping[str, Soundfont]

    def select(self, unseen: bool) -> dict[str, Soundfont]:
        """The soundfonts of training, or those kept out of it."""
        return {name: font for name, font in self.soundfonts.items() if font.unseen == unseen}


LEAD_SECONDS = 0.25
"""Seconds before a score that its first notes may start, to be heard in time."""

RELEASE_SECONDS = 1.0
"""Seconds that a score's last notes sound on."""


def render_measured(score: Any, font: Soundfont) -> NDArray[np.float32]:
    """Play a score so that each note is heard when it is written, as loud as its velocity says.

    Args:
        score: of symusic, in any of its units of time.
        font: what plays it.

    Returns:
        (T,) mono at 16 kHz, its loudest sample at :data:`~motion_data.soundfont.PEAK_AMPLITUDE`.

    Raises:
        DataError: a program that was excluded or is not there, nothing sounds, or the score lasts too long.
    """
    score = score.to("second")
    seconds = float(score.end()) + LEAD_SECONDS + RELEASE_SECONDS
    if not (score.note_num() and seconds <= MAX_SCORE_SECONDS):
        found = f"{score.note_num()} notes in {seconds:.0f} s"
        raise DataError(f"the score has {found}; expected one or more in at most {MAX_SCORE_SECONDS:.0f} s")
    mix = np.zeros(round(seconds * VOICE_RATE), dtype=np.float32)
    for track in score.tracks:
        if not len(track.notes):
            continue
        program = 0 if track.is_drum and track.program not in font.kits else track.program
        if program not in (font.kits if track.is_drum else font.programs):
            name = f"{'kit' if track.is_drum else 'program'} {program}"
            raise DataError(f"{font.path}: {name} cannot be used ({font.excluded.get(name, 'not there')})")
        columns = track.notes.numpy()
        notes = np.stack([columns[name] for name in ("time", "duration", "pitch", "velocity")], axis=1)
        mix += font.play(program, track.is_drum, notes.astype(np.float64), LEAD_SECONDS, seconds)
    audio = soxr.resample(mix, VOICE_RATE, SAMPLE_RATE, quality=soxr.HQ)[round(LEAD_SECONDS * SAMPLE_RATE) :]
    peak = float(np.abs(audio).max(initial=0.0))
    if not MIN_PEAK < peak < math.inf:
        fault = "nothing sounds" if peak <= MIN_PEAK else "NaN or infinity in its sound"
        raise DataError(f"{font.path}: {fault}")
    scaled: NDArray[np.float32] = (audio * np.float32(PEAK_AMPLITUDE / peak)).astype(np.float32)
    return scaled


def write_measured_sounds(sounds: MeasuredSounds) -> None:
    """Write the folder's table."""
    fonts = {name: asdict(font) for name, font in sounds.soundfonts.items()}
    write_text(
        sounds.folder / MEASURED_FILE, json.dumps({"format": FORMAT, "soundfonts": fonts}, indent=1) + "\n"
    )


@lru_cache(maxsize=2)
def read_measured_sounds(folder: Path) -> MeasuredSounds:
    """Read the folder; its soundfonts must be the ones that were measured.

    Raises:
        DataError: no such folder, a damaged table, or a soundfont that is gone or another one.
    """
    path = folder / MEASURED_FILE
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        if table["format"] != FORMAT:
            raise ValueError(f"format {table['format']}, expected {FORMAT}")
        sounds = MeasuredSounds(
            folder, {name: _soundfont(record) for name, record in table["soundfonts"].items()}
        )
    except OSError as error:
        raise DataError(
            f"{path}: not readable ({error.strerror}); make it with `motionbeat data soundfonts DIR {folder}`"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: no table of soundfonts ({error}); make it again with `motionbeat data soundfonts`"
        ) from None
    for font in sounds.soundfonts.values():
        try:
            found = file_sha256(font.path)
        except OSError as error:
            raise DataError(f"{font.path}: {error.strerror}; {path} names it: put it back") from None
        if found != font.sha256:
            raise DataError(
                f"{font.path}: another soundfont than the one measured in {path} (sha256 {found[:12]}, "
                f"expected {font.sha256[:12]}); run `motionbeat data soundfonts` again"
            )
    return sounds


def _soundfont(record: Mapping[str, Any]) -> Soundfont:
    def latencies(table: Mapping[str, Any]) -> dict[int, tuple[Latencies, ...]]:
        found = {}
        for program, layers in table.items():
            found[int(program)] = tuple(
                {int(pitch): float(late) for pitch, late in of.items()} for of in layers
            )
            if len(layers) != len(LAYER_VELOCITIES) or not all(
                np.isfinite(late) and late >= 0 for of in found[int(program)] for late in of.values()
            ):
                raise ValueError(f"program {program}: no latencies of {len(LAYER_VELOCITIES)} layers")
        return found

    return Soundfont(
        **{
            **record,
            "programs": latencies(record["programs"]),
            "kits": latencies(record["kits"]),
        }
    )


@lru_cache(maxsize=2)
def read_cabinets(folder: Path) -> Mapping[str, NDArray[np.float32]]:
    """Impulse responses by name, (T,) at 16 kHz; none where the folder has none.

    Raises:
        DataError: a damaged file.
    """
    return read_npz(folder / CABINETS_FILE) if (folder / CABINETS_FILE).is_file() else {}
