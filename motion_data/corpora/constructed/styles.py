"""Accompaniment styles: patterns of drums, bass and chords, read from ``styles.toml``.

``styles.toml`` documents the notation.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files

from pydantic.dataclasses import dataclass

from motion_data.corpora.constructed.tunes import METRES
from motion_data.settings import CONFIG


@dataclass(config=CONFIG, frozen=True)
class Style:
    """An accompaniment style."""

    name: str
    signature: str
    """One of :data:`~motion_data.corpora.constructed.tunes.METRES`."""
    bpm: tuple[float, float]
    """Minimum and maximum median tempo."""
    energy: float
    """Energy of a dance to it, in [0, 1]."""
    drums: Mapping[str, str]
    """Pattern of each lane of :data:`LANES`."""
    bass: tuple[str, ...]
    """Patterns to choose from."""
    chords: tuple[str, ...]
    """Patterns to choose from."""
    swing: tuple[float, float] = (0.5, 0.5)
    """Range of the swing ratio, the first share of a swung pair: 0.5 straight, 2/3 triplets."""
    swung: int = 2
    """Swung subdivision: 2 for halves of a beat, 4 for quarters."""
    kits: tuple[int, ...] = (0, 8, 16)
    """GM drum kits that fit: 24 and 25 are electronic, 32 and 40 soft."""

    @property
    def metre(self) -> int:
        """Beats a bar."""
        return METRES[self.signature][0]

    @property
    def parts(self) -> int:
        """Equal parts of a beat: 3 in compound metres."""
        return METRES[self.signature][1]


LANES: Mapping[str, tuple[int, ...]] = {
    "kick": (35, 36),
    "snare": (38, 40),
    "rim": (37,),
    "clap": (39,),
    "hat": (42, 44),
    "open": (46,),
    "ride": (51, 53, 59),
    "shaker": (70, 82),
    "tambourine": (54,),
    "cowbell": (56,),
    "block": (76, 77, 75),
    "clave": (75,),
    "low": (41, 43, 64, 61, 66),
    "high": (47, 48, 63, 60, 65),
    "triangle": (81,),
}
"""GM percussion for each lane; one is chosen per pair."""

FILL = (38, 50, 48, 47, 45, 43, 41)
"""GM percussion of a fill, in order."""

CRASHES = (49, 57, 55, 52)

_table = tomllib.loads(files(__package__).joinpath("styles.toml").read_text("utf-8"))

STYLES = tuple(Style(**fields) for fields in _table["styles"])

STYLES_BY_NAME: Mapping[str, Style] = {style.name: style for style in STYLES}


def find_styles(signature: str, bpm: float | None = None) -> tuple[Style, ...]:
    """Styles of a time signature, optionally limited to those that include a tempo."""
    return tuple(
        style
        for style in STYLES
        if style.signature == signature and (bpm is None or style.bpm[0] <= bpm <= style.bpm[1])
    )


# Instruments: GM programs by what they can play.

# Excluded: 56, 65 and 78, because symusic 0.5.8 reads past the end of their samples in TimGM6mb.sf2, so that
# they sound different each time or give NaN; voices and programs without a clear onset.
MELODY = (
    *range(0, 8),
    *(8, 9, 10, 11, 12, 13, 14, 15),
    *range(16, 24),
    *range(24, 32),
    *(40, 41, 42, 45, 46, 48, 50, 52, 54),
    *(57, 58, 59, 60, 61, 62, 63),
    *(64, *range(66, 78), 79),
    *range(80, 88),
    *(104, 105, 106, 107, 108, 110, 111, 114),
)
CHORDS = (
    *range(0, 8),
    *range(16, 24),
    *range(24, 32),
    *(45, 46, 48, 49, 50, 51, 52, 61, 62, 63),
    *range(80, 96),
)
BASS = (32, 33, 34, 35, 36, 37, 38, 39, 43, 58, 87)
PROGRAMS = frozenset((*MELODY, *CHORDS, *BASS))
"""All programs in use."""


def program_split(program: int) -> str:
    """Split in which a program plays melodies and chords.

    One program of each GM family of eight belongs to dev, one to test and the rest to train, so that no
    training pair has the timbre of a test melody or chord. Basses and drum kits are few and shared.
    """
    family = program // 8
    return {(3 * family + 1) % 8: "test", (3 * family + 5) % 8: "dev"}.get(program % 8, "train")


@lru_cache(maxsize=16)
def split_programs(split: str, programs: tuple[int, ...]) -> tuple[int, ...]:
    """Those of ``programs`` that belong to a split."""
    return tuple(program for program in programs if program_split(program) == split)
