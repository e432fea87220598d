"""Functions that ``torch.compile`` leaves as they are: loops over data, numpy, complex numbers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def outside_graphs(*, callees: bool) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator like ``torch.compiler.disable(recursive=callees)``.

    That one imports ``torch._dynamo``, which takes a second, when the function is defined; this one when
    the function is first called in a compiled model.

    Args:
        callees: whether what the function calls is left as it is, too; otherwise it is compiled.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        disabled: Callable[P, R] | None = None

        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            nonlocal disabled
            if not torch.compiler.is_compiling():
                return function(*args, **kwargs)
            if disabled is None:
                disabled = torch.compiler.disable(function, recursive=callees)
            return disabled(*args, **kwargs)

        # torch counts the compiled versions of a code object, and gives up after eight; each gets its own.
        call.__code__ = call.__code__.replace(co_name=function.__name__)
        return functools.wraps(function)(call)

    return decorate
