"""A StepMania song, .sm or .ssc: its charts and their timing.

The library ``msdparser`` reads the syntax, ``simfile`` computes the timing. What StepMania ignores in a file
is ignored here too, and noted. A chart that cannot be used does not affect the others.
"""

from __future__ import annotations

import re
import warnings
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from msdparser import parse_msd

from motion_data.errors import DataError
from motion_data.files import read_bytes
from motionbeat_upstream.file_name import printable

with warnings.catch_warnings():
    # simfile's file system library tells every importer that pkg_resources will go.
    warnings.simplefilter("ignore")
    from simfile.ssc import SSCSimfile
    from simfile.timing import Beat, BeatValue, BeatValues, TimingData
    from simfile.timing.engine import TimingEngine

ENCODINGS = ("utf-8-sig", "cp1252", "cp932", "cp949", "latin-1")
"""Tried in turn, as StepMania does; the last one fits any bytes."""

JAPANESE = re.compile("[\u3040-\u30fa]|(?<![A-Za-z\u4e00-\u9fff])[\u4e00-\u9fff]+(?![A-Za-z\u4e00-\u9fff])")
"""Kana, or ideographs that are not part of a Latin word."""

HALF_WIDTH = re.compile("[\uff61-\uff9f]")
"""What accented letters become when Windows' Latin is taken for Shift-JIS."""

TAP, HOLD, ROLL, TAIL = "1243"
"""Notes that a foot comes down for, and the end of a hold or roll. A roll counts as one step."""

OTHER_NOTES = "0AFKLM"
"""No note, attack, fake, key sound, lift and mine: no foot comes down for them."""

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

NOTE = re.compile(r"(.)(?:\[[^\]]*\]?)?")
"""A note, with the number of a key sound or without."""

SM_CHART = ("STEPSTYPE", "DESCRIPTION", "DIFFICULTY", "METER", "RADARVALUES", "NOTES")
"""Fields of a chart in an .sm file, in their order."""

Fields = dict[str, str]
"""Values of a song or chart by the upper-case name of the field."""


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
    ignored: tuple[str, ...]
    """What was ignored in the chart and its timing, a sentence each."""


@dataclass(frozen=True)
class FaultyChart:
    """A chart that cannot be used."""

    steps_type: str
    difficulty: str
    fault: DataError


@dataclass(frozen=True)
class Song:
    """What one .sm or .ssc file holds."""

    title: str
    artist: str
    charts: tuple[Chart, ...]
    faulty: tuple[FaultyChart, ...]
    passed_over: tuple[str, ...]
    """Types of its other charts."""
    encoding: str
    """Of the file's text."""


def read_song(path: str | Path, steps_types: Mapping[str, int]) -> Song:
    """Read a file with the charts of some types.

    Timing follows StepMania: a chart of an .ssc from version 0.7 on that has any timing of its own uses its
    own alone, with the song's OFFSET where it gives none; the first tempo is put on beat 0; of two
    events on one beat the later in the file counts; events before beat 0 are ignored.

    Args:
        path: the file.
        steps_types: the types of chart to read and the columns each has; others are passed over.

    Raises:
        DataError: no such file, not such a file, or no chart of these types, good or faulty.
    """
    path = Path(path)
    data = read_bytes(path)
    if data.startswith((b"\xff\xfe", b"\xfe\xff", b"#\0", b"\0#")):
        raise DataError(f"{path}: is UTF-16, which StepMania does not read; save it as UTF-8")
    text, encoding = _decode(data)
    is_ssc = path.suffix.lower() == ".ssc"
    try:
        song, all_charts = _parse(text, is_ssc)
    except AssertionError as error:  # of the library, for a backslash at the end
        raise DataError(f"{path}: not a StepMania file ({error}); save it again") from error
    charts: list[Chart] = []
    faulty: list[FaultyChart] = []
    others: list[str] = []
    for fields in all_charts:
        steps_type, difficulty = (_line(fields.get(name)) for name in ("STEPSTYPE", "DIFFICULTY"))
        if steps_type not in steps_types:
            others.append(steps_type or "untyped")
            continue
        place = f"{path}: chart {steps_type} {difficulty}"
        try:
            charts.append(_chart(place, song, fields, is_ssc, steps_types[steps_type]))
        except DataError as error:
            faulty.append(FaultyChart(steps_type, difficulty, error))
    if not charts and not faulty:
        found = ", ".join(sorted({steps_type[:40] for steps_type in others})) or "no chart at all"
        raise DataError(f"{path}: expected a chart of {', '.join(steps_types)}, found {found}; leave it out")
    return Song(
        _line(song.get("TITLE")) or printable(path.stem),
        _line(song.get("ARTIST")),
        tuple(charts),
        tuple(faulty),
        tuple(others),
        encoding,
    )


def _decode(data: bytes) -> tuple[str, str]:
    """The text and its encoding."""
    readings = {}
    for encoding in ENCODINGS:
        try:
            readings[encoding] = data.decode(encoding)
        except UnicodeDecodeError:
            continue
    best = next(iter(readings))
    japanese = readings.get("cp932", "")
    # Windows' Latin fits most bytes. StepMania stops there, and shows accented letters for a Japanese title.
    if best == "cp1252" and JAPANESE.search(japanese) and not HALF_WIDTH.search(japanese):
        best = "cp932"
    return readings[best], best


def _parse(text: str, is_ssc: bool) -> tuple[Fields, list[Fields]]:
    """The fields of the song, and those of each chart."""
    song: Fields = {}
    charts: list[Fields] = []
    for parameter in parse_msd(string=text, ignore_stray_text=True):
        name = parameter.key.upper()
        if name == "NOTEDATA" and is_ssc:
            charts.append({})
        elif name == "NOTES" and not is_ssc:
            charts.append(dict(zip(SM_CHART, parameter.components[1:], strict=False)))
        else:
            (charts[-1] if charts and is_ssc else song)[name] = parameter.value or ""
    return song, charts


def _chart(place: str, song: Fields, fields: Fields, is_ssc: bool, columns: int) -> Chart:
    source = fields if is_ssc and _has_own_timing(song, fields) else song
    ignored: list[str] = []
    timing = _timing(place, source, song, is_ssc, ignored)
    engine = TimingEngine(timing)
    fakes = _events(place, "FAKES", source, is_ssc, ignored)
    notes = fields.get("NOTES", fields.get("NOTES2"))
    if notes is None:
        raise DataError(f"{place}: has no NOTES; leave it out")
    hit = tuple(
        step
        for step in _steps(place, notes, columns, ignored)
        if engine.hittable(Beat(step.beat))
        and not any(fake.beat <= step.beat < fake.beat + Beat(fake.value) for fake in fakes)
    )
    if not hit:
        raise DataError(f"{place}: holds no step; leave it out")
    return Chart(
        _line(fields.get("STEPSTYPE")),
        _line(fields.get("DIFFICULTY")) or "Edit",
        _line(fields.get("CHARTNAME") or fields.get("DESCRIPTION")),
        _line(fields.get("METER")),
        (fields.get("MUSIC") or song.get("MUSIC") or "").strip(),
        columns,
        hit,
        engine,
        _signatures(place, source.get("TIMESIGNATURES") or ""),
        {
            "tempo changes": len(timing.bpms) - 1,
            "stops": len(timing.stops),
            "delays": len(timing.delays),
            "warps": len(timing.warps),
        },
        tuple(ignored),
    )


def _line(text: str | None) -> str:
    return " ".join((text or "").split())


def _has_own_timing(song: Fields, fields: Fields) -> bool:
    version = (song.get("VERSION") or "0").strip()
    splits = float(version) >= SPLIT_TIMING if NUMBER.fullmatch(version) else True
    return splits and any(fields.get(name, "").strip() for name in TIMING_FIELDS)


def _timing(place: str, source: Fields, song: Fields, is_ssc: bool, ignored: list[str]) -> TimingData:
    offset = source.get("OFFSET", "").strip() or song.get("OFFSET", "").strip() or "0"
    if not NUMBER.fullmatch(offset) or abs(float(offset)) > LARGEST_SECONDS:
        raise DataError(
            f"{place}: OFFSET is {offset[:20]!r}, expected at most {LARGEST_SECONDS:g} seconds; correct it"
        )
    timing = TimingData(SSCSimfile.blank())
    timing.offset = Decimal(offset)
    timing.bpms, stops, freezes, timing.delays, timing.warps = (
        _events(place, name, source, is_ssc, ignored)
        for name in ("BPMS", "STOPS", "FREEZES", "DELAYS", "WARPS")
    )
    timing.stops = stops or freezes
    if not timing.bpms:
        raise DataError(f"{place}: BPMS holds no tempo, expected one at beat 0; correct it")
    timing.bpms[0] = BeatValue(Beat(0), timing.bpms[0].value)
    return timing


def _events(place: str, name: str, source: Fields, is_ssc: bool, ignored: list[str]) -> BeatValues:
    """A list of beat=value, sorted, one for a beat, none before beat 0 and none of no effect."""
    found: dict[Beat, Decimal] = {}
    for entry in filter(None, map(_line, source.get(name, "").split(","))):
        beat, _, value = (part.strip() for part in entry.partition("="))
        # Only plain numbers: of 1e999999999 the fraction alone would fill the memory.
        if not NUMBER.fullmatch(beat) or not NUMBER.fullmatch(value) or abs(float(beat)) > LARGEST_BEAT:
            raise DataError(
                f"{place}: {name} has {entry[:40]!r}, expected beat=value, two numbers, the beat at most "
                f"{LARGEST_BEAT}; correct it"
            )
        number, (least, most) = float(value), LIMITS[name]
        if (number == 0 and name == "BPMS") or (number < 0 and is_ssc):
            ignored.append(f"{name} at beat {float(beat):g} is {value}: ignored, as in StepMania")
            continue
        if not least <= number <= most:
            raise DataError(
                f"{place}: {name} at beat {float(beat):g} is {value}, expected {least:g} to {most:g}; "
                f"negative and huge values are old tricks to jump over beats: save the file as .ssc, which "
                f"writes them as WARPS, or leave it out"
            )
        if float(beat) >= 0:
            found[Beat.from_str(beat)] = Decimal(value)
    return BeatValues(BeatValue(beat, found[beat]) for beat in sorted(found) if found[beat] > 0)


def _steps(place: str, text: str, columns: int, ignored: list[str]) -> list[Step]:
    """The steps by beat and column, as StepMania reads the rows of a chart.

    It ignores notes beyond the last column, letters that it does not know, and a hold whose end is missing or
    stands behind another note; a row that is too short has no notes in its last columns.

    Raises:
        DataError: most rows are of another number of columns.
    """
    measures_of: dict[str, list[int]] = defaultdict(list)
    rows_in_all = faulty_rows = 0
    steps: dict[tuple[Fraction, int], Step] = {}
    open_holds: dict[int, tuple[Fraction, int]] = {}

    def leave_open_hold(column: int) -> None:
        """Ignore the hold of a column, whose end was not reached."""
        if column in open_holds:
            head = open_holds.pop(column)
            del steps[head]
            measures_of["hold without an end, ignored"].append(int(head[0] // 4) + 1)

    # An & begins the second player's rows in charts for two; no type of chart that is read has one.
    for number, measure in enumerate(text.split(","), 1):
        rows = [row for line in measure.splitlines() if (row := line.strip())]
        rows_in_all += len(rows)
        for index, row in enumerate(rows):
            notes = NOTE.findall(row)
            beat = 4 * (number - 1 + Fraction(index, len(rows)))
            if len(notes) != columns:
                faulty_rows += 1
                kind = (
                    "more than {} notes, the rest ignored" if len(notes) > columns else "fewer than {} notes"
                )
                measures_of[f"row of {kind.format(columns)}"].append(number)
            for column, note in enumerate(notes[:columns]):
                place_of_note = (beat, column)
                if note == TAIL and column in open_holds:
                    head = open_holds.pop(column)
                    steps[head] = Step(*head, beat)
                elif note in (TAP, HOLD, ROLL):
                    leave_open_hold(column)
                    steps[place_of_note] = Step(beat, column, beat)
                    if note != TAP:
                        open_holds[column] = place_of_note
                elif note in "LM":
                    leave_open_hold(column)
                elif note not in OTHER_NOTES + TAIL:
                    measures_of[f"unknown note {note!r}, ignored"].append(number)
    if 2 * faulty_rows > rows_in_all:
        raise DataError(
            f"{place}: {faulty_rows} of {rows_in_all} rows have more or fewer than {columns} notes; check "
            f"STEPSTYPE, or leave it out"
        )
    for column in list(open_holds):
        leave_open_hold(column)
    ignored += [
        f"{len(measures)} x {kind}; the first in measure {min(measures)}"
        for kind, measures in measures_of.items()
    ]
    return list(steps.values())


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
