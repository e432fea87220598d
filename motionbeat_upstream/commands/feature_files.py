"""The output files of ``motionbeat features``: one .npz per file, or slices for EDGE.

EDGE (Tseng, Castellon and Liu, "EDGE: Editable Dance Generation From Music", CVPR 2023; Stanford-TML/EDGE)
cuts songs and motions into slices of 5 s, 0.5 s apart: slice k of a file with sampling rate n is 5·n samples
from k times int(0.5·n) on, and is called SONG_slicek. Its loader sorts the .npy files of one folder and the
motions of another, expects equal numbers with the same stems, and stacks arrays of (150, D): 30 frames per
second, frame j of a slice j/30 s after its beginning. These slices replace those of its Jukebox features.
"""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from motionbeat_upstream.atomic_write import atomic_path, write_text
from motionbeat_upstream.commands.made_by import RECORDS
from motionbeat_upstream.config import SAMPLE_RATE, STRIDE
from motionbeat_upstream.decoding import audio_length
from motionbeat_upstream.errors import AudioError

if TYPE_CHECKING:
    from torch import Tensor

    from motionbeat_upstream.expert import UpstreamExpert

Layers = str | list[int]
"""``last``, ``all``, or indices of hidden states."""

SLICE_SECONDS, STRIDE_SECONDS, FPS = 5.0, 0.5, 30.0
"""Length of a slice, distance of slices, and frames per second."""

SLICE_FRAMES = round(SLICE_SECONDS * FPS)

SLICE_NAME = re.compile(r"(?P<song>.+)_slice\d+")
"""Stem of an input that is a slice."""


def select_layers(states: list[Tensor], layers: Layers) -> list[Tensor]:
    """Return (T, D) states of the selected layers, from (1, T, D) states of all."""
    if isinstance(layers, list):
        return [states[index][0] for index in layers]
    return [state[0] for state in (states[-1:] if layers == "last" else states)]


@dataclass(frozen=True)
class NpzFormat:
    """One .npz per input, at its relative path."""

    output: Path
    layers: Layers
    half: bool

    def target(self, relative: Path) -> Path:
        """Path of the output of an input."""
        return self.output / relative.with_name(relative.name + ".npz")

    def made_by(self, relative: Path) -> str | None:
        """Text of ``made_by`` of an output: empty for another program, None if it is missing or
        incomplete."""
        try:
            with np.load(self.target(relative), allow_pickle=False) as stored:
                return str(stored["made_by"]) if "made_by" in stored else ""
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            return None

    def write(self, expert: UpstreamExpert, path: Path, relative: Path, made_by: str) -> None:
        """Extract and write the features of a file.

        Raises:
            AudioError: the file cannot be read.
        """
        import torch

        from motionbeat_upstream.audio import read_audio

        with torch.inference_mode():
            outputs = expert([read_audio(path)])
        layers = select_layers(outputs["hidden_states"], self.layers)
        features = layers[-1] if self.layers == "last" else torch.stack(layers)
        grid = outputs["grids"][0]
        names = "embedding", "beat_tokens", "token_times", "onset_envelope", "pulse_activation"
        # In memory, because an archive in a file would print an error when it is collected after Ctrl-C.
        archive = io.BytesIO()
        np.savez(
            archive,
            made_by=np.array(made_by),
            features=features.to(torch.float16 if self.half else torch.float32).cpu().numpy(),
            times=(np.arange(features.shape[-2]) + 0.5) * STRIDE / SAMPLE_RATE,
            beats=grid.beats,
            positions=grid.positions,
            metre=np.array(grid.metre),
            confidence=np.array(grid.confidence),
            downbeat_confidence=np.array(grid.downbeat_confidence),
            **{name: outputs[name][0].float().cpu().numpy() for name in names},
        )
        with atomic_path(self.target(relative)) as draft:
            draft.write_bytes(archive.getbuffer())


@dataclass(frozen=True)
class EdgeFormat:
    """Slices of all inputs in one folder, without subfolders."""

    output: Path
    layers: Layers

    def target(self, relative: Path) -> Path:
        """Path of the first slice of an input."""
        return self._slice(relative, 0)

    def made_by(self, relative: Path) -> str | None:
        """Text of ``made_by`` of the slices: empty for another program, None if some are missing."""
        record = self._read_record(relative)
        if record is None:
            return "" if os.path.exists(self.target(relative)) else None
        complete = all(self._slice(relative, index).is_file() for index in range(record[1]))
        return record[0] if complete else None

    def write(self, expert: UpstreamExpert, path: Path, relative: Path, made_by: str) -> None:
        """Extract the features of a file and write its slices.

        Raises:
            AudioError: the file cannot be read, is shorter than a slice, or has the name of a slice and does
                not last 5 s.
        """
        import torch

        from motionbeat_upstream.audio import read_audio

        record = self._read_record(relative)
        wav = read_audio(path)
        starts = _starts(path, wav)
        with torch.inference_mode():
            layers = select_layers(expert([wav])["hidden_states"], self.layers)
        # Slices of another model are removed before the record changes, so that they are never taken for
        # those of this model after an interruption.
        for index in range(max(len(starts), record[1] if record else 0)):
            self._slice(relative, index).unlink(missing_ok=True)
        write_text(self._record(relative), json.dumps({"made_by": made_by, "slices": len(starts)}))
        for index, start in enumerate(starts):
            with atomic_path(self._slice(relative, index)) as draft, draft.open("wb") as file:
                np.save(file, slice_features(layers, start).float().cpu().numpy(), allow_pickle=False)

    def _slice(self, relative: Path, index: int) -> Path:
        stem = relative.stem if SLICE_NAME.fullmatch(relative.stem) else f"{relative.stem}_slice{index}"
        return self.output / f"{stem}.npy"

    def _record(self, relative: Path) -> Path:
        """Path of the record of the ``made_by`` and the number of slices of an input."""
        return self.output / RECORDS / f"{relative.stem}.json"

    def _read_record(self, relative: Path) -> tuple[str, int] | None:
        try:
            stored = json.loads(self._record(relative).read_text(encoding="utf-8"))
            return str(stored["made_by"]), int(stored["slices"])
        except (OSError, ValueError, KeyError, TypeError):
            return None


def slice_starts(samples: int, rate: int) -> list[float]:
    """Start times of EDGE's slices of a file in seconds; empty if it is shorter than a slice.

    Args:
        samples: number of samples of the file.
        rate: sampling rate in Hz.
    """
    length, stride = int(SLICE_SECONDS * rate), int(STRIDE_SECONDS * rate)
    return [first / rate for first in range(0, samples - length + 1, stride)]


def slice_features(layers: Iterable[Tensor], start: float) -> Tensor:
    """Concatenate (T, D_i) layers at the frames of a slice from ``start`` seconds on, (150, D)."""
    import torch

    from motionbeat_upstream.frame_resampling import resample_frames

    times = start + torch.arange(SLICE_FRAMES, dtype=torch.float64) / FPS
    step = STRIDE / SAMPLE_RATE
    return torch.cat([resample_frames(layer, step / 2, step, times) for layer in layers], -1)


def check_unique_stems(paths: Iterable[Path]) -> None:
    """Check that no two inputs have slices of the same name.

    Raises:
        AudioError: two inputs have the same stem, or one is a slice of another.
    """
    paths_by_stem: dict[str, Path] = {}
    for path in sorted(paths, key=lambda path: SLICE_NAME.fullmatch(path.stem) is not None):
        match = SLICE_NAME.fullmatch(path.stem)
        for name in {path.stem, match["song"] if match else path.stem} & paths_by_stem.keys():
            raise AudioError(
                f"{path} and {paths_by_stem[name]} would be written to slices of one name, but EDGE "
                f"reads one folder; rename one, or run them into two output folders"
            )
        paths_by_stem[path.stem] = path


def _starts(path: Path, wav: Tensor) -> list[float]:
    """Start times of the slices of a file in seconds; 0 if it is a slice."""
    seconds = len(wav) / SAMPLE_RATE
    if SLICE_NAME.fullmatch(path.stem):
        if abs(seconds - SLICE_SECONDS) > 0.5 / FPS:
            raise AudioError(
                f"{path}: lasts {seconds:.2f} s; expected {SLICE_SECONDS:g} s for a slice; cut it "
                f"again, or rename it if it is a song"
            )
        return [0.0]
    # At the sampling rate of the file, as in EDGE, since one sample may decide on the number of slices.
    starts = slice_starts(*audio_length(path))
    if not starts:
        raise AudioError(f"{path}: lasts {seconds:g} s; a slice takes {SLICE_SECONDS:g} s; leave it out")
    return starts
