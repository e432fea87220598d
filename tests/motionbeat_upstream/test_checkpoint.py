import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from motionbeat_upstream.checkpoint import (
    CheckpointError,
    Provenance,
    load_motionbeat,
    load_music_tower,
    read_music_config,
    save_music_tower,
    tensors_sha256,
)
from motionbeat_upstream.config import MusicTowerConfig
from motionbeat_upstream.nn.music_tower import untrained_music_tower
from motionbeat_upstream.shipped import SHIPPED, SHIPPED_MOTION

SMALL = MusicTowerConfig(dim=16, heads=2, token_layers=1, trunk_dilations=(1, 2), embedding_dim=8)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    save_music_tower(
        untrained_music_tower(SMALL, seed=3), path, Provenance("made clips", {"step": 7, "seed": 3})
    )
    return path


def resave(path: Path, changes: dict[str, str | None], weights: dict[str, Any] | None = None) -> Path:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        metadata = {**file.metadata(), **changes}
    remaining = {key: value for key, value in metadata.items() if value is not None}
    save_file({**load_file(path), **(weights or {})}, path, remaining)
    return path


def test_round_trip(saved: Path) -> None:
    tower, provenance = load_music_tower(saved)
    assert tower.config == SMALL
    assert provenance == Provenance("made clips", {"step": 7, "seed": 3})
    assert provenance.trained
    assert not tower.training
    for name, tensor in untrained_music_tower(SMALL, seed=3).state_dict().items():
        assert (tower.state_dict()[name] == tensor).all()
    assert [p.name for p in saved.parent.iterdir()] == ["small.safetensors"]


def test_grid_source_is_stored(tmp_path: Path) -> None:
    config = replace(SMALL, grid_from="pulses", grid_trust=0.75)
    save_music_tower(untrained_music_tower(config), tmp_path / "a.safetensors", Provenance("made", {}))
    assert load_music_tower(tmp_path / "a.safetensors")[0].config == config


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere\.safetensors.*found nothing"):
        load_music_tower(tmp_path / "nowhere.safetensors")
    with pytest.raises(CheckpointError, match="found a folder"):
        load_music_tower(tmp_path)


@pytest.mark.parametrize("keep", [0, 4, 100, 0.5, 0.999])
def test_a_truncated_file(saved: Path, keep: float) -> None:
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(keep * len(whole)) if keep < 1 else int(keep)])
    with pytest.raises(CheckpointError, match=r"small\.safetensors: not a complete safetensors file"):
        load_music_tower(saved)


def test_a_pickle_is_refused_and_not_executed(tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return (ran.touch, ())

    for name, data in (
        ("a.pt", pickle.dumps(Harmful())),
        ("b.safetensors", pickle.dumps(Harmful(), protocol=0)),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match="not a complete safetensors file"):
            load_music_tower(path)
    zipped = tmp_path / "c.ckpt"
    torch.save({"weights": Harmful()}, zipped)
    with pytest.raises(CheckpointError, match="not a complete safetensors file"):
        load_music_tower(zipped)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": None}, "found None; this is a file of another model"),
        ({"format_version": "99"}, "format version '99', but this release reads version 2"),
        ({"format_version": "1"}, "format version '1', but this release reads version 2"),
        ({"config": None}, "configuration or provenance cannot be read"),
        ({"config": "[]"}, "configuration or provenance cannot be read"),
        ({"config": "{}"}, "missing key 'arch'"),
        ({"config": "{"}, "configuration or provenance cannot be read"),
        ({"provenance": "3"}, "configuration or provenance cannot be read"),
    ],
)
def test_wrong_metadata(saved: Path, changes: dict[str, str | None], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_music_tower(resave(saved, changes))


def test_weights_that_do_not_match(saved: Path) -> None:
    with pytest.raises(CheckpointError, match=r"stem.bias has shape \(3,\), expected \(16,\)"):
        load_music_tower(resave(saved, {}, {"trunk.stem.bias": torch.zeros(3)}))


def test_unexpected_and_non_finite_weights(saved: Path) -> None:
    with pytest.raises(CheckpointError, match=r"unexpected extra.*stem.bias contains NaN"):
        load_music_tower(
            resave(saved, {}, {"extra": torch.zeros(1), "trunk.stem.bias": torch.full((16,), torch.nan)})
        )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        # A layer of the first would take 17 GB.
        ("dim", 65_536, "has shape"),
        ("dim", 10**9, "dim must be at least 2 and at most 65536, got 1000000000"),
        ("token_layers", 10**6, "token_layers must be at least 1 and at most 65536"),
        ("trunk_dilations", 3, "trunk_dilations must be integers of at least 1, got 3"),
        ("harmonics", [0, 1e300], "harmonics must be integers"),
        ("arch", ["small"], "arch must be a name"),
    ],
)
def test_a_configuration_larger_than_the_memory_is_refused(
    saved: Path, name: str, value: object, message: str
) -> None:
    config = {**SMALL.to_dict(), name: value}
    with pytest.raises(CheckpointError, match=message):
        load_music_tower(resave(saved, {"config": json.dumps(config)}))


def test_a_failed_save_does_not_change_the_old_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def full_disk(weights: object, path: Path, metadata: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("motionbeat_upstream.checkpoint.save_file", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_music_tower(untrained_music_tower(SMALL), saved, Provenance("none", {}))
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_the_configuration_is_read_without_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "small.safetensors"
    save_music_tower(untrained_music_tower(SMALL), path, Provenance("made", {}))
    monkeypatch.setattr("motionbeat_upstream.checkpoint.read_weights", None)
    assert read_music_config(path) == SMALL
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="not a complete safetensors file"):
        read_music_config(path)


def test_the_hash_depends_on_names_types_shapes_and_values() -> None:
    zeros = torch.zeros(2, 3)
    others = [
        {"b": zeros},
        {"a": zeros.T},
        {"a": zeros.int()},
        {"a": zeros + 1},
        {"a": zeros, "b": zeros},
        {},
    ]
    hashes = {tensors_sha256(tensors) for tensors in [{"a": zeros}, *others]}
    assert len(hashes) == 7
    # As files of trained motion sides hold it.
    assert load_motionbeat(SHIPPED, SHIPPED_MOTION, same_step=True)
