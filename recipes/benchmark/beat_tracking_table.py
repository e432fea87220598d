"""The README's table of beat tracking: every upstream on every fold with every seed, then one row each.

    python -m recipes.benchmark.beat_tracking_table data/debian_songs/splits.csv result/beat_tracking_table

    ... -u motionbeat fbank untrained=motionbeat_untrained control=result/rolled.safetensors

An upstream may be given a label, and may be the file of an exported checkpoint. Each run is
``run_downstream.py``'s own. A finished run is not repeated, so an interrupted table is
taken up by the same command.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from motion_data.preparation import file_sha256
from motionbeat_upstream.atomic_write import write_text
from motionbeat_upstream.file_name import print_any_name
from recipes.benchmark.runner import RunFailed, results_of, run_once, run_task
from recipes.benchmark.upstream_choice import UpstreamChoice, read_upstreams
from recipes.downstream.beat_tracking.scores import SCORES
from recipes.results.record import Results, long_form
from recipes.results.tables import (
    ResultTable,
    against_others,
    group_values,
    mean_estimates,
    paired_differences,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is missing and print the table; 2 when a run fails."""
    print_any_name()
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0] if __doc__ else None,
    )
    parser.add_argument("data", type=Path, help="CSV of a beat tracking data set, in folds or split")
    parser.add_argument("out", type=Path, help="folder of the runs and of table_DECODER.md")
    parser.add_argument(
        "-u",
        "--upstreams",
        nargs="+",
        default=["motionbeat", "motionbeat_untrained", "fbank", "mfcc"],
        metavar="NAME",
        help="of S3PRL's hub, or a .safetensors file; LABEL=NAME names its row (%(default)s)",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--probe", default="linear", choices=["linear", "mlp", "conv"])
    parser.add_argument("--decoder", default="dbn", choices=["dbn", "peaks"])
    parser.add_argument(
        "--overwrite", action="store_true", help="replace runs of other data or weights in OUT"
    )
    options = parser.parse_args(argv)
    try:
        read_folds(options.data)
        upstreams = read_upstreams(options.upstreams)
        run_all(
            upstreams,
            options.data,
            options.out,
            options.seeds,
            options.probe,
            overwrite=options.overwrite,
        )
        results = all_results(upstreams, options.data, options.out, options.seeds, options.probe)
    except (OSError, ValueError) as error:
        print(f"beat_tracking_table: {error}", file=sys.stderr)
        return 2
    except RunFailed as failed:
        return failed.code
    text = "\n".join(result_table(results, options.decoder).lines()) + "\n"
    write_text(options.out / f"table_{options.decoder}.md", text)
    print(text)
    return 0


def run_all(
    upstreams: Sequence[UpstreamChoice],
    data: Path,
    out: Path,
    seeds: Sequence[int],
    probe: str,
    steps: int | None = None,
    *,
    quiet: bool = False,
    overwrite: bool = False,
) -> None:
    """Every upstream on every fold with every seed, but for what is done.

    Args:
        upstreams: the rows of the table.
        data: CSV of the data set.
        out: folder of the runs.
        seeds: of the trainings.
        probe: linear, mlp or conv.
        steps: of each training; None for those of the task's ``config.yaml``.
        quiet: write what the runs print to files in their folders.
        overwrite: replace runs of other data, weights or settings.

    Raises:
        TaskError: a run of other data or weights would be replaced.
        RunFailed: a run of ``run_downstream.py`` ended with an error, which it has told.
    """
    runs = [(choice, seed, fold) for choice in upstreams for seed in seeds for fold in read_folds(data)]
    for number, (choice, seed, fold) in enumerate(runs, 1):
        folder = _folder(choice.label, out, seed, fold, probe)
        # A run with other data or weights, or by another version, is no part of this table.
        made_of = choice.made_of(file_sha256(data)) + ("" if steps is None else f" {steps} steps")
        options = [*choice.options, "-d", "beat_tracking", "--seed", str(seed)]
        description = f"run {number} of {len(runs)}: {folder.name}"
        overrides = _overrides(data, fold, probe)
        if steps is not None:
            overrides.append(f"config.runner.total_steps={steps}")
        run_once(
            folder, made_of, partial(run_task, folder, options, overrides, description, quiet), overwrite
        )


def all_results(
    upstreams: Iterable[UpstreamChoice], data: Path, out: Path, seeds: Sequence[int], probe: str
) -> list[Results]:
    """The results of :func:`run_all`.

    Raises:
        DataError: results that are missing, or cannot be read.
    """
    folds = read_folds(data)
    return [
        results
        for choice in upstreams
        for (results,) in results_of(
            (_folder(choice.label, out, seed, fold, probe) for seed in seeds for fold in folds), choice.label
        )
    ]


def _folder(label: str, out: Path, seed: int, fold: str, probe: str) -> Path:
    return out / f"{label}-{probe}-seed{seed}-fold{fold}"


def read_folds(data: Path) -> list[str]:
    """The folds of a data set; one without a name where it has a split of its own instead.

    Raises:
        ValueError: the CSV has folds, but fewer than three.
    """
    with data.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    folds = sorted({row["fold"] for row in rows if row.get("fold")})
    if not folds and all(row.get("split") for row in rows):
        return [""]
    if len(folds) < 3:
        raise ValueError(
            f"{data}: expected a column 'fold' with at least 3 values (train, dev, test), found {folds}"
        )
    return folds


def _overrides(data: Path, fold: str, probe: str) -> list[str]:
    section = "config.downstream_expert"
    chosen = [f"{section}.datarc.test_fold={fold}"] if fold else []
    return [f"{section}.datarc.root={data}", *chosen, f"{section}.modelrc.probe={probe}"]


def result_table(results: Iterable[Results], decoder: str, title: str = "") -> ResultTable:
    """Means and 95 % intervals over pieces, and the first upstream's margins over the others."""
    names = [f"{decoder} {score}" for score in SCORES]
    values = group_values(long_form(results), names)
    pieces = len(next(iter(values.values())))
    notes = (
        f"{pieces} pieces, over which the 95 % bootstrap intervals are; the last rows are paired differences."
    )
    return ResultTable(
        title,
        SCORES,
        {upstream: mean_estimates(of) for upstream, of in values.items()},
        paired_differences(values, against_others(list(values))),
        notes=notes,
    )


if __name__ == "__main__":
    sys.exit(main())
