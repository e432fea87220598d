"""Our grids of audio alone against librosa's ``beat_track``: how right, and how fast.

    python -m recipes.benchmark.grid_against_librosa DATASET_DIR

DATASET_DIR is a folder with ``splits.csv`` (columns audio, beats, piece), as
``recipes.downstream.beat_tracking.prepare.debian_songs`` writes it. There are two of ours: from the onset
envelope, which needs no weights, and from the model that ships (``motionbeat beats``). All get the waveform
ready in memory at their own rate, ours at 16 kHz, librosa's at 22.05 kHz; all are warm; all have the
same number of threads. The time is from waveform to beats, for ours with log-mel and all that follows.

The exit code is 1 if the grid from onsets has a mean F below librosa's, or is less than 5 times as fast.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.decoding import read_sound

T = TypeVar("T")

LIBROSA_RATE = 22_050
LEAST_SPEED_UP = 5.0


class BenchmarkError(RuntimeError):
    """The comparison cannot be made; the message says what to do."""


@dataclass(frozen=True)
class Row:
    """Scores and times of one piece; F at ±70 ms with the first 5 s left out, times in seconds."""

    piece: str
    minutes: float
    ours_f: float
    """From onsets, as all that begins with ``ours``."""
    model_f: float
    """From the model that ships."""
    librosa_f: float
    ours_downbeat_f: float
    model_downbeat_f: float
    ours_bpm: float
    model_bpm: float
    librosa_bpm: float
    confidence: float
    ours_seconds: float
    model_seconds: float
    librosa_seconds: float


@dataclass(frozen=True)
class Summary:
    """Means over pieces; the speed-up is total time over total time."""

    ours_f: float
    model_f: float
    librosa_f: float
    difference: float
    interval: tuple[float, float] | None
    """95 % bootstrap interval of the mean difference, ours - librosa, over pieces; None for a single one."""
    model_difference: float
    model_interval: tuple[float, float] | None
    """The same, model - ours."""
    ours_downbeat_f: float
    model_downbeat_f: float
    speed_up: float
    model_speed_up: float

    @property
    def misses(self) -> list[str]:
        """Which aims are missed, in words."""
        missed = []
        if self.difference < 0:
            missed.append(f"mean F {self.ours_f:.3f} is below librosa's {self.librosa_f:.3f}")
        if self.speed_up < LEAST_SPEED_UP:
            missed.append(f"{self.speed_up:.1f} times as fast as librosa, not {LEAST_SPEED_UP:g} times")
        return missed


def librosa_beats(wav: NDArray[np.float32]) -> NDArray[np.float64]:
    """Beat times by librosa's defaults, from (T,) at 22.05 kHz."""
    import librosa

    _, beats = librosa.beat.beat_track(y=wav, sr=LIBROSA_RATE, units="time")
    return np.asarray(beats, dtype=np.float64)


def beat_f(reference: NDArray[np.float64], estimate: NDArray[np.float64]) -> float:
    """mir_eval's F at ±70 ms, the first 5 s left out."""
    import mir_eval

    return float(
        mir_eval.beat.f_measure(mir_eval.beat.trim_beats(reference), mir_eval.beat.trim_beats(estimate))
    )


def fastest(call: Callable[[], T], repeats: int) -> tuple[T, float]:
    """What a call gives, and the least time of a few; the machine may have other work."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - start)
    return result, min(seconds)


def read_index(dataset: Path) -> list[tuple[str, Path, Path]]:
    """Piece, audio and beats of each line of ``splits.csv``."""
    index = dataset / "splits.csv"
    if not index.is_file():
        raise BenchmarkError(
            f"{index}: no such file; write the data set with "
            f"`python -m recipes.downstream.beat_tracking.prepare.debian_songs {dataset}`"
        )
    with index.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    if not rows or not {"piece", "audio", "beats"} <= rows[0].keys():
        raise BenchmarkError(f"{index}: expected lines with the columns piece, audio and beats")
    return [(row["piece"], dataset / row["audio"], dataset / row["beats"]) for row in rows]


def compare(dataset: Path, repeats: int) -> list[Row]:
    """Both trackers on every piece of a data set."""
    import librosa
    import torch

    from motionbeat_upstream.hubconf import motionbeat
    from motionbeat_upstream.nn.music_tower import estimate_grid

    pieces = read_index(dataset)
    rows: list[Row] = []
    tower = motionbeat().tower
    for piece, audio, beats_file in pieces:
        try:
            samples, rate = read_sound(audio)
            annotation = np.loadtxt(beats_file, ndmin=2)
        except (OSError, ValueError) as error:
            raise BenchmarkError(f"{piece}: cannot be read ({error}); prepare the data set again") from error
        mono = samples.mean(axis=1)
        wav = torch.from_numpy(librosa.resample(mono, orig_sr=rate, target_sr=SAMPLE_RATE))
        other = librosa.resample(mono, orig_sr=rate, target_sr=LIBROSA_RATE)
        if not rows:  # one throwaway call each, so that both are warm
            estimate_grid(wav)
            tower.estimate_grid(wav)
            librosa_beats(other)
        grid, ours_seconds = fastest(partial(estimate_grid, wav), repeats)
        heard, model_seconds = fastest(partial(tower.estimate_grid, wav), repeats)
        theirs, librosa_seconds = fastest(partial(librosa_beats, other), repeats)
        reference, downbeats = annotation[:, 0], annotation[annotation[:, 1] == 1, 0]
        rows.append(
            Row(
                piece=piece,
                minutes=len(mono) / rate / 60,
                ours_f=beat_f(reference, grid.beats),
                model_f=beat_f(reference, heard.beats),
                librosa_f=beat_f(reference, theirs),
                ours_downbeat_f=beat_f(downbeats, grid.downbeats),
                model_downbeat_f=beat_f(downbeats, heard.downbeats),
                ours_bpm=grid.bpm,
                model_bpm=heard.bpm,
                librosa_bpm=float(60 / np.median(np.diff(theirs))) if len(theirs) > 1 else 0.0,
                confidence=grid.confidence,
                ours_seconds=ours_seconds,
                model_seconds=model_seconds,
                librosa_seconds=librosa_seconds,
            )
        )
    return rows


def summarise(rows: Sequence[Row], seed: int) -> Summary:
    """Means over pieces and the interval of their difference."""
    from recipes.statistics.mean_interval import mean_interval

    def column(name: str) -> NDArray[np.float64]:
        return np.array([getattr(row, name) for row in rows], dtype=np.float64)

    def interval_of(difference: NDArray[np.float64]) -> tuple[float, float] | None:
        found = mean_interval(difference, seed=seed)
        return found and (float(found[0]), float(found[1]))

    ours, model, theirs = (column(f"{name}_f") for name in ("ours", "model", "librosa"))
    librosa_seconds = column("librosa_seconds").sum()
    return Summary(
        ours_f=float(ours.mean()),
        model_f=float(model.mean()),
        librosa_f=float(theirs.mean()),
        difference=float((ours - theirs).mean()),
        interval=interval_of(ours - theirs),
        model_difference=float((model - ours).mean()),
        model_interval=interval_of(model - ours),
        ours_downbeat_f=float(column("ours_downbeat_f").mean()),
        model_downbeat_f=float(column("model_downbeat_f").mean()),
        speed_up=float(librosa_seconds / column("ours_seconds").sum()),
        model_speed_up=float(librosa_seconds / column("model_seconds").sum()),
    )


def table(rows: Sequence[Row], summary: Summary) -> str:
    """What is printed, in markdown."""
    lines = [
        "| piece | beat F, onsets | model | librosa | downbeat F, onsets | model | bpm, onsets | model "
        "| librosa | ms, onsets | model | librosa |",
        "|---" * 12 + "|",
    ]
    for row in rows:
        scores = (row.ours_f, row.model_f, row.librosa_f, row.ours_downbeat_f, row.model_downbeat_f)
        tempi = (row.ours_bpm, row.model_bpm, row.librosa_bpm)
        seconds = (row.ours_seconds, row.model_seconds, row.librosa_seconds)
        lines.append(_line(row.piece, scores, [f"{bpm:.1f}" for bpm in tempi], seconds))
    means = (
        summary.ours_f,
        summary.model_f,
        summary.librosa_f,
        summary.ours_downbeat_f,
        summary.model_downbeat_f,
    )
    names = ("ours_seconds", "model_seconds", "librosa_seconds")
    each = [float(np.mean([getattr(row, name) for row in rows])) for name in names]
    lines.append(_line("mean", means, [""] * 3, each))
    for name, difference, interval in (
        ("onsets - librosa", summary.difference, summary.interval),
        ("model - onsets", summary.model_difference, summary.model_interval),
    ):
        said = f"mean F, {name}: {difference:+.3f}"
        if interval:
            said += f" [{interval[0]:+.3f}, {interval[1]:+.3f}] (95 % bootstrap over {len(rows)} pieces)"
        lines.append(said)
    lines.append(
        f"times librosa's speed: {summary.speed_up:.1f} from onsets, {summary.model_speed_up:.1f} the model"
    )
    return "\n".join(lines)


def _line(name: str, scores: Sequence[float], tempi: Sequence[str], seconds: Sequence[float]) -> str:
    cells = [name, *(f"{score:.3f}" for score in scores), *tempi, *(f"{1e3 * s:.0f}" for s in seconds)]
    return f"| {' | '.join(cells)} |"


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.benchmark.grid_against_librosa",
        description="Compare our grids with librosa's beat_track: F, and time from waveform to beats.",
    )
    parser.add_argument("dataset", type=Path, metavar="DATASET_DIR", help="folder with splits.csv")
    parser.add_argument(
        "--threads", type=int, default=2, help="threads for torch (default 2); see OMP_NUM_THREADS"
    )
    parser.add_argument(
        "--repeats", type=int, default=5, help="calls of which the fastest counts (default 5)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default 0)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write all figures there as well")
    arguments = parser.parse_args(argv)
    if arguments.threads < 1 or arguments.repeats < 1:
        parser.error("--threads and --repeats must be at least 1")
    try:
        read_index(arguments.dataset)  # before seconds of imports

        import torch

        torch.set_num_threads(arguments.threads)
        rows = compare(arguments.dataset, arguments.repeats)
        summary = summarise(rows, arguments.seed)
        print(table(rows, summary))
        if arguments.json:
            figures = {
                "pieces": [asdict(row) for row in rows],
                "summary": asdict(summary),
                "threads": arguments.threads,
                "repeats": arguments.repeats,
                "seed": arguments.seed,
            }
            with atomic_path(arguments.json) as draft:
                draft.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    except (BenchmarkError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for miss in summary.misses:
        print(f"missed: {miss}", file=sys.stderr)
    return 1 if summary.misses else 0


if __name__ == "__main__":
    sys.exit(main())
