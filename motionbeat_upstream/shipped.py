"""The trained weights in the package; weights/*.md are their model cards."""

from __future__ import annotations

from pathlib import Path

SHIPPED = Path(__file__).parent / "weights" / "motionbeat_tiny.safetensors"
"""The music tower."""

SHIPPED_MOTION = SHIPPED.with_name("motionbeat_tiny_motion.safetensors")
"""The motion tower that was trained with it; see :mod:`~motionbeat_upstream.checkpoint`."""

SHIPPED_V1 = SHIPPED.with_name("motionbeat_tiny_v1.safetensors")
"""The music tower of the first release, for results that name it."""
