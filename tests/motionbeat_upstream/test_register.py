"""MotionBeat with an unchanged, installed S3PRL."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import motionbeat_upstream.register
from motionbeat_upstream.register import ENTRIES, register

hub = pytest.importorskip("s3prl.hub")


def test_the_hub_lists_the_entries() -> None:
    register()
    assert set(ENTRIES) <= set(hub.options())
    registered = set(hub.options(only_registered_ckpt=True))
    assert {"motionbeat", "motionbeat_untrained", "motionbeat_base"} <= registered
    assert not {"motionbeat_local", "motionbeat_url"} & registered


def test_s3prls_upstream_and_featurizer() -> None:
    from s3prl.nn import Featurizer, S3PRLUpstream

    model = S3PRLUpstream("motionbeat")
    model.eval()
    featurizer = Featurizer(model)
    wavs = 0.1 * torch.randn(2, 32_000)
    for lengths in ([32_000, 16_000], [500, 320], [32_000, 1]):
        with torch.no_grad():
            states, state_lengths = model(wavs, torch.tensor(lengths))
            features, feature_lengths = featurizer(states, state_lengths)
        assert features.shape == (2, max(-(-n // 320) for n in lengths), 192)
        assert feature_lengths.tolist() == [-(-n // 320) for n in lengths]


def test_s3prl_can_fine_tune_it() -> None:
    from s3prl.nn import Featurizer, S3PRLUpstream

    model = S3PRLUpstream("motionbeat_untrained").train()
    states, lengths = model(0.1 * torch.randn(1, 16_000), torch.tensor([16_000]))
    features, _ = Featurizer(model)(states, lengths)
    features.square().mean().backward()
    stem = model.upstream.tower.trunk.stem.weight
    assert stem.grad is not None
    assert stem.grad.abs().sum() > 0


def test_the_checkpoint_argument_is_passed_on(tmp_path: Path) -> None:
    from s3prl.nn import S3PRLUpstream

    from motionbeat_upstream.checkpoint import Provenance, save_music_tower
    from motionbeat_upstream.config import MusicTowerConfig
    from motionbeat_upstream.nn.music_tower import untrained_music_tower

    small = MusicTowerConfig(dim=16, heads=2, token_layers=1, trunk_dilations=(1,), embedding_dim=8)
    path = tmp_path / "small.safetensors"
    save_music_tower(untrained_music_tower(small), path, Provenance("made", {}))
    model = S3PRLUpstream("motionbeat_local", path_or_url=str(path))
    assert model.hidden_sizes == [16] * 3
    assert model.downsample_rates == [320] * 3


@pytest.mark.slow
def test_importing_registers_from_any_folder(tmp_path: Path) -> None:
    script = (
        "import motionbeat_upstream.register; from s3prl import hub; print('motionbeat' in hub.options())"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert run.stdout.strip().endswith("True"), run.stderr
    assert motionbeat_upstream.register.ENTRIES
