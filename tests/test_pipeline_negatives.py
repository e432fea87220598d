"""Hard negatives drawn in the pipeline: recipes that point to rows of their batch, the same every time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from motion_data.manifest import Corpus
from motion_data.negatives.recipe import Negative, apply
from motion_data.pipeline.config import PipelineConfig
from motion_data.pipeline.negatives import HardNegatives
from motion_data.pipeline.reader import ClipReader
from tests.made_corpus import Made, write_corpus

CONFIG = PipelineConfig(bars=2, batch_size=4, clips_per_pair=2)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    made = [Made(f"p{i}", bpm=100.0 + i, seconds=8.0, joints=i % 3 != 0) for i in range(8)]
    return write_corpus(tmp_path_factory.mktemp("corpus"), [*made, Made("nogrid", bpm=None)])


def described(batches: list[tuple[Any, ...]]) -> list[object]:
    """Recipes as plain values, which can be compared."""
    return [
        [(n.kind, n.source, n.amount, list(n.seen)) for n in own if isinstance(n, Negative)]
        for batch in batches
        for own in batch
    ]


def test_every_clip_with_a_grid_gets_recipes_of_its_batch(corpus: Corpus) -> None:
    kinds: set[str] = set()
    for batch in ClipReader(corpus, "train", CONFIG, draw_negatives=HardNegatives()):
        assert len(batch.negatives) == len(batch)
        for row, drawn in enumerate(batch.negatives):
            assert not drawn or batch.grids[row] is not None
            for negative in drawn:
                kinds.add(negative.kind)
                if negative.kind == "other":
                    assert batch.pieces[negative.source] != batch.pieces[row]
                else:
                    assert negative.source == row
                motion = apply(negative, batch.motion(negative.source))
                assert motion.seconds == pytest.approx(int(batch.wav_lengths[row]) / 16_000, abs=1 / 30)
    assert {"jittered", "stretched"} <= kinds


def test_a_row_comes_back_as_a_motion(corpus: Corpus) -> None:
    for batch in ClipReader(corpus, "train", CONFIG):
        for row in range(len(batch)):
            motion = batch.motion(row)
            assert bool(motion.names) == bool(batch.has_joints[row])
            if motion.names:
                assert motion.frames == int(batch.joint_lengths[row])
            for limb, times in motion.pulses.items():
                column = batch.limbs.index(limb)
                assert len(times) == int(batch.pulse_counts[row, column])
                assert times == pytest.approx(batch.pulse_times[row, column, : len(times)].numpy())


def test_workers_and_resuming_do_not_change_them(corpus: Corpus, tmp_path: Path) -> None:
    first = ClipReader(corpus, "train", CONFIG, draw_negatives=HardNegatives())
    expected = described([batch.negatives for batch in first])
    again = ClipReader(corpus, "train", replace(CONFIG, workers=4), draw_negatives=HardNegatives())
    begun = [next(again).negatives for _ in range(2)]
    resumed = ClipReader(corpus, "train", CONFIG, draw_negatives=HardNegatives())
    resumed.load_state_dict(again.state_dict())
    assert described([*begun, *(batch.negatives for batch in resumed)]) == expected
