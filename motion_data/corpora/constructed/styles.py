"""How a tune is accompanied: patterns of drums, bass and chords for each metre and style.

A pattern is a string a bar, bars parted by spaces and repeated in turn; a bar's length says into how
many equal steps it is cut. Drums: ``X`` accent, ``x`` stroke, ``o`` soft stroke, ``.`` nothing.
Bass: ``r`` root, ``t`` third, ``f`` fifth, ``o`` the root an octave up, ``w`` a step towards the next
chord, ``.`` hold. Chords: ``x`` struck and held to the next, ``s`` struck short, ``0`` to ``4`` single
notes from the lowest up, ``.`` nothing new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Style:
    """One way to accompany a tune."""

    name: str
    metre: int
    """Beats a bar; 2 stands for 6/8."""
    bpm: tuple[float, float]
    """Slowest and fastest median tempo."""
    energy: float
    """How much it asks a dancer to move, in [0, 1]."""
    drums: Mapping[str, str]
    """Pattern of each lane of :data:`LANES`."""
    bass: tuple[str, ...]
    """Patterns to choose from."""
    chords: tuple[str, ...]
    """Patterns to choose from."""
    swing: tuple[float, float] = (0.5, 0.5)
    """Range of the share that the first of two halves takes: 0.5 even, 2/3 triplets."""
    swung: int = 2
    """Which values swing: 2 the halves of a beat, 4 its quarters."""
    kits: tuple[int, ...] = field(default=(0, 8, 16))
    """GM programs of the drum kits that fit."""


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
"""GM percussion that may play each lane; one is chosen a pair."""

FILL = (38, 50, 48, 47, 45, 43, 41)
"""GM percussion of a fill, in the order it runs through."""

CRASHES = (49, 57, 55, 52)

ACOUSTIC, ELECTRONIC, SOFT = (0, 8, 16), (24, 25), (0, 32, 40)

STYLES: tuple[Style, ...] = (
    Style(
        "rock",
        4,
        (84, 180),
        0.7,
        {
            "kick": "X.......x.x..... X.......x.x...x.",
            "snare": "....X.......X...",
            "hat": "X.o.x.o.x.o.x.o.",
        },
        ("r.r.r.r.r.r.r.r.", "r...r...r.r.r..."),
        ("x...............", "s.s.s.s.s.s.s.s."),
    ),
    Style(
        "pop",
        4,
        (70, 140),
        0.55,
        {"kick": "X.....x.x....... X.....x.x.....x.", "snare": "....x.......x...", "hat": "xoxoxoxoxoxoxoxo"},
        ("r.....r.r....... r.....r.f.......", "r.......r......."),
        ("x...............", "0.1.2.1.0.1.2.1.", "x.....x....x...."),
    ),
    Style(
        "four-on-the-floor",
        4,
        (108, 150),
        0.85,
        {
            "kick": "X...x...x...x...",
            "clap": "....x.......x...",
            "open": "..x...x...x...x.",
            "hat": "o.o.o.o.o.o.o.o.",
        },
        ("..r...r...r...r.", "r.oor.oor.oor.oo"),
        ("..s...s...s...s.", "x..x..x...x..x..", "x..............."),
        kits=ELECTRONIC,
    ),
    Style(
        "disco",
        4,
        (100, 132),
        0.8,
        {
            "kick": "X...x...x...x...",
            "snare": "....x.......x...",
            "hat": "x.x.x.x.x.x.x.x.",
            "open": "..x...x...x...x.",
        },
        ("r.o.r.o.r.o.r.o.",),
        ("..s...s...s...s.", "x.......x......."),
    ),
    Style(
        "half-time",
        4,
        (110, 190),
        0.5,
        {"kick": "X.........x.....", "snare": "........X.......", "hat": "x.x.x.x.x.x.x.x."},
        ("r.........f.....", "r..............."),
        ("x...............", "0...1...2...3..."),
        kits=(0, 8, 24),
    ),
    Style(
        "double-time",
        4,
        (100, 185),
        0.9,
        {"kick": "X...x...X...x...", "snare": "..x...x...x...x.", "hat": "x.x.x.x.x.x.x.x."},
        ("r...f...r...f...", "r.r.r.r.r.r.r.r."),
        ("..s...s...s...s.", "x..............."),
    ),
    Style(
        "funk",
        4,
        (84, 124),
        0.75,
        {"kick": "X.x....x..x..... X.x....x..x..x..", "snare": "....X..o.o..X..o", "hat": "xoxoxoxoxoxoxoxo"},
        ("r..o..r...f.r.o.", "r..r..o....r.f.."),
        ("..s..s....s..s..", "s.....s..s......"),
        swing=(0.5, 0.6),
        swung=4,
    ),
    Style(
        "boom-bap",
        4,
        (72, 104),
        0.55,
        {"kick": "X......x..x..... X.x....x..x.....", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
        ("r......r..f.....", "r.....r...r....."),
        ("x...............", "s.........s....."),
        swing=(0.52, 0.64),
        swung=4,
        kits=(0, 24, 25),
    ),
    Style(
        "swing",
        4,
        (90, 190),
        0.7,
        {"ride": "X...x.x.x...x.x.", "hat": "....x.......x...", "kick": "o...o...o...o..."},
        ("r...t...f...w...", "r...f...o...w..."),
        ("......s.......s.", "x.....s........."),
        swing=(0.58, 0.67),
        kits=SOFT,
    ),
    Style(
        "shuffle",
        4,
        (80, 150),
        0.7,
        {"kick": "X...x...x...x...", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
        ("r...t...f...t...", "r.r.f.f.r.r.f.f."),
        ("s...s...s...s...", "x...............", "..s...s...s...s."),
        swing=(0.62, 0.67),
    ),
    Style(
        "clave",
        4,
        (84, 150),
        0.8,
        {
            "clave": "x..x..x......... ....x...x.......",
            "low": "X...........x... x...........x.x.",
            "high": "....x.....xx....",
            "cowbell": "x.o.x.o.x.o.x.o.",
        },
        ("r.....f.....o... r.....f.....r...",),
        ("x..s..s...s.s...", "..s.s...s..s..s."),
    ),
    Style(
        "tresillo",
        4,
        (80, 116),
        0.75,
        {"kick": "X...x...x...x...", "snare": "...x..x....x..x.", "shaker": "x.x.x.x.x.x.x.x."},
        ("r..r..r.r..r..f.", "r..r..f........."),
        ("x..x..x.........", "s..s..s.s..s..s."),
        kits=(0, 24, 25),
    ),
    Style(
        "bossa",
        4,
        (60, 150),
        0.4,
        {"kick": "x..xx..xx..xx..x", "rim": "x..x..x...x..x..", "hat": "oooooooooooooooo"},
        ("r.....f.f.....r.",),
        ("s..s..s...s..s..", "..s..s....s.s..."),
        kits=SOFT,
    ),
    Style(
        "one-drop",
        4,
        (62, 100),
        0.45,
        {
            "kick": "........X.......",
            "rim": "........x.......",
            "hat": "x.x.x.x.x.x.x.x.",
            "shaker": "o..oo..oo..oo..o",
        },
        ("r.....r...f.....", "r...r..f..r....."),
        ("....s.......s...", "..s...s...s...s."),
        swing=(0.5, 0.6),
        swung=4,
    ),
    Style(
        "broken",
        4,
        (110, 178),
        0.85,
        {"kick": "X.x.......x.....", "snare": "....X..o.o..X..o ....X..o.o....X.", "hat": "x.x.x.x.x.x.x.x."},
        ("r.........r.....", "r..r..r....f...."),
        ("x...............", "x.....x........."),
        kits=ELECTRONIC,
    ),
    Style(
        "motown",
        4,
        (96, 150),
        0.75,
        {"kick": "X.....x.X.....x.", "snare": "x...x...x...x...", "tambourine": "..x...x...x...x."},
        ("r..rr...f..fo...", "r.r.r.t.f.f.o.w."),
        ("....s.......s...", "x.......x......."),
    ),
    Style(
        "reel",
        4,
        (80, 180),
        0.8,
        {"low": "X...o...x...o...", "tambourine": "..x...x...x...x.", "high": "...o.o.....o.o.."},
        ("r...f...r...f...", "r.......f......."),
        ("..s...s...s...s.", "s...s...s...s..."),
    ),
    Style(
        "march",
        4,
        (84, 130),
        0.6,
        {"kick": "X.......x.......", "snare": "x.ooX.x.x.ooX.xo x.ooX.x.xxxxX..."},
        ("r.......f.......",),
        ("....s.......s...", "s...s...s...s..."),
    ),
    Style(
        "ballad",
        4,
        (60, 90),
        0.3,
        {"kick": "x.........x.....", "rim": "....x.......x...", "hat": "o.o.o.o.o.o.o.o."},
        ("r...............", "r.......f......."),
        ("0.1.2.3.2.1.2.1.", "x.......x.......", "0123210301232103"),
        kits=SOFT,
    ),
    Style(
        "waltz",
        3,
        (84, 190),
        0.6,
        {"kick": "X...........", "snare": "....o...o...", "hat": "....x...x..."},
        ("r........... f...........", "r..........."),
        ("....s...s...", "0...1...2..."),
        kits=SOFT,
    ),
    Style(
        "jazz-waltz",
        3,
        (90, 180),
        0.55,
        {"ride": "X...x.x.x...", "hat": "....x.......", "kick": "o...........", "rim": "......o....."},
        ("r...t...f...", "r.......w..."),
        ("......s.....", "x.....s....."),
        swing=(0.58, 0.67),
        kits=SOFT,
    ),
    Style(
        "pop-waltz",
        3,
        (70, 170),
        0.6,
        {"kick": "X.....x..... X...........", "snare": "........X...", "hat": "x.o.x.o.x.o."},
        ("r.....r.....", "r.......f..."),
        ("x...........", "0.1.2.1.2.1."),
    ),
    Style(
        "country-waltz",
        3,
        (80, 150),
        0.55,
        {"kick": "X...........", "rim": "....x...x...", "shaker": "x.x.x.x.x.x."},
        ("r........... f...........", "r...r...r..."),
        ("....s...s...", "s...s...s..."),
    ),
    Style(
        "mazurka",
        3,
        (100, 180),
        0.75,
        {
            "kick": "X........... x.......x...",
            "snare": "....X...o... ....X...X...",
            "tambourine": "x.x.x...x...",
        },
        ("r.......f...", "r..........."),
        ("....s...s...", "s...s...s..."),
    ),
    Style(
        "rock-waltz",
        3,
        (90, 190),
        0.75,
        {"kick": "X.......x...", "snare": "....X.......", "hat": "x.x.x.x.x.x.", "open": "..........x."},
        ("r.r.r.r.r.r.", "r...r...f..."),
        ("x...........", "s.s.s.s.s.s."),
    ),
    Style(
        "slow-three",
        3,
        (60, 100),
        0.3,
        {"kick": "x...........", "rim": "....o...o...", "triangle": "o..........."},
        ("r...........", "r.......f..."),
        ("0.1.2.3.2.1.", "x..........."),
        kits=SOFT,
    ),
    Style(
        "jig",
        2,
        (84, 140),
        0.85,
        {"low": "X.oxo.", "tambourine": "..x..x", "kick": "X..x.."},
        ("r..f..", "r.rf.f"),
        ("..s..s", "s.ss.s"),
    ),
    Style(
        "slow-rock",
        2,
        (60, 100),
        0.5,
        {"kick": "X..... X....x", "snare": "...X..", "hat": "xoxxox"},
        ("r....f", "r..r.r"),
        ("x.....", "012321", "s.ss.s"),
    ),
    Style(
        "six-bell",
        2,
        (84, 150),
        0.8,
        {"cowbell": "x.x.xx .x.x.x", "low": "X..o.. x..o.o", "high": "..x.xx", "shaker": "xoxxox"},
        ("r.f..r ..f.r.", "r..f.."),
        ("s.s... .s.s..", "x....."),
    ),
    Style(
        "tarantella",
        2,
        (110, 190),
        0.95,
        {"tambourine": "XoxXox", "kick": "X..x..", "clap": "...x.."},
        ("r..f..", "r.rr.r"),
        ("..s..s", ".ss.ss"),
    ),
    Style(
        "compound-march",
        2,
        (84, 130),
        0.65,
        {"kick": "X.....", "snare": "x.xXox x.xX.x", "triangle": "...o.."},
        ("r..f..",),
        ("...s..", "s..s.."),
    ),
    Style(
        "compound-ballad",
        2,
        (60, 90),
        0.35,
        {"kick": "x.....", "rim": "...x..", "hat": "oooooo"},
        ("r.....", "r..f.."),
        ("012321", "x....."),
        kits=SOFT,
    ),
    Style(
        "compound-dance",
        2,
        (100, 150),
        0.85,
        {"kick": "X..x..", "clap": "...x..", "hat": "oooooo", "open": "..x..x"},
        ("r.or.o", "..r..r"),
        ("s.ss.s", "x....."),
        kits=ELECTRONIC,
    ),
)

STYLE: Mapping[str, Style] = {style.name: style for style in STYLES}


def styles_of(metre: int) -> tuple[Style, ...]:
    """The styles of a metre."""
    return tuple(style for style in STYLES if style.metre == metre)


# Instruments: GM programs by what they can play.

# Left out: 56, 65 and 78, whose samples in TimGM6mb.sf2 symusic 0.5.8 reads past their end, so that
# they sound differently each time, or not as numbers; voices, and what has no attack.
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
"""All that may be played."""


def program_split(program: int) -> str:
    """The split in which a program plays melodies and chords.

    Of each family of eight GM programs one belongs to dev, one to test and the rest to train, so that
    the timbre of a test melody or chord was never heard in training as one. Basses and drum kits, of
    which there are few, are shared.
    """
    family = program // 8
    return {(3 * family + 1) % 8: "test", (3 * family + 5) % 8: "dev"}.get(program % 8, "train")


def programs_of(split: str, programs: tuple[int, ...]) -> tuple[int, ...]:
    """Those of ``programs`` that belong to a split."""
    return tuple(program for program in programs if program_split(program) == split)
