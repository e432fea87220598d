"""The task genre: one of several genres or styles, accuracy and confusion matrix.

On GTZAN with its fault-filtered split, or on the styles of the Groove MIDI Dataset by held-out drummer.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

from motion_data.csv_file import read_csv
from motion_data.errors import DataError
from recipes.downstream.clip_probing.clip_expert import ClipExpert, ClipTask, Layout
from recipes.downstream.clip_probing.clips import Clip, ClipData
from recipes.downstream.clip_probing.made import made_rhythms
from recipes.downstream.clip_probing.published import audio_by_stem, clip, expect, fold_splits
from recipes.downstream.clip_probing.targets import Classes

GTZAN = (
    "GTZAN's genres.tar.gz (Tzanetakis and Cook 2002; genres/blues/blues.00000.wav …), whose recordings are "
    "not licensed for redistribution"
)

GROOVE = (
    "the Groove MIDI Dataset with its audio (groove-v1.0.0.zip, magenta.tensorflow.org/datasets/groove, "
    "CC BY 4.0), or render its MIDI: python -m recipes.downstream.genre.render_groove SOURCE OUT"
)

FEWEST_DRUMMERS = 3
"""A style that fewer have played cannot be learned from others."""

DRUMMERS = 5
"""So many are tested in turn, those who have played most styles."""


def read_gtzan(root: Path, fold: int) -> ClipData:
    """GTZAN's 930 clips without faults: 443 to train on, 197 dev, 290 test, no artist in two of them.

    The lists are those that come with torchaudio (Kereliuk et al. 2015); the clip jazz.00054, whose file is
    broken, is in none.

    Raises:
        DataError: the folder is not GTZAN.
    """
    from torchaudio.datasets import gtzan

    genres = tuple(gtzan.gtzan_genres)
    places = (root / "genres", root / "genres_original", root)
    folder = next((place for place in places if (place / genres[0]).is_dir()), None)
    folder = folder or expect(root, "genres", GTZAN)
    files = {genre: audio_by_stem(expect(folder, genre, GTZAN)) for genre in genres}

    def clips(stems: list[str]) -> list[Clip]:
        found = []
        for stem in stems:
            genre = stem.split(".")[0]
            file = files[genre].get(stem, folder / genre / f"{stem}.wav")
            found.append(clip(stem, stem, genres.index(genre), file))
        return found

    lists = {"train": gtzan.filtered_train, "dev": gtzan.filtered_valid, "test": gtzan.filtered_test}
    splits = {split: clips(stems) for split, stems in lists.items()}
    return ClipData("GTZAN, fault-filtered", Classes(genres), "clip", splits)


def read_groove(root: Path, fold: int) -> ClipData:
    """The styles that at least three drummers played, one drummer tested, one dev, the others trained on.

    Whole takes (no fills). Of the five drummers with most styles, ``fold`` says who is tested; the next is
    dev. Intervals over drummers are of five.

    Raises:
        DataError: the folder is not Groove, or has no audio.
    """
    rows = [
        row.cells
        for row in read_csv(
            expect(root, "info.csv", GROOVE),
            ("id", "drummer", "style", "beat_type", "midi_filename", "audio_filename"),
        )
        if row.cells["beat_type"] == "beat"
    ]
    played: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        row["style"] = row["style"].split("/")[0]
        played[row["style"]].add(row["drummer"])
    styles = tuple(sorted(style for style, drummers in played.items() if len(drummers) >= FEWEST_DRUMMERS))
    rows = [row for row in rows if row["style"] in styles]
    versatile = Counter(
        {
            drummer: sum(drummer in played[style] for style in styles)
            for drummer in sorted({row["drummer"] for row in rows})
        }
    )
    tested = [drummer for drummer, _ in versatile.most_common(DRUMMERS)]
    if len(tested) < DRUMMERS:
        raise DataError(f"{root}: takes of {len(tested)} drummers, expected {DRUMMERS} or more; get {GROOVE}")
    clips, folds = [], []
    for row in rows:
        # The published audio, which some takes lack, or what render_groove makes of the notes.
        places = (root / row["audio_filename"], (root / row["midi_filename"]).with_suffix(".flac"))
        file = next((place for place in places if place.is_file()), None)
        if file is None:
            continue
        clips.append(clip(row["id"], row["drummer"], styles.index(row["style"]), file))
        # Those who are never tested are trained on in every fold.
        folds.append(tested.index(row["drummer"]) if row["drummer"] in tested else -1)
    if not clips:
        raise DataError(f"{root}: info.csv is there, but no audio; get {GROOVE}")
    splits = fold_splits(clips, folds, fold)
    rendered = ", rendered" if any(one.file and one.file.suffix == ".flac" for one in clips) else ""
    return ClipData(f"Groove{rendered}, style, {tested[fold]} held out", Classes(styles), "drummer", splits)


GENRE = ClipTask(
    "genre",
    {"gtzan": Layout(read_gtzan, 1, GTZAN), "groove": Layout(read_groove, DRUMMERS, GROOVE)},
    made_rhythms,
)


class DownstreamExpert(ClipExpert):
    """See :class:`~recipes.downstream.clip_probing.clip_expert.ClipExpert`."""

    task = GENRE
