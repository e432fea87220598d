"""Viterbi decoding of a batch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def best_path(scores: Tensor, transition: Tensor, lengths: Tensor) -> Tensor:
    """Find the path of states with the maximum sum of scores and transitions.

    Args:
        scores: (B, T, S) score of each state at each step.
        transition: (S, S) score of a transition from the first to the second state, at most that of staying.
        lengths: (B,) steps of each row, at least 1; scores beyond are ignored.

    Returns:
        (B, T) int64 states; beyond a row's length its last state.
    """
    arrival = transition.T.contiguous()
    best = [scores[:, 0]]
    previous = [torch.zeros_like(scores[:, 0], dtype=torch.int64)]
    for step in range(1, scores.shape[1]):
        value, state = (best[-1][:, None] + arrival).max(-1)
        best.append(value + scores[:, step])
        previous.append(state)
    # Each row's path is traced back from its own last step, on the CPU: a step is a look-up, and a kernel for
    # each would cost more.
    last = (lengths - 1).cpu().numpy()
    rows = np.arange(len(last))
    states = torch.stack(best, 1).cpu().numpy()[rows, last].argmax(1)
    before = torch.stack(previous, 1).cpu().numpy()
    path = np.empty(scores.shape[:2], dtype=np.int64)
    path[:, -1] = states
    for step in range(scores.shape[1] - 2, -1, -1):
        states = np.where(step < last, before[rows, step + 1, states], states)
        path[:, step] = states
    return torch.from_numpy(path).to(scores.device)
