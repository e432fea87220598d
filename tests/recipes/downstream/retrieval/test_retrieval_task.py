"""The task retrieval: loss, probe, scores, and a run."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from motion_data.commands.data import main as data_command
from motion_data.files import file_sha256
from motion_data.manifest import read_corpus
from motionbeat_upstream.checkpoint import (
    CheckpointError,
    Provenance,
    load_motionbeat,
    save_motion_side,
    save_music_tower,
)
from motionbeat_upstream.config import MotionTowerConfig
from motionbeat_upstream.nn.motionbeat import MotionBeat
from motionbeat_upstream.nn.music_tower import untrained_music_tower
from motionbeat_upstream.shipped import SHIPPED
from motionbeat_upstream.tracking.grid import regular_grid
from recipes.downstream import run_downstream
from recipes.downstream.retrieval.model import PairProbe, contrastive_loss
from recipes.downstream.retrieval.report import (
    CANDIDATES,
    CHANCE,
    FORMS,
    HARD,
    MEDIAN_RANK,
    NO_LEARNING,
    NOISE,
    SimilarityTables,
    report,
    retrieval_results,
)
from recipes.downstream.retrieval.settings import ModelSettings
from recipes.downstream.retrieval.zero_shot import main as zero_shot
from recipes.pairing.no_learning import Correlations
from recipes.results.record import Results, Run, item_table, read_results, results_path, run_value
from recipes.results.tables import run_estimates
from tests.small import SMALL


def unit(*shape: int, seed: int = 0) -> Tensor:
    return torch.nn.functional.normalize(
        torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1
    )


@given(seed=st.integers(0, 999), size=st.integers(2, 6), count=st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_the_contrastive_loss_equals_a_loop(seed: int, size: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    music, motion, hard = (
        unit(size, 5, seed=seed),
        unit(size, 5, seed=seed + 1),
        unit(count, 5, seed=seed + 2),
    )
    owner = torch.randint(0, size, (count,), generator=generator)
    allowed = torch.rand(size, size, generator=generator) < 0.7
    allowed = (allowed & allowed.T).fill_diagonal_(False)
    scale = torch.tensor(7.0)
    losses = []
    for i in range(size):
        own = math.exp(7 * float(music[i] @ motion[i]))
        others = [math.exp(7 * float(music[i] @ motion[j])) for j in range(size) if allowed[i, j]]
        negatives = [math.exp(7 * float(music[i] @ hard[r])) for r in range(count) if owner[r] == i]
        back = [math.exp(7 * float(motion[i] @ music[j])) for j in range(size) if allowed[j, i]]
        losses.append(
            (-math.log(own / (own + sum(others) + sum(negatives))) - math.log(own / (own + sum(back)))) / 2
        )
    loss = contrastive_loss(music, motion, hard, owner, allowed, scale)
    assert float(loss) == pytest.approx(sum(losses) / size, rel=1e-4, abs=1e-5)


def test_features_of_any_rate_are_resampled_to_their_times() -> None:
    probe = PairProbe(1, ModelSettings(1, 2, 3)).eval()
    with torch.no_grad():
        probe.music.weight.fill_(1.0)
        probe.music.bias.zero_()
    for rate in (20.0, 50.0, 75.0, 100.0):
        frames = round(6 * rate)
        times = (torch.arange(frames) + 0.5) / rate
        bell = torch.exp(-0.5 * ((times - 3.3) / 0.1) ** 2)[:, None]
        frames_50hz = probe.music_frames([bell], torch.tensor([300]))[0, :, 0]
        assert (float(frames_50hz.argmax()) + 0.5) / 50 == pytest.approx(3.3, abs=0.03)


def test_padding_changes_nothing() -> None:
    torch.manual_seed(0)
    probe = PairProbe(4, ModelSettings(6, 2, 3)).eval()
    grids = [regular_grid(2.0, 120.0, 4), regular_grid(3.0, 100.0, 3)]
    lengths = torch.tensor([100, 150])
    features = [torch.randn(100, 4), torch.randn(150, 4)]
    both = probe.vectors(probe.music_frames(features, lengths), lengths, grids, music=True)
    alone = probe.vectors(probe.music_frames(features[:1], lengths[:1]), lengths[:1], grids[:1], music=True)
    torch.testing.assert_close(both[:1], alone)
    joints, pulses = torch.randn(2, 150, 22, 3), torch.rand(2, 150, 2)
    has_joints = torch.tensor([True, True])
    frames = probe.motion_frames(joints, pulses, has_joints, lengths)
    vectors = probe.vectors(frames, lengths, grids, music=False)
    first = probe.motion_frames(joints[:1, :100], pulses[:1, :100], has_joints[:1], lengths[:1])
    torch.testing.assert_close(vectors[:1], probe.vectors(first, lengths[:1], grids[:1], music=False))
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))


def correlations(table: NDArray[np.float64], hard: NDArray[np.float64]) -> Correlations:
    matrix = torch.from_numpy(table)
    return Correlations(matrix, matrix.diagonal(), torch.from_numpy(hard))


def tables(
    size: int, shared: NDArray[np.float64], seed: int = 0, baseline: NDArray[np.float64] | None = None
) -> SimilarityTables:
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(size), 5)
    return SimilarityTables(
        shared=shared,
        own_grids=rng.random((size, size)),
        hard=np.full(5 * size, -1.0),
        noise_shared=rng.random((size, size)),
        noise_own_grids=rng.random((size, size)),
        noise_hard=rng.random(5 * size),
        no_learning=(
            correlations(rng.random((size, size)), rng.random(5 * size)),
            correlations(np.eye(size) if baseline is None else baseline, np.full(5 * size, 0.5)),
        ),
        owner=owner,
        kinds=[("jittered", 1.0)] * (5 * size),
        pieces=np.arange(size),
        takes=np.arange(size),
        groups=np.zeros(size, dtype=np.int64),
        names=tuple(f"pair{k}" for k in range(size)),
    )


def run_results(tables: SimilarityTables, pool: int) -> dict[str, Results]:
    """Results by upstream and reference run; each pair is of its own piece."""
    run = Run("retrieval", "d", "u", details={"pairs": len(tables.names)})
    results = retrieval_results(run, tables, pool, {name: f"piece of {name}" for name in tables.names})
    return {result.run.upstream: result for result in results}


def mean(results: Results, measure: str) -> float:
    return run_estimates(results, [measure], 100)[measure].value


def test_perfect_similarities_have_full_recall_and_random_ones_are_at_chance(tmp_path: Path) -> None:
    size = 120
    results = run_results(tables(size, np.eye(size)), 32)
    assert list(results) == ["u", NOISE, NO_LEARNING, CHANCE]
    own, chance = results["u"], results[CHANCE]
    for form in FORMS[:2]:
        assert mean(own, f"{form} R@1") == 1
        assert run_value(own, f"{form} {MEDIAN_RANK}") == 1
        row = item_table(own).loc["pair7", "piece of pair7"]
        assert [row[f"{form} R@{rank}"] for rank in (1, 5, 10)] == [1, 1, 1]
    random = "music → motion, own grids"
    assert mean(chance, f"{random} R@1") == pytest.approx(1 / 32)
    assert mean(chance, f"{random} R@10") == pytest.approx(10 / 32)
    assert mean(own, f"{random} R@10") == pytest.approx(10 / 32, abs=0.1)
    assert mean(results[NOISE], f"{random} R@1") == pytest.approx(1 / 32, abs=0.04)
    assert 10 <= run_value(own, f"{random} {MEDIAN_RANK}") <= 22
    assert mean(own, f"{HARD} R@1") == 1
    assert mean(chance, f"{HARD} R@1") == pytest.approx(1 / 6)
    assert mean(own, f"{HARD} {CANDIDATES}") == 6
    text = report(tmp_path, list(results.values()))
    assert "| music → motion, shared grid | 1.000 [1.000, 1.000] |" in text
    assert "| 1 | 32 | 0.031 | " in text
    assert f"| {HARD} | 1.000 [1.000, 1.000] | – | – | – | 6 | 0.167 | " in text
    assert read_results(results_path(tmp_path)) == list(results.values())


def test_the_better_tolerance_is_the_baseline_of_every_form() -> None:
    size = 120
    without = run_results(tables(size, np.zeros((size, size))), 32)[NO_LEARNING]
    for form in FORMS:
        assert mean(without, f"{form} R@1") == 1
        assert item_table(without).loc[("pair7", "piece of pair7"), f"{form} R@1"] == 1
    # The other tolerance is random, and is better than one that is always wrong.
    without = run_results(tables(size, np.zeros((size, size)), baseline=1 - np.eye(size)), 32)[NO_LEARNING]
    for form in FORMS[:4]:
        assert 0 < mean(without, f"{form} R@1") < 0.15
        assert mean(without, f"{form} R@10") == pytest.approx(10 / 32, abs=0.1)


def test_the_two_directions_differ() -> None:
    # One motion is the most similar to all music; it is most similar to its own music.
    shared = np.eye(40)
    shared[:, 0] = 2 + np.arange(40)[::-1] / 100
    own = run_results(tables(40, shared), 40)["u"]
    assert mean(own, "music → motion, shared grid R@1") == pytest.approx(1 / 40)
    assert mean(own, "motion → music, shared grid R@1") == 1


def test_without_candidates_there_are_no_scores(tmp_path: Path) -> None:
    no_candidates = dataclasses.replace(tables(4, np.eye(4)), groups=np.arange(4))
    results = run_results(no_candidates, 4)
    assert "| music → motion, shared grid | – | – | – | – | – | – | – | – |" in report(
        tmp_path, list(results.values())
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("constructed")
    assert (
        data_command(["prepare", "constructed", str(folder / "c"), "--pairs", "150", "--seconds", "10"]) == 0
    )
    return folder / "c"


def run(corpus: Path, out: Path, upstream: str, steps: int) -> int:
    options = {
        "config.downstream_expert.datarc.root": corpus,
        "config.downstream_expert.datarc.eval_clips": 12,
        **{f"config.runner.{key}": steps for key in ("total_steps", "eval_step", "save_step")},
    }
    arguments = ["-m", "train", "-u", upstream, "-d", "retrieval", "-p", str(out), "--device", "cpu"]
    return run_downstream.main(
        [*arguments, "-o", ",,".join(f"{key}={value}" for key, value in options.items())]
    )


@pytest.mark.slow
@pytest.mark.parametrize("upstream", ["motionbeat_log_mel", "mfcc"])
def test_a_run_writes_results(corpus: Path, upstream: str, tmp_path: Path) -> None:
    assert run(corpus, tmp_path, upstream, 2) == 0
    own, noise, without, chance = read_results(results_path(tmp_path))
    assert own.run.upstream == upstream
    measures = {measure for _, _, measure, _ in own.rows}
    assert all(f"{form} R@1" in measures for form in FORMS)
    piece_of = {pair.name: pair.piece for pair in read_corpus(corpus).split("test")}
    for results in (own, noise, without, chance):
        assert all(piece_of[item] == piece for item, piece, _, _ in results.rows if item)
    first, second = "music → motion, shared grid", "music → motion, own grids"
    assert 0 <= mean(own, f"{first} R@1") <= mean(own, f"{first} R@10") <= 1
    # Synthetic dances step on onsets, so the baseline is above chance, and it does not use the grid.
    assert mean(without, f"{first} R@1") > mean(chance, f"{first} R@1") + 0.1
    assert mean(without, f"{first} R@1") == mean(without, f"{second} R@1")
    assert set(item_table(without).index) == set(item_table(own).index)
    text = (tmp_path / "scores-test.md").read_text()
    assert "noise for music, R@1 | no learning, R@1 |" in text


@pytest.mark.slow
def test_zero_shot_retrieval_is_above_chance(corpus: Path, tmp_path: Path) -> None:
    assert zero_shot([str(corpus), str(tmp_path / "out"), "--clips", "12"]) == 0
    own, _, _, chance = read_results(results_path(tmp_path / "out"))
    for form in ("music → motion, shared grid", "motion → music, shared grid"):
        assert mean(own, f"{form} R@1") > mean(chance, f"{form} R@1") + 0.1
    assert own.run.details["training"].startswith("constructed")
    assert own.run.checkpoint == file_sha256(SHIPPED)


def test_towers_from_different_trainings_are_refused(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    model = MotionBeat(
        SMALL, MotionTowerConfig(subdivisions=SMALL.subdivisions, embedding_dim=SMALL.embedding_dim)
    )
    save_music_tower(model.music, tmp_path / "a.safetensors", Provenance("none", {}))
    save_motion_side(model, tmp_path / "b.safetensors", Provenance("none", {}))
    loaded, _ = load_motionbeat(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, loaded.state_dict()[name], rtol=0, atol=0)
    with pytest.raises(CheckpointError, match="was trained with another music tower"):
        load_motionbeat(SHIPPED, tmp_path / "b.safetensors")
    changed = untrained_music_tower(SMALL, seed=1)
    save_music_tower(changed, tmp_path / "c.safetensors", Provenance("none", {}))
    both, _ = load_motionbeat(tmp_path / "c.safetensors", tmp_path / "b.safetensors", same_step=False)
    for name, value in {**model.state_dict(), **changed.state_dict(prefix="music.")}.items():
        torch.testing.assert_close(value, both.state_dict()[name], rtol=0, atol=0)
    with pytest.raises(CheckpointError, match=r"expected format 'motionbeat.motion_side'"):
        load_motionbeat(SHIPPED, SHIPPED)
    arguments = [str(corpus), str(tmp_path / "out"), "--motion-side", str(tmp_path / "b.safetensors")]
    assert zero_shot(arguments) == 2
    assert "was trained with another music tower" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_errors_are_one_line(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "nothing", tmp_path / "out", "mfcc", 2) == 2
    assert "no such file or folder" in capsys.readouterr().err
    assert run(tmp_path, tmp_path / "out", "mfcc", 2) == 2
    stderr = capsys.readouterr().err
    assert "run_downstream.py: error: " in stderr
    assert "Traceback" not in stderr
