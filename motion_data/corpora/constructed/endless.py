"""Constructed pairs without end: train goes on beyond its manifest, dev and test stay as they are."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from motion_data.corpora.constructed.plan import SPLIT_OF, joints_sha256, soundfont_sha256, takes_by_split
from motion_data.corpora.constructed.planner import PLANNER_FILE, TAKES_FOLDER, Planner, read_planner
from motion_data.corpora.constructed.preparing import planned_pair
from motion_data.errors import DataError
from motion_data.manifest import Corpus
from motion_data.pair import MotionPair
from motion_data.soundfont import default_soundfont

TRAIN_DIGITS = tuple(digit for digit, split in enumerate(SPLIT_OF) if split == "train")
"""Last digits of the indices of training pairs."""


@dataclass(frozen=True)
class EndlessPairs:
    """A :class:`~motion_data.manifest.PairSource` of pairs that are planned as they are asked for.

    Epoch e of train has the training pairs from number e · N on, counted by their indices; the first of them
    are those of the manifest. A pair is planned from the corpus's seed and its index alone.
    """

    corpus: Corpus
    planner: Planner
    pairs_per_epoch: int
    """N."""
    sha256: str
    endless: ClassVar[bool] = True

    @property
    def folder(self) -> Path:
        """Of the corpus."""
        return self.corpus.folder

    def epoch_pairs(self, split: str, epoch: int) -> Sequence[tuple[int, MotionPair]]:
        """Index and pair; their tempi are those that were drawn, and captured takes are not chosen yet."""
        if split != "train":
            return self.corpus.epoch_pairs(split, epoch)
        first = epoch * self.pairs_per_epoch
        indices = [train_index(number) for number in range(first, first + self.pairs_per_epoch)]
        return [(index, planned_pair(self.planner.plan(index))) for index in indices]

    def group_ids(self, pair: MotionPair) -> tuple[int, int]:
        """Of the pair's piece and take, by a hash of their names."""
        return _hash63(pair.piece), _hash63(pair.take)


def open_endless(corpus: Corpus, pairs_per_epoch: int) -> EndlessPairs:
    """The pairs of a prepared constructed corpus, without end.

    Raises:
        DataError: it is no constructed corpus of this version, or what its pairs are made of has changed.
    """
    if corpus.info.get("corpus") != "constructed":
        raise DataError(
            f"{corpus.folder}: a corpus {corpus.info.get('corpus')!r} has the pairs of its manifest alone; "
            f"only a constructed one has pairs without end"
        )
    planner = read_planner(corpus.folder)
    found = hashlib.sha256((corpus.folder / PLANNER_FILE).read_bytes())
    parts = [corpus.sha256, str(pairs_per_epoch), soundfont_sha256(planner.soundfont or default_soundfont())]
    if planner.captured:
        takes = takes_by_split(str((corpus.folder / TAKES_FOLDER).resolve()))
        parts += [joints_sha256(take) for split in takes for take in takes[split]]
    found.update("\n".join(parts).encode())
    return EndlessPairs(corpus, planner, pairs_per_epoch, found.hexdigest())


def train_index(number: int) -> int:
    """The index of a training pair, counted from 0."""
    tens, digit = divmod(number, len(TRAIN_DIGITS))
    return len(SPLIT_OF) * tens + TRAIN_DIGITS[digit]


def _hash63(name: str) -> int:
    """63 bits, so that it fits a tensor of int64."""
    return int.from_bytes(hashlib.sha256(name.encode(errors="surrogateescape")).digest()[:8]) >> 1
