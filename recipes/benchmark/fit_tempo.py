"""Fit the weights of the tempo estimation without a network (PERIODICITY_WEIGHTS and PRIOR_WEIGHTS of
tracking/tempo.py).

    python -m recipes.benchmark.fit_tempo data/constructed --pairs 900

The model is a multinomial logistic regression over tempi. In each window of a few seconds, the score of a
tempo is the weighted sum of :func:`~motionbeat_upstream.tracking.tempo.tempo_evidence` and of x, x² and x³,
where x is the tempo in octaves above 120 bpm. Windows are weighted so that their tempi have a standard
deviation of half an octave about 133 bpm in any corpus. The weights are fitted on the train split and scored
on the dev split, together with the current ones: the share of windows whose best tempo is within 4 % of the
annotated one, and the share within 4 % of it or of its half, double, third or triple.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError
from motion_data.manifest import Corpus, read_corpus
from motion_data.pair import MotionPair
from motionbeat_upstream.commands.command import command
from motionbeat_upstream.config import MusicTowerConfig
from motionbeat_upstream.tracking.grid import Grid

if TYPE_CHECKING:
    from torch import Tensor

CENTRE, SPREAD = 133.0, 0.5
"""Mean in bpm and standard deviation in octaves of the weighted tempi."""

MAX_WEIGHT_RATIO = 10.0
"""Maximum weight of a window, relative to the mean."""

TEMPO_TOLERANCE = 0.04
"""Relative tolerance of a tempo."""

METRICAL_LEVELS = (1.0, 1 / 2, 2.0, 1 / 3, 3.0)
"""Metrical levels that count as correct in the second score."""

RIDGE_PENALTY = 1e-3
"""Ridge penalty on the weights."""

POWERS = 3
"""Number of powers of the tempo in octaves; the length of ``PRIOR_WEIGHTS``."""


@dataclass(frozen=True)
class Windows:
    """The N windows of a split."""

    evidence: NDArray[np.float64]
    """(N, S, 3 · M + 3) evidence of each tempo, then x, x² and x³."""
    bpm: NDArray[np.float64]
    """(N,) annotated tempo in the middle of each window."""


@command("fit_tempo")
def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        "python -m recipes.benchmark.fit_tempo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("corpora", type=Path, nargs="+", help="prepared corpora with grids")
    parser.add_argument("--pairs", type=int, default=900, help="pairs per train split (%(default)s)")
    options = parser.parse_args(arguments)
    if options.pairs < 1:
        parser.error(f"--pairs must be at least 1, got {options.pairs}")
    corpora = [read_corpus(folder) for folder in options.corpora]
    train, dev = (read_windows(corpora, split, options.pairs) for split in ("train", "dev"))

    from motionbeat_upstream.tracking.tempo import PERIOD_MULTIPLES, PERIODICITY_WEIGHTS, PRIOR_WEIGHTS

    fitted = fit(train)
    current = np.concatenate([np.ravel(PERIODICITY_WEIGHTS), PRIOR_WEIGHTS])
    for name, weights in (("now", current), ("fitted", fitted), ("fitted, rounded", rounded(fitted))):
        for split, windows in (("train", train), ("dev", dev)):
            level, related = score(windows, weights)
            print(
                f"{name:16} {split:6} {len(windows.bpm):6} windows  right {level:.3f}  related {related:.3f}"
            )
    values = rounded(fitted)
    print("PERIODICITY_WEIGHTS =", values[:-POWERS].reshape(3, len(PERIOD_MULTIPLES)).tolist())
    print("PRIOR_WEIGHTS =", values[-POWERS:].tolist())
    return 0


def read_windows(corpora: Sequence[Corpus], split: str, max_pairs: int) -> Windows:
    """Read the windows of the pairs of a split that have a grid.

    Args:
        corpora: prepared corpora.
        split: train, dev or test.
        max_pairs: maximum number of pairs per corpus, evenly spaced.

    Raises:
        DataError: no pair with a grid, or invalid files.
        AudioError: sound that cannot be read.
    """
    import torch
    from tqdm import tqdm

    from motion_data.loading import load_pair
    from motionbeat_upstream.tracking.tempo import HOP_SECONDS, candidate_tempi

    pairs = [(corpus, pair) for corpus in corpora for pair in _spread(corpus.split(split), max_pairs)]
    evidence: list[Tensor] = []
    bpm: list[NDArray[np.float64]] = []
    for corpus, pair in tqdm(pairs, desc=split, unit=" pairs", disable=None):
        loaded = load_pair(pair, corpus.folder)
        if loaded.grid is None:
            continue
        window_evidence = compute_evidence(loaded.wav)
        evidence.append(window_evidence)
        bpm.append(local_tempo(loaded.grid, np.arange(len(window_evidence)) * HOP_SECONDS))
    if not evidence:
        raise DataError(f"no pair of the {split} split has a grid; give a corpus with annotated beats")
    octaves = torch.log2(candidate_tempi().double() / 120.0)
    powers = torch.stack([octaves**power for power in range(1, POWERS + 1)], 1)
    stacked = torch.cat(evidence).double().flatten(2)
    return Windows(
        torch.cat([stacked, powers.expand(len(stacked), -1, -1)], 2).numpy(),
        np.concatenate(bpm).astype(np.float64),
    )


def compute_evidence(wav: Tensor) -> Tensor:
    """(T, S, 3, M) tempo evidence of one waveform (T',) at 16 kHz."""
    import torch

    from motionbeat_upstream.tracking.accents import compute_accents
    from motionbeat_upstream.tracking.frontend import spectra
    from motionbeat_upstream.tracking.tempo import tempo_evidence

    with torch.inference_mode():
        mel, lengths, onset = spectra(wav[None], torch.tensor([len(wav)]), MusicTowerConfig.n_mels)
        return tempo_evidence(compute_accents(onset, mel, lengths), lengths)[0]


def local_tempo(grid: Grid, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) tempo in bpm at (N,) seconds; beyond the outer beats that of the nearest two."""
    index = np.clip(np.searchsorted(grid.beats, times, side="right") - 1, 0, len(grid.beats) - 2)
    tempo: NDArray[np.float64] = 60.0 / np.diff(grid.beats)[index]
    return tempo


def fit(windows: Windows) -> NDArray[np.float64]:
    """(3 · M + 3,) weights of maximum likelihood with a small ridge penalty."""
    from scipy.optimize import minimize

    from motionbeat_upstream.tracking.tempo import candidate_tempi

    evidence, weight = windows.evidence, window_weights(windows.bpm)
    steps = np.log2(candidate_tempi().double().numpy())
    # The target of a tempo between two classes is distributed over both.
    distance = np.abs(np.log2(windows.bpm)[:, None] - steps) / (steps[1] - steps[0])
    target = np.maximum(1 - distance, 0)
    target /= np.maximum(target.sum(1, keepdims=True), 1e-9)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = evidence @ weights
        top = logits.max(1, keepdims=True)
        share = np.exp(logits - top)
        total = share.sum(1, keepdims=True)
        share /= total
        likelihood = (target * (logits - top - np.log(total))).sum(1)
        slope = np.einsum("n,ns,nsk->k", weight, share - target, evidence, optimize=True)
        penalty = RIDGE_PENALTY * weights
        return float(-(weight * likelihood).sum() + 0.5 * (penalty * weights).sum()), slope + penalty

    fitted: NDArray[np.float64] = minimize(
        loss, np.zeros(evidence.shape[2]), jac=True, method="L-BFGS-B", options={"maxiter": 500}
    ).x
    return fitted


def window_weights(bpm: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) weights of sum 1, for which the tempi have the standard deviation ``SPREAD`` about ``CENTRE``."""
    octaves = np.log2(bpm / CENTRE)
    count, edges = np.histogram(octaves, bins=24)
    bin_count = count[np.clip(np.searchsorted(edges, octaves, side="right") - 1, 0, len(count) - 1)]
    weight = np.exp(-0.5 * (octaves / SPREAD) ** 2) / bin_count
    weight = np.minimum(weight / weight.mean(), MAX_WEIGHT_RATIO)
    weights: NDArray[np.float64] = weight / weight.sum()
    return weights


def score(windows: Windows, weights: NDArray[np.float64]) -> tuple[float, float]:
    """Shares of windows whose best tempo is correct, and correct or related; weighted as in the fit."""
    from motionbeat_upstream.tracking.tempo import candidate_tempi

    best = candidate_tempi().double().numpy()[(windows.evidence @ weights).argmax(1)]
    weight = window_weights(windows.bpm)
    deviation = np.stack([np.abs(best / (level * windows.bpm) - 1) for level in METRICAL_LEVELS])
    return float(weight @ (deviation[0] <= TEMPO_TOLERANCE)), float(
        weight @ (deviation.min(0) <= TEMPO_TOLERANCE)
    )


def rounded(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round the weights for the source: evidence to a tenth, the prior to a hundredth."""
    return np.concatenate([np.round(weights[:-POWERS], 1), np.round(weights[-POWERS:], 2)])


def _spread(pairs: Sequence[MotionPair], max_pairs: int) -> list[MotionPair]:
    """Select at most ``max_pairs`` pairs, evenly spaced."""
    return [
        pairs[index * len(pairs) // min(max_pairs, len(pairs))] for index in range(min(max_pairs, len(pairs)))
    ]


if __name__ == "__main__":
    sys.exit(main())
