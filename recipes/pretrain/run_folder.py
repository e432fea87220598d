"""The folder of a run: one job at a time, one configuration, no metric twice."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fairseq2.utils.structured import StandardValueConverter
from ruamel.yaml import YAML

from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.errors import MotionBeatError
from recipes.pretrain.config import PretrainConfig

DECIDES = ("model", "data", "criterion", "trainer", "optimizer", "lr_scheduler")
"""Sections that decide what a run comes to."""

FREE = {
    ("data", name) for name in ("workers", "memory_megabytes", "failures_in_row", "own_process", "corpora")
}
"""Keys of them that may change when a run goes on; corpora are known by their content, not their place."""


CONFIG = "checkpoints/config.yaml"
"""What the checkpoints beside it were made with. The config.yaml of the folder is fairseq2's, written anew at
every start, and a process may be killed in the middle of that."""

UNWRITABLE = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
)
"""Why a file could not be written, where it is not the program's fault."""


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold a run's folder, as the only job, until the end of the ``with`` block or of the process.

    Raises:
        MotionBeatError: another job holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise MotionBeatError(
                f"{folder}: another job is training there; stop it first, or give another folder"
            ) from error
        yield


def rank_and_size(cluster: str) -> tuple[int, int]:
    """Rank of this process and number of the job's processes, by what fairseq2 goes by.

    Args:
        cluster: ``common.cluster`` of the configuration.
    """
    own = os.environ
    if cluster != "slurm" and "RANK" in own and "WORLD_SIZE" in own:
        return int(own["RANK"]), int(own["WORLD_SIZE"])
    if cluster != "none" and "SLURM_PROCID" in own and "SLURM_NTASKS" in own:
        return int(own["SLURM_PROCID"]), int(own["SLURM_NTASKS"])
    return 0, 1


def last_step(folder: Path) -> int | None:
    """The last step that a run can go on from, or None."""
    steps = [
        int(path.name[5:])
        for path in (folder / "checkpoints").glob("step_*")
        if path.name[5:].isdecimal() and (path / "trainer").is_dir()
    ]
    return max(steps, default=None)


def refuse_other_config(folder: Path, config: PretrainConfig) -> None:
    """A run goes on as it began.

    Raises:
        MotionBeatError: there are checkpoints of another configuration; all keys that differ are named.
    """
    if last_step(folder) is None:
        return
    file = folder / CONFIG
    if not file.is_file():
        raise MotionBeatError(
            f"{folder}: holds checkpoints but no {CONFIG}, a copy of its config.yaml; give another folder"
        )
    then = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    now: Any = StandardValueConverter().unstructure(config)
    defaults: Any = StandardValueConverter().unstructure(PretrainConfig())
    # What a run of an earlier version does not say had not been invented: it went by what is the default.
    section = _flat({"data": defaults["data"]})
    wanted, made = _flat(now), section | _flat(then)
    differing = [
        f"{'.'.join(key)} is {wanted.get(key)!r}, was {made.get(key)!r}"
        for key in sorted(wanted | made)
        if (key[0] in DECIDES and key[:2] not in FREE) or key == ("common", "seed")
        if wanted.get(key) != made.get(key)
    ]
    if differing:
        raise MotionBeatError(
            f"{folder}: a run of another configuration is there: {'; '.join(differing)}. Go on with its own "
            f"({file}), or give another folder"
        )


def keep_config(folder: Path, config: PretrainConfig) -> None:
    """Write down what the checkpoints to come are made with."""
    with atomic_path(folder / CONFIG) as draft, draft.open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(StandardValueConverter().unstructure(config), file)


def refuse_other_size(folder: Path, size: int) -> None:
    """A run goes on with as many processes as it began with: they share its clips and their states.

    Raises:
        MotionBeatError: its last checkpoint was made by more or by fewer.
    """
    step = last_step(folder)
    if step is None:
        return
    then = len(list((folder / f"checkpoints/step_{step}/trainer").glob("rank_*.pt")))
    if then and then != size:
        raise MotionBeatError(
            f"{folder}: the run that is there has {then} process(es), and this job has {size}; go on with "
            f"{then}, or give another folder"
        )


def not_written(error: BaseException | None) -> OSError | None:
    """What kept a file from being written, a full disk most often, where that is what an error comes from."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in UNWRITABLE:
            return error
        error = error.__cause__ or error.__context__
    return None


def drop_metrics_beyond_checkpoint(folder: Path) -> None:
    """Leave out of the JSONL files what a run that goes on will record again."""
    step = last_step(folder) or 0
    for file in sorted((folder / "metrics").rglob("*.jsonl")):
        lines = file.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if _reached(line, step)]
        if kept != lines:
            with atomic_path(file) as draft:
                draft.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")


def _reached(line: str, step: int) -> bool:
    try:
        return bool(json.loads(line)["Step"] <= step)
    except (json.JSONDecodeError, KeyError, TypeError):
        # The process was killed in the middle of it.
        return False


def _flat(values: object) -> dict[tuple[str, ...], object]:
    """The values of nested dictionaries by the path of their keys."""
    if not isinstance(values, dict) or not values:
        return {(): values}
    return {(str(key), *path): leaf for key, value in values.items() for path, leaf in _flat(value).items()}
