"""The pretraining loss: its parts add up, and it is finite for degenerate batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from motion_data.motion import Motion
from motion_data.negatives.drawing import NegativeCounts
from motion_data.pipeline.batch import Batch, collate
from motion_data.pipeline.beat_targets import spread_pulses
from motion_data.pipeline.config import PipelineConfig
from motion_data.pipeline.example import Example
from motion_data.pipeline.reader import ClipReader
from recipes.pretrain.criterion.beat_losses import BeatHeadSettings
from recipes.pretrain.criterion.pretraining_loss import curve_loss, pad_by_owner
from recipes.pretrain.criterion.settings import CriterionSettings, ECLSettings, FrameSettings
from recipes.pretrain.model import PretrainedModel, PretrainedModelConfig
from recipes.pretrain.options import CONFIGS
from recipes.pretrain.request import read_config
from tests.made_corpus import Made, write_corpus

SIZES = {"dim": 16, "trunk_dilations": [1, 2], "token_layers": 1, "heads": 2, "dropout": 0.0}
CONFIG = PretrainedModelConfig(
    music={**SIZES, "n_mels": 8, "embedding_dim": 12}, motion={**SIZES, "embedding_dim": 12}, projection=8
)
SETTINGS = CriterionSettings(frames=FrameSettings(window=1.0, windows=1, shifts=2))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    pairs = [Made(f"p{i}", bpm=100.0 + i, seconds=10.0, joints=i != 2) for i in range(4)]
    corpus = write_corpus(tmp_path_factory.mktemp("corpus"), pairs)
    config = PipelineConfig(bars=2, batch_size=4, fps=50.0, margin_seconds=1.0, start_place=None)
    return next(ClipReader(corpus, "train", config, negatives=NegativeCounts()))


def batch_of(clips: Sequence[Example], motions: bool = True) -> Batch:
    return collate(clips, 0.3, np.random.default_rng(0), motions=motions)


def test_the_parts_add_up_by_their_weights_and_every_parameter_learns(clips: list[Example]) -> None:
    torch.manual_seed(0)
    model = PretrainedModel(CONFIG)
    loss, parts = model(batch_of(clips), SETTINGS)
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


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(str(path.relative_to(CONFIGS)) for path in CONFIGS.rglob("*.yaml")))
def test_every_packaged_configuration_can_be_trained(name: str, clips: list[Example]) -> None:
    config = read_config(CONFIGS / name)
    values = dict(config.model.config_overrides or {})  # type: ignore[call-overload]  # plain values
    small = replace(
        CONFIG,
        **{key: value for key, value in values.items() if key not in ("music", "motion")},
        music={**values.get("music", {}), **CONFIG.music},
        motion={**values.get("motion", {}), **CONFIG.motion},
    )
    torch.manual_seed(0)
    settings = config.criterion.settings
    loss, _ = PretrainedModel(small)(batch_of(clips, settings.uses_motions), settings)
    assert torch.isfinite(loss)
    loss.backward()


@pytest.mark.parametrize(
    "kind", ["one piece", "one clip", "no negatives", "no contacts", "no grid", "silence"]
)
def test_degenerate_batches_have_a_finite_loss_and_finite_gradients(clips: list[Example], kind: str) -> None:
    torch.manual_seed(0)
    changes: dict[str, Callable[[Example], Example]] = {
        "one piece": lambda clip: replace(clip, group_ids=(0, clip.group_ids[1])),
        "one clip": lambda clip: replace(clip, negatives=()),
        "no negatives": lambda clip: replace(clip, negatives=()),
        "no contacts": lambda clip: replace(clip, motion=remove_pulses(clip.motion)),
        "no grid": lambda clip: replace(clip, grid=None, negatives=()),
        "silence": lambda clip: replace(clip, wav=torch.zeros_like(clip.wav)),
    }
    changed = [changes[kind](clip) for clip in clips]
    batch = batch_of(changed[:1] if kind == "one clip" else changed)
    model = PretrainedModel(CONFIG)
    loss, parts = model(batch, SETTINGS)
    assert bool(loss.isfinite())
    loss.backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)
    if kind in ("one piece", "no negatives"):
        # There are no negatives, or only in-batch ones.
        assert float(parts["negative_cosine"]) == 0 or kind == "no negatives"
    if kind == "no negatives":
        assert not bool(parts["hard_accuracy"].isfinite())
    if kind == "no contacts":
        assert not batch.contacts.any()
    if kind == "no grid":
        assert not batch.beats.beat.any()
        assert not batch.beats.has_beats.any()
        assert not any(parts[f"head_{name}"] for name in ("beat", "downbeat", "position", "metre", "tempo"))


def remove_pulses(motion: Motion) -> Motion:
    return replace(motion, pulses={limb: np.empty(0) for limb in motion.pulses})


def test_losses_of_weight_0_are_not_computed(clips: list[Example]) -> None:
    torch.manual_seed(0)
    model = PretrainedModel(CONFIG)
    only_pulses = CriterionSettings(
        ecl=ECLSettings(weight=0.0),
        sral_weight=0.0,
        frames=FrameSettings(infonce=0.0, onsets=0.0, pulses=1.0, pulse_target="beats"),
        heads=BeatHeadSettings(beat=0.0, downbeat=0.0, position=0.0, metre=0.0, tempo=0.0),
    )
    # The result is the same without motions, which no loss uses.
    assert not only_pulses.uses_motions
    torch.manual_seed(0)
    expected, _ = model(batch_of(clips), only_pulses)
    torch.manual_seed(0)
    loss, parts = model(batch_of(clips, motions=False), only_pulses)
    assert loss.item() == expected.item()
    assert set(parts) == {"loss", "frame_pulses"}
    loss.backward()
    trained_modules = {
        name.split(".")[1] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()
    }
    assert trained_modules == {"music"}


def test_negatives_are_padded_by_their_owner() -> None:
    rows = torch.arange(10.0).view(5, 2)
    padded, mask = pad_by_owner(rows, torch.tensor([0, 0, 2, 2, 2]), 4)
    assert mask.tolist() == [[True, True, False], [False] * 3, [True] * 3, [False] * 3]
    assert torch.equal(padded[mask], rows)
    assert not padded[~mask].any()
    no_rows, no_mask = pad_by_owner(rows[:0], torch.empty(0, dtype=torch.int64), 3)
    assert no_rows.shape == (3, 0, 2)
    assert no_mask.shape == (3, 0)


def test_targets_lie_in_0_to_1_and_a_pulse_reaches_over_its_neighbours() -> None:
    pulses = torch.zeros(1, 20)
    pulses[0, 10] = 1.0
    wide = spread_pulses(pulses)
    assert float(wide.max()) == float(wide[0, 10]) == 1.0
    assert wide[0, 8:13].tolist() == pytest.approx([0.1353, 0.6065, 1.0, 0.6065, 0.1353])
    assert not wide[0, :8].any()


def test_curve_loss_ignores_padding() -> None:
    logits, target = torch.randn(2, 30), torch.rand(2, 30)
    mask = torch.arange(30) < torch.tensor([[30], [12]])
    other = torch.where(mask, logits, 7.0)
    assert torch.equal(curve_loss(logits, target, mask), curve_loss(other, target, mask))
    assert float(curve_loss(logits, target, mask & False)) == 0.0
