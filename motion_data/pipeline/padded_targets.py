"""Targets from labels, for a batch of clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from motion_data.label_targets import TARGETS, UNKNOWN
from motion_data.labels import Labels
from motionbeat_upstream.config import FRAME_RATE


@dataclass
class PaddedTarget:
    """A target of :data:`~motion_data.label_targets.TARGETS` for B clips of up to F frames at 50 Hz; mutable,
    as batches are moved in place."""

    values: Tensor
    """(B, F, size) bool, False where it is padded; or (B, F) int64 classes, -1 where they are unknown or
    padded."""
    known: Tensor
    """(B,) bool, whether the labels of a clip have the kind that the target is made of."""


def padded_targets(
    labels: Sequence[Labels], lengths: Sequence[int], names: Sequence[str]
) -> dict[str, PaddedTarget]:
    """Targets by name.

    Args:
        labels: of each clip.
        lengths: frames of each.
        names: some of :data:`~motion_data.label_targets.TARGETS`.
    """
    padded = {}
    for name in names:
        target = TARGETS[name]
        rows = [
            torch.from_numpy(target.compute(of, length, FRAME_RATE))
            for of, length in zip(labels, lengths, strict=True)
        ]
        values = torch.nn.utils.rnn.pad_sequence(
            rows, batch_first=True, padding_value=0 if rows[0].dtype == torch.bool else UNKNOWN
        )
        padded[name] = PaddedTarget(values, torch.tensor([target.kind in of.events for of in labels]))
    return padded
