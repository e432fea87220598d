"""An upstream's features at the frames of a motion: when is each of its frames?"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.frame_resampling import resample_frames

FIRST_FRAME: Mapping[str, float] = {
    **dict.fromkeys(("fbank", "fbank_no_cmvn", "mfcc"), 0.0125),
    "edge_librosa": 0.0,
}
"""Seconds at which an upstream's first frame is centred: Kaldi's windows of 25 ms begin at 0; librosa's are
centred on 0. Of all others half a frame, as convolutions without padding, and ours, have it."""


def first_frame(upstream: str, rate: float) -> float:
    """Seconds at which the first frame is centred.

    Args:
        upstream: its name in S3PRL's hub.
        rate: samples at 16 kHz from one frame to the next.
    """
    return FIRST_FRAME.get(upstream, 0.5 * rate / SAMPLE_RATE)


def at_frames(features: Tensor, upstream: str, rate: float, times: Tensor) -> Tensor:
    """(..., N, D) features of an upstream, (..., T, D), at (N,) seconds of the sound."""
    step = rate / SAMPLE_RATE
    return resample_frames(features, first_frame(upstream, rate), step, times)
