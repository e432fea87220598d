"""MuQ and MusicFM, which share a conformer over mel spectrograms; needs `muq` (pip install '.[encoders]').

    run_downstream.py -u muq_local -k FOLDER ...
    run_downstream.py -u musicfm_local -k FOLDER ...

``huggingface-cli download OpenMuQ/MuQ-large-msd-iter --local-dir FOLDER`` creates MuQ's folder. MusicFM's
contains ``pretrained_msd.pt`` with ``msd_stats.json``, or ``pretrained_fma.pt`` with ``fma_stats.json``, from
the links of its repository (github.com/minzwon/musicfm).
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
"""Sample rate of both models in Hz."""

ROPE_LARGE = {
    "hidden_act": "swish",
    "position_embeddings_type": "rotary",
    "conv_depthwise_kernel_size": 31,
    "layer_norm_eps": 1e-5,
}
"""MusicFM's values from wav2vec2-conformer-rope-large that its weights do not determine."""


class ConformerUpstream(WaveformUpstream):
    """All layers of a conformer over mel spectrograms.

    Args:
        model: MuQ's model.
        hop: hop length of the features in samples at 24 kHz.
    """

    model: Any

    def __init__(self, model: nn.Module, hop: int) -> None:
        super().__init__(RATE, hop)
        self.model = model

    def layers(self, wav: Tensor) -> list[Tensor]:
        """(1, F, D) hidden states of a (1, T) waveform at 24 kHz; the input of the first layer is first."""
        mel = self.model.normalize(self.model.preprocessing(wav, features=["melspec_2048"]))
        return list(self.model.encoder(mel["melspec_2048"])[1])


def muq_local(ckpt: str | Path | None = None, **kwargs: object) -> ConformerUpstream:
    """MuQ from a folder (S3PRL's ``-k``).

    Raises:
        MotionBeatError: the package is not installed, or the folder is incomplete or invalid.
    """
    model_class = _import_muq("muq_local").MuQ
    folder = _folder(ckpt, "muq_local", "config.json and model.safetensors")
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise CheckpointError(
                f"{folder}: has no {name}; get OpenMuQ/MuQ-large-msd-iter with "
                f"huggingface-cli download NAME --local-dir FOLDER"
            )
    try:
        model = model_class.from_pretrained(folder, local_files_only=True).model
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, SafetensorError) as error:
        raise CheckpointError(f"{folder}: cannot be loaded ({in_one_line(error)})") from error
    return ConformerUpstream(model, int(model.hop_length * model.n_fold)).eval()


def musicfm_local(ckpt: str | Path | None = None, **kwargs: object) -> ConformerUpstream:
    """MusicFM from a folder (S3PRL's ``-k``).

    Raises:
        MotionBeatError: the package is not installed, or the folder is incomplete or invalid.
    """
    _import_muq("musicfm_local")
    from muq.muq.models.muq_model import MuQModel

    folder = _folder(ckpt, "musicfm_local", "pretrained_msd.pt and msd_stats.json")
    weights = max(folder.glob("pretrained_*.pt"), default=None)
    if weights is None:
        raise CheckpointError(
            f"{folder}: has no pretrained_msd.pt or pretrained_fma.pt; see github.com/minzwon/musicfm"
        )
    statistics = folder / f"{weights.stem.removeprefix('pretrained_')}_stats.json"
    if not statistics.is_file():
        raise CheckpointError(
            f"{folder}: has {weights.name} but no {statistics.name}; see github.com/minzwon/musicfm"
        )
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)["state_dict"]
        stat = json.loads(statistics.read_text(encoding="utf-8"))
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{folder}: cannot be loaded ({in_one_line(error)})") from error
    # The weights are those of a wrapper. Its quantisers only compute targets for training.
    state = {name.removeprefix("model."): value for name, value in state.items()}
    state = {name: value for name, value in state.items() if not name.startswith("quantizer_")}
    try:
        model = MuQModel(stat=stat, **_sizes(state))
        keys = model.load_state_dict(state, strict=False)
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"{weights}: not MusicFM's weights ({in_one_line(error)})") from error
    for name in keys.missing_keys:
        if not name.startswith("quantizer_"):
            raise CheckpointError(f"{weights}: not MusicFM's weights; {name} is missing")
    for name in keys.unexpected_keys:
        raise CheckpointError(f"{weights}: not MusicFM's weights; {name} is unknown")
    return ConformerUpstream(model, int(model.hop_length * model.n_fold)).eval()


def _sizes(state: dict[str, Tensor]) -> dict[str, Any]:
    """Arguments of the model, derived from the shapes of its weights."""
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
        # The package turns all items into attributes, which fails for the tables of labels.
        "w2v2_config": {
            name: value for name, value in conformer.to_dict().items() if not isinstance(value, dict)
        },
    }


def _import_muq(entry: str) -> Any:
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
        value = "none" if ckpt is None else f"{ckpt}, which is not a folder"
        raise CheckpointError(f"{entry}: expected a folder with {content} (ckpt=…, or -k), got {value}")
    return Path(ckpt)
