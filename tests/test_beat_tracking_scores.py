from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_data.beats_file import Beats
from recipes.downstream.beat_tracking.report import Evaluation, write_report
from recipes.downstream.beat_tracking.scores import PieceScores, mean_scores, score_piece
from recipes.downstream.beat_tracking.settings import TaskSettings


def grid(seconds: float = 30.0, bpm: float = 120.0, start: float = 0.2, metre: int = 4) -> Beats:
    times = np.arange(start, seconds, 60 / bpm)
    return Beats(times, np.arange(len(times)) % metre + 1)


@settings(deadline=None)
@given(seconds=st.floats(9, 60), bpm=st.floats(60, 200), start=st.floats(0, 0.3), late=st.floats(-0.06, 0.06))
def test_beats_within_the_window_are_right_and_their_lateness_is_told(
    seconds: float, bpm: float, start: float, late: float
) -> None:
    truth = grid(seconds, bpm, start + 0.06)
    row = score_piece("a", "dbn", truth, Beats(truth.times + late, truth.positions))
    assert row.beat["F"] == pytest.approx(1.0, abs=0.07)  # a beat at the trim may fall on either side
    assert row.bias == pytest.approx(late, abs=1e-9)
    if late == 0:
        assert row.beat == {"F": 1.0, "CMLt": 1.0, "AMLt": 1.0} == row.downbeat


def test_other_metrical_levels_count_for_amlt_only() -> None:
    truth = grid()
    half = score_piece("a", "dbn", truth, Beats(truth.times[::2], np.resize([1, 2], 30)))
    assert half.beat["F"] == pytest.approx(2 / 3, abs=0.02)
    assert half.beat["CMLt"] == 0
    assert half.beat["AMLt"] > 0.95
    off = score_piece("a", "dbn", truth, Beats(truth.times + 0.25, truth.positions))
    assert off.beat["F"] == 0
    assert off.beat["AMLt"] > 0.95
    assert off.bias is None


def test_downbeats_are_scored_by_themselves() -> None:
    truth = grid()
    wrong_phase = Beats(truth.times, np.roll(truth.positions, 1))
    row = score_piece("a", "dbn", truth, wrong_phase)
    assert row.beat["F"] == 1.0
    assert row.downbeat is not None
    assert row.downbeat["F"] == 0


def test_annotated_times_are_not_rounded_to_frames() -> None:
    # 69 ms off is right and 71 ms is wrong; on a grid of 20 ms they would be the same.
    truth = grid()
    assert score_piece("a", "x", truth, Beats(truth.times + 0.069, truth.positions)).beat["F"] == 1.0
    assert score_piece("a", "x", truth, Beats(truth.times + 0.071, truth.positions)).beat["F"] == 0.0


def test_the_start_is_trimmed_where_enough_is_left() -> None:
    truth = grid()
    noise = np.arange(0.05, 5, 0.1)
    noisy = Beats(
        np.sort(np.concatenate([noise, truth.times[truth.times >= 5]])), np.resize([1, 2, 3, 4], 100)
    )
    assert score_piece("a", "x", truth, noisy).trimmed
    assert score_piece("a", "x", truth, noisy).beat["F"] == 1.0
    assert score_piece("a", "x", truth, noisy, trim_seconds=0.0).beat["F"] < 1.0
    # Six seconds leave two beats, seven four beats but no two downbeats.
    for seconds in (6.0, 7.0):
        row = score_piece("a", "x", grid(seconds), grid(seconds))
        assert not row.trimmed
        assert row.beat["F"] == 1.0
        assert row.downbeat is not None
        assert row.downbeat["F"] == 1.0


def test_pieces_without_downbeats_are_left_out_of_their_mean_only() -> None:
    truth = grid()
    bare = Beats(truth.times, np.zeros(len(truth.times), dtype=np.int64))
    rows = [score_piece("a", "x", truth, truth), score_piece("b", "x", bare, truth)]
    assert rows[1].downbeat is None
    means = mean_scores(rows, 100, 0)
    assert means["beat"]["F"].pieces == 2
    assert means["downbeat"]["F"].pieces == 1
    assert means["downbeat"]["F"].low is None
    assert "downbeat" not in mean_scores(rows[1:], 100, 0)


def test_no_estimate_scores_nothing_and_says_nothing() -> None:
    nothing = Beats(np.empty(0), np.empty(0, dtype=np.int64))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        row = score_piece("a", "x", grid(), nothing)
    assert row.beat == {"F": 0.0, "CMLt": 0.0, "AMLt": 0.0}


def row_of(value: float, name: str = "a", decoder: str = "dbn") -> PieceScores:
    scores = {"F": value, "CMLt": value, "AMLt": value}
    return PieceScores(name, decoder, scores, scores, True, 0.01)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=30), st.integers(0, 5))
def test_the_interval_holds_the_mean_and_is_set_by_the_seed(values: list[float], seed: int) -> None:
    mean = mean_scores([row_of(value) for value in values], 200, seed)["beat"]["F"]
    assert mean.mean == pytest.approx(np.mean(values))
    assert mean.low is not None
    assert mean.high is not None
    assert min(values) - 1e-9 <= mean.low <= mean.high <= max(values) + 1e-9
    assert mean == mean_scores([row_of(value) for value in values], 200, seed)["beat"]["F"]


def test_the_interval_is_the_known_one_for_many_pieces() -> None:
    values = np.random.default_rng(0).normal(0.5, 0.1, 400)
    mean = mean_scores([row_of(value) for value in values], 2000, 0)["beat"]["F"]
    error = values.std() / np.sqrt(len(values))
    assert mean.low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert mean.high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)


def test_the_report_holds_what_it_takes_to_repeat_it(tmp_path: Path) -> None:
    evaluation = Evaluation(
        split="test",
        data="somewhere",
        sizes={"train": 4, "dev": 1, "test": 3},
        upstream="fbank",
        seed=7,
        step=400,
        thresholds=(0.4, 0.6),
        loss=1.25,
        settings=TaskSettings(),
        options={"optimizer": {"lr": 0.005}},
    )
    untold = PieceScores("bare", "dbn", row_of(0.5).beat, None, False, None)
    rows = [row_of(0.8, "one"), untold, row_of(0.2, "one", "peaks"), row_of(0.1, "bare", "peaks")]
    text = write_report(tmp_path, evaluation, rows)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores-test.json", "scores-test.md"]
    written = (tmp_path / "scores-test.md").read_text()
    # What is printed has the means; the table of pieces is in the file.
    assert written.startswith(text)
    assert "| one | peaks | 0.200 |" in written
    assert "| one |" not in text
    assert "| dbn | beat | 2 | 0.650 [0.500, 0.800] |" in text
    assert "| dbn | downbeat | 1 | 0.800 |" in text
    assert "No downbeats marked, so not scored for them: bare." in text
    assert "scored whole: bare." in text
    assert "Matched beats are 10 ms late, the median over pieces." in text
    assert "2 piece(s) are too few for an interval to mean much." in text
    early = replace(row_of(0.8), bias=-0.006)
    assert "Matched beats are 6 ms early, " in write_report(tmp_path / "early", evaluation, [early])
    assert "Matched beats are on time, " in write_report(
        tmp_path / "on_time", evaluation, [replace(early, bias=-0.0004)]
    )
    content = json.loads((tmp_path / "scores-test.json").read_text())
    assert content["means"]["dbn"]["beat"]["F"] == {"mean": 0.65, "low": 0.5, "high": 0.8, "pieces": 2}
    assert [row["name"] for row in content["pieces"]] == ["one", "bare", "one", "bare"]
    assert content["settings"]["decodingrc"]["metres"] == [2, 3, 4]
    assert content["options"]["optimizer"]["lr"] == 0.005
    assert {"torch", "s3prl", "mir_eval", "metricon", "motionbeat"} <= set(content["versions"])
    assert content["seed"] == 7
    assert content["step"] == 400
    assert content["thresholds"] == [0.4, 0.6]
