import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.tracking.frontend import FLUX_LAG, log_mel, onset_envelope

N_MELS = 40


def envelope(*clips: Tensor) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([len(clip) for clip in clips])
    mel, frames = log_mel(pad_sequence(list(clips), batch_first=True), lengths, N_MELS)
    return onset_envelope(mel, frames), frames


def noise(seconds: float, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(round(seconds * SAMPLE_RATE), generator=generator)


@given(time=st.floats(0.1, 0.9), level=st.floats(0.05, 1.0), hiss=st.floats(0.0, 1e-3))
@settings(max_examples=30, deadline=None)
def test_a_click_has_its_peak_in_the_nearest_frame(time: float, level: float, hiss: float) -> None:
    clip = hiss * level * noise(1.0, 0)
    sample = round(time * SAMPLE_RATE)
    clip[sample] += level
    peak = int(envelope(clip)[0][0].argmax())
    # Half a frame, and one sample for the click itself.
    assert abs((peak + 0.5) * 0.01 - sample / SAMPLE_RATE) <= 0.005 + 2e-3 * (hiss > 0) + 1e-4


@given(seed=st.integers(0, 99), gain=st.floats(1e-3, 1e3))
@settings(max_examples=15, deadline=None)
def test_gain_has_no_effect(seed: int, gain: float) -> None:
    clip = 0.1 * noise(0.7, seed) * torch.linspace(0, 1, round(0.7 * SAMPLE_RATE)).square()
    torch.testing.assert_close(envelope(gain * clip)[0], envelope(clip)[0], rtol=1e-3, atol=1e-3)


@given(lengths=st.lists(st.integers(1, SAMPLE_RATE), min_size=2, max_size=4), seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_envelopes_do_not_depend_on_the_batch_and_are_zero_beyond_the_end(
    lengths: list[int], seed: int
) -> None:
    clips = [0.1 * noise(1.0, seed + row)[:length] for row, length in enumerate(lengths)]
    together, frames = envelope(*clips)
    assert bool((together >= 0).all())
    for row, (clip, count) in enumerate(zip(clips, frames.tolist(), strict=True)):
        torch.testing.assert_close(together[row, :count], envelope(clip)[0][0], rtol=0, atol=1e-5)
        assert not together[row, count:].any()


@given(shift=st.integers(1, 200), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_a_delay_of_the_spectrum_delays_the_envelope(shift: int, seed: int) -> None:
    mel = torch.randn(1, 300, 8, generator=torch.Generator().manual_seed(seed))
    later = torch.cat([mel[:, :1].expand(-1, shift, -1), mel], 1)
    flux = onset_envelope(mel, torch.tensor([300]))
    delayed = onset_envelope(later, torch.tensor([300 + shift]))
    torch.testing.assert_close(delayed[:, shift + FLUX_LAG :], flux[:, FLUX_LAG:], rtol=0, atol=1e-6)


def test_sustained_and_ending_sounds_have_no_onset() -> None:
    time = torch.arange(SAMPLE_RATE) / SAMPLE_RATE
    tone = torch.sin(2 * torch.pi * 440 * time)
    stopping = tone * (time < 0.5)
    silence, constant = torch.zeros(SAMPLE_RATE), torch.full((SAMPLE_RATE,), 0.3)
    strength, _ = envelope(silence, constant, tone, stopping)
    # The windows of the last frames extend beyond the clip's end, which widens the spectrum.
    assert not strength[0].any()
    assert float(strength[1:3, FLUX_LAG:-8].max()) < 0.05
    starting = torch.flip(stopping, [0])
    assert float(envelope(starting)[0].max()) > 1.0


def test_the_envelope_equals_the_formula_in_loops() -> None:
    mel = torch.randn(1, 30, 5, generator=torch.Generator().manual_seed(1))
    flux = onset_envelope(mel, torch.tensor([25]))
    for frame in range(30):
        rises = [max(0.0, float(mel[0, frame, m] - mel[0, max(frame - FLUX_LAG, 0), m])) for m in range(5)]
        expected = sum(rises) / 5 if frame < 25 else 0.0
        assert abs(float(flux[0, frame]) - expected) < 1e-6


def test_spectrograms_shorter_than_the_lag() -> None:
    for size in (1, 2, FLUX_LAG, FLUX_LAG + 1):
        strength = onset_envelope(torch.ones(1, size, 3), torch.tensor([size]))
        assert strength.shape == (1, size)
        assert not strength.any()
