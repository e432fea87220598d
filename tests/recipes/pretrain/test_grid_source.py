"""What a trained tower's grid is estimated from is what does well on held-out music."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from motion_data.beats_file import Beats, write_beats
from motion_data.loading import load_pair
from motion_data.manifest import Corpus
from motionbeat_upstream.config import GRID_SOURCES, SAMPLE_RATE
from motionbeat_upstream.nn.music_tower import FrameFeatures, MusicTower, untrained_music_tower
from recipes.pretrain.grid_source import GridChoice, GridMethod, choose_grid_source, select_method
from recipes.results.estimates import Estimate
from tests.drum_patterns import beat_times, piece
from tests.made_corpus import Made, write_corpus
from tests.small import SMALL, music

DEV = tuple(Made(f"dev{i}", bpm=90.0 + 17 * i, seconds=9.0, split="dev") for i in range(4))


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return write_corpus(tmp_path / "corpus", [*DEV, Made("train", seconds=9.0)])


def listening(corpus: Corpus, late: float, monkeypatch: pytest.MonkeyPatch) -> MusicTower:
    """A tower whose head hears every annotated beat of the dev split, so many seconds late."""
    tower = untrained_music_tower(SMALL).eval()
    clips = [load_pair(pair, corpus.folder) for pair in corpus.split("dev")]
    frames = tower._frames

    def fake_frames(mel: Tensor, mel_lengths: Tensor, onset: Tensor) -> FrameFeatures:
        features = frames(mel, mel_lengths, onset)
        middles = (torch.arange(features.pulses.shape[1]) + 0.5) / 50
        rows = []
        for clip in clips:
            assert clip.grid is not None
            away = (middles[:, None] - torch.from_numpy(clip.grid.beats).float() - late).abs().amin(1)
            rows.append(6 * torch.exp(-0.5 * (away / 0.03) ** 2) - 3)
        return replace(features, pulses=torch.stack(rows))

    monkeypatch.setattr(tower, "_frames", fake_frames)
    return tower


def mean(choice: GridChoice, method: GridMethod) -> float:
    return choice.scores[method]["corpus"].value


def test_pulses_on_the_beats_are_taken(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    choice = choose_grid_source(listening(corpus, 0.0, monkeypatch), [corpus])
    assert mean(choice, (choice.source, choice.trust)) > 0.95
    assert choice.scores[choice.source, choice.trust]["corpus"].groups == len(DEV)
    # One who trusts pulses alone finds what they say.
    assert mean(choice, ("pulses", 1.0)) > 0.95


def test_pulses_beside_the_beats_are_not_taken(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    choice = choose_grid_source(listening(corpus, 0.2, monkeypatch), [corpus])
    assert mean(choice, ("pulses", 1.0)) < 0.5
    assert mean(choice, (choice.source, choice.trust)) > mean(choice, ("pulses", 1.0)) + 0.2


def test_only_what_was_asked_for_is_tried(corpus: Corpus) -> None:
    tower = untrained_music_tower(SMALL).eval()
    assert set(choose_grid_source(tower, [corpus], sources=("onsets",)).scores) == {("onsets", 0.3)}
    ways = choose_grid_source(tower, [corpus], sources=("pulses",)).scores
    assert {source for source, _ in ways} == {"pulses"}


def test_without_a_dev_split_the_first_source_is_kept(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", [Made("train"), Made("loose", bpm=None, split="dev")])
    choice = choose_grid_source(untrained_music_tower(SMALL), [corpus])
    assert (choice.source, choice.trust, choice.scores) == (GRID_SOURCES[0], 0.3, {})
    assert choice.to_dict() == {}


def test_songs_are_a_set_of_their_own(corpus: Corpus, tmp_path: Path) -> None:
    songs = tmp_path / "songs"
    songs.mkdir()
    for number, bpm in enumerate((80.0, 110.0, 140.0)):
        beats = beat_times(bpm, 9.0)
        soundfile.write(songs / f"{number}.wav", piece(beats, 4, 9.0).numpy(), SAMPLE_RATE)
        write_beats(songs / f"{number}.beats", Beats(beats, np.arange(len(beats)) % 4 + 1))
    tower = untrained_music_tower(SMALL).eval()
    choice = choose_grid_source(tower, [corpus], [songs], sources=("onsets",))
    sets = choice.scores["onsets", 0.3]
    assert {name: scores.groups for name, scores in sets.items()} == {"corpus": len(DEV), "songs": 3}
    assert (
        sets["corpus"]
        == choose_grid_source(tower, [corpus], sources=("onsets",)).scores["onsets", 0.3]["corpus"]
    )
    assert sets["songs"].value > 0.7
    (figures,) = choice.to_dict().values()
    assert isinstance(figures, dict)
    assert figures.keys() == sets.keys()


def test_what_leans_least_is_taken_among_the_good() -> None:
    def f(value: float, error: float = 0.02) -> Estimate:
        return Estimate(value, value - 1.96 * error, value + 1.96 * error, 50)

    onsets, little, much = ("onsets", 0.3), ("pulses", 0.2), ("pulses", 0.9)
    assert select_method({much: {"a": f(0.8)}, little: {"a": f(0.79)}, onsets: {"a": f(0.7)}}) == little
    assert select_method({much: {"a": f(0.8)}, little: {"a": f(0.77)}, onsets: {"a": f(0.7)}}) == much
    assert select_method({much: {"a": f(0.8)}, onsets: {"a": f(0.79)}}) == onsets
    # Two sets count the same: what is gained in one and lost in the other is no gain.
    gained = {"a": f(0.9), "b": f(0.6)}
    assert select_method({much: gained, onsets: {"a": f(0.7), "b": f(0.8)}}) == onsets
    # The error of a mean over two sets is less than that of either: 0.02 / √2.
    assert select_method({much: {"a": f(0.8), "b": f(0.8)}, onsets: {"a": f(0.784), "b": f(0.784)}}) == much


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
