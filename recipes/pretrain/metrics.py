"""What is recorded, by the names that TensorBoard and the JSONL files have."""

from __future__ import annotations

from fairseq2.metrics import format_as_float, format_as_int, format_as_percentage
from fairseq2.metrics.recorders import MetricDescriptor
from fairseq2.runtime.dependency import DependencyContainer

PARTS_OF_LOSS = (
    "loss",
    "ecl",
    "sral",
    "frame_infonce",
    "batch_accuracy",
    "hard_accuracy",
    "positive_cosine",
    "negative_cosine",
    "ecl_temperature",
    "sral_per_beat",
    "sral_per_bar",
    "sral_music_head",
    "sral_motion_head",
    "frame_accuracy",
    "shift_accuracy",
    "frame_temperature",
    "frame_onsets",
    "frame_pulses",
    "head_beat",
    "head_downbeat",
    "head_position",
    "head_metre",
    "head_tempo",
)
"""What the criterion says of a batch, the most important first: ``recipes.launch watch`` shows five."""

SKIPPED = "total_skipped_steps"
"""Steps that were left out for want of a finite gradient, over the whole run."""

SCORE = "shared.recall_at_1"
"""What the best checkpoint is chosen by: own motions found first, on the shared grid of the dev split."""

SCORES = (
    SCORE,
    "frames_shared.recall_at_1",
    "hard_shared.accuracy",
    "probe.trunk.beat_f",
    "probe.last.beat_f",
    "heads.beat_f",
    "heads.downbeat_f",
)
"""What it may be chosen by instead."""


def register_metrics(container: DependencyContainer) -> None:
    """Tell fairseq2 how to write what is ours; what it knows already keeps its place."""
    for place, name in enumerate(name for name in PARTS_OF_LOSS if name != "loss"):
        _register(container, name, 100 + place)
    _register(container, "grad_norm_music", 301)
    _register(container, "grad_norm_motion", 302)
    _register(container, "clips", 350, format_as_int)
    _register(container, "audio_seconds", 352)
    _register(container, SKIPPED, 351, format_as_int)
    _register(container, "data_wait_share", 503, format_as_percentage)
    for place, name in enumerate(SCORES):
        _register(container, name, 200 + place, higher_better=True)


def _register(
    container: DependencyContainer,
    name: str,
    priority: int,
    formatter: object = format_as_float,
    higher_better: bool = False,
) -> None:
    descriptor = MetricDescriptor(name, name, priority, formatter, higher_better=higher_better)  # type: ignore[arg-type]
    container.collection.register_instance(MetricDescriptor, descriptor)
