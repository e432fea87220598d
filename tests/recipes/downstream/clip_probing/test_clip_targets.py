"""Targets of clip tasks: losses, scores, and undefined scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score

from motion_data.errors import DataError
from recipes.downstream.clip_probing.targets import Classes, Tags, Target, Values

CLASSES = Classes(("low", "middle", "high"))
TAGS = Tags(("drums", "bass", "lead", "voice"))
VALUES = Values(("valence", "arousal"))


def labels_of(target: Target, rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    if isinstance(target, Classes):
        return rng.permutation(np.arange(count) % len(target.names)).astype(np.float32)
    if isinstance(target, Tags):
        return (rng.random((count, len(target.names))) < 0.4).astype(np.float32)
    return rng.normal(5, 2, (count, len(target.names))).astype(np.float32)


def perfect(target: Target, labels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Predictions that equal the labels."""
    return np.eye(len(target.names), dtype=np.float32)[labels.astype(int)] if labels.ndim == 1 else labels


@pytest.mark.parametrize("target", [CLASSES, TAGS, VALUES])
@given(seed=st.integers(0, 999))
@settings(max_examples=10, deadline=None)
def test_perfect_and_constant_predictions(target: Target, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = labels_of(target, rng, 60)
    np.testing.assert_allclose(target.scores(perfect(target, labels), labels), 1.0, atol=1e-6)
    if isinstance(target, Classes):
        constant = np.eye(3, dtype=np.float32)[np.bincount(labels.astype(int)).argmax()]
    else:
        constant = labels.mean(0)
    np.testing.assert_allclose(
        target.scores(np.tile(constant, (60, 1)), labels), target.chance(labels), atol=1e-6
    )


@pytest.mark.parametrize("target", [CLASSES, TAGS, VALUES])
def test_a_gradient_step_reduces_the_loss(target: Target) -> None:
    rng = np.random.default_rng(3)
    labels = labels_of(target, rng, 40)
    logits = torch.randn(40, len(target.names), requires_grad=True)
    before = target.loss(logits, torch.from_numpy(labels))
    before.backward()
    assert logits.grad is not None
    after = target.loss(logits.detach() - logits.grad, torch.from_numpy(labels))
    assert after < before
    assert target.predict(logits.detach()).shape == logits.shape


def test_tags_that_do_not_vary_are_left_out() -> None:
    labels = np.array([[1, 0, 1, 0], [0, 0, 1, 1], [1, 0, 1, 0], [0, 0, 1, 1]], dtype=np.float32)
    predictions = np.random.default_rng(0).random((4, 4)).astype(np.float32)
    predictions[:, [0, 3]] = labels[:, [0, 3]]
    np.testing.assert_allclose(TAGS.scores(predictions, labels), 1.0)
    np.testing.assert_allclose(TAGS.chance(labels), 0.5)
    assert np.isnan(TAGS.scores(predictions, np.ones((4, 4), np.float32))).all()


def test_a_constant_value_has_no_r2() -> None:
    labels = np.array([[5, 1], [5, 2], [5, 3]], dtype=np.float32)
    scores = dict(zip(VALUES.measures, VALUES.scores(labels + 0.1, labels), strict=True))
    assert np.isnan(scores["R² valence"])
    assert np.isnan(scores["R²"])
    assert np.isnan(scores["r valence"])
    assert scores["r arousal"] == pytest.approx(1)
    # Constant predictions have an R² of at most 0, and no r.
    scores = dict(zip(VALUES.measures, VALUES.scores(np.full_like(labels, 2), labels), strict=True))
    assert scores["R² arousal"] == pytest.approx(0)
    assert np.isnan(scores["r arousal"])


@pytest.mark.parametrize(
    ("target", "label", "valid"),
    [
        (CLASSES, 2.0, True),
        (CLASSES, 3.0, False),
        (CLASSES, 0.5, False),
        (CLASSES, np.nan, False),
        (CLASSES, [1.0], False),
        (TAGS, [0.0, 1.0, 0.0, 1.0], True),
        (TAGS, [0.0, 1.0, 0.0], False),
        (TAGS, [0.0, 1.0, 0.0, 2.0], False),
        (TAGS, [0.0, 1.0, 0.0, np.nan], False),
        (VALUES, [4.5, -1.0], True),
        (VALUES, [4.5, np.nan], False),
        (VALUES, [4.5, np.inf], False),
        (VALUES, 4.5, False),
    ],
)
def test_invalid_labels_are_detected(target: Target, label: float | list[float], valid: bool) -> None:
    assert target.is_label(np.asarray(label, dtype=np.float32)) is valid


def test_labels_that_do_not_vary_are_refused() -> None:
    with pytest.raises(DataError, match="here: all clips are 'middle'"):
        CLASSES.check_variety(np.ones(5, np.float32), "here")
    with pytest.raises(DataError, match="all tags are the same for all clips"):
        TAGS.check_variety(np.tile(np.array([[1, 0, 1, 0]], np.float32), (5, 1)), "here")
    with pytest.raises(DataError, match="arousal is the same for all clips"):
        VALUES.check_variety(np.array([[1, 4], [2, 4]], np.float32), "here")


@given(seed=st.integers(0, 999), count=st.integers(1, 30), classes=st.integers(2, 5))
@settings(max_examples=50, deadline=None)
def test_scores_of_classes_equal_scikit_learn(seed: int, count: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    target = Classes(tuple(map(str, range(classes))))
    labels = rng.integers(0, classes, count).astype(np.float32)
    predictions = rng.random((count, classes)).astype(np.float32)
    predicted = predictions.argmax(1)
    f1 = f1_score(labels, predicted, average="macro", labels=np.unique(labels), zero_division=0)
    expected = [accuracy_score(labels, predicted), f1]
    np.testing.assert_allclose(target.scores(predictions, labels), expected, atol=1e-12)
