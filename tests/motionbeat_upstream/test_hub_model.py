"""Models in the files of the Hugging Face Hub; nothing here uses the network."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import ModelCard
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

import motionbeat_upstream as motionbeat
from motionbeat_upstream.checkpoint import Provenance, load_music_tower, save_music_tower
from motionbeat_upstream.errors import CheckpointError, MotionBeatError
from motionbeat_upstream.hub_model import MotionBeatModel, read_config
from motionbeat_upstream.nn.music_tower import untrained_music_tower
from motionbeat_upstream.shipped import SHIPPED, SHIPPED_V1
from tests.small import SMALL, music

WAVS = [music(3.0, 120.0, seed=0), music(2.0, 90.0, seed=1)]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def small(details: dict[str, Any] | None = None, **changes: Any) -> MotionBeatModel:
    tower = untrained_music_tower(replace(SMALL, **changes))
    return MotionBeatModel(tower, Provenance("made pairs", details or {"seed": 0})).eval()


def assert_equal_features(first: torch.nn.Module, second: torch.nn.Module) -> None:
    with torch.inference_mode():
        outputs, expected = first(WAVS), second(WAVS)
    for name in ("hidden_states", "embedding", "beat_tokens", "pulse_activation"):
        torch.testing.assert_close(outputs[name], expected[name], rtol=0, atol=0)


@pytest.mark.parametrize("weights", [SHIPPED, SHIPPED_V1], ids=["shipped", "v1"])
def test_a_round_trip_gives_bit_equal_features(weights: Path, tmp_path: Path) -> None:
    model = motionbeat.MotionBeatModel(*load_music_tower(weights))
    model.save_pretrained(tmp_path / "model")
    loaded = motionbeat.MotionBeatModel.from_pretrained(tmp_path / "model")
    assert not loaded.training
    assert loaded.provenance == model.provenance
    assert_equal_features(model, loaded)
    assert_equal_features(model, motionbeat.load(tmp_path / "model/model.safetensors", device="cpu"))
    files = {file.name for file in (tmp_path / "model").iterdir()}
    assert files == {"config.json", "model.safetensors", "README.md"}


@settings(deadline=None, max_examples=20)
@given(
    dim=st.sampled_from([8, 16, 32]),
    layers=st.integers(1, 3),
    dilations=st.lists(st.integers(1, 9), min_size=1, max_size=3).map(tuple),
    heads=st.booleans(),
    trust=st.floats(0, 1),
)
def test_configurations_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    dim: int,
    layers: int,
    dilations: tuple[int, ...],
    heads: bool,
    trust: float,
) -> None:
    folder = tmp_path_factory.mktemp("model")
    model = small(dim=dim, token_layers=layers, trunk_dilations=dilations, beat_heads=heads, grid_trust=trust)
    model.save_pretrained(folder)
    loaded = MotionBeatModel.from_pretrained(str(folder))
    assert loaded.tower.config == model.tower.config == read_config(folder / "config.json")
    state = loaded.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_a_pushed_model_is_loaded_by_its_id(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cache = tmp_path / "cache/models--someone--beats"
    commit = "0" * 40

    class Api:
        """The Hub: what is uploaded lies in the cache, as if it were fetched before."""

        def __init__(self, token: str | None = None) -> None:
            pass

        def create_repo(self, repo_id: str, **options: Any) -> Any:
            return type("Created", (), {"repo_id": repo_id})

        def upload_folder(self, folder_path: Path, **options: Any) -> str:
            shutil.copytree(folder_path, cache / "snapshots" / commit)
            (cache / "refs").mkdir()
            (cache / "refs/main").write_text(commit)
            return f"commit/{commit}"

    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", Api)
    model = small()
    assert model.push_to_hub("someone/beats").endswith(commit)
    loaded = MotionBeatModel.from_pretrained("someone/beats", cache_dir=tmp_path / "cache")
    assert_equal_features(model, loaded)
    assert loaded.provenance == model.provenance
    with pytest.raises(CheckpointError, match=r"someone/others: .*OWNER/NAME"):
        MotionBeatModel.from_pretrained("someone/others", cache_dir=tmp_path / "cache")


@pytest.mark.parametrize("details", [{"private": True}, {"init": {"details": {"private": True}}}])
def test_weights_for_private_use_are_not_pushed(details: dict[str, Any], tmp_path: Path) -> None:
    model = small(details)
    with pytest.raises(MotionBeatError, match="private use"):
        model.push_to_hub("someone/beats")
    with pytest.raises(MotionBeatError, match="private use"):
        model.save_pretrained(tmp_path / "model", push_to_hub=True, repo_id="someone/beats")
    assert "private use" in (tmp_path / "model/README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("weights", [SHIPPED, SHIPPED_V1], ids=["shipped", "v1"])
def test_model_card_of_shipped_weights(weights: Path) -> None:
    card = MotionBeatModel(*load_music_tower(weights)).generate_model_card()
    header = card.data.to_dict()
    assert (header["library_name"], header["license"]) == ("motionbeat", "apache-2.0")
    assert {"music", "beat-tracking"} <= set(header["tags"])
    assert f"# Model card: `{weights.name}`" in card.text
    assert "](../" not in card.text
    assert "](motionbeat" not in card.text


def test_model_card_of_other_weights(tmp_path: Path) -> None:
    trained = motionbeat.load(device="cpu")
    with torch.no_grad():
        next(trained.tower.parameters()).mul_(1.5)
    model = MotionBeatModel(trained.tower, Provenance("made pairs", {}))
    model.save_pretrained(tmp_path, model_card_kwargs={"license": "cc-by-4.0"})
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.to_dict()["license"] == "cc-by-4.0"
    assert "Trained on made pairs." in card.text
    assert "license" not in small().generate_model_card().data.to_dict()


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def rewritten(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        values = json.loads((folder / "config.json").read_text(encoding="utf-8")) | changes
        (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")

    return change


def with_text(text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "config.json").write_text(text, encoding="utf-8")

    return change


def pickled(folder: Path) -> None:
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def foreign(folder: Path) -> None:
    save_file({"weight": torch.zeros(2)}, folder / "model.safetensors")


def of_another_run(folder: Path) -> None:
    tower = untrained_music_tower(replace(SMALL, dim=16))
    save_music_tower(tower, folder / "model.safetensors", Provenance("none", {}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without("config.json"), r"contains no config\.json"),
        (without("model.safetensors"), r"contains no model\.safetensors"),
        (pickled, r"contains no model\.safetensors"),
        (with_text('{"model_type": "wav2vec2"}'), "'motionbeat', found 'wav2vec2'"),
        (with_text('{"hidden_size": 768}'), "'motionbeat', found None"),
        (with_text("[1, 2]"), "'motionbeat', found None"),
        (with_text('{"model_type"'), "as JSON"),
        (rewritten(heads=3), "multiple of 2"),
        (rewritten(unknown=3), "unknown key 'unknown'"),
        (rewritten(grid_trust=0.9), "grid_trust differ"),
        (of_another_run, "dim differ"),
        (foreign, "of another model"),
    ],
)
def test_invalid_folders_are_named_in_one_line(
    damage: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    small().save_pretrained(tmp_path / "model")
    damage(tmp_path / "model")
    with pytest.raises(CheckpointError, match=message) as error:
        MotionBeatModel.from_pretrained(tmp_path / "model")
    assert str(tmp_path / "model") in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["/no/such/folder", "../models", "a b"])
def test_a_name_that_is_neither_a_folder_nor_an_id(name: str) -> None:
    with pytest.raises(CheckpointError, match="OWNER/NAME") as error:
        MotionBeatModel.from_pretrained(name)
    assert "\n" not in str(error.value)


def test_a_checkpoint_file_is_not_a_folder() -> None:
    with pytest.raises(CheckpointError, match=r"use motionbeat_upstream\.load"):
        MotionBeatModel.from_pretrained(SHIPPED)


def test_the_package_works_without_huggingface_hub() -> None:
    code = """
import sys
sys.modules["huggingface_hub"] = None
from motionbeat_upstream import *
load(device="cpu")
import motionbeat_upstream
try:
    motionbeat_upstream.MotionBeatModel
except motionbeat_upstream.errors.MotionBeatError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "MotionBeatModel needs huggingface_hub, which is not installed; in MotionBeat's folder: "
        "pip install '.[hub]'\n"
    )
