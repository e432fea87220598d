"""The configuration of a pretraining run: fairseq2's sections, with our defaults, and our own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import torch
from fairseq2.recipe.config import (
    AdamWConfig,
    CommonSection,
    CosineAnnealingLRConfig,
    GangSection,
    LRSchedulerSection,
    MixedPrecisionConfig,
    ModelSection,
    OptimizerSection,
    RegimeSection,
    TrainerSection,
)
from fairseq2.utils.validation import StandardObjectValidator, ValidationError
from pydantic import AfterValidator, Field, PlainValidator, model_validator
from pydantic.dataclasses import dataclass

from motion_data.configuration import (
    CONFIG,
    Bool,
    Count,
    CountOrZero,
    Integer,
    NotNegative,
    Number,
    Positive,
)
from motion_data.negatives.drawing import Wanted
from motion_data.pipeline.config import ClipConfig, PipelineConfig
from recipes.pretrain.criterion.settings import CriterionSettings
from recipes.pretrain.metrics import SCORE, Score

FAMILY = "motionbeat"
"""Of models, as fairseq2 knows it."""

Section = TypeVar("Section")


def _dtype(value: object) -> torch.dtype:
    dtype = getattr(torch, value.removeprefix("torch."), None) if isinstance(value, str) else value
    if not isinstance(dtype, torch.dtype):
        raise ValueError("must be the name of a torch.dtype, such as bfloat16")
    return dtype


def _check_corpora(folders: list[Path]) -> list[Path]:
    if not folders:
        raise ValueError("no corpora; name at least one prepared folder")
    return folders


def _check_by_fairseq2(section: Section) -> Section:
    """What fairseq2 itself refuses when a run starts."""
    try:
        StandardObjectValidator().validate(section)
    except ValidationError as error:
        raise ValueError(str(error)) from error
    except ArithmeticError as error:
        # It divides numbers of steps by each other before it looks at them.
        raise ValueError(f"numbers of steps and epochs must be at least 1 ({error})") from error
    return section


DType = Annotated[torch.dtype, PlainValidator(_dtype)]
Fairseq2 = AfterValidator(_check_by_fairseq2)


@dataclass(config=CONFIG, kw_only=True)
class Model(ModelSection):
    """What is trained; ``config_overrides`` are of ``recipes.pretrain.model.PretrainedModelConfig``."""

    family: str | None = FAMILY
    arch: str | None = "tiny"
    config_overrides: dict[str, object] | None = None
    dtype: DType = torch.float32

    @model_validator(mode="after")
    def _check_family(self) -> Self:
        if self.family != FAMILY or self.name is not None or self.path is not None:
            raise ValueError(f"family must be {FAMILY!r}, without name and path")
        return self


@dataclass(config=CONFIG, frozen=True, kw_only=True)
class DataSection(ClipConfig):
    """What is read, and how it is cut."""

    corpora: Annotated[list[Path], AfterValidator(_check_corpora)] = field(default_factory=list)
    """Folders of prepared corpora. A batch holds clips of one of them."""
    seconds: Positive = 6.0
    longest_seconds: Positive = 7.0
    margin_seconds: NotNegative = 2.0
    clips_per_pair: Count = 2
    workers: Count = 1
    memory_megabytes: NotNegative = 4000.0
    own_process: Bool = True
    """Whether training data is read in a process of its own; see
    :class:`~recipes.pretrain.data_reader.PretrainReader`. The batches do not depend on it."""
    rolled_motion: Bool = False
    """Give each clip its motion rolled at random: the control that says what motion adds."""

    def pipeline(self, seed: int) -> PipelineConfig:
        """The pipeline's settings for training."""
        chosen: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(ClipConfig)}
        return PipelineConfig(**chosen, start_place=None, least_clips=2, fps=50.0, seed=seed, prefetch=0)

    @model_validator(mode="after")
    def _check_pipeline(self) -> Self:
        self.pipeline(seed=0)
        return self


@dataclass(config=CONFIG, frozen=True, kw_only=True)
class ValidationSection:
    """What is measured on the dev split, and on how much of it."""

    clips: CountOrZero = 256
    """Clips at most; 0 for no validation."""
    pool: Annotated[Integer, Field(ge=2)] = 64
    """Motions that each music's own is found among."""
    probe: Bool = True
    """Whether a small beat probe is fitted to the frozen features."""
    retrieval: Bool = True
    """Whether music is compared with motion; false where no loss trains that."""


@dataclass(config=CONFIG, frozen=True, kw_only=True)
class CriterionSection:
    """The losses; see :class:`~recipes.pretrain.criterion.settings.CriterionSettings`."""

    settings: CriterionSettings = field(default_factory=CriterionSettings)
    stop_after: Count = 20
    """Steps in a row without a finite loss or gradient that stop the run; fewer are skipped and counted."""

    def wanted(self) -> Wanted:
        """Hard negatives of a clip."""
        ecl = self.settings.ecl
        if not ecl.weight:
            return Wanted(0, 0, 0, seamless=True)
        return Wanted(ecl.jittered, ecl.stretched, ecl.others, seamless=True)


@dataclass(config=CONFIG, frozen=True, kw_only=True)
class InitSection:
    """Exported weights that a new run begins with; a run that goes on has its own."""

    music: Path | None = None
    """Checkpoint of a music tower (.safetensors) of the same sizes; none: a random initialisation."""
    motion: Path | None = None
    """What was trained with it (``--motion-side`` of the export); none: a random initialisation."""

    @model_validator(mode="after")
    def _check_music(self) -> Self:
        if self.motion is not None and self.music is None:
            raise ValueError("motion needs music, the music tower that it was trained with")
        return self


@dataclass(config=CONFIG, kw_only=True)
class MixedPrecision(MixedPrecisionConfig):
    """Precision of the forward and the backward pass."""

    mode: Literal["off", "static", "auto"] = "off"
    dtype: DType = torch.bfloat16


@dataclass(config=CONFIG, kw_only=True)
class Trainer(TrainerSection):
    """How gradients are made into steps."""

    mixed_precision: MixedPrecision = field(default_factory=MixedPrecision)
    max_grad_norm: NotNegative | None = 1.0


@dataclass(config=CONFIG, kw_only=True)
class AdamW(AdamWConfig):
    """The optimizer that is used by default."""

    lr: Number = 5e-4
    weight_decay: Number = 0.01


@dataclass(config=CONFIG, kw_only=True)
class CosineAnnealing(CosineAnnealingLRConfig):
    """The schedule of the learning rate that is used by default."""

    cycle_len: Count | None = 1800
    num_warmup_steps: CountOrZero = 200
    final_lr_scale: Number | Sequence[Number] | None = 0.05

    @model_validator(mode="after")
    def _check_length(self) -> Self:
        if self.cycle_len is None:
            raise ValueError(
                "cycle_len must be given: taken from num_steps, it would change when a run goes on for longer"
            )
        return self


COMPONENTS: Mapping[str, Mapping[str, type]] = {
    "optimizer": {"adamw": AdamW},
    "lr_scheduler": {"cosine_annealing": CosineAnnealing},
}
"""Configurations that fairseq2 chooses by a name; those of other names are left to it."""


@dataclass(config=CONFIG, kw_only=True)
class Regime(RegimeSection):
    """How long it is trained, and what is done at which steps."""

    num_steps: Count = 2000
    publish_metrics_every_n_steps: Count | None = 20
    checkpoint_every_n_steps: Count | None = 200
    validate_every_n_steps: Count | None = 200
    keep_last_n_checkpoints: Count | None = 2
    keep_best_n_checkpoints: Count | None = 1
    score_metric: Score | None = SCORE


@dataclass(config=CONFIG, kw_only=True)
class Common(CommonSection):
    """The seed, and fairseq2's own affairs."""

    no_sweep_dir: Bool = True
    seed: CountOrZero = 0

    @model_validator(mode="after")
    def _check_folder(self) -> Self:
        # A folder name that depends on the options would start afresh where a run was to go on.
        if not self.no_sweep_dir:
            raise ValueError("no_sweep_dir must be true, or a run cannot be resumed by its folder")
        return self


@dataclass(config=CONFIG, kw_only=True)
class PretrainConfig:
    """Of a run."""

    model: Annotated[Model, Fairseq2] = field(default_factory=Model)
    init: InitSection = field(default_factory=InitSection)
    data: DataSection = field(default_factory=DataSection)
    criterion: CriterionSection = field(default_factory=CriterionSection)
    validation: ValidationSection = field(default_factory=ValidationSection)
    gang: Annotated[GangSection, Fairseq2] = field(default_factory=GangSection)
    trainer: Annotated[Trainer, Fairseq2] = field(default_factory=Trainer)
    optimizer: OptimizerSection = field(default_factory=lambda: OptimizerSection(config=AdamW()))
    lr_scheduler: LRSchedulerSection = field(
        default_factory=lambda: LRSchedulerSection(config=CosineAnnealing())
    )
    regime: Annotated[Regime, Fairseq2] = field(default_factory=Regime)
    common: Annotated[Common, Fairseq2] = field(default_factory=Common)
