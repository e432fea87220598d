"""Parsers of users' files on damaged files, and commands that are interrupted."""

from __future__ import annotations

import faulthandler
import itertools
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from motion_data.errors import DataError
from tests.robustness import faults, worker
from tests.robustness.__main__ import BEGIN, END, FAULT_TABLE, PARSER_TABLE, main
from tests.robustness.faults import COMMANDS, FAULTS, Command, interrupt
from tests.robustness.inputs import encode, make_input
from tests.robustness.parsers import PARSERS, Parser, SilentlyWrong
from tests.robustness.worker import Outcome, Worker, fuzz

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent

INPUTS = 25
"""For each parser: about a minute for all of them."""


@pytest.fixture(params=PARSERS, scope="module")
def worker_of(request: pytest.FixtureRequest) -> Iterator[tuple[Parser, Worker]]:
    parser = PARSERS[request.param]
    made = Worker(parser.name)
    yield parser, made
    made.close()


def test_a_damaged_file_is_read_or_refused_in_one_line(
    worker_of: tuple[Parser, Worker],
) -> None:
    parser, made = worker_of
    samples, numbers = parser.samples(), itertools.count()

    def attempt(data: bytes) -> Outcome:
        path = made.folder / f"{next(numbers)}{parser.suffix}"
        path.write_bytes(data)
        return made.try_input(path)

    for sample in samples:
        assert attempt(encode(parser.suffix, sample)) == Outcome("valid")

    @settings(
        max_examples=max(5, round(INPUTS * parser.share)),
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms())
    def try_inputs(random: Random) -> None:
        outcome = attempt(make_input(parser.suffix, samples, random))
        assert outcome.kind in ("valid", "refused"), outcome

    try_inputs()


def read_badly(path: Path) -> None:
    """A parser with every fault that there is."""
    match path.read_text():
        case "code":
            raise KeyError("joints")
        case "lines":
            raise DataError("file.x: damaged\nTraceback")
        case "hang":
            while True:
                pass
        case "memory":
            bytearray(1 << 40)
        case "crash":
            faulthandler.disable()
            os.abort()
        case "wrong":
            raise SilentlyWrong("a beat at -1 s")
        case "refused":
            raise DataError("file.x: damaged; fetch it again")


def test_every_kind_of_fault_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PARSERS, "bad", Parser("bad", ".txt", lambda: ["fine"], read_badly))
    monkeypatch.setattr(worker, "CPU_SECONDS", 1)
    # Of the fork server, the process would not know the parser.
    monkeypatch.setattr(worker, "METHOD", "fork")
    made = Worker("bad")
    found = {}
    for name in ("fine", "refused", "code", "lines", "hang", "memory", "crash", "wrong", "fine"):
        path = tmp_path / "input.txt"
        path.write_text(name)
        found[name] = made.try_input(path).kind
    made.close()
    assert found == {
        "fine": "valid",
        "refused": "refused",
        "code": "traceback",
        "lines": "traceback",
        "hang": "hang",
        "memory": "traceback",
        "crash": "traceback",
        "wrong": "wrong",
    }


def test_a_sample_that_is_refused_is_no_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PARSERS, "bad", Parser("bad", ".txt", lambda: ["refused"], read_badly))
    monkeypatch.setattr(worker, "METHOD", "fork")
    with pytest.raises(RuntimeError, match=r"sample 0 of bad is no valid file: file\.x: damaged"):
        fuzz(PARSERS["bad"], 3, 0)


@pytest.mark.parametrize("name", COMMANDS)
def test_an_interrupted_command_loses_nothing(name: str) -> None:
    moments = {"features": len(FAULTS), "prepare": len(FAULTS), "shards": len(FAULTS)}.get(name, 1)
    seen = interrupt(COMMANDS[name], moments, seed=1)
    assert seen.moments == moments
    assert seen.lost == seen.partial == seen.stuck == []


def write_torn(sources: Path, out: Path) -> int:
    """A command that writes under the final names, and makes everything anew each time."""
    out.mkdir(exist_ok=True)
    for number in range(4):
        with (out / f"{number}.json").open("w", encoding="utf-8") as file:
            file.write(json.dumps([number] * 2000))
            file.flush()
    return 0


def test_a_command_that_writes_torn_files_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def finished(out: Path) -> dict[str, object]:
        return {path.name: json.loads(path.read_text()) for path in out.glob("*.json")}

    command = Command(lambda folder: (folder / "a").touch(), write_torn, finished)
    monkeypatch.setitem(faults.COMMANDS, "torn", command)
    monkeypatch.setattr(faults, "METHOD", "fork")
    seen = interrupt(command, 10, seed=0)
    assert seen.partial
    assert seen.lost


def test_the_tables_of_contributing_have_the_present_columns_and_names() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    inside = text.split(BEGIN)[1].split(END)[0]
    for header in (PARSER_TABLE, FAULT_TABLE):
        assert "\n".join(header) in inside
    rows = re.findall(r"^\| ([^|]+) \|.*\|$", inside, re.MULTILINE)
    names = [name for name in rows if name not in ("parser", "command")]
    assert names == [name for name in [*PARSERS, *COMMANDS] if name in names]
    assert len(names) > len(PARSERS) // 2
    for line in inside.splitlines():
        if line.startswith("| "):
            assert line.count("|") in (PARSER_TABLE[0].count("|"), FAULT_TABLE[0].count("|"))


def test_the_command_fills_its_rows_and_keeps_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "table.md"
    file.write_text(f"before\n{BEGIN}\n| BVH | abc | 1 | 1 | 0 | 0 | 0 | 0 | 1 MB |\n{END}\nafter\n")
    assert main(["--only", "CSV, splits", "--inputs", "3", "--table", str(file)]) == 0
    lines = file.read_text().splitlines()
    assert lines[0] == "before"
    assert lines[-1] == "after"
    assert "| BVH | abc | 1 | 1 | 0 | 0 | 0 | 0 | 1 MB |" in lines
    row = next(line for line in lines if line.startswith("| CSV, splits |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    # The sample and three inputs.
    assert cells[2] == "4" == str(int(cells[3]) + int(cells[4]))
    assert len(cells) == PARSER_TABLE[0].count("|") - 1
    assert main(["--only", "XML"]) == 2
    assert "no 'XML'; there are audio" in capsys.readouterr().err
