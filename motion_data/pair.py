"""The record of a pair (one piece of music with one motion), shared by corpora, splits and tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, field
from typing import Any, Literal, Self

from pydantic import ConfigDict, InstanceOf, model_validator
from pydantic.dataclasses import dataclass

from motion_data.errors import DataError
from motion_data.settings import CONFIG, Count, Natural, NotNegative, Number, Positive, read_values

SPLITS = ("train", "dev", "test")

NO_BEATS = "no beats"
"""Grid source of a pair that is known to have no beats."""

GRID_SOURCES = ("exact", "annotated", "self-labelled", "estimated", NO_BEATS, "none")
"""Where a pair's beats come from: the score that was played, a human, a model's activations on a measured
tatum, or the audio alone. :data:`NO_BEATS` means that there are none, as in applause; ``none`` means that
nothing is known. Pairs with one of these two have no grid."""


Text = InstanceOf[str]
"""File names may contain bytes that are not UTF-8, which pydantic refuses in a plain str."""


@dataclass(config=ConfigDict(allow_inf_nan=False), frozen=True)
class AudioSpan:
    """A span of an audio file."""

    path: Text
    """Relative to the folder of the manifest, or absolute."""
    start: NotNegative
    """Seconds into the file."""
    stop: Number
    """Seconds into the file, above ``start``."""
    sha256: str
    """Hash of the whole file, which detects one recording under two names in two splits."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.start < self.stop:
            raise ValueError("it must stop after it starts")
        return self


@dataclass(config=CONFIG, frozen=True)
class ShardSpan:
    """The bytes of a tar that contain a pair."""

    path: Text
    """Path of the tar. In a manifest file it is relative to the folder; :func:`read_corpus
    <motion_data.manifest.read_corpus>` makes it a full path or URL."""
    size: Count
    """Size of the tar in bytes."""
    start: Natural
    """First byte of the pair's first member, including its header."""
    stop: Count
    """Byte after the last member."""
    sha256: str
    """Hash of the bytes from ``start`` to ``stop``."""


@dataclass(config=CONFIG, frozen=True)
class MotionPair:
    """One line of a manifest.

    Motions are in metres with y up, on the clock of the audio span. ``provenance`` keeps the source's values.

    Raises:
        pydantic.ValidationError: a field has a value that is not allowed. It is a ``ValueError``.
    """

    name: Text
    """Unique in the corpus and usable as a file name."""
    corpus: Text
    """Corpus module: aistpp, bvh, stepmania, constructed, recordings, modules, video or folder."""
    piece: Text
    """The music. Pairs of one piece are never negatives of each other and are in one split."""
    take: Text
    """The performance of the motion. The same rules apply as for ``piece``."""
    split: str
    """train, dev or test."""
    licence: Text
    """Terms of use."""
    seconds: Positive
    """Length of the pair."""
    fps: NotNegative
    """Frame rate of the motion; 0 without joints."""
    joints: tuple[str, ...]
    """Joint names; empty for step charts."""
    pulses: Mapping[str, int]
    """Number of touch-downs of each limb."""
    grid: str = "none"
    """Source of beats and bars, one of ``GRID_SOURCES``."""
    metre: Count | None = None
    """Most common number of beats per bar; a bar of 6/8 has two. None without a grid."""
    bpm: Positive | None = None
    """Median tempo. None without a grid."""
    audio: AudioSpan | None = None
    """None for a constructed pair, which is rendered when it is loaded."""
    motion: Text | None = None
    """The motion's .npz file, relative to the folder of the manifest; None for a constructed pair."""
    shard: ShardSpan | None = None
    """Where sound and motion are read from if the corpus is stored as shards; otherwise None."""
    units: Literal["m"] = "m"
    axes: Literal["y up"] = "y up"
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Source files, detected and inferred values, seeds: everything needed to create the pair again."""

    @property
    def audio_file(self) -> AudioSpan | None:
        """Span of the file that the sound is read from; None for rendered pairs and pairs in shards."""
        return self.audio if self.shard is None else None

    @model_validator(mode="after")
    def _check(self) -> Self:
        errors = []
        if not self.name or "/" in self.name or self.name.startswith("."):
            errors.append("name must fit a file")
        if not self.piece or not self.take:
            errors.append("piece and take must not be empty")
        if self.split not in SPLITS:
            errors.append(f"split must be one of {', '.join(SPLITS)}, got {self.split!r}")
        if self.grid not in GRID_SOURCES:
            errors.append(f"grid must be one of {', '.join(GRID_SOURCES)}")
        if (self.grid in ("none", NO_BEATS)) != (self.bpm is None):
            errors.append("bpm belongs to a grid, and a grid has one")
        if errors:
            raise ValueError("; ".join(errors))
        return self


def to_record(pair: MotionPair) -> dict[str, Any]:
    """Convert a pair to the JSON object of its manifest line."""
    return {key: value for key, value in asdict(pair).items() if value is not None}


def from_record(record: Mapping[str, Any], location: str) -> MotionPair:
    """Convert the JSON object of a manifest line to a pair.

    Args:
        record: decoded JSON.
        location: file and line, for messages.

    Raises:
        DataError: fields are missing, unknown, or have values that are not allowed.
    """
    errors: list[str] = []
    pair = read_values(MotionPair, record, errors)
    if pair is None:
        raise DataError(f"{location}: {'; '.join(errors)}; prepare the corpus again with this version")
    return pair
