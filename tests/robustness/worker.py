"""Many inputs for one parser, tried in a process with limits of time and memory."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any, Literal

from motionbeat_upstream.errors import MotionBeatError
from tests.robustness.inputs import encode, make_input
from tests.robustness.parsers import PARSERS, Parser, SilentlyWrong, check

CPU_SECONDS = 10
"""CPU time of one input beyond which it is a hang; a valid sample takes milliseconds."""

WALL_SECONDS = 90
"""The same for a parser that waits and does not compute; other programs may have the CPU."""

MEMORY = 1 << 30
"""Bytes of address space that parsers may take beyond what the modules need. Samples are below 200 kB."""

METHOD = "forkserver"
"""How processes are made: of a server that has imported everything and runs no threads."""

Kind = Literal["valid", "refused", "traceback", "hang", "wrong"]


@dataclass(frozen=True)
class Outcome:
    """What a parser made of an input."""

    kind: Kind
    message: str = ""
    place: str = ""
    """Files and lines of a traceback."""


class Worker:
    """One parser in a process of its own; a new process takes over where an input ends one."""

    def __init__(self, parser: str) -> None:
        self.peak_bytes = 0
        """Most memory taken beyond that of the modules so far."""
        self._parser = parser
        self._scratch = tempfile.TemporaryDirectory(prefix="robustness-")
        self.folder = Path(self._scratch.name)
        """For inputs, and for what a parser reads beside them; removed when it is closed."""
        self._context: Any = multiprocessing.get_context(METHOD)
        multiprocessing.set_forkserver_preload([__name__])
        self._start()

    def try_input(self, path: Path) -> Outcome:
        """Parse a file."""
        self._connection.send(str(path))
        try:
            if not self._connection.poll(WALL_SECONDS):
                self._end()
                self._start()
                return Outcome("hang", f"no answer within {WALL_SECONDS} s")
            outcome, peak = self._connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            code = self._process.exitcode or 0
            self._start()
            if -code in (signal.SIGXCPU, signal.SIGKILL):
                return Outcome("hang", f"more than {CPU_SECONDS} s of CPU time")
            return Outcome("traceback", f"the process ended with code {code}")
        self.peak_bytes = max(self.peak_bytes, peak)
        found: Outcome = outcome
        return found

    def close(self) -> None:
        """End the process and remove the folder."""
        self._end()
        self._scratch.cleanup()

    def _end(self) -> None:
        self._process.kill()
        self._process.join()
        self._connection.close()

    def _start(self) -> None:
        self._connection, theirs = self._context.Pipe()
        self._process = self._context.Process(
            target=_serve, args=(self._parser, str(self.folder), theirs), daemon=True
        )
        self._process.start()
        theirs.close()


def _serve(name: str, folder: str, connection: Connection) -> None:
    parser = PARSERS[name]
    tempfile.tempdir = folder
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    warnings.simplefilter("ignore")
    before = _peak_bytes()
    pages = Path("/proc/self/statm")
    if pages.exists():
        size = int(pages.read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    while True:
        try:
            path = Path(connection.recv())
        except EOFError:
            return
        used = resource.getrusage(resource.RUSAGE_SELF)
        seconds = int(used.ru_utime + used.ru_stime) + 1 + CPU_SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, most))
        connection.send((_attempt(parser.read, path), _peak_bytes() - before))


def _attempt(read: Callable[[Path], object], path: Path) -> Outcome:
    try:
        check(read(path))
    except SilentlyWrong as wrong:
        return Outcome("wrong", str(wrong))
    except MotionBeatError as error:
        message = str(error)
        # A list of faulty files has a line for each, indented.
        if message and not any(line[:2].strip() for line in message.splitlines()[1:]):
            return Outcome("refused", message)
        return Outcome("traceback", f"a message of {len(message.splitlines())} lines: {message[:300]!r}")
    except BaseException as error:
        calls = traceback.extract_tb(error.__traceback__)[1:]
        where = " > ".join(f"{Path(call.filename).name}:{call.lineno}" for call in calls)
        return Outcome("traceback", f"{type(error).__name__}: {str(error)[:300]!r}", where)
    return Outcome("valid")


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@dataclass
class Tally:
    """Of one parser."""

    parser: str
    kinds: Counter[str] = field(default_factory=Counter)
    """Number of inputs by what became of them."""
    faults: list[tuple[bytes, Outcome]] = field(default_factory=list)
    """Inputs that ended otherwise than in a valid result or an error in one line."""
    peak_bytes: int = 0


def fuzz(parser: Parser, count: int, seed: int, on_input: Callable[[], object] = lambda: None) -> Tally:
    """Try the samples as they are, then inputs made from them.

    Args:
        parser: to try.
        count: number of inputs.
        seed: of the draws.
        on_input: called after each.

    Raises:
        RuntimeError: a sample is refused, so that nothing would be tried.
    """
    tally = Tally(parser.name)
    samples = parser.samples()
    worker = Worker(parser.name)

    def attempt(data: bytes) -> Outcome:
        # A new name each time: some readers keep what they read by name and time.
        path = worker.folder / f"input{tally.kinds.total()}{parser.suffix}"
        path.write_bytes(data)
        outcome = worker.try_input(path)
        path.unlink()
        tally.kinds[outcome.kind] += 1
        if outcome.kind not in ("valid", "refused"):
            tally.faults.append((data, outcome))
        on_input()
        return outcome

    try:
        for number, sample in enumerate(samples):
            outcome = attempt(encode(parser.suffix, sample))
            if outcome.kind != "valid":
                raise RuntimeError(f"sample {number} of {parser.name} is no valid file: {outcome.message}")
        for number in range(count):
            attempt(make_input(parser.suffix, samples, Random(f"{seed} {number}")))
    finally:
        worker.close()
    tally.peak_bytes = worker.peak_bytes
    return tally
