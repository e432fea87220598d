from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from motionbeat_upstream.config import SAMPLE_RATE
from recipes.downstream.beat_tracking.synthetic_clips import (
    CLIPS,
    MAX_BPM,
    MIN_BPM,
    SECONDS,
    make_audio,
    synthetic_splits,
)


def test_the_splits_share_no_tempo_and_no_clip() -> None:
    splits = synthetic_splits()
    assert {split: len(of) for split, of in splits.items()} == CLIPS
    tempi = {
        split: {round(60 / float(np.median(np.diff(clip.beats.times)))) for clip in of}
        for split, of in splits.items()
    }
    for split, of in tempi.items():
        assert all(MIN_BPM <= bpm <= MAX_BPM for bpm in of)
        assert not any(of & others for other, others in tempi.items() if other != split)
    assert max(map(max, tempi.values())) - min(map(min, tempi.values())) > 80
    assert {int(clip.beats.positions.max()) for clip in splits["train"]} == {2, 3, 4}
    names = [clip.name for of in splits.values() for clip in of]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("index", range(8))
def test_a_clip_is_the_same_each_time_and_sounds_on_its_beats(index: int) -> None:
    clip = synthetic_splits()["train"][index]
    audio = clip.load()
    torch.testing.assert_close(audio, make_audio("train", index), rtol=0, atol=0)
    assert audio.shape == (int(SECONDS * SAMPLE_RATE),)
    assert audio.dtype == torch.float32
    assert torch.isfinite(audio).all()
    assert 0.1 < audio.abs().max() <= 1
    # Sound begins at the beats more than beside them: rise of energy in the 60 ms around each.
    energy = (audio.numpy().reshape(-1, 160) ** 2).mean(1)
    rise = np.maximum(np.diff(np.log(energy + 1e-7), prepend=0), 0)

    def strength(times: NDArray[np.float64]) -> float:
        frames = np.round(times[(times > 0.1) & (times < SECONDS - 0.1)] * 100).astype(int)
        return float(np.mean([rise[frame - 1 : frame + 3].sum() for frame in frames]))

    period = float(np.median(np.diff(clip.beats.times)))
    slots = 3 if clip.name.endswith("6-8") else 4
    beside = [strength(clip.beats.times + (slot + 0.5) / slots * period) for slot in range(slots)]
    assert strength(clip.beats.times) > 1.3 * max(beside)
    assert strength(clip.beats.downbeats) > 1.3 * max(beside)
