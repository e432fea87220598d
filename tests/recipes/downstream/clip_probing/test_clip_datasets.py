"""Readers of published data sets, on small folders of their layouts."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from motion_data.errors import DataError
from motionbeat_upstream.audio import AudioError
from recipes.benchmark.clip_tasks import CLIP_TASKS
from recipes.downstream.clip_probing.clip_expert import ClipTask
from recipes.downstream.clip_probing.clips import Clip, check_data
from recipes.downstream.clip_probing.published import group_folds
from recipes.downstream.clip_probing.synthetic import (
    synthetic_mixtures,
    synthetic_moods,
    synthetic_notes,
    synthetic_rhythms,
)
from recipes.downstream.clip_probing.targets import Classes
from tests.published_layouts import LAYOUTS, noise, write_csv
from tests.shared_data import shared

DATA_SETS = [(task, layout) for task, definition in CLIP_TASKS.items() for layout in definition.layouts]

SIZES = {
    "gtzan": (443, 197, 290),
    "groove": (12, 3, 3),
    "nsynth": (8, 8, 8),
    "magnatagatune": (23, 2, 6),
    "mtg_jamendo": (4, 4, 4),
}


@pytest.fixture
def data_set(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ClipTask, str, Path]:
    """A task, one of its layouts, and a small folder of this layout."""
    task, layout = request.param
    LAYOUTS[layout](tmp_path / layout)
    return CLIP_TASKS[task], layout, tmp_path / layout


@pytest.mark.slow
@pytest.mark.parametrize("data_set", DATA_SETS, indirect=True, ids=[layout for _, layout in DATA_SETS])
def test_every_fold_can_be_trained_and_tested(data_set: tuple[ClipTask, str, Path]) -> None:
    task, layout, root = data_set
    tested: list[str] = []
    folds = task.layouts[layout].folds
    for fold in range(folds):
        data = task.load(str(root), layout, fold)
        tested += [clip.name for clip in data.splits["test"]]
        assert data.target.names
        clip = data.splits["train"][0]
        assert 0.1 < len(clip.load()) / 16_000 < 1.3
        if layout in SIZES:
            assert tuple(len(data.splits[split]) for split in ("train", "dev", "test")) == SIZES[layout]
    assert len(tested) == len(set(tested))
    if folds > 1 and layout != "groove":
        # Every clip is tested once; in Groove, those of five drummers.
        assert len(tested) == {"philharmonia": 3 * 6 * 7, "emomusic": 11, "pmemo": 11, "deam": 22}[layout]
    with pytest.raises(DataError, match=rf"no test fold {folds}; expected 0 to {folds - 1}"):
        task.load(str(root), layout, folds)


@pytest.mark.slow
@pytest.mark.parametrize("data_set", DATA_SETS, indirect=True, ids=[layout for _, layout in DATA_SETS])
def test_the_error_of_a_folder_one_level_off_names_the_right_one(
    data_set: tuple[ClipTask, str, Path],
) -> None:
    task, layout, root = data_set
    if layout != "philharmonia":  # Its files may be in subfolders.
        with pytest.raises(DataError, match=rf"{re.escape(str(root))} does; give that as the root"):
            task.load(str(root.parent), layout, 0)
    with pytest.raises(DataError, match=r"no such folder; get "):
        task.load(str(root / "nothing"), layout, 0)
    empty = root.parent / "empty" / "folder"
    empty.mkdir(parents=True)
    with pytest.raises(DataError, match=r"get "):
        task.load(str(empty), layout, 0)


@pytest.mark.parametrize(
    ("data_set", "victim"),
    [
        (("genre", "gtzan"), "genres/blues/blues.00029.wav"),
        (("instrument", "nsynth"), "nsynth-train/audio/bass_acoustic_train0-060-100.wav"),
        (("tagging", "magnatagatune"), "3/artist-album-03-song-0-29.mp3"),
        (("tagging", "mtg_jamendo"), "audio/01/2.low.mp3"),
    ],
    indirect=["data_set"],
)
def test_missing_audio_is_named(data_set: tuple[ClipTask, str, Path], victim: str) -> None:
    task, layout, root = data_set
    (root / victim).unlink()
    with pytest.raises(DataError, match=rf"{Path(victim).stem.split('.low')[0]}.*no such file"):
        task.load(str(root), layout, 0)


def test_philharmonia_has_disjoint_pitches_and_dynamics(tmp_path: Path) -> None:
    LAYOUTS["philharmonia"](tmp_path)
    for fold in range(9):
        data = CLIP_TASKS["instrument"].load(str(tmp_path), "philharmonia", fold)
        names = {split: [clip.name.split("_") for clip in clips] for split, clips in data.splits.items()}
        trained = names["train"] + names["dev"]
        for part in (1, 3):
            assert {name[part] for name in names["test"]}.isdisjoint(name[part] for name in trained)


def test_groove_holds_out_a_drummer(tmp_path: Path) -> None:
    LAYOUTS["groove"](tmp_path)
    for fold in range(5):
        data = CLIP_TASKS["genre"].load(str(tmp_path), "groove", fold)
        drummers = {split: {clip.group for clip in clips} for split, clips in data.splits.items()}
        assert len(drummers["test"]) == len(drummers["dev"]) == 1
        assert len(drummers["train"]) == 4
        assert data.target.names == ("jazz", "latin", "rock")


def test_magnatagatune_has_the_fifty_most_frequent_tags(tmp_path: Path) -> None:
    LAYOUTS["magnatagatune"](tmp_path)
    data = CLIP_TASKS["tagging"].load(str(tmp_path), "magnatagatune", 0)
    assert len(data.target.names) == 50
    assert {"tag00", "tag01"}.isdisjoint(data.target.names)


def test_invalid_labels_are_refused(tmp_path: Path) -> None:
    LAYOUTS["nsynth"](tmp_path / "nsynth")
    examples = tmp_path / "nsynth" / "nsynth-valid" / "examples.json"
    notes = json.loads(examples.read_text())
    next(iter(notes.values()))["instrument_family_str"] = "kazoo"
    examples.write_text(json.dumps(notes))
    with pytest.raises(DataError, match="unknown instrument family 'kazoo'; expected bass, brass"):
        CLIP_TASKS["instrument"].load(str(tmp_path / "nsynth"), "nsynth", 0)
    examples.write_text("[1, 2")
    with pytest.raises(DataError, match=r"not NSynth's examples.json"):
        CLIP_TASKS["instrument"].load(str(tmp_path / "nsynth"), "nsynth", 0)

    LAYOUTS["magnatagatune"](tmp_path / "mtt")
    table = tmp_path / "mtt" / "annotations_final.csv"
    table.write_text(table.read_text().replace("\t1\t", "\tyes\t", 1))
    with pytest.raises(DataError, match="a tag is neither 0 nor 1"):
        CLIP_TASKS["tagging"].load(str(tmp_path / "mtt"), "magnatagatune", 0)

    LAYOUTS["emomusic"](tmp_path / "emo")
    table = tmp_path / "emo" / "annotations" / "static_annotations.csv"
    for wrong in ("nan", "", "high"):
        rows = [line.split(",") for line in table.read_text().splitlines()]
        rows[3][1] = wrong
        write_csv(table, rows)
        with pytest.raises(DataError, match=rf"annotations.csv:4: mean_arousal is '{wrong}'"):
            CLIP_TASKS["music_emotion"].load(str(tmp_path / "emo"), "emomusic", 0)
    write_csv(table, [[cell.replace("mean_valence", "valence") for cell in row] for row in rows])
    with pytest.raises(
        DataError, match=r"no column mean_valence; expected .*; found song_id, mean_arousal, valence"
    ):
        CLIP_TASKS["music_emotion"].load(str(tmp_path / "emo"), "emomusic", 0)


def test_the_error_of_a_corrupt_file_names_it(tmp_path: Path) -> None:
    LAYOUTS["nsynth"](tmp_path)
    victim = sorted((tmp_path / "nsynth-test" / "audio").iterdir())[3]
    victim.write_bytes(victim.read_bytes()[:30])
    data = CLIP_TASKS["instrument"].load(str(tmp_path), "nsynth", 0)
    with pytest.raises(AudioError, match=victim.name):
        [clip.load() for clip in data.splits["test"]]


@pytest.mark.slow
@pytest.mark.parametrize("read", [synthetic_notes, synthetic_rhythms, synthetic_mixtures, synthetic_moods])
def test_synthetic_data_sets_are_valid_and_reproducible(read: object) -> None:
    assert callable(read)
    data, again = check_data(read()), read()
    for split, clips in data.splits.items():
        for clip, other in zip(clips, again.splits[split], strict=True):
            np.testing.assert_array_equal(clip.label, other.label)
        assert clips[0].load().abs().max() == pytest.approx(0.5)
        np.testing.assert_array_equal(clips[1].load(), again.splits[split][1].load())


def test_invalid_splits_are_refused() -> None:
    data = synthetic_notes()
    train, dev, test = (list(data.splits[split]) for split in ("train", "dev", "test"))

    def refused(message: str, **splits: Sequence[Clip]) -> None:
        with pytest.raises(DataError, match=message):
            check_data(replace(data, splits={**data.splits, **splits}))

    refused(r"the item 'train_00' is in train and test", test=[*test, train[0]])
    refused(
        r"the clip 'train_00' is in train and dev",
        dev=[replace(dev[0], group=train[0].group), *dev[1:]],
    )
    refused("test_00: is in test twice", test=[*test, test[0]])
    refused("the split dev is empty", dev=[])
    refused(
        "train_03: has no valid label",
        train=[*train[:3], replace(train[3], label=np.array(np.nan, np.float32)), *train[4:]],
    )
    refused("all clips are 'flute'", train=[clip for clip in train if clip.label == 0])
    with pytest.raises(DataError, match=r"train_02.*has no valid label"):
        check_data(replace(data, target=Classes(data.target.names[:2])))


def test_the_same_file_in_two_splits_is_refused(tmp_path: Path) -> None:
    data = synthetic_notes()
    file = noise(tmp_path / "a.wav")
    splits = {split: [replace(clips[0], file=file), *clips[1:]] for split, clips in data.splits.items()}
    with pytest.raises(DataError, match=r"the file .*a\.wav' is in train and dev"):
        check_data(replace(data, splits=splits))


def test_group_folds_have_similar_sizes() -> None:
    groups = [str(number) for number in range(40) for _ in range(1 + number % 5)]
    folds = group_folds(groups, 5)
    assert folds == [
        dict(zip(reversed(groups), group_folds(groups[::-1], 5), strict=True))[g] for g in groups
    ]
    assert len({(group, fold) for group, fold in zip(groups, folds, strict=True)}) == 40
    sizes = np.bincount(folds)
    assert sizes.max() - sizes.min() <= 3


@pytest.mark.parametrize(("layout", "folder", "fold"), [("philharmonia", "philharmonia", 4)])
def test_real_notes(layout: str, folder: str, fold: int) -> None:
    root = shared(f"audio/{folder}")
    data = CLIP_TASKS["instrument"].load(str(root), layout, fold)
    assert len(data.target.names) == 12
    assert {split: len(clips) > 30 for split, clips in data.splits.items()} == dict.fromkeys(
        data.splits, True
    )
    assert data.splits["test"][0].load().abs().max() > 0
