"""``motionbeat onnx``: write a model as ONNX, from audio to features and beats."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.commands.command import command
from motionbeat_upstream.commands.model_option import add_checkpoint_option, load_model
from motionbeat_upstream.commands.paths import output_file, refuse_inputs, refuse_to_replace
from motionbeat_upstream.config import SAMPLE_RATE, STRIDE
from motionbeat_upstream.errors import ConfigError
from motionbeat_upstream.version import __version__

if TYPE_CHECKING:
    from onnx import ModelProto

    from motionbeat_upstream.expert import UpstreamExpert

DESCRIPTION = """\
Write the frame path of a model with beat heads as one ONNX file. Inputs: wav, (batch, samples) float32 at
16 kHz, 0 beyond a clip's end, and lengths, (batch,) int64, the samples of each clip. Outputs at 50 Hz:
hidden_state_0, ..., the states of the trunk, and the logits beat, downbeat, position, metre and tempo. Batch
size and number of samples are dynamic. The metadata contains the configuration and where the weights
come from."""

FORMAT = "motionbeat.frame_path"

OPSET = 18
"""The default, and the oldest that torch's exporter supports."""


@command("motionbeat onnx", extra="onnx")
def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser("motionbeat onnx", description=DESCRIPTION)
    parser.add_argument("file", type=output_file(".onnx"), metavar="FILE.onnx", help="file to write")
    add_checkpoint_option(parser)
    parser.add_argument(
        "--opset", type=int, default=OPSET, metavar="N", help=f"version of ONNX's operators; default: {OPSET}"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace FILE.onnx")
    parser.set_defaults(device="cpu")
    options = parser.parse_args(arguments)
    refuse_inputs([options.file], [options.checkpoint and Path(options.checkpoint)])
    refuse_to_replace([options.file], options.overwrite)

    # Report missing packages first.
    import onnx
    import onnxscript  # noqa: F401

    newest = onnx.defs.onnx_opset_version()
    if not OPSET <= options.opset <= newest:
        raise ConfigError(
            f"--opset {options.opset}: unknown or too old for the graph; expected {OPSET} to {newest}"
        )
    model = onnx_model(load_model(options), options.opset)
    with atomic_path(options.file) as draft:
        onnx.save(model, draft)
    names = ", ".join(output.name for output in model.graph.output)
    print(f"{options.file}: opset {options.opset}; outputs {names}", file=sys.stderr)
    return 0


def onnx_model(expert: UpstreamExpert, opset: int = OPSET) -> ModelProto:
    """Export the frame path of an upstream on the CPU, see
    :class:`~motionbeat_upstream.nn.frame_path.FramePath`.

    Inputs and outputs have the names of its arguments and outputs. The metadata are strings: ``format``,
    ``version`` of MotionBeat, ``sample_rate`` and ``frame_rate`` in Hz, and ``config``, ``training`` and
    ``provenance`` of the checkpoint, the first and the last in JSON.

    Raises:
        ConfigError: the upstream has no beat heads, or the exporter cannot write this opset.
    """
    import onnx
    import torch

    from motionbeat_upstream.nn.frame_path import FramePath, export_frame_path

    path = FramePath(expert.tower)
    # It prints a traceback if it cannot convert the graph to an opset; the opset is checked below instead.
    logging.getLogger("onnxscript").setLevel(logging.CRITICAL)
    program: Any = torch.onnx.export(
        export_frame_path(path),
        dynamo=True,
        verbose=False,
        opset_version=opset,
        input_names=["wav", "lengths"],
        output_names=path.output_names,
    )
    model: ModelProto = program.model_proto
    exported_opset = next(entry.version for entry in model.opset_import if not entry.domain)
    if exported_opset != opset:
        raise ConfigError(f"--opset {opset}: not supported by the installed onnxscript; leave it out")
    _name_dimensions(model)
    values = {
        "format": FORMAT,
        "version": __version__,
        "sample_rate": str(SAMPLE_RATE),
        "frame_rate": str(SAMPLE_RATE // STRIDE),
        "config": json.dumps(expert.tower.config.to_dict()),
        "training": expert.provenance.training,
        "provenance": json.dumps(dict(expert.provenance.details)),
    }
    onnx.helper.set_model_props(model, values)
    onnx.checker.check_model(model)
    return model


def _name_dimensions(model: ModelProto) -> None:
    """Name the dynamic dimensions of inputs and outputs, which the exporter names by expressions."""
    names = ("batch", "samples"), ("batch", "frames")
    for values, dimensions in zip((model.graph.input, model.graph.output), names, strict=True):
        for value in values:
            for dimension, name in zip(value.type.tensor_type.shape.dim, dimensions, strict=False):
                dimension.dim_param = name
    # Intermediate shapes have the exporter's names; runtimes infer them.
    del model.graph.value_info[:]
