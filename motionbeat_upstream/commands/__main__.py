"""The command ``motionbeat``: gathers the subcommands of every part, and imports one when it is called."""

from __future__ import annotations

import os
import sys
import warnings
from importlib.metadata import EntryPoint, entry_points

from motionbeat_upstream.commands.audio_warnings import print_audio_warnings
from motionbeat_upstream.commands.first_line import first_line
from motionbeat_upstream.config import ConfigError
from motionbeat_upstream.errors import AudioError, CheckpointError
from motionbeat_upstream.file_name import print_any_name
from motionbeat_upstream.version import __version__

GROUP = "motionbeat.commands"


def main() -> int:
    """Run the subcommand named first on the command line; 2 for a user's mistake, 130 for Ctrl-C."""
    print_any_name()
    commands = {entry.name: entry for entry in entry_points(group=GROUP)}
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]):
        print(f"motionbeat {__version__}")
        return 0
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage(commands))
        return 0
    name, *rest = arguments
    if name not in commands:
        print(f"motionbeat: unknown command {name!r}\n\n{_usage(commands)}", file=sys.stderr)
        return 2
    return _run(commands[name], rest)


def _run(command: EntryPoint, arguments: list[str]) -> int:
    try:
        try:
            with warnings.catch_warnings():
                print_audio_warnings(f"motionbeat {command.name}")
                return int(command.load()(arguments))
        except BrokenPipeError:
            raise
        except (AudioError, CheckpointError, ConfigError, OSError) as error:
            print(f"motionbeat {command.name}: {error}", file=sys.stderr)
            return 2
    except ModuleNotFoundError as error:
        print(
            f"motionbeat {command.name}: needs {error.name}, which is not installed; "
            f"pip install 'motionbeat[all]'",
            file=sys.stderr,
        )
        return 2
    except BrokenPipeError:
        # Whoever read the output has enough (`| head`); the interpreter must not flush into it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print(f"motionbeat {command.name}: interrupted; what is finished is kept", file=sys.stderr)
        return 130


def _usage(commands: dict[str, EntryPoint]) -> str:
    listed = "\n".join(f"  {name:9} {first_line(commands[name].module)}" for name in sorted(commands))
    missing = "  (none: install the project with pip first)"
    return (
        f"usage: motionbeat COMMAND ...\n\ncommands:\n{listed or missing}\n\n"
        f"`motionbeat COMMAND --help` lists the options of a command."
    )


if __name__ == "__main__":
    sys.exit(main())
