"""A trained run as one file that ``motionbeat dance -k`` takes.

    python -m recipes.downstream.dance_generation.export result/dance dance.safetensors

Taken is ``dev-best.ckpt`` of the run's folder, or the checkpoint that is named. The file holds no pickle.
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
    """Write the file."""
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
    """Write the file and say what it holds.

    Raises:
        MotionBeatError: no checkpoint of this task, or one of features that are more than a sum of layers.
    """
    if not checkpoint.is_file():
        raise MotionBeatError(
            f"{checkpoint}: no such file; train first: run_downstream.py -d dance_generation"
        )
    given, config = read_checkpoint_options(checkpoint)
    if given.downstream != "dance_generation":
        raise MotionBeatError(f"{checkpoint}: is of the task {given.downstream}, expected dance_generation")
    if given.upstream_trainable:
        raise MotionBeatError(
            f"{checkpoint}: was trained with -f, so its upstream is no longer the one that the dance would "
            f"hear by; train without -f to export"
        )
    if given.upstream_feature_normalize or given.upstream_feature_selection != "hidden_states":
        raise MotionBeatError(
            f"{checkpoint}: was trained with -n or -s {given.upstream_feature_selection}; expected a "
            f"weighted sum of hidden_states, or one layer of them (-l)"
        )
    import torch

    from motionbeat_upstream.checkpoint import Provenance
    from recipes.downstream.dance_generation.body_numbers import JointNumbers, RotationNumbers
    from recipes.downstream.dance_generation.dance_file import DanceFile, write_dance_model
    from recipes.downstream.dance_generation.model import DanceModel
    from recipes.downstream.dance_generation.settings import read_settings

    with checkpoint_classes():
        held: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
    weights = {
        name.removeprefix("model."): value
        for name, value in held["Downstream"].items()
        if name.startswith("model.")
    }
    section = config["downstream_expert"]
    settings = read_settings(section)
    rest = weights.get("numbers.rest")
    numbers = JointNumbers() if rest is None else RotationNumbers(rest)
    dim = len(weights["music_scale.running_mean"])
    model = DanceModel(numbers, dim, settings)
    model.load_state_dict(weights)
    only = given.upstream_layer_selection
    summed = held.get("Featurizer", {}).get("weights")
    layers = torch.ones(1) if only is not None or summed is None else torch.softmax(summed, -1)
    details = {
        "step": held.get("Step"),
        "seed": given.seed,
        "version": __version__,
        "upstream": given.upstream,
    }
    corpus = Path(settings.datarc.root).name
    provenance = Provenance(f"dance_generation on {corpus}", details)
    heard, rate = held["Downstream"]["heard"], float(held["Downstream"]["rate"])
    sha256 = bytes(heard.tolist()).hex() if heard.any() else None
    write_dance_model(
        target, DanceFile(model, section, given.upstream, sha256, rate, layers, only, provenance)
    )
    return f"{target}: step {details['step']}, features of {given.upstream}"


if __name__ == "__main__":
    sys.exit(main())
