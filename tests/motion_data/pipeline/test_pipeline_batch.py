"""Clips as a batch: padded, with their motions on the frames of the music's features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from motion_data.labels import Labels
from motion_data.motion import Motion
from motion_data.negatives.drawing import NegativeCounts
from motion_data.negatives.recipe import Negative, sample_motion, to_source_time
from motion_data.pipeline.batch import Batch, collate
from motion_data.pipeline.beat_targets import BeatTargets, beat_targets, spread_pulses
from motion_data.pipeline.config import PipelineConfig
from motion_data.pipeline.example import Example
from motion_data.pipeline.padded_targets import PaddedTarget
from motion_data.pipeline.reader import ClipReader
from motion_data.skeleton import JOINTS
from motionbeat_upstream.tracking.grid import beats_to_bars, time_to_beats
from tests.bent_motion import bent as bent_motion
from tests.made_corpus import Made, write_corpus

PHASE = 0.4

Clips = list[Example]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    made = [Made(f"p{i}", bpm=100.0 + i, seconds=8.0, joints=i % 3 != 0) for i in range(4)]
    corpus = write_corpus(tmp_path_factory.mktemp("corpus"), made)
    config = PipelineConfig(bars=2, batch_size=4, fps=50.0, margin_seconds=1.0, start_place=None)
    return next(ClipReader(corpus, "train", config, negatives=NegativeCounts()))


def laid(
    clips: Clips,
    rolled: bool = False,
    motions: bool = True,
    motion_grids: bool = False,
    targets: Sequence[str] = (),
) -> Batch:
    return collate(clips, PHASE, np.random.default_rng(0), rolled, motions, motion_grids, targets)


def test_clips_are_padded_with_zeros_and_lengths_fit(clips: Clips) -> None:
    batch = laid(clips)
    assert len(batch) == len(clips)
    assert batch.wav.shape == (len(clips), int(batch.wav_lengths.max()))
    assert torch.equal(batch.frame_lengths, -(-batch.wav_lengths // 320))
    for row, example in enumerate(clips):
        length = int(batch.wav_lengths[row])
        assert torch.equal(batch.wav[row, :length], example.wav)
        assert not batch.wav[row, length:].any()
        frames = int(batch.frame_lengths[row])
        for curve in (batch.beats.beat, batch.beats.downbeat, batch.beats.tempo, batch.beats.position):
            assert not curve[row, frames:].any()
    assert batch.names == tuple(example.pair.name for example in clips)
    assert batch.starts == tuple(example.start for example in clips)
    assert batch.annotated == tuple(example.grid for example in clips)
    numbers = list(zip(batch.pieces.tolist(), batch.takes.tolist(), strict=True))
    assert numbers == [example.group_ids for example in clips]
    expected = beat_targets(batch.annotated, batch.frame_lengths.tolist())
    for field in fields(expected):
        assert torch.equal(getattr(batch.beats, field.name), getattr(expected, field.name))


def test_own_motions_come_first_and_negatives_know_their_clip(clips: Clips) -> None:
    batch, size = laid(clips), len(clips)
    recipes = tuple(negative for example in clips for negative in example.negatives)
    assert recipes
    assert batch.negatives == recipes
    assert batch.owner.tolist()[:size] == list(range(size))
    assert batch.owner.tolist()[size:] == [
        row for row, example in enumerate(clips) for _ in example.negatives
    ]
    assert torch.equal(batch.motion_lengths, batch.frame_lengths[batch.owner])
    assert all(batch.owner_grids[r] is batch.grids[int(o)] for r, o in enumerate(batch.owner))
    assert batch.has_joints[:size].tolist() == [bool(example.motion.names) for example in clips]
    for row, length in enumerate(batch.motion_lengths.tolist()):
        assert not batch.joints[row, length:].any()
        assert not batch.pulses[row, length:].any()
        assert batch.pulses[row].min() >= 0
        assert batch.pulses[row].max() <= 1
    assert torch.equal(batch.contacts, spread_pulses(batch.pulses[:size].amax(-1)))


def test_pulses_of_a_side_lie_where_its_touch_downs_are(clips: Clips) -> None:
    batch = laid(clips)
    for row, example in enumerate(clips):
        for side, name in enumerate(("left", "right")):
            times = [
                time
                for limb, times in example.motion.pulses.items()
                if limb.startswith(name)
                for time in times
                if 0 <= time < int(batch.motion_lengths[row]) / 50
            ]
            frames = np.flatnonzero(batch.pulses[row, :, side].numpy())
            assert all(np.abs((frames + 0.5) / 50 - time).min() <= 0.0101 for time in times)
            assert all(min(abs((frame + 0.5) / 50 - time) for time in times) <= 0.0201 for frame in frames)


def test_negatives_are_the_bent_motions(clips: Clips) -> None:
    batch = laid(clips)
    wanted: list[tuple[Motion, Negative | None]] = [(example.motion, None) for example in clips]
    wanted += [(clips[negative.source].motion, negative) for negative in batch.negatives]
    for place, (motion, negative) in enumerate(wanted):
        bent = motion if negative is None else bent_motion(negative, motion)
        if not bent.names:
            assert not batch.joints[place].any()
            continue
        length = int(batch.motion_lengths[place])
        clock = (np.arange(length) + 0.5) / 50
        middle = slice(10, length - 10)
        for joint in (0, 5, 20):
            for axis in range(3):
                expected = np.interp(clock, bent.times, bent.joints[:, joint, axis].astype(np.float64))
                found = batch.joints[place, :length, joint, axis].numpy()
                # Off by up to half a frame, and smoothed.
                assert np.abs(found - expected)[middle].max() < 0.05
                if np.ptp(expected) > 0.02:
                    assert np.corrcoef(found[middle], expected[middle])[0, 1] > 0.99


def test_negatives_need_no_seam(clips: Clips) -> None:
    for example in clips:
        for negative in example.negatives:
            motion = clips[negative.source].motion
            first, last = to_source_time(negative, np.array([0.0, negative.duration]))
            assert motion.start <= first
            assert last <= motion.start + motion.seconds


def test_a_paired_motion_is_interpolated_as_a_bent_one_is() -> None:
    """Of white noise, which has it all, the share of each frequency is the same on average."""
    motion = Motion(
        50.0,
        JOINTS,
        np.random.default_rng(0).normal(size=(400, 22, 3)),
        -1.0,
        None,
        {"left_foot": np.empty(0)},
    )
    still = Negative("jittered", 0, 0.0, (0.0, 5.0), (0.37, 5.37), 5.0)
    power = []
    for negative in (None, still):
        draws = np.random.default_rng(1).uniform(-0.5, 0.5, 40)
        spectra = [
            np.abs(np.fft.rfft(sample_motion(motion, (np.arange(250) + 0.5 + u) / 50, negative)[0], axis=0))
            ** 2
            for u in draws
        ]
        power.append(np.mean(spectra, axis=(0, 2, 3)))
    assert np.abs(np.log(power[0][1:-1] / power[1][1:-1])).max() < 0.35


def test_every_clip_begins_at_one_place_of_the_bar_that_it_is_shown(clips: Clips) -> None:
    true: list[float] = []
    shown: list[float] = []
    batch = laid(clips)
    for plain, moved in zip(batch.annotated, batch.grids, strict=True):
        assert plain is not None
        for grid, places in ((plain, true), (moved, shown)):
            turns, _ = beats_to_bars(grid)
            places.append((float(time_to_beats(grid, np.zeros(1))[0]) / grid.metre + turns[0]) % 1)
    assert shown == pytest.approx([PHASE] * len(batch), abs=1e-6)
    assert np.ptp(true) > 0.1
    stand_in, *rest = laid([replace(clips[0], grid=None), *clips[1:]]).grids
    assert stand_in.confidence == 0
    assert all(grid.confidence == 1 for grid in rest)


def test_a_rolled_motion_is_the_motion_from_another_moment_on(clips: Clips) -> None:
    plain, rolled, again = (laid(clips, roll) for roll in (False, True, True))
    assert torch.equal(rolled.joints, again.joints)
    for row, length in enumerate(plain.frame_lengths.tolist()):
        there, moved = (batch.pulses[row, :length].sum(1).numpy() for batch in (plain, rolled))
        assert abs(moved.sum() - there.sum()) <= 4
        one, other = (np.abs(np.fft.rfft(curve - curve.mean())) for curve in (there, moved))
        # The same strokes at other times: of like strength at each frequency, in another place.
        assert np.corrcoef(one, other)[0, 1] > 0.6
    assert not torch.equal(plain.pulses[: len(clips)], rolled.pulses[: len(clips)])


def test_without_negatives_there_are_the_own_motions_alone(clips: Clips) -> None:
    assert len(laid([replace(example, negatives=()) for example in clips]).owner) == len(clips)


def test_without_motions_all_else_is_the_same(clips: Clips) -> None:
    whole, bare = laid(clips), laid(clips, motions=False)
    assert bare.joints.shape[0] == bare.pulses.shape[0] == bare.contacts.shape[0] == len(bare.owner) == 0
    assert (bare.owner_grids, bare.negatives) == ((), ())
    for name in ("wav", "wav_lengths", "frame_lengths", "pieces", "takes"):
        assert torch.equal(getattr(bare, name), getattr(whole, name))
    for one, other in zip(bare.grids, whole.grids, strict=True):
        assert np.array_equal(one.beats, other.beats)


def test_labels_come_along_and_targets_where_they_are_asked_for(clips: Clips) -> None:
    drums = Labels({"drums": np.array([[0.1, 0.4, 2.0, 90.0]])})
    labelled = [replace(clips[0], labels=drums), *clips[1:]]
    batch = laid(labelled)
    assert batch.labels == (drums, *(Labels(),) * (len(clips) - 1))
    assert not batch.targets
    struck = laid(labelled, targets=["drum_onsets"]).targets["drum_onsets"]
    assert struck.values.shape[:2] == batch.beats.beat.shape
    assert struck.values.nonzero().tolist() == [[0, 5, 2]]
    assert struck.known.tolist() == [True] + [False] * (len(clips) - 1)


def test_a_batch_moves_whole(clips: Clips) -> None:
    batch = laid(clips, targets=["pitch_roll", "chord_roots"])
    before = {field.name: getattr(batch, field.name) for field in fields(batch)}
    batch.to(torch.device("meta"))
    parts: list[Batch | BeatTargets | PaddedTarget] = [batch, batch.beats, *batch.targets.values()]
    for part in parts:
        assert all(
            value.is_meta for field in fields(part) if isinstance(value := getattr(part, field.name), Tensor)
        )
    assert batch.names == before["names"]
    assert batch.grids is before["grids"]
