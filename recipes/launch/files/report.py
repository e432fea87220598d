"""The report of a list of files: one row a file, of all tasks."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path

from motionbeat_upstream.atomic_write import write_text
from recipes.launch.files.file_list import read_list
from recipes.launch.files.outcomes import Outcome, made_by_hash, read_outcomes

REPORT = "report.csv"


def write_report(folder: Path) -> int:
    """Write ``report.csv`` of what is known now, and print how many files have which status.

    Columns: file; status, which is done, failed or missing; output, several joined by blanks, relative to
    ``folder``; reason; seconds that it took, empty where it was there before.

    Returns:
        0 when all files are done, else 1.

    Raises:
        MotionBeatError: no list of files was launched there.
    """
    asked = read_list(folder)
    outcomes, current = read_outcomes(folder), made_by_hash(asked)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("file", "status", "output", "reason", "seconds"))
    counts: Counter[str] = Counter()
    for (file, _), outputs in zip(asked.files, asked.outputs, strict=True):
        whole = all((folder / output).is_file() for output in outputs)
        status, reason, seconds = _row(outcomes.get(file), current, whole)
        counts[status] += 1
        table.writerow((file, status, " ".join(outputs) if status == "done" else "", reason, seconds))
    write_text(folder / REPORT, text.getvalue())
    told = ", ".join(f"{counts[status]} {status}" for status in ("done", "failed", "missing"))
    print(f"{told}: {folder / REPORT}")
    return 0 if counts["done"] == len(asked.files) else 1


def _row(outcome: Outcome | None, made_by: str, whole: bool) -> tuple[str, str, str]:
    """Status, reason and seconds of a file."""
    if outcome is None:
        return "missing", "not begun", ""
    seconds = "" if outcome.seconds is None else f"{outcome.seconds:.2f}"
    if outcome.status == "failed":
        return "failed", outcome.reason, seconds
    if outcome.made_by != made_by:
        return "missing", "not begun with these options; the output is of others", ""
    if outcome.status == "begun":
        return "missing", "begun and not finished: its task still runs, or was ended; see its log", ""
    return ("done", "", seconds) if whole else ("missing", "its output is gone", "")
