"""Measured soundfonts: each note is heard when it is written, the same whatever was played before."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import symusic
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_data import voices
from motion_data.commands.soundfonts import main
from motion_data.errors import DataError
from motion_data.known_soundfonts import SOUNDFONTS
from motion_data.measured_sounds import MeasuredSounds, read_measured_sounds, render_measured
from motion_data.soundfont_survey import Survey, find_onset, survey_voice, survey_voices
from motion_data.voices import VOICE_RATE, Voice, play_voice
from motionbeat_upstream.config import SAMPLE_RATE
from tests.small_soundfont import tone, write_soundfont

LATE, LATE_DRUMS = 0.03, 0.012


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two soundfonts, one of them kept out of training, and an acoustic kit."""
    folder = tmp_path_factory.mktemp("packages")
    presets = {(0, program): tone(LATE) for program in (0, 1, 5, 25, 33)} | {(0, 48): tone(0.4)}
    drums = {(128, 0): tone(LATE_DRUMS, 200.0, 0.3)}
    for name in ("timgm6mb", "musescore"):
        write_soundfont(folder / "usr" / SOUNDFONTS[name].pattern, presets | drums)
    write_soundfont(folder / SOUNDFONTS["black-pearl"].pattern, {(0, 0): tone(0.0, 200.0, 0.3)})
    return folder


@pytest.fixture(scope="module")
def sounds(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> MeasuredSounds:
    out = tmp_path_factory.mktemp("measured")
    assert main([str(folder), str(out), "--skip-missing"]) == 0
    return read_measured_sounds(out)


@pytest.mark.parametrize("late", [0.0, 0.01, 0.04])
def test_an_onset_is_found_where_a_sample_begins(late: float, tmp_path: Path) -> None:
    voice = Voice(str(write_soundfont(tmp_path / "made.sf2", {(0, 7): tone(late)})), 7, False)
    found = survey_voice(voice, percussion=False)
    assert found.fault == ""
    for layer in found.latencies:
        for pitch, seconds in layer.items():
            # A sample that is read more slowly has its silence stretched; symusic itself takes some 2 ms.
            assert seconds == pytest.approx(late * 2 ** ((69 - pitch) / 12), abs=0.003)


@pytest.mark.slow
def test_what_has_no_attack_or_is_not_there_is_left_out(sounds: MeasuredSounds) -> None:
    font = sounds.soundfonts["timgm6mb"]
    assert set(font.programs) == {0, 1, 5, 25, 33}
    assert set(font.kits) == {0}
    assert "no attack" in font.excluded["program 48"]
    assert font.excluded["program 3"] == "silent"
    assert sounds.soundfonts["black-pearl"].kit
    assert not sounds.soundfonts["black-pearl"].programs


@settings(deadline=None, max_examples=25)
@given(st.integers(45, 96), st.integers(1, 127), st.floats(0.3, 2.0), st.booleans())
def test_notes_are_heard_when_they_are_written(
    sounds: MeasuredSounds, pitch: int, velocity: int, start: float, drums: bool
) -> None:
    font, notes = sounds.soundfonts["timgm6mb"], np.array([[start, 0.5, pitch, velocity]])
    played = font.play(0, drums, notes, 0.0, start + 1)
    loud = np.flatnonzero(np.abs(played) > 0.25 * np.abs(played).max())[0] / VOICE_RATE
    assert loud == pytest.approx(start, abs=0.003)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 127), st.integers(1, 127))
def test_level_follows_velocity(sounds: MeasuredSounds, one: int, other: int) -> None:
    font = sounds.soundfonts["timgm6mb"]
    notes = np.array([[0.5, 0.3, 60, one], [1.5, 0.3, 60, other]], dtype=float)
    played = np.abs(font.play(0, False, notes, 0.0, 2.5))
    first, second = played[: round(1.2 * VOICE_RATE)].max(), played[round(1.3 * VOICE_RATE) :].max()
    assert second / first == pytest.approx((other / one) ** 2, rel=0.02)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.sampled_from([0, 1, 33]), st.integers(30, 90)), min_size=2, max_size=6))
def test_what_was_played_before_changes_nothing(
    sounds: MeasuredSounds, played: list[tuple[int, int]]
) -> None:
    """Also where so few synthesisers are kept that they are closed in between."""
    font = sounds.soundfonts["timgm6mb"]

    def hear(program: int, pitch: int) -> bytes:
        notes = np.array([[0.1, 0.3, pitch, 90], [0.2, 0.3, pitch + 1, 40]], dtype=float)
        return play_voice(font.voice(program, False), notes, 1.0).tobytes()

    once = [hear(*note) for note in played]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(voices, "MAX_OPEN_PITCHES", 3)
        assert [hear(*note) for note in played[::-1]][::-1] == once
        assert sum(len(kept.pitches) for kept in voices._synthesisers.values()) <= 4


def test_a_score_is_heard_as_written(sounds: MeasuredSounds) -> None:
    score = symusic.Score(480)
    score.tempos.append(symusic.Tempo(0, 120))
    for program, drums in ((0, False), (0, True), (16, True)):
        track = symusic.Track("", program, drums)
        track.notes.append(symusic.Note(0 if drums else 960, 240, 60, 90))
        score.tracks.append(track)
    played = render_measured(score, sounds.soundfonts["musescore"])
    assert find_onset(played, SAMPLE_RATE) == pytest.approx(0.0, abs=0.002)
    score.tracks[0].program = 48
    with pytest.raises(DataError, match=r"program 48 cannot be used .has no attack"):
        render_measured(score, sounds.soundfonts["musescore"])


def test_a_program_that_plays_nan_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_soundfont(tmp_path / "made.sf2", {(0, 0): tone(0.0)})
    monkeypatch.setattr(voices, "_render", lambda *_: np.full(1000, np.nan, np.float32))
    voice, notes = Voice(str(path), 0, False), np.array([[0.0, 0.5, 60, 90]])
    with pytest.raises(DataError, match=r"made.sf2: program 0 plays NaN or infinity at .* \[60\]"):
        play_voice(voice, notes, 1.0)
    assert "NaN" in survey_voice(voice, percussion=False).fault


def _faulty(voice: Voice, percussion: bool) -> Survey:
    if voice.program == 1:
        time.sleep(60)
    if voice.program == 3:
        os._exit(11)
    return Survey(voice, "", ({60: 0.0}, {60: 0.0}))


@pytest.mark.slow
def test_programs_that_hang_or_crash_are_passed_over() -> None:
    found = list(survey_voices([(Voice("any", program, False), False) for program in range(5)], 1.0, _faulty))
    assert [one.voice.program for one in found] == list(range(5))
    assert [one.fault for one in found] == [
        "", "symusic does not return from it within 1 s", "", "symusic crashes on it", ""
    ]  # fmt: skip


def test_what_sounds_differently_each_time_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_soundfont(tmp_path / "made.sf2", {(0, 0): tone(0.0)})
    rng = np.random.default_rng(0)
    monkeypatch.setattr(voices, "_render", lambda *_: rng.standard_normal(1000).astype(np.float32))
    found = survey_voice(Voice(str(path), 0, False), percussion=False)
    assert "sounds differently each time" in found.fault


def test_missing_packages_are_named(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder), str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "without sf_GMbank.sf2, FluidR3_GM.sf2" in said
    assert "apt-get download csound-soundfont fluid-soundfont-gm" in said
    assert "--skip-missing" in said
    assert not (tmp_path / "out").exists()
    assert main([str(tmp_path / "none"), str(tmp_path / "out")]) == 2


def test_a_soundfont_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "TimGM6mb.sf2").write_text("no soundfont at all")
    assert main([str(tmp_path), str(tmp_path / "out"), "--skip-missing"]) == 2
    assert "TimGM6mb.sf2: begins with" in capsys.readouterr().err


def test_another_soundfont_and_a_damaged_table_are_refused(sounds: MeasuredSounds, tmp_path: Path) -> None:
    table = json.loads((sounds.folder / "soundfonts.json").read_text())
    (tmp_path / "soundfonts.json").write_text(json.dumps(table))
    assert read_measured_sounds(tmp_path) == replace(sounds, folder=tmp_path)
    damages: tuple[tuple[Callable[[Any], Any], str], ...] = (
        (lambda font: font.update(sha256="0" * 64), "not the soundfont that .* was measured with"),
        (lambda font: font.pop("kits"), "not a table of soundfonts"),
        (
            lambda font: font["programs"].update({"0": [{"60": float("nan")}] * 2}),
            "not a table of soundfonts",
        ),
        (lambda font: font.update(path="gone.sf2"), "gone.sf2"),
    )
    for number, (damage, message) in enumerate(damages):
        damaged = json.loads(json.dumps(table))
        damage(damaged["soundfonts"]["timgm6mb"])
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "soundfonts.json").write_text(json.dumps(damaged))
        with pytest.raises(DataError, match=message):
            read_measured_sounds(tmp_path / str(number))
