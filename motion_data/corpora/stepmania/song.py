"""A StepMania song, .sm or .ssc, read by the library ``simfile`` and checked: its charts and their timing."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
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
    from simfile.timing._private.timingsource import timing_source
    from simfile.timing.engine import TimingEngine
    from simfile.types import Chart as SimfileChart
    from simfile.types import Simfile

ENCODINGS = ("utf-8-sig", "cp1252", "cp932", "cp949", "latin-1")
"""Tried in turn, as StepMania does; the last one fits any bytes."""

STEPS = {NoteType.TAP: "tap", NoteType.HOLD_HEAD: "hold", NoteType.ROLL_HEAD: "hold"}
"""Notes that a foot comes down for; a roll, which asks for more, counts once. Mines, lifts, fakes and
key sounds are none."""

LARGEST_BPM = 10_000.0
"""Beyond it, a tempo is a trick to jump over beats, which files since version 0.7 write as WARPS."""


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
        _chart(path, simfile, chart, steps_types[chart.stepstype.strip()])
        for chart in simfile.charts
        if (chart.stepstype or "").strip() in steps_types
    )
    if not charts:
        found = ", ".join(sorted({str(chart.stepstype) for chart in simfile.charts})) or "no chart at all"
        raise DataError(f"{path}: expected a chart of {', '.join(steps_types)}, found {found}; leave it out")
    others = [(chart.stepstype or "").strip() for chart in simfile.charts]
    return Song(
        (simfile.title or path.stem).strip(),
        (simfile.artist or "").strip(),
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
    place = f"{path}: chart {(chart.stepstype or '').strip()} {(chart.difficulty or '').strip()}"
    try:
        timing = TimingData(simfile, chart)
    except (ValueError, InvalidOperation) as error:
        raise DataError(
            f"{place}: timing that is no list of beat=value ({error}); open and save it in StepMania"
        ) from error
    own = timing_source(simfile, chart) is chart
    if own and not str(chart.get("OFFSET") or "").strip():
        timing.offset = _number(place, "OFFSET", str(simfile.get("OFFSET") or 0))
    _check_timing(place, timing)
    source = chart if own else simfile
    engine = TimingEngine(timing)
    steps = _steps(place, str(chart.notes or ""), columns)
    fakes = _values(place, "FAKES", str(source.get("FAKES") or ""))
    hit = tuple(
        step
        for step in steps
        if engine.hittable(Beat(step.beat))
        and not any(fake.beat <= step.beat < fake.beat + Beat(fake.value) for fake in fakes)
    )
    if not hit:
        raise DataError(f"{place}: holds no step; leave it out")
    return Chart(
        (chart.stepstype or "").strip(),
        (chart.difficulty or "").strip() or "Edit",
        (chart.get("CHARTNAME") or chart.description or "").strip(),
        (chart.meter or "").strip(),
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


def _number(place: str, field: str, text: str) -> Decimal:
    try:
        return Decimal(text.strip())
    except InvalidOperation as error:
        raise DataError(f"{place}: {field} is {text!r}, expected a number; correct it") from error


def _values(place: str, field: str, text: str) -> BeatValues:
    try:
        return BeatValues.from_str(text)
    except (ValueError, InvalidOperation) as error:
        raise DataError(f"{place}: {field} is no list of beat=value ({error}); correct it") from error


def _check_timing(place: str, timing: TimingData) -> None:
    if not timing.offset.is_finite():
        raise DataError(f"{place}: OFFSET is {timing.offset}, expected seconds; correct it")
    for name, values, least in (
        ("BPMS", timing.bpms, "above 0"),
        ("STOPS", timing.stops, "at least 0"),
        ("DELAYS", timing.delays, "at least 0"),
        ("WARPS", timing.warps, "at least 0"),
    ):
        for event in values:
            bad = not event.value.is_finite() or event.value < 0 or (least == "above 0" and event.value == 0)
            if bad or (name == "BPMS" and event.value > LARGEST_BPM):
                raise DataError(
                    f"{place}: {name} at beat {float(event.beat):g} is {event.value}, "
                    f"expected a number {least}"
                    + (f" and at most {LARGEST_BPM:g}" if name == "BPMS" else "")
                    + "; negative and huge values are old tricks to jump over beats: "
                    "save the file as .ssc, which writes them as WARPS, or leave it out"
                )
        last = {event.beat: event for event in values if event.beat >= 0 and event.value > 0}
        values[:] = sorted(last.values(), key=lambda event: event.beat)
    if not timing.bpms:
        raise DataError(f"{place}: BPMS is empty, expected a tempo at beat 0; correct it")
    timing.bpms[0] = BeatValue(Beat(0), timing.bpms[0].value)


def _steps(place: str, notes: str, columns: int) -> tuple[Step, ...]:
    """Rows are checked first: the library would place the arrows of a row that is too long beside the pad."""
    # An & begins the second player's rows in charts for two; no type of chart that is read has one.
    for number, measure in enumerate(notes.split(",")):
        for row in measure.split():
            plain = _without_key_sounds(row)
            if len(plain) != columns or set(plain) - set("01234AFKLM"):
                raise DataError(
                    f"{place}: measure {number + 1} has the row {row[:20]!r}, expected {columns} of "
                    f"0, 1, 2, 3, 4, A, F, K, L or M; correct it"
                )
    if not notes.split():
        raise DataError(f"{place}: holds no rows; leave it out")
    # One row a line, without blank lines, which the library would count as rows.
    tidy = "\n,\n".join("\n".join(measure.split()) for measure in notes.split(","))
    open_holds: dict[int, int] = {}
    steps: list[Step] = []
    for note in NoteData(tidy) if set(tidy) - set("0\n,") else ():
        if note.note_type in STEPS:
            if STEPS[note.note_type] == "hold":
                open_holds[note.column] = len(steps)
            steps.append(Step(Fraction(note.beat), note.column, Fraction(note.beat)))
        elif note.note_type is NoteType.TAIL and note.column in open_holds:
            # A hold whose tail is missing stays a tap, as in StepMania.
            head = open_holds.pop(note.column)
            steps[head] = Step(steps[head].beat, note.column, Fraction(note.beat))
    return tuple(steps)


def _without_key_sounds(row: str) -> str:
    """A row without the [numbers] of key sounds."""
    plain, inside = "", False
    for character in row:
        inside = character == "[" or (inside and character != "]")
        if not inside and character != "]":
            plain += character
    return plain


def _signatures(place: str, text: str) -> tuple[tuple[Fraction, int, int], ...]:
    found: dict[Fraction, tuple[int, int]] = {}
    for entry in filter(None, (entry.strip() for entry in text.split(","))):
        fields = entry.split("=")
        try:
            beat, numerator, denominator = Fraction(Beat(fields[0])), int(fields[1]), int(fields[2])
        except (ValueError, IndexError) as error:
            raise DataError(
                f"{place}: TIMESIGNATURES has {entry!r}, expected beat=4=4; correct it"
            ) from error
        if beat < 0 or not 1 <= numerator <= 64 or denominator not in (1, 2, 4, 8, 16, 32, 64):
            raise DataError(
                f"{place}: TIMESIGNATURES has {entry!r}, expected a numerator from 1 to 64 over a power of 2"
            )
        found[beat] = (numerator, denominator)
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
