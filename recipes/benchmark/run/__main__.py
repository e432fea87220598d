"""``python -m recipes.benchmark run``: evaluate upstreams on all tasks with available data."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from motionbeat_upstream.atomic_write import write_text
from motionbeat_upstream.commands.command import INTERRUPTED_RESUMABLE, command
from recipes.benchmark.run.request import parse, parse_options

if TYPE_CHECKING:
    from recipes.benchmark.plan import Plan
    from recipes.benchmark.upstream_choice import UpstreamChoice


@command("recipes.benchmark run", interrupted=INTERRUPTED_RESUMABLE, extra="s3prl")
def main(arguments: Sequence[str]) -> int:
    """Run missing trainings and print the table; return the exit code of a run that fails."""
    parse_options(arguments)  # before slow imports

    from motionbeat_upstream.threads import use_idle_cores
    from recipes.benchmark.plan import RunFailed
    from recipes.results.published import write_tables
    from recipes.results.tables import draw_tables

    use_idle_cores()
    options, upstreams, plans, missing = parse(arguments)
    cache = None if options.no_cache else options.out / "features"
    try:
        run(plans, upstreams, options.out, cache, options.overwrite)
    except RunFailed as failed:
        return failed.code
    if options.no_table:
        return 0
    tables = [
        table
        for plan in plans
        for table in plan.tables(upstreams, options.out / plan.name, options.resamples)
    ]
    lines = [line for table in tables for line in (f"## {table.title}", "", *table.lines(), "")]
    if missing:
        lines += [
            "Missing data sets, which are not part of the table:",
            "",
            *(f"- {line}" for line in missing),
        ]
    text = "\n".join(lines) + "\n"
    draw_tables(options.out / "table.png", tables)
    write_text(options.out / "table.md", text)
    write_tables(options.out / "tables.json", tables)
    print(text)
    return 0


def run(
    plans: Sequence[Plan], upstreams: Sequence[UpstreamChoice], out: Path, cache: Path | None, overwrite: bool
) -> None:
    """Train and test all probes that are not done.

    Raises:
        MotionBeatError: invalid data, features or weights.
        RunFailed: a run of ``run_downstream.py`` ended with an error, which it has printed.
    """
    from tqdm import tqdm

    with tqdm(total=len(plans) * len(upstreams), unit=" sets", disable=None) as bar:
        for choice in upstreams:
            # A copy, so that its encoder is freed afterwards.
            upstream = replace(choice)
            for plan in plans:
                bar.set_description(f"{choice.label}, {plan.name}")
                plan.run(upstream, out / plan.name, cache, overwrite)
                bar.update()


if __name__ == "__main__":
    sys.exit(main())
