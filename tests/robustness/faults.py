"""Commands that are interrupted at random moments, and what is left of their results.

A moment is a number of file operations (opened to write, renamed, removed, made) that the command gets to do
in its output folder. There one of these happens:

- killed: SIGKILL, or the process ends in the middle of its next write;
- full disk: nothing more can be written;
- vanished file: one of the files that the command reads is removed, and restored for the second run;
- dying worker: the command's child processes are killed;
- twice at once: a second process does the same in the same folder from the first moment on.

Then the command is run again, and must complete the work without doing finished parts anew.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import torch
from safetensors import safe_open

from motion_data.commands import data as data_command
from motion_data.loading import load_pair
from motion_data.manifest import MARK, read_corpus
from motion_data.motion_file import read_motion
from motionbeat_upstream.commands import features as features_command
from recipes.benchmark.run import __main__ as benchmark_command
from recipes.downstream import run_downstream
from recipes.downstream.task_run.request import command as task_command
from recipes.results.record import read_results
from tests.robustness.parsers import save_small_tower, write_emotion_set, write_joints, write_wav

FAULTS = ("killed", "full disk", "vanished file", "dying worker", "twice at once")

METHOD = "forkserver"
"""How processes are made: of a server that has imported everything and runs no threads."""

SECONDS = 600
"""In which a command of a few seconds must end."""


@dataclass(frozen=True)
class Command:
    """A command of the project on small data."""

    make_sources: Callable[[Path], None]
    """Write what it reads into a folder."""
    run: Callable[[Path, Path], int]
    """From the folder of the sources to that of the results; gives the exit code."""
    finished: Callable[[Path], dict[str, object]]
    """The finished results in a folder, by name, with what a second run must not change.

    Raises what a reader raises where something that passes for finished is not whole."""
    kept: bool = True
    """Whether a second run leaves the files of finished results alone."""


@dataclass
class Seen:
    """What became of a command's results."""

    moments: int = 0
    lost: list[str] = field(default_factory=list)
    """Finished results that were gone, changed or made anew after the second run."""
    partial: list[str] = field(default_factory=list)
    """Results that passed for finished and were not whole."""
    stuck: list[str] = field(default_factory=list)
    """Second runs that failed or left something out, and first runs that ended in a traceback."""


def interrupt(command: Command, moments: int, seed: int) -> Seen:
    """Interrupt a command at random moments, by each kind of fault in turn.

    Args:
        command: to run.
        moments: how many.
        seed: of their draws.
    """
    seen = Seen()
    with tempfile.TemporaryDirectory(prefix="robustness-") as name:
        folder = Path(name)
        sources = folder / "sources"
        sources.mkdir()
        command.make_sources(sources)
        whole = _start(command, sources, folder / "whole", folder / "log")
        if _code(whole) != 0:
            text = (folder / "log").read_text(encoding="utf-8")
            raise RuntimeError(f"the command fails undisturbed: {text[-2000:]}")
        expected = command.finished(folder / "whole")
        events = len((folder / "log.events").read_text(encoding="utf-8").splitlines())
        for number in range(moments):
            random = Random(f"{seed} {number}")
            fault, moment = FAULTS[number % len(FAULTS)], random.randrange(events)
            label = f"{fault} at event {moment} of {events} (number {number})"
            _interrupt_once(command, folder, fault, moment, random, expected, label, seen)
            seen.moments += 1
    return seen


def _interrupt_once(
    command: Command,
    folder: Path,
    fault: str,
    moment: int,
    random: Random,
    expected: dict[str, object],
    label: str,
    seen: Seen,
) -> None:
    sources, out, log = folder / "sources", folder / "out", folder / "log"
    size = sum(path.stat().st_size for path in (folder / "whole").rglob("*") if path.is_file())
    with _disk(out, random.randrange(size) if fault == "full disk" else None) as make_room:
        vanishing = random.choice(sorted(path for path in sources.rglob("*") if path.is_file()))
        backup = folder / "vanished"
        shutil.copy2(vanishing, backup)
        first = _start(command, sources, out, log, (fault, moment, vanishing, random.randrange(4096)))
        if fault == "twice at once":
            code = _code(_start(command, sources, out, folder / "log2"))
            if code < 0 or _traceback(folder / "log2"):
                seen.stuck.append(f"{label}: the second process: {code} {_traceback(folder / 'log2')}")
        code = _code(first)
        if _traceback(log):
            seen.stuck.append(f"{label}: the first run: {_traceback(log)}")
        if not vanishing.exists():
            shutil.copy2(backup, vanishing)
        make_room()
        before = _finished(command, out, f"{label}, afterwards", seen)
        if before is not None:
            _second_run(command, sources, out, log, before, expected, f"{label} (code {code})", seen)
    shutil.rmtree(out, ignore_errors=True)


def _second_run(
    command: Command,
    sources: Path,
    out: Path,
    log: Path,
    before: dict[str, object],
    expected: dict[str, object],
    label: str,
    seen: Seen,
) -> None:
    code = _code(_start(command, sources, out, log))
    if code != 0:
        text = log.read_text(encoding="utf-8")
        seen.stuck.append(f"{label}: the second run ends with {code}: {text[-500:]!r}")
    after = _finished(command, out, f"{label}, after the second run", seen)
    if after is None:
        return
    missing = sorted(set(expected) - set(after))
    if missing and code == 0:
        seen.stuck.append(f"{label}: the second run left out {missing[:3]}")
    wrong = sorted(name for name in set(expected) & set(after) if after[name] != expected[name])
    if wrong:
        seen.partial.append(f"{label}: {wrong[:3]} differ from those of a run that nothing disturbed")
    lost = sorted(name for name in before if after.get(name) != before[name])
    if command.kept:
        events = (log.with_name(log.name + ".events")).read_text(encoding="utf-8").splitlines()
        lost += sorted(name for name in before if any(event.endswith(f"/{name}") for event in events))
    if lost:
        seen.lost.append(f"{label}: {lost[:3]} were finished, and were changed or made anew")


def _finished(command: Command, out: Path, label: str, seen: Seen) -> dict[str, object] | None:
    try:
        return command.finished(out)
    except Exception as error:  # whatever a reader makes of a partial file
        seen.partial.append(f"{label}: {type(error).__name__}: {error}")
        return None


# --- processes --------------------------------------------------------------------------------------------


def _start(
    command: Command, sources: Path, out: Path, log: Path, fault: tuple[str, int, Path, int] | None = None
) -> BaseProcess:
    context: Any = multiprocessing.get_context(METHOD)
    multiprocessing.set_forkserver_preload([__name__])
    name = next(name for name, known in COMMANDS.items() if known is command)
    process: BaseProcess = context.Process(target=_child, args=(name, sources, out, log, fault))
    process.start()
    return process


def _code(process: BaseProcess) -> int:
    process.join(SECONDS)
    if process.exitcode is None:
        process.kill()
        process.join()
    return process.exitcode or 0


def _traceback(log: Path) -> str:
    """The last line of a traceback in a log, or nothing."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    return text.strip().splitlines()[-1] if "Traceback (most recent call last)" in text else ""


def _child(name: str, sources: Path, out: Path, log: Path, fault: tuple[str, int, Path, int] | None) -> None:
    for stream in (1, 2):
        os.dup2(
            os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_TRUNC if stream == 1 else 0)), stream
        )
    sys.stdout = sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
    torch.set_num_threads(1)
    # Of a process that the fork server made, workers would be made by it too.
    multiprocessing.set_start_method("fork", force=True)
    os.chdir(sources)
    events = os.open(log.with_name(log.name + ".events"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    prefix, count = f"{out}/", 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        target = _written(event, arguments)
        if target is None or not target.startswith(prefix):
            return
        os.write(events, f"{event} {target}\n".encode())
        if fault is not None and count == fault[1]:
            _strike(*fault)
        count += 1

    sys.addaudithook(watch)
    sys.exit(COMMANDS[name].run(sources, out))


def _written(event: str, arguments: tuple[Any, ...]) -> str | None:
    """The path that an audited operation changes."""
    if event == "open":
        path, _, flags = arguments
        return str(path) if isinstance(path, str) and flags & (os.O_WRONLY | os.O_RDWR) else None
    if event == "os.rename":
        return os.fsdecode(arguments[1])
    if event in ("os.remove", "os.mkdir"):
        return os.fsdecode(arguments[0])
    return None


def _strike(fault: str, moment: int, vanishing: Path, bytes_left: int) -> None:
    match fault:
        case "killed" if moment % 2:
            os.kill(os.getpid(), signal.SIGKILL)
        case "killed":
            # The next write ends the process in its middle.
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, resource.RLIM_INFINITY))
        case "vanished file":
            vanishing.unlink(missing_ok=True)
        case "dying worker":
            for child in psutil.Process().children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    child.kill()


@contextmanager
def _disk(folder: Path, size: int | None) -> Iterator[Callable[[], None]]:
    """A folder, on a disk of so many bytes of its own where that can be had; gives what makes room on it."""
    folder.mkdir()
    if (
        size is None
        or shutil.which("mount") is None
        or os.system(f"mount -t tmpfs -o size={size // 4096 + 1}p tmpfs {folder} 2>/dev/null")
    ):
        yield lambda: None
        return

    def make_room() -> None:
        os.system(f"mount -o remount,size=1g {folder}")

    try:
        yield make_room
    finally:
        os.system(f"umount -l {folder}")


# --- commands ---------------------------------------------------------------------------------------------


def _make_songs(folder: Path) -> None:
    for number in range(3):
        write_wav(folder / "in" / f"{number}.wav", 1.0 + number / 4)
    save_small_tower(folder / "small.safetensors")


def _features(sources: Path, out: Path) -> int:
    options = ["-o", str(out), "-k", str(sources / "small.safetensors"), "--layers", "all"]
    return features_command.main([str(sources / "in"), *options])


def _finished_features(out: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in _visible(out, "*.npz"):
        with np.load(path, allow_pickle=False) as arrays:
            found[str(path.relative_to(out))] = {name: arrays[name].tobytes() for name in arrays}
    return found


def _make_pairs(folder: Path) -> None:
    rows = ["audio,motion,split"]
    for number, split in enumerate(("train", "train", "dev", "test")):
        frames = write_joints(folder / f"{number}.npz", 2.0 + number / 10)
        write_wav(folder / f"{number}.wav", frames / 30)
        rows.append(f"{number}.wav,{number}.npz,{split}")
    (folder / "pairs.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def _prepare(sources: Path, out: Path) -> int:
    return data_command.main(["prepare", "folder", str(sources / "pairs.csv"), str(out)])


def _finished_pairs(out: Path) -> dict[str, object]:
    """Motions whose record is written; of a corpus with its mark, the pairs of the manifest."""
    found: dict[str, object] = {}
    for path in _visible(out / "pairs", "*.json"):
        motion = f"motion/{path.stem}.npz"
        read_motion(out / motion)
        found[motion] = json.loads(path.read_text(encoding="utf-8"))["pairs"][0]["seconds"]
    if (out / MARK).exists():
        corpus = read_corpus(out)
        for pair in corpus.pairs:
            if f"motion/{pair.name}.npz" not in found:
                raise ValueError(f"{pair.name} is in the manifest and not prepared")
    return found


def _make_corpus(folder: Path) -> None:
    _make_pairs(folder)
    _prepare(folder, folder / "corpus")


def _shards(sources: Path, out: Path) -> int:
    return data_command.main(["shards", str(sources / "corpus"), str(out), "--pairs", "1"])


def _finished_shards(out: Path) -> dict[str, object]:
    """Tars that are whole; of a corpus with its mark, what its pairs load."""
    found: dict[str, object] = {}
    for path in _visible(out, "*.tar"):
        with tarfile.open(path) as tar:
            found[path.name] = [(member.name, member.size) for member in tar]
    if (out / MARK).exists():
        for pair in read_corpus(out).pairs:
            load_pair(pair, out)
    return found


def _make_nothing(folder: Path) -> None:
    (folder / "note.txt").write_text("the task makes its own data", encoding="utf-8")


def _train(sources: Path, out: Path) -> int:
    values = [
        f"config.runner.{key}={value}"
        for key, value in (("total_steps", 6), ("eval_step", 3), ("save_step", 2))
    ]
    given = [*values, "config.downstream_expert.plots=False", "config.downstream_expert.datarc.num_workers=1"]
    options = ["-u", "fbank", "-d", "genre", "--device", "cpu", "-o", ",,".join(given)]
    return run_downstream.main(task_command([str(out), *options]))


def _finished_steps(out: Path) -> dict[str, object]:
    """Checkpoints load; what a second run must not go back behind is the last step."""
    steps = [0]
    for path in _visible(out, "*.ckpt"):
        torch.load(path, map_location="cpu", weights_only=False)
        if path.stem.startswith("states-"):
            steps.append(int(path.stem[7:]))
    for path in _visible(out, "scores-*.jsonl"):
        read_results(path)
    return {f"step {step}": True for step in range(2, max(steps) + 1, 2)}


def _make_emotions(folder: Path) -> None:
    write_emotion_set(folder / "emomusic")


def _benchmark(sources: Path, out: Path) -> int:
    options = ["--tasks", "music_emotion", "-u", "fbank", "--seeds", "0", "--resamples", "20"]
    return benchmark_command.main([str(out), "--data", str(sources), *options])


def _finished_runs(out: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in _visible(out, "scores-test.jsonl"):
        found[str(path.relative_to(out))] = read_results(path)[0].rows
    for path in _visible(out / "features", "*.safetensors"):
        with safe_open(path, framework="pt") as entry:
            found[str(path.relative_to(out))] = entry.get_tensor("means").tolist()
    return found


def _visible(folder: Path, pattern: str) -> Sequence[Path]:
    return [path for path in sorted(folder.rglob(pattern)) if not path.name.startswith(".")]


COMMANDS = {
    "features": Command(_make_songs, _features, _finished_features),
    "prepare": Command(_make_pairs, _prepare, _finished_pairs),
    "shards": Command(_make_corpus, _shards, _finished_shards),
    "train": Command(_make_nothing, _train, _finished_steps, kept=False),
    "benchmark": Command(_make_emotions, _benchmark, _finished_runs),
}
