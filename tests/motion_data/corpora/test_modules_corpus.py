"""Tracker modules: exact row times, beats where two estimates agree, masked elsewhere; bad ones refused."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from motion_data.corpora.modules import libopenmpt, preparing
from motion_data.corpora.modules.libopenmpt import RATE, check_library, play_in_process, play_module
from motion_data.corpora.modules.preparing import Module, Settings, prepare_modules, variant_factors
from motion_data.corpora.modules.structure import Tatums, estimate_beats, find_tatums
from motion_data.corpora.recordings.labelling import beat_levels
from motion_data.errors import DataError
from motion_data.files import file_sha256
from motion_data.loading import load_pair
from motion_data.manifest import Corpus
from motion_data.pipeline.beat_targets import beat_targets
from motionbeat_upstream.config import SAMPLE_RATE, STRIDE
from tests.conftest import skip_or_fail
from tests.made_module import ROWS, made_module

SETTINGS = Settings(Path("a"), 1, 8.0, 0)


@pytest.fixture(autouse=True)
def _library() -> None:
    try:
        check_library()
    except DataError as error:
        skip_or_fail(str(error))


def beat_rows(every: int, bar: int = 4) -> Mapping[int, int]:
    """Rows of a pattern with beats every so many rows, and more notes where a bar begins."""
    return {row: 3 if row % (every * bar) == 0 else 2 for row in range(0, ROWS, every)} | {
        row: 1 for row in range(ROWS) if row % every and row % 2 == 0
    }


class FakeModel:
    """Expects a beat at every ``period`` seconds from ``first`` on, a downbeat at each fourth."""

    def __init__(self, period: float, first: float = 0.0) -> None:
        self.period, self.first, self.asked = period, first, 0

    def beat_activations(self, wav: Tensor) -> tuple[Tensor, Tensor]:
        self.asked += 1
        count = -(-len(wav) // STRIDE)
        beats, downbeats = torch.full((count,), -3.0), torch.full((count,), -3.0)
        for number in range(int((len(wav) / SAMPLE_RATE - self.first) / self.period)):
            frame = int(50 * (self.first + number * self.period))
            beats[frame] = 3.0
            if number % 4 == 0:
                downbeats[frame] = 3.0
        return beats, downbeats


def use(monkeypatch: pytest.MonkeyPatch, model: FakeModel) -> FakeModel:
    monkeypatch.setattr(preparing, "load_beat_model", lambda path: model)
    monkeypatch.setattr(
        preparing, "file_sha256", lambda path: file_sha256(path) if path.is_file() else "sha256"
    )
    return model


def package_of(split: str) -> str:
    names = (f"tunes-{number}" for number in range(99))
    return next(name for name in names if Module(Path("a"), f"{name}/a", name, "").split == split)


def put(raw: Path, package: str, data: bytes, name: str = "a.mod") -> None:
    (raw / package).mkdir(parents=True, exist_ok=True)
    (raw / package / name).write_bytes(data)


def prepared(raw: Path, out: Path, asked: Settings = SETTINGS) -> Corpus:
    return prepare_modules(raw, out, asked, workers=1)


class TestPlaying:
    @settings(max_examples=15, deadline=None)
    @given(st.integers(2, 12), st.integers(60, 250), st.sampled_from((0.8, 1.0, 1.25)), st.integers(0, 99))
    def test_rows_are_known_to_a_millisecond(self, speed: int, tempo: int, factor: float, seed: int) -> None:
        draw = np.random.default_rng(seed)
        rows = {int(row): int(draw.integers(1, 3)) for row in draw.choice(ROWS, 20, replace=False)}
        played = _played(made_module([rows], speed, tempo), factor)
        row = speed * 2.5 / tempo / factor
        assert len(played.times) == ROWS
        # The first tick still has the tempo of the format, which the first row changes.
        first_row = row + (2.5 / 125 - 2.5 / tempo) / factor
        expected = np.concatenate([[0.0], first_row + row * np.arange(ROWS - 1)])
        # The library rounds ticks to whole samples, and once more where the tempo is another one.
        rounding = 2 * speed * np.arange(ROWS) / RATE
        assert (np.abs(played.times - expected) < 0.001 + rounding).all()
        assert np.ptp(np.diff(played.times[1:])) < 0.0015
        assert set(played.speeds) == {speed}
        assert list(played.rows) == list(range(ROWS))
        assert {int(at): int(count) for at, count in enumerate(played.notes) if count} == rows
        # Notes sound when their rows begin, and where no other note was near there is silence up to a
        # millisecond before.
        for at in sorted(rows):
            begin = round(played.times[at] * RATE)
            assert np.abs(played.wav[begin : begin + RATE // 50]).max() > 0.01
            if not any(0 < played.times[at] - played.times[other] < 0.15 for other in rows):
                before = played.wav[max(0, begin - RATE // 100) : max(0, begin - RATE // 1000)]
                assert np.abs(before).max(initial=0.0) == 0.0

    def test_pitch_changes_and_rows_do_not(self, tmp_path: Path) -> None:
        path = tmp_path / "a.mod"
        path.write_bytes(made_module([beat_rows(4)]))
        own, higher = play_module(path), play_module(path, 1.0, 1.2)
        assert np.array_equal(own.times, higher.times)
        assert not np.array_equal(own.wav, higher.wav)
        assert np.array_equal(own.wav, play_module(path).wav)

    @pytest.mark.parametrize(
        ("data", "fault"),
        [
            (b"no module at all" * 99, "cannot read it"),
            (made_module([{}]), "silent"),
            (b"", "cannot read it"),
        ],
    )
    def test_what_is_no_module(self, tmp_path: Path, data: bytes, fault: str) -> None:
        path = tmp_path / "a.mod"
        path.write_bytes(data)
        with pytest.raises(DataError, match=rf"a\.mod: .*{fault}.*leave it out"):
            play_module(path)

    def test_a_time_limit_and_a_crash(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "a.mod"
        path.write_bytes(made_module([beat_rows(4)]))
        with pytest.raises(DataError, match=r"a\.mod: libopenmpt did not finish within 0\.01 s"):
            play_module(path, limit=0.01)
        monkeypatch.setattr(sys, "executable", "/bin/false")
        with pytest.raises(DataError, match=r"a\.mod: "):
            play_module(path)


def _played(data: bytes, tempo: float = 1.0) -> libopenmpt.PlayedModule:
    """Played in this process: a process each would take half a second."""
    with tempfile.NamedTemporaryFile(suffix=".mod") as file:
        file.write(data)
        file.flush()
        return play_in_process(Path(file.name), tempo, 1.0)


class TestStructure:
    @settings(max_examples=60, deadline=None)
    @given(st.sampled_from((3, 4, 6)), st.integers(0, 2), st.floats(0, 0.4), st.integers(0, 99))
    def test_beats_of_made_patterns(self, level: int, first: int, noise: float, seed: int) -> None:
        draw = np.random.default_rng(seed)
        count, phase = 64 * level, first % level
        notes = (draw.random(count) < noise).astype(float)
        notes[phase::level] += 2
        tatums = Tatums(
            0.12 * np.arange(count), 1 / 0.12, 1, 0, np.arange(phase, count, 8 * level), notes, float(level)
        )
        assert estimate_beats(tatums, range(3, 9)) == (level, phase)
        # Patterns of a length that fits no number of tatums a beat say nothing.
        odd = replace(tatums, starts=np.arange(0, count, 31))
        assert estimate_beats(odd, range(3, 9)) is None
        # Nor do notes that begin anywhere.
        assert estimate_beats(replace(tatums, notes=np.ones(count)), range(3, 9)) is None

    def test_short_rows_are_taken_together(self) -> None:
        played = _played(made_module([beat_rows(8)], speed=3))
        tatums = find_tatums(played)
        assert (tatums.rows_each, len(tatums.times)) == (2, ROWS // 2)
        assert estimate_beats(tatums, beat_levels(tatums.rate)) == (4, 0)


class TestPairs:
    """Rows of 120 ms, four of them a beat of 0.48 s, patterns of four bars of 4/4."""

    @pytest.fixture
    def raw(self, tmp_path: Path) -> Path:
        put(tmp_path / "raw", package_of("train"), made_module([beat_rows(4)] * 4))
        put(tmp_path / "raw", package_of("test"), made_module([beat_rows(4)] * 5))
        return tmp_path / "raw"

    @pytest.mark.slow
    def test_agreement(self, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        model = use(monkeypatch, FakeModel(0.48))
        corpus = prepared(raw, tmp_path / "out")
        assert corpus.info["left_out"] == {}
        assert list(corpus.info["notes"].values()) == [2, 0, 0]
        assert {pair.split for pair in corpus.pairs} == {"train", "test"}
        # Variants of modules that are trained on, and of no others.
        varied = {pair.split: pair.provenance["tempo_factor"] for pair in corpus.pairs if "_v1" in pair.name}
        assert list(varied) == ["train"]
        assert varied["train"] != 1.0
        for pair in corpus.pairs:
            assert pair.grid == "self-labelled"
            assert pair.metre == 4
            clip = load_pair(pair, tmp_path / "out")
            assert clip.grid is not None
            assert pair.audio is not None
            assert (clip.grid.confidence, clip.grid.downbeat_confidence) == (1.0, 1.0)
            assert clip.motion.names
            beat = 0.48 / pair.provenance["tempo_factor"]
            assert np.abs(np.diff(clip.grid.beats) - beat).max() < 0.002
            # Of the variants, the library rounds ticks to whole samples.
            near = 0.002 if pair.provenance["tempo_factor"] == 1 else 0.02
            bars = (clip.grid.downbeats + pair.audio.start) / beat / 4
            assert np.abs(bars - bars.round()).max() * beat * 4 < near
        asked = model.asked
        assert prepared(raw, tmp_path / "out").sha256 == corpus.sha256
        assert model.asked == asked

    @pytest.mark.slow
    @pytest.mark.parametrize("model", [FakeModel(0.48, 0.24), FakeModel(0.96)])
    def test_no_agreement_masks_the_beats(
        self, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: FakeModel
    ) -> None:
        use(monkeypatch, model)
        corpus = prepared(raw, tmp_path / "out")
        assert list(corpus.info["notes"].values()) == [0, 0, 2]
        for pair in corpus.pairs:
            clip = load_pair(pair, tmp_path / "out")
            assert pair.grid == "estimated"
            assert clip.motion.names == ()
            assert clip.grid is not None
            targets = beat_targets([clip.grid], [100])
            assert not targets.has_beats.any()
            assert not targets.has_bars.any()
            # The guess is the structure's, on rows.
            row = 0.12 / pair.provenance["tempo_factor"]
            assert pair.audio is not None
            beats = (clip.grid.beats + pair.audio.start) / row / 4
            assert np.abs(beats - beats.round()).max() * row * 4 < 0.02

    @pytest.mark.slow
    def test_what_is_refused(self, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        use(monkeypatch, FakeModel(0.48))
        good = package_of("train")
        put(
            raw,
            good,
            made_module([beat_rows(4)] * 4, speeds={row: 4 if row % 2 else 6 for row in range(ROWS)}),
            "swing.mod",
        )
        put(raw, good, made_module([beat_rows(4)]), "short.mod")
        put(raw, good, made_module([beat_rows(4)] * 4), "copy.mod")
        put(raw, good, b"damaged", "noise.xm")
        put(raw, "gemdropx", made_module([beat_rows(4)] * 4))
        put(raw, "fretsonfire-songs-x", made_module([beat_rows(4)] * 4))
        left_out = prepared(raw, tmp_path / "out", replace(SETTINGS, variants=0)).info["left_out"]
        faults = {
            f"{good}/swing.mod": "rows differ in length",
            f"{good}/short.mod": "7.7 s of sound",
            f"{good}/copy.mod": "the same recording as",
            f"{good}/noise.xm": "cannot read it as a module",
            "gemdropx/a.mod": "origin of its modules is unclear",
            "fretsonfire-songs-x/a.mod": "test songs",
        }
        assert set(left_out) == set(faults)
        for name, fault in faults.items():
            assert fault in left_out[name]

    @pytest.mark.parametrize(
        ("asked", "option"),
        [
            (replace(SETTINGS, variants=-1), "--variants"),
            (replace(SETTINGS, seconds=1.0), "--seconds"),
            (replace(SETTINGS, seed=-1), "--seed"),
        ],
    )
    def test_options(self, raw: Path, tmp_path: Path, asked: Settings, option: str) -> None:
        with pytest.raises(DataError, match=option):
            prepared(raw, tmp_path / "out", asked)


def test_splits_and_variants_are_fixed() -> None:
    splits = [Module(Path("a"), "a", f"package-{number}", "").split for number in range(3000)]
    assert splits.count("train") / 3000 == pytest.approx(2 / 3, abs=0.03)
    assert splits.count("dev") / 3000 == pytest.approx(1 / 6, abs=0.03)
    # These may not change: a third is never trained on.
    names = ("pingus-data", "pekka-kana-2-data", "bb", "ironseed-data")
    assert [Module(Path("a"), "a", name, "").split for name in names] == ["test", "dev", "dev", "train"]
    assert variant_factors(0, "a", 0) == (1.0, 1.0)
    found = {variant_factors(seed, name, number) for seed in range(9) for name in "abc" for number in (1, 2)}
    assert len(found) == 54
    assert all(0.78 < tempo < 1.28 and 0.79 < pitch < 1.27 for tempo, pitch in found)
