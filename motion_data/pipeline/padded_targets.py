"""Frame targets from labels, padded to batches."""

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
    """A target of :data:`~motion_data.label_targets.TARGETS` for B clips of up to F frames at 50 Hz.

    Mutable because batches are moved in place.
    """

    values: Tensor
    """(B, F, size) bool, padded with False; or (B, F) int64 classes, -1 if unknown or padded."""
    known: Tensor
    """(B,) bool: whether the labels of a clip contain the kind that the target needs."""


def padded_targets(
    labels: Sequence[Labels], lengths: Sequence[int], names: Sequence[str]
) -> dict[str, PaddedTarget]:
    """Compute targets by name.

    Args:
        labels: labels of each clip.
        lengths: number of frames of each clip.
        names: names in :data:`~motion_data.label_targets.TARGETS`.
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
