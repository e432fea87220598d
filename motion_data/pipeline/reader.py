"""Reading of a corpus batch by batch, with fairseq2's data pipeline.

An epoch is planned before anything is read. The state of a run therefore consists of its epoch and batch, and
resuming means reading the rest of the plan; no buffers are saved.

With several corpora, each batch is from one of them. Negatives are drawn within a batch, and must not be
recognisable by the studio, body or sound of another corpus.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from fairseq2.data.data_pipeline import DataPipeline, read_sequence

from motion_data.errors import DataError, ShardError
from motion_data.manifest import PairSource
from motion_data.negatives.drawing import NegativeCounts
from motion_data.pair import MotionPair
from motion_data.pipeline.config import PipelineConfig, batch_settings
from motion_data.pipeline.example import Example, cut_example, with_negatives
from motion_data.pipeline.pair_cache import PairCache
from motion_data.pipeline.plan import PlannedClip, plan_epoch
from motionbeat_upstream.audio import AudioError

log = logging.getLogger(__name__)

MIN_BPM, MAX_BPM = 50.0, 215.0
"""Range of tempi after a change of speed."""

SPEED_DENOMINATOR = 32
"""Speeds are multiples of 1 / 32."""


@dataclass(frozen=True)
class _Failure:
    name: str
    reason: str
    fatal: bool = False
    """Whether to stop reading: a damaged shard must not be skipped."""


@dataclass(frozen=True)
class _Step:
    """The result of a planned batch."""

    examples: list[Example]
    outcomes: tuple[_Failure | None, ...]
    """One per clip, in order; None for a clip that is in the batch."""


@dataclass(frozen=True)
class _Loader:
    """The work of the pipeline's threads.

    It must not refer to the reader: a pipeline in a reference cycle is never freed, and fairseq2 crashes when
    the interpreter exits.
    """

    source: PairSource
    config: PipelineConfig
    rank: int
    cache: PairCache
    negatives: NegativeCounts | None

    def pipeline(
        self, plan: Sequence[Sequence[PlannedClip]], pairs: Mapping[int, MotionPair], first: int, epoch: int
    ) -> DataPipeline:
        """Create the pipeline of a plan's batches; the first has the number ``first`` in the epoch."""
        size = self.config.batch_size
        # Clips, not batches, are loaded in parallel. Short batches are padded for bucketing.
        clips = [
            (number, draw, None if draw is None else pairs[draw.pair_index])
            for number, batch in enumerate(plan, first)
            for draw in [*batch, *[None] * (size - len(batch))]
        ]
        return (
            read_sequence(clips)
            .map(partial(self._load, epoch), num_parallel_calls=self.config.workers)
            .bucket(size)
            .map(partial(self._step, epoch))
            .prefetch(self.config.prefetch)
            .and_return()
        )

    def _load(
        self, epoch: int, clip: tuple[int, PlannedClip | None, MotionPair | None]
    ) -> tuple[int, Example | _Failure | None]:
        number, draw, pair = clip
        if draw is None or pair is None:
            return number, None
        try:
            loaded, speed = self.cache.load(pair), self._speed(epoch, number, pair.bpm)
            if speed != 1.0:
                loaded = loaded.at_rate(self.config.fps, speed)
            # The take of a generated pair may be known only after it is loaded.
            group_ids = self.source.group_ids(loaded.pair)
            return number, cut_example(loaded, draw, self.config, epoch, group_ids)
        except (DataError, AudioError, OSError) as error:
            return number, _Failure(pair.name, str(error), isinstance(error, ShardError))

    def _speed(self, epoch: int, number: int, bpm: float | None) -> float:
        """Draw the speed of a batch, the same for all its clips, so that their tempi remain similar.

        A clip whose tempo would leave the range keeps its speed.
        """
        octaves = self.config.speed_octaves
        rng = np.random.default_rng([self.config.seed, epoch, number])
        # Polyphase filters are short for simple fractions.
        speed = round(SPEED_DENOMINATOR * 2 ** rng.uniform(-octaves, octaves)) / SPEED_DENOMINATOR
        return speed if bpm is None or MIN_BPM <= bpm * speed <= MAX_BPM else 1.0

    def _step(self, epoch: int, loaded: Sequence[tuple[int, Example | _Failure | None]]) -> _Step:
        number = loaded[0][0]
        clips = [clip for _, clip in loaded if clip is not None]
        outcomes = tuple(clip if isinstance(clip, _Failure) else None for clip in clips)
        examples = [clip for clip in clips if isinstance(clip, Example)]
        if examples and self.negatives is not None:
            rng = np.random.default_rng([self.config.seed, epoch, self.rank, number])
            examples = with_negatives(examples, self.negatives, rng)
        return _Step(examples, outcomes)


class ClipReader(Iterator[list[Example]]):
    """Iterates over the batches of an epoch; the next ``for`` loop reads the next epoch.

    A batch is a list of clips; :func:`~motion_data.pipeline.batch.collate` converts it to tensors. Unusable
    clips are left out of their batch, logged once per pair and counted in ``failures``. Reading stops after
    ``config.failures_in_row`` consecutive failures, and at once if a shard is damaged.
    """

    def __init__(
        self,
        source: PairSource,
        split: str,
        config: PipelineConfig,
        rank: int = 0,
        world_size: int = 1,
        negatives: NegativeCounts | None = None,
    ) -> None:
        """Plan the first epoch, without reading.

        Args:
            source: a prepared corpus, or a source that generates pairs.
            split: train, dev or test.
            config: settings of the pipeline.
            rank: rank of this process, from 0.
            world_size: number of processes that share the split.
            negatives: number of hard negatives per clip; None for none.

        Raises:
            DataError: the split is empty, or no batch has ``least_clips``.
        """
        if not 0 <= rank < world_size:
            raise DataError(f"rank {rank} of {world_size} processes; expected 0 to {world_size - 1}")
        self._source, self._split, self._config = source, split, config
        self._rank, self._world_size = rank, world_size
        self._steps: Iterator[_Step] | None = None
        self._open(0, 0)
        pairs = list(self._pairs.values())
        if not pairs:
            raise DataError(
                f"{source.folder}: the split {split!r} has no pairs; choose another or prepare it"
            )
        cache = PairCache(
            source.folder, None if source.endless else pairs, config.fps, config.memory_megabytes
        )
        self._loader = _Loader(source, config, rank, cache, negatives)
        self.failures: dict[str, int] = {}
        """Number of failures of each unusable pair."""
        self._failed_in_row: list[_Failure] = []
        if not self._plan:
            raise DataError(
                f"{source.folder}: {len(pairs)} pairs of {split} make no batch of {config.least_clips} "
                f"clips on {world_size} ranks (least_clips); lower it, or widen tempo_octaves"
            )

    @property
    def epoch(self) -> int:
        """Current epoch, from 0."""
        return self._epoch

    @property
    def steps(self) -> int:
        """Number of planned batches of this epoch, the same on every rank."""
        return len(self._plan)

    def __len__(self) -> int:
        """Number of batches of this epoch on this rank, if no clip fails."""
        return sum(1 for batch in self._plan if batch)

    def __iter__(self) -> ClipReader:
        if self._position == len(self._plan):
            self._open(self._epoch + 1, 0)
        return self

    def __next__(self) -> list[Example]:
        """Return the next batch of the epoch that is not empty; raises as :meth:`next_step`."""
        while True:
            examples = self.next_step()
            if examples:
                return examples

    def next_step(self) -> list[Example]:
        """Return the next planned batch; empty if all of its clips are unusable.

        Every rank has the same number of steps, so ranks that read in step use this method.

        Raises:
            StopIteration: the epoch is over.
            DataError: too many consecutive clips are unusable, or a shard is damaged.
        """
        if self._steps is None:
            rest = self._plan[self._position :]
            self._steps = iter(self._loader.pipeline(rest, self._pairs, self._position, self._content))
        step = next(self._steps)
        self._position += 1
        self._count(step.outcomes)
        return step.examples

    def reset(self) -> None:
        """Go to the first batch of the next epoch, unless this epoch has not begun."""
        if self._position or not self._plan:
            self._open(self._epoch + 1, 0)

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the data and everything that the batches depend on."""
        return {
            "depends_on": self._depends_on(),
            "epoch": self._epoch,
            "position": self._position,
            "failures": dict(self.failures),
            "failed_in_row": [(failure.name, failure.reason) for failure in self._failed_in_row],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume: the next batch is the one that the saved reader would have returned.

        Raises:
            DataError: corpus, split, ranks or settings differ from those of the state.
        """
        current, saved = self._depends_on(), state["depends_on"]
        differences = [
            f"{key} is {current.get(key)!r}, was {saved.get(key)!r}"
            for key in sorted(current.keys() | saved.keys())
            if current.get(key) != saved.get(key)
        ]
        if differences:
            raise DataError(
                f"{self._source.folder}: a run cannot go on with other data than it began with: "
                f"{'; '.join(differences)}; restore them, or begin anew"
            )
        self.failures = dict(state["failures"])
        self._failed_in_row = [_Failure(name, reason) for name, reason in state["failed_in_row"]]
        self._open(int(state["epoch"]), int(state["position"]))

    def _depends_on(self) -> dict[str, Any]:
        return {
            "corpus": self._source.sha256,
            "split": self._split,
            "rank": self._rank,
            "world_size": self._world_size,
            "sound read whole": self._loader.cache.decodes_whole,
            **batch_settings(self._config),
        }

    def _open(self, epoch: int, position: int) -> None:
        self._epoch, self._position = epoch, position
        # With equal epochs, the content is that of epoch 0, but the number increases.
        self._content = 0 if self._config.same_every_epoch else epoch
        pairs = self._source.epoch_pairs(self._split, self._content)
        self._pairs = dict(pairs)
        self._plan = plan_epoch(pairs, self._config, self._content, self._rank, self._world_size)
        self._steps = None

    def _count(self, outcomes: Sequence[_Failure | None]) -> None:
        for failure in outcomes:
            if failure is None:
                self._failed_in_row = []
                continue
            if failure.fatal:
                raise ShardError(failure.reason)
            if failure.name not in self.failures:
                log.warning("skipped %s: %s", failure.name, failure.reason)
            self.failures[failure.name] = self.failures.get(failure.name, 0) + 1
            self._failed_in_row.append(failure)
            if len(self._failed_in_row) >= self._config.failures_in_row:
                names = ", ".join(dict.fromkeys(failed.name for failed in self._failed_in_row))
                raise DataError(
                    f"{self._source.folder}: {len(self._failed_in_row)} clips in a row could not be used "
                    f"(failures_in_row): {names}; the last one: {failure.reason}"
                )


class Mixture:
    """Several readers in a random order, in which every batch of each reader occurs once per epoch.

    Args:
        readers: one per corpus, with the same split and settings.
        seed: seed of the order; the same on all ranks, so that they read the same corpus at each step.
    """

    def __init__(self, readers: Sequence[ClipReader], seed: int) -> None:
        self._readers = tuple(readers)
        self._seed = seed
        self._epoch = self._position = 0
        self._order = self._draw_order()

    def next_step(self) -> list[Example]:
        """Return the next planned batch, see :meth:`ClipReader.next_step`."""
        if self._position == len(self._order):
            raise StopIteration
        examples = self._readers[self._order[self._position]].next_step()
        self._position += 1
        return examples

    def __len__(self) -> int:
        """Number of steps of this epoch."""
        return len(self._order)

    def reset(self) -> None:
        """Go to the first batch of the next epoch, unless this epoch has not begun."""
        if self._position or not self._order:
            for reader in self._readers:
                reader.reset()
            self._epoch, self._position = self._epoch + 1, 0
            self._order = self._draw_order()

    def state_dict(self) -> dict[str, Any]:
        """Return the positions of all readers and everything that the batches depend on."""
        return {
            "epoch": self._epoch,
            "position": self._position,
            "readers": [reader.state_dict() for reader in self._readers],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from the state of another mixture.

        Raises:
            DataError: corpora, splits, ranks or settings differ from those of the state.
        """
        if len(state["readers"]) != len(self._readers):
            raise DataError(
                f"a run cannot go on with {len(self._readers)} corpora: it began with "
                f"{len(state['readers'])}; restore them, or begin anew"
            )
        for reader, reader_state in zip(self._readers, state["readers"], strict=True):
            reader.load_state_dict(reader_state)
        self._epoch, self._position = int(state["epoch"]), int(state["position"])
        self._order = self._draw_order()

    def _draw_order(self) -> list[int]:
        steps = np.repeat(np.arange(len(self._readers)), [reader.steps for reader in self._readers])
        rng = np.random.default_rng([self._seed, self._epoch])
        order: list[int] = rng.permutation(steps).tolist()
        return order
