"""``python -m recipes.benchmark COMMAND``: every upstream on every task, and what else is compared."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from motionbeat_upstream.file_name import print_any_name

COMMANDS = {
    "first": "recipes.benchmark.beat_tracking_first",
    "beats": "recipes.benchmark.beats.__main__",
    "run": "recipes.benchmark.run.__main__",
    "dance-metrics": "recipes.dance_metrics.__main__",
    "robustness": "recipes.benchmark.robustness.__main__",
}
"""Modules with a ``main(arguments) -> int``."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 2 where there is none such."""
    print_any_name()
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] not in COMMANDS:
        said = "; ".join(f"python -m recipes.benchmark {name} --help" for name in COMMANDS)
        print(f"recipes.benchmark: expected {' or '.join(COMMANDS)}; see {said}", file=sys.stderr)
        return 0 if given[:1] in (["-h"], ["--help"]) else 2
    code: int = importlib.import_module(COMMANDS[given[0]]).main(given[1:])
    return code


if __name__ == "__main__":
    sys.exit(main())
