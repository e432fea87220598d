"""The best path through states over time, for a batch at once."""

from __future__ import annotations

import torch
from torch import Tensor


def best_path(scores: Tensor, transition: Tensor, lengths: Tensor) -> Tensor:
    """Viterbi's path: the states with the greatest sum of scores and transitions.

    Args:
        scores: (B, T, S) score of each state at each step.
        transition: (S, S) score of going from the first to the second; the best is to stay.
        lengths: (B,) steps of each row, at least 1; what lies beyond does not count.

    Returns:
        (B, T) int64, the state at each step; beyond a row's length its last state.
    """
    steps = scores.shape[1]
    best = scores[:, 0]
    came_from = []
    stay = torch.arange(scores.shape[2], device=scores.device)
    for step in range(1, steps):
        value, state = (best[:, :, None] + transition).max(1)
        inside = (step < lengths)[:, None]
        best = torch.where(inside, value + scores[:, step], best)
        came_from.append(torch.where(inside, state, stay))
    state = best.argmax(1)
    path = [state]
    for previous in reversed(came_from):
        state = previous.gather(1, state[:, None])[:, 0]
        path.append(state)
    return torch.stack(path[::-1], 1)
