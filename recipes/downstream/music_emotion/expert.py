"""The task music_emotion: valence and arousal of a clip.

On EmoMusic, PMEmo or DEAM, in folds with disjoint artists. (`emotion` is a task of S3PRL, for speech.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from motion_data.csv_file import read_csv
from motion_data.errors import DataError
from recipes.downstream.clip_probing.clip_expert import ClipExpert, ClipTask, Layout
from recipes.downstream.clip_probing.clips import ClipData
from recipes.downstream.clip_probing.published import (
    audio_by_stem,
    file_clip,
    fold_splits,
    group_folds,
    numbers,
    require_path,
)
from recipes.downstream.clip_probing.synthetic import synthetic_moods
from recipes.downstream.clip_probing.targets import Values

NAMES = ("valence", "arousal")

FOLDS = 5

SONG_COLUMNS = ("song_id", "musicid", "id")
"""Names of the column with the number of the song."""


@dataclass(frozen=True)
class Published:
    """Layout of a data set on disk."""

    name: str
    annotations: Mapping[str, tuple[str, str, str]]
    """Columns of song, valence and arousal, by table."""
    metadata: tuple[str, ...]
    """Tables with columns of the song (``SONG_COLUMNS``) and the artist, in any case."""
    audio: tuple[str, ...]
    """Folders of the audio, whose files are named by song; the first that exists is used."""
    source: str


EMOMUSIC = Published(
    "EmoMusic",
    {"annotations/static_annotations.csv": ("song_id", "mean_valence", "mean_arousal")},
    ("annotations/songs_info.csv",),
    ("clips_45seconds", "clips_45sec"),
    "EmoMusic, 744 excerpts of 45 s (Soleymani et al. 2013; cvml.unige.ch/databases/emoMusic, on request, "
    "for research)",
)

PMEMO = Published(
    "PMEmo",
    {"annotations/static_annotations.csv": ("musicId", "Valence(mean)", "Arousal(mean)")},
    ("metadata.csv",),
    ("chorus",),
    "PMEmo2019 (Zhang et al. 2018; github.com/HuiZhangDB/PMEmo, for research)",
)

_SONG_LEVEL = "annotations/annotations averaged per song/song_level"

DEAM = Published(
    "DEAM",
    {
        f"{_SONG_LEVEL}/static_annotations_averaged_songs_{songs}.csv": (
            "song_id",
            "valence_mean",
            "arousal_mean",
        )
        for songs in ("1_2000", "2000_2058")
    },
    ("metadata/metadata_2013.csv", "metadata/metadata_2014.csv", "metadata/metadata_2015.csv"),
    ("MEMD_audio", "audio"),
    "DEAM, 1,802 excerpts and songs (Aljanaki et al. 2017; cvml.unige.ch/databases/DEAM, for research)",
)


def read(published: Published, root: Path, fold: int) -> ClipData:
    """Annotated songs with audio, in five folds of similar size with disjoint artists.

    A song without an artist is its own group.

    Raises:
        DataError: a missing file, a value that is not a number, or no song with audio.
    """
    artists: dict[str, str] = {}
    for relative in published.metadata:
        table = require_path(root, relative, published.source)
        for row in read_csv(table, ()):
            cells = {name.casefold(): value for name, value in row.cells.items()}
            song = next((cells[name] for name in SONG_COLUMNS if name in cells), None)
            if song is None or "artist" not in cells:
                raise DataError(
                    f"{table}: expected columns of the song and the artist, got {', '.join(row.cells)}"
                )
            artists[_number(song)] = cells["artist"].casefold()
    folder = next(
        (root / name for name in published.audio if (root / name).is_dir()), root / published.audio[0]
    )
    audio = audio_by_stem(require_path(root, folder.name, published.source))
    clips = []
    for relative, names in published.annotations.items():
        table = require_path(root, relative, published.source)
        for row in read_csv(table, names):
            song = _number(row.cells[names[0]])
            value = numbers(row, names[1:])
            if song in audio:
                clips.append(file_clip(song, artists.get(song) or f"song {song}", value, audio[song]))
    if not clips:
        raise DataError(f"{root}: no annotated song has audio in {folder}; get {published.source}")
    folds = group_folds([clip.group for clip in clips], FOLDS)
    splits = fold_splits(clips, folds, fold)
    return ClipData(f"{published.name}, fold {fold} of {FOLDS}", Values(NAMES), "artist", splits)


def _number(song: str) -> str:
    """The number of a song as in file names: 2 for '2.0' and '002'."""
    try:
        return str(int(float(song)))
    except (ValueError, OverflowError):
        return song


MUSIC_EMOTION = ClipTask(
    "music_emotion",
    {
        name: Layout(partial(read, published), FOLDS, published.source)
        for name, published in (("emomusic", EMOMUSIC), ("pmemo", PMEMO), ("deam", DEAM))
    },
    synthetic_moods,
)


class DownstreamExpert(ClipExpert):
    """See :class:`~recipes.downstream.clip_probing.clip_expert.ClipExpert`."""

    task = MUSIC_EMOTION
