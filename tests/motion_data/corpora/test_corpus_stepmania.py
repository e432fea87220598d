"""StepMania charts: their timing against a walk over every row, feet, files good and bad, a real song."""

from __future__ import annotations

import argparse
import csv
import itertools
import os
import shutil
import subprocess
import zlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data.commands.prepare import main as command
from motion_data.corpora import corpus_module
from motion_data.corpora.stepmania.footing import PANELS, foot_steps
from motion_data.corpora.stepmania.grid import beats_of_bar, chart_grid
from motion_data.corpora.stepmania.pairs import mp3_lead, step_pulses
from motion_data.corpora.stepmania.song import Chart, hittable, jumped_over, read_song, seconds_at
from motion_data.errors import DataError
from motion_data.loading import load_pair
from motion_data.manifest import Corpus, read_corpus
from motion_data.preparation import read_splits, split_by_hash
from motionbeat_upstream.tracking.frontend import log_mel, onset_envelope
from tests.conftest import skip_or_fail
from tests.file_names import bytes_in_names
from tests.shared_data import shared

COLUMNS = {"dance-single": 4, "dance-double": 8}
ROWS = "1000\n0100\n0010\n0001\n"


def ssc(
    bpms: str = "0=120",
    notes: str = f"{ROWS},\n{ROWS}",
    chart: str = "",
    steps_type: str = "dance-single",
    difficulty: str = "Hard",
    **fields: str,
) -> str:
    told = {"OFFSET": "0", "STOPS": "", "DELAYS": "", "WARPS": "", "MUSIC": "song.wav", "TITLE": "T"} | fields
    head = "".join(f"#{name}:{value};\n" for name, value in told.items())
    return (
        f"#VERSION:0.83;\n{head}#BPMS:{bpms};\n#NOTEDATA:;\n#STEPSTYPE:{steps_type};\n#DESCRIPTION:;\n"
        f"#DIFFICULTY:{difficulty};\n#METER:5;\n{chart}#NOTES:\n{notes};\n"
    )


def sm(bpms: str = "0=120", notes: str = f"{ROWS},\n{ROWS}", stops: str = "") -> str:
    return (
        f"#TITLE:T;\n#ARTIST:A;\n#MUSIC:song.wav;\n#OFFSET:-0.5;\n#BPMS:{bpms};\n#STOPS:{stops};\n"
        f"#NOTES:\n     dance-single:\n     by:\n     Easy:\n     3:\n     0,0,0,0,0:\n{notes};\n"
    )


def read(folder: Path, text: str | bytes, name: str = "song.ssc") -> Chart:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    found = read_song(path, COLUMNS)
    if found.faulty:
        raise found.faulty[0].fault
    return found.charts[0]


def song(folder: Path, text: str | bytes, name: str = "song.ssc", seconds: float = 8.0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    noise = np.random.default_rng(zlib.crc32(os.fsencode(folder))).uniform(-0.5, 0.5, int(8000 * seconds))
    soundfile.write(folder / "song.wav", noise, 8000)
    return folder


def options(**changes: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    corpus_module("stepmania").add_options(parser)
    return argparse.Namespace(**(vars(parser.parse_args([])) | changes))


def prepare(raw: Path, out: Path, **changes: object) -> Corpus:
    return corpus_module("stepmania").prepare(raw, out, options(**changes))


# --- timing ----------------------------------------------------------------------------------------------

ROW = Fraction(1, 48)
ticks = st.integers(0, 40 * 48).map(lambda n: n * ROW)


@st.composite
def timings(draw: st.DrawFn) -> dict[str, list[tuple[Fraction, float]]]:
    def events(largest: int, values: st.SearchStrategy[float]) -> list[tuple[Fraction, float]]:
        beats = draw(st.lists(ticks, max_size=largest, unique=True))
        return [(beat, round(draw(values), 3)) for beat in sorted(beats)]

    return {
        "BPMS": [(Fraction(0), 120.0), *((b, v) for b, v in events(4, st.floats(30, 400)) if b > 0)],
        "STOPS": events(3, st.floats(0.01, 2)),
        "DELAYS": events(3, st.floats(0.01, 2)),
        "WARPS": events(3, st.integers(1, 96).map(lambda n: float(n * ROW))),
    }


def written(events: Sequence[tuple[Fraction, float]]) -> str:
    return ",".join(f"{float(beat):.6f}={value:.6f}" for beat, value in events)


def walk(
    timing: dict[str, list[tuple[Fraction, float]]], offset: float, rows: int
) -> list[tuple[float, bool]]:
    """Row by row, as a player's clock goes: the second at which each is hit, and whether it can be hit."""
    found = []
    time, bpm = -offset, 120.0
    tables = {name: dict(events) for name, events in timing.items()}
    warped_until = Fraction(-1)
    for row in range(rows):
        beat = row * ROW
        bpm = tables["BPMS"].get(beat, bpm)
        if beat in tables["WARPS"]:
            length = round(tables["WARPS"][beat] * 48) * ROW
            warped_until = max(warped_until, beat + length)
        inside = beat < warped_until
        paused = beat in tables["STOPS"] or beat in tables["DELAYS"]
        time += tables["DELAYS"].get(beat, 0.0)
        found.append((time, not inside or paused))
        time += tables["STOPS"].get(beat, 0.0)
        if not inside:
            time += float(ROW) * 60 / bpm
    return found


class TestTiming:
    @pytest.mark.slow
    @settings(max_examples=25, deadline=None)
    @given(timings(), st.floats(-2, 2).map(lambda x: round(x, 3)))
    def test_seconds_are_those_of_a_walk_over_every_row(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        timing: dict[str, list[tuple[Fraction, float]]],
        offset: float,
    ) -> None:
        folder = tmp_path_factory.mktemp("song")
        last = "\n,\n".join(["0000\n" * 4] * 15 + ["1000\n0000\n0000\n0000"])
        text = ssc(
            written(timing["BPMS"]),
            last,
            OFFSET=str(offset),
            **{k: written(timing[k]) for k in ("STOPS", "DELAYS", "WARPS")},
        )
        chart = read(folder, text)
        expected = walk(timing, offset, 48 * 45)
        for row in range(0, 48 * 45, 17):
            time, hit = expected[row]
            assert seconds_at(chart, row * ROW) == pytest.approx(time, abs=1e-6)
            assert hittable(chart, row * ROW) == hit
        # Back from seconds to beats wherever a beat can be hit.
        for row in range(0, 48 * 45, 24):
            beats = float(chart.engine.beat_at(seconds_at(chart, row * ROW) + 1e-7))
            if expected[row][1] and row * ROW not in dict(timing["STOPS"]):
                assert seconds_at(chart, Fraction(beats)) == pytest.approx(
                    seconds_at(chart, row * ROW), abs=0.05
                )

    def test_a_warp_is_jumped_over_and_its_ends_are_not(self, tmp_path: Path) -> None:
        chart = read(tmp_path, ssc(WARPS="2=2.5", notes=f"{ROWS},\n{ROWS},\n{ROWS}"))
        assert [jumped_over(chart, Fraction(beat)) for beat in range(7)] == [False] * 3 + [
            True,
            True,
            False,
            False,
        ]
        grid = chart_grid(chart, 3.0)
        # Beats 0, 1, 2 at half seconds, then 5 half a beat beyond the warp's end at 4.5.
        np.testing.assert_allclose(grid.beats[:5], [0, 0.5, 1.0, 1.25, 1.75])
        assert grid.positions[:5].tolist() == [1, 2, 3, 2, 3]
        # The arrows on beats 2 to 4 are in the warp.
        assert [step.beat for step in chart.steps] == [0, 1, *range(5, 12)]

    def test_beat_0_stands_at_minus_offset_and_the_first_tempo_on_it(self, tmp_path: Path) -> None:
        chart = read(tmp_path, ssc("4=60,-3=999,2.0=150,2=240", OFFSET="-0.35"))
        times = [seconds_at(chart, Fraction(beat)) for beat in (0, 2, 3, 4, 5)]
        np.testing.assert_allclose(times, [0.35, 0.85, 1.1, 1.35, 2.35])

    def test_a_stop_comes_after_its_beat_and_a_delay_before(self, tmp_path: Path) -> None:
        stopped = read(tmp_path, ssc(STOPS="1=2"))
        delayed = read(tmp_path, ssc(DELAYS="1=2"))
        assert [seconds_at(stopped, Fraction(b)) for b in (1, 2)] == [0.5, 3.0]
        assert [seconds_at(delayed, Fraction(b)) for b in (1, 2)] == [2.5, 3.0]

    def test_a_chart_with_timing_of_its_own_uses_it_alone_with_the_songs_offset(self, tmp_path: Path) -> None:
        own = read(tmp_path, ssc("0=120", OFFSET="-1", STOPS="0=3", chart="#BPMS:0=60;\n"))
        assert [seconds_at(own, Fraction(b)) for b in (0, 1)] == [1.0, 2.0]
        moved = read(tmp_path, ssc("0=120", OFFSET="-1", chart="#BPMS:0=60;\n#OFFSET:-2;\n"))
        assert seconds_at(moved, Fraction(0)) == 2.0
        # Before version 0.7 charts had none.
        old = read(tmp_path, ssc("0=120", OFFSET="-1", chart="#BPMS:0=60;\n").replace("0.83", "0.53"))
        assert seconds_at(old, Fraction(1)) == 1.5

    def test_an_old_file_is_read_too(self, tmp_path: Path) -> None:
        chart = read(tmp_path, sm(stops="1=0.25"), "song.sm")
        np.testing.assert_allclose([seconds_at(chart, Fraction(b)) for b in (0, 1, 2)], [0.5, 1.0, 1.75])
        assert (chart.difficulty, chart.description, chart.meter) == ("Easy", "by", "3")


class TestGrid:
    @pytest.mark.parametrize(
        ("signature", "beats", "length"),
        [
            ((4, 4), 4, 1),
            ((3, 4), 3, 1),
            ((6, 8), 2, Fraction(3, 2)),
            ((12, 8), 4, Fraction(3, 2)),
            ((7, 8), 7, Fraction(1, 2)),
            ((2, 2), 2, 2),
            ((4, 8), 2, 1),
            ((3, 8), 3, Fraction(1, 2)),
            ((8, 16), 2, 1),
        ],
    )
    def test_bars_have_the_beats_that_they_are_counted_in(
        self, signature: tuple[int, int], beats: int, length: Fraction
    ) -> None:
        assert beats_of_bar(*signature) == (beats, length)

    @given(st.integers(1, 16), st.sampled_from([1, 2, 4, 8, 16]))
    def test_a_bar_is_as_long_as_its_signature_says(self, numerator: int, denominator: int) -> None:
        count, length = beats_of_bar(numerator, denominator)
        assert count * length == Fraction(4 * numerator, denominator)

    def test_signatures_change_on_their_beat(self, tmp_path: Path) -> None:
        chart = read(tmp_path, ssc("0=60", TIMESIGNATURES="0=3=4,6=6=8,\n12=4=4"))
        grid = chart_grid(chart, 16.5)
        np.testing.assert_allclose(grid.beats, [0, 1, 2, 3, 4, 5, 6, 7.5, 9, 10.5, 12, 13, 14, 15, 16])
        assert grid.positions.tolist() == [1, 2, 3, 1, 2, 3, 1, 2, 1, 2, 1, 2, 3, 4, 1]

    def test_it_begins_with_the_music_and_ends_with_it(self, tmp_path: Path) -> None:
        grid = chart_grid(read(tmp_path, ssc(OFFSET="0.7")), 2.0, lead=0.05)
        np.testing.assert_allclose(grid.beats, [0.25, 0.75, 1.25, 1.75])
        assert grid.positions.tolist() == [3, 4, 1, 2]

    def test_another_song_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"beats lie within the 2\.00 s"):
            chart_grid(read(tmp_path, ssc(OFFSET="-5")), 2.0)


# --- feet ------------------------------------------------------------------------------------------------

LDUR = "LDUR"


def footed(arrows: str, spacing: float = 0.5) -> str:
    """Feet of a line such as ``L R D+U``: l, r or j for each row."""
    times, columns = [], []
    for index, row in enumerate(arrows.split()):
        for arrow in row.split("+"):
            times.append(index * spacing)
            columns.append(LDUR.index(arrow))
    left, right = foot_steps(times, times, columns, PANELS["dance-single"])
    rows = [index * spacing for index in range(len(arrows.split()))]
    return "".join(
        {(True, False): "l", (False, True): "r", (True, True): "j"}[(t in left, t in right)] for t in rows
    )


def cheapest(rows: list[tuple[float, list[int]]], places: Sequence[float]) -> tuple[float, float]:
    """The least cost of all ways to foot a chart without holds, and the cost of the way that was found."""

    def price(ways: Sequence[tuple[int, int]]) -> float:
        total, stand, last, before = 0.0, [-0.5, 0.5], None, -np.inf
        on: list[int | None] = [None, None]
        for (time, _), way in zip(rows, ways, strict=True):
            moved = [foot for foot in (0, 1) if way[foot] >= 0]
            was, were = list(on), list(stand)
            for foot in moved:
                on[foot], stand[foot] = way[foot], places[way[foot]]
                total += 0.1 * abs(stand[foot] - were[foot])
                total += 2.5 * (way[foot] == was[1 - foot])
                if moved == last == [foot] and was[foot] != way[foot]:
                    total += 0.6 / max(time - before, 0.1)
            total += 2.0 * (stand[0] > stand[1])
            last, before = moved, time
        return total

    choices = [
        [(row[0], -1), (-1, row[0])] if len(row) == 1 else [(row[0], row[-1]), (row[-1], row[0])]
        for _, row in rows
    ]
    times = [time for time, row in rows for _ in row]
    left, right = foot_steps(times, times, [column for _, row in rows for column in row], places)
    found = []
    for time, row in rows:
        if len(row) == 2:
            # Which foot took which arrow of a jump is not told: the cheaper of the two.
            found.append([(row[0], row[-1]), (row[-1], row[0])])
        else:
            found.append([(row[0], -1)] if time in left else [(-1, row[0])])
            assert (time in left) != (time in right)
    return min(map(price, itertools.product(*choices))), min(map(price, itertools.product(*found)))


class TestFeet:
    @pytest.mark.parametrize(
        ("arrows", "spacing", "feet"),
        [
            ("L R L R", 0.5, "lrlr"),
            ("D U D U", 0.5, "lrlr"),
            # The first arrow is footed for the sake of the second.
            ("D L", 0.5, "rl"),
            ("D R", 0.5, "lr"),
            # Once around the pad, without a turn of the hips.
            ("L D U R U D L", 0.3, "lrlrlrl"),
            ("L+R D+U L+D", 0.5, "jjj"),
            ("L L L R R R", 0.2, "lllrrr"),
            # Slow feet step twice, fast ones cross.
            ("L D R D L D R D L", 0.6, "lrrrlrrrl"),
            ("L D R D L D R D L", 0.15, "lrlrlrlrl"),
        ],
    )
    def test_feet_are_those_that_a_player_would_use(self, arrows: str, spacing: float, feet: str) -> None:
        assert footed(arrows, spacing) == feet

    def test_a_foot_that_holds_stays(self) -> None:
        # The left arrow is held over three others.
        left, right = foot_steps(
            [0, 0.5, 1.0, 1.5], [2.0, 0.5, 1.0, 1.5], [0, 1, 2, 3], PANELS["dance-single"]
        )
        assert left.tolist() == [0]
        assert right.tolist() == [0.5, 1.0, 1.5]

    @settings(max_examples=40, deadline=None)
    @given(st.sampled_from(sorted(PANELS)), st.data())
    def test_no_other_footing_is_cheaper(self, steps_type: str, data: st.DataObject) -> None:
        places = PANELS[steps_type]
        column = st.integers(0, len(places) - 1)
        row = st.sets(column, min_size=1, max_size=2).map(
            lambda taken: sorted(taken, key=lambda c: (places[c], c))
        )
        rows = data.draw(st.lists(row, min_size=1, max_size=7))
        gaps = data.draw(st.lists(st.sampled_from([0.05, 0.2, 0.4]), min_size=len(rows), max_size=len(rows)))
        timed = [(float(time), row) for time, row in zip(np.cumsum(gaps), rows, strict=True)]
        least, found = cheapest(timed, places)
        assert found == pytest.approx(least)


# --- files -----------------------------------------------------------------------------------------------


DAMAGE = [
    *(bytes([byte]) for byte in b";#=,-[]&/.39"),
    b"1e999999999",
    b"nan",
    b"999999999",
    b"0.0000001",
    b"\n\n",
]


class TestBadFiles:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (ssc("0=0"), "BPMS holds no tempo"),
            (ssc("0=NaN"), "BPMS has '0=NaN'"),
            (ssc("0=99999999"), "BPMS at beat 0 is 99999999, expected 0 to 10000"),
            (ssc(""), "BPMS holds no tempo"),
            (ssc("0=fast"), "BPMS has .* expected beat=value"),
            (ssc("120"), "BPMS has .* expected beat=value"),
            (ssc(DELAYS="4=inf"), "DELAYS has '4=inf'"),
            (ssc(OFFSET="soon"), "OFFSET is 'soon'"),
            (ssc(OFFSET="nan"), "OFFSET is 'nan'"),
            (ssc(OFFSET="99999999"), "OFFSET is '99999999'"),
            (ssc(STOPS="1e999999999=1"), "STOPS has '1e999999999=1'"),
            (ssc(WARPS="4=99999999999"), "WARPS at beat 4 is 99999999999"),
            (ssc(TIMESIGNATURES="0=4=0"), "TIMESIGNATURES has '0=4=0'"),
            (ssc(TIMESIGNATURES="0=4"), "TIMESIGNATURES has '0=4'"),
            (ssc(notes="1000 0000\n0100 0000\n0000"), "2 of 3 rows have more or fewer than 4 notes"),
            (ssc().partition("#NOTES:")[0], "has no NOTES"),
            (ssc().encode("utf-16"), "is UTF-16.*save it as UTF-8"),
            (ssc().encode("utf-16-be"), "is UTF-16.*save it as UTF-8"),
            (ssc(notes="0000\n0M00\n0000\nF000"), "holds no step"),
            (ssc(notes=""), "holds no step"),
            (ssc(steps_type="lights-cabinet"), "expected a chart of .* found lights-cabinet"),
            ("#TITLE:nothing;", "no chart at all"),
            (b"\x89PNG\r\n\x1a\n\x00\x00", "no chart at all"),
            ("", "no chart at all"),
        ],
    )
    def test_what_cannot_be_is_refused_in_one_line(
        self, tmp_path: Path, text: str | bytes, said: str
    ) -> None:
        with pytest.raises(DataError, match=f"song.ssc.*({said})") as error:
            read(tmp_path, text)
        assert "\n" not in str(error.value)

    def test_a_chart_for_old_engines_that_jumps_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"BPMS at beat 4 is -120.*WARPS"):
            read(tmp_path, sm("0=120,4=-120"), "song.sm")

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_damage_anywhere_is_read_or_refused_and_never_a_crash(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        whole = ssc("0=120,4=90", STOPS="2=0.5", WARPS="6=1", TIMESIGNATURES="0=3=4").encode()
        start = data.draw(st.integers(0, len(whole)))
        length = data.draw(st.integers(0, 12))
        put = data.draw(st.one_of(st.binary(max_size=6), st.sampled_from(DAMAGE)))
        folder = tmp_path_factory.mktemp("damaged")
        refused = ""
        try:
            chart = read(folder, whole[:start] + put + whole[start + length :])
            step_pulses(chart, 5.0, 0.0, "damaged")
            assert (np.diff(chart_grid(chart, 5.0).beats) > 0).all()
        except DataError as error:
            refused = str(error)
        assert "\n" not in refused

    def test_no_offset_is_0_and_other_encodings_are_read(self, tmp_path: Path) -> None:
        bare = ssc().replace("#OFFSET:0;\n", "").replace("#TITLE:T", "#TITLE:Für Élise").encode("cp1252")
        (tmp_path / "song.ssc").write_bytes(bare)
        found = read_song(tmp_path / "song.ssc", COLUMNS)
        assert found.title == "Für Élise"
        assert seconds_at(found.charts[0], Fraction(0)) == 0
        assert read_song_title(tmp_path, b"\xef\xbb\xbf" + ssc(TITLE="花").encode()) == "花"

    @pytest.mark.parametrize(
        "title", ["花", "千本桜", "ドレミファソ (Remix)", "Last Night、Good Night", "恋の歌"]
    )
    def test_shift_jis_is_read(self, tmp_path: Path, title: str) -> None:
        assert read_song_title(tmp_path, ssc(TITLE=title).encode("cp932")) == title

    @pytest.mark.parametrize(
        "title",
        ["Für Élise", "Beyoncé", "L’été", "Don’t", "Pokémon", "“Señor” – déjà vu", "Háblame", "Ô mon"],
    )
    def test_windows_latin_is_not_taken_for_shift_jis(self, tmp_path: Path, title: str) -> None:
        assert read_song_title(tmp_path, ssc(TITLE=title).encode("cp1252")) == title

    def test_mines_lifts_and_fakes_are_no_steps_and_holds_end_at_their_tail(self, tmp_path: Path) -> None:
        notes = "2M00\n0L40\n00F0\n3000\n,\n0030\n0000\n1[3]000\n0001"
        chart = read(tmp_path, ssc(notes=notes, chart="#BPMS:0=120;\n#FAKES:7=1;\n"))
        assert [(int(s.beat), s.column, int(s.release)) for s in chart.steps] == [
            (0, 0, 3),
            (1, 2, 4),
            (6, 0, 6),
        ]


class TestIgnored:
    """What StepMania ignores: values that cannot be, notes that it does not know."""

    def test_tempi_of_0_and_stops_below_0(self, tmp_path: Path) -> None:
        chart = read(tmp_path, ssc("0=0,0=120,4=-60,8=0", OFFSET="-0.5", STOPS="1=-0.25,2=0.25"))
        times = [seconds_at(chart, Fraction(beat)) for beat in (0, 1, 2, 3, 4, 5)]
        np.testing.assert_allclose(times, [0.5, 1.0, 1.5, 2.25, 2.75, 3.25])
        assert chart.ignored == (
            "BPMS at beat 0 is 0: ignored, as in StepMania",
            "BPMS at beat 4 is -60: ignored, as in StepMania",
            "BPMS at beat 8 is 0: ignored, as in StepMania",
            "STOPS at beat 1 is -0.25: ignored, as in StepMania",
        )

    def test_a_tempo_of_0_in_an_old_file(self, tmp_path: Path) -> None:
        chart = read(tmp_path, sm("0=120,1=0.000"), "song.sm")
        np.testing.assert_allclose([seconds_at(chart, Fraction(b)) for b in (0, 1, 2)], [0.5, 1.0, 1.5])
        assert chart.ignored == ("BPMS at beat 1 is 0.000: ignored, as in StepMania",)

    def test_notes(self, tmp_path: Path) -> None:
        rows = ["1Z00", "01000", "001", "1[2000", "0001", "0000", "0100", "1000"]
        chart = read(tmp_path, ssc(notes="\n".join(rows[:4]) + "\n,\n" + "\n".join(rows[4:])))
        assert [(float(step.beat), step.column) for step in chart.steps] == [
            *((0, 0), (1, 1), (2, 2), (3, 0)),
            *((4, 3), (6, 1), (7, 0)),
        ]
        assert chart.ignored == (
            "1 x unknown note 'Z', ignored; the first in measure 1",
            "1 x row of more than 4 notes, the rest ignored; the first in measure 1",
            "2 x row of fewer than 4 notes; the first in measure 1",
        )

    def test_a_hold_without_an_end(self, tmp_path: Path) -> None:
        """Column 0: a tap cuts the hold off; 1: no end; 2: a second head; 3: a good roll."""
        chart = read(tmp_path, ssc(notes="2224\n0000\n1003\n3020\n,\n0030\n0000\n0000\n0000"))
        assert [(float(step.beat), step.column, float(step.release or 0)) for step in chart.steps] == [
            (0, 3, 2),
            (2, 0, 2),
            (3, 2, 4),
        ]
        assert chart.ignored == ("3 x hold without an end, ignored; the first in measure 1",)

    def test_a_whole_chart_has_nothing_to_say(self, tmp_path: Path) -> None:
        assert read(tmp_path, ssc(STOPS="1=0.25,2=0")).ignored == ()


def read_song_title(folder: Path, data: bytes) -> str:
    (folder / "song.ssc").write_bytes(data)
    return read_song(folder / "song.ssc", COLUMNS).title


# --- preparation -----------------------------------------------------------------------------------------


class TestPrepare:
    def test_a_folder_of_packs(self, tmp_path: Path) -> None:
        raw = tmp_path / "Songs"
        two = (
            ssc(ARTIST="A")
            + ssc(difficulty="Easy", notes="1001\n0000\n0110\n0000")[ssc().index("#NOTEDATA") :]
        )
        lights = ssc(steps_type="lights-cabinet")[ssc().index("#NOTEDATA") :]
        song(raw / "Pack" / "Good", two + lights)
        song(raw / "Pack" / "Good", sm(), "song.sm")  # passed over beside an .ssc
        song(raw / "Pack" / "Old", sm(), "song.SM")
        song(raw / "Pack" / "Silent", ssc(TITLE="Silent", MUSIC="gone.ogg"))
        (raw / "Pack" / "Silent" / "song.wav").unlink()
        song(raw / "Pack" / "Broken", ssc(TITLE="Broken"))
        (raw / "Pack" / "Broken" / "song.wav").write_bytes(b"RIFFnothing of the kind")
        song(raw / "Pack" / "Wild", ssc(TITLE="Wild", MUSIC="../../../../etc/passwd"))
        song(raw / "Pack" / "Elsewhere", ssc(TITLE="Elsewhere", OFFSET="-600"))
        out = tmp_path / "out"
        corpus = prepare(raw, out)
        assert [pair.name for pair in corpus.pairs] == [
            "Pack_Good_song_dance_single_Easy",
            "Pack_Good_song_dance_single_Hard",
            "Pack_Old_song_dance_single_Easy",
        ]
        why = corpus.info["left_out"]
        assert "MUSIC is 'gone.ogg', which is not there" in why["Pack_Silent_song"]
        assert "not audio: " in why["Pack_Broken_song_dance_single_Hard"]
        assert "lies outside" in why["Pack_Wild_song"]
        assert "beats lie within the 8.00 s" in why["Pack_Elsewhere_song_dance_single_Hard"]
        assert len(why) == 4
        assert corpus.info["notes"] == {"lights-cabinet charts": 1}
        easy, hard, old = corpus.pairs
        assert easy.piece == hard.piece == "a - t"
        assert old.piece == "a - t"
        assert easy.take != hard.take
        assert {pair.split for pair in corpus.pairs} == {split_by_hash("a - t")}
        assert (easy.fps, easy.joints, easy.grid, easy.metre) == (0.0, (), "exact", 4)
        assert easy.bpm == pytest.approx(120)
        clip = load_pair(easy, out)
        assert clip.motion.joints.shape == (480, 0, 3)
        assert len(clip.wav) == 8 * 16000
        for limb in ("left_foot", "right_foot"):
            np.testing.assert_allclose(clip.motion.pulses[limb], [0.0, 1.0])
        assert clip.grid is not None
        np.testing.assert_allclose(clip.grid.beats, np.arange(17) * 0.5)
        assert clip.grid.positions.tolist() == [1, 2, 3, 4] * 4 + [1]
        before = {path: path.stat().st_mtime_ns for path in (out / "motion").iterdir()}
        assert prepare(raw, out).sha256 == corpus.sha256 == read_corpus(out).sha256
        assert before == {path: path.stat().st_mtime_ns for path in (out / "motion").iterdir()}

    def test_the_same_recording_under_another_title_is_the_same_piece(self, tmp_path: Path) -> None:
        for name in ("a", "b", "c"):
            song(tmp_path / "raw" / name, ssc(TITLE=name))
        shutil.copy(tmp_path / "raw" / "a" / "song.wav", tmp_path / "raw" / "b" / "song.wav")
        a, b, c = prepare(tmp_path / "raw", tmp_path / "out").pairs
        assert a.piece == b.piece == "a"
        assert c.piece == "c"

    def test_splits_of_ones_own(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            song(tmp_path / "raw" / name, ssc(TITLE=name, ARTIST="X"))
        table = tmp_path / "splits.csv"
        with table.open("w", newline="") as file:
            csv.writer(file).writerows([("piece", "split"), ("x - a", "test"), ("x - b", "dev")])
        assert [p.split for p in prepare(tmp_path / "raw", tmp_path / "out", splits=table).pairs] == [
            "test",
            "dev",
        ]
        table.write_text("piece,split\nx - z,test\n")
        with pytest.raises(DataError, match="name the piece 'x - z'"):
            prepare(tmp_path / "raw", tmp_path / "out", splits=table)
        table.write_text("piece,split\na,test\na,dev\n")
        with pytest.raises(DataError, match=r"splits\.csv:3: piece 'a' in split 'dev'"):
            read_splits(table)
        with pytest.raises(DataError, match=r"none.csv: cannot be read"):
            read_splits(tmp_path / "none.csv")

    def test_a_faulty_chart_does_not_affect_the_others(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        faults = {
            "Empty": ssc(difficulty="Empty", notes=""),
            "Mines": ssc(difficulty="Mines", notes="M000"),
            "Wide": ssc(difficulty="Wide", notes="10000000\n01000000"),
            "Timed": ssc(difficulty="Timed", chart="#BPMS:0=fast;\n"),
            "Fine": ssc(difficulty="Fine", notes="1000\n0Q00\n0000\n0001"),
        }
        head = ssc().index("#NOTEDATA")
        song(tmp_path / "raw" / "new", ssc(TITLE="N") + "".join(text[head:] for text in faults.values()))
        # The first chart lacks its last two fields.
        short = "#NOTES:\n dance-single:\n :\n Hard:\n 3;\n"
        song(tmp_path / "raw" / "old", sm().replace("#NOTES", short + "#NOTES"), "song.sm")
        song(tmp_path / "raw" / "bad", ssc(TITLE="B", notes=""))
        arguments = ["stepmania", str(tmp_path / "raw"), str(tmp_path / "out")]
        assert command(arguments) == 1
        corpus = read_corpus(tmp_path / "out")
        names = [pair.name for pair in corpus.pairs]
        assert names == [f"new_song_dance_single_{name}" for name in ("Fine", "Hard")] + [
            "old_song_dance_single_Easy"
        ]
        assert {name: why.split(": ")[2] for name, why in corpus.info["left_out"].items()} == {
            "bad_song_dance_single_Hard": "holds no step; leave it out",
            "new_song_dance_single_Empty": "holds no step; leave it out",
            "new_song_dance_single_Mines": "holds no step; leave it out",
            "new_song_dance_single_Wide": "2 of 2 rows have more or fewer than 4 notes; check STEPSTYPE, or "
            "leave it out",
            "new_song_dance_single_Timed": "BPMS has '0=fast', expected beat=value, two numbers, the beat at "
            "most 100000; correct it",
            "old_song_dance_single_Hard": "has no NOTES; leave it out",
        }
        said = capsys.readouterr().err
        note = "1 x unknown note 'Q', ignored; the first in measure 1"
        assert f"note: new_song_dance_single_Fine: {note}\n" in said
        assert f"left out: new_song_dance_single_Wide: {tmp_path / 'raw' / 'new' / 'song.ssc'}: chart" in said
        # What was ignored is said again where the pair was made before.
        assert command(arguments) == 1
        assert f"note: new_song_dance_single_Fine: {note}\n" in capsys.readouterr().err

    def test_music_that_is_missing_is_the_folders_only_audio(self, tmp_path: Path) -> None:
        raw = tmp_path / "raw"
        song(raw / "one", ssc(TITLE="1", MUSIC="gone.ogg"))
        (raw / "one" / "background.mp4").write_bytes(b"no music")
        (raw / "one" / "._song.wav").write_bytes(b"no music either")
        for folder in ("two", "three", "four"):
            song(raw / folder, ssc(TITLE=folder, MUSIC="gone.ogg"))
        shutil.copy(raw / "two" / "song.wav", raw / "two" / "preview.wav")
        # The audio may be the other song's.
        (raw / "three" / "other.ssc").write_text(ssc(TITLE="other"))
        (raw / "four" / "song.wav").unlink()
        corpus = prepare(raw, tmp_path / "out")
        assert [pair.name for pair in corpus.pairs] == [
            "one_song_dance_single_Hard",
            "three_other_dance_single_Hard",
        ]
        pair = corpus.pairs[0]
        assert pair.audio is not None
        assert pair.audio.path == str(raw / "one" / "song.wav")
        assert pair.provenance["notes"] == [
            "MUSIC is 'gone.ogg', which is not there: 'song.wav' taken, the folder's only audio file"
        ]
        why = corpus.info["left_out"]
        assert "MUSIC is 'gone.ogg', which is not there, and 2 audio files lie beside it" in why["two_song"]
        assert "1 audio files lie beside it, expected 1 and no other song" in why["three_song"]
        assert "0 audio files lie beside it" in why["four_song"]

    @bytes_in_names
    @pytest.mark.parametrize("encoding", ["utf-8", "cp932"])
    @pytest.mark.parametrize("on_disk", ["utf-8", "cp932"])
    def test_japanese_names(self, tmp_path: Path, encoding: str, on_disk: str) -> None:
        """The text and the names on the disk in either encoding; 表 and ソ hold the byte of a backslash."""
        text = ssc(TITLE="千本桜", ARTIST="初音ミク", MUSIC="音/表ソ曲.WAV")
        plain = song(tmp_path / "plain", text.encode(encoding))
        soundfile.write(plain / "preview.wav", np.zeros(8000), 8000)
        folder, inner, name = (os.fsdecode(text.encode(on_disk)) for text in ("表ソ", "音", "表ソ曲.wav"))
        music = tmp_path / "raw" / folder / inner / name
        music.parent.parent.parent.mkdir()
        plain.rename(music.parent.parent)
        music.parent.mkdir()
        (music.parent.parent / "song.wav").rename(music)
        pair = prepare(tmp_path / "raw", tmp_path / "out").pairs[0]
        assert pair == read_corpus(tmp_path / "out").pairs[0]
        assert pair.audio is not None
        assert Path(pair.audio.path) == music
        assert pair.piece == "初音ミク - 千本桜"
        assert pair.provenance["notes"] == []
        assert len(load_pair(pair, tmp_path / "out").wav) == 8 * 16000

    def test_music_is_found_in_any_case_and_without_a_name_if_it_is_alone(self, tmp_path: Path) -> None:
        song(tmp_path / "raw" / "case", ssc(TITLE="1", MUSIC="Song.WAV"))
        song(tmp_path / "raw" / "none", ssc(TITLE="2", MUSIC=""))
        assert len(prepare(tmp_path / "raw", tmp_path / "out").pairs) == 2
        shutil.copy(tmp_path / "raw" / "none" / "song.wav", tmp_path / "raw" / "none" / "other.wav")
        left_out = prepare(tmp_path / "raw", tmp_path / "out").info["left_out"]
        assert "2 audio files lie beside it" in left_out["none_song"]

    def test_a_chart_with_music_of_its_own_is_paired_with_it(self, tmp_path: Path) -> None:
        own = ssc(difficulty="Easy", chart="#MUSIC:cut.wav;\n")[ssc().index("#NOTEDATA") :]
        song(tmp_path / "raw", ssc() + own)
        soundfile.write(tmp_path / "raw" / "cut.wav", np.random.default_rng(1).uniform(-1, 1, 40000), 8000)
        easy, hard = prepare(tmp_path / "raw", tmp_path / "out").pairs
        assert (easy.seconds, hard.seconds) == (5.0, 8.0)
        assert easy.piece == hard.piece == "t"

    def test_a_song_that_joins_another_piece_is_made_again_under_it(self, tmp_path: Path) -> None:
        song(tmp_path / "raw" / "b", ssc(TITLE="b"))
        assert prepare(tmp_path / "raw", tmp_path / "out").pairs[0].piece == "b"
        song(tmp_path / "raw" / "a", ssc(TITLE="a"))
        shutil.copy(tmp_path / "raw" / "b" / "song.wav", tmp_path / "raw" / "a" / "song.wav")
        assert [pair.piece for pair in prepare(tmp_path / "raw", tmp_path / "out").pairs] == ["a", "a"]

    def test_how_far_the_sound_is_behind_the_beats_is_told(self, tmp_path: Path) -> None:
        wav = np.zeros(8 * 8000)
        for beat in range(1, 16):
            wav[beat * 4000 : beat * 4000 + 400] = np.random.default_rng(beat).uniform(-1, 1, 400)
        for name, offset in (("exact", 0.0), ("early", 0.03), ("late", -0.03)):
            song(tmp_path / "raw" / name, ssc(notes=f"{'0000 ' * 4},{ROWS}", TITLE=name, OFFSET=str(offset)))
            soundfile.write(tmp_path / "raw" / name / "song.wav", wav, 8000)
        early, exact, late = prepare(tmp_path / "raw", tmp_path / "out").pairs
        for pair, expected in ((early, 0.03), (exact, 0.0), (late, -0.03)):
            assert pair.provenance["onset_lag"] == pytest.approx(expected, abs=0.008)

    def test_a_bias_moves_beats_and_steps_together(self, tmp_path: Path) -> None:
        song(tmp_path / "raw", ssc(OFFSET="-1"))
        pair = prepare(tmp_path / "raw", tmp_path / "out", bias=-0.009).pairs[0]
        clip = load_pair(pair, tmp_path / "out")
        assert clip.grid is not None
        assert clip.grid.beats[0] == pytest.approx(1.009)
        assert min(t[0] for t in clip.motion.pulses.values()) == pytest.approx(1.009)
        with pytest.raises(DataError, match="--bias 9"):
            prepare(tmp_path / "raw", tmp_path / "out", bias=9.0)

    def test_a_folder_without_songs_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"holds no \.ssc or \.sm file"):
            prepare(tmp_path, tmp_path / "out")
        with pytest.raises(DataError, match="no such folder"):
            prepare(tmp_path / "none", tmp_path / "out")


@pytest.mark.parametrize(
    ("encoding", "samples"),
    [(("-b:a", "128k"), 1152 + 1105), (("-q:a", "4"), 1105), (("-write_xing", "0"), 0)],
)
def test_an_mp3_is_heard_as_stepmania_hears_it(
    tmp_path: Path, encoding: tuple[str, str], samples: int
) -> None:
    """A click that libsndfile puts where it was; without a tag it is as late here as it is there."""
    if shutil.which("ffmpeg") is None:
        skip_or_fail("ffmpeg is not installed")
    rate = 44100
    wav = np.zeros(rate, dtype=np.float32)
    wav[rate // 2 : rate // 2 + 200] = 0.8
    soundfile.write(tmp_path / "a.wav", wav, rate)
    command = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "a.wav"), "-c:a", "libmp3lame", *encoding]
    subprocess.run([*command, str(tmp_path / "a.mp3")], check=True)
    heard, _ = soundfile.read(tmp_path / "a.mp3")
    assert mp3_lead(tmp_path / "a.mp3") == samples / rate
    late = 0 if samples else 1105
    assert abs(int(np.argmax(np.abs(heard) > 0.3)) - rate // 2 - late) < 20


def test_what_is_no_mp3_has_no_lead(tmp_path: Path) -> None:
    for name, data in (
        ("a.ogg", b"x" * 999),
        ("a.mp3", b""),
        ("b.mp3", b"\xff\xfb" * 9),
        ("c.mp3", b"\xff" * 5000),
    ):
        (tmp_path / name).write_bytes(data)
        assert mp3_lead(tmp_path / name) == 0


# --- the real song ---------------------------------------------------------------------------------------


def lag_of_beats(wav: torch.Tensor, beats: NDArray[np.float64]) -> tuple[float, float]:
    """Seconds by which beats must move to lie best on the onsets, and how much stronger these are there."""
    lengths = torch.tensor([len(wav)])
    mel, frames = log_mel(wav[None], lengths, 80)
    flux = onset_envelope(mel, frames)[0].numpy()
    times = (np.arange(len(flux)) + 0.5) / 100
    lags = np.arange(-0.1, 0.1005, 0.001)
    inside = beats[(beats > 0.2) & (beats < times[-1] - 0.2)]
    means = np.array([np.interp(inside + lag, times, flux).mean() for lag in lags])
    return float(lags[means.argmax()]), float(np.interp(inside, times, flux).mean() / flux.mean())


@pytest.mark.slow
def test_a_real_song_sounds_on_its_beats(tmp_path: Path) -> None:
    corpus = prepare(shared("audio/stepmania"), tmp_path)
    assert len(corpus.pairs) == 9
    assert list(corpus.info["left_out"]) == ["Springtime"]
    assert "no audio: MUSIC is 'Kommisar - Springtime.mp3'" in corpus.info["left_out"]["Springtime"]
    pair = next(p for p in corpus.pairs if p.name.endswith("single_Challenge"))
    assert (pair.metre, round(pair.bpm or 0, 6)) == (4, 210.0)
    clip = load_pair(pair, tmp_path)
    assert clip.grid is not None
    lag, strength = lag_of_beats(clip.wav, clip.grid.beats)
    assert abs(lag) <= 0.02
    assert strength > 1.5
    steps = np.union1d(clip.motion.pulses["left_foot"], clip.motion.pulses["right_foot"])
    lag, strength = lag_of_beats(clip.wav, steps)
    assert abs(lag) <= 0.02
    assert strength > 1.5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Goin' Under.ssc", "Springtime.ssc"])
def test_steps_are_as_many_as_the_real_files_count_themselves(name: str) -> None:
    """RADARVALUES, written by StepMania's editor, counts taps and holds by rows, and jumps."""
    text = (shared("audio/stepmania") / name).read_text(encoding="utf-8")
    counts = [
        [float(value) for value in part.split("#RADARVALUES:")[1].split(";")[0].split(",")][6:8]
        for part in text.split("#NOTEDATA:;")[1:]
        if "#STEPSTYPE:dance" in part
    ]
    charts = read_song(shared("audio/stepmania") / name, COLUMNS).charts
    assert len(charts) == len(counts)
    for chart, (rows, jumps) in zip(charts, counts, strict=True):
        times = [round(seconds_at(chart, step.beat), 6) for step in chart.steps]
        releases = [round(seconds_at(chart, step.release), 6) for step in chart.steps]
        left, right = foot_steps(times, releases, [s.column for s in chart.steps], PANELS[chart.steps_type])
        assert len(np.union1d(left, right)) == rows
        assert len(left) + len(right) == rows + jumps
        # Feet alternate where they can: neither does more than 60 % of the work.
        assert abs(len(left) - len(right)) < 0.2 * rows
