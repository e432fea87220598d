"""Configuration of a pretraining run: the sections of fairseq2 with our defaults, and our own sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, fields
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

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
from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from motion_data.errors import DataError
from motion_data.label_targets import TARGETS
from motion_data.manifest import Corpus, PairSource
from motion_data.negatives.drawing import NegativeCounts
from motion_data.pipeline.config import ClipConfig, PipelineConfig
from motion_data.settings import CONFIG, Bool, Count, Integer, Natural, NotNegative, Number, Positive
from recipes.pretrain.criterion.settings import CriterionSettings
from recipes.pretrain.metrics import DEFAULT_SCORE, SCORES

FAMILY = "motionbeat"
"""Name of the model family in fairseq2."""

Section = TypeVar("Section")


def _check_corpora(folders: list[str]) -> list[str]:
    if not folders:
        raise ValueError("no corpora; name at least one prepared folder")
    return folders


def _check_targets(names: list[str]) -> list[str]:
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        raise ValueError(f"unknown target {', '.join(unknown)}; choose from {', '.join(TARGETS)}")
    return names


def _check(section: Section) -> Section:
    """Apply the validation that fairseq2 runs at the start of a run, and our own."""
    messages = []
    try:
        StandardObjectValidator().validate(section)
    except ValidationError as error:
        messages.append(str(error))
    except ArithmeticError as error:
        # fairseq2 divides numbers of steps before it checks them.
        messages.append(f"numbers of steps and epochs must be at least 1 ({error})")
    match section:
        case ModelSection() if (section.family, section.name, section.path) != (FAMILY, None, None):
            messages.append(f"family must be {FAMILY!r}, without name and path")
        case RegimeSection():
            if section.num_steps is None:
                messages.append("num_steps is required")
            if section.score_metric not in (None, *SCORES):
                messages.append(
                    f"score_metric must be one of {', '.join(SCORES)}, got {section.score_metric}"
                )
        case CommonSection():
            if not section.no_sweep_dir:
                messages.append("no_sweep_dir must be true, so that a run can be resumed by its folder")
            if section.seed < 0:
                messages.append(f"seed must be at least 0, got {section.seed}")
        case CosineAnnealingLRConfig(cycle_len=None):
            messages.append(
                "cycle_len is required; a default of num_steps would change when a run is extended"
            )
    if messages:
        raise ValueError("; ".join(messages))
    return section


Validated = AfterValidator(_check)
"""Validator for sections of fairseq2."""


@dataclass(config=CONFIG, kw_only=True)
class AdamW(AdamWConfig):
    """Settings of the optimizer."""

    lr: Number = 5e-4
    weight_decay: Number = 0.01


@dataclass(config=CONFIG, kw_only=True)
class CosineAnnealing(CosineAnnealingLRConfig):
    """Schedule of the learning rate."""

    cycle_len: Count | None = 1800
    num_warmup_steps: Natural = 200
    final_lr_scale: float | Sequence[float] | None = 0.05


COMPONENTS: Mapping[str, Mapping[str, Any]] = {
    "optimizer": {"adamw": AdamW},
    "lr_scheduler": {"cosine_annealing": Annotated[CosineAnnealing, Validated]},
}
"""Configuration classes by section and name; fairseq2 validates those of other names."""


@dataclass(config=CONFIG, frozen=True, kw_only=True)
class DataSection(ClipConfig):
    """Corpora, and how clips are cut from them."""

    corpora: Annotated[list[str], AfterValidator(_check_corpora)] = field(default_factory=list)
    """Folders of prepared corpora, or URLs of shards. All clips of a batch are from one corpus."""
    seconds: Positive = 6.0
    longest_seconds: Positive = 7.0
    margin_seconds: NotNegative = 2.0
    clips_per_pair: Count = 2
    workers: Count = 1
    memory_megabytes: NotNegative = 4000.0
    own_process: Bool = True
    """Whether a separate process reads the training data; see
    :class:`~recipes.pretrain.data_reader.PretrainReader`. The batches do not depend on it."""
    endless: Bool = False
    """Render new training pairs of constructed corpora without end; each is used for ``clips_per_pair``
    clips. Dev and test are those of the manifest. Needs the prepared corpus itself, not its shards."""
    pairs_per_epoch: Count = 2400
    """Pairs per epoch of an endless corpus."""
    targets: Annotated[list[str], AfterValidator(_check_targets)] = field(default_factory=list)
    """Frame-wise targets in the batches, derived from labels of notes, drums, chords, key and sections: names
    in :data:`~motion_data.label_targets.TARGETS`."""
    rolled_motion: Bool = False
    """Roll the motion of each clip by a random offset: the control for the contribution of motion."""

    def pipeline(self, seed: int) -> PipelineConfig:
        """Settings of the training pipeline."""
        clip_settings: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(ClipConfig)}
        return PipelineConfig(
            **clip_settings, start_place=None, least_clips=2, fps=50.0, seed=seed, prefetch=0
        )

    def sources(self, corpora: Sequence[Corpus]) -> list[PairSource]:
        """Sources of the training pairs: the corpora, or endless sources instead of constructed corpora.

        Raises:
            DataError: ``endless`` is set and no corpus is constructed, or a corpus has changed.
        """
        if not self.endless:
            return list(corpora)
        from motion_data.corpora.constructed.endless import open_endless

        constructed = [corpus.info.get("corpus") == "constructed" for corpus in corpora]
        if not any(constructed):
            raise DataError(
                "data.endless is true, but none of data.corpora is a constructed corpus, and only these can "
                "be endless; add one, or leave data.endless out"
            )
        return [
            open_endless(corpus, self.pairs_per_epoch) if is_constructed else corpus
            for corpus, is_constructed in zip(corpora, constructed, strict=True)
        ]

    @model_validator(mode="after")
    def _check_pipeline(self) -> Self:
        self.pipeline(seed=0)
        return self


@dataclass(config=CONFIG, frozen=True, kw_only=True)
class ValidationSection:
    """Metrics on the dev split."""

    clips: Natural = 256
    """Maximum number of clips; 0 disables validation."""
    pool: Annotated[Integer, Field(ge=2)] = 64
    """Motions per retrieval, including the paired one."""
    probe: Bool = True
    """Whether to fit a beat probe to the frozen features."""
    retrieval: Bool = True
    """Whether to compare music with motion; false if no loss trains it."""


@dataclass(config=CONFIG, frozen=True, kw_only=True)
class CriterionSection:
    """Losses; see :class:`~recipes.pretrain.criterion.settings.CriterionSettings`."""

    settings: CriterionSettings = field(default_factory=CriterionSettings)
    stop_after: Count = 20
    """Number of consecutive steps without a finite gradient that stops the run; fewer are skipped and
    counted."""

    def hard_negatives(self) -> NegativeCounts | None:
        """Hard negatives per clip; None if no loss uses them."""
        ecl = self.settings.ecl
        if not ecl.weight:
            return None
        return NegativeCounts(ecl.jittered, ecl.stretched, ecl.others)


@dataclass(config=CONFIG, frozen=True, kw_only=True)
class InitSection:
    """Initial weights of a new run; ignored when a run is resumed."""

    music: Path | None = None
    """Checkpoint of a music tower (.safetensors) of the same sizes; None for a random initialisation."""
    motion: Path | None = None
    """Motion tower and heads (``--motion-side`` of an export), trained with this music tower or an earlier
    state of it; None for a random initialisation."""
    frozen: list[str] = field(default_factory=list)
    """Modules of :class:`~motionbeat_upstream.nn.motionbeat.MotionBeat` that are not trained, such as
    ``music.trunk``."""

    @model_validator(mode="after")
    def _check_music(self) -> Self:
        if self.motion is not None and self.music is None:
            raise ValueError("motion needs music, the music tower that it was trained with")
        return self


@dataclass(config=ConfigDict(**CONFIG, arbitrary_types_allowed=True), kw_only=True)
class PretrainConfig:
    """Configuration of a run."""

    model: Annotated[ModelSection, Validated] = field(
        default_factory=lambda: ModelSection(family=FAMILY, arch="tiny")
    )
    init: InitSection = field(default_factory=InitSection)
    data: DataSection = field(default_factory=DataSection)
    criterion: CriterionSection = field(default_factory=CriterionSection)
    validation: ValidationSection = field(default_factory=ValidationSection)
    gang: Annotated[GangSection, Validated] = field(default_factory=GangSection)
    trainer: Annotated[TrainerSection, Validated] = field(
        default_factory=lambda: TrainerSection(
            mixed_precision=MixedPrecisionConfig(mode="off"), max_grad_norm=1.0
        )
    )
    optimizer: OptimizerSection = field(default_factory=lambda: OptimizerSection(config=AdamW()))
    lr_scheduler: LRSchedulerSection = field(
        default_factory=lambda: LRSchedulerSection(config=CosineAnnealing())
    )
    regime: Annotated[RegimeSection, Validated] = field(
        default_factory=lambda: RegimeSection(
            num_steps=2000,
            publish_metrics_every_n_steps=20,
            checkpoint_every_n_steps=200,
            validate_every_n_steps=200,
            keep_last_n_checkpoints=2,
            keep_best_n_checkpoints=1,
            score_metric=DEFAULT_SCORE,
        )
    )
    # no_sweep_dir: a folder name that depends on the options would prevent resuming with other options.
    common: Annotated[CommonSection, Validated] = field(
        default_factory=lambda: CommonSection(no_sweep_dir=True, seed=0)
    )
