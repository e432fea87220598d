"""From a line of a manifest to sound, motion and grid."""

from __future__ import annotations

from pathlib import Path

from motion_data.audio_span import read_span
from motion_data.clip import Clip
from motion_data.motion_file import read_motion
from motion_data.pair import MotionPair


def load_clip(pair: MotionPair, folder: str | Path) -> Clip:
    """Read or play a pair.

    Args:
        pair: from a manifest.
        folder: of that manifest.

    Raises:
        DataError: its files are missing or are not what they should be.
        AudioError: its audio cannot be read.
    """
    if pair.audio is None or pair.motion is None:
        from motion_data.corpora.constructed.performance import perform

        return perform(pair)
    folder = Path(folder)
    motion, grid = read_motion(folder / pair.motion)
    return Clip(pair, read_span(folder / pair.audio.path, pair.audio), motion, grid)
