"""Pickles and .npz of arrays: what numpy writes is read as it is, damaged ones are one line."""

import io
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from motion_data.errors import DataError
from motion_data.files import read_npz
from motion_data.safe_pickle import load_arrays, load_arrays_from_bytes

KINDS = arrays.arrays(
    dtype=st.sampled_from(["<f4", ">f8", "<i2", "|b1", "|u1", "<c16", "<U3", "|S4"]),
    shape=arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)


@settings(deadline=None)
@given(KINDS, st.integers(0, pickle.HIGHEST_PROTOCOL), st.booleans())
def test_what_numpy_pickles_is_read_as_it_was(
    array: np.ndarray[tuple[int, ...], np.dtype[np.generic]], protocol: int, fortran: bool
) -> None:
    array = np.asfortranarray(array) if fortran else array
    held = {"array": array, "scalar": np.float64(2.5), "list": [array, array]}
    found = load_arrays_from_bytes(pickle.dumps(held, protocol=protocol), "a.pkl")
    assert found["scalar"] == 2.5
    for one in (found["array"], *found["list"]):
        assert one.dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(one, array)


def test_objects_in_an_array_are_read_too() -> None:
    held = np.array([{"a": np.arange(3.0)}, None], dtype=object)
    found = load_arrays_from_bytes(pickle.dumps(held), "a.pkl")
    np.testing.assert_array_equal(found[0]["a"], [0, 1, 2])
    assert found[1] is None


def test_a_pickle_of_python_2_is_read() -> None:
    # As Python 2 writes the array [1.5, -2]: its bytes are a text there.
    written = (
        b"cnumpy.core.multiarray\n_reconstruct\np0\n(cnumpy\nndarray\np1\n(I0\ntp2\nS'b'\np3\ntp4\nRp5\n(I1\n"
        b"(I2\ntp6\ncnumpy\ndtype\np7\n(S'f8'\np8\nI0\nI1\ntp9\nRp10\n(I3\nS'<'\np11\nNNNI-1\nI-1\nI0\n"
        b"tp12\nbI00\nS'\\x00\\x00\\x00\\x00\\x00\\x00\\xf8?\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\xc0'\np13\ntp14\nb."
    )
    np.testing.assert_array_equal(load_arrays_from_bytes(written, "a.pkl"), [1.5, -2.0])


WHOLE = pickle.dumps({"smpl_poses": np.ones((4, 6)), "names": ["a", "b"]}, protocol=2)


@settings(deadline=None, max_examples=200)
@given(
    at=st.integers(0, len(WHOLE) - 1),
    removed=st.integers(0, 20),
    put=st.binary(max_size=8)
    | st.sampled_from([b"r\xff\xff\xff\x7f", b"N.", b"\x8e\xff\xff\xff\xff\0\0\0\0"]),
)
def test_a_damaged_pickle_is_one_line(at: int, removed: int, put: bytes) -> None:
    said = "a.pkl: "
    try:
        load_arrays_from_bytes(WHOLE[:at] + put + WHOLE[at + removed :], "a.pkl")
    except DataError as error:
        said = str(error)
    # Anything else that is raised fails the test.
    assert said.startswith("a.pkl: ")
    assert "\n" not in said
    assert len(said) < 500


def test_an_index_takes_no_memory() -> None:
    # An empty list that is remembered as number 2,147,483,647.
    assert load_arrays_from_bytes(b"\x80\x02]r\xff\xff\xff\x7f.", "a.pkl") == []


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(DataError, match=r"none\.pkl: no such file"):
        load_arrays("none.pkl")


def compressed() -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, joints=np.random.default_rng(0).random((9, 22, 3)), fps=30.0)
    return stream.getvalue()


@settings(deadline=None, max_examples=100)
@given(at=st.integers(0, len(compressed()) - 1), removed=st.integers(0, 20), put=st.binary(max_size=8))
def test_a_damaged_npz_is_one_line(
    tmp_path_factory: pytest.TempPathFactory, at: int, removed: int, put: bytes
) -> None:
    whole = compressed()
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    path.write_bytes(whole[:at] + put + whole[at + removed :])
    start = said = f"{path}: not a whole .npz of arrays ("
    try:
        read_npz(path)
    except DataError as error:
        said = str(error)
    assert said.startswith(start)
    assert "\n" not in said


def test_only_the_arrays_that_are_named_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", one=np.arange(3), two=np.array([None], dtype=object))
    assert list(read_npz(tmp_path / "a.npz", ("one", "three"))) == ["one"]
    with pytest.raises(DataError, match=r"not a whole \.npz of arrays"):
        read_npz(tmp_path / "a.npz")
