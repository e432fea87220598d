import ast
import inspect
import itertools
from dataclasses import fields, replace
from typing import Any

import pytest

from motionbeat_upstream.config import (
    ARCHITECTURES,
    MotionTowerConfig,
    MusicTowerConfig,
    TowerConfig,
    architecture,
)
from motionbeat_upstream.errors import ConfigError


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_named_architectures_are_valid_and_round_trip(name: str) -> None:
    config = architecture(name)
    config.validate()
    assert config.arch == name
    assert MusicTowerConfig.from_dict(config.to_dict()) == config


def test_all_invalid_settings_are_listed() -> None:
    faulty = replace(
        architecture("tiny"),
        dim=190,
        trunk_kernel=4,
        trunk_dilations=(),
        harmonics=(0.5,),  # type: ignore[arg-type]
        hypermetre=(1,),
        dropout=1.0,
    )
    with pytest.raises(ConfigError) as caught:
        faulty.validate()
    for part in ("dim must", "trunk_kernel", "trunk_dilations", "harmonics", "hypermetre", "dropout"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "field", ["n_mels", "dim", "heads", "token_layers", "expansion", "subdivisions", "embedding_dim"]
)
@pytest.mark.parametrize("value", [0, -1, 1.5, "4", None, True])
def test_sizes_must_be_integers(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=field):
        replace(architecture("tiny"), **{field: value}).validate()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid_from": "beats"}, "grid_from must be one of onsets, pulses, heads, got 'beats'"),
        ({"grid_from": "heads", "beat_heads": False}, "grid_from is heads, but beat_heads is false"),
        ({"grid_from": None}, "grid_from must be one of onsets, pulses, heads, got None"),
        ({"grid_trust": 1.1}, r"grid_trust must lie in \[0, 1\], got 1.1"),
        ({"grid_trust": float("nan")}, "grid_trust must lie"),
        ({"grid_trust": "0.5"}, "grid_trust must lie"),
        ({"grid_trust": True}, "grid_trust must lie"),
    ],
)
def test_grid_source_is_checked(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MusicTowerConfig.from_dict({**architecture("tiny").to_dict(), **change})


def test_unknown_and_missing_keys_are_named() -> None:
    values = architecture("tiny").to_dict()
    del values["dim"]
    with pytest.raises(ConfigError, match=r"unknown key 'width'.*missing key 'dim'"):
        MusicTowerConfig.from_dict({**values, "width": 3})


def test_an_unknown_architecture_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="'huge'; expected one of tiny, base"):
        architecture("huge")


@pytest.mark.parametrize("kind", [MusicTowerConfig, MotionTowerConfig])
def test_every_field_has_a_docstring(kind: type[TowerConfig]) -> None:
    explained = set()
    for part in kind.__mro__[:-1]:
        (tree,) = ast.parse(inspect.getsource(part)).body
        assert isinstance(tree, ast.ClassDef)
        explained |= {
            line.target.id
            for line, following in itertools.pairwise(tree.body)
            if isinstance(line, ast.AnnAssign)
            and isinstance(line.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        }
    assert explained == {field.name for field in fields(kind)}
