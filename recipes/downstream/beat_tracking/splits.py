"""Which pieces are trained on, chosen by and tested on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from motion_data.errors import DataError
from motion_data.pair import SPLITS

SPLIT_NAMES = {"valid": "dev", "val": "dev", "validation": "dev"} | {split: split for split in SPLITS}
"""What a data set may call a split, and what it is called here."""


def split_by_ratio(pieces: Sequence[str], ratios: Sequence[float], seed: int) -> dict[str, str]:
    """Deal pieces to train, dev and test, the same whatever their order.

    Pieces are ordered by a hash of their name and cut by ``ratios``; every split with a ratio
    above 0 gets at least one piece.

    Raises:
        DataError: fewer pieces than splits.
    """
    wanted = {split: ratio for split, ratio in zip(SPLITS, ratios, strict=True) if ratio > 0}
    unique = sorted(set(pieces), key=lambda piece: hashlib.sha256(f"{seed}:{piece}".encode()).digest())
    if len(unique) < len(wanted):
        raise DataError(
            f"{len(unique)} pieces cannot be split into {', '.join(wanted)}; at least one piece each is "
            f"needed; add some"
        )
    counts = deal(len(unique), wanted)
    dealt = [split for split, count in counts.items() for _ in range(count)]
    return dict(zip(unique, dealt, strict=True))


def deal(count: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Whole numbers near the shares, at least 1 each, that add up to ``count`` if that can be."""
    dealt = dict.fromkeys(shares, 1)
    total = sum(shares.values())
    for _ in range(count - len(dealt)):
        # The next one goes where most is missing from the share.
        dealt[max(shares, key=lambda name: shares[name] / total * count - dealt[name])] += 1
    return dealt
