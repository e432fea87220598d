"""Visualisation of pairs: their manifest entries, pictures, videos and interactive pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from motion_data.pair import NO_BEATS, MotionPair
from motionbeat_upstream.file_name import printable

if TYPE_CHECKING:
    from motion_data.looking.excerpt import Excerpt

PICTURES, FILM, PAGE = (".png", ".pdf", ".svg"), ".mp4", ".html"

SUFFIXES = (*PICTURES, FILM, PAGE)

PICTURE_SECONDS = 16.0
"""Default length of pictures."""


def draw(output: Path, excerpt: Excerpt) -> None:
    """Draw music and motion in the format of the suffix of ``output``."""
    from motion_data.looking import figure, film, page

    suffix = output.suffix.lower()
    write = {FILM: film.write_film, PAGE: page.write_page}.get(suffix, figure.write_figure)
    write(output, excerpt)


def seconds_shown(suffix: str) -> float | None:
    """Return the default length for a suffix; None is the whole pair."""
    return PICTURE_SECONDS if suffix in PICTURES else None


MAX_VALUE_CHARACTERS = 300
"""Longer values are truncated: the provenance of a constructed pair contains all its notes."""


def caption(pair: MotionPair) -> str:
    """Describe tempo, metre and motion of a pair in one line."""
    return f"{_describe_grid(pair)} · {_describe_motion(pair)}"


def facts(pair: MotionPair) -> dict[str, str]:
    """Return the manifest entry of a pair as texts by name; the provenance is last."""
    texts = {
        "name": pair.name,
        "corpus": f"{pair.corpus}, split {pair.split}",
        "piece": pair.piece,
        "take": pair.take,
        "licence": pair.licence,
        "length": f"{pair.seconds:.2f} s",
        "grid": _describe_grid(pair),
        "motion": _describe_motion(pair),
        "touch-downs": ", ".join(f"{limb.replace('_', ' ')} {n}" for limb, n in pair.pulses.items())
        or "none",
        "audio": "played from notes" if pair.audio is None else Path(pair.audio.path).name,
    }
    for key, value in pair.provenance.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if text and value is not None:
            texts[f"{key} (source)" if key in texts else key] = text
    return {
        key: printable(text if len(text) <= MAX_VALUE_CHARACTERS else text[:MAX_VALUE_CHARACTERS] + " …")
        for key, text in texts.items()
    }


def _describe_grid(pair: MotionPair) -> str:
    if pair.bpm is None:
        return "no beats" if pair.grid == NO_BEATS else "no grid"
    return f"{pair.bpm:.1f} bpm · {pair.metre} beats a bar · grid {pair.grid}"


def _describe_motion(pair: MotionPair) -> str:
    return f"{len(pair.joints)} joints at {pair.fps:g} fps" if pair.joints else "steps without joints"
