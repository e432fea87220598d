"""``python -m recipes.launch``: start a recipe on a cluster or here, watch it, stop it."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    # Jobs are ended by signals that Windows lacks.
    print(
        "recipes.launch: needs Linux or macOS; start the recipe itself, such as recipes.benchmark run",
        file=sys.stderr,
    )
    sys.exit(2)

from recipes.launch.command import main

if __name__ == "__main__":
    sys.exit(main())
