"""Readers of MIDI corpora with beats: Groove, ASAP, POP909."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from motion_data.beats_file import Beats
from motion_data.csv_file import read_csv
from motion_data.errors import DataError
from motion_data.midi_beats import check_increasing, midi_beats, pop909_beats
from recipes.downstream.beat_tracking.dataset import SPLIT_NAMES, split_by_ratio

RATIOS = (0.8, 0.1, 0.1)
"""Shares of train, dev and test, by piece, for a corpus without splits."""


@dataclass(frozen=True)
class Take:
    """A MIDI file with its beats."""

    name: str
    piece: str
    midi: Path
    split: str
    beats: Callable[[], Beats]
    """Reads the beats; raises ``DataError``."""


@dataclass(frozen=True)
class Corpus:
    """A corpus that can be rendered."""

    find: Callable[[Path], list[Take]]
    """The takes in a folder; raises ``DataError`` if it is not the corpus."""
    about: str
    """Source, licence and kind of beats, for the README."""


def find_groove(source: Path) -> list[Take]:
    """Groove's takes without fills, in the official splits; metres in quarters, or 6/8."""
    index = source / "info.csv"
    if not index.is_file():
        raise DataError(
            f"{index}: no such file; SOURCE must be the Groove MIDI Dataset's folder with info.csv "
            f"(magenta.tensorflow.org/datasets/groove)"
        )
    takes = []
    for row in read_csv(index, ("id", "beat_type", "time_signature", "midi_filename", "split")):
        cells = row.cells
        signature = cells["time_signature"]
        if cells["beat_type"] != "beat" or not (signature.endswith("-4") or signature == "6-8"):
            continue
        if cells["split"] not in SPLIT_NAMES:
            raise DataError(
                f"{row.location}: split is {cells['split']!r}; expected one of {', '.join(SPLIT_NAMES)}"
            )
        midi = source / cells["midi_filename"]
        name = cells["id"].replace("/", "_")
        takes.append(Take(name, name, midi, SPLIT_NAMES[cells["split"]], partial(midi_beats, midi)))
    return takes


def find_asap(source: Path) -> list[Take]:
    """ASAP's performances; those of one score are one piece."""
    annotations = sorted(source.rglob("*_annotations.txt"))
    annotations = [path for path in annotations if not path.name.startswith("midi_score")]
    if not annotations:
        raise DataError(
            f"{source}: no *_annotations.txt below it; SOURCE must be the ASAP data set's folder "
            f"(github.com/fosfrancesco/asap-dataset)"
        )
    pieces = ["_".join(path.parent.relative_to(source).parts) for path in annotations]
    splits = split_by_ratio(pieces, RATIOS, 0)
    return [
        Take(
            f"{piece}_{path.name.removesuffix('_annotations.txt')}",
            piece,
            path.with_name(path.name.removesuffix("_annotations.txt") + ".mid"),
            splits[piece],
            partial(asap_beats, path),
        )
        for path, piece in zip(annotations, pieces, strict=True)
    ]


def find_pop909(source: Path) -> list[Take]:
    """POP909's songs."""
    annotations = sorted(source.glob("*/beat_midi.txt"))
    if not annotations:
        raise DataError(
            f"{source}: no */beat_midi.txt below it; SOURCE must be POP909's folder of numbered folders "
            f"(github.com/music-x-lab/POP909-Dataset)"
        )
    names = [path.parent.name for path in annotations]
    splits = split_by_ratio(names, RATIOS, 0)
    return [
        Take(f"pop909_{name}", name, path.with_name(f"{name}.mid"), splits[name], partial(pop909_beats, path))
        for path, name in zip(annotations, names, strict=True)
    ]


def asap_beats(path: Path) -> Beats:
    """The beats of an ASAP annotation, whose lines are time, time and ``b``, ``bR`` or ``db,METRE,…``.

    Positions before the first downbeat are counted back from it in the metre of the first bar.
    """
    times: list[float] = []
    positions: list[int] = []
    first_downbeat: int | None = None
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a UTF-8 text file ({error}); download it again") from error
    for number, line in enumerate(lines, 1):
        fields = line.split("\t")
        label = fields[-1].split(",")[0]
        try:
            time = float(fields[0])
        except ValueError:
            time = float("nan")
        if len(fields) != 3 or label not in ("b", "bR", "db") or not np.isfinite(time):
            raise DataError(f"{path}:{number}: expected time, time and b, bR or db, got {line[:60]!r}")
        times.append(time)
        if label == "db" and first_downbeat is None:
            first_downbeat = len(times) - 1
        positions.append(1 if label == "db" else positions[-1] + 1 if first_downbeat is not None else 0)
    if first_downbeat is None:
        raise DataError(f"{path}: has no downbeat (db)")
    try:
        second_downbeat = positions.index(1, first_downbeat + 1)
    except ValueError:
        second_downbeat = len(positions)
    metre = max(second_downbeat - first_downbeat, first_downbeat + 1)
    positions[:first_downbeat] = range(metre - first_downbeat + 1, metre + 1)
    return check_increasing(Beats(np.array(times), np.array(positions)), path)


CORPORA = {
    "groove": Corpus(
        find_groove,
        "Groove MIDI Dataset, Google LLC, CC BY 4.0 (Gillick et al., ICML 2019). Human drumming to a "
        "metronome. The beats are those of the metronome, from the grid of tempo and time signature, while "
        "there is drumming; 6/8 has two beats. The drums are ahead of it by 15 ms in the median take, by "
        "more than 40 ms in 13 of 471. The splits are the official ones. Fills, 5/8 etc. are left out.",
    ),
    "asap": Corpus(
        find_asap,
        "ASAP, Foscarin et al., ISMIR 2020, CC BY-NC-SA 4.0: not for commercial use, derived works under "
        "the same terms. Human piano performances with human beats and downbeats. Splits by score. The "
        "performances are rendered with a soundfont: this is not the audio of MAESTRO.",
    ),
    "pop909": Corpus(
        find_pop909,
        "POP909, Wang et al., ISMIR 2020, repository under the MIT licence; the songs are arrangements of "
        "commercial pop songs, whose authors keep their rights. Beats and downbeats of beat_midi.txt, while "
        "there are notes. (beat_audio.txt belongs to the original recordings.)",
    ),
}
