"""A tune arranged for a band: notes in seconds and the exact grid they were written on.

Everything is written in beats first. Swing and the tempo map are then applied to notes and grid alike;
what players add (early and late strokes, loud and soft ones) is applied to the notes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motion_data.corpora.constructed.form import chord_events, key_events, player_cells, section_events
from motion_data.corpora.constructed.styles import (
    BASS,
    CHORDS,
    CRASHES,
    FILL,
    LANES,
    STYLES_BY_NAME,
    Style,
    split_programs,
)
from motion_data.corpora.constructed.surroundings import NO_SURROUNDINGS, Surroundings
from motion_data.corpora.constructed.tunes import METRES, TICKS_PER_BEAT, Tune
from motion_data.labels import Labels
from motionbeat_upstream.tracking.grid import Grid

if TYPE_CHECKING:
    from motion_data.corpora.constructed.sounds import Casting

MIN_BPM, MAX_BPM = 50.0, 215.0
"""Beats a minute that a pair's tempo is drawn between, evenly in its logarithm."""

TEMPO_MARGIN = 1.15
"""Factor by which a changing tempo may leave these."""

TEMPO_PROFILES = ("steady", "drift", "rubato", "step", "ramp", "accelerando", "fermata")
"""Ways in which the tempo moves: not, a little as a band's, widely as a soloist's, at once, slowly, ever
faster, and not but for one beat that is held."""

TEMPO_PROFILE_SHARES = (0.44, 0.26, 0.11, 0.06, 0.05, 0.04, 0.04)

KNOTS_PER_BEAT = 16
"""Knots of the map a beat."""

FERMATA_WITHIN_SECONDS = 12.0
"""Seconds of a pair within which a beat is held."""

LEAD_SECONDS = 2.0
"""Seconds of music before a pair's first sample, so that it does not begin with an attack of everything."""

PHRASE_BARS = 4
"""Bars a phrase."""

MAX_MELODY_NOTES_PER_SECOND = 9.5
"""Notes a second beyond which a tune is not played."""

MAX_SIXTEENTH_FILL_BPM = 135.0
"""Beats a minute from which on a fill is in eighths."""

ON_BEAT_TOLERANCE = 0.1
"""Share of a beat within which a note counts as on it."""

MAX_TIMING_ERROR_SECONDS = 0.03
"""Seconds by which a player may be early or late at most."""

DRUM_ACCENTS = {"X": 1.12, "x": 1.0, "o": 0.62}
"""Loudness of the signs of a drum pattern."""


@dataclass(frozen=True)
class Part:
    """What one player plays."""

    role: str
    """melody, chords, bass or drums."""
    program: int
    """General MIDI program; of the drums, their kit."""
    drums: bool
    notes: NDArray[np.float64]
    """(N, 4) start and duration in seconds from the start of the pair, MIDI pitch, MIDI velocity."""


@dataclass(frozen=True)
class Arrangement:
    """A piece ready to be rendered."""

    parts: tuple[Part, ...]
    grid: Grid
    """Exact; beats from 0 s to the end of the pair, where there is music."""
    style: str
    bpm: float
    energy: float
    """How much it asks a dancer to move, in [0, 1]."""
    swing: float
    tempo_profile: str
    """How the tempo moves: one of :data:`TEMPO_PROFILES`, or ``own`` where a score has its own tempi."""
    seconds: float
    surroundings: Surroundings = NO_SURROUNDINGS
    """What is done to the ends of the music; notes and grid are within them."""
    form: Labels = field(default_factory=Labels)
    """Chords, key and sections, from before the pair to after it."""
    casting: Casting | None = None
    """How measured sounds play its parts; None where a soundfont plays them."""


NoteRows = list[tuple[float, float, float, float]]
"""Notes of a part while they are collected: start and length in beats, MIDI pitch, loudness."""


def _sort_by_start(notes: NoteRows | NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 4) notes in order of their starts."""
    rows = np.array(notes, dtype=np.float64).reshape(-1, 4)
    return rows[np.argsort(rows[:, 0], kind="stable")]


def arrange(
    tune: Tune,
    style_name: str,
    melody_program: int,
    split: str,
    seconds: float,
    rng: np.random.Generator,
    bpm: float | None = None,
) -> Arrangement:
    """Arrange a tune.

    Args:
        tune: of the style's time signature; it is repeated as often as is needed.
        style_name: one of :data:`~motion_data.corpora.constructed.styles.STYLES`.
        melody_program: General MIDI program of the melody.
        split: train, dev or test: chords are played by a program of that split.
        seconds: length of the pair.
        rng: for all choices.
        bpm: the tempo; None for any of the style's.
    """
    style = STYLES_BY_NAME[style_name]
    if style.signature != tune.signature:
        raise ValueError(f"style {style.name} is in {style.signature}, the tune in {tune.signature}")
    metre = tune.metre
    if bpm is None:
        bpm = float(np.exp(rng.uniform(*np.log(style.bpm))))
    course = str(rng.choice(TEMPO_PROFILES, p=TEMPO_PROFILE_SHARES))
    swing = float(rng.uniform(*style.swing))
    lead_beats = LEAD_SECONDS * TEMPO_MARGIN * MAX_BPM / 60
    # The pair begins anywhere in a bar.
    zero = metre * int(np.ceil(lead_beats / metre)) + float(rng.uniform(0, metre))
    length = zero + seconds * bpm * 1.3 / 60 + metre
    tempo = tempo_map(bpm, length, metre, course, zero, rng)
    bars = int(np.ceil(length / metre))

    first_bar = PHRASE_BARS * int(rng.integers(max(1, tune.bars // PHRASE_BARS)))
    transposition = int(rng.integers(-5, 7))
    chords = (harmonise(tune)[(first_bar + np.arange(bars + 1)) % tune.bars] + transposition) % 12
    players = _draw_band(rng)
    sections = _draw_sections(bars, pauses=len(players) > 2, rng=rng)
    breaks = _draw_breaks(bars, style, rng)

    written = [
        ("drums", int(rng.choice(style.kits)), _drum_notes(style, bpm, bars, sections, rng)),
        ("bass", int(rng.choice(BASS)), _bass_notes(style, chords, sections, rng)),
        (
            "chords",
            int(rng.choice(split_programs(split, CHORDS))),
            _chord_notes(style, chords, sections, rng),
        ),
        ("melody", melody_program, _melody_notes(tune, bpm, first_bar, bars, transposition, sections, rng)),
    ]
    looseness = float(rng.choice([0.0, 0.004, 0.008, 0.012]))
    parts = []
    for role, program, notes in written:
        if tempo.fermata_beat is not None:
            notes = apply_fermata(notes, tempo.fermata_beat)
        notes = _apply_breaks(notes, [(start, stop) for start, stop, solo in breaks if role != solo])
        part = _perform_part(role, program, notes, style, swing, tempo, looseness, rng)
        part = replace(
            part, notes=part.notes[(part.notes[:, 0] >= -LEAD_SECONDS) & (part.notes[:, 0] < seconds)]
        )
        if role in players and len(part.notes):
            parts.append(part)

    beats = np.arange(0, int(np.ceil(length)) + 1)
    times = tempo.at(beats)
    inside = (times >= 0) & (times < seconds)
    grid = Grid(times[inside], beats[inside] % metre + 1, metre)
    speed = np.log(bpm / MIN_BPM) / np.log(MAX_BPM / MIN_BPM)
    energy = float(np.clip(0.7 * style.energy + 0.3 * speed + rng.normal(0, 0.08), 0.05, 1.0))
    cells = player_cells(sections, breaks, metre)
    edges = tempo.at(cells.edges)
    form = Labels(
        {
            "chords": chord_events(chords, cells, players, edges),
            "key": key_events(tune.scale, transposition, players, edges),
            "sections": section_events(first_bar, cells, players, edges),
        }
    )
    return Arrangement(tuple(parts), grid, style.name, bpm, energy, swing, course, seconds, form=form)


def _draw_band(rng: np.random.Generator) -> set[str]:
    """Who plays: the whole band half of the time, and now and then the drums or the melody alone."""
    bands = (
        {"drums", "bass", "chords", "melody"},
        {"drums", "bass", "chords"},
        {"drums", "bass", "melody"},
        {"drums", "chords", "melody"},
        {"bass", "chords", "melody"},
        {"chords", "melody"},
        {"drums", "bass"},
        {"drums"},
        {"melody"},
        {"chords"},
    )
    return bands[rng.choice(len(bands), p=(0.47, 0.09, 0.08, 0.06, 0.13, 0.05, 0.03, 0.04, 0.03, 0.02))]


def _draw_sections(bars: int, pauses: bool, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(bars, 4) whether drums, bass, chords and melody play: with ``pauses`` one may rest for a phrase."""
    plays = np.ones((bars, 4), dtype=bool)
    for start in range(0, bars, PHRASE_BARS):
        if pauses and rng.random() < 0.12:
            plays[start : start + PHRASE_BARS, rng.integers(4)] = False
    return plays


def _draw_breaks(bars: int, style: Style, rng: np.random.Generator) -> list[tuple[float, float, str | None]]:
    """Stops at the end of phrases: beats from which on and until which all rest but the role named, if any.

    Half of the pieces have none. A stop lasts a bar at most, or the beat could not be followed across it.
    """
    if rng.random() < 0.5:
        return []
    breaks: list[tuple[float, float, str | None]] = []
    for stop in range(PHRASE_BARS, bars, PHRASE_BARS):
        length = int(rng.integers(1, style.metre + 1))
        solo = rng.choice(["drums", "bass", "melody", ""])
        if rng.random() < 0.3:
            breaks.append((stop * style.metre - length, stop * style.metre, str(solo) or None))
    return breaks


def _apply_breaks(notes: NDArray[np.float64], breaks: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    """The notes without those that begin in a break; what sounds when it comes ends there."""
    for start, stop in breaks:
        notes = notes[(notes[:, 0] < start) | (notes[:, 0] >= stop)]
        length = np.where(notes[:, 0] < start, np.minimum(notes[:, 1], start - notes[:, 0]), notes[:, 1])
        notes = np.column_stack([notes[:, 0], length, notes[:, 2:]])
    return notes


def apply_fermata(notes: NDArray[np.float64], beat: float) -> NDArray[np.float64]:
    """The notes as they are played where a beat is held: what begins on it lasts, nothing else begins."""
    since = notes[:, 0] - beat
    notes = notes[(since <= ON_BEAT_TOLERANCE) | (since >= 1 - ON_BEAT_TOLERANCE)]
    on_it = np.abs(notes[:, 0] - beat) <= ON_BEAT_TOLERANCE
    length = np.where(on_it, np.maximum(notes[:, 1], 1.0), notes[:, 1])
    return np.column_stack([notes[:, 0], length, notes[:, 2:]])


def _drum_notes(
    style: Style, bpm: float, bars: int, sections: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.float64]:
    written: NoteRows = []
    lanes = {lane: int(rng.choice(LANES[lane])) for lane in style.drums}
    if len(lanes) > 2 and rng.random() < 0.2:
        lanes.pop(str(rng.choice(list(lanes))))
    fills, crashes = rng.random() < 0.65, rng.random() < 0.6
    crash = int(rng.choice(CRASHES))
    phrase = PHRASE_BARS * int(rng.choice([1, 2]))
    dropped = rng.uniform(0, 0.12)  # soft strokes that are left out here and there
    for bar in range(bars):
        if not sections[bar, 0]:
            continue
        at = bar * style.metre
        filled = style.metre
        if fills and bar % phrase == phrase - 1 and rng.random() < 0.8:
            filled = style.metre - int(rng.integers(1, min(style.metre, 3)))
            strokes = 3 if style.parts == 3 else 4 if bpm < MAX_SIXTEENTH_FILL_BPM else 2
            _write_fill(written, at + filled, at + style.metre, strokes, rng)
        if crashes and bar % phrase == 0:
            written.append((at, 1.0, crash, 1.05))
        for lane, pitch in lanes.items():
            pattern = style.drums[lane].split(" ")
            signs = pattern[bar % len(pattern)]
            for step, sign in enumerate(signs):
                place = step * style.metre / len(signs)
                if sign == "." or place >= filled or (sign == "o" and rng.random() < dropped):
                    continue
                written.append((at + place, 0.2, pitch, DRUM_ACCENTS[sign] * (1.08 if step == 0 else 1.0)))
    return _sort_by_start(written)


def _write_fill(written: NoteRows, start: float, stop: float, steps: int, rng: np.random.Generator) -> None:
    """A run over snare and toms that leads into the next bar."""
    count = int(stop - start) * steps
    order = np.sort(rng.integers(0, len(FILL), count))
    for step in range(count):
        if step == 0 or rng.random() < 0.8:
            written.append((start + step / steps, 0.2, FILL[order[step]], 0.8 + 0.3 * step / count))


def _bass_notes(
    style: Style, chords: NDArray[np.int64], sections: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.float64]:
    written: NoteRows = []
    pattern = str(rng.choice(style.bass)).split(" ")
    lowest = int(rng.integers(28, 34))
    held = rng.uniform(0.6, 1.0)
    for bar in range(len(chords) - 1):
        if not sections[bar, 1]:
            continue
        signs = pattern[bar % len(pattern)]
        root, third, fifth = (lowest + (chords[bar] - lowest) % 12).tolist()
        following = int(lowest + (chords[bar + 1][0] - lowest) % 12)
        step_to = following + (1 if root > following else -1)
        pitches = {"r": root, "t": third, "f": fifth, "o": root + 12, "w": step_to}
        for sign, beat, length in _pattern_events(signs, style.metre):
            loudness = 1.12 if beat == 0 else 0.95
            written.append((bar * style.metre + beat, length * held, pitches[sign], loudness))
    return _sort_by_start(written)


def _pattern_events(signs: str, metre: int) -> list[tuple[str, float, float]]:
    """Each sign of a bar but the dots, its beat, and beats until the next."""
    beats = metre / len(signs)
    struck = [step for step, sign in enumerate(signs) if sign != "."]
    following = [*struck[1:], len(signs)]
    return [
        (signs[step], step * beats, (until - step) * beats)
        for step, until in zip(struck, following, strict=True)
    ]


def _chord_notes(
    style: Style, chords: NDArray[np.int64], sections: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.float64]:
    written: NoteRows = []
    pattern = str(rng.choice(style.chords)).split(" ")
    lowest = int(rng.integers(50, 60))
    short = rng.uniform(0.12, 0.3)
    strum = rng.choice([0.0, 0.0, 0.015])
    for bar in range(len(chords) - 1):
        if not sections[bar, 2]:
            continue
        signs = pattern[bar % len(pattern)]
        voices = sorted((lowest + (chords[bar] - lowest) % 12).tolist())
        ladder = [*voices, voices[0] + 12, voices[1] + 12]
        for sign, beat, held in _pattern_events(signs, style.metre):
            at, loudness = bar * style.metre + beat, 1.08 if beat == 0 else 0.9
            if sign.isdigit():
                written.append((at, held * 1.5, ladder[int(sign)], loudness))
                continue
            length = short if sign == "s" else held * 0.95
            for voice, pitch in enumerate(voices):
                written.append((at + voice * strum, length, pitch, loudness))
    return _sort_by_start(written)


def _thin_melody(tune: Tune, bpm: float) -> NDArray[np.int64]:
    """The tune's notes, (N, 3); where they would be too fast, those on the larger values alone."""
    most = MAX_MELODY_NOTES_PER_SECOND * 60 / bpm * tune.bars * tune.metre
    notes = tune.notes
    for step in (TICKS_PER_BEAT // METRES[tune.signature][1], TICKS_PER_BEAT):
        if len(notes) > most:
            notes = notes[notes[:, 0] % step == 0]
    return notes if len(notes) else tune.notes


def _melody_notes(
    tune: Tune,
    bpm: float,
    first_bar: int,
    bars: int,
    transposition: int,
    sections: NDArray[np.bool_],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    whole = tune.bars * tune.metre
    written = _thin_melody(tune, bpm)
    starts = written[:, 0] / TICKS_PER_BEAT - first_bar * tune.metre
    lengths = written[:, 1] / TICKS_PER_BEAT
    rounds = np.arange(0, bars * tune.metre // whole + 2) * whole
    starts = (starts[None, :] + rounds[:, None]).ravel()
    pitches = written[:, 2] + transposition
    octave = 12 * round((float(rng.uniform(66, 79)) - float(np.median(pitches))) / 12)
    pitches = np.tile(pitches + octave, len(rounds))
    lengths = np.tile(lengths, len(rounds)) * rng.uniform(0.7, 1.0)
    loudness = 1.0 + 0.08 * (starts % tune.metre == 0) - 0.1 * (starts % 1 != 0)
    notes = np.stack([starts, lengths, pitches, loudness], axis=1)
    notes = notes[(starts >= 0) & (starts < bars * tune.metre)]
    notes = notes[sections[(notes[:, 0] // tune.metre).astype(int), 3]]
    if rng.random() < 0.15:
        notes = np.concatenate([notes, notes + np.array([0, 0, -12, -0.15])])
    return _sort_by_start(notes)


@dataclass(frozen=True)
class TempoMap:
    """Seconds as a function of beats: increasing, straight between its knots, going on straight outside."""

    beats: NDArray[np.float64]
    """(N,) knots, increasing."""
    seconds: NDArray[np.float64]
    """(N,) increasing."""
    fermata_beat: float | None = None
    """The beat from which on one beat is held longer than the others, if any."""

    def at(self, beats: ArrayLike) -> NDArray[np.float64]:
        """Seconds at any beats."""
        beats = np.asarray(beats, dtype=np.float64)
        inner: NDArray[np.float64] = np.interp(beats, self.beats, self.seconds)
        first = (self.seconds[1] - self.seconds[0]) / (self.beats[1] - self.beats[0])
        last = (self.seconds[-1] - self.seconds[-2]) / (self.beats[-1] - self.beats[-2])
        inner += np.minimum(beats - self.beats[0], 0) * first + np.maximum(beats - self.beats[-1], 0) * last
        return inner


def tempo_map(
    bpm: float, beats: float, metre: int, course: str, zero: float, rng: np.random.Generator
) -> TempoMap:
    """A map for a piece of about ``beats`` beats.

    Args:
        bpm: the median tempo, about.
        beats: length of the map; tempi hold on after it.
        metre: beats a bar; a step in tempo falls on a bar.
        course: one of :data:`TEMPO_PROFILES`.
        zero: the beat that stands at 0 s.
        rng: for the course's shape.
    """
    knots = np.arange(int(np.ceil(beats)) * KNOTS_PER_BEAT + 1) / KNOTS_PER_BEAT
    middle = knots[:-1] + 0.5 / KNOTS_PER_BEAT
    # Logarithm of the tempo against bpm.
    if course == "drift":
        bend = rng.uniform(0.004, 0.02) * _smooth_noise(middle, rng.uniform(6, 16), rng)
    elif course == "rubato":
        bend = rng.uniform(0.05, 0.12) * _smooth_noise(middle, rng.uniform(3, 8), rng)
    elif course == "step":
        bar = metre * max(1, round(rng.uniform(0.25, 0.75) * beats / metre))
        bend = np.log(rng.choice([0.8, 0.88, 1.12, 1.25])) * ((middle >= bar) - 0.5)
    elif course == "ramp":
        bend = np.log(rng.uniform(1.08, 1.35)) * rng.choice([-1, 1]) * (middle / beats - 0.5)
    elif course == "accelerando":
        bend = np.log(rng.uniform(1.3, 1.6)) * (middle / beats - 0.5)
    else:
        bend = np.zeros(len(middle))
    tempo = np.clip(bpm * np.exp(bend), MIN_BPM / TEMPO_MARGIN, MAX_BPM * TEMPO_MARGIN)
    held = None
    if course == "fermata":
        # The last beat of a bar, a bar after the pair begins or later.
        latest = max(zero + metre, min(zero + FERMATA_WITHIN_SECONDS * bpm / 60, 0.8 * beats))
        held = float(metre * round(rng.uniform(zero + metre, latest) / metre) - 1)
        tempo[(middle > held) & (middle < held + 1)] /= rng.uniform(1.7, 3.0)
    seconds = np.concatenate([[0.0], np.cumsum(60.0 / tempo / KNOTS_PER_BEAT)])
    drawn = TempoMap(knots, seconds)
    return TempoMap(knots, seconds - drawn.at(zero), held)


def _smooth_noise(beats: NDArray[np.float64], period: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """A smooth random curve of about unit size whose waves are about ``period`` beats long."""
    waves = rng.uniform(0.6, 1.8, 4) / period
    phases = rng.uniform(0, 2 * np.pi, 4)
    curve: NDArray[np.float64] = np.sin(2 * np.pi * waves * beats[:, None] + phases).sum(axis=1) / 2
    return curve


def apply_swing(beats: ArrayLike, ratio: float, values: int) -> NDArray[np.float64]:
    """Where a swung player puts what is written at ``beats``; beats themselves stay.

    Args:
        beats: written positions.
        ratio: share that the first of two swung values takes, in [1/2, 1).
        values: 2 where the halves of a beat swing, 4 where its quarters do.
    """
    spans = np.asarray(beats, dtype=np.float64) * (values / 2)
    whole = np.floor(spans)
    part = spans - whole
    warped = np.where(part < 0.5, part * 2 * ratio, ratio + (part - 0.5) * 2 * (1 - ratio))
    result: NDArray[np.float64] = (whole + warped) / (values / 2)
    return result


ROLE_VELOCITIES = {"drums": 96.0, "bass": 92.0, "chords": 76.0, "melody": 92.0}
"""Middle velocities."""


def _perform_part(
    role: str,
    program: int,
    notes: NDArray[np.float64],
    style: Style,
    swing: float,
    tempo: TempoMap,
    looseness: float,
    rng: np.random.Generator,
) -> Part:
    """Written notes as they are played: swung, in seconds, with a player's timing and loudness."""
    start, length, pitch, loudness = notes.T
    stop = apply_swing(start + length, swing, style.swung)
    begin = tempo.at(apply_swing(start, swing, style.swung))
    lasting = np.maximum(tempo.at(stop) - begin, 0.04)
    # A player is a little ahead or behind as a habit; all notes of a stroke move together.
    habit = 0.0 if role == "drums" else rng.normal(0, looseness / 2)
    strokes, of = np.unique(start, return_inverse=True)
    scatter = rng.normal(0, looseness * (0.5 if role == "drums" else 1.0), len(strokes))[of]
    begin = begin + np.clip(habit + scatter, -MAX_TIMING_ERROR_SECONDS, MAX_TIMING_ERROR_SECONDS)
    level = ROLE_VELOCITIES[role] * rng.uniform(0.75, 1.15)
    velocity = level * loudness * np.exp(rng.normal(0, rng.uniform(0.02, 0.1), len(notes)))
    # Accents of the bar: downbeats loudest, beats before what lies between them.
    weight = np.where(start % style.metre == 0, 1.08, np.where(start % 1 == 0, 1.0, 0.93))
    velocity = np.clip(velocity * weight ** rng.uniform(0.3, 1.5), 12, 127)
    played = np.stack([begin, lasting, np.clip(pitch, 12, 115), velocity], axis=1)
    return Part(role, program, role == "drums", _sort_by_start(played))


DEGREE_WEIGHTS = (0.30, 0.04, 0.0, 0.22, 0.22, 0.12, 0.02)
"""How much more a chord on each degree is liked, as a share of the melody's time in a bar [O]."""

TONIC_WEIGHT = 0.5
"""The same for the tonic where a phrase of four bars opens the tune or closes a half of it [O]."""


def harmonise(tune: Tune) -> NDArray[np.int64]:
    """(bars, 3) pitch classes of a triad a bar, root first: the one that holds most of the melody.

    Triads are stacked from the tune's scale; diminished ones are left out.
    """
    bar = tune.metre * TICKS_PER_BEAT
    weight = np.zeros((tune.bars, 12))
    # A note counts in the bar in which it starts, and more on a beat.
    on_beat = 1.0 + 0.5 * (tune.notes[:, 0] % TICKS_PER_BEAT == 0)
    np.add.at(
        weight,
        (tune.notes[:, 0] // bar, tune.notes[:, 2] % 12),
        np.minimum(tune.notes[:, 1], bar) * on_beat,
    )
    weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)
    triads = np.array([[tune.scale[(degree + step) % 7] for step in (0, 2, 4)] for degree in range(7)])
    liked = weight[:, triads].sum(axis=2) + DEGREE_WEIGHTS
    liked[:, (triads[:, 2] - triads[:, 0]) % 12 == 6] = -np.inf
    home = (np.arange(tune.bars) % 8 == 7) | (np.arange(tune.bars) == 0)
    liked[home, 0] += TONIC_WEIGHT
    # A bar in which the melody rests goes on with the chord before.
    best = np.argmax(liked, axis=1)
    silent = weight.sum(axis=1) == 0
    for index in np.flatnonzero(silent):
        best[index] = best[index - 1] if index else 0
    chosen: NDArray[np.int64] = triads[best]
    return chosen
