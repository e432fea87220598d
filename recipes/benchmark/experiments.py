"""Compare short pretraining runs that differ in one setting, with several seeds, on dev sets.

    python -m recipes.benchmark experiments FILE OUT

FILE is YAML:

    title: What each loss adds
    seeds: [1, 2, 3]
    shared:                          # configuration shared by all arms, which may override it
      regime: {num_steps: 400}
    arms:                            # configurations of recipes.pretrain; the first is the reference
      heads: {base: heads}
      heads and ECL: {base: objectives/heads_all}
    sets: [data/dev_pop909]          # for `recipes.benchmark beats`; optional
    limit: 30                        # recordings per set

Each arm is trained once per seed. Its last checkpoint is exported and validated on the dev split of its
corpora, and its beats are decoded on the sets. OUT contains the runs, results.jsonl, tables.json and
table.md. Finished runs are not repeated: run the same command to resume.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from motion_data.errors import DataError
from motionbeat_upstream.atomic_write import write_text
from motionbeat_upstream.commands.command import INTERRUPTED_RESUMABLE, command

if TYPE_CHECKING:
    from recipes.results.record import Results
    from recipes.results.tables import ResultTable

MEASURES = {
    "heads.beat_f": "beat F by peaks",
    "heads.downbeat_f": "downbeat F by peaks",
    "probe.trunk.beat_f": "linear beat probe F",
    "shared.recall_at_1": "R@1 on a shared grid",
    "own_grids.recall_at_1": "R@1 on own grids",
    "silence.recall_at_1": "R@1 with silence",
    "shared.chance_at_1": "R@1 by chance",
    "no_learning.recall_at_1": "R@1 without learning",
    "CPU minutes": "CPU minutes",
}
"""Metrics of `recipes.pretrain.validate` in the table, and their headings."""


@dataclass(frozen=True)
class Experiment:
    """The contents of FILE."""

    title: str
    seeds: Sequence[int]
    arms: Mapping[str, Mapping[str, Any]]
    shared: Mapping[str, Any] = field(default_factory=dict)
    sets: Sequence[str] = ()
    limit: int | None = None
    clips: int = 192
    """Clips of the dev split for validation."""


@dataclass(frozen=True)
class ArmRun:
    """A training of an arm with a seed."""

    arm: str
    seed: int
    folder: Path
    config: Mapping[str, Any]

    @property
    def weights(self) -> Path:
        """Exported music tower."""
        return self.folder / "music.safetensors"


@command("recipes.benchmark experiments", interrupted=INTERRUPTED_RESUMABLE, extra="all")
def main(arguments: Sequence[str]) -> int:
    """Run missing trainings and print the table; return the exit code of a command that fails."""
    parser = argparse.ArgumentParser(
        "python -m recipes.benchmark experiments",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the experiment")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of runs and results")
    parser.add_argument("--table", action="store_true", help="only write the table of the finished runs")
    options = parser.parse_args(arguments)
    experiment = read_experiment(options.file)
    runs = plan_runs(experiment, options.out)
    for run in runs:
        check_unchanged(run)
    if not options.table:
        for number, run in enumerate(runs, 1):
            print(f"{number} of {len(runs)}: {run.arm}, seed {run.seed}", file=sys.stderr)
            code = train(run, experiment.clips)
            if code:
                return code
    finished = [run for run in runs if read_metrics(run)]
    if not finished:
        raise DataError(f"{options.out}: no run is finished; run the command without --table")

    from recipes.results.published import write_tables
    from recipes.results.record import write_results

    results = [*dev_results(finished), *beat_results(finished, experiment, options.out)]
    table = comparison_table(results, experiment)
    write_results(options.out / "results.jsonl", results)
    write_tables(options.out / "tables.json", [table])
    text = "\n".join([f"## {table.title}", "", *table.lines()]) + "\n"
    write_text(options.out / "table.md", text)
    print(text, end="")
    return 0


def read_experiment(path: Path) -> Experiment:
    """Read an experiment from a file.

    Raises:
        DataError: the file cannot be read, or is not an experiment.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        values = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        experiment = Experiment(**values)
    except (OSError, YAMLError, TypeError) as error:
        raise DataError(f"{path}: not an experiment ({' '.join(str(error).split())})") from None
    seeds = list(experiment.seeds)
    if not experiment.arms or not seeds or len(set(seeds)) < len(seeds):
        raise DataError(f"{path}: expected at least one arm and different seeds")
    for name, config in experiment.arms.items():
        if not isinstance(config, Mapping) or "base" not in config or "/" in name:
            raise DataError(f"{path}: arm {name}: expected a configuration with `base`, and no / in its name")
    return experiment


def plan_runs(experiment: Experiment, out: Path) -> list[ArmRun]:
    """All runs, seed by seed, so that arms can be compared early."""
    return [
        ArmRun(
            arm,
            seed,
            out / "runs" / f"{arm}-seed{seed}",
            merge_layers(experiment.shared, config, {"common": {"seed": seed}}),
        )
        for seed in experiment.seeds
        for arm, config in experiment.arms.items()
    ]


def merge_layers(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested mappings; later layers override earlier ones."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            both_mappings = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
            result[key] = merge_layers(result[key], value) if both_mappings else value
    return result


def check_unchanged(run: ArmRun) -> None:
    """Check that an existing run has the same configuration.

    Raises:
        DataError: its configuration differs.
    """
    path = run.folder / "experiment.json"
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != run.config:
        raise DataError(
            f"{run.folder}: contains a run of another configuration (experiment.json); remove it, or give "
            f"another OUT"
        )


def train(run: ArmRun, clips: int) -> int:
    """Train, export and validate a run unless that is done; return the exit code of a command that fails."""
    from recipes.pretrain.options import find_config

    write_text(run.folder / "experiment.json", json.dumps(run.config, indent=1) + "\n")
    config = run.folder / "arm.yaml"
    base = str(find_config(run.config["base"]).resolve())
    write_text(config, json.dumps({**run.config, "base": base}) + "\n")  # JSON is valid YAML
    training = run.folder / "run"
    if not run.weights.is_file():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        code = run_module("recipes.pretrain", str(training), "--config-file", str(config))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if code == 0:
            write_text(run.folder / "cpu.json", json.dumps({"minutes": seconds / 60}) + "\n")
            code = run_module("recipes.pretrain.export", str(training), str(run.weights), "--step", "last")
        if code:
            return code
    if not read_metrics(run):
        options = ["--step", "last", "--split", "dev", "--clips", str(clips)]
        return run_module("recipes.pretrain.validate", str(training), *options)
    return 0


def run_module(module: str, *arguments: str) -> int:
    """Run a command of the project in a separate process."""
    return subprocess.run([sys.executable, "-m", module, *arguments], check=False).returncode


def read_metrics(run: ArmRun) -> dict[str, float]:
    """Read the metrics of a validated run; empty for other runs."""
    from recipes.pretrain.validate import validation_path

    path = validation_path(run.folder / "run", "dev")
    if not path.is_file() or not run.weights.is_file():
        return {}
    metrics: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    cpu = run.folder / "cpu.json"
    if cpu.is_file():
        metrics["CPU minutes"] = json.loads(cpu.read_text(encoding="utf-8"))["minutes"]
    return metrics


def dev_results(runs: Sequence[ArmRun]) -> list[Results]:
    """Metrics on the dev splits of the corpora of each arm."""
    from recipes.results.record import Results, Run, command_and_versions, item_rows

    return [
        Results(
            Run("experiment", "dev", run.arm, seed=run.seed, split="dev", details=command_and_versions()),
            item_rows("dev", "dev", {MEASURES[key]: metrics[key] for key in MEASURES if key in metrics}),
        )
        for run in runs
        for metrics in [read_metrics(run)]
    ]


def beat_results(runs: Sequence[ArmRun], experiment: Experiment, out: Path) -> list[Results]:
    """Beat and downbeat F on the sets with the default decoder, as means over pieces."""
    if not experiment.sets:
        return []
    from recipes.benchmark.beats.comparison import compare
    from recipes.benchmark.beats.sets import read_set
    from recipes.benchmark.beats.trackers import read_trackers
    from recipes.results.record import Results, Run, command_and_versions, item_rows, long_form

    sets = [read_set(text, experiment.limit) for text in experiment.sets]
    runs_by_name = {f"run{number}": run for number, run in enumerate(runs)}
    files = {name: run.weights for name, run in runs_by_name.items()}
    with ExitStack() as stack:
        trackers = read_trackers(list(files), files, 0.5, None, stack)
        rows = long_form(compare(sets, trackers, out / "estimates", repeats=1, overwrite=False))
    results = []
    for name, run in runs_by_name.items():
        metrics = {}
        for music_set in sets:
            set_rows = rows[(rows["upstream"] == name) & (rows["data"] == music_set.name)]
            for measure in ("beat F", "downbeat F"):
                means = set_rows[set_rows["measure"] == measure].groupby("group")["value"].mean()
                metrics[f"{music_set.name}: {measure}"] = float(means.mean()) if len(means) else math.nan
        run_record = Run(
            "experiment", "sets", run.arm, seed=run.seed, split="dev", details=command_and_versions()
        )
        results.append(Results(run_record, item_rows("sets", "sets", metrics)))
    return results


def comparison_table(results: Sequence[Results], experiment: Experiment) -> ResultTable:
    """Table of means over seeds and differences from the first arm, paired by seed; intervals are the
    range."""
    from recipes.results.estimates import Estimate
    from recipes.results.record import long_form
    from recipes.results.tables import ResultTable

    rows = long_form(results)
    measures = list(dict.fromkeys(rows["measure"]))
    values = rows.pivot_table("value", "seed", ["upstream", "measure"])

    def estimate_over_seeds(series: Any) -> Estimate:
        known = series.dropna().to_numpy()
        if not len(known):
            return Estimate(math.nan)
        if len(known) == 1:
            return Estimate(float(known[0]), groups=1)
        return Estimate(float(np.mean(known)), float(known.min()), float(known.max()), len(known))

    def column(arm: str, measure: str) -> Any:
        return values[arm, measure] if (arm, measure) in values else values.iloc[:, 0] * math.nan

    arms = [arm for arm in experiment.arms if arm in set(rows["upstream"])]
    first = arms[0]
    return ResultTable(
        experiment.title,
        tuple(measures),
        {arm: [estimate_over_seeds(column(arm, measure)) for measure in measures] for arm in arms},
        {
            f"{arm} − {first}": [
                estimate_over_seeds(column(arm, measure) - column(first, measure)) for measure in measures
            ]
            for arm in arms[1:]
        },
        notes=f"{len(values)} seeds; mean [lowest, highest]; the last rows are differences paired by seed.",
        row_heading="arm",
    )


if __name__ == "__main__":
    sys.exit(main())
