"""Paths of the weights in the package; weights/*.md are their model cards."""

from __future__ import annotations

from pathlib import Path

SHIPPED = Path(__file__).parent / "weights" / "motionbeat_tiny.safetensors"
"""The music tower."""

SHIPPED_MOTION = SHIPPED.with_name("motionbeat_tiny_motion.safetensors")
"""The motion tower and heads that were trained with it; see :mod:`~motionbeat_upstream.checkpoint`."""

SHIPPED_V1 = SHIPPED.with_name("motionbeat_tiny_v1.safetensors")
"""The first music tower, which earlier results refer to."""
