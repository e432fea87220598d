"""The first job: what do MotionBeat's features add for beats in real songs?

    python -m recipes.benchmark first                  # eight songs from Debian packages (58 MB)
    python -m recipes.benchmark first --data FOLDER    # your own audio with .beats files

Linear probes are trained on frozen features of several upstreams. Every song is tested once, by a probe that
was neither trained nor selected on it. A finished training is not repeated: the same command goes on where it
was interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from motion_data.errors import DataError
from motionbeat_upstream.atomic_write import write_text
from motionbeat_upstream.commands.command import RESUMES, command
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
"""Half of what ``config.yaml`` takes; with it the job lasts minutes."""

SEED, PROBE, FOLDS = 0, "linear", 4

MEASURES = {
    f"{decoder} {target} F": f"{target} F ({name})"
    for target in ("beat", "downbeat")
    for decoder, name in (("peaks", "peak picking"), ("dbn", "Bayesian decoder"))
}
"""Measures in the results, and their headings in the table."""

OWN_SONGS = (
    "or use your own songs: --data FOLDER, audio files with a .beats file of the same name beside each"
)


@command("recipes.benchmark first", interrupted=RESUMES, extra="s3prl")
def main(arguments: Sequence[str]) -> int:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(
        "python -m recipes.benchmark first",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("result/first"), metavar="OUT", help="results (%(default)s)"
    )
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", help="songs with .beats files, or a CSV that lists them"
    )
    parser.add_argument(
        "-u",
        "--upstreams",
        nargs="+",
        default=list(UPSTREAMS),
        metavar="NAME",
        help="of S3PRL's hub, or a .safetensors file; the first is compared with the others (%(default)s)",
    )
    options = parser.parse_args(arguments)
    upstreams = read_upstreams(options.upstreams)
    data = find_songs(options.data, options.out)
    plan = BeatPlan(data.parent, (SEED,), PROBE, STEPS, data)
    jobs = [job for choice in upstreams for job in plan.jobs(choice, options.out)]
    print(f"{len(jobs)} short trainings; what each prints goes to {options.out}/*/log.txt", file=sys.stderr)
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


def find_songs(given: Path | None, out: Path) -> Path:
    """The CSV of the songs; downloads them where none are given, deals folds where there are none.

    Raises:
        DataError, AudioError: the songs cannot be downloaded, or what is wrong with those given.
    """
    if given is None:
        folder = Path("data/debian_songs")
        try:
            prepare_debian_songs(folder, say=lambda line: print(line, file=sys.stderr))
        except DataError as error:
            raise DataError(f"{'; '.join(str(error).splitlines())}; {OWN_SONGS}") from error
        return folder / "splits.csv"
    if given.is_file():
        return given
    if (given / "splits.csv").is_file():
        return given / "splits.csv"
    from recipes.downstream.beat_tracking.dataset import listed_in

    count = len(listed_in(given))
    if count < 3:
        raise DataError(f"{given}: {count} songs; expected at least 3: to train on, to select by, to test on")
    target = out / "splits.csv"
    target.unlink(missing_ok=True)
    return write_folds(given, min(FOLDS, count), target)


def report(results: Sequence[Results], folds: int, out: Path) -> str:
    """The table, what it shows, and what was reached."""
    table = first_table(results)
    steps = {
        label: [str(one.run.step) for one in results if one.run.upstream == label] for label in table.rows
    }
    kept = "; ".join(f"{', '.join(of)} ({label})" for label, of in steps.items())
    lines = [
        *table.lines(),
        "",
        *(f"{name}: {verdict(table.measures, row)}." for name, row in table.margins.items()),
        "",
        f"Peak picking shows what the features say; the Bayesian decoder adds knowledge of tempo. "
        f"One seed ({SEED}), one small data set: other songs may order the rows otherwise.",
        f"Trained: {PROBE} probes on frozen features, {STEPS} steps, {folds} fold(s).",
        f"Kept: the weights with the least dev loss, those of steps {kept}.",
        f"Results: {out / 'table.md'}; every song: {out}/*/scores-test.md; every setting: "
        f"{out}/*/scores-test.jsonl.",
    ]
    return "\n".join(lines) + "\n"


def first_table(results: Sequence[Results]) -> ResultTable:
    """Beat and downbeat F by both decoders."""
    rows = long_form(results)
    notes = (
        f"{rows['group'].nunique()} songs, each tested by a probe that was neither trained nor selected on "
        f"it; 95 % intervals over songs; the last rows are paired differences."
    )
    return mean_table("", rows, MEASURES, notes)


def verdict(measures: Sequence[str], margin: Sequence[Estimate]) -> str:
    """Which measures a margin is above 0 in, which below, and which it leaves open."""
    groups: dict[str, list[str]] = {"higher in": [], "lower in": [], "not told apart in": []}
    for measure, one in zip(measures, margin, strict=True):
        sign = "higher in" if one.low > 0 else "lower in" if one.high < 0 else "not told apart in"
        groups[sign].append(measure)
    return "; ".join(f"{sign} {', '.join(of)}" for sign, of in groups.items() if of)


if __name__ == "__main__":
    sys.exit(main())
