"""Upstream experts with S3PRL's interface: the music tower, and its front end alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from motionbeat_upstream.audio import AudioError, as_waveform
from motionbeat_upstream.checkpoint import Provenance
from motionbeat_upstream.config import STRIDE, MusicTowerConfig
from motionbeat_upstream.nn.music_tower import MusicTower
from motionbeat_upstream.no_compile import no_compile
from motionbeat_upstream.tracking.frontend import HOP, length_mask, log_mel
from motionbeat_upstream.tracking.grid import Grid

DOWNSAMPLE_RATES = {
    "hidden_states": STRIDE,
    "last_hidden_state": STRIDE,
    "pulse_activation": STRIDE,
    "beat_activation": STRIDE,
    "downbeat_activation": STRIDE,
    "onset_envelope": HOP,
}


class UpstreamExpert(nn.Module):
    """MotionBeat's music tower with the interface of S3PRL and torch.hub.

    For a list of waveforms it returns

    - ``hidden_states``: list of (B, ceil(T/320), D), states of the front end, the trunk and the token layers;
    - ``last_hidden_state``: the last of them;
    - ``embedding``: (B, E), one vector per clip;
    - ``beat_tokens``: (B, N, D), S tokens per beat, and ``token_times``: (B, N, 2), their start and
      end in seconds (equal in padding);
    - ``onset_envelope``: (B, 2·ceil(T/320)), onset strength at 100 Hz;
    - ``pulse_activation``: (B, ceil(T/320)) in [0, 1] at 50 Hz, the probability of a foot contact; meaningful
      for a trained tower, 0 beyond a clip's end;
    - ``beat_activation`` and ``downbeat_activation``: the same for beats and downbeats, if the tower has
      beat heads;
    - ``grids``: the estimated :class:`~motionbeat_upstream.tracking.grid.Grid` of each clip.
    """

    def __init__(self, tower: MusicTower, provenance: Provenance) -> None:
        super().__init__()
        self.tower = tower
        self.provenance = provenance

    def get_downsample_rates(self, key: str) -> int:
        """Hop of an output in samples; raises ``ValueError`` for outputs without a fixed rate."""
        if key not in DOWNSAMPLE_RATES:
            raise ValueError(f"{key!r} has no fixed frame rate; use one of {', '.join(DOWNSAMPLE_RATES)}")
        return DOWNSAMPLE_RATES[key]

    @no_compile(recursive=False)
    def forward(self, wavs: Sequence[Tensor], grids: Sequence[Grid] | None = None) -> dict[str, Any]:
        """Compute the features of a list of waveforms.

        Args:
            wavs: (T_i,) tensors at 16 kHz, floats in about [-1, 1] or int16 or int32; or one (B, T).
            grids: known beats and bars; by default they are estimated from the source in the tower's
                ``grid_from``.

        Raises:
            AudioError: a waveform has another shape or type, no samples, or values that are not finite.
        """
        features = self.tower(*_pad(wavs, next(self.tower.parameters()).device), grids)
        beats: dict[str, Tensor] = {}
        if features.beats is not None:
            inside = length_mask(features.frame_lengths, features.beats.beat.shape[1])
            beats = {
                "beat_activation": features.beats.beat.sigmoid() * inside,
                "downbeat_activation": features.beats.downbeat.sigmoid() * inside,
            }
        return {
            "hidden_states": features.hidden_states,
            "last_hidden_state": features.hidden_states[-1],
            "embedding": features.embedding,
            "beat_tokens": features.beat_tokens,
            "token_times": torch.stack([features.tokens.start, features.tokens.stop], -1),
            "onset_envelope": features.onset_envelope,
            "pulse_activation": features.pulse_activation,
            **beats,
            "grids": features.grids,
        }


class LogMelExpert(nn.Module):
    """The front end of the music tower, as a baseline for the tower.

    S3PRL's ``fbank`` and ``mfcc`` are normalised over each clip, so their mean over time is the same for
    every clip, and tasks that average over time are at chance. This log-mel is not normalised over time.

    For a list of waveforms it returns ``hidden_states``, one layer of log-mel at 50 Hz:
    (B, ceil(T/320), 2·M), two concatenated log-mel frames of 10 ms, at one loudness.
    """

    def __init__(self, n_mels: int = MusicTowerConfig.n_mels) -> None:
        super().__init__()
        self.n_mels = n_mels

    def get_downsample_rates(self, key: str) -> int:
        """Hop of all outputs in samples."""
        return STRIDE

    def forward(self, wavs: Sequence[Tensor]) -> dict[str, Any]:
        """Compute the features of (T_i,) waveforms at 16 kHz; errors as in :class:`UpstreamExpert`."""
        mel, _ = log_mel(*_pad(wavs), self.n_mels)
        frames = mel.unflatten(1, (-1, 2)).flatten(2)
        return {"hidden_states": [frames], "last_hidden_state": frames}


@no_compile(recursive=True)
def _pad(wavs: Sequence[Tensor], device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Pad waveforms to (B, T), with their (B,) lengths; by default on the device of the first."""
    if len(wavs) == 0:
        raise AudioError("wavs: expected at least one waveform, got an empty list")
    clips = [as_waveform(wav, f"wavs[{index}]").to(device) for index, wav in enumerate(wavs)]
    lengths = torch.tensor([len(clip) for clip in clips], device=clips[0].device)
    return pad_sequence(clips, batch_first=True), lengths
