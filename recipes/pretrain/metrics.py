"""Names of the metrics in TensorBoard and in the JSONL files."""

from __future__ import annotations

from fairseq2.metrics import format_as_float, format_as_int, format_as_percentage
from fairseq2.metrics.recorders import MetricDescriptor
from fairseq2.runtime.dependency import DependencyContainer

LOSS_METRICS = (
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
"""Metrics of the criterion, in order of importance: ``recipes.launch watch`` shows the first five."""

SKIPPED_STEPS = "total_skipped_steps"
"""Number of steps of the whole run that were skipped because their gradient was not finite."""

DEFAULT_SCORE = "shared.recall_at_1"
"""Metric that selects the best checkpoint: retrieval on the shared grid of the dev split."""

SCORES = (
    DEFAULT_SCORE,
    "frames_shared.recall_at_1",
    "hard_shared.accuracy",
    "probe.trunk.beat_f",
    "probe.last.beat_f",
    "heads.beat_f",
    "heads.downbeat_f",
)
"""Allowed values of ``regime.score_metric``."""


def register_metrics(container: DependencyContainer) -> None:
    """Register our metrics with fairseq2; the priorities are chosen around those of its own metrics."""
    for index, name in enumerate(name for name in LOSS_METRICS if name != "loss"):
        _register(container, name, 100 + index)
    _register(container, "grad_norm_music", 301)
    _register(container, "grad_norm_motion", 302)
    _register(container, "clips", 350, format_as_int)
    _register(container, "audio_seconds", 352)
    _register(container, SKIPPED_STEPS, 351, format_as_int)
    _register(container, "data_wait_share", 503, format_as_percentage)
    for index, name in enumerate(SCORES):
        _register(container, name, 200 + index, higher_better=True)


def _register(
    container: DependencyContainer,
    name: str,
    priority: int,
    formatter: object = format_as_float,
    higher_better: bool = False,
) -> None:
    descriptor = MetricDescriptor(name, name, priority, formatter, higher_better=higher_better)  # type: ignore[arg-type]
    container.collection.register_instance(MetricDescriptor, descriptor)
