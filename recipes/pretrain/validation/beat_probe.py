"""A beat probe small enough to run at every validation: how plainly frozen features show the beats.

Ridge regression from a few frames of standardised features to an activation that is high at beats, its
peaks taken as beats, scored by F with ±70 ms. Everything but the score is fitted on other pieces than it
is tested on. Closed form, so there is no training to be noisy, and seconds are enough for some dozens of
clips. It sees features and no grid, and they must not have been made with the annotated one. Features that
are noise reach about .35 here. It tells runs and checkpoints apart and is no substitute for the task
beat_tracking [O].
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

CONTEXT = 2
"""Frames to either side that the probe sees beside the one it judges: 40 ms."""

WIDTH = 1.0
"""Standard deviation in frames of the bump that stands for a beat in the activation."""

PENALTIES = (0.01, 0.1, 1.0, 10.0)
"""Ridge penalties to choose from, in units of a standardised feature's sum of squares."""

THRESHOLDS = tuple(float(value) for value in np.round(np.arange(0.02, 0.81, 0.02), 2))
"""Least heights of a peak to choose from; a beat's target is 1."""

FOLDS = 4
"""Parts of the fit pieces; penalty and threshold are chosen on activations of parts not fitted on."""

PROBED = 96
"""Clips that the beat probe is fitted to and tested on, at most."""

PROBED_PIECES = 3
"""Pieces with beats that the probe needs at least: two to fit on and one to test on."""

Features = NDArray[np.float32]


@dataclass(frozen=True)
class BeatProbe:
    """What the probe found."""

    f: Estimate
    """F of the test clips."""
    test_pieces: tuple[int, ...]
    """Those that it was tested on."""
    penalty: float
    """The one chosen."""
    threshold: float
    """The one chosen."""
    left_out: int
    """Clips without a beat inside them."""


def beat_probe(
    features: Sequence[NDArray[np.floating[Any]]],
    beats: Sequence[NDArray[np.float64]],
    pieces: Sequence[int] | NDArray[np.int64],
    rate: float = FRAME_RATE,
    seed: int = 0,
) -> BeatProbe:
    """Fit on half of the pieces, test on the other half; the same for the same arguments.

    Args:
        features: (F_i, D) of each clip, finite; frame k stands for (k + 0.5) / rate.
        beats: (N_i,) annotated beats of each clip in seconds; those outside its frames do not count.
        pieces: number of each clip's piece; at least 3 pieces with a beat.
        rate: frames a second.
        seed: of the division of the pieces, by their numbers alone.

    Raises:
        ValueError: too few pieces, lists of different lengths, or features with NaN or infinity.
    """
    if not len(features) == len(beats) == len(pieces):
        raise ValueError(
            f"{len(features)} clips of features, {len(beats)} of beats, {len(pieces)} pieces; expected as "
            f"many of each"
        )
    inside = [
        np.asarray(times)[(np.asarray(times) >= 0) & (np.asarray(times) < len(clip) / rate)]
        for clip, times in zip(features, beats, strict=True)
    ]
    kept = [row for row, times in enumerate(inside) if len(times)]
    piece = np.asarray(pieces, dtype=np.int64)[kept]
    order = np.random.default_rng(seed).permutation(np.unique(piece))
    if len(order) < 3:
        raise ValueError(
            f"{len(order)} pieces with beats for a beat probe; expected at least 3, two to fit on and one to "
            f"test on: validate on more pieces, or without the probe"
        )
    if not all(np.isfinite(features[row]).all() for row in kept):
        raise ValueError("features of the beat probe are NaN or infinite; expected numbers")
    tested = order[: len(order) // 2]
    fitted = order[len(order) // 2 :]
    fit = [k for k in range(len(kept)) if piece[k] in fitted]
    test = [k for k in range(len(kept)) if piece[k] in tested]
    times = [inside[row] for row in kept]
    fold = np.array([int(np.flatnonzero(fitted == piece[k])[0]) % FOLDS for k in fit])
    frames = np.concatenate([features[kept[k]] for k in fit]).astype(np.float32)
    mean, deviation = frames.mean(axis=0), frames.std(axis=0)
    scale = np.where(deviation > 1e-6, 1.0 / np.maximum(deviation, 1e-6), 0.0).astype(np.float32)
    seen = [_in_context((features[row] - mean) * scale) for row in kept]

    penalty, threshold, weights = _fitted([seen[k] for k in fit], [times[k] for k in fit], fold, rate)
    scores = [_f(times[k], _peaks(seen[k] @ weights, rate), threshold) for k in test]
    return BeatProbe(
        mean_estimate(scores, piece[test]),
        tuple(sorted(tested.tolist())),
        penalty,
        threshold,
        len(features) - len(kept),
    )


def probed_layers(config: MusicTowerConfig) -> dict[str, int]:
    """Hidden states that the beat probe sees: of the trunk the middle and the last, and the last of all."""
    trunk = len(config.trunk_dilations)
    return {"middle": (trunk + 1) // 2, "trunk": trunk, "last": -1}


def annotated_beats(batch: Batch, row: int) -> NDArray[np.float64]:
    """(N,) beats of a clip's pair on the clip's clock; none where the corpus knows none."""
    grid = batch.annotated[row]
    return np.empty(0) if grid is None else grid.beats


@torch.inference_mode()
def untrained_probe(config: MusicTowerConfig, batches: Iterable[Batch], seconds: float) -> dict[str, float]:
    """The probe on what nobody trained: the log-mel, and the tower at its random initialisation.

    What a training adds to the probe is its margin over these, on the same clips.

    Args:
        config: of the tower.
        batches: as the validation reads them; the clips that its own probe sees are taken.
        seconds: length that clips are cut to.

    Returns:
        F with its interval for ``probe.log_mel`` and each probed layer, ``probe.untrained_LAYER``; nothing
        where there are too few pieces with beats.
    """
    tower = untrained_music_tower(config).eval()
    seen: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
    beats: list[NDArray[np.float64]] = []
    pieces: list[int] = []
    for clips in batches:
        if len(beats) == PROBED:
            break
        wav = clips.wav[:, : round(seconds * SAMPLE_RATE)]
        lengths = clips.wav_lengths.clamp(max=wav.shape[1])
        mel, _ = log_mel(wav, lengths, config.n_mels)
        states = tower(wav, lengths).hidden_states
        for row, length in enumerate(frame_count(lengths).tolist()[: PROBED - len(beats)]):
            # Two mel frames lie in a feature.
            seen["log_mel"].append(mel[row, : 2 * length].unflatten(0, (length, 2)).mean(1).numpy())
            for name, index in probed_layers(config).items():
                seen[f"untrained_{name}"].append(states[index][row, :length].numpy())
            beats.append(annotated_beats(clips, row))
            pieces.append(int(clips.pieces[row]))
    heard = {piece for piece, times in zip(pieces, beats, strict=True) if len(times)}
    if len(heard) < PROBED_PIECES:
        return {}
    return {
        key: value
        for name, features in seen.items()
        for key, value in beat_probe(features, beats, pieces).f.metrics(f"probe.{name}.beat_f").items()
    }


def _fitted(
    seen: Sequence[Features], beats: Sequence[NDArray[np.float64]], fold: NDArray[np.int64], rate: float
) -> tuple[float, float, Features]:
    """Penalty and threshold that do best on folds not fitted on, and weights fitted on all."""
    wanted = [_activation(times, len(clip), rate) for clip, times in zip(seen, beats, strict=True)]
    members = [np.flatnonzero(fold == part) for part in np.unique(fold)]
    sums = [_sums([seen[k] for k in rows], [wanted[k] for k in rows]) for rows in members]
    reached = np.zeros((len(PENALTIES), len(THRESHOLDS)))
    for row, penalty in enumerate(PENALTIES):
        weights = [
            _ridge([other for part, other in enumerate(sums) if part != out], penalty)
            for out in range(len(sums))
        ]
        peaks = [_peaks(clip @ weights[part], rate) for clip, part in zip(seen, fold, strict=True)]
        for column, height in enumerate(THRESHOLDS):
            reached[row, column] = np.mean([_f(*both, height) for both in zip(beats, peaks, strict=True)])
    # The middle of those that do best, which has room on either side.
    best = np.argwhere(np.isclose(reached, reached.max()))
    row, column = best[len(best) // 2]
    return PENALTIES[row], THRESHOLDS[column], _ridge(sums, PENALTIES[row])


def _in_context(clip: NDArray[np.floating[Any]]) -> Features:
    """(F, D) to (F, (2 · CONTEXT + 1) · D + 1): neighbours, held at either end, and a 1."""
    index = np.arange(len(clip))[:, None] + np.arange(-CONTEXT, CONTEXT + 1)
    around = clip[np.clip(index, 0, len(clip) - 1)].reshape(len(clip), -1)
    seen: Features = np.concatenate([around, np.ones((len(clip), 1))], 1).astype(np.float32)
    return seen


def _activation(times: NDArray[np.float64], frames: int, rate: float) -> Features:
    """(F,) 1 at a beat, falling off over ``WIDTH`` to either side."""
    away = ((np.arange(frames) + 0.5)[:, None] - times * rate) / WIDTH
    bump: Features = np.exp(-0.5 * np.square(away)).max(axis=1).astype(np.float32)
    return bump


def _sums(
    seen: Sequence[Features], wanted: Sequence[Features]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Products of features with each other and with the activation; those of several parts add up."""
    rows, target = np.concatenate(seen), np.concatenate(wanted)
    return (rows.T @ rows).astype(np.float64), (rows.T @ target).astype(np.float64)


def _ridge(parts: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]], penalty: float) -> Features:
    """Weights of the features in context; the last, the constant's, is not held down."""
    products, target = (np.sum(each, axis=0) for each in zip(*parts, strict=True))
    # The constant's square is the number of frames, as is the sum of squares of a standardised feature.
    held = np.full(len(target), penalty * products[-1, -1])
    held[-1] = 0.0
    weights: Features = np.linalg.solve(products + np.diag(held), target).astype(np.float32)
    return weights


def _peaks(activation: Features, rate: float) -> tuple[NDArray[np.float64], Features]:
    """Times and heights of all peaks, of whatever height."""
    times = pick_peaks(torch.from_numpy(activation), 0.0, rate)
    return times, activation[(times * rate - 0.5).astype(np.int64)]


def _f(annotated: NDArray[np.float64], peaks: tuple[NDArray[np.float64], Features], height: float) -> float:
    times, heights = peaks
    return f_measure(annotated, times[heights >= height])
