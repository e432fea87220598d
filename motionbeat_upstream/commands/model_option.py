"""Options of subcommands for the model, the device and hints."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motionbeat_upstream.errors import ConfigError

if TYPE_CHECKING:
    from motionbeat_upstream.expert import UpstreamExpert
    from motionbeat_upstream.tracking.bar_pointer import Hints


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add ``-k`` and ``--device``."""
    add_checkpoint_option(parser)
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps; default: cuda if it is available")


def add_checkpoint_option(parser: argparse.ArgumentParser) -> None:
    """Add ``-k``."""
    parser.add_argument(
        "-k",
        "--checkpoint",
        type=_checkpoint,
        metavar="FILE",
        help="a checkpoint instead of the shipped model",
    )


def add_hint_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--min-bpm``, ``--max-bpm`` and ``--metre``."""
    hints = parser.add_argument_group("hints", "known properties of the music, for models with beat heads")
    hints.add_argument("--min-bpm", type=float, metavar="BPM", help="lowest tempo; default: 50")
    hints.add_argument("--max-bpm", type=float, metavar="BPM", help="highest tempo; default: 215")
    hints.add_argument(
        "--metre", type=int, action="append", metavar="N", help="beats per bar, 2 to 7; may be repeated"
    )


def read_hints(options: argparse.Namespace, expert: UpstreamExpert) -> Hints:
    """Read the hints from options; prints a note if the model cannot use them.

    Raises:
        ConfigError: no tempo or no metre remains.
    """
    from motionbeat_upstream.tracking.bar_pointer import Hints

    values: dict[str, Any] = {
        name: value
        for name, value in (
            ("min_bpm", options.min_bpm),
            ("max_bpm", options.max_bpm),
            ("metres", options.metre and tuple(sorted(set(options.metre)))),
        )
        if value is not None
    }
    try:
        hints = Hints(**values)
    except ValueError as error:
        raise ConfigError(f"--min-bpm, --max-bpm, --metre: {error}") from error
    if values and expert.tower.config.grid_from != "heads":
        print(
            "note: hints are not used, because this checkpoint does not estimate its grid from beat heads",
            file=sys.stderr,
        )
    return hints


def load_model(options: argparse.Namespace, uses_weights: bool = True) -> UpstreamExpert:
    """Load the upstream of the options in eval mode; prints a note if its weights are not trained.

    ``uses_weights`` is false for a command that may not need weights; then there is no note.

    Raises:
        ConfigError: the device is unknown or not available.
        CheckpointError: the checkpoint cannot be used.
    """
    import torch

    from motionbeat_upstream import hubconf
    from motionbeat_upstream.threads import use_idle_cores

    use_idle_cores()
    name = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"--device {name}: not available ({reason}); leave it out for the CPU") from error
    expert = hubconf.motionbeat(ckpt=options.checkpoint).to(device).eval()
    if uses_weights and not expert.provenance.trained:
        print(
            f"note: the {expert.tower.config.arch} tower is not trained; these are features of its "
            f"random initialisation",
            file=sys.stderr,
        )
    return expert


def _checkpoint(text: str) -> str:
    if "://" not in text and not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"{text}: no such file; expected a .safetensors file, or its URL")
    return text
