"""The weights of the tempo's cues can be fitted again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from motionbeat_upstream.tracking import tempo
from motionbeat_upstream.tracking.accents import compute_accents
from motionbeat_upstream.tracking.frontend import spectra
from recipes.benchmark.fit_tempo import Windows, compute_evidence, fit, main, score, window_weights
from tests.made_corpus import Made, write_corpus
from tests.small import music


def random_windows(seed: int, weights: NDArray[np.float64], count: int = 400) -> Windows:
    """Windows whose tempo was drawn as the weights have it."""
    rng = np.random.default_rng(seed)
    steps = tempo.candidate_tempi().double().numpy()
    evidence = rng.normal(size=(count, len(steps), len(weights)))
    share = np.exp(evidence @ weights)
    share /= share.sum(1, keepdims=True)
    return Windows(evidence, steps[[rng.choice(len(steps), p=row) for row in share]])


def test_a_fit_finds_the_weights_that_tempi_were_drawn_by() -> None:
    true = np.array([3.0, -2.0, 0.0, 1.0])
    fitted = fit(random_windows(0, true, 3000))
    np.testing.assert_allclose(fitted, true, atol=0.35)
    held_out = random_windows(1, true)
    assert score(held_out, fitted)[0] == pytest.approx(score(held_out, true)[0], abs=0.03)
    assert score(held_out, fitted)[0] > score(held_out, -true)[0] + 0.3


def test_weights_of_windows_add_up_and_rare_tempi_count_more() -> None:
    bpm = np.concatenate([np.full(90, 120.0), np.full(10, 150.0)])
    weights = window_weights(bpm)
    assert weights.sum() == pytest.approx(1)
    assert weights[-1] > 3 * weights[0]


def test_evidence_times_weights_is_the_score_by_which_tempi_are_chosen() -> None:
    wav = music(12, 110, 0)
    mel, lengths, onset = spectra(wav[None], torch.tensor([len(wav)]), 96)
    accents = compute_accents(onset, mel, lengths)
    octaves = torch.log2(tempo.candidate_tempi() / 120)
    prior = sum(weight * octaves**power for power, weight in enumerate(tempo.PRIOR_WEIGHTS, 1))
    scores = (
        torch.einsum("tskm,km->ts", compute_evidence(wav), torch.tensor(tempo.PERIODICITY_WEIGHTS)) + prior
    )
    periods, choice, _, _ = tempo.beat_periods(accents, lengths)
    middle = len(scores) // 2
    assert float(periods[choice[0, round(middle * tempo.HOP_SECONDS * 100)]]) == pytest.approx(
        6000 / float(tempo.candidate_tempi()[scores[middle].argmax()])
    )


def test_the_command_fits_a_corpus_and_scores_it_on_the_dev_split(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = [
        Made(f"{split}{n}", bpm=80.0 + 9 * n, seconds=10.0, split=split)
        for split in ("train", "dev")
        for n in range(4)
    ]
    write_corpus(tmp_path / "corpus", pairs)
    assert main([str(tmp_path / "corpus")]) == 0
    output = capsys.readouterr().out
    assert output.count("windows  right") == 6
    assert output.count("PERIODICITY_WEIGHTS = [[") == output.count("PRIOR_WEIGHTS = [") == 1
    assert main([str(tmp_path / "none")]) == 2
    write_corpus(tmp_path / "loose", [Made("a", bpm=None)])
    assert main([str(tmp_path / "loose")]) == 2
    assert "no pair of the train split has a grid" in capsys.readouterr().err
