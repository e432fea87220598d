"""The upper part of a film: a body in perspective, or steps that rise to a line, at any moment."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from motion_data.looking.excerpt import Excerpt
from motion_data.looking.pen import BODY, CIRCLE, PAPER, Pen, side_colour
from motion_data.skeleton import INDEX, JOINTS, PARENTS
from motionbeat_upstream.commands.plot import BAR, BEAT, INK, ONSET, SOFT

DISTANCE, PITCH, TURN = 4.2, 0.16, 0.35
"""The camera: metres away, radians above the horizon, radians aside from where the body faces."""

CELL, REACH = 0.5, 3.5
"""Metres: a square of the floor; how far the floor is seen."""

FLASH = 0.6
"""Seconds that a ring spreads from a touch-down."""

TRUNK = ("left_shoulder", "neck", "right_shoulder", "right_hip", "pelvis", "left_hip")
"""The corners of the chest and belly."""


def bones(names: tuple[str, ...]) -> list[tuple[int, int]]:
    """Pairs of indices into ``names``: each joint of the common skeleton with the nearest one above it."""
    found = []
    for index, name in enumerate(names):
        parent = PARENTS[INDEX[name]] if name in INDEX else -1
        while parent >= 0 and JOINTS[parent] not in names:
            parent = PARENTS[parent]
        if parent >= 0:
            found.append((names.index(JOINTS[parent]), index))
    return found


def facing(excerpt: Excerpt) -> float:
    """Radians about the vertical, from z to x, that the body faces on the whole; 0 without hips."""
    if not {"left_hip", "right_hip"} <= set(excerpt.names):
        return 0.0
    left, right = (excerpt.names.index(side + "_hip") for side in ("left", "right"))
    across = (excerpt.joints[:, left] - excerpt.joints[:, right]).mean(0)
    return float(np.arctan2(-across[2], across[0]))


@dataclass(frozen=True)
class View:
    """A perspective onto the sheet of a pen."""

    target: NDArray[np.float64]
    """(3,) metres: what stands in the middle."""
    yaw: float
    centre: tuple[float, float]
    """Pixels."""
    focal: float
    """Pixels that a metre has at a distance of a metre."""

    def project(self, points: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(..., 2) pixels, and (...) pixels a metre, of (..., 3) points in metres."""
        back = np.array([np.sin(self.yaw) * np.cos(PITCH), np.sin(PITCH), np.cos(self.yaw) * np.cos(PITCH)])
        right = np.array([np.cos(self.yaw), 0.0, -np.sin(self.yaw)])
        away = points - self.target
        size = self.focal / np.maximum(DISTANCE - away @ back, 0.15)
        aside, above = away @ right, away @ np.cross(back, right)
        return np.array(self.centre) + size[..., None] * np.stack([aside, above], -1), size


class BodyStage:
    """Draws a body on its floor."""

    def __init__(self, excerpt: Excerpt) -> None:
        self._excerpt = excerpt
        names = excerpt.names
        root = excerpt.joints[:, names.index("pelvis") if "pelvis" in names else 0]
        # The camera follows the root's mean over 1.5 s, so that steps are seen as steps.
        path = uniform_filter1d(root[:, [0, 2]].astype(np.float64), max(1, round(1.5 * excerpt.fps)), axis=0,
                                mode="nearest")  # fmt: skip
        height = 0.47 * max(1.2, float(excerpt.joints[..., 1].max()))
        self._path = np.stack([path[:, 0], np.full(len(path), height), path[:, 1]], 1)
        self._yaw = facing(excerpt) + TURN
        self._parts: dict[str, list[tuple[int, int]]] = {}
        for parent, child in bones(names):
            limb = re.fullmatch(r"(left|right)_(?:(knee|ankle|foot)|elbow|wrist|hand)", names[child])
            part = "torso" if limb is None else limb[1] + ("_leg" if limb[2] else "_arm")
            self._parts.setdefault(part, []).append((parent, child))
        self._trunk = [names.index(name) for name in TRUNK if name in names]

    def draw(self, pen: Pen, time: float) -> None:
        """Draw the body at ``time`` seconds of the excerpt."""
        view, points = self._seen(pen, time)
        _draw_floor(pen, view)
        self._draw_contacts(pen, view, points, time)
        self._draw_trails(pen, view, time)
        self._draw_body(pen, view, points)

    def draw_pose(self, pen: Pen, time: float) -> None:
        """Draw the body alone, without floor and trails."""
        self._draw_body(pen, *self._seen(pen, time))

    def _seen(self, pen: Pen, time: float) -> tuple[View, NDArray[np.float64]]:
        """The camera at a moment, and the joints."""
        target = self._at(self._path, time)
        view = View(target, self._yaw, (pen.width / 2, pen.height / 2), 1.75 * pen.height)
        return view, self._at(self._excerpt.joints, time)

    def _at(self, track: NDArray[np.floating[Any]], time: float) -> NDArray[np.float64]:
        """(T, ...) frames interpolated at a moment; the first and last hold beyond the ends."""
        place = (time - self._excerpt.times[0]) * self._excerpt.fps
        place = float(np.clip(place, 0, len(track) - 1))
        first = min(int(place), len(track) - 2) if len(track) > 1 else 0
        last = min(first + 1, len(track) - 1)
        share = place - first
        between: NDArray[np.float64] = (1 - share) * track[first] + share * track[last]
        return between

    def _draw_contacts(self, pen: Pen, view: View, points: NDArray[np.float64], time: float) -> None:
        excerpt = self._excerpt
        for limb in sorted({*excerpt.pulses, *excerpt.contacts}):
            names = [limb, limb.replace("_foot", "_ankle"), limb.replace("_hand", "_wrist")]
            index = next((excerpt.names.index(name) for name in names if name in excerpt.names), None)
            if index is None:
                continue
            colour = side_colour(limb, BODY)
            spans = excerpt.contacts.get(limb, np.empty((0, 2)))
            if ((spans[:, 0] <= time) & (time < spans[:, 1])).any():
                pen.fill(_floor_ring(view, points[index], 0.13), colour, 0.35)
            since = since_touch(excerpt, limb, time)
            if since < FLASH:
                share = since / FLASH
                there = self._at(excerpt.joints, time - since)[index]
                ring = _floor_ring(view, there, 0.12 + 0.4 * share)
                pen.stroke([[*ring, ring[0]]], 4 * (1 - share) + 0.5, colour, 1 - share)

    def _draw_trails(self, pen: Pen, view: View, time: float) -> None:
        names = self._excerpt.names
        steps = np.linspace(0.45, 0, 12)
        trail = np.stack([self._at(self._excerpt.joints, time - back) for back in steps])
        for name in ("left_wrist", "right_wrist", "left_foot", "right_foot"):
            if name not in names:
                continue
            at, size = view.project(trail[:, names.index(name)])
            for step in range(len(steps) - 1):
                alpha = 0.45 * (step / len(steps)) ** 2
                pen.stroke([at[step : step + 2]], size[step] * 0.025, side_colour(name, BODY), alpha, "butt")

    def _nose(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(3,) in front of the face: across the shoulders, and up the neck, tell where that is."""
        names = self._excerpt.names
        head: NDArray[np.float64] = points[names.index("head")]
        if not {"left_shoulder", "right_shoulder", "neck"} <= set(names):
            return head
        across = points[names.index("left_shoulder")] - points[names.index("right_shoulder")]
        up = head - points[names.index("neck")]
        front = np.cross(across, up)
        up, front = (axis / max(float(np.linalg.norm(axis)), 1e-6) for axis in (up, front))
        nose: NDArray[np.float64] = head + 0.04 * up + 0.105 * front
        return nose

    def _draw_body(self, pen: Pen, view: View, points: NDArray[np.float64]) -> None:
        names = self._excerpt.names
        at, size = view.project(points)
        shadow, shadow_size = view.project(points * np.array([1.0, 0.0, 1.0]))
        everything = [bone for part in self._parts.values() for bone in part]
        pen.stroke(shadow[everything], shadow_size.mean() * 0.08, INK, 0.13)
        near = {part: size[np.unique(part_bones)].mean() for part, part_bones in self._parts.items()}
        skull = nose = None
        if "head" in names:
            head = names.index("head")
            base = names.index("neck") if "neck" in names else head
            along = points[head] - points[base]
            # The joint called head is where the skull sits on the neck; its middle lies beyond it.
            skull = view.project(points[head] + 0.06 * along / max(float(np.linalg.norm(along)), 1e-6))
            near["head"] = skull[1]
            nose = view.project(self._nose(points))
            near["nose"] = nose[1]
        for part in sorted(near, key=lambda part: float(near[part])):
            if part == "head" and skull is not None:
                pen.disc(skull[0], float(skull[1]) * 0.105 + 2, PAPER)
                pen.disc(skull[0], float(skull[1]) * 0.105, BODY)
                continue
            if part == "nose" and nose is not None:
                pen.disc(nose[0], float(nose[1]) * 0.03, ONSET)
                continue
            lines = at[self._parts[part]]
            width, colour = float(near[part]) * 0.054, side_colour(part, BODY)
            if part == "torso" and len(self._trunk) >= 4:
                pen.fill(at[self._trunk], PAPER)
                pen.fill(at[self._trunk], colour, 0.3)
            elif part != "torso":
                pen.stroke(lines, width + 4, PAPER)
            pen.stroke(lines, width, colour)


class StepStage:
    """Draws steps without a body: they rise to the line at which they are danced, as in the game."""

    def __init__(self, excerpt: Excerpt) -> None:
        self._excerpt = excerpt
        self._limbs = sorted(excerpt.pulses)

    def draw(self, pen: Pen, time: float) -> None:
        """Draw the steps around ``time`` seconds of the excerpt."""
        excerpt, count = self._excerpt, max(1, len(self._limbs))
        size, line = 0.062 * pen.height, 0.76 * pen.height
        lane = 3.2 * size
        # A beat has one height whatever the tempo, so fast steps do not lie upon each other.
        speed = 0.24 * pen.height * (excerpt.pair.bpm or 120.0) / 60
        edge = lane * (count / 2 + 0.1)
        for beat, position in zip(excerpt.beats, excerpt.positions, strict=True):
            y = line - (beat - time) * speed
            if 0 <= y <= pen.height:
                down = position == 1
                across = [(pen.width / 2 - edge, y), (pen.width / 2 + edge, y)]
                pen.stroke([across], 2 if down else 1, BAR if down else BEAT, 0.25 if y > line else 1)
        for row, limb in enumerate(self._limbs):
            x = pen.width / 2 + lane * (row - (count - 1) / 2)
            colour = side_colour(limb, BODY)
            glow = max(0.0, 1 - since_touch(excerpt, limb, time) / 0.35)
            outline = _arrow(limb, x, line, size * (1 + 0.3 * glow))
            if glow > 0:
                pen.fill(outline, colour, 0.25 + 0.75 * glow)
            pen.stroke([[*outline, outline[0]]], 3, colour, 0.3 + 0.7 * glow)
            for pulse in excerpt.pulses[limb]:
                y = line - (pulse - time) * speed
                if pulse > time and y > -lane:
                    pen.fill(_arrow(limb, x, y, size), colour)


def since_touch(excerpt: Excerpt, limb: str, time: float) -> float:
    """Seconds since the limb's last touch-down; infinite where there was none."""
    pulses = excerpt.pulses.get(limb, np.empty(0))
    last = int(np.searchsorted(pulses, time, side="right")) - 1
    return float("inf") if last < 0 else time - float(pulses[last])


def _floor_ring(view: View, point: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    ring = np.zeros((len(CIRCLE), 3))
    ring[:, [0, 2]] = point[[0, 2]] + radius * CIRCLE
    return view.project(ring)[0]


def _draw_floor(pen: Pen, view: View) -> None:
    steps = np.arange(-REACH, REACH + CELL / 2, CELL)
    middle = np.round(view.target[[0, 2]] / CELL) * CELL
    along, across = np.meshgrid(steps[:-1], steps, indexing="ij")
    begin = np.stack([along.ravel(), across.ravel()], 1)
    end = begin + np.array([CELL, 0.0])
    ends = np.stack([begin, end], 1) + np.zeros((1, 1, 2))
    ends = np.concatenate([ends, ends[..., ::-1]]) + middle
    away = np.linalg.norm(ends.mean(1) - view.target[[0, 2]], axis=1) / REACH
    lines = view.project(np.stack([ends[..., 0], np.zeros(ends.shape[:2]), ends[..., 1]], -1))[0]
    # A few strengths of many lines each draw faster than many lines one by one.
    strength = np.ceil(6 * (1 - away)).astype(int)
    for level in range(1, 7):
        pen.stroke(lines[strength == level], 1, SOFT, 0.75 * (level / 6) ** 1.4, "butt")


def _arrow(limb: str, x: float, y: float, size: float) -> NDArray[np.float64]:
    """(N, 2) corners: an arrow to the limb's side, or a diamond where it has none."""
    side = -1 if limb.startswith("left") else 1 if limb.startswith("right") else 0
    shape = (
        [(1, 0), (0, -0.9), (0, -0.36), (-1, -0.36), (-1, 0.36), (0, 0.36), (0, 0.9)]
        if side
        else [(0, -1), (0.9, 0), (0, 1), (-0.9, 0)]
    )
    corners: NDArray[np.float64] = np.array([x, y]) + size * np.array(shape) * np.array([side or 1, 1])
    return corners
