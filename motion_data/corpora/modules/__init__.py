"""Tracker modules, whose rows have exact times; beats and bars where two independent estimates agree [O].

A module is played by libopenmpt, which says when which row is played. Which rows are beats is labelled only
where the module's own structure and a model's activations choose the same; elsewhere losses on beats are
masked. The parametric dancer dances to the grid."""

from __future__ import annotations

import argparse
from pathlib import Path

from motion_data.corpora.constructed import add_follows_option
from motion_data.errors import DataError as DataError
from motion_data.manifest import Corpus

LAYOUT = """\
RAW: a folder with a folder for each package (or album), or tracker modules themselves (.mod, .xm, .s3m, .it
and others). `python -m motion_data.corpora.recordings.debian_packages LIST RAW` gets Debian's packages, where
LIST has lines like {"package": "pingus-data"}. Needs libopenmpt (Debian: apt-get install libopenmpt0).
Modules shorter than 20 s, modules whose rows differ in length and packages whose modules are of unclear
origin are refused. A third of the packages is dev and test, always the same.
Beats count as known where -k's activations and the module's structure (pattern lengths, notes, speed) choose
the same rows and the sound's onsets fall on rows; bars, where patterns begin on downbeats as well. The grid
of other modules is a guess, with a confidence below that from which beats are trained on."""

LICENCE = (
    "of each module, from its package's copyright file, in the manifest; modules whose licence forbids "
    "commercial use or changed versions are refused. The dances come under this project's licence."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of ``motionbeat data prepare modules``."""
    parser.add_argument(
        "-k",
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="checkpoint with beat heads (default: the weights that are shipped)",
    )
    parser.add_argument(
        "--variants",
        type=int,
        default=2,
        metavar="N",
        help="of each module of the train split, at other tempi and pitches; default: %(default)s",
    )
    parser.add_argument(
        "--seconds", type=float, default=16.0, metavar="S", help="length of a pair; default: %(default)s"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of dances and variants; default: %(default)s"
    )
    add_follows_option(parser)
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes; default: %(default)s")


def prepare(raw: Path, out: Path, options: argparse.Namespace) -> Corpus:
    """Play, label and dance to the modules under ``raw``.

    Raises:
        DataError: RAW is not what ``LAYOUT`` says, options that cannot be, no libopenmpt, or no module could
            be used.
        CheckpointError: the checkpoint cannot be used.
    """
    from motion_data.corpora.modules.preparing import Settings, prepare_modules
    from motionbeat_upstream.shipped import SHIPPED

    settings = Settings(
        checkpoint=(options.checkpoint or SHIPPED).resolve(),
        variants=options.variants,
        seconds=options.seconds,
        seed=options.seed,
        follows=options.follows,
    )
    return prepare_modules(raw, out, settings, options.workers)
