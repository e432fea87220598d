"""Starting recipes on a SLURM cluster or on this machine; watching and stopping them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

RECIPES: Mapping[str, str] = MappingProxyType(
    {
        "pretrain": "recipes.pretrain",
        "benchmark": "recipes.benchmark.run",
        "downstream": "recipes.downstream.task_run",
    }
)
"""Module of each recipe.

``python -m MODULE OUT [options]`` runs it, and goes on from its last checkpoint in OUT; it ends with 0 when
done, 2 for the user's mistake. ``MODULE.request.check`` raises a MotionBeatError for what cannot be done."""
