"""Estimates of trackers on disk, found again by what they were made of."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from motion_data.beats_file import Beats
from motionbeat_upstream.atomic_write import write_text
from recipes.benchmark.beats.sets import AnnotatedSound
from recipes.benchmark.beats.trackers import Estimate, Samples, Tracker


@dataclass(frozen=True)
class TimedEstimate:
    """An estimate, and how long it took."""

    estimate: Estimate
    speed: float
    """Seconds of computing a second of sound, the fastest of ``repeats`` calls."""
    repeats: int


def estimate_path(folder: Path, tracker: Tracker, sound: AnnotatedSound) -> Path:
    """Where the estimate of a tracker on a recording is kept; another place where either has changed."""
    return folder / f"{hashlib.sha256(f'{tracker.made_of} {sound.sha256}'.encode()).hexdigest()}.json"


def read_estimate(path: Path) -> TimedEstimate | None:
    """What was kept there; None where nothing whole is."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        beats = Beats(
            np.array(record["times"], dtype=np.float64), np.array(record["positions"], dtype=np.int64)
        )
        if len(beats.times) != len(beats.positions):
            return None
        estimate = Estimate(beats, record["confidence"], record["downbeat_confidence"])
        return TimedEstimate(estimate, float(record["speed"]), int(record["repeats"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_estimate(path: Path, timed: TimedEstimate, tracker: Tracker, sound: AnnotatedSound) -> None:
    """Keep an estimate, whole or not at all."""
    record: dict[str, Any] = {
        "tracker": tracker.made_of,
        "recording": sound.name,
        "audio": sound.sha256,
        "times": timed.estimate.beats.times.tolist(),
        "positions": timed.estimate.beats.positions.tolist(),
        "confidence": timed.estimate.confidence,
        "downbeat_confidence": timed.estimate.downbeat_confidence,
        "speed": timed.speed,
        "repeats": timed.repeats,
    }
    write_text(path, json.dumps(record))


def timed_estimate(tracker: Tracker, samples: Samples, repeats: int) -> TimedEstimate:
    """Call a tracker some times; the fastest counts, because the machine may have other work."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        estimate = tracker.track(samples)
        seconds.append(time.perf_counter() - start)
    return TimedEstimate(estimate, min(seconds) / (len(samples) / tracker.rate), repeats)
