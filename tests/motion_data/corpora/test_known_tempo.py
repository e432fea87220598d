"""Phase and bars of music of known tempo, on clicks and on real songs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_data.corpora.known_tempo import heard_grid
from motionbeat_upstream.audio import read_audio
from motionbeat_upstream.config import SAMPLE_RATE
from tests.clicks_at_tempo import clicks
from tests.shared_data import shared


class TestClicks:
    @settings(max_examples=15, deadline=None)
    @given(
        st.sampled_from([80, 90, 100, 110, 115, 120, 125, 130, 135]),
        st.floats(0, 0.4),
        st.integers(0, 3),
        st.floats(10, 20),
    )
    def test_clicks_are_met_within_20_ms(
        self, bpm: float, phase: float, downbeat: int, seconds: float
    ) -> None:
        wav = torch.from_numpy(clicks(bpm, seconds, phase, downbeat))
        heard = heard_grid(wav, bpm, 4)
        assert heard.grid.bpm == pytest.approx(bpm)
        off = (heard.grid.beats - phase + 30 / bpm) % (60 / bpm) - 30 / bpm
        assert np.abs(off).max() < 0.02
        assert heard.lock > 0.8
        assert heard.grid.beats[0] < 60 / bpm
        assert heard.grid.beats[-1] > seconds - 60 / bpm

    def test_downbeats_are_voted_on(self) -> None:
        for downbeat in range(4):
            heard = heard_grid(torch.from_numpy(clicks(120, 16, 0.2, downbeat)), 120, 4)
            assert heard.bars_from == "downbeats"
            first = heard.grid.downbeats[0]
            assert abs((first - 0.2 - downbeat * 0.5 + 1) % 2 - 1) < 0.02

    def test_half_the_tempo_gives_every_second_beat(self) -> None:
        heard = heard_grid(torch.from_numpy(clicks(90, 16)), 180, 4)
        assert heard.beats_from == "beats"
        assert heard.grid.bpm == pytest.approx(180)
        assert heard.heard_bpm == pytest.approx(90, rel=0.02)
        off = (heard.grid.beats - 0.2 + 1 / 6) % (1 / 3) - 1 / 6
        assert np.abs(off).max() < 0.02

    def test_another_tempo_is_told_and_the_onsets_give_the_phase(self) -> None:
        heard = heard_grid(torch.from_numpy(clicks(100, 16)), 50, 4)
        assert (heard.beats_from, heard.bars_from) == ("onsets", "start")
        assert heard.grid.bpm == pytest.approx(50)
        assert heard.heard_bpm == pytest.approx(100, rel=0.02)

    def test_onsets_alone_give_the_phase_too(self) -> None:
        """A click on every third beat: no tempo that could be heard is the known one or half of it."""
        heard = heard_grid(torch.from_numpy(clicks(50, 20, phase=0.3)), 150, 4)
        assert heard.beats_from == "onsets"
        assert heard.lock > 0.8
        off = (heard.grid.beats - 0.3 + 0.2) % 0.4 - 0.2
        assert np.abs(off).max() < 0.02

    def test_beats_that_move_to_between_the_beats_are_not_averaged(self) -> None:
        """Half of the piece on the beat, half of it between two: neither may be taken for the other."""
        moved = np.concatenate([clicks(120, 16, phase=0.25), clicks(120, 16, phase=0.0)])
        heard = heard_grid(torch.from_numpy(moved), 120, 4)
        assert heard.beats_from == "onsets"
        assert heard.grid.confidence < 0.2

    @pytest.mark.parametrize("seconds", [1 / SAMPLE_RATE, 0.05, 5.0])
    def test_silence_gets_a_grid_that_is_not_trusted(self, seconds: float) -> None:
        heard = heard_grid(torch.zeros(round(seconds * SAMPLE_RATE)), 120, 4)
        assert heard.grid.confidence == heard.lock < 0.1
        assert heard.heard_bpm == 0
        assert heard.grid.bpm == pytest.approx(120)


class TestRealMusic:
    def test_a_song_whose_chart_says_where_the_beats_are(self) -> None:
        """210 bpm from 0 s on, by its StepMania chart; half of it is heard."""
        heard = heard_grid(read_audio(shared("audio/stepmania/Goin' Under.ogg")), 210.0, 4)
        assert heard.beats_from == "beats"
        period = 60 / 210
        off = (heard.grid.beats[0] + period / 2) % period - period / 2
        assert abs(off) < 0.03

    def test_a_song_of_one_tempo_keeps_step_to_its_end(self) -> None:
        heard = heard_grid(read_audio(shared("motion/wavefile/wavefile_short.mp3")), 135.0, 4)
        assert (heard.beats_from, heard.bars_from) == ("beats", "downbeats")
        assert heard.lock > 0.98
