"""The task genre: genre or style of a clip.

On GTZAN with its fault-filtered split, or on the styles of the Groove MIDI Dataset with held-out drummers.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from motion_data.csv_file import read_csv
from motion_data.errors import DataError
from recipes.downstream.clip_probing.clip_expert import ClipExpert, ClipTask, Layout
from recipes.downstream.clip_probing.clips import Clip, ClipData
from recipes.downstream.clip_probing.published import audio_by_stem, file_clip, fold_splits, require_path
from recipes.downstream.clip_probing.synthetic import synthetic_rhythms
from recipes.downstream.clip_probing.targets import Classes

GTZAN = (
    "GTZAN's genres.tar.gz (Tzanetakis and Cook 2002; genres/blues/blues.00000.wav …), whose recordings are "
    "not licensed for redistribution"
)

GROOVE = (
    "the Groove MIDI Dataset with its audio (groove-v1.0.0.zip, magenta.tensorflow.org/datasets/groove, "
    "CC BY 4.0), or render its MIDI: python -m recipes.downstream.genre.render_groove SOURCE OUT"
)

MIN_DRUMMERS = 3
"""Styles with fewer drummers are left out."""

DRUMMERS = 5
"""Number of folds: the drummers with the most styles."""


def read_gtzan(root: Path, fold: int) -> ClipData:
    """GTZAN's 930 fault-filtered clips: 443 train, 197 dev, 290 test, with disjoint artists.

    The lists are torchaudio's (Kereliuk et al. 2015). They leave out jazz.00054, whose file is damaged.

    Raises:
        DataError: the folder is not GTZAN.
    """
    from torchaudio.datasets import gtzan

    genres = tuple(gtzan.gtzan_genres)
    folders = (root / "genres", root / "genres_original", root)
    folder = next((folder for folder in folders if (folder / genres[0]).is_dir()), None)
    folder = folder or require_path(root, "genres", GTZAN)
    files = {genre: audio_by_stem(require_path(folder, genre, GTZAN)) for genre in genres}

    def read_clips(stems: list[str]) -> list[Clip]:
        clips = []
        for stem in stems:
            genre = stem.split(".")[0]
            file = files[genre].get(stem, folder / genre / f"{stem}.wav")
            clips.append(file_clip(stem, stem, genres.index(genre), file))
        return clips

    lists = {"train": gtzan.filtered_train, "dev": gtzan.filtered_valid, "test": gtzan.filtered_test}
    splits = {split: read_clips(stems) for split, stems in lists.items()}
    return ClipData("GTZAN, fault-filtered", Classes(genres), "clip", splits)


def read_groove(root: Path, fold: int) -> ClipData:
    """Groove's styles with at least three drummers; one drummer is test, the next dev, the others train.

    Whole takes without fills. ``fold`` is the index of the test drummer among the five with the most styles.

    Raises:
        DataError: the folder is not Groove or has no audio.
    """
    rows = [
        row.cells
        for row in read_csv(
            require_path(root, "info.csv", GROOVE),
            ("id", "drummer", "style", "beat_type", "midi_filename", "audio_filename"),
        )
        if row.cells["beat_type"] == "beat"
    ]
    drummers_of: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        row["style"] = row["style"].split("/")[0]
        drummers_of[row["style"]].add(row["drummer"])
    styles = tuple(sorted(style for style, drummers in drummers_of.items() if len(drummers) >= MIN_DRUMMERS))
    rows = [row for row in rows if row["style"] in styles]
    counts = {
        drummer: sum(drummer in drummers_of[style] for style in styles)
        for drummer in sorted({row["drummer"] for row in rows})
    }
    tested = sorted(counts, key=lambda drummer: -counts[drummer])[:DRUMMERS]
    if len(tested) < DRUMMERS:
        raise DataError(f"{root}: takes of {len(tested)} drummers, expected {DRUMMERS} or more; get {GROOVE}")
    clips, folds = [], []
    for row in rows:
        # The published audio, which some takes lack, or that of render_groove.
        paths = (root / row["audio_filename"], (root / row["midi_filename"]).with_suffix(".flac"))
        file = next((path for path in paths if path.is_file()), None)
        if file is None:
            continue
        clips.append(file_clip(row["id"], row["drummer"], styles.index(row["style"]), file))
        # Other drummers are in train in every fold.
        folds.append(tested.index(row["drummer"]) if row["drummer"] in tested else -1)
    if not clips:
        raise DataError(f"{root}: contains info.csv but no audio; get {GROOVE}")
    splits = fold_splits(clips, folds, fold)
    rendered = ", rendered" if any(clip.file and clip.file.suffix == ".flac" for clip in clips) else ""
    return ClipData(f"Groove{rendered}, style, {tested[fold]} held out", Classes(styles), "drummer", splits)


GENRE = ClipTask(
    "genre",
    {"gtzan": Layout(read_gtzan, 1, GTZAN), "groove": Layout(read_groove, DRUMMERS, GROOVE)},
    synthetic_rhythms,
)


class DownstreamExpert(ClipExpert):
    """See :class:`~recipes.downstream.clip_probing.clip_expert.ClipExpert`."""

    task = GENRE
