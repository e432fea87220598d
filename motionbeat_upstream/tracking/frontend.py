"""The front end: log-mel and onset envelope at 100 Hz from a waveform [P; sizes O]."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from motionbeat_upstream.config import SAMPLE_RATE, STRIDE
from motionbeat_upstream.no_compile import no_compile

HOP = 160
"""Hop length in samples: 100 mel frames per second, two per feature."""

WINDOW = 1024
"""Length of the Hann window in samples: 64 ms."""

BLOCK_FRAMES = 512
"""Mel frames per block, over the whole batch: their spectra stay in the processor's cache, which is three
times as fast as a single block, and an hour takes no more memory than a minute."""

BAND_GROUPS = 8
"""Groups of mel bands; each is computed from the bins that it covers."""

POWER_FLOOR = 1e-5
"""Power added before the logarithm, for clips with a root mean square of 0.1."""

LOG_MEL_MEAN, LOG_MEL_STD = -6.0, 3.7
"""Rounded mean and standard deviation of the log-mel of music, for an input of about unit variance."""

FLUX_LAG = 4
"""Frames between the two spectra compared for onsets. The window is 64 ms long, so spectra 40 ms or more
apart do not share a click. The envelope of a click is then highest in the frame with the nearest centre, and
not, as with neighbouring frames, in the first frame whose window contains it [O]."""

FLUX_BLOCK_FRAMES = 1024
"""Frames per block of the spectral flux, so that intermediate results stay in the processor's cache."""

UNIT_POWER = math.exp(LOG_MEL_MEAN)
"""Power with feature 0; dividing by it subtracts ``LOG_MEL_MEAN`` from the logarithm."""

MIN_HZ = 30.0
"""Lower edge of the lowest mel band in Hz."""

HERTZ_PER_MEL, LOG_STEP = 200 / 3, math.log(6.4) / 27
"""Slaney's mel scale: hertz per mel up to 1 kHz, and natural logarithm per mel above."""

MIN_LOG_HZ = 1000.0
"""Frequency in Hz above which the scale is logarithmic."""


def frame_count(samples: Tensor) -> Tensor:
    """Number of features of clips with (B,) numbers of samples: ceil(samples / 320)."""
    return torch.div(samples + STRIDE - 1, STRIDE, rounding_mode="floor")


@no_compile(recursive=True)
def spectra(wav: Tensor, lengths: Tensor, n_mels: int) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the (B, 2F, n_mels) log-mel, its (B,) lengths and the (B, 2F) onset envelope, in float32.

    The arguments are those of :func:`log_mel`.
    """
    with torch.autocast(wav.device.type, enabled=False):  # half precision is too coarse for spectra
        mel, mel_lengths = log_mel(wav, lengths, n_mels)
        return mel, mel_lengths, onset_envelope(mel, mel_lengths)


@torch.no_grad()
def log_mel(wav: Tensor, lengths: Tensor, n_mels: int) -> tuple[Tensor, Tensor]:
    """Compute the log-mel spectrogram of a padded batch; that of a clip does not depend on the others.

    Each clip is first scaled to one loudness, so gain has no effect; digital silence stays silent. Mel frame
    j is centred at (j + 0.5) · 10 ms, so that feature k, from frames 2k and 2k + 1, is centred at (k + 0.5) ·
    20 ms. All is computed in float32, and there is no gradient with respect to the waveform.

    Args:
        wav: (B, T) at 16 kHz, 0 beyond a clip's length.
        lengths: (B,) samples of each clip, int64.
        n_mels: number of bands between 30 Hz and 8 kHz, on Slaney's scale.

    Returns:
        (B, 2·ceil(T/320), n_mels) with about zero mean and unit variance, 0 beyond a clip's frames,
        and the (B,) number of mel frames of each clip, even.
    """
    frames = 2 * frame_count(lengths)
    size = 2 * -(-wav.shape[1] // STRIDE)
    parts = [torch.linalg.vecdot(part.float(), part.float()) for part in wav.split(BLOCK_FRAMES * HOP, 1)]
    gain = _gain(torch.stack(parts).sum(0), lengths)
    window = torch.hann_window(WINDOW, device=wav.device)
    groups = [(bins, weights.to(wav.device)) for bins, weights in _filters(n_mels)]
    scale = length_mask(frames, size)[..., None] / LOG_MEL_STD
    features = torch.empty(len(wav), size, n_mels, device=wav.device)
    block = max(1, BLOCK_FRAMES // len(wav))
    for first in range(0, size, block):
        stop = min(first + block, size)
        start = first * HOP - (WINDOW - HOP) // 2
        power = _power(_excerpt(wav, start, start + (stop - first - 1) * HOP + WINDOW) * gain, window)
        mel = torch.cat([power[..., bins] @ weights for bins, weights in groups], -1)
        torch.mul(
            mel.add_(POWER_FLOOR / UNIT_POWER).log_(), scale[:, first:stop], out=features[:, first:stop]
        )
    return features, frames


def onset_envelope(log_mel: Tensor, lengths: Tensor) -> Tensor:
    """Compute the half-wave rectified spectral flux [P], averaged over mel bands.

    It does not depend on gain, because the log-mel is at one loudness, or on the batch. The start of a clip
    is no onset.

    Args:
        log_mel: (B, F, M) from :func:`log_mel`, or some of its bands.
        lengths: (B,) frames of each clip, int64.

    Returns:
        (B, F) at 100 Hz, at least 0, in units of ``log_mel``; frame j is centred at (j + 0.5) · 10 ms;
        0 beyond a clip's frames.
    """
    size = log_mel.shape[1]
    first = F.relu(log_mel[:, :FLUX_LAG] - log_mel[:, :1]).mean(-1)
    later = log_mel[:, FLUX_LAG:].split(FLUX_BLOCK_FRAMES, 1)
    earlier = log_mel[:, : max(size - FLUX_LAG, 0)].split(FLUX_BLOCK_FRAMES, 1)
    flux = [F.relu(now - before).mean(-1) for now, before in zip(later, earlier, strict=True)]
    return torch.cat([first, *flux], 1) * length_mask(lengths, size)


def log_mel_unblocked(
    wav: Tensor, lengths: Tensor, fourier: Tensor, filters: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute the result of :func:`log_mel` within 1e-4, with operations that ONNX has and that do not depend
    on lengths.

    It is several times slower, and the spectra of all frames are in memory at once.

    Args:
        wav: (B, T) float32 at 16 kHz, 0 beyond a clip's length.
        lengths: (B,) samples of each clip, int64.
        fourier: from :func:`fourier_basis`.
        filters: :func:`mel_filters` divided by ``UNIT_POWER``.
    """
    frames = 2 * frame_count(lengths)
    size = 2 * ((wav.shape[1] + STRIDE - 1) // STRIDE)
    before = (WINDOW - HOP) // 2
    padded = F.pad(wav * _gain(wav.square().sum(1), lengths), (before, size * HOP + before - wav.shape[1]))
    real, imaginary = F.conv1d(padded[:, None], fourier, stride=HOP).square().chunk(2, 1)
    mel = ((real + imaginary).transpose(1, 2) @ filters + POWER_FLOOR / UNIT_POWER).log()
    return mel * (length_mask(frames, size)[..., None] / LOG_MEL_STD), frames


def fourier_basis() -> Tensor:
    """(WINDOW + 2, 1, WINDOW) windowed cosines, then sines, of a Fourier transform as a convolution."""
    time = torch.arange(WINDOW, dtype=torch.float64)
    # Whole cycles are removed, for accuracy.
    cycles = (time[: WINDOW // 2 + 1, None] * time) % WINDOW / WINDOW
    waves = torch.cat([(2 * torch.pi * cycles).cos(), (2 * torch.pi * cycles).sin()])
    return (waves * torch.hann_window(WINDOW, dtype=torch.float64)).float()[:, None]


def _gain(energy: Tensor, lengths: Tensor) -> Tensor:
    """(B, 1) gain to a root mean square of 0.1 for (B,) sums of squares; 1 for silence."""
    loudness = (energy / lengths).sqrt()
    return torch.where(loudness > 1e-6, 0.1 / loudness.clamp(min=1e-6), 1.0)[:, None]


def _excerpt(wav: Tensor, start: int, stop: int) -> Tensor:
    """(B, stop - start) samples in float32, 0 before the start and beyond the end."""
    inside = wav[:, max(start, 0) : stop].float()
    return F.pad(inside, (max(-start, 0), stop - max(start, 0) - inside.shape[1]))


def _power(wav: Tensor, window: Tensor) -> Tensor:
    """(B, N, WINDOW / 2 + 1) power spectra of the windows in ``wav``."""
    parts = torch.view_as_real(torch.fft.rfft(wav.unfold(1, WINDOW, HOP) * window)).square_()
    return parts[..., 0] + parts[..., 1]


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """(B, size) mask, true for the first ``lengths`` entries of each row."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


@lru_cache(maxsize=4)
def _filters(n_mels: int) -> list[tuple[slice, Tensor]]:
    """Bins and (bins, bands) filters, divided by ``UNIT_POWER``, of each group of bands."""
    filters = mel_filters(n_mels)
    groups = []
    for bands in torch.arange(n_mels).tensor_split(BAND_GROUPS):
        first, stop = int(bands[0]), int(bands[-1]) + 1
        used = filters[:, first:stop].any(1).nonzero()
        bins = slice(int(used.min()), int(used.max()) + 1)
        groups.append((bins, filters[bins, first:stop] / UNIT_POWER))
    return groups


def mel_filters(n_mels: int) -> Tensor:
    """(WINDOW / 2 + 1, n_mels) triangular mel filters of unit area, from 30 Hz to 8 kHz, in float32.

    Scale and normalisation are those of Slaney's Auditory Toolbox (1998), as in librosa's
    ``filters.mel(htk=False, norm="slaney")``.
    """
    low, high = (_mel(hertz) for hertz in (MIN_HZ, SAMPLE_RATE / 2))
    edges = _hertz(torch.linspace(low, high, n_mels + 2))
    bins = torch.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1)[:, None]
    width = edges.diff()
    rising = (bins - edges[:-2]) / width[:-1]
    falling = (edges[2:] - bins) / width[1:]
    filters: Tensor = torch.minimum(rising, falling).clamp(min=0) * (2 / (edges[2:] - edges[:-2]))
    return filters


def _mel(hertz: float) -> float:
    if hertz < MIN_LOG_HZ:
        return hertz / HERTZ_PER_MEL
    return MIN_LOG_HZ / HERTZ_PER_MEL + math.log(hertz / MIN_LOG_HZ) / LOG_STEP


def _hertz(mel: Tensor) -> Tensor:
    knee = MIN_LOG_HZ / HERTZ_PER_MEL
    return torch.where(mel < knee, HERTZ_PER_MEL * mel, MIN_LOG_HZ * torch.exp(LOG_STEP * (mel - knee)))
