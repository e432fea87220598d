"""What the pipeline is told."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from motion_data.errors import DataError
from motion_data.motion import FASTEST_RATE, SLOWEST_RATE


@dataclass(frozen=True)
class PipelineConfig:
    """How a corpus is cut into clips and the clips are put into batches. All values are ours [O]."""

    bars: int | None = 4
    """Bars of a clip, cut at downbeats; None cuts all pairs by ``seconds``."""

    start_place: float | None = 0.0
    """Share of a bar, in [0, 1), at which clips of whole bars begin; 0 is the downbeat. None draws one for
    each clip: a network sees where a clip begins, and at a downbeat it would know the grid from that."""

    seconds: float = 8.0
    """Length of a clip of a pair without a grid, or of all where ``bars`` is None."""

    shortest_seconds: float = 1.0
    """A pair that gives no clip as long as this is skipped and counted."""

    longest_seconds: float = 20.0
    """A clip of slow bars has fewer of them, so that it is no longer than this."""

    margin_seconds: float = 0.0
    """Motion on either side of a clip that comes with it, where the pair has so much: from it a motion can
    be moved or stretched without a seam."""

    clips_per_pair: int = 1
    """Clips cut from each pair in an epoch, each from a start of its own."""

    batch_size: int = 32
    """Clips a batch on each rank, at most."""

    least_clips: int = 0
    """Batches that would have fewer clips on a rank are left out; a contrast needs at least 2."""

    tempo_octaves: float = 0.25
    """Spread of the tempos within a batch, as log2 of their ratio, at most."""

    length_octaves: float = 1.0
    """Spread of the clips' expected lengths within a batch, as log2 of their ratio, at most."""

    speed_octaves: float = 0.0
    """Every batch is played faster or slower, sound (with its pitch) and motion alike, by a factor drawn
    within so many octaves to either side."""

    fps: float = 30.0
    """Frames of motion a second that every motion is brought to."""

    seed: int = 0
    """Of the shuffling and of the clips' starts."""

    same_every_epoch: bool = False
    """Whether every epoch has the same batches, as validation needs."""

    failures_in_row: int = 10
    """So many clips that cannot be used, one after the other, stop the reading; fewer are skipped."""

    workers: int = 2
    """Threads that load clips. The batches do not depend on it."""

    prefetch: int = 2
    """Batches made ahead. The batches do not depend on it. With 0, and one worker, nothing waits in
    fairseq2's queues; where a reading is left in its middle, it frees what waits there without holding
    Python's lock, which may crash."""

    memory_megabytes: float = 1024.0
    """Decoded pairs kept in memory; an hour is 260 MB. A split of files that does not fit is read clip by
    clip, which resamples from other edges: a run can only go on in the way it began."""

    def validate(self) -> None:
        """Raise ``DataError`` with every fault found, or return in silence."""
        at_least = {
            "clips_per_pair": 1,
            "batch_size": 1,
            "least_clips": 0,
            "seed": 0,
            "failures_in_row": 1,
            "workers": 1,
            "prefetch": 0,
        } | ({} if self.bars is None else {"bars": 1})
        faults = [
            f"{name} must be a whole number of at least {least}, got {getattr(self, name)!r}"
            for name, least in at_least.items()
            if type(getattr(self, name)) is not int or getattr(self, name) < least
        ]
        above = ("seconds", "shortest_seconds", "longest_seconds", "tempo_octaves", "length_octaves")
        faults += [
            f"{name} must be a finite number above 0, got {getattr(self, name)!r}"
            for name in above
            if not _is_number(getattr(self, name)) or getattr(self, name) <= 0
        ]
        if not _is_number(self.fps) or not SLOWEST_RATE <= self.fps <= FASTEST_RATE:
            faults.append(f"fps must be {SLOWEST_RATE:g} to {FASTEST_RATE:g}, got {self.fps!r}")
        faults += [
            f"{name} must be a finite number of at least 0, got {getattr(self, name)!r}"
            for name in ("memory_megabytes", "margin_seconds", "speed_octaves")
            if not _is_number(getattr(self, name)) or getattr(self, name) < 0
        ]
        if _is_number(self.speed_octaves) and self.speed_octaves > 1:
            faults.append(f"speed_octaves must be at most 1, got {self.speed_octaves!r}")
        place = self.start_place
        if place is not None and (not _is_number(place) or not 0 <= place < 1):
            faults.append(f"start_place must lie in [0, 1), or be null, got {place!r}")
        if not faults:
            if not self.shortest_seconds <= self.seconds <= self.longest_seconds:
                faults.append(
                    f"seconds ({self.seconds:g}) must lie between shortest_seconds "
                    f"({self.shortest_seconds:g}) and longest_seconds ({self.longest_seconds:g})"
                )
            if self.least_clips > self.batch_size:
                faults.append(
                    f"least_clips ({self.least_clips}) must be at most batch_size ({self.batch_size})"
                )
        if faults:
            raise DataError(f"pipeline: {'; '.join(faults)}")


NOT_IN_BATCHES = ("workers", "prefetch", "failures_in_row", "memory_megabytes")
"""Settings that may change when a run goes on."""


def settings_of_batches(config: PipelineConfig) -> dict[str, object]:
    """The settings that decide what the batches are."""
    return {f.name: getattr(config, f.name) for f in fields(config) if f.name not in NOT_IN_BATCHES}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
