"""The lines that a run of pretraining prints."""

from __future__ import annotations

import logging

import pytest

from recipes.pretrain.console import ConsoleHandler, ConsoleRecorder, console, format_duration
from recipes.pretrain.metrics import SCORES


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (41, "41 s"), (89, "89 s"), (480, "8 min"), (3599, "1 h 00 min"), (6120, "1 h 42 min")],
)
def test_a_duration_has_at_most_two_units(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_an_interval_and_a_validation_have_a_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(
        console, "info", lambda text, *values: lines.append(text % values if values else text)
    )
    recorder = ConsoleRecorder(steps=200, last_step=100)
    training = {"loss": 1.25, "ecl": 0.5, "clips": 320.0, "grad_norm": 3.0}
    recorder.record_metric_values("train", {**training, "lapse_time": 20.0}, 110)
    many = {f"own_grids.figure_{number}": 0.1 for number in range(300)}
    recorder.record_metric_values("valid", {**many, **dict.fromkeys(SCORES, 0.5), "lapse_time": 41.0}, 110)
    recorder.record_metric_values("train", {**training, "lapse_time": 90.0, "total_skipped_steps": 2.0}, 200)
    assert lines == [
        # 20 s for the 10 steps since 100; at 2 s a step the other 90 take 3 minutes.
        "step 110/200: loss 1.250, ecl 0.500, grad_norm 3.000, 2.00 s a step, 3 min of training left",
        "validation after step 110/200: shared.recall_at_1 0.500, frames_shared.recall_at_1 0.500, "
        "hard_shared.accuracy 0.500, probe.trunk.beat_f 0.500, probe.last.beat_f 0.500, "
        "heads.beat_f 0.500, heads.downbeat_f 0.500 (41 s)",
        "step 200/200: loss 1.250, ecl 0.500, grad_norm 3.000, 2 steps skipped so far, 1.00 s a step",
    ]


@pytest.mark.parametrize(
    ("name", "level", "printed"),
    [
        ("fairseq2.console", logging.INFO, True),
        ("fairseq2", logging.INFO, False),
        ("fairseq2", logging.WARNING, True),
        ("fairseq2", logging.ERROR, True),
    ],
)
def test_of_fairseq2_only_warnings_are_printed(name: str, level: int, printed: bool) -> None:
    record = logging.LogRecord(name, level, __file__, 1, "text", None, None)
    assert ConsoleHandler().filter(record) is printed


def test_a_long_line_is_not_wrapped(capfd: pytest.CaptureFixture[str]) -> None:
    text = 20 * "a path [and more] " + "end"
    ConsoleHandler().emit(logging.LogRecord(console.name, logging.INFO, __file__, 1, text, None, None))
    assert capfd.readouterr().err == text + "\n"
