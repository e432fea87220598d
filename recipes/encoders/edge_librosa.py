"""The 35 numbers of librosa that EDGE offers instead of Jukebox: what a learned representation must beat.

Onset strength, 20 MFCC, 12 of chroma (CENS), onset peaks and beats as 0 or 1, at 30 frames a second: 15,360
Hz with steps of 512, as in Tseng et al., "EDGE" (CVPR 2023), whose list is FACT's (Li et al., ICCV 2021). The
tempo that the beat tracker begins from is librosa's own estimate; published code reads it off AIST++'s file
names.
"""

from __future__ import annotations

import librosa
import numpy as np
import torch
from torch import Tensor, nn

from recipes.encoders.waveform_upstream import WaveformUpstream

RATE, HOP = 15_360, 512

SIZE = 35


class EdgeLibrosa(WaveformUpstream):
    """One layer of (F, 35); frame k is centred at k / 30 s."""

    def __init__(self) -> None:
        super().__init__(RATE, HOP)
        # Says on which device the features are wanted.
        self.place = nn.Parameter(torch.zeros(()), requires_grad=False)

    def layers(self, wav: Tensor) -> list[Tensor]:
        """See :class:`~recipes.encoders.waveform_upstream.WaveformUpstream`."""
        sound = wav[0].float().cpu().numpy()
        envelope = librosa.onset.onset_strength(y=sound, sr=RATE, hop_length=HOP)
        mfcc = librosa.feature.mfcc(y=sound, sr=RATE, hop_length=HOP, n_mfcc=20)
        chroma = librosa.feature.chroma_cens(y=sound, sr=RATE, hop_length=HOP, n_chroma=12)
        peaks = librosa.onset.onset_detect(onset_envelope=envelope, sr=RATE, hop_length=HOP)
        _, beats = librosa.beat.beat_track(
            onset_envelope=envelope, sr=RATE, hop_length=HOP, tightness=100, trim=False
        )
        marks = np.zeros((2, len(envelope)), dtype=np.float32)
        marks[0, peaks], marks[1, beats] = 1, 1
        frames = min(len(envelope), mfcc.shape[1], chroma.shape[1])
        rows = [envelope[None, :frames], mfcc[:, :frames], chroma[:, :frames], marks[:, :frames]]
        found = torch.from_numpy(np.concatenate(rows).T.astype(np.float32)).to(wav.device)
        return [torch.nan_to_num(found)[None]]


def edge_librosa(**kwargs: object) -> EdgeLibrosa:
    """EDGE's baseline of 35 numbers."""
    return EdgeLibrosa().eval()
