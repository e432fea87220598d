"""A StepMania song, .sm or .ssc, read by the library ``simfile`` and checked: its charts and their timing."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from motion_data.errors import DataError

with warnings.catch_warnings():
    # simfile's file system library tells every importer that pkg_resources will go.
    warnings.simplefilter("ignore")
    from simfile.notes import NoteData, NoteType
    from simfile.sm import SMSimfile
    from simfile.ssc import SSCSimfile
    from simfile.timing import Beat, BeatValue, BeatValues, TimingData
    from simfile.timing.engine import TimingEngine
    from simfile.types import Chart as SimfileChart
    from simfile.types import Simfile

ENCODINGS = ("utf-8-sig", "cp1252", "cp932", "cp949", "latin-1")
"""Tried in turn, as StepMania does; the last one fits any bytes."""

STEPS = {NoteType.TAP: "tap", NoteType.HOLD_HEAD: "hold", NoteType.ROLL_HEAD: "hold"}
"""Notes that a foot comes down for; a roll, which asks for more, counts once. Mines, lifts, fakes and
key sounds are none."""

SPLIT_TIMING = 0.7
"""Version of .ssc from which on charts have timing of their own."""

TIMING_FIELDS = (
    *("BPMS", "STOPS", "DELAYS", "WARPS", "TIMESIGNATURES", "TICKCOUNTS", "COMBOS", "SPEEDS", "SCROLLS"),
    *("FAKES", "LABELS"),
)
"""What makes a chart one with timing of its own."""

NUMBER = re.compile(r"[+-]?([0-9]{1,12}(\.[0-9]*)?|\.[0-9]+)")

LARGEST_BEAT, LARGEST_SECONDS = 100_000, 3600.0
"""Beyond these no song goes."""

LIMITS = {
    "BPMS": (0.0, 10_000.0),
    "STOPS": (0.0, LARGEST_SECONDS),
    "FREEZES": (0.0, LARGEST_SECONDS),
    "DELAYS": (0.0, LARGEST_SECONDS),
    "WARPS": (0.0, float(LARGEST_BEAT)),
    "FAKES": (0.0, float(LARGEST_BEAT)),
}
"""Least and most of each field: beats a minute, seconds, or beats."""

ROW = re.compile(r"([01234AFKLM](\[[0-9]*\])?)*")
"""A row of a chart: a note for each column, with the number of a key sound or without."""

KEY_SOUND = re.compile(r"\[[0-9]*\]")


@dataclass(frozen=True)
class Step:
    """An arrow that a foot comes down for."""

    beat: Fraction
    column: int
    release: Fraction
    """Beat at which the foot is free again: ``beat`` itself but for holds and rolls."""


@dataclass(frozen=True)
class Chart:
    """One chart of a song."""

    steps_type: str
    """dance-single, dance-double, ..."""
    difficulty: str
    description: str
    meter: str
    music: str
    """The audio file's name as the chart or its song gives it; empty where neither does."""
    columns: int
    steps: tuple[Step, ...]
    """Sorted by beat and column; those in warps and fake stretches, which nobody hits, are left out."""
    engine: TimingEngine
    """Seconds of the song's file by beat, per the file's OFFSET: beat 0 stands at −OFFSET s."""
    signatures: tuple[tuple[Fraction, int, int], ...]
    """Beat, numerator and denominator of each time signature, the first on beat 0."""
    gimmicks: Mapping[str, int]
    """Number of tempo changes, stops, delays and warps."""


@dataclass(frozen=True)
class Song:
    """What one .sm or .ssc file holds."""

    title: str
    artist: str
    charts: tuple[Chart, ...]
    passed_over: tuple[str, ...]
    """Types of its other charts."""


def read_song(path: str | Path, steps_types: Mapping[str, int]) -> Song:
    """Read a file with the charts of some types.

    Timing follows StepMania: a chart of an .ssc from version 0.7 on that has any timing of its own uses its
    own alone, with the song's OFFSET where it gives none; the first tempo is put on beat 0; of two
    events on one beat the later in the file counts; events before beat 0 are passed over.

    Args:
        path: the file.
        steps_types: the types of chart to read and the columns each has; others are passed over.

    Raises:
        DataError: no such file, not such a file, or a chart whose timing or rows cannot be.
    """
    path = Path(path)
    try:
        text = _decode(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); give it again") from error
    try:
        simfile: Simfile = (SSCSimfile if path.suffix.lower() == ".ssc" else SMSimfile)(
            string=text, strict=False
        )
    except Exception as error:  # a damaged file ends in errors of many kinds in there
        raise DataError(
            f"{path}: not a StepMania file ({type(error).__name__}: {error}); fetch it again"
        ) from error
    charts = tuple(
        _chart(path, simfile, chart, steps_types[_line(chart.stepstype)])
        for chart in simfile.charts
        if _line(chart.stepstype) in steps_types
    )
    if not charts:
        found = (
            ", ".join(sorted({_line(chart.stepstype)[:40] for chart in simfile.charts})) or "no chart at all"
        )
        raise DataError(f"{path}: expected a chart of {', '.join(steps_types)}, found {found}; leave it out")
    others = [_line(chart.stepstype) for chart in simfile.charts]
    return Song(
        _line(simfile.title) or path.stem,
        _line(simfile.artist),
        charts,
        tuple(steps_type for steps_type in others if steps_type not in steps_types),
    )


def _decode(data: bytes) -> str:
    for encoding in ENCODINGS[:-1]:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode(ENCODINGS[-1])


def _chart(path: Path, simfile: Simfile, chart: SimfileChart, columns: int) -> Chart:
    place = f"{path}: chart {_line(chart.stepstype)} {_line(chart.difficulty)}"
    source = chart if _has_own_timing(simfile, chart) else simfile
    timing = _timing(place, source, simfile)
    engine = TimingEngine(timing)
    fakes = _events(place, "FAKES", source)
    hit = tuple(
        step
        for step in _steps(place, str(chart.notes or ""), columns)
        if engine.hittable(Beat(step.beat))
        and not any(fake.beat <= step.beat < fake.beat + Beat(fake.value) for fake in fakes)
    )
    if not hit:
        raise DataError(f"{place}: holds no step; leave it out")
    return Chart(
        _line(chart.stepstype),
        _line(chart.difficulty) or "Edit",
        _line(chart.get("CHARTNAME") or chart.description),
        _line(chart.meter),
        str(chart.get("MUSIC") or simfile.music or "").strip(),
        columns,
        hit,
        engine,
        _signatures(place, str(source.get("TIMESIGNATURES") or "")),
        {
            "tempo changes": len(timing.bpms) - 1,
            "stops": len(timing.stops),
            "delays": len(timing.delays),
            "warps": len(timing.warps),
        },
    )


def _line(text: str | None) -> str:
    return " ".join((text or "").split())


def _has_own_timing(simfile: Simfile, chart: SimfileChart) -> bool:
    if not isinstance(simfile, SSCSimfile):
        return False
    version = str(simfile.version or "0").strip()
    splits = float(version) >= SPLIT_TIMING if NUMBER.fullmatch(version) else True
    return splits and any(str(chart.get(field) or "").strip() for field in TIMING_FIELDS)


def _timing(place: str, source: Simfile | SimfileChart, simfile: Simfile) -> TimingData:
    offset = str(source.get("OFFSET") or "").strip() or str(simfile.get("OFFSET") or "").strip() or "0"
    if not NUMBER.fullmatch(offset) or abs(float(offset)) > LARGEST_SECONDS:
        raise DataError(
            f"{place}: OFFSET is {offset[:20]!r}, expected at most {LARGEST_SECONDS:g} seconds; correct it"
        )
    timing = TimingData(SSCSimfile.blank())
    timing.offset = Decimal(offset)
    timing.bpms = _events(place, "BPMS", source)
    timing.stops = _events(place, "STOPS", source) or _events(place, "FREEZES", source)
    timing.delays = _events(place, "DELAYS", source)
    timing.warps = _events(place, "WARPS", source)
    if not timing.bpms:
        raise DataError(f"{place}: BPMS is empty, expected a tempo at beat 0; correct it")
    timing.bpms[0] = BeatValue(Beat(0), timing.bpms[0].value)
    return timing


def _events(place: str, field: str, source: Simfile | SimfileChart) -> BeatValues:
    """A list of beat=value, sorted, one for a beat, none before beat 0 and none of no effect."""
    found: dict[Beat, Decimal] = {}
    for entry in filter(None, map(_line, str(source.get(field) or "").split(","))):
        beat, _, value = (part.strip() for part in entry.partition("="))
        # Only plain numbers: of 1e999999999 the fraction alone would fill the memory.
        if not NUMBER.fullmatch(beat) or not NUMBER.fullmatch(value) or abs(float(beat)) > LARGEST_BEAT:
            raise DataError(
                f"{place}: {field} has {entry[:40]!r}, expected beat=value, two numbers, the beat at most "
                f"{LARGEST_BEAT}; correct it"
            )
        least, most = LIMITS[field]
        if not least <= float(value) <= most or (field == "BPMS" and float(value) == 0):
            raise DataError(
                f"{place}: {field} at beat {float(beat):g} is {value}, expected "
                f"{'a number above' if field == 'BPMS' else 'at least'} {least:g} and at most {most:g}; "
                f"negative and huge values are old tricks to jump over beats: save the file as .ssc, which "
                f"writes them as WARPS, or leave it out"
            )
        if float(beat) >= 0:
            found[Beat.from_str(beat)] = Decimal(value)
    return BeatValues(BeatValue(beat, found[beat]) for beat in sorted(found) if found[beat] > 0)


def _steps(place: str, notes: str, columns: int) -> tuple[Step, ...]:
    """Rows are checked first: the library would place the arrows of a row that is too long beside the pad."""
    # An & begins the second player's rows in charts for two; no type of chart that is read has one.
    measures = [measure.split() or ["0" * columns] for measure in notes.split(",")]
    for number, rows in enumerate(measures, 1):
        for row in rows:
            if not ROW.fullmatch(row) or len(KEY_SOUND.sub("", row)) != columns:
                raise DataError(
                    f"{place}: measure {number} has the row {row[:20]!r}, expected {columns} of "
                    f"0, 1, 2, 3, 4, A, F, K, L or M; correct it"
                )
    # One row a line, without blank lines, which the library would count as rows.
    tidy = KEY_SOUND.sub("", "\n,\n".join("\n".join(rows) for rows in measures))
    open_holds: dict[int, int] = {}
    steps: list[Step] = []
    for note in NoteData(tidy):
        if note.note_type in STEPS:
            if STEPS[note.note_type] == "hold":
                open_holds[note.column] = len(steps)
            steps.append(Step(Fraction(note.beat), note.column, Fraction(note.beat)))
        elif note.note_type is NoteType.TAIL and note.column in open_holds:
            # A hold whose tail is missing stays a tap, as in StepMania.
            head = open_holds.pop(note.column)
            steps[head] = Step(steps[head].beat, note.column, Fraction(note.beat))
    return tuple(steps)


def _signatures(place: str, text: str) -> tuple[tuple[Fraction, int, int], ...]:
    found: dict[Fraction, tuple[int, int]] = {}
    for entry in filter(None, map(_line, text.split(","))):
        fields = [part.strip() for part in entry.split("=")]
        numerator, denominator = (
            (int(float(part)) if NUMBER.fullmatch(part) else 0) for part in [*fields, "", ""][1:3]
        )
        plain = len(fields) == 3 and NUMBER.fullmatch(fields[0]) and 0 <= float(fields[0]) <= LARGEST_BEAT
        if not plain or not 1 <= numerator <= 64 or denominator not in (1, 2, 4, 8, 16, 32, 64):
            raise DataError(
                f"{place}: TIMESIGNATURES has {entry[:40]!r}, expected beat=numerator=denominator, from "
                f"1 to 64 over a power of 2; correct it"
            )
        found[Fraction(Beat.from_str(fields[0]))] = (numerator, denominator)
    if not found or min(found) > 0:
        found[Fraction(0)] = (4, 4)
    return tuple((beat, *found[beat]) for beat in sorted(found))


def seconds_at(chart: Chart, beat: Fraction) -> float:
    """When a beat is hit: after a delay on it, before a stop on it; seconds into the audio file."""
    return float(chart.engine.time_at(Beat(beat)))


def hittable(chart: Chart, beat: Fraction) -> bool:
    """Whether an arrow on a beat could be hit: not from a warp's start to its end, but for stops in it."""
    return bool(chart.engine.hittable(Beat(beat)))


def jumped_over(chart: Chart, beat: Fraction) -> bool:
    """Whether a beat lies within a warp, its start and end excluded."""
    return not hittable(chart, beat) and not hittable(chart, beat - Beat.tick())
