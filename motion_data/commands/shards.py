"""``motionbeat data shards CORPUS OUT``: write a corpus as WebDataset tars, with all sound rendered."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from motion_data.commands.prepare import summary
from motion_data.errors import DataError
from motion_data.manifest import read_corpus
from motionbeat_upstream.commands.command import INTERRUPTED_RESUMABLE, command

DESCRIPTION = """\
Write a corpus as tars in WebDataset's layout, if rendering or decoding its sound is slower than training. OUT
is itself a prepared corpus with the same pairs in the same order, bit by bit, for all commands that read
CORPUS.

OUT can be copied to an object store. `data.corpora` of pretraining, and commands that mention it, read
s3://..., gs://..., https://... and every other URL that fsspec opens, with the package that fsspec needs
(s3fs, gcsfs, aiohttp). filecache::s3://... copies a tar to this machine when it is first read.

A pair has the members NUMBER.json, NUMBER.npz (motion, grid, labels) and NUMBER.flac; or NUMBER.wav in
float32 if 24-bit FLAC would change samples, as for rendered sound. Repeat the command to continue an
interrupted one."""


@command("motionbeat data shards", interrupted=INTERRUPTED_RESUMABLE, extra="data")
def main(arguments: Sequence[str]) -> int:
    """Run the command; returns 0 if everything is written."""
    parser = argparse.ArgumentParser(
        "motionbeat data shards",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("corpus", metavar="CORPUS", help="folder of a prepared corpus, or a URL of shards")
    parser.add_argument("out", type=Path, metavar="OUT", help="output folder")
    parser.add_argument(
        "--pairs", type=int, default=256, metavar="N", help="maximum per tar; default: %(default)s"
    )
    parser.add_argument(
        "--flac",
        action="store_true",
        help="use FLAC even if it changes samples by up to 2^-23: rendered pairs take a third less space, "
        "but are not identical",
    )
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes; default: %(default)s")
    options = parser.parse_args(arguments)
    for name in ("pairs", "workers"):
        if getattr(options, name) < 1:
            raise DataError(f"--{name} {getattr(options, name)}: expected 1 or more")
    corpus = read_corpus(options.corpus)

    from motion_data.sharding import write_shards
    from motionbeat_upstream.threads import use_idle_cores

    use_idle_cores()
    shards = write_shards(corpus, options.out, options.pairs, options.flac, options.workers)
    print(summary(shards))
    tars = {pair.shard.path: pair.shard.size for pair in shards.pairs if pair.shard is not None}
    print(f"  {len(tars):5}  shards, {sum(tars.values()) / 1e9:.2f} GB")
    return 0
