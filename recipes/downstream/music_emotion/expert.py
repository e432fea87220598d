"""The task music_emotion: valence and arousal of a clip, R² and Pearson's r."""

from __future__ import annotations

from recipes.downstream.clip_probing.clip_expert import ClipExpert
from recipes.downstream.music_emotion.dataset import MUSIC_EMOTION


class DownstreamExpert(ClipExpert):
    """See :class:`~recipes.downstream.clip_probing.clip_expert.ClipExpert`."""

    task = MUSIC_EMOTION
