"""Figures and footfalls of a dancer that follows music [O].

Rules, with the parameters of a take in :class:`Habits`:

- Each section of the music has its own figure, preferably one that :data:`SUITS` its character.
- A step is made if kick or bass have an onset near its beat; the stronger the onset, the larger the step.
  Other steps are made less often, and the foot of a skipped step makes the next one. Where neither kick nor
  bass play for a bar, onsets of all voices count.
- The time of a step lies between its beat and its onset.
- The free foot may tap to a strong onset of kick or bass between the steps.
- There are no steps in breaks.
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
"""Weights of the dancer's favourite figure and of figures that suit the music, against 1 of the others."""

ON_BEAT_WINDOW, OFF_BEAT_WINDOW, MAX_WINDOW_SECONDS = 0.12, 0.2, 0.09
"""Windows of onsets around steps on and off the beat, in beats, and their maximum in seconds."""

HALF_TIME_FACTOR = 1.3
"""Half-time sections are danced at half time if beats are shorter than this multiple of the quickest."""

MIN_TAP_STRENGTH, MIN_TAP_GAP_SECONDS, TAP_LIFT_METRES = 0.6, 0.32, 0.06
"""Minimum strength of an onset for a tap, minimum time between touch-downs of a foot, and lift of a tap."""


@dataclass(frozen=True)
class Habits:
    """Parameters of a dancer that follows music."""

    late: float
    """Lag of the dancer behind the music in seconds; may be negative."""
    left_handed: bool
    tiring: float
    """Share of the energy that is lost from the beginning to the end."""
    steadiness: float
    """Share of steps that are made without an onset of kick or bass."""
    attention: float
    """Weight of onsets against metrical accents for steps and bounce, in [0, 1]."""
    pull: float
    """Time of a step between its beat (0) and its onset (1)."""
    tapping: float
    """Share of strong onsets between steps that get a tap."""
    dynamics: float
    """How much amplitude follows loudness; 1 gives a third of it at 12 dB less."""
    answering: float
    """Share of the snare's onsets that the arms answer."""
    gesturing: float
    """Share of the melody's accents that get a gesture."""
    clapping: float
    """Share of the sections in which the snare is answered by clapping."""


def draw_habits(rng: np.random.Generator) -> Habits:
    """Draw habits: one of four dancers is 20 to 80 ms late, one of seven left-handed, one of five tires."""
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
    """Figure of a section."""

    pattern: Pattern
    character: frozenset[str]
    first_bar: int
    """First bar of the grid."""
    until: int
    """First bar of the next figure."""
    stretch: float
    """Beats of the music per beat of the pattern."""


def nearest_onset(onsets: Array, times: Array, window: Array | float) -> tuple[Array, Array]:
    """(N,) strength and time of the onset nearest to each time; strength 0 without one in the window.

    Args:
        onsets: (M, 2) increasing seconds, and strength.
        times: (N,) seconds.
        window: maximum distance in seconds, scalar or (N,).
    """
    if not len(onsets):
        return np.zeros(len(times)), times
    index = np.searchsorted((onsets[1:, 0] + onsets[:-1, 0]) / 2, times)
    near = np.abs(onsets[index, 0] - times) <= window
    return np.where(near, onsets[index, 1], 0.0), np.where(near, onsets[index, 0], times)


def section_character(cues: MusicCues, grid: Grid, begin: float, end: float) -> frozenset[str]:
    """Character of a section; names are the keys of :data:`SUITS`.

    ``half-time``: in 4/4 the snare plays mainly on the third beat.
    ``off-beat``: hat, chords and melody are stronger half way between beats than on them.
    ``driving``: kick on nearly every beat. ``syncopated``: kick and bass as often off the beats as on them.
    ``two-beat``: bass on odd beats, chords on even ones (in triple metre: bass on the first only).
    ``calm``: quiet, or few onsets.
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

    character = set()
    snare, kick, bass, chords = (on(voice) for voice in ("snare", "kick", "bass", "chords"))
    odd, even = positions % 2 == 1, positions % 2 == 0
    third = mean(snare[positions == 3])
    if grid.metre == 4 and third > max(0.3, 3 * mean(snare[even]), 2 * mean(snare[positions == 1])):
        character.add("half-time")
    between = np.concatenate([cues.onsets[voice] for voice in ("hat", "chords", "melody")])
    between = between[np.argsort(between[:, 0], kind="stable")]
    half = beats + 0.5 * period
    if mean(nearest_onset(between, half, OFF_BEAT_WINDOW * period)[0]) > 1.15 * mean(
        nearest_onset(between, beats, within)[0]
    ):
        character.add("off-beat")
    if mean((kick > 0.3).astype(float)) > 0.85:
        character.add("driving")
    low = cues.low[(cues.low[:, 0] >= begin) & (cues.low[:, 0] < end), 0]
    off = nearest_onset(np.stack([beats, np.ones(len(beats))], 1), low, within)[0] == 0
    if len(low) > len(beats) / 3 and mean(off.astype(float)) > 0.5:
        character.add("syncopated")
    if grid.metre == 3:
        odd, even = positions == 1, positions > 1
    if mean(np.maximum(bass, kick)[odd]) > 0.4 and mean(bass[even]) < 0.2 < mean(chords[even]):
        character.add("two-beat")
    count = sum(int(((rows[:, 0] >= begin) & (rows[:, 0] < end)).sum()) for rows in cues.onsets.values())
    frames = np.linspace(begin, end, 16)
    if count < 1.5 * len(beats) or mean(cues.at(cues.loudness, frames)) < 0.45:
        character.add("calm")
    return frozenset(character)


def choose_figures(
    grid: Grid,
    cues: MusicCues,
    favourite: str,
    styles: Sequence[str] | None,
    energy: float,
    rng: np.random.Generator,
) -> list[Figure]:
    """Choose a figure for each section; together they cover the bars of the grid.

    ``styles`` are the styles to choose from, None for all of the metre.
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
                # Consecutive sections have different figures.
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
    """A step of a figure on the grid."""

    step: Step
    figure: Figure
    first_bar: int
    """Bar at which this repetition of the figure begins."""
    beat: float
    """Index among all beats of the grid."""
    second_foot: bool
    """Whether the free foot is another than at the beginning of the repetition."""


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
    """Choreograph figures by the rules above, with human errors.

    Args:
        grid: at least two whole bars.
        cues: before and after them every step is made.
        figures: from :func:`choose_figures`.
        accents: weight of each beat of the bar.
        energy_at: function from (N,) seconds to (N,) energy in [0, 1].
        habits: of the dancer.
        scale: height of the body relative to 1.70 m.
        rng: for all variations.
    """
    period = float(np.median(np.diff(grid.beats)))
    slots = _slots(grid, figures)
    beats = np.array([slot.beat for slot in slots])
    on_beat = beats == np.floor(beats)
    times = np.interp(beats, np.arange(len(grid.beats)), grid.beats)
    metrical = np.array(accents)[(grid.positions[beats.astype(int)] - 1) % len(accents)]
    metrical = np.where(on_beat, metrical, 0.1)
    window = np.minimum(np.where(on_beat, ON_BEAT_WINDOW, OFF_BEAT_WINDOW) * period, MAX_WINDOW_SECONDS)
    strength, onset = _answered_onsets(cues, times, window, period * grid.metre)
    known = (times >= cues.start) & (times < cues.stop)
    follow = np.where(known, habits.attention, 0.0)
    accent = (1 - follow) * metrical + follow * strength
    probability = habits.steadiness + (1 - habits.steadiness) * np.minimum(1.3 * strength, 1)
    probability = np.where(known, probability, 1)
    step_times = times + habits.pull * (onset - times)
    energy = energy_at(times)
    rests = is_in_break(cues, times)

    dancer = Stepper(figures[0].pattern, float(energy[0]), scale, float(rng.uniform(0.010, 0.025)), rng)
    dancer.lag = habits.late
    # Most dancers begin with the foot of their dominant side.
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
            slot_phrase = slot.figure.first_bar, (slot.first_bar - slot.figure.first_bar) // phrase_bars
            if slot_phrase != phrase:
                phrase, phrase_bar = slot_phrase, slot.first_bar
                dancer.energy = 0.5
                dancer.new_phrase()
                size = dancer.size / (0.65 + 0.55 * 0.5)
                phrases.append(float(grid.beats[int(slot.beat)]))
            dancer.new_figure()
        turning = dancer.turn_at_end if _is_phrase_end(slot, phrase_bar, phrase_bars, grid.metre) else 0.0
        if rng.random() >= probability[index] or rests[index]:
            continue
        # After a skipped step the feet are exchanged, so that the figure continues mirrored.
        dancer.side = (1.0 if dancer.free == 0 else -1.0) * (-1.0 if slot.second_foot else 1.0)
        dancer.energy = float(energy[index])
        dancer.size = size * (0.65 + 0.55 * dancer.energy)
        steps = len(slot.figure.pattern.steps)
        dancer.add_step(
            slot.step,
            float(step_times[index]),
            float(accent[index]),
            turning / steps,
            slot.figure.stretch * period,
        )
    falls = sort_footfalls(dancer.footfalls)
    falls = _add_taps(falls, cues, times[~rests], habits, dancer.sigma, period, rng)
    weights, rises = _beat_weights(grid, figures, accents)
    return Choreography(tuple(falls), grid.beats, weights, rises, np.array(phrases))


def is_in_break(cues: MusicCues, times: Array) -> NDArray[np.bool_]:
    """(N,) whether (N,) times lie in a break."""
    start, stop = cues.breaks.T
    inside: NDArray[np.bool_] = ((times[:, None] >= start) & (times[:, None] < stop)).any(axis=1)
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
    """Bars of one repetition of a figure."""
    return max(1, round(figure.pattern.beats * figure.stretch / metre))


def _is_phrase_end(slot: _Slot, phrase_bar: int, phrase_bars: int, metre: int) -> bool:
    return slot.first_bar - phrase_bar >= phrase_bars - _figure_bars(slot.figure, metre)


def _answered_onsets(cues: MusicCues, times: Array, window: Array, bar: float) -> tuple[Array, Array]:
    """Strength and time of the onset of each step; ``bar`` is the length of a bar in seconds."""
    strength, onset = nearest_onset(cues.low, times, window)
    any_strength, any_onset = nearest_onset(cues.any, times, window)
    without_low = nearest_onset(cues.low, times, bar)[0] == 0
    return np.where(without_low, any_strength, strength), np.where(without_low, any_onset, onset)


def _add_taps(
    falls: list[Footfall],
    cues: MusicCues,
    steps: Array,
    habits: Habits,
    sigma: float,
    period: float,
    rng: np.random.Generator,
) -> list[Footfall]:
    """Add taps to strong low onsets between steps, if a foot is free."""
    low = cues.low[cues.low[:, 1] >= MIN_TAP_STRENGTH]
    if not len(low) or len(steps) < 2:
        return falls
    off = np.abs(nearest_onset(np.stack([steps, np.ones(len(steps))], 1), low[:, 0], np.inf)[1] - low[:, 0])
    tapped = (off > 0.2 * period) & (rng.random(len(low)) < habits.tapping)
    errors = np.clip(rng.normal(0, sigma, len(low)), -2 * sigma, 2 * sigma)
    result = list(falls)
    for time in low[tapped, 0] + habits.late + errors[tapped]:
        before = [fall for fall in result if fall.time < time]
        standing = next((fall for fall in reversed(before) if fall.weight), None)
        if standing is None:
            continue
        foot = 1 - standing.foot
        same_foot = [fall for fall in result if fall.foot == foot]
        last = next((fall for fall in reversed(same_foot) if fall.time < time and fall.lift > 0), None)
        following = next((fall for fall in same_foot if fall.time > time), None)
        if last is None or time - last.time < MIN_TAP_GAP_SECONDS or time - standing.time < 0.1:
            continue
        if following is not None:
            distance = float(np.hypot(*np.subtract(following.location, last.location)))
            if following.time - time < max(MIN_TAP_GAP_SECONDS, 1.25 * 1.9 * distance / MAX_FOOT_SPEED):
                continue
        tap = replace(
            standing,
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
    """(B,) metrical weight and rise in metres of each beat."""
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
