"""Upstreams on the command lines of benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from motionbeat_upstream.errors import MotionBeatError
from motionbeat_upstream.version import __version__
from recipes.downstream.s3prl_runner.registration import weights_sha256
from recipes.results.record import VERSION

if TYPE_CHECKING:
    from recipes.downstream.encoder import Encoder


@dataclass(frozen=True)
class UpstreamChoice:
    """An upstream, which is a row of a table."""

    label: str
    name: str
    """Option ``-u`` of ``run_downstream.py``."""
    weights: Path | None
    """Option ``-k`` of ``run_downstream.py``: a file or a folder."""

    @cached_property
    def sha256(self) -> str:
        """Hash of the weights; see :func:`~recipes.downstream.s3prl_runner.registration.weights_sha256`."""
        return weights_sha256(self.name, self.weights)

    @cached_property
    def encoder(self) -> Encoder:
        """The frozen upstream, loaded at the first access.

        Raises:
            MotionBeatError: it cannot be loaded.
        """
        from recipes.downstream.encoder import load_encoder

        return load_encoder(self.label, self.name, self.weights)

    @property
    def options(self) -> list[str]:
        """Options of ``run_downstream.py``."""
        return ["-u", self.name, *([] if self.weights is None else ["-k", str(self.weights)])]

    def fingerprint(self, data_sha256: str) -> str:
        """Identification of everything that a run of this upstream on this data depends on."""
        return f"{__version__} {VERSION} {data_sha256} {' '.join(self.options)} {self.sha256}"


def read_upstreams(texts: Sequence[str]) -> list[UpstreamChoice]:
    """Parse upstreams.

    Args:
        texts: names in S3PRL's hub, files of exported checkpoints (``.safetensors``), or ``NAME:PATH`` for an
            upstream that takes a file or folder; each optionally with the prefix ``LABEL=``.

    Raises:
        MotionBeatError: a missing path, or a duplicate label.
    """
    choices: list[UpstreamChoice] = []
    for text in texts:
        label, _, rest = text.rpartition("=")
        name, _, path = rest.partition(":")
        if not path and rest.endswith(".safetensors"):
            name, path = "motionbeat_local", rest
        if path and not Path(path).exists():
            raise MotionBeatError(
                f"{path}: no such file or folder; export it (recipes.pretrain.export), or download it"
            )
        label = label or (Path(path).stem if path else name)
        if label in [choice.label for choice in choices]:
            raise MotionBeatError(f"the label {label!r} is given twice; use different labels (LABEL={rest})")
        choices.append(UpstreamChoice(label, name, Path(path) if path else None))
    return choices
