"""The upstream experts: S3PRL's contract around the music tower, and around its front end alone."""

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
    """MotionBeat's music tower as S3PRL and torch.hub know an upstream.

    Called with a list of waveforms, it returns

    - ``hidden_states``: list of (B, ceil(T/320), D), the trunk's states and the token layers';
    - ``last_hidden_state``: the last of them;
    - ``embedding``: (B, E), one vector a clip;
    - ``beat_tokens``: (B, N, D), S tokens a beat, and ``token_times``: (B, N, 2), their start and
      end in seconds (equal in padding);
    - ``onset_envelope``: (B, 2·ceil(T/320)), onset strength at 100 Hz;
    - ``pulse_activation``: (B, ceil(T/320)) in [0, 1] at 50 Hz, how much each frame sounds like the
      moment of a step; it means something once the tower is trained; 0 beyond a clip's end;
    - ``beat_activation`` and ``downbeat_activation``: the same for beats and downbeats, where the tower has
      beat heads;
    - ``grids``: the estimated :class:`~motionbeat_upstream.tracking.grid.Grid` of each clip.
    """

    def __init__(self, tower: MusicTower, provenance: Provenance) -> None:
        super().__init__()
        self.tower = tower
        self.provenance = provenance

    def get_downsample_rates(self, key: str) -> int:
        """Samples from one feature to the next; ``ValueError`` for what has no fixed rate."""
        if key not in DOWNSAMPLE_RATES:
            raise ValueError(
                f"{key!r} has no fixed frame rate; features per frame are {', '.join(DOWNSAMPLE_RATES)}"
            )
        return DOWNSAMPLE_RATES[key]

    @no_compile(recursive=False)
    def forward(self, wavs: Sequence[Tensor], grids: Sequence[Grid] | None = None) -> dict[str, Any]:
        """Features of a list of waveforms.

        Args:
            wavs: (T_i,) tensors at 16 kHz, floats in about [-1, 1] or int16 or int32; or one (B, T).
            grids: beats and bars where they are known; estimated otherwise, from what the tower's
                ``grid_from`` says.

        Raises:
            AudioError: an item of another shape or type, without samples, or not finite.
        """
        features = self.tower(*_padded(wavs, next(self.tower.parameters()).device), grids)
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
    """The music tower's front end alone, the baseline that shows what the tower adds to it.

    S3PRL's own ``fbank`` and ``mfcc`` are normalised over each clip, so their mean over time is the same for
    every clip; in tasks that average over time they are at chance by construction. This one is not normalised
    over time.

    Called with a list of waveforms, it returns ``hidden_states``, one layer of log-mel at 50 Hz:
    (B, ceil(T/320), 2·M), two log-mel frames of 10 ms side by side, at one loudness.
    """

    def __init__(self, n_mels: int = MusicTowerConfig.n_mels) -> None:
        super().__init__()
        self.n_mels = n_mels

    def get_downsample_rates(self, key: str) -> int:
        """Samples from one feature to the next."""
        return STRIDE

    def forward(self, wavs: Sequence[Tensor]) -> dict[str, Any]:
        """Features of a list of (T_i,) waveforms at 16 kHz; raises as :class:`UpstreamExpert` does."""
        mel, _ = log_mel(*_padded(wavs), self.n_mels)
        frames = mel.unflatten(1, (-1, 2)).flatten(2)
        return {"hidden_states": [frames], "last_hidden_state": frames}


@no_compile(recursive=True)
def _padded(wavs: Sequence[Tensor], device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """The (B, T) padded batch of waveforms, and their (B,) lengths; on the first one's device by default."""
    if len(wavs) == 0:
        raise AudioError("wavs: expected at least one waveform, got an empty list")
    clips = [as_waveform(wav, f"wavs[{index}]").to(device) for index, wav in enumerate(wavs)]
    lengths = torch.tensor([len(clip) for clip in clips], device=clips[0].device)
    return pad_sequence(clips, batch_first=True), lengths
