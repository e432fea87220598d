"""The task genre: one of several genres or styles, accuracy and confusion matrix."""

from __future__ import annotations

from recipes.downstream.clip_probing.clip_expert import ClipExpert
from recipes.downstream.genre.dataset import GENRE


class DownstreamExpert(ClipExpert):
    """See :class:`~recipes.downstream.clip_probing.clip_expert.ClipExpert`."""

    task = GENRE
