"""What every command does around its own work: its arguments, errors in one line, exit codes, subcommands."""

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

INTERRUPTED_RESUMABLE = "interrupted; the same command goes on from here"
"""What is printed after Ctrl-C by a command that keeps what is finished."""

OUR_PACKAGES = ("motionbeat_upstream", "motion_data", "recipes")


def command(
    program: str,
    *,
    interrupted: str = "interrupted",
    label: str = "",
    error_code: int = 2,
    extra: str = "all",
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Make the ``main`` of a command out of a function of its arguments that returns an exit code.

    The ``main`` is given the arguments, or takes the process's. A user's mistake (:class:`MotionBeatError`, a
    file that is missing or cannot be written, a package that is not installed) becomes one line on the
    standard error and the code ``error_code``. Ctrl-C becomes a line and 130; a reader of the output that has
    enough (``| head``) ends the command with 0. Warnings about audio are a line each. Any other error is a
    fault of the program, and is raised.

    Args:
        program: what the lines begin with.
        interrupted: what is printed after Ctrl-C.
        label: printed before the message of a mistake.
        error_code: exit code of a mistake.
        extra: the extra of the package ``motionbeat`` that installs all that the command imports.
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
                    raise  # another process's pipe
                # The interpreter must not flush into it at its end.
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
    """Whether the user can mend it: missing files, files in the way, permissions, no room, no network."""
    kinds = (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError)
    numbers = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.ENAMETOOLONG)
    return isinstance(error, (*kinds, urllib.error.URLError)) or error.errno in numbers


def one_line(error: Exception) -> str:
    """The message of an error, on one line."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror or error}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and lines[0].startswith("Caught "):
        # From a worker of torch's DataLoader, whose message is a whole traceback: keep its last line.
        return lines[-1].partition(": ")[2]
    return " ".join(lines) or type(error).__name__


class RaisingParser(argparse.ArgumentParser):
    """Raises :class:`MotionBeatError` for a typing error, so that a launch can refuse it in its own words."""

    def error(self, message: str) -> NoReturn:
        """See the class."""
        raise MotionBeatError(f"{message}; see {self.prog} --help")


def dispatch(program: str, commands: Mapping[str, str], arguments: Sequence[str]) -> int:
    """Run the subcommand that the first argument names, and import no other.

    Args:
        program: as it is called.
        commands: ``module:main`` of each; the first line of the module's docstring says what it does.
        arguments: of the program.

    Raises:
        MotionBeatError: there is no such subcommand.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        width = max(map(len, commands), default=0)
        lines = [
            f"  {name:{width}}  {first_line(where.partition(':')[0])}" for name, where in commands.items()
        ]
        listed = "\n".join(lines) or "  (none: install the project with pip first)"
        print(
            f"usage: {program} COMMAND ...\n\ncommands:\n{listed}\n\n"
            f"`{program} COMMAND --help` lists the options of a command.",
            file=sys.stdout if arguments else sys.stderr,
        )
        return 0 if arguments else 2
    name, *rest = arguments
    if name not in commands:
        raise MotionBeatError(f"unknown command {name!r}; there are {', '.join(commands)}")
    return int(pkgutil.resolve_name(commands[name])(rest))


def first_line(module: str) -> str:
    """The first line of a module's docstring, without the ``name:`` at its beginning; nothing is imported."""
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
