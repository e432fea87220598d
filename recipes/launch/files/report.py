"""The report of a list of files: one row per file."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path

from motionbeat_upstream.atomic_write import write_text
from recipes.launch.files.file_list import read_file_list
from recipes.launch.files.outcomes import Outcome, made_by_hash, read_outcomes

REPORT_NAME = "report.csv"


def write_report(folder: Path) -> int:
    """Write ``report.csv`` and print the number of files by status.

    Columns: file; status (done, failed or missing); output, relative to ``folder``, several separated by
        blanks; reason; seconds, empty if the output existed already.

    Returns:
        0 if all files are done, else 1.

    Raises:
        MotionBeatError: no list of files was launched in the folder.
    """
    file_list = read_file_list(folder)
    outcomes, current = read_outcomes(folder), made_by_hash(file_list)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("file", "status", "output", "reason", "seconds"))
    counts: Counter[str] = Counter()
    for (file, _), outputs in zip(file_list.files, file_list.outputs, strict=True):
        is_complete = all((folder / output).is_file() for output in outputs)
        status, reason, seconds = _row(outcomes.get(file), current, is_complete)
        counts[status] += 1
        table.writerow((file, status, " ".join(outputs) if status == "done" else "", reason, seconds))
    write_text(folder / REPORT_NAME, text.getvalue())
    summary = ", ".join(f"{counts[status]} {status}" for status in ("done", "failed", "missing"))
    print(f"{summary}: {folder / REPORT_NAME}")
    return 0 if counts["done"] == len(file_list.files) else 1


def _row(outcome: Outcome | None, made_by: str, is_complete: bool) -> tuple[str, str, str]:
    """Status, reason and seconds of a file."""
    if outcome is None:
        return "missing", "not started", ""
    seconds = "" if outcome.seconds is None else f"{outcome.seconds:.2f}"
    if outcome.status == "failed":
        return "failed", outcome.reason, seconds
    if outcome.made_by != made_by:
        return "missing", "not started with these options; the output is of others", ""
    if outcome.status == "begun":
        return "missing", "started but not finished: its task still runs, or was ended; see its log", ""
    return ("done", "", seconds) if is_complete else ("missing", "the output was deleted", "")
