"""Constructed pairs without end: never one twice, on any ranks, and exactly on from any step."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from motion_data.corpora import constructed
from motion_data.corpora.constructed.endless import EndlessPairs, open_endless, train_index
from motion_data.corpora.constructed.planner import PLANNER_FILE
from motion_data.errors import DataError
from motion_data.loading import LoadedPair, load_pair
from motion_data.manifest import Corpus, read_corpus
from motion_data.pipeline.batch import collate
from motion_data.pipeline.config import PipelineConfig
from motion_data.pipeline.plan import plan_epoch
from motion_data.pipeline.reader import ClipReader
from recipes.pretrain.config import DataSection
from tests.made_corpus import Made, write_corpus
from tests.motion_data.corpora.constructed.test_corpus_constructed import options, same
from tests.shared_data import shared

CONFIG = PipelineConfig(bars=None, seconds=2.0, batch_size=4, tempo_octaves=4.0, fps=50.0)


def prepared(out: Path, *words: str) -> Corpus:
    return constructed.prepare(None, out, options("--tunes", "0", "--seconds", "4", *words))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return prepared(tmp_path_factory.mktemp("constructed"), "--pairs", "20", "--beatless", "0.2")


def drawn(source: EndlessPairs, config: PipelineConfig, epochs: Sequence[int], ranks: int) -> list[list[int]]:
    """Indices of the pairs that each rank reads in some epochs."""
    return [
        [
            clip.pair_index
            for epoch in epochs
            for batch in plan_epoch(source.epoch_pairs("train", epoch), config, epoch, rank, ranks)
            for clip in batch
        ]
        for rank in range(ranks)
    ]


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 40),
    st.sets(st.integers(0, 10**6), min_size=1, max_size=4),
    st.integers(1, 3),
    st.integers(1, 9),
    st.integers(0, 99),
)
def test_no_pair_comes_twice_in_any_epochs_nor_on_two_ranks(
    corpus: Corpus, size: int, epochs: set[int], ranks: int, batch_size: int, seed: int
) -> None:
    source = open_endless(corpus, size)
    config = replace(CONFIG, batch_size=batch_size, seed=seed)
    read = drawn(source, config, sorted(epochs), ranks)
    every = list(itertools.chain(*read))
    assert len(set(every)) == len(every) == size * len(epochs)
    expected = {train_index(number) for epoch in epochs for number in range(size * epoch, size * (epoch + 1))}
    assert set(every) == expected
    # The same plans whenever they are asked for.
    assert drawn(open_endless(corpus, size), config, sorted(epochs), ranks) == read


@pytest.mark.slow
@settings(max_examples=3, deadline=None)
@given(st.integers(3, 6), st.integers(1, 2), st.integers(1, 2), st.integers(0, 99), st.data())
def test_reading_goes_on_exactly_from_any_step(
    corpus: Corpus, size: int, ranks: int, clips: int, seed: int, data: st.DataObject
) -> None:
    config = replace(CONFIG, batch_size=2, clips_per_pair=clips, seed=seed)
    rank = data.draw(st.integers(0, ranks - 1))

    def reader() -> ClipReader:
        return ClipReader(open_endless(corpus, size), "train", config, rank, ranks)

    def read(source: ClipReader, steps: int) -> list[list[tuple[str, float, float]]]:
        found = []
        for _ in range(steps):
            try:
                examples = source.next_step()
            except StopIteration:
                source.reset()
                examples = source.next_step()
            found.append([(one.pair.name, one.start, float(one.wav.sum())) for one in examples])
        return found

    whole = reader()
    steps = 2 * whole.steps + 1
    stop = data.draw(st.integers(0, steps - 1))
    expected = read(whole, steps)
    begun = reader()
    read(begun, stop)
    resumed = reader()
    resumed.load_state_dict(json.loads(json.dumps(begun.state_dict())))
    assert read(resumed, steps - stop) == expected[stop:]


def test_the_first_pairs_are_those_of_the_manifest(corpus: Corpus) -> None:
    source = open_endless(corpus, 16)
    listed = dict(corpus.epoch_pairs("train", 0))
    planned = [pair for _, pair in source.epoch_pairs("train", 0)]
    assert sorted(pair.name for pair in planned) == sorted(pair.name for pair in listed.values())
    for pair in planned:
        (known,) = (one for one in listed.values() if one.name == pair.name)
        for name in ("piece", "take", "licence", "grid", "metre", "seconds", "joints", "fps", "provenance"):
            assert getattr(pair, name) == getattr(known, name)
        if pair.bpm is not None and known.bpm is not None:
            assert abs(np.log2(pair.bpm / known.bpm)) < 0.3
        if known.grid != "none":
            assert_same(load_pair(pair, source.folder), load_pair(known, corpus.folder))


def assert_same(one: LoadedPair, other: LoadedPair) -> None:
    assert torch.equal(one.wav, other.wav)
    assert one.grid is None or same(one, other)
    assert np.array_equal(one.motion.joints, other.motion.joints)


def test_dev_and_test_stay_those_of_the_manifest(corpus: Corpus) -> None:
    source = open_endless(corpus, 5)
    for split in ("dev", "test"):
        for epoch in (0, 7):
            assert source.epoch_pairs(split, epoch) == corpus.epoch_pairs(split, 0)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**9))
def test_what_is_held_out_is_never_trained_on(corpus: Corpus, number: int) -> None:
    held = {pair.piece for pair in corpus.pairs if pair.split != "train"}
    takes = {pair.take for pair in corpus.pairs if pair.split != "train"}
    pair = open_endless(corpus, 1).epoch_pairs("train", number)[0][1]
    assert pair.split == "train"
    assert pair.piece not in held
    assert pair.take not in takes


def test_other_pairs_have_another_fingerprint(corpus: Corpus, tmp_path: Path) -> None:
    other = prepared(tmp_path, "--pairs", "20", "--beatless", "0.2", "--seed", "1")
    sources = [open_endless(corpus, 5), open_endless(corpus, 6), open_endless(other, 5)]
    assert len({source.sha256 for source in sources}) == 3
    assert open_endless(read_corpus(corpus.folder), 5).sha256 == sources[0].sha256
    begun = ClipReader(sources[0], "train", CONFIG).state_dict()
    with pytest.raises(DataError, match="cannot go on with other data"):
        ClipReader(sources[1], "train", CONFIG).load_state_dict(begun)


@pytest.mark.slow
def test_captured_takes_are_chosen_as_for_the_manifest(tmp_path: Path) -> None:
    corpus = prepared(tmp_path, "--pairs", "20", "--motion", str(shared("motion/cmu_salsa")))
    source = open_endless(corpus, 16)
    captured = 0
    for _, pair in source.epoch_pairs("train", 0):
        known = next(one for one in corpus.pairs if one.name == pair.name)
        loaded = load_pair(pair, source.folder)
        assert (loaded.pair.take, loaded.pair.provenance) == (known.take, known.provenance)
        assert np.array_equal(loaded.motion.joints, load_pair(known, corpus.folder).motion.joints)
        captured += bool(known.provenance["take"])
    assert captured >= 2
    # A clip knows the take that was chosen: those who share it are no negatives of each other.
    for example in itertools.chain(*ClipReader(source, "train", CONFIG)):
        assert example.group_ids == source.group_ids(example.pair)
        assert example.pair.take == next(one.take for one in corpus.pairs if one.name == example.pair.name)


def test_corpora_that_cannot_go_on_are_refused(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'folder' has only the pairs of its manifest"):
        open_endless(write_corpus(tmp_path / "folder", [Made("a")]), 5)
    made = prepared(tmp_path / "made", "--pairs", "2")
    (made.folder / PLANNER_FILE).write_text('{"format": 0}')
    with pytest.raises(DataError, match="not a planner of this version"):
        open_endless(made, 5)
    (made.folder / PLANNER_FILE).unlink()
    with pytest.raises(DataError, match="cannot be read"):
        open_endless(made, 5)
    # Preparing it once more brings the planner back, and changes nothing.
    assert prepared(tmp_path / "made", "--pairs", "2").sha256 == made.sha256
    assert open_endless(made, 5).epoch_pairs("train", 3)


def test_a_run_reads_without_end_where_its_configuration_says_so(corpus: Corpus, tmp_path: Path) -> None:
    others = write_corpus(tmp_path / "folder", [Made("a", seconds=4.0)])
    section = DataSection(corpora=["a", "b"], endless=True, pairs_per_epoch=7)
    both = section.sources([others, corpus])
    assert both[0] is others
    assert len(both[1].epoch_pairs("train", 3)) == 7
    assert both[1].endless
    assert DataSection(corpora=["a"]).sources([corpus]) == [corpus]
    with pytest.raises(DataError, match=r"data\.endless is true, but none"):
        section.sources([others])


def test_batches_of_a_run_have_the_targets_that_are_asked_for(corpus: Corpus) -> None:
    reader = ClipReader(open_endless(corpus, 8), "train", CONFIG)
    batch = collate(next(iter(reader)), 0.0, np.random.default_rng(0), targets=["pitch_roll", "drum_onsets"])
    for target in batch.targets.values():
        assert target.known.all()
        assert target.values.shape[:2] == (len(batch), int(batch.frame_lengths.max()))
    with pytest.raises(ValidationError, match="unknown target lyrics; choose from pitch_roll"):
        DataSection(corpora=["a"], targets=["lyrics"])
