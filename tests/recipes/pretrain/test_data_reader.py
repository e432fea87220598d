"""Training data as the trainer reads it: the same from a thread and from a process, from any step on."""

from __future__ import annotations

import multiprocessing
import time
from functools import partial
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest
import torch
from fairseq2.device import CPU
from fairseq2.gang import FakeGang

from motion_data.errors import DataError
from motion_data.manifest import Corpus
from motion_data.negatives.drawing import NegativeCounts
from motion_data.pipeline.batch import Batch
from motion_data.pipeline.config import PipelineConfig
from motion_data.pipeline.example import Example
from motion_data.pipeline.reader import ClipReader, Mixture
from recipes.pretrain.data_reader import PretrainReader
from tests.made_corpus import Made, write_corpus

pytestmark = pytest.mark.slow

CONFIG = PipelineConfig(
    bars=1,
    batch_size=2,
    fps=50.0,
    margin_seconds=0.5,
    start_place=None,
    least_clips=2,
    failures_in_row=2,
    workers=1,
    prefetch=0,
)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> list[Corpus]:
    return [
        write_corpus(
            tmp_path_factory.mktemp(name),
            [Made(f"{name}{i}", bpm=100.0 + i, seconds=7.0) for i in range(count)],
        )
        for name, count in (("one", 6), ("two", 4))
    ]


def mixture(corpora: list[Corpus]) -> Mixture:
    negatives = NegativeCounts()
    return Mixture([ClipReader(c, "train", CONFIG, negatives=negatives) for c in corpora], seed=3)


def reader(corpora: list[Corpus], own_process: bool = False, accumulate: int = 1) -> PretrainReader:
    gang = FakeGang(CPU)
    return PretrainReader(partial(mixture, corpora), gang, 3, accumulate, own_process=own_process)


def epoch(read: PretrainReader) -> list[Batch]:
    batches = [batch for batches in read for batch in batches]
    read.reset()
    return batches


def same(first: Batch, second: Batch) -> bool:
    return (
        first.names == second.names
        and first.starts == second.starts
        and torch.equal(first.wav, second.wav)
        and torch.equal(first.joints, second.joints)
        and torch.equal(first.pulses, second.pulses)
        and all((a.beats == b.beats).all() for a, b in zip(first.grids, second.grids, strict=True))
    )


def test_a_process_gives_what_a_thread_gives_and_goes_on_where_another_stood(corpora: list[Corpus]) -> None:
    threaded = reader(corpora)
    first, second = epoch(threaded), epoch(threaded)
    assert len(first) == len(second) == 5
    assert not all(same(a, b) for a, b in zip(first, second, strict=True))
    # A batch is of one corpus.
    assert all(len({name[:3] for name in batch.names}) == 1 for batch in first)

    begun = reader(corpora)
    head = [next(begun)[0] for _ in range(3)]
    apart = reader(corpora, own_process=True)
    apart.load_state_dict(begun.state_dict())
    rest = epoch(apart)
    assert len(rest) == 2
    assert all(same(a, b) for a, b in zip([*head, *rest], first, strict=True))
    assert all(same(a, b) for a, b in zip(epoch(apart), second, strict=True))


def _large(examples: list[Example], phase: float, draw: np.random.Generator) -> Any:
    """More than a pipe holds, so that a batch that nobody takes keeps its process waiting."""
    return np.zeros(2**20)


def _read_on(corpora: list[Corpus], pids: Queue[int]) -> None:
    read = PretrainReader(partial(mixture, corpora), FakeGang(CPU), 3, collate=_large, own_process=True)
    next(read)
    pids.put(multiprocessing.active_children()[0].pid or 0)
    time.sleep(600)


def test_the_reading_process_ends_with_the_one_that_it_reads_for(corpora: list[Corpus]) -> None:
    context = multiprocessing.get_context("spawn")
    pids = context.Queue()
    trainer = context.Process(target=_read_on, args=(corpora, pids))
    trainer.start()
    pid = pids.get(timeout=60)
    assert psutil.pid_exists(pid)
    trainer.kill()
    trainer.join()
    deadline = time.monotonic() + 60
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_an_epoch_that_is_left_is_left(corpora: list[Corpus]) -> None:
    left = reader(corpora)
    next(left)
    left.reset()
    assert left.state_dict()["epoch"] == 1
    assert len(epoch(left)) == 5
    assert left.state_dict()["epoch"] == 2


def test_steps_are_gathered_and_what_is_left_over_is_dropped(corpora: list[Corpus]) -> None:
    assert [len(batches) for batches in reader(corpora, accumulate=2)] == [2, 2]


@pytest.mark.parametrize("own_process", [False, True])
def test_data_that_cannot_be_used_is_told_as_itself(tmp_path: Path, own_process: bool) -> None:
    corpus = write_corpus(tmp_path, [Made(f"p{i}", bpm=100.0, seconds=7.0) for i in range(4)])
    for file in (tmp_path / "audio").iterdir():
        file.unlink()
    with pytest.raises(DataError, match="clips in a row could not be used") as error:
        next(reader([corpus], own_process))
    assert "Traceback" not in str(error.value)


def test_other_corpora_are_refused(corpora: list[Corpus]) -> None:
    with pytest.raises(DataError, match="begin anew"):
        reader(corpora[:1]).load_state_dict(reader(corpora).state_dict())
    with pytest.raises(DataError, match="begin anew"):
        reader(corpora[:1]).load_state_dict(reader(corpora[1:]).state_dict())
