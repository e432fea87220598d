"""The task tagging: any of several tags, ROC-AUC and average precision, macro averages over tags."""

from __future__ import annotations

from recipes.downstream.clip_probing.clip_expert import ClipExpert
from recipes.downstream.tagging.dataset import TAGGING


class DownstreamExpert(ClipExpert):
    """See :class:`~recipes.downstream.clip_probing.clip_expert.ClipExpert`."""

    task = TAGGING
