"""The task instrument: which instrument plays a note, accuracy and confusion matrix."""

from __future__ import annotations

from recipes.downstream.clip_probing.clip_expert import ClipExpert
from recipes.downstream.instrument.dataset import INSTRUMENT


class DownstreamExpert(ClipExpert):
    """See :class:`~recipes.downstream.clip_probing.clip_expert.ClipExpert`."""

    task = INSTRUMENT
