"""Launch recipes on a SLURM cluster or on this machine; watch and stop them."""

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

``python -m MODULE OUT [options]`` runs the recipe, or resumes it from its last checkpoint in OUT. Exit codes:
0 for a completed run, 2 for an error of the user. ``MODULE.request.check`` raises a MotionBeatError for
invalid options."""
