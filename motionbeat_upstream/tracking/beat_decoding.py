"""Beats by dynamic programming: strong in activation, a local period apart.

After Ellis, "Beat tracking by dynamic programming", JNMR 36(1), 2007, with a period that may change
over time. Two things keep the loop over time short [O]. A beat's predecessor lies at least one
shortest step back, so all frames within such a step are decided at once. And a long clip is cut
into chunks that are decoded side by side, each with a run-in long enough that its choices no
longer depend on where it starts.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

TIGHTNESS = 100.0
"""Cost of a step between beats that is off the local period by a factor e, squared in the logarithm;
the activation has a standard deviation of about 1."""

SHORTEST_STEP, LONGEST_STEP = 0.75, 1.34
"""Range of steps between beats, in local periods: half or double tempo is out of reach."""

CHUNK = 15.0
"""Seconds decided by one chunk."""

RUN_IN = 30.0
"""Seconds decoded ahead of each chunk. On 152 development clips and on eight whole songs the beats were
the same as without chunks; with 10 s, the phase of some doubtful passages came out differently."""


def decode_beats(
    activation: Tensor, periods: Tensor, choice: Tensor, lengths: Tensor, rate: float
) -> list[NDArray[np.int64]]:
    """The frames of the beats of each clip.

    Args:
        activation: (B, F) with a mean of about 0 and a standard deviation of about 1 within a clip,
            0 beyond it.
        periods: (S,) beat periods in frames.
        choice: (B, F) index of the local period among ``periods``, int64.
        lengths: (B,) frames of each clip.
        rate: frames a second.

    Returns:
        For each clip the increasing frames of its beats, possibly none.
    """
    chunk, run_in = round(CHUNK * rate), round(RUN_IN * rate)
    chunks = -(-activation.shape[1] // chunk)
    padding = (run_in, chunks * chunk - activation.shape[1])
    pieces = F.pad(activation, padding).unfold(1, run_in + chunk, chunk).flatten(0, 1)
    local = F.pad(choice[:, None].to(periods.dtype), padding, mode="replicate")[:, 0].long()
    lags, cost = _steps(periods, choice)
    scores = _best_scores(pieces, local.unfold(1, run_in + chunk, chunk).flatten(0, 1), lags, cost)

    beats = []
    by_clip = zip(
        scores.unflatten(0, (-1, chunks)).cpu().numpy(),
        choice.cpu().numpy(),
        (lengths - 1).tolist(),
        periods[choice.gather(1, lengths[:, None] - 1)[:, 0]].ceil().long().tolist(),
        strict=True,
    )
    steps = lags.cpu().numpy()
    costs = cost.cpu().numpy()
    for score, chosen, end, period in by_clip:
        # The last beat is the best within a period of the end. The chunk that holds the end has
        # those frames, if need be in its run-in; scores of different chunks do not compare.
        begin = max(end - period + 1, 0)
        offset = end // chunk * chunk - run_in
        frame = begin + int(score[end // chunk, begin - offset : end + 1 - offset].argmax())
        frames = [frame]
        while True:
            at = frame % chunk + run_in
            gains = score[frame // chunk, at - steps[0] : at - steps[-1] + 1] + costs[chosen[frame]]
            best = int(gains.argmax())
            # A beat that gains nothing from an earlier one is a first beat.
            if gains[best] <= 0:
                break
            frame -= int(steps[best])
            frames.append(frame)
        beats.append(np.array(frames[::-1], dtype=np.int64))
    return beats


def _steps(periods: Tensor, choice: Tensor) -> tuple[Tensor, Tensor]:
    """The (L,) steps in frames that the chosen periods allow, longest first, and their (S, L) gain."""
    used = periods[choice.unique()]
    shortest = max(1, math.floor(float(used.min()) * SHORTEST_STEP))
    longest = math.ceil(float(used.max()) * LONGEST_STEP)
    lags = torch.arange(longest, shortest - 1, -1, device=periods.device)
    ratio = lags / periods[:, None]
    outside = (ratio < SHORTEST_STEP) | (ratio > LONGEST_STEP)
    return lags, (-TIGHTNESS * torch.log(ratio).square()).masked_fill(outside, -math.inf)


def _best_scores(activation: Tensor, choice: Tensor, lags: Tensor, cost: Tensor) -> Tensor:
    """(B, F): of all series of beats that end at a frame, the greatest sum of activation and cost."""
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
