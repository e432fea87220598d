"""Silence, fades and applause around music, and pairs known to have no beats, through to the loss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_data.corpora.constructed import surroundings
from motion_data.corpora.constructed.arrangement import Arrangement, Part
from motion_data.corpora.constructed.plan import BEATLESS, Mix, make_arrangement, make_audio, plan_pair
from motion_data.corpora.constructed.preparing import make_pair
from motion_data.corpora.constructed.surroundings import (
    BEATLESS_SOUNDS,
    DOWNBEAT_TOLERANCE_SECONDS,
    MIN_AUDIBLE_GAIN,
    MIN_MUSIC_BARS,
    MIN_MUSIC_SECONDS,
    Surroundings,
    apply_surroundings,
    beatless_sound,
    draw_surroundings,
    music_gain,
    trim_to_music,
)
from motion_data.loading import LoadedPair, load_pair
from motion_data.pair import NO_BEATS, MotionPair, from_record, to_record
from motion_data.pipeline.batch import Batch, collate
from motion_data.pipeline.beat_targets import beat_targets
from motion_data.pipeline.config import PipelineConfig
from motion_data.pipeline.example import cut_example
from motion_data.pipeline.plan import PlannedClip
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.nn.music_tower import BeatHeads
from motionbeat_upstream.tracking.grid import regular_grid
from recipes.pretrain.criterion.beat_losses import BeatHeadSettings, beat_head_losses

SECONDS = 16.0
CONFIG = PipelineConfig(bars=None, seconds=12.0)


def arrangement(bpm: float = 120.0, metre: int = 4, seconds: float = SECONDS) -> Arrangement:
    """A stroke on each half beat."""
    grid = regular_grid(seconds, bpm, metre, 0.3)
    grid = replace(
        grid, beats=grid.beats[grid.beats < seconds], positions=grid.positions[grid.beats < seconds]
    )
    starts = np.arange(-1.7, seconds, 30 / bpm) + 0.0
    notes = np.stack([starts, 0 * starts + 0.1, 0 * starts + 38, 0 * starts + 90], axis=1)
    return Arrangement((Part("drums", 0, True, notes),), grid, "rock", bpm, 0.5, 0.5, "steady", seconds)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(50, 215), st.integers(2, 7))
def test_music_within_its_bounds_keeps_its_grid(seed: int, bpm: float, metre: int) -> None:
    whole = arrangement(bpm, metre)
    around = draw_surroundings(whole, np.random.default_rng(seed))
    piece = trim_to_music(whole, around)
    # What is left is a stretch of the grid that was there, beats and positions alike.
    first = int(np.searchsorted(whole.grid.beats, piece.grid.beats[0]))
    kept = slice(first, first + len(piece.grid.beats))
    assert np.array_equal(piece.grid.beats, whole.grid.beats[kept])
    assert np.array_equal(piece.grid.positions, whole.grid.positions[kept])
    if piece.surroundings == around and not around.fade_in and not around.fade_out:
        starts = piece.parts[0].notes[:, 0]
        if around.start > 0:
            assert starts.min() >= around.start - DOWNBEAT_TOLERANCE_SECONDS
            assert piece.grid.beats[0] == around.start
            assert piece.grid.positions[0] == 1
        if np.isfinite(around.stop):
            assert starts.max() <= around.stop + DOWNBEAT_TOLERANCE_SECONDS
            assert piece.grid.beats[-1] == around.stop
            assert piece.grid.positions[-1] == 1
        bar = metre * 60 / bpm
        lasts = min(around.stop, SECONDS) - around.start
        assert lasts == SECONDS or lasts > max(MIN_MUSIC_SECONDS, MIN_MUSIC_BARS * bar) - 1e-6
    heard = music_gain(around, SECONDS, piece.grid.beats)
    assert piece.surroundings != around or (heard >= MIN_AUDIBLE_GAIN).all()


def test_every_kind_of_surroundings_is_drawn() -> None:
    whole = arrangement()
    drawn = [draw_surroundings(whole, np.random.default_rng(seed)) for seed in range(400)]
    assert np.mean([one == surroundings.NO_SURROUNDINGS for one in drawn]) == pytest.approx(0.66, abs=0.1)
    assert sum(one.start > 0 for one in drawn) > 20
    assert sum(np.isfinite(one.stop) for one in drawn) > 20
    assert sum(one.applause for one in drawn) > 5
    assert sum(one.fade_in > 0 for one in drawn) > 5
    assert sum(one.fade_out > 0 for one in drawn) > 10


def test_fades_and_applause_are_where_they_should_be() -> None:
    flat = np.full(round(SECONDS * SAMPLE_RATE), 0.5, dtype=np.float32)
    faded = apply_surroundings(flat, Surroundings(fade_in=4.0, fade_out=4.0), np.random.default_rng(0))
    level = np.abs(faded[::1600])
    assert level[0] < 0.01
    assert level[-1] < 0.01
    assert (np.diff(level[:40]) >= 0).all()
    assert (np.diff(level[-40:]) <= 0).all()
    assert level[80] == pytest.approx(0.5)
    clapped = apply_surroundings(0 * flat, Surroundings(stop=8.0, applause=True), np.random.default_rng(0))
    assert np.abs(clapped[: 8 * SAMPLE_RATE]).max() == 0
    assert np.abs(clapped[-SAMPLE_RATE:]).max() > 0.01
    assert apply_surroundings(flat, surroundings.NO_SURROUNDINGS, np.random.default_rng(0)) is flat


@pytest.mark.parametrize("kind", BEATLESS_SOUNDS)
def test_what_is_no_music_has_no_pulse(kind: str) -> None:
    """The autocorrelation of its envelope at no tempo stands out from what chance gives."""
    lags = np.arange(round(100 * 60 / 215), round(100 * 60 / 50))
    for seed in range(6):
        sound = beatless_sound(kind, SECONDS, np.random.default_rng(seed))
        assert sound.dtype == np.float32
        assert len(sound) == SECONDS * SAMPLE_RATE
        assert np.array_equal(sound, beatless_sound(kind, SECONDS, np.random.default_rng(seed)))
        assert (np.abs(sound).max() < 1e-3) == (kind == "silence")
        envelope = np.sqrt(np.square(sound[: len(sound) // 160 * 160].reshape(-1, 160)).mean(axis=1))
        rises = np.maximum(np.diff(envelope), 0)
        rises -= rises.mean()
        again = [float(rises[:-lag] @ rises[lag:]) for lag in lags]
        assert max(again) / float(rises @ rises) < 0.35


# From the plan to the loss


def beatless(index: int) -> MotionPair:
    return make_pair(plan_pair(0, index, {}, SECONDS, None, Mix({BEATLESS: 1.0})))


def batch_of(*loaded: LoadedPair) -> Batch:
    examples = [
        cut_example(one.at_rate(CONFIG.fps), PlannedClip(number, 0), CONFIG, 0, (number, number))
        for number, one in enumerate(loaded)
    ]
    return collate(examples, 0.0, np.random.default_rng(0))


@pytest.mark.slow
def test_a_pair_without_beats_says_so_and_stands_still() -> None:
    seen = set()
    for index in range(12):
        pair = beatless(index)
        assert (pair.grid, pair.metre, pair.bpm) == (NO_BEATS, None, None)
        assert from_record(to_record(pair), "a line").grid == NO_BEATS
        seen.add(pair.provenance["style"])
        loaded = load_pair(pair, ".")
        assert loaded.grid is None
        assert np.array_equal(loaded.wav.numpy(), load_pair(pair, ".").wav.numpy())
        assert all(len(times) == 0 for times in loaded.motion.pulses.values())
        speed = np.linalg.norm(np.diff(loaded.motion.joints.astype(float), axis=0), axis=-1) * 60
        assert speed.max() < 0.3
        assert speed.max() > 0.001
    assert seen == set(BEATLESS_SOUNDS)


def test_no_beats_reach_the_loss_as_no_beat_anywhere_and_unknown_ones_do_not() -> None:
    """Only a pair that is known to have no beats pulls its own frames down, beats and downbeats alike."""
    known = load_pair(beatless(0), ".")
    unknown = replace(known, pair=replace(known.pair, grid="none"))
    batch = batch_of(known, unknown)
    assert batch.beats.has_beats.tolist() == [True, False]
    assert batch.beats.has_bars.tolist() == [False, False]
    assert batch.beats.has_downbeats.tolist() == [True, False]
    assert not batch.beats.beat.any()
    torch.manual_seed(0)
    heads = BeatHeads(8)
    frames = batch.beats.beat.shape[1]
    mask = torch.arange(frames) < batch.frame_lengths[:, None]
    for kind in ("widened", "shift_tolerant"):
        chosen = BeatHeadSettings(loss=kind)
        logits = heads(torch.randn(2, frames, 8))
        beat, downbeat = logits.beat.detach().requires_grad_(), logits.downbeat.detach().requires_grad_()
        logits = replace(logits, beat=beat, downbeat=downbeat)
        loss, parts = beat_head_losses(logits, batch.beats, mask, chosen)
        loss.backward()
        for leaf in (beat, downbeat):
            assert leaf.grad is not None
            # Every frame, or every maximum, is pushed down; nothing is pushed up.
            assert (leaf.grad[0] >= 0).all()
            assert (leaf.grad[0] > 0).any()
            assert not leaf.grad[1].any()
        assert not any(bool(parts[name].detach()) for name in ("metre", "position", "tempo"))
        low = replace(logits, beat=0 * logits.beat - 9, downbeat=0 * logits.downbeat - 9)
        assert beat_head_losses(low, batch.beats, mask, chosen)[0].detach() < 1e-3


@settings(max_examples=30, deadline=None)
@given(st.floats(60, 200), st.floats(2.0, 5.0), st.floats(8.0, 11.0))
def test_silence_around_music_has_no_beats_bars_or_tempo(bpm: float, start: float, stop: float) -> None:
    grid = regular_grid(12.0, bpm, 4, start)
    inside = (grid.beats >= start) & (grid.beats <= stop)
    grid = replace(grid, beats=grid.beats[inside], positions=grid.positions[inside])
    targets = beat_targets([grid], [600])
    assert targets.has_beats.all()
    centre = (torch.arange(600) + 0.5) / 50
    silent = (centre < start - 0.02) | (centre > grid.beats[-1] + 60 / bpm + 0.02)
    assert silent.sum() > 50
    assert not targets.beat[0][silent].any()
    assert not targets.downbeat[0][silent].any()
    assert not targets.tempo[0][silent].any()
    assert not targets.position[0][silent].any()
    # Beats and downbeats are trained there, as none; metre and position are not.
    heads, mask = BeatHeads(8), torch.ones(1, 600, dtype=torch.bool)
    features = torch.randn(1, 600, 8)
    leaves = {}
    logits = heads(features)
    for name in ("beat", "downbeat", "metre", "position", "tempo"):
        leaves[name] = getattr(logits, name).detach().requires_grad_()
    beat_head_losses(replace(logits, **leaves), targets, mask, BeatHeadSettings())[0].backward()
    trained = {name: leaf.grad[0].reshape(600, -1).abs().sum(1) > 0 for name, leaf in leaves.items()}
    assert trained["beat"].all()
    assert trained["downbeat"].all()
    for name in ("metre", "position", "tempo"):
        assert not trained[name][silent].any(), name
        assert trained[name].any(), name


def test_silence_of_constructed_pairs_reaches_the_batch() -> None:
    """Where the music of planned pairs has not begun, the sound is still and the targets are 0."""
    checked = 0
    for index in range(60):
        planned = plan_pair(2, index, {}, SECONDS, None)
        piece = make_arrangement(planned)
        if piece.surroundings.start < 1.0 or checked == 3:
            continue
        checked += 1
        sound = make_audio(planned, piece)
        before = np.abs(sound[: round((piece.surroundings.start - 0.1) * SAMPLE_RATE)]).mean()
        assert before < np.abs(sound[round(piece.surroundings.start * SAMPLE_RATE) :]).mean()
        loaded = LoadedPair(
            make_pair(planned), torch.from_numpy(sound), load_pair(make_pair(planned), ".").motion, piece.grid
        )
        batch = batch_of(loaded)
        start = piece.surroundings.start - batch.starts[0]
        frames = batch.beats.beat[0, : max(0, int(start * 50) - 1)]
        assert batch.beats.has_beats.all()
        assert not frames.any()
    assert checked
