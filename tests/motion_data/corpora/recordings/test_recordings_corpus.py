"""The recordings corpus from a folder of made music to pairs; splits, halves, bad input."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from motion_data.corpora import corpus_module
from motion_data.corpora.recordings import preparing
from motion_data.corpora.recordings.debian_packages import fetch_packages
from motion_data.corpora.recordings.preparing import Settings, prepare_recordings
from motion_data.corpora.recordings.tracks import (
    TEST_PACKAGES,
    find_tracks,
    package_half,
    package_split,
    read_tempi,
)
from motion_data.errors import DataError
from motion_data.loading import load_pair
from motion_data.manifest import Corpus, read_corpus
from motion_data.pair import MotionPair
from motionbeat_upstream.checkpoint import Provenance, save_music_tower
from motionbeat_upstream.config import SAMPLE_RATE, STRIDE
from motionbeat_upstream.nn.music_tower import untrained_music_tower
from tests.small import SMALL, music

BPM = 150.0
"""Of the made music, which is shorter than a stretch of the activations: the fake model counts from its
start."""

SETTINGS = Settings((Path("a"),), None, 8.0, 0, 0.04, 0.04)

TRAIN = [name for name in (f"music-{n}" for n in range(60)) if package_split(name) == "train"]
HALVES = [next(name for name in TRAIN if package_half(name) == half) for half in (0, 1)]


class FakeModel:
    """Expects a beat at every multiple of 60 / BPM seconds from the first one on, a downbeat at each
    fourth."""

    def __init__(self, first: int = 0, bars: bool = True) -> None:
        self.first, self.bars, self.asked = first, bars, 0

    def beat_activations(self, wav: Tensor) -> tuple[Tensor, Tensor]:
        self.asked += 1
        count = -(-len(wav) // STRIDE)
        beats, downbeats = torch.full((count,), -3.0), torch.full((count,), -3.0)
        for beat in range(int(len(wav) / SAMPLE_RATE * BPM / 60)):
            beats[int(50 * beat * 60 / BPM)] = 3.0
            if self.bars and beat % 4 == self.first:
                downbeats[int(50 * beat * 60 / BPM)] = 3.0
        return beats, downbeats


def put(path: Path, seconds: float, bpm: float, seed: int) -> None:
    """A FLAC of made music."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wav = music(seconds, bpm, seed).clamp(-1, 1)
    soundfile.write(path, wav.numpy(), SAMPLE_RATE, format="FLAC")


def copyright_file(raw: Path, package: str, licence: str) -> None:
    path = raw / package / "usr/share/doc" / package / "copyright"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"Format: x\n\nFiles: *\nLicense: {licence}\n")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    for half, package in enumerate(HALVES):
        put(folder / package / "usr/share/games/a.flac", 45, BPM, half)
        copyright_file(folder, package, "CC-BY-3.0")
    put(folder / HALVES[0] / "usr/share/games/sound.flac", 3, BPM, 2)
    put(folder / "planetblupi-music-ogg/b.flac", 25, BPM, 3)
    return folder


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    fake = FakeModel()
    use(monkeypatch, {"a": fake})
    return fake


def use(monkeypatch: pytest.MonkeyPatch, models: dict[str, FakeModel]) -> None:
    monkeypatch.setattr(preparing, "load_beat_model", lambda path: models[path.name])
    monkeypatch.setattr(preparing, "file_sha256", _sha256)


def _sha256(path: Path) -> str:
    from motion_data.files import file_sha256

    return file_sha256(path) if path.is_file() else f"sha256 of {path.name}"


def prepared(raw: Path, out: Path, settings: Settings = SETTINGS, tempo: Path | None = None) -> Corpus:
    return prepare_recordings(raw, out, tempo, settings, workers=1)


class TestPairs:
    @pytest.mark.slow
    def test_labels_dances_and_records(self, raw: Path, tmp_path: Path, model: FakeModel) -> None:
        corpus = prepared(raw, tmp_path / "out")
        assert read_corpus(tmp_path / "out").pairs == corpus.pairs
        assert corpus.info["left_out"] == {}
        assert list(corpus.info["notes"].values()) == [1]
        assert {pair.split for pair in corpus.pairs} == {"train", "test"}
        for pair in corpus.pairs:
            clip = load_pair(pair, tmp_path / "out")
            grid = clip.grid
            assert grid is not None
            assert pair.audio is not None
            assert pair.grid == "self-labelled"
            assert pair.metre == 4
            assert pair.bpm == pytest.approx(BPM, rel=1e-3)
            assert grid.downbeat_confidence == 1
            off = (grid.beats + pair.audio.start + 0.2) % 0.4 - 0.2
            assert np.abs(off).max() < 0.01
            downs = (grid.downbeats + pair.audio.start + 0.8) % 1.6 - 0.8
            assert np.abs(downs).max() < 0.01
            # From downbeat to downbeat, less than a tenth of a second of margin, and a dance throughout.
            assert grid.positions[0] == 1
            assert grid.positions[-1] == 1
            assert grid.beats[0] < 0.1
            assert clip.motion.seconds == pytest.approx(pair.seconds, abs=0.02)
            assert len(clip.wav) == pytest.approx(pair.seconds * SAMPLE_RATE, abs=2)
            feet = np.sort(np.concatenate(list(clip.motion.pulses.values())))
            assert len(feet) > 8
            near = np.abs(feet[:, None] - grid.beats).min(1)
            assert np.median(near) < 0.04
            assert pair.provenance["drift_ms"] < 10
            assert pair.provenance["labelled_by"] == ["sha256 of a"]
        # The spans of a track follow one another.
        first = [pair for pair in corpus.pairs if pair.provenance["package"] == HALVES[0]]
        assert {pair.licence for pair in first} == {f"CC-BY-3.0 (copyright file of {HALVES[0]})"}
        for before, after in pairwise(first):
            assert before.audio is not None
            assert after.audio is not None
            assert 0 <= before.audio.stop - after.audio.start <= 0.2 + 1e-6
            assert before.take == after.take

    def test_unknown_bars_have_steps_and_no_joints(
        self, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        use(monkeypatch, {"a": FakeModel(bars=False)})
        pair = prepared(raw, tmp_path / "out").pairs[0]
        clip = load_pair(pair, tmp_path / "out")
        assert clip.grid is not None
        assert clip.grid.downbeat_confidence == 0
        assert clip.grid.confidence == 1
        assert clip.motion.names == pair.joints == ()
        left, right = clip.motion.pulses["left_foot"], clip.motion.pulses["right_foot"]
        inside = clip.grid.beats[(clip.grid.beats > 0.1) & (clip.grid.beats < pair.seconds - 0.1)]
        assert abs(len(left) - len(right)) <= 1
        assert len(left) + len(right) >= len(inside)
        assert np.abs(np.concatenate([left, right])[:, None] - clip.grid.beats).min(1).max() < 0.07

    def test_a_second_call_computes_nothing(self, raw: Path, tmp_path: Path, model: FakeModel) -> None:
        first = prepared(raw, tmp_path / "out")
        asked = model.asked
        assert prepared(raw, tmp_path / "out").sha256 == first.sha256
        assert model.asked == asked
        (tmp_path / "out" / str(first.pairs[0].motion)).unlink()
        assert prepared(raw, tmp_path / "out").sha256 == first.sha256
        assert model.asked > asked


class TestHalves:
    def test_a_half_has_its_packages_and_all_of_dev_and_test(
        self, raw: Path, tmp_path: Path, model: FakeModel
    ) -> None:
        for half in (0, 1):
            corpus = prepared(raw, tmp_path / str(half), replace(SETTINGS, half=half))
            packages = {pair.provenance["package"] for pair in corpus.pairs}
            assert packages == {HALVES[half], "planetblupi-music-ogg"}

    def test_two_models_label_what_they_were_not_trained_on(
        self, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        models = {"a": FakeModel(first=0), "b": FakeModel(first=2)}
        use(monkeypatch, models)
        corpus = prepared(raw, tmp_path / "out", replace(SETTINGS, checkpoints=(Path("a"), Path("b"))))

        def first_downbeat(package: str) -> float:
            pair = next(p for p in corpus.pairs if p.provenance["package"] == package)
            clip = load_pair(pair, tmp_path / "out")
            assert clip.grid is not None
            assert pair.audio is not None
            return float((clip.grid.downbeats[0] + pair.audio.start + 0.1) % 1.6 - 0.1)

        assert first_downbeat(HALVES[0]) == pytest.approx(0.8, abs=0.02)
        assert first_downbeat(HALVES[1]) == pytest.approx(0.0, abs=0.02)
        by = {p.provenance["package"]: p.provenance["labelled_by"] for p in corpus.pairs}
        assert by[HALVES[0]] == ["sha256 of b"]
        assert by[HALVES[1]] == ["sha256 of a"]

    def test_splits_are_fixed_and_halves_even(self) -> None:
        names = [f"package-{n}" for n in range(4000)]
        counts = Counter(package_split(name) for name in names)
        assert counts["dev"] / 4000 == pytest.approx(0.12, abs=0.02)
        assert counts["test"] / 4000 == pytest.approx(0.06, abs=0.02)
        train = [name for name in names if package_split(name) == "train"]
        assert np.mean([package_half(name) for name in train]) == pytest.approx(0.5, abs=0.03)
        assert all(package_split(name) == "test" for name in TEST_PACKAGES)
        # These are in what was trained: they may not change.
        assert [package_split(name) for name in ("hedgewars-data", "warmux-data", "ufoai-music")] == [
            "dev",
            "test",
            "train",
        ]


class TestLeftOut:
    @pytest.mark.slow
    def test_drift_licence_copy_and_test_songs(self, raw: Path, tmp_path: Path, model: FakeModel) -> None:
        music_folder = tmp_path / "raw"
        put(music_folder / "good/a.flac", 30, BPM, 1)
        (music_folder / "good/z.flac").write_bytes((music_folder / "good/a.flac").read_bytes())
        put(music_folder / "nc/a.flac", 30, BPM, 2)
        copyright_file(music_folder, "nc", "CC-BY-NC-3.0")
        put(music_folder / "fretsonfire-songs-x/a.flac", 30, BPM, 3)
        (music_folder / "good/broken.ogg").write_bytes(b"no sound")
        # The tempo rises by two percent from the first to the last beat.
        wav = music(50, BPM, 4).numpy()
        at = np.linspace(0, 1, len(wav))
        bent = np.interp((at + 0.01 * at**2) * len(wav) / 1.01, np.arange(len(wav)), wav)
        soundfile.write(music_folder / "good/bent.flac", np.clip(bent, -1, 1), SAMPLE_RATE)
        left_out = prepared(music_folder, tmp_path / "out").info["left_out"]
        assert set(left_out) == {
            "good/z.flac",
            "nc/a.flac",
            "fretsonfire-songs-x/a.flac",
            "good/broken.ogg",
            "good/bent.flac",
        }
        assert left_out["good/z.flac"] == "the same recording as good/a.flac"
        assert "CC-BY-NC-3.0" in left_out["nc/a.flac"]
        assert "test songs" in left_out["fretsonfire-songs-x/a.flac"]
        assert "the tempo drifts: " in left_out["good/bent.flac"]
        assert " ms from a constant" in left_out["good/bent.flac"]


class TestTempoFile:
    def test_its_tatum_is_taken(self, raw: Path, tmp_path: Path, model: FakeModel) -> None:
        tempo = tmp_path / "tempo.jsonl"
        # Four times the beat, which is all that sounds: the file must have been heeded.
        line = {"package": HALVES[0], "file": "games/a.flac", "tatum": 4 * BPM}
        failed = {"package": HALVES[1], "file": "usr/share/games/a.flac", "tatum": 77.0, "R": 0.2}
        tempo.write_text(f"{json.dumps(line)}\n\n{json.dumps(failed)}\n")
        corpus = prepared(raw, tmp_path / "out", tempo=tempo)
        found: dict[str, MotionPair] = {pair.provenance["package"]: pair for pair in corpus.pairs}
        assert found[HALVES[0]].provenance["tatum_from"] == "tempo file"
        assert found[HALVES[0]].provenance["tatums_a_minute"] == pytest.approx(4 * BPM, rel=1e-4)
        assert found[HALVES[0]].provenance["tatums_a_beat"] == 4
        assert found[HALVES[1]].provenance["tatum_from"] == "onsets"

    def test_missing_tracks_are_named(self, raw: Path, tmp_path: Path) -> None:
        tempo = tmp_path / "tempo.jsonl"
        tempo.write_text(json.dumps({"package": "gone", "file": "a.ogg", "tatum": 480}))
        with pytest.raises(DataError, match=r"names 1 tracks that are not under .*gone/a\.ogg"):
            find_tracks(raw, tempo)

    @pytest.mark.parametrize("line", ["[]", "{", '{"package": "a", "file": "b"}', '{"tatum": 3}', ""])
    def test_bad_lines(self, tmp_path: Path, line: str) -> None:
        tempo = tmp_path / "tempo.jsonl"
        tempo.write_text(line + "\n")
        with pytest.raises(DataError, match=r"tempo\.jsonl.*expected a JSON object"):
            read_tempi(tempo)
        with pytest.raises(DataError, match="not readable"):
            read_tempi(tmp_path / "none.jsonl")


class TestBadInput:
    def test_folders_without_music(self, tmp_path: Path) -> None:
        (tmp_path / "raw").mkdir()
        (tmp_path / "raw/notes.txt").write_text("no music")
        with pytest.raises(DataError, match="no music"):
            find_tracks(tmp_path / "raw", None)
        with pytest.raises(DataError, match="no such folder"):
            find_tracks(tmp_path / "gone", None)

    def test_a_checkpoint_without_heads(self, raw: Path, tmp_path: Path) -> None:
        path = tmp_path / "tower.safetensors"
        save_music_tower(
            untrained_music_tower(replace(SMALL, beat_heads=False)), path, Provenance("none", {})
        )
        with pytest.raises(DataError, match="no beat heads"):
            prepared(raw, tmp_path / "out", replace(SETTINGS, checkpoints=(path,)))

    @pytest.mark.parametrize(
        ("settings", "option"),
        [
            (replace(SETTINGS, seconds=1.0), "--seconds"),
            (replace(SETTINGS, seed=-1), "--seed"),
            (replace(SETTINGS, beat_margin=float("nan")), "--beat-margin"),
            (replace(SETTINGS, bar_margin=-1.0), "--bar-margin"),
            (replace(SETTINGS, checkpoints=(Path("a"),) * 3), "-k"),
        ],
    )
    def test_options(self, raw: Path, tmp_path: Path, settings: Settings, option: str) -> None:
        with pytest.raises(DataError, match=option):
            prepared(raw, tmp_path / "out", settings)

    def test_test_songs_are_not_downloaded(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="test songs"):
            fetch_packages(["a", "fretsonfire-songs-muldjord"], tmp_path / "raw")
        assert not (tmp_path / "raw").exists()

    def test_the_options_have_a_command(self) -> None:
        parser = argparse.ArgumentParser()
        corpus_module("recordings").add_options(parser)
        options = parser.parse_args(["-k", "a", "b", "--half", "1"])
        assert options.checkpoint == [Path("a"), Path("b")]
        assert options.half == 1
