"""Batches of pairs of similar tempo and equal metre, with motions on the frames of the music."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from motion_data.errors import DataError
from motion_data.manifest import Corpus
from motion_data.negatives.drawing import NegativeCounts
from motion_data.pipeline.batch import Batch, collate
from motion_data.pipeline.config import PipelineConfig
from motion_data.pipeline.example import cut_example, with_negatives
from motion_data.pipeline.pair_cache import PairCache
from motion_data.pipeline.plan import plan_epoch
from recipes.pairing.onset_curve import onset_curve
from recipes.pairing.silence import noise

log = logging.getLogger(__name__)

START_PHASE = 0.4
"""Bar phase at the start of every clip; equal for all clips, so that it does not identify pairs."""

TRAIN_NEGATIVES = NegativeCounts(jittered=2, stretched=1, others=0)
"""Hard negatives of each clip in training."""

EVAL_NEGATIVES = NegativeCounts(jittered=3, stretched=1, others=1)
"""Hard negatives of each clip in an evaluation: the own motion is one of six."""


@dataclass(frozen=True)
class PairBatch:
    """B clips, whose audio is passed separately. In an evaluation the audio is followed by noise."""

    clips: Batch
    """Without audio; in an evaluation with the grids of the motions."""
    onsets: Tensor | None = None
    """(B, F) onset envelopes on the frames of the motions, in [0, 1]; None in training."""

    def __len__(self) -> int:
        return len(self.clips)


class PairBatches(Dataset[tuple[list[Tensor], list[PairBatch]]]):
    """The batches of one epoch of a split, at most ``max_clips`` clips, rounded up to whole batches.

    For testing, batches also contain the grids of the motions, and noise after the audio.

    Raises:
        DataError: too few pairs for a batch.
    """

    def __init__(
        self,
        corpus: Corpus,
        split: str,
        settings: PipelineConfig,
        cache: PairCache,
        epoch: int,
        testing: bool,
        max_clips: int | None = None,
    ) -> None:
        self._corpus, self._settings, self._cache = corpus, settings, cache
        self._epoch, self._testing = epoch, testing
        pairs = corpus.epoch_pairs(split, epoch)
        plan = plan_epoch(pairs, settings, epoch)
        sizes = np.cumsum([len(batch) for batch in plan])
        self._plan = plan[: len(plan) if max_clips is None else 1 + int(np.searchsorted(sizes, max_clips))]
        if not self._plan:
            raise DataError(
                f"{corpus.folder}: {len(pairs)} pairs of {split} give no batch of {settings.least_clips} "
                f"clips of similar tempo; prepare more, or widen datarc.tempo_octaves"
            )

    def __len__(self) -> int:
        return len(self._plan)

    def __getitem__(self, index: int) -> tuple[list[Tensor], list[PairBatch]]:
        settings, rng = self._settings, np.random.default_rng([self._settings.seed, self._epoch, index])
        draws = [(draw, self._corpus.pairs[draw.pair_index]) for draw in self._plan[index]]
        examples = []
        for draw, pair in draws:
            loaded = self._cache.load(pair)
            try:
                clip = cut_example(loaded, draw, settings, self._epoch, self._corpus.group_ids(pair))
            except DataError as error:
                log.warning("left out %s: %s", pair.name, error)  # shorter than a bar
                continue
            examples.append(clip)
        if not examples:
            names = ", ".join(pair.name for _, pair in draws)
            raise DataError(f"{self._corpus.folder}: no clip could be cut from {names}; prepare longer pairs")
        examples = with_negatives(examples, EVAL_NEGATIVES if self._testing else TRAIN_NEGATIVES, rng)
        clips = collate(examples, START_PHASE, rng, motion_grids=self._testing)
        wavs = [example.wav for example in examples]
        silent = replace(clips, wav=clips.wav[:, :0])
        if not self._testing:
            return wavs, [PairBatch(silent)]
        onsets = onset_curve(clips.wav, clips.wav_lengths)
        noises = noise(clips.wav, clips.wav_lengths, torch.Generator().manual_seed(index))
        batch = PairBatch(silent, onsets)
        return wavs + [row[: len(wav)] for row, wav in zip(noises, wavs, strict=True)], [batch]
