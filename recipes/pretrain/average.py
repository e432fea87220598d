"""``python -m recipes.pretrain.average A B OUT --share S``: average the weights of two music towers.

If B was fine-tuned from A, the average often keeps the robustness of A and most of the gain of B (Wortsman et
al., "Robust fine-tuning of zero-shot models", 2022).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from motionbeat_upstream.commands.command import command
from motionbeat_upstream.commands.paths import output_file, refuse_inputs, refuse_to_replace
from motionbeat_upstream.errors import MotionBeatError


@command("recipes.pretrain.average")
def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser("python -m recipes.pretrain.average", description=__doc__)
    parser.add_argument("first", type=Path, metavar="A", help="checkpoint of a music tower")
    parser.add_argument(
        "second", type=Path, metavar="B", help="checkpoint of a music tower of the same sizes"
    )
    parser.add_argument("out", type=output_file(".safetensors"), metavar="OUT", help="file to write")
    parser.add_argument(
        "--share", type=float, default=0.5, metavar="S", help="share of B, from 0 to 1 (%(default)s)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace OUT")
    options = parser.parse_args(arguments)
    if not 0 <= options.share <= 1:
        parser.error(f"--share must lie in [0, 1], got {options.share:g}")
    refuse_inputs([options.out], [options.first, options.second])
    refuse_to_replace([options.out], options.overwrite)
    average(options.first, options.second, options.out, options.share)
    print(f"{options.out}: {1 - options.share:g} · {options.first} + {options.share:g} · {options.second}")
    return 0


def average(first: Path, second: Path, out: Path, share: float) -> None:
    """Write a music tower with the weights (1 - ``share``) · first + ``share`` · second.

    Its configuration is that of the second.

    Raises:
        CheckpointError: a file is not a checkpoint of a music tower.
        MotionBeatError: towers of different sizes.
    """
    from motionbeat_upstream.checkpoint import Provenance, load_music_tower, save_music_tower

    first_tower, first_provenance = load_music_tower(first)
    tower, second_provenance = load_music_tower(second)
    first_weights, second_weights = first_tower.state_dict(), tower.state_dict()
    if {name: value.shape for name, value in first_weights.items()} != {
        name: value.shape for name, value in second_weights.items()
    }:
        raise MotionBeatError(
            f"{first} and {second} are towers of different sizes; give two of the same size"
        )
    tower.load_state_dict(
        {name: first_weights[name].lerp(value, share) for name, value in second_weights.items()}
    )
    training = f"{second_provenance.training}, averaged with weights trained on {first_provenance.training}"
    mean_of = [
        {"share": weight, "training": provenance.training, "details": dict(provenance.details)}
        for weight, provenance in ((1 - share, first_provenance), (share, second_provenance))
    ]
    save_music_tower(tower, out, Provenance(training, {"mean_of": mean_of}))


if __name__ == "__main__":
    sys.exit(main())
