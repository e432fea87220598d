"""Whether a score's bars can be believed: what is played must not contradict its beats, bars and metre."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from motion_data.corpora.constructed.arrangement import ON_BEAT_TOLERANCE
from motion_data.corpora.constructed.scores import Score

KICK_PITCHES, CRASH_PITCHES = (35, 36), (49, 52, 55, 57)
"""GM percussion that marks the bar in most music."""

MIN_VECTOR_STRENGTH = 0.45
"""Vector strength of the onsets on some division of the beat from which on they fit it."""

MAX_OFFSET_BEATS = 0.06
"""Share of a beat by which the onsets may be off the grid together."""

MAX_ACCENT_RATIO, MIN_ACCENT_LEAD = 1.25, 0.08
"""Factor by which another beat may be marked more than the first one, and share of all marks: where all
beats are marked alike, as by a walking bass, nothing is said of the bar."""

BINS_PER_BEAT = 12
"""Places of a beat at which strokes are compared."""


def find_contradiction(score: Score) -> str:
    """Why a score's beats or bars are not to be believed; empty where nothing speaks against them."""
    if not len(score.notes):
        return "it has no notes"
    for check in (_check_beats, _check_downbeats, _check_metre):
        if fault := check(score):
            return fault
    return ""


def _check_beats(score: Score) -> str:
    starts, weights = score.notes[:, 1], score.notes[:, 4]
    strengths = {
        parts: np.sum(weights * np.exp(2j * np.pi * parts * starts)) / np.sum(weights)
        for parts in (2, 3, 4, 6)
    }
    parts = max(strengths, key=lambda parts: abs(strengths[parts]))
    offset = np.angle(strengths[parts]) / (2 * np.pi * parts)
    if abs(strengths[parts]) < MIN_VECTOR_STRENGTH:
        return f"its notes keep to no division of the beat (vector strength {abs(strengths[parts]):.2f})"
    if abs(offset) > MAX_OFFSET_BEATS:
        return f"its notes are {offset:+.2f} beats off the grid"
    marking = ~_has_role(score, "melody")
    on = np.abs(starts - np.round(starts)) < ON_BEAT_TOLERANCE
    half = np.abs(starts % 1 - 0.5) < ON_BEAT_TOLERANCE
    if np.sum(weights[on & marking]) < 0.9 * np.sum(weights[half & marking]):
        return "more is played between the beats than on them"
    return ""


def _check_downbeats(score: Score) -> str:
    """The kick, the bass, crashes and changes of the bass must not mark another beat more than the first."""
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
            f"its accents mark beat {strongest + 1} of the bar more than the first "
            f"({profile[strongest] / len(evidence):.2f} against {profile[0] / len(evidence):.2f})"
        )
    return ""


def _check_metre(score: Score) -> str:
    """What the drums play, or all where there are none, must not repeat itself better after other beats."""
    drums = _has_role(score, "drums")
    chosen = drums if np.count_nonzero(drums) >= score.beats else np.ones(len(drums), dtype=bool)
    notes = score.notes[chosen]
    pitches, lane = np.unique(notes[:, 3] if chosen is drums else notes[:, 0], return_inverse=True)
    strokes = np.zeros((len(pitches), score.beats, BINS_PER_BEAT))
    place = np.round(notes[:, 1] * BINS_PER_BEAT).astype(np.int64)
    inside = (place >= 0) & (place < score.beats * BINS_PER_BEAT)
    strokes[lane[inside], place[inside] // BINS_PER_BEAT, place[inside] % BINS_PER_BEAT] = 1.0

    def likeness(lag: int) -> float:
        early, late = strokes[:, :-lag].ravel(), strokes[:, lag:].ravel()
        return float(early @ late / max(np.sqrt((early @ early) * (late @ late)), 1e-9))

    lags = [lag for lag in range(2, 9) if lag < score.beats // 2]
    own = [likeness(lag) for lag in lags if lag % score.metre == 0]
    others = {lag: likeness(lag) for lag in lags if lag % score.metre and score.metre % lag}
    if own and others and max(others.values()) > max(own) + 0.08:
        lag = max(others, key=lambda lag: others[lag])
        return f"it repeats itself after {lag} beats rather than after a bar of {score.metre}"
    return ""


def _has_role(score: Score, role: str) -> NDArray[np.bool_]:
    """(N,) whether each note is of a role."""
    roles = np.array([player[0] == role for player in score.players])
    chosen: NDArray[np.bool_] = roles[score.notes[:, 0].astype(np.int64)]
    return chosen


def _pitch_class_changes(score: Score, bass: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(N,) whether a note of the bass has another pitch class than the one before."""
    changes = np.zeros(len(bass), dtype=bool)
    places = np.flatnonzero(bass)
    classes = score.notes[places, 3] % 12
    changes[places[1:]] = np.diff(classes) != 0
    return changes


def _accent_profile(score: Score, marks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(metre,) share of the marked notes' weight on each beat of the bar."""
    starts, weights = score.notes[marks, 1], score.notes[marks, 4]
    beat = np.round(starts)
    on = np.abs(starts - beat) < ON_BEAT_TOLERANCE
    mass = np.bincount((beat[on] % score.metre).astype(np.int64), weights[on], score.metre)
    shares: NDArray[np.float64] = mass / max(float(mass.sum()), 1e-9)
    return shares
