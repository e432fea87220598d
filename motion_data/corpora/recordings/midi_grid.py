"""The exact grid of a recording played from a MIDI file: the file's own, moved by one constant lag [O]."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import correlate

from motion_data.errors import DataError
from motion_data.midi_beats import midi_beats, note_starts
from motion_data.midi_file import read_score, ticks_to_seconds
from motionbeat_upstream.config import ENVELOPE_RATE
from motionbeat_upstream.tracking.grid import Grid

Array = NDArray[np.float64]

MAX_LAG_SECONDS = 5.0
"""Seconds from the MIDI file's clock to the recording's."""

MIN_PEAK_RATIO = 0.97
"""Share of the highest correlation from which on another lag is as good: music that repeats itself correlates
with itself a bar later. Of those the one nearest to 0 is taken."""

STRETCHES = 4
"""Stretches with as many notes each, whose lags are measured one by one."""

MAX_LAG_CHANGE_SECONDS = 0.02
"""Seconds by which the lags of the stretches may differ: with more, file and recording are no one
performance."""


@dataclass(frozen=True)
class MidiGrid:
    """A MIDI file's grid on the clock of a recording."""

    grid: Grid
    lag: float
    """Seconds that the recording is behind the MIDI file, to about a millisecond."""
    change: float
    """Seconds, the largest difference between the lags of stretches of the recording."""


def align_midi_grid(midi: Path, envelope: Array) -> MidiGrid:
    """The grid of a MIDI file, from its first note to its last, on the clock of a recording.

    Args:
        midi: the file that was played.
        envelope: (F,) onset envelope of the recording at 100 Hz.

    Raises:
        DataError: not a MIDI file, no notes, fewer than two beats, or not what is heard in the recording.
    """
    score = read_score(midi)
    onsets = np.sort(ticks_to_seconds(score, note_starts(score, midi)))
    coarse, _ = estimate_lag(envelope, onsets)
    parts = [part for part in np.array_split(onsets + coarse, STRETCHES) if len(part)]
    lags = np.array([_refine_lag(envelope, part) for part in parts])
    change = float(np.ptp(lags))
    if change > MAX_LAG_CHANGE_SECONDS:
        raise DataError(
            f"{midi}: the lag between its notes and the recording's onsets changes by "
            f"{1000 * change:.0f} ms; expected at most {1000 * MAX_LAG_CHANGE_SECONDS:g} ms: the recording "
            f"was not played from it; remove the MIDI file"
        )
    lag = coarse + _refine_lag(envelope, onsets + coarse)
    beats = midi_beats(midi)
    inside = (beats.times + lag >= 0) & (beats.times + lag <= len(envelope) / ENVELOPE_RATE)
    if inside.sum() < 2:
        raise DataError(f"{midi}: {inside.sum()} beats lie in the recording; expected 2 or more")
    lengths = np.diff(np.flatnonzero(beats.positions == 1))
    metre = int(np.bincount(lengths).argmax()) if len(lengths) else int(beats.positions.max())
    return MidiGrid(Grid(beats.times[inside] + lag, beats.positions[inside], metre), lag, change)


def estimate_lag(envelope: Array, onsets: Array) -> tuple[float, float]:
    """Seconds that a recording is behind note onsets, to a hundredth, and how clearly.

    Args:
        envelope: (F,) onset envelope of the recording at 100 Hz.
        onsets: (N,) seconds of the notes.

    Returns:
        The lag, and the correlation at it over the highest that is 100 ms or more away.
    """
    size = len(envelope)
    notes = np.bincount(np.maximum(0, np.floor(onsets * ENVELOPE_RATE)).astype(int), minlength=size)
    notes = np.minimum(notes[:size], 4).astype(np.float64)
    reach = round(MAX_LAG_SECONDS * ENVELOPE_RATE)
    curve = correlate(envelope - envelope.mean(), notes - notes.mean(), "full", "fft")
    curve = curve[size - 1 - reach : size + reach]
    offsets = np.arange(-reach, reach + 1)
    high = np.flatnonzero(curve >= MIN_PEAK_RATIO * curve.max())
    nearest = high[np.abs(offsets[high]).argmin()]
    # The summit that the nearest one belongs to.
    around = np.abs(offsets - offsets[nearest]) <= round(0.05 * ENVELOPE_RATE)
    best = int(np.where(around, curve, -np.inf).argmax())
    away = np.abs(offsets - offsets[best]) >= round(0.1 * ENVELOPE_RATE)
    return float(offsets[best] / ENVELOPE_RATE), float(curve[best] / max(curve[away].max(), 1e-9))


def _refine_lag(envelope: Array, onsets: Array) -> float:
    """Seconds, within ±60 ms and to a millisecond, by which onsets have to be moved to lie on the envelope's
    peaks."""
    moves = np.arange(-0.06, 0.0605, 0.001)
    frames = (onsets[:, None] + moves) * ENVELOPE_RATE - 0.5
    heights = np.interp(frames, np.arange(len(envelope)), envelope, left=0.0, right=0.0)
    return float(moves[heights.sum(axis=0).argmax()])
