"""The functions of the package: load, features, beats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

import motionbeat_upstream as motionbeat
from motionbeat_upstream.errors import AudioError, CheckpointError, ConfigError
from motionbeat_upstream.expert import UpstreamExpert
from tests.clicks_at_tempo import clicks

Samples = NDArray[np.float32]


@pytest.fixture(scope="module")
def model() -> UpstreamExpert:
    return motionbeat.load()


@pytest.fixture
def song() -> Samples:
    return clicks(120.0, 10.0)


def test_a_file_and_its_samples_have_the_same_beats(
    model: UpstreamExpert, song: Samples, tmp_path: Path
) -> None:
    path = tmp_path / "song.wav"
    soundfile.write(path, song, 16_000, subtype="FLOAT")
    file_estimate = motionbeat.beats(path, model=model)
    samples_estimate = motionbeat.beats(song, 16_000, model=model)
    np.testing.assert_array_equal(file_estimate.times, samples_estimate.times)
    assert file_estimate.bpm == pytest.approx(120, rel=0.02)
    assert set(np.diff(file_estimate.positions)) <= {1, 1 - (file_estimate.metre or 0)}
    assert f"{file_estimate.bpm:.1f} bpm" in str(file_estimate)
    assert [str(estimate) for estimate in motionbeat.iter_beats([path, path], model=model)] == [
        str(file_estimate)
    ] * 2


@pytest.mark.parametrize(
    "change",
    [
        lambda song: (np.stack([song, song]), 16_000),
        lambda song: (torch.from_numpy(song), 16_000),
        lambda song: ((song * 32767).astype(np.int16), 16_000),
        lambda song: (np.repeat(song, 2), 32_000),
    ],
    ids=["two channels", "a tensor", "16 bit", "another rate"],
)
def test_samples_of_any_kind(
    model: UpstreamExpert, song: Samples, change: Callable[[Samples], tuple[Samples, float]]
) -> None:
    expected, got = motionbeat.beats(song, 16_000, model=model), motionbeat.beats(*change(song), model=model)
    np.testing.assert_allclose(got.times, expected.times, atol=0.011)


def test_features_equal_those_of_the_upstream(model: UpstreamExpert, song: Samples) -> None:
    with torch.inference_mode():
        batch = model([torch.from_numpy(song)])
    alone = motionbeat.features(song, 16_000, model=model)
    torch.testing.assert_close(alone["hidden_states"], torch.cat(batch["hidden_states"]))
    for name in ("embedding", "beat_activation", "onset_envelope", "token_times"):
        torch.testing.assert_close(alone[name], batch[name][0])
    np.testing.assert_array_equal(alone["grid"].beats, batch["grids"][0].beats)


def test_silence_has_no_beats(model: UpstreamExpert) -> None:
    estimate = motionbeat.beats(np.zeros(80_000, np.float32), 16_000, model=model)
    assert (len(estimate.times), estimate.bpm, estimate.confidence, str(estimate)) == (
        0,
        None,
        0.0,
        "no beats",
    )


def test_hints_bound_the_tempo(model: UpstreamExpert, song: Samples) -> None:
    estimate = motionbeat.beats(song, 16_000, model=model, min_bpm=55, max_bpm=70, metres=[3])
    assert estimate.bpm == pytest.approx(60, rel=0.1)
    assert estimate.metre == 3


def test_invalid_arguments_are_refused(model: UpstreamExpert, song: Samples, tmp_path: Path) -> None:
    for call, error in (
        (lambda: motionbeat.beats(song, model=model), "need their rate"),
        (lambda: motionbeat.beats(song.reshape(-1, 2), 16_000, model=model), "transpose"),
        (lambda: motionbeat.beats(tmp_path / "a.wav", 16_000, model=model), "leave it out"),
        (lambda: motionbeat.features(np.full(16_000, np.nan), 16_000, model=model), "NaN"),
    ):
        with pytest.raises(AudioError, match=error):
            call()
    with pytest.raises(ConfigError, match="no tempo lies between"):
        motionbeat.beats(song, 16_000, model=model, min_bpm=100, max_bpm=90)
    with pytest.raises(ConfigError, match="not available"):
        motionbeat.load(device="cuda:77")
    with pytest.raises(CheckpointError, match="nobody"):
        motionbeat.load("nobody")
    with pytest.raises(AttributeError, match="nothing"):
        motionbeat.nothing  # noqa: B018
