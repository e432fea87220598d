"""SMPL's own pickles, made after their pattern: old protocols, chumpy's objects, a sparse regressor."""

from __future__ import annotations

import os
import pickle
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from motion_data.body.smpl import read_rest_joints, read_smpl_pickle
from motion_data.errors import DataError
from tests.fabricated_smpl import fabricated_smpl


@pytest.fixture
def chumpy() -> Iterator[type]:
    """A class that is pickled as ``chumpy.ch.Ch``, and cannot be found again when it is read."""

    class Ch:
        def __init__(self, x: Any) -> None:
            self.__dict__.update(x=x, _dirty_vars={"x"}, _itr=None, _depends_on_deps={})

    Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"
    for name in ("chumpy", "chumpy.ch"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["chumpy.ch"].Ch = Ch  # type: ignore[attr-defined]
    yield Ch
    for name in ("chumpy", "chumpy.ch"):
        sys.modules.pop(name, None)


def official(chumpy: Callable[[Any], Any], protocol: int, old_scipy: bool) -> bytes:
    """A fabricated model, pickled as the official one is."""
    arrays: dict[str, Any] = dict(fabricated_smpl(5))
    arrays["J_regressor"][arrays["J_regressor"] < 1e-3] = 0
    arrays |= {
        "v_template": chumpy(arrays["v_template"]),
        "shapedirs": chumpy(arrays["shapedirs"]),
        "J_regressor": sparse.csc_matrix(arrays["J_regressor"]),
        "bs_type": "lrotmin",
        "pose_training_info": {"gender": "neutral", "what": chumpy(None)},
    }
    data = pickle.dumps(arrays, protocol=protocol)
    del sys.modules["chumpy"], sys.modules["chumpy.ch"]
    return data.replace(b"scipy.sparse._csc", b"scipy.sparse.csc") if old_scipy else data


@pytest.mark.parametrize("protocol", [0, 1, 2])
@pytest.mark.parametrize("old_scipy", [True, False])
def test_it_is_read_without_chumpy(
    tmp_path: Path, chumpy: Callable[[Any], Any], protocol: int, old_scipy: bool
) -> None:
    path = tmp_path / "basicmodel.pkl"
    path.write_bytes(official(chumpy, protocol, old_scipy))
    with pytest.raises(ModuleNotFoundError, match="chumpy"):
        pickle.loads(path.read_bytes())
    expected = fabricated_smpl(5)
    regressor = np.where(expected["J_regressor"] < 1e-3, 0, expected["J_regressor"])
    np.testing.assert_allclose(read_rest_joints(path), regressor @ expected["v_template"])
    assert "chumpy" not in sys.modules


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 9), st.floats(0.3, 1))
def test_sparse_columns_are_those_of_scipy(
    tmp_path_factory: pytest.TempPathFactory, seed: int, rows: int, columns: int, density: float
) -> None:
    matrix = sparse.random(rows + 1, columns + 1, density, format="csc", random_state=seed)
    path = tmp_path_factory.getbasetemp() / "sparse.pkl"
    path.write_bytes(pickle.dumps({"J_regressor": sparse.csc_matrix(matrix)}, protocol=2))
    np.testing.assert_array_equal(read_smpl_pickle(path)["J_regressor"], matrix.toarray())


class Evil:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.marker}",)


class TestRefused:
    def test_code_beside_the_arrays(self, tmp_path: Path) -> None:
        path, marker = tmp_path / "model.pkl", tmp_path / "ran"
        for protocol in range(6):
            path.write_bytes(pickle.dumps(fabricated_smpl() | {"evil": Evil(marker)}, protocol=protocol))
            with pytest.raises(DataError, match=r"asks for posix\.system; only numpy arrays"):
                read_rest_joints(path)
        assert not marker.exists()

    @pytest.mark.parametrize(
        "written",
        [
            b"cos\nsystem\n(S'touch ran'\ntR.",
            b"cbuiltins\neval\n(S'1'\ntR.",
            b"\x80\x04\x8c\x05numpy\x8c\x0bload.system\x93.",
            b"ccopy_reg\n_reconstructor\n(cbuiltins\nobject\ncbuiltins\nobject\nNtR.",
            b"cchumpyevil\nCh\n.",
            b"cscipy.io\nloadmat\n.",
        ],
    )
    def test_what_is_written_by_hand(self, tmp_path: Path, written: bytes) -> None:
        path = tmp_path / "model.pkl"
        path.write_bytes(written)
        with pytest.raises(DataError, match=r"asks for|expected only objects of chumpy"):
            read_rest_joints(path)

    def test_other_sparse_matrices_and_chumpy_without_array_are_not_guessed_at(
        self, tmp_path: Path, chumpy: Callable[[Any], Any]
    ) -> None:
        arrays = fabricated_smpl() | {
            "J_regressor": sparse.csr_matrix(fabricated_smpl()["J_regressor"]),
            "v_template": chumpy(None),
        }
        (tmp_path / "model.pkl").write_bytes(pickle.dumps(arrays, protocol=2))
        with pytest.raises(DataError, match="lacks v_template, J_regressor"):
            read_rest_joints(tmp_path / "model.pkl")

    def test_a_sparse_matrix_that_does_not_fit(self, tmp_path: Path) -> None:
        matrix = sparse.csc_matrix(np.eye(3))
        matrix.indices = matrix.indices + 5
        (tmp_path / "model.pkl").write_bytes(pickle.dumps({"J_regressor": matrix}, protocol=2))
        with pytest.raises(DataError, match="not a sparse matrix"):
            read_rest_joints(tmp_path / "model.pkl")
