"""Tables of users: what is read, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from motion_data.csv_file import read_csv
from motion_data.errors import DataError


def test_rows_with_their_places(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes(
        b'\xef\xbb\xbfpiece , split,note\r\n"a, b", train ,x\r\n\r\nc,dev\r\n"d\ne",test,y,beyond\r\n'
    )
    rows = read_csv(file, ("piece", "split"))
    assert [row.cells for row in rows] == [
        {"piece": "a, b", "split": "train", "note": "x"},
        {"piece": "c", "split": "dev", "note": ""},
        {"piece": "d e", "split": "test", "note": "y"},
    ]
    # Lines of the file, counted by hand: the last row covers two.
    assert [row.location.rpartition(":")[2] for row in rows] == ["2", "4", "6"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no column piece and no column split; expected piece,split, in UTF-8; found nothing"),
        (b"piece,spl\nit\na,b\n", "no column split"),
        (b"piece,split,piece\na,b,c\n", "the column piece occurs twice"),
        (b"piece,split\n\xff,b\n", "not a CSV file in UTF-8"),
        (b"piece,split\n" + b"x" * 200_000 + b",b\n", "field larger than field limit"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(tmp_path: Path, data: bytes, message: str) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes(data)
    with pytest.raises(DataError, match=message) as error:
        read_csv(file, ("piece", "split"))
    assert len(str(error.value).splitlines()) == 1
    assert str(file) in str(error.value)


def test_names_of_files_keep_their_bytes(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes(b"audio\n\xff.wav\n")
    (row,) = read_csv(file, ("audio",), names_files=True)
    assert row.cells["audio"].encode("utf-8", "surrogateescape") == b"\xff.wav"
