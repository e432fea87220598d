"""What each loss does: the validation figures of several pretraining runs, one row each.

    python -m recipes.benchmark.pretraining_table runs/ablations/* --baselines -o table.md

Rows are runs at their last validation, all at the same step. Figures are of the dev split: pieces and takes
that no run was trained on; or of whatever split a file is of that recipes.pretrain.validate wrote. Each has
its 95 % bootstrap interval over pieces, as the validation wrote it. With ``--baselines`` the beat probe is
also fitted to the log-mel and to the first run's tower before training, on the same clips.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from motion_data.errors import DataError
from motion_data.manifest import read_corpus
from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.nn.frontend import frame_count, log_mel
from motionbeat_upstream.nn.music_tower import untrained_music_tower
from recipes.pretrain.errors import PretrainError
from recipes.pretrain.export import load_tower, run_steps
from recipes.pretrain.recipe import validation_reader
from recipes.pretrain.request import read_config
from recipes.pretrain.validation.beat_probe import beat_probe
from recipes.pretrain.validation.figures import OWN_GRID_SECONDS, PROBED

COLUMNS: Mapping[str, tuple[str, str | None]] = {
    "beat probe, trunk": ("probe.trunk.beat_f", None),
    "middle": ("probe.middle.beat_f", None),
    "last": ("probe.last.beat_f", None),
    "R@1": ("shared.recall_at_1", "silence.recall_at_1"),
    "R@1, frames": ("frames_shared.recall_at_1", "frames_silence.recall_at_1"),
    "R@1, own grids": ("own_grids.recall_at_1", "own_grids_silence.recall_at_1"),
    "hard": ("hard_shared.accuracy", "hard_silence.accuracy"),
    "one beat off told": ("hard_shared.beats_jittered_1", "hard_silence.beats_jittered_1"),
}
"""Heading, figure, and the same figure with the audio blanked."""

NO_LEARNING = {
    "R@1": "no_learning.recall_at_1",
    "R@1, frames": "frames_no_learning.recall_at_1",
    "hard": "hard_no_learning.accuracy",
    "one beat off told": "hard_no_learning.beats_jittered_1",
}
CHANCE = {
    "R@1": "shared.chance_at_1",
    "R@1, frames": "frames_shared.chance_at_1",
    "R@1, own grids": "own_grids.chance_at_1",
    "hard": "hard_shared.chance",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; 2 for what the user can mend."""
    parser = argparse.ArgumentParser(
        "python -m recipes.benchmark.pretraining_table",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="folders of runs, or .json of figures"
    )
    parser.add_argument("--baselines", action="store_true", help="fit the probe to what is not trained, too")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE.md", help="write the table there as well")
    options = parser.parse_args(argv)
    try:
        found = {run.stem: last_validation(run) for run in options.runs}
        text = table_text(found, probe_baselines(options.runs[0]) if options.baselines else {})
        if options.output is not None:
            with atomic_path(options.output) as draft:
                draft.write_text(text, encoding="utf-8")
    except (PretrainError, DataError, OSError) as error:
        print(f"pretraining_table: {error}", file=sys.stderr)
        return 2
    print(text)
    return 0


def last_validation(run: Path) -> dict[str, Any]:
    """The figures of a run's last validation, or those in a file.

    Raises:
        PretrainError: there are none.
    """
    if run.suffix == ".json" and run.is_file():
        figures: dict[str, Any] = json.loads(run.read_text(encoding="utf-8"))
        return figures
    file = run / "metrics/valid.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    if not lines:
        raise PretrainError(f"{run}: holds no validation (metrics/valid.jsonl); give folders of runs")
    record: dict[str, Any] = json.loads(lines[-1])
    return record


def table_text(found: Mapping[str, Mapping[str, Any]], probes: Mapping[str, Mapping[str, float]]) -> str:
    """A markdown table.

    Args:
        found: figures of each run.
        probes: figures of the beat probe on what is not trained.

    Raises:
        PretrainError: runs at different steps, which do not compare.
    """
    steps = {name: record["Step"] for name, record in found.items()}
    if len(set(steps.values())) > 1:
        told = ", ".join(f"{name} at {step}" for name, step in steps.items())
        raise PretrainError(f"the runs were validated last at different steps ({told}); let all get as far")
    lines = [f"| step {next(iter(steps.values()))} | " + " | ".join(COLUMNS) + " |"]
    lines.append("|---" * (len(COLUMNS) + 1) + "|")
    for name, record in found.items():
        lines.append(f"| {name} | " + " | ".join(_pair(record, *keys) for keys in COLUMNS.values()) + " |")
    first = next(iter(found.values()))
    for name, keys in (("no learning", NO_LEARNING), ("chance", CHANCE)):
        cells = [_cell(first, keys[head]) if head in keys else "" for head in COLUMNS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    for name, figures in probes.items():
        cells = [_cell(figures, figure) for figure, _ in COLUMNS.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def probe_baselines(run: Path) -> dict[str, dict[str, float]]:
    """The beat probe on the log-mel and on a run's tower before training, on the clips of its validations.

    Raises:
        PretrainError: no such run.
        DataError: its corpora are not there.
    """
    config = read_config(run / "config.yaml")
    tower = untrained_music_tower(load_tower(run, run_steps(run)[-1])[0].config).eval()
    trunk = len(tower.config.trunk_dilations)
    corpora = [read_corpus(folder) for folder in config.data.corpora]
    seen: dict[str, list[NDArray[np.float32]]] = {"log-mel": [], "middle": [], "trunk": [], "last": []}
    beats: list[NDArray[np.float64]] = []
    pieces: list[int] = []
    for (held,) in validation_reader(corpora, config):
        clips = held.batch
        wav = clips.wav[:, : round(OWN_GRID_SECONDS * SAMPLE_RATE)]
        lengths = clips.wav_lengths.clamp(max=wav.shape[1])
        with torch.inference_mode():
            mel, _ = log_mel(wav, lengths, tower.config.n_mels)
            states = tower(wav, lengths).hidden_states
        for row, length in enumerate(frame_count(lengths).tolist()[: PROBED - len(beats)]):
            frames = mel[row, : 2 * length].unflatten(0, (length, 2)).mean(1)
            seen["log-mel"].append(frames.numpy())
            for name, index in (("middle", (trunk + 1) // 2), ("trunk", trunk), ("last", -1)):
                seen[name].append(states[index][row, :length].numpy())
            beats.append(held.beats[row])
            pieces.append(int(clips.pieces[row]))
        if len(beats) == PROBED:
            break
    found = {name: beat_probe(features, beats, pieces).f for name, features in seen.items()}
    return {
        "log-mel": found["log-mel"].metrics("probe.trunk.beat_f"),
        "untrained": {
            key: value
            for layer in ("middle", "trunk", "last")
            for key, value in found[layer].metrics(f"probe.{layer}.beat_f").items()
        },
    }


def _pair(record: Mapping[str, Any], figure: str, blanked: str | None) -> str:
    """A figure with its interval, and what is left of it without the audio."""
    cell = _cell(record, figure)
    return cell if blanked is None or blanked not in record else f"{cell}; silent {record[blanked]:.3f}"


def _cell(record: Mapping[str, Any], figure: str) -> str:
    if figure not in record:
        return "–"
    low, high = (record.get(f"{figure}_{end}") for end in ("low", "high"))
    interval = "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
    return f"{record[figure]:.3f}{interval}"


if __name__ == "__main__":
    sys.exit(main())
