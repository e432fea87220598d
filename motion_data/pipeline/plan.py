"""The plan of an epoch: which clips form which batch on which rank, before anything is read.

All clips of a batch have the same metre, similar tempi and the same number of bars. Otherwise bar phases and
token counts would reveal the in-batch negatives [O]. Clips of one piece, which are never negatives of each
other, are distributed over the batches.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from motion_data.pair import NO_BEATS, MotionPair
from motion_data.pipeline.config import PipelineConfig


@dataclass(frozen=True)
class PlannedClip:
    """A clip to be cut."""

    pair_index: int
    """Index of the pair in the corpus."""
    number_in_pair: int
    """Number of the clip among the pair's clips of the epoch, from 0."""


def plan_epoch(
    pairs: Sequence[tuple[int, MotionPair]],
    config: PipelineConfig,
    epoch: int,
    rank: int = 0,
    world_size: int = 1,
) -> list[list[PlannedClip]]:
    """Return the batches of one rank, in order; each clip occurs once over all ranks.

    If clips are cut by bars, pairs without beats and pairs whose bars are longer than
    ``config.longest_seconds`` are left out.

    All ranks have the same number of batches, and the batches of one step are from one bucket on all ranks,
    so negatives can be gathered across ranks. A batch is empty if its bucket has fewer clips than ranks.

    Args:
        pairs: index in the corpus and pair, of one split.
        config: settings of the pipeline.
        epoch: epoch, from 0.
        rank: rank of this process, from 0.
        world_size: number of processes.
    """
    rng = np.random.default_rng([config.seed, 0 if config.same_every_epoch else epoch])
    # The borders of tempo bins change with the epoch, so that similar tempi are not always separated.
    shift = rng.random()
    bins: dict[tuple[int, float, int], list[tuple[int, MotionPair]]] = defaultdict(list)
    for index, pair in pairs:
        if config.bars is not None and (pair.grid == NO_BEATS or _bar_seconds(pair) > config.longest_seconds):
            continue
        key = pair.metre or 0, _tempo_bin(pair.bpm, config.tempo_octaves, shift), _clip_bars(pair, config)
        bins[key].append((index, pair))
    max_clips = config.batch_size * world_size
    groups: list[list[PlannedClip]] = []
    for key in sorted(bins):
        for bucket in _split_by_length(bins[key], config):
            clips = _spread_pieces(bucket, config.clips_per_pair, rng)
            count = math.ceil(len(clips) / max_clips)
            groups += [[clips[i] for i in part] for part in np.array_split(np.arange(len(clips)), count)]
    groups = [group for group in groups if len(group) >= config.least_clips * world_size]
    return [groups[index][rank::world_size] for index in rng.permutation(len(groups))]


def expected_seconds(pair: MotionPair, config: PipelineConfig) -> float:
    """Return the length of clips of a pair as expected from the manifest."""
    bars = _clip_bars(pair, config)
    if not bars:
        return min(pair.seconds, config.seconds)
    assert pair.bpm is not None
    assert pair.metre is not None
    return min(pair.seconds, bars * 60.0 * pair.metre / pair.bpm)


def _bar_seconds(pair: MotionPair) -> float:
    """Length of a bar according to the manifest; 0 if unknown."""
    return 0.0 if pair.bpm is None or pair.metre is None else 60.0 * pair.metre / pair.bpm


def _clip_bars(pair: MotionPair, config: PipelineConfig) -> int:
    """Number of bars of clips of a pair as expected from the manifest; 0 if it is cut by seconds."""
    bar = _bar_seconds(pair)
    if config.bars is None or not bar:
        return 0
    return max(1, min(config.bars, int(config.longest_seconds / bar + 1e-9), int(pair.seconds / bar + 1e-9)))


def _tempo_bin(bpm: float | None, width: float, shift: float) -> float:
    return -math.inf if bpm is None else math.floor(math.log2(bpm) / width + shift)


def _split_by_length(
    pairs: Sequence[tuple[int, MotionPair]], config: PipelineConfig
) -> list[list[tuple[int, MotionPair]]]:
    """Split pairs into buckets by the lengths of their clips, from the shortest on; usually one bucket."""
    lengths = [math.log2(expected_seconds(pair, config)) for _, pair in pairs]
    shortest = min(lengths)
    buckets: dict[int, list[tuple[int, MotionPair]]] = defaultdict(list)
    for pair, length in zip(pairs, lengths, strict=True):
        buckets[math.floor((length - shortest) / config.length_octaves)].append(pair)
    return [buckets[key] for key in sorted(buckets)]


def _spread_pieces(
    pairs: Sequence[tuple[int, MotionPair]], clips_per_pair: int, rng: np.random.Generator
) -> list[PlannedClip]:
    """Return the clips in random order, with the clips of each piece evenly distributed."""
    clips = [
        (PlannedClip(index, number), pair.piece) for index, pair in pairs for number in range(clips_per_pair)
    ]
    counts = Counter(piece for _, piece in clips)
    placed: Counter[str] = Counter()
    offset = {piece: rng.random() for piece in sorted(counts)}
    order = []
    for index in rng.permutation(len(clips)):
        clip, piece = clips[index]
        order.append(((placed[piece] + offset[piece]) / counts[piece], clip.pair_index, clip.number_in_pair))
        placed[piece] += 1
    return [PlannedClip(pair_index, number) for _, pair_index, number in sorted(order)]
