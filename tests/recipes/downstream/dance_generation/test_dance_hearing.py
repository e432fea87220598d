"""When an upstream's frames are, and songs of any length."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from motionbeat_upstream.config import SAMPLE_RATE
from recipes.downstream.dance_generation.song_dance import (
    BLOCK_SECONDS,
    CACHED_BLOCKS,
    SongFeatures,
    features_at,
)
from recipes.downstream.encoder import load_encoder
from recipes.encoders.edge_librosa import N_FEATURES, EdgeLibrosa
from tests.small import music

UPSTREAMS = ("motionbeat", "motionbeat_untrained", "motionbeat_log_mel", "fbank", "mfcc", "edge_librosa")


@pytest.mark.slow
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_a_click_arrives_at_its_own_frame_of_the_motion(upstream: str) -> None:
    encoder = load_encoder(upstream, upstream)
    quiet = 0.05 * torch.randn(4 * SAMPLE_RATE, generator=torch.Generator().manual_seed(0))
    times = torch.arange(110, dtype=torch.float64) / 30
    for frame in (31, 44, 58, 73, 90):
        loud = quiet.clone()
        first = round(frame / 30 * SAMPLE_RATE) - 24
        loud[first : first + 48] += 0.8 * torch.hann_window(48) * (-1.0) ** torch.arange(48)
        # The first state of a tower has heard no more than its own frame.
        apart = (encoder.layers(loud)[0] - encoder.layers(quiet)[0])[None]
        heard = features_at(apart, upstream, encoder.rate, times)[0].norm(dim=-1)
        # What a normalisation over the clip does to all frames is no arrival.
        heard = (heard - heard.quantile(0.8)).clamp(min=0).double() ** 2
        arrived = float((heard * torch.arange(len(heard))).sum() / heard.sum())
        assert arrived == pytest.approx(frame, abs=0.5), upstream


def test_the_numbers_of_edges_baseline() -> None:
    wav = music(6.0, 120.0, 0)
    found = EdgeLibrosa().eval()([wav])["hidden_states"][0][0]
    assert found.shape[1] == N_FEATURES
    assert abs(len(found) - 6 * 30) <= 1
    assert set(found[:, -2:].unique().tolist()) == {0.0, 1.0}
    beats = torch.nonzero(found[:, -1])[:, 0] / 30
    steps = beats.diff()
    assert float(steps.median()) == pytest.approx(0.5, abs=0.04)
    silent = EdgeLibrosa().eval()([torch.zeros(SAMPLE_RATE)])["hidden_states"][0]
    assert bool(torch.isfinite(silent).all())


def energies(wav: Tensor) -> Tensor:
    """(1, F, 1): hears no more than its own frame of 20 ms."""
    whole = torch.nn.functional.pad(wav, (0, -len(wav) % 320))
    return whole.view(1, -1, 320).square().mean(-1)[..., None]


def test_a_long_song_is_heard_in_blocks_as_if_it_were_whole() -> None:
    wav = torch.randn(round((2.4 * BLOCK_SECONDS) * SAMPLE_RATE), generator=torch.Generator().manual_seed(0))
    lengths: list[int] = []

    def encode(part: Tensor) -> Tensor:
        lengths.append(len(part))
        return energies(part)

    hear = SongFeatures(wav, encode, "motionbeat", 320.0)
    times = torch.arange(round(2.4 * BLOCK_SECONDS * 30) + 90, dtype=torch.float64) / 30
    whole = features_at(energies(wav), "motionbeat", 320.0, times)
    found = [hear(begin, begin + 150) for begin in range(0, len(times) - 150, 75)]
    for number, part in enumerate(found):
        torch.testing.assert_close(part, whole[:, 75 * number : 75 * number + 150].float(), atol=1e-6, rtol=0)
    # Each block is encoded once, and no more of the song at once than it and its surroundings.
    assert len(lengths) == 3
    assert max(lengths) <= 80 * SAMPLE_RATE
    assert hear._block.cache_info().currsize <= CACHED_BLOCKS


def test_a_short_song_is_held_beyond_its_end() -> None:
    hear = SongFeatures(torch.ones(SAMPLE_RATE), energies, "motionbeat", 320.0)
    torch.testing.assert_close(hear(0, 150), torch.ones(1, 150, 1))
