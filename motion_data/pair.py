"""One piece of music with one motion to it: the record that every corpus, split and table shares."""

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
tatum, or the audio alone. With :data:`NO_BEATS` it is known that there are none, as in applause; with
``none`` nothing is known. Neither has a grid."""


Text = InstanceOf[str]
"""Names of files may hold bytes that are not UTF-8, which pydantic refuses in a plain str."""


@dataclass(config=ConfigDict(allow_inf_nan=False), frozen=True)
class AudioSpan:
    """A stretch of an audio file."""

    path: Text
    """From the folder of the manifest, or absolute."""
    start: NotNegative
    """Seconds into the file."""
    stop: Number
    """Seconds into the file, beyond ``start``."""
    sha256: str
    """Of the whole file: the same recording must not be in two splits under two names."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.start < self.stop:
            raise ValueError("it must stop after it starts")
        return self


@dataclass(config=CONFIG, frozen=True)
class ShardSpan:
    """The bytes of a tar that hold a pair."""

    path: Text
    """Of the tar: in the manifest from its folder on; once that is read whole, or a URL."""
    size: Count
    """Bytes of the whole tar."""
    start: Natural
    """First byte of the pair's first member, its header included."""
    stop: Count
    """Byte behind the last."""
    sha256: str
    """Of the bytes from ``start`` to ``stop``."""


@dataclass(config=CONFIG, frozen=True)
class MotionPair:
    """One line of a manifest.

    Motions are in metres, y up, on the clock of the audio span; what the source had stands in
    ``provenance``.

    Raises ``pydantic.ValidationError``, a ``ValueError``, when a field's value cannot be.
    """

    name: Text
    """Unique in the corpus, and fit for a file name."""
    corpus: Text
    """Who made it: aistpp, bvh, stepmania, constructed, recordings, modules, video, folder."""
    piece: Text
    """The music; pairs of one piece are never each other's negatives, nor in two splits."""
    take: Text
    """The performance of the motion; the same holds."""
    split: str
    """train, dev or test."""
    licence: Text
    """What may be done with it."""
    seconds: Positive
    """Length of the pair."""
    fps: NotNegative
    """Frames of motion a second; 0 without joints."""
    joints: tuple[str, ...]
    """Names of the joints; none for step charts."""
    pulses: Mapping[str, int]
    """Touch-downs of each limb."""
    grid: str = "none"
    """Where beats and bars come from: one of ``GRID_SOURCES``."""
    metre: Count | None = None
    """Beats a bar, most of the time; a bar of 6/8 counts as two. None without a grid."""
    bpm: Positive | None = None
    """Median tempo in beats a minute. None without a grid."""
    audio: AudioSpan | None = None
    """None for a constructed pair, which is played when it is loaded."""
    motion: Text | None = None
    """The motion's .npz, from the folder of the manifest; None for a constructed pair."""
    shard: ShardSpan | None = None
    """Where sound and motion are read from in place of files or notes; None outside of shards."""
    units: Literal["m"] = "m"
    axes: Literal["y up"] = "y up"
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Source files, what was detected, filled or missed, seeds: what it takes to make the pair again."""

    @property
    def audio_file(self) -> AudioSpan | None:
        """What of a file the sound is read from; None where it is played from notes, or lies in a shard."""
        return self.audio if self.shard is None else None

    @model_validator(mode="after")
    def _check(self) -> Self:
        faults = [
            fault
            for wrong, fault in (
                (not self.name or "/" in self.name or self.name.startswith("."), "name must fit a file"),
                (not self.piece or not self.take, "piece and take must not be empty"),
                (self.split not in SPLITS, f"split must be one of {', '.join(SPLITS)}, got {self.split!r}"),
                (self.grid not in GRID_SOURCES, f"grid must be one of {', '.join(GRID_SOURCES)}"),
                (
                    (self.grid in ("none", NO_BEATS)) != (self.bpm is None),
                    "bpm belongs to a grid, and a grid has one",
                ),
            )
            if wrong
        ]
        if faults:
            raise ValueError("; ".join(faults))
        return self


def to_record(pair: MotionPair) -> dict[str, Any]:
    """What stands in a manifest's line, as JSON holds it."""
    return {key: value for key, value in asdict(pair).items() if value is not None}


def from_record(record: Mapping[str, Any], location: str) -> MotionPair:
    """A pair from a manifest's line, decoded from JSON; ``place`` is its file and line, for messages.

    Raises:
        DataError: fields that are missing, unknown, or cannot be.
    """
    faults: list[str] = []
    pair = read_values(MotionPair, record, faults)
    if pair is None:
        raise DataError(f"{location}: {'; '.join(faults)}; prepare the corpus again with this version")
    return pair
