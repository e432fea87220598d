"""From a folder of songs to pairs: charts, their audio, their splits."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import DisjointSet
from tqdm import tqdm

from motion_data.corpora.recordings.tatum import audio_onset_envelope
from motion_data.corpora.stepmania import LICENCE
from motion_data.corpora.stepmania.footing import PANELS, foot_steps
from motion_data.corpora.stepmania.grid import chart_grid
from motion_data.corpora.stepmania.song import ENCODINGS, Chart, Song, read_song, seconds_at
from motion_data.errors import DataError
from motion_data.files import file_sha256, find_files
from motion_data.motion import Motion
from motion_data.pair import AudioSpan, MotionPair
from motion_data.preparation import Job, PreparedPair, failed_job, motion_fields, split_by_hash
from motionbeat_upstream.audio import read_audio
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.mp3_tag import read_mp3_tag

FPS = 60.0
"""Frames a second of the empty motion that carries the steps; the steps themselves are not rounded."""

FARTHEST_LAG = 0.1
"""Seconds within which the sound is sought around the beats."""

OUTSIDE = 0.05
"""Share of a chart's steps that may lie outside its song."""

MUSIC_SUFFIXES = (".mp3", ".oga", ".ogg", ".wav")
"""What StepMania takes for a song's music; other files that hold sound are videos for the background."""


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
    notes: tuple[str, ...]
    """What the user must know of how the music was found."""


def chart_jobs(
    raw: Path, splits: Mapping[str, str], types: Sequence[str], bias: float
) -> tuple[list[Job], dict[str, int]]:
    """A job for every chart under a folder; what cannot be read is a job that says why.

    Also the number of charts of other types, which are passed over, by type.

    Args:
        raw: folder of packs, a pack, or a song.
        splits: split of a piece by name; pieces it does not name go by their hash, 80/10/10.
        types: types of chart to take, keys of ``PANELS``.
        bias: seconds by which charts are ahead of the sound by convention.

    Raises:
        DataError: no such folder, no song in it, or splits of a piece that is not there.
    """
    sources: list[_Source] = []
    faults: list[tuple[str, Path, DataError | OSError]] = []
    titles: set[str] = set()
    others: Counter[str] = Counter()
    columns = {name: len(PANELS[name]) for name in types}
    files = song_files(raw)
    songs_in = Counter(file.parent for file in files)
    for file in tqdm(files, desc="read songs", unit="song"):
        label = file.relative_to(raw).as_posix()
        try:
            song = read_song(file, columns)
        except DataError as error:
            faults.append((label, file, error))
            continue
        titles.add(_title(song))
        others.update(f"{name} charts" for name in song.passed_over)
        faults += [(f"{label}-{bad.steps_type}-{bad.difficulty}", file, bad.fault) for bad in song.faulty]
        for name in dict.fromkeys(chart.music for chart in song.charts):
            charts = tuple(chart for chart in song.charts if chart.music == name)
            try:
                music, notes = find_music(file, raw, name, song.encoding, songs_in[file.parent] == 1)
                sources.append(_Source(file, label, song, charts, music, file_sha256(music), notes))
            except (DataError, OSError) as error:
                faults.append((label, file, error))
    unknown = sorted(set(splits) - titles)
    if unknown:
        raise DataError(
            f"the splits name the piece {unknown[0]!r}, which no song under {raw} has; pieces are called "
            f"'artist - title', such as {min(titles, default='none here')!r}"
        )
    jobs: list[Job] = []
    names: set[str] = set()
    for source, piece in zip(sources, _pieces(sources), strict=True):
        split = splits.get(piece) or split_by_hash(piece)
        for chart in source.charts:
            described = "-".join(filter(None, (source.label, chart.steps_type, chart.difficulty)))
            name = _take_name(names, described, chart.description)
            make = partial(_make, source, chart, name, piece, split, bias)
            jobs.append(Job(name, (source.file, source.music), make, (piece, split)))
    jobs += [failed_job(_take_name(names, label), (file,), fault) for label, file, fault in faults]
    return jobs, dict(sorted(others.items()))


def _take_name(names: set[str], label: str, description: str = "") -> str:
    """A name for files that is not among ``names``, in any case, and is put there."""
    name = base = _fit(label)
    if name.casefold() in names and description:
        name = base = _fit(f"{base}-{description}")
    count = 2
    while name.casefold() in names:
        name, count = f"{base}-{count}", count + 1
    names.add(name.casefold())
    return name


def song_files(raw: Path) -> list[Path]:
    """The .ssc files of every folder, or its .sm files where it has none, as StepMania takes them.

    Raises:
        DataError: no such folder, or no song in it.
    """
    if not raw.is_dir():
        raise DataError(f"{raw}: no such folder; expected StepMania's Songs, a pack or a song")
    folders: dict[Path, list[Path]] = {}
    for path in find_files(raw, (".sm", ".ssc")):
        folders.setdefault(path.parent, []).append(path)
    files = [
        path
        for paths in folders.values()
        for path in ([path for path in paths if path.suffix.lower() == ".ssc"] or paths)
    ]
    if not files:
        raise DataError(f"{raw}: holds no .ssc or .sm file; expected StepMania's Songs, a pack or a song")
    return files


def find_music(file: Path, raw: Path, name: str, encoding: str, alone: bool) -> tuple[Path, tuple[str, ...]]:
    """The audio of a song: what #MUSIC names, or, where that is missing, the folder's only audio file.

    Args:
        file: .ssc or .sm.
        raw: folder that the audio must lie in.
        name: value of #MUSIC.
        encoding: of the file's text.
        alone: whether the folder holds no other song, whose audio it might be.

    Returns:
        The audio, and a sentence where it is not what #MUSIC names.

    Raises:
        DataError: it is missing, or lies outside RAW.
    """
    outside = DataError(
        f"{file}: MUSIC is {name!r}, which lies outside {raw}; put the audio beside the chart"
    )
    root, path = raw.resolve(), file.parent.resolve()
    # A part of a Shift-JIS name may hold the byte of a backslash, so the text is split and not its bytes.
    for part in PurePosixPath(name.replace("\\", "/")).parts:
        found = path.parent if part == ".." else _find_name(path, part, encoding)
        if found is None:
            break
        path = found.resolve()
        if not path.is_relative_to(root):
            raise outside
    if path.is_file():
        return path, ()
    missing = f"MUSIC is {name!r}, which is not there" if name else "MUSIC is empty"
    audio = [
        other
        for other in sorted(file.parent.iterdir())
        if other.suffix.lower() in MUSIC_SUFFIXES and not other.name.startswith(".") and other.is_file()
    ]
    if len(audio) != 1 or not alone:
        raise DataError(
            f"{file}: no audio: {missing}, and {len(audio)} audio files lie beside it, expected 1 and no "
            f"other song; put the audio beside the chart and name it in MUSIC"
        )
    if not audio[0].resolve().is_relative_to(root):
        raise outside
    return audio[0].resolve(), (f"{missing}: {audio[0].name!r} taken, the folder's only audio file",)


def _find_name(folder: Path, name: str, encoding: str) -> Path | None:
    """The entry of a folder with a name, in any case, and in any encoding of its own."""
    others = sorted(folder.iterdir()) if folder.is_dir() else []
    wanted = _readings(name.encode(encoding))
    alike = [other for other in others if not wanted.isdisjoint(_readings(os.fsencode(other.name)))]
    return min(alike, key=lambda other: other.name != name, default=None)


def _readings(data: bytes) -> set[str]:
    """What the bytes of a name spell in each encoding, without differences of case."""
    found = set()
    for encoding in ENCODINGS:
        try:
            found.add(unicodedata.normalize("NFC", data.decode(encoding)).casefold())
        except UnicodeDecodeError:
            continue
    return found


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
    digest = hashlib.sha256(os.fsencode(label)).hexdigest()[:8]
    return f"{name[:120]}_{digest}" if lost or len(name) > 120 else name


def _make(
    source: _Source, chart: Chart, name: str, piece: str, split: str, bias: float
) -> list[PreparedPair]:
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
        **motion_fields(motion, grid, "exact"),
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
            "notes": [*source.notes, *chart.ignored],
        },
    )
    return [(pair, motion, grid)]


@lru_cache(maxsize=1)
def _heard(music: Path) -> tuple[float, NDArray[np.float64]]:
    """Length of a song in seconds, and its onset envelope at 100 Hz.

    It is decoded whole, so that damage is found now, and once: its charts follow one another.
    """
    wav = read_audio(music)
    return len(wav) / SAMPLE_RATE, audio_onset_envelope(wav)


def onset_lag(onsets: NDArray[np.float64], beats: NDArray[np.float64]) -> float:
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


DECODER_DELAY = 529
"""Samples."""


def mp3_lead(path: str | Path) -> float:
    """Seconds from the start of the sound here to its start in StepMania; 0 for other files than MP3.

    An MP3 begins with silence: the encoder's delay, and the 529 samples that every decoder adds. Where the
    file has an encoder's tag, FFmpeg cuts both away. StepMania cuts neither, and plays the frame that holds
    the tag of a file of constant bit rate, marked Info, as one more frame of silence, while it skips the tag
    of a file of variable bit rate, marked Xing [S: its RageSoundReader_MP3.cpp].
    """
    path = Path(path)
    tag = read_mp3_tag(path) if path.suffix.lower() == ".mp3" else None
    if tag is None:
        return 0.0
    samples = tag.delay + DECODER_DELAY if tag.delay else 0
    return (samples + (tag.frame if tag.constant else 0)) / tag.rate
