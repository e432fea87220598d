"""The whole loss of a batch: its parts add up, and no batch is so odd that it has none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from motion_data.negatives.drawing import Wanted
from motion_data.pipeline.batch import Batch
from motion_data.pipeline.config import PipelineConfig
from motion_data.pipeline.negatives import HardNegatives
from motion_data.pipeline.reader import ClipReader
from recipes.pretrain.batch import PretrainBatch, pretrain_batch
from recipes.pretrain.criterion.beat_losses import BeatHeadSettings, spread
from recipes.pretrain.criterion.pretraining_loss import by_owner, curve_loss
from recipes.pretrain.criterion.settings import CriterionSettings, ECLSettings, FrameSettings
from recipes.pretrain.model import PretrainedModel, PretrainedModelConfig
from recipes.pretrain.options import CONFIGS
from recipes.pretrain.request import read_config
from tests.made_corpus import Made, write_corpus

SIZES = {"dim": 16, "trunk_dilations": [1, 2], "token_layers": 1, "heads": 2, "dropout": 0.0}
CONFIG = PretrainedModelConfig(
    music={**SIZES, "n_mels": 16, "embedding_dim": 12}, motion={**SIZES, "embedding_dim": 12}, projection=8
)
SETTINGS = CriterionSettings(frames=FrameSettings(window=1.0, windows=1, shifts=2))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    made = [Made(f"p{i}", bpm=100.0 + i, seconds=10.0, joints=i != 2) for i in range(4)]
    corpus = write_corpus(tmp_path_factory.mktemp("corpus"), made)
    config = PipelineConfig(bars=2, batch_size=4, fps=50.0, margin_seconds=1.0, start_place=None)
    negatives = HardNegatives(Wanted(seamless=True))
    return next(iter(ClipReader(corpus, "train", config, draw_negatives=negatives)))


def laid(clips: Batch) -> PretrainBatch:
    return pretrain_batch(clips, 0.3, np.random.default_rng(0))


def test_the_parts_add_up_by_their_weights_and_every_parameter_learns(clips: Batch) -> None:
    torch.manual_seed(0)
    model = PretrainedModel(CONFIG)
    loss, parts = model(laid(clips), SETTINGS)
    expected = (
        parts["ecl"]
        + 0.1 * parts["sral"]
        + parts["frame_infonce"]
        + 0.5 * parts["frame_onsets"]
        + parts["frame_pulses"]
        + parts["head_beat"]
        + parts["head_downbeat"]
        + 0.1 * (parts["head_position"] + parts["head_metre"] + parts["head_tempo"])
    )
    assert loss.item() == pytest.approx(float(expected), abs=1e-5)
    assert float(parts["loss"]) == loss.item()
    loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("name", sorted(str(path.relative_to(CONFIGS)) for path in CONFIGS.rglob("*.yaml")))
def test_every_packaged_configuration_can_be_trained(name: str, clips: Batch) -> None:
    config = read_config(CONFIGS / name)
    values = dict(config.model.config_overrides or {})  # type: ignore[call-overload]  # plain values
    small = replace(
        CONFIG,
        **{key: value for key, value in values.items() if key not in ("music", "motion")},
        music={**values.get("music", {}), **CONFIG.music},
        motion={**values.get("motion", {}), **CONFIG.motion},
    )
    torch.manual_seed(0)
    loss, _ = PretrainedModel(small)(laid(clips), config.criterion.settings)
    assert torch.isfinite(loss)
    loss.backward()


@pytest.mark.parametrize(
    "kind", ["one piece", "one clip", "no negatives", "no contacts", "no grid", "silence"]
)
def test_odd_batches_have_a_finite_loss_and_finite_gradients(clips: Batch, kind: str) -> None:
    torch.manual_seed(0)
    odd = clips
    if kind == "one piece":
        odd = replace(clips, pieces=torch.zeros_like(clips.pieces))
    if kind == "no negatives":
        odd = replace(clips, negatives=())
    if kind == "no contacts":
        bare = tuple(replace(m, pulses={limb: np.empty(0) for limb in m.pulses}) for m in clips.motions)
        odd = replace(clips, motions=bare)
    if kind == "no grid":
        odd = replace(clips, grids=(None,) * len(clips), negatives=())
    if kind == "silence":
        odd = replace(clips, wav=torch.zeros_like(clips.wav))
    batch = laid(odd)
    if kind == "one clip":
        batch = laid(first_alone(clips))
    model = PretrainedModel(CONFIG)
    loss, parts = model(batch, SETTINGS)
    assert bool(loss.isfinite())
    loss.backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)
    if kind in ("one piece", "no negatives"):
        # Nothing may be contrasted with, or nothing but the batch.
        assert float(parts["negative_cosine"]) == 0 or kind == "no negatives"
    if kind == "no negatives":
        assert not bool(parts["hard_accuracy"].isfinite())
    if kind == "no contacts":
        assert not batch.contact_target.any()
    if kind == "no grid":
        assert not batch.beats.beat.any()
        assert not batch.beats.has_beats.any()
        assert not any(parts[f"head_{name}"] for name in ("beat", "downbeat", "position", "metre", "tempo"))


def first_alone(clips: Batch) -> Batch:
    """The first clip, with no negatives: those of others would point to rows that are gone."""
    rows = {
        name: getattr(clips, name)[:1]
        for name in (
            "wav",
            "wav_lengths",
            "joints",
            "joint_lengths",
            "has_joints",
            "pulse_times",
            "pulse_counts",
            "pulse_frames",
            "has_pulses",
            "pieces",
            "takes",
            "starts",
            "grids",
            "names",
            "motions",
        )
    }
    rows["wav"] = rows["wav"][:, : int(clips.wav_lengths[0])]
    return replace(clips, **rows, negatives=())


def test_what_has_no_weight_is_not_computed(clips: Batch) -> None:
    torch.manual_seed(0)
    model = PretrainedModel(CONFIG)
    alone = CriterionSettings(
        ecl=ECLSettings(weight=0.0),
        sral_weight=0.0,
        frames=FrameSettings(infonce=0.0, onsets=0.0, pulses=1.0, pulse_target="beats"),
        heads=BeatHeadSettings(beat=0.0, downbeat=0.0, position=0.0, metre=0.0, tempo=0.0),
    )
    loss, parts = model(laid(clips), alone)
    assert set(parts) == {"loss", "frame_pulses"}
    loss.backward()
    moved = {
        name.split(".")[1] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()
    }
    assert moved == {"music"}


def test_negatives_are_laid_out_by_their_owner() -> None:
    rows = torch.arange(10.0).view(5, 2)
    laid_out, there = by_owner(rows, torch.tensor([0, 0, 2, 2, 2]), 4)
    assert there.tolist() == [[True, True, False], [False] * 3, [True] * 3, [False] * 3]
    assert torch.equal(laid_out[there], rows)
    assert not laid_out[~there].any()
    none, nothing = by_owner(rows[:0], torch.empty(0, dtype=torch.int64), 3)
    assert none.shape == (3, 0, 2)
    assert nothing.shape == (3, 0)


def test_targets_lie_in_0_to_1_and_a_pulse_reaches_over_its_neighbours() -> None:
    pulses = torch.zeros(1, 20)
    pulses[0, 10] = 1.0
    wide = spread(pulses)
    assert float(wide.max()) == float(wide[0, 10]) == 1.0
    assert wide[0, 8:13].tolist() == pytest.approx([0.1353, 0.6065, 1.0, 0.6065, 0.1353])
    assert not wide[0, :8].any()


def test_a_curve_is_not_judged_beyond_its_clip() -> None:
    logits, target = torch.randn(2, 30), torch.rand(2, 30)
    mask = torch.arange(30) < torch.tensor([[30], [12]])
    other = torch.where(mask, logits, 7.0)
    assert torch.equal(curve_loss(logits, target, mask), curve_loss(other, target, mask))
    assert float(curve_loss(logits, target, mask & False)) == 0.0
