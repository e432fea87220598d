"""Console output of a run: a short summary, a line per publish interval, and a line per validation.

The full log of fairseq2 is in ``logs/``, and all metrics are in ``metrics/`` and ``tb/``.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fairseq2.metrics.recorders import MetricRecorder
from fairseq2.utils.rich import get_error_console
from rich.logging import RichHandler

from recipes.pretrain.metrics import SCORES, SKIPPED_STEPS

console = logging.getLogger("fairseq2.console")
"""Logger for lines that are printed on rank 0 and written to ``logs/``."""

CONSOLE_METRICS = ("loss", "ecl", "sral", "frame_infonce", "grad_norm")
"""Training metrics that are printed."""


class ConsoleHandler(logging.Handler):
    """Print the lines of :data:`console` and all warnings, each in one line, above the progress bar."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to print a record."""
        return record.name == console.name or record.levelno >= logging.WARNING

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        get_error_console().print(
            self.format(record), soft_wrap=True, markup=False, emoji=False, highlight=False
        )


def install_console_handler() -> None:
    """Replace fairseq2's console handler, which prints its whole log, wrapped at 80 columns."""
    logger = logging.getLogger("fairseq2")
    for number, handler in enumerate(logger.handlers):
        if isinstance(handler, RichHandler):
            logger.handlers[number] = ConsoleHandler()


class ConsoleRecorder(MetricRecorder):
    """Print the main metrics.

    Args:
        steps: number of steps of the whole run.
        last_step: number of steps done before this start.
    """

    def __init__(self, steps: int, last_step: int) -> None:
        self._steps, self._last_step = steps, last_step

    def record_metric_values(
        self, category: str, values: Mapping[str, Any], step_nr: int | None = None
    ) -> None:
        """Print a line for a publish interval, or for a validation."""
        step = step_nr or 0
        progress = f"step {step}/{self._steps}"
        if category != "train":
            elapsed = format_duration(values["lapse_time"])
            console.info("validation after %s: %s (%s)", progress, _figures(SCORES, values), elapsed)
            return
        line = f"{progress}: {_figures(CONSOLE_METRICS, values)}"
        if skipped := round(float(values.get(SKIPPED_STEPS, 0))):
            line += f", {skipped} steps skipped so far"
        if step > self._last_step:
            seconds = values["lapse_time"] / (step - self._last_step)
            line += f", {seconds:.2f} s a step"
            if step < self._steps:
                line += f", {format_duration(seconds * (self._steps - step))} of training left"
            self._last_step = step
        console.info(line)

    def close(self) -> None:
        """Do nothing; there are no open files."""


def format_duration(seconds: float) -> str:
    """Format a duration with two digits: 41 s, 8 min, 1 h 42 min."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{math.ceil(seconds)} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def _figures(names: Sequence[str], values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {float(values[name]):.3f}" for name in names if name in values)
