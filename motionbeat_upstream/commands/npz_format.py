"""What ``motionbeat features`` writes by default: one .npz a file, with all that the model says of it."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.audio import read_audio
from motionbeat_upstream.config import SAMPLE_RATE, STRIDE
from motionbeat_upstream.expert import UpstreamExpert

Layers = str | list[int]
"""``last``, ``all``, or indices of hidden states."""


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
        """Hear a file and write what is said of it.

        Raises:
            AudioError: the file cannot be read.
        """
        arrays = self._extract(expert, path)
        # An archive that Ctrl-C cuts off is closed once more when it is collected: a file would complain.
        archive = io.BytesIO()
        np.savez(archive, made_by=np.array(made_by), **arrays)
        with atomic_path(self.target(relative)) as draft:
            draft.write_bytes(archive.getbuffer())

    def _extract(self, expert: UpstreamExpert, path: Path) -> dict[str, NDArray[np.generic]]:
        with torch.inference_mode():
            said = expert([read_audio(path)])
        layers = chosen(said["hidden_states"], self.layers)
        features = layers[-1] if self.layers == "last" else torch.stack(layers)
        grid = said["grids"][0]
        return {
            "features": features.to(torch.float16 if self.half else torch.float32).cpu().numpy(),
            "times": (np.arange(features.shape[-2]) + 0.5) * STRIDE / SAMPLE_RATE,
            "embedding": said["embedding"][0].float().cpu().numpy(),
            "beats": grid.beats,
            "positions": grid.positions,
            "metre": np.array(grid.metre),
            "confidence": np.array(grid.confidence),
            "downbeat_confidence": np.array(grid.downbeat_confidence),
            "beat_tokens": said["beat_tokens"][0].float().cpu().numpy(),
            "token_times": said["token_times"][0].float().cpu().numpy(),
            "onset_envelope": said["onset_envelope"][0].float().cpu().numpy(),
            "pulse_activation": said["pulse_activation"][0].cpu().numpy(),
        }
