"""A folder of BVH files with their audio: Motorica's layout, or anyone's with the same names."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from motion_data.csv_file import read_csv
from motion_data.errors import DataError
from motion_data.files import find_files
from motion_data.manifest import Corpus
from motion_data.motion import Motion
from motion_data.pair import SPLITS
from motion_data.preparation import Job, PreparedPair, prepare_pairs, split_by_hash

LAYOUT = """\
RAW: a folder, searched to any depth, of X.bvh with an audio file X.wav (.flac, .mp3, ...) of the same
name beside it, elsewhere under RAW (Motorica: bvh/X.bvh, wav/X.wav), or under --audio. X.beats beside
either gives the beats; without one they are estimated from the sound. A BVH without audio is left out:
`motion_data.corpora.bvh.read_bvh` reads it alone.
Joints by the names of CMU, DAZ, Mixamo, Bandai Namco, Motorica, Rokoko, Biped or SMPL; channels in any
order; unit and up axis are detected and recorded."""

LICENCE = (
    "the folder's own; give it as --licence. Motorica: research only, no redistribution. CMU: free, "
    "acknowledge mocap.cs.cmu.edu. Bandai Namco: CC BY-NC 4.0."
)

AIST_NAME = re.compile(r".*?_?g[A-Z]{2}_s[A-Z]{2}_c\w+?_d\d+_(m[A-Z]{2}\d*)_(ch\d+)(?:_(.+?))?(?:_\d+)?")
"""AIST's naming, which Motorica extends by the title and a number."""


def read_bvh(
    path: str | Path, unit: str | None = None, up: str | None = None, fps: float | None = None
) -> Motion:
    """A BVH file as a motion on the common skeleton, in metres, y up, at 60 frames a second at most.

    A rest pose in the first frames is dropped; ``start`` is then the first kept frame's time in the file.

    Args:
        path: the file.
        unit: overrides the detected one: m, dm, cm, mm, in, asf, or metres a unit as a number.
        up: overrides the detected axis: x, y, z, -x, -y or -z.
        fps: overrides the file's frame time: frames a second, 5 to 1000.

    Raises:
        DataError: the file cannot be used.
    """
    from motion_data.corpora.motion_source import read_source
    from motion_data.corpora.paired_files import as_motion

    try:
        return as_motion(read_source(path, fps), unit, up)[0]
    except DataError as error:
        raise DataError(str(error) if str(path) in str(error) else f"{path}: {error}") from error


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of ``motionbeat data prepare bvh``."""
    parser.add_argument("--audio", type=Path, metavar="FOLDER", help="where the audio lies, if not under RAW")
    parser.add_argument(
        "--splits", type=Path, metavar="CSV", help="columns name, piece, take, split; else dealt 80/10/10"
    )
    parser.add_argument(
        "--offset", type=float, default=0.0, metavar="S", help="seconds of motion before the audio begins"
    )
    parser.add_argument("--unit", help="m, dm, cm, mm, in, asf, or metres a unit; default: detected")
    parser.add_argument("--up", help="x, y, z, -x, -y or -z (as --up=-y); default: detected")
    parser.add_argument(
        "--fps", type=float, metavar="RATE", help="frames a second of every file; default: by its frame time"
    )
    parser.add_argument("--licence", default="as the folder's own", help="recorded with every pair")


def prepare(raw: Path, out: Path, options: argparse.Namespace) -> Corpus:
    """Prepare a folder of BVH files.

    Raises:
        DataError: no such folder, no BVH in it, a splits file that is wrong, or not one pair.
    """
    from motionbeat_upstream.decoding import AUDIO_SUFFIXES

    if not raw.is_dir():
        raise DataError(f"{raw}: no such folder; expected one of BVH files")
    motions = find_files(raw, (".bvh",))
    if not motions:
        raise DataError(f"{raw}: holds no .bvh file; expected motions with audio of the same name")
    sounds = _by_stem(raw if options.audio is None else options.audio, AUDIO_SUFFIXES)
    told = {} if options.splits is None else _read_splits(options.splits, {path.stem for path in motions})
    twice = {path.stem for path in motions if sum(path.stem == other.stem for other in motions) > 1}
    jobs = [
        _job(path, raw, sounds.get(path.stem, []), told.get(path.stem), path.stem in twice, options)
        for path in motions
    ]
    depends_on = {name: getattr(options, name) for name in ("offset", "unit", "up", "fps", "licence")}
    return prepare_pairs(out, "bvh", depends_on, jobs)


def _job(
    motion: Path,
    raw: Path,
    sounds: Sequence[Path],
    told: tuple[str, str, str] | None,
    twice: bool,
    options: argparse.Namespace,
) -> Job:
    name = "-".join(motion.relative_to(raw).with_suffix("").parts) if twice else motion.stem
    name = name.lstrip(".") or "motion"
    beats = [path.with_suffix(".beats") for path in (motion, *sounds)]
    beats = [path for path in beats if path.is_file()]

    def make() -> list[PreparedPair]:
        from motion_data.corpora.paired_files import PairedFiles, make_pair

        audio = _one_sound(motion, sounds)
        heard = piece_of(audio.stem)
        piece, take, split = told or (heard, name, split_by_hash(heard))
        files = PairedFiles(
            name=name,
            corpus="bvh",
            audio=audio,
            motion=str(motion),
            piece=piece,
            take=take,
            split=split,
            licence=options.licence,
            offset=options.offset,
            beats=beats[0] if beats else None,
            fps=options.fps,
            unit=options.unit,
            up=options.up,
        )
        return [make_pair(files)]

    return Job(name, (motion, *sounds, *beats), make, told or ())


def piece_of(stem: str) -> str:
    """The music in a file's name: by AIST's naming, Motorica's title where there is one, else the name.

    AIST numbers its music (mBR0). Where a name has the genre alone (mCA), the choreography's number goes
    with it, since each was danced to a song of its own.
    """
    match = AIST_NAME.fullmatch(stem)
    if match is None:
        return stem
    music, choreography, title = match.groups()
    if title:
        return str(title)
    return str(music) if music[-1].isdigit() else f"{music}_{choreography}"


def _one_sound(motion: Path, sounds: Sequence[Path]) -> Path:
    beside = [path for path in sounds if path.parent == motion.parent]
    chosen = beside if len(beside) == 1 else sounds
    if not chosen:
        raise DataError(
            f"{motion}: no audio of that name; put {motion.stem}.wav beside it or name its folder as --audio "
            f"(read_bvh reads a motion alone)"
        )
    if len(chosen) > 1:
        raise DataError(
            f"{motion}: {len(chosen)} audio files of that name ({', '.join(map(str, chosen))}); keep one"
        )
    return chosen[0]


def _by_stem(folder: Path, suffixes: Sequence[str]) -> dict[str, list[Path]]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected one of audio files")
    found: dict[str, list[Path]] = {}
    for path in find_files(folder, suffixes):
        found.setdefault(path.stem, []).append(path)
    return found


def _read_splits(path: Path, stems: set[str]) -> Mapping[str, tuple[str, str, str]]:
    """Piece, take and split of each name."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected a CSV with name, piece, take, split")
    places: dict[str, tuple[str, str, str]] = {}
    for row in read_csv(path, ("name", "piece", "take", "split"), names_files=True):
        name, piece, take, split = (row.cells[column] for column in ("name", "piece", "take", "split"))
        if name not in stems:
            raise DataError(
                f"{row.location}: name {name!r} is no BVH file of the folder; give it without .bvh"
            )
        if split not in SPLITS:
            raise DataError(f"{row.location}: split is {split!r}; expected {', '.join(SPLITS)}")
        if name in places or not piece or not take:
            raise DataError(f"{row.location}: {name!r} needs one line with a piece and a take")
        places[name] = piece, take, split
    return places
