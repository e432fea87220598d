"""Labelled clips, their splits and their slices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from motion_data.errors import DataError
from motion_data.pair import SPLITS
from motionbeat_upstream.config import SAMPLE_RATE
from recipes.downstream.clip_probing.targets import Target

MAX_NAMES = 5
"""Number of invalid clips that an error message lists."""


@dataclass(frozen=True)
class Clip:
    """One item of a data set."""

    name: str
    """Unique in the data set."""
    group: str
    """Artist, drummer, note or similar. A group is never in two splits, and intervals are over groups."""
    label: NDArray[np.float32]
    """() number of a class, (K,) tags of 0 and 1, or (K,) values."""
    load: Callable[[], Tensor]
    """Returns the audio, (T,) float32 at 16 kHz."""
    file: Path | None = None
    """Audio file, which identifies cached features without decoding; None for synthetic clips."""


@dataclass(frozen=True)
class ClipData:
    """A data set with its splits."""

    name: str
    """Name in tables, with its version or split."""
    target: Target
    grouped_by: str
    """Kind of the groups: artist, drummer, song."""
    splits: Mapping[str, Sequence[Clip]]
    """train, dev and test."""


def check_data(data: ClipData) -> ClipData:
    """Check a data set, and return it.

    Raises:
        DataError: an empty split, an item or a group in two splits, a missing file, an invalid label, or
            labels that are all equal.
    """
    for split in SPLITS:
        if not data.splits.get(split):
            raise DataError(f"{data.name}: the split {split} is empty; complete the data set")
    split_of: dict[tuple[str, str], str] = {}
    for split in SPLITS:
        clips = data.splits[split]
        _refuse(
            [clip.name for clip in clips if not data.target.is_label(clip.label)], data, "has no valid label"
        )
        missing = [str(clip.file) for clip in clips if clip.file is not None and not clip.file.is_file()]
        _refuse(missing, data, "no such file")
        counts = Counter(clip.name for clip in clips)
        _refuse([name for name, count in counts.items() if count > 1], data, f"is in {split} twice")
        for clip in clips:
            file = str(clip.file or clip.name)
            for kind, value in (("item", clip.name), ("file", file), (data.grouped_by, clip.group)):
                other = split_of.setdefault((kind, value), split)
                if other != split:
                    raise DataError(
                        f"{data.name}: the {kind} {value!r} is in {other} and {split}; keep it in one"
                    )
    data.target.check_variety(labels(data.splits["train"]), f"{data.name}, train")
    return data


def labels(clips: Sequence[Clip]) -> NDArray[np.float32]:
    """(N,) or (N, K) labels of clips."""
    return np.stack([clip.label for clip in clips])


def _refuse(names: Sequence[str], data: ClipData, error: str) -> None:
    if names:
        more = f" (and {len(names) - MAX_NAMES} more)" if len(names) > MAX_NAMES else ""
        raise DataError(f"{data.name}: {', '.join(names[:MAX_NAMES])}{more}: {error}")


MIN_SECONDS = 0.5
"""Shorter clips are padded with silence, because some upstreams would return no frame."""


def slices(wav: Tensor, seconds: float) -> list[Tensor]:
    """Split a clip into slices of equal length, none longer than ``seconds``.

    Args:
        wav: (T,) at 16 kHz, T at least 1.
        seconds: maximum length of a slice, at least ``MIN_SECONDS``.

    Returns:
        (S_i,) slices in order; their lengths differ by at most one sample.
    """
    wav = F.pad(wav, (0, max(0, round(MIN_SECONDS * SAMPLE_RATE) - len(wav))))
    count = -(-len(wav) // round(seconds * SAMPLE_RATE))
    return list(wav.tensor_split(count))
