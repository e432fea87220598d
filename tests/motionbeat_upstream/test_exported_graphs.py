"""Exported and compiled models: the frame path as ONNX and by torch.export."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from motionbeat_upstream import hubconf
from motionbeat_upstream.checkpoint import Provenance, save_music_tower
from motionbeat_upstream.commands import onnx as command
from motionbeat_upstream.config import MusicTowerConfig
from motionbeat_upstream.errors import ConfigError
from motionbeat_upstream.expert import UpstreamExpert
from motionbeat_upstream.nn.frame_path import FramePath, export_frame_path
from motionbeat_upstream.nn.music_tower import BeatLogits, MusicTower, untrained_music_tower
from motionbeat_upstream.tracking.frontend import length_mask
from tests.small import SMALL, music

HEADS = replace(SMALL, grid_from="heads")

Outputs = Mapping[str, Tensor]


def made(config: MusicTowerConfig) -> MusicTower:
    return untrained_music_tower(config).eval()


def batch(samples: int, count: int) -> tuple[Tensor, Tensor]:
    """Music of several lengths, the first being the longest."""
    lengths = [max(1, samples - 731 * index) for index in range(count)]
    wav = torch.zeros(count, samples)
    for row, length in enumerate(lengths):
        wav[row, :length] = music(length / 16_000, 90 + 20 * row, row)[:length] * 10.0**-row
    return wav, torch.tensor(lengths)


@torch.inference_mode()
def check(tower: MusicTower, run: Callable[[Tensor, Tensor], Outputs], samples: int, count: int) -> None:
    """Check that the outputs equal those of the tower within 1e-4."""
    wav, lengths = batch(samples, count)
    expected, actual = tower.encode_frames(wav, lengths), run(wav, lengths)
    for layer, state in enumerate(expected.hidden_states):
        torch.testing.assert_close(actual[f"hidden_state_{layer}"], state, rtol=0, atol=1e-4)
    assert f"hidden_state_{len(expected.hidden_states)}" not in actual
    assert isinstance(expected.beats, BeatLogits)
    inside = length_mask(expected.frame_lengths, expected.pulses.shape[1])
    for name, logits in vars(expected.beats).items():
        torch.testing.assert_close(actual[name][inside], logits[inside], rtol=0, atol=1e-4)


SIZES = [(1, 1), (320, 2), (321, 1), (4_999, 4), (16_000, 1), (40_001, 2)]
"""Samples and clips; the graphs are exported at others."""


@pytest.mark.parametrize(("samples", "count"), SIZES)
def test_the_frame_path_equals_the_tower_for_shipped_weights(samples: int, count: int) -> None:
    tower = hubconf.motionbeat().tower
    check(tower, FramePath(tower), samples, count)


def test_the_frame_path_has_the_front_end_layer() -> None:
    tower = made(replace(SMALL, n_mels=16, front_end_layer=True))
    check(tower, FramePath(tower), 9_000, 2)


def test_silence_and_a_loud_pure_tone() -> None:
    tower = hubconf.motionbeat().tower
    wav = torch.stack([torch.zeros(32_000), torch.sin(torch.arange(32_000) * 0.17)])
    lengths = torch.tensor([32_000, 32_000])
    with torch.inference_mode():
        states, actual = tower.encode_frames(wav, lengths).hidden_states, FramePath(tower)(wav, lengths)
    torch.testing.assert_close(actual[f"hidden_state_{len(states) - 1}"], states[-1], rtol=0, atol=1e-4)


def test_torch_export() -> None:
    tower = made(replace(HEADS, trunk="depthwise"))
    run = export_frame_path(FramePath(tower)).module()
    for samples, count in SIZES[2:]:
        check(tower, run, samples, count)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, MusicTower]:
    pytest.importorskip("onnxscript")
    folder = tmp_path_factory.mktemp("onnx")
    tower = made(HEADS)
    save_music_tower(tower, folder / "small.safetensors", Provenance("made", {"seed": 5}))
    assert command.main([str(folder / "small.onnx"), "-k", str(folder / "small.safetensors")]) == 0
    return folder / "small.onnx", tower


@pytest.mark.parametrize(("samples", "count"), SIZES)
def test_onnxruntime(exported: tuple[Path, MusicTower], samples: int, count: int) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(exported[0])
    names = [output.name for output in session.get_outputs()]

    def run(wav: Tensor, lengths: Tensor) -> Outputs:
        values = session.run(names, {"wav": wav.numpy(), "lengths": lengths.numpy()})
        return {name: torch.from_numpy(value) for name, value in zip(names, values, strict=True)}

    check(exported[1], run, samples, count)


def test_metadata(exported: tuple[Path, MusicTower]) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(exported[0])
    actual = session.get_modelmeta().custom_metadata_map
    assert MusicTowerConfig.from_dict(json.loads(actual["config"])) == HEADS
    assert json.loads(actual["provenance"]) == {"seed": 5}
    assert (actual["training"], actual["sample_rate"], actual["frame_rate"]) == ("made", "16000", "50")
    assert [(value.name, value.shape) for value in session.get_inputs()] == [
        ("wav", ["batch", "samples"]),
        ("lengths", ["batch"]),
    ]
    shapes = {value.name: value.shape for value in session.get_outputs()}
    assert shapes["hidden_state_0"] == ["batch", "frames", HEADS.dim]
    assert shapes["downbeat"] == ["batch", "frames"]
    assert sorted(exported[0].parent.iterdir()) == [exported[0], exported[0].with_suffix(".safetensors")]


def test_a_refused_export_leaves_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    headless, file = tmp_path / "headless.safetensors", tmp_path / "out.onnx"
    save_music_tower(made(replace(SMALL, beat_heads=False)), headless, Provenance("made", {}))

    def refused(*arguments: object) -> str:
        assert command.main([str(file), *map(str, arguments)]) == 2
        assert list(tmp_path.iterdir()) == [headless]
        line, *others = capsys.readouterr().err.splitlines()
        assert not others
        return line

    assert "no beat heads; use a checkpoint" in refused("-k", headless)
    for opset in (7, 17, 999):
        assert f"--opset {opset}: " in refused("--opset", opset)

    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert (
        "needs onnxscript, which is not installed; in MotionBeat's folder: pip install '.[onnx]'" in refused()
    )


def test_an_existing_file_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "out.onnx"
    file.write_text("mine")
    assert command.main([str(file)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert file.read_text() == "mine"


def test_an_unsupported_opset_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.helper.make_model(
        onnx.helper.make_graph([], "empty", [], []), opset_imports=[onnx.helper.make_opsetid("", 18)]
    )
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: SimpleNamespace(model_proto=model))
    monkeypatch.setattr("motionbeat_upstream.nn.frame_path.export_frame_path", lambda _: None)
    expert = UpstreamExpert(made(HEADS), Provenance("none", {}))
    with pytest.raises(ConfigError, match="--opset 24: not supported"):
        command.onnx_model(expert, 24)


def test_a_compiled_model_has_equal_outputs() -> None:
    expert = UpstreamExpert(made(HEADS), Provenance("none", {})).eval()
    # The back end that generates code takes a minute; what the project decides is where graphs end.
    compiled = torch.compile(expert, backend="eager")
    for seconds in (2.0, 3.1):
        wavs = [music(seconds, 120, 0), music(seconds - 1, 90, 1)]
        with torch.inference_mode():
            expected, actual = expert(wavs), compiled(wavs)
        assert actual.keys() == expected.keys()
        for layer, state in zip(actual["hidden_states"], expected["hidden_states"], strict=True):
            torch.testing.assert_close(layer, state, rtol=0, atol=1e-4)
        torch.testing.assert_close(actual["embedding"], expected["embedding"], rtol=0, atol=1e-4)
        for ours, theirs in zip(actual["grids"], expected["grids"], strict=True):
            np.testing.assert_array_equal(ours.beats, theirs.beats)
