"""What is asked of a clip: one class of several, any of several tags, or values; with loss and scores.

Labels are float32: () the number of a class, (K,) tags of 0 and 1, (K,) values. A prediction is (K,):
probabilities of classes, of tags, or values. Scores are scikit-learn's; where one is not defined (a
tag that no tested clip has, a value that is the same for all) it is NaN, and the report says so.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, r2_score, roc_auc_score
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import override

from motion_data.errors import DataError


@dataclass(frozen=True)
class Target(ABC):
    """What is asked of every clip of a data set."""

    names: tuple[str, ...]
    """Of the classes, tags or values, K of them."""

    @property
    @abstractmethod
    def measures(self) -> tuple[str, ...]:
        """What is scored; the first chooses checkpoints and learning rates, more being better."""

    @abstractmethod
    def is_label(self, label: NDArray[np.float32]) -> bool:
        """Whether it is one of this target."""

    @abstractmethod
    def check_variety(self, labels: NDArray[np.float32], place: str) -> None:
        """Refuse training labels of which nothing can be learned.

        Raises:
            DataError: there is one class only, no tag at all, or a constant value.
        """

    @abstractmethod
    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean loss of (N, K) logits against (N,) or (N, K) labels; a scalar."""

    @abstractmethod
    def predict(self, logits: Tensor) -> Tensor:
        """(..., K) predictions of logits: probabilities, or values."""

    @abstractmethod
    def scores(self, predictions: NDArray[np.float32], labels: NDArray[np.float32]) -> NDArray[np.float64]:
        """(M,) scores in the order of ``measures``: predictions (N, K), labels (N,) or (N, K)."""

    @abstractmethod
    def chance(self, labels: NDArray[np.float32]) -> NDArray[np.float64]:
        """(M,) scores of the best constant prediction, on test labels; NaN where undefined."""


class Classes(Target):
    """One class of several."""

    @property
    @override
    def measures(self) -> tuple[str, ...]:
        return ("accuracy", "macro F1")

    @override
    def is_label(self, label: NDArray[np.float32]) -> bool:
        return label.shape == () and bool(label in range(len(self.names)))

    @override
    def check_variety(self, labels: NDArray[np.float32], place: str) -> None:
        if len(np.unique(labels)) < 2:
            raise DataError(
                f"{place}: all clips are {self.names[int(labels[0])]!r}; expected two classes or more"
            )

    @override
    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels.long())

    @override
    def predict(self, logits: Tensor) -> Tensor:
        return logits.softmax(-1)

    @override
    def scores(self, predictions: NDArray[np.float32], labels: NDArray[np.float32]) -> NDArray[np.float64]:
        # scikit-learn's f1_score gives the same, at thirty times the cost, which a bootstrap multiplies.
        count = len(self.names)
        pairs = np.bincount(count * labels.astype(np.int64) + predictions.argmax(1), minlength=count * count)
        table = pairs.reshape(count, count)
        right, true, chosen = np.diag(table), table.sum(1), table.sum(0)
        f1 = (2 * right / np.maximum(true + chosen, 1))[true > 0].mean()
        return np.array([right.sum() / len(labels), f1])

    @override
    def chance(self, labels: NDArray[np.float32]) -> NDArray[np.float64]:
        """Always the most frequent class of the test itself."""
        _, counts = np.unique(labels, return_counts=True)
        share = counts.max() / counts.sum()
        return np.array([share, 2 * share / (1 + share) / len(counts)])


class Tags(Target):
    """Any of several tags: macro averages over the tags that some tested clips have and some have not."""

    @property
    @override
    def measures(self) -> tuple[str, ...]:
        return ("ROC-AUC", "AP")

    @override
    def is_label(self, label: NDArray[np.float32]) -> bool:
        return label.shape == (len(self.names),) and bool(np.isin(label, (0, 1)).all())

    @override
    def check_variety(self, labels: NDArray[np.float32], place: str) -> None:
        if not _varied(labels).any():
            raise DataError(f"{place}: no tag that some clips have and others have not")

    @override
    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits, labels)

    @override
    def predict(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()

    @override
    def scores(self, predictions: NDArray[np.float32], labels: NDArray[np.float32]) -> NDArray[np.float64]:
        varied = _varied(labels)
        if not varied.any():
            return np.full(2, np.nan)
        predictions, labels = predictions[:, varied], labels[:, varied]
        return np.array(
            [
                roc_auc_score(labels, predictions, average="macro"),
                average_precision_score(labels, predictions, average="macro"),
            ]
        )

    @override
    def chance(self, labels: NDArray[np.float32]) -> NDArray[np.float64]:
        varied = _varied(labels)
        return np.array([0.5, labels[:, varied].mean()]) if varied.any() else np.full(2, np.nan)


class Values(Target):
    """Values on a scale: R² and Pearson's r of each, and R²'s mean first, which chooses.

    R² is undefined where a value is the same for all tested clips, r also where all predictions are the same.
    """

    @property
    @override
    def measures(self) -> tuple[str, ...]:
        return ("R²", *(f"R² {name}" for name in self.names), *(f"r {name}" for name in self.names))

    @override
    def is_label(self, label: NDArray[np.float32]) -> bool:
        return label.shape == (len(self.names),) and bool(np.isfinite(label).all())

    @override
    def check_variety(self, labels: NDArray[np.float32], place: str) -> None:
        constant = [name for name, varied in zip(self.names, _varied(labels), strict=True) if not varied]
        if constant:
            raise DataError(f"{place}: {' and '.join(constant)} is the same for all clips: nothing to learn")

    @override
    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.mse_loss(logits, labels)

    @override
    def predict(self, logits: Tensor) -> Tensor:
        return logits

    @override
    def scores(self, predictions: NDArray[np.float32], labels: NDArray[np.float32]) -> NDArray[np.float64]:
        varied = _varied(labels)
        r2 = np.full(len(self.names), np.nan)
        correlation = np.full(len(self.names), np.nan)
        for column in np.flatnonzero(varied):
            r2[column] = r2_score(labels[:, column], predictions[:, column])
            if np.ptp(predictions[:, column]) > 0:
                correlation[column] = np.corrcoef(labels[:, column], predictions[:, column])[0, 1]
        return np.array([r2.mean(), *r2, *correlation])

    @override
    def chance(self, labels: NDArray[np.float32]) -> NDArray[np.float64]:
        """Always the mean: R² 0, and no r."""
        varied = _varied(labels)
        r2 = np.where(varied, 0.0, np.nan)
        return np.array([r2.mean(), *r2, *np.full(len(self.names), np.nan)])


def _varied(labels: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(K,) which columns are not the same for all."""
    return np.asarray(np.ptp(labels, axis=0) > 0)
