"""The mean of two towers: its weights, where it comes from, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from motionbeat_upstream.checkpoint import Provenance, load_music_tower, save_music_tower
from motionbeat_upstream.config import MusicTowerConfig
from motionbeat_upstream.nn.music_tower import untrained_music_tower
from recipes.pretrain.average import main
from tests.small import SMALL


def saved(file: Path, seed: int, config: MusicTowerConfig = SMALL) -> Path:
    save_music_tower(untrained_music_tower(config, seed), file, Provenance(f"music {seed}", {}))
    return file


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_every_weight_lies_at_its_share_between_both(tmp_path: Path, share: float) -> None:
    first, second = saved(tmp_path / "1.safetensors", 1), saved(tmp_path / "2.safetensors", 2)
    out = tmp_path / "out.safetensors"
    assert main([str(first), str(second), str(out), "--share", str(share)]) == 0
    a, b, mean = (load_music_tower(file)[0].state_dict() for file in (first, second, out))
    for name, value in mean.items():
        torch.testing.assert_close(value, (1 - share) * a[name] + share * b[name])
    provenance = load_music_tower(out)[1]
    assert provenance.training == "music 2, averaged with weights trained on music 1"
    assert [part["share"] for part in provenance.details["mean_of"]] == [1 - share, share]


def test_towers_of_different_sizes_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = saved(tmp_path / "1.safetensors", 1)
    second = saved(tmp_path / "2.safetensors", 2, replace(SMALL, token_layers=SMALL.token_layers + 1))
    out = tmp_path / "out.safetensors"
    assert main([str(first), str(second), str(out)]) == 2
    assert "different sizes" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("share", ["-0.1", "1.1", "nan"])
def test_a_share_outside_its_range_is_refused(tmp_path: Path, share: str) -> None:
    first = saved(tmp_path / "1.safetensors", 1)
    with pytest.raises(SystemExit) as end:
        main([str(first), str(first), str(tmp_path / "out.safetensors"), f"--share={share}"])
    assert end.value.code == 2
