"""Exports a trained run as a file for ``motionbeat dance -k``.

    python -m recipes.downstream.dance_generation.export result/dance dance.safetensors

The source is ``dev-best.ckpt`` in the folder of the run, or a checkpoint. The file contains no pickle.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from motionbeat_upstream.commands.command import command
from motionbeat_upstream.commands.paths import output_file, refuse_to_replace
from motionbeat_upstream.errors import MotionBeatError
from motionbeat_upstream.version import __version__
from recipes.downstream.s3prl_runner.run_files import BEST, checkpoint_classes, read_checkpoint_options


@command("recipes.downstream.dance_generation.export", extra="s3prl")
def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "run", type=Path, metavar="RUN", help=f"folder of a run, or a checkpoint of it ({BEST})"
    )
    parser.add_argument(
        "file", type=output_file(".safetensors"), metavar="FILE", help="the .safetensors file to write"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace FILE")
    options = parser.parse_args(arguments)
    refuse_to_replace([options.file], options.overwrite)
    print(export(options.run / BEST if options.run.is_dir() else options.run, options.file))
    return 0


def export(checkpoint: Path, target: Path) -> str:
    """Write the file; returns a description of it.

    Raises:
        MotionBeatError: no checkpoint of this task, or one whose features are not a weighted sum of layers.
    """
    if not checkpoint.is_file():
        raise MotionBeatError(
            f"{checkpoint}: no such file; train first: run_downstream.py -d dance_generation"
        )
    options, config = read_checkpoint_options(checkpoint)
    if options.downstream != "dance_generation":
        raise MotionBeatError(
            f"{checkpoint}: belongs to the task {options.downstream}; expected dance_generation"
        )
    if options.upstream_trainable:
        raise MotionBeatError(
            f"{checkpoint}: was trained with -f, and a fine-tuned upstream cannot be exported; train "
            f"without -f"
        )
    if options.upstream_feature_normalize or options.upstream_feature_selection != "hidden_states":
        raise MotionBeatError(
            f"{checkpoint}: was trained with --upstream_feature_normalize or "
            f"-s {options.upstream_feature_selection}; expected a "
            f"weighted sum of hidden_states, or one layer of them (-l)"
        )
    import torch

    from motionbeat_upstream.checkpoint import Provenance
    from recipes.downstream.dance_generation.body_numbers import JointNumbers, RotationNumbers
    from recipes.downstream.dance_generation.dance_file import DanceFile, write_dance_model
    from recipes.downstream.dance_generation.model import DanceModel
    from recipes.downstream.dance_generation.settings import read_settings

    with checkpoint_classes():
        states: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
    weights = {
        name.removeprefix("model."): value
        for name, value in states["Downstream"].items()
        if name.startswith("model.")
    }
    section = config["downstream_expert"]
    settings = read_settings(section)
    rest = weights.get("numbers.rest")
    numbers = JointNumbers() if rest is None else RotationNumbers(rest)
    dim = len(weights["music_scale.running_mean"])
    model = DanceModel(numbers, dim, settings)
    model.load_state_dict(weights)
    only = options.upstream_layer_selection
    layer_weights = states.get("Featurizer", {}).get("weights")
    layers = torch.ones(1) if only is not None or layer_weights is None else torch.softmax(layer_weights, -1)
    details = {
        "step": states.get("Step"),
        "seed": options.seed,
        "version": __version__,
        "upstream": options.upstream,
    }
    corpus = Path(settings.datarc.root).name
    provenance = Provenance(f"dance_generation on {corpus}", details)
    digest, rate = states["Downstream"]["heard"], float(states["Downstream"]["rate"])
    sha256 = bytes(digest.tolist()).hex() if digest.any() else None
    write_dance_model(
        target, DanceFile(model, section, options.upstream, sha256, rate, layers, only, provenance)
    )
    return f"{target}: step {details['step']}, features of {options.upstream}"


if __name__ == "__main__":
    sys.exit(main())
