"""Select the source of the grid that a trained tower estimates from audio, on held-out music [O].

A tower detects beats in the onset envelope, or in the pulses predicted by its own head, weighted against
accents of the log-mel; a tower with trained beat heads decodes their activations. Each method is scored by
the F-measure of its beats on complete pairs of the dev split and on additional songs, if any; all sets have
the same weight. The selected method is the one that relies least on the trained head among those within one
standard error of the best, because the head is known only to work on data like its training data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

from motion_data.loading import load_pair
from motion_data.manifest import Corpus
from motion_data.pair import MotionPair
from motionbeat_upstream.config import SAMPLE_RATE, MusicTowerConfig
from motionbeat_upstream.nn.music_tower import MusicTower
from recipes.downstream.beat_tracking.dataset import Recording, load_recordings
from recipes.downstream.beat_tracking.scores import f_measure
from recipes.results.estimates import Estimate, mean_estimate

TRUST_VALUES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Candidate weights of the pulses."""

BATCH_SIZE = 8
"""Clips per batch."""

GridMethod = tuple[str, float]
"""One of :data:`~motionbeat_upstream.config.GRID_SOURCES`, and its weight."""

AudioWithBeats = tuple[Tensor, NDArray[np.float64]]
"""The (T,) waveform of a clip at 16 kHz, and its beats in seconds."""


@dataclass(frozen=True)
class GridChoice:
    """The selected source, and the scores of all candidates."""

    source: str
    """One of :data:`~motionbeat_upstream.config.GRID_SOURCES`."""
    trust: float
    """Weight of the source."""
    scores: dict[GridMethod, dict[str, Estimate]]
    """F-measure of the beats of each method on each set; empty if nothing was scored."""

    def to_dict(self) -> dict[str, object]:
        """Scores for the provenance of a checkpoint: F-measure with its interval over pieces."""
        return {
            f"{source} {trust:g}": {
                name: {"pieces": estimate.groups, "beat_f": _with_interval(estimate)}
                for name, estimate in sets.items()
            }
            for (source, trust), sets in self.scores.items()
        }


def choose_grid_source(
    tower: MusicTower,
    corpora: Sequence[Corpus],
    songs: Sequence[Path] = (),
    sources: Sequence[str] = ("onsets", "pulses"),
    max_pairs: int = 300,
) -> GridChoice:
    """Score all methods and select one.

    Args:
        tower: trained tower in eval mode, on the CPU.
        corpora: corpora whose dev pairs with a grid are used.
        songs: data sets of :mod:`recipes.downstream.beat_tracking.dataset`; all their songs are used.
        sources: candidates; the first is selected if nothing can be scored.
        max_pairs: maximum number of dev pairs, divided equally between the corpora.

    Raises:
        DataError: files of a corpus or data set are missing or invalid.
        AudioError: sound that cannot be read.
    """
    methods = [
        (source, trust)
        for source in sources
        for trust in (TRUST_VALUES if source == "pulses" else (MusicTowerConfig.grid_trust,))
    ]
    share = -(-max_pairs // max(len(corpora), 1))
    names = _set_names([corpus.folder for corpus in corpora] + list(songs))
    sets = [_dev_pairs(corpus, share) for corpus in corpora] + [_songs(folder) for folder in songs]
    scores: dict[GridMethod, dict[str, Estimate]] = {}
    for name, clips in zip(names, sets, strict=True):
        for method, estimate in _score_methods(tower, clips, methods, name).items():
            scores.setdefault(method, {})[name] = estimate
    return GridChoice(*(select_method(scores) if scores else methods[0]), scores)


def select_method(scores: Mapping[GridMethod, Mapping[str, Estimate]]) -> GridMethod:
    """Return the first method within one standard error of the best, in the order onsets, then pulses by
    weight.

    Args:
        scores: scores of each method on the same sets, which have equal weights.
    """
    mean = {
        method: float(np.mean([estimate.value for estimate in sets.values()]))
        for method, sets in scores.items()
    }
    best = max(mean, key=lambda method: mean[method])
    error = float(np.linalg.norm([estimate.standard_error for estimate in scores[best].values()]))
    threshold = mean[best] - error / len(scores[best])
    by_reliance_on_head = sorted(scores, key=lambda method: (method[0] != "onsets", method[1]))
    return next(method for method in by_reliance_on_head if mean[method] >= threshold)


def _with_interval(estimate: Estimate) -> list[float | None]:
    """Value, low and high; the ends are None for a single piece, because JSON has no NaN."""
    ends = [estimate.low, estimate.high]
    return [estimate.value, *(None if np.isnan(end) else end for end in ends)]


def _score_methods(
    tower: MusicTower,
    clips: Sequence[tuple[str, Callable[[], AudioWithBeats | None]]],
    methods: Sequence[GridMethod],
    name: str,
) -> dict[GridMethod, Estimate]:
    """F-measure of each method on clips of (piece, loader); empty if no clip has a grid."""
    scores: dict[GridMethod, list[float]] = {method: [] for method in methods}
    pieces: list[str] = []
    with tqdm(total=len(clips), desc=f"grids of {name}", unit=" clips", disable=None) as bar:
        for first in range(0, len(clips), BATCH_SIZE):
            wavs: list[Tensor] = []
            references: list[NDArray[np.float64]] = []
            for piece, load in clips[first : first + BATCH_SIZE]:
                loaded = load()
                bar.update()
                if loaded is not None:
                    wav, beats = loaded
                    pieces.append(piece)
                    wavs.append(wav)
                    references.append(beats)
            if not wavs:
                continue
            lengths = torch.tensor([len(wav) for wav in wavs])
            estimates = tower.estimate_grids(pad_sequence(wavs, batch_first=True), lengths, methods)
            for method, grids in zip(methods, estimates, strict=True):
                scores[method] += [
                    f_measure(beats, grid.beats) for beats, grid in zip(references, grids, strict=True)
                ]
    if not pieces:
        return {}
    _, numbers = np.unique(pieces, return_inverse=True)
    return {method: mean_estimate(values, numbers) for method, values in scores.items()}


def _set_names(folders: Sequence[Path]) -> list[str]:
    """Names of the folders, or their full paths if two names are equal."""
    names = [folder.resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


def _dev_pairs(corpus: Corpus, max_pairs: int) -> list[tuple[str, Callable[[], AudioWithBeats | None]]]:
    """Pieces and loaders of dev pairs; the loader returns None for a pair without a grid."""

    def load(pair: MotionPair) -> AudioWithBeats | None:
        loaded = load_pair(pair, corpus.folder)
        return None if loaded.grid is None else _clip_beats(loaded.wav, loaded.grid.beats)

    return [(pair.piece, partial(load, pair)) for pair in corpus.split("dev")[:max_pairs]]


def _songs(folder: Path) -> list[tuple[str, Callable[[], AudioWithBeats | None]]]:
    def load(song: Recording) -> AudioWithBeats:
        return _clip_beats(song.load(), song.beats.times)

    return [(song.piece, partial(load, song)) for song in load_recordings(folder)]


def _clip_beats(wav: Tensor, beats: NDArray[np.float64]) -> AudioWithBeats:
    """Return a clip with the beats inside it."""
    return wav, beats[(beats >= 0) & (beats < len(wav) / SAMPLE_RATE)]
