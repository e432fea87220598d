"""A first experiment: do MotionBeat's features improve beat tracking on real songs?

    python -m recipes.benchmark first                  # eight songs from Debian packages (58 MB)
    python -m recipes.benchmark first --data FOLDER    # your own audio with .beats files

Linear probes are trained on frozen features of several upstreams. Every song is tested once, by a probe that
was neither trained nor selected on it. Finished trainings are not repeated: run the same command to resume.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from motion_data.errors import DataError
from motionbeat_upstream.atomic_write import write_text
from motionbeat_upstream.commands.command import INTERRUPTED_RESUMABLE, command
from recipes.benchmark.beat_tracking_table import BeatPlan
from recipes.benchmark.plan import RunFailed, run_jobs
from recipes.benchmark.upstream_choice import read_upstreams
from recipes.downstream.beat_tracking.prepare.debian_songs import prepare as prepare_debian_songs
from recipes.downstream.beat_tracking.prepare.folds import write_folds
from recipes.results.estimates import Estimate
from recipes.results.record import Results, long_form
from recipes.results.tables import ResultTable, mean_table

UPSTREAMS = ("motionbeat", "fbank", "motionbeat_log_mel")

STEPS = 100
"""Half of the steps in ``config.yaml``, so that the experiment takes minutes."""

SEED, PROBE, FOLDS = 0, "linear", 4

MEASURES = {
    f"{decoder} {target} F": f"{target} F ({name})"
    for target in ("beat", "downbeat")
    for decoder, name in (("peaks", "peak picking"), ("dbn", "Bayesian decoder"))
}
"""Measures of the results, and their headings in the table."""

OWN_SONGS_HINT = "or use your own songs: --data FOLDER, audio files with .beats files of the same names"


@command("recipes.benchmark first", interrupted=INTERRUPTED_RESUMABLE, extra="s3prl")
def main(arguments: Sequence[str]) -> int:
    """Run missing trainings and print the table."""
    parser = argparse.ArgumentParser(
        "python -m recipes.benchmark first",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("result/first"), metavar="OUT", help="results (%(default)s)"
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="songs with .beats files, or a CSV file with a list of them",
    )
    parser.add_argument(
        "-u",
        "--upstreams",
        nargs="+",
        default=list(UPSTREAMS),
        metavar="NAME",
        help="names in S3PRL's hub or .safetensors files; the first is compared with the others "
        "(%(default)s)",
    )
    options = parser.parse_args(arguments)
    upstreams = read_upstreams(options.upstreams)
    data = find_song_list(options.data, options.out)
    plan = BeatPlan(data.parent, (SEED,), PROBE, STEPS, data)
    jobs = [job for choice in upstreams for job in plan.jobs(choice, options.out)]
    print(f"{len(jobs)} short trainings; their output is in {options.out}/*/log.txt", file=sys.stderr)
    try:
        run_jobs(jobs, options.out / "features", quiet=True)
    except RunFailed as failed:
        if failed.code == 130:
            raise KeyboardInterrupt from failed
        return failed.code
    text = report(plan.own_results(upstreams, options.out), len(plan.folds), options.out)
    write_text(options.out / "table.md", text)
    print(f"\n{text}", end="")
    return 0


def find_song_list(path: Path | None, out: Path) -> Path:
    """Return the CSV file of the songs; download the songs if ``path`` is None, and create missing folds.

    Raises:
        DataError, AudioError: a failed download, or invalid songs.
    """
    if path is None:
        folder = Path("data/debian_songs")
        try:
            prepare_debian_songs(folder, say=lambda line: print(line, file=sys.stderr))
        except DataError as error:
            raise DataError(f"{'; '.join(str(error).splitlines())}; {OWN_SONGS_HINT}") from error
        return folder / "splits.csv"
    if path.is_file():
        return path
    if (path / "splits.csv").is_file():
        return path / "splits.csv"
    from recipes.downstream.beat_tracking.dataset import list_rows

    count = len(list_rows(path))
    if count < 3:
        raise DataError(f"{path}: {count} songs; expected at least 3, for train, dev and test")
    target = out / "splits.csv"
    target.unlink(missing_ok=True)
    return write_folds(path, min(FOLDS, count), target)


def report(results: Sequence[Results], folds: int, out: Path) -> str:
    """Format the table with its conclusions and settings."""
    table = first_table(results)
    steps = {
        label: [str(result.run.step) for result in results if result.run.upstream == label]
        for label in table.rows
    }
    steps_text = "; ".join(f"{', '.join(label_steps)} ({label})" for label, label_steps in steps.items())
    lines = [
        *table.lines(),
        "",
        *(f"{name}: {verdict(table.measures, row)}." for name, row in table.margins.items()),
        "",
        f"Peak picking shows the information in the features; the Bayesian decoder adds a model of tempo. "
        f"One seed ({SEED}) and one small data set: the order may differ on other songs.",
        f"Trained: {PROBE} probes on frozen features, {STEPS} steps, {folds} fold(s).",
        f"Selected: the weights with the lowest dev loss, at steps {steps_text}.",
        f"Results: {out / 'table.md'}; by song: {out}/*/scores-test.md; with all settings: "
        f"{out}/*/scores-test.jsonl.",
    ]
    return "\n".join(lines) + "\n"


def first_table(results: Sequence[Results]) -> ResultTable:
    """Table of beat and downbeat F with both decoders."""
    rows = long_form(results)
    notes = (
        f"{rows['group'].nunique()} songs, each tested by a probe that was neither trained nor selected on "
        f"it; 95 % intervals over songs; the last rows are paired differences."
    )
    return mean_table("", rows, MEASURES, notes)


def verdict(measures: Sequence[str], margin: Sequence[Estimate]) -> str:
    """Name the measures in which a difference is above 0, below 0, and not significant."""
    groups: dict[str, list[str]] = {"higher in": [], "lower in": [], "not told apart in": []}
    for measure, result in zip(measures, margin, strict=True):
        direction = "higher in" if result.low > 0 else "lower in" if result.high < 0 else "not told apart in"
        groups[direction].append(measure)
    return "; ".join(
        f"{direction} {', '.join(label_steps)}" for direction, label_steps in groups.items() if label_steps
    )


if __name__ == "__main__":
    sys.exit(main())
