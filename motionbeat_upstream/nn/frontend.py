"""The front end: waveform in, log-mel at 100 Hz out [P mel; sizes O]."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F
from torchaudio.functional import melscale_fbanks

from motionbeat_upstream.config import SAMPLE_RATE, STRIDE

HOP = 160
"""Samples from one mel frame to the next: 100 Hz, two mel frames to a feature."""

WINDOW = 1024
"""Samples of the Hann window: 64 ms."""

BLOCK = 256
"""Mel frames computed at a time, over the whole batch: their spectra stay in the processor's cache,
three times as fast as all at once, and an hour takes no more memory than a minute."""

FLOOR = 1e-5
"""Power added before the logarithm; a clip is brought to a root mean square of 0.1 before it."""

MEAN, SCALE = -6.0, 3.7
"""Rounded mean and standard deviation of the log-mel of music, so that the tower sees about unit variance."""


def frame_count(samples: Tensor) -> Tensor:
    """Features of a clip of so many samples: ceil(samples / 320)."""
    return torch.div(samples + STRIDE - 1, STRIDE, rounding_mode="floor")


def log_mel(wav: Tensor, lengths: Tensor, n_mels: int) -> tuple[Tensor, Tensor]:
    """Log-mel spectrogram of a padded batch, the same for a clip alone and in any batch.

    Each clip is first brought to one loudness, so gain changes nothing; digital silence stays
    silence. Mel frame j is centred at (j + 0.5) · 10 ms, so that feature k, made of frames 2k and
    2k + 1, is centred at (k + 0.5) · 20 ms. It is computed in float32 whatever the input.

    Args:
        wav: (B, T) at 16 kHz, 0 beyond a clip's length.
        lengths: (B,) samples of each clip, int64.
        n_mels: bands between 30 Hz and 8 kHz, Slaney's scale.

    Returns:
        (B, 2·ceil(T/320), n_mels) about zero mean and unit variance, 0 beyond a clip's frames,
        and the (B,) number of mel frames of each clip, even.
    """
    wav = wav.float()
    loudness = (wav.square().sum(1) / lengths).sqrt()
    wav = wav * torch.where(loudness > 1e-6, 0.1 / loudness.clamp(min=1e-6), 1.0)[:, None]

    frames = 2 * frame_count(lengths)
    size = 2 * -(-wav.shape[1] // STRIDE)
    before = (WINDOW - HOP) // 2
    after = (size - 1) * HOP + WINDOW - before - wav.shape[1]
    padded = F.pad(wav, (before, after))
    window = torch.hann_window(WINDOW, device=wav.device)
    filters = _filters(n_mels).to(wav.device)
    block = max(1, BLOCK // len(wav))
    blocks = [
        _mel_power(padded[:, first * HOP : (min(first + block, size) - 1) * HOP + WINDOW], window, filters)
        for first in range(0, size, block)
    ]
    features = (torch.log(torch.cat(blocks, 1) + FLOOR) - MEAN) / SCALE
    return features * length_mask(frames, size)[..., None], frames


def _mel_power(wav: Tensor, window: Tensor, filters: Tensor) -> Tensor:
    spectrum = torch.fft.rfft(wav.unfold(1, WINDOW, HOP) * window)
    mel: Tensor = (spectrum.real.square() + spectrum.imag.square()) @ filters
    return mel


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """(B, size) true for the first ``lengths`` places of each row."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


@lru_cache(maxsize=4)
def _filters(n_mels: int) -> Tensor:
    filters: Tensor = melscale_fbanks(
        WINDOW // 2 + 1, 30.0, SAMPLE_RATE / 2, n_mels, SAMPLE_RATE, "slaney", "slaney"
    )
    return filters
