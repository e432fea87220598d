"""Targets of a clip task: one of several classes, any of several tags, or values; with loss and scores.

Labels are float32: () the number of a class, (K,) tags of 0 and 1, (K,) values. Predictions are (K,):
probabilities of classes or tags, or values. Scores are scikit-learn's. Undefined scores (of a tag that no
tested clip has, of a value that is the same for all) are NaN.
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
    """The target of a data set."""

    names: tuple[str, ...]
    """Names of the K classes, tags or values."""

    @property
    @abstractmethod
    def measures(self) -> tuple[str, ...]:
        """Names of the scores; the first selects checkpoints and learning rates, higher is better."""

    @abstractmethod
    def is_label(self, label: NDArray[np.float32]) -> bool:
        """Whether a label is valid for this target."""

    @abstractmethod
    def check_variety(self, labels: NDArray[np.float32], source: str) -> None:
        """Check that training labels vary; ``source`` is named in the error message.

        Raises:
            DataError: only one class, no tag that varies, or a constant value.
        """

    @abstractmethod
    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Scalar mean loss of (N, K) logits and (N,) or (N, K) labels."""

    @abstractmethod
    def predict(self, logits: Tensor) -> Tensor:
        """(..., K) predictions from logits: probabilities or values."""

    @abstractmethod
    def scores(self, predictions: NDArray[np.float32], labels: NDArray[np.float32]) -> NDArray[np.float64]:
        """(M,) scores, in the order of ``measures``, of (N, K) predictions and (N,) or (N, K) labels."""

    @abstractmethod
    def chance(self, labels: NDArray[np.float32]) -> NDArray[np.float64]:
        """(M,) scores of the best constant prediction on test labels; NaN if undefined."""


class Classes(Target):
    """One of several classes."""

    @property
    @override
    def measures(self) -> tuple[str, ...]:
        return ("accuracy", "macro F1")

    @override
    def is_label(self, label: NDArray[np.float32]) -> bool:
        return label.shape == () and bool(label in range(len(self.names)))

    @override
    def check_variety(self, labels: NDArray[np.float32], source: str) -> None:
        if len(np.unique(labels)) < 2:
            raise DataError(
                f"{source}: all clips are {self.names[int(labels[0])]!r}; expected two classes or more"
            )

    @override
    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels.long())

    @override
    def predict(self, logits: Tensor) -> Tensor:
        return logits.softmax(-1)

    @override
    def scores(self, predictions: NDArray[np.float32], labels: NDArray[np.float32]) -> NDArray[np.float64]:
        # As scikit-learn's f1_score, but thirty times faster, for the bootstrap.
        count = len(self.names)
        pairs = np.bincount(count * labels.astype(np.int64) + predictions.argmax(1), minlength=count * count)
        table = pairs.reshape(count, count)
        hits, actual, predicted = np.diag(table), table.sum(1), table.sum(0)
        f1 = (2 * hits / np.maximum(actual + predicted, 1))[actual > 0].mean()
        return np.array([hits.sum() / len(labels), f1])

    @override
    def chance(self, labels: NDArray[np.float32]) -> NDArray[np.float64]:
        """Always the most frequent class of the test labels."""
        _, counts = np.unique(labels, return_counts=True)
        share = counts.max() / counts.sum()
        return np.array([share, 2 * share / (1 + share) / len(counts)])


class Tags(Target):
    """Any of several tags; scores are macro averages over the tags that vary among the tested clips."""

    @property
    @override
    def measures(self) -> tuple[str, ...]:
        return ("ROC-AUC", "AP")

    @override
    def is_label(self, label: NDArray[np.float32]) -> bool:
        return label.shape == (len(self.names),) and bool(np.isin(label, (0, 1)).all())

    @override
    def check_variety(self, labels: NDArray[np.float32], source: str) -> None:
        if not _varied(labels).any():
            raise DataError(f"{source}: all tags are the same for all clips; expected a tag that varies")

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
    """Values on a scale; scores are the mean R², and R² and Pearson's r of each value.

    R² is undefined if a value is the same for all tested clips, r also if all predictions are the same.
    """

    @property
    @override
    def measures(self) -> tuple[str, ...]:
        return ("R²", *(f"R² {name}" for name in self.names), *(f"r {name}" for name in self.names))

    @override
    def is_label(self, label: NDArray[np.float32]) -> bool:
        return label.shape == (len(self.names),) and bool(np.isfinite(label).all())

    @override
    def check_variety(self, labels: NDArray[np.float32], source: str) -> None:
        constant = [name for name, varied in zip(self.names, _varied(labels), strict=True) if not varied]
        if constant:
            raise DataError(
                f"{source}: {' and '.join(constant)} is the same for all clips; expected values that vary"
            )

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
        """Always the mean: R² is 0, r undefined."""
        varied = _varied(labels)
        r2 = np.where(varied, 0.0, np.nan)
        return np.array([r2.mean(), *r2, *np.full(len(self.names), np.nan)])


def _varied(labels: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(K,) whether a column varies."""
    return np.asarray(np.ptp(labels, axis=0) > 0)
