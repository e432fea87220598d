"""Our estimated grid against librosa's ``beat_track``: how right, and how fast.

    python -m recipes.benchmark.grid_against_librosa DATASET_DIR

DATASET_DIR is a folder with ``splits.csv`` (columns audio, beats, piece), as
``recipes.downstream.beat_tracking.prepare.debian_songs`` writes it. Both get the waveform ready in
memory at their own rate, ours at 16 kHz, librosa's at 22.05 kHz; both are warm; both have the same
number of threads. The time is from waveform to beats, for ours with log-mel and onset envelope.

The exit code is 1 if our mean F is below librosa's or we are less than 5 times as fast.
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

import librosa
import mir_eval
import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.nn.music_tower import estimate_grid
from recipes.downstream.mean_interval import mean_interval

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
    librosa_f: float
    ours_downbeat_f: float
    ours_bpm: float
    librosa_bpm: float
    confidence: float
    ours_seconds: float
    librosa_seconds: float


@dataclass(frozen=True)
class Summary:
    """Means over pieces; the speed-up is total time over total time."""

    ours_f: float
    librosa_f: float
    difference: float
    interval: tuple[float, float] | None
    """95 % bootstrap interval of the mean difference, over pieces; None for a single one."""
    ours_downbeat_f: float
    speed_up: float

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
    _, beats = librosa.beat.beat_track(y=wav, sr=LIBROSA_RATE, units="time")
    return np.asarray(beats, dtype=np.float64)


def beat_f(reference: NDArray[np.float64], estimate: NDArray[np.float64]) -> float:
    """mir_eval's F at ±70 ms, the first 5 s left out."""
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
    pieces = read_index(dataset)
    rows: list[Row] = []
    for piece, audio, beats_file in pieces:
        try:
            samples, rate = soundfile.read(audio, dtype="float32", always_2d=True)
            annotation = np.loadtxt(beats_file, ndmin=2)
        except (OSError, ValueError, soundfile.LibsndfileError) as error:
            raise BenchmarkError(f"{piece}: cannot be read ({error}); prepare the data set again") from error
        mono = samples.mean(axis=1)
        wav = torch.from_numpy(librosa.resample(mono, orig_sr=rate, target_sr=SAMPLE_RATE))
        other = librosa.resample(mono, orig_sr=rate, target_sr=LIBROSA_RATE)
        if not rows:  # one throwaway call each, so that both are warm
            estimate_grid(wav)
            librosa_beats(other)
        grid, ours_seconds = fastest(partial(estimate_grid, wav), repeats)
        theirs, librosa_seconds = fastest(partial(librosa_beats, other), repeats)
        reference, downbeats = annotation[:, 0], annotation[annotation[:, 1] == 1, 0]
        rows.append(
            Row(
                piece=piece,
                minutes=len(mono) / rate / 60,
                ours_f=beat_f(reference, grid.beats),
                librosa_f=beat_f(reference, theirs),
                ours_downbeat_f=beat_f(downbeats, grid.downbeats),
                ours_bpm=grid.bpm,
                librosa_bpm=float(60 / np.median(np.diff(theirs))) if len(theirs) > 1 else 0.0,
                confidence=grid.confidence,
                ours_seconds=ours_seconds,
                librosa_seconds=librosa_seconds,
            )
        )
    return rows


def summarise(rows: Sequence[Row], seed: int) -> Summary:
    """Means over pieces and the interval of their difference."""
    ours, theirs = (np.array([getattr(row, name) for row in rows]) for name in ("ours_f", "librosa_f"))
    interval = mean_interval(ours - theirs, seed=seed)
    return Summary(
        ours_f=float(ours.mean()),
        librosa_f=float(theirs.mean()),
        difference=float((ours - theirs).mean()),
        interval=interval and (float(interval[0]), float(interval[1])),
        ours_downbeat_f=float(np.mean([row.ours_downbeat_f for row in rows])),
        speed_up=sum(row.librosa_seconds for row in rows) / sum(row.ours_seconds for row in rows),
    )


def table(rows: Sequence[Row], summary: Summary) -> str:
    """What is printed."""
    width = max(len(row.piece) for row in rows)
    lines = [
        f"{'':{width}}  {'beat F':^16}  {'downbeat F':>10}  {'tempo (bpm)':^16}  {'time (ms)':^16}",
        f"{'piece':{width}}  {'ours':>7} {'librosa':>8}  {'ours':>10}  {'ours':>7} {'librosa':>8}  "
        f"{'ours':>7} {'librosa':>8}  faster",
    ]
    lines += [
        f"{row.piece:{width}}  {row.ours_f:7.3f} {row.librosa_f:8.3f}  {row.ours_downbeat_f:10.3f}  "
        f"{row.ours_bpm:7.1f} {row.librosa_bpm:8.1f}  {1e3 * row.ours_seconds:7.0f} "
        f"{1e3 * row.librosa_seconds:8.0f}  {row.librosa_seconds / row.ours_seconds:5.1f}x"
        for row in rows
    ]
    ours, theirs = (sum(getattr(row, name) for row in rows) for name in ("ours_seconds", "librosa_seconds"))
    lines.append(
        f"{'mean':{width}}  {summary.ours_f:7.3f} {summary.librosa_f:8.3f}  {summary.ours_downbeat_f:10.3f}  "
        f"{'':16}  {1e3 * ours / len(rows):7.0f} {1e3 * theirs / len(rows):8.0f}  {summary.speed_up:5.1f}x"
    )
    said = f"difference of mean F, ours - librosa: {summary.difference:+.3f}"
    if summary.interval:
        low, high = summary.interval
        said += f" [{low:+.3f}, {high:+.3f}] (95 % bootstrap over {len(rows)} pieces)"
    lines.append(said)
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.benchmark.grid_against_librosa",
        description="Compare our grid with librosa's beat_track: F, and time from waveform to beats.",
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
    torch.set_num_threads(arguments.threads)
    try:
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
