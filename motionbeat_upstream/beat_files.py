"""Writers of beat files, one for each format.

Times are written to 1 ms or finer. Bars are counted from 1 at the first downbeat; beats before it are in bar
0, and silences without beats count as the bars that fit into them.
"""

from __future__ import annotations

import csv
import io
import json
import re
import struct
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from motionbeat_upstream.atomic_write import atomic_path, write_text
from motionbeat_upstream.errors import AudioError, ConfigError
from motionbeat_upstream.file_name import printable
from motionbeat_upstream.tracking.grid import FALLBACK_BPM, FALLBACK_METRE, Grid, fill_gaps
from motionbeat_upstream.version import __version__

if TYPE_CHECKING:
    from motionbeat_upstream.api import BeatEstimate

JAMS_VERSION = "0.3.5"
"""Version of the JAMS schema."""

TICKS_PER_BEAT = 480
"""Ticks of a .mid file per beat, which is a quarter note."""

MAX_QUARTER_MICROSECONDS = 0xFFFFFF
"""Longest quarter note of a MIDI tempo."""


def save_beats(estimate: BeatEstimate, path: str | Path) -> None:
    """Write beats in the format of the suffix, atomically.

    Raises:
        ConfigError: the suffix is unknown, or it is .xml and the beats are those of samples.
        AudioError: the suffix is .mid and two beats are more than 16.7 s apart.
        OSError: the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITERS:
        raise ConfigError(f"{path}: unknown format; expected a name that ends in {', '.join(WRITERS)}")
    content = format_beats(estimate, path.suffix.lower())
    if isinstance(content, str):
        write_text(path, content)
    else:
        with atomic_path(path) as draft:
            draft.write_bytes(content)


def format_beats(estimate: BeatEstimate, suffix: str) -> str | bytes:
    """Return the content of a file: bytes for .mid, text for other formats.

    Raises:
        ConfigError, AudioError: as in :func:`save_beats`.
    """
    return WRITERS[suffix](estimate)


def _beats(estimate: BeatEstimate) -> str:
    lines = zip(estimate.times, estimate.positions, strict=True)
    return "".join(f"{time:.3f}\t{position}\n" for time, position in lines)


def _csv(estimate: BeatEstimate) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("time", "position", "bar"))
    columns = estimate.times, estimate.positions, _bars(estimate)
    writer.writerows((f"{time:.6f}", position, bar) for time, position, bar in zip(*columns, strict=True))
    return text.getvalue()


def _json(estimate: BeatEstimate) -> str:
    content = {
        "file": None if estimate.file is None else str(estimate.file),
        "duration": estimate.duration,
        "rate": estimate.rate,
        "bpm": estimate.bpm,
        "metre": estimate.metre,
        "confidence": estimate.confidence,
        "downbeat_confidence": estimate.downbeat_confidence,
        "times": estimate.times.tolist(),
        "positions": estimate.positions.tolist(),
        "bars": _bars(estimate).tolist(),
    }
    return json.dumps(content) + "\n"


def _jams(estimate: BeatEstimate) -> str:
    def annotation(namespace: str, data: list[dict[str, Any]]) -> dict[str, Any]:
        metadata = {
            "curator": {"name": "", "email": ""},
            "annotator": {},
            "version": __version__,
            "corpus": "",
            "annotation_tools": f"MotionBeat {__version__}",
            "annotation_rules": "",
            "validation": "",
            "data_source": "program",
        }
        return {
            "annotation_metadata": metadata,
            "namespace": namespace,
            "data": data,
            "sandbox": {},
            "time": 0,
            "duration": estimate.duration,
        }

    columns = estimate.times.tolist(), estimate.positions.tolist(), _bars(estimate).tolist()
    rows = list(zip(*columns, strict=True))
    beats = [
        {"time": time, "duration": 0.0, "value": position, "confidence": estimate.confidence}
        for time, position, _ in rows
    ]
    positions = [
        {
            "time": time,
            "duration": 0.0,
            "value": {"position": position, "measure": bar, "num_beats": _metre(estimate), "beat_units": 4},
            "confidence": estimate.downbeat_confidence,
        }
        for time, position, bar in rows
    ]
    tempo = [
        {
            "time": 0.0,
            "duration": estimate.duration,
            "value": estimate.bpm,
            "confidence": estimate.confidence,
        }
    ]
    content = {
        "annotations": [
            annotation("beat", beats),
            annotation("beat_position", positions),
            annotation("tempo", tempo if estimate.bpm is not None else []),
        ],
        "file_metadata": {
            "title": _name(estimate),
            "artist": "",
            "release": "",
            "duration": estimate.duration,
            "identifiers": {},
            "jams_version": JAMS_VERSION,
        },
        "sandbox": {},
    }
    return json.dumps(content) + "\n"


def _audacity(estimate: BeatEstimate) -> str:
    lines = zip(estimate.times, _labels(estimate), strict=True)
    return "".join(f"{time:.6f}\t{time:.6f}\t{label}\n" for time, label in lines)


def _sonic_visualiser(estimate: BeatEstimate) -> str:
    root = ET.Element("sv")
    data = ET.SubElement(root, "data")
    # Sonic Visualiser uses the rate of the recording, whatever is written here.
    frames = np.round(estimate.times * estimate.rate).astype(np.int64)
    model = {
        "id": "0",
        "name": "MotionBeat",
        "sampleRate": f"{estimate.rate:.10g}",
        "type": "sparse",
        "dimensions": "1",
        "resolution": "1",
        "notifyOnAdd": "true",
        "dataset": "1",
    }
    ET.SubElement(data, "model", model)
    dataset = ET.SubElement(data, "dataset", {"id": "1", "dimensions": "1"})
    for frame, label in zip(frames, _labels(estimate), strict=True):
        ET.SubElement(dataset, "point", {"frame": str(frame), "label": label})
    layer = {
        "id": "2",
        "type": "timeinstants",
        "name": "MotionBeat",
        "model": "0",
        "plotStyle": "0",
        "colourName": "Purple",
        "colour": "#c832ff",
        "darkBackground": "false",
    }
    ET.SubElement(ET.SubElement(root, "display"), "layer", layer)
    return _xml(root, "<!DOCTYPE sonic-visualiser>\n")


def _midi(estimate: BeatEstimate) -> bytes:
    """A tempo map: a quarter note per beat, and a time signature wherever the length of bars changes.

    MIDI files begin at time 0, so beats are added before the first one; the first bar is shorter if they are
    not whole bars.
    """
    events: list[tuple[int, bytes]] = []
    quarters: list[int] = []
    if len(estimate.times):
        grid = _filled_grid(estimate)
        first = grid.beats[0]
        lead = max(1, round(first * grid.bpm / 60)) if round(1e6 * first) > 0 else 0
        before = np.linspace(0.0, first, lead, endpoint=False)
        end = 2 * grid.beats[-1] - grid.beats[-2]
        # Differences of rounded times, so that rounding errors do not accumulate.
        quarters = np.diff(np.round(1e6 * np.concatenate([before, grid.beats, [end]]))).astype(int).tolist()
        if max(quarters) > MAX_QUARTER_MICROSECONDS:
            raise AudioError(
                f"{estimate.file or 'samples'}: {max(quarters) / 1e6:.1f} s from one beat to the next; MIDI "
                f"allows {MAX_QUARTER_MICROSECONDS / 1e6:.1f} s, use another format"
            )
        starts = lead + np.flatnonzero(_is_bar_start(grid.positions))
        metre = grid.metre
        before_bars = int(starts[0]) if len(starts) else len(quarters)
        upbeat = before_bars % metre
        bars = ([upbeat] if upbeat else []) + [metre] * (before_bars // metre)
        if len(starts):
            # The last bar may be longer than the metre.
            last = max(metre, len(quarters) - int(starts[-1]))
            bars += [*np.diff(starts).tolist(), last]
        tick = 0
        for length, previous in zip(bars, [0, *bars], strict=False):
            if length != previous:
                # A quarter is 24 MIDI clocks and 8 notated 32nds.
                events.append((tick, _meta(0x58, bytes([length, 2, 24, 8]))))
            tick += length * TICKS_PER_BEAT
    for number, (quarter, previous) in enumerate(zip(quarters, [0, *quarters], strict=False)):
        if quarter != previous:
            events.append((number * TICKS_PER_BEAT, _meta(0x51, quarter.to_bytes(3, "big"))))
    events = [event for event in events if event[0] < len(quarters) * TICKS_PER_BEAT]
    events.append((len(quarters) * TICKS_PER_BEAT, _meta(0x2F, b"")))
    track, now = b"", 0
    for tick, event in sorted(events, key=lambda event: event[0]):
        track += _variable_length(tick - now) + event
        now = tick
    return (
        struct.pack(">4sLHHH", b"MThd", 6, 0, 1, TICKS_PER_BEAT)
        + struct.pack(">4sL", b"MTrk", len(track))
        + track
    )


def _rekordbox(estimate: BeatEstimate) -> str:
    if estimate.file is None:
        raise ConfigError(
            "rekordbox identifies a recording by its file, and these are beats of samples; estimate those of "
            "the file, or use another format"
        )
    root = ET.Element("DJ_PLAYLISTS", {"Version": "1.0.0"})
    ET.SubElement(root, "PRODUCT", {"Name": "MotionBeat", "Version": __version__, "Company": ""})
    collection = ET.SubElement(root, "COLLECTION", {"Entries": "1"})
    track = {
        "TrackID": "1",
        "Name": _name(estimate),
        "TotalTime": str(round(estimate.duration)),
        "AverageBpm": f"{estimate.bpm or 0.0:.2f}",
        "SampleRate": f"{estimate.rate:.0f}",
        "Location": estimate.file.absolute().as_uri().replace("file://", "file://localhost", 1),
    }
    song = ET.SubElement(collection, "TRACK", track)
    if len(estimate.times):
        grid = _filled_grid(estimate)
        steps = np.diff(grid.beats)
        tempi = 60.0 / np.append(steps, steps[-1])[np.searchsorted(grid.beats, estimate.times)]
        for time, position, bpm in zip(estimate.times, estimate.positions, tempi, strict=True):
            tempo = {
                "Inizio": f"{time:.3f}",
                "Bpm": f"{bpm:.2f}",
                "Metro": f"{grid.metre}/4",
                "Battito": str(position),
            }
            ET.SubElement(song, "TEMPO", tempo)
    for downbeat in estimate.downbeats[:1]:
        # A memory cue; rekordbox keeps only a few of a song.
        cue = {"Name": "", "Type": "0", "Start": f"{downbeat:.3f}", "Num": "-1"}
        ET.SubElement(song, "POSITION_MARK", cue)
    playlists = ET.SubElement(root, "PLAYLISTS")
    ET.SubElement(playlists, "NODE", {"Type": "0", "Name": "ROOT", "Count": "0"})
    return _xml(root)


WRITERS: dict[str, Callable[[BeatEstimate], str | bytes]] = {
    ".beats": _beats,
    ".txt": _beats,
    ".csv": _csv,
    ".json": _json,
    ".jams": _jams,
    ".lab": _audacity,
    ".svl": _sonic_visualiser,
    ".mid": _midi,
    ".xml": _rekordbox,
}
"""Writers by suffix."""


def _metre(estimate: BeatEstimate) -> int:
    return estimate.metre or FALLBACK_METRE


def _filled_grid(estimate: BeatEstimate) -> Grid:
    """The grid with beats in silences; a second beat is added to a single one."""
    times, positions, metre = estimate.times, estimate.positions, _metre(estimate)
    if len(times) == 1:
        times = np.append(times, times + 60.0 / (estimate.bpm or FALLBACK_BPM))
        positions = np.append(positions, positions % metre + 1)
    return fill_gaps(Grid(times, positions, metre))


def _is_bar_start(positions: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(N,) true for beats at the start of a bar; for the first one only if it is a downbeat."""
    return np.concatenate([positions[:1] == 1, np.diff(positions) <= 0])


def _bars(estimate: BeatEstimate) -> NDArray[np.int64]:
    """(N,) bar number of each beat, see the docstring of the module."""
    if not len(estimate.times):
        return np.zeros(0, np.int64)
    grid = _filled_grid(estimate)
    numbers: NDArray[np.int64] = np.cumsum(_is_bar_start(grid.positions))
    return numbers[np.searchsorted(grid.beats, estimate.times)]


def _labels(estimate: BeatEstimate) -> list[str]:
    """Bar and position, such as 12.3."""
    return [f"{bar}.{position}" for bar, position in zip(_bars(estimate), estimate.positions, strict=True)]


def _name(estimate: BeatEstimate) -> str:
    return "" if estimate.file is None else printable(estimate.file.name)


def _xml(root: ET.Element, doctype: str = "") -> str:
    for element in root.iter():
        for key, value in element.items():
            # File names may contain control characters, which XML does not allow.
            element.set(key, re.sub(r"[\x00-\x1f\x7f\ufffe\uffff]", "?", value))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{doctype}{ET.tostring(root, encoding="unicode")}\n'


def _meta(kind: int, data: bytes) -> bytes:
    return bytes([0xFF, kind, len(data)]) + data


def _variable_length(number: int) -> bytes:
    """Encode an integer in groups of 7 bits; the high bit marks all groups but the last."""
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(number & 0x7F | 0x80)
    return bytes(reversed(groups))
