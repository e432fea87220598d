from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_data.errors import DataError
from motion_data.pair import SPLITS
from motionbeat_upstream.audio import AudioError
from motionbeat_upstream.file_name import safe_file_name
from recipes.downstream.beat_tracking.dataset import (
    Recording,
    apportion,
    load_recordings,
    load_splits,
    split_by_ratio,
)
from recipes.downstream.beat_tracking.prepare.folds import main as deal_folds
from tests.file_names import bytes_in_names

RATE = 8000


def add(
    folder: Path, name: str, seconds: float = 2.0, beats: str | None = "0.5\t1\n1.0\t2\n1.5\t1\n"
) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(int(seconds * RATE)), RATE)
    if beats is not None:
        path.with_suffix(".beats").write_text(beats)


def names(splits: dict[str, list[Recording]]) -> dict[str, list[str]]:
    return {split: [recording.name for recording in of] for split, of in splits.items()}


def test_a_folder_is_split_by_ratio_and_read(tmp_path: Path) -> None:
    for index in range(10):
        add(tmp_path, f"sub{index % 2}/p{index}.wav")
    add(tmp_path, "sub0/.p1.part-x.wav", beats=None)  # a preparation at work
    splits = load_splits(tmp_path, (0.6, 0.2, 0.2))
    found = names(splits)
    assert {split: len(of) for split, of in found.items()} == {"train": 6, "dev": 2, "test": 2}
    assert sorted(name for of in found.values() for name in of) == [f"p{index}" for index in range(10)]
    recording = splits["test"][0]
    assert recording.load().shape == (32_000,)
    assert recording.seconds == 2.0
    assert found == names(load_splits(tmp_path, (0.6, 0.2, 0.2)))
    assert found != names(load_splits(tmp_path, (0.6, 0.2, 0.2), split_seed=1))


def test_beats_may_lie_in_a_folder_of_their_own(tmp_path: Path) -> None:
    for index in range(3):
        add(tmp_path, f"audio/p{index}.flac", beats=None)
        (tmp_path / "beats").mkdir(exist_ok=True)
        (tmp_path / "beats" / f"p{index}.beats").write_text(f"0.{index + 1}\t1\n1.0\t1\n")
    splits = load_splits(tmp_path)
    for recordings in splits.values():
        assert recordings[0].beats.times[0] == pytest.approx((int(recordings[0].name[1]) + 1) / 10)


def table(folder: Path, rows: list[str], header: str = "audio,beats,piece,split,fold") -> Path:
    path = folder / "splits.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.mark.parametrize("by_folder", [True, False])
def test_a_table_names_pieces_and_splits(tmp_path: Path, by_folder: bool) -> None:
    for name in "abcd":
        add(tmp_path, f"{name}.wav")
    path = table(
        tmp_path,
        [
            "a.wav,a.beats,x,train,",
            "b.wav,b.beats,x,train,",
            "c.wav,c.beats,,Validation,",
            "d.wav,d.beats,z,test,",
        ],
    )
    splits = load_splits(tmp_path if by_folder else path)
    assert names(splits) == {"train": ["a", "b"], "dev": ["c"], "test": ["d"]}
    assert [recording.piece for recording in splits["train"]] == ["x", "x"]
    assert splits["dev"][0].piece == "c"


def test_folds_go_round(tmp_path: Path) -> None:
    rows = []
    for index in range(8):
        add(tmp_path, f"p{index}.wav")
        rows.append(f"p{index}.wav,p{index}.beats,p{index},train,{index % 4}")
    table(tmp_path, rows)
    tested: list[str] = []
    for fold in range(4):
        found = names(load_splits(tmp_path, test_fold=fold))
        assert found["test"] == [f"p{fold}", f"p{fold + 4}"]
        assert found["dev"] == [f"p{(fold + 1) % 4}", f"p{(fold + 1) % 4 + 4}"]
        assert len(found["train"]) == 4
        tested += found["test"]
    assert sorted(tested) == [f"p{index}" for index in range(8)]
    with pytest.raises(DataError, match="test_fold is 9, but the folds are 0, 1, 2, 3"):
        load_splits(tmp_path, test_fold=9)


@bytes_in_names
def test_folds_of_names_that_are_not_utf8(tmp_path: Path) -> None:
    for name in "abc":
        add(tmp_path, f"{name}.wav")
    for suffix in ("wav", "beats"):
        (tmp_path / f"c.{suffix}").rename(tmp_path / os.fsdecode(b"\x89\xd4." + suffix.encode()))
    assert deal_folds([str(tmp_path), "--folds", "3"]) == 0
    found = names(load_splits(tmp_path, test_fold=0))
    assert sorted(name for of in found.values() for name in of) == sorted(
        ["a", "b", safe_file_name(os.fsdecode(b"\x89\xd4"))]
    )


@pytest.mark.parametrize("column", ["split", "fold"])
def test_a_piece_in_two_splits_is_refused_by_name(tmp_path: Path, column: str) -> None:
    for name in "abcd":
        add(tmp_path, f"{name}.wav")
    rows = ["a.wav,a.beats,waltz,train,0", "b.wav,b.beats,waltz,test,1", "c.wav,c.beats,c,dev,2"]
    table(tmp_path, rows)
    with pytest.raises(DataError, match=r"splits.csv:3: the piece 'waltz'") as error:
        load_splits(tmp_path, test_fold=None if column == "split" else 0)
    assert column in str(error.value)


def test_a_folder_without_folds_is_dealt_into_some(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index in range(7):
        add(tmp_path, f"audio/p{index}.wav")
    for folds, message in (("2", "expected at least 3"), ("8", "7 recordings; expected at least 8")):
        assert deal_folds([str(tmp_path), "--folds", folds]) == 2
        assert message in capsys.readouterr().err
    assert deal_folds([str(tmp_path), "--folds", "3"]) == 0
    tested = [names(load_splits(tmp_path, test_fold=fold))["test"] for fold in range(3)]
    assert sorted(name for fold in tested for name in fold) == [f"p{index}" for index in range(7)]
    assert sorted(map(len, tested)) == [2, 2, 3]
    assert deal_folds([str(tmp_path), "--folds", "3"]) == 2
    assert "exists already" in capsys.readouterr().err


def test_recordings_of_one_stem_keep_names_apart(tmp_path: Path) -> None:
    for index in range(3):
        add(tmp_path, f"s{index}/take.wav")
    add(tmp_path, "lone.wav")
    path = table(
        tmp_path,
        [
            f"s{index}/take.wav,s{index}/take.beats,p{index},{split},"
            for index, split in enumerate(("train", "dev", "test"))
        ]
        + ["lone.wav,lone.beats,l,train,"],
    )
    assert names(load_splits(path)) == {
        "train": ["s0_take.wav", "lone"],
        "dev": ["s1_take.wav"],
        "test": ["s2_take.wav"],
    }


@settings(deadline=None)
@given(
    pieces=st.sets(st.text(min_size=1, max_size=5), min_size=3, max_size=60),
    ratios=st.tuples(st.floats(0.1, 1), st.floats(0.1, 1), st.floats(0.1, 1)),
    seed=st.integers(0, 5),
)
def test_dealing_keeps_every_piece_once_whatever_the_order(
    pieces: set[str], ratios: tuple[float, float, float], seed: int
) -> None:
    dealt = split_by_ratio(sorted(pieces), ratios, seed)
    assert dealt == split_by_ratio(sorted(pieces, reverse=True) * 2, ratios, seed)
    assert set(dealt) == pieces
    counts = {split: list(dealt.values()).count(split) for split in SPLITS}
    for split, ratio in zip(SPLITS, ratios, strict=True):
        wanted = ratio / sum(ratios) * len(pieces)
        assert counts[split] >= 1
        # Never off by more than the ones given to the others' least.
        assert abs(counts[split] - wanted) < 3


@settings(deadline=None)
@given(st.integers(1, 200), st.dictionaries(st.text(max_size=3), st.floats(0.01, 10), min_size=1, max_size=4))
def test_dealt_numbers_add_up(count: int, shares: dict[str, float]) -> None:
    dealt = apportion(count, shares)
    assert sum(dealt.values()) == max(count, len(shares))
    assert min(dealt.values()) >= 1


def test_what_is_missing_is_named_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such folder or CSV file.*GTZAN-Rhythm.*Ballroom.*debian_songs"):
        load_splits(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"contains no audio files; get GTZAN"):
        load_splits(tmp_path)
    for index in range(2):
        add(tmp_path, f"p{index}.wav")
    with pytest.raises(DataError, match="2 pieces cannot be split into train, dev, test"):
        load_splits(tmp_path)
    add(tmp_path, "p2.wav", beats=None)
    with pytest.raises(DataError, match=r"p2.wav: no annotation; expected .*p2.beats"):
        load_splits(tmp_path)
    add(tmp_path, "p2.wav", beats="0.5\t1\n2.2\t1\n")
    with pytest.raises(
        DataError, match=r"p2.beats: the beat at 2.200 s is beyond the end of .*p2.wav at 2.000 s"
    ):
        load_splits(tmp_path)
    add(tmp_path, "p2.wav", beats="0.5\t1\n2.05\t1\n")  # rounding
    load_splits(tmp_path)
    (tmp_path / "p2.wav").write_text("not audio")
    with pytest.raises(AudioError, match=r"p2.wav: not audio"):
        load_splits(tmp_path)


@pytest.mark.parametrize("load", [load_splits, load_recordings])
def test_one_run_names_every_faulty_recording(tmp_path: Path, load: Callable[[Path], object]) -> None:
    for index in range(6):
        add(tmp_path, f"p{index}.wav")
    add(tmp_path, "p1.wav", beats="0.5\t1\nlater\t2\n")
    add(tmp_path, "p3.wav", beats=None)
    (tmp_path / "p3.beats").unlink()
    (tmp_path / "p4.wav").write_text("not audio")
    add(tmp_path, "p5.wav", beats="0.5\t1\n9.0\t2\n")
    with pytest.raises(DataError) as error:
        load(tmp_path)
    first, *lines = str(error.value).splitlines()
    assert first == f"{tmp_path}: 4 of 6 recordings cannot be used:"
    for line, message in zip(
        lines,
        (
            "p1.beats:2: expected a time",
            "p3.wav: no annotation",
            "p4.wav: not audio",
            "p5.beats: the beat at",
        ),
        strict=True,
    ):
        assert message in line


def test_a_beat_before_the_audio_does_not_stop_a_data_set(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for index in range(3):
        add(tmp_path, f"p{index}.wav", beats="-0.1\t4\n0.5\t1\n1.0\t2\n" if index == 1 else "0.5\t1\n1\t2\n")
    assert [len(song.beats.times) for song in load_recordings(tmp_path)] == [2, 2, 2]
    assert [message.partition(": ")[0] for message in caplog.messages] == [str(tmp_path / "p1.beats")]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a.wav,a.beats,a,train,", "b.wav,b.beats,b,test,"], "the split dev is empty"),
        (["a.wav,a.beats,a,learn,"], "splits.csv:2: unknown split 'learn'"),
        (["a.wav,a.beats,a,train,", "b.wav,b.beats,b,,"], "splits.csv:3: the column split is empty"),
        ([",a.beats,a,train,"], "splits.csv:2: the column audio is empty"),
        (["a.wav,a.beats,a,train,", "a.wav,b.beats,a,train,"], "splits.csv:3: .*a.wav is listed twice"),
        (["c.wav,a.beats,a,train,"], "splits.csv:2: no audio file .*c.wav"),
        ([], "contains no recordings"),
    ],
)
def test_a_wrong_table_is_refused_by_line(tmp_path: Path, rows: list[str], message: str) -> None:
    for name in "ab":
        add(tmp_path, f"{name}.wav")
    table(tmp_path, rows)
    with pytest.raises(DataError, match=message):
        load_splits(tmp_path)


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    add(tmp_path, "a.wav")
    with pytest.raises(DataError, match="no column audio and no column beats"):
        load_splits(table(tmp_path, ["a.wav,a.beats"], header="file,label"))
    (tmp_path / "b.csv").write_bytes(b"\xff\xfea\x00")
    with pytest.raises(DataError, match=r"no column audio .* in UTF-8; found \\xff\\xfea"):
        load_splits(tmp_path / "b.csv")
    table(tmp_path, ["a.wav,a.beats,a,train,"])
    with pytest.raises(DataError, match=r"splits.csv:2: datarc.test_fold is 0 but the line has no fold"):
        load_splits(tmp_path, test_fold=0)
