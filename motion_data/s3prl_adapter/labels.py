"""What tasks of S3PRL take from a corpus: each recording once, its pieces, and its labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from motion_data.errors import DataError
from motion_data.pair import MotionPair
from motionbeat_upstream.config import SAMPLE_RATE

STYLE_KEYS = ("style", "dance")
"""Entries of a pair's provenance that name its dance style, the first one found being it."""

TEMPO_BANDS = ((100.0, "slow"), (130.0, "medium"))
"""Upper borders in beats a minute of the tempo bands [O]; above the last it is fast."""

UNKNOWN = "none"
"""Label of what a corpus does not know."""


def style_of(pair: MotionPair) -> str | None:
    """The dance style, or None: the genre of AIST's name, the style that a constructed pair was made in."""
    for key in STYLE_KEYS:
        value = pair.provenance.get(key)
        if isinstance(value, str) and value:
            return value
    return None


def metre_of(pair: MotionPair) -> str:
    """Beats a bar, as ``3 beats``."""
    return UNKNOWN if pair.metre is None else f"{pair.metre} beats"


def tempo_of(pair: MotionPair) -> str:
    """The band of its tempo: slow, medium or fast."""
    if pair.bpm is None:
        return UNKNOWN
    return next((name for border, name in TEMPO_BANDS if pair.bpm < border), "fast")


def styles_of(pairs: Sequence[MotionPair], place: str) -> list[str]:
    """The styles of the pairs, sorted: a style's index is its label.

    Raises:
        DataError: no pair, or fewer than two styles.
    """
    styles = sorted({style for pair in pairs if (style := style_of(pair)) is not None})
    if len(styles) < 2:
        found = styles[0] if styles else "none"
        raise DataError(
            f"{place}: a task of dance styles needs two or more, found {found} among {len(pairs)} pairs; "
            f"put the style into provenance[{STYLE_KEYS[0]!r}] of the pairs and prepare the corpus again"
        )
    return styles


def has_true_beats(pair: MotionPair) -> bool:
    """Whether its beats can be the truth of a task: a grid estimated from the sound cannot."""
    return pair.grid in ("exact", "annotated")


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
