"""Beat tracking by dynamic programming.

After Ellis, "Beat tracking by dynamic programming", JNMR 36(1), 2007, with a period that may change over
time. Two things keep the loop over time short [O]. A beat lies at least one shortest interval after its
predecessor, so all frames within such an interval are decided at once. A long clip is cut into chunks that
are decoded in parallel, each with a run-in that is long enough for its decisions not to depend on its start.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

TIGHTNESS = 100.0
"""Cost of an interval between beats that differs from the local period by a factor e, with the square of the
logarithm; the activation has a standard deviation of about 1."""

MIN_INTERVAL, MAX_INTERVAL = 0.75, 1.34
"""Range of intervals between beats, in local periods; excludes half and double tempo."""

CHUNK_SECONDS = 15.0
"""Length of a chunk."""

RUN_IN_SECONDS = 30.0
"""Length of the run-in before each chunk. On 152 development clips and on eight whole songs the beats were
the same as without chunks; with 10 s, the phase of some ambiguous passages differed."""


def decode_beats(
    activation: Tensor, periods: Tensor, choice: Tensor, lengths: Tensor, rate: float
) -> list[NDArray[np.int64]]:
    """Decode the beats of each clip.

    Args:
        activation: (B, F) with mean about 0 and standard deviation about 1 within a clip, 0 beyond it.
        periods: (S,) beat periods in frames.
        choice: (B, F) index in ``periods`` of the local period, int64.
        lengths: (B,) frames of each clip.
        rate: frames per second.

    Returns:
        The frames of the beats of each clip, increasing; may be empty.
    """
    chunk, run_in = round(CHUNK_SECONDS * rate), round(RUN_IN_SECONDS * rate)
    chunks = -(-activation.shape[1] // chunk)
    padding = (run_in, chunks * chunk - activation.shape[1])
    pieces = F.pad(activation, padding).unfold(1, run_in + chunk, chunk).flatten(0, 1)
    local = F.pad(choice[:, None].to(periods.dtype), padding, mode="replicate")[:, 0].long()
    lags, cost = _intervals(periods, choice)
    scores = _best_scores(pieces, local.unfold(1, run_in + chunk, chunk).flatten(0, 1), lags, cost)

    beats = []
    clips = zip(
        scores.unflatten(0, (-1, chunks)).cpu().numpy(),
        choice.cpu().numpy(),
        (lengths - 1).tolist(),
        periods[choice.gather(1, lengths[:, None] - 1)[:, 0]].ceil().long().tolist(),
        strict=True,
    )
    intervals = lags.cpu().numpy()
    costs = cost.cpu().numpy()
    for score, local_choice, end, period in clips:
        # The last beat is the best within a period of the end. The chunk of the end contains these frames,
        # possibly in its run-in; scores of different chunks are not comparable.
        begin = max(end - period + 1, 0)
        offset = end // chunk * chunk - run_in
        frame = begin + int(score[end // chunk, begin - offset : end + 1 - offset].argmax())
        frames = [frame]
        while True:
            index = frame % chunk + run_in
            window = slice(index - intervals[0], index - intervals[-1] + 1)
            gains = score[frame // chunk, window] + costs[local_choice[frame]]
            best = int(gains.argmax())
            # A beat without a gain from an earlier one is the first.
            if gains[best] <= 0:
                break
            frame -= int(intervals[best])
            frames.append(frame)
        beats.append(np.array(frames[::-1], dtype=np.int64))
    return beats


def _intervals(periods: Tensor, choice: Tensor) -> tuple[Tensor, Tensor]:
    """(L,) intervals in frames that the chosen periods allow, longest first, and their (S, L) scores."""
    used = periods[choice.unique()]
    shortest = max(1, math.floor(float(used.min()) * MIN_INTERVAL))
    longest = math.ceil(float(used.max()) * MAX_INTERVAL)
    lags = torch.arange(longest, shortest - 1, -1, device=periods.device)
    ratio = lags / periods[:, None]
    outside = (ratio < MIN_INTERVAL) | (ratio > MAX_INTERVAL)
    return lags, (-TIGHTNESS * torch.log(ratio).square()).masked_fill(outside, -math.inf)


def _best_scores(activation: Tensor, choice: Tensor, lags: Tensor, cost: Tensor) -> Tensor:
    """(B, F) maximum sum of activation and cost of a sequence of beats that ends at each frame."""
    size = activation.shape[1]
    longest, shortest = int(lags[0]), int(lags[-1])
    score = F.pad(torch.zeros_like(activation), (longest, 0))
    for first in range(0, size, shortest):
        stop = min(first + shortest, size)
        before = score[:, first : stop + longest - shortest].unfold(1, len(lags), 1)
        gain = (before + F.embedding(choice[:, first:stop], cost)).amax(-1)
        torch.add(
            activation[:, first:stop], gain.clamp(min=0), out=score[:, longest + first : longest + stop]
        )
    return score[:, longest:]
