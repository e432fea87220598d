"""Cached features of clips: computed once, of the right upstream and file, and never damaged."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from motionbeat_upstream.errors import MotionBeatError
from motionbeat_upstream.expert import UpstreamExpert
from recipes.downstream.clip_probing.clips import MIN_SECONDS, Clip, slices
from recipes.downstream.clip_probing.features import clip_features
from recipes.downstream.clip_probing.probing import ClipProbe
from recipes.downstream.clip_probing.published import file_clip
from recipes.downstream.clip_probing.settings import ModelSettings
from recipes.downstream.encoder import Encoder, fingerprint, load_encoder


class Counting(nn.Module):
    """An upstream of three layers, powers of moments of the samples, that counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, wavs: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        self.calls += 1
        frames = wavs[0][: len(wavs[0]) // 160 * 160].view(1, -1, 160)
        base = torch.stack([frames.mean(2), frames.std(2), frames.amax(2)], 2)
        return {"hidden_states": [base, base**2, base**3]}


@dataclass
class CountedEncoder:
    encoder: Encoder
    model: Counting


@pytest.fixture
def counted() -> CountedEncoder:
    model = Counting()
    return CountedEncoder(Encoder("counting", "print", model, 160.0, torch.device("cpu")), model)


def write(file: Path, seed: int, seconds: float = 1.0) -> Clip:
    wav = 0.1 * np.random.default_rng(seed).standard_normal(round(16_000 * seconds))
    soundfile.write(file, wav, 16_000, subtype="FLOAT")
    return file_clip(file.stem, file.stem, 0.0, file)


@given(length=st.integers(1, 100_000), seconds=st.floats(MIN_SECONDS, 3))
@settings(max_examples=50, deadline=None)
def test_slices_cover_the_clip_and_have_similar_lengths(length: int, seconds: float) -> None:
    wav = torch.arange(length, dtype=torch.float32) + 1
    parts = slices(wav, seconds)
    joined = torch.cat(parts)
    torch.testing.assert_close(joined[:length], wav)
    assert not joined[length:].any()
    assert len(joined) == max(length, round(MIN_SECONDS * 16_000))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= round(seconds * 16_000)


def test_features_are_computed_once(counted: CountedEncoder, tmp_path: Path) -> None:
    clips = [write(tmp_path / f"{seed}.wav", seed) for seed in range(3)]
    first = clip_features(counted.encoder, clips, 0.6, tmp_path / "cache")
    assert counted.model.calls == 6
    again = clip_features(counted.encoder, clips, 0.6, tmp_path / "cache")
    assert counted.model.calls == 6
    for cached, expected in zip(again, first, strict=True):
        torch.testing.assert_close(cached.means, expected.means, rtol=0, atol=0)
        torch.testing.assert_close(cached.frames, expected.frames, rtol=0, atol=0)
    assert first[0].means.shape == (2, 3, 3)
    fresh = clip_features(counted.encoder, clips, 0.6, None)
    torch.testing.assert_close(fresh[1].means, first[1].means, rtol=0, atol=0)
    assert counted.model.calls == 12


def test_stale_entries_are_not_read(counted: CountedEncoder, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    clip = write(tmp_path / "a.wav", 1)
    (before,) = clip_features(counted.encoder, [clip], 1.0, cache)
    # Another audio file of the same name, another upstream, another slice length: each is computed.
    write(tmp_path / "a.wav", 2)
    (after,) = clip_features(counted.encoder, [clip], 1.0, cache)
    assert not torch.equal(before.means, after.means)
    clip_features(replace(counted.encoder, fingerprint="other"), [clip], 1.0, cache)
    clip_features(counted.encoder, [clip], 0.7, cache)
    assert counted.model.calls == 5
    # The same audio under another name is read from the cache. (A new file would contain its time.)
    copy = replace(clip, name="b", file=Path(shutil.copy(tmp_path / "a.wav", tmp_path / "b.wav")))
    clip_features(counted.encoder, [copy], 1.0, cache)
    assert counted.model.calls == 5


def test_synthetic_clips_are_identified_by_their_samples(counted: CountedEncoder, tmp_path: Path) -> None:
    wavs = [torch.randn(16_000), torch.randn(16_000)]
    clips = [Clip("same", "same", np.zeros((), np.float32), partial(torch.clone, wav)) for wav in wavs]
    for _ in range(2):
        features = clip_features(counted.encoder, clips, 1.0, tmp_path)
    assert counted.model.calls == 2
    assert not torch.equal(features[0].means, features[1].means)


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.95])
def test_damaged_entries_are_not_read(counted: CountedEncoder, tmp_path: Path, keep: float) -> None:
    cache = tmp_path / "cache"
    clip = write(tmp_path / "a.wav", 1)
    (whole,) = clip_features(counted.encoder, [clip], 1.0, cache)
    (entry,) = cache.rglob("*.safetensors")
    content = entry.read_bytes()
    entry.write_bytes(content[: int(keep if keep > 1 else keep * len(content))])
    (again,) = clip_features(counted.encoder, [clip], 1.0, cache)
    assert counted.model.calls == 2
    torch.testing.assert_close(again.means, whole.means)
    assert entry.read_bytes()[:8] == content[:8]
    # An entry under another name is not read.
    other = cache / entry.parent.name / "other.safetensors"
    other.write_bytes(entry.read_bytes())
    write(tmp_path / "a.wav", 5)
    clip_features(counted.encoder, [clip], 1.0, cache)
    (new,) = [path for path in cache.rglob("*.safetensors") if path not in (entry, other)]
    new.write_bytes(other.read_bytes())
    clip_features(counted.encoder, [clip], 1.0, cache)
    assert counted.model.calls == 4


def test_the_probe_does_not_depend_on_the_scale_of_layers() -> None:
    torch.manual_seed(0)
    means = torch.randn(40, 4, 6)
    scaled = means * torch.tensor([1e-3, 1.0, 50.0, 1e4])[:, None] + 7
    scaled[:, :, 5] = 3.0
    probes = []
    for features in (means, scaled):
        torch.manual_seed(1)
        probe = ClipProbe(4, 6, 3, ModelSettings()).eval()
        probe.observe(features)
        probes.append(probe)
    means = means.clone()
    # A constant feature has no effect.
    means[:, :, 5] = probes[0].mean[:, 5]
    torch.testing.assert_close(probes[0](means), probes[1](scaled), rtol=1e-3, atol=1e-4)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_statistics_of_batches_equal_those_of_all_slices(sizes: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    means = 3 + 2 * torch.randn(sum(sizes), 2, 3, generator=generator)
    at_once, by_batch = (ClipProbe(2, 3, 2, ModelSettings()) for _ in range(2))
    at_once.observe(means)
    for batch in means.split(sizes):
        by_batch.observe(batch)
    torch.testing.assert_close(by_batch.mean, at_once.mean)
    torch.testing.assert_close(by_batch.deviation, at_once.deviation, atol=1e-4, rtol=1e-4)
    assert at_once.observed == by_batch.observed == len(means)
    torch.testing.assert_close(at_once.mean, means.mean(0))
    torch.testing.assert_close(at_once.deviation, means.std(0, correction=0))


def test_a_single_slice_can_be_trained_on() -> None:
    probe = ClipProbe(2, 6, 3, ModelSettings("mlp", 8, 0.2)).train()
    means = torch.randn(1, 2, 6)
    probe.observe(means)
    logits = probe(means)
    assert bool(torch.isfinite(logits).all())
    logits.sum().backward()


def test_a_fingerprint_depends_on_upstream_weights_and_settings() -> None:
    untrained = load_encoder("a", "motionbeat_untrained")
    assert untrained.fingerprint == load_encoder("b", "motionbeat_untrained").fingerprint
    prints = {
        load_encoder("x", name).fingerprint for name in ("motionbeat", "motionbeat_log_mel", "fbank", "mfcc")
    }
    assert len(prints | {untrained.fingerprint}) == 5
    # Settings that change features without changing weights.
    other = load_encoder("c", "motionbeat_untrained").model
    assert isinstance(other, UpstreamExpert)
    other.tower.config = replace(other.tower.config, grid_trust=0.9)
    assert fingerprint(other, torch.device("cpu")) != untrained.fingerprint
    wav = torch.randn(16_000)
    layers = untrained.layers(wav)
    assert layers.shape == (13, 50, 192)
    torch.testing.assert_close(layers, untrained.layers(wav), rtol=0, atol=0)
    with pytest.raises(MotionBeatError, match="nothing: no such upstream"):
        load_encoder("x", "nothing")


def test_features_that_are_nan_are_refused(counted: CountedEncoder) -> None:
    with pytest.raises(MotionBeatError, match="counting: its features of 16000 samples are NaN"):
        counted.encoder.layers(torch.full((16_000,), torch.nan))
