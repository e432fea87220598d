"""The figures of a finished run on a split that chose nothing: pieces and takes held out of it all.

    python -m recipes.pretrain.validate runs/tiny

The best checkpoint is chosen on the dev split, so its figures there are a little too good. These are of the
test split, by the same code: retrieval with the audio and with the audio blanked, the no-learning baseline,
heads, and the beat probe, also on the log-mel and on the tower before training. The five main ones are
printed; all are written to OUT/figures-test.json, which `recipes.benchmark.pretraining_table` reads.
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
from recipes.pretrain.export import chosen_step


def figures_file(run: Path, split: str) -> Path:
    """Where the figures of a run on a split are written."""
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
    parser.add_argument("--step", help="best (the default), last, or a step's number", default="best")
    parser.add_argument("--split", choices=("test", "dev"), default="test")
    parser.add_argument(
        "--clips", type=int, metavar="N", help="at most; left out: as in the run's validations"
    )
    options = parser.parse_args(arguments)
    if options.clips is not None and options.clips < 1:
        parser.error(f"--clips must be at least 1, got {options.clips}")
    step = chosen_step(options.run, options.step)
    figures = validate(options.run, step, options.split, options.clips)
    with atomic_path(figures_file(options.run, options.split)) as draft:
        draft.write_text(json.dumps({"Step": step, **figures}, indent=1) + "\n", encoding="utf-8")

    from recipes.pretrain.metrics import SCORES

    shown = [name for name in SCORES if f"{name}_low" in figures]
    for name in shown:
        low, high = figures[f"{name}_low"], figures[f"{name}_high"]
        print(f"{name:{max(map(len, shown))}} {figures[name]:6.3f} [{low:.3f}, {high:.3f}]")
    print(f"all {len(figures)} figures: {figures_file(options.run, options.split)}")
    return 0


def validate(run: Path, step: int, split: str = "test", clips: int | None = None) -> dict[str, float]:
    """Every figure of a run's checkpoint on a split.

    Args:
        run: its folder.
        step: of the checkpoint.
        split: test or dev.
        clips: at most; by default as many as the run's validations had.

    Raises:
        MotionBeatError: no such run, or a checkpoint that cannot be read.
        DataError, AudioError: the corpora that the run names are not there or have no such split.
    """
    import torch
    from tqdm import tqdm

    from recipes.pretrain.export import load_model
    from recipes.pretrain.recipe import validation_reader
    from recipes.pretrain.request import read_config
    from recipes.pretrain.validation.beat_probe import untrained_probe
    from recipes.pretrain.validation.figures import OWN_GRID_SECONDS, Figures

    config = read_config(run / "config.yaml")
    model, _ = load_model(run, step)
    section = config.validation
    config.validation = replace(section, clips=clips or section.clips or 256, retrieval=True)
    corpora = [read_corpus(folder) for folder in config.data.corpora]
    figures = Figures(model, config.validation)
    batches = [batch for (batch,) in validation_reader(corpora, config, split)]
    with torch.inference_mode():
        for batch in tqdm(batches, desc=split, unit=" batches", disable=None):
            figures.add(batch)
        found = figures.compute()
        if section.probe:
            found |= untrained_probe(model.motionbeat.music.config, batches, OWN_GRID_SECONDS)
        return found


if __name__ == "__main__":
    sys.exit(main())
