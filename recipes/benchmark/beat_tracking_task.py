"""Beat tracking as one of the benchmark's tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recipes.benchmark.beat_tracking_table import all_results, read_folds, result_table, run_all
from recipes.benchmark.upstream_choice import Upstream, UpstreamChoice
from recipes.results.tables import ResultTable

FOLDS = "python -m recipes.downstream.beat_tracking.prepare.folds FOLDER"

BEAT_SETS = {
    "debian_songs": "python -m recipes.downstream.beat_tracking.prepare.debian_songs OUT",
    "gtzan_rhythm": f"GTZAN's audio with GTZAN-Rhythm's .beats, then {FOLDS}",
    "ballroom": f"Ballroom's audio with its .beats, then {FOLDS}",
    "pop909": "python -m recipes.downstream.beat_tracking.prepare.rendered pop909 SOURCE OUT --folds 4",
}
"""Folders of ``--data`` that are looked for, and where they come from."""

DECODERS = ("peaks", "dbn")


@dataclass(frozen=True)
class BeatPlan:
    """A data set with beats."""

    root: Path
    seeds: tuple[int, ...]
    probe: str

    @property
    def name(self) -> str:
        """As folders are called."""
        return f"beat_tracking-{self.root.name}"

    def run(self, upstream: Upstream, out: Path, cache: Path | None, overwrite: bool = False) -> None:
        """Train and test what is not there yet; frames are not kept.

        Raises:
            TaskError: a run of other data or weights would be replaced.
            RunFailed: a run ended with an error, which it has told.
        """
        data, folder = self.root / "splits.csv", out / self.name
        run_all([upstream.choice], data, folder, self.seeds, self.probe, overwrite=overwrite)

    def tables(self, upstreams: Sequence[UpstreamChoice], out: Path, resamples: int) -> list[ResultTable]:
        """A table for each decoder."""
        data = self.root / "splits.csv"
        folds = [fold for fold in read_folds(data) if fold]
        tested = f", {len(folds)} folds" if folds else ""
        results = all_results(upstreams, data, out / self.name, self.seeds, self.probe)
        return [
            result_table(
                results, decoder, f"beat_tracking: {self.root.name}, {decoder}, {self.probe} probe{tested}"
            )
            for decoder in DECODERS
        ]
