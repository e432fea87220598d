"""Which figure a dancer of the music dances in each section, and when the feet come down [O].

Rules, with the numbers of a take in :class:`Habits`:

- Each section of the music has a figure of its own, more often one that :data:`SUITS` its character.
- A step is made where kick or bass sound near its beat, and is the wider the stronger they are. Where they do
  not, it is made less often, and the foot that would have made it makes the next one. Where neither plays for
  a bar, any stroke counts for them.
- A step comes between its beat and the stroke that it answers.
- A strong stroke of kick or bass off the figure may be answered with a tap of the free foot.
- In breaks nobody steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from motion_data.corpora.constructed.footfalls import (
    MAX_FOOT_SPEED,
    Choreography,
    Footfall,
    Stepper,
    beat_index,
    beat_stretch,
    sort_footfalls,
)
from motion_data.corpora.constructed.music_cues import MusicCues
from motion_data.corpora.constructed.step_patterns import PATTERNS, SUITS, Pattern, Step
from motionbeat_upstream.tracking.grid import Grid

Array = NDArray[np.float64]

FAVOURITE_WEIGHT, SUITABLE_WEIGHT = 2.0, 4.0
"""How much rather a dancer takes the own favourite figure, and one that suits the music."""

ON_BEAT_WINDOW, OFF_BEAT_WINDOW, MAX_WINDOW_SECONDS = 0.12, 0.2, 0.09
"""A stroke belongs to a step within such a share of a beat, on and off the beats, and within such seconds."""

HALF_TIME_FACTOR = 1.3
"""A half-time section is danced at half time where beats last less than so many times the quickest."""

MIN_TAP_STRENGTH, MIN_TAP_GAP_SECONDS, TAP_LIFT_METRES = 0.6, 0.32, 0.06
"""Strokes that are tapped to; seconds between two touch-downs of a foot; metres."""


@dataclass(frozen=True)
class Habits:
    """How one dancer follows the music."""

    late: float
    """Seconds that all the dancer does comes after the music; less than 0 where it comes before."""
    left_handed: bool
    tiring: float
    """Share of the energy that is lost from the beginning to the end."""
    steadiness: float
    """Share of the steps that are made although neither kick nor bass sounds there."""
    attention: float
    """How much steps and bounce follow strokes, not the bar."""
    pull: float
    """Share of the way from the beat to the stroke at which a step comes."""
    tapping: float
    """Share of the strong strokes off the figure that are tapped to."""
    dynamics: float
    """How much amplitude follows loudness: 1 gives a third of it at 12 dB less."""
    answering: float
    """Share of the snare's strokes that the arms answer."""
    gesturing: float
    """Share of the melody's accents that the hands show."""
    clapping: float
    """Share of the sections in which the snare is clapped to."""


def draw_habits(rng: np.random.Generator) -> Habits:
    """One dancer in four is 20 to 80 ms late, one in seven left-handed, one in five tires."""
    late = rng.uniform(0.020, 0.080) if rng.random() < 0.25 else np.clip(rng.normal(0.0, 0.004), -0.01, 0.01)
    return Habits(
        late=float(late),
        left_handed=bool(rng.random() < 1 / 7),
        tiring=float(rng.uniform(0.3, 0.6)) if rng.random() < 0.2 else 0.0,
        steadiness=float(rng.uniform(0.5, 0.9)),
        attention=float(rng.uniform(0.5, 0.9)),
        pull=float(rng.uniform(0.2, 0.9)),
        tapping=float(rng.uniform(0.0, 0.7)),
        dynamics=float(rng.uniform(0.6, 1.3)),
        answering=float(rng.uniform(0.6, 1.0)),
        gesturing=float(rng.uniform(0.4, 0.9)),
        clapping=float(rng.choice([0.0, 0.3, 0.8])),
    )


@dataclass(frozen=True)
class Figure:
    """What is danced in a section."""

    pattern: Pattern
    character: frozenset[str]
    first_bar: int
    """The bar of the grid at which it begins."""
    until: int
    """The first one of the next figure."""
    stretch: float
    """Beats of the music to a beat of the pattern."""


def nearest_onset(strokes: Array, times: Array, within: Array | float) -> tuple[Array, Array]:
    """(N,) strength and seconds of the stroke nearest to each time; strength 0 where none is near enough.

    Args:
        strokes: (M, 2) seconds, increasing, and strength.
        times: (N,) seconds.
        within: seconds, of all or of each.
    """
    if not len(strokes):
        return np.zeros(len(times)), times
    middles = (strokes[1:, 0] + strokes[:-1, 0]) / 2
    place = np.searchsorted(middles, times)
    near = np.abs(strokes[place, 0] - times) <= within
    return np.where(near, strokes[place, 1], 0.0), np.where(near, strokes[place, 0], times)


def section_character(cues: MusicCues, grid: Grid, begin: float, end: float) -> frozenset[str]:
    """Habits of movement that a section asks for; names are the keys of :data:`SUITS`.

    ``half-time``: in a bar of four the snare is on the third beat and hardly on the others.
    ``off-beat``: hat, chords and melody are stronger half way between beats than on them.
    ``driving``: a kick on nearly every beat. ``syncopated``: kick and bass as often off the beats as on them.
    ``two-beat``: bass on the odd beats, chords on the even ones (of three: bass on the first alone).
    ``calm``: quiet, or few strokes.
    """
    inside = (grid.beats >= begin) & (grid.beats < end)
    beats, positions = grid.beats[inside], grid.positions[inside]
    if len(beats) < 2:
        return frozenset()
    period = float(np.median(np.diff(beats)))
    within = min(ON_BEAT_WINDOW * period, MAX_WINDOW_SECONDS)

    def on(voice: str) -> Array:
        return nearest_onset(cues.onsets[voice], beats, within)[0]

    def mean(values: Array) -> float:
        return float(values.mean()) if len(values) else 0.0

    found = set()
    snare, kick, bass, chords = (on(voice) for voice in ("snare", "kick", "bass", "chords"))
    odd, even = positions % 2 == 1, positions % 2 == 0
    third = mean(snare[positions == 3])
    if grid.metre == 4 and third > max(0.3, 3 * mean(snare[even]), 2 * mean(snare[positions == 1])):
        found.add("half-time")
    between = np.concatenate([cues.onsets[voice] for voice in ("hat", "chords", "melody")])
    between = between[np.argsort(between[:, 0], kind="stable")]
    half = beats + 0.5 * period
    if mean(nearest_onset(between, half, OFF_BEAT_WINDOW * period)[0]) > 1.15 * mean(
        nearest_onset(between, beats, within)[0]
    ):
        found.add("off-beat")
    if mean((kick > 0.3).astype(float)) > 0.85:
        found.add("driving")
    low = cues.low[(cues.low[:, 0] >= begin) & (cues.low[:, 0] < end), 0]
    off = nearest_onset(np.stack([beats, np.ones(len(beats))], 1), low, within)[0] == 0
    if len(low) > len(beats) / 3 and mean(off.astype(float)) > 0.5:
        found.add("syncopated")
    if grid.metre == 3:
        odd, even = positions == 1, positions > 1
    if mean(np.maximum(bass, kick)[odd]) > 0.4 and mean(bass[even]) < 0.2 < mean(chords[even]):
        found.add("two-beat")
    strokes = sum(int(((s[:, 0] >= begin) & (s[:, 0] < end)).sum()) for s in cues.onsets.values())
    frames = np.linspace(begin, end, 16)
    if strokes < 1.5 * len(beats) or mean(cues.at(cues.loudness, frames)) < 0.45:
        found.add("calm")
    return frozenset(found)


def choose_figures(
    grid: Grid,
    cues: MusicCues,
    favourite: str,
    styles: Sequence[str] | None,
    energy: float,
    rng: np.random.Generator,
) -> list[Figure]:
    """A figure for each section, in order and without gaps over the bars of the grid.

    ``styles`` are those to choose from, None for all of the metre.
    """
    starts = np.flatnonzero(grid.positions == 1)
    period = float(np.median(np.diff(grid.beats)))
    bars = np.searchsorted(grid.beats[starts], cues.sections - 0.5 * period)
    edges = [0, *sorted({int(bar) for bar in bars if 0 < bar < len(starts)}), len(starts)]
    known = PATTERNS[grid.metre]
    patterns = known if styles is None else {style: known[style] for style in styles}
    figures: list[Figure] = []
    for bar, until in pairwise(edges):
        begin = max(float(grid.beats[starts[bar]]), cues.start)
        end = float(grid.beats[starts[until]]) if until < len(starts) else float(grid.beats[-1])
        character = section_character(cues, grid, begin, min(end, cues.stop))
        suitable = {style for name in character for style in SUITS.get(name, ())}
        weights = np.array(
            [
                (SUITABLE_WEIGHT if style in suitable else 1.0)
                * (FAVOURITE_WEIGHT if style == favourite else 1.0)
                # A new section is seen to be one.
                * (0.0 if figures and patterns[style] is figures[-1].pattern and len(patterns) > 1 else 1.0)
                for style in patterns
            ]
        )
        pattern = patterns[str(rng.choice(list(patterns), p=weights / weights.sum()))]
        stretch = beat_stretch(pattern, grid.metre, period, energy)
        if "half-time" in character:
            stretch = max(stretch, 2.0 if period < HALF_TIME_FACTOR * pattern.quickest else 1.0)
        figures.append(Figure(pattern, character, bar, until, stretch))
    return figures


@dataclass(frozen=True)
class _Slot:
    """Where a figure has a step."""

    step: Step
    figure: Figure
    first_bar: int
    """At which the figure's round begins."""
    beat: float
    """Among all beats of the grid."""
    second_foot: bool
    """Whether the foot that is free then is not the one that was when the round began."""


def choreograph_to_music(
    grid: Grid,
    cues: MusicCues,
    figures: Sequence[Figure],
    accents: tuple[float, ...],
    energy_at: Callable[[Array], Array],
    habits: Habits,
    scale: float,
    rng: np.random.Generator,
) -> Choreography:
    """Lay figures on the bars and dance them by the rules above, with human error.

    Args:
        grid: at least two whole bars.
        cues: beyond their ends every step is made.
        figures: of :func:`choose_figures`.
        accents: weight of each beat of the bar.
        energy_at: (N,) energy, 0 to 1, at (N,) seconds.
        habits: of the dancer.
        scale: size of the body over 1.70 m.
        rng: everything that varies.
    """
    period = float(np.median(np.diff(grid.beats)))
    slots = _slots(grid, figures)
    numbers = np.arange(len(grid.beats))
    places = np.array([slot.beat for slot in slots])
    whole = places == np.floor(places)
    times = np.interp(places, numbers, grid.beats)
    metrical = np.array(accents)[(grid.positions[places.astype(int)] - 1) % len(accents)]
    metrical = np.where(whole, metrical, 0.1)
    window = np.minimum(np.where(whole, ON_BEAT_WINDOW, OFF_BEAT_WINDOW) * period, MAX_WINDOW_SECONDS)
    strength, stroke = _answered_onsets(cues, times, window, period * grid.metre)
    known = (times >= cues.start) & (times < cues.stop)
    follow = np.where(known, habits.attention, 0.0)
    accent = (1 - follow) * metrical + follow * strength
    made = np.where(known, habits.steadiness + (1 - habits.steadiness) * np.minimum(1.3 * strength, 1), 1)
    aim = times + habits.pull * (stroke - times)
    energy = energy_at(times)
    rests = is_in_break(cues, times)

    dancer = Stepper(figures[0].pattern, float(energy[0]), scale, float(rng.uniform(0.010, 0.025)), rng)
    dancer.lag = habits.late
    # Most begin with the foot of their better side.
    dancer.free = (0 if habits.left_handed else 1) if rng.random() < 0.8 else int(rng.integers(2))
    phrase_bars = int(rng.choice([4, 8])) if grid.metre > 2 else 8
    phrases: list[float] = []
    figure_bar = phrase_bar = -1
    phrase: tuple[int, int] | None = None
    size = 1.0
    for index, slot in enumerate(slots):
        if slot.first_bar != figure_bar:
            figure_bar = slot.first_bar
            dancer.pattern = slot.figure.pattern
            own = slot.figure.first_bar, (slot.first_bar - slot.figure.first_bar) // phrase_bars
            if own != phrase:
                phrase, phrase_bar = own, slot.first_bar
                dancer.energy = 0.5
                dancer.new_phrase()
                size = dancer.size / (0.65 + 0.55 * 0.5)
                phrases.append(float(grid.beats[int(slot.beat)]))
            dancer.new_figure()
        turning = dancer.turn_at_end if _is_phrase_end(slot, phrase_bar, phrase_bars, grid.metre) else 0.0
        if rng.random() >= made[index] or rests[index]:
            continue
        # After steps left out, the figure goes on with the feet exchanged, and so mirrored.
        dancer.side = (1.0 if dancer.free == 0 else -1.0) * (-1.0 if slot.second_foot else 1.0)
        dancer.energy = float(energy[index])
        dancer.size = size * (0.65 + 0.55 * dancer.energy)
        steps = len(slot.figure.pattern.steps)
        dancer.add_step(
            slot.step,
            float(aim[index]),
            float(accent[index]),
            turning / steps,
            slot.figure.stretch * period,
        )
    falls = sort_footfalls(dancer.footfalls)
    falls = _add_taps(falls, cues, times[~rests], habits, dancer.sigma, period, rng)
    weights, rises = _beat_weights(grid, figures, accents)
    return Choreography(tuple(falls), grid.beats, weights, rises, np.array(phrases))


def is_in_break(cues: MusicCues, times: Array) -> NDArray[np.bool_]:
    """(N,) whether (N,) seconds lie in a break."""
    breaks = cues.breaks
    inside: NDArray[np.bool_] = ((times[:, None] >= breaks[:, 0]) & (times[:, None] < breaks[:, 1])).any(
        axis=1
    )
    return inside


def _slots(grid: Grid, figures: Sequence[Figure]) -> list[_Slot]:
    starts = np.flatnonzero(grid.positions == 1)
    lengths = np.diff(starts, append=len(grid.beats))
    slots: list[_Slot] = []
    for figure in figures:
        stop = starts[figure.until] if figure.until < len(starts) else len(grid.beats)
        for bar in range(figure.first_bar, figure.until, _figure_bars(figure, grid.metre)):
            second = False
            for step in figure.pattern.steps:
                beat = beat_index(step.beat * figure.stretch, bar, starts, lengths, grid.metre)
                if beat is not None and beat < stop:
                    slots.append(_Slot(step, figure, bar, beat, second))
                second ^= step.kind == "step"
    return slots


def _figure_bars(figure: Figure, metre: int) -> int:
    """Bars that a figure lasts once."""
    return max(1, round(figure.pattern.beats * figure.stretch / metre))


def _is_phrase_end(slot: _Slot, phrase_bar: int, phrase_bars: int, metre: int) -> bool:
    return slot.first_bar - phrase_bar >= phrase_bars - _figure_bars(slot.figure, metre)


def _answered_onsets(cues: MusicCues, times: Array, window: Array, bar: float) -> tuple[Array, Array]:
    """Strength and seconds of the stroke that each step answers."""
    strength, stroke = nearest_onset(cues.low, times, window)
    other, other_stroke = nearest_onset(cues.any, times, window)
    alone = nearest_onset(cues.low, times, bar)[0] == 0
    return np.where(alone, other, strength), np.where(alone, other_stroke, stroke)


def _add_taps(
    falls: list[Footfall],
    cues: MusicCues,
    steps: Array,
    habits: Habits,
    sigma: float,
    period: float,
    rng: np.random.Generator,
) -> list[Footfall]:
    """Touch-downs added where a strong low stroke is on no step, and a foot is free for it."""
    low = cues.low[cues.low[:, 1] >= MIN_TAP_STRENGTH]
    if not len(low) or len(steps) < 2:
        return falls
    off = np.abs(nearest_onset(np.stack([steps, np.ones(len(steps))], 1), low[:, 0], np.inf)[1] - low[:, 0])
    wanted = (off > 0.2 * period) & (rng.random(len(low)) < habits.tapping)
    errors = np.clip(rng.normal(0, sigma, len(low)), -2 * sigma, 2 * sigma)
    result = list(falls)
    for time in low[wanted, 0] + habits.late + errors[wanted]:
        before = [fall for fall in result if fall.time < time]
        carrying = next((fall for fall in reversed(before) if fall.weight), None)
        if carrying is None:
            continue
        foot = 1 - carrying.foot
        own = [fall for fall in result if fall.foot == foot]
        last = next((fall for fall in reversed(own) if fall.time < time and fall.lift > 0), None)
        following = next((fall for fall in own if fall.time > time), None)
        if last is None or time - last.time < MIN_TAP_GAP_SECONDS or time - carrying.time < 0.1:
            continue
        if following is not None:
            way = float(np.hypot(*np.subtract(following.location, last.location)))
            if following.time - time < max(MIN_TAP_GAP_SECONDS, 1.25 * 1.9 * way / MAX_FOOT_SPEED):
                continue
        tap = replace(
            carrying,
            time=float(time),
            foot=foot,
            location=last.location,
            yaw=last.yaw,
            lift=TAP_LIFT_METRES,
            weight=False,
            hop=False,
            is_step=True,
        )
        result.insert(len(before), tap)
    return result


def _beat_weights(grid: Grid, figures: Sequence[Figure], accents: tuple[float, ...]) -> tuple[Array, Array]:
    """(B,) weight of the bar and metres of rise on each beat."""
    starts = np.append(np.flatnonzero(grid.positions == 1), len(grid.beats))
    weights = np.array(accents)[(grid.positions - 1) % len(accents)]
    rises = np.zeros(len(grid.beats))
    for figure in figures:
        part = slice(int(starts[figure.first_bar]), int(starts[figure.until]))
        position = grid.positions[part] - 1
        if figure.stretch == 2:
            weights[part] = np.where(position % 2 == 0, weights[part], 0.0)
        if figure.pattern.rise:
            rises[part] = np.array(figure.pattern.rise)[position % len(figure.pattern.rise)]
    return weights, rises
