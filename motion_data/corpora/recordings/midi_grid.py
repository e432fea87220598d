"""Exact grid of a recording rendered from a MIDI file: the file's grid, shifted by a constant lag [O]."""

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
"""Maximum lag between recording and MIDI file."""

MIN_PEAK_RATIO = 0.97
"""Lags with this share of the maximum correlation count as equal, because repetitive music also correlates
with itself a bar later. The smallest of them is used."""

STRETCHES = 4
"""Number of stretches with equally many notes, whose lags are compared."""

MAX_LAG_CHANGE_SECONDS = 0.02
"""Maximum difference between the lags of the stretches."""


@dataclass(frozen=True)
class MidiGrid:
    """A MIDI file's grid on the clock of a recording."""

    grid: Grid
    lag: float
    """Lag of the recording behind the MIDI file in seconds, to about a millisecond."""
    change: float
    """Largest difference between the lags of stretches in seconds."""


def align_midi_grid(midi: Path, envelope: Array) -> MidiGrid:
    """Align the grid of a MIDI file, from its first note to its last, with a recording.

    Args:
        midi: file from which the recording was rendered.
        envelope: (F,) onset envelope of the recording at 100 Hz.

    Raises:
        DataError: the file is not MIDI, has no notes, fewer than two beats, or does not match the recording.
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
    """Estimate the lag of a recording behind note onsets, to 10 ms.

    Args:
        envelope: (F,) onset envelope of the recording at 100 Hz.
        onsets: (N,) onsets of the notes in seconds.

    Returns:
        The lag in seconds, and its correlation divided by the highest one at least 100 ms away.
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
    # The local maximum around the smallest lag.
    around = np.abs(offsets - offsets[nearest]) <= round(0.05 * ENVELOPE_RATE)
    best = int(np.where(around, curve, -np.inf).argmax())
    away = np.abs(offsets - offsets[best]) >= round(0.1 * ENVELOPE_RATE)
    return float(offsets[best] / ENVELOPE_RATE), float(curve[best] / max(curve[away].max(), 1e-9))


def _refine_lag(envelope: Array, onsets: Array) -> float:
    """Shift of onsets, within ±60 ms and to 1 ms, that maximises the envelope at the onsets."""
    shifts = np.arange(-0.06, 0.0605, 0.001)
    frames = (onsets[:, None] + shifts) * ENVELOPE_RATE - 0.5
    heights = np.interp(frames, np.arange(len(envelope)), envelope, left=0.0, right=0.0)
    return float(shifts[heights.sum(axis=0).argmax()])
