"""``motionbeat data shards CORPUS OUT``: write a corpus once as WebDataset tars, read without rendering."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from motion_data.commands.prepare import summary
from motion_data.errors import DataError
from motion_data.manifest import read_corpus
from motionbeat_upstream.commands.command import INTERRUPTED_RESUMABLE, command

DESCRIPTION = """\
Write a corpus once as tars in WebDataset's layout, for trainers that are faster than the rendering or
decoding of its sound. OUT is a prepared corpus itself: commands that read CORPUS read OUT, and find the same
pairs in the same order, bit by bit.

OUT may be copied to an object store. `data.corpora` of a pretraining, and commands that say so, read
s3://..., gs://..., https://... and every other URL that fsspec opens, with the package that it needs for them
(s3fs, gcsfs, aiohttp). filecache::s3://... copies a tar to this machine when it is first read from.

A pair is the members NUMBER.json, NUMBER.npz (motion, grid, labels) and NUMBER.flac; or NUMBER.wav in float32
where FLAC of 24 bits would not give back each sample, as for rendered sound. The same command goes on with
an interrupted writing."""


@command("motionbeat data shards", interrupted=INTERRUPTED_RESUMABLE, extra="data")
def main(arguments: Sequence[str]) -> int:
    """Run the command; 0 when all is written."""
    parser = argparse.ArgumentParser(
        "motionbeat data shards",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("corpus", metavar="CORPUS", help="folder of a prepared corpus, or a URL of shards")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write into")
    parser.add_argument(
        "--pairs", type=int, default=256, metavar="N", help="of a tar, at most; default: %(default)s"
    )
    parser.add_argument(
        "--flac",
        action="store_true",
        help="use FLAC also where it moves samples by up to 2^-23: rendered pairs take a third less room "
        "and are not the same bit by bit",
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
