"""Cues of music for a dancer: onsets by voice, loudness, articulation, sections and breaks [O].

:func:`cues_from_notes` reads them from the notes of an arrangement. For recordings, whose notes are unknown,
:func:`~motion_data.corpora.recordings.sound_cues.cues_from_audio` estimates them from the sound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

from motion_data.corpora.constructed.arrangement import LEAD_SECONDS, Arrangement, Part

Array = NDArray[np.float64]

VOICES = ("kick", "bass", "snare", "hat", "chords", "melody")

CUE_RATE = 20.0
"""Frames per second of loudness and articulation."""

DYNAMIC_RANGE_DB = 30.0
"""Level below the loudest passages at which loudness is 0."""

MERGE_SECONDS = 0.03
"""Onsets within this time count as one."""

MIN_BREAK_SECONDS = 0.7
"""Minimum length of a break."""

MIN_LOUDNESS = 0.02
"""Loudness below which the music pauses."""

KICK_PITCHES = frozenset((35, 36, 41, 43, 61, 64, 66))
SNARE_PITCHES = frozenset((37, 38, 39, 40, 45, 47, 48, 50))
"""General MIDI percussion by voice; claps, rims and high toms count as snare, all others as hat."""

DRUM_DECAY_SECONDS, NOTE_DECAY_SECONDS = 0.12, 0.6
"""Time in which the power of a drum and of a note decays to 1/e."""

MIN_SECTION_BARS = 4
"""Minimum length of a section."""


@dataclass(frozen=True)
class MusicCues:
    """Cues of a stretch of music, on one clock."""

    onsets: Mapping[str, Array]
    """(N, 2) for each of :data:`VOICES`: increasing seconds, and strength in (0, 1]."""
    start: float
    """Time of the first frame."""
    loudness: Array
    """(F,) level in [0, 1] at :data:`CUE_RATE`: decibels over :data:`DYNAMIC_RANGE_DB`, 1 at the loudest."""
    legato: Array
    """(F,) in [0, 1]: duration of notes relative to the time to the next note; 0 is staccato."""
    sections: Array
    """(S,) times at which sections begin."""
    breaks: Array
    """(K, 2) start and end of silences."""

    @property
    def stop(self) -> float:
        """End of the last frame."""
        return self.start + len(self.loudness) / CUE_RATE

    def at(self, curve: Array, times: Array) -> Array:
        """Interpolate ``loudness`` or ``legato`` at times; constant outside its frames."""
        frames = self.start + (np.arange(len(curve)) + 0.5) / CUE_RATE
        return np.interp(times, frames, curve)

    @cached_property
    def low(self) -> Array:
        """(N, 2) onsets of kick and bass."""
        return merge_onsets([self.onsets["kick"], self.onsets["bass"] * (1.0, 0.75)])

    @cached_property
    def any(self) -> Array:
        """(N, 2) onsets of all voices, which steps follow where kick and bass rest."""
        return merge_onsets([self.onsets[voice] for voice in VOICES])


def merge_onsets(onsets: Sequence[Array]) -> Array:
    """Merge onsets within :data:`MERGE_SECONDS`, (N, 2) sorted: the first's time, the greatest strength."""
    rows: Array = np.concatenate([np.zeros((0, 2)), *onsets])
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    if not len(rows):
        return rows
    first = np.flatnonzero(np.diff(rows[:, 0], prepend=-np.inf) > MERGE_SECONDS)
    return np.stack([rows[first, 0], np.maximum.reduceat(rows[:, 1], first)], axis=1)


def cues_from_notes(arrangement: Arrangement, start: float = -LEAD_SECONDS) -> MusicCues:
    """Cues of an arrangement; all except loudness are exact.

    Args:
        arrangement: notes and grid.
        start: beginning of the cues in seconds; earlier notes are left out.
    """
    frames = round((arrangement.seconds - start) * CUE_RATE)
    by_voice = _onsets_by_voice(arrangement.parts, start)
    onsets = {voice: merge_onsets(rows) for voice, rows in by_voice.items()}
    power = gaussian_filter1d(note_power(arrangement.parts, start, frames), 0.1 * CUE_RATE, mode="nearest")
    loudness = loudness_from_power(power)
    pitched = [part.notes for part in arrangement.parts if not part.drums]
    sections = arrangement.form.events.get("sections")
    downbeats = arrangement.grid.downbeats
    features = np.array([_bar_activity(rows, downbeats) for rows in onsets.values()]).T
    return MusicCues(
        onsets,
        start,
        loudness,
        _legato(pitched, start, frames),
        section_starts(features, downbeats, 0.6) if sections is None else np.unique(sections[:, 0]),
        find_breaks(loudness, start),
    )


def _onsets_by_voice(parts: Sequence[Part], start: float) -> dict[str, list[Array]]:
    onsets: dict[str, list[Array]] = {voice: [] for voice in VOICES}
    for part in parts:
        notes = part.notes[part.notes[:, 0] >= start]
        if not len(notes):
            continue
        strength = np.clip(notes[:, 3] / np.percentile(notes[:, 3], 90), 0.05, 1.0)
        if part.drums:
            kick, snare = (np.isin(notes[:, 2], list(pitches)) for pitches in (KICK_PITCHES, SNARE_PITCHES))
            for voice, selected in (("kick", kick), ("snare", snare), ("hat", ~(kick | snare))):
                onsets[voice].append(np.stack([notes[selected, 0], strength[selected]], axis=1))
        else:
            # Long notes have more weight.
            weight = 0.6 + 0.4 * np.minimum(notes[:, 1] / 0.4, 1.0)
            voice = part.role if part.role in VOICES else "melody"
            onsets[voice].append(np.stack([notes[:, 0], strength * weight], axis=1))
    return onsets


def note_power(parts: Sequence[Part], start: float, frames: int) -> Array:
    """(F,) sum of the power of decaying notes in each frame."""
    total = np.zeros(frames)
    for part in parts:
        power = (part.notes[:, 3] / 100) ** 2
        decay = float(np.exp(-1 / CUE_RATE / (DRUM_DECAY_SECONDS if part.drums else NOTE_DECAY_SECONDS)))
        first = np.floor((part.notes[:, 0] - start) * CUE_RATE).astype(int)
        impulses = np.zeros(frames)
        edges = [(first, power)]
        if not part.drums:
            # The remaining power of a note is subtracted at its end.
            duration = np.maximum(np.round(part.notes[:, 1] * CUE_RATE), 1).astype(int)
            edges.append((first + duration, -power * decay**duration))
        for frame, change in edges:
            inside = (first >= 0) & (frame < frames)
            np.add.at(impulses, frame[inside], change[inside])
        total += np.maximum(lfilter([1.0], [1.0, -decay], impulses), 0.0)
    return total


def loudness_from_power(power: Array) -> Array:
    """(F,) loudness in [0, 1]: decibels of a (F,) power relative to its 95th percentile."""
    loudest = max(float(np.percentile(power, 95)), 1e-12)
    decibels = 10 * np.log10(np.maximum(power / loudest, 1e-9))
    loudness: Array = np.clip(1 + decibels / DYNAMIC_RANGE_DB, 0.0, 1.0)
    return loudness


def find_breaks(loudness: Array, start: float) -> Array:
    """(K, 2) start and end of breaks, in which a (F,) loudness stays below :data:`MIN_LOUDNESS`."""
    silent = np.concatenate([[False], loudness < MIN_LOUDNESS, [False]])
    edges = np.flatnonzero(np.diff(silent.astype(int))).reshape(-1, 2)
    return start + edges[np.diff(edges)[:, 0] >= MIN_BREAK_SECONDS * CUE_RATE] / CUE_RATE


def _legato(pitched: Sequence[Array], start: float, frames: int) -> Array:
    """(F,) legato, smoothed over the notes of all parts; constant 0.2 without pitched notes."""
    times, shares = [], []
    for notes in pitched:
        onsets, first = np.unique(notes[:, 0], return_index=True)
        gaps = np.diff(onsets, append=onsets[-1:] + notes[-1:, 1])
        # A rest after a note is not articulation, so that gaps are limited to 1 s.
        times.append(onsets)
        shares.append(np.clip(notes[first, 1] / np.clip(gaps, 0.03, 1.0), 0.0, 1.0))
    if not sum(map(len, times)):
        return np.full(frames, 0.2)
    onsets, share = np.concatenate(times), np.concatenate(shares)
    order = np.argsort(onsets, kind="stable")
    middles = start + (np.arange(frames) + 0.5) / CUE_RATE
    curve = np.interp(middles, onsets[order], share[order])
    legato: Array = gaussian_filter1d(curve, 0.5 * CUE_RATE, mode="nearest")
    return legato


def _bar_activity(onsets: Array, downbeats: Array) -> Array:
    """(B - 1,) number of onsets of a voice in each bar, relative to its median and at most 1."""
    counts, _ = np.histogram(onsets[:, 0], downbeats) if len(downbeats) > 1 else (np.zeros(0), None)
    median = np.median(counts[counts > 0]) if (counts > 0).any() else 1.0
    return np.minimum(counts / median, 1.0)


def section_starts(features: Array, downbeats: Array, min_novelty: float) -> Array:
    """(S,) times of the downbeats at which the music changes most.

    Args:
        features: (B - 1, K) features of each bar between two downbeats.
        downbeats: (B,) seconds.
        min_novelty: minimum distance of the mean features of up to four bars before and after.
    """
    bars, reach = len(features), MIN_SECTION_BARS
    if bars < 4:
        return np.zeros(0)
    sums = np.concatenate([np.zeros((1, features.shape[1])), features.cumsum(axis=0)])
    edge = np.arange(2, bars - 1)
    low, high = np.maximum(edge - reach, 0), np.minimum(edge + reach, bars)
    before = (sums[edge] - sums[low]) / (edge - low)[:, None]
    after = (sums[high] - sums[edge]) / (high - edge)[:, None]
    novelty = np.linalg.norm(after - before, axis=1)
    chosen: list[int] = []
    for index in np.argsort(-novelty, kind="stable"):
        if novelty[index] < min_novelty:
            break
        if all(abs(edge[index] - other) >= reach for other in chosen):
            chosen.append(int(edge[index]))
    starts: Array = downbeats[np.sort(np.array(chosen, dtype=int))]
    return starts
