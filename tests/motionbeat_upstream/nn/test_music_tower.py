"""The music tower: its outputs for a clip do not depend on the batch, the gain or wrong downbeats."""

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from motionbeat_upstream.config import architecture
from motionbeat_upstream.errors import ConfigError
from motionbeat_upstream.nn import music_tower, token_encoder
from motionbeat_upstream.nn.music_tower import MusicFeatures, MusicTower, untrained_music_tower
from motionbeat_upstream.tracking.accents import DEFAULT_TRUST
from motionbeat_upstream.tracking.beat_estimation import estimate_grids
from motionbeat_upstream.tracking.frontend import frame_count, log_mel, onset_envelope
from motionbeat_upstream.tracking.grid import Grid, regular_grid
from tests.small import SMALL, music


@pytest.fixture(scope="module")
def tower() -> MusicTower:
    return untrained_music_tower(SMALL).eval()


def run(tower: MusicTower, clips: list[Tensor], grids: list[Grid] | None = None) -> MusicFeatures:
    lengths = torch.tensor([len(clip) for clip in clips])
    with torch.no_grad():
        features: MusicFeatures = tower(
            torch.nn.utils.rnn.pad_sequence(clips, batch_first=True), lengths, grids
        )
    return features


def test_sizes_of_the_architectures() -> None:
    tiny, base = (MusicTower(architecture(name)) for name in ("tiny", "base"))
    assert sum(p.numel() for p in tiny.parameters()) <= 4_000_000
    assert 90e6 <= sum(p.numel() for p in base.parameters()) <= 100e6


def test_the_front_end_layer_is_the_log_mel_and_changes_nothing_else() -> None:
    config = replace(SMALL, n_mels=12)
    plain = untrained_music_tower(config).eval()
    tower = untrained_music_tower(replace(config, front_end_layer=True)).eval()
    clips = [music(2.0, 100, 0), music(1.3, 120, 1)]
    features, expected = run(tower, clips), run(plain, clips)
    first, *others = features.hidden_states
    assert len(features.hidden_states) == tower.config.layers == plain.config.layers + 1
    torch.testing.assert_close(others, expected.hidden_states, rtol=0, atol=0)
    assert list(tower.config.trunk_layers) == [1, 2, 3]
    for row, clip in enumerate(clips):
        mel, _ = log_mel(clip[None], torch.tensor([len(clip)]), 12)
        frames = mel.shape[1] // 2
        torch.testing.assert_close(first[row, :frames, :24], mel.view(frames, 24), rtol=0, atol=1e-5)
        assert not first[row, frames:].any()
    assert not first[..., 24:].any()
    with pytest.raises(ConfigError, match="front_end_layer needs dim of at least"):
        replace(SMALL, front_end_layer=True).validate()


@settings(deadline=None, max_examples=8)
@given(
    st.lists(st.tuples(st.floats(0.001, 5), st.floats(60, 190)), min_size=2, max_size=3), st.integers(0, 99)
)
def test_features_do_not_depend_on_the_batch(clips: list[tuple[float, float]], seed: int) -> None:
    check_batch_independence(clips, seed)


@settings(deadline=None, max_examples=4)
@given(st.floats(0.001, 2), st.floats(6, 9), st.integers(0, 99))
def test_a_short_clip_in_a_batch_with_several_attention_blocks(short: float, long: float, seed: int) -> None:
    with (
        patch.object(token_encoder, "BLOCK", 12),
        patch.object(token_encoder, "CONTEXT", 4),
    ):
        check_batch_independence([(short, 120.0), (long, 120.0)], seed)


def check_batch_independence(clips: list[tuple[float, float]], seed: int) -> None:
    tower = untrained_music_tower(SMALL).eval()
    wavs = [music(seconds, bpm, seed + index) for index, (seconds, bpm) in enumerate(clips)]
    together = run(tower, wavs)
    for row, wav in enumerate(wavs):
        alone = run(tower, [wav])
        frames = int(alone.frame_lengths[0])
        np.testing.assert_array_equal(alone.grids[0].beats, together.grids[row].beats)
        for first, second in zip(alone.hidden_states, together.hidden_states, strict=True):
            torch.testing.assert_close(second[row, :frames], first[0], rtol=0, atol=1e-4)
            assert (second[row, frames:] == 0).all()
        torch.testing.assert_close(together.embedding[row], alone.embedding[0], rtol=0, atol=1e-4)


@settings(deadline=None, max_examples=8)
@given(st.floats(0.001, 6), st.integers(0, 99), st.sampled_from([7, 50, 64]))
def test_activations_do_not_depend_on_the_chunks(seconds: float, seed: int, chunk: int) -> None:
    tower = untrained_music_tower(SMALL).eval()
    wav = music(seconds, 120.0, seed)
    with torch.inference_mode():
        whole = tower.encode_frames(wav[None], torch.tensor([len(wav)])).beats
    assert whole is not None
    with patch.object(music_tower, "CHUNK_FRAMES", chunk):
        beat, downbeat = tower.beat_activations(wav)
    torch.testing.assert_close(beat, whole.beat[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(downbeat, whole.downbeat[0], rtol=0, atol=1e-5)


PULSES = replace(SMALL, grid_from="pulses", grid_trust=0.8)


@pytest.mark.slow
@settings(deadline=None, max_examples=8)
@example([(2.0, 60.0), (1.875, 67.0)], 1)
@given(
    st.lists(st.tuples(st.floats(0.001, 6), st.floats(60, 190)), min_size=2, max_size=3), st.integers(0, 99)
)
def test_grids_from_pulses_do_not_depend_on_the_batch(clips: list[tuple[float, float]], seed: int) -> None:
    tower = untrained_music_tower(PULSES, seed).eval()
    wavs = [music(seconds, bpm, seed + index) for index, (seconds, bpm) in enumerate(clips)]
    together = run(tower, wavs)
    for row, wav in enumerate(wavs):
        alone = run(tower, [wav])
        frames = int(alone.frame_lengths[0])
        for grid in (together.grids[row], tower.estimate_grid(wav)):
            np.testing.assert_array_equal(alone.grids[0].beats, grid.beats)
            np.testing.assert_array_equal(alone.grids[0].positions, grid.positions)
            assert alone.grids[0].confidence == grid.confidence
        torch.testing.assert_close(together.pulses[row, :frames], alone.pulses[0], rtol=0, atol=1e-4)
        assert (together.pulses[row, frames:] == 0).all()
        assert (together.pulse_activation[row, frames:] == 0).all()


def test_the_pulse_head_decides_on_the_beats() -> None:
    wav = music(12, 100, 3)
    tower = untrained_music_tower(PULSES).eval()
    plain = run(tower, [wav]).grids[0]
    with torch.no_grad():
        tower.pulse_head.weight *= -30
    assert plain.beats.tolist() != run(tower, [wav]).grids[0].beats.tolist()


def test_given_grids_are_used() -> None:
    grid = regular_grid(4, 97, 3)
    assert run(untrained_music_tower(PULSES).eval(), [music(4, 120, 0)], [grid]).grids == [grid]


def test_grids_from_onsets_use_the_onset_envelope_alone(tower: MusicTower) -> None:
    assert SMALL.grid_from == "onsets"
    assert SMALL.grid_trust == DEFAULT_TRUST
    wavs = [music(9, 120, 0), music(5.3, 84, 1), 0.1 * torch.randn(30_000)]
    wav = torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True)
    lengths = torch.tensor([len(w) for w in wavs])
    mel, frames = log_mel(wav, lengths, SMALL.n_mels)
    expected = estimate_grids(onset_envelope(mel, frames), mel, frames, (lengths / 16_000).tolist())
    for first, second in zip(expected, run(tower, wavs).grids, strict=True):
        assert first.beats.tolist() == second.beats.tolist()
        assert first.positions.tolist() == second.positions.tolist()
        assert (first.metre, first.confidence) == (second.metre, second.confidence)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_grids_from_pulses_in_half_precision(dtype: torch.dtype) -> None:
    wav = music(6, 120, 4)
    half = run(untrained_music_tower(PULSES).eval().to(dtype), [wav])
    assert half.pulses.dtype == dtype
    assert half.pulse_activation.dtype == torch.float32
    with torch.autocast("cpu", dtype):
        features = run(untrained_music_tower(PULSES).eval(), [wav])
    for grid in (half.grids[0], features.grids[0]):
        assert np.isfinite(grid.beats).all()
        assert grid.confidence > 0


def test_number_of_frames(tower: MusicTower) -> None:
    for count in (1, 319, 320, 321, 800, 16_001):
        features = run(tower, [0.1 * torch.randn(count)])
        assert features.hidden_states[-1].shape == (1, -(-count // 320), 32)
        assert int(frame_count(torch.tensor(count))) == -(-count // 320)


def test_gain_has_no_effect(tower: MusicTower) -> None:
    wav = music(6, 120, 0)
    quiet, loud = run(tower, [0.01 * wav]), run(tower, [5 * wav])
    np.testing.assert_array_equal(quiet.grids[0].beats, loud.grids[0].beats)
    torch.testing.assert_close(quiet.embedding, loud.embedding, rtol=0, atol=1e-3)


def test_wrong_downbeats_have_no_effect(tower: MusicTower) -> None:
    wav = music(8, 120, 1)
    right = regular_grid(8, 120, 4)
    # Other downbeats change every phase, but no border of a token.
    wrong = Grid(right.beats, (right.positions + 1) % 4 + 1, 4)
    a, b = run(tower, [wav], [right]), run(tower, [wav], [wrong])
    assert (a.tokens.phase - b.tokens.phase).abs().max() > 1
    torch.testing.assert_close(a.embedding, b.embedding, rtol=0, atol=1e-4)
    torch.testing.assert_close(a.hidden_states[-1], b.hidden_states[-1], rtol=0, atol=1e-4)


def test_embeddings_depend_on_the_grid(tower: MusicTower) -> None:
    wav = music(8, 120, 1)
    a, b = run(tower, [wav], [regular_grid(8, 120, 4)]), run(tower, [wav], [regular_grid(8, 90, 3)])
    assert (a.embedding - b.embedding).abs().max() > 1e-3


def test_a_click_is_in_the_frame_of_its_time() -> None:
    for sample in (4000, 8123, 15_999):
        wav = torch.zeros(1, 32_000)
        wav[0, sample] = 1
        mel, lengths = log_mel(wav, torch.tensor([32_000]), 96)
        assert int(lengths) == 200
        energy = mel[0].exp().sum(-1)
        centre = float((energy - energy.min()) @ torch.arange(200.0) / (energy - energy.min()).sum())
        assert abs((centre + 0.5) * 160 - sample) < 16


def test_spectrograms_do_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    from motionbeat_upstream.tracking import frontend

    wav, lengths = music(3, 100, 3)[None], torch.tensor([48_000])
    whole, _ = log_mel(wav, lengths, 96)
    monkeypatch.setattr(frontend, "BLOCK_FRAMES", 37)
    torch.testing.assert_close(log_mel(wav, lengths, 96)[0], whole)


def test_every_parameter_has_a_gradient(tower: MusicTower) -> None:
    fresh = untrained_music_tower(SMALL).train()
    wavs = [music(3, 120, 0), music(1, 90, 1)]
    features = fresh(
        torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True), torch.tensor([len(w) for w in wavs])
    )
    assert features.beats is not None
    outputs = (
        features.embedding,
        features.hidden_states[-1],
        features.pulses,
        *vars(features.beats).values(),
    )
    sum((part.square().sum() for part in outputs), torch.zeros(())).backward()
    for name, parameter in fresh.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_eval_is_deterministic_and_initialisation_does_not_use_the_global_generator(
    tower: MusicTower,
) -> None:
    wav = music(4, 100, 2)
    torch.testing.assert_close(run(tower, [wav]).embedding, run(tower, [wav]).embedding, rtol=0, atol=0)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    again = untrained_music_tower(SMALL)
    assert (torch.rand(3) == expected).all()
    for a, b in zip(tower.parameters(), again.parameters(), strict=True):
        assert (a == b).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_close(dtype: torch.dtype) -> None:
    wav = music(4, 120, 4)
    full = run(untrained_music_tower(SMALL).eval(), [wav])
    half = run(untrained_music_tower(SMALL).eval().to(dtype), [wav])
    np.testing.assert_array_equal(half.grids[0].beats, full.grids[0].beats)
    assert half.hidden_states[-1].dtype == dtype
    difference = (half.hidden_states[-1].float() - full.hidden_states[-1]).abs().mean()
    assert difference < (0.005 if dtype == torch.float16 else 0.03)


def test_autocast_stays_close(tower: MusicTower) -> None:
    wav = music(4, 120, 4)
    full = run(tower, [wav])
    with torch.autocast("cpu", torch.bfloat16):
        half = run(tower, [wav])
    np.testing.assert_array_equal(half.grids[0].beats, full.grids[0].beats)
    assert (half.hidden_states[-1].float() - full.hidden_states[-1]).abs().mean() < 0.03
