"""The beats of the music of dances, from audio or .beats files, which are matched by name.

A file belongs to a dance if its stem is the name of the dance, or its end (EDGE adds numbers at the start:
``0_3_gBR_sBM_cAll_d04_mBR0_ch02``), or the AIST++ piece in it (``mBR0``). Frame 0 of a dance is at the start
of the file, as in AIST++.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import librosa
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from motion_data.beats_file import read_beats
from motion_data.corpora.aistpp_annotations import PIECE, piece_bpm
from motion_data.errors import DataError
from motionbeat_upstream.atomic_write import is_hidden
from motionbeat_upstream.audio import read_audio
from motionbeat_upstream.decoding import AUDIO_SUFFIXES, read_sound
from motionbeat_upstream.file_name import printable
from motionbeat_upstream.tracking.beat_estimation import estimate_grid
from recipes.dance_metrics.dance import Dance

HOP, RATE = 512, 60 * 512
"""Hop length and sample rate of FACT's beat tracking: 60 frames per second."""

BPM = 120.0
"""Initial tempo for librosa if the name contains no AIST++ piece."""

_PIECE = re.compile(rf"(?:^|_)({PIECE})(?=_|$)")
_SLICE = re.compile(r"_slice\d+$")


def with_beats(
    dances: Sequence[Dance], folder: Path, track: Callable[[Path], NDArray[np.float64]]
) -> list[Dance]:
    """The dances with the beats of their music; each file is read once.

    Args:
        dances: dances; existing beats are replaced.
        folder: folder of audio or .beats files.
        track: :func:`librosa_beats`, :func:`motionbeat_beats` or :func:`annotated_beats`.

    Raises:
        DataError: no such folder, a dance without a file, or an invalid file.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected the music of the dances, or its beats")
    suffixes = (".beats",) if track is annotated_beats else AUDIO_SUFFIXES
    paths = [
        path for path in sorted(folder.iterdir()) if path.suffix.lower() in suffixes and not is_hidden(path)
    ]
    files = {printable(path.stem): path for path in paths}
    once = lru_cache(maxsize=None)(track)
    return [
        dataclasses.replace(dance, beats=once(find_music(dance.name, files, folder)))
        for dance in tqdm(dances, desc="beats of the music", unit=" dances", disable=None)
    ]


def find_music(name: str, files: dict[str, Path], folder: Path) -> Path:
    """The file of the music of a dance.

    Raises:
        DataError: no file, or the file of a whole piece for a slice.
    """
    endings = [stem for stem in files if name == stem or name.endswith("_" + stem)]
    if endings:
        return files[max(endings, key=len)]
    piece = _PIECE.search(name)
    if piece is None or piece[1] not in files:
        also = f" or {piece[1]}" if piece else ""
        raise DataError(f"{folder}: no music for the dance {name}; expected a file named {name}{also}")
    if _SLICE.search(name):
        raise DataError(
            f"{folder}: {piece[1]} is a whole piece and {name} a slice; give the music of the slice "
            "under its name"
        )
    return files[piece[1]]


def librosa_beats(path: Path) -> NDArray[np.float64]:
    """Beats of librosa's tracker as in google-research/mint (tools/preprocessing.py): at 60 frames per
    second, with the tempo of the AIST++ piece in the name.

    Published scores use it; Bailando tracks the percussive component instead.

    Raises:
        AudioError: a file that cannot be decoded.
    """
    sound, rate = read_sound(path)
    wav = librosa.resample(sound.mean(axis=1), orig_sr=rate, target_sr=RATE)
    onsets = librosa.onset.onset_strength(y=wav, sr=RATE, hop_length=HOP)
    _, frames = librosa.beat.beat_track(
        onset_envelope=onsets, sr=RATE, hop_length=HOP, start_bpm=piece_tempo(path.stem), tightness=100
    )
    return np.asarray(np.asarray(frames, dtype=np.float64) * HOP / RATE)


def piece_tempo(name: str) -> float:
    """Tempo in bpm of the AIST++ piece in a name, or 120."""
    piece = _PIECE.search(name)
    return BPM if piece is None else piece_bpm(piece[1])


def motionbeat_beats(path: Path) -> NDArray[np.float64]:
    """Beats of this project's estimator from onsets; none without a regular beat.

    Raises:
        AudioError: a file that cannot be read.
    """
    grid = estimate_grid(read_audio(path))
    return grid.beats if grid.confidence > 0 else np.empty(0)


def annotated_beats(path: Path) -> NDArray[np.float64]:
    """Beats of a .beats file.

    Raises:
        DataError: an invalid file.
    """
    return read_beats(path).times
