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
    arrival = transition.T.contiguous()
    best = [scores[:, 0]]
    came_from = []
    for step in range(1, scores.shape[1]):
        value, state = (best[-1][:, None] + arrival).max(-1)
        best.append(value + scores[:, step])
        came_from.append(state)
    # Each row's path is traced from its own last step; from further on, the last state is kept.
    last = lengths - 1
    state = torch.stack(best, 1)[torch.arange(len(last), device=last.device), last].argmax(1)
    path = [state]
    for step in range(scores.shape[1] - 2, -1, -1):
        state = torch.where(step < last, came_from[step].gather(1, state[:, None])[:, 0], state)
        path.append(state)
    return torch.stack(path[::-1], 1)
