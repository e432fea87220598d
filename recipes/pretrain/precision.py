"""The precision that a run computes in on its machine."""

from __future__ import annotations

import platform

import torch
from fairseq2.recipe.config import MixedPrecisionConfig


def computes_in(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether a processor has instructions for a floating-point type; emulated, it is many times slower."""
    if dtype == torch.float32:
        return True
    if device.type == "cuda":
        return dtype != torch.bfloat16 or torch.cuda.is_bf16_supported(including_emulation=False)
    if dtype != torch.bfloat16 or not torch.backends.mkldnn.is_available():
        return False
    # On x86 mkldnn answers yes for every AVX-512, also where bfloat16 is emulated; torch.cpu asks for the
    # instructions themselves, but knows those of x86 alone.
    if platform.machine().lower() in ("x86_64", "amd64") and not torch.cpu._is_avx512_bf16_supported():
        return False
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def choose_precision(config: MixedPrecisionConfig, device: torch.device) -> str:
    """Turn mode ``auto`` off where the device lacks the 16-bit type; returns the precision, in words.

    Args:
        config: changed in place.
        device: of the training.
    """
    name = str(config.dtype).removeprefix("torch.")
    if config.mode == "off":
        return "float32"
    if config.mode != "auto" or config.dtype == torch.float32:
        return name
    if computes_in(config.dtype, device):
        return f"{name} (auto: this {device.type} has instructions for it)"
    config.mode = "off"
    return f"float32 (auto: this {device.type} would emulate {name}, which is slower)"
