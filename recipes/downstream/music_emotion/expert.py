"""The task music_emotion: valence and arousal of a clip, R² and Pearson's r.

On EmoMusic, PMEmo or DEAM: whole excerpts, in folds that share no artist. (`emotion` is S3PRL's own task, of
speech.)
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
from recipes.downstream.clip_probing.made import made_moods
from recipes.downstream.clip_probing.published import (
    audio_by_stem,
    clip,
    expect,
    fold_splits,
    group_folds,
    numbers,
)
from recipes.downstream.clip_probing.targets import Values

NAMES = ("valence", "arousal")

FOLDS = 5

SONG = ("song_id", "musicid", "id")
"""What the column of the song's number is called."""


@dataclass(frozen=True)
class Published:
    """How one of the data sets lies on disk."""

    name: str
    annotations: Mapping[str, tuple[str, str, str]]
    """Tables with their columns of song, valence and arousal."""
    metadata: tuple[str, ...]
    """Tables with a column of the song (``SONG``) and one of the artist, in capitals or not."""
    audio: tuple[str, ...]
    """The folder of the audio, files named by the song; the first that is there."""
    obtained: str


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
    """One of the data sets, in five folds of like size that share no artist.

    Songs that are annotated and whose audio is there; a song whose artist is not known is its own group.

    Raises:
        DataError: a file is missing, a value is no number, or no song has audio.
    """
    artists: dict[str, str] = {}
    for relative in published.metadata:
        table = expect(root, relative, published.obtained)
        for row in read_csv(table, ()):
            cells = {name.casefold(): value for name, value in row.cells.items()}
            song = next((cells[name] for name in SONG if name in cells), None)
            if song is None or "artist" not in cells:
                raise DataError(f"{table}: no column of songs or of artists; found {', '.join(row.cells)}")
            artists[_number(song)] = cells["artist"].casefold()
    folder = next(
        (root / name for name in published.audio if (root / name).is_dir()), root / published.audio[0]
    )
    audio = audio_by_stem(expect(root, folder.name, published.obtained))
    clips = []
    for relative, names in published.annotations.items():
        table = expect(root, relative, published.obtained)
        for row in read_csv(table, names):
            song = _number(row.cells[names[0]])
            value = numbers(row, names[1:])
            if song in audio:
                clips.append(clip(song, artists.get(song) or f"song {song}", value, audio[song]))
    if not clips:
        raise DataError(f"{root}: no annotated song has audio in {folder}; get {published.obtained}")
    folds = group_folds([one.group for one in clips], FOLDS)
    splits = fold_splits(clips, folds, fold)
    return ClipData(f"{published.name}, fold {fold} of {FOLDS}", Values(NAMES), "artist", splits)


def _number(song: str) -> str:
    """A song's number as files are named by it: '2.0' and '002' are 2."""
    try:
        return str(int(float(song)))
    except (ValueError, OverflowError):
        return song


MUSIC_EMOTION = ClipTask(
    "music_emotion",
    {
        name: Layout(partial(read, published), FOLDS, published.obtained)
        for name, published in (("emomusic", EMOMUSIC), ("pmemo", PMEMO), ("deam", DEAM))
    },
    made_moods,
)


class DownstreamExpert(ClipExpert):
    """See :class:`~recipes.downstream.clip_probing.clip_expert.ClipExpert`."""

    task = MUSIC_EMOTION
