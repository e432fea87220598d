"""A corpus in memory as S3PRL's tasks want it: items ``(wav, label..., name)`` and a ``collate_fn``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from motion_data.beats_file import Beats
from motion_data.errors import DataError
from motion_data.loading import load_pair
from motion_data.manifest import Corpus
from motion_data.motion import Motion
from motion_data.pair import MotionPair
from motion_data.s3prl_adapter.labels import style_of, styles_of
from motion_data.s3prl_adapter.recordings import one_a_recording
from motionbeat_upstream.config import SAMPLE_RATE

Wav = NDArray[np.float32]
"""(T,) at 16 kHz."""


def unzip(samples: Iterable[Sequence[Any]]) -> tuple[tuple[Any, ...], ...]:
    """Items of a batch to tuples of wavs, of labels, and of names."""
    return tuple(zip(*samples, strict=True))


class StyleDataset(Dataset[tuple[Wav, int, str]]):
    """Sound and dance style: ``(wav, label, name)``. ``class_num`` styles, ``styles[label]`` by name."""

    collate_fn = staticmethod(unzip)

    def __init__(self, corpus: Corpus, split: str) -> None:
        """See above; labels are the same in every split.

        Args:
            corpus: a prepared one.
            split: train, dev or test.

        Raises:
            DataError: fewer than two styles in the corpus, or no pair of the split with a style.
        """
        self.styles = styles_of(corpus.pairs, str(corpus.folder))
        self.class_num = len(self.styles)
        self._corpus = corpus
        self._pairs = one_a_recording(pair for pair in corpus.split(split) if style_of(pair) is not None)
        _refuse_empty(corpus, split, self._pairs, "a style")

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> tuple[Wav, int, str]:
        pair = self._pairs[index]
        style = style_of(pair)
        assert style is not None
        return load_pair(pair, self._corpus.folder).wav.numpy(), self.styles.index(style), pair.name


class BeatDataset(Dataset[tuple[Wav, Beats, str]]):
    """Sound and beats: ``(wav, beats, name)``. Grids that were estimated from the sound are no truth
    to be measured against, and are left out."""

    collate_fn = staticmethod(unzip)

    def __init__(self, corpus: Corpus, split: str) -> None:
        """See above.

        Args:
            corpus: a prepared one.
            split: train, dev or test.

        Raises:
            DataError: no pair of the split with an exact or annotated grid.
        """
        self._corpus = corpus
        self._pairs = one_a_recording(pair for pair in corpus.split(split) if has_true_beats(pair))
        _refuse_empty(corpus, split, self._pairs, "an exact or annotated grid")

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> tuple[Wav, Beats, str]:
        pair = self._pairs[index]
        loaded = load_pair(pair, self._corpus.folder)
        if loaded.grid is None:
            raise DataError(f"{pair.name}: the manifest tells of a grid, its motion file holds none")
        wav, grid = loaded.wav, loaded.grid
        inside = (grid.beats >= 0) & (grid.beats < len(wav) / SAMPLE_RATE)
        return wav.numpy(), Beats(grid.beats[inside], grid.positions[inside]), pair.name


class RetrievalDataset(Dataset[tuple[Wav, Motion, int, int, str]]):
    """Sound and the motion to it: ``(wav, motion, piece, take, name)``.

    Pairs of one piece or one take are no wrong answers to each other; both are numbers in the
    order of their names in the corpus, as in the pipeline's batches.
    """

    collate_fn = staticmethod(unzip)

    def __init__(self, corpus: Corpus, split: str) -> None:
        """See above.

        Args:
            corpus: a prepared one.
            split: train, dev or test.

        Raises:
            DataError: an empty split.
        """
        self._corpus = corpus
        self._pairs = corpus.split(split)
        _refuse_empty(corpus, split, self._pairs, "a motion")

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> tuple[Wav, Motion, int, int, str]:
        pair = self._pairs[index]
        loaded = load_pair(pair, self._corpus.folder)
        return loaded.wav.numpy(), loaded.motion, *self._corpus.numbers(pair), pair.name


def has_true_beats(pair: MotionPair) -> bool:
    """Whether its beats can be the truth of a task."""
    return pair.grid in ("exact", "annotated")


def _refuse_empty(corpus: Corpus, split: str, pairs: Sequence[MotionPair], what: str) -> None:
    if not pairs:
        raise DataError(
            f"{corpus.folder}: no pair of the split {split!r} has {what}; prepare the corpus with it, or "
            f"choose another split or task"
        )
