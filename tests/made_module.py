"""A ProTracker module from a list of rows, as bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

ROWS = 64
"""Of a pattern."""

PERIOD = 428
"""Of a note."""


def made_module(
    notes: Sequence[Mapping[int, int]],
    speed: int = 6,
    tempo: int = 125,
    orders: Sequence[int] | None = None,
    speeds: Mapping[int, int] | None = None,
) -> bytes:
    """A module of 4 channels.

    Args:
        notes: of each pattern, how many notes begin in a row (1 to 3), by the row.
        speed: ticks a row.
        tempo: 2.5 / tempo seconds make a tick.
        orders: the patterns as they are played; None for each once.
        speeds: other speeds from certain rows on, in every pattern.
    """
    sample = (np.random.default_rng(0).normal(size=800) * 100 * np.exp(-np.arange(800) / 150)).clip(-127, 127)
    header = b"made".ljust(20, b"\0")
    header += b"click".ljust(22, b"\0") + (400).to_bytes(2, "big") + bytes([0, 64]) + b"\0\0\0\x01"
    header += 30 * (22 * b"\0" + b"\0\0\0\0\0\0\0\x01")
    played = list(range(len(notes)) if orders is None else orders)
    header += bytes([len(played), 127]) + bytes(played).ljust(128, b"\0") + b"M.K."
    patterns = b""
    for number, pattern in enumerate(notes):
        for row in range(ROWS):
            cells = [bytearray(4) for _ in range(4)]
            for channel in range(pattern.get(row, 0)):
                cells[channel] = bytearray([PERIOD >> 8, PERIOD & 255, 1 << 4, 0])
            if row == 0 and number == played[0]:
                cells[2][2:] = [cells[2][2] | 0xF, tempo]
            wanted = (speeds or {}).get(row, speed if row == 0 else None)
            if wanted is not None:
                cells[3][2:] = [cells[3][2] | 0xF, wanted]
            patterns += b"".join(map(bytes, cells))
    return header + patterns + bytes(sample.astype(np.int8).tobytes())
