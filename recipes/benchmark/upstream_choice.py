"""Upstreams as they are named on the command line of a benchmark."""

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
    """One row of a table."""

    label: str
    name: str
    """As ``run_downstream.py -u`` takes it."""
    weights: Path | None
    """As ``-k`` takes it: a file, or a folder."""

    @cached_property
    def sha256(self) -> str:
        """Of the weights; see :func:`~recipes.downstream.s3prl_runner.registration.weights_sha256`."""
        return weights_sha256(self.name, self.weights)

    @cached_property
    def encoder(self) -> Encoder:
        """The frozen upstream, loaded when it is first asked for.

        Raises:
            MotionBeatError: it cannot be loaded.
        """
        from recipes.downstream.encoder import load_encoder

        return load_encoder(self.label, self.name, self.weights)

    @property
    def options(self) -> list[str]:
        """Of ``run_downstream.py``."""
        return ["-u", self.name, *([] if self.weights is None else ["-k", str(self.weights)])]

    def made_of(self, data_sha256: str) -> str:
        """What a run of this upstream on such data depends on: change any of it, and the run is another."""
        return f"{__version__} {VERSION} {data_sha256} {' '.join(self.options)} {self.sha256}"


def read_upstreams(given: Sequence[str]) -> list[UpstreamChoice]:
    """The upstreams that are meant.

    Args:
        given: names of S3PRL's hub, files of exported checkpoints (``.safetensors``), or ``NAME:PATH`` for
            an upstream that takes a file or folder; each perhaps with ``LABEL=`` before it.

    Raises:
        MotionBeatError: a path that is not there, or a label given twice.
    """
    found: list[UpstreamChoice] = []
    for one in given:
        label, _, rest = one.rpartition("=")
        name, _, place = rest.partition(":")
        if not place and rest.endswith(".safetensors"):
            name, place = "motionbeat_local", rest
        if place and not Path(place).exists():
            raise MotionBeatError(
                f"{place}: no such file or folder; export it (recipes.pretrain.export), or download it"
            )
        label = label or (Path(place).stem if place else name)
        if label in [choice.label for choice in found]:
            raise MotionBeatError(f"the label {label!r} is given twice; name the rows apart (LABEL={rest})")
        found.append(UpstreamChoice(label, name, Path(place) if place else None))
    return found
