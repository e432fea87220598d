"""A frozen upstream of S3PRL's with a fingerprint that says all its features depend on."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from motionbeat_upstream.checkpoint import tensors_sha256
from motionbeat_upstream.errors import MotionBeatError
from recipes.downstream.s3prl_runner.registration import registered, upstreams
from recipes.results.record import installed_versions

VERSIONS = ("torch", "torchaudio", "s3prl", "transformers", "muq", "librosa", "soundfile", "numpy")
"""Packages that features may depend on."""


@dataclass(frozen=True)
class Encoder:
    """A frozen upstream."""

    label: str
    """What tables call it."""
    fingerprint: str
    """Hash of its weights, its code, the versions under it and the kind of device."""
    model: nn.Module
    """As S3PRL's hub gives it, in eval mode."""
    rate: float
    """Samples at 16 kHz a frame."""
    device: torch.device

    @torch.inference_mode()
    def layers(self, wav: Tensor) -> Tensor:
        """(L, F, D) float32 hidden states of one (T,) waveform at 16 kHz, on the CPU.

        Raises:
            MotionBeatError: layers of different widths, or features that are no numbers.
        """
        # A copy: some upstreams normalise in place.
        said = self.model([wav.clone().to(self.device)])["hidden_states"]
        states = [state[0].float().cpu() for state in said]
        if len({state.shape for state in states}) > 1:
            raise MotionBeatError(
                f"{self.label}: its layers differ in shape, and cannot be added; choose one with -s"
            )
        found = torch.stack(states)[:, : max(1, round(len(wav) / self.rate))]
        if not bool(torch.isfinite(found).all()):
            raise MotionBeatError(
                f"{self.label}: its features are no numbers (NaN or infinite) on {len(wav)} samples"
            )
        return found


def load_encoder(
    label: str, name: str, weights: Path | None = None, device: str | torch.device = "cpu"
) -> Encoder:
    """An upstream of S3PRL's hub or of ours, by what ``-u`` and ``-k`` take; tables call it ``label``.

    Raises:
        MotionBeatError: there is no such upstream.
    """
    from s3prl import hub

    with registered():
        if name not in upstreams():
            raise MotionBeatError(f"{name}: no such upstream; run_downstream.py -h lists all")
        model = getattr(hub, name)(
            ckpt=None if weights is None else str(weights), model_config=None, refresh=False
        )
    model = model.to(device).eval()
    where = torch.device(device)
    rate = float(model.get_downsample_rates("hidden_states"))
    return Encoder(label, fingerprint(model, where), model, rate, where)


def fingerprint(model: nn.Module, device: torch.device) -> str:
    """Hash of all that a frozen upstream's features depend on, but for the sound."""
    said = {
        "class": f"{type(model).__module__}.{type(model).__qualname__}",
        "weights": tensors_sha256(model.state_dict()),
        "settings": {place: _settings(module) for place, module in model.named_modules()},
        "code": _code_hash(type(model)),
        "versions": dict.fromkeys(VERSIONS) | installed_versions(VERSIONS),
        "device": device.type,
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _settings(module: nn.Module) -> dict[str, str]:
    """A module's own plain values and configurations, which can change features where weights do not."""
    plain = (str, int, float, bool, tuple, list, type(None))
    return {
        # Without addresses in memory, which S3PRL's lists of hooks have: they differ from process to process.
        name: re.sub(r" at 0x[0-9a-f]+", "", repr(value.to_dict() if hasattr(value, "to_dict") else value))
        for name, value in sorted(vars(module).items())
        if isinstance(value, plain) or is_dataclass(value) or hasattr(value, "to_dict")
    }


def _code_hash(kind: type) -> str:
    """Of the sources that a class comes with: its whole package if it is ours, its folder otherwise."""
    file = Path(inspect.getfile(kind))
    ours = [parent for parent in file.parents if parent.name == "motionbeat_upstream"]
    root = ours[0] if ours else file.parent
    return sources_hash(sorted(path for ending in ("*.py", "*.yaml") for path in root.rglob(ending)))


def sources_hash(files: Sequence[Path]) -> str:
    """Of the contents of files, in the given order."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()
