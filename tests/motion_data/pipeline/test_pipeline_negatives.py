"""Hard negatives drawn in the pipeline: recipes that point to rows of their batch, the same every time."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
import torch

from motion_data.manifest import Corpus
from motion_data.negatives.drawing import NegativeCounts
from motion_data.pipeline.config import PipelineConfig
from motion_data.pipeline.example import Example
from motion_data.pipeline.reader import ClipReader
from tests.bent_motion import bent
from tests.made_corpus import Made, write_corpus

CONFIG = PipelineConfig(bars=2, batch_size=4, clips_per_pair=2, margin_seconds=1.5)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    made = [Made(f"p{i}", bpm=100.0 + i, seconds=8.0, joints=i % 3 != 0) for i in range(8)]
    return write_corpus(tmp_path_factory.mktemp("corpus"), [*made, Made("nogrid", bpm=None)])


def described(batches: Iterable[Sequence[Example]]) -> list[object]:
    """Recipes as plain values, which can be compared."""
    return [
        [(n.kind, n.source, n.amount, list(n.source_times)) for n in example.negatives]
        for examples in batches
        for example in examples
    ]


def test_every_clip_with_a_grid_gets_recipes_of_its_batch(corpus: Corpus) -> None:
    kinds: set[str] = set()
    for examples in ClipReader(corpus, "train", CONFIG, negatives=NegativeCounts()):
        for row, example in enumerate(examples):
            assert not example.negatives or example.grid is not None
            for negative in example.negatives:
                kinds.add(negative.kind)
                source = examples[negative.source]
                if negative.kind == "other":
                    assert source.pair.piece != example.pair.piece
                else:
                    assert negative.source == row
                motion = bent(negative, source.motion)
                assert motion.seconds == pytest.approx(example.seconds, abs=1 / 30)
    assert {"jittered", "stretched"} <= kinds


def test_clips_are_the_same_with_negatives_and_without(corpus: Corpus) -> None:
    plain = itertools.chain(*ClipReader(corpus, "train", CONFIG))
    drawn = itertools.chain(*ClipReader(corpus, "train", CONFIG, negatives=NegativeCounts()))
    for one, other in zip(plain, drawn, strict=True):
        assert one.negatives == ()
        assert (one.pair, one.start) == (other.pair, other.start)
        assert torch.equal(one.wav, other.wav)


def test_workers_and_resuming_do_not_change_them(corpus: Corpus) -> None:
    expected = described(ClipReader(corpus, "train", CONFIG, negatives=NegativeCounts()))
    again = ClipReader(corpus, "train", replace(CONFIG, workers=4), negatives=NegativeCounts())
    begun = [next(again) for _ in range(2)]
    resumed = ClipReader(corpus, "train", CONFIG, negatives=NegativeCounts())
    resumed.load_state_dict(again.state_dict())
    assert described([*begun, *resumed]) == expected
