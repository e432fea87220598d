"""The speed of pretraining: short runs of ``recipes.pretrain`` on constructed music, rendering included."""

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

from recipes.benchmark.speed.figure import Figure

STEPS, INTERVAL = 75, 25
"""Steps of a run, and those at its end that are measured."""

PAIRS = 200
"""Pairs of the corpus; none of them is kept in memory, so each clip is rendered."""

HEADS, WHOLE = "heads", "tiny"
"""Configurations: the beat heads alone, and the whole objective of the first weights."""

PLAIN = {"jittered": 0, "stretched": 0, "others": 0}
"""Settings of the ECL without hard negatives, which is InfoNCE."""


@dataclass(frozen=True)
class Run:
    """What a run took."""

    first_step: float
    """Seconds from the command to the end of the first step."""
    step: float
    """Seconds of a step."""
    times_real_time: float
    """Seconds of music in a step over the seconds that it took."""
    waited: float
    """Share of the time that was waited for data."""


def measure_training(threads: int) -> list[Figure]:
    """Both configurations in float32, and what hard negatives add to a step."""
    from motion_data.corpora.constructed.preparing import Settings, prepare_corpus

    with TemporaryDirectory() as name:
        folder = Path(name)
        prepare_corpus(
            folder / "corpus",
            Settings(PAIRS, seed=0, seconds=16.0, tunes=0, midi=(), soundfont=None, motion=None),
        )
        heads = run(folder, HEADS, threads, {})
        whole = run(folder, WHOLE, threads, {})
        plain = run(folder, WHOLE, threads, PLAIN)
    return [
        Figure("pretraining, beat heads alone", heads.times_real_time, "times real time", least=250),
        Figure("pretraining, whole objective", whole.times_real_time, "times real time", least=250),
        Figure("waiting for data, beat heads alone", heads.waited, "of the time", most=0.05),
        Figure("waiting for data, whole objective", whole.waited, "of the time", most=0.05),
        Figure("from the command to the first step", whole.first_step, "s", most=20),
        Figure("a step with hard negatives over one without", whole.step / plain.step, "", most=1.5),
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
        *(f"regime.{what}_every_n_steps={STEPS}" for what in ("validate", "checkpoint")),
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
    spent = last["Lapse Time"]
    return Run(first_step, spent / INTERVAL, last["audio_seconds"] / spent, last["data_wait_share"])
