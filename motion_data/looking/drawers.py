"""Which suffix means which way of looking at a pair."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from motion_data.looking.excerpt import Excerpt

PICTURES, FILM, PAGE = (".png", ".pdf", ".svg"), ".mp4", ".html"

SUFFIXES = (*PICTURES, FILM, PAGE)

PICTURE_SECONDS = 16.0
"""What can still be read on one line."""


def draw(output: Path, excerpt: Excerpt) -> None:
    """Draw music and motion together, as the suffix of ``output`` says."""
    from motion_data.looking import figure, film, page

    suffix = output.suffix.lower()
    write = {FILM: film.write_film, PAGE: page.write_page}.get(suffix, figure.write_figure)
    write(output, excerpt)


def seconds_shown(suffix: str) -> float | None:
    """How much is shown where no stretch is asked for; None is all."""
    return PICTURE_SECONDS if suffix in PICTURES else None
