"""Waveform models of transformers: wav2vec 2.0, HuBERT, WavLM, data2vec, MERT and others.

    run_downstream.py -u hf_audio_local -k FOLDER ...
    run_downstream.py -u mert_local -k FOLDER ...

``huggingface-cli download NAME --local-dir FOLDER`` creates FOLDER. Code in it is run only with
``-g trust_remote_code``.
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

TRUST_OPTION = "trust_remote_code"
"""Value of ``-g`` that allows to run code in the folder."""

TRAINING_WEIGHTS = ("masked_spec_embed",)
"""Weights that are used in training only."""


class HfAudioUpstream(WaveformUpstream):
    """A transformers model with waveforms as ``input_values``.

    Args:
        model: maps (B, T) waveforms to all hidden states.
        rate: its sample rate in Hz.
        hop: its hop length in samples.
        normalise: whether to normalise waveforms to mean 0 and standard deviation 1.
    """

    def __init__(self, model: nn.Module, rate: int, hop: int, normalise: bool) -> None:
        super().__init__(rate, hop)
        self.model = model
        self.normalise = normalise

    def layers(self, wav: Tensor) -> list[Tensor]:
        """(1, F, D) hidden states of a (1, T) waveform; the input of the first layer is first."""
        if self.normalise:  # as feature extractors with do_normalize do
            wav = (wav - wav.mean()) / torch.sqrt(wav.var(correction=0) + 1e-7)
        return list(self.model(wav, output_hidden_states=True).hidden_states)


def hf_audio_local(
    ckpt: str | Path | None = None, model_config: str | None = None, **kwargs: object
) -> HfAudioUpstream:
    """Any waveform model of transformers, from a folder (S3PRL's ``-k``).

    Raises:
        CheckpointError: the folder is incomplete or contains another kind of model.
    """
    from transformers import AutoConfig, AutoModel

    folder = _folder(ckpt, "hf_audio_local")
    trusted = _is_trusted(model_config)
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=trusted)
        if not hasattr(config, "conv_stride"):
            raise CheckpointError(
                f"{folder}: a model of type {config.model_type!r}; expected a waveform model with a strided "
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
    """MERT from a folder (S3PRL's ``-k``), loaded as transformers' HuBERT, from which it differs in training.

    MERT-v1-330M has another attention and needs ``-g trust_remote_code``.

    Raises:
        CheckpointError: the folder is incomplete, or contains no MERT with HuBERT's layers.
    """
    from transformers import HubertConfig, HubertModel

    folder = _folder(ckpt, "mert_local")
    if _is_trusted(model_config):
        return hf_audio_local(folder, model_config)
    values = _read_json(folder / "config.json")
    if values.get("deepnorm") or values.get("attention_relax", -1) > 0:
        raise CheckpointError(
            f"{folder}: this MERT has its own attention in modeling_MERT.py; -g {TRUST_OPTION} runs it"
        )
    for key in ("model_type", "auto_map", "architectures"):
        values.pop(key, None)
    config = HubertConfig.from_dict(values)
    try:
        model, loading = HubertModel.from_pretrained(
            folder, config=config, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{folder}: {_reason(error, True)}") from error
    missing = [name for name in loading["missing_keys"] if name not in TRAINING_WEIGHTS]
    if missing:
        raise CheckpointError(
            f"{folder}: its weights lack {missing[0]} and {len(missing) - 1} more; expected those of a MERT"
        )
    return _upstream(folder, model, config)


def _upstream(folder: Path, model: nn.Module, config: Any) -> HfAudioUpstream:
    settings = _read_json(folder / "preprocessor_config.json")
    if "sampling_rate" not in settings:
        raise CheckpointError(f"{folder / 'preprocessor_config.json'}: has no sampling_rate")
    hop = math.prod(config.conv_stride)
    normalise = bool(settings.get("do_normalize", False))
    return HfAudioUpstream(model.eval(), int(settings["sampling_rate"]), hop, normalise).eval()


def _folder(ckpt: str | Path | None, entry: str) -> Path:
    """The folder of a model, checked for the files that all models have.

    Raises:
        CheckpointError: no folder, or a missing file.
    """
    download = "huggingface-cli download NAME --local-dir FOLDER"
    if ckpt is None:
        raise CheckpointError(
            f"{entry}: expected a model's folder (ckpt=…, or -k), got none; get one: {download}"
        )
    folder = Path(ckpt)
    for name in ("config.json", "preprocessor_config.json"):
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder}: has no {name}; expected a folder created by {download}")
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("pytorch_model*.bin")):
        raise CheckpointError(
            f"{folder}: has no weights (model.safetensors or pytorch_model.bin); {download}"
        )
    return folder


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path}: not JSON ({error})") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: expected an object, got {type(values).__name__}")
    return values


def _is_trusted(model_config: str | None) -> bool:
    """Whether the user allows to run code in the folder.

    Raises:
        MotionBeatError: another value of ``-g``.
    """
    if model_config not in (None, "", TRUST_OPTION):
        raise MotionBeatError(f"-g {model_config}: expected {TRUST_OPTION} or nothing")
    return model_config == TRUST_OPTION


def _reason(error: Exception, trusted: bool) -> str:
    if not trusted and TRUST_OPTION in str(error):
        return f"needs the code in the folder, which is run only with -g {TRUST_OPTION}"
    return f"cannot be loaded ({in_one_line(error)})"
