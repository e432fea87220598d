"""Help and typing errors are answered at once: no command imports torch to parse its arguments."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.command_lines import INTERNAL, commands

COMMANDS = [" ".join(command) for command in commands()]

ROOT = Path(__file__).parent.parent


@cache
def answers(*arguments: str) -> dict[str, Any]:
    """What every command answers to the arguments, from one process for all."""
    command = [sys.executable, "-m", "tests.command_lines", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command: str) -> None:
    answer = answers("--help")[command]
    assert answer["slow"] == []
    assert answer["code"] == 0
    assert re.search("usage|expected|OUT", answer["output"])
    assert "Traceback" not in answer["output"]


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_option(command: str) -> None:
    answer = answers("--frobnicate")[command]
    assert answer["slow"] == []
    assert answer["code"] == 2
    assert "Traceback" not in answer["output"]
    assert len(answer["output"].strip().splitlines()[-1]) < 1000


def test_every_documented_command_is_among_them() -> None:
    documents = [*ROOT.glob("*.md"), *ROOT.glob("m*/**/*.md"), *(ROOT / "recipes").rglob("*.md")]
    named = {
        module
        for path in documents
        for module in re.findall(
            r"python -m ((?:recipes|motion_data|motionbeat_upstream)[\w.]*\w)", path.read_text()
        )
    }
    assert named
    assert named - set(INTERNAL) <= {command.split()[0] for command in COMMANDS}


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["motionbeat_upstream.commands", "beats", "--help"],
        ["motionbeat_upstream.commands", "beats", "gone.wav"],
        ["motionbeat_upstream.commands", "dance", "gone.wav", "-o", "a.mp4"],
        ["recipes.downstream.run_downstream", "-h"],
        ["recipes.downstream.run_downstream", "-m", "train", "-u", "fbnk", "-d", "genre", "-p", "exp"],
        ["recipes.pretrain", "out", "--config-file", "gone.yaml"],
    ],
    ids=" ".join,
)
def test_within_a_second_and_a_half_of_cpu(command: list[str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", *command], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == (0 if command[-1] in ("-h", "--help") else 2)
    assert usage.ru_utime + usage.ru_stime < 1.5
