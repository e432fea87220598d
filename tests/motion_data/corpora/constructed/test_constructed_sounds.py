"""Constructed pairs played through measured sounds: a function of seed and index; no onset is moved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_data import measured_sounds
from motion_data.commands.prepare import main
from motion_data.commands.soundfonts import main as measure
from motion_data.corpora.constructed import production, sounds
from motion_data.corpora.constructed.acoustics import apply_codec
from motion_data.corpora.constructed.arrangement import LEAD_SECONDS
from motion_data.corpora.constructed.plan import Plan, make_arrangement, make_audio, plan_pair
from motion_data.corpora.constructed.production import Production, compress
from motion_data.corpora.constructed.sounds import Cast, Casting, SoundShares, as_settings, sounds_sha256
from motion_data.errors import DataError
from motion_data.known_soundfonts import SOUNDFONTS
from motion_data.loading import load_pair
from motion_data.manifest import read_corpus
from motion_data.singing import Syllable, sing, write_syllables
from motionbeat_upstream.config import SAMPLE_RATE
from tests.small_soundfont import tone, write_soundfont

EVERY = SoundShares(
    **{name: 0.5 for name in as_settings(SoundShares()) if name not in ("kits", "codec")}, kits=1.0, codec=1.0
)
NONE = SoundShares(**dict.fromkeys(as_settings(SoundShares()), 0.0))


def syllable(hertz: float) -> Syllable:
    """A buzz with its pulses, after 50 ms of a consonant."""
    pulses = np.arange(800, 800 + 8000, round(SAMPLE_RATE / hertz))
    audio = np.zeros(9000, np.float32)
    audio[pulses] = 1.0
    return Syllable(np.convolve(audio, np.hanning(25))[12:-12].astype(np.float32), pulses)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Measured sounds: two soundfonts, one kept out of training, a kit, a cabinet and syllables."""
    packages, out = tmp_path_factory.mktemp("packages"), tmp_path_factory.mktemp("measured")
    presets: dict[tuple[int, int], Any] = {(0, program): tone(0.01) for program in (0, 1, 5, 25, 26, 30, 33)}
    drums = {(128, 0): tone(0.012, 200.0, 0.3)}
    for name in ("timgm6mb", "musescore"):
        write_soundfont(packages / SOUNDFONTS[name].pattern, presets | drums)
    write_soundfont(packages / SOUNDFONTS["black-pearl"].pattern, {(0, 0): tone(0.0, 200.0, 0.3)})
    assert measure([str(packages), str(out), "--skip-missing"]) == 0
    np.savez(out / measured_sounds.CABINETS_FILE, plain=np.array([1.0, 0.3], np.float32))
    write_syllables(out / measured_sounds.SYLLABLES_FILE, [syllable(200.0)])
    return out


def plan(folder: Path, index: int, shares: SoundShares = EVERY, sources: str = "seen") -> Plan:
    played = {
        "sounds": str(folder),
        "sounds_sha256": sounds_sha256(folder),
        "sources": sources,
        "shares": as_settings(shares),
    }
    return plan_pair(3, index, {}, 6.0, None, played=played)


@pytest.mark.slow
def test_a_pair_is_a_function_of_its_seed_and_index(folder: Path) -> None:
    """Whatever was played before, and however it was."""
    plans = [plan(folder, index) for index in range(8)]
    once = [make_audio(each, make_arrangement(each)) for each in plans]
    again = [make_audio(each, make_arrangement(each)) for each in plans[::-1]][::-1]
    assert all(np.array_equal(one, other) for one, other in zip(once, again, strict=True))
    assert all(audio.shape == (6 * SAMPLE_RATE,) and np.isfinite(audio).all() for audio in once)
    assert len({audio.tobytes() for audio in once}) == len(once)


def test_sources_kept_out_of_training_stay_apart(folder: Path) -> None:
    for index in range(60):
        for sources, font in (("seen", "timgm6mb"), ("unseen", "musescore")):
            each = plan(folder, index, EVERY, sources)
            casting = make_arrangement(each).casting
            assert casting is not None
            assert {cast.font for cast in casting.parts} <= ({font, ""} if sources == "seen" else {font})
            if sources == "unseen":
                assert not any(cast.kit or cast.cabinet for cast in casting.parts)


def test_programs_are_those_of_the_split(folder: Path) -> None:
    """Labels name the programs that are heard."""
    shares = replace(EVERY, amplifier=0.0, sung=0.0)
    for index in range(60):
        each = plan(folder, index, shares)
        for part in make_arrangement(each).parts:
            if part.role in ("melody", "chords"):
                assert part.program in {"train": (0, 25), "dev": (5, 30), "test": (1, 26)}[each.split]


def test_shares_of_zero_leave_effects_out(folder: Path) -> None:
    for index in range(20):
        each = plan(folder, index, NONE)
        casting = make_arrangement(each).casting
        assert casting is not None
        assert casting.tuning == 0
        for cast in casting.parts:
            assert cast == Cast(cast.font, cast.program, cast.sounding_program, level=cast.level)


@settings(deadline=None, max_examples=20)
@given(
    st.floats(-50, 50),
    st.floats(-12, 12),
    st.tuples(st.floats(10, 60), st.floats(4.5, 7)),
    st.tuples(st.floats(-200, -50), st.floats(0.04, 0.12)),
    st.sampled_from(["", "plain"]),
)
def test_what_is_out_of_tune_or_amplified_is_in_time(
    folder: Path,
    tuning: float,
    cents: float,
    vibrato: tuple[float, float],
    bend: tuple[float, float],
    cabinet: str,
) -> None:
    starts = np.arange(0.0, 4.0, 0.8)
    each = plan(folder, 0)
    arrangement = make_arrangement(replace(each, sounds=None))
    notes = np.stack([starts, 0 * starts + 0.2, 0 * starts + 69, 0 * starts + 90], axis=1)
    part = replace(arrangement.parts[0], role="melody", drums=False, program=0, notes=notes)
    cast = Cast("timgm6mb", 0, 0, cabinet=cabinet, drive=6.0, cents=cents, vibrato=vibrato, bend=bend)
    known = measured_sounds.read_measured_sounds(folder)
    arrangement = replace(arrangement, parts=(part,), casting=Casting((cast,), tuning))
    heard = sounds.render_casting(arrangement, "train", known, np.random.default_rng(0))
    for start in starts:
        begin = max(0, round((start - 0.1) * SAMPLE_RATE))
        window = np.abs(heard[begin : begin + round(0.3 * SAMPLE_RATE)])
        onset = (begin + int(np.argmax(window > 0.25 * window.max()))) / SAMPLE_RATE
        assert onset == pytest.approx(start, abs=0.003)


@settings(deadline=None, max_examples=20)
@given(st.integers(55, 79), st.floats(120, 300))
def test_a_sung_note_begins_on_time_at_its_pitch(pitch: int, spoken: float) -> None:
    notes = np.array([[0.5, 0.6, pitch, 100]], dtype=float)
    sung = sing(notes, [syllable(spoken)], 1.5, np.random.default_rng(0))
    loud = np.flatnonzero(np.abs(sung) > 0.25 * np.abs(sung).max())[0] / SAMPLE_RATE
    assert loud == pytest.approx(0.5, abs=0.002)
    # Before the vibrato sets in.
    steady = sung[round(0.6 * SAMPLE_RATE) : round(0.7 * SAMPLE_RATE)]
    correlation = np.correlate(steady, steady, "full")[len(steady) :]
    lags = np.arange(1, len(correlation) + 1)
    inside = (lags > SAMPLE_RATE / 900) & (lags < SAMPLE_RATE / 150)
    octaves = [12 * octave + pitch for octave in (-2, -1, 0, 1) if 55 <= 12 * octave + pitch <= 79]
    expected = {SAMPLE_RATE / (440 * 2 ** ((each - 69) / 12)) for each in octaves}
    best = float(lags[inside][np.argmax(correlation[inside])])
    assert any(abs(best / period - round(best / period)) < 0.04 * round(best / period) for period in expected)


def clicks(seconds: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Short bursts, four a second."""
    audio = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
    burst = np.random.default_rng(0).standard_normal(400) * np.exp(-np.arange(400) / 80)
    for start in range(2000, len(audio) - 400, SAMPLE_RATE // 4):
        audio[start : start + 400] += burst.astype(np.float32)
    scaled: np.ndarray[Any, np.dtype[np.float32]] = 0.5 * audio / np.abs(audio).max()
    return scaled


def lag(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> int:
    """Samples by which the second comes after the first."""
    spectrum = np.fft.rfft(other, 2 * len(one)) * np.conj(np.fft.rfft(one, 2 * len(one)))
    found = int(np.argmax(np.fft.irfft(spectrum)))
    return found if found < len(one) else found - 2 * len(one)


@settings(deadline=None, max_examples=10)
@given(st.floats(0, 1))
def test_opus_moves_nothing(loss: float) -> None:
    audio = clicks(3)
    coded = apply_codec(audio, "opus", loss)
    assert coded.shape == audio.shape
    assert abs(lag(audio, coded)) <= 1


def test_production_moves_nothing() -> None:
    rng = np.random.default_rng(1)
    for seed in range(12):
        audio = clicks(3)
        drawn = production.draw_production(EVERY, np.random.default_rng(seed))
        made = production.apply_production(
            audio, replace(drawn, crowd=drawn.crowd and (drawn.crowd[0], 20.0)), rng
        )
        assert made.shape == audio.shape
        assert np.isfinite(made).all()
        assert abs(lag(audio, made)) <= 1
    assert production.draw_production(NONE, rng) == Production()


@settings(deadline=None, max_examples=20)
@given(st.floats(8, 26), st.floats(1.5, 8), st.floats(0.05, 0.2))
def test_a_compressor_turns_down_what_is_loud(threshold: float, ratio: float, release: float) -> None:
    times = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    loud = np.sin(2 * np.pi * 300 * times).astype(np.float32)
    quiet = np.float32(10 ** (-(threshold + 6) / 20))
    audio = np.where(times < 1, loud, quiet * loud).astype(np.float32)
    made = compress(audio, threshold, ratio, release)
    middle = made[SAMPLE_RATE // 2 : SAMPLE_RATE // 2 + 2000]
    expected = -threshold + threshold / ratio
    assert 20 * np.log10(np.abs(middle).max()) == pytest.approx(expected, abs=0.5)
    late = made[-2000:]
    assert np.abs(late).max() == pytest.approx(quiet, rel=0.1)


def test_a_corpus_is_prepared_alike_twice_and_loads(folder: Path, tmp_path: Path) -> None:
    arguments = [
        "--pairs",
        "12",
        "--seconds",
        "4",
        "--tunes",
        "0",
        "--soundfonts",
        str(folder),
        "--sound",
        "kits=1",
    ]
    corpora = []
    for name in ("one", "two"):
        assert main(["constructed", str(tmp_path / name), *arguments]) == 0
        corpora.append(read_corpus(tmp_path / name))
    assert corpora[0].pairs == corpora[1].pairs
    loaded = [load_pair(corpus.pairs[5], corpus.folder).wav for corpus in corpora]
    assert (loaded[0] == loaded[1]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--sources", "unseen"), "give their folder with --soundfonts"),
        (("--soundfonts", "FOLDER", "--sound", "sung"), "--sound sung: expected NAME=SHARE"),
        (
            ("--soundfonts", "FOLDER", "--sound", "sung=2"),
            "--sound.sung = 2.0: must be less than or equal to 1",
        ),
        (("--soundfonts", "FOLDER", "--sound", "song=0.5"), "unknown key --sound.song"),
        (("--soundfonts", "none"), "motionbeat data soundfonts"),
        (("--soundfonts", "FOLDER", "--soundfont", "x.sf2"), "give one of them"),
    ],
)
def test_options_that_cannot_be_are_refused(
    arguments: tuple[str, ...], message: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given_arguments = [str(folder) if argument == "FOLDER" else argument for argument in arguments]
    assert main(["constructed", str(tmp_path / "out"), "--tunes", "0", *given_arguments]) == 2
    assert message in capsys.readouterr().err


def test_other_sounds_than_were_planned_are_refused(folder: Path) -> None:
    each = replace(plan(folder, 0), sounds_sha256="0" * 48)
    with pytest.raises(DataError, match="not the sounds that the corpus was prepared with"):
        make_arrangement(each)


def test_the_lead_holds_the_latest_program() -> None:
    """Notes before a pair can be played as much earlier as any program needs."""
    from motion_data.soundfont_survey import ATTACK_SECONDS

    assert ATTACK_SECONDS < LEAD_SECONDS
