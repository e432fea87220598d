"""An epoch before anything is read: which clips make which batch on which rank.

A batch holds one metre, near tempos and one number of bars, or the bar phases and token counts of
the in-batch negatives would give them away [O]; clips of one piece, which are never each other's negatives,
are spread over the batches.
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
    """Which of the pair's clips of the epoch."""


def plan_epoch(
    pairs: Sequence[tuple[int, MotionPair]],
    config: PipelineConfig,
    epoch: int,
    rank: int = 0,
    world_size: int = 1,
) -> list[list[PlannedClip]]:
    """The batches of one rank, in order; over all ranks every clip comes once.

    Where clips are cut by bars, pairs are left out that are known to have no beats, or whose bars are longer
    than ``config.longest_seconds``.

    Ranks have equally many batches, and the batches at one step are of one bucket on all ranks,
    so negatives may be gathered across them. Where a bucket has fewer clips than ranks, a batch is empty.

    Args:
        pairs: index in the corpus and pair, of one split.
        config: of the pipeline.
        epoch: counted from 0.
        rank: this process, from 0.
        world_size: number of processes.
    """
    draw = np.random.default_rng([config.seed, 0 if config.same_every_epoch else epoch])
    # The borders move from epoch to epoch, so that no two near tempos are apart for ever.
    shift = draw.random()
    of_tempo: dict[tuple[int, float, int], list[tuple[int, MotionPair]]] = defaultdict(list)
    for index, pair in pairs:
        if config.bars is not None and (pair.grid == NO_BEATS or _bar_seconds(pair) > config.longest_seconds):
            continue
        key = pair.metre or 0, _tempo_bin(pair.bpm, config.tempo_octaves, shift), _clip_bars(pair, config)
        of_tempo[key].append((index, pair))
    most = config.batch_size * world_size
    groups: list[list[PlannedClip]] = []
    for key in sorted(of_tempo):
        for bucket in _split_by_length(of_tempo[key], config):
            clips = _spread_pieces(bucket, config.clips_per_pair, draw)
            count = math.ceil(len(clips) / most)
            groups += [[clips[i] for i in part] for part in np.array_split(np.arange(len(clips)), count)]
    kept = [group for group in groups if len(group) >= config.least_clips * world_size]
    return [kept[index][rank::world_size] for index in draw.permutation(len(kept))]


def expected_seconds(pair: MotionPair, config: PipelineConfig) -> float:
    """How long a clip of this pair will be, by the manifest alone."""
    bars = _clip_bars(pair, config)
    if not bars:
        return min(pair.seconds, config.seconds)
    assert pair.bpm is not None
    assert pair.metre is not None
    return min(pair.seconds, bars * 60.0 * pair.metre / pair.bpm)


def _bar_seconds(pair: MotionPair) -> float:
    """Seconds of a bar, by the manifest; 0 where it is not known."""
    return 0.0 if pair.bpm is None or pair.metre is None else 60.0 * pair.metre / pair.bpm


def _clip_bars(pair: MotionPair, config: PipelineConfig) -> int:
    """How many bars a clip of this pair will have, by the manifest alone; 0 where it is cut by seconds."""
    bar = _bar_seconds(pair)
    if config.bars is None or not bar:
        return 0
    return max(1, min(config.bars, int(config.longest_seconds / bar + 1e-9), int(pair.seconds / bar + 1e-9)))


def _tempo_bin(bpm: float | None, width: float, shift: float) -> float:
    return -math.inf if bpm is None else math.floor(math.log2(bpm) / width + shift)


def _split_by_length(
    pairs: Sequence[tuple[int, MotionPair]], config: PipelineConfig
) -> list[list[tuple[int, MotionPair]]]:
    """The pairs apart by their clips' lengths, counted from the shortest: most often all in one."""
    lengths = [math.log2(expected_seconds(pair, config)) for _, pair in pairs]
    least = min(lengths)
    buckets: dict[int, list[tuple[int, MotionPair]]] = defaultdict(list)
    for pair, length in zip(pairs, lengths, strict=True):
        buckets[math.floor((length - least) / config.length_octaves)].append(pair)
    return [buckets[key] for key in sorted(buckets)]


def _spread_pieces(
    pairs: Sequence[tuple[int, MotionPair]], clips_per_pair: int, draw: np.random.Generator
) -> list[PlannedClip]:
    """Their clips at random, with those of each piece evenly over the whole length."""
    clips = [
        (PlannedClip(index, number), pair.piece) for index, pair in pairs for number in range(clips_per_pair)
    ]
    counts = Counter(piece for _, piece in clips)
    seen: Counter[str] = Counter()
    offset = {piece: draw.random() for piece in sorted(counts)}
    places = []
    for index in draw.permutation(len(clips)):
        clip, piece = clips[index]
        places.append(((seen[piece] + offset[piece]) / counts[piece], clip.pair_index, clip.number_in_pair))
        seen[piece] += 1
    return [PlannedClip(pair, number) for _, pair, number in sorted(places)]
