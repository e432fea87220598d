"""Free recordings of constant tempo, with beats and bars labelled by a model and danced to [O].

The tatum of a recording is measured (or known from a tempo file), a model's activations choose which tatums
are beats and downbeats over the whole track, and the parametric dancer dances to that grid."""

from __future__ import annotations

import argparse
from pathlib import Path

from motion_data.corpora.constructed import add_follows_option
from motion_data.corpora.recordings.labelling import BAR_MARGIN, BEAT_MARGIN
from motion_data.errors import DataError as DataError
from motion_data.manifest import Corpus

LAYOUT = """\
RAW: a folder with a folder for each package (or album), or music files themselves; recordings shorter than
20 s are passed over. `python -m motion_data.corpora.recordings.debian_packages TEMPO RAW` gets Debian's.
A track is kept where its tempo is constant (vector strength of the onsets at the tatum at least .45, drift
at most 25 ms) and a model's activations leave no doubt which tatums are beats. -k names the model's
checkpoint, which must have beat heads. For self-training, give two, trained on --half 0 and on --half 1:
each labels the packages that the other was trained on, and both label dev and test. A track with a MIDI
file of its name beside it (planetblupi-music-ogg: in planetblupi-music-midi) has that file's exact grid."""

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
        help="JSON lines with package, file and tatum (a minute); tracks without a line are measured",
    )
    parser.add_argument(
        "-k",
        "--checkpoint",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="checkpoint with beat heads that labels; two: trained on --half 0 and on --half 1 (default: the "
        "weights that ship)",
    )
    parser.add_argument(
        "--half",
        type=int,
        choices=(0, 1),
        help="of the train split, keep this half of the packages; dev and test are whole",
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
        help="lead per tatum that the best beats must have over the second best; default: %(default)s",
    )
    parser.add_argument(
        "--bar-margin",
        type=float,
        default=BAR_MARGIN,
        metavar="NATS",
        help="lead per beat that bars must have, otherwise they are unknown; default: %(default)s",
    )
    parser.add_argument(
        "--without-midi",
        action="store_true",
        help="label tracks with a MIDI file beside them like the others, to measure how often labels are "
        "wrong",
    )
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes; default: %(default)s")


def prepare(raw: Path, out: Path, options: argparse.Namespace) -> Corpus:
    """Label and dance to the recordings under ``raw``.

    Raises:
        DataError: RAW is not what ``LAYOUT`` says, options that cannot be, or no track could be used.
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
