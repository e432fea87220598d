"""The configuration of a pretraining run: fairseq2's sections, with our defaults, and our own."""

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

from motion_data.label_targets import TARGETS
from motion_data.negatives.drawing import NegativeCounts
from motion_data.pipeline.config import ClipConfig, PipelineConfig
from motion_data.settings import CONFIG, Bool, Count, Integer, Natural, NotNegative, Number, Positive
from recipes.pretrain.criterion.settings import CriterionSettings
from recipes.pretrain.metrics import SCORE, SCORES

FAMILY = "motionbeat"
"""Of models, as fairseq2 knows it."""

Section = TypeVar("Section")


def _check_corpora(folders: list[str]) -> list[str]:
    if not folders:
        raise ValueError("no corpora; name at least one prepared folder")
    return folders


def _check_targets(names: list[str]) -> list[str]:
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        raise ValueError(f"no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    return names


def _check(section: Section) -> Section:
    """By fairseq2's rules, which it goes by when a run starts, and by our own."""
    faults = []
    try:
        StandardObjectValidator().validate(section)
    except ValidationError as error:
        faults.append(str(error))
    except ArithmeticError as error:
        # It divides numbers of steps by each other before it looks at them.
        faults.append(f"numbers of steps and epochs must be at least 1 ({error})")
    match section:
        case ModelSection() if (section.family, section.name, section.path) != (FAMILY, None, None):
            faults.append(f"family must be {FAMILY!r}, without name and path")
        case RegimeSection():
            if section.num_steps is None:
                faults.append("num_steps must be given")
            if section.score_metric not in (None, *SCORES):
                faults.append(f"score_metric must be one of {', '.join(SCORES)}, got {section.score_metric}")
        case CommonSection():
            if not section.no_sweep_dir:
                faults.append("no_sweep_dir must be true, or a run cannot be resumed by its folder")
            if section.seed < 0:
                faults.append(f"seed must be at least 0, got {section.seed}")
        case CosineAnnealingLRConfig(cycle_len=None):
            faults.append(
                "cycle_len must be given: taken from num_steps, it would change when a run goes on for longer"
            )
    if faults:
        raise ValueError("; ".join(faults))
    return section


Checked = AfterValidator(_check)
"""Of a section of fairseq2's."""


@dataclass(config=CONFIG, kw_only=True)
class AdamW(AdamWConfig):
    """The optimizer's settings."""

    lr: Number = 5e-4
    weight_decay: Number = 0.01


@dataclass(config=CONFIG, kw_only=True)
class CosineAnnealing(CosineAnnealingLRConfig):
    """The learning rate's schedule."""

    cycle_len: Count | None = 1800
    num_warmup_steps: Natural = 200
    final_lr_scale: float | Sequence[float] | None = 0.05


COMPONENTS: Mapping[str, Mapping[str, Any]] = {
    "optimizer": {"adamw": AdamW},
    "lr_scheduler": {"cosine_annealing": Annotated[CosineAnnealing, Checked]},
}
"""Configurations that fairseq2 chooses by a name; those of other names are left to it."""


@dataclass(config=CONFIG, frozen=True, kw_only=True)
class DataSection(ClipConfig):
    """What is read, and how it is cut."""

    corpora: Annotated[list[str], AfterValidator(_check_corpora)] = field(default_factory=list)
    """Folders of prepared corpora, on disk or URLs of shards. A batch holds clips of one of them."""
    seconds: Positive = 6.0
    longest_seconds: Positive = 7.0
    margin_seconds: NotNegative = 2.0
    clips_per_pair: Count = 2
    workers: Count = 1
    memory_megabytes: NotNegative = 4000.0
    own_process: Bool = True
    """Whether training data is read in a process of its own; see
    :class:`~recipes.pretrain.data_reader.PretrainReader`. The batches do not depend on it."""
    endless: Bool = False
    """Train on pairs without end of each constructed corpus, never on one twice but for ``clips_per_pair``;
    dev and test are those of its manifest. Needs the prepared corpus itself, not one in shards."""
    pairs_per_epoch: Count = 2400
    """Of an endless corpus."""
    targets: Annotated[list[str], AfterValidator(_check_targets)] = field(default_factory=list)
    """Targets of frames that batches have, made of the labels of notes, drums, chords, key and sections: some
    of the names in :data:`~motion_data.label_targets.TARGETS`."""
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

    clips: Natural = 256
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

    def wanted(self) -> NegativeCounts | None:
        """Hard negatives of a clip; None where no loss compares them."""
        ecl = self.settings.ecl
        if not ecl.weight:
            return None
        return NegativeCounts(ecl.jittered, ecl.stretched, ecl.others)


@dataclass(config=CONFIG, frozen=True, kw_only=True)
class InitSection:
    """Exported weights that a new run begins with; a run that goes on has its own."""

    music: Path | None = None
    """Checkpoint of a music tower (.safetensors) of the same sizes; none: a random initialisation."""
    motion: Path | None = None
    """Motion tower and heads (``--motion-side`` of an export), trained with that music tower or an earlier
    state of it; none: a random initialisation."""
    frozen: list[str] = field(default_factory=list)
    """Modules of :class:`~motionbeat_upstream.nn.motionbeat.MotionBeat` that keep the weights that they begin
    with, such as ``music.trunk``."""

    @model_validator(mode="after")
    def _check_music(self) -> Self:
        if self.motion is not None and self.music is None:
            raise ValueError("motion needs music, a music tower to be trained with it")
        return self


@dataclass(config=ConfigDict(**CONFIG, arbitrary_types_allowed=True), kw_only=True)
class PretrainConfig:
    """Of a run."""

    model: Annotated[ModelSection, Checked] = field(
        default_factory=lambda: ModelSection(family=FAMILY, arch="tiny")
    )
    init: InitSection = field(default_factory=InitSection)
    data: DataSection = field(default_factory=DataSection)
    criterion: CriterionSection = field(default_factory=CriterionSection)
    validation: ValidationSection = field(default_factory=ValidationSection)
    gang: Annotated[GangSection, Checked] = field(default_factory=GangSection)
    trainer: Annotated[TrainerSection, Checked] = field(
        default_factory=lambda: TrainerSection(
            mixed_precision=MixedPrecisionConfig(mode="off"), max_grad_norm=1.0
        )
    )
    optimizer: OptimizerSection = field(default_factory=lambda: OptimizerSection(config=AdamW()))
    lr_scheduler: LRSchedulerSection = field(
        default_factory=lambda: LRSchedulerSection(config=CosineAnnealing())
    )
    regime: Annotated[RegimeSection, Checked] = field(
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
    common: Annotated[CommonSection, Checked] = field(
        default_factory=lambda: CommonSection(no_sweep_dir=True, seed=0)
    )
