"""Beats and bars of a step chart, on the clock of its song."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from motion_data.corpora.stepmania.song import Chart, jumped_over, seconds_at
from motion_data.errors import DataError
from motionbeat_upstream.tracking.grid import Grid

CLOSEST = 0.02
"""Seconds between two beats below which the earlier is dropped: the chart has jumped to the later [O]."""


def beats_of_bar(numerator: int, denominator: int) -> tuple[int, Fraction]:
    """Number of beats in a bar, and each one's length in StepMania's beats, which are quarter notes.

    6/8, 9/8 and 12/8 have dotted quarters for beats, as in the rest of the project; a bar that is no
    whole number of quarters, 7/8 say, is counted in its own unit [O].
    """
    if denominator == 8 and numerator % 3 == 0 and numerator > 3:
        return numerator // 3, Fraction(3, 2)
    quarters = Fraction(4 * numerator, denominator)
    if denominator >= 4 and quarters.denominator == 1:
        return int(quarters), Fraction(1)
    return numerator, Fraction(4, denominator)


def chart_grid(chart: Chart, seconds: float, lead: float = 0.0) -> Grid:
    """The beats from 0 to ``seconds`` of the song, as the chart's author placed them.

    The first is beat 0 of the chart. Beats within a warp are jumped over and left out. During a stop
    the chart stands still, so there is no beat in it, whatever the music does: the beat before a
    stop of a second lasts a second longer.

    Args:
        chart: a chart.
        seconds: length of the audio.
        lead: seconds taken from every time of the chart.

    Raises:
        DataError: fewer than two beats lie within the audio.
    """
    times: list[float] = []
    positions: list[int] = []
    metres: Counter[int] = Counter()
    for beat, position, metre in _count_beats(chart):
        time = seconds_at(chart, beat) - lead
        if time > seconds:
            break
        if time < 0 or jumped_over(chart, beat):
            continue
        if times and time - times[-1] < CLOSEST:
            del times[-1], positions[-1]
        times.append(time)
        positions.append(position)
        metres[metre] += 1
    if len(times) < 2:
        raise DataError(
            f"chart {chart.steps_type} {chart.difficulty}: {len(times)} beats lie within the {seconds:.2f} s "
            f"of the song; check OFFSET and BPMS, and that it is the right song"
        )
    return Grid(np.array(times), np.array(positions), metres.most_common(1)[0][0])


def _count_beats(chart: Chart) -> Iterator[tuple[Fraction, int, int]]:
    """Beat, position in the bar from 1, and beats of that bar, without end; each signature begins a bar."""
    starts = [start for start, _, _ in chart.signatures]
    for index, (start, numerator, denominator) in enumerate(chart.signatures):
        metre, length = beats_of_bar(numerator, denominator)
        stop = starts[index + 1] if index + 1 < len(starts) else None
        for count in itertools.count():
            beat = start + count * length
            if stop is not None and beat >= stop:
                break
            yield beat, count % metre + 1, metre
