"""What a dancer hears of music: strokes by voice, loudness, articulation, sections and breaks [O].

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
"""Frames of loudness and articulation a second."""

DYNAMIC_RANGE_DB = 30.0
"""Decibels under the loudest passages at which loudness is 0."""

MERGE_SECONDS = 0.03
"""Seconds within which strokes count as one."""

MIN_BREAK_SECONDS = 0.7
"""Seconds that a break lasts at least."""

MIN_LOUDNESS = 0.02
"""Loudness under which music pauses."""

KICK_PITCHES = frozenset((35, 36, 41, 43, 61, 64, 66))
SNARE_PITCHES = frozenset((37, 38, 39, 40, 45, 47, 48, 50))
"""General MIDI percussion by voice; claps, rims and the upper toms go with the snare, the rest with the
hat."""

DRUM_DECAY_SECONDS, NOTE_DECAY_SECONDS = 0.12, 0.6
"""Seconds in which the power of a drum and of a struck note falls to 1 / e."""

MIN_SECTION_BARS = 4
"""Bars."""


@dataclass(frozen=True)
class MusicCues:
    """What sounds in a stretch of music, on one clock."""

    onsets: Mapping[str, Array]
    """(N, 2) of each of :data:`VOICES`: seconds, increasing, and strength in (0, 1]."""
    start: float
    """Seconds of the first frame."""
    loudness: Array
    """(F,) level in [0, 1] at :data:`CUE_RATE`: decibels over :data:`DYNAMIC_RANGE_DB`, 1 at the loudest."""
    legato: Array
    """(F,) in [0, 1]: share of the time from note to note that notes sound; 0 staccato."""
    sections: Array
    """(S,) seconds at which another section begins."""
    breaks: Array
    """(K, 2) seconds from and until, in which nothing sounds."""

    @property
    def stop(self) -> float:
        """Seconds at which the last frame ends."""
        return self.start + len(self.loudness) / CUE_RATE

    def at(self, curve: Array, times: Array) -> Array:
        """``loudness`` or ``legato`` at any times; its outer values hold on."""
        frames = self.start + (np.arange(len(curve)) + 0.5) / CUE_RATE
        return np.interp(times, frames, curve)

    @cached_property
    def low(self) -> Array:
        """(N, 2) kick and bass together."""
        return merge_onsets([self.onsets["kick"], self.onsets["bass"] * (1.0, 0.75)])

    @cached_property
    def any(self) -> Array:
        """(N, 2) all voices together: what there is to step to where nothing low plays."""
        return merge_onsets([self.onsets[voice] for voice in VOICES])


def merge_onsets(strokes: Sequence[Array]) -> Array:
    """Merge onsets within :data:`MERGE_SECONDS`, (N, 2) sorted: the first's time, the greatest strength."""
    rows: Array = np.concatenate([np.zeros((0, 2)), *strokes])
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    if not len(rows):
        return rows
    first = np.flatnonzero(np.diff(rows[:, 0], prepend=-np.inf) > MERGE_SECONDS)
    return np.stack([rows[first, 0], np.maximum.reduceat(rows[:, 1], first)], axis=1)


def cues_from_notes(arrangement: Arrangement, start: float = -LEAD_SECONDS) -> MusicCues:
    """The cues of an arrangement, exact but for what loudness means.

    Args:
        arrangement: its notes, and the bars of its grid.
        start: seconds at which cues begin; notes before it are left out.
    """
    frames = round((arrangement.seconds - start) * CUE_RATE)
    strokes = {
        voice: merge_onsets(rows) for voice, rows in _onsets_by_voice(arrangement.parts, start).items()
    }
    power = gaussian_filter1d(note_power(arrangement.parts, start, frames), 0.1 * CUE_RATE, mode="nearest")
    loudness = loudness_from_power(power)
    pitched = [part.notes for part in arrangement.parts if not part.drums]
    sections = arrangement.form.events.get("sections")
    downbeats = arrangement.grid.downbeats
    features = np.array([_bar_activity(rows, downbeats) for rows in strokes.values()]).T
    return MusicCues(
        strokes,
        start,
        loudness,
        _legato(pitched, start, frames),
        section_starts(features, downbeats, 0.6) if sections is None else np.unique(sections[:, 0]),
        find_breaks(loudness, start),
    )


def _onsets_by_voice(parts: Sequence[Part], start: float) -> dict[str, list[Array]]:
    found: dict[str, list[Array]] = {voice: [] for voice in VOICES}
    for part in parts:
        notes = part.notes[part.notes[:, 0] >= start]
        if not len(notes):
            continue
        strength = np.clip(notes[:, 3] / np.percentile(notes[:, 3], 90), 0.05, 1.0)
        if part.drums:
            kick, snare = (np.isin(notes[:, 2], list(pitches)) for pitches in (KICK_PITCHES, SNARE_PITCHES))
            for voice, own in (("kick", kick), ("snare", snare), ("hat", ~(kick | snare))):
                found[voice].append(np.stack([notes[own, 0], strength[own]], axis=1))
        else:
            # A long note weighs more than a short one.
            weight = 0.6 + 0.4 * np.minimum(notes[:, 1] / 0.4, 1.0)
            voice = part.role if part.role in VOICES else "melody"
            found[voice].append(np.stack([notes[:, 0], strength * weight], axis=1))
    return found


def note_power(parts: Sequence[Part], start: float, frames: int) -> Array:
    """(F,) power of the notes that sound in each frame; each note falls off, a drum fast."""
    total = np.zeros(frames)
    for part in parts:
        power = (part.notes[:, 3] / 100) ** 2
        fall = float(np.exp(-1 / CUE_RATE / (DRUM_DECAY_SECONDS if part.drums else NOTE_DECAY_SECONDS)))
        frame = np.floor((part.notes[:, 0] - start) * CUE_RATE).astype(int)
        changes = np.zeros(frames)
        ends = [(frame, power)]
        if not part.drums:
            # Where a note ends, what is left of it is taken away again.
            lasting = np.maximum(np.round(part.notes[:, 1] * CUE_RATE), 1).astype(int)
            ends.append((frame + lasting, -power * fall**lasting))
        for at, change in ends:
            inside = (frame >= 0) & (at < frames)
            np.add.at(changes, at[inside], change[inside])
        total += np.maximum(lfilter([1.0], [1.0, -fall], changes), 0.0)
    return total


def loudness_from_power(power: Array) -> Array:
    """(F,) in [0, 1]: decibels of a (F,) power under its 95th percentile, see :data:`DYNAMIC_RANGE_DB`."""
    loudest = max(float(np.percentile(power, 95)), 1e-12)
    decibels = 10 * np.log10(np.maximum(power / loudest, 1e-9))
    loudness: Array = np.clip(1 + decibels / DYNAMIC_RANGE_DB, 0.0, 1.0)
    return loudness


def find_breaks(loudness: Array, start: float) -> Array:
    """(K, 2) seconds between which a (F,) loudness stays under :data:`MIN_LOUDNESS`."""
    silent = np.concatenate([[False], loudness < MIN_LOUDNESS, [False]])
    edges = np.flatnonzero(np.diff(silent.astype(int))).reshape(-1, 2)
    return start + edges[np.diff(edges)[:, 0] >= MIN_BREAK_SECONDS * CUE_RATE] / CUE_RATE


def _legato(pitched: Sequence[Array], start: float, frames: int) -> Array:
    """(F,) smoothed over the notes of all parts; drums alone are short."""
    times, shares = [], []
    for notes in pitched:
        onsets, first = np.unique(notes[:, 0], return_index=True)
        gaps = np.diff(onsets, append=onsets[-1:] + notes[-1:, 1])
        # A rest after a note is no articulation.
        times.append(onsets)
        shares.append(np.clip(notes[first, 1] / np.clip(gaps, 0.03, 1.0), 0.0, 1.0))
    if not sum(map(len, times)):
        return np.full(frames, 0.2)
    at, share = np.concatenate(times), np.concatenate(shares)
    order = np.argsort(at, kind="stable")
    middles = start + (np.arange(frames) + 0.5) / CUE_RATE
    legato: Array = gaussian_filter1d(
        np.interp(middles, at[order], share[order]), 0.5 * CUE_RATE, mode="nearest"
    )
    return legato


def _bar_activity(strokes: Array, downbeats: Array) -> Array:
    """(B - 1,) whether a voice plays in each bar: its strokes against what it usually has, at most 1."""
    counts, _ = np.histogram(strokes[:, 0], downbeats) if len(downbeats) > 1 else (np.zeros(0), None)
    usual = np.median(counts[counts > 0]) if (counts > 0).any() else 1.0
    return np.minimum(counts / usual, 1.0)


def section_starts(features: Array, downbeats: Array, least: float) -> Array:
    """(S,) seconds of the downbeats at which the music changes most.

    Args:
        features: (B - 1, K) of each bar between two downbeats.
        downbeats: (B,) seconds.
        least: distance of the mean features of the bars before and after, up to four each, at least.
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
    for place in np.argsort(-novelty, kind="stable"):
        if novelty[place] < least:
            break
        if all(abs(edge[place] - other) >= reach for other in chosen):
            chosen.append(int(edge[place]))
    begins: Array = downbeats[np.sort(np.array(chosen, dtype=int))]
    return begins
