"""Plausibility of a score: its notes must not contradict its beats, bars and metre."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from motion_data.corpora.constructed.arrangement import ON_BEAT_TOLERANCE
from motion_data.corpora.constructed.scores import Score

KICK_PITCHES, CRASH_PITCHES = (35, 36), (49, 52, 55, 57)
"""GM percussion that marks the bar in most music."""

MIN_VECTOR_STRENGTH = 0.45
"""Minimum vector strength of the onsets on some subdivision of the beat."""

MAX_OFFSET_BEATS = 0.06
"""Maximum common offset of the onsets from the grid."""

MAX_ACCENT_RATIO, MIN_ACCENT_LEAD = 1.25, 0.08
"""Another beat contradicts the bars if its accent exceeds that of the first by this factor and this share of
all accents. Equal accents, as of a walking bass, do not contradict them."""

BINS_PER_BEAT = 12
"""Resolution of compared onsets."""


def find_contradiction(score: Score) -> str:
    """Reason why a score's beats or bars are implausible; empty if there is none."""
    if not len(score.notes):
        return "it has no notes"
    for check in (_check_beats, _check_downbeats, _check_metre):
        if reason := check(score):
            return reason
    return ""


def _check_beats(score: Score) -> str:
    """Onsets must fit a subdivision of the beat, without an offset, and favour beats over off-beats."""
    starts, weights = score.notes[:, 1], score.notes[:, 4]
    strengths = {
        parts: np.sum(weights * np.exp(2j * np.pi * parts * starts)) / np.sum(weights)
        for parts in (2, 3, 4, 6)
    }
    parts = max(strengths, key=lambda parts: abs(strengths[parts]))
    offset = np.angle(strengths[parts]) / (2 * np.pi * parts)
    if abs(strengths[parts]) < MIN_VECTOR_STRENGTH:
        return f"its notes fit no subdivision of the beat (vector strength {abs(strengths[parts]):.2f})"
    if abs(offset) > MAX_OFFSET_BEATS:
        return f"its notes are {offset:+.2f} beats off the grid"
    accompaniment = ~_has_role(score, "melody")
    on_beat = np.abs(starts - np.round(starts)) < ON_BEAT_TOLERANCE
    off_beat = np.abs(starts % 1 - 0.5) < ON_BEAT_TOLERANCE
    if np.sum(weights[on_beat & accompaniment]) < 0.9 * np.sum(weights[off_beat & accompaniment]):
        return "its accompaniment has more notes between the beats than on them"
    return ""


def _check_downbeats(score: Score) -> str:
    """Kick, bass, crashes and bass changes must not accent another beat more than the first."""
    drums, pitch = _has_role(score, "drums"), score.notes[:, 3]
    bass = _has_role(score, "bass")
    if not bass.any():
        bass = ~drums & (pitch < 50)
    crashes = drums & np.isin(pitch, CRASH_PITCHES)
    evidence = [
        _accent_profile(score, marks)
        for marks in (drums & np.isin(pitch, KICK_PITCHES), bass, _pitch_class_changes(score, bass), crashes)
        if np.count_nonzero(marks) >= score.beats / score.metre / 2
    ]
    if not evidence:
        return ""
    profile = np.sum(evidence, axis=0)
    strongest = int(np.argmax(profile))
    lead = (profile[strongest] - profile[0]) / len(evidence)
    if profile[strongest] > MAX_ACCENT_RATIO * profile[0] and lead > MIN_ACCENT_LEAD:
        return (
            f"beat {strongest + 1} of the bar has stronger accents than the first "
            f"({profile[strongest] / len(evidence):.2f} against {profile[0] / len(evidence):.2f})"
        )
    return ""


def _check_metre(score: Score) -> str:
    """The drums (or all parts, without drums) must not repeat better at another period than the bar."""
    drums = _has_role(score, "drums")
    use_drums = np.count_nonzero(drums) >= score.beats
    notes = score.notes[drums] if use_drums else score.notes
    lanes, lane = np.unique(notes[:, 3 if use_drums else 0], return_inverse=True)
    onsets = np.zeros((len(lanes), score.beats * BINS_PER_BEAT))
    bins = np.round(notes[:, 1] * BINS_PER_BEAT).astype(np.int64)
    inside = (bins >= 0) & (bins < onsets.shape[1])
    onsets[lane[inside], bins[inside]] = 1.0

    def similarity(lag: int) -> float:
        early, late = onsets[:, : -lag * BINS_PER_BEAT].ravel(), onsets[:, lag * BINS_PER_BEAT :].ravel()
        return float(early @ late / max(np.sqrt((early @ early) * (late @ late)), 1e-9))

    lags = [lag for lag in range(2, 9) if lag < score.beats // 2]
    at_bars = [similarity(lag) for lag in lags if lag % score.metre == 0]
    others = {lag: similarity(lag) for lag in lags if lag % score.metre and score.metre % lag}
    if at_bars and others and max(others.values()) > max(at_bars) + 0.08:
        lag = max(others, key=lambda lag: others[lag])
        return f"it repeats after {lag} beats rather than after a bar of {score.metre} beats"
    return ""


def _has_role(score: Score, role: str) -> NDArray[np.bool_]:
    """(N,) whether each note belongs to a role."""
    roles = np.array([player[0] == role for player in score.players])
    chosen: NDArray[np.bool_] = roles[score.notes[:, 0].astype(np.int64)]
    return chosen


def _pitch_class_changes(score: Score, bass: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(N,) whether a bass note has another pitch class than the previous bass note."""
    changes = np.zeros(len(bass), dtype=bool)
    indices = np.flatnonzero(bass)
    changes[indices[1:]] = np.diff(score.notes[indices, 3] % 12) != 0
    return changes


def _accent_profile(score: Score, selected: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(metre,) share of the selected notes' velocity on each beat of the bar."""
    starts, weights = score.notes[selected, 1], score.notes[selected, 4]
    beat = np.round(starts)
    on_beat = np.abs(starts - beat) < ON_BEAT_TOLERANCE
    mass = np.bincount((beat[on_beat] % score.metre).astype(np.int64), weights[on_beat], score.metre)
    shares: NDArray[np.float64] = mass / max(float(mass.sum()), 1e-9)
    return shares
