"""Arrangement of a tune for a band: notes in seconds and their exact grid.

Notes are first written in beats. Swing and the tempo map are then applied to notes and grid; deviations of
timing and loudness are applied to the notes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
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
"""Range of the tempo of a pair, which is drawn log-uniformly."""

TEMPO_MARGIN = 1.15
"""Factor by which a changing tempo may leave this range."""

TEMPO_PROFILES = ("steady", "drift", "rubato", "step", "ramp", "accelerando", "fermata")
"""Courses of the tempo: constant, small fluctuations of a band, large fluctuations of a soloist, one sudden
change, one gradual change, increasing, and constant with one prolonged beat."""

TEMPO_PROFILE_SHARES = (0.44, 0.26, 0.11, 0.06, 0.05, 0.04, 0.04)

KNOTS_PER_BEAT = 16
"""Knots of a tempo map per beat."""

FERMATA_WITHIN_SECONDS = 12.0
"""A fermata lies within this time from the start of a pair."""

LEAD_SECONDS = 2.0
"""Music before a pair's first sample, so that notes may sound across it."""

PHRASE_BARS = 4
"""Bars per phrase."""

MAX_MELODY_NOTES_PER_SECOND = 9.5
"""Faster tunes are thinned out."""

MAX_SIXTEENTH_FILL_BPM = 135.0
"""At faster tempi fills are in eighths."""

ON_BEAT_TOLERANCE = 0.1
"""Beats within which a note counts as on a beat."""

MAX_TIMING_ERROR_SECONDS = 0.03
"""Maximum deviation of a note from its time."""

DRUM_ACCENTS = {"X": 1.12, "x": 1.0, "o": 0.62}
"""Loudness of the symbols of a drum pattern."""


@dataclass(frozen=True)
class Part:
    """Notes of one player."""

    role: str
    """``melody``, ``chords``, ``bass`` or ``drums``."""
    program: int
    """General MIDI program; for drums the kit."""
    drums: bool
    notes: NDArray[np.float64]
    """(N, 4) onset and duration in seconds from the start of the pair, MIDI pitch, MIDI velocity."""


@dataclass(frozen=True)
class Arrangement:
    """A piece that can be rendered."""

    parts: tuple[Part, ...]
    grid: Grid
    """Exact; beats of the music from 0 s to the end of the pair."""
    style: str
    bpm: float
    energy: float
    """Energy of a dance to it, in [0, 1]."""
    swing: float
    tempo_profile: str
    """One of :data:`TEMPO_PROFILES`, or ``own`` for the tempi of a score."""
    seconds: float
    surroundings: Surroundings = NO_SURROUNDINGS
    """Beginning and end of the music; notes and grid lie within."""
    form: Labels = field(default_factory=Labels)
    """Chords, key and sections, from before the pair to after it."""
    casting: Casting | None = None
    """Measured sounds of the parts; None for a single soundfont."""


NoteRows = list[tuple[float, float, float, float]]
"""Notes of a part: onset and duration in beats, MIDI pitch, loudness."""


def _sort_by_start(notes: NoteRows | NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 4) notes sorted by onset."""
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
        tune: in the time signature of the style; repeated as needed.
        style_name: name of one of :data:`~motion_data.corpora.constructed.styles.STYLES`.
        melody_program: General MIDI program of the melody.
        split: train, dev or test; selects the program of the chords.
        seconds: length of the pair.
        rng: for all choices.
        bpm: tempo; None to draw one of the style.
    """
    style = STYLES_BY_NAME[style_name]
    if style.signature != tune.signature:
        raise ValueError(f"style {style.name} is in {style.signature}, the tune in {tune.signature}")
    metre = tune.metre
    if bpm is None:
        bpm = float(np.exp(rng.uniform(*np.log(style.bpm))))
    profile = str(rng.choice(TEMPO_PROFILES, p=TEMPO_PROFILE_SHARES))
    swing = float(rng.uniform(*style.swing))
    lead_beats = LEAD_SECONDS * TEMPO_MARGIN * MAX_BPM / 60
    # The pair may begin anywhere in a bar.
    zero_beat = metre * int(np.ceil(lead_beats / metre)) + float(rng.uniform(0, metre))
    length = zero_beat + seconds * bpm * 1.3 / 60 + metre
    tempo = tempo_map(bpm, length, metre, profile, zero_beat, rng)
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
    return Arrangement(tuple(parts), grid, style.name, bpm, energy, swing, profile, seconds, form=form)


def _draw_band(rng: np.random.Generator) -> set[str]:
    """Draw the players: in half of the pairs the whole band, in a few a single player."""
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
    """(bars, 4) whether drums, bass, chords and melody play; with ``pauses`` one may rest for a phrase."""
    plays = np.ones((bars, 4), dtype=bool)
    for start in range(0, bars, PHRASE_BARS):
        if pauses and rng.random() < 0.12:
            plays[start : start + PHRASE_BARS, rng.integers(4)] = False
    return plays


def _draw_breaks(bars: int, style: Style, rng: np.random.Generator) -> list[tuple[float, float, str | None]]:
    """Draw breaks at the end of phrases: first beat, end beat, and the role that plays on, if any.

    Half of the pieces have none. A break lasts at most a bar, so that the beat can be followed across it.
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
    """Remove notes that begin in a break, and end notes that sound when it begins."""
    for start, stop in breaks:
        notes = notes[(notes[:, 0] < start) | (notes[:, 0] >= stop)]
        length = np.where(notes[:, 0] < start, np.minimum(notes[:, 1], start - notes[:, 0]), notes[:, 1])
        notes = np.column_stack([notes[:, 0], length, notes[:, 2:]])
    return notes


def apply_fermata(notes: NDArray[np.float64], beat: float) -> NDArray[np.float64]:
    """Apply a fermata: notes on ``beat`` last for the whole beat, and no others begin during it."""
    offset = notes[:, 0] - beat
    notes = notes[(offset <= ON_BEAT_TOLERANCE) | (offset >= 1 - ON_BEAT_TOLERANCE)]
    on_beat = np.abs(notes[:, 0] - beat) <= ON_BEAT_TOLERANCE
    length = np.where(on_beat, np.maximum(notes[:, 1], 1.0), notes[:, 1])
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
    drop_rate = rng.uniform(0, 0.12)  # share of soft notes that are left out
    for bar in range(bars):
        if not sections[bar, 0]:
            continue
        bar_start = bar * style.metre
        fill_start = style.metre
        if fills and bar % phrase == phrase - 1 and rng.random() < 0.8:
            fill_start = style.metre - int(rng.integers(1, min(style.metre, 3)))
            notes_per_beat = 3 if style.parts == 3 else 4 if bpm < MAX_SIXTEENTH_FILL_BPM else 2
            _write_fill(written, bar_start + fill_start, bar_start + style.metre, notes_per_beat, rng)
        if crashes and bar % phrase == 0:
            written.append((bar_start, 1.0, crash, 1.05))
        for lane, pitch in lanes.items():
            pattern = style.drums[lane].split(" ")
            signs = pattern[bar % len(pattern)]
            for step, sign in enumerate(signs):
                beat = step * style.metre / len(signs)
                if sign == "." or beat >= fill_start or (sign == "o" and rng.random() < drop_rate):
                    continue
                loudness = DRUM_ACCENTS[sign] * (1.08 if step == 0 else 1.0)
                written.append((bar_start + beat, 0.2, pitch, loudness))
    return _sort_by_start(written)


def _write_fill(written: NoteRows, start: float, stop: float, steps: int, rng: np.random.Generator) -> None:
    """Append a run over snare and toms."""
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
    duration_ratio = rng.uniform(0.6, 1.0)
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
            written.append((bar * style.metre + beat, length * duration_ratio, pitches[sign], loudness))
    return _sort_by_start(written)


def _pattern_events(signs: str, metre: int) -> list[tuple[str, float, float]]:
    """Symbol, beat and beats to the next symbol for each symbol of a bar except dots."""
    beats = metre / len(signs)
    steps = [step for step, sign in enumerate(signs) if sign != "."]
    return [(signs[a], a * beats, (b - a) * beats) for a, b in pairwise([*steps, len(signs)])]


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
        for sign, beat, duration in _pattern_events(signs, style.metre):
            onset, loudness = bar * style.metre + beat, 1.08 if beat == 0 else 0.9
            if sign.isdigit():
                written.append((onset, duration * 1.5, ladder[int(sign)], loudness))
                continue
            length = short if sign == "s" else duration * 0.95
            for voice, pitch in enumerate(voices):
                written.append((onset + voice * strum, length, pitch, loudness))
    return _sort_by_start(written)


def _thin_melody(tune: Tune, bpm: float) -> NDArray[np.int64]:
    """(N, 3) notes of the tune; if they are too fast, only those on coarser subdivisions."""
    max_notes = MAX_MELODY_NOTES_PER_SECOND * 60 / bpm * tune.bars * tune.metre
    notes = tune.notes
    for step in (TICKS_PER_BEAT // METRES[tune.signature][1], TICKS_PER_BEAT):
        if len(notes) > max_notes:
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
    """Seconds as an increasing, piecewise linear function of beats, extrapolated linearly."""

    beats: NDArray[np.float64]
    """(N,) knots, increasing."""
    seconds: NDArray[np.float64]
    """(N,) increasing."""
    fermata_beat: float | None = None
    """First beat of a fermata, which lasts one beat; None without one."""

    def at(self, beats: ArrayLike) -> NDArray[np.float64]:
        """Seconds at beats, of the same shape."""
        beats = np.asarray(beats, dtype=np.float64)
        inner: NDArray[np.float64] = np.interp(beats, self.beats, self.seconds)
        first = (self.seconds[1] - self.seconds[0]) / (self.beats[1] - self.beats[0])
        last = (self.seconds[-1] - self.seconds[-2]) / (self.beats[-1] - self.beats[-2])
        inner += np.minimum(beats - self.beats[0], 0) * first + np.maximum(beats - self.beats[-1], 0) * last
        return inner


def tempo_map(
    bpm: float, beats: float, metre: int, profile: str, zero_beat: float, rng: np.random.Generator
) -> TempoMap:
    """Draw a tempo map.

    Args:
        bpm: approximate median tempo.
        beats: length of the map; the tempo is constant after it.
        metre: beats per bar; a sudden change of tempo falls on a downbeat.
        profile: one of :data:`TEMPO_PROFILES`.
        zero_beat: beat at 0 s.
        rng: for the shape of the profile.
    """
    knots = np.arange(int(np.ceil(beats)) * KNOTS_PER_BEAT + 1) / KNOTS_PER_BEAT
    middle = knots[:-1] + 0.5 / KNOTS_PER_BEAT
    # Logarithm of the tempo relative to bpm.
    if profile == "drift":
        bend = rng.uniform(0.004, 0.02) * _smooth_noise(middle, rng.uniform(6, 16), rng)
    elif profile == "rubato":
        bend = rng.uniform(0.05, 0.12) * _smooth_noise(middle, rng.uniform(3, 8), rng)
    elif profile == "step":
        bar = metre * max(1, round(rng.uniform(0.25, 0.75) * beats / metre))
        bend = np.log(rng.choice([0.8, 0.88, 1.12, 1.25])) * ((middle >= bar) - 0.5)
    elif profile == "ramp":
        bend = np.log(rng.uniform(1.08, 1.35)) * rng.choice([-1, 1]) * (middle / beats - 0.5)
    elif profile == "accelerando":
        bend = np.log(rng.uniform(1.3, 1.6)) * (middle / beats - 0.5)
    else:
        bend = np.zeros(len(middle))
    tempo = np.clip(bpm * np.exp(bend), MIN_BPM / TEMPO_MARGIN, MAX_BPM * TEMPO_MARGIN)
    fermata = None
    if profile == "fermata":
        # The last beat of a bar, at least a bar after the pair begins.
        latest = max(zero_beat + metre, min(zero_beat + FERMATA_WITHIN_SECONDS * bpm / 60, 0.8 * beats))
        fermata = float(metre * round(rng.uniform(zero_beat + metre, latest) / metre) - 1)
        tempo[(middle > fermata) & (middle < fermata + 1)] /= rng.uniform(1.7, 3.0)
    seconds = np.concatenate([[0.0], np.cumsum(60.0 / tempo / KNOTS_PER_BEAT)])
    return TempoMap(knots, seconds - TempoMap(knots, seconds).at(zero_beat), fermata)


def _smooth_noise(beats: NDArray[np.float64], period: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Smooth random curve of about unit amplitude with periods of about ``period`` beats."""
    waves = rng.uniform(0.6, 1.8, 4) / period
    phases = rng.uniform(0, 2 * np.pi, 4)
    curve: NDArray[np.float64] = np.sin(2 * np.pi * waves * beats[:, None] + phases).sum(axis=1) / 2
    return curve


def apply_swing(beats: ArrayLike, ratio: float, values: int) -> NDArray[np.float64]:
    """Apply swing to times in beats; whole beats do not move.

    Args:
        beats: times in beats.
        ratio: swing ratio, the first share of a swung pair, in [1/2, 1).
        values: swung subdivision: 2 for halves of a beat, 4 for quarters.
    """
    spans = np.asarray(beats, dtype=np.float64) * (values / 2)
    whole = np.floor(spans)
    part = spans - whole
    warped = np.where(part < 0.5, part * 2 * ratio, ratio + (part - 0.5) * 2 * (1 - ratio))
    result: NDArray[np.float64] = (whole + warped) / (values / 2)
    return result


ROLE_VELOCITIES = {"drums": 96.0, "bass": 92.0, "chords": 76.0, "melody": 92.0}
"""Mean velocities."""


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
    """Convert written notes to a performance: apply swing, tempo map, timing errors and velocities."""
    start, length, pitch, loudness = notes.T
    stop = apply_swing(start + length, swing, style.swung)
    begin = tempo.at(apply_swing(start, swing, style.swung))
    duration = np.maximum(tempo.at(stop) - begin, 0.04)
    # Each player has a constant lag; simultaneous notes move together.
    lag = 0.0 if role == "drums" else rng.normal(0, looseness / 2)
    onsets, onset_of = np.unique(start, return_inverse=True)
    errors = rng.normal(0, looseness * (0.5 if role == "drums" else 1.0), len(onsets))[onset_of]
    begin = begin + np.clip(lag + errors, -MAX_TIMING_ERROR_SECONDS, MAX_TIMING_ERROR_SECONDS)
    level = ROLE_VELOCITIES[role] * rng.uniform(0.75, 1.15)
    velocity = level * loudness * np.exp(rng.normal(0, rng.uniform(0.02, 0.1), len(notes)))
    # Metrical accents: downbeats are loudest, then beats, then subdivisions.
    weight = np.where(start % style.metre == 0, 1.08, np.where(start % 1 == 0, 1.0, 0.93))
    velocity = np.clip(velocity * weight ** rng.uniform(0.3, 1.5), 12, 127)
    performed = np.stack([begin, duration, np.clip(pitch, 12, 115), velocity], axis=1)
    return Part(role, program, role == "drums", _sort_by_start(performed))


DEGREE_WEIGHTS = (0.30, 0.04, 0.0, 0.22, 0.22, 0.12, 0.02)
"""Bonus of a chord on each scale degree, as a share of the melody's duration in a bar [O]."""

TONIC_WEIGHT = 0.5
"""Additional bonus of the tonic in the first bar and in the last of every eight bars [O]."""


def harmonise(tune: Tune) -> NDArray[np.int64]:
    """(bars, 3) pitch classes of one triad per bar, root first, chosen to match the melody.

    Triads are those of the tune's scale except diminished ones.
    """
    bar = tune.metre * TICKS_PER_BEAT
    weight = np.zeros((tune.bars, 12))
    # A note counts in the bar of its onset, with more weight on a beat.
    on_beat = 1.0 + 0.5 * (tune.notes[:, 0] % TICKS_PER_BEAT == 0)
    np.add.at(
        weight,
        (tune.notes[:, 0] // bar, tune.notes[:, 2] % 12),
        np.minimum(tune.notes[:, 1], bar) * on_beat,
    )
    weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)
    triads = np.array([[tune.scale[(degree + step) % 7] for step in (0, 2, 4)] for degree in range(7)])
    scores = weight[:, triads].sum(axis=2) + DEGREE_WEIGHTS
    scores[:, (triads[:, 2] - triads[:, 0]) % 12 == 6] = -np.inf
    tonic_bars = (np.arange(tune.bars) % 8 == 7) | (np.arange(tune.bars) == 0)
    scores[tonic_bars, 0] += TONIC_WEIGHT
    # A bar in which the melody rests keeps the previous chord.
    best = np.argmax(scores, axis=1)
    silent = weight.sum(axis=1) == 0
    for index in np.flatnonzero(silent):
        best[index] = best[index - 1] if index else 0
    chosen: NDArray[np.int64] = triads[best]
    return chosen
