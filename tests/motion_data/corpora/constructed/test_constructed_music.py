"""The music of constructed pairs: tunes, arrangement on one time map, rendering, acoustics."""

from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data.corpora.constructed import tunes as tunes_module
from motion_data.corpora.constructed.acoustics import (
    CODECS,
    NOISE_COLOURS,
    Acoustics,
    Room,
    apply_acoustics,
    coloured_noise,
    draw_acoustics,
    impulse_response,
)
from motion_data.corpora.constructed.arrangement import (
    LEAD_SECONDS,
    MAX_BPM,
    MAX_TIMING_ERROR_SECONDS,
    MIN_BPM,
    TEMPO_MARGIN,
    TEMPO_PROFILES,
    Arrangement,
    Part,
    apply_swing,
    arrange,
    harmonise,
    tempo_map,
)
from motion_data.corpora.constructed.plan import render_soundfont
from motion_data.corpora.constructed.styles import (
    CHORDS,
    LANES,
    MELODY,
    STYLES,
    STYLES_BY_NAME,
    find_styles,
    program_split,
    split_programs,
)
from motion_data.corpora.constructed.tunes import (
    METRES,
    TICKS_PER_BEAT,
    Tune,
    generate_tune,
    read_abc,
    read_midi_tunes,
    read_music21_tunes,
    tune_from_record,
    tune_to_record,
    unify_piece_names,
)
from motion_data.errors import DataError
from motion_data.pair import SPLITS
from motion_data.soundfont import PEAK_AMPLITUDE, default_soundfont
from motionbeat_upstream.config import SAMPLE_RATE
from tests.conftest import skip_or_fail
from tests.shared_data import shared

SECONDS = 6.0


def arranged(number: int, style: int | None = None, seconds: float = SECONDS) -> Arrangement:
    """An arrangement of a made tune, of all there are by number."""
    rng = np.random.default_rng(number)
    chosen = STYLES[number % len(STYLES) if style is None else style]
    program = int(rng.choice(MELODY))
    return arrange(generate_tune(chosen.signature, number % 50), chosen.name, program, "train", seconds, rng)


# Tunes

ABC = """X:1
T:The Opera -- Reel.
M:2/4
L:1/8
K:D
A | d2 e2 | f2 (3gfe | d2 A2 | B2 A :|
|: A | f2 f2 |1 e2 e2 | d2 d2 | A2 B :|2 e2 c2 | d2 c2 | d2 z ||
"""


@pytest.mark.slow
def test_abc_repeats_endings_and_split_bars_are_played_out() -> None:
    tune = read_abc(ABC, "music21:x#1")
    assert tune is not None
    # 4 bars twice, then 4 and 4.
    assert (tune.signature, tune.bars, tune.piece) == ("2/4", 16, "opera")
    assert tune.scale == (2, 4, 6, 7, 9, 11, 1)
    starts, lengths, pitches = tune.notes.T
    assert pitches[:4].tolist() == [74, 76, 78, 79]
    assert starts[:4].tolist() == [0, TICKS_PER_BEAT, 2 * TICKS_PER_BEAT, 3 * TICKS_PER_BEAT]
    assert lengths[3] == TICKS_PER_BEAT // 3
    # The pick-up comes before the first bar again: at the end, where a bar has room for it.
    assert starts[-1] == 8 * 4 * TICKS_PER_BEAT - TICKS_PER_BEAT // 2
    assert pitches[-1] == 69
    # The second ending follows the repeat and not the first one.
    second_half = pitches[starts >= 4 * 4 * TICKS_PER_BEAT]
    assert second_half.tolist() == [78, 78, 76, 76, 74, 74, 69, 71, 69, 78, 78, 76, 73, 74, 73, 74, 69]


def test_abc_with_bars_of_other_lengths_is_refused() -> None:
    assert read_abc(ABC.replace("B2 A :|", "B2 A2 A :|"), "music21:x#1") is None
    assert read_abc(ABC.replace("| d2 A2 |", "| d2 A2 A2 |"), "music21:x#1") is None
    assert read_abc(ABC.replace("M:2/4", "M:9/8"), "music21:x#1") is None
    assert read_abc("X:1\nK:D\n[[[", "music21:x#1") is None


def check_tune(tune: Tune) -> None:
    starts, lengths, pitches = tune.notes.T
    assert starts[0] >= 0
    assert (np.diff(starts) > 0).all()
    assert (lengths > 0).all()
    assert starts[-1] + lengths[-1] <= tune.bars * tune.metre * TICKS_PER_BEAT
    assert ((pitches > 30) & (pitches < 110)).all()
    assert len(set(tune.scale)) == 7
    again = tune_from_record(tune_to_record(tune))
    assert replace(again, notes=tune.notes) == tune
    assert np.array_equal(again.notes, tune.notes)
    chords = harmonise(tune)
    assert chords.shape == (tune.bars, 3)
    # No diminished triads: a fifth is seven half-tones, or eight.
    assert set(((chords[:, 2] - chords[:, 0]) % 12).tolist()) <= {7, 8}


@given(st.sampled_from(list(METRES)), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_made_tunes_are_whole_and_always_the_same(signature: str, number: int) -> None:
    tune = generate_tune(signature, number)
    check_tune(tune)
    assert (tune.signature, tune.metre, tune.bars) == (signature, METRES[signature][0], 16)
    assert np.array_equal(tune.notes, generate_tune(signature, number).notes)
    # Notes begin on halves and quarters of the beat, or on its thirds.
    assert (tune.notes[:, 0] % (16 if METRES[signature][1] == 3 else 12) == 0).mean() > 0.7


@pytest.mark.slow
def test_tunes_of_music21(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tenth of them; a second call reads the cache."""
    if find_spec("music21") is None:
        skip_or_fail("music21 is not installed")
    texts = tunes_module._corpus_texts()
    assert len(texts) > 3000
    monkeypatch.setattr(tunes_module, "_corpus_texts", lambda: texts[::10])
    tunes = read_music21_tunes(cache=tmp_path)
    assert len(tunes) > 0.7 * len(texts[::10])
    metres = [tune.signature for tune in tunes]
    assert all(metres.count(metre) >= 10 for metre in ("3/4", "4/4", "6/8"))
    assert "2/4" in metres
    for tune in tunes:
        check_tune(tune)
    # On beats more notes begin than between them, and on downbeats as many as on any beat.
    starts = np.concatenate([tune.notes[:, 0] for tune in tunes if tune.signature == "4/4"])
    count = np.bincount(starts % (4 * TICKS_PER_BEAT) // (TICKS_PER_BEAT // 2), minlength=8)
    assert count[::2].min() > count[1::2].max()
    assert count[0] > 0.95 * count.max()
    monkeypatch.setattr(tunes_module, "_corpus_texts", None)
    again = read_music21_tunes(cache=tmp_path)
    assert [tune_to_record(tune) for tune in again] == [tune_to_record(tune) for tune in tunes]


def test_without_music21_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("motion_data.corpora.constructed.tunes.version", missing)
    with pytest.raises(DataError, match=r"pip install '\.\[data\]'.*--tunes 0"):
        read_music21_tunes()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-5, 6), st.integers(0, 5)), min_size=1, max_size=12))
@settings(max_examples=30, deadline=None)
def test_the_same_tune_under_another_title_is_the_same_piece(drawn: list[tuple[int, int, int]]) -> None:
    """Each is one of six melodies, in some key, under one of six titles."""
    tunes = []
    for melody, shift, title in drawn:
        made = generate_tune("4/4", melody)
        tunes.append(replace(made, notes=made.notes + np.array([0, 0, shift]), piece=f"title {title}"))
    named = unify_piece_names(tunes)
    assert all(np.array_equal(tune.notes, other.notes) for tune, other in zip(tunes, named, strict=True))
    # The oracle: names spread along shared melodies and titles until nothing changes.
    names = [title for _, _, title in drawn]
    for _ in drawn:
        for one, (melody, _, title) in enumerate(drawn):
            for other, (another, _, its) in enumerate(drawn):
                if melody == another or title == its:
                    names[one] = names[other] = min(names[one], names[other])
    assert [tune.piece for tune in named] == [f"title {name}" for name in names]


@pytest.mark.slow
def test_midi_melodies(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \.mid"):
        read_midi_tunes(tmp_path)
    (tmp_path / "broken.mid").write_bytes(b"MThd nothing")
    tunes, left_out = read_midi_tunes(tmp_path)
    assert not tunes
    assert "not readable" in left_out["broken.mid"]
    tunes, left_out = read_midi_tunes(shared("audio/pop909"))
    assert len(tunes) > 90
    for tune in tunes[::10]:
        check_tune(tune)


# Styles


def test_patterns_are_well_formed() -> None:
    assert len({style.name for style in STYLES}) == len(STYLES)
    for style in STYLES:
        assert set(style.drums) <= set(LANES)
        assert MIN_BPM <= style.bpm[0] < style.bpm[1] <= MAX_BPM
        for patterns, signs in (
            (style.drums.values(), "Xxo."),
            (style.bass, "rtfow."),
            (style.chords, "xs.01234"),
        ):
            for pattern in patterns:
                bars = pattern.split(" ")
                assert {len(bar) for bar in bars} == {len(bars[0])}
                assert len(bars[0]) % style.metre == 0
                assert set("".join(bars)) <= set(signs)
    for metre in METRES:
        assert len(find_styles(metre)) >= 5
        # Together the styles of a metre cover the tempi that it is played at.
        fastest = 150 if METRES[metre][1] == 3 else MAX_BPM if metre != "2/4" else 200
        for bpm in np.geomspace(MIN_BPM, fastest, 100):
            assert find_styles(metre, float(bpm)), (metre, bpm)


@pytest.mark.parametrize("programs", [MELODY, CHORDS])
def test_every_split_has_programs_of_its_own(programs: tuple[int, ...]) -> None:
    parts = {split: set(split_programs(split, programs)) for split in SPLITS}
    assert set.union(*parts.values()) == set(programs)
    assert all(len(part) >= 5 for part in parts.values())
    assert sum(map(len, parts.values())) == len(set(programs))


# Time


@given(st.sampled_from(TEMPO_PROFILES), st.floats(MIN_BPM, MAX_BPM), st.integers(2, 7), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_a_tempo_map_increases_and_keeps_to_the_tempi(course: str, bpm: float, metre: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    zero = float(rng.uniform(2, 8))
    tempo = tempo_map(bpm, 40.0, metre, course, zero, rng)
    beats = np.arange(-80, 800) / 16
    times = tempo.at(beats)
    rate = 60 / (np.diff(times) / np.diff(beats))
    slow = rate < MIN_BPM / TEMPO_MARGIN - 1e-6
    assert (rate < MAX_BPM * TEMPO_MARGIN + 1e-6).all()
    assert (tempo.fermata_beat is not None) == (course == "fermata")
    if tempo.fermata_beat is None:
        assert not slow.any()
    else:
        # One beat is held, the last of a bar, and nothing else is slow.
        assert tempo.fermata_beat % metre == metre - 1
        assert set(np.floor(beats[:-1][slow])) <= {tempo.fermata_beat}
        lasts = tempo.at(np.array([tempo.fermata_beat, tempo.fermata_beat + 1, tempo.fermata_beat + 2]))
        assert 1.6 < (lasts[1] - lasts[0]) / (lasts[2] - lasts[1]) < 3.1
    assert abs(tempo.at(zero)) < 1e-9
    if course == "steady":
        np.testing.assert_allclose(rate, bpm, rtol=1e-6)


@given(st.floats(0.5, 0.75), st.sampled_from([2, 4]), st.floats(0, 50))
@settings(max_examples=60, deadline=None)
def test_swing_leaves_beats_and_keeps_order(ratio: float, values: int, beat: float) -> None:
    beats = np.arange(20)
    np.testing.assert_allclose(apply_swing(beats, ratio, values), beats, atol=1e-9)
    near = np.array([beat, beat + 1e-3])
    assert np.diff(apply_swing(near, ratio, values))[0] > 0
    np.testing.assert_allclose(apply_swing(near, 0.5, values), near, atol=1e-9)
    # The second of two values comes late by the ratio.
    half = 1 / values
    np.testing.assert_allclose(apply_swing(half, ratio, values), 2 * half * ratio, atol=1e-9)


# Arrangement


@given(st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_arrangements_fit_their_grid(number: int) -> None:
    piece = arranged(number)
    grid = piece.grid
    gaps = np.diff(grid.beats)
    slowest = TEMPO_MARGIN * 60 / MIN_BPM * (3 if piece.tempo_profile == "fermata" else 1)
    assert (gaps > 60 / MAX_BPM / TEMPO_MARGIN - 1e-3).all()
    assert (gaps < slowest + 1e-3).all()
    assert 0 <= grid.beats[0] <= slowest
    assert SECONDS - slowest - 1e-3 <= grid.beats[-1] < SECONDS
    assert (np.diff(grid.positions) % grid.metre == 1 % grid.metre).all()
    assert 0 < piece.energy <= 1
    assert piece.parts
    for part in piece.parts:
        start, length, pitch, velocity = part.notes.T
        assert (start >= -LEAD_SECONDS).all()
        assert (start < SECONDS).all()
        assert (np.diff(start) >= 0).all()
        assert (length > 0).all()
        assert ((pitch >= 0) & (pitch <= 127) & (velocity >= 1) & (velocity <= 127)).all()


def test_drums_strike_on_the_divisions_of_the_grid() -> None:
    """Whatever the tempo does: strokes that are not swung lie on quarters or thirds of the grid's beats."""
    off: list[NDArray[np.float64]] = []
    struck: list[NDArray[np.bool_]] = []
    for number in range(138):
        piece = arranged(number)
        beats = piece.grid.beats
        if piece.tempo_profile == "fermata":
            continue
        for part in (part for part in piece.parts if part.drums and piece.swing == 0.5):
            starts = part.notes[(part.notes[:, 0] > beats[0]) & (part.notes[:, 0] < beats[-1]), 0]
            steps = STYLES_BY_NAME[piece.style].parts * 2 // (1 + (STYLES_BY_NAME[piece.style].parts == 3))
            written = np.interp(starts, beats, np.arange(len(beats)))
            nearest = np.interp(np.round(written * steps) / steps, np.arange(len(beats)), beats)
            off.append(starts - nearest)
            struck.append(
                np.abs(starts[:, None] - piece.grid.downbeats).min(axis=0, initial=9.0)
                < MAX_TIMING_ERROR_SECONDS
            )
    errors = np.concatenate(off)
    assert len(errors) > 1000
    assert abs(np.mean(errors)) < 0.001
    assert np.quantile(np.abs(errors), 0.9) < 0.012
    # A phrase may be without drums, and one style in nineteen is without a first beat.
    assert np.mean(np.concatenate(struck)) > 0.7


@pytest.mark.slow
def test_the_bar_can_be_heard() -> None:
    """How much is played, and how loud, depends on the position in the bar: most on its first beat."""
    for signature, (metre, _) in METRES.items():
        mass = np.zeros(metre)
        styles = [number for number, style in enumerate(STYLES) if style.signature == signature]
        for number in range(120):
            piece = arranged(number, styles[number % len(styles)])
            for part in piece.parts:
                nearest = np.abs(part.notes[:, 0][:, None] - piece.grid.beats[None, :])
                on, beat = nearest.min(axis=1) < 0.04, nearest.argmin(axis=1)
                np.add.at(mass, piece.grid.positions[beat[on]] - 1, part.notes[on, 3])
        assert mass[0] > 1.1 * mass[1:].max(), (signature, mass)


def test_the_same_generator_gives_the_same_arrangement() -> None:
    for number in (3, 21, 30):
        first, second = arranged(number), arranged(number)
        for one, other in zip(first.parts, second.parts, strict=True):
            assert np.array_equal(one.notes, other.notes)
        assert np.array_equal(first.grid.beats, second.grid.beats)


# Rendering


def onset_strength(audio: NDArray[np.float32], hop: int = 16) -> NDArray[np.float64]:
    """Rises of the log envelope, one value a millisecond."""
    frames = audio[: len(audio) // hop * hop].reshape(-1, hop)
    envelope = np.log(np.abs(frames).max(axis=1).astype(np.float64) + 1e-4)
    return np.concatenate([[0.0], np.maximum(np.diff(envelope), 0.0)])


def best_lag(strength: NDArray[np.float64], times: NDArray[np.float64], reach: int = 60) -> int:
    """Milliseconds by which the rises follow the times, where both agree best."""
    comb = np.zeros(len(strength))
    comb[
        np.unique(np.round(times[(times > 0.1) & (times < len(strength) / 1000 - 0.1)] * 1000).astype(int))
    ] = 1.0
    lags = np.arange(-reach, reach + 1)
    agreement = [np.dot(np.roll(strength, -lag), comb) for lag in lags]
    return int(lags[int(np.argmax(agreement))])


def test_drums_sound_when_the_grid_says() -> None:
    lags = []
    for number in range(0, 66, 3):
        piece = arranged(number)
        drums = [part for part in piece.parts if part.drums]
        if drums:
            audio = render_soundfont(replace(piece, parts=(drums[0],)), default_soundfont())
            lags.append(best_lag(onset_strength(audio), drums[0].notes[:, 0]))
    print(f"drums sound after the score by {np.median(lags)} ms (median), {min(lags)} to {max(lags)} ms")
    assert len(lags) > 10
    assert min(lags) >= -2
    assert max(lags) <= 10


def test_a_beat_is_rendered_where_the_grid_has_it() -> None:
    """Woodblock strokes on the very beats of warped grids: within 10 ms of each, one by one."""
    for number in range(8):
        piece = arranged(number)
        beats = piece.grid.beats[(piece.grid.beats > 0.2) & (piece.grid.beats < SECONDS - 0.2)]
        notes = np.stack([beats, 0 * beats + 0.1, 0 * beats + 76, 0 * beats + 110], axis=1)
        audio = render_soundfont(replace(piece, parts=(Part("drums", 0, True, notes),)), default_soundfont())
        strength = onset_strength(audio)
        for beat in beats:
            at = round(beat * 1000)
            found = at - 40 + int(np.argmax(strength[at - 40 : at + 40]))
            assert abs(found - beat * 1000) <= 10


def test_rendering_is_loud_finite_and_repeatable() -> None:
    for number in (0, 7, 20, 29):
        piece = arranged(number)
        audio = render_soundfont(piece, default_soundfont())
        assert audio.shape == (round(SECONDS * SAMPLE_RATE),)
        assert audio.dtype == np.float32
        assert np.abs(audio).max() == pytest.approx(PEAK_AMPLITUDE, abs=1e-5)
        assert np.array_equal(audio, render_soundfont(piece, default_soundfont()))


# Acoustics


def clicks(seed: int, seconds: float = 4.0) -> NDArray[np.float32]:
    """Short bursts of noise at random times."""
    rng = np.random.default_rng(seed)
    track = np.zeros(round(seconds * SAMPLE_RATE), dtype=np.float32)
    for start in np.arange(0.2, seconds - 0.3, 0.4) + rng.uniform(
        0, 0.1, len(np.arange(0.2, seconds - 0.3, 0.4))
    ):
        at = round(start * SAMPLE_RATE)
        burst = rng.normal(0, 0.3, 400) * np.exp(-np.arange(400) / 80)
        track[at : at + 400] = np.clip(burst, -0.9, 0.9)
    return track


def shift(heard: NDArray[np.float32], track: NDArray[np.float32], reach: int = 800) -> float:
    """Milliseconds by which ``heard`` lies after ``track``: the peak of their cross-correlation."""
    size = 2 * len(track)
    both = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(track, size)))
    near = np.concatenate([both[-reach:], both[: reach + 1]])
    return float(np.argmax(np.abs(near)) - reach) * 1000 / SAMPLE_RATE


STAGES = {
    "nothing": Acoustics(),
    "room": Acoustics(room=Room(1.2, -2, 7000)),
    "dull room": Acoustics(room=Room(0.5, -2, 1500)),
    "dark": Acoustics(tilt=-4),
    "bright": Acoustics(tilt=4),
    "telephone": Acoustics(band=(350, 2800)),
    "overload": Acoustics(drive=12),
    **{colour: Acoustics(noise=(colour, 3)) for colour in NOISE_COLOURS},
    **{codec: Acoustics(codec=(codec, 0.9)) for codec in CODECS},
    **{f"fine {codec}": Acoustics(codec=(codec, 0.0)) for codec in CODECS},
}


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_moves_an_onset(stage: str) -> None:
    for seed in range(2):
        track = clicks(seed)
        heard = apply_acoustics(track, STAGES[stage], np.random.default_rng(seed))
        assert heard.shape == track.shape
        assert heard.dtype == np.float32
        assert np.isfinite(heard).all()
        assert 0.05 < np.abs(heard).max() < 1
        assert abs(shift(heard, track)) <= 1.0


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_drawn_acoustics_keep_onsets_and_repeat(seed: int) -> None:
    track = clicks(seed)
    rng = np.random.default_rng(seed)
    acoustics = draw_acoustics(rng)
    heard = apply_acoustics(track, acoustics, np.random.default_rng(seed))
    assert np.array_equal(
        heard,
        apply_acoustics(track, draw_acoustics(np.random.default_rng(seed)), np.random.default_rng(seed)),
    )
    assert abs(shift(heard, track)) <= 1.0
    assert np.abs(heard).max() < 1


def test_every_stage_is_drawn_now_and_then() -> None:
    drawn = [draw_acoustics(np.random.default_rng(seed)) for seed in range(400)]
    for field in ("room", "band", "noise", "drive", "codec"):
        share = np.mean([getattr(one, field) is not None for one in drawn])
        assert 0.05 < share < 0.6, field
    assert {one.codec[0] for one in drawn if one.codec is not None} == set(CODECS)
    assert {one.noise[0] for one in drawn if one.noise is not None} == set(NOISE_COLOURS)


def test_a_room_begins_with_the_direct_sound_and_decays() -> None:
    room = Room(0.6, -6, 5000)
    response = impulse_response(room, np.random.default_rng(0))
    assert response[0] == pytest.approx(1.0)
    assert np.abs(response[1:48]).max() == 0
    late = 10 * np.log10([np.mean(np.square(part)) for part in np.array_split(response[2000:8000], 4)])
    assert all(before > after for before, after in pairwise(late))
    # 60 dB in 0.6 s: 100 dB a second, over parts of 94 ms.
    assert np.mean(np.diff(late)) == pytest.approx(-9.4, abs=2.5)
    level = 10 * np.log10(np.sum(np.square(response)) - 1.0)
    assert level == pytest.approx(-6, abs=0.2)


@pytest.mark.parametrize(("colour", "fall"), [("white", 0.0), ("pink", -3.0), ("brown", -6.0)])
def test_noises_have_their_colour(colour: str, fall: float) -> None:
    noise = coloured_noise(colour, 2**16, np.random.default_rng(0))
    power = np.square(np.abs(np.fft.rfft(noise)))
    bands = [10 * np.log10(power[low : 2 * low].mean()) for low in (1024, 2048, 4096, 8192)]
    assert np.mean(np.diff(bands)) == pytest.approx(fall, abs=0.5)


def test_every_program_belongs_to_one_split() -> None:
    assert {program_split(program) for program in range(128)} == set(SPLITS)
