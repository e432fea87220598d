"""Work in several processes, which end with the one that began them."""

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


class Each(Protocol):
    """What a function makes of each item, in order, as the built-in ``map`` gives it."""

    def __call__(self, function: Callable[[Item], Result], items: Iterable[Item], /) -> Iterator[Result]:
        """See the class."""


@contextmanager
def processes(
    workers: int,
    *,
    method: str | None = None,
    begin: Callable[..., object] | None = None,
    arguments: tuple[Any, ...] = (),
) -> Iterator[Each]:
    """Processes that share the items of the calls made in the ``with`` block; below two, this process itself.

    Ctrl-C reaches this process alone. When the block is left by an error, the processes end in the middle of
    their items, after what their ``finally`` clauses do.

    Args:
        workers: most processes; they start with the first items.
        method: that starts them; by default the platform's.
        begin: called with ``arguments`` in each process first. Functions, arguments and items are pickled.
        arguments: of ``begin``.

    Raises:
        MotionBeatError: where results are awaited, when a process has ended by itself.
    """
    if workers < 2:
        if begin is not None:
            begin(*arguments)
        yield map
        return
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(workers, context, _begin, (begin, arguments)) as pool:

        def each(function: Callable[[Item], Result], items: Iterable[Item], /) -> Iterator[Result]:
            with _ctrl_c_ignored():
                # Here they start, and inherit it: the imports that they begin with would print a traceback.
                futures = deque(pool.submit(_call, function, item) for item in items)
            # Not pool.map: it cancels what is left, and the pool's thread fails over that when it is ended.
            return _received(futures, workers)

        try:
            yield each
        except BaseException:
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            raise


def in_processes(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    *,
    method: str | None = None,
    begin: Callable[..., object] | None = None,
    arguments: tuple[Any, ...] = (),
) -> Iterator[Result]:
    """What a function makes of each item, in order; arguments and errors as for :func:`processes`."""
    with processes(workers, method=method, begin=begin, arguments=arguments) as each:
        yield from each(function, items)


def use_one_thread() -> None:
    """Of torch: what each process begins with where several share the cores."""
    import torch

    torch.set_num_threads(1)


def end_with_parent() -> None:
    """End this process when the one that started it ends, in whatever way: nobody takes its results."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, name="end-with-parent", daemon=True).start()


def _begin(begin: Callable[..., object] | None, arguments: tuple[Any, ...]) -> None:
    end_with_parent()
    if begin is not None:
        begin(*arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def _call(function: Callable[[Item], Result], item: Item) -> Result:
    try:
        return function(item)
    except SystemExit:
        # The executor's loop would catch it and go on with the next item.
        os._exit(1)


def _received(futures: deque[Future[Result]], workers: int) -> Iterator[Result]:
    try:
        while futures:
            yield futures.popleft().result()
    except BrokenProcessPool as error:
        raise MotionBeatError(
            f"one of {workers} processes was ended from outside, perhaps for want of memory; give fewer, or "
            f"call the same command again"
        ) from error


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
