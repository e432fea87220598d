"""A real SLURM of one node, for tests: started as root in a folder of its own, gone without a trace."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.conftest import skip_or_fail

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")

# A job in the partition urgent pre-empts what runs in main, which is requeued.
# cred_expire is also how long a requeued job waits before it starts again: 120 s where it is not set.
CONFIGURATION = """\
ClusterName=motionbeat
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdParameters=config_overrides
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1,sched_max_job_start=0
ReturnToService=2
KillWait=2
CompleteWait=0
MinJobAge=300
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=1000 State=UNKNOWN
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=main Nodes={host} Default=YES PriorityTier=1 MaxTime=INFINITE State=UP
PartitionName=urgent Nodes={host} PriorityTier=9 PreemptMode=OFF MaxTime=INFINITE State=UP
"""


@pytest.fixture(scope="session")
def slurm() -> Iterator[Path]:
    """The folder of a running SLURM, with ``slurm.conf``; SLURM_CONF names it meanwhile."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if missing:
        skip_or_fail(f"{', '.join(missing)} not found; apt-get install slurm-wlm munge")
    if os.geteuid() != 0:
        skip_or_fail("a SLURM of one's own is started as root only")
    with started() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        yield folder


@contextmanager
def started() -> Iterator[Path]:
    """Start munged, slurmctld and slurmd; yield once the node is idle; end them and all their jobs."""
    host = socket.gethostname().split(".")[0]
    # Not pytest's folder: the user munge may not enter that.
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, folder, ignore_errors=True)
        for name in ("munge", "state", "spool"):
            (folder / name).mkdir(mode=0o755)
        configuration = CONFIGURATION.format(
            host=host, folder=folder, controller_port=_free_port(), node_port=_free_port()
        )
        (folder / "slurm.conf").write_text(configuration, encoding="utf-8")
        environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": _path()}
        _start_munged(folder / "munge", undo)
        _start(["slurmctld", "-D", "-i"], environment, folder / "slurmctld.out", undo)
        _start(["slurmd", "-D"], environment, folder / "slurmd.out", undo)
        undo.callback(_cancel_everything, environment)
        _wait_until_idle(folder, environment)
        yield folder


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start_munged(folder: Path, undo: ExitStack) -> None:
    try:
        user = pwd.getpwnam("munge")
    except KeyError:
        skip_or_fail("no user munge; apt-get install munge")
    (folder / "key").write_bytes(os.urandom(128))
    (folder / "key").chmod(0o400)
    for path in (folder, folder / "key"):
        os.chown(path, user.pw_uid, user.pw_gid)
    command = [
        "munged", "--foreground", f"--key-file={folder}/key", f"--socket={folder}/socket",
        f"--pid-file={folder}/pid", f"--seed-file={folder}/seed", f"--log-file={folder}/log",
    ]  # fmt: skip
    _start(command, {**os.environ, "PATH": _path()}, folder.parent / "munged.out", undo, user=user.pw_name)
    _wait(lambda: (folder / "socket").exists(), "munged's socket", [folder.parent / "munged.out"])


def _start(
    command: list[str], environment: dict[str, str], log: Path, undo: ExitStack, user: str | None = None
) -> None:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            user=user,
            group=user,
            start_new_session=True,
        )
    undo.callback(_end, process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _cancel_everything(environment: dict[str, str]) -> None:
    subprocess.run(["scancel", "--user=root"], env=environment, check=False)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        listed = subprocess.run(["squeue", "-h"], env=environment, capture_output=True, check=False)
        if listed.returncode != 0 or not listed.stdout.strip():
            return
        time.sleep(0.2)


def _wait_until_idle(folder: Path, environment: dict[str, str]) -> None:
    def idle() -> bool:
        shown = subprocess.run(
            ["sinfo", "-h", "-p", "main", "-o", "%T"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return shown.stdout.strip() == "idle"

    _wait(idle, "an idle node", [folder / name for name in ("slurmctld.out", "slurmd.out")])


def _wait(condition: Callable[[], bool], what: str, logs: list[Path]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline:
            said = "\n".join(f"{log.name}: {log.read_text(errors='replace')[-2000:]}" for log in logs)
            pytest.fail(f"waited 30 s for {what}; {said}")
        time.sleep(0.1)
