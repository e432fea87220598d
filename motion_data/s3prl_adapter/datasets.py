"""A corpus in memory as S3PRL's tasks want it: items ``(wav, label..., name)`` and a ``collate_fn``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from motion_data.beats_file import Beats
from motion_data.errors import DataError
from motion_data.loading import load_clip
from motion_data.manifest import Corpus
from motion_data.motion import Motion
from motion_data.pair import MotionPair
from motion_data.s3prl_adapter.labels import style_of, styles_of
from motion_data.s3prl_adapter.recordings import load_sound, one_a_recording
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
        return load_sound(self._corpus, pair).wav.numpy(), self.styles.index(style), pair.name


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
        sound = load_sound(self._corpus, pair)
        if sound.grid is None:
            raise DataError(f"{pair.name}: the manifest tells of a grid, its motion file holds none")
        seconds = len(sound.wav) / SAMPLE_RATE
        inside = (sound.grid.beats >= 0) & (sound.grid.beats < seconds)
        beats = Beats(sound.grid.beats[inside], sound.grid.positions[inside])
        return sound.wav.numpy(), beats, pair.name


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
        self._pieces, self._takes = corpus.piece_numbers(), corpus.take_numbers()
        _refuse_empty(corpus, split, self._pairs, "a motion")

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> tuple[Wav, Motion, int, int, str]:
        pair = self._pairs[index]
        clip = load_clip(pair, self._corpus.folder)
        return clip.wav.numpy(), clip.motion, self._pieces[pair.piece], self._takes[pair.take], pair.name


def has_true_beats(pair: MotionPair) -> bool:
    """Whether its beats can be the truth of a task."""
    return pair.grid in ("exact", "annotated")


def _refuse_empty(corpus: Corpus, split: str, pairs: Sequence[MotionPair], what: str) -> None:
    if not pairs:
        raise DataError(
            f"{corpus.folder}: no pair of the split {split!r} has {what}; prepare the corpus with it, or "
            f"choose another split or task"
        )
