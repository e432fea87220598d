"""The vectors of tested pairs, batch by batch, and what all pairs are to each other by them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recipes.downstream.retrieval.batches import PairBatch
from recipes.downstream.retrieval.report import Tables
from recipes.downstream.s3prl_runner.task_expert import check_finite
from recipes.pairing.hard_retrieval import negative_kinds
from recipes.pairing.no_learning import FORGIVENESSES, Correlations, correlations, padded

TEMPI_AN_OCTAVE = 4
"""Candidates are of the query's tempo, to a quarter of an octave."""


@dataclass(frozen=True)
class Kept:
    """What is kept of a tested batch; vectors are of length 1."""

    music: Tensor
    """(B, V) on the shared grid, as the next two."""
    motion: Tensor
    """(B, V) the own motions."""
    noise: Tensor
    """(B, V) noise for music."""
    music_own: Tensor
    """(B, V) each on its own grid, as the next two."""
    motion_own: Tensor
    noise_own: Tensor
    hard: Tensor
    """(R,) similarity of each hard negative to its music."""
    noise_hard: Tensor
    """(R,) and to noise."""
    batch: PairBatch


def keep(
    batch: PairBatch,
    music: Tensor,
    motion: Tensor,
    noise: Tensor,
    music_own: Tensor,
    motion_own: Tensor,
    noise_own: Tensor,
) -> Kept:
    """Put vectors aside; ``motion`` is (R, V), of own motions and hard negatives, the others are (B, V).

    Raises:
        MotionBeatError: vectors that are not finite.
    """
    size, owner = len(batch), batch.clips.owner[len(batch) :].to(music.device)
    hard = (music[owner] * motion[size:]).sum(-1)
    noise_hard = (noise[owner] * motion[size:]).sum(-1)
    vectors = {
        "music": music,
        "motion": motion[:size],
        "noise": noise,
        "music_own": music_own,
        "motion_own": motion_own,
        "noise_own": noise_own,
        "hard": hard,
        "noise_hard": noise_hard,
    }
    check_finite(vectors.values())
    return Kept(batch=batch, **{name: vector.float().cpu() for name, vector in vectors.items()})


def lay_out(kept: Sequence[Kept], on_own_grids: Callable[[Tensor, Tensor], Tensor]) -> Tables:
    """What all tested pairs are to each other.

    Args:
        kept: of every batch.
        on_own_grids: gives the (N, M) products of vectors on grids of their own.
    """
    music, motion, noise, music_own, motion_own, noise_own, hard, noise_hard = (
        torch.cat([getattr(one, name) for one in kept])
        for name in ("music", "motion", "noise", "music_own", "motion_own", "noise_own", "hard", "noise_hard")
    )
    batches = [one.batch.clips for one in kept]
    before = np.cumsum([0, *map(len, batches)])
    owner = np.concatenate(
        [clips.owner[len(clips) :].numpy() + first for clips, first in zip(batches, before, strict=False)]
    )
    # Candidates are of one metre and of like tempo: neither may give the answer away.
    groups = [
        100 * grid.metre + round(TEMPI_AN_OCTAVE * np.log2(grid.bpm))
        for clips in batches
        for grid in clips.grids
    ]
    return Tables(
        shared=(music @ motion.T).double().numpy(),
        own_grids=on_own_grids(music_own, motion_own).double().numpy(),
        hard=hard.double().numpy(),
        noise_shared=(noise @ motion.T).double().numpy(),
        noise_own_grids=on_own_grids(noise_own, motion_own).double().numpy(),
        noise_hard=noise_hard.double().numpy(),
        no_learning=_no_learning([one.batch for one in kept], torch.from_numpy(owner)),
        owner=owner,
        kinds=[kind for clips in batches for kind in negative_kinds(clips.negatives)],
        pieces=np.concatenate([clips.pieces.numpy() for clips in batches]),
        takes=np.concatenate([clips.takes.numpy() for clips in batches]),
        groups=np.array(groups, dtype=np.int64),
        names=tuple(name for clips in batches for name in clips.names),
    )


def _no_learning(batches: Sequence[PairBatch], owner: Tensor) -> tuple[Correlations, ...]:
    """How onsets and touch-downs of all pairs fall together, for each forgiveness."""
    heard = [batch.onsets for batch in batches if batch.onsets is not None]
    clips = [batch.clips for batch in batches]
    own = [of.pulses[: len(of)].amax(-1) for of in clips]
    hard = [of.pulses[len(of) :].amax(-1) for of in clips]
    onset, contact = padded(heard), padded(own + hard)
    lengths = torch.cat([of.frame_lengths for of in clips])
    return tuple(correlations(onset, contact, lengths, owner, each) for each in FORGIVENESSES)
