"""Mutual information of the dances of a corpus with kick, snare, melody and loudness beyond beats and bars.

    python -m recipes.benchmark dance-response CORPUS --split train --takes 60

For each pair of motion and sound features: the mutual information given take and position in the bar, in bits
per half beat above chance; its standard deviation by chance; and the share of rotations with at least the
same value. It is 0 for a dancer who knows only the grid. Notes of constructed pairs are known, those of
others are estimated from the sound. Takes with a varying tempo are left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from motionbeat_upstream.commands.command import RaisingParser, command

if TYPE_CHECKING:
    from motion_data.corpora.constructed.music_cues import MusicCues
    from motion_data.loading import LoadedPair
    from motion_data.manifest import Corpus
    from recipes.dance_metrics.music_response import TakeCells


@command("recipes.benchmark dance-response")
def main(arguments: Sequence[str]) -> int:
    """Print the table."""
    parser = RaisingParser(
        "python -m recipes.benchmark dance-response",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("corpus", type=Path, metavar="CORPUS", help="folder of a prepared corpus")
    parser.add_argument("--split", default="train", choices=("train", "dev", "test"))
    parser.add_argument("--takes", type=int, default=60, metavar="N", help="number of pairs (%(default)s)")
    options = parser.parse_args(arguments)

    import numpy as np

    from motion_data.errors import DataError
    from motion_data.manifest import read_corpus
    from recipes.dance_metrics.music_response import PAIRS, response

    takes = read_takes(read_corpus(options.corpus), options.split, options.takes)
    if not takes:
        raise DataError(
            f"{options.corpus}: no {options.split} pair has joints and four complete bars; give another "
            f"split or corpus"
        )
    print(f"{'motion':8}{'sound':10}{'bits':>9}{'chance sd':>11}{'p':>8}   {len(takes)} takes")
    for motion, sound in PAIRS:
        result = response(takes, motion, sound, np.random.default_rng(0))
        print(f"{motion:8}{sound:10}{result.excess:9.5f}{result.spread:11.5f}{result.p:8.4f}")
    return 0


def read_takes(corpus: Corpus, split: str, max_takes: int) -> list[TakeCells]:
    """Read the first takes of a split that have joints and enough bars."""
    from motion_data.loading import load_pair
    from recipes.dance_metrics.music_response import cells_of

    takes: list[TakeCells] = []
    for pair in corpus.split(split):
        if len(takes) == max_takes:
            break
        if not pair.joints:
            continue
        loaded = load_pair(pair, corpus.folder)
        if loaded.grid is not None:
            cells = cells_of(loaded.motion, loaded.grid, _cues(loaded, corpus.folder))
            takes += [cells] if cells is not None else []
    return takes


def _cues(loaded: LoadedPair, folder: Path) -> MusicCues:
    pair = loaded.pair
    if pair.corpus == "constructed":
        from motion_data.corpora.constructed.music_cues import cues_from_notes
        from motion_data.corpora.constructed.plan import from_provenance, make_arrangement

        return cues_from_notes(
            make_arrangement(from_provenance(pair.provenance, f"pair {pair.name!r}"), folder)
        )
    from motion_data.corpora.recordings.sound_cues import cues_from_audio

    assert loaded.grid is not None
    return cues_from_audio(loaded.wav, loaded.grid)
