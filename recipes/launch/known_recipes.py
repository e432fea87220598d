"""The recipes that can be launched, and their own check of what is asked of them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from recipes.launch.errors import LaunchError

RECIPES: Mapping[str, str] = MappingProxyType(
    {
        "pretrain": "recipes.pretrain",
        "benchmark": "recipes.benchmark.run",
        "downstream": "recipes.downstream.task_run",
    }
)
"""Module of each recipe.

``python -m MODULE OUT [options]`` runs it, and goes on from its last checkpoint in OUT; it ends with 0 when
done, 2 for the user's mistake. ``MODULE.request.check`` raises a ValueError for what cannot be done."""


def check_request(module: str, arguments: Sequence[str]) -> None:
    """Let the recipe refuse now what it would refuse when the job starts, perhaps hours from now.

    Args:
        module: the recipe's module, such as ``recipes.pretrain``.
        arguments: what follows it on the command line: OUT, then the options.

    Raises:
        LaunchError: the recipe refuses them, or a package that it needs is not installed.
    """
    try:
        request = importlib.import_module(f"{module}.request")
    except ModuleNotFoundError as error:
        raise LaunchError(
            f"{module}: needs the Python module {error.name!r}, which is not installed"
        ) from error
    try:
        request.check(arguments)
    except ValueError as error:
        raise LaunchError(str(error)) from error
