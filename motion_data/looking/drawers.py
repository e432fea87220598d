"""Which suffix means which way of looking at a pair."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from motion_data.looking import figure, film, page
from motion_data.looking.excerpt import Excerpt

DRAWERS: Mapping[str, Callable[[Path, Excerpt], None]] = {
    **dict.fromkeys(figure.SUFFIXES, figure.write_figure),
    film.SUFFIX: film.write_film,
    page.SUFFIX: page.write_page,
}
"""What draws music and motion together."""

PICTURE_SECONDS = 16.0
"""What can still be read on one line."""


def seconds_shown(suffix: str) -> float | None:
    """How much is shown where no stretch is asked for; None is all."""
    return PICTURE_SECONDS if suffix in figure.SUFFIXES else None
