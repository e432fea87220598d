"""Looking at a pair: what its manifest says, as a picture, as a film, and as a page that plays."""

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


LONGEST_FACT = 300
"""Letters of a fact that are shown: the provenance of a constructed pair holds all its notes."""


def caption(pair: MotionPair) -> str:
    """Tempo, metre and motion, in one line."""
    return f"{_beat(pair)} · {_body(pair)}"


def facts(pair: MotionPair) -> dict[str, str]:
    """Everything that is known, by the name of what it is; provenance comes last, in its own words."""
    told = {
        "name": pair.name,
        "corpus": f"{pair.corpus}, split {pair.split}",
        "piece": pair.piece,
        "take": pair.take,
        "licence": pair.licence,
        "length": f"{pair.seconds:.2f} s",
        "grid": _beat(pair),
        "motion": _body(pair),
        "touch-downs": ", ".join(f"{limb.replace('_', ' ')} {n}" for limb, n in pair.pulses.items())
        or "none",
        "audio": "played from notes" if pair.audio is None else Path(pair.audio.path).name,
    }
    for key, value in pair.provenance.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if text and value is not None:
            told[f"{key} (source)" if key in told else key] = text
    return {
        key: printable(text if len(text) <= LONGEST_FACT else text[:LONGEST_FACT] + " …")
        for key, text in told.items()
    }


def _beat(pair: MotionPair) -> str:
    if pair.bpm is None:
        return "no beats" if pair.grid == NO_BEATS else "no grid"
    return f"{pair.bpm:.1f} bpm · {pair.metre} beats a bar · grid {pair.grid}"


def _body(pair: MotionPair) -> str:
    return f"{len(pair.joints)} joints at {pair.fps:g} fps" if pair.joints else "steps without joints"
