"""The sound of a corpus, each recording once: many dances may be danced to one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from motion_data.manifest import Corpus
from motion_data.motion_file import read_motion
from motion_data.pair import MotionPair
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.nn.grid import Grid

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Sound:
    """A pair's sound with its grid."""

    wav: Tensor
    """(T,) float32 at 16 kHz."""
    grid: Grid | None


def load_sound(corpus: Corpus, pair: MotionPair) -> Sound:
    """Read or play a pair's sound.

    Raises:
        DataError: its files are missing or not what they should be.
        AudioError: its sound cannot be read.
    """
    from motion_data.audio_span import read_span
    from motion_data.loading import load_clip

    if pair.audio is None or pair.motion is None:
        clip = load_clip(pair, corpus.folder)
        return Sound(clip.wav, clip.grid)
    grid = read_motion(corpus.folder / pair.motion)[1]
    return Sound(read_span(corpus.folder / pair.audio.path, pair.audio), grid)


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
