"""What a trained tower's grid is estimated from is what does best on the dev split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from motion_data.loading import load_clip
from motion_data.manifest import Corpus
from motionbeat_upstream.config import GRID_SOURCES
from motionbeat_upstream.nn.music_tower import MusicTower, untrained_music_tower
from recipes.pretrain.grid_source import choose_grid_source
from tests.made_corpus import Made, write_corpus
from tests.small import SMALL, music

DEV = tuple(Made(f"dev{i}", bpm=90.0 + 17 * i, seconds=9.0, split="dev") for i in range(4))


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return write_corpus(tmp_path / "corpus", [*DEV, Made("train", seconds=9.0)])


def listening(corpus: Corpus, late: float, monkeypatch: pytest.MonkeyPatch) -> MusicTower:
    """A tower whose head hears every annotated beat of the dev split, so many seconds late."""
    tower = untrained_music_tower(SMALL).eval()
    clips = [load_clip(pair, corpus.folder) for pair in corpus.split("dev")]
    frames = tower._frames

    def heard(mel: Tensor, mel_lengths: Tensor) -> tuple[list[Tensor], Tensor]:
        states, pulses = frames(mel, mel_lengths)
        middles = (torch.arange(pulses.shape[1]) + 0.5) / 50
        rows = []
        for clip in clips:
            assert clip.grid is not None
            away = (middles[:, None] - torch.from_numpy(clip.grid.beats).float() - late).abs().amin(1)
            rows.append(6 * torch.exp(-0.5 * (away / 0.03) ** 2) - 3)
        return states, torch.stack(rows)

    monkeypatch.setattr(tower, "_frames", heard)
    return tower


def test_pulses_on_the_beats_are_taken(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    choice = choose_grid_source(listening(corpus, 0.0, monkeypatch), [corpus])
    best = choice.scores[choice.source, choice.trust]
    assert best.mean == max(found.mean for found in choice.scores.values())
    assert best.mean > 0.95
    assert best.pieces == len(DEV)
    # One who trusts pulses alone finds what they say.
    assert choice.scores["pulses", 1.0].mean > 0.95


def test_pulses_beside_the_beats_are_not_taken(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    choice = choose_grid_source(listening(corpus, 0.2, monkeypatch), [corpus])
    assert choice.scores["pulses", 1.0].mean < 0.5
    assert choice.scores[choice.source, choice.trust].mean > choice.scores["pulses", 1.0].mean + 0.2


def test_only_what_was_asked_for_is_tried(corpus: Corpus) -> None:
    tower = untrained_music_tower(SMALL).eval()
    assert set(choose_grid_source(tower, [corpus], ("onsets",)).scores) == {("onsets", 0.3)}
    assert {source for source, _ in choose_grid_source(tower, [corpus], ("pulses",)).scores} == {"pulses"}


def test_without_a_dev_split_the_first_source_is_kept(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", [Made("train"), Made("loose", bpm=None, split="dev")])
    choice = choose_grid_source(untrained_music_tower(SMALL), [corpus])
    assert (choice.source, choice.trust, choice.scores) == (GRID_SOURCES[0], 0.3, {})
    assert choice.to_dict() == {"pieces": 0, "beat_f": {}}


def test_grids_by_several_ways_are_those_of_towers_configured_so() -> None:
    tower = untrained_music_tower(SMALL).eval()
    clips = [music(8, 100, 0), music(6, 130, 1)]
    wav, lengths = torch.zeros(2, 128_000), torch.tensor([len(clip) for clip in clips])
    for row, clip in enumerate(clips):
        wav[row, : len(clip)] = clip
    ways = [("onsets", 0.3), ("pulses", 0.2), ("pulses", 1.0)]
    for (source, trust), grids in zip(ways, tower.estimate_grids(wav, lengths, ways), strict=True):
        tower.config = replace(tower.config, grid_from=source, grid_trust=trust)
        with torch.inference_mode():
            expected = tower(wav, lengths).grids
        for grid, other in zip(grids, expected, strict=True):
            np.testing.assert_array_equal(grid.beats, other.beats)
            np.testing.assert_array_equal(grid.positions, other.positions)
