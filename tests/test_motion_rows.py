"""The motions of a training step, on the frames of the music's features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from motion_data.motion import Motion
from motion_data.negatives.drawing import Wanted
from motion_data.negatives.recipe import Negative, apply, sampled, seen_at
from motion_data.pipeline.batch import Batch
from motion_data.pipeline.config import PipelineConfig
from motion_data.pipeline.negatives import HardNegatives
from motion_data.pipeline.reader import ClipReader
from motion_data.rhythm.beat_clock import beats_at
from motion_data.skeleton import JOINTS
from motionbeat_upstream.nn.grid import bar_turns
from recipes.pairing.motion_rows import motion_rows, shared_grids
from tests.made_corpus import Made, write_corpus

PLACE = 0.4


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    made = [Made(f"p{i}", bpm=100.0 + i, seconds=8.0, joints=i % 3 != 0) for i in range(4)]
    corpus = write_corpus(tmp_path_factory.mktemp("corpus"), made)
    config = PipelineConfig(bars=2, batch_size=4, fps=50.0, margin_seconds=1.0, start_place=None)
    negatives = HardNegatives(Wanted(seamless=True))
    return next(iter(ClipReader(corpus, "train", config, draw_negatives=negatives)))


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_own_motions_come_first_and_negatives_know_their_clip(batch: Batch) -> None:
    rows = motion_rows(batch, PLACE, rng())
    recipes = [n for drawn in batch.negatives for n in drawn]
    assert recipes
    assert rows.owner.tolist()[: len(batch)] == list(range(len(batch)))
    assert len(rows.owner) == len(batch) + len(recipes)
    assert torch.equal(rows.lengths, batch.feature_lengths[rows.owner])
    assert [rows.grids[r] is rows.grids[int(o)] for r, o in enumerate(rows.owner)] == [True] * len(rows.owner)
    assert torch.equal(rows.has_joints[: len(batch)], batch.has_joints)
    for row, length in enumerate(rows.lengths.tolist()):
        assert not rows.joints[row, length:].any()
        assert not rows.pulses[row, length:].any()
        assert rows.pulses[row].min() >= 0
        assert rows.pulses[row].max() <= 1


def test_pulses_of_a_side_lie_where_its_touch_downs_are(batch: Batch) -> None:
    rows = motion_rows(batch, PLACE, rng())
    for row in range(len(batch)):
        for side, name in enumerate(("left", "right")):
            times = [
                time
                for limb, times in batch.motions[row].pulses.items()
                if limb.startswith(name)
                for time in times
                if 0 <= time < int(rows.lengths[row]) / 50
            ]
            frames = np.flatnonzero(rows.pulses[row, :, side].numpy())
            assert all(np.abs((frames + 0.5) / 50 - time).min() <= 0.0101 for time in times)
            assert all(min(abs((frame + 0.5) / 50 - time) for time in times) <= 0.0201 for frame in frames)


def test_negatives_are_the_bent_motions(batch: Batch) -> None:
    rows = motion_rows(batch, PLACE, rng())
    wanted = [(row, batch.motions[row], None) for row in range(len(batch))]
    wanted += [(n.source, batch.motions[n.source], n) for drawn in batch.negatives for n in drawn]
    for place, (_, motion, negative) in enumerate(wanted):
        bent = motion if negative is None else apply(negative, motion)
        if not bent.names:
            assert not rows.joints[place].any()
            continue
        length = int(rows.lengths[place])
        clock = (np.arange(length) + 0.5) / 50
        middle = slice(10, length - 10)
        for joint in (0, 5, 20):
            for axis in range(3):
                expected = np.interp(clock, bent.times, bent.joints[:, joint, axis].astype(np.float64))
                found = rows.joints[place, :length, joint, axis].numpy()
                # Off by up to half a frame, and smoothed.
                assert np.abs(found - expected)[middle].max() < 0.05
                if np.ptp(expected) > 0.02:
                    assert np.corrcoef(found[middle], expected[middle])[0, 1] > 0.99


def test_negatives_need_no_seam(batch: Batch) -> None:
    for drawn in batch.negatives:
        for negative in drawn:
            motion = batch.motions[negative.source]
            first, last = seen_at(negative, np.array([0.0, negative.duration]))
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
    still = Negative("jittered", 0, 0.0, (0.0, 5.0), (0.37, 5.37), 5.0, 5.0)
    power = []
    for negative in (None, still):
        draws = np.random.default_rng(1).uniform(-0.5, 0.5, 40)
        spectra = [
            np.abs(np.fft.rfft(sampled(motion, (np.arange(250) + 0.5 + u) / 50, negative)[0], axis=0)) ** 2
            for u in draws
        ]
        power.append(np.mean(spectra, axis=(0, 2, 3)))
    assert np.abs(np.log(power[0][1:-1] / power[1][1:-1])).max() < 0.35


def test_every_clip_begins_at_one_place_of_the_bar_that_it_is_shown(batch: Batch) -> None:
    true: list[float] = []
    shown: list[float] = []
    for plain, moved in zip(batch.grids, shared_grids(batch, PLACE), strict=True):
        assert plain is not None
        for grid, places in ((plain, true), (moved, shown)):
            turns, _ = bar_turns(grid)
            places.append((float(beats_at(grid, np.zeros(1))[0]) / grid.metre + turns[0]) % 1)
    assert shown == pytest.approx([PLACE] * len(batch), abs=1e-6)
    assert np.ptp(true) > 0.1
    stand_in, *rest = shared_grids(replace(batch, grids=(None, *batch.grids[1:])), PLACE)
    assert stand_in.confidence == 0
    assert all(grid.confidence == 1 for grid in rest)


def test_a_rolled_motion_is_the_motion_from_another_moment_on(batch: Batch) -> None:
    plain, rolled, again = (motion_rows(batch, PLACE, rng(), roll) for roll in (False, True, True))
    assert torch.equal(rolled.joints, again.joints)
    for row, length in enumerate(batch.feature_lengths.tolist()):
        there, moved = (rows.pulses[row, :length].sum(1).numpy() for rows in (plain, rolled))
        assert abs(moved.sum() - there.sum()) <= 4
        one, other = (np.abs(np.fft.rfft(curve - curve.mean())) for curve in (there, moved))
        # The same strokes at other times: of like strength at each frequency, in another place.
        assert np.corrcoef(one, other)[0, 1] > 0.6
    assert not torch.equal(plain.pulses[: len(batch)], rolled.pulses[: len(batch)])


def test_without_negatives_there_are_the_own_motions_alone(batch: Batch, tmp_path: Path) -> None:
    assert len(motion_rows(replace(batch, negatives=()), PLACE, rng()).owner) == len(batch)
