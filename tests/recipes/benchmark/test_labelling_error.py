"""Labels against a MIDI file's grid: what counts as right, and the lag between the two clocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data.corpora.recordings.midi_grid import estimate_lag
from recipes.benchmark.labelling_error import compare

TRUE = 1.0 + 0.5 * np.arange(200)
BARS = TRUE[::4]


class TestCompare:
    def test_labels_that_are_right(self) -> None:
        ratio, near, *right = compare(TRUE[3:] + 0.02, BARS[1:] + 0.02, TRUE, BARS)
        assert (ratio, near) == pytest.approx((1.0, 1.0))
        assert right == [True, True, True]

    @pytest.mark.parametrize(
        ("beats", "bars", "expected"),
        [
            (TRUE[::2], BARS, [False, False, False]),
            (TRUE + 0.25, BARS + 0.25, [True, False, False]),
            (TRUE, TRUE[2::4], [True, True, False]),
            (TRUE, TRUE[::2], [True, True, False]),
            (TRUE, TRUE[::8], [True, True, False]),
            (TRUE, TRUE[::3], [True, True, False]),
            (TRUE, None, [True, True, None]),
        ],
    )
    def test_labels_that_are_wrong(
        self, beats: NDArray[np.float64], bars: NDArray[np.float64] | None, expected: list[bool | None]
    ) -> None:
        assert list(compare(beats, bars, TRUE, BARS)[2:]) == expected


class TestLag:
    @settings(max_examples=20, deadline=None)
    @given(st.integers(-400, 400), st.integers(0, 99))
    def test_the_lag_of_notes_at_random(self, frames: int, seed: int) -> None:
        draw = np.random.default_rng(seed)
        onsets = np.sort(draw.uniform(6, 94, 300))
        envelope = 0.2 * draw.random(10_000)
        envelope[np.floor(onsets * 100).astype(int) + frames] += 1
        lag, clearness = estimate_lag(envelope, onsets)
        assert lag == pytest.approx(frames / 100, abs=1e-9)
        assert clearness > 1.5
