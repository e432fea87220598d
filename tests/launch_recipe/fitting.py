"""The steps of the small recipe, and what they are when nothing disturbs them."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.launch_recipe.request import Request

TRUE = torch.tensor([1.0, -2.0, 0.5])


def gradient_and_loss(seed: int, step: int, rank: int, weights: Tensor) -> Tensor:
    """(4,): the gradient of a line's three weights on a batch of this step and rank, and the loss."""
    generator = torch.Generator().manual_seed((seed * 10_000 + step) * 16 + rank)
    inputs = torch.randn(8, 3, generator=generator)
    errors = inputs @ weights - inputs @ TRUE
    return torch.cat([(inputs.T @ errors) / len(inputs), errors.square().mean()[None]])


def undisturbed(request: Request, world: int) -> list[float]:
    """The losses of a training by ``world`` processes, computed in one."""
    weights, losses = torch.zeros(3), []
    for step in range(1, request.steps + 1):
        summed = sum(gradient_and_loss(request.seed, step, rank, weights) for rank in range(world))
        assert isinstance(summed, Tensor)
        weights = weights - request.rate * summed[:3] / world
        losses.append(float(summed[3] / world))
    return losses
