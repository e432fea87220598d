"""From a folder of songs to pairs: charts, their audio, their splits."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster.hierarchy import DisjointSet
from tqdm import tqdm

from motion_data.corpora.splits import hashed_split
from motion_data.corpora.stepmania.footing import PANELS, foot_steps
from motion_data.corpora.stepmania.grid import chart_grid
from motion_data.corpora.stepmania.mp3_lead import mp3_lead
from motion_data.corpora.stepmania.song import Chart, Song, read_song, seconds_at
from motion_data.errors import DataError
from motion_data.motion import Motion
from motion_data.pair import AudioSpan, MotionPair
from motion_data.preparation import Job, file_sha256, refused
from motionbeat_upstream.audio import AUDIO_SUFFIXES, read_audio
from motionbeat_upstream.config import SAMPLE_RATE, MusicTowerConfig
from motionbeat_upstream.nn.frontend import log_mel
from motionbeat_upstream.nn.grid import Grid
from motionbeat_upstream.nn.onset_envelope import onset_envelope

FPS = 60.0
"""Frames a second of the empty motion that carries the steps; the steps themselves are not rounded."""

FARTHEST_LAG = 0.1
"""Seconds within which the sound is sought around the beats."""

OUTSIDE = 0.05
"""Share of a chart's steps that may lie outside its song."""

LICENCE = "of the song's and the chart's makers; for use from the user's own disk"


@dataclass(frozen=True)
class _Source:
    """The charts of a file that share a recording: all of them, but for a chart with music of its own."""

    file: Path
    label: str
    """Path from RAW, for messages."""
    song: Song
    charts: tuple[Chart, ...]
    music: Path
    sha256: str


def chart_jobs(
    raw: Path, splits: Mapping[str, str], types: Sequence[str], bias: float
) -> tuple[list[Job], dict[str, int]]:
    """A job for every chart under a folder; a song that cannot be read is a job that says why.

    Also the number of charts of other types, which are passed over, by type.

    Args:
        raw: folder of packs, a pack, or a song.
        splits: split of a piece by name; pieces it does not name go by their hash, 80/10/10.
        types: types of chart to take, keys of ``PANELS``.
        bias: seconds by which charts are ahead of the sound by convention.

    Raises:
        DataError: no such folder, no song in it, or splits of a piece that is not there.
    """
    jobs: list[Job] = []
    sources: list[_Source] = []
    titles: set[str] = set()
    others: Counter[str] = Counter()
    columns = {name: len(PANELS[name]) for name in types}
    for file in tqdm(song_files(raw), desc="read songs", unit="song"):
        label = file.relative_to(raw).as_posix()
        try:
            song = read_song(file, columns)
            titles.add(_title(song))
            others.update(f"{name} charts" for name in song.passed_over)
            for name in dict.fromkeys(chart.music for chart in song.charts):
                music = find_music(file, raw, name)
                charts = tuple(chart for chart in song.charts if chart.music == name)
                sources.append(_Source(file, label, song, charts, music, file_sha256(music)))
        except DataError as error:
            jobs.append(refused(_fit(label), (file,), error))
    unknown = sorted(set(splits) - titles)
    if unknown:
        raise DataError(
            f"the splits name the piece {unknown[0]!r}, which no song under {raw} has; pieces are called "
            f"'artist - title', such as {min(titles, default='none here')!r}"
        )
    names = {job.name for job in jobs}
    for source, piece in zip(sources, _pieces(sources), strict=True):
        split = splits.get(piece) or hashed_split(piece)
        for chart in source.charts:
            base = _fit("-".join(filter(None, (source.label, chart.steps_type, chart.difficulty))))
            described = base if base not in names else _fit(f"{base}-{chart.description}")
            name, count = described, 2
            while name in names:
                name, count = f"{described}-{count}", count + 1
            names.add(name)
            make = _making(source, chart, name, piece, split, bias)
            jobs.append(Job(name, (source.file, source.music), make, (piece, split)))
    return jobs, dict(sorted(others.items()))


def song_files(raw: Path) -> list[Path]:
    """The .ssc files of every folder, or its .sm files where it has none, as StepMania takes them.

    Raises:
        DataError: no such folder, or no song in it.
    """
    if not raw.is_dir():
        raise DataError(f"{raw}: no such folder; expected StepMania's Songs, a pack or a song")
    folders: dict[Path, list[Path]] = {}
    for path in sorted(raw.rglob("*")):
        if path.suffix.lower() in (".sm", ".ssc") and path.is_file() and not path.name.startswith("."):
            folders.setdefault(path.parent, []).append(path)
    files = [
        path
        for paths in folders.values()
        for path in ([path for path in paths if path.suffix.lower() == ".ssc"] or paths)
    ]
    if not files:
        raise DataError(f"{raw}: holds no .ssc or .sm file; expected StepMania's Songs, a pack or a song")
    return files


def find_music(file: Path, raw: Path, name: str) -> Path:
    """The audio of a song: what #MUSIC names, in any case, or, where it names nothing, the folder's only one.

    Raises:
        DataError: it is missing, or lies outside RAW.
    """
    folder = file.parent
    if not name:
        found = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in AUDIO_SUFFIXES]
        if len(found) != 1:
            raise DataError(
                f"{file}: no audio: MUSIC is empty and {len(found)} audio files lie beside it, expected 1; "
                f"name it in MUSIC"
            )
        return found[0].resolve()
    path = (folder / name.replace("\\", "/")).resolve()
    if not path.is_relative_to(raw.resolve()):
        raise DataError(
            f"{file}: MUSIC is {name!r}, which lies outside {raw}; put the audio beside the chart"
        )
    if not path.is_file() and path.parent.is_dir():
        alike = [other for other in path.parent.iterdir() if other.name.lower() == path.name.lower()]
        path = alike[0] if alike else path
    if not path.is_file():
        raise DataError(f"{file}: no audio: MUSIC is {name!r}, which is not there; put it beside the chart")
    return path


def _pieces(sources: Sequence[_Source]) -> list[str]:
    """Artist and title of each song; songs that share these or the recording are one piece."""
    titles = [_title(source.song) for source in sources]
    shared: DisjointSet = DisjointSet()
    for source, title in zip(sources, titles, strict=True):
        for key in (("title", title), ("audio", source.sha256)):
            shared.add(key)
        shared.merge(("title", title), ("audio", source.sha256))
    first: dict[object, str] = {}
    return [first.setdefault(shared[("title", title)], title) for title in titles]


def _title(song: Song) -> str:
    return " ".join(" - ".join(filter(None, (song.artist, song.title))).casefold().split())


def _fit(label: str) -> str:
    """A name that any file system takes."""
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9]+", "_", re.sub(r"\.(ssc|sm)\b", "", plain, flags=re.IGNORECASE)).strip("_")
    # A title without a Latin letter still needs a name of its own.
    lost = len(plain) < len(unicodedata.normalize("NFC", label))
    digest = hashlib.sha256(label.encode()).hexdigest()[:8]
    return f"{name[:120]}_{digest}" if lost or len(name) > 120 else name


def _making(
    source: _Source, chart: Chart, name: str, piece: str, split: str, bias: float
) -> Callable[[], tuple[MotionPair, Motion, Grid | None]]:
    def make() -> tuple[MotionPair, Motion, Grid | None]:
        seconds, onsets = _heard(source.music)
        lead = bias + mp3_lead(source.music)
        grid = chart_grid(chart, seconds, lead)
        pulses, outside = step_pulses(chart, seconds, lead, source.label)
        motion = Motion(FPS, (), np.zeros((max(2, round(seconds * FPS)), 0, 3)), 0.0, None, pulses)
        pair = MotionPair(
            name=name,
            corpus="stepmania",
            piece=piece,
            take=name,
            split=split,
            licence=LICENCE,
            seconds=seconds,
            fps=0.0,
            joints=(),
            pulses={limb: len(times) for limb, times in pulses.items()},
            grid="exact",
            metre=grid.metre,
            bpm=grid.bpm,
            audio=AudioSpan(str(source.music), 0.0, seconds, source.sha256),
            provenance={
                "file": source.label,
                "title": source.song.title,
                "artist": source.song.artist,
                "steps_type": chart.steps_type,
                "difficulty": chart.difficulty,
                "description": chart.description,
                "meter": chart.meter,
                **chart.gimmicks,
                "steps_outside": outside,
                "lead": lead,
                "onset_lag": onset_lag(onsets, grid.beats),
                "feet": "assigned by this project, not by the chart",
            },
        )
        return pair, motion, grid

    return make


@lru_cache(maxsize=1)
def _heard(music: Path) -> tuple[float, NDArray[np.float32]]:
    """Length of a song in seconds, and its onset envelope at 100 Hz.

    It is decoded whole, so that damage is found now, and once: its charts follow one another.
    """
    wav = read_audio(music)
    lengths = torch.tensor([len(wav)])
    mel, frames = log_mel(wav[None], lengths, MusicTowerConfig.n_mels)
    return len(wav) / SAMPLE_RATE, onset_envelope(mel, frames)[0].numpy()


def onset_lag(onsets: NDArray[np.float32], beats: NDArray[np.float64]) -> float:
    """Seconds that the sound is behind the beats, within ±``FARTHEST_LAG``: where onsets are strongest.

    Told with each pair and not acted on: it is -1 ms for made clicks and 2 ms for made drums, but soft
    attacks take longer. Packs with a bias, or a song that is not the chart's own recording, stand out.

    Args:
        onsets: (F,) onset envelope at 100 Hz.
        beats: (N,) seconds.
    """
    times = (np.arange(len(onsets)) + 0.5) / 100
    lags = np.arange(-round(FARTHEST_LAG * 1000), round(FARTHEST_LAG * 1000) + 1) / 1000
    means = [np.interp(beats + lag, times, onsets, 0.0, 0.0).mean() for lag in lags]
    return float(lags[int(np.argmax(means))])


def step_pulses(
    chart: Chart, seconds: float, lead: float, label: str
) -> tuple[dict[str, NDArray[np.float64]], int]:
    """Seconds of each foot's steps within the song, and the number of steps outside it.

    Raises:
        DataError: more than 5 % of the steps lie outside the song.
    """
    times = [seconds_at(chart, step.beat) - lead for step in chart.steps]
    releases = [seconds_at(chart, step.release) - lead for step in chart.steps]
    columns = [step.column for step in chart.steps]
    # A warp's end and its start are one moment, and float sums differ in their last digits.
    times, releases = [round(t, 6) for t in times], [round(t, 6) for t in releases]
    outside = sum(not 0 <= time <= seconds for time in times)
    if outside > OUTSIDE * len(times):
        raise DataError(
            f"{label}: {outside} of {len(times)} steps of {chart.steps_type} {chart.difficulty} lie outside "
            f"the {seconds:.2f} s of the song ({min(times):.2f} to {max(times):.2f} s); check that it is the "
            f"right song"
        )
    left, right = foot_steps(times, releases, columns, PANELS[chart.steps_type])
    inside = {"left_foot": left, "right_foot": right}
    return {limb: t[(t >= 0) & (t <= seconds)] for limb, t in inside.items()}, outside
