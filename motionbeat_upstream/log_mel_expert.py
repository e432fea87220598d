"""The music tower's front end alone, as an upstream: the baseline that says what the tower adds to it.

S3PRL's own ``fbank`` and ``mfcc`` are normalised over each clip, so their mean over time is the same for
every clip; in tasks that average over time they are at chance by construction. This one is not normalised
over time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from motionbeat_upstream.audio import AudioError, as_waveform
from motionbeat_upstream.beats.frontend import log_mel
from motionbeat_upstream.config import STRIDE, MusicTowerConfig


class LogMelExpert(nn.Module):
    """Called with a list of waveforms, it returns ``hidden_states``, one layer of log-mel at 50 Hz.

    That is (B, ceil(T/320), 2·M): the two log-mel frames of 10 ms side by side, loudness levelled.
    """

    def __init__(self, n_mels: int = MusicTowerConfig.n_mels) -> None:
        super().__init__()
        self.n_mels = n_mels

    def get_downsample_rates(self, key: str) -> int:
        """Samples from one feature to the next."""
        return STRIDE

    def forward(self, wavs: Sequence[Tensor]) -> dict[str, Any]:
        """Features of a list of (T_i,) waveforms at 16 kHz.

        Raises:
            AudioError: an item of another shape or type, without samples, or not finite.
        """
        if len(wavs) == 0:
            raise AudioError("wavs: expected at least one waveform, got an empty list")
        clips = [as_waveform(wav, f"wavs[{index}]") for index, wav in enumerate(wavs)]
        lengths = torch.tensor([len(clip) for clip in clips], device=clips[0].device)
        mel, _ = log_mel(pad_sequence(clips, batch_first=True), lengths, self.n_mels)
        frames = mel.unflatten(1, (-1, 2)).flatten(2)
        return {"hidden_states": [frames], "last_hidden_state": frames}
