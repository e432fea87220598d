"""The settings of the pipeline. All values are ours [O]."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from motion_data.motion import MAX_FPS, MIN_FPS
from motion_data.settings import CONFIG, Bool, Count, Natural, NotNegative, Number, Positive, Share


@dataclass(config=CONFIG, frozen=True, kw_only=True)
class ClipConfig:
    """What a pretraining run may choose of :class:`PipelineConfig`."""

    bars: Count | None = 4
    """Bars of a clip, cut at downbeats; None cuts all pairs by ``seconds``."""

    seconds: Positive = 8.0
    """Length of a clip of a pair without a grid, or of all where ``bars`` is None."""

    longest_seconds: Positive = 20.0
    """A clip of slow bars has fewer of them, so that it is no longer than this."""

    margin_seconds: NotNegative = 0.0
    """Motion on either side of a clip that comes with it, where the pair has so much: from it a motion can
    be moved or stretched without a seam."""

    batch_size: Count = 32
    """Clips a batch on each rank, at most."""

    clips_per_pair: Count = 1
    """Clips cut from each pair in an epoch, each from a start of its own."""

    tempo_octaves: Positive = 0.25
    """Spread of the tempos within a batch, as log2 of their ratio, at most."""

    speed_octaves: Share = 0.0
    """Every batch is played faster or slower, sound (with its pitch) and motion alike, by a factor drawn
    within so many octaves to either side."""

    workers: Count = 2
    """Threads that load clips. The batches do not depend on it."""

    memory_megabytes: NotNegative = 1024.0
    """Decoded pairs kept in memory; an hour is 260 MB. A split of files that does not fit is read clip by
    clip, which resamples from other edges: a run can only go on in the way it began."""

    failures_in_row: Count = 10
    """So many clips that cannot be used, one after the other, stop the reading; fewer are skipped."""


@dataclass(config=CONFIG, frozen=True, kw_only=True)
class PipelineConfig(ClipConfig):
    """How a corpus is cut into clips and the clips are put into batches.

    Raises:
        ValidationError: values that are not allowed, all of them.
    """

    start_place: Annotated[Number, Field(ge=0, lt=1)] | None = 0.0
    """Share of a bar, in [0, 1), at which clips of whole bars begin; 0 is the downbeat. None draws one for
    each clip: a network sees where a clip begins, and at a downbeat it would know the grid from that."""

    shortest_seconds: Positive = 1.0
    """A pair that gives no clip as long as this is skipped and counted."""

    least_clips: Natural = 0
    """Batches that would have fewer clips on a rank are left out; a contrast needs at least 2."""

    length_octaves: Positive = 1.0
    """Spread of the clips' expected lengths within a batch, as log2 of their ratio, at most."""

    fps: Annotated[Number, Field(ge=MIN_FPS, le=MAX_FPS)] = 30.0
    """Frames of motion a second that every motion is brought to."""

    seed: Natural = 0
    """Of the shuffling and of the clips' starts."""

    same_every_epoch: Bool = False
    """Whether every epoch has the same batches, as validation needs."""

    prefetch: Natural = 2
    """Batches made ahead. The batches do not depend on it. With 0, and one worker, nothing waits in
    fairseq2's queues; where a reading is left in its middle, it frees what waits there without holding
    Python's lock, which may crash."""

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        faults = []
        if not self.shortest_seconds <= self.seconds <= self.longest_seconds:
            faults.append(
                f"seconds ({self.seconds:g}) must lie between shortest_seconds "
                f"({self.shortest_seconds:g}) and longest_seconds ({self.longest_seconds:g})"
            )
        if self.least_clips > self.batch_size:
            faults.append(f"least_clips ({self.least_clips}) must be at most batch_size ({self.batch_size})")
        if faults:
            raise ValueError("; ".join(faults))
        return self


CHANGEABLE_SETTINGS = ("workers", "prefetch", "failures_in_row", "memory_megabytes")
"""Settings that may change when a run goes on."""


def batch_settings(config: PipelineConfig) -> dict[str, object]:
    """The settings that decide what the batches are."""
    return {f.name: getattr(config, f.name) for f in fields(config) if f.name not in CHANGEABLE_SETTINGS}
