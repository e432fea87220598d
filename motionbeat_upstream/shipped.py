"""The trained weights in the package; weights/README.md is their model card."""

from __future__ import annotations

from pathlib import Path

SHIPPED = Path(__file__).parent / "weights" / "motionbeat_tiny.safetensors"
"""The music tower."""

SHIPPED_MOTION = SHIPPED.with_name("motionbeat_tiny_motion.safetensors")
"""The motion tower that was trained with it; see :mod:`~motionbeat_upstream.pair_checkpoint`."""
