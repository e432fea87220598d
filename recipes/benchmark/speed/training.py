"""Speed of pretraining: short runs of ``recipes.pretrain`` on constructed music, including its rendering."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from recipes.benchmark.speed.measurement import Measurement

STEPS, INTERVAL = 75, 25
"""Steps of a run, and measured steps at its end."""

PAIRS = 200
"""Pairs of the corpus; none is cached in memory, so that each clip is rendered."""

HEADS, WHOLE = "heads", "tiny"
"""Configurations: only the beat heads, and the complete objective of the first weights."""

NO_HARD_NEGATIVES = {"jittered": 0, "stretched": 0, "others": 0}
"""Settings of the ECL without hard negatives, which makes it InfoNCE."""


@dataclass(frozen=True)
class Run:
    """Times of a run."""

    first_step: float
    """Seconds from the command to the end of the first step."""
    step: float
    """Seconds per step."""
    times_real_time: float
    """Seconds of music in a step divided by its duration."""
    wait_share: float
    """Share of the time spent waiting for data."""


def measure_training(threads: int) -> list[Measurement]:
    """Measure both configurations in float32, and the cost of hard negatives."""
    from motion_data.corpora.constructed.preparing import Settings, prepare_corpus

    with TemporaryDirectory() as name:
        folder = Path(name)
        prepare_corpus(
            folder / "corpus",
            Settings(PAIRS, seed=0, seconds=16.0, tunes=0, midi=(), soundfont=None, motion=None),
        )
        heads = run(folder, HEADS, threads, {})
        whole = run(folder, WHOLE, threads, {})
        without_negatives = run(folder, WHOLE, threads, NO_HARD_NEGATIVES)
    return [
        Measurement("pretraining, beat heads alone", heads.times_real_time, "times real time", least=250),
        Measurement("pretraining, whole objective", whole.times_real_time, "times real time", least=250),
        Measurement("waiting for data, beat heads alone", heads.wait_share, "of the time", most=0.05),
        Measurement("waiting for data, whole objective", whole.wait_share, "of the time", most=0.05),
        Measurement("from the command to the first step", whole.first_step, "s", most=20),
        Measurement(
            "a step with hard negatives over one without", whole.step / without_negatives.step, "", most=1.5
        ),
    ]


def run(folder: Path, config: str, threads: int, ecl: Mapping[str, int]) -> Run:
    """Train for ``STEPS`` steps.

    Raises:
        RuntimeError: the run failed.
    """
    out = folder / "-".join([config, *(f"{name}{value}" for name, value in ecl.items())])
    values = [
        f"data.corpora=[{folder / 'corpus'}]",
        "data.memory_megabytes=0",
        f"regime.num_steps={STEPS}",
        f"regime.publish_metrics_every_n_steps={INTERVAL}",
        *(f"regime.{event}_every_n_steps={STEPS}" for event in ("validate", "checkpoint")),
        "validation.clips=8",
        "trainer.mixed_precision.mode=off",
        *(f"criterion.settings.ecl.{name}={value}" for name, value in ecl.items()),
    ]
    command = [
        sys.executable,
        "-m",
        "recipes.pretrain",
        str(out),
        "--config-file",
        config,
        "--config",
        *values,
    ]
    start = time.perf_counter()
    first_step = 0.0
    lines: list[str] = []
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if not first_step and line.startswith("step 1:"):
                first_step = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with code {process.returncode}: {''.join(lines[-5:])}")
    last = json.loads((out / "metrics" / "train.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    elapsed = last["Lapse Time"]
    return Run(first_step, elapsed / INTERVAL, last["audio_seconds"] / elapsed, last["data_wait_share"])
