"""Splits for corpora that come without: dealt by a hash, so that every machine deals alike."""

from __future__ import annotations

import hashlib

from motion_data.pair import SPLITS


def hashed_split(piece: str) -> str:
    """train, dev or test, 80/10/10, always the same for a piece."""
    share = int.from_bytes(hashlib.sha256(piece.encode()).digest()[:8]) / 2**64
    return SPLITS[0] if share < 0.8 else SPLITS[1] if share < 0.9 else SPLITS[2]
