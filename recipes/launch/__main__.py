"""``python -m recipes.launch``: start a recipe on a cluster or on this machine, watch it, stop it."""

from __future__ import annotations

import argparse
import importlib
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if sys.platform == "win32":
    # Jobs are ended by signals that Windows lacks.
    print(
        "recipes.launch: requires Linux or macOS; start the recipe directly, such as recipes.benchmark run",
        file=sys.stderr,
    )
    sys.exit(2)

from motionbeat_upstream.commands.command import command
from motionbeat_upstream.errors import MotionBeatError
from recipes.launch import RECIPES
from recipes.launch.files import FILE_COMMANDS
from recipes.launch.jobs import require_slurm
from recipes.launch.launching import check_launch_folder, launch, run_in_foreground, stop
from recipes.launch.record import launch_folder, read_record
from recipes.launch.runs import plan_runs
from recipes.launch.watching import watch

if TYPE_CHECKING:
    from recipes.launch.resources import Resources
    from recipes.launch.runs import Run


@command("recipes.launch")
def main(arguments: Sequence[str], recipes: Mapping[str, str] = RECIPES) -> int:
    """Run a subcommand.

    Args:
        arguments: the command line.
        recipes: module of each recipe.

    Returns:
        0, or 1 for a failure; with ``--cluster debug`` the exit code of the recipe.
    """
    launch_options, recipe_options = _split(arguments)
    options = _parser(recipes).parse_args(launch_options)

    @command(f"recipes.launch {options.command}")
    def run(recipe_options: Sequence[str]) -> int:
        if recipe_options and options.command not in (*recipes, *FILE_COMMANDS):
            raise MotionBeatError("takes no options after --")
        if options.command == "report":
            from recipes.launch.files.report import write_report

            return write_report(options.folder.resolve())
        if options.command == "watch":
            return watch(options.folder, options.once, options.every)
        if options.command == "stop":
            stopped = stop(options.folder, read_record(options.folder))
            print(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")
            return 0
        if options.command in FILE_COMMANDS:
            return _launch_files(options, recipe_options)
        return _launch(options, recipes[options.command], recipe_options)

    return run(recipe_options)


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split the arguments at the first ``--`` into options of the launcher and of the recipe."""
    arguments = list(arguments)
    if "--" not in arguments:
        return arguments, []
    index = arguments.index("--")
    return arguments[:index], arguments[index + 1 :]


def _launch(options: argparse.Namespace, module: str, recipe_options: Sequence[str]) -> int:
    resources = _resources(options)
    if recipe_options and not recipe_options[0].startswith("-"):
        raise MotionBeatError(
            f"{recipe_options[0]}: expected options of the recipe after --; its OUT is the --folder"
        )
    folder = Path(options.folder).resolve()
    runs = plan_runs(folder, recipe_options, options.sweep, options.seeds, options.each)
    # Report errors now, not when the job starts.
    request = importlib.import_module(f"{module}.request")
    for run in runs:
        request.check(run.arguments)
    check_launch_folder(folder, options.command)
    if options.gpus is None and resources.cluster != "debug":
        print(
            f"on the CPU, {resources.tasks_per_node} process(es) per node; --gpus N trains on N GPUs per node"
        )
    return _start(options, module, runs, resources, folder)


def _launch_files(options: argparse.Namespace, command_options: Sequence[str]) -> int:
    resources = _resources(options)
    folder = Path(options.folder).resolve()
    # Imported here, so that `--help` is fast.
    from recipes.launch.files.file_list import write_file_list
    from recipes.launch.files.planning import file_runs, plan_files

    concurrent = resources.cluster == "local"
    file_list = plan_files(
        folder,
        options.command,
        command_options,
        options.files,
        options.root,
        options.tasks,
        options.overwrite,
        concurrent,
    )
    check_launch_folder(folder, options.command)
    write_file_list(folder, file_list)
    code = _start(
        options, "recipes.launch.files", file_runs(folder, file_list), resources, folder, concurrent
    )
    print(f"report: python -m recipes.launch report {shlex.quote(options.folder)}")
    return code


def _start(
    options: argparse.Namespace,
    module: str,
    runs: Sequence[Run],
    resources: Resources,
    folder: Path,
    concurrent: bool = False,
) -> int:
    if resources.cluster == "debug":
        return run_in_foreground(options.command, module, runs, folder)
    record = launch(options.command, module, runs, resources, folder, concurrent)
    for run in record.runs:
        print(f"{run.name}: job {run.job}, {run.folder}")
    print(f"logs: {launch_folder(folder) / 'jobs'}")
    for name in ("watch", "stop"):
        print(f"{name}: python -m recipes.launch {name} {shlex.quote(options.folder)}")
    return 0


def _resources(options: argparse.Namespace) -> Resources:
    """Resources of a job, from the options."""
    # Imported here, so that `--help` is fast.
    from motion_data.settings import read_values
    from recipes.launch.resources import Resources

    launch_options = ("command", "folder", "sweep", "seeds", "each", "files", "root", "tasks", "overwrite")
    given = {
        f"--{name.replace('_', '-')}": value
        for name, value in vars(options).items()
        if name not in launch_options and value is not None
    }
    defaults: dict[str, object] = {
        "--name": f"motionbeat-{options.command}",
        "--tasks-per-node": max(1, options.gpus or 0),
    }
    if options.command in FILE_COMMANDS:
        # Many tasks with one thread are faster than few with several.
        defaults["--cpus"] = 1
    messages: list[str] = []
    resources = read_values(Resources, defaults | given, messages)
    if resources is None:
        raise MotionBeatError("; ".join(messages))
    if resources.cluster == "slurm":
        require_slurm()
    return resources


def _parser(recipes: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m recipes.launch", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for recipe, module in recipes.items():
        command = commands.add_parser(
            recipe,
            help=f"launch {module}",
            usage=f"python -m recipes.launch {recipe} [options] -- [recipe options]",
        )
        _add_launch_options(command)
        _add_recipe_options(command)
    for name in FILE_COMMANDS:
        command = commands.add_parser(
            name,
            help=f"motionbeat {name} on every file of a list",
            usage=f"python -m recipes.launch {name} [options] -- [options of motionbeat {name}]",
        )
        _add_file_options(command)
        _add_launch_options(command)
    report_parser = commands.add_parser("report", help="write report.csv: a row for each file of a list")
    report_parser.add_argument("folder", type=Path, help="--folder of the launch")
    watch_parser = commands.add_parser("watch", help="print state, step and metrics of each run of a launch")
    watch_parser.add_argument("folder", type=Path, help="--folder of the launch")
    watch_parser.add_argument("--once", action="store_true", help="print once and exit")
    watch_parser.add_argument(
        "--every", type=float, default=10.0, metavar="S", help="interval in seconds (10)"
    )
    stop_parser = commands.add_parser("stop", help="cancel the queued and running jobs of a launch")
    stop_parser.add_argument("folder", type=Path, help="--folder of the launch")
    return parser


def _add_launch_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add(
        "--cluster",
        choices=("slurm", "local", "debug"),
        required=True,
        help="a SLURM job; processes in the background on this machine; one process in the foreground",
    )
    add(
        "--folder", required=True, help="folder for runs, record and logs; on SLURM accessible from all nodes"
    )
    add("--cpus", type=int, help="CPUs per process (for lists of files: 1)")
    add("--mem", help="memory per node, such as 64G")
    add(
        "--time",
        help="time limit of one attempt, in SLURM's format: 90, 12:00:00, 2-00:00:00 (on SLURM: a day)",
    )
    add(
        "--notice",
        type=int,
        metavar="S",
        help="seconds before the limit at which the job requeues itself (120)",
    )
    add(
        "--restarts",
        type=int,
        metavar="N",
        help="number of times that a job out of time is requeued (1000; --cluster local: at most 5)",
    )
    add("--name", help="name of the job (motionbeat-RECIPE)")
    for option in ("partition", "account", "qos"):
        add(f"--{option}", help=f"{option} on SLURM")
    add(
        "--setup",
        action="append",
        metavar="COMMAND",
        help="a shell command to run before the job, such as 'module load cuda'; may be repeated",
    )
    add(
        "--slurm",
        action="append",
        metavar="KEY=VALUE",
        help="another option of sbatch, such as constraint=a100; may be repeated",
    )


def _add_recipe_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--nodes", type=int, help="number of nodes (1)")
    add("--gpus", type=int, help="GPUs per node, with one process each; 0 (the default): train on the CPU")
    add("--tasks-per-node", type=int, help="processes per node on the CPU (1)")
    add(
        "--sweep",
        type=_names,
        default=[],
        metavar="A.yaml,B.yaml",
        help="one run for each --config-file, in subfolders; on SLURM a job array",
    )
    add(
        "--seeds",
        type=_integers,
        default=[],
        metavar="0,1,2",
        help="one run for each seed; with --sweep for each combination",
    )
    add(
        "--each",
        type=_option_values,
        metavar="OPTION=A,B",
        help="one run for each value of an option of the recipe, all in the same folder (benchmark: "
        "upstreams=motionbeat,fbank)",
    )


def _add_file_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add(
        "--files",
        type=Path,
        required=True,
        metavar="LIST",
        help="a text file with one file name per line, relative to the working directory",
    )
    add(
        "--tasks",
        type=int,
        default=1,
        metavar="N",
        help="number of tasks that share the files: jobs of an array on SLURM, simultaneous processes with "
        "--cluster local (1)",
    )
    add(
        "--root",
        type=Path,
        metavar="DIR",
        help="a parent folder of all files, whose structure the outputs keep (default: all outputs in "
        "--folder itself)",
    )
    add(
        "--overwrite",
        action="store_true",
        help="replace outputs of another model, version or program, or of other options; outputs of the same "
        "are kept",
    )
    add("--gpus", type=int, choices=(0, 1), help="1: each task gets a GPU (0)")


def _option_values(text: str) -> tuple[str, list[str]]:
    option, _, values = text.partition("=")
    if not option or option.startswith("-") or not _names(values):
        raise argparse.ArgumentTypeError(f"{text}: expected OPTION=VALUE,VALUE, without dashes")
    return option, _names(values)


def _names(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def _integers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text}: expected integers separated by commas") from error


if __name__ == "__main__":
    sys.exit(main())
