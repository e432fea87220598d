"""What pieces were danced like: scores beside the true dances', a JSON file with every dance, the dances."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.motion import Motion
from motion_data.motion_file import write_motion
from motion_data.rhythm.contacts import contact_pulses
from motion_data.skeleton import JOINTS
from motionbeat_upstream.atomic_write import atomic_path
from recipes.dance_metrics.dance import Dance
from recipes.dance_metrics.hands import with_hands
from recipes.dance_metrics.report import markdown, record
from recipes.dance_metrics.scores import score_dances
from recipes.downstream.dance_generation.body_numbers import FPS
from recipes.downstream.dance_generation.settings import TaskSettings
from recipes.downstream.dance_generation.slices import Piece
from recipes.downstream.origin import origin

PACKAGES = ("torch", "torchaudio", "s3prl", "diffusers", "numpy")

Danced = tuple[Piece, NDArray[np.float32]]
"""A piece and (F, 22, 3) joints of the dance that was made to it."""


@dataclass(frozen=True)
class Evaluation:
    """What was evaluated, for the record."""

    split: str
    data: str
    """Name of the corpus."""
    upstream: str
    seed: int
    step: int | None
    """Training steps of the evaluated weights, none where they are not known."""
    settings: TaskSettings
    options: Mapping[str, Any]
    """The rest of config.yaml, and the command line's options."""


def write_report(folder: Path, evaluation: Evaluation, danced: Sequence[Danced]) -> str:
    """Write ``scores-SPLIT.json``, ``scores-SPLIT.md`` and ``dances-SPLIT/NAME.npz``; returns the table.

    Raises:
        DataError: fewer than two dances.
    """
    grids = sorted({piece.pair.grid for piece, _ in danced})
    told = {"beats": f"{' and '.join(grids)}, of {evaluation.data}", "upstream": evaluation.upstream}
    # Step times of a corpus are true only where they come with the score that was danced to.
    scores = score_dances(
        [as_dance(piece, joints) for piece, joints in danced],
        [as_dance(piece, piece.joints) for piece, _ in danced],
        evaluation.seed,
    )
    step = "" if evaluation.step is None else f", step {evaluation.step}"
    title = f"## dance_generation, {evaluation.split}: {evaluation.upstream}{step}"
    text = f"{title}\n\nData: {evaluation.data}. Seed {evaluation.seed}.\n\n{markdown(scores, told)}"
    # The settings that are kept are the task's; those of the scores are told beside them.
    content = {**record(scores, told), "beats": told["beats"], **asdict(evaluation), **origin(PACKAGES)}
    for piece, joints in danced:
        path = folder / f"dances-{evaluation.split}" / f"{piece.pair.name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_motion(path, as_motion(joints, piece.start), piece.grid)
    with atomic_path(folder / f"scores-{evaluation.split}.md") as draft:
        draft.write_text(text, encoding="utf-8")
    with atomic_path(folder / f"scores-{evaluation.split}.json") as draft:
        draft.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
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
