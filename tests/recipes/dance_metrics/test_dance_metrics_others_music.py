"""What a dance reaches on the music of others."""

import math
from dataclasses import replace

import numpy as np
import pytest

from recipes.dance_metrics.dance import Dance
from recipes.dance_metrics.music_alignment import (
    MAX_OTHERS,
    MUSIC_MEASURES,
    movement,
    music_scores,
    scores_on_others_music,
)
from recipes.dance_metrics.scores import OTHERS_MUSIC, dance_results
from recipes.results.record import Run, item_table
from tests.dancing import constructed

DANCES = [constructed(seed, bpm=90.0 + 7 * seed) for seed in range(8)]


def on(dance: Dance, other: Dance, key: str) -> float:
    return music_scores(replace(dance, beats=other.beats, steps=other.steps), movement(dance))[key]


def to_others(dances: list[Dance]) -> list[dict[str, float]]:
    return scores_on_others_music(dances, [movement(dance) for dance in dances])


def test_each_dance_is_laid_on_the_next_ones_of_a_circle() -> None:
    found = to_others(DANCES)
    for place, (dance, scores) in enumerate(zip(DANCES, found, strict=True)):
        next_ones = [DANCES[(place + shift) % len(DANCES)] for shift in range(1, MAX_OTHERS + 1)]
        assert tuple(scores) == MUSIC_MEASURES
        for key in MUSIC_MEASURES:
            assert scores[key] == pytest.approx(np.mean([on(dance, other, key) for other in next_ones]))


def test_dances_to_the_same_music_are_no_others() -> None:
    one, another = DANCES[:2]
    again = replace(one, name="again", joints=one.joints[:-1])
    for key, value in to_others([one, again, another])[0].items():
        assert value == pytest.approx(on(one, another, key))
    assert all(math.isnan(value) for value in to_others([one, again])[0].values())
    unknown = [replace(dance, beats=None, steps=None) for dance in DANCES[:3]]
    assert all(math.isnan(value) for scores in to_others(unknown) for value in scores.values())


def test_who_does_not_listen_meets_beats_by_chance_and_no_more() -> None:
    deaf = [replace(constructed(seed, bpm=140.0), beats=dance.beats) for seed, dance in enumerate(DANCES)]

    def own_and_others(dances: list[Dance]) -> tuple[float, float]:
        own = [music_scores(dance, movement(dance))["contacts_on_beats"] for dance in dances]
        others = [scores["contacts_on_beats"] for scores in to_others(dances)]
        return float(np.mean(own)), float(np.mean(others))

    own, others = own_and_others(DANCES)
    assert own - others > 0.4
    own, others = own_and_others(deaf)
    assert own > 0.2
    assert abs(own - others) < 0.1


def test_results_have_it_of_both_sets() -> None:
    made, true = dance_results(Run("dance", "d", "u"), DANCES[:4], DANCES)
    for results, dances in ((made, DANCES[:4]), (true, DANCES)):
        table = item_table(results)
        for key in MUSIC_MEASURES:
            expected = [scores[key] for scores in to_others(dances)]
            np.testing.assert_array_equal(table[f"{key}{OTHERS_MUSIC}"], expected)
