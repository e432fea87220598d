import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.tracking.beat_estimation import estimate_grids
from motionbeat_upstream.tracking.frontend import log_mel, onset_envelope
from motionbeat_upstream.tracking.grid import Grid, fallback_grid
from tests.drum_patterns import beat_times, piece

N_MELS = 96
SECONDS = 16.0


def grids_of(*clips: Tensor) -> list[Grid]:
    lengths = torch.tensor([len(clip) for clip in clips])
    mel, frames = log_mel(pad_sequence(list(clips), batch_first=True), lengths, N_MELS)
    return estimate_grids(onset_envelope(mel, frames), mel, frames, (lengths / SAMPLE_RATE).tolist())


def distances(times: NDArray[np.float64], references: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of each time to the nearest reference, for times between the outer references."""
    inner = times[(times > references[0] - 0.1) & (times < references[-1] + 0.1)]
    assert len(inner) >= 2
    distance: NDArray[np.float64] = np.abs(inner[:, None] - references).min(1)
    return distance


def assert_equal_grids(first: Grid, second: Grid) -> None:
    np.testing.assert_array_equal(first.beats, second.beats)
    np.testing.assert_array_equal(first.positions, second.positions)
    assert (first.metre, first.confidence) == (second.metre, second.confidence)
    assert first.downbeat_confidence == second.downbeat_confidence


def is_fallback(grid: Grid, duration: float) -> bool:
    assert_equal_grids(grid, fallback_grid(duration))
    return grid.confidence == 0


@pytest.mark.parametrize("metre", [3, 4])
def test_beats_of_clear_patterns_are_correct_up_to_the_octave(metre: int) -> None:
    tempi = [60.0, 72.0, 85.0, 100.0, 118.0, 135.0, 150.0, 170.0, 190.0]
    clips = [piece(beat_times(bpm, SECONDS), metre, SECONDS, parts=2) for bpm in tempi]
    for bpm, grid in zip(tempi, grids_of(*clips), strict=True):
        level = round(2 * grid.bpm / bpm) / 2
        assert level in (0.5, 1.0, 2.0)
        assert grid.bpm == pytest.approx(level * bpm, rel=0.02)
        beats = beat_times(bpm * max(1.0, level), SECONDS)
        assert distances(grid.beats, beats).max() < 0.02
        # No beat is missing from the first second to the last.
        assert np.diff(grid.beats).max() < 1.2 * 60 / grid.bpm
        assert grid.beats[0] < 1.5
        assert grid.beats[-1] > SECONDS - 1.5


@pytest.mark.parametrize(
    ("metre", "parts", "tempi"),
    [
        (4, 2, (80.0, 96.0, 110.0, 128.0, 145.0)),
        (3, 2, (85.0, 100.0, 120.0, 150.0)),
        (2, 3, (80.0, 90.0, 110.0)),
    ],
)
def test_beats_and_bars_of_patterns_with_accents(metre: int, parts: int, tempi: tuple[float, ...]) -> None:
    clips = [piece(beat_times(bpm, SECONDS), metre, SECONDS, parts=parts) for bpm in tempi]
    for bpm, grid in zip(tempi, grids_of(*clips), strict=True):
        beats = beat_times(bpm, SECONDS)
        assert grid.metre == metre
        assert grid.confidence > 0.5
        assert distances(grid.beats, beats).max() < 0.015
        assert distances(beats, grid.beats).max() < 0.015
        assert distances(grid.downbeats, beats[::metre]).max() < 0.015


def test_beat_times_have_no_bias() -> None:
    beats = beat_times(113.0, 30.0, first=0.4)
    (grid,) = grids_of(piece(beats, 4, 30.0))
    nearest = beats[np.abs(grid.beats[:, None] - beats).argmin(1)]
    assert abs(float(np.mean((grid.beats - nearest)[1:-1]))) < 0.005


def test_a_change_of_tempo() -> None:
    first = beat_times(100.0, 15.0)
    beats = np.concatenate([first, first[-1] + np.arange(1, 34) * 60 / 135.0])
    duration = float(beats[-1]) + 0.5
    (grid,) = grids_of(piece(beats, 4, duration))
    clear = grid.beats[np.abs(grid.beats - first[-1]) > 3.0]
    assert distances(clear, beats).max() < 0.03
    for part, bpm in ((clear < first[-1], 100.0), (clear > first[-1], 135.0)):
        assert 60 / np.median(np.diff(clear[part])) == pytest.approx(bpm, rel=0.02)


@given(delay=st.integers(1, 150))
@settings(max_examples=8, deadline=None)
def test_a_delay_of_the_audio_delays_the_beats(delay: int) -> None:
    clip = piece(beat_times(120.0, SECONDS), 4, SECONDS)
    hiss = 0.001 * torch.randn(delay * 160, generator=torch.Generator().manual_seed(delay))
    early, late = grids_of(clip, torch.cat([hiss, clip]))
    moved = early.beats + delay * 0.01
    assert distances(moved[1:-1], late.beats).max() < 0.011
    assert distances(early.downbeats + delay * 0.01, late.downbeats).max() < 0.011


@given(gain=st.floats(1e-3, 1e2))
@settings(max_examples=6, deadline=None)
def test_gain_has_no_effect(gain: float) -> None:
    clip = piece(beat_times(104.0, 8.0), 4, 8.0)
    plain, scaled = grids_of(clip)[0], grids_of(gain * clip)[0]
    np.testing.assert_allclose(scaled.beats, plain.beats, atol=1e-3)
    np.testing.assert_array_equal(scaled.positions, plain.positions)


@st.composite
def batches(draw: st.DrawFn) -> list[Tensor]:
    clips = []
    for seed in range(draw(st.integers(2, 4))):
        seconds = draw(st.floats(0.05, 9.0))
        kind = draw(st.sampled_from(["music", "noise", "silence", "pulses"]))
        generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
        clip = 0.1 * torch.randn(max(1, round(seconds * SAMPLE_RATE)), generator=generator)
        if kind == "music" and seconds > 1.5:
            beats = beat_times(draw(st.floats(55, 195)), seconds, first=0.1)
            clip = piece(beats, draw(st.integers(2, 4)), seconds, seed)
        elif kind == "silence":
            clip = torch.zeros_like(clip)
        elif kind == "pulses":
            clip = clip * (torch.rand(len(clip), generator=generator) > 0.9995)
        clips.append(clip)
    return clips


@pytest.mark.slow
@given(clips=batches(), padding=st.integers(0, 5000), data=st.data())
@settings(max_examples=25, deadline=None)
def test_grids_do_not_depend_on_the_batch(clips: list[Tensor], padding: int, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(clips))))
    lengths = torch.tensor([len(clip) for clip in clips])
    durations = (lengths / SAMPLE_RATE).tolist()
    mels = [log_mel(clip[None], length[None], N_MELS) for clip, length in zip(clips, lengths, strict=True)]
    frames = torch.cat([count for _, count in mels])
    size = int(frames.max()) + padding
    mel = torch.cat([F.pad(mel, (0, 0, 0, size - mel.shape[1])) for mel, _ in mels])
    onset = onset_envelope(mel, frames)
    together = estimate_grids(onset[order], mel[order], frames[order], [durations[row] for row in order])
    for grid, row in zip(together, order, strict=True):
        count = int(frames[row])
        (alone,) = estimate_grids(
            onset[row : row + 1, :count], mel[row : row + 1, :count], frames[row : row + 1], [durations[row]]
        )
        assert_equal_grids(grid, alone)
        assert np.isfinite(grid.beats).all()
        assert 0 <= grid.confidence <= 1


def test_rounding_errors_of_the_features_have_no_effect() -> None:
    clips = [piece(beat_times(bpm, 12.0), 4, 12.0) for bpm in (70.0, 95.0, 128.0, 160.0)]
    lengths = torch.tensor([len(clip) for clip in clips])
    mel, frames = log_mel(torch.stack(clips), lengths, N_MELS)
    onset = onset_envelope(mel, frames)
    plain = estimate_grids(onset, mel, frames, [12.0] * 4)
    noise = 1e-6 * torch.randn(mel.shape, generator=torch.Generator().manual_seed(0))
    noisy = estimate_grids(onset_envelope(mel + noise, frames), mel + noise, frames, [12.0] * 4)
    for one, other in zip(plain, noisy, strict=True):
        np.testing.assert_allclose(other.beats, one.beats, atol=1e-4)
        np.testing.assert_array_equal(other.positions, one.positions)


def noises() -> dict[str, Tensor]:
    count = 10 * SAMPLE_RATE
    time = torch.arange(count) / SAMPLE_RATE
    white = torch.randn(count, generator=torch.Generator().manual_seed(0))
    spectrum = torch.fft.rfft(white)
    pink = torch.fft.irfft(spectrum / torch.arange(1, len(spectrum) + 1).sqrt(), n=count)
    click = torch.zeros(count)
    click[50_000] = 1.0
    return {
        "silence": torch.zeros(count),
        "white noise": 0.1 * white,
        "pink noise": pink / pink.abs().max(),
        "a tone": torch.sin(2 * torch.pi * 440 * time),
        "a chord": sum(
            (torch.sin(2 * torch.pi * f * time) for f in (220.0, 277.2, 329.6)), torch.zeros(count)
        ),
        "DC": torch.full((count,), 0.3),
        "one click": click,
        "one sample": torch.ones(1),
        "0.05 s of noise": white[:800],
        "less than two beats of music": piece(beat_times(100.0, 5.0), 4, 5.0)[:8000],
    }


@pytest.mark.parametrize("name", noises())
def test_clips_without_a_pulse_have_the_fallback_grid(name: str) -> None:
    clip = noises()[name]
    (grid,) = grids_of(clip)
    assert is_fallback(grid, len(clip) / SAMPLE_RATE)


def test_noise_of_many_lengths_rarely_has_a_pulse() -> None:
    generator = torch.Generator().manual_seed(3)
    clips = [
        0.1 * torch.randn(round(seconds * SAMPLE_RATE), generator=generator)
        for seconds in (0.5, 1.0, 2.0, 4.0, 8.0)
        for _ in range(12)
    ]
    assert sum(grid.confidence > 0 for grid in grids_of(*clips)) <= 2


def test_confidence_decreases_with_noise() -> None:
    clip = piece(beat_times(110.0, SECONDS), 4, SECONDS)
    hiss = torch.randn(len(clip), generator=torch.Generator().manual_seed(0))
    confidence = [grid.confidence for grid in grids_of(*(clip + level * hiss for level in (0, 0.05, 0.3, 3)))]
    assert confidence == sorted(confidence, reverse=True)
    assert confidence[0] > 0.8
    assert confidence[-1] < 0.1


def metronome(times: NDArray[np.float64], seconds: float, accents: Sequence[float] = (1.0,)) -> Tensor:
    """A click of 20 ms at 1 kHz at each time; ``accents`` are the levels of successive clicks."""
    wav = np.zeros(round(seconds * SAMPLE_RATE))
    time = np.arange(320) / SAMPLE_RATE
    click = 0.5 * np.sin(2 * np.pi * 1000 * time) * np.exp(-150 * time)
    for start, loud in zip(np.round(times * SAMPLE_RATE).astype(int), itertools.cycle(accents), strict=False):
        room = wav[start : start + len(click)]
        room += loud * click[: len(room)]
    return torch.from_numpy(wav).float()


def rest(seconds: float) -> Tensor:
    return torch.zeros(round(seconds * SAMPLE_RATE))


def soft_chords(beats: NDArray[np.float64], seconds: float) -> Tensor:
    """A chord of three decaying sines on each beat, which changes every four beats."""
    wav = np.zeros(round(seconds * SAMPLE_RATE))
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    for index, start in enumerate(np.round(beats * SAMPLE_RATE).astype(int)):
        pitches = ((220, 277, 330), (196, 247, 294))[index // 4 % 2]
        chord = sum((np.sin(2 * np.pi * pitch * time) for pitch in pitches), np.zeros(len(time)))
        room = wav[start : start + len(time)]
        room += (chord * np.exp(-3 * time) * np.minimum(1, 200 * time))[: len(room)]
    return torch.from_numpy(wav).float()


def at_level(wav: Tensor, decibels: float) -> Tensor:
    """Scale the waveform to a root mean square of ``decibels`` of full scale."""
    return wav * 10 ** (decibels / 20) / wav.square().mean().sqrt()


FLOORS = ("digital", "dither", "hiss", "pink room tone", "rumble", "hum")


def on_floor(wav: Tensor, name: str) -> Tensor:
    """Add a noise floor: nothing, dither, or noise at -60 dB."""
    count = len(wav)
    generator = torch.Generator().manual_seed(1)
    if name == "digital":
        return wav
    if name == "dither":
        triangle = torch.rand(count, generator=generator) - torch.rand(count, generator=generator)
        return (wav * 32767 + triangle).round() / 32767
    if name == "hum":
        return wav + at_level(torch.sin(2 * torch.pi * 50 * torch.arange(count) / SAMPLE_RATE), -60)
    frequency = torch.fft.rfftfreq(count, 1 / SAMPLE_RATE).clamp(min=20)
    power = {"hiss": 0.0, "pink room tone": 0.5, "rumble": 1.0}[name]
    spectrum = torch.fft.rfft(torch.randn(count, generator=generator)) / frequency**power
    return wav + at_level(torch.fft.irfft(spectrum, n=count), -60)


@pytest.mark.slow
@pytest.mark.parametrize("floor", FLOORS)
@pytest.mark.parametrize(("before", "after"), [(20.0, 0.0), (0.0, 30.0), (7.0, 7.0), (0.0, 2.0)], ids=str)
def test_silence_before_and_after_clicks_has_no_beats(floor: str, before: float, after: float) -> None:
    # 120 bpm for 15 s: 30 clicks, the first one right after the silence.
    clicks = metronome(np.arange(30) * 0.5, 15.0)
    (grid,) = grids_of(on_floor(torch.cat([rest(before), clicks, rest(after)]), floor))
    np.testing.assert_allclose(grid.beats, before + np.arange(30) * 0.5, atol=0.02)
    assert grid.confidence > 0.8
    assert grid.positions.tolist()[:5] == [1, 2, 3, 4, 1]
    assert grid.downbeat_confidence < 0.1


@pytest.mark.parametrize("floor", FLOORS)
def test_silence_between_clicks_has_no_beats(floor: str) -> None:
    clicks = metronome(np.arange(20) * 0.5, 10.0)
    (grid,) = grids_of(on_floor(torch.cat([clicks, rest(20.0), clicks]), floor))
    expected = np.concatenate([np.arange(20) * 0.5, 30 + np.arange(20) * 0.5])
    np.testing.assert_allclose(grid.beats, expected, atol=0.02)
    assert grid.downbeat_confidence < 0.1


def test_music_after_a_minute_of_digital_silence() -> None:
    clicks = metronome(np.arange(20) * 0.5, 10.0)
    (grid,) = grids_of(torch.cat([rest(3.0), clicks, rest(70.0), clicks, rest(60.0)]))
    expected = np.concatenate([3 + np.arange(20) * 0.5, 83 + np.arange(20) * 0.5])
    np.testing.assert_allclose(grid.beats, expected, atol=0.02)
    assert grid.confidence > 0.8


@pytest.mark.parametrize("gain", [1e-3, 1.0, 30.0])
def test_silence_is_relative_to_the_level_of_the_piece(gain: float) -> None:
    clip = on_floor(torch.cat([rest(12.0), piece(beat_times(120.0, 12.0, 0.0), 4, 12.0), rest(8.0)]), "hiss")
    (grid,) = grids_of(gain * clip)
    np.testing.assert_allclose(grid.beats[:24], 12 + np.arange(24) * 0.5, atol=0.03)
    assert grid.beats[-1] <= 24.1


@pytest.mark.parametrize("bars", [1, 2])
@pytest.mark.parametrize("floor", ["digital", "hiss"])
def test_beats_continue_through_a_break_of_a_bar_or_two(bars: int, floor: str) -> None:
    # 8 s are four bars of four at 120 bpm.
    part = piece(beat_times(120.0, 8.0, 0.0), 4, 8.0)
    seconds = 16.0 + 2 * bars
    (grid,) = grids_of(on_floor(torch.cat([part, rest(2.0 * bars), part]), floor))
    np.testing.assert_allclose(grid.beats[: 2 * int(seconds)], np.arange(0, seconds, 0.5), atol=0.03)
    assert grid.downbeats[:6] == pytest.approx(np.arange(6) * 2.0, abs=0.03)


@pytest.mark.parametrize("bars", [3, 4, 8])
@pytest.mark.parametrize("floor", ["digital", "hiss"])
def test_several_silent_bars_in_a_piece_have_no_beats(bars: int, floor: str) -> None:
    part = piece(beat_times(120.0, 8.0, 0.0), 4, 8.0)
    again = 8.0 + 2 * bars
    (grid,) = grids_of(on_floor(torch.cat([part, rest(2.0 * bars), part]), floor))
    # The last sound ends at 8 s, and has a beat.
    assert not ((grid.beats > 8.1) & (grid.beats < again - 0.1)).any()
    expected = np.concatenate([np.arange(16) * 0.5, again + np.arange(16) * 0.5])
    assert np.abs(expected[:, None] - grid.beats).min(1).max() < 0.03
    # Bars are counted through the silence.
    assert distances(grid.downbeats, np.arange(0, again + 8, 2.0)).max() < 0.03


@pytest.mark.parametrize("floor", ["digital", "hiss"])
def test_a_soft_introduction_has_beats(floor: str) -> None:
    band = piece(beat_times(120.0, 16.0, 0.0), 4, 16.0)
    level = float(10 * band.square().mean().log10())
    intro = at_level(soft_chords(np.arange(32) * 0.5, 16.0), level - 30)
    (grid,) = grids_of(on_floor(torch.cat([intro, band]), floor))
    np.testing.assert_allclose(grid.beats[:64], np.arange(64) * 0.5, atol=0.04)


def test_a_long_fade_in_has_beats_once_it_is_audible() -> None:
    band = piece(beat_times(120.0, 30.0, 0.0), 4, 30.0)
    (grid,) = grids_of(band * torch.linspace(0, 30 / 20, len(band)).clamp(max=1))
    # At 1 s it is 26 dB below its full level.
    expected = np.arange(2, 60) * 0.5
    assert np.abs(expected[:, None] - grid.beats).min(1).max() < 0.03


def test_beats_continue_through_rests_between_phrases() -> None:
    # At 90 bpm: phrases of eight notes, rests of six beats, the last chord ringing into them.
    period = 60 / 90
    phrase = torch.cat([soft_chords(np.arange(8) * period, 8 * period), rest(6 * period)])
    (grid,) = grids_of(0.1 * phrase.repeat(4))
    expected = np.arange(3 * 14 + 8) * period
    assert np.abs(expected[:, None] - grid.beats).min(1).max() < 0.05


def test_silences_do_not_depend_on_the_batch() -> None:
    clicks = metronome(np.arange(16) * 0.5, 8.0)
    clips = [
        torch.cat([rest(9.0), clicks]),
        torch.cat([clicks, rest(10.0), clicks, rest(5.0)]),
        piece(beat_times(97.0, 6.0), 4, 6.0),
    ]
    for grid, clip in zip(grids_of(*clips), clips, strict=True):
        (alone,) = grids_of(clip)
        assert_equal_grids(grid, alone)


@pytest.mark.parametrize("bpm", [60.0, 75.0, 90.0, 119.403, 120.0, 121.7, 140.0, 173.0])
@pytest.mark.parametrize("floor", ["digital", "hiss"])
def test_bars_of_equal_clicks_begin_with_the_first_and_have_no_confidence(bpm: float, floor: str) -> None:
    (grid,) = grids_of(on_floor(metronome(np.arange(0, 19.9, 60 / bpm), 20.0), floor))
    assert grid.confidence > 0
    assert grid.downbeat_confidence < 0.1
    assert grid.positions[0] == 1
    assert grid.beats[0] == pytest.approx(0, abs=0.02)


def test_bars_of_randomly_accented_clicks_have_little_confidence() -> None:
    draw = np.random.default_rng(0)
    clips = [metronome(np.arange(48) * 0.5, 24.0, draw.uniform(0.3, 1.0, 48).tolist()) for _ in range(12)]
    assert sum(grid.downbeat_confidence > 0.25 for grid in grids_of(*clips)) <= 1


def test_downbeat_confidence_increases_with_accents_and_duration() -> None:
    seconds = (3.0, 24.0)
    hiss = torch.randn(32 * SAMPLE_RATE, generator=torch.Generator().manual_seed(0))
    clips = [piece(np.arange(0, s, 0.5), 4, s) + 0.03 * hiss[: round(s * SAMPLE_RATE)] for s in seconds]
    sure = [grid.downbeat_confidence for grid in grids_of(*clips)]
    assert sure[0] < 0.2
    assert sure[1] > 0.8


@pytest.mark.parametrize("floor", ["digital", "hiss"])
def test_bars_of_accented_clicks_have_confidence(floor: str) -> None:
    # The first two clicks are an upbeat, so that bars do not begin with the first beat.
    clicks = metronome(np.arange(40) * 0.5, 20.0, (0.5, 0.5, 1.0, 0.5))
    (grid,) = grids_of(on_floor(clicks, floor))
    np.testing.assert_allclose(grid.downbeats, np.arange(1.0, 20.0, 2.0), atol=0.02)
    assert grid.downbeat_confidence > 0.8


def test_downbeat_confidence_is_at_most_that_of_beats() -> None:
    clips = [piece(beat_times(bpm, SECONDS), metre, SECONDS) for bpm in (85.0, 120.0) for metre in (3, 4)]
    for grid in grids_of(*clips):
        assert 0.3 < grid.downbeat_confidence <= grid.confidence


def test_an_ambiguous_pulse_has_at_most_half_confidence() -> None:
    # Clicks at 240 bpm have two series of beats at 120, each as good as the other; and at 60 bpm the
    # clicks may be all beats or every other one.
    even, slow, plain = grids_of(*(metronome(np.arange(0, 20, step), 20.0) for step in (0.25, 1.0, 0.5)))
    assert even.confidence < 0.6
    assert slow.confidence < 0.6
    assert plain.confidence > 0.8


def test_other_activations_than_the_onset_envelope() -> None:
    beats = beat_times(96.0, SECONDS)
    frames = torch.tensor([int(SECONDS * 100)])
    time = (torch.arange(int(frames)) + 0.5) / 100
    pulse = torch.exp(-0.5 * ((time[:, None] - torch.from_numpy(beats).float()) / 0.02) ** 2).amax(1)[None]
    mel, _ = log_mel(piece(beats, 4, SECONDS)[None], torch.tensor([int(SECONDS * SAMPLE_RATE)]), N_MELS)
    (grid,) = estimate_grids(pulse, mel, frames, [SECONDS], trust=1.0)
    assert distances(grid.beats, beats).max() < 0.01
    assert grid.bpm == pytest.approx(96.0, rel=0.01)


def test_activations_that_are_not_finite() -> None:
    mel, frames = log_mel(
        piece(beat_times(120.0, 8.0), 4, 8.0)[None], torch.tensor([8 * SAMPLE_RATE]), N_MELS
    )
    onset = onset_envelope(mel, frames)
    onset[0, 100] = float("nan")
    (grid,) = estimate_grids(onset, mel, frames, [8.0])
    assert np.isfinite(grid.beats).all()
    assert grid.confidence > 0


def test_ten_minutes_have_a_steady_grid() -> None:
    beats = beat_times(124.0, 60.0, first=0.25)
    lengths = torch.tensor([60 * SAMPLE_RATE])
    mel, _ = log_mel(piece(beats, 4, 60.0)[None], lengths, N_MELS)
    # Ten times the same minute of 124 beats, so that the pulse continues across the repetitions.
    mel = mel.repeat(1, 10, 1)
    frames = torch.tensor([mel.shape[1]])
    (grid,) = estimate_grids(onset_envelope(mel, frames), mel, frames, [600.0])
    assert len(grid.beats) == pytest.approx(1240, abs=4)
    assert np.diff(grid.beats).max() < 0.55
    assert (np.diff(np.flatnonzero(grid.positions == 1)) == 4).mean() > 0.98


@pytest.mark.parametrize(
    "change",
    [{"lengths": torch.tensor([100, 100])}, {"durations": [1.0, 1.0]}, {"log_mel": torch.zeros(1, 150, 8)}],
)
def test_shapes_that_do_not_match_are_refused(change: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {
        "activation": torch.zeros(1, 100),
        "log_mel": torch.zeros(1, 100, 8),
        "lengths": torch.tensor([100]),
        "durations": [1.0],
    }
    estimate_grids(**arguments)
    with pytest.raises(ValueError, match="do not match"):
        estimate_grids(**{**arguments, **change})
