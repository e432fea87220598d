"""A linear beat probe of frozen features, fast enough for every validation [O].

Ridge regression from a few frames of standardised features to a beat activation; its peaks are scored by the
F-measure with ±70 ms. Weights, penalty and threshold are fitted on other pieces than the probe is tested on.
The solution is in closed form, so that it has no training noise and takes seconds for dozens of clips. The
features must not depend on the annotated grid. Noise features reach about .35. The probe compares runs and
checkpoints; it does not replace the task beat_tracking.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from motion_data.pipeline.batch import Batch
from motionbeat_upstream.config import FRAME_RATE, SAMPLE_RATE, MusicTowerConfig
from motionbeat_upstream.nn.music_tower import untrained_music_tower
from motionbeat_upstream.tracking.frontend import frame_count, log_mel
from recipes.downstream.beat_tracking.decoding import pick_peaks
from recipes.downstream.beat_tracking.scores import f_measure
from recipes.results.estimates import Estimate, mean_estimate

CONTEXT_FRAMES = 2
"""Frames of context on both sides: 40 ms."""

WIDTH_FRAMES = 1.0
"""Standard deviation, in frames, of the Gaussian around a beat in the target."""

PENALTIES = (0.01, 0.1, 1.0, 10.0)
"""Candidate ridge penalties, in units of the sum of squares of a standardised feature."""

THRESHOLDS = tuple(float(value) for value in np.round(np.arange(0.02, 0.81, 0.02), 2))
"""Candidate minimum heights of a peak; the target of a beat is 1."""

FOLDS = 4
"""Folds of the cross-validation that selects penalty and threshold."""

MAX_PROBED_CLIPS = 96
"""Maximum number of clips for fitting and testing."""

MIN_PROBED_PIECES = 3
"""Minimum number of pieces with beats: two for fitting and one for testing."""

Features = NDArray[np.float32]


@dataclass(frozen=True)
class BeatProbe:
    """Result of the beat probe."""

    f: Estimate
    """F-measure of the test clips."""
    test_pieces: tuple[int, ...]
    penalty: float
    """Selected ridge penalty."""
    threshold: float
    """Selected minimum height of a peak."""
    skipped: int
    """Number of clips without beats."""


def beat_probe(
    features: Sequence[NDArray[np.floating[Any]]],
    beats: Sequence[NDArray[np.float64]],
    pieces: Sequence[int] | NDArray[np.int64],
    rate: float = FRAME_RATE,
    seed: int = 0,
) -> BeatProbe:
    """Fit the probe on half of the pieces and test it on the other half; deterministic.

    Args:
        features: (F_i, D) of each clip, finite; frame k is at (k + 0.5) / rate seconds.
        beats: (N_i,) annotated beats of each clip in seconds; beats outside its frames are ignored.
        pieces: number of each clip's piece; at least 3 pieces with a beat.
        rate: frames per second.
        seed: seed of the split of the pieces.

    Raises:
        ValueError: too few pieces, lists of different lengths, or features with NaN or infinity.
    """
    if not len(features) == len(beats) == len(pieces):
        raise ValueError(
            f"got features of {len(features)} clips, beats of {len(beats)} and pieces of {len(pieces)}; "
            f"expected the same number"
        )
    inside = [
        np.asarray(times)[(np.asarray(times) >= 0) & (np.asarray(times) < len(clip) / rate)]
        for clip, times in zip(features, beats, strict=True)
    ]
    rows = [row for row, times in enumerate(inside) if len(times)]
    piece = np.asarray(pieces, dtype=np.int64)[rows]
    order = np.random.default_rng(seed).permutation(np.unique(piece))
    if len(order) < 3:
        raise ValueError(
            f"the beat probe has {len(order)} pieces with beats; expected at least 3, two for fitting and "
            f"one for testing: validate on more pieces, or without the probe"
        )
    if not all(np.isfinite(features[row]).all() for row in rows):
        raise ValueError("features of the beat probe contain NaN or infinity; expected finite values")
    test_pieces = order[: len(order) // 2]
    fit_pieces = order[len(order) // 2 :]
    fit = [k for k in range(len(rows)) if piece[k] in fit_pieces]
    test = [k for k in range(len(rows)) if piece[k] in test_pieces]
    times = [inside[row] for row in rows]
    fold = np.array([int(np.flatnonzero(fit_pieces == piece[k])[0]) % FOLDS for k in fit])
    frames = np.concatenate([features[rows[k]] for k in fit]).astype(np.float32)
    mean, deviation = frames.mean(axis=0), frames.std(axis=0)
    scale = np.where(deviation > 1e-6, 1.0 / np.maximum(deviation, 1e-6), 0.0).astype(np.float32)
    inputs = [_in_context((features[row] - mean) * scale) for row in rows]

    penalty, threshold, weights = _fit([inputs[k] for k in fit], [times[k] for k in fit], fold, rate)
    scores = [_f(times[k], _peaks(inputs[k] @ weights, rate), threshold) for k in test]
    return BeatProbe(
        mean_estimate(scores, piece[test]),
        tuple(sorted(test_pieces.tolist())),
        penalty,
        threshold,
        len(features) - len(rows),
    )


def probed_layers(config: MusicTowerConfig) -> dict[str, int]:
    """Probed hidden states: the middle and last layer of the trunk, and the last layer of the tower."""
    trunk = config.trunk_layers
    return {"middle": trunk[len(trunk) // 2], "trunk": trunk[-1], "last": -1}


def annotated_beats(batch: Batch, row: int) -> NDArray[np.float64]:
    """(N,) annotated beats of a clip in seconds of the clip; empty without annotations."""
    grid = batch.annotated[row]
    return np.empty(0) if grid is None else grid.beats


@torch.inference_mode()
def untrained_probe(config: MusicTowerConfig, batches: Iterable[Batch], seconds: float) -> dict[str, float]:
    """Probe baselines without training: the log-mel, and the tower at its random initialisation.

    Args:
        config: configuration of the tower.
        batches: batches of the validation; the baselines use the same clips as its probe.
        seconds: length to which clips are cut.

    Returns:
        F-measure with its interval for ``probe.log_mel`` and each probed layer, ``probe.untrained_LAYER``;
        empty if there are too few pieces with beats.
    """
    tower = untrained_music_tower(config).eval()
    inputs: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
    beats: list[NDArray[np.float64]] = []
    pieces: list[int] = []
    for clips in batches:
        if len(beats) == MAX_PROBED_CLIPS:
            break
        wav = clips.wav[:, : round(seconds * SAMPLE_RATE)]
        lengths = clips.wav_lengths.clamp(max=wav.shape[1])
        mel, _ = log_mel(wav, lengths, config.n_mels)
        states = tower(wav, lengths).hidden_states
        for row, length in enumerate(frame_count(lengths).tolist()[: MAX_PROBED_CLIPS - len(beats)]):
            # A feature frame spans two mel frames.
            inputs["log_mel"].append(mel[row, : 2 * length].unflatten(0, (length, 2)).mean(1).numpy())
            for name, index in probed_layers(config).items():
                inputs[f"untrained_{name}"].append(states[index][row, :length].numpy())
            beats.append(annotated_beats(clips, row))
            pieces.append(int(clips.pieces[row]))
    pieces_with_beats = {piece for piece, times in zip(pieces, beats, strict=True) if len(times)}
    if len(pieces_with_beats) < MIN_PROBED_PIECES:
        return {}
    return {
        key: value
        for name, features in inputs.items()
        for key, value in beat_probe(features, beats, pieces).f.metrics(f"probe.{name}.beat_f").items()
    }


def _fit(
    inputs: Sequence[Features], beats: Sequence[NDArray[np.float64]], fold: NDArray[np.int64], rate: float
) -> tuple[float, float, Features]:
    """Penalty and threshold with the best score in cross-validation, and weights fitted on all folds."""
    targets = [_activation(times, len(clip), rate) for clip, times in zip(inputs, beats, strict=True)]
    members = [np.flatnonzero(fold == part) for part in np.unique(fold)]
    sums = [_sums([inputs[k] for k in rows], [targets[k] for k in rows]) for rows in members]
    scores = np.zeros((len(PENALTIES), len(THRESHOLDS)))
    for row, penalty in enumerate(PENALTIES):
        weights = [_ridge(sums[:held_out] + sums[held_out + 1 :], penalty) for held_out in range(len(sums))]
        peaks = [_peaks(clip @ weights[part], rate) for clip, part in zip(inputs, fold, strict=True)]
        for column, threshold in enumerate(THRESHOLDS):
            scores[row, column] = np.mean([_f(*both, threshold) for both in zip(beats, peaks, strict=True)])
    # The middle of equally good candidates.
    best = np.argwhere(np.isclose(scores, scores.max()))
    row, column = best[len(best) // 2]
    return PENALTIES[row], THRESHOLDS[column], _ridge(sums, PENALTIES[row])


def _in_context(clip: NDArray[np.floating[Any]]) -> Features:
    """Stack (F, D) to (F, (2 · CONTEXT_FRAMES + 1) · D + 1): neighbours, repeated at the ends, and a 1."""
    index = np.arange(len(clip))[:, None] + np.arange(-CONTEXT_FRAMES, CONTEXT_FRAMES + 1)
    context = clip[np.clip(index, 0, len(clip) - 1)].reshape(len(clip), -1)
    inputs: Features = np.concatenate([context, np.ones((len(clip), 1))], 1).astype(np.float32)
    return inputs


def _activation(times: NDArray[np.float64], frames: int, rate: float) -> Features:
    """(F,) target: a Gaussian of height 1 at each beat."""
    distance = ((np.arange(frames) + 0.5)[:, None] - times * rate) / WIDTH_FRAMES
    activation: Features = np.exp(-0.5 * np.square(distance)).max(axis=1).astype(np.float32)
    return activation


def _sums(
    inputs: Sequence[Features], targets: Sequence[Features]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Products XᵀX and Xᵀy of the ridge regression; those of several folds add up."""
    rows, target = np.concatenate(inputs), np.concatenate(targets)
    return (rows.T @ rows).astype(np.float64), (rows.T @ target).astype(np.float64)


def _ridge(parts: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]], penalty: float) -> Features:
    """Solve the ridge regression; the weight of the constant is not penalised."""
    products, target = (np.sum(terms, axis=0) for terms in zip(*parts, strict=True))
    # The sum of squares of the constant, as of a standardised feature, is the number of frames.
    ridge = np.full(len(target), penalty * products[-1, -1])
    ridge[-1] = 0.0
    weights: Features = np.linalg.solve(products + np.diag(ridge), target).astype(np.float32)
    return weights


def _peaks(activation: Features, rate: float) -> tuple[NDArray[np.float64], Features]:
    """Times and heights of all peaks."""
    times = pick_peaks(torch.from_numpy(activation), 0.0, rate)
    return times, activation[(times * rate - 0.5).astype(np.int64)]


def _f(
    annotated: NDArray[np.float64], peaks: tuple[NDArray[np.float64], Features], threshold: float
) -> float:
    times, heights = peaks
    return f_measure(annotated, times[heights >= threshold])
