"""Settings of the pipeline [O]."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from motion_data.motion import MAX_FPS, MIN_FPS
from motion_data.settings import CONFIG, Bool, Count, Natural, NotNegative, Number, Positive, Share


@dataclass(config=CONFIG, frozen=True, kw_only=True)
class ClipConfig:
    """Settings of :class:`PipelineConfig` that are open to pretraining runs."""

    bars: Count | None = 4
    """Bars per clip; None cuts all pairs by ``seconds``."""

    seconds: Positive = 8.0
    """Length of clips of pairs without a grid, and of all clips if ``bars`` is None."""

    longest_seconds: Positive = 20.0
    """Maximum length of a clip; clips of slow bars have fewer bars."""

    margin_seconds: NotNegative = 0.0
    """Motion kept at either side of a clip, if the pair has it, so that the motion can be shifted or
    stretched without a seam."""

    batch_size: Count = 32
    """Maximum number of clips per batch and rank."""

    clips_per_pair: Count = 1
    """Clips per pair and epoch, each with a start of its own."""

    tempo_octaves: Positive = 0.25
    """Maximum ratio of the tempi within a batch, as log2."""

    speed_octaves: Share = 0.0
    """Each batch is played at another speed, sound (with its pitch) and motion alike; log2 of the speed is
    drawn from plus or minus this range."""

    workers: Count = 2
    """Number of threads that load clips. The batches do not depend on it."""

    memory_megabytes: NotNegative = 1024.0
    """Memory for decoded pairs; an hour takes 260 MB. If a split of files does not fit, each clip is read
    from its file. The samples then differ slightly, so a run cannot be resumed in the other mode."""

    failures_in_row: Count = 10
    """Number of consecutive unusable clips that stops reading; fewer are skipped."""


@dataclass(config=CONFIG, frozen=True, kw_only=True)
class PipelineConfig(ClipConfig):
    """Settings of cutting clips and forming batches.

    Raises:
        ValidationError: names all values that are not allowed.
    """

    start_place: Annotated[Number, Field(ge=0, lt=1)] | None = 0.0
    """Bar phase, in [0, 1), at which clips of whole bars begin; 0 is the downbeat. None draws one for each
    clip: the start of a clip is visible to a network, and would reveal the grid if it were a downbeat."""

    shortest_seconds: Positive = 1.0
    """Minimum length of a clip; shorter pairs are skipped and counted."""

    least_clips: Natural = 0
    """Minimum number of clips per batch and rank; smaller batches are dropped. Contrastive losses need 2."""

    length_octaves: Positive = 1.0
    """Maximum ratio of the expected lengths of clips within a batch, as log2."""

    fps: Annotated[Number, Field(ge=MIN_FPS, le=MAX_FPS)] = 30.0
    """Frame rate to which all motions are resampled."""

    seed: Natural = 0
    """Seed of shuffling and of the starts of clips."""

    same_every_epoch: Bool = False
    """Whether every epoch has the same batches, as in validation."""

    prefetch: Natural = 2
    """Number of batches prepared in advance. The batches do not depend on it. With 0 and one worker,
    fairseq2's queues remain empty. If reading is abandoned, fairseq2 frees queued items without holding the
    GIL, which may crash."""

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        errors = []
        if not self.shortest_seconds <= self.seconds <= self.longest_seconds:
            errors.append(
                f"seconds ({self.seconds:g}) must lie between shortest_seconds "
                f"({self.shortest_seconds:g}) and longest_seconds ({self.longest_seconds:g})"
            )
        if self.least_clips > self.batch_size:
            errors.append(f"least_clips ({self.least_clips}) must be at most batch_size ({self.batch_size})")
        if errors:
            raise ValueError("; ".join(errors))
        return self


CHANGEABLE_SETTINGS = ("workers", "prefetch", "failures_in_row", "memory_megabytes")
"""Settings that may change when a run is resumed."""


def batch_settings(config: PipelineConfig) -> dict[str, object]:
    """Return the settings that the content of batches depends on."""
    return {f.name: getattr(config, f.name) for f in fields(config) if f.name not in CHANGEABLE_SETTINGS}
