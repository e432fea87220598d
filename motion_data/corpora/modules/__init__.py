"""Tracker modules: exact times of rows, and beats and bars where two independent estimates agree [O].

libopenmpt plays a module and gives the time of each row. Beats are labelled only if the module's structure
and a model's activations select the same rows; otherwise losses on beats are masked. The parametric dancer
follows the grid or the sound."""

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
Modules shorter than 20 s, modules whose rows differ in length, and packages with modules of unclear origin
are left out. A fixed third of the packages is dev and test.
Beats count as known if -k's activations and the module's structure (pattern lengths, notes, speed) give the
same rows and the sound's onsets fall on rows; bars, if patterns also begin on downbeats. The grid of other
modules is uncertain, and its confidence is too low for training on its beats."""

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
        help="checkpoint with beat heads (default: the shipped weights)",
    )
    parser.add_argument(
        "--variants",
        type=int,
        default=2,
        metavar="N",
        help="variants of each module of the train split at other tempi and pitches; default: %(default)s",
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
    """Play and label the modules under ``raw`` and add dances.

    Raises:
        DataError: RAW does not have the layout of ``LAYOUT``, options are invalid, libopenmpt is missing, or
            no module is usable.
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
