"""The module of HEAR's common API, by the rules that its validator checks (hearvalidator 2021.0.2 needs
TensorFlow to start; these are its checks of a PyTorch model, at its sizes)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from motionbeat_upstream import hear
from motionbeat_upstream.checkpoint import CheckpointError
from motionbeat_upstream.hubconf import motionbeat
from motionbeat_upstream.shipped import SHIPPED


@pytest.fixture(scope="module")
def model() -> hear.HearModel:
    return hear.load_model()


def test_attributes_of_the_model(model: hear.HearModel) -> None:
    assert isinstance(model, torch.nn.Module)
    assert model.sample_rate in (16_000, 22_050, 44_100, 48_000)
    assert type(model.scene_embedding_size) is int
    assert type(model.timestamp_embedding_size) is int


def test_embeddings_over_time(model: hear.HearModel) -> None:
    audio = torch.rand(16, 2 * model.sample_rate) * 2 - 1
    embeddings, timestamps = hear.get_timestamp_embeddings(audio, model)
    assert embeddings.dtype == torch.float32
    assert embeddings.shape[0] == 16
    assert embeddings.shape[:2] == timestamps.shape
    assert embeddings.shape[2] == model.timestamp_embedding_size
    steps = timestamps.diff()
    assert steps.mean() <= 50
    assert (steps - steps.mean()).abs().max() < 1e-3
    assert timestamps[0, 0] == pytest.approx(10)
    assert timestamps.max() < 2000


def test_timestamps_are_the_centres_of_frames(model: hear.HearModel) -> None:
    # A click moves what lies near it most; beyond the trunk's view nothing of the trunk changes.
    audio = torch.zeros(2, 16 * model.sample_rate)
    audio[:, ::4000] = 0.1
    centre = 8.0
    audio[1, round(centre * model.sample_rate)] = 1.0
    embeddings, timestamps = hear.get_timestamp_embeddings(audio, model)
    trunk = embeddings[..., : model.timestamp_embedding_size // 2]
    moved = (trunk[1] - trunk[0]).norm(dim=1)
    assert abs(float(timestamps[0, moved.argmax()]) / 1000 - centre) < 0.1


def test_embeddings_of_scenes(model: hear.HearModel) -> None:
    audio = torch.rand(8, int(3.74 * model.sample_rate)) * 2 - 1
    embeddings = hear.get_scene_embeddings(audio, model)
    assert embeddings.dtype == torch.float32
    assert embeddings.shape == (8, model.scene_embedding_size)
    alone = hear.get_scene_embeddings(audio[3:4], model)
    torch.testing.assert_close(alone[0], embeddings[3], rtol=1e-3, atol=1e-4)
    pooled = motionbeat()([audio[0]])["embedding"][0]
    torch.testing.assert_close(embeddings[0, -len(pooled) :], pooled, rtol=1e-3, atol=1e-4)


def test_weights_of_a_given_file(model: hear.HearModel, tmp_path: Path) -> None:
    audio = torch.rand(1, 16_000)
    loaded = hear.load_model(str(SHIPPED))
    torch.testing.assert_close(
        hear.get_scene_embeddings(audio, loaded), hear.get_scene_embeddings(audio, model)
    )
    with pytest.raises(CheckpointError, match=r"lost\.safetensors"):
        hear.load_model(str(tmp_path / "lost.safetensors"))
