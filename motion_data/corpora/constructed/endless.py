"""Endless constructed pairs: the train split continues beyond the manifest, dev and test do not change."""

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
    """A :class:`~motion_data.manifest.PairSource` that plans pairs on demand.

    Epoch e of train has N training pairs from number e · N on, in order of their indices; the first of them
    are those of the manifest. A plan depends only on the corpus and the pair's index.
    """

    corpus: Corpus
    planner: Planner
    pairs_per_epoch: int
    """N."""
    sha256: str
    endless: ClassVar[bool] = True

    @property
    def folder(self) -> Path:
        """Folder of the corpus."""
        return self.corpus.folder

    def epoch_pairs(self, split: str, epoch: int) -> Sequence[tuple[int, MotionPair]]:
        """Indices and pairs of an epoch; tempi are the drawn ones, and captured takes are not chosen yet."""
        if split != "train":
            return self.corpus.epoch_pairs(split, epoch)
        first = epoch * self.pairs_per_epoch
        indices = [train_index(number) for number in range(first, first + self.pairs_per_epoch)]
        return [(index, planned_pair(self.planner.plan(index))) for index in indices]

    def group_ids(self, pair: MotionPair) -> tuple[int, int]:
        """Numbers of the pair's piece and take, hashes of their names."""
        return _hash63(pair.piece), _hash63(pair.take)


def open_endless(corpus: Corpus, pairs_per_epoch: int) -> EndlessPairs:
    """Open a prepared constructed corpus as an endless source of pairs.

    Raises:
        DataError: it is not a constructed corpus of this version, or its sources have changed.
    """
    if corpus.info.get("corpus") != "constructed":
        raise DataError(
            f"{corpus.folder}: a corpus {corpus.info.get('corpus')!r} has only the pairs of its manifest; "
            f"endless pairs need a constructed corpus"
        )
    planner = read_planner(corpus.folder)
    digest = hashlib.sha256((corpus.folder / PLANNER_FILE).read_bytes())
    parts = [corpus.sha256, str(pairs_per_epoch), soundfont_sha256(planner.soundfont or default_soundfont())]
    if planner.captured:
        takes = takes_by_split(str((corpus.folder / TAKES_FOLDER).resolve()))
        parts += [joints_sha256(take) for split in takes for take in takes[split]]
    digest.update("\n".join(parts).encode())
    return EndlessPairs(corpus, planner, pairs_per_epoch, digest.hexdigest())


def train_index(number: int) -> int:
    """Index of training pair ``number``, counted from 0."""
    tens, digit = divmod(number, len(TRAIN_DIGITS))
    return len(SPLIT_OF) * tens + TRAIN_DIGITS[digit]


def _hash63(name: str) -> int:
    """63-bit hash, which fits into an int64 tensor."""
    return int.from_bytes(hashlib.sha256(name.encode(errors="surrogateescape")).digest()[:8]) >> 1
