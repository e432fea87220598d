"""The folder written by ``motionbeat data soundfonts``: usable programs and their latencies."""

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
"""Files of the folder; the last two are optional."""

FORMAT = 1


@dataclass(frozen=True)
class Soundfont:
    """A soundfont and its usable programs."""

    path: str
    sha256: str
    licence: str
    kit: bool
    """Whether its program 0 is a drum kit."""
    unseen: bool
    """Whether it is excluded from training."""
    programs: Mapping[int, tuple[Latencies, ...]]
    """By General MIDI program: for each of LAYERS, seconds by which a note of a pitch is heard late."""
    kits: Mapping[int, tuple[Latencies, ...]]
    """As ``programs``, for drum kits."""
    excluded: Mapping[str, str]
    """Programs and kits that are excluded, and the reasons."""

    def voice(self, program: int, drums: bool) -> Voice:
        """Voice of a program or, if ``drums``, of a kit."""
        return Voice(self.path, program, drums and not self.kit)

    def sounding(self, program: int, drums: bool) -> frozenset[int]:
        """Measured pitches that are not silent."""
        return frozenset(self._of(program, drums)[-1])

    def latency(self, program: int, drums: bool, notes: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,) latencies of notes in seconds.

        Args:
            program: one of ``programs``, or of ``kits``.
            drums: whether it is a kit.
            notes: (N, 4) onset and duration in seconds, MIDI pitch, MIDI velocity.
        """
        pitch = notes[:, 2] if drums else fold_pitches(notes[:, 2])
        late = np.zeros(len(notes))
        for layer, table in zip(LAYER_VELOCITIES, self._of(program, drums), strict=True):
            chosen = (notes[:, 3] < SOFT_VELOCITY) == (layer < SOFT_VELOCITY)
            if table:
                # Between measured pitches a sample is stretched slightly more or less.
                late[chosen] = np.interp(
                    pitch[chosen], sorted(table), [table[each] for each in sorted(table)]
                )
        return late

    def play(
        self, program: int, drums: bool, notes: NDArray[np.float64], later: float, seconds: float
    ) -> NDArray[np.float32]:
        """Play notes with their latencies compensated.

        Args:
            program: one of ``programs``, or of ``kits``.
            drums: whether it is a kit.
            notes: (N, 4) onset and duration in seconds, MIDI pitch, MIDI velocity.
            later: delay of all notes in seconds, because notes cannot start before 0 s.
            seconds: length of the result.

        Returns:
            (T,) mono at :data:`~motion_data.voices.VOICE_RATE`.
        """
        notes = notes.copy()
        if len(notes):
            notes[:, 0] = np.maximum(notes[:, 0] + later - self.latency(program, drums, notes), 0.0)
        soft, loud = self._of(program, drums)
        # Layers with equal latencies at all pitches count as one.
        return play_voice(self.voice(program, drums), notes, seconds, layered=soft != loud)

    def _of(self, program: int, drums: bool) -> tuple[Latencies, ...]:
        return (self.kits if drums else self.programs)[program]


@dataclass(frozen=True)
class MeasuredSounds:
    """Measured sounds of a folder."""

    folder: Path
    soundfonts: Mapping[str, Soundfont]

    def select(self, unseen: bool) -> dict[str, Soundfont]:
        """Soundfonts for training, or those excluded from it."""
        return {name: font for name, font in self.soundfonts.items() if font.unseen == unseen}


LEAD_SECONDS = 0.25
"""Time before a score in which its first notes may start, to compensate their latency."""

RELEASE_SECONDS = 1.0
"""Time for the release of a score's last notes."""


def render_measured(score: Any, font: Soundfont) -> NDArray[np.float32]:
    """Render a score with compensated latencies and loudness according to velocity.

    Args:
        score: symusic score in any unit of time.
        font: measured soundfont.

    Returns:
        (T,) mono at 16 kHz, with a peak of :data:`~motion_data.soundfont.PEAK_AMPLITUDE`.

    Raises:
        DataError: a program is missing or excluded, the result is silent, or the score is too long.
    """
    score = score.to("second")
    seconds = float(score.end()) + LEAD_SECONDS + RELEASE_SECONDS
    if not (score.note_num() and seconds <= MAX_SCORE_SECONDS):
        raise DataError(
            f"the score has {score.note_num()} notes in {seconds:.0f} s; expected at least one in at most "
            f"{MAX_SCORE_SECONDS:.0f} s"
        )
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
        problem = "the result is silent" if peak <= MIN_PEAK else "NaN or infinity in its sound"
        raise DataError(f"{font.path}: {problem}")
    scaled: NDArray[np.float32] = (audio * np.float32(PEAK_AMPLITUDE / peak)).astype(np.float32)
    return scaled


def write_measured_sounds(sounds: MeasuredSounds) -> None:
    """Write the table of the folder."""
    fonts = {name: asdict(font) for name, font in sounds.soundfonts.items()}
    write_text(
        sounds.folder / MEASURED_FILE, json.dumps({"format": FORMAT, "soundfonts": fonts}, indent=1) + "\n"
    )


@lru_cache(maxsize=2)
def read_measured_sounds(folder: Path) -> MeasuredSounds:
    """Read a folder of measured sounds and check that its soundfonts have not changed.

    Raises:
        DataError: the folder is missing, its table is damaged, or a soundfont is missing or has changed.
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
            f"{path}: not readable ({error.strerror}); create it with `motionbeat data soundfonts DIR "
            f"{folder}`"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: not a table of soundfonts ({error}); create it again with `motionbeat data soundfonts`"
        ) from None
    for font in sounds.soundfonts.values():
        try:
            digest = file_sha256(font.path)
        except OSError as error:
            raise DataError(f"{font.path}: {error.strerror}; {path} refers to it: restore it") from None
        if digest != font.sha256:
            raise DataError(
                f"{font.path}: not the soundfont that {path} was measured with (sha256 {digest[:12]}, "
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
    """Impulse responses of a folder by name, (T,) at 16 kHz, if any.

    Raises:
        DataError: the file is damaged.
    """
    return read_npz(folder / CABINETS_FILE) if (folder / CABINETS_FILE).is_file() else {}
