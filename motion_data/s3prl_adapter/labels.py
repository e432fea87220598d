"""What a pair can be labelled with, for tasks that classify its sound."""

from __future__ import annotations

from collections.abc import Sequence

from motion_data.errors import DataError
from motion_data.pair import MotionPair

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
