"""Decoded pairs of a corpus's splits, which share the memory that a task may take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from motion_data.pair import MotionPair
from motion_data.pipeline.material import Materials
from motion_data.pipeline.stages import StageClock


def materials_by_split(
    folder: Path, pairs: Mapping[str, Sequence[MotionPair]], fps: float, megabytes: float
) -> dict[str, Materials]:
    """What gives the pairs' sound and motion, each split with room in proportion to its length.

    Args:
        folder: of the corpus.
        pairs: by split.
        fps: frames of motion a second.
        megabytes: room for what is decoded, of all splits together.
    """
    seconds = {split: sum(pair.seconds for pair in of) for split, of in pairs.items()}
    total = sum(seconds.values()) or 1.0
    return {
        split: Materials(folder, of, fps, megabytes * seconds[split] / total, StageClock())
        for split, of in pairs.items()
    }
