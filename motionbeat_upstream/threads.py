"""How many threads torch may use where nobody said."""

from __future__ import annotations

import os

import torch


def use_idle_cores() -> None:
    """Give torch as many threads as cores are idle, at least one; ``OMP_NUM_THREADS`` has its way.

    torch takes every core, and its threads wait for each other: with other work on a core, the small
    operations of a probe or a grid were measured up to a hundred times slower than with one thread less.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return
    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(max(1, cores - round(os.getloadavg()[0])))
