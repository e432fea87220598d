"""The number of cores for this process, and of torch's threads."""

from __future__ import annotations

import functools
import os


def cores() -> int:
    """Number of cores that this process may use; all cores on macOS and Windows, which do not report it.

    A share that SLURM gives to the job is respected, even if the job is not confined to certain cores.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, int(os.environ.get("SLURM_CPUS_PER_TASK", usable)))


@functools.cache
def idle_cores(processes: int = 1) -> int:
    """Number of this process's cores that were idle at the first call, at least one.

    It is measured once, because the process itself is part of the load later. Other work is assumed to run,
    as far as possible, on cores that this process may not use. On Windows, which does not report its load,
    all cores count as idle.

    Args:
        processes: number of processes that start at the same time on this machine and share its cores evenly.
    """
    machine = max(cores(), os.cpu_count() or 1)
    share = max(1, min(cores(), machine // processes))
    load = round(os.getloadavg()[0]) if hasattr(os, "getloadavg") else 0
    return max(1, share - max(0, load - (machine - share)))


def use_idle_cores(processes: int = 1) -> None:
    """Limit torch's threads to the number of idle cores, unless ``OMP_NUM_THREADS`` is set.

    torch's threads wait for each other: with other work on a core, the small operations of a probe or a grid
    were measured up to a hundred times slower than with one thread less. The number of threads is never
    increased: torch uses one of the two threads of a physical core.

    Args:
        processes: as in :func:`idle_cores`.
    """
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(min(torch.get_num_threads(), idle_cores(processes)))
