"""``python -m recipes.launch``."""

from __future__ import annotations

import sys

from recipes.launch.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
