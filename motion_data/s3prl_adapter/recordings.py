"""The sound of a corpus, each recording once: many dances may be danced to one."""

from __future__ import annotations

from collections.abc import Iterable

from motion_data.pair import MotionPair
from motionbeat_upstream.config import SAMPLE_RATE


def one_a_recording(pairs: Iterable[MotionPair]) -> list[MotionPair]:
    """The pairs without those whose recording is there already, the longest of each, sorted by name."""
    longest: dict[tuple[str, float], MotionPair] = {}
    for pair in pairs:
        key = (pair.name, 0.0) if pair.audio is None else (pair.audio.sha256, round(pair.audio.start, 1))
        if key not in longest or pair.seconds > longest[key].seconds:
            longest[key] = pair
    return sorted(longest.values(), key=lambda pair: pair.name)


def cut_utterances(samples: int, seconds: float) -> list[tuple[int, int]]:
    """Stretches of a recording one after the other, in samples.

    What is left at the end is a stretch of its own if it is at least half as long as the others, or
    if it is all there is.

    Args:
        samples: length of the recording at 16 kHz.
        seconds: length of a stretch.
    """
    size = round(seconds * SAMPLE_RATE)
    count = max(1, (samples + size // 2) // size)
    return [(k * size, min(samples, (k + 1) * size)) for k in range(count)]
