"""The best path through states over time, for a batch at once."""

from __future__ import annotations

import numpy as np
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
    came_from = [torch.zeros_like(scores[:, 0], dtype=torch.int64)]
    for step in range(1, scores.shape[1]):
        value, state = (best[-1][:, None] + arrival).max(-1)
        best.append(value + scores[:, step])
        came_from.append(state)
    # Each row's path is traced from its own last step; from further on, the last state is kept. This
    # runs on the CPU whatever the device: a step is a look-up, and a kernel for each would cost more.
    last = (lengths - 1).cpu().numpy()
    rows = np.arange(len(last))
    states = torch.stack(best, 1).cpu().numpy()[rows, last].argmax(1)
    before = torch.stack(came_from, 1).cpu().numpy()
    path = np.empty(scores.shape[:2], dtype=np.int64)
    path[:, -1] = states
    for step in range(scores.shape[1] - 2, -1, -1):
        states = np.where(step < last, before[rows, step + 1, states], states)
        path[:, step] = states
    return torch.from_numpy(path).to(scores.device)
