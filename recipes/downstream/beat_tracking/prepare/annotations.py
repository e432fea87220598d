"""Published beat annotations next to your own audio: Ballroom, GTZAN, Hainsworth, SMC, Harmonix, …

    git clone https://github.com/CPJKU/beat_this_annotations ANNOTATIONS
    python -m recipes.downstream.beat_tracking.prepare.annotations ANNOTATIONS/ballroom AUDIO ballroom.csv

AUDIO is searched with its subfolders for the recordings of the data set, by name without regard to case,
punctuation and the data set's name in front (``ballroom_Media-100601.beats`` belongs to ``Media-100601.wav``,
``gtzan_blues_00000.beats`` to ``blues.00000.au``). The CSV file is a data set for the task beat_tracking and
for ``recipes.benchmark beats``; where the data set has folds, it has them as well. Nothing is copied.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from motion_data.errors import DataError
from motion_data.files import find_files
from motionbeat_upstream.commands.command import command
from motionbeat_upstream.decoding import AUDIO_SUFFIXES

AUDIO_SOURCES = {
    "ballroom": "http://mtg.upf.edu/ismir2004/contest/tempoContest/node5.html",
    "gtzan": "http://marsyas.info/downloads/datasets.html",
    "smc": "http://smc.inescporto.pt/research/data-2/",
    "hainsworth": "the authors (Hainsworth and Macleod, 2004), on request",
    "harmonix": "the recordings that https://github.com/urinieto/harmonixset lists; they are not distributed",
}
"""Where the audio of a data set is obtained."""


@command("annotations")
def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        "python -m recipes.downstream.beat_tracking.prepare.annotations",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("annotations", type=Path, metavar="ANNOTATIONS", help="folder of one data set")
    parser.add_argument("audio", type=Path, metavar="AUDIO", help="folder of its recordings")
    parser.add_argument("out", type=Path, metavar="OUT.csv")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT.csv")
    options = parser.parse_args(arguments)
    if options.out.exists() and not options.overwrite:
        raise DataError(f"{options.out}: exists already; give --overwrite to replace it")
    missing = write_data_set(options.annotations, options.audio, options.out)
    if missing:
        names = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        print(
            f"{options.audio}: no audio for {len(missing)} annotations, left out ({names})", file=sys.stderr
        )
    print(f"{options.out}: written")
    return 0


def write_data_set(annotations: Path, audio: Path, out: Path) -> list[str]:
    """Write the CSV file; returns the names of annotations without audio.

    Raises:
        DataError: a folder is missing or holds nothing of the data set, two recordings have one name, or the
            folds cannot be read.
    """
    from recipes.downstream.beat_tracking.dataset import Row, load_recordings, write_splits

    data_set = annotations.resolve().name
    beats = sorted((annotations / "annotations" / "beats").glob("*.beats"))
    if not beats:
        raise DataError(
            f"{annotations}: no annotations/beats/*.beats; expected the folder of a data set of "
            f"https://github.com/CPJKU/beat_this_annotations"
        )
    recordings = find_recordings(audio, data_set)
    pairs = [(recordings.get(normalised(path.stem, data_set)), path) for path in beats]
    found = [(recording, path) for recording, path in pairs if recording is not None]
    if not found:
        source = AUDIO_SOURCES.get(data_set)
        raise DataError(
            f"{audio}: none of the {len(beats)} recordings of {data_set} (such as {beats[0].stem}) among "
            f"{len(recordings)} audio files" + (f"; they are obtained from {source}" if source else "")
        )
    folds = read_folds(annotations)
    without = [path.stem for _, path in found if folds and path.stem not in folds]
    if without:
        raise DataError(f"{annotations}: {len(without)} annotations have no fold ({', '.join(without[:3])})")
    load_recordings(audio, [Row(path.stem, recording, path, path.stem, "", "") for recording, path in found])
    write_splits(
        out, [(recording, path, {"fold": folds[path.stem]} if folds else {}) for recording, path in found]
    )
    return [path.stem for recording, path in pairs if recording is None]


def find_recordings(audio: Path, data_set: str) -> dict[str, Path]:
    """Audio files of a folder and its subfolders by their normalised names.

    Raises:
        DataError: no such folder, or two files with one name.
    """
    if not audio.is_dir():
        raise DataError(f"{audio}: no such folder; expected the recordings of {data_set}")
    recordings: dict[str, Path] = {}
    for path in find_files(audio, AUDIO_SUFFIXES):
        other = recordings.setdefault(normalised(path.stem, data_set), path)
        if other != path:
            raise DataError(f"{path}: has the same name as {other}; remove one of them")
    return recordings


def normalised(stem: str, data_set: str) -> str:
    """A name in lower case, with one underscore for punctuation, without the data set's name in front."""
    name = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")
    return name.removeprefix(f"{data_set.lower()}_")


def read_folds(annotations: Path) -> Mapping[str, str]:
    """Fold of each annotation by its name, from the data set's file of 8 folds; empty where it has none.

    Raises:
        DataError: a line that is not a name, a tab and a number.
    """
    files = sorted(path for path in annotations.glob("*8-fold*") if path.is_file())
    if not files:
        return {}
    folds = {}
    for number, line in enumerate(files[0].read_text(encoding="utf-8").splitlines(), 1):
        name, _, fold = line.rpartition("\t")
        if not name or not fold.strip().isdecimal():
            raise DataError(f"{files[0]}:{number}: expected a name, a tab and a fold, found {line[:60]!r}")
        folds[name] = fold.strip()
    return folds


if __name__ == "__main__":
    sys.exit(main())
