"""The trained weights in the package: provenance, beats and pulses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import mir_eval
import numpy as np
import pytest
import torch
from safetensors import safe_open

import motionbeat_upstream
from motionbeat_upstream.config import ARCHITECTURES, SAMPLE_RATE
from motionbeat_upstream.expert import UpstreamExpert
from motionbeat_upstream.hubconf import motionbeat, motionbeat_untrained
from motionbeat_upstream.shipped import SHIPPED
from tests.drum_patterns import beat_times, piece

CARD = SHIPPED.parent / "README.md"


@pytest.fixture(scope="module")
def shipped() -> UpstreamExpert:
    return motionbeat()


def test_shipped_weights_are_trained_and_the_baseline_is_not(shipped: UpstreamExpert) -> None:
    assert shipped.provenance.trained
    untrained = motionbeat_untrained()
    assert not untrained.provenance.trained
    sizes, others = ({n: p.shape for n, p in model.named_parameters()} for model in (shipped, untrained))
    assert sizes == others
    assert shipped.tower.config.dim == ARCHITECTURES["tiny"].dim


def test_shipped_weights_have_a_provenance() -> None:
    with safe_open(SHIPPED, "pt") as file:
        details = json.loads(file.metadata()["provenance"])["details"]
    assert {"step", "seed", "manifest_sha256", "config", "versions", "validation", "grid"} <= details.keys()
    # Paths below the folder that the run was started in, and nothing of the machine around it.
    assert not re.search(r'"/|\\\\|~', json.dumps(details["config"]))
    assert SHIPPED.stat().st_size < 20 * 2**20


def test_the_model_card_agrees_with_the_file() -> None:
    with safe_open(SHIPPED, "pt") as file:
        details = json.loads(file.metadata()["provenance"])["details"]
    card = CARD.read_text(encoding="utf-8")
    assert f"step {details['step']:,}" in card
    assert f"seed {details['seed']}" in card
    assert "constructed" in card.lower()
    assert SHIPPED.name in card


@pytest.mark.parametrize("bpm", [84.0, 101.0, 127.0, 152.0])
def test_beats_and_pulses_of_a_synthetic_piece(shipped: UpstreamExpert, bpm: float) -> None:
    seconds = 16.0
    beats = beat_times(bpm, seconds)
    wav = piece(beats, 4, seconds)
    with torch.inference_mode():
        outputs = shipped([wav])
    for name in ("beat_activation", "pulse_activation"):
        activation = outputs[name][0].numpy()
        middles = (np.arange(len(activation)) + 0.5) / 50
        away = np.abs(middles[:, None] - beats).min(1)
        assert activation[away < 0.03].mean() > 10 * activation[away > 0.1].mean()
    # A sanity check, no figure: those are in the README.
    assert mir_eval.beat.f_measure(beats, outputs["grids"][0].beats) > 0.9


@pytest.mark.parametrize("level", [0.0, 1e-3, 0.1])
@pytest.mark.parametrize("seconds", [1, 2, 3, 4, 6, 10])
def test_silence_and_noise_have_no_pulse(shipped: UpstreamExpert, seconds: int, level: float) -> None:
    wav = level * torch.randn(seconds * SAMPLE_RATE, generator=torch.Generator().manual_seed(seconds))
    with torch.inference_mode():
        outputs = shipped([wav])
    assert outputs["grids"][0].confidence == 0
    assert all(state.isfinite().all() for state in outputs["hidden_states"])


def test_the_package_contains_the_weights() -> None:
    assert "weights/*" in (Path(__file__).parents[2] / "setup.cfg").read_text(encoding="utf-8")
    assert SHIPPED.is_relative_to(Path(motionbeat_upstream.__file__).parent)
