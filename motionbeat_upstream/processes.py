"""Pools of worker processes that end with the process that started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from motionbeat_upstream.errors import MotionBeatError

Item = TypeVar("Item")
Result = TypeVar("Result")


class ParallelMap(Protocol):
    """A function like the built-in ``map``, for one sequence of items."""

    def __call__(self, function: Callable[[Item], Result], items: Iterable[Item], /) -> Iterator[Result]:
        """Return the results of ``function`` for each item, in order."""


@contextmanager
def process_pool(
    workers: int,
    *,
    method: str | None = None,
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
) -> Iterator[ParallelMap]:
    """Start worker processes for the ``with`` block; with fewer than two, the calling process does the work.

    Workers ignore Ctrl-C. If an error leaves the block, they are terminated after their ``finally`` clauses.
    Functions, arguments and items are pickled.

    Args:
        workers: maximum number of processes; they start with the first items.
        method: start method; None for the default of the platform.
        initializer: called with ``initargs`` first in each process.
        initargs: arguments of ``initializer``.

    Yields:
        A function that maps another one over items in the workers.

    Raises:
        MotionBeatError: a worker has died; raised where its result is awaited.
    """
    if workers < 2:
        if initializer is not None:
            initializer(*initargs)
        yield map
        return
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(workers, context, _initialize_worker, (initializer, initargs)) as pool:

        def parallel(function: Callable[[Item], Result], items: Iterable[Item], /) -> Iterator[Result]:
            with _ctrl_c_ignored():
                # Workers start here and inherit this; otherwise their first imports would print a traceback.
                futures = deque(pool.submit(_call, function, item) for item in items)
            # Not pool.map: it cancels pending items, on which the pool's thread fails when it is terminated.
            return _results(futures, workers)

        try:
            yield parallel
        except BaseException:
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            raise


def parallel_map(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    *,
    method: str | None = None,
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
) -> Iterator[Result]:
    """Yield the results of a function for each item, in order; see :func:`process_pool`."""
    with process_pool(workers, method=method, initializer=initializer, initargs=initargs) as parallel:
        yield from parallel(function, items)


def use_one_thread() -> None:
    """Let torch use one thread, in worker processes that share the cores."""
    import torch

    torch.set_num_threads(1)


def end_with_parent() -> None:
    """End this process when its parent process ends in any way."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, name="end-with-parent", daemon=True).start()


def _initialize_worker(initializer: Callable[..., object] | None, initargs: tuple[Any, ...]) -> None:
    end_with_parent()
    if initializer is not None:
        initializer(*initargs)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def _call(function: Callable[[Item], Result], item: Item) -> Result:
    try:
        return function(item)
    except SystemExit:
        # The executor's loop would catch it and continue with the next item.
        os._exit(1)


def _results(futures: deque[Future[Result]], workers: int) -> Iterator[Result]:
    try:
        while futures:
            yield futures.popleft().result()
    except BrokenProcessPool as error:
        raise MotionBeatError(
            f"one of {workers} processes was killed, perhaps for lack of memory; use fewer, or run the "
            f"same command again"
        ) from error


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
