"""The 35 librosa features that EDGE offers instead of Jukebox, a baseline for learned representations.

Onset strength, 20 MFCC, 12 chroma (CENS), onset peaks and beats as 0 or 1, at 30 frames a second: 15,360 Hz
with a hop length of 512, as in Tseng et al., "EDGE" (CVPR 2023), which follows FACT (Li et al., ICCV 2021).
The beat tracker starts from librosa's own tempo estimate; the published code takes the tempo from AIST++'s
file names.
"""

from __future__ import annotations

import librosa
import numpy as np
import torch
from torch import Tensor, nn

from recipes.encoders.waveform_upstream import WaveformUpstream

RATE, HOP = 15_360, 512

N_FEATURES = 35


class EdgeLibrosa(WaveformUpstream):
    """One layer of (F, 35); frame k is centred at k / 30 s."""

    def __init__(self) -> None:
        super().__init__(RATE, HOP)
        # The features are returned on the device of this parameter.
        self.device_marker = nn.Parameter(torch.zeros(()), requires_grad=False)

    def layers(self, wav: Tensor) -> list[Tensor]:
        """See :class:`~recipes.encoders.waveform_upstream.WaveformUpstream`."""
        samples = wav[0].float().cpu().numpy()
        envelope = librosa.onset.onset_strength(y=samples, sr=RATE, hop_length=HOP)
        mfcc = librosa.feature.mfcc(y=samples, sr=RATE, hop_length=HOP, n_mfcc=20)
        chroma = librosa.feature.chroma_cens(y=samples, sr=RATE, hop_length=HOP, n_chroma=12)
        peaks = librosa.onset.onset_detect(onset_envelope=envelope, sr=RATE, hop_length=HOP)
        _, beats = librosa.beat.beat_track(
            onset_envelope=envelope, sr=RATE, hop_length=HOP, tightness=100, trim=False
        )
        events = np.zeros((2, len(envelope)), dtype=np.float32)
        events[0, peaks] = events[1, beats] = 1
        frames = min(len(envelope), mfcc.shape[1], chroma.shape[1])
        rows = np.concatenate([part[:, :frames] for part in (envelope[None], mfcc, chroma, events)])
        features = torch.from_numpy(rows.T.astype(np.float32)).to(wav.device)
        return [torch.nan_to_num(features)[None]]


def edge_librosa(**kwargs: object) -> EdgeLibrosa:
    """EDGE's baseline of 35 features."""
    return EdgeLibrosa().eval()
