from __future__ import annotations

import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_data.beats_file import Beats
from recipes.downstream.beat_tracking.report import report
from recipes.downstream.beat_tracking.scores import LATENESS, SCORES, TRIMMED, score_piece
from recipes.downstream.beat_tracking.settings import TaskSettings
from recipes.results.record import Results, Run, command_and_versions, item_rows, read_results, results_path
from recipes.results.tables import run_estimates


def grid(seconds: float = 30.0, bpm: float = 120.0, start: float = 0.2, metre: int = 4) -> Beats:
    times = np.arange(start, seconds, 60 / bpm)
    return Beats(times, np.arange(len(times)) % metre + 1)


@settings(deadline=None)
@given(seconds=st.floats(9, 60), bpm=st.floats(60, 200), start=st.floats(0, 0.3), late=st.floats(-0.06, 0.06))
def test_beats_within_the_window_are_right_and_their_lateness_is_told(
    seconds: float, bpm: float, start: float, late: float
) -> None:
    truth = grid(seconds, bpm, start + 0.06)
    row = score_piece(truth, Beats(truth.times + late, truth.positions))
    assert row["beat F"] == pytest.approx(1.0, abs=0.07)  # a beat at the trim may fall on either side
    assert row[LATENESS] == pytest.approx(late, abs=1e-9)
    if late == 0:
        assert [row[name] for name in SCORES] == [1.0] * len(SCORES)


def test_other_metrical_levels_count_for_amlt_only() -> None:
    truth = grid()
    half = score_piece(truth, Beats(truth.times[::2], np.resize([1, 2], 30)))
    assert half["beat F"] == pytest.approx(2 / 3, abs=0.02)
    assert half["beat CMLt"] == 0
    assert half["beat AMLt"] > 0.95
    off = score_piece(truth, Beats(truth.times + 0.25, truth.positions))
    assert off["beat F"] == 0
    assert off["beat AMLt"] > 0.95
    assert LATENESS not in off


def test_downbeats_are_scored_by_themselves() -> None:
    truth = grid()
    wrong_phase = Beats(truth.times, np.roll(truth.positions, 1))
    row = score_piece(truth, wrong_phase)
    assert row["beat F"] == 1.0
    assert row["downbeat F"] == 0


def test_annotated_times_are_not_rounded_to_frames() -> None:
    # 69 ms off is right and 71 ms is wrong; on a grid of 20 ms they would be the same.
    truth = grid()
    assert score_piece(truth, Beats(truth.times + 0.069, truth.positions))["beat F"] == 1.0
    assert score_piece(truth, Beats(truth.times + 0.071, truth.positions))["beat F"] == 0.0


def test_the_start_is_trimmed_where_enough_is_left() -> None:
    truth = grid()
    noise = np.arange(0.05, 5, 0.1)
    noisy = Beats(
        np.sort(np.concatenate([noise, truth.times[truth.times >= 5]])), np.resize([1, 2, 3, 4], 100)
    )
    assert score_piece(truth, noisy)[TRIMMED] == 1
    assert score_piece(truth, noisy)["beat F"] == 1.0
    assert score_piece(truth, noisy, trim_seconds=0.0)["beat F"] < 1.0
    # Six seconds leave two beats, seven four beats but no two downbeats.
    for seconds in (6.0, 7.0):
        row = score_piece(grid(seconds), grid(seconds))
        assert row[TRIMMED] == 0
        assert row["beat F"] == 1.0
        assert row["downbeat F"] == 1.0


def test_pieces_without_downbeats_are_left_out_of_their_mean_only() -> None:
    truth = grid()
    bare = Beats(truth.times, np.zeros(len(truth.times), dtype=np.int64))
    scores = [score_piece(truth, truth), score_piece(bare, truth)]
    assert not [name for name in scores[1] if name.startswith("downbeat")]
    rows = [row for name, of in zip("ab", scores, strict=True) for row in item_rows(name, name, of)]
    found = run_estimates(Results(Run("beat_tracking", "d", "u"), rows), SCORES, 100)
    assert found["beat F"].groups == 2
    assert found["downbeat F"].groups == 1
    assert np.isnan(found["downbeat F"].low)


def test_no_estimate_scores_nothing_and_says_nothing() -> None:
    nothing = Beats(np.empty(0), np.empty(0, dtype=np.int64))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        row = score_piece(grid(), nothing)
    assert [row[name] for name in SCORES] == [0.0] * len(SCORES)


def scores_of(decoder: str, value: float, **changes: float) -> dict[str, float]:
    return {f"{decoder} {name}": value for name in SCORES} | {
        f"{decoder} {TRIMMED}": 1.0,
        f"{decoder} {LATENESS}": changes.get("late", 0.01),
    }


def results_of(rows: list[tuple[str, str, str, float]]) -> Results:
    details = {
        "sizes": {"train": 4, "dev": 1, "test": 3},
        "thresholds": [0.4, 0.6],
        "loss": 1.25,
        "settings": asdict(TaskSettings()),
        "options": {"optimizer": {"lr": 0.005}},
        **command_and_versions(),
    }
    return Results(Run("beat_tracking", "somewhere", "fbank", "", 7, "", "test", 400, details), rows)


def test_the_report_holds_what_it_takes_to_repeat_it(tmp_path: Path) -> None:
    bare = {name: 0.5 for name in scores_of("dbn", 0.5) if "downbeat" not in name}
    bare = {name: value for name, value in bare.items() if LATENESS not in name} | {f"dbn {TRIMMED}": 0.0}
    rows = [
        *item_rows("one", "piece", scores_of("dbn", 0.8) | scores_of("peaks", 0.2)),
        *item_rows("bare", "other piece", bare | scores_of("peaks", 0.1)),
    ]
    results = results_of(rows)
    text = report(tmp_path, results)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores-test.jsonl", "scores-test.md"]
    written = (tmp_path / "scores-test.md").read_text()
    # What is printed has the means; the table of pieces is in the file.
    assert written.startswith(text)
    assert "| one | peaks | 0.200 |" in written
    assert "| one |" not in text
    assert "| dbn | beat | 2 | 0.650 [0.500, 0.800] |" in text
    assert "| dbn | downbeat | 1 | 0.800 |" in text
    assert "Without annotated downbeats: bare." in text
    assert "Too short to leave out the first 5 s: bare." in text
    assert "Matched beats are 10 ms late, the median over pieces." in text
    assert "2 piece(s) are too few for a meaningful interval." in text
    for late, expected in ((-0.006, "6 ms early"), (-0.0004, "on time")):
        again = results_of(item_rows("one", "piece", scores_of("dbn", 0.8, late=late)))
        assert f"Matched beats are {expected}, " in report(tmp_path / expected, again)
    (read,) = read_results(results_path(tmp_path))
    assert read.rows == rows
    assert list(dict.fromkeys(item for item, *_ in read.rows)) == ["one", "bare"]
    details = read.run.details
    assert details["settings"]["decodingrc"]["metres"] == [2, 3, 4]
    assert details["options"]["optimizer"]["lr"] == 0.005
    assert {"torch", "s3prl", "mir_eval", "metricon", "motionbeat"} <= set(details["versions"])
    assert details["thresholds"] == [0.4, 0.6]
    assert (read.run.seed, read.run.step) == (7, 400)
    # The report of what was read is the one that was written.
    assert report(tmp_path / "again", read) == text


def test_recordings_of_a_piece_count_as_one(tmp_path: Path) -> None:
    rows = [
        row
        for name, piece, value in (("a", "p", 0.2), ("b", "p", 0.4), ("c", "q", 0.9))
        for row in item_rows(name, piece, scores_of("dbn", value))
    ]
    assert "| dbn | beat | 2 | 0.600 [0.300, 0.900] |" in report(tmp_path, results_of(rows))
