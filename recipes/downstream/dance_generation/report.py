"""The report of generated dances: scores beside the true dances', and the dances themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from motion_data.motion import Motion
from motion_data.motion_file import write_motion
from motion_data.rhythm.contacts import contact_pulses
from motion_data.skeleton import JOINTS
from recipes.dance_metrics.dance import Dance, with_hands
from recipes.dance_metrics.scores import dance_results, markdown
from recipes.downstream.dance_generation.body_numbers import FPS
from recipes.downstream.dance_generation.slices import Piece
from recipes.results.record import Run, write_report

Danced = tuple[Piece, NDArray[np.float32]]
"""A piece and (F, 22, 3) joints of the dance that was made to it."""


def report(folder: Path, run: Run, danced: Sequence[Danced]) -> str:
    """Write the results, the report and ``dances-SPLIT/NAME.npz``; returns the report.

    Args:
        folder: of the run.
        run: its details get the source of the beats.
        danced: the dances that were made.

    Raises:
        DataError: fewer than two dances.
    """
    grids = sorted({piece.pair.grid for piece, _ in danced})
    beats = f"{' and '.join(grids)}, of {run.data}"
    # Step times of a corpus are true only where they come with the score that was danced to.
    results = dance_results(
        replace(run, details={"beats": beats, **run.details}),
        [as_dance(piece, joints) for piece, joints in danced],
        [as_dance(piece, piece.joints) for piece, _ in danced],
    )
    text = f"{run.title()}\n\nData: {run.data}. Seed {run.seed}.\n\n{markdown(results)}"
    for piece, joints in danced:
        path = folder / f"dances-{run.split}" / f"{piece.pair.name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_motion(path, as_motion(joints, piece.start), piece.grid)
    write_report(folder, results, text)
    return text


def as_dance(piece: Piece, joints: NDArray[np.float32]) -> Dance:
    """A dance to a piece, ready to be scored."""
    beats = None if piece.grid is None else piece.grid.beats - piece.start
    exact = piece.pair.grid == "exact" and len(piece.steps) > 0
    return Dance(
        piece.pair.name, with_hands(joints), FPS, beats, piece.steps - piece.start if exact else None
    )


def as_motion(joints: NDArray[np.float32], start: float) -> Motion:
    """A dance with the touch-downs of its feet; ``start`` is frame 0's second of the sound."""
    return Motion(FPS, JOINTS, joints, start, None, contact_pulses(joints, JOINTS, FPS, start))
