"""Models of waveforms by transformers: wav2vec 2.0, HuBERT, WavLM, data2vec, MERT and their like.

    run_downstream.py -u hf_audio_local -k FOLDER ...
    run_downstream.py -u mert_local -k FOLDER ...

FOLDER is what ``huggingface-cli download NAME --local-dir FOLDER`` leaves. Code that lies in it is not run
unless ``-g trust_remote_code`` says so.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from motionbeat_upstream.errors import CheckpointError, MotionBeatError
from recipes.encoders.waveform_upstream import WaveformUpstream, in_one_line

TRUST = "trust_remote_code"
"""What ``-g`` says where code that lies in the folder may be run."""

OF_TRAINING = ("masked_spec_embed",)
"""Weights that only training uses."""


class HfAudioUpstream(WaveformUpstream):
    """A transformers model that takes ``input_values``.

    Args:
        model: that takes (B, T) waveforms and gives all hidden states.
        rate: samples a second that it takes.
        hop: of these samples, from one frame to the next.
        normalise: whether waveforms are brought to mean 0 and deviation 1 first.
    """

    def __init__(self, model: nn.Module, rate: int, hop: int, normalise: bool) -> None:
        super().__init__(rate, hop)
        self.model = model
        self.normalise = normalise

    def layers(self, wav: Tensor) -> list[Tensor]:
        """(1, F, D) hidden states of a (1, T) waveform, the input of the first layer first."""
        if self.normalise:  # as feature extractors with do_normalize do
            wav = (wav - wav.mean()) / torch.sqrt(wav.var(correction=0) + 1e-7)
        return list(self.model(wav, output_hidden_states=True).hidden_states)


def hf_audio_local(
    ckpt: str | Path | None = None, model_config: str | None = None, **kwargs: object
) -> HfAudioUpstream:
    """Any transformers model of waveforms, from a folder (S3PRL's ``-k``).

    Raises:
        CheckpointError: the folder lacks something, or holds another kind of model.
    """
    from transformers import AutoConfig, AutoModel

    folder = _folder(ckpt, "hf_audio_local")
    trusted = _trusted(model_config)
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=trusted)
        if not hasattr(config, "conv_stride"):
            raise CheckpointError(
                f"{folder}: a model of type {config.model_type!r}; expected one of waveforms with a strided "
                f"convolution before its layers, such as wav2vec2, hubert, wavlm, unispeech-sat or "
                f"data2vec-audio"
            )
        model = AutoModel.from_pretrained(
            folder, config=config, local_files_only=True, trust_remote_code=trusted
        )
    except (OSError, ValueError, KeyError, ImportError, SafetensorError) as error:
        raise CheckpointError(f"{folder}: {_reason(error, trusted)}") from error
    return _upstream(folder, model, config)


def mert_local(
    ckpt: str | Path | None = None, model_config: str | None = None, **kwargs: object
) -> HfAudioUpstream:
    """MERT, from a folder (S3PRL's ``-k``), by transformers' HuBERT; MERT's code adds only to its training.

    MERT-v1-330M differs in its attention and needs ``-g trust_remote_code``.

    Raises:
        CheckpointError: the folder lacks something, or is no MERT that HuBERT can stand in for.
    """
    from transformers import HubertConfig, HubertModel

    folder = _folder(ckpt, "mert_local")
    if _trusted(model_config):
        return hf_audio_local(folder, model_config)
    values = _json(folder / "config.json")
    if values.get("deepnorm") or values.get("attention_relax", -1) > 0:
        raise CheckpointError(
            f"{folder}: this MERT computes attention by code of its own; -g {TRUST} runs its modeling_MERT.py"
        )
    config = HubertConfig.from_dict(
        {
            key: value
            for key, value in values.items()
            if key not in ("model_type", "auto_map", "architectures")
        }
    )
    try:
        model, loading = HubertModel.from_pretrained(
            folder, config=config, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{folder}: {_reason(error, True)}") from error
    missing = [name for name in loading["missing_keys"] if name not in OF_TRAINING]
    if missing:
        raise CheckpointError(
            f"{folder}: its weights lack {missing[0]} and {len(missing) - 1} more; is this a MERT?"
        )
    return _upstream(folder, model, config)


def _upstream(folder: Path, model: nn.Module, config: Any) -> HfAudioUpstream:
    settings = _json(folder / "preprocessor_config.json")
    if "sampling_rate" not in settings:
        raise CheckpointError(f"{folder / 'preprocessor_config.json'}: names no sampling_rate")
    hop = math.prod(config.conv_stride)
    normalise = bool(settings.get("do_normalize", False))
    return HfAudioUpstream(model.eval(), int(settings["sampling_rate"]), hop, normalise).eval()


def _folder(ckpt: str | Path | None, entry: str) -> Path:
    """The folder, which has what every such folder has.

    Raises:
        CheckpointError: it has not.
    """
    download = "huggingface-cli download NAME --local-dir FOLDER"
    if ckpt is None:
        raise CheckpointError(
            f"{entry}: expected a model's folder (ckpt=…, or -k), got none; get one: {download}"
        )
    folder = Path(ckpt)
    for name in ("config.json", "preprocessor_config.json"):
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder}: has no {name}; expected a folder as {download} leaves it")
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("pytorch_model*.bin")):
        raise CheckpointError(
            f"{folder}: has no weights (model.safetensors or pytorch_model.bin); {download}"
        )
    return folder


def _json(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{file}: not JSON ({error})") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{file}: expected an object, found {type(values).__name__}")
    return values


def _trusted(model_config: str | None) -> bool:
    """Whether the user allows code of the folder.

    Raises:
        MotionBeatError: something else is said.
    """
    if model_config not in (None, "", TRUST):
        raise MotionBeatError(f"-g {model_config}: expected {TRUST} or nothing")
    return model_config == TRUST


def _reason(error: Exception, trusted: bool) -> str:
    if not trusted and TRUST in str(error):
        return f"needs code of its own, which lies in the folder and is not run unless -g {TRUST} says so"
    return f"cannot be loaded ({in_one_line(error)})"
