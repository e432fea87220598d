"""Which suffix means which program's format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from motion_data.motion import Motion
from motion_data.writing import bvh
from motion_data.writing.aistpp_pickle import write_aistpp_pickle

MOTION_WRITERS: Mapping[str, Callable[[Path, Motion], None]] = {
    bvh.SUFFIX: bvh.write_bvh,
    ".pkl": write_aistpp_pickle,
}
"""What writes a motion alone."""
