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
    score, step = _forward(pieces, periods, local.unfold(1, run_in + chunk, chunk).flatten(0, 1))
    scores = score.unflatten(0, (-1, chunks)).cpu().numpy()
    steps = step.unflatten(0, (-1, chunks))[:, :, run_in:].flatten(1).cpu().numpy()

    beats = []
    ends = lengths - 1
    last_periods = periods[choice.gather(1, ends[:, None])[:, 0]].ceil().long()
    for row, (end, period) in enumerate(zip(ends.tolist(), last_periods.tolist(), strict=True)):
        # The last beat is the best within a period of the end. The chunk that holds the end has
        # those frames, if need be in its run-in; scores of different chunks do not compare.
        begin = max(end - period + 1, 0)
        offset = end // chunk * chunk - run_in
        frame = begin + int(scores[row, end // chunk, begin - offset : end + 1 - offset].argmax())
        frames = [frame]
        while steps[row, frame]:
            frame -= int(steps[row, frame])
            frames.append(frame)
        beats.append(np.array(frames[::-1], dtype=np.int64))
    return beats


def _forward(activation: Tensor, periods: Tensor, choice: Tensor) -> tuple[Tensor, Tensor]:
    """The best score of a beat at each frame, and the step to the beat before it; 0 for none."""
    size = activation.shape[1]
    used = periods[choice.unique()]
    shortest = max(1, math.floor(float(used.min()) * SHORTEST_STEP))
    longest = math.ceil(float(used.max()) * LONGEST_STEP)
    lags = torch.arange(longest, shortest - 1, -1, device=activation.device)
    ratio = lags / periods[:, None]
    cost = (-TIGHTNESS * torch.log(ratio).square()).masked_fill(
        (ratio < SHORTEST_STEP) | (ratio > LONGEST_STEP), -math.inf
    )
    score = F.pad(torch.zeros_like(activation), (longest, 0))
    gains, places = [], []
    for first in range(0, size, shortest):
        stop = min(first + shortest, size)
        before = score[:, first : stop + longest - shortest].unfold(1, len(lags), 1)
        gain, place = (before + F.embedding(choice[:, first:stop], cost)).max(-1)
        torch.add(
            activation[:, first:stop], gain.clamp(min=0), out=score[:, longest + first : longest + stop]
        )
        gains.append(gain)
        places.append(place)
    # A beat that gains nothing from an earlier one is a first beat.
    step = (longest - torch.cat(places, 1)) * (torch.cat(gains, 1) > 0)
    return score[:, longest:], step
