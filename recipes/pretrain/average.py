"""``python -m recipes.pretrain.average A B OUT --share S``: a music tower between two others.

Where B was trained further from A, the mean of both often keeps what A knows and has most of what B learned
(Wortsman et al., "Robust fine-tuning of zero-shot models", 2022).
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
    parser.add_argument("second", type=Path, metavar="B", help="another one of the same sizes")
    parser.add_argument("out", type=output_file(".safetensors"), metavar="OUT", help="file to write")
    parser.add_argument(
        "--share", type=float, default=0.5, metavar="S", help="of B, from 0 to 1 (%(default)s)"
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
    """Write (1 - ``share``) of the first weights plus ``share`` of the second.

    What is no weight, as where the grid comes from, is that of the second.

    Raises:
        CheckpointError: a file that is no music tower's.
        MotionBeatError: towers of different sizes.
    """
    from motionbeat_upstream.checkpoint import Provenance, load_music_tower, save_music_tower

    (one, of_one), (other, of_other) = load_music_tower(first), load_music_tower(second)
    weights = one.state_dict()
    if {name: value.shape for name, value in weights.items()} != {
        name: value.shape for name, value in other.state_dict().items()
    }:
        raise MotionBeatError(f"{first} and {second} hold towers of different sizes; give two of the same")
    other.load_state_dict(
        {name: weights[name].lerp(value, share) for name, value in other.state_dict().items()}
    )
    training = f"{of_other.training}, averaged with weights trained on {of_one.training}"
    shares = [
        {"share": part, "training": origin.training, "details": dict(origin.details)}
        for part, origin in ((1 - share, of_one), (share, of_other))
    ]
    save_music_tower(other, out, Provenance(training, {"mean_of": shares}))


if __name__ == "__main__":
    sys.exit(main())
