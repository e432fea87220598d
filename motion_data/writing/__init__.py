"""A motion in the formats of other programs: BVH for animation, AIST++'s pickle for dance generation."""

from __future__ import annotations

from pathlib import Path

from motion_data.motion import Motion

SUFFIXES = (".bvh", ".pkl")


def write_as(output: Path, motion: Motion) -> None:
    """Write a motion alone, as the suffix of ``output`` says."""
    from motion_data.writing.aistpp_pickle import write_aistpp_pickle
    from motion_data.writing.bvh import write_bvh

    write = {".bvh": write_bvh, ".pkl": write_aistpp_pickle}[output.suffix.lower()]
    write(output, motion)
