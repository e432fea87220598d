"""All scores of sets of dances: better dances come out better."""

import dataclasses
import math

import numpy as np
import pytest

from motion_data.errors import DataError
from recipes.dance_metrics.dance import Dance
from recipes.dance_metrics.scores import (
    HEADINGS,
    DanceScores,
    dance_results,
    dance_scores,
)
from recipes.dance_metrics.scores import (
    TRUTH as TRUE_DANCES,
)
from recipes.results.record import Results, Run, item_table
from tests.dancing import constructed

TRUTH = [constructed(seed) for seed in range(10)]


def measured(dances: list[Dance], truth: list[Dance] = TRUTH) -> list[Results]:
    return dance_results(Run("dance", "d", "u"), dances, truth)


def against(dances: list[Dance], truth: list[Dance] = TRUTH) -> DanceScores:
    return dance_scores(measured(dances, truth))


def scored(dances: list[Dance]) -> dict[str, float]:
    return {key: one.value for key, one in against(dances).generated.items()}


@pytest.fixture(scope="module")
def sets() -> dict[str, dict[str, float]]:
    """Figures of the truth itself, others of its kind, half a beat late, frozen, and trembling at random."""
    return {
        "truth": scored(TRUTH),
        "alike": scored([constructed(seed) for seed in range(100, 110)]),
        "late": scored([constructed(seed, late=0.5) for seed in range(10)]),
        "frozen": scored(
            [dataclasses.replace(d, joints=np.repeat(d.joints[:1], len(d.joints), axis=0)) for d in TRUTH]
        ),
        "random": scored(
            [
                dataclasses.replace(
                    d, joints=d.joints + np.random.default_rng(k).normal(0, 0.1, d.joints.shape)
                )
                for k, d in enumerate(TRUTH)
            ]
        ),
    }


@pytest.mark.slow
def test_every_measure_is_there(sets: dict[str, dict[str, float]]) -> None:
    for figures in sets.values():
        assert tuple(figures) == tuple(HEADINGS)
        assert all(math.isfinite(value) for value in figures.values())


def test_distances_tell_what_does_not_move_like_the_truth(sets: dict[str, dict[str, float]]) -> None:
    for key in ("fid_kinetic", "fid_geometric"):
        assert sets["truth"][key] == pytest.approx(0, abs=1e-8)
        assert sets["alike"][key] < sets["frozen"][key] < sets["random"][key]


def test_diversity_tells_dances_that_are_all_alike(sets: dict[str, dict[str, float]]) -> None:
    assert sets["frozen"]["div_kinetic"] == pytest.approx(0, abs=1e-9)
    assert 0.5 < sets["alike"]["div_kinetic"] / sets["truth"]["div_kinetic"] < 2


@pytest.mark.parametrize("key", ["beat_align_fact", "beat_align_bailando", "contacts_on_beats"])
def test_beats_tell_who_dances_to_the_music(sets: dict[str, dict[str, float]], key: str) -> None:
    assert sets["frozen"][key] == 0
    for other in ("late", "random"):
        assert sets["truth"][key] > sets[other][key]
        assert sets["alike"][key] > sets[other][key]


def test_steps_tell_apart_what_beat_align_does_not(sets: dict[str, dict[str, float]]) -> None:
    assert sets["late"]["contacts_on_steps"] > 0.9
    assert sets["random"]["contacts_on_steps"] < 0.3


def test_feet_tell_what_slides(sets: dict[str, dict[str, float]]) -> None:
    assert sets["frozen"]["pfc"] == 0
    assert sets["truth"]["pfc"] < 0.1 < sets["random"]["pfc"]
    assert sets["frozen"]["skating_speed"] == 0
    assert sets["truth"]["skating_speed"] < 0.1 < sets["random"]["skating_speed"]


def test_half_the_frame_rate_scores_the_same(sets: dict[str, dict[str, float]]) -> None:
    slow = scored([constructed(seed, fps=30.0) for seed in range(10)])
    assert slow["fid_kinetic"] < 0.01 * sets["alike"]["fid_kinetic"]
    assert slow["fid_geometric"] < 0.05 * sets["alike"]["fid_geometric"]
    for key in tuple(HEADINGS)[2:]:
        assert slow[key] == pytest.approx(sets["truth"][key], rel=0.05, abs=0.02)


def test_the_truth_is_scored_beside(sets: dict[str, dict[str, float]]) -> None:
    dances = [constructed(seed) for seed in range(100, 104)]
    made, true = measured(dances)
    assert (made.run.upstream, true.run.upstream) == ("u", TRUE_DANCES)
    assert [name for name, _ in item_table(made).index] == [dance.name for dance in dances]
    assert [name for name, _ in item_table(true).index] == [dance.name for dance in TRUTH]
    scores = dance_scores([made, true])
    for key in tuple(HEADINGS)[2:]:
        assert scores.truth[key].value == pytest.approx(sets["truth"][key])
    assert scores.truth["fid_kinetic"].value > 0
    assert any("4 generated and 10 true dances for 72 features" in warning for warning in scores.warnings)
    for measures in (scores.generated, scores.truth):
        for key in tuple(HEADINGS)[2:]:
            assert measures[key].low <= measures[key].value <= measures[key].high
    assert against([TRUTH[0], TRUTH[1]], TRUTH[:3]).truth["fid_kinetic"].text() == "–"


def test_without_music_the_rest_is_scored() -> None:
    mute = [dataclasses.replace(dance, beats=None, steps=None) for dance in TRUTH]
    scores = against(mute[:4], mute)
    undefined = {key for key, one in scores.generated.items() if math.isnan(one.value)}
    assert undefined == {"beat_align_fact", "beat_align_bailando", "contacts_on_beats", "contacts_on_steps"}


def test_too_few_or_equal_names_are_refused() -> None:
    with pytest.raises(DataError, match=r"1 generated dance\(s\); expected at least 2"):
        measured(TRUTH[:1], TRUTH)
    with pytest.raises(DataError, match=r"0 true dance\(s\)"):
        measured(TRUTH, [])
    with pytest.raises(DataError, match=f"two generated dances are named {TRUTH[0].name}"):
        measured([TRUTH[0], TRUTH[0]], TRUTH)
