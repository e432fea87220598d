"""Runs every command of the project with some arguments, in one process, and tells what each imported.

``python -m tests.command_lines --help`` prints, as JSON, of each command its exit code, what it printed, and
which of the slow packages had been imported when it was done.
"""

from __future__ import annotations

import configparser
import importlib.metadata
import io
import json
import runpy
import sys
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import EntryPoint
from pathlib import Path

from motion_data.commands.data import COMMANDS as DATA_COMMANDS
from motion_data.corpora import CORPORA
from recipes.benchmark.__main__ import COMMANDS as BENCHMARK_COMMANDS
from recipes.launch import RECIPES
from recipes.launch.files import FILE_COMMANDS

ROOT = Path(__file__).parent.parent

SLOW = frozenset(
    {
        *("torch", "torchaudio", "s3prl", "fairseq2", "transformers", "librosa", "numba", "scipy", "sklearn"),
        *("matplotlib", "pandas", "music21", "symusic", "pretty_midi", "mediapipe"),
    }
)
"""Packages that take a good part of a second, or several, to import."""

INTERNAL = ("recipes.launch.training_process", "motion_data.corpora.modules.libopenmpt")
"""Started by the project's own code alone."""


def motionbeat_commands() -> list[EntryPoint]:
    """The subcommands of ``motionbeat`` that setup.cfg declares, whatever version of it is installed."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = config["options.entry_points"]["motionbeat.commands"].strip().splitlines()
    named = (line.split(" = ") for line in lines)
    return [EntryPoint(name, value, "motionbeat.commands") for name, value in named]


def commands() -> list[list[str]]:
    """Module and subcommands of every command that can be started."""
    modules = sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
        for package in ("motionbeat_upstream", "motion_data", "recipes")
        for path in (ROOT / package).rglob("*.py")
        if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")
    )
    motionbeat = [[entry.name] for entry in motionbeat_commands()]
    data = [["data", name] for name in DATA_COMMANDS]
    prepare = [["data", "prepare", name] for name in CORPORA]
    return [
        *([module] for module in modules if module not in INTERNAL),
        *(["motionbeat_upstream.commands", *names] for names in (*motionbeat, *data, *prepare)),
        *(["recipes.benchmark", name] for name in BENCHMARK_COMMANDS),
        *(["recipes.launch", name] for name in (*RECIPES, *FILE_COMMANDS, "watch", "stop", "report")),
    ]


def run(command: list[str], arguments: list[str]) -> tuple[int | str | None, str]:
    """Exit code and output of a command."""
    module, *names = command
    sys.argv = [module, *names, *arguments]
    output = io.StringIO()
    try:
        with redirect_stdout(output), redirect_stderr(output):
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code, output.getvalue()
    return 0, output.getvalue()


if __name__ == "__main__":
    given = sys.argv[1:]
    # Others, pydantic among them, ask for entry points of their own.
    others = importlib.metadata.entry_points
    importlib.metadata.entry_points = lambda **named: (  # type: ignore
        motionbeat_commands() if named.get("group") == "motionbeat.commands" else others(**named)
    )
    found = {}
    for command in commands():
        code, output = run(command, given)
        found[" ".join(command)] = {"code": code, "output": output, "slow": sorted(SLOW & set(sys.modules))}
    print(json.dumps(found))
