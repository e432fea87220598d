"""Base class of these upstreams: audio at 16 kHz is resampled to the rate of the model."""

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
    """A waveform model with S3PRL's interface.

    S3PRL's audio has 16 kHz, so models of a higher rate receive nothing above 8 kHz. Each clip is encoded
    separately: its features do not depend on the batch or on how the model treats padding.

    Args:
        rate: sample rate of the model in Hz.
        hop: hop length of the model in samples.
    """

    def __init__(self, rate: int, hop: int) -> None:
        super().__init__()
        self.rate = rate
        self.hop = hop

    @abstractmethod
    def layers(self, wav: Tensor) -> list[Tensor]:
        """(1, F, D) hidden states of a (1, T) waveform at the model's rate, first layer first."""

    def get_downsample_rates(self, key: str) -> float:
        """Hop length of the features in samples at 16 kHz; an int if it is whole."""
        rate = self.hop * SAMPLE_RATE / self.rate
        return int(rate) if rate == int(rate) else rate

    def forward(self, wavs: Sequence[Tensor]) -> dict[str, Any]:
        """``hidden_states``, a list of (B, F, D), and ``last_hidden_state`` of (T_i,) waveforms at 16 kHz.

        Raises:
            AudioError: no waveforms, or one of another shape or type, without samples, or not finite.
        """
        if len(wavs) == 0:
            raise AudioError("wavs: expected at least one waveform, got an empty list")
        device = next(self.parameters()).device
        clips = [as_waveform(wav, f"wavs[{index}]").to(device) for index, wav in enumerate(wavs)]
        states = [self.layers(resample(clip[None], SAMPLE_RATE, self.rate)) for clip in clips]
        layers = [
            pad_sequence([state[0] for state in layer], batch_first=True)
            for layer in zip(*states, strict=True)
        ]
        return {"hidden_states": layers, "last_hidden_state": layers[-1]}


def in_one_line(error: Exception) -> str:
    """The message of an error in one line of at most 300 characters."""
    return " ".join(str(error).split())[:300]
