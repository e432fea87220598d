"""The vectors of tested pairs, batch by batch, and what all pairs are to each other by them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from motionbeat_upstream.beats.grid import Grid
from recipes.downstream.retrieval.batches import PairBatch
from recipes.downstream.retrieval.report import Tables
from recipes.downstream.s3prl_runner.task_expert import check_finite
from recipes.pairing.hard_retrieval import negative_kinds
from recipes.pairing.no_learning import FORGIVENESSES, Correlations, correlations, padded

TEMPI_AN_OCTAVE = 4
"""Candidates are of the query's tempo, to a quarter of an octave."""


@dataclass(frozen=True)
class Kept:
    """What is kept of a tested batch of B clips with R hard negatives."""

    batch: PairBatch
    vectors: Mapping[str, Tensor]
    """(B, V) of length 1: ``music``, ``noise`` for music and the own ``motion`` on the shared grid,
    ``music_own``, ``noise_own`` and ``motion_own`` each on its own grid. (R,) similarities of hard negatives
    to their music, ``hard``, and to noise, ``noise_hard``."""


def keep(
    batch: PairBatch,
    encode_music: Callable[[bool, Sequence[Grid] | None], Tensor],
    motion: Tensor,
    motion_own: Tensor,
) -> Kept:
    """Put vectors aside.

    Args:
        batch: of an evaluation.
        encode_music: gives (B, V) of the music, or of noise for it, on given grids, or with None on its own.
        motion: (B + R, V) of own motions and hard negatives on the shared grid.
        motion_own: (B, V) of own motions on their own grids.

    Raises:
        MotionBeatError: vectors that are not finite.
    """
    size, clips = len(batch), batch.clips
    vectors = {"motion": motion[:size], "motion_own": motion_own}
    for name, is_noise in (("music", False), ("noise", True)):
        vectors[name] = encode_music(is_noise, clips.grids)
        vectors[f"{name}_own"] = encode_music(is_noise, None)
    owner = clips.owner[size:].to(motion.device)
    vectors["hard"] = (vectors["music"][owner] * motion[size:]).sum(-1)
    vectors["noise_hard"] = (vectors["noise"][owner] * motion[size:]).sum(-1)
    check_finite(vectors.values())
    return Kept(batch, {name: vector.float().cpu() for name, vector in vectors.items()})


def lay_out(kept: Sequence[Kept]) -> Tables:
    """What all tested pairs are to each other.

    Args:
        kept: of every batch.
    """
    of = {name: torch.cat([one.vectors[name] for one in kept]) for name in kept[0].vectors}
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
        shared=(of["music"] @ of["motion"].T).double().numpy(),
        own_grids=(of["music_own"] @ of["motion_own"].T).double().numpy(),
        hard=of["hard"].double().numpy(),
        noise_shared=(of["noise"] @ of["motion"].T).double().numpy(),
        noise_own_grids=(of["noise_own"] @ of["motion_own"].T).double().numpy(),
        noise_hard=of["noise_hard"].double().numpy(),
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
