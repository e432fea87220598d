"""What a trained tower's grid of audio alone is estimated from: chosen on held-out music, not by hand [O].

The tower may look for beats in the onset envelope, or in the pulses that its own head hears, with one
weight or another against accents in the log-mel; a tower with trained beat heads decodes their activations.
Each way is scored by the F of its beats on the dev
split's whole pairs and on songs beside them, if any; each set counts the same. What trusts the trained
head least is kept, as long as it does within one standard error of the best: the head has only heard what it
was trained on, and a difference that may be chance is no reason to lean on it.
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

TRUSTS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Weights of the pulses that are tried."""

BATCH = 8
"""Clips encoded together."""

Way = tuple[str, float]
"""One of :data:`~motionbeat_upstream.config.GRID_SOURCES`, and its weight."""

Heard = tuple[Tensor, NDArray[np.float64]]
"""The (T,) waveform of a clip at 16 kHz, and its beats in seconds."""


@dataclass(frozen=True)
class GridChoice:
    """What the grid is to be estimated from, and how it was found."""

    source: str
    """One of :data:`~motionbeat_upstream.config.GRID_SOURCES`."""
    trust: float
    """Its weight."""
    scores: dict[Way, dict[str, Estimate]]
    """F of the beats by each way on each set; empty where there is nothing to choose by."""

    def to_dict(self) -> dict[str, object]:
        """For a checkpoint's provenance: F with its interval over pieces by each way and set."""
        return {
            f"{source} {trust:g}": {
                name: {"pieces": found.groups, "beat_f": [found.value, *_ends(found)]}
                for name, found in sets.items()
            }
            for (source, trust), sets in self.scores.items()
        }


def choose_grid_source(
    tower: MusicTower,
    corpora: Sequence[Corpus],
    songs: Sequence[Path] = (),
    sources: Sequence[str] = ("onsets", "pulses"),
    most: int = 300,
) -> GridChoice:
    """Score every way, and take the one that trusts the trained head least among the good ones.

    Args:
        tower: trained, in eval mode, on the CPU.
        corpora: their dev pairs that have a grid are used.
        songs: data sets of :mod:`recipes.downstream.beat_tracking.dataset`, of which all songs are used.
        sources: to choose from; the first where there is nothing to choose by.
        most: dev pairs at most, the same number of each corpus.

    Raises:
        DataError: files of a corpus or data set are missing or not what they should be.
        AudioError: sound that cannot be read.
    """
    ways = [
        (source, trust)
        for source in sources
        for trust in (TRUSTS if source == "pulses" else (MusicTowerConfig.grid_trust,))
    ]
    share = -(-most // max(len(corpora), 1))
    names = _names([corpus.folder for corpus in corpora] + list(songs))
    clips_of = [_dev_pairs(corpus, share) for corpus in corpora] + [_songs(folder) for folder in songs]
    scores: dict[Way, dict[str, Estimate]] = {}
    for name, clips in zip(names, clips_of, strict=True):
        for way, found in _scores(tower, clips, ways, name).items():
            scores.setdefault(way, {})[name] = found
    return GridChoice(*(least_trusting(scores) if scores else ways[0]), scores)


def least_trusting(scores: Mapping[Way, Mapping[str, Estimate]]) -> Way:
    """The first way within one standard error of the best; the onsets, then ever more of the pulses.

    Args:
        scores: of each way on the same sets, which count the same.
    """
    mean = {way: float(np.mean([found.value for found in sets.values()])) for way, sets in scores.items()}
    best = max(mean, key=lambda way: mean[way])
    error = float(np.linalg.norm([found.standard_error for found in scores[best].values()]))
    enough = mean[best] - error / len(scores[best])
    return next(way for way in sorted(scores, key=_leaning) if mean[way] >= enough)


def _ends(found: Estimate) -> tuple[float | None, float | None]:
    """Of the interval; None for a single piece: JSON has no NaN."""
    return (None, None) if np.isnan(found.low) else (found.low, found.high)


def _leaning(way: Way) -> tuple[bool, float]:
    """Greater the more a way leans on the trained head."""
    source, trust = way
    return source != "onsets", trust


def _scores(
    tower: MusicTower, clips: Sequence[tuple[str, Callable[[], Heard | None]]], ways: Sequence[Way], name: str
) -> dict[Way, Estimate]:
    """F of the beats by each way on clips, each with its piece; nothing where none has a grid."""
    found: dict[Way, list[float]] = {way: [] for way in ways}
    pieces: list[str] = []
    with tqdm(total=len(clips), desc=f"grids of {name}", unit=" clips", disable=None) as bar:
        for first in range(0, len(clips), BATCH):
            part = clips[first : first + BATCH]
            held = [(piece, heard) for piece, load in part if (heard := load()) is not None]
            bar.update(len(part))
            if not held:
                continue
            pieces += [piece for piece, _ in held]
            wavs = [wav for _, (wav, _) in held]
            lengths = torch.tensor([len(wav) for wav in wavs])
            estimates = tower.estimate_grids(pad_sequence(wavs, batch_first=True), lengths, ways)
            for way, grids in zip(ways, estimates, strict=True):
                found[way] += [
                    f_measure(beats, grid.beats) for (_, (_, beats)), grid in zip(held, grids, strict=True)
                ]
    if not pieces:
        return {}
    _, numbers = np.unique(pieces, return_inverse=True)
    return {way: mean_estimate(values, numbers) for way, values in found.items()}


def _names(folders: Sequence[Path]) -> list[str]:
    """What the sets are called: their folders' names, or whole paths where those are alike."""
    names = [folder.resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


def _dev_pairs(corpus: Corpus, most: int) -> list[tuple[str, Callable[[], Heard | None]]]:
    """Dev pairs with the names of their pieces; one without a grid gives None."""

    def load(pair: MotionPair) -> Heard | None:
        loaded = load_pair(pair, corpus.folder)
        return None if loaded.grid is None else _inside(loaded.wav, loaded.grid.beats)

    return [(pair.piece, partial(load, pair)) for pair in corpus.split("dev")[:most]]


def _songs(folder: Path) -> list[tuple[str, Callable[[], Heard | None]]]:
    def load(song: Recording) -> Heard:
        return _inside(song.load(), song.beats.times)

    return [(song.piece, partial(load, song)) for song in load_recordings(folder)]


def _inside(wav: Tensor, beats: NDArray[np.float64]) -> Heard:
    """A clip with those of its beats that can be heard."""
    return wav, beats[(beats >= 0) & (beats < len(wav) / SAMPLE_RATE)]
