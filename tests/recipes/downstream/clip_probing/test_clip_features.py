"""Features of clips, kept: never computed twice, never another upstream's, file's or half an entry's."""

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
from recipes.downstream.clip_probing.clips import SHORTEST, Clip, slices
from recipes.downstream.clip_probing.features import clip_features
from recipes.downstream.clip_probing.probing import ClipProbe
from recipes.downstream.clip_probing.published import clip
from recipes.downstream.clip_probing.settings import ModelSettings
from recipes.downstream.encoder import Encoder, fingerprint, load_encoder


class Counting(nn.Module):
    """An upstream of three layers that are powers of the samples' moments, and counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, wavs: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        self.calls += 1
        frames = wavs[0][: len(wavs[0]) // 160 * 160].view(1, -1, 160)
        base = torch.stack([frames.mean(2), frames.std(2), frames.amax(2)], 2)
        return {"hidden_states": [base, base**2, base**3]}


@dataclass
class Heard:
    encoder: Encoder
    model: Counting


@pytest.fixture
def heard() -> Heard:
    model = Counting()
    return Heard(Encoder("counting", "print", model, 160.0, torch.device("cpu")), model)


def write(file: Path, seed: int, seconds: float = 1.0) -> Clip:
    wav = 0.1 * np.random.default_rng(seed).standard_normal(round(16_000 * seconds))
    soundfile.write(file, wav, 16_000, subtype="FLOAT")
    return clip(file.stem, file.stem, 0.0, file)


@given(length=st.integers(1, 100_000), seconds=st.floats(SHORTEST, 3))
@settings(max_examples=50, deadline=None)
def test_slices_are_the_whole_clip_and_of_like_length(length: int, seconds: float) -> None:
    wav = torch.arange(length, dtype=torch.float32) + 1
    parts = slices(wav, seconds)
    joined = torch.cat(parts)
    torch.testing.assert_close(joined[:length], wav)
    assert not joined[length:].any()
    assert len(joined) == max(length, round(SHORTEST * 16_000))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= round(seconds * 16_000)


def test_features_are_computed_once(heard: Heard, tmp_path: Path) -> None:
    clips = [write(tmp_path / f"{seed}.wav", seed) for seed in range(3)]
    first = clip_features(heard.encoder, clips, 0.6, tmp_path / "kept")
    assert heard.model.calls == 6
    again = clip_features(heard.encoder, clips, 0.6, tmp_path / "kept")
    assert heard.model.calls == 6
    for one, other in zip(first, again, strict=True):
        torch.testing.assert_close(one.means, other.means, rtol=0, atol=0)
        torch.testing.assert_close(one.frames, other.frames, rtol=0, atol=0)
    assert first[0].means.shape == (2, 3, 3)
    fresh = clip_features(heard.encoder, clips, 0.6, None)
    torch.testing.assert_close(fresh[1].means, first[1].means, rtol=0, atol=0)
    assert heard.model.calls == 12


def test_a_stale_entry_is_impossible(heard: Heard, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    one = write(tmp_path / "a.wav", 1)
    (before,) = clip_features(heard.encoder, [one], 1.0, kept)
    # Another sound under the same name, another upstream, another cut: each is computed.
    write(tmp_path / "a.wav", 2)
    (after,) = clip_features(heard.encoder, [one], 1.0, kept)
    assert not torch.equal(before.means, after.means)
    clip_features(replace(heard.encoder, fingerprint="other"), [one], 1.0, kept)
    clip_features(heard.encoder, [one], 0.7, kept)
    assert heard.model.calls == 5
    # The same sound under another name is known. Written anew, a file holds the time of writing.
    copy = replace(one, name="b", file=Path(shutil.copy(tmp_path / "a.wav", tmp_path / "b.wav")))
    clip_features(heard.encoder, [copy], 1.0, kept)
    assert heard.model.calls == 5


def test_what_is_made_is_known_by_its_samples(heard: Heard, tmp_path: Path) -> None:
    wavs = [torch.randn(16_000), torch.randn(16_000)]
    clips = [Clip("same", "same", np.zeros((), np.float32), partial(torch.clone, wav)) for wav in wavs]
    for _ in range(2):
        found = clip_features(heard.encoder, clips, 1.0, tmp_path)
    assert heard.model.calls == 2
    assert not torch.equal(found[0].means, found[1].means)


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.95])
def test_half_an_entry_is_never_read(heard: Heard, tmp_path: Path, keep: float) -> None:
    kept = tmp_path / "kept"
    one = write(tmp_path / "a.wav", 1)
    (whole,) = clip_features(heard.encoder, [one], 1.0, kept)
    (entry,) = kept.rglob("*.safetensors")
    content = entry.read_bytes()
    entry.write_bytes(content[: int(keep if keep > 1 else keep * len(content))])
    (again,) = clip_features(heard.encoder, [one], 1.0, kept)
    assert heard.model.calls == 2
    torch.testing.assert_close(again.means, whole.means)
    assert entry.read_bytes()[:8] == content[:8]
    # An entry under another's name is not taken for it.
    other = kept / entry.parent.name / "other.safetensors"
    other.write_bytes(entry.read_bytes())
    write(tmp_path / "a.wav", 5)
    clip_features(heard.encoder, [one], 1.0, kept)
    (new,) = [path for path in kept.rglob("*.safetensors") if path not in (entry, other)]
    new.write_bytes(other.read_bytes())
    clip_features(heard.encoder, [one], 1.0, kept)
    assert heard.model.calls == 4


def test_layers_are_weighed_by_what_they_say_and_not_by_their_size() -> None:
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
    # A number that is the same for all says nothing, however it is rounded.
    means[:, :, 5] = probes[0].mean[:, 5]
    torch.testing.assert_close(probes[0](means), probes[1](scaled), rtol=1e-3, atol=1e-4)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_slices_observed_batch_by_batch_are_those_observed_at_once(sizes: list[int], seed: int) -> None:
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


def test_one_slice_alone_can_be_trained_on() -> None:
    probe = ClipProbe(2, 6, 3, ModelSettings("mlp", 8, 0.2)).train()
    one = torch.randn(1, 2, 6)
    probe.observe(one)
    logits = probe(one)
    assert bool(torch.isfinite(logits).all())
    logits.sum().backward()


def test_a_fingerprint_knows_weights_and_upstreams() -> None:
    untrained = load_encoder("a", "motionbeat_untrained")
    assert untrained.fingerprint == load_encoder("b", "motionbeat_untrained").fingerprint
    prints = {
        load_encoder("x", name).fingerprint for name in ("motionbeat", "motionbeat_log_mel", "fbank", "mfcc")
    }
    assert len(prints | {untrained.fingerprint}) == 5
    # Settings that change features and no weight.
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


def test_features_that_are_no_numbers_are_refused(heard: Heard) -> None:
    with pytest.raises(MotionBeatError, match="counting: its features are no numbers"):
        heard.encoder.layers(torch.full((16_000,), torch.nan))
