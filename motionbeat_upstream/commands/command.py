"""The parts that all commands share: arguments, errors in one line, exit codes and subcommands."""

from __future__ import annotations

import argparse
import ast
import errno
import functools
import importlib.util
import os
import pkgutil
import sys
import urllib.error
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from motionbeat_upstream.commands.audio_warnings import print_audio_warnings
from motionbeat_upstream.errors import MotionBeatError
from motionbeat_upstream.file_name import escape_unprintable

INTERRUPTED_RESUMABLE = "interrupted; the same command continues from here"
"""Message after Ctrl-C of a command that continues an earlier run."""

OUR_PACKAGES = ("motionbeat_upstream", "motion_data", "recipes")


def command(
    program: str,
    *,
    interrupted: str = "interrupted",
    label: str = "",
    error_code: int = 2,
    extra: str = "all",
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Return a decorator that turns a function of arguments, which returns an exit code, into the ``main`` of
    a command.

    ``main`` takes arguments, or those of the process. An error of the user (:class:`MotionBeatError`, a file
    that is missing or cannot be written, a package that is not installed) is printed in one line on standard
    error, with exit code ``error_code``. Ctrl-C is printed in one line, with exit code 130. If the reader of
    the output ends (``| head``), the command ends with 0. Warnings about audio are printed in one line each.
    Other errors are program errors and are raised.

    Args:
        program: name of the command, printed at the start of the lines.
        interrupted: message after Ctrl-C.
        label: printed before the message of an error of the user.
        error_code: exit code of an error of the user.
        extra: extra of the package ``motionbeat`` with everything that the command imports.
    """

    def decorate(main: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(main)
        def run(arguments: Sequence[str] | None = None, *others: object) -> int:
            escape_unprintable()
            try:
                with warnings.catch_warnings():
                    print_audio_warnings(program)
                    code = main(list(sys.argv[1:] if arguments is None else arguments), *others)
                sys.stdout.flush()
                return code
            except KeyboardInterrupt:
                print(f"\n{program}: {interrupted}", file=sys.stderr)
                return 130
            except BrokenPipeError:
                if _output_is_read():
                    raise  # the pipe of another process
                # Otherwise the interpreter would flush into the closed pipe at exit.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return 0
            except ModuleNotFoundError as error:
                if error.name is None or error.name.partition(".")[0] in OUR_PACKAGES:
                    raise
                message = (
                    f"needs {error.name}, which is not installed; "
                    f"in MotionBeat's folder: pip install '.[{extra}]'"
                )
            except (MotionBeatError, OSError) as error:
                if isinstance(error, OSError) and not is_environment_error(error):
                    raise
                message = one_line(error)
            print(f"{program}: {label}{message}", file=sys.stderr)
            return error_code

        return run

    return decorate


def _output_is_read() -> bool:
    try:
        print(flush=True)
    except BrokenPipeError:
        return False
    return True


def is_environment_error(error: OSError) -> bool:
    """Whether the user can correct the cause: missing or existing files, permissions, a full disk, no
    network."""
    kinds = (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError)
    numbers = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.ENAMETOOLONG)
    return isinstance(error, (*kinds, urllib.error.URLError)) or error.errno in numbers


def one_line(error: Exception) -> str:
    """Return the message of an error in one line."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror or error}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and lines[0].startswith("Caught "):
        # The message of a worker of torch's DataLoader is a traceback; its last line is the message of the
        # error.
        return lines[-1].partition(": ")[2]
    return " ".join(lines) or type(error).__name__


class RaisingParser(argparse.ArgumentParser):
    """A parser that raises :class:`MotionBeatError` for invalid arguments and does not exit."""

    def error(self, message: str) -> NoReturn:
        """Raise the error."""
        raise MotionBeatError(f"{message}; see {self.prog} --help")


def dispatch(program: str, commands: Mapping[str, str], arguments: Sequence[str]) -> int:
    """Run the subcommand of the first argument, and import no other.

    Args:
        program: name of the command.
        commands: ``module:main`` of each subcommand; the first line of the module's docstring is its help.
        arguments: of the program.

    Raises:
        MotionBeatError: unknown subcommand.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        width = max(map(len, commands), default=0)
        lines = [
            f"  {name:{width}}  {first_line(target.partition(':')[0])}" for name, target in commands.items()
        ]
        listing = "\n".join(lines) or "  (none: install the project with pip first)"
        print(
            f"usage: {program} COMMAND ...\n\ncommands:\n{listing}\n\n"
            f"`{program} COMMAND --help` lists the options of a command.",
            file=sys.stdout if arguments else sys.stderr,
        )
        return 0 if arguments else 2
    name, *rest = arguments
    if name not in commands:
        raise MotionBeatError(f"unknown command {name!r}; expected one of {', '.join(commands)}")
    return int(pkgutil.resolve_name(commands[name])(rest))


def first_line(module: str) -> str:
    """Return the first line of a module's docstring, without ``name:`` at its beginning, without importing
    the module."""
    package, *rest = module.split(".")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return "(not installed)"
    file = Path(spec.origin)
    if rest:
        path = file.parent.joinpath(*rest)
        file = path / "__init__.py" if path.is_dir() else path.with_name(f"{path.name}.py")
    if not file.is_file():
        return "(not installed)"
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    line = text.partition("\n")[0]
    return (line.partition("``: ")[2] or line).rstrip(".")
