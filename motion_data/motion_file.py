"""Motions with their grid and labels as .npz files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError
from motion_data.files import read_npz
from motion_data.labels import Labels
from motion_data.motion import Motion
from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.tracking.grid import Grid

NO_LABELS = Labels()

PULSE_PREFIX = "pulse_"
"""Prefix of the arrays of touch-downs, one per limb."""

LABEL_PREFIX = "label_"
"""Prefix of the arrays of labels, one per kind."""


def to_arrays(motion: Motion, grid: Grid | None, labels: Labels = NO_LABELS) -> dict[str, NDArray[Any]]:
    """Convert a motion, its grid and labels to the named arrays of a file."""
    arrays: dict[str, NDArray[Any]] = {
        "fps": np.array(motion.fps),
        "start": np.array(motion.start),
        "names": np.array(motion.names, dtype=np.str_),
        "joints": motion.joints,
        **{PULSE_PREFIX + limb: times for limb, times in motion.pulses.items()},
        **{LABEL_PREFIX + kind: rows for kind, rows in labels.events.items()},
    }
    if motion.rotations is not None:
        arrays["rotations"] = motion.rotations
    if grid is not None:
        arrays |= {"beats": grid.beats, "positions": grid.positions, "metre": np.array(grid.metre)}
        arrays["confidence"] = np.array(grid.confidence)
        arrays["downbeat_confidence"] = np.array(grid.downbeat_confidence)
    return arrays


def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> tuple[Motion, Grid | None, Labels]:
    """Convert the arrays of :func:`to_arrays` back.

    Raises:
        KeyError, ValueError, TypeError, OverflowError: arrays are missing or do not fit each other.
    """
    motion = Motion(
        float(arrays["fps"]),
        tuple(str(name) for name in arrays["names"]),
        arrays["joints"],
        float(arrays["start"]),
        arrays.get("rotations"),
        {name.removeprefix(PULSE_PREFIX): arrays[name] for name in arrays if name.startswith(PULSE_PREFIX)},
    )
    labels = Labels(
        {name.removeprefix(LABEL_PREFIX): arrays[name] for name in arrays if name.startswith(LABEL_PREFIX)}
    )
    if "beats" not in arrays:
        return motion, None, labels
    confidence = float(arrays["confidence"])
    # Older files have one confidence for both.
    downbeat_confidence = float(arrays.get("downbeat_confidence", confidence))
    grid = Grid(arrays["beats"], arrays["positions"], int(arrays["metre"]), confidence, downbeat_confidence)
    return motion, grid, labels


def write_motion(path: str | Path, motion: Motion, grid: Grid | None, labels: Labels = NO_LABELS) -> None:
    """Write a motion atomically."""
    with atomic_path(path) as draft:
        np.savez(draft, **to_arrays(motion, grid, labels))


def read_motion(path: str | Path) -> tuple[Motion, Grid | None]:
    """Read motion and grid; see :func:`read_motion_and_labels`."""
    return read_motion_and_labels(path)[:2]


def read_motion_and_labels(path: str | Path) -> tuple[Motion, Grid | None, Labels]:
    """Read a file of :func:`write_motion`, without unpickling.

    Raises:
        DataError: the file is missing or damaged, or its arrays do not fit each other.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file; prepare the corpus again")
    try:
        return from_arrays(read_npz(path))
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise DataError(f"{path}: not a motion of this project ({error}); prepare it again") from error
