"""``python -m recipes.benchmark run``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from motion_data.errors import DataError
from motionbeat_upstream.atomic_write import write_text
from motionbeat_upstream.errors import AudioError, CheckpointError
from recipes.benchmark.run.options import parse_options
from recipes.downstream.errors import TaskError

if TYPE_CHECKING:
    from recipes.benchmark.plan import Plan
    from recipes.benchmark.upstream_choice import UpstreamChoice


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing and print the table; 2 for what the user can mend, 130 after Ctrl-C."""
    try:
        parse_options(arguments)
    except ValueError as error:
        return _refused(error)

    from motionbeat_upstream.threads import use_idle_cores
    from recipes.benchmark.run.request import parse
    from recipes.benchmark.runner import RunFailed
    from recipes.results.tables import draw_tables

    use_idle_cores()
    try:
        options, upstreams, plans, missing = parse(arguments)
        run(
            plans,
            upstreams,
            options.out,
            None if options.no_cache else options.out / "features",
            options.overwrite,
        )
        if options.no_table:
            return 0
        tables = [
            table
            for plan in plans
            for table in plan.tables(upstreams, options.out / plan.name, options.resamples)
        ]
        lines = [line for table in tables for line in (f"## {table.title}", "", *table.lines(), "")]
        text = "\n".join([*lines, *_missing_lines(missing)]) + "\n"
        draw_tables(options.out / "table.png", tables)
        write_text(options.out / "table.md", text)
    except (DataError, AudioError, TaskError, CheckpointError, OSError, ValueError) as error:
        return _refused(error)
    except RunFailed as failed:
        return failed.code
    except KeyboardInterrupt:
        print("\nrecipes.benchmark run: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    print(text)
    return 0


def _refused(error: Exception) -> int:
    print(f"recipes.benchmark run: {error}", file=sys.stderr)
    return 2


def run(
    plans: Sequence[Plan], upstreams: Sequence[UpstreamChoice], out: Path, cache: Path | None, overwrite: bool
) -> None:
    """Train and test every probe that is not there yet.

    Raises:
        DataError, AudioError, TaskError, CheckpointError: what is wrong with data, features or weights.
        RunFailed: a run of ``run_downstream.py`` ended with an error, which it has told.
    """
    from tqdm import tqdm

    from recipes.benchmark.upstream_choice import Upstream

    with tqdm(total=len(plans) * len(upstreams), unit=" sets", disable=None) as bar:
        for choice in upstreams:
            upstream = Upstream(choice)
            for plan in plans:
                bar.set_description(f"{choice.label}, {plan.name}")
                plan.run(upstream, out / plan.name, cache, overwrite)
                bar.update()


def _missing_lines(missing: Sequence[str]) -> list[str]:
    return ["Missing, and no part of the table:", "", *(f"- {line}" for line in missing)] if missing else []


if __name__ == "__main__":
    sys.exit(main())
