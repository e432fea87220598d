"""Recordings of constant tempo, with beats and bars labelled by a model, and a parametric dance [O].

The tatum of a recording is measured (or read from a tempo file). A model's activations select the tatums that
are beats and downbeats over the whole track, and the parametric dancer follows this grid."""

from __future__ import annotations

import argparse
from pathlib import Path

from motion_data.corpora.constructed import add_follows_option
from motion_data.corpora.recordings.labelling import BAR_MARGIN, BEAT_MARGIN
from motion_data.errors import DataError as DataError
from motion_data.manifest import Corpus

LAYOUT = """\
RAW: a folder with a folder for each package (or album), or music files; recordings shorter than 20 s are left
out. `python -m motion_data.corpora.recordings.debian_packages TEMPO RAW` downloads Debian packages. A track
is used if its tempo is constant (vector strength of the onsets at the tatum at least .45, drift at most 25
ms) and a model's activations determine the beats clearly. -k gives the model's checkpoint, which must have
beat heads. For self-training, give two checkpoints, trained on --half 0 and --half 1: each labels the
packages that the other was trained on, and both label dev and test. A track with a MIDI file of its name
beside it (planetblupi-music-ogg: in planetblupi-music-midi) gets the exact grid of that file."""

LICENCE = (
    "of each recording, from its package's copyright file, in the manifest; tracks whose licence forbids "
    "commercial use or changed versions are refused. The dances come under this project's licence."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of ``motionbeat data prepare recordings``."""
    parser.add_argument(
        "--tempo",
        type=Path,
        metavar="FILE",
        help="JSON lines with package, file and tatum (per minute); other tracks are measured",
    )
    parser.add_argument(
        "-k",
        "--checkpoint",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="checkpoint with beat heads for labelling, or two, trained on --half 0 and --half 1 (default: "
        "the shipped weights)",
    )
    parser.add_argument(
        "--half",
        type=int,
        choices=(0, 1),
        help="use only this half of the packages of the train split; dev and test are complete",
    )
    parser.add_argument(
        "--seconds", type=float, default=16.0, metavar="S", help="length of a pair; default: %(default)s"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the dances; default: %(default)s"
    )
    add_follows_option(parser)
    parser.add_argument(
        "--beat-margin",
        type=float,
        default=BEAT_MARGIN,
        metavar="NATS",
        help="minimum lead per tatum of the best beats over the second best; default: %(default)s",
    )
    parser.add_argument(
        "--bar-margin",
        type=float,
        default=BAR_MARGIN,
        metavar="NATS",
        help="minimum lead per beat of the best bars, otherwise bars are unknown; default: %(default)s",
    )
    parser.add_argument(
        "--without-midi",
        action="store_true",
        help="label tracks with a MIDI file by the model too, to measure the error of the labels",
    )
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes; default: %(default)s")


def prepare(raw: Path, out: Path, options: argparse.Namespace) -> Corpus:
    """Label the recordings under ``raw`` and add dances.

    Raises:
        DataError: RAW does not have the layout of ``LAYOUT``, options are invalid, or no track is usable.
        CheckpointError: a checkpoint cannot be used.
    """
    from motion_data.corpora.recordings.preparing import Settings, prepare_recordings
    from motionbeat_upstream.shipped import SHIPPED

    settings = Settings(
        checkpoints=tuple(path.resolve() for path in options.checkpoint or (SHIPPED,)),
        half=options.half,
        seconds=options.seconds,
        seed=options.seed,
        beat_margin=options.beat_margin,
        bar_margin=options.bar_margin,
        midi=not options.without_midi,
        follows=options.follows,
    )
    return prepare_recordings(raw, out, options.tempo, settings, options.workers)
