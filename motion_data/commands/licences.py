"""``motionbeat data licences CORPUS...``: list the licence of every source of prepared corpora."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from motion_data.pair import SPLITS
from motionbeat_upstream.commands.command import command


@command("motionbeat data licences", extra="data")
def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser("motionbeat data licences", description=__doc__)
    parser.add_argument("corpora", type=Path, nargs="+", metavar="CORPUS", help="prepared corpora")
    parser.add_argument("--split", choices=SPLITS, help="only pairs of this split")
    options = parser.parse_args(arguments)

    from motion_data.corpora.recordings.licence import is_restricted
    from motion_data.manifest import read_corpus
    from motion_data.sources import COPYLEFT_NOTE, has_copyleft, licence_table

    pairs = [
        pair
        for folder in options.corpora
        for pair in read_corpus(folder).pairs
        if options.split in (None, pair.split)
    ]
    print("\n".join(licence_table(pairs)))
    restricted = sum(is_restricted(pair.licence) for pair in pairs)
    if restricted:
        print(f"\n{restricted} pairs must not be used commercially, or not be changed")
    if has_copyleft(pairs):
        print(f"\n{COPYLEFT_NOTE}")
    return 0
