"""Constructed pairs: arranged and rendered tunes with a parametric dancer or captured motion."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from motion_data.errors import DataError
from motion_data.manifest import Corpus

if TYPE_CHECKING:
    from motion_data.corpora.constructed.sounds import SoundShares

LAYOUT = """\
Needs no RAW. Dance tunes of music21's corpus, melodies of --midi folders and generated melodies are arranged
for a band by metre and style (2/4 to 7/8, 6/8, 12/8; 50 to 215 bpm; swing, rubato, tempo changes), with a
dance. --mma adds arrangements by the grooves of MMA's library, --pieces adds MIDI files with their own
drums, tempi and bars; grooves and pieces whose accents contradict their bars are left out. OUT gets a
manifest; sound and motion are rendered when a pair is loaded, the same each time. Splits share no tunes, no
takes, and no programs of melodies or chords. With --motion, captured takes are warped to the music; where
none fits (a salsa does not fit a waltz), the parametric dancer is used."""

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
        "--tunes",
        type=int,
        metavar="N",
        help="maximum number of tunes from music21; 0: generated tunes only; default: all",
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
        help="folder of MIDI files to use as scores, with their own drums, tempi and time signatures",
    )
    parser.add_argument(
        "--mma",
        metavar="PATH",
        help="path of the program MMA (Debian package mma), or auto for the installed one",
    )
    parser.add_argument(
        "--mix",
        type=_share,
        action="append",
        default=[],
        metavar="SOURCE=SHARE",
        help="share of pairs from mma (default: 0.25) or pieces (default: 0.2), if the source is given",
    )
    parser.add_argument(
        "--beatless",
        type=float,
        default=0.03,
        metavar="SHARE",
        help="share of pairs without music (silence, noise, applause); default: %(default)s",
    )
    parser.add_argument(
        "--dancer", choices=("parametric", "capture"), help="default: capture with --motion, else parametric"
    )
    add_follows_option(parser)
    parser.add_argument(
        "--motion",
        type=Path,
        metavar="DIR",
        help="folder of captured takes (.bvh or .npz) for --dancer capture",
    )
    parser.add_argument("--soundfont", type=Path, metavar="SF2", help="default: the soundfont of pretty_midi")
    parser.add_argument(
        "--soundfonts",
        type=Path,
        metavar="DIR",
        help="folder written by `motionbeat data soundfonts`; its measured sounds replace --soundfont",
    )
    parser.add_argument(
        "--sources",
        choices=("seen", "unseen"),
        default="seen",
        help="with --soundfonts: sounds for training, or those excluded from it; default: %(default)s",
    )
    parser.add_argument(
        "--sound",
        action="append",
        default=[],
        metavar="NAME=SHARE",
        help="with --soundfonts: share of the pairs or parts that get a source or effect, e.g. sung=0.2; "
        "names are the fields of SoundShares in motion_data/corpora/constructed/sounds.py",
    )


def _share(text: str) -> tuple[str, float]:
    source, _, share = text.partition("=")
    try:
        return source, float(share)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}; expected SOURCE=SHARE, such as mma=0.25") from None


def add_follows_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--follows``, for every corpus with the parametric dancer."""
    parser.add_argument(
        "--follows",
        choices=("music", "beats"),
        default="music",
        help="what the parametric dancer follows: the notes or sound, or only the beats and bars; "
        "default: %(default)s",
    )


def prepare(raw: Path | None, out: Path, options: argparse.Namespace) -> Corpus:
    """Write the manifest of a constructed corpus.

    Raises:
        DataError: options are invalid, or a file or program that they name cannot be used.
    """
    from motion_data.corpora.constructed.preparing import Settings, prepare_corpus

    if (options.dancer == "capture") != (options.motion is not None) and options.dancer is not None:
        raise DataError("--dancer capture and --motion DIR belong together; give both or neither")
    if options.soundfonts is None and (options.sound or options.sources != "seen"):
        raise DataError("--sources and --sound need measured sounds; give their folder with --soundfonts")
    if options.soundfonts is not None and options.soundfont is not None:
        raise DataError("--soundfont and --soundfonts exclude each other; give one of them")
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


def _shares(texts: list[str]) -> SoundShares:
    """Parse shares of sources and effects, given as ``NAME=SHARE``.

    Raises:
        DataError: a name is unknown, or a share is outside [0, 1].
    """
    from motion_data.corpora.constructed.sounds import SoundShares
    from motion_data.settings import read_values

    values: dict[str, object] = {}
    for text in texts:
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
