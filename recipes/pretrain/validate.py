"""Evaluate a finished run on the test split.

    python -m recipes.pretrain.validate runs/tiny

The best checkpoint is chosen on the dev split, so that its metrics there are slightly optimistic. This
command computes the same metrics on the test split: retrieval with the audio and with blanked audio, the
no-learning baseline, heads, and the beat probe, also on the log-mel and on the untrained tower. The main ones
are printed; all are written to OUT/figures-test.json, which `recipes.benchmark.pretraining_table` reads.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from motion_data.manifest import read_corpus
from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.commands.command import command
from recipes.pretrain.export import resolve_step


def validation_path(run: Path, split: str) -> Path:
    """File for the metrics of a run on a split."""
    return run / f"figures-{split}.json"


@command("recipes.pretrain.validate", extra="pretrain")
def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        "python -m recipes.pretrain.validate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, metavar="OUT", help="folder of a run")
    parser.add_argument("--step", help="best (default), last, or the number of a step", default="best")
    parser.add_argument("--split", choices=("test", "dev"), default="test")
    parser.add_argument(
        "--clips",
        type=int,
        metavar="N",
        help="maximum number of clips (default: that of the run's validations)",
    )
    options = parser.parse_args(arguments)
    if options.clips is not None and options.clips < 1:
        parser.error(f"--clips must be at least 1, got {options.clips}")
    step = resolve_step(options.run, options.step)
    metrics = validate(options.run, step, options.split, options.clips)
    with atomic_path(validation_path(options.run, options.split)) as draft:
        draft.write_text(json.dumps({"Step": step, **metrics}, indent=1) + "\n", encoding="utf-8")

    from recipes.pretrain.metrics import SCORES

    names = [name for name in SCORES if f"{name}_low" in metrics]
    for name in names:
        low, high = metrics[f"{name}_low"], metrics[f"{name}_high"]
        print(f"{name:{max(map(len, names))}} {metrics[name]:6.3f} [{low:.3f}, {high:.3f}]")
    print(f"all {len(metrics)} metrics: {validation_path(options.run, options.split)}")
    return 0


def validate(run: Path, step: int, split: str = "test", clips: int | None = None) -> dict[str, float]:
    """Compute all metrics of a checkpoint on a split.

    Args:
        run: folder of the run.
        step: step of the checkpoint.
        split: test or dev.
        clips: maximum number of clips; by default that of the run's validations.

    Raises:
        MotionBeatError: no such run, or a checkpoint that cannot be read.
        DataError, AudioError: the corpora of the run are missing or lack the split.
    """
    import torch
    from tqdm import tqdm

    from recipes.pretrain.export import load_model
    from recipes.pretrain.recipe import validation_reader
    from recipes.pretrain.request import read_config
    from recipes.pretrain.validation.beat_probe import untrained_probe
    from recipes.pretrain.validation.validation_metrics import OWN_GRID_SECONDS, ValidationMetrics

    config = read_config(run / "config.yaml")
    model, _ = load_model(run, step)
    section = config.validation
    config.validation = replace(section, clips=clips or section.clips or 256, retrieval=True)
    corpora = [read_corpus(folder) for folder in config.data.corpora]
    metrics = ValidationMetrics(model, config.validation)
    batches = [batch for (batch,) in validation_reader(corpora, config, split)]
    with torch.inference_mode():
        for batch in tqdm(batches, desc=split, unit=" batches", disable=None):
            metrics.add(batch)
        values = metrics.compute()
        if section.probe:
            values |= untrained_probe(model.motionbeat.music.config, batches, OWN_GRID_SECONDS)
        return values


if __name__ == "__main__":
    sys.exit(main())
