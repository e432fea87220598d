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
    COLDEST,
    HOTTEST,
    Temperature,
    embodied_contrastive_loss,
    gather_rows,
)


def looped(
    music: Tensor, motion: Tensor, may: Tensor, tau: Tensor, hard: Tensor, mask: Tensor, symmetric: bool
) -> Tensor:
    """The formula, term by term."""

    def similarity(x: Tensor, y: Tensor) -> Tensor:
        return torch.exp((x @ y) / (x.norm() * y.norm()) / tau)

    total = torch.zeros((), dtype=music.dtype)
    for i, anchor in enumerate(music):
        positive = similarity(anchor, motion[i])
        below = positive.clone()
        for j, other in enumerate(motion):
            if may[i, j]:
                below = below + similarity(anchor, other)
        for h in range(hard.shape[1]):
            if mask[i, h]:
                below = below + similarity(anchor, hard[i, h])
        term = -torch.log(positive / below)
        if symmetric:
            beneath = positive.clone()
            for j, other in enumerate(music):
                if may[j, i]:
                    beneath = beneath + similarity(other, motion[i])
            term = (term - torch.log(positive / beneath)) / 2
        total = total + term / len(music)
    return total


def made(batch: int, hard: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
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
    st.integers(1, 7), st.integers(0, 4), st.floats(COLDEST, HOTTEST), st.booleans(), st.integers(0, 10**6)
)
def test_equals_the_loop_in_value_and_gradient(
    batch: int, hard: int, tau: float, symmetric: bool, seed: int
) -> None:
    music, motion, may, copies, mask = made(batch, hard, seed)
    values = []
    for loss in ("fast", "loop"):
        inputs = [x.clone().requires_grad_() for x in (music, motion, copies)]
        t = torch.tensor(tau, dtype=torch.float64, requires_grad=True)
        if loss == "fast":
            value = embodied_contrastive_loss(
                inputs[0], inputs[1], may, t, inputs[2], mask, all_music=inputs[0] if symmetric else None
            )[0]
        else:
            value = looped(inputs[0], inputs[1], may, t, inputs[2], mask, symmetric)
        grads = torch.autograd.grad(value, [*inputs[:2], t], allow_unused=True)
        values.append([value, *(g if g is not None else torch.zeros(()) for g in grads)])
    for fast, loop in zip(*values, strict=True):
        assert torch.allclose(fast, loop, atol=1e-9, rtol=1e-7)


def test_of_one_piece_only_there_is_nothing_to_tell_apart() -> None:
    music, motion, _, _, _ = made(4, 0, 0)
    music.requires_grad_()
    may = torch.zeros(4, 4, dtype=torch.bool)
    loss, watched = embodied_contrastive_loss(music, motion, may, torch.tensor(0.1))
    assert loss.item() == 0
    loss.backward()
    assert music.grad is not None
    assert torch.isfinite(music.grad).all()
    assert watched["batch_accuracy"].item() == 1
    assert math.isnan(watched["hard_accuracy"].item())


def test_what_is_watched() -> None:
    eye = torch.eye(4)
    may = ~torch.eye(4, dtype=torch.bool)
    hard = torch.stack([eye, eye.roll(1, 0)], 1) * 3
    _, watched = embodied_contrastive_loss(eye, 2 * eye, may, torch.tensor(0.1), hard)
    assert watched["positive_cosine"].item() == 1
    assert watched["negative_cosine"].item() == 0
    assert watched["batch_accuracy"].item() == 1
    assert watched["hard_accuracy"].item() == 0  # one of its hard negatives is the motion itself


def test_is_reckoned_in_float32_under_autocast() -> None:
    music, motion, may, hard, _ = (x.float() if x.is_floating_point() else x for x in made(6, 2, 1))
    plain = embodied_contrastive_loss(music, motion, may, torch.tensor(0.02), hard)[0]
    with torch.autocast("cpu", torch.bfloat16):
        mixed = embodied_contrastive_loss(music, motion, may, torch.tensor(0.02), hard)[0]
    assert mixed.dtype == torch.float32
    assert torch.equal(plain, mixed)


@given(st.floats(COLDEST, HOTTEST), st.floats(-100, 100))
def test_the_temperature_keeps_its_bounds(start: float, pushed: float) -> None:
    temperature = Temperature(start)
    assert temperature().item() == pytest.approx(start, rel=0.01)
    torch.nn.init.constant_(temperature.raw, pushed)
    assert COLDEST * 0.999 <= temperature().item() <= HOTTEST * 1.001


@pytest.mark.parametrize("start", [0.0, 1.5, float("nan")])
def test_a_temperature_out_of_bounds_is_refused(start: float) -> None:
    with pytest.raises(ValueError, match="temperature must lie"):
        Temperature(start)


def _rank(rank: int, sizes: list[int], folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=len(sizes)
    )
    music, motion, may, hard, mask = made(sum(sizes), 3, 5)
    begin = sum(sizes[:rank])
    mine = slice(begin, begin + sizes[rank])
    weight = torch.linspace(0.5, 1.5, 36, dtype=torch.float64).view(6, 6).requires_grad_()
    gathered, offset = gather_rows(motion[mine] @ weight)
    assert offset == begin
    loss = embodied_contrastive_loss(
        music[mine] @ weight,
        gathered,
        may[mine],
        torch.tensor(0.1),
        hard[mine] @ weight,
        mask[mine],
        own=torch.arange(mine.start, mine.stop),
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
def test_two_ranks_give_what_one_with_the_whole_batch_gives(sizes: list[int], tmp_path: Path) -> None:
    spawn(_rank, (sizes, str(tmp_path)), nprocs=2)
    together = torch.load(tmp_path / "out.pt", weights_only=True)
    music, motion, may, hard, mask = made(sum(sizes), 3, 5)
    weight = torch.linspace(0.5, 1.5, 36, dtype=torch.float64).view(6, 6).requires_grad_()
    loss = embodied_contrastive_loss(
        music @ weight, motion @ weight, may, torch.tensor(0.1), hard @ weight, mask
    )[0]
    loss.backward()
    assert torch.allclose(together["loss"], loss, atol=1e-9)
    assert weight.grad is not None
    assert torch.allclose(together["grad"], weight.grad, atol=1e-9)
