"""Pairs that are a function of a seed and an index: read epoch by epoch, without a manifest or an end."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from motion_data.corpora.constructed.plan import plan_pair
from motion_data.corpora.constructed.preparing import make_pair
from motion_data.errors import DataError
from motion_data.manifest import Corpus, PairSource
from motion_data.pair import MotionPair
from motion_data.pipeline.config import PipelineConfig
from motion_data.pipeline.reader import ClipReader, Mixture
from tests.made_corpus import Made, write_corpus
from tests.motion_data.pipeline.test_pipeline import fingerprint, fingerprints

CONFIG = PipelineConfig(bars=1, batch_size=4, tempo_octaves=1.0)


@dataclass(frozen=True)
class Excerpts:
    """Random stretches of one recording: a source that never ends."""

    corpus: Corpus
    seed: int
    epoch_size: int = 10
    endless: bool = True

    @property
    def folder(self) -> Path:
        return self.corpus.folder

    @property
    def sha256(self) -> str:
        return f"{self.corpus.sha256} {self.seed} {self.epoch_size}"

    def epoch_pairs(self, split: str, epoch: int) -> Sequence[tuple[int, MotionPair]]:
        first = epoch * self.epoch_size
        return [(index, self.pair(index)) for index in range(first, first + self.epoch_size)]

    def pair(self, index: int) -> MotionPair:
        whole = self.corpus.pairs[0]
        assert whole.audio is not None
        seconds = float(np.random.default_rng([self.seed, index]).uniform(5, 10))
        span = replace(whole.audio, stop=seconds)
        return replace(whole, name=f"excerpt{index}", take=f"{index}", seconds=seconds, audio=span)

    def group_ids(self, pair: MotionPair) -> tuple[int, int]:
        return 0, int(pair.take)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return write_corpus(tmp_path_factory.mktemp("corpus"), [Made("song", bpm=100.0, seconds=12.0)])


def test_every_epoch_has_pairs_of_its_own_and_all_of_them(corpus: Corpus) -> None:
    source: PairSource = Excerpts(corpus, 0)
    reader = ClipReader(source, "train", CONFIG)
    for epoch in range(3):
        examples = list(itertools.chain(*reader))
        takes = sorted(example.group_ids[1] for example in examples)
        assert takes == list(range(10 * epoch, 10 * epoch + 10))
        assert all(example.pair.name == f"excerpt{example.group_ids[1]}" for example in examples)


def test_a_run_goes_on_where_it_stood_in_any_epoch(corpus: Corpus) -> None:
    whole = ClipReader(Excerpts(corpus, 0), "train", CONFIG)
    expected = [*fingerprints(whole), *fingerprints(whole), *fingerprints(whole)]
    stopped = ClipReader(Excerpts(corpus, 0), "train", CONFIG)
    for _ in stopped:
        pass
    begun = [fingerprint(next(iter(stopped)))]
    resumed = ClipReader(Excerpts(corpus, 0), "train", CONFIG)
    resumed.load_state_dict(json.loads(json.dumps(stopped.state_dict())))
    assert begun + fingerprints(resumed) + fingerprints(resumed) == expected[len(expected) // 3 :]
    with pytest.raises(DataError, match="cannot go on with other data"):
        ClipReader(Excerpts(corpus, 1), "train", CONFIG).load_state_dict(stopped.state_dict())


def test_ranks_share_an_epoch(corpus: Corpus) -> None:
    readers = [ClipReader(Excerpts(corpus, 0), "train", CONFIG, rank, 2) for rank in range(2)]
    for epoch in range(2):
        takes = [example.group_ids[1] for reader in readers for example in itertools.chain(*reader)]
        assert sorted(takes) == list(range(10 * epoch, 10 * epoch + 10))


def test_it_is_mixed_with_a_corpus(corpus: Corpus) -> None:
    mixture = Mixture([ClipReader(s, "train", CONFIG) for s in (corpus, Excerpts(corpus, 0))], seed=0)
    for epoch in range(2):
        names = [example.pair.name for _ in range(len(mixture)) for example in mixture.next_step()]
        assert names.count("song") == 1
        assert len(set(names)) == 11
        assert f"excerpt{10 * epoch}" in names
        mixture.reset()


class Constructed(Excerpts):
    """Constructed pairs, planned as they are asked for."""

    def pair(self, index: int) -> MotionPair:
        return replace(make_pair(plan_pair(self.seed, index, {}, 6.0, None)), take=str(index))


def test_constructed_pairs_need_no_manifest(corpus: Corpus) -> None:
    source = Constructed(corpus, 5, epoch_size=2)
    config = replace(CONFIG, bars=None, seconds=2.0)
    reader = ClipReader(source, "train", config)
    found = [example.pair.name for _ in range(2) for example in itertools.chain(*reader)]
    assert sorted(found) == sorted(source.pair(index).name for index in range(4))
    assert not reader.failures
