"""What a run prints: a short head, a line per publish interval and five figures per validation.

All else that fairseq2 has to say is in ``logs/``, and every figure in ``metrics/`` and ``tb/``.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fairseq2.metrics.recorders import MetricRecorder
from fairseq2.utils.rich import get_error_console
from rich.logging import RichHandler

from recipes.pretrain.metrics import SCORES, SKIPPED

console = logging.getLogger("fairseq2.console")
"""What is logged here is printed on rank 0, and stands in ``logs/`` as well."""

SHOWN = ("loss", "ecl", "sral", "frame_infonce", "grad_norm")
"""Metrics of the training that are printed."""


class ConsoleHandler(logging.Handler):
    """Prints the lines of :data:`console` and all warnings, each as one line, above a progress bar."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is for the console."""
        return record.name == console.name or record.levelno >= logging.WARNING

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        get_error_console().print(
            self.format(record), soft_wrap=True, markup=False, emoji=False, highlight=False
        )


def print_briefly() -> None:
    """Replace the console that fairseq2 has set up, which prints all of its log, wrapped at 80 columns."""
    logger = logging.getLogger("fairseq2")
    for number, handler in enumerate(logger.handlers):
        if isinstance(handler, RichHandler):
            logger.handlers[number] = ConsoleHandler()


class ConsoleRecorder(MetricRecorder):
    """Prints the main figures of all that fairseq2 records.

    Args:
        steps: of the whole run.
        reached: steps done before this start.
    """

    def __init__(self, steps: int, reached: int) -> None:
        self._steps, self._reached = steps, reached

    def record_metric_values(
        self, category: str, values: Mapping[str, Any], step_nr: int | None = None
    ) -> None:
        """Print a line for a publish interval of the training, or for a validation."""
        step = step_nr or 0
        place = f"step {step}/{self._steps}"
        if category != "train":
            spent = duration(values["lapse_time"])
            console.info("validation after %s: %s (%s)", place, _figures(SCORES, values), spent)
            return
        line = f"{place}: {_figures(SHOWN, values)}"
        if skipped := round(float(values.get(SKIPPED, 0))):
            line += f", {skipped} steps skipped so far"
        if step > self._reached:
            seconds = values["lapse_time"] / (step - self._reached)
            line += f", {seconds:.2f} s a step"
            if step < self._steps:
                line += f", {duration(seconds * (self._steps - step))} of training left"
            self._reached = step
        console.info(line)

    def close(self) -> None:
        """Nothing is open."""


def duration(seconds: float) -> str:
    """A time to two places: 41 s, 8 min, 1 h 42 min."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{math.ceil(seconds)} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def _figures(names: Sequence[str], values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {float(values[name]):.3f}" for name in names if name in values)
