"""Where and when the feet of a dance come down: a step pattern laid on a grid, by a human [O]."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from motion_data.corpora.constructed.step_patterns import Pattern, Step
from motionbeat_upstream.tracking.grid import Grid

Array = NDArray[np.float64]

STANCE_METRES = 0.10
"""Metres from the middle to each foot."""

MIN_FOOT_DISTANCE, MAX_FOOT_DISTANCE = 0.16, 0.60
"""Metres that two standing feet are apart, at least and at most."""

MAX_FOOT_SPEED = 4.2
"""m/s that a foot reaches in the middle of its way, at most."""


def extend_grid(grid: Grid, begin: float, end: float) -> Grid:
    """The grid from at least ``begin`` to ``end`` seconds, as its own tokens continue it."""
    first, last = grid.beats[1] - grid.beats[0], grid.beats[-1] - grid.beats[-2]
    head = np.arange(max(0, int(np.ceil((grid.beats[0] - begin) / first))), 0, -1)
    tail = np.arange(1, max(0, int(np.ceil((end - grid.beats[-1]) / last))) + 1)
    times = np.concatenate([grid.beats[0] - head * first, grid.beats, grid.beats[-1] + tail * last])
    before = (grid.positions[0] - 1 - head) % grid.metre + 1
    after = (grid.positions[-1] - 1 + tail) % grid.metre + 1
    return replace(grid, beats=times, positions=np.concatenate([before, grid.positions, after]))


@dataclass(frozen=True)
class Footfall:
    """One touch-down, or a shift of weight without one."""

    time: float
    foot: int
    """0 left, 1 right."""
    location: tuple[float, float]
    """x and z of the ball."""
    yaw: float
    """Where the toes point, radians."""
    lift: float
    """Metres; 0 where the foot stays where it is and only takes the weight."""
    weight: bool
    """Whether the body comes to stand on it."""
    hop: bool
    is_step: bool
    """False for a scuff or an extra tap off the beat: no contact target."""
    centre: tuple[float, float]
    """x and z of the place the dancer holds from here on."""
    heading: float
    """Where the dancer faces from here on, radians."""


@dataclass(frozen=True)
class Choreography:
    """A choreography danced by a human."""

    footfalls: tuple[Footfall, ...]
    """In order of time."""
    beat_times: Array
    """(B,) seconds of the beats the body moves to: those of the pattern."""
    beat_accents: Array
    """(B,) weight of each, by its position in the bar and the phrase's energy."""
    beat_rises: Array
    """(B,) metres the body rises."""
    phrase_times: Array
    """(P,) seconds at which phrases begin."""


def beat_stretch(pattern: Pattern, metre: int, period: float, energy: float) -> float:
    """Beats of the music to a beat of the pattern: 2 where the music is too fast, 1/2 where it is slow."""
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
    """Lay a pattern on the bars, with phrases of 4 or 8 bars, and dance it with human error.

    Args:
        grid: at least two whole bars.
        pattern: for the same metre.
        accents: weight of each beat of the bar.
        energy: 0 to 1.
        scale: size of the body over 1.70 m.
        rng: everything that varies.
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
            place = beat_index(step.beat * stretch, bar, starts, lengths, grid.metre)
            if place is None:
                continue
            accent = (
                accents[(int(grid.positions[int(place)]) - 1) % len(accents)] if place == int(place) else 0.1
            )
            dancer.add_step(step, seconds_at(place), accent, turning / len(pattern.steps), stretch * period)
        for beat in np.arange(0, pattern.beats):
            place = beat_index(beat * stretch, bar, starts, lengths, grid.metre)
            if place is None:
                continue
            position = (int(grid.positions[int(place)]) - 1) % len(accents)
            whole = place == int(place)
            times.append(seconds_at(place))
            weights.append((accents[position] if whole else 0.1) * dancer.force * rng.uniform(0.85, 1.15))
            rises.append(pattern.rise[position] if pattern.rise and whole else 0.0)
    return Choreography(
        tuple(sort_footfalls(dancer.footfalls)),
        np.array(times),
        np.array(weights),
        np.array(rises),
        np.array(phrases),
    )


def swing_durations(footfalls: tuple[Footfall, ...], energy: float) -> Array:
    """(N,) how long each foot is on its way to its footfall."""
    seconds = np.empty(len(footfalls))
    landed: list[tuple[float, tuple[float, float]] | None] = [None, None]
    for index, fall in enumerate(footfalls):
        own, other = landed[fall.foot], landed[1 - fall.foot]
        since = fall.time - own[0] if own else 1.0
        free = fall.time - other[0] if other else 0.5
        wanted = min(0.42, 0.9 * free) if not fall.hop else 0.22
        if not fall.is_step:
            wanted = 0.22
        wanted *= 1.1 - 0.25 * energy
        way = float(np.hypot(fall.location[0] - own[1][0], fall.location[1] - own[1][1])) if own else 0.0
        # A small step is a quick one: nobody hovers.
        wanted = min(wanted, (way + 2 * fall.lift) / 0.6)
        seconds[index] = min(max(wanted, 0.20, 1.9 * way / MAX_FOOT_SPEED), 0.8 * since)
        if fall.lift > 0:
            landed[fall.foot] = (fall.time, fall.location)
    return seconds


class Stepper:
    """Where the dancer is and which foot is free, from footfall to footfall."""

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
        """Each phrase has its size, direction and turn."""
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
        """The pattern begins with the foot that is free, and its x points to that side."""
        self.side = 1.0 if self.free == 0 else -1.0
        # Nobody leaves the floor: drift back to the middle of it.
        self.centre = self.centre + np.clip(-0.15 * self.centre, -0.06, 0.06)

    def add_step(self, step: Step, time: float, accent: float, turning: float, beat: float) -> None:
        """One step of the pattern, at ``time`` but for human error."""
        rng = self.rng
        size = self.size * (0.72 + 0.55 * accent) * (1 + float(np.clip(rng.normal(0, 0.07), -0.2, 0.2)))
        self.heading += turning + self.spin * np.radians(self.pattern.turn) * self.pattern.beats / len(
            self.pattern.steps
        )
        foot = self.free if step.kind != "hop" else 1 - self.free
        own = 1.0 if foot == 0 else -1.0
        self.centre = self.centre + self._turned(self.side * step.dx * size, self.forward * step.dz * size)
        across = self.side * step.ox * size + own * STANCE_METRES * self.scale
        crosses = self.side * own * step.ox < -0.12
        place = self._clear(foot, self._local(across, self.forward * step.oz * size), crosses)
        self.error = 0.35 * self.error + 0.94 * float(rng.normal(0, self.sigma))
        time += self.lag + float(np.clip(self.error, -2.2 * self.sigma, 2.2 * self.sigma))
        moved = float(np.hypot(*(place - self.plants[foot])))
        takes_weight = step.kind != "touch"
        missed = rng.random() < self.miss_rate and moved < 0.15 and step.kind != "hop"
        if missed and not takes_weight:
            return
        # A foot that hardly moves still has to leave the floor to be a step.
        lift = (
            0.0 if missed else max(step.lift, 0.095 - 0.1 * moved) * (0.8 + 0.3 * self.energy + 0.25 * accent)
        )
        self._fall(
            time, foot, self.plants[foot] if missed else place, lift, takes_weight, step.kind == "hop", True
        )
        if step.kind == "step":
            self.free = 1 - foot
        if rng.random() < self.scuff_rate and beat > 0.40 and step.kind == "step":
            nudge = self.plants[self.free] + rng.normal(0, 0.02, 2)
            place = self._clear(self.free, nudge, crossing=True)
            extra = rng.random() < 0.4
            off = time + (0.5 if len(self.pattern.steps) <= self.pattern.beats else 0.25) * beat
            self._fall(off, self.free, place, 0.06 if extra else 0.025, False, False, False)

    def _fall(
        self, time: float, foot: int, place: Array, lift: float, weight: bool, hop: bool, main: bool
    ) -> None:
        own = 1.0 if foot == 0 else -1.0
        x, z = float(place[0]), float(place[1])
        middle = (float(self.centre[0]), float(self.centre[1]))
        yaw = self.heading + own * self.turnout
        self.footfalls.append(
            Footfall(time, foot, (x, z), yaw, lift, weight, hop, main, middle, self.heading)
        )
        self.plants[foot] = np.array([x, z])

    def _turned(self, x: float, z: float) -> Array:
        c, s = np.cos(self.heading), np.sin(self.heading)
        return np.array([x * c + z * s, -x * s + z * c])

    def _local(self, x: float, z: float) -> Array:
        return self.centre + self._turned(x, z)

    def _clear(self, foot: int, place: Array, crossing: bool) -> Array:
        """The place, moved so that the foot is neither on the other nor out of reach of it."""
        other = self.plants[1 - foot]
        own = 1.0 if foot == 0 else -1.0
        apart = place - other
        if not crossing:
            outwards = self._turned(own, 0.0)
            short = MIN_FOOT_DISTANCE * self.scale - float(apart @ outwards)
            if short > 0:
                apart = apart + short * outwards
        distance = float(np.hypot(*apart))
        if distance < MIN_FOOT_DISTANCE * self.scale:
            apart = apart + (MIN_FOOT_DISTANCE * self.scale - distance) * self._turned(own, 0.0)
        if distance > MAX_FOOT_DISTANCE * self.scale:
            apart = apart * (MAX_FOOT_DISTANCE * self.scale / distance)
        return other + apart


def beat_index(
    beat: float, bar: int, starts: NDArray[np.int64], lengths: NDArray[np.int64], metre: int
) -> float | None:
    """Where among all beats a beat of a figure stands that begins with ``bar``; None in no such bar."""
    offset, within = divmod(beat, metre)
    index = bar + int(offset)
    if index >= len(starts) or within >= lengths[index]:
        return None
    return float(starts[index] + within)


def sort_footfalls(footfalls: list[Footfall]) -> list[Footfall]:
    """In order, without the scuffs that would leave their foot too little time for its steps."""
    ordered = sorted(footfalls, key=lambda fall: fall.time)
    main = [[fall for fall in ordered if fall.is_step and fall.foot == foot] for foot in (0, 1)]

    def in_the_way(scuff: Footfall) -> bool:
        ways = [
            (abs(step.time - scuff.time), np.subtract(step.location, scuff.location))
            for step in main[scuff.foot]
        ]
        return any(time < max(0.3, 1.25 * 1.9 * np.hypot(*way) / MAX_FOOT_SPEED) for time, way in ways)

    return [fall for fall in ordered if fall.is_step or not in_the_way(fall)]
