"""The configuration of a pretraining run: fairseq2's sections and our own."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

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
from fairseq2.utils.validation import ValidationResult

from motion_data.errors import DataError
from motion_data.negatives.drawing import Wanted
from motion_data.pipeline.config import PipelineConfig
from recipes.pretrain.criterion.settings import CriterionSettings
from recipes.pretrain.metrics import SCORE, SCORES

FAMILY = "motionbeat"
"""Of models, as fairseq2 knows it."""


@dataclass(kw_only=True)
class DataSection:
    """What is read, and how it is cut; see :class:`~motion_data.pipeline.config.PipelineConfig`."""

    corpora: list[Path] = field(default_factory=list)
    """Folders of prepared corpora. A batch holds clips of one of them."""
    bars: int | None = 4
    seconds: float = 6.0
    longest_seconds: float = 7.0
    margin_seconds: float = 2.0
    batch_size: int = 32
    """Clips a batch on each rank, at most."""
    clips_per_pair: int = 2
    tempo_octaves: float = 0.25
    speed_octaves: float = 0.0
    workers: int = 1
    memory_megabytes: float = 4000.0
    failures_in_row: int = 10
    own_process: bool = True
    """Whether training data is read in a process of its own; see
    :class:`~recipes.pretrain.data_reader.PretrainReader`. The batches do not depend on it."""
    rolled_motion: bool = False
    """Give each clip its motion rolled at random: the control that says what motion adds."""

    def pipeline(self, seed: int) -> PipelineConfig:
        """The pipeline's settings for training."""
        return PipelineConfig(
            bars=self.bars,
            seconds=self.seconds,
            longest_seconds=self.longest_seconds,
            start_place=None,
            margin_seconds=self.margin_seconds,
            clips_per_pair=self.clips_per_pair,
            batch_size=self.batch_size,
            least_clips=2,
            tempo_octaves=self.tempo_octaves,
            speed_octaves=self.speed_octaves,
            fps=50.0,
            seed=seed,
            failures_in_row=self.failures_in_row,
            workers=self.workers,
            prefetch=0,
            memory_megabytes=self.memory_megabytes,
        )

    def validate(self) -> ValidationResult:
        """What cannot be, as fairseq2 asks for it."""
        result = ValidationResult()
        if not self.corpora:
            result.add_error("no corpora; name at least one prepared folder")
        try:
            self.pipeline(seed=0).validate()
        except DataError as error:
            result.add_error(str(error))
        return result


@dataclass(kw_only=True)
class ValidationSection:
    """What is measured on the dev split, and on how much of it."""

    clips: int = 256
    """Clips at most; 0 for no validation."""
    pool: int = 64
    """Motions that each music's own is found among."""
    probe: bool = True
    """Whether a small beat probe is fitted to the frozen features."""
    retrieval: bool = True
    """Whether music is compared with motion; false where no loss trains that."""

    def validate(self) -> ValidationResult:
        """What cannot be, as fairseq2 asks for it."""
        result = ValidationResult()
        if self.clips < 0:
            result.add_error(f"clips must be at least 0, got {self.clips}")
        if self.pool < 2:
            result.add_error(f"pool must be at least 2, got {self.pool}")
        return result


@dataclass(kw_only=True)
class CriterionSection:
    """The losses; see :class:`~recipes.pretrain.criterion.settings.CriterionSettings`."""

    settings: CriterionSettings = field(default_factory=CriterionSettings)
    stop_after: int = 20
    """Steps in a row without a finite loss or gradient that stop the run; fewer are skipped and counted."""

    def wanted(self) -> Wanted | None:
        """Hard negatives of a clip; None where no loss compares them."""
        ecl = self.settings.ecl
        if not ecl.weight:
            return None
        return Wanted(ecl.jittered, ecl.stretched, ecl.others, seamless=True)

    def validate(self) -> ValidationResult:
        """What cannot be, as fairseq2 asks for it."""
        result = ValidationResult()
        for fault in self.settings.faults():
            result.add_error(fault)
        if self.stop_after < 1:
            result.add_error(f"stop_after must be at least 1, got {self.stop_after}")
        return result


@dataclass(kw_only=True)
class InitSection:
    """Exported weights that a new run begins with; a run that goes on has its own."""

    music: Path | None = None
    """Checkpoint of a music tower (.safetensors) of the same sizes; none: a random initialisation."""
    motion: Path | None = None
    """What was trained with it (``--motion-side`` of the export); none: a random initialisation."""

    def validate(self) -> ValidationResult:
        """What cannot be, as fairseq2 asks for it."""
        result = ValidationResult()
        if self.motion is not None and self.music is None:
            result.add_error("init.motion needs init.music, the music tower that it was trained with")
        return result


@dataclass(kw_only=True)
class PretrainConfig:
    """Of a run."""

    model: ModelSection = field(default_factory=lambda: ModelSection(family=FAMILY, arch="tiny"))
    init: InitSection = field(default_factory=InitSection)
    data: DataSection = field(default_factory=DataSection)
    criterion: CriterionSection = field(default_factory=CriterionSection)
    validation: ValidationSection = field(default_factory=ValidationSection)
    gang: GangSection = field(default_factory=GangSection)
    trainer: TrainerSection = field(
        default_factory=lambda: TrainerSection(
            mixed_precision=MixedPrecisionConfig(mode="off"), max_grad_norm=1.0
        )
    )
    optimizer: OptimizerSection = field(
        default_factory=lambda: OptimizerSection(config=AdamWConfig(lr=5e-4, weight_decay=0.01))
    )
    lr_scheduler: LRSchedulerSection = field(
        default_factory=lambda: LRSchedulerSection(
            config=CosineAnnealingLRConfig(cycle_len=1800, num_warmup_steps=200, final_lr_scale=0.05)
        )
    )
    regime: RegimeSection = field(
        default_factory=lambda: RegimeSection(
            num_steps=2000,
            publish_metrics_every_n_steps=20,
            checkpoint_every_n_steps=200,
            validate_every_n_steps=200,
            keep_last_n_checkpoints=2,
            keep_best_n_checkpoints=1,
            score_metric=SCORE,
        )
    )
    # A folder name that depends on the options would start afresh where a run was to go on.
    common: CommonSection = field(default_factory=lambda: CommonSection(no_sweep_dir=True, seed=0))

    def validate(self) -> ValidationResult:
        """What sections cannot say of each other, as fairseq2 asks for it."""
        result = ValidationResult()
        if self.model.family != FAMILY or self.model.name is not None or self.model.path is not None:
            result.add_error(f"model.family must be {FAMILY!r}, without model.name and model.path")
        schedule = self.lr_scheduler.config
        if isinstance(schedule, CosineAnnealingLRConfig) and schedule.cycle_len is None:
            result.add_error(
                "lr_scheduler.config.cycle_len must be given: taken from num_steps, it would change when a "
                "run goes on for longer"
            )
        if not self.common.no_sweep_dir:
            result.add_error("common.no_sweep_dir must be true, or a run cannot be resumed by its folder")
        if self.regime.score_metric is not None and self.regime.score_metric not in SCORES:
            result.add_error(
                f"regime.score_metric must be one of {', '.join(SCORES)}, got {self.regime.score_metric}"
            )
        if self.regime.num_steps is None:
            result.add_error("regime.num_steps must be given")
        return result
