"""Where the figures of a run on a split are kept."""

from __future__ import annotations

from pathlib import Path


def figures_file(run: Path, split: str) -> Path:
    """Where `recipes.pretrain.validate` writes the figures of a run on a split."""
    return run / f"figures-{split}.json"
