"""Clips with labels, and the splits they are in, which every clip task's data set gives; and their slices."""

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

NAMED = 5
"""Of what is wrong with many clips, so many are named."""


@dataclass(frozen=True)
class Clip:
    """One item of a data set."""

    name: str
    """Unique in the data set; results are given by it."""
    group: str
    """Who or what it shares with others: artist, drummer, note. A group is never in two splits, and intervals
    are over groups."""
    label: NDArray[np.float32]
    """What the target says it is: () class number, (K,) tags of 0 and 1, or (K,) values."""
    load: Callable[[], Tensor]
    """Gives the audio, (T,) float32 at 16 kHz."""
    file: Path | None = None
    """Where it is read from; None for what is made. With it, features can be known again without decoding."""


@dataclass(frozen=True)
class ClipData:
    """A data set, split."""

    name: str
    """With its version or split, as a table would call it."""
    target: Target
    grouped_by: str
    """What a group is, in words: artist, drummer, song."""
    splits: Mapping[str, Sequence[Clip]]
    """train, dev and test."""


def check(data: ClipData) -> ClipData:
    """The same, when it is fit to train and to test on.

    Raises:
        DataError: an empty split, an item or a group in two of them, a file that is not there, labels that
            are none, or a target of which there is nothing to learn.
    """
    for split in SPLITS:
        if not data.splits.get(split):
            raise DataError(f"{data.name}: the split {split} is empty; is the data set whole?")
    where: dict[tuple[str, str], str] = {}
    for split in SPLITS:
        clips = data.splits[split]
        _refuse([clip.name for clip in clips if not data.target.is_label(clip.label)], data, "has no label")
        absent = [str(clip.file) for clip in clips if clip.file is not None and not clip.file.is_file()]
        _refuse(absent, data, "is listed, and not there")
        counts = Counter(clip.name for clip in clips)
        _refuse([name for name, count in counts.items() if count > 1], data, f"is in {split} twice")
        for clip in clips:
            file = str(clip.file or clip.name)
            for kind, of in (("item", clip.name), ("file", file), (data.grouped_by, clip.group)):
                other = where.setdefault((kind, of), split)
                if other != split:
                    raise DataError(
                        f"{data.name}: the {kind} {of!r} is in {other} and in {split}; a test on what was "
                        f"trained on is no test"
                    )
    data.target.check_variety(labels(data.splits["train"]), f"{data.name}, train")
    return data


def labels(clips: Sequence[Clip]) -> NDArray[np.float32]:
    """(N,) or (N, K) labels of clips."""
    return np.stack([clip.label for clip in clips])


def _refuse(names: Sequence[str], data: ClipData, fault: str) -> None:
    if names:
        more = f" (and {len(names) - NAMED} more)" if len(names) > NAMED else ""
        raise DataError(f"{data.name}: {', '.join(names[:NAMED])}{more}: {fault}")


SHORTEST = 0.5
"""Seconds that a clip is filled up to with silence: less is no frame to some upstreams."""


def slices(wav: Tensor, seconds: float) -> list[Tensor]:
    """Slices of equal length that together are the whole clip, none longer than ``seconds``.

    Args:
        wav: (T,) at 16 kHz, T at least 1.
        seconds: of the longest slice, at least ``SHORTEST``; a clip that is shorter is one slice.

    Returns:
        (S_i,) each, their lengths differing by one sample at most, in order.
    """
    wav = F.pad(wav, (0, max(0, round(SHORTEST * SAMPLE_RATE) - len(wav))))
    count = -(-len(wav) // round(seconds * SAMPLE_RATE))
    return list(wav.tensor_split(count))
