"""Fits the weights of the rules' tempo estimate, PERIODICITY_WEIGHTS and PRIOR_WEIGHTS of tracking/tempo.py.

    python -m recipes.benchmark.fit_tempo data/constructed --pairs 900

A multinomial logistic regression over the tempi: in each window of a few seconds, the score of a tempo is
the weighted sum of what :func:`~motionbeat_upstream.tracking.tempo.tempo_evidence` finds there and of x, x²
and x³, x being the tempo in octaves above 120 bpm. Windows are weighted so that their tempi spread by half an
octave about 133 bpm, whatever the corpus' own spread. It is fitted on the train split and scored on the
dev split, beside the weights that are there now: the share of windows whose best tempo is within 4 % of the
annotated one, and the share within 4 % of it, its half, double, third or triple.
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
"""Beats per minute, and octaves, that windows are weighted to spread about."""

MOST = 10.0
"""A window weighs at most so many times what it would by itself."""

NEAR = 0.04
"""A tempo within so much of the annotated one is right."""

LEVELS = (1.0, 1 / 2, 2.0, 1 / 3, 3.0)
"""Metrical levels that count as right in the second figure."""

HELD = 1e-3
"""Ridge penalty on the weights."""

POWERS = 3
"""Of the tempo in octaves, as many as ``PRIOR_WEIGHTS`` has weights."""


@dataclass(frozen=True)
class Windows:
    """N windows of a split."""

    evidence: NDArray[np.float64]
    """(N, S, 3 · M + 3) evidence of each tempo, then x, x² and x³."""
    bpm: NDArray[np.float64]
    """(N,) annotated tempo in the middle of each."""


@command("fit_tempo")
def main(arguments: Sequence[str]) -> int:
    """Fit and print."""
    parser = argparse.ArgumentParser(
        "python -m recipes.benchmark.fit_tempo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("corpora", type=Path, nargs="+", help="prepared corpora with grids")
    parser.add_argument("--pairs", type=int, default=900, help="of each corpus' train split (%(default)s)")
    options = parser.parse_args(arguments)
    if options.pairs < 1:
        parser.error(f"--pairs must be at least 1, got {options.pairs}")
    corpora = [read_corpus(folder) for folder in options.corpora]
    train, dev = (read_windows(corpora, split, options.pairs) for split in ("train", "dev"))

    from motionbeat_upstream.tracking.tempo import PERIOD_MULTIPLES, PERIODICITY_WEIGHTS, PRIOR_WEIGHTS

    fitted = fit(train)
    now = np.concatenate([np.ravel(PERIODICITY_WEIGHTS), PRIOR_WEIGHTS])
    for name, weights in (("now", now), ("fitted", fitted), ("fitted, rounded", rounded(fitted))):
        for split, windows in (("train", train), ("dev", dev)):
            level, related = score(windows, weights)
            print(
                f"{name:16} {split:6} {len(windows.bpm):6} windows  right {level:.3f}  related {related:.3f}"
            )
    values = rounded(fitted)
    print("PERIODICITY_WEIGHTS =", values[:-POWERS].reshape(3, len(PERIOD_MULTIPLES)).tolist())
    print("PRIOR_WEIGHTS =", values[-POWERS:].tolist())
    return 0


def read_windows(corpora: Sequence[Corpus], split: str, most: int) -> Windows:
    """The windows of a split's pairs that have a grid.

    Args:
        corpora: prepared.
        split: train, dev or test.
        most: pairs of each corpus, spread over its split.

    Raises:
        DataError: no pair with a grid, or files that are not what they should be.
        AudioError: sound that cannot be read.
    """
    import torch
    from tqdm import tqdm

    from motion_data.loading import load_pair
    from motionbeat_upstream.tracking.tempo import HOP_SECONDS, candidate_tempi

    pairs = [(corpus, pair) for corpus in corpora for pair in _spread(corpus.split(split), most)]
    evidence: list[Tensor] = []
    bpm: list[NDArray[np.float64]] = []
    for corpus, pair in tqdm(pairs, desc=split, unit=" pairs", disable=None):
        loaded = load_pair(pair, corpus.folder)
        if loaded.grid is None:
            continue
        found = evidence_of(loaded.wav)
        evidence.append(found)
        bpm.append(local_tempo(loaded.grid, np.arange(len(found)) * HOP_SECONDS))
    if not evidence:
        raise DataError(f"no pair of the {split} split has a grid; fit on a corpus that knows its beats")
    octaves = torch.log2(candidate_tempi().double() / 120.0)
    powers = torch.stack([octaves**power for power in range(1, POWERS + 1)], 1)
    seen = torch.cat(evidence).double().flatten(2)
    return Windows(
        torch.cat([seen, powers.expand(len(seen), -1, -1)], 2).numpy(), np.concatenate(bpm).astype(np.float64)
    )


def evidence_of(wav: Tensor) -> Tensor:
    """(T, S, 3, M) of one waveform (T',) at 16 kHz."""
    import torch

    from motionbeat_upstream.tracking.accents import compute_accents
    from motionbeat_upstream.tracking.frontend import spectra
    from motionbeat_upstream.tracking.tempo import tempo_evidence

    with torch.inference_mode():
        mel, lengths, onset = spectra(wav[None], torch.tensor([len(wav)]), MusicTowerConfig.n_mels)
        return tempo_evidence(compute_accents(onset, mel, lengths), lengths)[0]


def local_tempo(grid: Grid, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) beats per minute at (N,) seconds; beyond the outer beats, that of the nearest two."""
    index = np.clip(np.searchsorted(grid.beats, times, side="right") - 1, 0, len(grid.beats) - 2)
    tempo: NDArray[np.float64] = 60.0 / np.diff(grid.beats)[index]
    return tempo


def fit(windows: Windows) -> NDArray[np.float64]:
    """(3 · M + 3,) the weights of greatest likelihood, held down a little."""
    from scipy.optimize import minimize

    from motionbeat_upstream.tracking.tempo import candidate_tempi

    evidence, weight = windows.evidence, window_weights(windows.bpm)
    steps = np.log2(candidate_tempi().double().numpy())
    # A tempo between two of the scale's is shared between them.
    away = np.abs(np.log2(windows.bpm)[:, None] - steps) / (steps[1] - steps[0])
    target = np.maximum(1 - away, 0)
    target /= np.maximum(target.sum(1, keepdims=True), 1e-9)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = evidence @ weights
        top = logits.max(1, keepdims=True)
        share = np.exp(logits - top)
        total = share.sum(1, keepdims=True)
        share /= total
        likelihood = (target * (logits - top - np.log(total))).sum(1)
        slope = np.einsum("n,ns,nsk->k", weight, share - target, evidence, optimize=True)
        held = HELD * weights
        return float(-(weight * likelihood).sum() + 0.5 * (held * weights).sum()), slope + held

    found: NDArray[np.float64] = minimize(
        loss, np.zeros(evidence.shape[2]), jac=True, method="L-BFGS-B", options={"maxiter": 500}
    ).x
    return found


def window_weights(bpm: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) of sum 1, such that the weighted tempi spread by ``SPREAD`` octaves about ``CENTRE``."""
    octaves = np.log2(bpm / CENTRE)
    count, edges = np.histogram(octaves, bins=24)
    here = count[np.clip(np.searchsorted(edges, octaves, side="right") - 1, 0, len(count) - 1)]
    weight = np.exp(-0.5 * (octaves / SPREAD) ** 2) / here
    weight = np.minimum(weight / weight.mean(), MOST)
    weights: NDArray[np.float64] = weight / weight.sum()
    return weights


def score(windows: Windows, weights: NDArray[np.float64]) -> tuple[float, float]:
    """Shares of windows whose best tempo is right, and right or a related one; weighted as in the fit."""
    from motionbeat_upstream.tracking.tempo import candidate_tempi

    best = candidate_tempi().double().numpy()[(windows.evidence @ weights).argmax(1)]
    weight = window_weights(windows.bpm)
    off = np.stack([np.abs(best / (level * windows.bpm) - 1) for level in LEVELS])
    return float(weight @ (off[0] <= NEAR)), float(weight @ (off.min(0) <= NEAR))


def rounded(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """As they stand in the source: evidence to a tenth, the prior to a hundredth."""
    return np.concatenate([np.round(weights[:-POWERS], 1), np.round(weights[-POWERS:], 2)])


def _spread(pairs: Sequence[MotionPair], most: int) -> list[MotionPair]:
    """At most so many, evenly over all of them."""
    return [pairs[index * len(pairs) // min(most, len(pairs))] for index in range(min(most, len(pairs)))]


if __name__ == "__main__":
    sys.exit(main())
