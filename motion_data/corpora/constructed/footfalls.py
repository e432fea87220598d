"""Footfalls of a dance: a step pattern on a grid, with human errors [O]."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from motion_data.corpora.constructed.step_patterns import Pattern, Step
from motionbeat_upstream.tracking.grid import Grid

Array = NDArray[np.float64]

STANCE_METRES = 0.10
"""Distance of each foot from the centre."""

MIN_FOOT_DISTANCE, MAX_FOOT_DISTANCE = 0.16, 0.60
"""Range of the distance between standing feet in metres."""

MAX_FOOT_SPEED = 4.2
"""Maximum speed of a foot in the middle of its swing in m/s."""


def extend_grid(grid: Grid, begin: float, end: float) -> Grid:
    """Extrapolate a grid with its first and last period to cover ``begin`` to ``end`` seconds."""
    first, last = grid.beats[1] - grid.beats[0], grid.beats[-1] - grid.beats[-2]
    head = np.arange(max(0, int(np.ceil((grid.beats[0] - begin) / first))), 0, -1)
    tail = np.arange(1, max(0, int(np.ceil((end - grid.beats[-1]) / last))) + 1)
    times = np.concatenate([grid.beats[0] - head * first, grid.beats, grid.beats[-1] + tail * last])
    before = (grid.positions[0] - 1 - head) % grid.metre + 1
    after = (grid.positions[-1] - 1 + tail) % grid.metre + 1
    return replace(grid, beats=times, positions=np.concatenate([before, grid.positions, after]))


@dataclass(frozen=True)
class Footfall:
    """A touch-down, or a shift of weight without one."""

    time: float
    foot: int
    """0 left, 1 right."""
    location: tuple[float, float]
    """x and z of the ball."""
    yaw: float
    """Direction of the toes, radians."""
    lift: float
    """Metres; 0 for a shift of weight onto a foot that does not move."""
    weight: bool
    """Whether the foot takes the weight."""
    hop: bool
    is_step: bool
    """False for a scuff or an extra tap off the beat, which is not a contact target."""
    centre: tuple[float, float]
    """x and z of the dancer's centre from here on."""
    heading: float
    """Direction in which the dancer faces from here on, radians."""


@dataclass(frozen=True)
class Choreography:
    """Footfalls of a dance, and the beats of its body movement."""

    footfalls: tuple[Footfall, ...]
    """Sorted by time."""
    beat_times: Array
    """(B,) times of the pattern's beats."""
    beat_accents: Array
    """(B,) accent of each beat, from its position in the bar and the energy of the phrase."""
    beat_rises: Array
    """(B,) metres by which the body rises."""
    phrase_times: Array
    """(P,) times at which phrases begin."""


def beat_stretch(pattern: Pattern, metre: int, period: float, energy: float) -> float:
    """Beats of the music per beat of the pattern: 2 for too fast music, 1/2 for slow music at high energy."""
    if period < pattern.quickest:
        return 2.0
    doubled = pattern.beats // 2
    if (
        pattern.beats % 2 == 0
        and doubled % metre == 0
        and energy > 0.6
        and period / 2 > 1.15 * pattern.quickest
    ):
        return 0.5
    return 1.0


def choreograph(
    grid: Grid,
    pattern: Pattern,
    accents: tuple[float, ...],
    energy: float,
    scale: float,
    rng: np.random.Generator,
) -> Choreography:
    """Repeat a pattern over the bars of a grid, in phrases of 4 or 8 bars, with human errors.

    Args:
        grid: at least two whole bars.
        pattern: for the same metre.
        accents: weight of each beat of the bar.
        energy: 0 to 1.
        scale: height of the body relative to 1.70 m.
        rng: for all variations.
    """
    period = float(np.median(np.diff(grid.beats)))
    stretch = beat_stretch(pattern, grid.metre, period, energy)
    starts = np.flatnonzero(grid.positions == 1)
    lengths = np.diff(starts, append=len(grid.beats))
    unit = max(1, round(pattern.beats * stretch / grid.metre))
    phrase = max(unit, int(rng.choice([4, 8])) if grid.metre > 2 else 8)
    sigma = rng.uniform(0.010, 0.025)
    dancer = Stepper(pattern, energy, scale, sigma, rng)
    times, weights, rises, phrases = [], [], [], []

    def seconds_at(beat: float) -> float:
        return float(np.interp(beat, np.arange(len(grid.beats)), grid.beats))

    for bar in range(0, len(starts), unit):
        if bar % phrase < unit:
            dancer.new_phrase()
            phrases.append(grid.beats[starts[bar]])
        last = bar % phrase >= phrase - unit
        turning = dancer.turn_at_end if last else 0.0
        dancer.new_figure()
        for step in pattern.steps:
            index = beat_index(step.beat * stretch, bar, starts, lengths, grid.metre)
            if index is None:
                continue
            position = (int(grid.positions[int(index)]) - 1) % len(accents)
            accent = accents[position] if index == int(index) else 0.1
            dancer.add_step(step, seconds_at(index), accent, turning / len(pattern.steps), stretch * period)
        for beat in np.arange(0, pattern.beats):
            index = beat_index(beat * stretch, bar, starts, lengths, grid.metre)
            if index is None:
                continue
            position = (int(grid.positions[int(index)]) - 1) % len(accents)
            on_beat = index == int(index)
            times.append(seconds_at(index))
            weights.append((accents[position] if on_beat else 0.1) * dancer.force * rng.uniform(0.85, 1.15))
            rises.append(pattern.rise[position] if pattern.rise and on_beat else 0.0)
    return Choreography(
        tuple(sort_footfalls(dancer.footfalls)),
        np.array(times),
        np.array(weights),
        np.array(rises),
        np.array(phrases),
    )


def swing_durations(footfalls: tuple[Footfall, ...], energy: float) -> Array:
    """(N,) seconds of the swing before each footfall."""
    seconds = np.empty(len(footfalls))
    landed: list[tuple[float, tuple[float, float]] | None] = [None, None]
    for index, fall in enumerate(footfalls):
        previous, other = landed[fall.foot], landed[1 - fall.foot]
        elapsed = fall.time - previous[0] if previous else 1.0
        free = fall.time - other[0] if other else 0.5
        duration = min(0.42, 0.9 * free) if not fall.hop else 0.22
        if not fall.is_step:
            duration = 0.22
        duration *= 1.1 - 0.25 * energy
        distance = float(np.hypot(*np.subtract(fall.location, previous[1]))) if previous else 0.0
        # Small steps are quick.
        duration = min(duration, (distance + 2 * fall.lift) / 0.6)
        seconds[index] = min(max(duration, 0.20, 1.9 * distance / MAX_FOOT_SPEED), 0.8 * elapsed)
        if fall.lift > 0:
            landed[fall.foot] = (fall.time, fall.location)
    return seconds


class Stepper:
    """State of a dancer (position, heading, free foot, errors), which appends footfalls."""

    def __init__(
        self, pattern: Pattern, energy: float, scale: float, sigma: float, rng: np.random.Generator
    ) -> None:
        self.pattern, self.energy, self.scale, self.sigma, self.rng = pattern, energy, scale, sigma, rng
        self.footfalls: list[Footfall] = []
        self.free = int(rng.integers(2))
        self.centre = np.zeros(2)
        self.heading = float(rng.uniform(-np.pi, np.pi))
        self.plants = [self._local(side * STANCE_METRES * scale, 0.0) for side in (1, -1)]
        self.error = 0.0
        self.lag = float(np.clip(rng.normal(0.0, 0.004), -0.01, 0.01))
        self.spin = float(rng.choice([-1.0, 1.0]))
        self.turnout = float(rng.uniform(0.05, 0.3))
        self.miss_rate, self.scuff_rate = float(rng.uniform(0, 0.02)), float(rng.uniform(0.02, 0.09))
        self.force = self.size = self.forward = self.side = 1.0
        self.turn_at_end = 0.0

    def new_phrase(self) -> None:
        """Draw size, direction and turn of a phrase."""
        self.force = float(self.rng.uniform(0.8, 1.2))
        self.size = (0.65 + 0.55 * self.energy) * self.scale * float(self.rng.uniform(0.85, 1.1))
        self.forward = float(self.rng.choice([1.0, 1.0, -1.0]))
        steps = len(self.pattern.steps)
        self.turn_at_end = float(self.rng.choice([0.0, 0.0, 1.0, -1.0])) * np.radians(
            min(180.0, 42.0 * steps)
        )
        if self.rng.random() < 0.3:
            self.spin = -self.spin

    def new_figure(self) -> None:
        """Begin the pattern with the free foot; its x points to that side."""
        self.side = 1.0 if self.free == 0 else -1.0
        # The centre drifts back to the origin.
        self.centre = self.centre + np.clip(-0.15 * self.centre, -0.06, 0.06)

    def add_step(self, step: Step, time: float, accent: float, turning: float, beat: float) -> None:
        """Add a step of the pattern at ``time`` plus a human error."""
        rng = self.rng
        size = self.size * (0.72 + 0.55 * accent) * (1 + float(np.clip(rng.normal(0, 0.07), -0.2, 0.2)))
        self.heading += turning + self.spin * np.radians(self.pattern.turn) * self.pattern.beats / len(
            self.pattern.steps
        )
        foot = self.free if step.kind != "hop" else 1 - self.free
        foot_side = 1.0 if foot == 0 else -1.0
        self.centre = self.centre + self._turned(self.side * step.dx * size, self.forward * step.dz * size)
        across = self.side * step.ox * size + foot_side * STANCE_METRES * self.scale
        crosses = self.side * foot_side * step.ox < -0.12
        location = self._clear(foot, self._local(across, self.forward * step.oz * size), crosses)
        self.error = 0.35 * self.error + 0.94 * float(rng.normal(0, self.sigma))
        time += self.lag + float(np.clip(self.error, -2.2 * self.sigma, 2.2 * self.sigma))
        moved = float(np.hypot(*(location - self.plants[foot])))
        takes_weight = step.kind != "touch"
        missed = rng.random() < self.miss_rate and moved < 0.15 and step.kind != "hop"
        if missed and not takes_weight:
            return
        if missed:
            location, lift = self.plants[foot], 0.0
        else:
            # A foot that hardly moves must still leave the floor.
            lift = max(step.lift, 0.095 - 0.1 * moved) * (0.8 + 0.3 * self.energy + 0.25 * accent)
        self._fall(time, foot, location, lift, takes_weight, step.kind == "hop", True)
        if step.kind == "step":
            self.free = 1 - foot
        if rng.random() < self.scuff_rate and beat > 0.40 and step.kind == "step":
            location = self._clear(self.free, self.plants[self.free] + rng.normal(0, 0.02, 2), crossing=True)
            lift = 0.06 if rng.random() < 0.4 else 0.025
            off_beat = time + (0.5 if len(self.pattern.steps) <= self.pattern.beats else 0.25) * beat
            self._fall(off_beat, self.free, location, lift, False, False, False)

    def _fall(
        self, time: float, foot: int, location: Array, lift: float, weight: bool, hop: bool, is_step: bool
    ) -> None:
        x, z = float(location[0]), float(location[1])
        centre = (float(self.centre[0]), float(self.centre[1]))
        yaw = self.heading + (1.0 if foot == 0 else -1.0) * self.turnout
        self.footfalls.append(
            Footfall(time, foot, (x, z), yaw, lift, weight, hop, is_step, centre, self.heading)
        )
        self.plants[foot] = np.array([x, z])

    def _turned(self, x: float, z: float) -> Array:
        c, s = np.cos(self.heading), np.sin(self.heading)
        return np.array([x * c + z * s, -x * s + z * c])

    def _local(self, x: float, z: float) -> Array:
        return self.centre + self._turned(x, z)

    def _clear(self, foot: int, location: Array, crossing: bool) -> Array:
        """Move a location so that the feet are neither too close nor too far apart."""
        other = self.plants[1 - foot]
        outwards = self._turned(1.0 if foot == 0 else -1.0, 0.0)
        offset = location - other
        if not crossing:
            missing = MIN_FOOT_DISTANCE * self.scale - float(offset @ outwards)
            if missing > 0:
                offset = offset + missing * outwards
        distance = float(np.hypot(*offset))
        if distance < MIN_FOOT_DISTANCE * self.scale:
            offset = offset + (MIN_FOOT_DISTANCE * self.scale - distance) * outwards
        if distance > MAX_FOOT_DISTANCE * self.scale:
            offset = offset * (MAX_FOOT_DISTANCE * self.scale / distance)
        return other + offset


def beat_index(
    beat: float, bar: int, starts: NDArray[np.int64], lengths: NDArray[np.int64], metre: int
) -> float | None:
    """Index among all beats of a beat counted from ``bar``; None if the bar is missing or too short."""
    offset, within = divmod(beat, metre)
    index = bar + int(offset)
    if index >= len(starts) or within >= lengths[index]:
        return None
    return float(starts[index] + within)


def sort_footfalls(footfalls: list[Footfall]) -> list[Footfall]:
    """Sort footfalls by time, and drop scuffs that leave their foot too little time for its steps."""
    ordered = sorted(footfalls, key=lambda fall: fall.time)
    steps = [fall for fall in ordered if fall.is_step]

    def is_feasible(scuff: Footfall) -> bool:
        for step in steps:
            distance = np.hypot(*np.subtract(step.location, scuff.location))
            min_seconds = max(0.3, 1.25 * 1.9 * distance / MAX_FOOT_SPEED)
            if step.foot == scuff.foot and abs(step.time - scuff.time) < min_seconds:
                return False
        return True

    return [fall for fall in ordered if fall.is_step or is_feasible(fall)]
