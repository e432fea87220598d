"""Which precision ``auto`` chooses: 16 bits only where the processor has instructions for them."""

from __future__ import annotations

import platform
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from fairseq2.recipe.config import MixedPrecisionConfig

from recipes.pretrain import precision
from recipes.pretrain.model import PretrainedModel
from recipes.pretrain.precision import choose_precision, supports_dtype
from tests.pretrain_run import Attempt, prepare, start

CPU = torch.device("cpu")


def processor(monkeypatch: pytest.MonkeyPatch, machine: str, mkldnn: bool, avx512_bf16: bool) -> None:
    """A processor that answers torch's questions so."""
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    monkeypatch.setattr(
        torch, "ops", SimpleNamespace(mkldnn=SimpleNamespace(_is_mkldnn_bf16_supported=lambda: mkldnn))
    )


@pytest.mark.parametrize(
    ("machine", "mkldnn", "avx512_bf16", "computes"),
    [
        ("x86_64", False, False, False),  # AVX2: Zen 3, every laptop of Intel's
        ("x86_64", True, False, False),  # AVX-512 without bf16: mkldnn answers yes, and emulates
        ("x86_64", True, True, True),  # Zen 4, Cooper Lake, Sapphire Rapids
        ("AMD64", True, False, False),  # as Windows calls x86
        ("aarch64", True, False, True),  # Graviton 3
        ("arm64", False, False, False),
    ],
)
def test_a_cpu_is_asked_for_its_instructions(
    monkeypatch: pytest.MonkeyPatch, machine: str, mkldnn: bool, avx512_bf16: bool, computes: bool
) -> None:
    processor(monkeypatch, machine, mkldnn, avx512_bf16)
    assert supports_dtype(torch.bfloat16, CPU) is computes
    assert supports_dtype(torch.float32, CPU)
    assert not supports_dtype(torch.float16, CPU)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the kernel names the flags of x86 so")
def test_this_machine_is_what_the_kernel_says() -> None:
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    assert supports_dtype(torch.bfloat16, CPU) is ("avx512_bf16" in flags)


@pytest.mark.parametrize("emulated", [False, True])
def test_a_gpu_that_emulates_bfloat16_does_not_count(monkeypatch: pytest.MonkeyPatch, emulated: bool) -> None:
    def supported(including_emulation: bool = True) -> bool:
        return including_emulation or not emulated

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert supports_dtype(torch.bfloat16, torch.device("cuda")) is not emulated
    assert supports_dtype(torch.float16, torch.device("cuda"))


def test_auto_is_turned_off_where_the_cpu_would_emulate(monkeypatch: pytest.MonkeyPatch) -> None:
    processor(monkeypatch, "x86_64", True, False)
    config = MixedPrecisionConfig(mode="auto", dtype=torch.bfloat16)
    assert choose_precision(config, CPU) == (
        "float32 (auto: this cpu would emulate bfloat16, which is slower)"
    )
    assert config.mode == "off"


def test_auto_stays_where_the_cpu_has_the_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    processor(monkeypatch, "x86_64", True, True)
    config = MixedPrecisionConfig(mode="auto", dtype=torch.bfloat16)
    assert choose_precision(config, CPU) == "bfloat16 (auto: this cpu has instructions for it)"
    assert config.mode == "auto"


def test_what_is_asked_for_by_name_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    processor(monkeypatch, "x86_64", False, False)
    static = MixedPrecisionConfig(mode="static", dtype=torch.bfloat16)
    assert choose_precision(static, CPU) == "bfloat16"
    assert static.mode == "static"
    assert choose_precision(MixedPrecisionConfig(mode="off"), CPU) == "float32"


def on_a_cpu(computes: bool) -> None:
    """Let the processor be one with bfloat16 or without, and every forward pass say whether it uses it."""
    precision.supports_dtype = lambda dtype, device: computes
    forward = PretrainedModel.forward

    def check_precision(self: PretrainedModel, *arguments: Any) -> Any:
        print(f"autocast {torch.is_autocast_enabled('cpu')}", flush=True)
        return forward(self, *arguments)

    PretrainedModel.forward = check_precision  # type: ignore[assignment, method-assign]


@pytest.mark.slow
def test_a_run_computes_as_its_cpu_can_and_goes_on_on_another(tmp_path: Path) -> None:
    config = prepare(tmp_path)
    for computes, steps in ((False, 2), (True, 4)):
        attempt: Attempt = start(
            tmp_path / "out",
            config,
            "trainer.mixed_precision={mode: auto, dtype: bfloat16}",
            f"regime.num_steps={steps}",
            before=partial(on_a_cpu, computes),
        )
        assert attempt.code() == 0, attempt.read_output()
        lines = attempt.read_output().splitlines()
        assert [line for line in lines if line.startswith("autocast")] == [f"autocast {computes}"] * 2
        name = "bfloat16" if computes else "float32"
        assert [line for line in lines if line.startswith(f"cpu: {name} (auto: this cpu ")]
