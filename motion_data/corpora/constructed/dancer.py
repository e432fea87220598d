"""Parametric dancer: procedural motion whose footfalls follow the beats and bars of a grid [O].

Phrases begin on downbeats; sizes of steps, bounce and arm movements depend on the position in the bar.
Footfalls have human timing errors. Body, habits and accents of a take are drawn from its random generator, so
that the same generator gives the same dance. A take is therefore a seed and a style, named by
:func:`take_name`; splits with different seeds share no takes.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from motion_data.corpora.constructed.figure import (
    Body,
    Foot,
    Posture,
    draw_body,
    pose_joints,
    rotation_matrices,
)
from motion_data.corpora.constructed.footfalls import (
    MIN_FOOT_DISTANCE,
    Choreography,
    Footfall,
    choreograph,
    extend_grid,
    swing_durations,
)
from motion_data.corpora.constructed.step_patterns import ACCENTS, PATTERNS, Arms, Pattern
from motion_data.errors import DataError
from motion_data.motion import Motion
from motion_data.skeleton import JOINTS
from motionbeat_upstream.tracking.grid import Grid

Array = NDArray[np.float64]

STYLES: dict[int, tuple[str, ...]] = {metre: tuple(patterns) for metre, patterns in sorted(PATTERNS.items())}
"""Styles by metre (beats per bar); 2 includes 6/8."""

Follows = Literal["beats", "music"]
"""What a parametric dancer follows: only beats and bars (:func:`dance`), or also notes or sound
(:func:`~motion_data.corpora.constructed.responsive.dance_to_music`)."""

LEAD_SECONDS, MARGIN_SECONDS = 6.0, 0.5
"""Dance before the span, so that it does not begin with the dance, and margin computed around it."""


def take_name(style: str, seed: int, follows: Follows = "beats") -> str:
    """Name of the take that a style and ``numpy.random.default_rng(seed)`` give."""
    return f"{'dancer' if follows == 'beats' else 'responsive'}-{style}-{seed}"


def dance(
    grid: Grid, style: str, seconds: float, energy: float, rng: np.random.Generator, fps: float = 60.0
) -> Motion:
    """Dance to a grid.

    Args:
        grid: beats and bars; extrapolated with its first and last period where it does not cover the span.
        style: one of ``STYLES[grid.metre]``. Too fast music is danced at half time, slow music with
            high energy at double time.
        seconds: length of the span, from 0.
        energy: 0 (calm) to 1 (wild): size of steps, bounce and arms.
        rng: for body, habits, variation and human error.
        fps: frames per second.

    Returns:
        22 joints in metres, y up, floor at 0; bones keep their lengths, standing feet keep their positions.
        ``pulses`` are the touch-downs of steps between 0 and ``seconds``, not rounded to frames; scuffs and
        extra taps off the beat are in the joints, but not in the pulses.

    Raises:
        DataError: the style is unknown in this metre, or the span or energy is out of range.
    """
    check_dance(grid, style, seconds, energy, fps)
    pattern = PATTERNS[grid.metre][style]
    body = draw_body(rng)
    accents = ACCENTS[grid.metre][int(rng.integers(len(ACCENTS[grid.metre])))]
    bar = grid.metre * float(np.median(np.diff(grid.beats)))
    wider = extend_grid(grid, -LEAD_SECONDS - 2 * bar, seconds + MARGIN_SECONDS + 4 * bar)
    plan = choreograph(wider, pattern, accents, energy, body.height / 1.70, rng)

    margin = round(MARGIN_SECONDS * fps)
    frames = round(seconds * fps)
    times = np.arange(-margin, frames + margin) / fps
    feet = foot_tracks(plan, body, energy, times)
    posture = _posture(plan, pattern, body, energy, times, fps, rng)
    joints = pose_joints(body, feet, posture)[margin : margin + frames]
    return Motion(fps, JOINTS, joints, 0.0, None, touch_downs(plan, seconds))


def check_dance(grid: Grid, style: str, seconds: float, energy: float, fps: float) -> None:
    """Check the arguments of :func:`dance`, with the same errors."""
    if style not in PATTERNS.get(grid.metre, {}):
        styles = ", ".join(STYLES.get(grid.metre, ())) or f"none (metres: {', '.join(map(str, STYLES))})"
        raise DataError(f"style {style!r} in a metre of {grid.metre} beats; expected one of: {styles}")
    if not (np.isfinite(seconds) and seconds * fps >= 2):
        raise DataError(f"a dance of {seconds:g} s at {fps:g} fps; expected at least two frames")
    if not 0 <= energy <= 1:
        raise DataError(f"energy {energy:g}; expected 0 (calm) to 1 (wild)")


def touch_downs(plan: Choreography, seconds: float) -> dict[str, Array]:
    """(N,) touch-downs of each foot from 0 to ``seconds``, without scuffs."""
    falls = [fall for fall in plan.footfalls if fall.is_step and fall.lift > 0 and 0 <= fall.time < seconds]
    return {
        limb: np.array([fall.time for fall in falls if fall.foot == foot])
        for foot, limb in enumerate(("left_foot", "right_foot"))
    }


def foot_tracks(plan: Choreography, body: Body, energy: float, times: Array) -> tuple[Foot, Foot]:
    """Motion of both feet, which stand or swing between the positions of their footfalls."""
    seconds = swing_durations(plan.footfalls, energy)
    plants = [np.zeros(2), np.zeros(2)]
    rows: list[list[tuple[float, ...]]] = [[], []]
    for fall, swing in zip(plan.footfalls, seconds, strict=True):
        if fall.lift == 0:
            continue
        begin, end = plants[fall.foot], np.array(fall.location)
        clearance = 1.1 * MIN_FOOT_DISTANCE * body.height / 1.70
        detour = _detour(begin, end, plants[1 - fall.foot], fall, clearance)
        rows[fall.foot].append((fall.time, swing, *begin, *end, *detour, fall.yaw, fall.lift))
        plants[fall.foot] = end
    left, right = (_foot_track(np.array(foot_rows), body, times) for foot_rows in rows)
    return left, right


def _detour(begin: Array, end: Array, other: Array, fall: Footfall, clearance: float) -> Array:
    """(2,) offset of the middle of a foot's path that avoids the other foot."""
    path = end - begin
    share = np.clip((other - begin) @ path / max(float(path @ path), 1e-6), 0.2, 0.8)
    offset = begin + share * path - other
    distance = float(np.hypot(*offset))
    if distance >= clearance:
        return np.zeros(2)
    if distance < 0.02:
        side = 1.0 if fall.foot == 0 else -1.0
        return clearance * (side * np.array([np.cos(fall.heading), -np.sin(fall.heading)]))
    detour: Array = (clearance - distance) / distance * offset
    return detour


def _foot_track(rows: Array, body: Body, times: Array) -> Foot:
    landing, swing, x0, z0, x1, z1, bend_x, bend_z, yaw, lift = rows.T
    following = np.minimum(np.searchsorted(landing, times), len(landing) - 1)
    phase = np.clip(1 - (landing[following] - times) / swing[following], 0.0, 1.0)
    # The foot reaches its position shortly before it comes down.
    path = np.minimum(phase / 0.94, 1.0)
    path = path**3 * (10 - 15 * path + 6 * path**2)
    detour = 16 * phase**2 * (1 - phase) ** 2
    height = lift[following] * (4 * phase * (1 - phase)) ** 1.25
    before = np.concatenate([yaw[:1], yaw[:-1]])
    ball = np.stack(
        [
            x0[following] + path * (x1 - x0)[following] + detour * bend_x[following],
            body.ball + height,
            z0[following] + path * (z1 - z0)[following] + detour * bend_z[following],
        ],
        -1,
    )
    # The heel leaves the floor first and is highest after a third of the swing.
    pitch = 6.75 * phase * (1 - phase) ** 2 * np.minimum(0.55, 3.0 * lift[following])
    return Foot(ball, before[following] + path * (yaw - before)[following], pitch)


def _posture(
    plan: Choreography,
    pattern: Pattern,
    body: Body,
    energy: float,
    times: Array,
    fps: float,
    rng: np.random.Generator,
) -> Posture:
    """Posture above the feet: weight shifts, bounce, turns, and arms with accents of the bar."""
    scale = body.height / 1.70
    smooth = partial(smooth_track, fps=fps)
    x, z, heading, weight = body_path(plan, times, fps)

    beat = float(np.median(np.diff(plan.beat_times)))
    depth = pattern.bounce * scale * (0.35 + 0.9 * energy) * (0.3 + 1.4 * plan.beat_accents)
    bounce = _bumps(times, plan.beat_times + rng.normal(0.02, 0.006), -depth, beat)
    rise = np.interp(times, plan.beat_times + 0.3 * beat, plan.beat_rises * scale)
    hops = hop_heights(plan, energy, times)
    height = body.ankle + 0.98 * body.leg + body.hip_drop - (0.012 + 0.02 * energy) * scale
    y = smooth(height + bounce + rise, min(0.05, 0.1 * beat)) + smooth(hops, 0.03)

    accent = smooth(_bumps(times, plan.beat_times, np.clip(plan.beat_accents, 0, 1.2), 1.2 * beat), 0.04)
    lean = rng.uniform(0.0, 0.10) + 0.06 * energy
    sway = pattern.hips * rng.uniform(0.7, 1.2)
    twist = rng.uniform(0.05, 0.16) * (0.5 + energy)
    nod = rng.uniform(0.04, 0.18) * (0.4 + energy)
    posture_turns = (
        rotation_matrices(
            heading - 0.14 * sway * weight, np.full(len(times), 0.3 * lean), 0.13 * sway * weight
        ),
        rotation_matrices(heading + 0.3 * twist * weight, lean + 0.05 * accent, -0.08 * sway * weight),
        rotation_matrices(
            heading + twist * weight, 0.8 * lean + (0.04 + 0.08 * energy) * accent, -0.10 * sway * weight
        ),
        rotation_matrices(heading, 0.3 * lean + nod * accent, -0.04 * sway * weight),
    )
    arms = _arms(plan, pattern.arms, energy, times, weight, accent, rng, fps)
    return Posture(np.stack([x, y, z], -1), *posture_turns, arms)


def smooth_track(values: Array, seconds: float, fps: float) -> Array:
    """Smooth (T, ...) values by a Gaussian filter with a standard deviation in seconds."""
    smooth: Array = gaussian_filter1d(values, seconds * fps, axis=0, mode="nearest")
    return smooth


def body_path(
    plan: Choreography, times: Array, fps: float, max_move: float = np.inf
) -> tuple[Array, Array, Array, Array]:
    """(T,) x, z and heading of the body, and its weight, from 1 on the left foot to -1 on the right.

    The body moves evenly from step to step, in the last ``max_move`` seconds before each step.
    """
    smooth = partial(smooth_track, fps=fps)
    falls = [fall for fall in plan.footfalls if fall.weight]
    stand = np.array([fall.time for fall in falls])
    # The weight shifts to a foot after its touch-down.
    gap = np.diff(stand, append=stand[-1] + 0.5)
    arrival = stand + np.minimum(0.15, 0.4 * gap)
    waits = np.flatnonzero(np.diff(arrival) > max_move)
    falls = [fall for index, fall in enumerate(falls) for _ in range(1 + (index in waits))]
    arrival = np.insert(arrival, waits + 1, arrival[waits + 1] - max_move)
    foot = np.array([fall.location for fall in falls])
    centre = np.array([fall.centre for fall in falls])
    target = centre + 0.45 * (foot - centre)
    x, z = (smooth(np.interp(times, arrival, axis), 0.09) for axis in target.T)
    heading = smooth(np.interp(times, arrival, np.array([fall.heading for fall in falls])), 0.10)
    weight = smooth(np.interp(times, arrival, np.array([1.0 - 2.0 * fall.foot for fall in falls])), 0.07)
    return x, z, heading, weight


def _bumps(times: Array, peaks: Array, heights: Array, width: float) -> Array:
    """(T,) raised cosines of given heights and width around the peaks; the nearest peak counts."""
    nearest = np.searchsorted((peaks[1:] + peaks[:-1]) / 2, times)
    distance = np.clip(np.abs(times - peaks[nearest]) / (width / 2), 0.0, 1.0)
    bumps: Array = heights[nearest] * 0.5 * (1 + np.cos(np.pi * distance))
    return bumps


def hop_heights(plan: Choreography, energy: float, times: Array) -> Array:
    """(T,) height of the body in hops, in metres."""
    rise = np.zeros(len(times))
    for fall in plan.footfalls:
        if fall.hop:
            phase = np.clip((times - fall.time + 0.24) / 0.24, 0.0, 1.0)
            rise += 4 * phase * (1 - phase) * (0.02 + 0.03 * energy)
    return rise


def _arms(
    plan: Choreography,
    arms: Arms,
    energy: float,
    times: Array,
    weight: Array,
    accent: Array,
    rng: np.random.Generator,
    fps: float,
) -> tuple[Array, Array]:
    """Angles of both arms, which swing opposite to the feet and move to an accent on strong beats."""
    choice = rng.integers(len(arms.accents), size=len(plan.phrase_times))
    one_sided = rng.random((len(plan.phrase_times), 2)) < 0.3
    phrase = np.clip(np.searchsorted(plan.phrase_times, times, side="right") - 1, 0, None)
    habit = rng.normal(0.0, 5.0, (2, 4))
    # Gestures are smaller at fast tempi.
    wide = min(1.0, float(np.median(np.diff(plan.beat_times))) / 0.5)
    both = []
    for side, sign in ((0, 1.0), (1, -1.0)):
        accents = np.array(arms.accents)[choice][phrase]
        strength = np.where(one_sided[phrase, side], 0.35, 1.0) * (0.35 + 0.6 * energy) * wide
        accents = gaussian_filter1d(accents, 0.12 * fps, axis=0, mode="nearest")
        strength = gaussian_filter1d(strength, 0.12 * fps, mode="nearest")
        rest = np.array(arms.rest) + habit[side]
        swing = np.array(arms.swing) * (0.6 + 0.7 * energy) * wide
        # The left arm is forward while the weight is on the right foot.
        base = rest - sign * weight[:, None] * swing
        share = (np.clip(accent, 0, 1) * strength)[:, None]
        both.append(np.radians(base + share * (accents - base)))
    return both[0], both[1]
