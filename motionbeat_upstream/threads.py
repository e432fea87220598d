"""How many cores this process may use, and how many threads torch takes of them."""

from __future__ import annotations

import functools
import os


def cores() -> int:
    """Cores this process may run on; where the system cannot tell (macOS, Windows), all of the machine's.

    Of those, SLURM may have given the job a share without confining it to certain ones.
    """
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(own, int(os.environ.get("SLURM_CPUS_PER_TASK", own)))


@functools.cache
def idle_cores(processes: int = 1) -> int:
    """Cores of this process that were idle when it first asked, at least one.

    Measured once: later on the load is the process's own. Other work is taken to run, as far as it fits, on
    the cores that this process may not use. Windows does not tell its load: there all cores count as idle.

    Args:
        processes: that begin at the same time on this machine and share its cores evenly.
    """
    machine = max(cores(), os.cpu_count() or 1)
    own = max(1, min(cores(), machine // processes))
    load = round(os.getloadavg()[0]) if hasattr(os, "getloadavg") else 0
    return max(1, own - max(0, load - (machine - own)))


def use_idle_cores(processes: int = 1) -> None:
    """Give torch as many threads as cores are idle, at least one; ``OMP_NUM_THREADS`` has its way.

    torch's threads wait for each other: with other work on a core, the small operations of a probe or a
    grid were measured up to a hundred times slower than with one thread less. It never gets more threads
    than it has already: of two threads of one physical core, torch takes one.

    Args:
        processes: as for :func:`idle_cores`.
    """
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(min(torch.get_num_threads(), idle_cores(processes)))
