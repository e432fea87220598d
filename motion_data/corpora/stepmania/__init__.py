"""StepMania: what a player's feet do to real songs, placed by a human on an exact tempo grid.

A chart's times are the file's own: beat 0 stands at −OFFSET seconds of the song, as StepMania's engine
has it. Nothing else is moved but for two things that can be told apart from the files:

- Of an MP3 with an encoder's tag, StepMania's decoder plays the silence that the encoder put before the
  sound, and the decoder here does not: the chart is moved by it [S], see ``mp3_lead``.
- Many packs, those in the manner of In the Groove, are ahead of the sound by 9 ms on purpose: their
  OFFSET is 0.009 too large. No field says so, therefore nothing is done unless ``--bias 0.009`` asks.

Feet are not in the chart: ``footing`` assigns them [O]. A chart has no joints, only touch-downs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from motion_data.corpora.stepmania.footing import PANELS
from motion_data.manifest import Corpus
from motion_data.preparation import check_option, prepare_pairs, read_splits

LAYOUT = """StepMania charts with their songs, as StepMania keeps them: RAW is Songs, a pack or one song.

  RAW/[Songs/][Pack/]Song/*.ssc or *.sm    the charts; where both are there, the .ssc counts
  RAW/[Songs/][Pack/]Song/*.ogg, *.mp3     the song, named by #MUSIC; else the folder's only audio file

Every chart of a song becomes a pair: the song, an exact grid of beats and bars, and the steps of the left
and the right foot (which foot takes which arrow is worked out here; charts do not say). There are no joints.
Charts for two players or other games are passed over. A chart that cannot be used is left out alone; notes
and values that StepMania ignores are ignored, and reported. Packs come from their makers' sites."""

LICENCE = "of the song's and the chart's makers; for use from the user's own disk"

LARGEST_BIAS = 0.1
"""Seconds; beyond it, a bias is milliseconds taken for seconds."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--splits``, ``--types`` and ``--bias``."""
    parser.add_argument(
        "--splits",
        type=Path,
        metavar="CSV",
        help="columns piece ('artist - title', lower case) and split; the rest goes by hash, 80/10/10",
    )
    parser.add_argument(
        "--types",
        nargs="+",
        choices=tuple(PANELS),
        default=["dance-single", "dance-double"],
        metavar="TYPE",
        help=f"types of chart to take, of {', '.join(PANELS)} (default: the first two)",
    )
    parser.add_argument(
        "--bias",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="by which the charts are ahead of the sound: 0.009 for packs in the manner of In the Groove",
    )


def prepare(raw: Path, out: Path, options: argparse.Namespace) -> Corpus:
    """Prepare the charts under ``raw``.

    Raises:
        DataError: RAW is not what ``LAYOUT`` says, or not one chart could be used.
    """
    check_option("--bias", options.bias, -LARGEST_BIAS, LARGEST_BIAS)

    from motion_data.corpora.stepmania.pairs import chart_jobs

    splits = read_splits(options.splits) if options.splits else {}
    jobs, passed_over = chart_jobs(raw, splits, options.types, options.bias)
    told = {"types": list(options.types), "bias": options.bias, "splits": splits}
    return prepare_pairs(out, "stepmania", told, jobs, notes=passed_over)
