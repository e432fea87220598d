"""Scores by MMA and of MIDI files: their bars are those of what is played, and contradictions are found."""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import symusic
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_data.corpora import constructed
from motion_data.corpora.constructed import mma
from motion_data.corpora.constructed.arrangement import MAX_TIMING_ERROR_SECONDS, harmonise
from motion_data.corpora.constructed.pieces import folder_licence, read_piece, read_pieces
from motion_data.corpora.constructed.plan import Mix, plan_pair
from motion_data.corpora.constructed.score_check import find_contradiction
from motion_data.corpora.constructed.scores import (
    Score,
    ScoreEntry,
    arrange_score,
    load_score,
    read_score_file,
    write_score,
)
from motion_data.corpora.constructed.tunes import METRES, generate_tune
from motion_data.errors import DataError
from motion_data.files import file_sha256
from motion_data.loading import load_pair
from motion_data.pair import SPLITS
from motion_data.preparation import split_by_hash
from tests.conftest import skip_or_fail
from tests.shared_data import shared

KICK, SNARE, HAT = 36, 38, 42


def score(signature: str = "4/4", bars: int = 16, seed: int = 0, **others: object) -> Score:
    """Kick and a new bass note on the first beat, snare on the others, hats between them."""
    metre, parts = METRES[signature]
    rng = np.random.default_rng(seed)
    rows: list[tuple[float, ...]] = []
    for beat in range(bars * metre):
        first = beat % metre == 0
        rows.append((0, beat, 0.2, KICK if first else SNARE, 100 if first else 90))
        rows += [(0, beat + part / parts, 0.2, HAT, 60) for part in range(parts)]
        if first:
            rows.append((1, beat, metre, 36 + (beat // metre * 5) % 12, 90))
        rows.append((2, beat + rng.integers(parts) / parts, 0.5, 60 + rng.integers(12), 80))
    notes = np.array(rows, dtype=np.float64)
    made = Score(
        source=f"midi:made/{seed}.mid",
        piece=f"midi:made/{seed}.mid",
        licence="made",
        style="pieces",
        signature=signature,
        metre=metre,
        beats=bars * metre,
        bpm=(60.0, 200.0),
        loop=(0, bars * metre),
        players=(("drums", 0, True), ("bass", 33, False), ("chords", 0, False)),
        notes=notes[np.argsort(notes[:, 1], kind="stable")],
    )
    return replace(made, **others)  # type: ignore[arg-type]


def moved(made: Score, beats: float) -> Score:
    """All that is played, later against the bars."""
    notes = made.notes + np.array([0, beats, 0, 0, 0])
    return replace(made, notes=notes[(notes[:, 1] >= 0) & (notes[:, 1] < made.beats)])


@given(st.sampled_from(list(METRES)), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_accents_that_fit_their_bars_are_believed_and_others_are_not(signature: str, seed: int) -> None:
    made = score(signature, 16, seed)
    assert find_contradiction(made) == ""
    later = int(np.random.default_rng(seed).integers(1, made.metre))
    assert f"beat {later + 1} of the bar has stronger accents" in find_contradiction(moved(made, later))
    if METRES[signature][1] == 2:
        stretched = replace(made, notes=made.notes * np.array([1, 1.37, 1, 1, 1]))
        assert find_contradiction(stretched)
    assert "off the grid" in find_contradiction(moved(made, 0.1))
    assert "no notes" in find_contradiction(replace(made, notes=made.notes[:0]))


def test_another_metre_than_what_is_played_is_found() -> None:
    three = score("3/4", 32)
    as_four = replace(three, signature="4/4", metre=4)
    assert find_contradiction(as_four)
    off_beats = score("4/4")
    pushed = np.where(off_beats.notes[:, [3]] == HAT, 0.0, 0.5) * np.array([[0, 1, 0, 0, 0]])
    assert "between the beats" in find_contradiction(replace(off_beats, notes=off_beats.notes + pushed))


@given(st.integers(0, 10**6), st.sampled_from(list(METRES)), st.floats(60, 200), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_stretch_of_a_score_is_on_its_grid(seed: int, signature: str, bpm: float, own: bool) -> None:
    """Notes of the score that lie on beats are played on beats, in the place of the bar where they belong."""
    rng = np.random.default_rng(seed)
    made = score(signature, 12, seed)
    if own:
        steps = 0.5 * np.exp(np.cumsum(rng.normal(0, 0.01, made.beats)))
        made = replace(made, seconds=np.concatenate([[0.0], np.cumsum(steps)]))
    piece = arrange_score(made, "train", 14.0, bpm, rng)
    grid = piece.grid
    assert grid.metre == made.metre
    assert (np.diff(grid.positions) % grid.metre == 1 % grid.metre).all()
    assert abs(np.log2(grid.bpm / bpm)) < 0.4
    for part in piece.parts:
        if part.drums:
            kicks = part.notes[part.notes[:, 2] == KICK, 0]
            kicks = kicks[(kicks > grid.beats[0] - 0.01) & (kicks < grid.beats[-1])]
            nearest = np.abs(kicks[:, None] - grid.downbeats).min(axis=1, initial=9.0)
            assert (nearest < MAX_TIMING_ERROR_SECONDS + 1e-6).all()


def test_a_score_that_is_too_short_is_repeated_in_whole_bars() -> None:
    made = score("3/4", 8)
    piece = arrange_score(made, "test", 60.0, 150.0, np.random.default_rng(1))
    assert len(piece.grid.beats) > 120
    assert np.diff(piece.grid.beats).max() < 3 * np.median(np.diff(piece.grid.beats))
    drums = next(part for part in piece.parts if part.drums)
    starts = drums.notes[drums.notes[:, 0] > 0, 0]
    assert np.diff(starts).max() < 3.0


@given(st.integers(0, 1000), st.sampled_from(list(METRES)), st.booleans())
@settings(max_examples=15, deadline=None)
def test_scores_go_through_files(
    tmp_path_factory: pytest.TempPathFactory, seed: int, metre: str, own: bool
) -> None:
    folder = tmp_path_factory.mktemp("scores")
    made = score(metre, 8, seed)
    if own:
        made = replace(made, seconds=np.arange(made.beats + 1) * 0.41)
    first, second = folder / "one.npz", folder / "two.npz"
    write_score(first, made)
    write_score(second, made)
    assert first.read_bytes() == second.read_bytes()
    again = load_score(first, file_sha256(first))
    assert replace(again, notes=made.notes, seconds=made.seconds) == made
    np.testing.assert_allclose(again.notes, made.notes, atol=1e-3)
    with pytest.raises(DataError, match="the score has changed"):
        load_score(second, "0" * 64)
    second.write_bytes(first.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"whole \.npz"):
        read_score_file(second)
    with pytest.raises(DataError, match="no such file"):
        read_score_file(folder / "three.npz")


# MIDI files


def write_midi(
    path: Path, made: Score, quarters_a_beat: float = 1.0, bpm: float = 120.0, *marks: tuple[int, int, int]
) -> Path:
    """The score as a file; ``marks`` are tick, numerator and denominator of time signatures."""
    file = symusic.Score(480)
    file.tempos.append(symusic.Tempo(0, bpm))
    for tick, over, under in marks:
        file.time_signatures.append(symusic.TimeSignature(tick, over, under))
    for index, (role, program, drums) in enumerate(made.players):
        track = symusic.Track(role, program, drums)
        for _, start, length, pitch, velocity in made.notes[made.notes[:, 0] == index]:
            ticks = (round(480 * quarters_a_beat * value) for value in (start, length))
            track.notes.append(symusic.Note(*ticks, int(pitch), int(velocity)))
        file.tracks.append(track)
    file.dump_midi(path)
    return path


@pytest.mark.parametrize(
    ("signature", "quarters"),
    [("4/4", 1.0), ("3/4", 1.0), ("5/4", 1.0), ("6/8", 1.5), ("12/8", 1.5), ("7/8", 0.5), ("2/4", 1.0)],
)
def test_a_piece_keeps_its_drums_tempo_and_bars(tmp_path: Path, signature: str, quarters: float) -> None:
    made = score(signature, 16)
    over, under = map(int, signature.split("/"))
    path = write_midi(tmp_path / "a.mid", made, quarters, 90.0, (0, over, under))
    (found,) = read_piece(path, "midi:x/a.mid", "free")
    assert isinstance(found, Score)
    assert (found.signature, found.metre, found.licence) == (signature, made.metre, "free")
    assert found.beats in (made.beats, made.beats - made.metre)
    assert found.bpm[0] < 90 / quarters < found.bpm[1]
    assert found.seconds is None
    kept = made.notes[made.notes[:, 1] < found.beats - 0.1]
    assert [player[0] for player in found.players] == ["drums", "bass", "chords"]
    for part in range(3):
        ours, theirs = kept[kept[:, 0] == part], found.notes[found.notes[:, 0] == part]
        np.testing.assert_allclose(np.sort(ours[:, 1]), np.sort(theirs[:, 1]), atol=2e-3)
        assert np.array_equal(np.sort(ours[:, 3]), np.sort(theirs[:, 3]))


def test_stretches_of_a_piece_in_several_metres_are_scores_of_their_own(tmp_path: Path) -> None:
    three, four = score("3/4", 12), score("4/4", 12)
    shifted = four.notes + np.array([0, three.beats, 0, 0, 0])
    both = replace(four, notes=np.concatenate([three.notes, shifted]))
    path = write_midi(tmp_path / "a.mid", both, 1.0, 100.0, (0, 3, 4), (480 * three.beats, 4, 4))
    found = read_piece(path, "midi:x/a.mid", "free")
    assert [one.signature for one in found if isinstance(one, Score)] == ["3/4", "4/4"]
    assert {one.piece for one in found if isinstance(one, Score)} == {"midi:x/a.mid"}
    assert len({one.source for one in found if isinstance(one, Score)}) == 2


def test_files_that_cannot_be_used_are_left_out_with_the_reason(tmp_path: Path) -> None:
    good = score()
    write_midi(tmp_path / "good.mid", good, 1.0, 120.0, (0, 4, 4))
    write_midi(tmp_path / "late.mid", moved(good, 1), 1.0, 120.0, (0, 4, 4))
    write_midi(tmp_path / "fast.mid", good, 1.0, 280.0, (0, 4, 4))
    write_midi(tmp_path / "short.mid", score(bars=4), 1.0, 120.0, (0, 4, 4))
    write_midi(tmp_path / "nine.mid", score("3/4", 12), 1.5, 80.0, (0, 9, 8))
    (tmp_path / "broken.mid").write_bytes(b"MThd nothing")
    (tmp_path / "COPYING").write_text("\nDo as you like.\nMore.")
    scores, left_out = read_pieces(tmp_path)
    assert [one.source for one in scores if "good" in one.source] == [f"midi:{tmp_path.name}/good.mid"]
    for name, reason in {
        "late": "has stronger accents",
        "fast": "280 bpm",
        "short": "no 8 consecutive bars",
        "broken": "not readable",
    }.items():
        assert reason in left_out[f"{name}.mid"], name
    assert "COPYING: Do as you like." in scores[0].licence
    assert folder_licence(tmp_path / "nowhere").startswith("the MIDI file's own")


@pytest.mark.slow
def test_freedoom_keeps_its_bars() -> None:
    folder = shared("audio/freedoom_midi")
    used = 0
    for path in sorted(folder.glob("d_e2m*.mid")):
        for found in read_piece(path, f"midi:freedoom/{path.name}", folder_licence(folder)):
            if isinstance(found, Score):
                used += 1
                assert found.beats >= 8 * found.metre
                assert any(role == "drums" for role, _, _ in found.players)
    assert used >= 6


def test_pop909_keeps_its_annotated_bars() -> None:
    """Its files have bars of a quarter: the annotation beside them says where bars really begin."""
    folder = shared("audio/pop909")
    found = [
        stretch
        for name in ("001", "010", "127")
        for stretch in read_piece(
            folder / name / f"{name}.mid", f"midi:pop909/{name}", folder_licence(folder)
        )
    ]
    scores = [stretch for stretch in found if isinstance(stretch, Score)]
    assert {one.piece for one in scores} == {"midi:pop909/001", "midi:pop909/010"}
    assert all(one.metre == 4 and "MIT" in one.licence for one in scores)
    # In this one bass and chords change on the annotation's second beats.
    assert [
        stretch
        for stretch in found
        if isinstance(stretch, str) and "beat 2 of the bar has stronger" in stretch
    ]


# MMA


def program() -> mma.Program:
    """MMA; it is called as a program, as users do."""
    try:
        return mma.find_program("auto")
    except DataError as error:
        skip_or_fail(str(error))
        raise


def test_a_missing_mma_is_reported_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="apt-get install mma"):
        mma.find_program("auto")
    (tmp_path / "mma").write_text("")
    with pytest.raises(DataError, match="no MMA library"):
        mma.find_program(str(tmp_path / "mma"))


def test_grooves_are_found_with_introduction_ending_and_metre(tmp_path: Path) -> None:
    folder = tmp_path / "usr/share/mma/lib/stdlib"
    folder.mkdir(parents=True)
    (tmp_path / "usr/share/mma/MMA").mkdir()
    (tmp_path / "usr/bin").mkdir()
    (tmp_path / "usr/bin/mma").write_text("")
    (folder / "waltz.mma").write_text(
        "Time 3 // three\nTimesig 3 4\nDefGroove Waltz A waltz\nDefGroove WaltzSus\nDefGroove WaltzIntro\n"
        "  DefGroove WaltzEnd\nDefGroove WaltzFill\nDefGroove OtherEnd\n"
    )
    (folder / "parts.mma").write_text(
        "DefGroove JazzMainA\nDefGroove JazzMainB\nDefGroove JazzIntroA\nDefGroove JazzEndingB\n"
        "DefGroove JazzFillAB\nDefGroove JazzFA\nDefGroove JazzE\nDefGroove JazzIntroSus\n"
    )
    (folder / "march.mma").write_text("Time 2\nTimeSig 6 8\nDefGroove March\nTime 6\nDefGroove Slow68\n")
    (folder / "plain.mma").write_text("DefGroove Plain\nTime 5\nDefGroove Five\n")
    found = mma.find_grooves(mma.find_program(str(tmp_path / "usr/bin/mma")))
    assert found == [
        mma.Groove("stdlib/march", "March", "6/8", None, None),
        mma.Groove("stdlib/march", "Slow68", "6/8", None, None),
        mma.Groove("stdlib/parts", "JazzMainA", "4/4", "JazzIntroA", "JazzE"),
        mma.Groove("stdlib/parts", "JazzMainB", "4/4", "JazzIntroA", "JazzEndingB"),
        mma.Groove("stdlib/plain", "Plain", "4/4", None, None),
        mma.Groove("stdlib/plain", "Five", "5/4", None, None),
        mma.Groove("stdlib/waltz", "Waltz", "3/4", "WaltzIntro", "WaltzEnd"),
        mma.Groove("stdlib/waltz", "WaltzSus", "3/4", "WaltzIntro", "WaltzEnd"),
    ]


def test_chords_are_named_as_they_sound() -> None:
    for signature in METRES:
        tune = generate_tune(signature, 5)
        names = mma.chord_names(tune, np.random.default_rng(0))
        assert len(names) == tune.bars
        for name, (root, third, _) in zip(names, harmonise(tune).tolist(), strict=True):
            assert name.rstrip("Mm6790") == mma.NOTE_NAMES[root]
            assert (third - root) % 12 == (3 if "m" in name else 4)


def test_dense_and_slow_accompaniments_are_not_played_fast() -> None:
    eighths, sixteenths = np.arange(0, 64, 0.5), np.arange(0, 64, 0.25)
    assert mma.tempo_range(sixteenths, 64, "x")[1] < 140 < mma.tempo_range(eighths, 64, "x")[1]
    assert mma.tempo_range(np.arange(64.0), 64, "x")[0] > 80
    assert mma.tempo_range(eighths, 64, "popballad PopBallad")[1] < 100
    for name in ("x", "fastswing", "slowblues", "Ballad"):
        for starts in (eighths, sixteenths, np.arange(64.0), np.zeros(0)):
            low, high = mma.tempo_range(starts, 64, name)
            assert 40 <= low < high <= 215
            assert mma.tempo_range(starts, 64, name, compound=True)[1] <= 150


GROOVES = {
    ("stdlib/jazzwaltz", "JazzWaltz"): "3/4",
    ("stdlib/68swing", "68Swing"): "6/8",
    ("stdlib/68march", "68March"): "6/8",
    ("stdlib/jazz-54", "Jazz54Walk"): "5/4",
    ("stdlib/8beat", "8Beat"): "4/4",
}


@pytest.mark.slow
def test_mma_plays_exact_bars(tmp_path: Path) -> None:
    """Every chord is heard from its own bar on: basses and chords play its notes, bar by bar."""
    installed = program()
    grooves = {(groove.file, groove.name): groove for groove in mma.find_grooves(installed)}
    assert len(grooves) > 60
    for key, signature in GROOVES.items():
        source, found = mma.load_or_play_groove(installed, tmp_path, grooves[key])
        assert isinstance(found, Score), (source, found)
        assert (found.signature, found.metre) == (signature, METRES[signature][0])
        assert (found.loop[1] - found.loop[0]) == mma.MAIN_BARS * found.metre
        assert found.piece == f"mma:{key[0]}"
        assert "GPL-2+" in found.licence
        triads = harmonise(mma.groove_tune(grooves[key])[1])
        bars = (found.notes[:, 1] - found.loop[0]) / found.metre + 0.01
        harmony = np.array([player[0] in ("bass", "chords") for player in found.players])
        sounding = harmony[found.notes[:, 0].astype(int)] & (bars >= 1) & (bars < mma.MAIN_BARS - 1)
        bar, classes = bars[sounding].astype(int), found.notes[sounding, 3] % 12
        of_chord = [np.mean((triads[bar + shift] == classes[:, None]).any(axis=1)) for shift in (-1, 0, 1)]
        assert of_chord[1] > 0.75
        assert of_chord[1] > max(of_chord[0], of_chord[2]) + 0.15
        # The same again, from the file and anew.
        again = mma.load_or_play_groove(installed, tmp_path, grooves[key])[1]
        assert isinstance(again, Score)
        assert again.notes.tobytes() == found.notes.tobytes()
    anew = mma.load_or_play_groove(installed, tmp_path / "anew", grooves["stdlib/8beat", "8Beat"])[1]
    assert isinstance(anew, Score)
    path = mma.score_path(grooves["stdlib/8beat", "8Beat"], tmp_path)
    assert (
        path.read_bytes() == mma.score_path(grooves["stdlib/8beat", "8Beat"], tmp_path / "anew").read_bytes()
    )


# The corpus


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of MIDI files, of which every split gets some."""
    folder = tmp_path_factory.mktemp("pieces")
    counts = dict.fromkeys(SPLITS, 0)
    for number in range(200):
        name = f"{number}.mid"
        split = split_by_hash(f"midi:{folder.name}/{name}")
        if counts[split] < 2:
            counts[split] += 1
            signature = ("4/4", "3/4")[number % 2]
            made = score(signature, 24, number)
            write_midi(folder / name, made, 1.0, 60.0 + 40 * (number % 3), (0, made.metre, 4))
    return folder


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    constructed.add_options(parser)
    return parser.parse_args(words)


@pytest.mark.slow
def test_two_corpora_of_one_seed_are_bit_identical(tmp_path: Path, pieces: Path) -> None:
    words = ["--pairs", "30", "--tunes", "0", "--seconds", "8", "--beatless", "0.1"]
    words += ["--pieces", str(pieces), "--mix", "pieces=0.5"]
    first, second = (constructed.prepare(None, tmp_path / name, options(*words)) for name in ("a", "b"))
    assert first.sha256 == second.sha256
    sources = {pair.provenance["source"] for pair in first.pairs}
    assert sources == {"tunes", "pieces", "beatless"}
    shutil.rmtree(tmp_path / "a" / "takes", ignore_errors=True)
    for one, other in list(zip(first.pairs, second.pairs, strict=True))[::3]:
        here, there = load_pair(one, first.folder), load_pair(other, second.folder)
        assert np.array_equal(here.wav.numpy(), there.wav.numpy())
        assert np.array_equal(here.motion.joints, there.motion.joints)
        assert (here.grid is None) == (there.grid is None)
        if here.grid is not None and there.grid is not None:
            assert np.array_equal(here.grid.beats, there.grid.beats)
            assert here.grid.bpm == pytest.approx(one.bpm)
    for pair in first.pairs:
        if pair.provenance["source"] == "pieces":
            assert pair.licence.startswith("the MIDI file's own")
            assert pair.piece.startswith("midi:")
            assert pair.split == split_by_hash(pair.piece)
    gone = next(pair for pair in first.pairs if pair.provenance["source"] == "pieces")
    with pytest.raises(DataError, match="no such file; prepare the corpus again"):
        load_pair(gone, tmp_path)


def test_shares_and_tempi_of_sources() -> None:
    entries = [
        ScoreEntry("a", "0", "s", "p", "l", signature, bpm)
        for signature in ("4/4", "3/4")
        for bpm in ((50.0, 120.0), (100.0, 215.0))
    ]
    mix = Mix({"tunes": 0.5, "mma": 0.4, "beatless": 0.1}, {("train", "mma"): entries})
    plans = [plan_pair(0, index, {}, 8.0, None, mix) for index in range(600)]
    counts = {source: sum(one.source == source for one in plans) for source in ("tunes", "mma", "beatless")}
    # dev and test have no scores here: tunes stand in.
    assert counts["mma"] / 600 == pytest.approx(0.4 * 0.8, abs=0.06)
    assert counts["beatless"] / 600 == pytest.approx(0.1, abs=0.05)
    for one in plans:
        if one.score is not None:
            assert one.score.bpm[0] <= one.bpm <= one.score.bpm[1]
            assert one.split == "train"
    assert all(later.index == earlier.index + 1 for earlier, later in pairwise(plans))
