"""Many inputs for one parser, and what it made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from recipes.benchmark.robustness.inputs import make_input
from recipes.benchmark.robustness.parsers import Parser
from recipes.benchmark.robustness.worker import Outcome, Worker


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
            outcome = attempt(parser.encode(sample))
            if outcome.kind != "valid":
                raise RuntimeError(f"sample {number} of {parser.name} is no valid file: {outcome.message}")
        for number in range(count):
            attempt(make_input(parser, samples, Random(f"{seed} {number}")))
    finally:
        worker.close()
    tally.peak_bytes = worker.peak_bytes
    return tally
