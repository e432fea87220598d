"""Short pretraining runs that differ in one thing, with several seeds, compared on dev sets.

    python -m recipes.benchmark experiments FILE OUT

FILE is YAML:

    title: What each loss adds
    seeds: [1, 2, 3]
    shared:                          # part of every arm's configuration; arms change it
      regime: {num_steps: 400}
    arms:                            # the first one is what the others are compared with
      heads: {base: heads}           # a configuration of recipes.pretrain each
      heads and ECL: {base: objectives/heads_all}
    sets: [data/dev_pop909]          # for `recipes.benchmark beats`; may be left out
    limit: 30                        # recordings of each set

Each arm is trained once with each seed; its last checkpoint is exported, validated on the dev split of its
own corpora, and its beats are decoded on the sets. OUT has the runs, results.jsonl, tables.json and table.md.
What is finished is kept: the same command goes on.
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
from motionbeat_upstream.commands.command import RESUMES, command

if TYPE_CHECKING:
    from recipes.results.record import Results
    from recipes.results.tables import ResultTable

MEASURES = {
    "heads.beat_f": "beat F, peaks",
    "heads.downbeat_f": "downbeat F, peaks",
    "probe.trunk.beat_f": "linear beat probe F",
    "shared.recall_at_1": "R@1, shared grid",
    "own_grids.recall_at_1": "R@1, own grids",
    "silence.recall_at_1": "R@1, silence",
    "CPU minutes": "CPU minutes",
}
"""Figures of `recipes.pretrain.validate` that the table shows, and their headings."""


@dataclass(frozen=True)
class Experiment:
    """What FILE says."""

    title: str
    seeds: Sequence[int]
    arms: Mapping[str, Mapping[str, Any]]
    shared: Mapping[str, Any] = field(default_factory=dict)
    sets: Sequence[str] = ()
    limit: int | None = None
    clips: int = 192
    """Of the dev split that an arm is validated on."""


@dataclass(frozen=True)
class ArmRun:
    """One training."""

    arm: str
    seed: int
    folder: Path
    config: Mapping[str, Any]

    @property
    def weights(self) -> Path:
        """Of the music tower."""
        return self.folder / "music.safetensors"


@command("recipes.benchmark experiments", interrupted=RESUMES, extra="all")
def main(arguments: Sequence[str]) -> int:
    """Run what is missing and print the table; the code of a command that failed."""
    parser = argparse.ArgumentParser(
        "python -m recipes.benchmark experiments",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the experiment")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of runs and results")
    parser.add_argument(
        "--table", action="store_true", help="run nothing; make the table of what is finished"
    )
    options = parser.parse_args(arguments)
    experiment = read_experiment(options.file)
    runs = planned(experiment, options.out)
    for run in runs:
        check_unchanged(run)
    if not options.table:
        for number, run in enumerate(runs, 1):
            print(f"{number} of {len(runs)}: {run.arm}, seed {run.seed}", file=sys.stderr)
            code = train(run, experiment.clips)
            if code:
                return code
    finished = [run for run in runs if figures_of(run)]
    if not finished:
        raise DataError(f"{options.out}: no run is finished; call the command without --table")

    from recipes.results.published import write_tables
    from recipes.results.record import write_results

    results = [*measured(finished), *decoded(finished, experiment, options.out)]
    table = comparison(results, experiment)
    write_results(options.out / "results.jsonl", results)
    write_tables(options.out / "tables.json", [table])
    text = "\n".join([f"## {table.title}", "", *table.lines()]) + "\n"
    write_text(options.out / "table.md", text)
    print(text, end="")
    return 0


def read_experiment(path: Path) -> Experiment:
    """The experiment in a file.

    Raises:
        DataError: the file cannot be read, or is no experiment.
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


def planned(experiment: Experiment, out: Path) -> list[ArmRun]:
    """All runs, seed by seed, so that arms can be compared as soon as possible."""
    return [
        ArmRun(
            arm,
            seed,
            out / "runs" / f"{arm}-seed{seed}",
            merged(experiment.shared, config, {"common": {"seed": seed}}),
        )
        for seed in experiment.seeds
        for arm, config in experiment.arms.items()
    ]


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings, in which later layers replace values of earlier ones."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
            result[key] = merged(result[key], value) if both else value
    return result


def check_unchanged(run: ArmRun) -> None:
    """Refuse to take the results of another configuration for those of this one.

    Raises:
        DataError: the run has another configuration than when it was begun.
    """
    path = run.folder / "experiment.json"
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != run.config:
        raise DataError(
            f"{run.folder}: was begun with another configuration (experiment.json); remove it, or give "
            f"another OUT"
        )


def train(run: ArmRun, clips: int) -> int:
    """Train, export and validate what is not finished; the exit code of a command that failed."""
    from recipes.pretrain.options import find_config

    write_text(run.folder / "experiment.json", json.dumps(run.config, indent=1) + "\n")
    config = run.folder / "arm.yaml"
    base = str(find_config(run.config["base"]).resolve())
    write_text(config, json.dumps({**run.config, "base": base}) + "\n")  # JSON is YAML
    training = run.folder / "run"
    if not run.weights.is_file():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        code = call("recipes.pretrain", str(training), "--config-file", str(config))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if code == 0:
            write_text(run.folder / "cpu.json", json.dumps({"minutes": seconds / 60}) + "\n")
            code = call("recipes.pretrain.export", str(training), str(run.weights), "--step", "last")
        if code:
            return code
    if not figures_of(run):
        return call(
            "recipes.pretrain.validate",
            str(training),
            "--step",
            "last",
            "--split",
            "dev",
            "--clips",
            str(clips),
        )
    return 0


def call(module: str, *arguments: str) -> int:
    """Run a command of the project in a process of its own."""
    return subprocess.run([sys.executable, "-m", module, *arguments], check=False).returncode


def figures_of(run: ArmRun) -> dict[str, float]:
    """The figures of a validated run; empty before."""
    from recipes.pretrain.validate import validation_path

    path = validation_path(run.folder / "run", "dev")
    if not path.is_file() or not run.weights.is_file():
        return {}
    found: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    cpu = run.folder / "cpu.json"
    if cpu.is_file():
        found["CPU minutes"] = json.loads(cpu.read_text(encoding="utf-8"))["minutes"]
    return found


def measured(runs: Sequence[ArmRun]) -> list[Results]:
    """The figures on the dev splits of the arms' own corpora."""
    from recipes.results.record import Results, Run, command_and_versions, item_rows

    return [
        Results(
            Run("experiment", "dev", run.arm, seed=run.seed, split="dev", details=command_and_versions()),
            item_rows("dev", "dev", {MEASURES[key]: figures[key] for key in MEASURES if key in figures}),
        )
        for run in runs
        for figures in [figures_of(run)]
    ]


def decoded(runs: Sequence[ArmRun], experiment: Experiment, out: Path) -> list[Results]:
    """Beats on the sets, by the decoder that ships; means over pieces of each run."""
    if not experiment.sets:
        return []
    from recipes.benchmark.beats.comparison import compare
    from recipes.benchmark.beats.sets import read_set
    from recipes.benchmark.beats.trackers import read_trackers
    from recipes.results.record import Results, Run, command_and_versions, item_rows, long_form

    sets = [read_set(text, experiment.limit) for text in experiment.sets]
    named = {f"run{number}": run for number, run in enumerate(runs)}
    files = {name: run.weights for name, run in named.items()}
    with ExitStack() as stack:
        trackers = read_trackers(list(files), files, 0.5, None, stack)
        rows = long_form(compare(sets, trackers, out / "estimates", repeats=1, overwrite=False))
    results = []
    for name, run in named.items():
        figures = {}
        for one in sets:
            own = rows[(rows["upstream"] == name) & (rows["data"] == one.name)]
            for measure in ("beat F", "downbeat F"):
                means = own[own["measure"] == measure].groupby("group")["value"].mean()
                figures[f"{one.name}: {measure}"] = float(means.mean()) if len(means) else math.nan
        about = Run("experiment", "sets", run.arm, seed=run.seed, split="dev", details=command_and_versions())
        results.append(Results(about, item_rows("sets", "sets", figures)))
    return results


def comparison(results: Sequence[Results], experiment: Experiment) -> ResultTable:
    """Means over seeds, and differences to the first arm paired by seed; intervals are lowest and highest."""
    from recipes.results.estimates import Estimate
    from recipes.results.record import long_form
    from recipes.results.tables import ResultTable

    rows = long_form(results)
    measures = list(dict.fromkeys(rows["measure"]))
    values = rows.pivot_table("value", "seed", ["upstream", "measure"])

    def over_seeds(of: Any) -> Estimate:
        known = of.dropna().to_numpy()
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
        {arm: [over_seeds(column(arm, measure)) for measure in measures] for arm in arms},
        {
            f"{arm} − {first}": [
                over_seeds(column(arm, measure) - column(first, measure)) for measure in measures
            ]
            for arm in arms[1:]
        },
        notes=f"{len(values)} seeds; mean [lowest, highest]; the last rows are differences paired by seed.",
        row_heading="arm",
    )


if __name__ == "__main__":
    sys.exit(main())
