"""The table of beat tracking: all upstreams on all folds with all seeds, one row per upstream.

    python -m recipes.benchmark.beat_tracking_table data/debian_songs/splits.csv result/beat_tracking_table

    ... -u motionbeat fbank untrained=motionbeat_untrained control=result/rolled.safetensors

An upstream is a name or the file of an exported checkpoint, optionally with a label. Each run is a call of
``run_downstream.py``. Finished runs are not repeated: run the same command to resume.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from motion_data.csv_file import read_csv
from motion_data.errors import DataError
from motion_data.files import file_sha256
from motionbeat_upstream.atomic_write import write_text
from motionbeat_upstream.commands.command import INTERRUPTED_RESUMABLE, command
from recipes.benchmark.plan import CommandPlan, Job, RunFailed, run_jobs
from recipes.benchmark.upstream_choice import UpstreamChoice, read_upstreams
from recipes.downstream.beat_tracking.scores import SCORES
from recipes.results.published import write_tables
from recipes.results.record import long_form
from recipes.results.tables import ResultTable, mean_table

FOLDS = "python -m recipes.downstream.beat_tracking.prepare.folds FOLDER"

BEAT_SETS = {
    "debian_songs": "python -m recipes.downstream.beat_tracking.prepare.debian_songs OUT",
    "gtzan_rhythm": f"GTZAN's audio with GTZAN-Rhythm's .beats, then {FOLDS}",
    "ballroom": f"Ballroom's audio with its .beats, then {FOLDS}",
    "pop909": "python -m recipes.downstream.beat_tracking.prepare.rendered pop909 SOURCE OUT --folds 4",
}
"""Folders in ``--data``, and how to obtain them."""

DECODERS = ("peaks", "dbn")


@dataclass(frozen=True)
class BeatPlan(CommandPlan):
    """A data set with beats, with folds or splits."""

    probe: str = "linear"
    steps: int | None = None
    """Steps of each training; None for those in the task's ``config.yaml``."""
    csv: Path | None = None
    """CSV file of the data set; None for ``splits.csv`` in its folder."""
    task = "beat_tracking"

    @property
    def data(self) -> Path:
        """CSV file of the data set."""
        return self.csv or self.root / "splits.csv"

    @property
    def folds(self) -> Sequence[str]:
        """Folds of the data set; a single one with an empty name if it has splits instead.

        Raises:
            DataError: no CSV file, or fewer than three folds.
        """
        rows = [row.cells for row in read_csv(self.data, (), names_files=True)]
        folds = sorted({row["fold"] for row in rows if row.get("fold")})
        if not folds and all(row.get("split") for row in rows):
            return [""]
        if len(folds) < 3:
            raise DataError(
                f"{self.data}: expected a column 'fold' with at least 3 values (train, dev, test), found "
                f"{folds}"
            )
        return folds

    def folder(self, out: Path, label: str, seed: int, fold: str) -> Path:
        """Folder of a run."""
        return out / f"{label}-{self.probe}-seed{seed}-fold{fold}"

    def jobs(self, choice: UpstreamChoice, out: Path) -> list[Job]:
        """Runs of an upstream."""
        section, folds = "config.downstream_expert", self.folds
        fingerprint = choice.fingerprint(file_sha256(self.data))
        shared = [f"{section}.datarc.root={self.data}", f"{section}.modelrc.probe={self.probe}"]
        if self.steps is not None:
            fingerprint += f" {self.steps} steps"
            shared.append(f"config.runner.total_steps={self.steps}")
        return [
            Job(
                self.folder(out, choice.label, seed, fold),
                fingerprint,
                [*choice.options, "-d", self.task, "--seed", str(seed)],
                [*shared, *([f"{section}.datarc.test_fold={fold}"] if fold else [])],
            )
            for seed in self.seeds
            for fold in folds
        ]

    def table(
        self, upstreams: Sequence[UpstreamChoice], out: Path, decoder: str, title: str = ""
    ) -> ResultTable:
        """Table of means with 95 % intervals over pieces, and differences of the first upstream from the
        others."""
        rows = long_form(self.own_results(upstreams, out))
        notes = (
            f"{rows['group'].nunique()} pieces, over which the 95 % bootstrap intervals are; the last rows "
            f"are paired differences."
        )
        return mean_table(title, rows, {f"{decoder} {score}": score for score in SCORES}, notes)

    def tables(self, upstreams: Sequence[UpstreamChoice], out: Path, resamples: int) -> list[ResultTable]:
        """A table for each decoder."""
        folds = [fold for fold in self.folds if fold]
        tested = f", {len(folds)} folds" if folds else ""
        title = f"beat_tracking: {self.root.name}, {{}}, {self.probe} probe{tested}"
        return [self.table(upstreams, out, decoder, title.format(decoder)) for decoder in DECODERS]


@command("beat_tracking_table", interrupted=INTERRUPTED_RESUMABLE, extra="s3prl")
def main(arguments: Sequence[str]) -> int:
    """Run missing trainings and print the table; return the exit code of a run that fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="CSV file of a beat tracking data set, with folds or splits")
    parser.add_argument("out", type=Path, help="folder for the runs and table_DECODER.md")
    parser.add_argument(
        "-u",
        "--upstreams",
        nargs="+",
        default=["motionbeat", "motionbeat_untrained", "fbank", "mfcc"],
        metavar="NAME",
        help="names in S3PRL's hub or .safetensors files; LABEL=NAME sets the label of a row (%(default)s)",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--probe", default="linear", choices=["linear", "mlp", "conv"])
    parser.add_argument("--decoder", default="dbn", choices=["dbn", "peaks"])
    parser.add_argument(
        "--overwrite", action="store_true", help="replace runs in OUT of other data or weights"
    )
    options = parser.parse_args(arguments)
    plan = BeatPlan(options.data.parent, tuple(options.seeds), options.probe, csv=options.data)
    upstreams = read_upstreams(options.upstreams)
    jobs = [job for choice in upstreams for job in plan.jobs(choice, options.out)]
    try:
        run_jobs(jobs, options.out / "features", overwrite=options.overwrite)
    except RunFailed as failed:
        return failed.code
    table = plan.table(upstreams, options.out, options.decoder, plan.root.name)
    text = "\n".join(table.lines()) + "\n"
    write_text(options.out / f"table_{options.decoder}.md", text)
    write_tables(options.out / f"tables_{options.decoder}.json", [table])
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
