"""``python -m tests.robustness``: fuzzes the parsers, and interrupts the commands."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.commands.command import command
from motionbeat_upstream.errors import MotionBeatError
from tests import robustness

BEGIN, END = "<!-- robustness: begin -->", "<!-- robustness: end -->"

PARSER_TABLE = (
    "| parser | commit | inputs | read | refused | tracebacks | hangs | silent wrong results | peak memory |",
    "|---|---|---|---|---|---|---|---|---|",
)

FAULT_TABLE = (
    "| command | commit | moments | lost results | partial taken for complete | not completed |",
    "|---|---|---|---|---|---|",
)


@command("robustness")
def main(arguments: Sequence[str]) -> int:
    """Run the command; 1 where a fault was found."""
    options = _parser().parse_args(arguments)
    from tests.robustness.faults import COMMANDS, interrupt
    from tests.robustness.parsers import PARSERS
    from tests.robustness.worker import fuzz

    names = options.only or [*PARSERS, *COMMANDS]
    unknown = [name for name in names if name not in PARSERS and name not in COMMANDS]
    if unknown:
        raise MotionBeatError(f"no {unknown[0]!r}; there are {', '.join([*PARSERS, *COMMANDS])}")
    rows: dict[str, str] = {}
    faulty = False
    for name in names:
        if name in COMMANDS:
            seen = interrupt(COMMANDS[name], options.moments, options.seed)
            rows[name] = f"{seen.moments} | {len(seen.lost)} | {len(seen.partial)} | {len(seen.stuck)}"
            faults = [*seen.lost, *seen.partial, *seen.stuck]
        else:
            parser = PARSERS[name]
            count = max(1, round(options.inputs * parser.share))
            with tqdm(total=count, desc=name, disable=None) as bar:
                tally = fuzz(parser, count, options.seed, bar.update)
            kinds = tally.kinds
            counts = (kinds[kind] for kind in ("valid", "refused", "traceback", "hang", "wrong"))
            rows[name] = " | ".join(
                [str(kinds.total()), *map(str, counts), f"{tally.peak_bytes / 2**20:.0f} MB"]
            )
            # One for each place in the code: their messages differ in what the inputs hold.
            faults = list(
                {
                    f"{one.kind}{one.place}": f"{one.kind}: {one.message} {one.place}"
                    for _, one in tally.faults
                }.values()
            )
            if options.keep and tally.faults:
                _keep(
                    options.keep / name.replace(" ", "_"), parser.suffix, [data for data, _ in tally.faults]
                )
        faulty = faulty or bool(faults)
        print(f"{name} | {rows[name]}", flush=True)
        for fault in faults:
            print(f"  {fault[:400]}", flush=True)
        if options.table:
            _write_rows(options.table, rows, list(PARSERS), list(COMMANDS))
    return 1 if faulty else 0


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        "python -m tests.robustness",
        description=robustness.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--only", nargs="+", metavar="NAME", help="parsers and commands (default: all)")
    made.add_argument("--inputs", type=int, default=200, help="for each cheap parser (%(default)s)")
    made.add_argument(
        "--moments", type=int, default=8, help="at which each command is interrupted (%(default)s)"
    )
    made.add_argument("--seed", type=int, default=0, help="of all draws (%(default)s)")
    made.add_argument("--keep", type=Path, metavar="DIR", help="where inputs that show a fault are written")
    made.add_argument(
        "--table",
        type=Path,
        metavar="FILE",
        help="Markdown whose tables between the marks of this command get the rows; others are kept",
    )
    return made


def _keep(folder: Path, suffix: str, inputs: Sequence[bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(inputs):
        (folder / f"{number}{suffix}").write_bytes(data)


def _write_rows(file: Path, rows: dict[str, str], parsers: Sequence[str], commands: Sequence[str]) -> None:
    """Put rows into the tables of a Markdown file; a row begins with its name and the commit."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True
    ).stdout.strip()
    before, rest = file.read_text(encoding="utf-8").split(BEGIN)
    inside, after = rest.split(END)
    kept = {line.split("|")[1].strip(): line for line in inside.splitlines() if line.startswith("| ")}
    kept |= {name: f"| {name} | {commit or 'unknown'} | {row} |" for name, row in rows.items()}

    def table(header: Sequence[str], names: Sequence[str]) -> list[str]:
        return ["", *header, *(kept[name] for name in names if name in kept), ""]

    lines = [*table(PARSER_TABLE, parsers), *table(FAULT_TABLE, commands)]
    with atomic_path(file) as draft:
        draft.write_text("\n".join([before + BEGIN, *lines, END + after]), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
