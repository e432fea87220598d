"""The parts that all commands share, and the dispatcher `motionbeat`."""

from __future__ import annotations

import errno
import io
import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from motion_data.errors import DataError
from motionbeat_upstream.commands import __main__ as motionbeat
from motionbeat_upstream.commands.command import command, dispatch, first_line
from motionbeat_upstream.errors import (
    AudioError,
    AudioWarning,
    CheckpointError,
    ConfigError,
    DamagedAudioWarning,
    MotionBeatError,
)
from recipes.benchmark.__main__ import COMMANDS
from tests.command_lines import ROOT, motionbeat_commands


def failing(error: BaseException) -> Callable[..., int]:
    @command("program", extra="pretrain")
    def main(arguments: Sequence[str]) -> int:
        raise error

    return main


NOT_INSTALLED = "which is not installed; in MotionBeat's folder: pip install '.[pretrain]'"

MISTAKES = {
    "a: is b": MotionBeatError("a: is b"),
    "two lines, one message": DataError("two lines,\n  one message\n"),
    "DataError": DataError(),
    "a.wav: No such file or directory": FileNotFoundError(errno.ENOENT, "No such file or directory", "a.wav"),
    "a.wav: exists": FileExistsError("a.wav: exists"),
    "[Errno 28] No space left on device": OSError(errno.ENOSPC, "No space left on device"),
    "a: File name too long": OSError(errno.ENAMETOOLONG, "File name too long", "a"),
    "the last line": AudioError(
        "Caught AudioError in worker 0.\nTraceback:\n  x\na.AudioError: the last line"
    ),
    f"needs fairseq2, {NOT_INSTALLED}": ModuleNotFoundError("No module named 'fairseq2'", name="fairseq2"),
}


@pytest.mark.parametrize("line", MISTAKES)
def test_an_error_of_the_user_is_one_line_and_code_2(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(MISTAKES[line])([]) == 2
    assert capsys.readouterr().err == f"program: {line}\n"


@pytest.mark.parametrize(
    "error",
    [
        ValueError("of the program"),
        KeyError("a"),
        OSError(errno.EIO, "Input/output error"),
        ModuleNotFoundError("No module named 'recipes.gone'", name="recipes.gone"),
        BrokenPipeError(errno.EPIPE, "Broken pipe"),  # of a process that was started, as stdout is whole
        SystemExit(2),
    ],
    ids=repr,
)
def test_program_errors_are_raised(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised:
        failing(error)([])
    assert raised.value is error


@pytest.mark.parametrize("kind", [AudioError, CheckpointError, ConfigError, DataError, DamagedAudioWarning])
def test_every_error_for_users_is_a_motionbeat_error(kind: type[Exception]) -> None:
    assert issubclass(kind, MotionBeatError)


def test_arguments_default_to_those_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Sequence[str]] = []

    @command("program")
    def main(arguments: Sequence[str]) -> int:
        seen.append(arguments)
        return 7

    monkeypatch.setattr(sys, "argv", ["program", "a", "-b"])
    assert main() == main(["c"]) == main([]) == 7
    assert seen == [["a", "-b"], ["c"], []]


def test_an_interrupt_is_one_line_and_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(KeyboardInterrupt())([]) == 130
    assert capsys.readouterr().err.strip() == "program: interrupted"


def test_audio_warnings_are_one_line_and_others_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    @command("program")
    def main(arguments: Sequence[str]) -> int:
        warnings.simplefilter("always")
        warnings.warn(DamagedAudioWarning("a.wav: is cut"), stacklevel=1)
        return 0

    before = warnings.filters[:], warnings.showwarning
    assert main([]) == 0
    assert (warnings.filters, warnings.showwarning) == before
    assert capsys.readouterr().err == "program: warning: a.wav: is cut\n"
    with pytest.raises(AudioWarning):
        failing(AudioWarning("no error of a user's"))([])


def test_a_closed_pipe_is_no_error() -> None:
    code = (
        "from motionbeat_upstream.commands.command import command\n"
        "@command('program')\n"
        "def main(arguments):\n"
        "    for _ in range(int(arguments[0])): print('x' * 1000)\n"
        "    return 1\n"
        "import sys; sys.exit(main())"
    )
    for lines in ("1", "1000"):
        with subprocess.Popen(
            [sys.executable, "-c", code, lines], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait(30) == 0


def test_the_errors_do_not_import_torch() -> None:
    code = "import sys, motionbeat_upstream.errors, motion_data.errors; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("where", [*COMMANDS.values(), *(entry.value for entry in motionbeat_commands())])
def test_every_subcommand_exists_and_has_a_help_line(where: str) -> None:
    module, _, name = where.partition(":")
    assert name == "main"
    assert len(first_line(module).split()) > 4
    assert "``" not in first_line(module).removesuffix("``")


def test_missing_modules_are_reported_as_not_installed() -> None:
    assert first_line("recipes.gone") == first_line("gone") == "(not installed)"


def test_a_subcommand_is_imported_when_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}_of_two.py").write_text(
            f'"""``{name}``: Does {name}."""\ndef main(arguments): print("{name}", arguments); return 3\n'
        )
    monkeypatch.syspath_prepend(tmp_path)
    commands = {"one": "one_of_two:main", "two": "two_of_two:main"}
    assert dispatch("program", commands, ["--help"]) == 0
    assert "  one  Does one\n  two  Does two\n" in capsys.readouterr().out
    assert dispatch("program", commands, []) == 2
    assert "usage: program COMMAND" in capsys.readouterr().err
    with pytest.raises(MotionBeatError, match="unknown command 'three'; expected one of one, two"):
        dispatch("program", commands, ["three"])
    assert not {"one_of_two", "two_of_two"} & set(sys.modules)
    assert dispatch("program", commands, ["two", "-x", "y"]) == 3
    assert capsys.readouterr().out == "two ['-x', 'y']\n"
    assert "one_of_two" not in sys.modules


def test_ctrl_c_while_a_subcommand_is_imported_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupt:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "recipes.downstream.run_downstream":
                raise KeyboardInterrupt

    monkeypatch.setattr(motionbeat, "entry_points", lambda group: motionbeat_commands())
    monkeypatch.delitem(sys.modules, "recipes.downstream.run_downstream", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupt(), *sys.meta_path])
    assert motionbeat.main(["downstream", "-h"]) == 130
    assert capsys.readouterr().err == "\nmotionbeat: interrupted\n"


HELP = """
import importlib.metadata, json, shutil, sys
sys.platform = sys.argv[1]
from motionbeat_upstream.commands import __main__ as motionbeat
from tests.command_lines import motionbeat_commands
before = set(sys.modules)
motionbeat.entry_points = lambda group: motionbeat_commands()
code = motionbeat.main(["--help"])
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps([code, sorted(new - sys.stdlib_module_names)]))
"""


@pytest.mark.parametrize("platform", ["linux", "win32", "darwin"])
def test_the_help_of_motionbeat_imports_no_command(platform: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HELP, platform], cwd=ROOT, capture_output=True, text=True, check=True
    )
    *listed, last = done.stdout.splitlines()
    code, imported = json.loads(last)
    assert code == 0
    assert imported == []
    for entry in motionbeat_commands():
        (line,) = [line for line in listed if line.split()[:1] == [entry.name]]
        assert "(not installed)" not in line


def test_a_stream_without_a_buffer_is_flushed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    @command("program")
    def main(arguments: Sequence[str]) -> int:
        print("x")
        return 0

    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert main([]) == 0
