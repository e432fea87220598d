"""One piece of music with one motion to it: the record that every corpus, split and table shares."""

from __future__ import annotations

import functools
import math
import numbers
import types
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, get_args, get_origin, get_type_hints

from motion_data.errors import DataError

SPLITS = ("train", "dev", "test")

GRID_SOURCES = ("exact", "annotated", "self-labelled", "estimated", "none")
"""Where a pair's beats come from: the score that was played, a human, a model's activations on a measured
tatum, the audio alone, or nowhere."""


@dataclass(frozen=True)
class AudioSpan:
    """A stretch of an audio file."""

    path: str
    """From the folder of the manifest, or absolute."""
    start: float
    """Seconds into the file."""
    stop: float
    """Seconds into the file, beyond ``start``."""
    sha256: str
    """Of the whole file: the same recording must not be in two splits under two names."""

    def __post_init__(self) -> None:
        faults = _wrong_types(self)
        if faults:
            raise DataError(f"audio: {'; '.join(faults)}")


@dataclass(frozen=True)
class MotionPair:
    """One line of a manifest.

    Motions are in metres, y up, on the clock of the audio span; what the source had stands in
    ``provenance``.

    Raises :class:`~motion_data.errors.DataError` when a field's value cannot be.
    """

    name: str
    """Unique in the corpus, and fit for a file name."""
    corpus: str
    """Who made it: aistpp, bvh, stepmania, constructed, recordings, video, folder."""
    piece: str
    """The music; pairs of one piece are never each other's negatives, nor in two splits."""
    take: str
    """The performance of the motion; the same holds."""
    split: str
    """train, dev or test."""
    licence: str
    """What may be done with it."""
    seconds: float
    """Length of the pair."""
    fps: float
    """Frames of motion a second; 0 without joints."""
    joints: tuple[str, ...]
    """Names of the joints; none for step charts."""
    pulses: Mapping[str, int]
    """Touch-downs of each limb."""
    grid: str = "none"
    """Where beats and bars come from: one of ``GRID_SOURCES``."""
    metre: int | None = None
    """Beats a bar, most of the time; a bar of 6/8 counts as two. None without a grid."""
    bpm: float | None = None
    """Median tempo in beats a minute. None without a grid."""
    audio: AudioSpan | None = None
    """None for a constructed pair, which is played when it is loaded."""
    motion: str | None = None
    """The motion's .npz, from the folder of the manifest; None for a constructed pair."""
    units: str = "m"
    axes: str = "y up"
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Source files, what was detected, filled or missed, seeds: what it takes to make the pair again."""

    def __post_init__(self) -> None:
        faults = _wrong_types(self) or [
            fault
            for wrong, fault in (
                (not self.name or "/" in self.name or self.name.startswith("."), "name must fit a file"),
                (not self.piece, "piece is empty"),
                (not self.take, "take is empty"),
                (self.split not in SPLITS, f"split must be one of {', '.join(SPLITS)}, got {self.split!r}"),
                (not 0 < self.seconds < math.inf, f"seconds must be above 0, got {self.seconds}"),
                (not 0 <= self.fps < math.inf, f"fps must be at least 0, got {self.fps}"),
                (self.metre is not None and self.metre < 1, f"metre must be at least 1, got {self.metre}"),
                (
                    self.bpm is not None and not 0 < self.bpm < math.inf,
                    f"bpm must be above 0, got {self.bpm}",
                ),
                (self.grid not in GRID_SOURCES, f"grid must be one of {', '.join(GRID_SOURCES)}"),
                ((self.grid == "none") != (self.bpm is None), "bpm belongs to a grid, and a grid has one"),
                (self.units != "m" or self.axes != "y up", "units must be m, axes y up"),
                (
                    self.audio is not None and not 0 <= self.audio.start < self.audio.stop < math.inf,
                    "audio must start at 0 s or later, and stop after that",
                ),
            )
            if wrong
        ]
        if faults:
            raise DataError(f"pair {self.name!r}: {'; '.join(faults)}")


_hints = functools.cache(get_type_hints)


def _wrong_types(record: object) -> list[str]:
    """The fields of a dataclass whose values are of another type, as a manifest's line may hold them."""
    faults = []
    for name, hint in _hints(type(record)).items():  # type: ignore[arg-type]  # a class can be hashed
        value = getattr(record, name)
        if not _is_of_type(value, hint):
            faults.append(f"{name} is {value!r}")
    return faults


def _is_of_type(value: Any, hint: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is types.UnionType:
        return any(_is_of_type(value, one) for one in arguments)
    if origin is tuple:
        return isinstance(value, tuple) and all(_is_of_type(one, arguments[0]) for one in value)
    if origin is Mapping:
        return isinstance(value, Mapping) and (
            arguments[1] is Any or all(_is_of_type(one, arguments[1]) for one in value.values())
        )
    if hint in (int, float):
        number = isinstance(value, numbers.Integral if hint is int else numbers.Real)
        return number and not isinstance(value, bool)
    return isinstance(value, hint)


def to_record(pair: MotionPair) -> dict[str, Any]:
    """What stands in a manifest's line, as JSON holds it."""
    return {key: value for key, value in asdict(pair).items() if value is not None}


def from_record(record: Mapping[str, Any], place: str) -> MotionPair:
    """A pair from a manifest's line.

    Args:
        record: the decoded JSON object.
        place: file and line, for messages.

    Raises:
        DataError: fields that are missing, unknown, or cannot be.
    """
    if not isinstance(record, Mapping):
        raise DataError(f"{place}: found a {type(record).__name__}, expected the record of a pair")
    known = {f.name for f in fields(MotionPair)}
    needed = {f.name for f in fields(MotionPair) if f.default is MISSING and f.default_factory is MISSING}
    missing, unknown = sorted(needed - set(record)), sorted(set(record) - known)
    if missing or unknown:
        raise DataError(
            f"{place}: "
            + "; ".join(
                f"{what} {', '.join(' '.join(name.split()) for name in names)}"
                for what, names in (("lacks", missing), ("has unknown fields", unknown))
                if names
            )
            + "; prepare the corpus again with this version"
        )
    try:
        joints = record["joints"]
        values = dict(record) | {"joints": tuple(joints) if isinstance(joints, list) else joints}
        if record.get("audio") is not None:
            audio = {f.name: record["audio"][f.name] for f in fields(AudioSpan)}
            values["audio"] = AudioSpan(**audio)
        return MotionPair(**values)
    except (TypeError, ValueError, KeyError) as error:
        raise DataError(f"{place}: {error}; prepare the corpus again") from error
