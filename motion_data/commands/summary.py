"""``motionbeat data summary CORPUS...``: pieces, hours, tempi, metres, licences and speed of corpora."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from motion_data.pair import SPLITS
from motionbeat_upstream.commands.command import command

if TYPE_CHECKING:
    from motion_data.manifest import Corpus
    from motion_data.pair import MotionPair

HEADINGS = (
    *("corpus", "pieces", "pairs", "hours", "with beats", "with bars", "bpm at 5, 50, 95 %"),
    *("beats per bar, share of the hours", "licences", "times real time"),
)


@command("motionbeat data summary", extra="data")
def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        "motionbeat data summary",
        description=f"{__doc__} Hours are those of the pairs, including variants of a piece. The last column "
        "is the length of some pairs over the processor time of rendering or decoding them.",
    )
    parser.add_argument("corpora", nargs="+", metavar="CORPUS", help="folders of prepared corpora, or URLs")
    parser.add_argument("--split", choices=SPLITS, help="only pairs of this split")
    parser.add_argument(
        "--timed", type=int, default=24, metavar="N", help="pairs to load; 0 for none (%(default)s)"
    )
    options = parser.parse_args(arguments)

    from motion_data.manifest import read_corpus

    print(f"| {' | '.join(HEADINGS)} |", "|" + "---|" * len(HEADINGS), sep="\n")
    for folder in options.corpora:
        corpus = read_corpus(folder)
        pairs = [pair for pair in corpus.pairs if options.split in (None, pair.split)]
        cells = [Path(folder).name, *summary_cells(pairs), loading_speed(corpus, pairs, options.timed)]
        print(f"| {' | '.join(cells)} |")
    return 0


def summary_cells(pairs: Sequence[MotionPair]) -> list[str]:
    """Cells of a row of the table, from pieces to licences."""
    from motion_data.corpora.recordings.licence import licence_label
    from motion_data.sources import tempo_percentiles, total_hours

    with_beats = [pair for pair in pairs if pair.bpm is not None]
    with_bars = [pair for pair in with_beats if pair.provenance.get("bars_known", True)]
    metres = {metre: [pair for pair in with_bars if pair.metre == metre] for metre in range(1, 8)}
    return [
        str(len({pair.piece for pair in pairs})),
        str(len(pairs)),
        *(f"{total_hours(selected):.1f}" for selected in (pairs, with_beats, with_bars)),
        tempo_percentiles(with_beats),
        ", ".join(
            f"{metre}: {100 * total_hours(group) / total_hours(with_bars):.0f} %"
            for metre, group in metres.items()
            if group
        ),
        ", ".join(sorted({licence_label(pair.licence) for pair in pairs})),
    ]


def loading_speed(corpus: Corpus, pairs: Sequence[MotionPair], count: int) -> str:
    """Seconds of sound per second of processor time, for pairs spread over the corpus; empty for none."""
    from motion_data.loading import load_pair

    if not count or len(pairs) < 2:
        return ""
    # The first one also loads instruments.
    first, *timed = pairs[:: max(1, len(pairs) // (count + 1))][: count + 1]
    load_pair(first, corpus.folder)
    start = time.process_time()
    for pair in timed:
        load_pair(pair, corpus.folder)
    return f"{sum(pair.seconds for pair in timed) / (time.process_time() - start):.0f}"
