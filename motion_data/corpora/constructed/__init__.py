"""Pairs that are made: tunes arranged and rendered, danced to by a parametric dancer or by real capture."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from motion_data.errors import DataError
from motion_data.manifest import Corpus

if TYPE_CHECKING:
    from motion_data.corpora.constructed.sounds import SoundShares

LAYOUT = """\
Needs no RAW. Dance tunes of music21's corpus, melodies of --midi folders and made ones are arranged for a
band by metre and style (2/4 to 7/8, 6/8, 12/8; 50 to 215 bpm; swing, rubato, tempo changes) and danced to.
With --mma the grooves of MMA's library are a second arranger, with --pieces MIDI files are played with their
own drums, tempi and bars; grooves and pieces whose accents contradict their bars are left out. OUT gets
a manifest; sound and motion are made when a pair is loaded, the same each time. Splits are apart by tune,
by take, and by the program that plays the melody or chords. With --motion, captured takes are warped to
the music; where none fits (a salsa does not dance a waltz), the parametric dancer dances."""

LICENCE = (
    "the tunes are in the public domain (music21: BSD; a MIDI folder: its own), arrangement and dance come "
    "under this project's licence; captured motion under its own."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of ``motionbeat data prepare constructed``."""
    parser.add_argument("--pairs", type=int, default=3000, metavar="N", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--seconds", type=float, default=16.0, metavar="S", help="length of a pair; default: %(default)s"
    )
    parser.add_argument(
        "--tunes", type=int, metavar="N", help="most tunes of music21; 0: made tunes only; default: all"
    )
    parser.add_argument(
        "--midi", type=Path, action="append", default=[], metavar="DIR", help="folder of MIDI files to add"
    )
    parser.add_argument(
        "--pieces",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="folder of MIDI files to play as they are: their own drums, tempi and time signatures",
    )
    parser.add_argument(
        "--mma",
        metavar="PATH",
        help="program of MMA (Debian's package mma), or auto for the one that is installed",
    )
    parser.add_argument(
        "--mix",
        type=_share,
        action="append",
        default=[],
        metavar="SOURCE=SHARE",
        help="share of pairs from mma (default: 0.25) or pieces (0.2), where there are any",
    )
    parser.add_argument(
        "--beatless",
        type=float,
        default=0.03,
        metavar="SHARE",
        help="pairs without music: silence, noise, applause; default: %(default)s",
    )
    parser.add_argument(
        "--dancer", choices=("parametric", "capture"), help="default: capture with --motion, else parametric"
    )
    add_follows_option(parser)
    parser.add_argument(
        "--motion",
        type=Path,
        metavar="DIR",
        help="folder of captured takes, .bvh or .npz, for --dancer capture",
    )
    parser.add_argument(
        "--soundfont", type=Path, metavar="SF2", help="default: the one that pretty_midi brings along"
    )
    parser.add_argument(
        "--soundfonts",
        type=Path,
        metavar="DIR",
        help="folder that `motionbeat data soundfonts` wrote: play through what was measured there",
    )
    parser.add_argument(
        "--sources",
        choices=("seen", "unseen"),
        default="seen",
        help="with --soundfonts: those of training, or those kept out of it; default: %(default)s",
    )
    parser.add_argument(
        "--sound",
        action="append",
        default=[],
        metavar="NAME=SHARE",
        help="with --soundfonts: share of the pairs or parts that get a source or effect, e.g. sung=0.2; the "
        "names are those of SoundShares in motion_data/corpora/constructed/sounds.py",
    )


def _share(text: str) -> tuple[str, float]:
    source, _, share = text.partition("=")
    return source, float(share)


def add_follows_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--follows``, of every corpus that the parametric dancer dances to."""
    parser.add_argument(
        "--follows",
        choices=("music", "beats"),
        default="music",
        help="what the parametric dancer follows: all that sounds, or beats and bars; default: %(default)s",
    )


def prepare(raw: Path | None, out: Path, options: argparse.Namespace) -> Corpus:
    """Write the manifest of a constructed corpus.

    Raises:
        DataError: options that cannot be, or what they name cannot be used.
    """
    from motion_data.corpora.constructed.preparing import Settings, prepare_corpus

    if (options.dancer == "capture") != (options.motion is not None) and options.dancer is not None:
        raise DataError("--dancer capture and --motion DIR belong together; give both or neither")
    if options.soundfonts is None and (options.sound or options.sources != "seen"):
        raise DataError(
            "--sources and --sound choose among measured sounds; give their folder with --soundfonts"
        )
    if options.soundfonts is not None and options.soundfont is not None:
        raise DataError("--soundfont and --soundfonts: give one of them")
    settings = Settings(
        pairs=options.pairs,
        seed=options.seed,
        seconds=options.seconds,
        tunes=options.tunes,
        midi=tuple(folder.resolve() for folder in options.midi),
        soundfont=options.soundfont and options.soundfont.resolve(),
        motion=options.motion and options.motion.resolve(),
        mma=options.mma,
        pieces=tuple(folder.resolve() for folder in options.pieces),
        mix=tuple(options.mix),
        beatless=options.beatless,
        soundfonts=options.soundfonts and options.soundfonts.resolve(),
        sources=options.sources,
        shares=_shares(options.sound),
        follows=options.follows,
    )
    return prepare_corpus(out, settings)


def _shares(given: list[str]) -> SoundShares:
    """The shares of sources and effects from ``NAME=SHARE``.

    Raises:
        DataError: a name that there is not, or a share outside [0, 1].
    """
    from motion_data.corpora.constructed.sounds import SoundShares
    from motion_data.settings import read_values

    values: dict[str, object] = {}
    for text in given:
        name, _, share = text.partition("=")
        try:
            values[name] = float(share)
        except ValueError:
            raise DataError(f"--sound {text}: expected NAME=SHARE, such as sung=0.2") from None
    faults: list[str] = []
    shares = read_values(SoundShares, values, faults, "--sound")
    if shares is None:
        raise DataError("; ".join(faults))
    return shares
