"""The parametric dancer that answers what sounds: same body and figures, moved by the music's cues [O].

The feet follow the rules of :mod:`music_steps`. Of the body above them:

- The pelvis sinks with kick and bass, and a little with the beats of the bar; off-beat music lowers it
  between the beats. Head and chest go with it.
- The arms answer the snare: with a clap, with both arms or with the leading one, by section.
- The leading hand shows accents of the melody.
- All amplitudes follow loudness; movements are soft where notes are bound, and sharp where they are short.
- In a break the body rests.

Where cues end the dancer goes on with the bar alone.
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
"""Energy goes with exp(LOUDNESS_EXPONENT · loudness) at dynamics 1: at 12 dB less it is a third."""

REST_SECONDS = 0.15
"""Seconds (standard deviation) over which the body comes to rest and begins again."""

ACCENT_PERCENTILE = 60.0
"""Percentile of the melody's strokes from which on one is an accent."""

MIN_GESTURE_GAP_SECONDS = 0.45
"""Seconds between two strokes that an arm answers, at least."""

RISE_SECONDS, FALL_SECONDS = (0.30, 0.08), (0.34, 0.30)
"""Seconds that an arm takes to a stroke and back: with short notes, and how much more with bound ones."""

MAX_MOVE_SECONDS = 0.5
"""Seconds before the weight arrives on a foot in which the body moves there; before that it stands."""

MELODY_PRIORITY = 0.7
"""How much an accent of the melody counts against a stroke of the snare close to it."""

CLAP_DISTANCE_METRES = 0.05
"""Metres between the wrists in a clap."""


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
    """Dance to what sounds.

    Args:
        grid: beats and bars; continued at its outer tempo where it does not cover the span.
        cues: what sounds, on the clock of the grid.
        style: favourite figure, one of ``STYLES[grid.metre]``; sections have others as well.
        seconds: length of the span, from 0.
        energy: 0 (calm) to 1 (wild) at middling loudness.
        rng: body, habits, variation and human error.
        fps: frames a second.
        figures: styles that sections may have; None for all of the metre.

    Returns:
        As of :func:`~motion_data.corpora.constructed.dancer.dance`; taps that answer kick and bass off the
        beat are in the pulses as well.

    Raises:
        DataError: no such style in this metre; a span or an energy that cannot be.
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
    """(N,) energy at (N,) seconds: as loud as the music is there, and less where the dancer is tired."""
    loudness = smooth_track(cues.loudness, 0.25, CUE_RATE)
    louder = loudness - float(np.median(loudness))
    amplitude = np.clip(energy * np.exp(habits.dynamics * LOUDNESS_EXPONENT * louder), 0.02, 1.0)

    def at(times: Array) -> Array:
        tired = 1 - habits.tiring * np.clip(times / seconds, 0, 1)
        now: Array = cues.at(amplitude, times - habits.late) * tired
        return now

    return at


@dataclass(frozen=True)
class _Scene:
    """A dance whose steps are known, over (T,) times."""

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
        """Seconds."""
        return float(np.median(np.diff(self.grid.beats)))

    @cached_property
    def moves(self) -> Array:
        """(T,) 0 in breaks, else 1."""
        inside = is_in_break(self.cues, self.times - self.habits.late).astype(float)
        return 1 - smooth_track(inside, REST_SECONDS, self.fps)

    @cached_property
    def legato(self) -> Array:
        """(T,)."""
        return self.cues.at(self.cues.legato, self.times - self.habits.late)

    def figure_at(self, times: Array) -> NDArray[np.int64]:
        """(N,) index of the figure that is danced at (N,) seconds."""
        downbeats = self.grid.downbeats
        return _last_index(np.array([downbeats[figure.first_bar] for figure in self.figures]), times)

    def by_figure(self, values: Sequence[float | Sequence[float]]) -> Array:
        """(T, ...) a value of each figure, which changes softly from one to the next."""
        return smooth_track(np.array(values, dtype=np.float64)[self.figure_at(self.times)], 0.2, self.fps)

    def bumps(self, at: Array, heights: Array, before: float, after: float) -> Array:
        """(T,) a raised cosine of a height at each of (N,) seconds, so many seconds wide before and after it;
        they add up."""
        frames = (at - self.times[0]) * self.fps
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
        added: Array = np.convolve(impulses, kernel)[rise : rise + len(self.times)]
        return added


def _last_index(begins: Array, times: Array) -> NDArray[np.int64]:
    """(N,) index of the last of (M,) seconds at or before each of (N,); the first where there is none."""
    return np.clip(np.searchsorted(begins, times, side="right") - 1, 0, None)


def _posture(scene: _Scene, rng: np.random.Generator) -> Posture:
    """All above the feet."""
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
    """(T,) how low the pelvis is and how far head and chest nod, 0 to 1."""
    cues, habits, beats = scene.cues, scene.habits, scene.grid.beats
    between = np.array(["off-beat" in figure.character for figure in scene.figures])
    beats = beats + np.where(between[scene.figure_at(beats)], 0.5 * scene.beat, 0.0)
    known = (beats >= cues.start) & (beats < cues.stop)
    bar = scene.plan.beat_accents * np.where(known, 1 - habits.attention, 1.0)
    bar = np.where(is_in_break(cues, beats), 0.0, bar)
    low, snare = cues.low, cues.onsets["snare"]
    width = float(np.clip(scene.beat, 0.3, 0.7))

    def curve(low_share: float, snare_share: float) -> Array:
        at = np.concatenate([beats, low[:, 0], snare[:, 0]]) + 0.02 + habits.late
        follow = habits.attention
        heights = np.concatenate([bar, low_share * follow * low[:, 1], snare_share * follow * snare[:, 1]])
        soft, sharp = (scene.bumps(at, heights, share * width, share * width) for share in (0.6, 0.4))
        bent: Array = 1 - np.exp(-1.2 * (scene.legato * soft + (1 - scene.legato) * sharp))
        return bent

    return curve(1.0, 0.0), curve(0.7, 1.0)


def _arms(scene: _Scene, weight: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Arms swing against the feet, show the melody's accents and answer the snare."""
    cues, habits, energy, figures = scene.cues, scene.habits, scene.energy, scene.figures
    # On fast beats there is no time for wide gestures.
    wide = min(1.0, scene.beat / 0.5)
    snare, melody = _gesture_onsets(cues, habits, rng)
    figure_of = scene.figure_at(snare[:, 0])
    claps = (rng.random(len(figures)) < habits.clapping)[figure_of]
    one_sided = (rng.random(len(figures)) < 0.5)[figure_of] & ~claps
    meeting = _gesture_curve(scene, snare[claps])
    ways = [
        (_gesture_curve(scene, melody), True, _accent_poses(scene, rng)),
        (_gesture_curve(scene, snare[one_sided]), True, _accent_poses(scene, rng)),
        (_gesture_curve(scene, snare[~claps & ~one_sided]), False, _accent_poses(scene, rng)),
    ]
    swing = scene.by_figure([figure.pattern.arms.swing for figure in figures])
    swing = swing * ((0.5 + 0.8 * energy) * wide * scene.moves * weight)[:, None]
    rest = scene.by_figure([figure.pattern.arms.rest for figure in figures])
    both = []
    for side, sign in ((0, 1.0), (1, -1.0)):
        own = 1.0 if (side == 0) == habits.left_handed else 0.35
        # The left arm comes forward while the right foot carries.
        angles = rest + rng.normal(0.0, 5.0, 4) - sign * swing
        for share, leading, poses in ways:
            size = (own if leading else 1.0) * (0.4 + 0.6 * energy) * wide
            angles += (share * size)[:, None] * (poses - angles)
        angles += meeting[:, None] * (_clap_pose(scene.body) - angles)
        both.append(np.radians(angles))
    return both[0], both[1]


def keep_strongest(strokes: Array, gap: float) -> Array:
    """(M, 2) of (N, 2) strokes: the strongest, and no other less than ``gap`` seconds from one of them."""
    times = strokes[:, 0]
    first, after = np.searchsorted(times, times - gap, "right"), np.searchsorted(times, times + gap)
    left, kept = np.ones(len(times), dtype=bool), np.zeros(len(times), dtype=bool)
    for stroke in np.argsort(-strokes[:, 1], kind="stable"):
        if left[stroke]:
            kept[stroke] = True
            left[first[stroke] : after[stroke]] = False
    chosen: Array = strokes[kept]
    return chosen


def _gesture_onsets(cues: MusicCues, habits: Habits, rng: np.random.Generator) -> tuple[Array, Array]:
    """(N, 2) strokes of the snare that the arms answer, and (M, 2) accents of the melody, else of the chords,
    that the leading hand shows; between any two of them there is time for one."""
    snare = cues.onsets["snare"]
    snare = snare[(snare[:, 1] > 0.3) & (rng.random(len(snare)) < habits.answering)]
    melody = cues.onsets["melody"] if len(cues.onsets["melody"]) else cues.onsets["chords"]
    if len(melody):
        melody = melody[melody[:, 1] >= np.percentile(melody[:, 1], ACCENT_PERCENTILE)]
    melody = melody[rng.random(len(melody)) < habits.gesturing]
    # Of a snare and an accent at once the snare is answered.
    both = np.concatenate([snare, melody * (1.0, MELODY_PRIORITY)])
    order = np.argsort(both[:, 0], kind="stable")
    kept = keep_strongest(both[order], MIN_GESTURE_GAP_SECONDS)
    of_snare = np.isin(kept[:, 0], snare[:, 0])
    return kept[of_snare], kept[~of_snare] / (1.0, MELODY_PRIORITY)


def _gesture_curve(scene: _Scene, strokes: Array) -> Array:
    """(T,) how far an arm is on its way to a pose that it reaches on each of (N, 2) strokes, 0 to 1."""
    at = strokes[:, 0] + scene.habits.late
    (before, more_before), (after, more_after) = RISE_SECONDS, FALL_SECONDS
    sharp = scene.bumps(at, strokes[:, 1], before, after)
    soft = scene.bumps(at, strokes[:, 1], before + more_before, after + more_after)
    way = np.clip(scene.legato * soft + (1 - scene.legato) * sharp, 0, 1)
    # Where gestures run into one another the arm stays, without a jerk.
    return smooth_track(np.sin(np.pi / 2 * way), 0.03, scene.fps)


def _accent_poses(scene: _Scene, rng: np.random.Generator) -> Array:
    """(T, 4) the pose in degrees that gestures go to: one a phrase, of those of its figure."""
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
    """(4,) degrees at which an arm's wrist is in the middle in front of the chest."""
    upper, elevation, fore = 72.0, 42.0, 94.0
    elbow = body.shoulder_width / 2 + body.upper_arm * np.sin(np.radians(elevation)) * np.cos(
        np.radians(upper)
    )
    inwards = (elbow - CLAP_DISTANCE_METRES / 2) / (body.forearm * np.sin(np.radians(fore)))
    return np.array([upper, elevation, 180 - np.degrees(np.arccos(np.clip(inwards, -1.0, 1.0))), fore])
