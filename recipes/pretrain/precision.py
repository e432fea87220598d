"""Choice of the floating-point precision of a run."""

from __future__ import annotations

import platform

import torch
from fairseq2.recipe.config import MixedPrecisionConfig


def supports_dtype(dtype: torch.dtype, device: torch.device) -> bool:
    """Return whether a device has instructions for a floating-point type; emulation is many times slower."""
    if dtype == torch.float32:
        return True
    if device.type == "cuda":
        return dtype != torch.bfloat16 or torch.cuda.is_bf16_supported(including_emulation=False)
    if dtype != torch.bfloat16 or not torch.backends.mkldnn.is_available():
        return False
    # On x86, mkldnn returns True for any AVX-512, even if bfloat16 is emulated; torch.cpu checks for the
    # instructions, but only on x86.
    if platform.machine().lower() in ("x86_64", "amd64") and not torch.cpu._is_avx512_bf16_supported():
        return False
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def choose_precision(config: MixedPrecisionConfig, device: torch.device) -> str:
    """Disable mode ``auto`` if the device does not support the 16-bit type; return a description.

    Args:
        config: modified in place.
        device: device of the training.
    """
    name = str(config.dtype).removeprefix("torch.")
    if config.mode == "off":
        return "float32"
    if config.mode != "auto" or config.dtype == torch.float32:
        return name
    if supports_dtype(config.dtype, device):
        return f"{name} (auto: this {device.type} has instructions for it)"
    config.mode = "off"
    return f"float32 (auto: this {device.type} would emulate {name}, which is slower)"
