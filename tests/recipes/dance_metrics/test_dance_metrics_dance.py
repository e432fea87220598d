"""Feet and beats of one dance: against what published codes give, and what must hold of any dance.

The numbers were computed once, outside this project, by transcriptions of the codes that each test names.
"""

import dataclasses
import math

import mir_eval
import numpy as np
import pytest

from motion_data.errors import DataError
from recipes.dance_metrics.dance import SMPL_INDEX, Dance
from recipes.dance_metrics.feet import TOES, foot_skating, physical_foot_contact
from recipes.dance_metrics.music_alignment import merge_touch_downs, movement, music_scores
from tests.dancing import constructed, swaying


def test_pfc_is_the_published_one() -> None:
    # calc_physical_score of Stanford-TML/EDGE, eval/eval_pfc.py, on the same body turned z up.
    assert physical_foot_contact(swaying(2, 150, 30.0), 30.0) == pytest.approx(2.0847197479208908)


def test_pfc_is_the_same_at_any_frame_rate() -> None:
    expected = physical_foot_contact(swaying(2, 301, 30.0), 30.0)
    for rate in (60.0, 100.0):
        found = physical_foot_contact(swaying(2, round(10 * rate) + 1, rate), rate)
        assert found == pytest.approx(expected, rel=0.03)


def test_pfc_forgives_falling_and_a_standing_foot() -> None:
    joints = swaying(2, 150, 30.0)
    standing = joints.copy()
    standing[:, SMPL_INDEX["left_foot"]] = standing[0, SMPL_INDEX["left_foot"]]
    assert physical_foot_contact(standing, 30.0) == 0
    falling = joints.copy()
    falling[:, 0] = joints[0, 0] - np.arange(150)[:, None] ** 2 * [0.0, 1e-4, 0.0]
    assert physical_foot_contact(falling, 30.0) == pytest.approx(0, abs=1e-9)
    assert physical_foot_contact(np.repeat(joints[:1], 60, axis=0), 30.0) == 0


@pytest.mark.parametrize(("height", "expected"), [(0.03, 0.2352941), (0.075, 0.092437), (0.12, 0.0084034)])
def test_skating_is_the_published_one(height: float, expected: float) -> None:
    # calculate_skating_ratio of korrawe/guided-motion-diffusion, data_loaders/humanml/utils/metrics.py.
    joints = swaying(3, 120, 20.0, size=0.06)
    joints[:, TOES, 1] += height - joints[:, TOES, 1].mean(axis=0)
    assert foot_skating(joints, 20.0, floor=0.0)[0] == pytest.approx(expected, abs=1e-6)


def test_skating_of_a_slide_on_a_floor_anywhere() -> None:
    joints = np.repeat(swaying(0, 1, 60.0), 240, axis=0)
    joints[:, TOES, 1] = -3.0
    joints[:, :, 0] += np.arange(240)[:, None] / 60 * 0.8
    ratio, speed = foot_skating(joints, 60.0)
    assert ratio > 0.95  # at both ends the mean over five frames is too low
    assert speed == pytest.approx(0.8, rel=1e-3)
    ratio, speed = foot_skating((joints - joints[:1]) / 2 + joints[:1], 60.0)
    assert ratio == 0
    assert speed == pytest.approx(0.4, rel=1e-3)
    assert math.isnan(foot_skating(joints, 60.0, floor=-4.0)[1])


def scored(dance: Dance) -> dict[str, float]:
    return music_scores(dance, movement(dance))


@pytest.mark.parametrize(
    ("seed", "fact", "bailando"),
    [(4, 0.1828496633142258, 0.18070235547590988), (5, 0.16008701472097323, 0.32512404293617136)],
)
def test_beat_align_is_the_published_ones(seed: int, fact: float, bailando: float) -> None:
    # alignment_score of google-research/mint, tools/calculate_beat_scores.py, on motion_peak_onehot; BA of
    # lisiyao21/Bailando, utils/beat_align_score.py, on calc_db.
    dance = Dance("swaying", swaying(seed, 601, 60.0), 60.0, np.arange(7, 600, 32) / 60)
    found = scored(dance)
    assert found["beat_align_fact"] == pytest.approx(fact, rel=1e-6)
    assert found["beat_align_bailando"] == pytest.approx(bailando, rel=1e-6)


def test_beats_outside_the_dance_do_not_count() -> None:
    dance = Dance("swaying", swaying(4, 601, 60.0), 60.0, np.arange(7, 600, 32) / 60)
    assert dance.beats is not None
    more = np.concatenate([[-0.4], dance.beats, [10.3, 10.9]])
    assert scored(dataclasses.replace(dance, beats=more)) == pytest.approx(scored(dance), abs=0, nan_ok=True)
    for beats in (None, np.array([11.0])):
        found = scored(dataclasses.replace(dance, beats=beats))
        assert all(math.isnan(value) for value in found.values())


def test_contacts_on_the_truth_that_the_dancer_was_made_with() -> None:
    scores = [scored(constructed(seed)) for seed in range(4)]
    assert np.mean([score["contacts_on_steps"] for score in scores]) > 0.95
    assert np.mean([score["contacts_on_beats"] for score in scores]) > 0.7
    late = [scored(constructed(seed, late=0.5)) for seed in range(4)]
    assert np.mean([score["contacts_on_steps"] for score in late]) > 0.95
    assert np.mean([score["contacts_on_beats"] for score in late]) < 0.3


def test_contacts_are_scored_as_mir_eval_does() -> None:
    dance = constructed(0)
    assert dance.beats is not None
    assert dance.steps is not None
    onto = dataclasses.replace(dance, beats=dance.steps)
    assert scored(onto)["contacts_on_beats"] == scored(onto)["contacts_on_steps"]
    shifted = dataclasses.replace(dance, steps=dance.steps + 0.04)
    assert scored(shifted)["contacts_on_steps"] > 0.9
    assert scored(dataclasses.replace(dance, steps=dance.steps + 0.12))["contacts_on_steps"] < 0.1
    assert (
        mir_eval.beat.f_measure(merge_touch_downs(dance.steps), merge_touch_downs(dance.steps + 0.0699)) == 1
    )
    unknown = scored(dataclasses.replace(dance, beats=None, steps=None))
    assert math.isnan(unknown["contacts_on_beats"])
    assert math.isnan(unknown["contacts_on_steps"])


def test_both_feet_at_once_are_one_step() -> None:
    np.testing.assert_allclose(merge_touch_downs(np.array([1.0, 0.0, 0.02, 1.06, 1.2])), [0.0, 1.0, 1.2])
    assert merge_touch_downs(np.empty(0)).shape == (0,)


def test_a_dance_that_cannot_be_is_refused_by_name() -> None:
    joints = swaying(0, 60, 60.0)
    with pytest.raises(DataError, match=r"mine: beats: expected increasing seconds"):
        Dance("mine", joints, 60.0, np.array([1.0, 0.5]))
    with pytest.raises(DataError, match=r"mine: joints of shape \(60, 72\)"):
        Dance("mine", joints.reshape(60, 72), 60.0)
    with pytest.raises(DataError, match="mine: 5000 frames per second"):
        Dance("mine", joints, 5000.0)
