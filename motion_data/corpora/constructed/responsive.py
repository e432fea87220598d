"""Parametric dancer that follows music: the body and figures of :mod:`dancer`, driven by cues [O].

The feet follow the rules of :mod:`music_steps`. The upper body follows these:

- The pelvis sinks with kick and bass, and slightly with the beats of the bar; with off-beat music it sinks
  between the beats. Head and chest move with it.
- The arms answer the snare with a clap, with both arms or with the leading arm, depending on the section.
- The leading hand makes gestures to accents of the melody.
- All amplitudes follow loudness; movements are smooth for legato and sharp for staccato.
- In breaks the body rests.

Outside the cues the dancer follows the bars only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from motion_data.corpora.constructed.dancer import (
    LEAD_SECONDS,
    MARGIN_SECONDS,
    body_path,
    check_dance,
    foot_tracks,
    hop_heights,
    smooth_track,
    touch_downs,
)
from motion_data.corpora.constructed.figure import Body, Posture, draw_body, pose_joints, rotation_matrices
from motion_data.corpora.constructed.footfalls import Choreography, extend_grid
from motion_data.corpora.constructed.music_cues import CUE_RATE, MusicCues
from motion_data.corpora.constructed.music_steps import (
    Figure,
    Habits,
    choose_figures,
    choreograph_to_music,
    draw_habits,
    is_in_break,
)
from motion_data.corpora.constructed.step_patterns import ACCENTS
from motion_data.motion import Motion
from motion_data.skeleton import JOINTS
from motionbeat_upstream.tracking.grid import Grid

Array = NDArray[np.float64]

LOUDNESS_EXPONENT = 2.75
"""Energy is proportional to exp(LOUDNESS_EXPONENT · loudness) at dynamics 1: a third of it at 12 dB less."""

REST_SECONDS = 0.15
"""Standard deviation of the filter with which the body stops and starts at breaks."""

ACCENT_PERCENTILE = 60.0
"""Onsets of the melody above this percentile of strength are accents."""

MIN_GESTURE_GAP_SECONDS = 0.45
"""Minimum time between two gestures."""

RISE_SECONDS, FALL_SECONDS = (0.30, 0.08), (0.34, 0.30)
"""Time of an arm to an onset and back: with staccato, and the addition with legato."""

MAX_MOVE_SECONDS = 0.5
"""The body moves to a foot at most this long before the weight arrives there."""

MELODY_PRIORITY = 0.7
"""Priority of an accent of the melody against a nearby onset of the snare."""

CLAP_DISTANCE_METRES = 0.05
"""Distance of the wrists in a clap."""


def dance_to_music(
    grid: Grid,
    cues: MusicCues,
    style: str,
    seconds: float,
    energy: float,
    rng: np.random.Generator,
    fps: float = 60.0,
    figures: Sequence[str] | None = None,
) -> Motion:
    """Dance to music.

    Args:
        grid: beats and bars; extrapolated with its first and last period where it does not cover the span.
        cues: on the clock of the grid.
        style: favourite figure, one of ``STYLES[grid.metre]``; sections may have others.
        seconds: length of the span, from 0.
        energy: 0 (calm) to 1 (wild) at median loudness.
        rng: for body, habits, variation and human error.
        fps: frames per second.
        figures: styles that sections may have; None for all of the metre.

    Returns:
        As :func:`~motion_data.corpora.constructed.dancer.dance`; the pulses include taps to kick and bass.

    Raises:
        DataError: the style is unknown in this metre, or the span or energy is out of range.
    """
    check_dance(grid, style, seconds, energy, fps)
    body, habits = draw_body(rng), draw_habits(rng)
    accents = ACCENTS[grid.metre][int(rng.integers(len(ACCENTS[grid.metre])))]
    bar = grid.metre * float(np.median(np.diff(grid.beats)))
    wider = extend_grid(grid, -LEAD_SECONDS - 2 * bar, seconds + MARGIN_SECONDS + 4 * bar)
    parts = choose_figures(wider, cues, style, figures, energy, rng)
    energy_at = _energy_function(cues, energy, seconds, habits)
    plan = choreograph_to_music(wider, cues, parts, accents, energy_at, habits, body.height / 1.70, rng)

    margin, frames = round(MARGIN_SECONDS * fps), round(seconds * fps)
    times = np.arange(-margin, frames + margin) / fps
    feet = foot_tracks(plan, body, energy, times)
    scene = _Scene(plan, wider, cues, parts, habits, body, times, energy_at(times), fps)
    joints = pose_joints(body, feet, _posture(scene, rng))[margin : margin + frames]
    return Motion(fps, JOINTS, joints, 0.0, None, touch_downs(plan, seconds))


def _energy_function(
    cues: MusicCues, energy: float, seconds: float, habits: Habits
) -> Callable[[Array], Array]:
    """Function from (N,) times to (N,) energy, which follows loudness and decreases as the dancer tires."""
    loudness = smooth_track(cues.loudness, 0.25, CUE_RATE)
    relative = loudness - float(np.median(loudness))
    amplitude = np.clip(energy * np.exp(habits.dynamics * LOUDNESS_EXPONENT * relative), 0.02, 1.0)

    def energy_at(times: Array) -> Array:
        tiring = 1 - habits.tiring * np.clip(times / seconds, 0, 1)
        result: Array = cues.at(amplitude, times - habits.late) * tiring
        return result

    return energy_at


@dataclass(frozen=True)
class _Scene:
    """A dance with known steps, at (T,) times."""

    plan: Choreography
    grid: Grid
    cues: MusicCues
    figures: Sequence[Figure]
    habits: Habits
    body: Body
    times: Array
    energy: Array
    """(T,)."""
    fps: float

    @cached_property
    def beat(self) -> float:
        """Median beat period."""
        return float(np.median(np.diff(self.grid.beats)))

    @cached_property
    def moves(self) -> Array:
        """(T,) 0 in breaks, otherwise 1, smoothed."""
        inside = is_in_break(self.cues, self.times - self.habits.late).astype(float)
        return 1 - smooth_track(inside, REST_SECONDS, self.fps)

    @cached_property
    def legato(self) -> Array:
        """(T,) legato."""
        return self.cues.at(self.cues.legato, self.times - self.habits.late)

    def figure_at(self, times: Array) -> NDArray[np.int64]:
        """(N,) index of the figure at (N,) times."""
        downbeats = self.grid.downbeats
        return _last_index(np.array([downbeats[figure.first_bar] for figure in self.figures]), times)

    def by_figure(self, values: Sequence[float | Sequence[float]]) -> Array:
        """(T, ...) values of the figures, with smooth transitions."""
        return smooth_track(np.array(values, dtype=np.float64)[self.figure_at(self.times)], 0.2, self.fps)

    def bumps(self, peaks: Array, heights: Array, before: float, after: float) -> Array:
        """(T,) sum of raised cosines at (N,) times, with widths in seconds before and after the peaks."""
        frames = (peaks - self.times[0]) * self.fps
        inside = (frames >= 0) & (frames < len(self.times) - 1)
        frame, heights = frames[inside].astype(int), heights[inside]
        share = frames[inside] - frame
        impulses = np.zeros(len(self.times))
        np.add.at(impulses, frame, (1 - share) * heights)
        np.add.at(impulses, frame + 1, share * heights)
        rise, fall = max(2, round(before * self.fps)), max(2, round(after * self.fps))
        kernel = np.concatenate(
            [
                0.5 - 0.5 * np.cos(np.pi * np.arange(rise) / rise),
                0.5 + 0.5 * np.cos(np.pi * np.arange(fall + 1) / fall),
            ]
        )
        total: Array = np.convolve(impulses, kernel)[rise : rise + len(self.times)]
        return total


def _last_index(starts: Array, times: Array) -> NDArray[np.int64]:
    """(N,) index of the last of (M,) starts at or before each of (N,) times, at least 0."""
    return np.clip(np.searchsorted(starts, times, side="right") - 1, 0, None)


def _posture(scene: _Scene, rng: np.random.Generator) -> Posture:
    """Posture above the feet."""
    body, energy, figures = scene.body, scene.energy, scene.figures
    scale = body.height / 1.70
    smooth = partial(smooth_track, fps=scene.fps)
    x, z, heading, weight = body_path(scene.plan, scene.times, scene.fps, MAX_MOVE_SECONDS)
    dip, accent = _dips(scene)
    bounce = scene.by_figure([figure.pattern.bounce for figure in figures])
    depth = bounce * scale * (0.35 + 0.9 * energy) * (0.2 + 1.5 * dip)
    rise = np.interp(scene.times, scene.plan.beat_times + 0.3 * scene.beat, scene.plan.beat_rises * scale)
    hops = hop_heights(scene.plan, float(energy.mean()), scene.times)
    height = body.ankle + 0.98 * body.leg + body.hip_drop - (0.012 + 0.02 * energy) * scale
    y = smooth(height - depth + rise * scene.moves, min(0.04, 0.1 * scene.beat)) + smooth(hops, 0.03)

    lean = rng.uniform(0.0, 0.10) + 0.06 * energy
    hips = [f.pattern.hips * (1.6 if "half-time" in f.character else 1.0) for f in figures]
    sway = scene.by_figure(hips) * rng.uniform(0.7, 1.2) * (0.4 + 0.8 * energy)
    twist = rng.uniform(0.05, 0.16) * (0.5 + energy)
    nod = rng.uniform(0.06, 0.22) * (0.4 + energy)
    turns = (
        rotation_matrices(heading - 0.14 * sway * weight, 0.3 * lean, 0.13 * sway * weight),
        rotation_matrices(heading + 0.3 * twist * weight, lean + 0.05 * accent, -0.08 * sway * weight),
        rotation_matrices(
            heading + twist * weight, 0.8 * lean + (0.04 + 0.08 * energy) * accent, -0.10 * sway * weight
        ),
        rotation_matrices(heading, 0.3 * lean + nod * accent, -0.04 * sway * weight),
    )
    return Posture(np.stack([x, y, z], -1), *turns, _arms(scene, weight, rng))


def _dips(scene: _Scene) -> tuple[Array, Array]:
    """(T,) depth of the pelvis, and of head and chest, in [0, 1]."""
    cues, habits, beats = scene.cues, scene.habits, scene.grid.beats
    between = np.array(["off-beat" in figure.character for figure in scene.figures])
    beats = beats + np.where(between[scene.figure_at(beats)], 0.5 * scene.beat, 0.0)
    known = (beats >= cues.start) & (beats < cues.stop)
    bar = scene.plan.beat_accents * np.where(known, 1 - habits.attention, 1.0)
    bar = np.where(is_in_break(cues, beats), 0.0, bar)
    low, snare = cues.low, cues.onsets["snare"]
    width = float(np.clip(scene.beat, 0.3, 0.7))

    def curve(low_share: float, snare_share: float) -> Array:
        peaks = np.concatenate([beats, low[:, 0], snare[:, 0]]) + 0.02 + habits.late
        follow = habits.attention
        heights = np.concatenate([bar, low_share * follow * low[:, 1], snare_share * follow * snare[:, 1]])
        soft, sharp = (scene.bumps(peaks, heights, share * width, share * width) for share in (0.6, 0.4))
        depth: Array = 1 - np.exp(-1.2 * (scene.legato * soft + (1 - scene.legato) * sharp))
        return depth

    return curve(1.0, 0.0), curve(0.7, 1.0)


def _arms(scene: _Scene, weight: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Angles of both arms, which swing opposite to the feet and make gestures to melody and snare."""
    cues, habits, energy, figures = scene.cues, scene.habits, scene.energy, scene.figures
    # Gestures are smaller at fast tempi.
    wide = min(1.0, scene.beat / 0.5)
    snare, melody = _gesture_onsets(cues, habits, rng)
    figure_of = scene.figure_at(snare[:, 0])
    claps = (rng.random(len(figures)) < habits.clapping)[figure_of]
    one_sided = (rng.random(len(figures)) < 0.5)[figure_of] & ~claps
    clapping = _gesture_curve(scene, snare[claps])
    gestures = [
        (_gesture_curve(scene, melody), True, _accent_poses(scene, rng)),
        (_gesture_curve(scene, snare[one_sided]), True, _accent_poses(scene, rng)),
        (_gesture_curve(scene, snare[~claps & ~one_sided]), False, _accent_poses(scene, rng)),
    ]
    swing = scene.by_figure([figure.pattern.arms.swing for figure in figures])
    swing = swing * ((0.5 + 0.8 * energy) * wide * scene.moves * weight)[:, None]
    rest = scene.by_figure([figure.pattern.arms.rest for figure in figures])
    both = []
    for side, sign in ((0, 1.0), (1, -1.0)):
        leading_size = 1.0 if (side == 0) == habits.left_handed else 0.35
        # The left arm is forward while the weight is on the right foot.
        angles = rest + rng.normal(0.0, 5.0, 4) - sign * swing
        for share, leading, poses in gestures:
            size = (leading_size if leading else 1.0) * (0.4 + 0.6 * energy) * wide
            angles += (share * size)[:, None] * (poses - angles)
        angles += clapping[:, None] * (_clap_pose(scene.body) - angles)
        both.append(np.radians(angles))
    return both[0], both[1]


def keep_strongest(onsets: Array, gap: float) -> Array:
    """(M, 2) strongest of (N, 2) onsets, at least ``gap`` seconds apart."""
    times = onsets[:, 0]
    first, end = np.searchsorted(times, times - gap, "right"), np.searchsorted(times, times + gap)
    available, selected = np.ones(len(times), dtype=bool), np.zeros(len(times), dtype=bool)
    for index in np.argsort(-onsets[:, 1], kind="stable"):
        if available[index]:
            selected[index] = True
            available[first[index] : end[index]] = False
    strongest: Array = onsets[selected]
    return strongest


def _gesture_onsets(cues: MusicCues, habits: Habits, rng: np.random.Generator) -> tuple[Array, Array]:
    """(N, 2) onsets of the snare and (M, 2) accents of the melody (or chords) that get a gesture.

    They are at least :data:`MIN_GESTURE_GAP_SECONDS` apart.
    """
    snare = cues.onsets["snare"]
    snare = snare[(snare[:, 1] > 0.3) & (rng.random(len(snare)) < habits.answering)]
    melody = cues.onsets["melody"] if len(cues.onsets["melody"]) else cues.onsets["chords"]
    if len(melody):
        melody = melody[melody[:, 1] >= np.percentile(melody[:, 1], ACCENT_PERCENTILE)]
    melody = melody[rng.random(len(melody)) < habits.gesturing]
    # The snare has priority over a simultaneous accent.
    both = np.concatenate([snare, melody * (1.0, MELODY_PRIORITY)])
    order = np.argsort(both[:, 0], kind="stable")
    selected = keep_strongest(both[order], MIN_GESTURE_GAP_SECONDS)
    is_snare = np.isin(selected[:, 0], snare[:, 0])
    return selected[is_snare], selected[~is_snare] / (1.0, MELODY_PRIORITY)


def _gesture_curve(scene: _Scene, onsets: Array) -> Array:
    """(T,) position of an arm between rest (0) and a pose (1), which it reaches at (N, 2) onsets."""
    peaks = onsets[:, 0] + scene.habits.late
    (rise, legato_rise), (fall, legato_fall) = RISE_SECONDS, FALL_SECONDS
    sharp = scene.bumps(peaks, onsets[:, 1], rise, fall)
    soft = scene.bumps(peaks, onsets[:, 1], rise + legato_rise, fall + legato_fall)
    position = np.clip(scene.legato * soft + (1 - scene.legato) * sharp, 0, 1)
    # The sine avoids a jerk where overlapping gestures are clipped.
    return smooth_track(np.sin(np.pi / 2 * position), 0.03, scene.fps)


def _accent_poses(scene: _Scene, rng: np.random.Generator) -> Array:
    """(T, 4) pose of gestures in degrees; one per phrase, chosen from those of its figure."""
    phrases = scene.plan.phrase_times
    choices = rng.random(len(phrases))
    poses = [
        scene.figures[figure].pattern.arms.accents[
            int(choice * len(scene.figures[figure].pattern.arms.accents))
        ]
        for figure, choice in zip(scene.figure_at(phrases + 1e-6), choices, strict=True)
    ]
    return smooth_track(np.array(poses, dtype=np.float64)[_last_index(phrases, scene.times)], 0.12, scene.fps)


def _clap_pose(body: Body) -> Array:
    """(4,) angles in degrees at which the wrists nearly meet in front of the chest."""
    upper, elevation, fore = 72.0, 42.0, 94.0
    elbow = body.shoulder_width / 2 + body.upper_arm * np.sin(np.radians(elevation)) * np.cos(
        np.radians(upper)
    )
    inwards = (elbow - CLAP_DISTANCE_METRES / 2) / (body.forearm * np.sin(np.radians(fore)))
    return np.array([upper, elevation, 180 - np.degrees(np.arccos(np.clip(inwards, -1.0, 1.0))), fore])
