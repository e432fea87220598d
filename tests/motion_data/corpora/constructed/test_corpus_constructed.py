"""The constructed corpus: pairs by seed and index, splits apart, performed alike anywhere."""

import argparse
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from motion_data.corpora import constructed
from motion_data.corpora.constructed import plan
from motion_data.corpora.constructed.arrangement import MAX_BPM, MIN_BPM, TEMPO_PROFILES
from motion_data.corpora.constructed.capture import Take, split_takes
from motion_data.corpora.constructed.plan import (
    FORMAT,
    dance_styles,
    from_provenance,
    group_tunes,
    plan_pair,
    stage_rng,
    to_provenance,
)
from motion_data.corpora.constructed.preparing import make_pair, select_tunes
from motion_data.corpora.constructed.styles import STYLES, STYLES_BY_NAME
from motion_data.corpora.constructed.tunes import METRES, generate_tune
from motion_data.errors import DataError
from motion_data.loading import LoadedPair, load_pair
from motion_data.manifest import Corpus, read_corpus
from motion_data.pair import NO_BEATS, SPLITS, MotionPair, from_record, to_record
from motionbeat_upstream.config import SAMPLE_RATE
from tests.shared_data import shared

PAIRS = 60


def options(*words: str) -> argparse.Namespace:
    """Options as the command reads them."""
    parser = argparse.ArgumentParser()
    constructed.add_options(parser)
    return parser.parse_args(words)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    out = tmp_path_factory.mktemp("constructed")
    return constructed.prepare(None, out, options("--pairs", str(PAIRS), "--tunes", "0", "--seconds", "8"))


def made_pairs(indices: Sequence[int], seed: int = 0, seconds: float = 8.0) -> list[MotionPair]:
    return [make_pair(plan_pair(seed, index, {}, seconds, None)) for index in indices]


def musical(corpus: Corpus) -> list[MotionPair]:
    """The pairs that have music."""
    return [pair for pair in corpus.pairs if pair.grid != NO_BEATS]


def same(one: LoadedPair, other: LoadedPair) -> bool:
    assert one.grid is not None
    assert other.grid is not None
    return (
        torch.equal(one.wav, other.wav)
        and np.array_equal(one.motion.joints, other.motion.joints)
        and np.array_equal(one.grid.beats, other.grid.beats)
        and all(np.array_equal(times, other.motion.pulses[limb]) for limb, times in one.motion.pulses.items())
    )


@pytest.mark.slow
def test_the_manifest_tells_what_will_be_loaded(corpus: Corpus) -> None:
    assert len(corpus.pairs) == PAIRS
    for pair in corpus.pairs[::4]:
        clip = load_pair(pair, corpus.folder)
        if pair.grid == NO_BEATS:
            assert clip.grid is None
            assert sum(pair.pulses.values()) == 0
            continue
        assert clip.wav.shape == (8 * SAMPLE_RATE,)
        assert clip.wav.dtype == torch.float32
        assert bool(torch.isfinite(clip.wav).all())
        assert 0.01 < float(clip.wav.abs().max()) < 1
        assert float(clip.wav.square().mean().sqrt()) > 1e-3
        assert clip.grid is not None
        assert clip.grid.metre == pair.metre
        assert clip.grid.bpm == pytest.approx(pair.bpm)
        assert clip.motion.names == pair.joints
        assert clip.motion.frames == round(pair.seconds * pair.fps)
        assert {limb: len(times) for limb, times in clip.motion.pulses.items()} == pair.pulses
        assert sum(pair.pulses.values()) > 0
        assert pair.grid == "exact"
        assert pair.audio is None


def test_sounds_are_heard_all_through(corpus: Corpus) -> None:
    """Between the first and the last beat nothing is empty of strokes for longer than two bars."""
    for pair in musical(corpus)[::6]:
        piece = plan.make_arrangement(from_provenance(pair.provenance, pair.name))
        first, last = piece.grid.beats[[0, -1]]
        starts = np.sort(np.concatenate([part.notes[:, 0] for part in piece.parts]))
        starts = np.concatenate([[first], starts[(starts > first) & (starts < last)], [last]])
        assert np.diff(starts).max() < 2 * piece.grid.metre * np.diff(piece.grid.beats).max()


def test_splits_share_no_piece_no_take_and_no_program(corpus: Corpus) -> None:
    by_split = {split: corpus.split(split) for split in SPLITS}
    assert [len(by_split[split]) for split in SPLITS] == [48, 6, 6]
    seen: dict[tuple[str, object], str] = {}
    for pair in musical(corpus):
        parts = plan.make_arrangement(from_provenance(pair.provenance, pair.name)).parts
        programs = {part.program for part in parts if part.role in ("melody", "chords")}
        keys = [("piece", pair.piece), ("take", pair.take), *(("program", program) for program in programs)]
        assert all(seen.setdefault(key, pair.split) == pair.split for key in keys)


def test_a_piece_stays_in_its_split_whatever_the_seed() -> None:
    seen: dict[str, str] = {}
    for seed in range(3):
        for index in range(60):
            drawn = plan_pair(seed, index, {}, 8.0, None)
            assert seen.setdefault(drawn.piece, drawn.split) == drawn.split


def test_all_metres_tempi_and_styles_occur() -> None:
    plans = [plan_pair(1, index, {}, 6.0, None) for index in range(700)]
    metres = [one.tune.signature for one in plans if one.tune is not None]
    print({metre: metres.count(metre) for metre in METRES})
    assert all(metres.count(metre) > 20 for metre in METRES)
    # Evenly in the logarithm, whatever metre and style: as many in each of six bands, by chi-square.
    drawn = np.log([one.bpm for one in plans])
    counts = np.histogram(drawn, bins=np.linspace(np.log(MIN_BPM), np.log(MAX_BPM), 7))[0]
    print(counts)
    assert counts.sum() == len(plans)
    assert chisquare(counts).pvalue > 1e-3
    for one in plans:
        assert STYLES_BY_NAME[one.style].bpm[0] <= one.bpm <= STYLES_BY_NAME[one.style].bpm[1]
        assert one.dance in dance_styles(STYLES_BY_NAME[one.style].signature)
    assert {one.style for one in plans} == {style.name for style in STYLES}
    pieces = [plan.make_arrangement(one) for one in plans[:250]]
    off = [abs(np.log2(piece.grid.bpm / one.bpm)) for piece, one in zip(pieces, plans, strict=False)]
    assert np.median(off) < 0.02
    assert max(off) < 0.4
    assert {piece.tempo_profile for piece in pieces} == set(TEMPO_PROFILES)
    assert any(piece.swing > 0.6 for piece in pieces)


def test_a_pair_is_the_same_in_any_order_and_after_a_manifest() -> None:
    indices = [3, 0, 7, 4]
    pairs = dict(zip(indices, made_pairs(indices), strict=True))
    clips = {index: load_pair(pair, ".") for index, pair in pairs.items()}
    for index in sorted(indices):
        pair = made_pairs([index])[0]
        assert pair == pairs[index]
        through_json = from_record(json.loads(json.dumps(to_record(pair))), "a line")
        assert same(load_pair(through_json, "."), clips[index])
    assert not torch.equal(clips[0].wav, load_pair(made_pairs([0], seed=1)[0], ".").wav)


def fingerprint(pair: MotionPair) -> str:
    clip = load_pair(pair, ".")
    return hashlib.sha256(clip.wav.numpy().tobytes() + clip.motion.joints.tobytes()).hexdigest()


@pytest.mark.slow
def test_a_pair_is_the_same_in_another_process() -> None:
    code = """
from tests.motion_data.corpora.constructed.test_corpus_constructed import fingerprint, made_pairs
print([fingerprint(pair) for pair in made_pairs([11, 2])])
"""
    home = Path(__file__).parents[4]
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=home)
    assert ran.stdout.strip() == str([fingerprint(pair) for pair in made_pairs([11, 2])])


def test_stages_have_streams_of_their_own() -> None:
    draws = {
        (index, stage): stage_rng(0, index, stage).integers(2**62)
        for index in range(50)
        for stage in plan.STAGES
    }
    assert len(set(draws.values())) == len(draws)


def test_a_second_preparation_finds_the_corpus_whole(corpus: Corpus) -> None:
    before = (corpus.folder / "manifest.jsonl").stat().st_mtime_ns
    words = ("--pairs", str(PAIRS), "--tunes", "0", "--seconds", "8")
    assert constructed.prepare(None, corpus.folder, options(*words)).sha256 == corpus.sha256
    assert (corpus.folder / "manifest.jsonl").stat().st_mtime_ns == before


def test_another_seed_is_another_corpus_and_more_pairs_keep_the_first(tmp_path: Path, corpus: Corpus) -> None:
    words = ("--tunes", "0", "--seconds", "8")
    more = constructed.prepare(None, tmp_path / "more", options("--pairs", "64", *words))
    assert more.pairs[:PAIRS] == corpus.pairs
    other = constructed.prepare(None, tmp_path / "other", options("--pairs", "4", "--seed", "5", *words))
    assert not {pair.take for pair in other.pairs} & {pair.take for pair in corpus.pairs}
    assert read_corpus(tmp_path / "other").pairs == other.pairs


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--pairs", "0"), "--pairs 0"),
        (("--seed", "-1"), "--seed -1"),
        (("--tunes", "-1"), "--tunes -1"),
        (("--seconds", "0.5"), "--seconds 0.5"),
        (("--soundfont", "no/such.sf2"), "no/such.sf2: not readable"),
        (("--dancer", "capture"), "--motion DIR belong together"),
        (("--motion", "no/such/folder"), "no such folder"),
        (("--midi", "no/such/folder"), "no .mid"),
        (("--pieces", "no/such/folder"), "no .mid"),
        (("--mma", "no/such/mma"), "apt-get install mma"),
        (("--mix", "mma=0.2"), "source not available"),
        (("--beatless", "0.7"), "--beatless 0.7"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        constructed.prepare(None, tmp_path, options("--tunes", "0", *words))


def test_a_provenance_that_is_no_plan_is_refused() -> None:
    pair = made_pairs([0])[0]
    for broken in ({}, {**pair.provenance, "tune": {}}, {**pair.provenance, "more": 1}):
        with pytest.raises(DataError, match="not a plan"):
            load_pair(replace(pair, provenance=broken), ".")
    with pytest.raises(DataError, match="not the soundfont"):
        load_pair(replace(pair, provenance={**pair.provenance, "soundfont_sha256": "0" * 64}), ".")


def test_plans_go_through_provenance() -> None:
    drawn = plan_pair(0, 5, group_tunes([generate_tune(metre, 3) for metre in METRES]), 8.0, None)
    again = from_provenance(to_provenance(drawn), "here")
    assert replace(again, tune=drawn.tune) == drawn
    assert again.tune is not None
    assert drawn.tune is not None
    assert np.array_equal(again.tune.notes, drawn.tune.notes)


def test_a_plan_of_another_version_is_refused_in_one_line() -> None:
    pair = made_pairs([0])[0]
    older = {key: value for key, value in pair.provenance.items() if key not in ("format", "bpm", "source")}
    for provenance in (older, {**pair.provenance, "format": FORMAT + 1}):
        with pytest.raises(
            DataError, match=r"its plan has format \d.*expected format \d+: prepare"
        ) as caught:
            load_pair(replace(pair, provenance=provenance), ".")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("count", [1, 7, 30, 1000])
def test_a_limit_takes_tunes_of_every_metre(count: int) -> None:
    most = {"4/4": 60, "3/4": 5, "6/8": 20}
    tunes = [generate_tune(metre, number) for metre in most for number in range(most[metre])]
    chosen = select_tunes(tunes, count)
    assert len(chosen) == min(count, 85)
    assert len({tune.source for tune in chosen}) == len(chosen)
    if count == 30:
        assert [sum(tune.signature == metre for tune in chosen) for metre in most] == [13, 5, 12]


# Captured motion


def stub_takes(names: Sequence[str]) -> list[Take]:
    joints = np.zeros((60, 1, 3))
    return [Take(60.0, ("pelvis",), joints, name=name, group=name.split("_")[-1]) for name in names]


def test_partners_are_dealt_to_one_split() -> None:
    takes = stub_takes([f"{person}_{number:02}" for person in (60, 61) for number in range(10)])
    dealt = split_takes(takes)
    groups = {split: {take.group for take in of} for split, of in dealt.items()}
    assert {split: len(of) for split, of in groups.items()} == {"train": 8, "dev": 1, "test": 1}
    assert all(len(dealt[split]) == 2 * len(groups[split]) for split in SPLITS)
    assert len(split_takes(takes[:2])["train"]) == 2


@pytest.mark.slow
def test_captured_takes_dance_where_they_fit(tmp_path: Path) -> None:
    salsa = shared("motion/cmu_salsa")
    words = ("--pairs", "20", "--tunes", "0", "--seconds", "10", "--motion", str(salsa))
    captured = constructed.prepare(None, tmp_path, options(*words))
    danced = [pair for pair in captured.pairs if pair.provenance["take"]]
    assert len(danced) >= 5
    for pair in danced[:3]:
        clip = load_pair(pair, tmp_path)
        assert pair.take == pair.provenance["take"]
        assert clip.motion.seconds == pytest.approx(pair.seconds, abs=0.02)
        assert {limb: len(times) for limb, times in clip.motion.pulses.items()} == pair.pulses
        assert same(clip, load_pair(pair, tmp_path))
    gone = replace(danced[0], provenance={**danced[0].provenance, "take": "nobody"})
    with pytest.raises(DataError, match=r"nobody.*prepare the corpus again"):
        load_pair(gone, tmp_path)


# Speed


@pytest.mark.slow
def test_speed() -> None:
    """Printed; the bound is loose, for busy machines. The aim is 100 times real time on two cores."""
    pairs = made_pairs(range(20), seconds=16.0)
    load_pair(pairs[0], ".")
    began = time.perf_counter()
    for pair in pairs:
        load_pair(pair, ".")
    took = time.perf_counter() - began
    print(f"{16.0 * len(pairs) / took:.0f} times real time in one process")
    assert 16.0 * len(pairs) / took > 10
