"""The task's expert, driven as S3PRL's runner drives it, on features made by hand."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from motion_data.beats_file import read_beats
from motionbeat_upstream.errors import MotionBeatError
from recipes.downstream.beat_tracking.decoding import decode_dbn
from recipes.downstream.beat_tracking.expert import DownstreamExpert
from recipes.downstream.beat_tracking.model import Probe
from recipes.downstream.beat_tracking.scores import LATENESS
from recipes.downstream.beat_tracking.settings import ModelSettings
from recipes.results.record import item_table, read_results, results_path
from tests.beat_tracking_clicks import write_clicks

CONFIG = Path(__file__).parents[4] / "recipes" / "downstream" / "beat_tracking" / "config.yaml"
STRIDE = 320


class Scalars:
    """Stands in for tensorboard's writer."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def add_scalar(self, name: str, value: float, global_step: int) -> None:
        self.values[name] = float(value)


def features(wavs: list[Tensor], stride: int = STRIDE) -> list[Tensor]:
    """Log energy below and above 1 kHz, and one number that says nothing, per frame: (T_i, 3)."""
    made = []
    for wav in wavs:
        spectra = torch.fft.rfft(wav[: len(wav) // stride * stride].reshape(-1, stride)).abs() ** 2
        border = 1000 * stride // 16_000
        low, high = spectra[:, :border].sum(1), spectra[:, border:].sum(1)
        made.append(torch.stack([(low + 1e-3).log(), (high + 1e-3).log(), torch.ones_like(low)], 1))
    return made


@pytest.fixture(scope="module")
def clicks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clicks(tmp_path_factory.mktemp("clicks"))


def expert(root: Path | None, expdir: Path, stride: int = STRIDE, **sections: Any) -> DownstreamExpert:
    torch.manual_seed(0)
    sections["datarc"] = {
        "root": None if root is None else str(root),
        "crop_seconds": 6.0,
        "chunk_seconds": 10.0,
        "overlap_seconds": 2.0,
    } | sections.get("datarc", {})
    sections.setdefault("scoringrc", {"resamples": 100})
    return DownstreamExpert(3, stride, sections, str(expdir), upstream="by hand", mode="train", seed=1)


def train(task: DownstreamExpert, steps: int, lr: float = 0.05) -> list[float]:
    optimizer = torch.optim.Adam(task.parameters(), lr)
    task.train()
    losses: list[float] = []
    epoch = 0
    while len(losses) < steps:
        for wavs, crops in task.get_dataloader("train", epoch=epoch):
            records: dict[str, list[Any]] = defaultdict(list)
            loss = task("train", features(wavs, round(task.stride)), crops, records=records)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            assert task.log_records("train", records, Scalars(), len(losses) + 1) == []
            losses.append(loss.item())
        epoch += 1
    return losses


def evaluate(task: DownstreamExpert, split: str, step: int) -> tuple[list[str], int]:
    """Checkpoints to keep, and how many chunks were heard."""
    task.eval()
    records: dict[str, list[Any]] = defaultdict(list)
    heard = 0
    for wavs, chunks in task.get_dataloader(split):
        with torch.no_grad():
            task(split, features(wavs, round(task.stride)), chunks, records=records, batch_id=heard)
        heard += 1
    saved = task.log_records(split, records, Scalars(), step)
    task.train()
    return saved, heard


@pytest.mark.slow
@pytest.mark.parametrize(("probe", "stride"), [("linear", 320), ("linear", 160), ("mlp", 320), ("conv", 320)])
def test_a_few_steps_learn_clicks_and_the_scores_tell(
    clicks: Path, tmp_path: Path, probe: str, stride: int
) -> None:
    task = expert(clicks, tmp_path, stride, modelrc={"probe": probe, "hidden": 32}, plots=probe == "mlp")
    losses = train(task, 80)
    assert sum(losses[-5:]) < 0.4 * sum(losses[:5])
    saved, heard = evaluate(task, "dev", 40)
    assert saved == ["dev-best.ckpt"]
    assert heard == 3  # 24 s in chunks of 10 s
    assert evaluate(task, "test", 40) == ([], 3)
    (results,) = read_results(results_path(tmp_path))
    assert results.run.step == 40
    table = item_table(results)
    assert table.index.tolist() == [("p4", "p4")]
    scores = table.iloc[0]
    for decoder in ("dbn", "peaks"):
        assert scores[f"{decoder} beat F"] > 0.95
        assert scores[f"{decoder} downbeat F"] > 0.9
        assert abs(scores[f"{decoder} {LATENESS}"]) < 0.02
    assert (tmp_path / "plots" / "p4.png").is_file() == (probe == "mlp")


def test_the_test_split_is_heard_only_where_dev_keeps_the_weights(clicks: Path, tmp_path: Path) -> None:
    task = expert(clicks, tmp_path)
    train(task, 30)
    assert evaluate(task, "dev", 10)[0] == ["dev-best.ckpt"]
    assert evaluate(task, "test", 10)[1] == 3
    kept = results_path(tmp_path).read_text()
    best = float(task.best)
    with torch.no_grad():
        for weight in task.probe.parameters():
            weight.mul_(-1.0)  # far worse
    assert evaluate(task, "dev", 20)[0] == []
    assert evaluate(task, "test", 20)[1] == 0
    assert float(task.best) == best
    assert results_path(tmp_path).read_text() == kept
    assert read_results(results_path(tmp_path, "dev"))[0].run.step == 10
    # Asked for by the command, where nothing is chosen, it is heard.
    task = expert(clicks, tmp_path)
    assert evaluate(task, "test", 0)[1] == 3
    assert read_results(results_path(tmp_path))[0].run.step is None


def test_a_diverged_probe_is_told_and_not_kept(clicks: Path, tmp_path: Path) -> None:
    task = expert(clicks, tmp_path)
    with torch.no_grad():
        for weight in task.probe.parameters():
            weight.fill_(float("nan"))
    with pytest.raises(MotionBeatError, match=r"diverged.*lower config.optimizer.lr"):
        evaluate(task, "dev", 30)
    assert not results_path(tmp_path, "dev").exists()


def test_thresholds_come_from_dev_and_go_with_the_checkpoint(clicks: Path, tmp_path: Path) -> None:
    task = expert(clicks, tmp_path)
    train(task, 40)
    evaluate(task, "test", 0)
    assert task.thresholds.tolist() == [0.5, 0.5]
    evaluate(task, "dev", 10)
    chosen = task.thresholds.tolist()
    assert chosen != [0.5, 0.5]
    other = expert(clicks, tmp_path)
    other.load_state_dict(task.state_dict())
    assert other.thresholds.tolist() == chosen
    assert float(other.best) == float(task.best)


def test_the_dbn_gets_logits_without_part_of_the_training_weight(clicks: Path, tmp_path: Path) -> None:
    logits = torch.randn(1000, 2)
    for share in (0.0, 0.5, 1.0):
        task = expert(clicks, tmp_path, decodingrc={"unbalance": share})
        assert float(task.positive_weights.min()) > 2
        weighted = logits + share * task.positive_weights.log().T
        found = task.decode(weighted, "dbn")
        expected = decode_dbn(logits, (2, 3, 4), 55.0, 215.0, 50.0)
        np.testing.assert_allclose(found.times, expected.times, atol=1e-3)


def test_inference_writes_beats_and_needs_no_data(clicks: Path, tmp_path: Path) -> None:
    task = expert(clicks, tmp_path / "trained")
    train(task, 80)
    evaluate(task, "dev", 10)
    alone = DownstreamExpert(
        3, STRIDE, {"datarc": {"root": "/gone"}}, str(tmp_path), mode="inference", upstream="by hand"
    )
    alone.load_state_dict(task.state_dict())
    alone.eval()
    wav = alone.load_audio(clicks / "p4.wav")
    with torch.no_grad():
        alone.inference(features([wav]), ["p4"])
    found, truth = read_beats(tmp_path / "p4.beats"), read_beats(clicks / "p4.beats")
    assert abs(len(found.times) - len(truth.times)) <= 1
    assert set(found.positions) == {1, 2, 3}


def test_no_downbeats_and_no_beats_in_a_crop_train_without_fault(tmp_path: Path) -> None:
    folder = write_clicks(tmp_path / "data")
    for path in folder.glob("*.beats"):
        # No annotated downbeats, and nothing annotated in the first 20 s: some crops have no beat.
        times = [line.split()[0] for line in path.read_text().splitlines()]
        path.write_text("".join(f"{time}\n" for time in times if float(time) > 20))
    task = expert(folder, tmp_path)
    assert float(task.positive_weights[1]) == 1.0
    losses = train(task, 12)
    assert all(0 <= loss < 1e4 for loss in losses)
    evaluate(task, "dev", 10)
    evaluate(task, "test", 10)
    assert "Without annotated downbeats: p4." in (tmp_path / "scores-test.md").read_text()


def test_features_may_be_a_few_frames_more_or_less_than_the_audio(clicks: Path, tmp_path: Path) -> None:
    task = expert(clicks, tmp_path)
    (wavs, crops) = next(iter(task.get_dataloader("train", epoch=0)))
    made = features(wavs)
    task.train()
    for change in (-4, 4):
        changed = [torch.cat([clip, clip[-4:]]) if change > 0 else clip[:change] for clip in made]
        assert torch.isfinite(task("train", changed, crops, records=defaultdict(list)))


@pytest.mark.parametrize("probe", ["linear", "mlp", "conv"])
def test_a_probe_treats_each_clip_by_itself(probe: Literal["linear", "mlp", "conv"]) -> None:
    torch.manual_seed(0)
    model = Probe(5, 50.0, ModelSettings(probe=probe)).eval()
    clips = [torch.randn(length, 5) for length in (7, 40, 1)]
    together = model(clips)
    assert [tuple(clip.shape) for clip in together] == [(7, 2), (40, 2), (1, 2)]
    for clip, logits in zip(clips, together, strict=True):
        torch.testing.assert_close(model([clip])[0], logits)


def test_the_linear_probe_is_one_affine_map_a_frame() -> None:
    model = Probe(4, 50.0, ModelSettings())
    model([torch.randn(100, 4) * 7 + 3])  # moves the normalisation's statistics
    model.eval()
    (a, b, mid) = model([torch.eye(4), -torch.eye(4), torch.zeros(4, 4)])
    torch.testing.assert_close((a + b) / 2, mid)
    assert sum(weight.numel() for weight in model.parameters()) == 4 * 2 + 2
