"""MuQ and MusicFM: the same conformer over mel, by the package `muq` (pip install '.[encoders]').

    run_downstream.py -u muq_local -k FOLDER ...
    run_downstream.py -u musicfm_local -k FOLDER ...

MuQ's folder is what ``huggingface-cli download OpenMuQ/MuQ-large-msd-iter --local-dir FOLDER`` leaves;
MusicFM's holds ``pretrained_msd.pt`` with ``msd_stats.json``, or ``pretrained_fma.pt`` with
``fma_stats.json``, as its repository (github.com/minzwon/musicfm) links them.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from motionbeat_upstream.errors import CheckpointError, MotionBeatError
from recipes.encoders.waveform_upstream import WaveformUpstream, in_one_line

RATE = 24_000
"""Samples a second that both take."""

ROPE_LARGE = {
    "hidden_act": "swish",
    "position_embeddings_type": "rotary",
    "conv_depthwise_kernel_size": 31,
    "layer_norm_eps": 1e-5,
}
"""What MusicFM takes from the configuration of wav2vec2-conformer-rope-large and no weight shows."""


class ConformerUpstream(WaveformUpstream):
    """A conformer over mel that gives all its layers.

    Args:
        model: MuQ's model.
        hop: samples at 24 kHz from one frame to the next.
    """

    model: Any

    def __init__(self, model: nn.Module, hop: int) -> None:
        super().__init__(RATE, hop)
        self.model = model

    def layers(self, wav: Tensor) -> list[Tensor]:
        """(1, F, D) hidden states of a (1, T) waveform at 24 kHz, the input of the first layer first."""
        mel = self.model.normalize(self.model.preprocessing(wav, features=["melspec_2048"]))
        return list(self.model.encoder(mel["melspec_2048"])[1])


def muq_local(ckpt: str | Path | None = None, **kwargs: object) -> ConformerUpstream:
    """MuQ, from a folder (S3PRL's ``-k``).

    Raises:
        MotionBeatError: the package is not installed, or the folder lacks something.
    """
    model_class = _package("muq_local").MuQ
    folder = _folder(ckpt, "muq_local", "config.json and model.safetensors")
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise CheckpointError(
                f"{folder}: has no {name}; get OpenMuQ/MuQ-large-msd-iter with "
                f"huggingface-cli download NAME --local-dir FOLDER"
            )
    try:
        loaded = model_class.from_pretrained(folder, local_files_only=True)
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, SafetensorError) as error:
        raise CheckpointError(f"{folder}: cannot be loaded ({in_one_line(error)})") from error
    model = loaded.eval().model
    return ConformerUpstream(model, int(model.hop_length * model.n_fold)).eval()


def musicfm_local(ckpt: str | Path | None = None, **kwargs: object) -> ConformerUpstream:
    """MusicFM, from a folder (S3PRL's ``-k``).

    Raises:
        MotionBeatError: the package is not installed, or the folder lacks something.
    """
    _package("musicfm_local")
    from muq.muq.models.muq_model import MuQModel

    folder = _folder(ckpt, "musicfm_local", "pretrained_msd.pt and msd_stats.json")
    weights = next(iter(sorted(folder.glob("pretrained_*.pt"), reverse=True)), None)
    if weights is None:
        raise CheckpointError(
            f"{folder}: has no pretrained_msd.pt or pretrained_fma.pt; see github.com/minzwon/musicfm"
        )
    statistics = folder / f"{weights.stem.removeprefix('pretrained_')}_stats.json"
    if not statistics.is_file():
        raise CheckpointError(
            f"{folder}: has {weights.name} but no {statistics.name}, which lies in MusicFM's data"
        )
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)["state_dict"]
        stat = json.loads(statistics.read_text(encoding="utf-8"))
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{folder}: cannot be loaded ({in_one_line(error)})") from error
    # The trained model lies in a wrapper; its quantisers only make targets.
    state = {name.removeprefix("model."): value for name, value in state.items()}
    state = {name: value for name, value in state.items() if not name.startswith("quantizer_")}
    try:
        model = MuQModel(stat=stat, **_sizes(state))
        missing = model.load_state_dict(state, strict=False)
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"{weights}: not MusicFM's weights ({in_one_line(error)})") from error
    lacking = [name for name in missing.missing_keys if not name.startswith("quantizer_")]
    if lacking or missing.unexpected_keys:
        odd = (lacking + missing.unexpected_keys)[0]
        raise CheckpointError(
            f"{weights}: not MusicFM's weights; {odd} is {'missing' if lacking else 'unknown'}"
        )
    return ConformerUpstream(model.eval(), int(model.hop_length * model.n_fold)).eval()


def _sizes(state: dict[str, Tensor]) -> dict[str, Any]:
    """The model's sizes, as its weights have them."""
    from transformers import Wav2Vec2ConformerConfig

    width = state["cls_token"].shape[0]
    depth = 1 + max(int(name.split(".")[2]) for name in state if name.startswith("conformer.layers."))
    feed_forward = state["conformer.layers.0.ffn1.intermediate_dense.weight"].shape[0]
    sizes = {
        "hidden_size": width,
        "intermediate_size": feed_forward,
        "num_hidden_layers": depth,
        # Heads of 64, as in the published size.
        "num_attention_heads": max(1, width // 64),
    }
    conformer = Wav2Vec2ConformerConfig.from_dict(ROPE_LARGE | sizes)
    return {
        "encoder_dim": width,
        "encoder_depth": depth,
        "conv_dim": state["conv.conv.0.conv1.weight"].shape[0],
        "codebook_size": state["linear.weight"].shape[0],
        # Its tables of labels cannot be attributes, which the package makes of all.
        "w2v2_config": {
            name: value for name, value in conformer.to_dict().items() if not isinstance(value, dict)
        },
    }


def _package(entry: str) -> Any:
    try:
        import muq
    except ModuleNotFoundError as error:
        raise MotionBeatError(
            f"{entry}: needs the Python module {error.name!r}; "
            f"in MotionBeat's folder: pip install '.[encoders]'"
        ) from error
    return muq


def _folder(ckpt: str | Path | None, entry: str, content: str) -> Path:
    if ckpt is None or not Path(ckpt).is_dir():
        found = "none" if ckpt is None else f"{ckpt}, which is no folder"
        raise CheckpointError(f"{entry}: expected a folder with {content} (ckpt=…, or -k), got {found}")
    return Path(ckpt)
