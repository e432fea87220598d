"""A frozen upstream with a fingerprint, which changes whenever its features can change."""

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
    """Name in tables."""
    fingerprint: str
    """Hash of weights, code, versions of packages and device type."""
    model: nn.Module
    """From S3PRL's hub, in eval mode."""
    rate: float
    """Samples at 16 kHz per frame."""
    device: torch.device

    @torch.inference_mode()
    def layers(self, wav: Tensor) -> Tensor:
        """(L, F, D) float32 hidden states of one (T,) waveform at 16 kHz, on the CPU.

        Raises:
            MotionBeatError: layers of different shapes, or features that are NaN or infinite.
        """
        # A copy, because some upstreams normalise in place.
        outputs = self.model([wav.clone().to(self.device)])["hidden_states"]
        states = [state[0].float().cpu() for state in outputs]
        if len({state.shape for state in states}) > 1:
            raise MotionBeatError(
                f"{self.label}: its layers have different shapes and cannot be summed; choose one with -s"
            )
        features = torch.stack(states)[:, : max(1, round(len(wav) / self.rate))]
        if not bool(torch.isfinite(features).all()):
            raise MotionBeatError(f"{self.label}: its features of {len(wav)} samples are NaN or infinite")
        return features


def load_encoder(
    label: str, name: str, weights: Path | None = None, device: str | torch.device = "cpu"
) -> Encoder:
    """Load an upstream of S3PRL or of this project.

    Args:
        label: name in tables.
        name: name of the upstream, as for ``-u``.
        weights: its weights, as for ``-k``.
        device: device to compute on.

    Raises:
        MotionBeatError: there is no such upstream.
    """
    from s3prl import hub

    with registered():
        if name not in upstreams():
            raise MotionBeatError(f"{name}: no such upstream; run_downstream.py -h lists them")
        model = getattr(hub, name)(
            ckpt=None if weights is None else str(weights), model_config=None, refresh=False
        )
    model = model.to(device).eval()
    device = torch.device(device)
    rate = float(model.get_downsample_rates("hidden_states"))
    return Encoder(label, fingerprint(model, device), model, rate, device)


def fingerprint(model: nn.Module, device: torch.device) -> str:
    """Hash of everything that the features of a frozen upstream depend on, except the audio."""
    content = {
        "class": f"{type(model).__module__}.{type(model).__qualname__}",
        "weights": tensors_sha256(model.state_dict()),
        "settings": {name: _settings(module) for name, module in model.named_modules()},
        "code": _code_hash(type(model)),
        "versions": dict.fromkeys(VERSIONS) | installed_versions(VERSIONS),
        "device": device.type,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _settings(module: nn.Module) -> dict[str, str]:
    """Attributes of a module that are plain values or configurations: they may change its features."""
    plain = (str, int, float, bool, tuple, list, type(None))
    return {
        # Without addresses in memory, which S3PRL's lists of hooks contain and which differ between
        # processes.
        name: re.sub(r" at 0x[0-9a-f]+", "", repr(value.to_dict() if hasattr(value, "to_dict") else value))
        for name, value in sorted(vars(module).items())
        if isinstance(value, plain) or is_dataclass(value) or hasattr(value, "to_dict")
    }


def _code_hash(model_class: type) -> str:
    """Hash of the source files of a class: all of motionbeat_upstream, or the folder of its module."""
    file = Path(inspect.getfile(model_class))
    packages = [parent for parent in file.parents if parent.name == "motionbeat_upstream"]
    root = packages[0] if packages else file.parent
    return sources_hash(sorted(path for pattern in ("*.py", "*.yaml") for path in root.rglob(pattern)))


def sources_hash(paths: Sequence[Path]) -> str:
    """Hash of the names and contents of files, in the given order."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
