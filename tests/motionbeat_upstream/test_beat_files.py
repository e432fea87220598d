"""Beat files, read with the libraries of their formats."""

from __future__ import annotations

import json
import os
import warnings
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import jams
import mido
import mir_eval
import numpy as np
import pandas
import pretty_midi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data.beats_file import read_beats
from motionbeat_upstream.api import BeatEstimate
from motionbeat_upstream.beat_files import WRITERS
from motionbeat_upstream.errors import AudioError, ConfigError

NAMES = ("song.mp3", "a b&c<d>'\"#%é.flac", "new\nline\x01.wav", os.fsdecode(b"latin\xe9.wav"))


@st.composite
def estimates(draw: st.DrawFn, fewest: int = 0) -> BeatEstimate:
    """Beats of a varying tempo, with an upbeat, some incomplete bars and at most one silence."""
    metre = draw(st.integers(2, 7))
    count = draw(st.integers(fewest, 40))
    draws = np.random.default_rng(draw(st.integers(0, 10_000)))
    period = draws.uniform(0.28, 1.2)
    steps = period * draws.uniform(0.9, 1.1, count)
    steps[:1] = draw(st.sampled_from([0.0, 1e-7, 0.004, 0.3, 7.0]))
    bars = [
        np.arange(1, 1 + (metre if draws.random() < 0.9 else draws.integers(1, metre + 2))) for _ in range(41)
    ]
    first = draw(st.integers(0, metre - 1))
    positions = np.concatenate([np.arange(1, metre + 1)[first:], *bars])[:count]
    if count > 6 and draw(st.booleans()):
        steps[count // 2] = draw(st.floats(9.0, 90.0)) * period
        positions[count // 2 :] = np.arange(draws.integers(metre), 99)[: count - count // 2] % metre + 1
    times = np.cumsum(steps)
    confidence, downbeat_confidence = draws.random(2).tolist()
    return BeatEstimate(
        times,
        positions,
        60 / period if count else None,
        metre if count else None,
        confidence,
        downbeat_confidence,
        duration=float(times[-1] if count else 3) + 1.0,
        rate=draw(st.sampled_from([8_000.0, 22_050.0, 44_100.0, 96_000.0])),
        file=Path("music") / draw(st.sampled_from(NAMES)),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("beats")


def save(estimate: BeatEstimate, path: Path) -> Path:
    estimate.save(path)
    return path


def bars_of(estimate: BeatEstimate) -> NDArray[np.int64]:
    """Bar numbers by a loop; those after a silence follow from the period and the position."""
    bars: list[int] = []
    period = np.median(np.diff(estimate.times)) if len(estimate.times) > 1 else 1.0
    for index, position in enumerate(estimate.positions.tolist()):
        if not bars:
            bars.append(int(position == 1))
            continue
        step = estimate.times[index] - estimate.times[index - 1]
        previous = int(estimate.positions[index - 1])
        if step > 8 * period:
            assert estimate.metre is not None
            # The beats in the silence: as many as end at this position, and about as far apart as others.
            fitting = [
                beats
                for beats in range(1, 400)
                if (previous - 1 + beats - position + 1) % estimate.metre == 0
            ]
            beats = min(fitting, key=lambda beats: abs(beats - round(step / period)))
            bars.append(bars[-1] + (min(previous, estimate.metre) - 1 + beats) // estimate.metre)
        else:
            bars.append(bars[-1] + (position <= previous))
    return np.array(bars, np.int64)


@settings(max_examples=40, deadline=None)
@given(estimates(fewest=2))
def test_beats_and_txt(folder: Path, estimate: BeatEstimate) -> None:
    for suffix in (".beats", ".txt"):
        path = save(estimate, folder / f"a{suffix}")
        times, labels = mir_eval.io.load_labeled_events(str(path))
        np.testing.assert_allclose(times, estimate.times, atol=0.000_501)
        assert [int(label) for label in labels] == estimate.positions.tolist()
        np.testing.assert_array_equal(read_beats(path).times, times)


@settings(max_examples=40, deadline=None)
@given(estimates())
def test_csv(folder: Path, estimate: BeatEstimate) -> None:
    path = save(estimate, folder / "a.csv")
    # The line of names is a comment to mir_eval, and the names of columns to pandas.
    times, positions, bars = mir_eval.io.load_delimited(str(path), [float, int, int], ",", comment="time")
    np.testing.assert_allclose(times, estimate.times, atol=6e-7)
    assert positions == estimate.positions.tolist()
    table = pandas.read_csv(path)
    assert list(table) == ["time", "position", "bar"]
    assert table["bar"].tolist() == bars
    if (estimate.positions <= (estimate.metre or 0)).all():
        assert bars == bars_of(estimate).tolist()


@settings(max_examples=40, deadline=None)
@given(estimates())
def test_json(folder: Path, estimate: BeatEstimate) -> None:
    content = json.loads(save(estimate, folder / "a.json").read_text())
    bars = content.pop("bars")
    assert len(bars) == len(estimate.times)
    arrays = {name: np.array(content.pop(name)) for name in ("times", "positions")}
    file = Path(content.pop("file"))
    assert replace(estimate, **content, file=file) == estimate
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, getattr(estimate, name))
    assert json.loads(save(replace(estimate, file=None), folder / "a.json").read_text())["file"] is None


@settings(max_examples=40, deadline=None)
@given(estimates())
def test_jams(folder: Path, estimate: BeatEstimate) -> None:
    content = jams.load(str(save(estimate, folder / "a.jams")), validate=True, strict=True)
    assert content.file_metadata.duration == estimate.duration
    (beats,), (places,), (tempo,) = (
        content.search(namespace=f"^{name}$") for name in ("beat", "beat_position", "tempo")
    )
    times, positions = beats.to_event_values()
    np.testing.assert_array_equal(times, estimate.times)
    assert positions == estimate.positions.tolist()
    times, values = places.to_event_values()
    np.testing.assert_array_equal(times, estimate.times)
    assert [value["position"] for value in values] == estimate.positions.tolist()
    assert all(value["num_beats"] == estimate.metre for value in values)
    assert [value["measure"] for value in values] == _bars_of_csv(estimate, folder)
    assert [entry.value for entry in tempo.data] == [estimate.bpm] * (estimate.bpm is not None)


def _bars_of_csv(estimate: BeatEstimate, folder: Path) -> list[int]:
    return list(pandas.read_csv(save(estimate, folder / "bars.csv"))["bar"])


@settings(max_examples=40, deadline=None)
@given(estimates(fewest=1))
def test_labels_of_audacity(folder: Path, estimate: BeatEstimate) -> None:
    path = save(estimate, folder / "a.lab")
    with warnings.catch_warnings():
        # Its intervals have a length; a label of Audacity may be a moment.
        warnings.filterwarnings("ignore", "All interval durations must be strictly positive")
        intervals, labels = mir_eval.io.load_labeled_intervals(str(path))
    np.testing.assert_allclose(intervals, np.stack([estimate.times] * 2, 1), atol=6e-7)
    assert [label.split(".") for label in labels] == [
        [str(bar), str(position)]
        for bar, position in zip(_bars_of_csv(estimate, folder), estimate.positions, strict=True)
    ]
    assert all(line.count("\t") == 2 for line in path.read_text().splitlines())


@settings(max_examples=40, deadline=None)
@given(estimates())
def test_layer_of_sonic_visualiser(folder: Path, estimate: BeatEstimate) -> None:
    path = save(estimate, folder / "a.svl")
    root = ET.parse(path).getroot()
    model, dataset, layer = (root.find(name) for name in ("data/model", "data/dataset", "display/layer"))
    assert model is not None
    assert dataset is not None
    assert layer is not None
    # What svapp's SVFileReader demands of a layer of time instants, and how it ties its parts together.
    assert root.tag == "sv"
    assert layer.attrib["type"] == "timeinstants"
    assert (model.attrib["type"], model.attrib["dimensions"], dataset.attrib["dimensions"]) == (
        *("sparse", "1", "1"),
    )
    assert int(model.attrib["resolution"]) == 1
    assert (model.attrib["dataset"], layer.attrib["model"]) == (dataset.attrib["id"], model.attrib["id"])
    assert len({part.attrib["id"] for part in (model, dataset, layer)}) == 3
    rate = float(model.attrib["sampleRate"])
    assert rate == estimate.rate
    points = dataset.findall("point")
    frames = np.array([int(point.attrib["frame"]) for point in points])
    np.testing.assert_allclose(frames / rate, estimate.times, atol=0.5 / rate + 1e-9)
    assert [int(point.attrib["label"].split(".")[1]) for point in points] == estimate.positions.tolist()


@settings(max_examples=200, deadline=None)
@given(estimates())
def test_tempo_map(folder: Path, estimate: BeatEstimate) -> None:
    path = save(estimate, folder / "a.mid")
    file = mido.MidiFile(path)
    assert (file.type, len(file.tracks)) == (0, 1)
    tick, signatures = 0, []
    for message in file.tracks[0]:
        tick += message.time
        if message.type == "time_signature":
            assert message.denominator == 4
            assert tick % file.ticks_per_beat == 0
            signatures.append((tick // file.ticks_per_beat, message.numerator))
    quarters = tick // file.ticks_per_beat
    assert file.tracks[0][-1].type == "end_of_track"
    reader = pretty_midi.PrettyMIDI(str(path))
    times = np.array([reader.tick_to_time(number * file.ticks_per_beat) for number in range(quarters + 1)])
    if not len(estimate.times):
        assert quarters == 0
        return
    assert file.length == pytest.approx(times[-1], abs=1e-6)
    # Each beat is a quarter, and a bar begins where there is a downbeat, from the first one on.
    at = np.abs(times[:, None] - estimate.times[None]).argmin(0)
    np.testing.assert_allclose(times[at], estimate.times, atol=2e-6)
    starts = {
        number
        for (begin, length), (end, _) in zip(signatures, [*signatures[1:], (quarters, 0)], strict=True)
        for number in range(begin, end, length)
    }
    first = np.flatnonzero(estimate.positions == 1)[:1]
    if len(first):
        since = at[first[0] :]
        begins = estimate.positions[first[0] :] == 1
        np.testing.assert_array_equal([number in starts for number in since], begins)
    assert signatures[0][0] == 0


@settings(max_examples=40, deadline=None)
@given(estimates())
def test_beat_grid_of_rekordbox(folder: Path, estimate: BeatEstimate) -> None:
    assert estimate.file is not None
    root = ET.parse(save(estimate, folder / "a.xml")).getroot()
    assert (root.tag, root.attrib) == ("DJ_PLAYLISTS", {"Version": "1.0.0"})
    (track,) = root.findall("COLLECTION/TRACK")
    where = urlsplit(track.attrib["Location"])
    assert (where.scheme, where.netloc) == ("file", "localhost")
    assert unquote_to_bytes(where.path) == os.fsencode(estimate.file.absolute())
    assert float(track.attrib["AverageBpm"]) == pytest.approx(estimate.bpm or 0, abs=0.006)
    tempi = track.findall("TEMPO")
    starts = np.array([float(tempo.attrib["Inizio"]) for tempo in tempi])
    np.testing.assert_allclose(starts, estimate.times, atol=0.000_501)
    assert [int(tempo.attrib["Battito"]) for tempo in tempi] == estimate.positions.tolist()
    assert {tempo.attrib["Metro"] for tempo in tempi} <= {f"{estimate.metre}/4"}
    # The grid that goes on from a beat leads to the next one, also across a silence.
    for tempo, step in zip(tempi, np.diff(estimate.times), strict=False):
        periods = step * float(tempo.attrib["Bpm"]) / 60
        assert abs(periods - round(periods)) < 0.03
        assert round(periods) >= 1
    marks = [float(mark.attrib["Start"]) for mark in track.findall("POSITION_MARK")]
    np.testing.assert_allclose(marks, estimate.downbeats[:1], atol=0.000_501)


def test_beats_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    two = BeatEstimate(np.array([0.5, 20.0]), np.array([1, 2]), 3.1, 2, 1.0, 1.0, 21.0, 16_000.0, None)
    (tmp_path / "file").write_text("")
    for name, error, message in (
        ("a.mp4", ConfigError, r"a\.mp4: unknown format; expected a name that ends in \.beats, .*\.xml"),
        ("a", ConfigError, "a: unknown format"),
        ("a.xml", ConfigError, "rekordbox identifies a recording by its file"),
        ("a.mid", AudioError, "samples: 19.5 s from one beat to the next; MIDI allows 16.8 s"),
        ("file/a.csv", OSError, "file"),
    ):
        with pytest.raises(error, match=message):
            two.save(tmp_path / name)
        assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_upper_case_suffixes(tmp_path: Path) -> None:
    estimate = BeatEstimate(np.array([0.5]), np.array([1]), 120.0, 4, 1.0, 1.0, 2.0, 16_000.0, Path("a.wav"))
    for suffix in WRITERS:
        estimate.save(tmp_path / f"a{suffix}")
        estimate.save(str(tmp_path / f"b{suffix.upper()}"))
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix.upper()}").read_bytes() != b""
