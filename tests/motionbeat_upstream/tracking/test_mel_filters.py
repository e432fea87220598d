"""The mel filter bank against torchaudio's and librosa's."""

from __future__ import annotations

import librosa
import pytest
import torch
from torchaudio.functional import melscale_fbanks

from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.tracking.frontend import MIN_HZ, WINDOW, mel_filters


@pytest.mark.parametrize("n_mels", [16, 64, 96, 128])
def test_filters_equal_those_of_other_libraries(n_mels: int) -> None:
    filters = mel_filters(n_mels)
    theirs = melscale_fbanks(
        WINDOW // 2 + 1, MIN_HZ, SAMPLE_RATE / 2, n_mels, SAMPLE_RATE, "slaney", "slaney"
    )
    assert torch.equal(filters, theirs)
    of_librosa = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=WINDOW, n_mels=n_mels, fmin=MIN_HZ, norm="slaney")
    torch.testing.assert_close(filters, torch.from_numpy(of_librosa.T), rtol=0, atol=3e-7)
