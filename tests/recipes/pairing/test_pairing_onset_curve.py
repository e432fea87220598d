"""Onset envelopes on the frames of motions."""

from __future__ import annotations

import torch

from recipes.pairing.onset_curve import onset_curve, onset_target


def test_targets_are_in_0_to_1_and_ignore_values_beyond_a_clip() -> None:
    envelope = torch.rand(2, 80) * torch.tensor([[3.0], [0.0]])
    target = onset_target(envelope, torch.tensor([40, 25]))
    assert target.shape == (2, 40)
    assert float(target[0].max()) == 1.0
    assert not target[1].any()
    envelope[0, 60:] = 99.0
    assert torch.equal(
        onset_target(envelope, torch.tensor([30, 25]))[0, :30],
        onset_target(envelope[:, :60], torch.tensor([30, 25]))[0],
    )


def test_a_click_peaks_at_its_frame_alone_and_in_a_batch() -> None:
    wav = torch.zeros(2, 32_000)
    for row, second in enumerate((0.51, 1.27)):
        start = round(second * 16_000)
        wav[row, start : start + 160] = torch.randn(160, generator=torch.Generator().manual_seed(row))
    lengths = torch.tensor([16_000, 32_000])
    envelope = onset_curve(wav, lengths)
    assert envelope.shape == (2, 100)
    assert abs(int(envelope[0].argmax()) - 0.51 * 50) <= 1.5
    assert abs(int(envelope[1].argmax()) - 1.27 * 50) <= 1.5
    assert not envelope[0, 50:].any()
    torch.testing.assert_close(envelope[0, :50], onset_curve(wav[:1, :16_000], lengths[:1])[0])
