"""``motionbeat data prepare NAME RAW OUT``: prepare a corpus, or continue an interrupted preparation."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from motion_data.corpora import CORPORA, corpus_module
from motion_data.errors import DataError
from motion_data.manifest import MARK, Corpus
from motion_data.pair import NO_BEATS, SPLITS
from motion_data.sources import package_table
from motionbeat_upstream.commands.audio_warnings import add_strict_option
from motionbeat_upstream.commands.command import command, first_line


@command("motionbeat data prepare", interrupted="interrupted; what is finished is kept", extra="data")
def main(arguments: Sequence[str]) -> int:
    """Run the command; returns 1 if pairs were left out."""
    chooser = argparse.ArgumentParser("motionbeat data prepare", add_help=False)
    chooser.add_argument("name", choices=CORPORA, metavar="NAME")
    if not arguments or arguments[0] in ("-h", "--help"):
        listed = "\n".join(f"  {name:12} {first_line(f'motion_data.corpora.{name}')}" for name in CORPORA)
        print(f"usage: motionbeat data prepare NAME [RAW] OUT\n\nNAME:\n{listed}\n")
        print("`motionbeat data prepare NAME --help` describes the layout of RAW.")
        return 0
    name = chooser.parse_args(arguments[:1]).name
    module = corpus_module(name)
    parser = argparse.ArgumentParser(
        f"motionbeat data prepare {name}",
        description=f"{module.LAYOUT}\n\nLicence: {module.LICENCE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if name == "constructed":
        parser.set_defaults(raw=None)
    else:
        parser.add_argument("raw", type=Path, metavar="RAW", help="the corpus as it was obtained")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of the prepared corpus")
    module.add_options(parser)
    add_strict_option(parser)
    options = parser.parse_args(arguments[1:])
    _check_out(options.out, name, options.raw)

    from motionbeat_upstream.threads import use_idle_cores

    use_idle_cores()
    corpus = module.prepare(options.raw, options.out, options)
    print(summary(corpus))
    if any("package" in pair.provenance for pair in corpus.pairs):
        print("\n".join(package_table(corpus)))
    for pair in corpus.pairs:
        for note in pair.provenance.get("notes", ()):
            print(f"note: {pair.name}: {note}", file=sys.stderr)
    left_out = corpus.info["left_out"]
    for name, reason in left_out.items():
        print(f"left out: {name}: {reason}", file=sys.stderr)
    return 1 if left_out else 0


def _check_out(out: Path, name: str, raw: Path | None) -> None:
    """Refuse RAW, or a folder with another corpus, as OUT."""
    if raw is not None and out.resolve() == raw.resolve():
        raise DataError(f"{out}: is RAW; give another folder as OUT")
    mark = out / MARK
    if mark.is_file():
        try:
            existing = json.loads(mark.read_text(encoding="utf-8"))["corpus"]
        except (ValueError, KeyError, TypeError):
            return
        if existing != name:
            raise DataError(
                f"{out}: holds the corpus {existing!r}, expected {name!r}; give another folder as OUT"
            )


def summary(corpus: Corpus) -> str:
    """Summarise pairs, pieces and hours of each split, and notes, one per line."""
    lines = [f"{corpus.folder}: {len(corpus.pairs)} pairs"]
    for split in SPLITS:
        pairs = corpus.split(split)
        pieces, takes = len({pair.piece for pair in pairs}), len({pair.take for pair in pairs})
        hours = sum(pair.seconds for pair in pairs) / 3600
        lines.append(f"  {split:5}  {len(pairs):6} pairs  {pieces:5} pieces  {takes:5} takes  {hours:7.2f} h")
    estimated = sum(pair.grid == "estimated" for pair in corpus.pairs)
    unknown = sum(pair.grid == "none" for pair in corpus.pairs)
    if estimated:
        lines.append(f"  {estimated:5}  pairs came without beats: estimated from the sound")
    beatless = sum(pair.grid == NO_BEATS for pair in corpus.pairs)
    if beatless:
        lines.append(f"  {beatless:5}  pairs have no beats on purpose, such as applause")
    if unknown:
        lines.append(f"  {unknown:5}  pairs have no beats: none were given, and none can be heard")
    lines += [f"  {count:5}  {note}" for note, count in corpus.info.get("notes", {}).items()]
    return "\n".join(lines)
