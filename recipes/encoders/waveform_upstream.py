"""What these upstreams share: 16 kHz in, the model's own rate within, every layer out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torchaudio.functional import resample

from motionbeat_upstream.audio import as_waveform
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.errors import AudioError


class WaveformUpstream(nn.Module, ABC):
    """A model of waveforms behind S3PRL's contract.

    S3PRL's audio has 16 kHz, so nothing above 8 kHz is heard, also by models of a higher rate. Each clip is
    encoded alone: a clip in a batch then has the features that it has by itself, whatever the model does with
    padding.

    Args:
        rate: samples a second that the model takes.
        hop: of these samples, from one frame to the next.
    """

    def __init__(self, rate: int, hop: int) -> None:
        super().__init__()
        self.rate = rate
        self.hop = hop

    @abstractmethod
    def layers(self, wav: Tensor) -> list[Tensor]:
        """(1, F, D) hidden states of a (1, T) waveform at the model's rate, the first layer first."""

    def get_downsample_rates(self, key: str) -> float:
        """Samples at 16 kHz from one feature to the next; a whole number where that is one."""
        found = self.hop * SAMPLE_RATE / self.rate
        return int(found) if found == int(found) else found

    def forward(self, wavs: Sequence[Tensor]) -> dict[str, Any]:
        """``hidden_states``, a list of (B, F, D), and the last of them, of (T_i,) waveforms at 16 kHz.

        Raises:
            AudioError: an item of another shape or type, without samples, or not finite.
        """
        if len(wavs) == 0:
            raise AudioError("wavs: expected at least one waveform, got an empty list")
        device = next(self.parameters()).device
        clips = [as_waveform(wav, f"wavs[{index}]").to(device) for index, wav in enumerate(wavs)]
        each = [self.layers(resample(clip[None], SAMPLE_RATE, self.rate)) for clip in clips]
        states = [
            pad_sequence([layers[0] for layers in of], batch_first=True) for of in zip(*each, strict=True)
        ]
        return {"hidden_states": states, "last_hidden_state": states[-1]}


def in_one_line(error: Exception) -> str:
    """What a model's own code says of a folder that it cannot load."""
    return " ".join(str(error).split())[:300]
