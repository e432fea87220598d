"""The files of ``motionbeat features``: one .npz a file, or what EDGE's data loader reads.

EDGE (Tseng, Castellon and Liu, "EDGE: Editable Dance Generation From Music", CVPR 2023; Stanford-TML/EDGE)
cuts songs and motions into slices of 5 s, 0.5 s apart: slice k of a file of n samples a second is 5·n samples
from k times int(0.5·n) on, as long as the file lasts, and is called SONG_slicek. Its loader sorts the .npy
files of one folder and the motions of another, expects as many of one as of the other with the same stems,
and stacks arrays of (150, D): 30 frames a second, frame j of a slice j/30 s after its beginning. It reads
them in place of its Jukebox features.
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

SECONDS, STRIDE_SECONDS, FPS = 5.0, 0.5, 30.0
"""Of a slice, from one slice to the next, and frames a second."""

FRAMES = round(SECONDS * FPS)

SLICED = re.compile(r"(?P<song>.+)_slice\d+")
"""Stem of a file that is a slice already."""


def chosen(states: list[Tensor], layers: Layers) -> list[Tensor]:
    """(T, D) of each chosen layer, from the (1, T, D) of all."""
    if isinstance(layers, list):
        return [states[index][0] for index in layers]
    return [state[0] for state in (states[-1:] if layers == "last" else states)]


@dataclass(frozen=True)
class NpzFormat:
    """One .npz a file, where the file lies under its input folder."""

    output: Path
    layers: Layers
    half: bool

    def target(self, relative: Path) -> Path:
        """What is written for an input."""
        return self.output / relative.with_name(relative.name + ".npz")

    def made_by(self, relative: Path) -> str | None:
        """What made the features of an input: empty for another program, None without a whole file."""
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
        layers = chosen(outputs["hidden_states"], self.layers)
        features = layers[-1] if self.layers == "last" else torch.stack(layers)
        grid = outputs["grids"][0]
        names = "embedding", "beat_tokens", "token_times", "onset_envelope", "pulse_activation"
        # An archive that Ctrl-C cuts off is closed once more when it is collected: a file would complain.
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
        """The first slice of an input."""
        return self._slice(relative, 0)

    def made_by(self, relative: Path) -> str | None:
        """What made the slices of an input: empty for another program, None where not all are there."""
        record = self._read_record(relative)
        if record is None:
            return "" if os.path.exists(self.target(relative)) else None
        whole = all(self._slice(relative, index).is_file() for index in range(record[1]))
        return record[0] if whole else None

    def write(self, expert: UpstreamExpert, path: Path, relative: Path, made_by: str) -> None:
        """Extract the features of a file once and write its slices, one after the other.

        Raises:
            AudioError: the file cannot be read, or is shorter than a slice; or is called a slice and does not
                last 5 s.
        """
        import torch

        from motionbeat_upstream.audio import read_audio

        record = self._read_record(relative)
        wav = read_audio(path)
        starts = _starts(path, wav)
        with torch.inference_mode():
            layers = chosen(expert([wav])["hidden_states"], self.layers)
        # What is there from another model goes before the record changes: a slice is never taken for
        # another model's, wherever this is interrupted.
        for index in range(max(len(starts), record[1] if record else 0)):
            self._slice(relative, index).unlink(missing_ok=True)
        write_text(self._record(relative), json.dumps({"made_by": made_by, "slices": len(starts)}))
        for index, start in enumerate(starts):
            with atomic_path(self._slice(relative, index)) as draft, draft.open("wb") as file:
                np.save(file, slice_features(layers, start).float().cpu().numpy(), allow_pickle=False)

    def _slice(self, relative: Path, index: int) -> Path:
        stem = relative.stem if SLICED.fullmatch(relative.stem) else f"{relative.stem}_slice{index}"
        return self.output / f"{stem}.npy"

    def _record(self, relative: Path) -> Path:
        """It says what made the slices of an input, and how many there are."""
        return self.output / RECORDS / f"{relative.stem}.json"

    def _read_record(self, relative: Path) -> tuple[str, int] | None:
        try:
            stored = json.loads(self._record(relative).read_text(encoding="utf-8"))
            return str(stored["made_by"]), int(stored["slices"])
        except (OSError, ValueError, KeyError, TypeError):
            return None


def slice_starts(samples: int, rate: int) -> list[float]:
    """Seconds at which EDGE's slices of a file begin; none where it is shorter than a slice.

    Args:
        samples: of the file, at its own rate.
        rate: samples a second.
    """
    length, stride = int(SECONDS * rate), int(STRIDE_SECONDS * rate)
    return [first / rate for first in range(0, samples - length + 1, stride)]


def slice_features(layers: Iterable[Tensor], start: float) -> Tensor:
    """(150, D): layers (T, D_i) side by side, at the frames of a motion that begins at ``start`` seconds."""
    import torch

    from motionbeat_upstream.frame_resampling import resample_frames

    times = start + torch.arange(FRAMES, dtype=torch.float64) / FPS
    step = STRIDE / SAMPLE_RATE
    return torch.cat([resample_frames(layer, step / 2, step, times) for layer in layers], -1)


def check_unique_stems(paths: Iterable[Path]) -> None:
    """Check that no two inputs would be written to the same slices.

    Raises:
        AudioError: two of one stem, or a song whole and in slices.
    """
    taken: dict[str, Path] = {}
    for path in sorted(paths, key=lambda path: SLICED.fullmatch(path.stem) is not None):
        match = SLICED.fullmatch(path.stem)
        for name in {path.stem, match["song"] if match else path.stem} & taken.keys():
            raise AudioError(
                f"{path} and {taken[name]} would be written to slices of one name, and EDGE reads one "
                f"folder; rename one, or run them into two output folders"
            )
        taken[path.stem] = path


def _starts(path: Path, wav: Tensor) -> list[float]:
    """Seconds at which the slices of a file begin: at 0 where it is one already."""
    seconds = len(wav) / SAMPLE_RATE
    if SLICED.fullmatch(path.stem):
        if abs(seconds - SECONDS) > 0.5 / FPS:
            raise AudioError(
                f"{path}: lasts {seconds:.2f} s; expected {SECONDS:g} s of what is called a slice: cut it "
                f"anew, or rename it if it is a song"
            )
        return [0.0]
    # Counted at the file's own rate, as EDGE does: a sample decides whether there is one slice more.
    starts = slice_starts(*audio_length(path))
    if not starts:
        raise AudioError(f"{path}: lasts {seconds:g} s; a slice takes {SECONDS:g} s: leave it out")
    return starts
