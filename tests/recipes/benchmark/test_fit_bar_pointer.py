"""The constants of the joint decoder can be fitted again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from motion_data.beats_file import Beats
from motion_data.files import file_sha256
from motionbeat_upstream.checkpoint import Provenance, load_music_tower, save_music_tower
from motionbeat_upstream.nn.music_tower import untrained_music_tower
from motionbeat_upstream.tracking.bar_pointer import DEFAULT_WEIGHTS, DecoderInput, decode_bars
from motionbeat_upstream.tracking.decoded_grid import Calibration
from recipes.benchmark.beats.sets import AnnotatedSound, MusicSet
from recipes.benchmark.fit_bar_pointer import activations as kept_activations
from recipes.benchmark.fit_bar_pointer.__main__ import main
from recipes.benchmark.fit_bar_pointer.activations import Activations, cached_excerpt, read_activations
from recipes.benchmark.fit_bar_pointer.calibration import fit_calibration, fit_pulse_threshold, noise_signals
from recipes.benchmark.fit_bar_pointer.search import (
    bar_pointer_weights,
    current_values,
    decode,
    distance,
    folds,
    objective,
    path_beats,
    scores,
    search,
    shares,
)
from tests.beat_tracking_clicks import write_clicks
from tests.frame_activations import MODERATE, logits_of, positions_of, random_beats
from tests.small import SMALL, music

SECONDS = 10.0


def recording_from_beats(number: int, of_set: str = "made", piece: str | None = None) -> Activations:
    """A recording with activations that are derived from its beats."""
    draw = np.random.default_rng(number)
    beats = random_beats(float(draw.uniform(70, 180)), SECONDS, draw)
    positions = positions_of(len(beats), 4)
    beat, downbeat = (x[None] for x in logits_of(beats, positions, SECONDS, draw, MODERATE))
    size = beat.shape[1]
    evidence = DecoderInput(beat, downbeat, torch.tensor([size]), None, torch.ones(1, size, dtype=torch.bool))
    spans = np.array([[0.0, SECONDS]])
    return Activations(of_set, piece or f"{number}", Beats(beats, positions), spans, evidence)


BAD = current_values() | {"tempo_centre": 180.0, "tempo_spread": 0.2, "beat": 0.2, "metre_2": 1.0}


def test_a_search_improves_bad_values_on_other_recordings_too() -> None:
    recordings = [recording_from_beats(number) for number in range(5)]
    result, tried = search(recordings, BAD, seed=0, seconds=60, proposals=50)
    assert tried == 50
    others = [recording_from_beats(number) for number in range(6, 12)]
    for some, gain in ((recordings, 0.15), (others, 0.05)):
        sets = [recording.set for recording in some]
        assert objective(scores(some, result), sets) > objective(scores(some, BAD), sets) + gain


def test_values_that_make_no_difference_go_back_to_the_present_ones() -> None:
    present = current_values()
    start = present | {"tempo": 4.0}
    result, _ = search([recording_from_beats(0)], start, seed=0, seconds=60, proposals=40)
    assert distance(result, present) < 0.6 * distance(start, present)
    far = present | {"beat_bias": present["beat_bias"] + 3.5, "tempo_jump": present["tempo_jump"] * 20**0.25}
    assert distance(present, far) == pytest.approx(0.25 + 0.0625)


def test_present_values_are_the_weights() -> None:
    assert bar_pointer_weights(current_values()) == DEFAULT_WEIGHTS
    recording = recording_from_beats(3)
    (path,) = decode_bars(recording.evidence)
    np.testing.assert_array_equal(decode(recording, current_values()).frames, path.frames)


def test_sets_count_the_same_and_downbeats_half_where_they_are_known() -> None:
    result = np.array([[1.0, 0.4], [0.5, np.nan], [0.6, 0.0]])
    sets = ["a", "a", "b"]
    assert objective(result, sets) == pytest.approx(((0.75 + 0.2) + 0.6) / 2)
    assert shares(result, sets).sum() == pytest.approx(objective(result, sets))


def test_folds_halve_the_pieces_of_each_set() -> None:
    recordings = [recording_from_beats(n, of_set, f"{n // 3}") for of_set in ("a", "b") for n in range(12)]
    fold = folds(recordings, 0)
    by_piece: dict[tuple[str, str], set[int]] = {}
    for recording, number in zip(recordings, fold.tolist(), strict=True):
        by_piece.setdefault((recording.set, recording.piece), set()).add(number)
    assert all(len(numbers) == 1 for numbers in by_piece.values())
    for of_set in ("a", "b"):
        numbers = [next(iter(n)) for (name, _), n in by_piece.items() if name == of_set]
        assert numbers.count(0) == numbers.count(1) == 2
    assert any((folds(recordings, seed) != fold).any() for seed in (1, 2, 3))


def test_a_calibration_is_the_curve_that_outcomes_were_drawn_by() -> None:
    draw = np.random.default_rng(0)
    true, margin = Calibration(scale=2.0, midpoint=3.0), draw.uniform(-2, 9, 4000)
    right = draw.random(4000) < [true.confidence(value, 1) for value in margin]
    result = fit_calibration(margin, right)
    assert result is not None
    assert result.scale == pytest.approx(2.0, rel=0.1)
    assert result.midpoint == pytest.approx(3.0, rel=0.1)
    assert fit_calibration(margin, np.ones(4000, dtype=np.bool_)) is None
    assert fit_calibration(margin, ~right) is None


def test_the_least_pulse_parts_music_from_noise() -> None:
    assert 0.05 < fit_pulse_threshold([0.3, 0.5, 0.9], [0.0, 0.01, 0.05]) < 0.3
    assert 0.2 < fit_pulse_threshold([0.1, 0.4, 0.5, 0.9], [0.0, 0.1, 0.2]) < 0.4


def test_noises_differ_and_are_finite() -> None:
    for name, signals in noise_signals(0).items():
        assert all(bool(wav.isfinite().all()) and float(wav.abs().max()) < 1.5 for wav in signals)
        assert (float(signals[0].abs().max()) > 0) == (name != "silence")


def save_small(path: Path, seed: int = 0, **parts: Any) -> Path:
    tower = untrained_music_tower(replace(SMALL, **parts), seed)
    save_music_tower(tower, path, Provenance("none", {}))
    return path


def sound(seconds: float, spans: tuple[tuple[float, float], ...] | None = None) -> AnnotatedSound:
    beats = np.arange(0.25, seconds, 0.5)
    wav = music(seconds, 120, 0).numpy()
    return AnnotatedSound("a", "a", Beats(beats, positions_of(len(beats), 4)), spans, wav, f"{seconds}")


def test_activations_are_kept_by_checkpoint_and_are_those_of_the_grid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = save_small(tmp_path / "first.safetensors", grid_from="heads")
    second = save_small(tmp_path / "second.safetensors", seed=1)
    music_set, folder = MusicSet("set", (lambda: sound(8.0),)), tmp_path / "kept"
    (fresh,) = read_activations([music_set], first, folder, 60.0)
    (other,) = read_activations([music_set], second, folder, 60.0)
    assert len(list(folder.iterdir())) == 2
    assert not torch.equal(fresh.evidence.beat, other.evidence.beat)
    monkeypatch.setattr(kept_activations, "compute_activations", lambda *_: pytest.fail("computed again"))
    (cached,) = read_activations([music_set], first, folder, 60.0)
    for name, value in vars(fresh.evidence).items():
        assert torch.equal(value, getattr(cached.evidence, name))
    wav = torch.from_numpy(sound(8.0).source)
    grid = load_music_tower(first)[0].estimate_grid(wav)
    np.testing.assert_allclose(path_beats(cached, decode(cached, current_values())).times, grid.beats)


def test_long_recordings_are_cut_to_their_middle(tmp_path: Path) -> None:
    tower = untrained_music_tower(SMALL)
    beats, spans, arrays = cached_excerpt(
        tower, sound(21.0, ((0.0, 8.0), (12.0, 21.0))), 6.0, tmp_path / "a.npz"
    )
    assert arrays["beat"].shape == (1, 300)
    np.testing.assert_allclose(beats.times, np.arange(0.25, 6.0, 0.5))
    assert beats.positions[0] == (8 - 0.5) / 0.5 % 4 + 1
    np.testing.assert_allclose(spans, [(0.0, 0.5), (4.5, 6.0)])
    assert cached_excerpt(tower, sound(8.5), 6.0, tmp_path / "b.npz")[2]["beat"].shape == (1, 425)


@pytest.mark.slow
def test_the_command_fits_and_writes_all_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clicks = str(write_clicks(tmp_path / "clicks", seconds=9.0))
    checkpoint = str(save_small(tmp_path / "small.safetensors"))
    out = tmp_path / "out"
    assert main([checkpoint, str(out), "--sets", clicks, "--limit", "4", "--minutes", "0.02"]) == 0
    assert capsys.readouterr().out == (out / "fit.txt").read_text(encoding="utf-8")
    record = json.loads((out / "fit.json").read_text(encoding="utf-8"))
    assert record["checkpoint"] == file_sha256(Path(checkpoint))
    assert record["recordings"] == {"clicks": 4}
    assert record["values"].keys() == current_values().keys()
    held_out = record["held out"]
    assert held_out.keys() == {"present", "fitted", "no tempo head"}
    assert held_out["present"]["objective"] == pytest.approx(
        np.mean(held_out["present"]["objective by fold"])
    )
    assert len(record["mean probability of beats"]["music"]) == 4


def test_what_the_user_can_mend(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clicks = str(write_clicks(tmp_path / "clicks", seconds=6.0, pieces=1))
    headless = str(save_small(tmp_path / "headless.safetensors", beat_heads=False))
    assert main([headless, str(tmp_path / "out"), "--sets", clicks]) == 2
    assert "has no beat heads" in capsys.readouterr().err
    checkpoint = str(save_small(tmp_path / "small.safetensors"))
    assert main([checkpoint, str(tmp_path / "out"), "--sets", clicks]) == 2
    assert "clicks has fewer than two pieces with beats" in capsys.readouterr().err
    assert main([checkpoint, str(tmp_path / "out"), "--sets", str(tmp_path / "none")]) == 2
    for wrong in (["--limit", "0"], ["--minutes", "0"], ["--seconds", "-1"]):
        with pytest.raises(SystemExit, match="2"):
            main([checkpoint, str(tmp_path / "out"), "--sets", clicks, *wrong])
