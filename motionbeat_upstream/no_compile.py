"""A decorator for functions that ``torch.compile`` must not compile, such as loops over data."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def no_compile(*, recursive: bool) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator like ``torch.compiler.disable``.

    ``torch.compiler.disable`` imports ``torch._dynamo``, which takes a second, when a function is defined.
    This decorator imports it when the function is first called in a compiled model.

    Args:
        recursive: whether the functions that the function calls are not compiled either.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        disabled: Callable[P, R] | None = None

        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            nonlocal disabled
            if not torch.compiler.is_compiling():
                return function(*args, **kwargs)
            if disabled is None:
                disabled = torch.compiler.disable(function, recursive=recursive)
            return disabled(*args, **kwargs)

        # torch stops compiling a code object after eight versions, so each function gets its own code object.
        call.__code__ = call.__code__.replace(co_name=function.__name__)
        return functools.wraps(function)(call)

    return decorate
