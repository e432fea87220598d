"""The Embodied Contrastive Loss against a loop, and its negatives gathered over ranks."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from recipes.pretrain.criterion.ecl import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    Temperature,
    embodied_contrastive_loss,
    gather_rows,
)


def loop_loss(
    music: Tensor,
    motion: Tensor,
    is_negative: Tensor,
    tau: Tensor,
    hard: Tensor,
    mask: Tensor,
    symmetric: bool,
) -> Tensor:
    """The formula, term by term."""

    def similarity(x: Tensor, y: Tensor) -> Tensor:
        return torch.exp((x @ y) / (x.norm() * y.norm()) / tau)

    total = torch.zeros((), dtype=music.dtype)
    for i, anchor in enumerate(music):
        positive = similarity(anchor, motion[i])
        denominator = positive.clone()
        for j, other in enumerate(motion):
            if is_negative[i, j]:
                denominator = denominator + similarity(anchor, other)
        for h in range(hard.shape[1]):
            if mask[i, h]:
                denominator = denominator + similarity(anchor, hard[i, h])
        term = -torch.log(positive / denominator)
        if symmetric:
            denominator_motion = positive.clone()
            for j, other in enumerate(music):
                if is_negative[j, i]:
                    denominator_motion = denominator_motion + similarity(other, motion[i])
            term = (term - torch.log(positive / denominator_motion)) / 2
        total = total + term / len(music)
    return total


def random_inputs(batch: int, hard: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    pieces = torch.randint(0, max(2, batch // 2), (batch,), generator=draw)
    return (
        torch.randn(batch, 6, generator=draw, dtype=torch.float64),
        torch.randn(batch, 6, generator=draw, dtype=torch.float64),
        pieces[:, None] != pieces,
        torch.randn(batch, hard, 6, generator=draw, dtype=torch.float64),
        torch.rand(batch, hard, generator=draw) < 0.7,
    )


@settings(deadline=None, max_examples=25)
@given(
    st.integers(1, 7),
    st.integers(0, 4),
    st.floats(MIN_TEMPERATURE, MAX_TEMPERATURE),
    st.booleans(),
    st.integers(0, 10**6),
)
def test_equals_the_loop_in_value_and_gradient(
    batch: int, hard: int, tau: float, symmetric: bool, seed: int
) -> None:
    music, motion, is_negative, copies, mask = random_inputs(batch, hard, seed)
    values = []
    for loss in ("fast", "loop"):
        inputs = [x.clone().requires_grad_() for x in (music, motion, copies)]
        t = torch.tensor(tau, dtype=torch.float64, requires_grad=True)
        if loss == "fast":
            value = embodied_contrastive_loss(
                inputs[0],
                inputs[1],
                is_negative,
                t,
                inputs[2],
                mask,
                all_music=inputs[0] if symmetric else None,
            )[0]
        else:
            value = loop_loss(inputs[0], inputs[1], is_negative, t, inputs[2], mask, symmetric)
        grads = torch.autograd.grad(value, [*inputs[:2], t], allow_unused=True)
        values.append([value, *(g if g is not None else torch.zeros(()) for g in grads)])
    for fast, loop in zip(*values, strict=True):
        assert torch.allclose(fast, loop, atol=1e-9, rtol=1e-7)


def test_a_batch_of_one_piece_has_loss_0() -> None:
    music, motion, _, _, _ = random_inputs(4, 0, 0)
    music.requires_grad_()
    is_negative = torch.zeros(4, 4, dtype=torch.bool)
    loss, statistics = embodied_contrastive_loss(music, motion, is_negative, torch.tensor(0.1))
    assert loss.item() == 0
    loss.backward()
    assert music.grad is not None
    assert torch.isfinite(music.grad).all()
    assert statistics["batch_accuracy"].item() == 1
    assert math.isnan(statistics["hard_accuracy"].item())


def test_statistics() -> None:
    eye = torch.eye(4)
    is_negative = ~torch.eye(4, dtype=torch.bool)
    hard = torch.stack([eye, eye.roll(1, 0)], 1) * 3
    _, statistics = embodied_contrastive_loss(eye, 2 * eye, is_negative, torch.tensor(0.1), hard)
    assert statistics["positive_cosine"].item() == 1
    assert statistics["negative_cosine"].item() == 0
    assert statistics["batch_accuracy"].item() == 1
    assert statistics["hard_accuracy"].item() == 0  # one of its hard negatives is the motion itself


def test_computes_in_float32_under_autocast() -> None:
    music, motion, is_negative, hard, _ = (
        x.float() if x.is_floating_point() else x for x in random_inputs(6, 2, 1)
    )
    plain = embodied_contrastive_loss(music, motion, is_negative, torch.tensor(0.02), hard)[0]
    with torch.autocast("cpu", torch.bfloat16):
        mixed = embodied_contrastive_loss(music, motion, is_negative, torch.tensor(0.02), hard)[0]
    assert mixed.dtype == torch.float32
    assert torch.equal(plain, mixed)


@given(st.floats(MIN_TEMPERATURE, MAX_TEMPERATURE), st.floats(-100, 100))
def test_temperature_stays_within_its_bounds(start: float, raw: float) -> None:
    temperature = Temperature(start)
    assert temperature().item() == pytest.approx(start, rel=0.01)
    torch.nn.init.constant_(temperature.raw, raw)
    assert MIN_TEMPERATURE * 0.999 <= temperature().item() <= MAX_TEMPERATURE * 1.001


@pytest.mark.parametrize("start", [0.0, 1.5, float("nan")])
def test_a_temperature_out_of_bounds_is_refused(start: float) -> None:
    with pytest.raises(ValueError, match="temperature must lie"):
        Temperature(start)


def _rank(rank: int, sizes: list[int], folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=len(sizes)
    )
    music, motion, is_negative, hard, mask = random_inputs(sum(sizes), 3, 5)
    first = sum(sizes[:rank])
    own_rows = slice(first, first + sizes[rank])
    weight = torch.linspace(0.5, 1.5, 36, dtype=torch.float64).view(6, 6).requires_grad_()
    gathered, offset = gather_rows(motion[own_rows] @ weight)
    assert offset == first
    loss = embodied_contrastive_loss(
        music[own_rows] @ weight,
        gathered,
        is_negative[own_rows],
        torch.tensor(0.1),
        hard[own_rows] @ weight,
        mask[own_rows],
        own_index=torch.arange(own_rows.start, own_rows.stop),
    )[0]
    # Weighted, as ranks of different sizes are; with equal ones this is the plain mean.
    share = loss * sizes[rank] / sum(sizes)
    share.backward()
    assert weight.grad is not None
    torch.distributed.all_reduce(weight.grad)
    total = share.detach()
    torch.distributed.all_reduce(total)
    if rank == 0:
        torch.save({"loss": total, "grad": weight.grad}, Path(folder) / "out.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [[4, 4], [5, 2]])
def test_two_ranks_equal_one_rank_with_the_whole_batch(sizes: list[int], tmp_path: Path) -> None:
    spawn(_rank, (sizes, str(tmp_path)), nprocs=2)
    result = torch.load(tmp_path / "out.pt", weights_only=True)
    music, motion, is_negative, hard, mask = random_inputs(sum(sizes), 3, 5)
    weight = torch.linspace(0.5, 1.5, 36, dtype=torch.float64).view(6, 6).requires_grad_()
    loss = embodied_contrastive_loss(
        music @ weight, motion @ weight, is_negative, torch.tensor(0.1), hard @ weight, mask
    )[0]
    loss.backward()
    assert torch.allclose(result["loss"], loss, atol=1e-9)
    assert weight.grad is not None
    assert torch.allclose(result["grad"], weight.grad, atol=1e-9)
