"""What a trained tower's grid of audio alone is estimated from: chosen on the dev split, not by hand [O].

The tower may look for beats in the onset envelope, or in the pulses that its own head hears, with one
weight or another against accents in the log-mel. Each way is scored by the F of its beats on the dev
split's whole pairs; the best is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

from motion_data.loading import load_clip
from motion_data.manifest import Corpus
from motionbeat_upstream.config import GRID_SOURCES, SAMPLE_RATE, MusicTowerConfig
from motionbeat_upstream.nn.grid import Grid
from motionbeat_upstream.nn.music_tower import MusicTower
from recipes.downstream.beat_tracking.scores import f_measure
from recipes.pretrain.validation.piece_mean import PieceMean, piece_mean

TRUSTS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Weights of the pulses that are tried."""

ONSET_TRUST = MusicTowerConfig.grid_trust
"""The one weight of the onsets: it was fitted with the cues that they go with, and they are not trained."""

BATCH = 8
"""Pairs encoded together."""


@dataclass(frozen=True)
class GridChoice:
    """What the grid is to be estimated from, and how it was found."""

    source: str
    """One of :data:`~motionbeat_upstream.config.GRID_SOURCES`."""
    trust: float
    """Its weight."""
    scores: dict[tuple[str, float], PieceMean]
    """F of the beats by each way; empty where no dev pair has a grid."""

    def to_dict(self) -> dict[str, object]:
        """For a checkpoint's provenance: F with its interval over pieces by each way, and their number."""
        figures = {
            f"{source} {trust:g}": [found.mean, found.low, found.high]
            for (source, trust), found in self.scores.items()
        }
        return {"pieces": next((found.pieces for found in self.scores.values()), 0), "beat_f": figures}


def choose_grid_source(
    tower: MusicTower, corpora: Sequence[Corpus], sources: Sequence[str] = GRID_SOURCES, most: int = 300
) -> GridChoice:
    """Score every way on the dev splits.

    Args:
        tower: trained, in eval mode, on the CPU.
        corpora: their dev pairs that have a grid are used.
        sources: to choose from; the first where there is nothing to choose by.
        most: pairs at most, the same number of each corpus.

    Raises:
        DataError: files of a corpus are missing or not what they should be.
        AudioError: sound that cannot be read.
    """
    ways = [
        (source, trust) for source in sources for trust in ((ONSET_TRUST,) if source == "onsets" else TRUSTS)
    ]
    found: dict[tuple[str, float], list[float]] = {way: [] for way in ways}
    pieces: list[str] = []
    for wavs, grids, names in _dev_batches(corpora, most):
        pieces += names
        lengths = torch.tensor([len(wav) for wav in wavs])
        estimates = tower.estimate_grids(pad_sequence(wavs, batch_first=True), lengths, ways)
        for way, estimated in zip(ways, estimates, strict=True):
            for wav, grid, estimate in zip(wavs, grids, estimated, strict=True):
                seconds = len(wav) / SAMPLE_RATE
                inside = grid.beats[(grid.beats >= 0) & (grid.beats < seconds)]
                found[way].append(f_measure(inside, estimate.beats))
    if not pieces:
        return GridChoice(*ways[0], {})
    _, numbers = np.unique(pieces, return_inverse=True)
    scores = {way: piece_mean(values, numbers) for way, values in found.items()}
    return GridChoice(*max(scores, key=lambda way: scores[way].mean), scores)


def _dev_batches(
    corpora: Sequence[Corpus], most: int
) -> Iterator[tuple[list[torch.Tensor], list[Grid], list[str]]]:
    """Sounds, grids and pieces of the dev pairs that have a grid, some at a time."""
    share = -(-most // max(len(corpora), 1))
    pairs = [(corpus, pair) for corpus in corpora for pair in corpus.split("dev")[:share]]
    with tqdm(total=len(pairs), desc="grids of the dev split", unit=" pairs", disable=None) as bar:
        for first in range(0, len(pairs), BATCH):
            part = pairs[first : first + BATCH]
            clips = [load_clip(pair, corpus.folder) for corpus, pair in part]
            held = [(clip.wav, clip.grid, clip.pair.piece) for clip in clips if clip.grid is not None]
            bar.update(len(part))
            if held:
                wavs, grids, pieces = (list(column) for column in zip(*held, strict=True))
                yield wavs, grids, pieces
