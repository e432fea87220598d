"""The variables that torchrun would set, from what submitit knows of the job."""

from __future__ import annotations

import os
import random

from submitit import JobEnvironment

# Below what Linux hands out to outgoing connections.
_PORTS = (20_000, 32_000)


def distributed_variables(job: JobEnvironment, run: int) -> dict[str, str]:
    """RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT of this process.

    fairseq2 could read SLURM's own variables, but would then take the GPU with the number of the task on
    its node, which on a shared node may be another job's. With these it takes one of the job's own.

    Args:
        job: the job that this process is part of.
        run: number of the run in the job. Runs and restarts have ports of their own: a process that is
            ahead or left behind cannot meet those of another run.
    """
    seed = f"{job.job_id} {os.environ.get('SLURM_RESTART_COUNT', 0)}"
    port = random.Random(seed).randrange(*_PORTS)
    return {
        "RANK": str(job.global_rank),
        "WORLD_SIZE": str(job.num_tasks),
        "LOCAL_RANK": str(job.local_rank),
        "LOCAL_WORLD_SIZE": str(job.num_tasks // job.num_nodes),
        "MASTER_ADDR": "127.0.0.1" if job.num_nodes == 1 else job.hostnames[0],
        "MASTER_PORT": str(port + run),
    }
