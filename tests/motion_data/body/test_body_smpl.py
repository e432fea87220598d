"""Forward kinematics against one written out by hand and against smplx's own model, on fabricated
files in SMPL's format: the licensed ones cannot be had here."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import smplx
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from smplx.utils import Struct

from motion_data.body.kinematics import REST, forward_kinematics
from motion_data.body.smpl import body_rotations, read_rest_joints, smpl_joints
from motion_data.errors import DataError
from motion_data.skeleton import INDEX, JOINTS, PARENTS
from tests.fabricated_smpl import SMPL_PARENTS, fabricated_smpl, posed_by_hand, write_npz

BODY = len(JOINTS)


def rest_of(arrays: dict[str, Any]) -> NDArray[np.float64]:
    return np.array([row @ arrays["v_template"] for row in arrays["J_regressor"]])


class TestForwardKinematics:
    @settings(max_examples=30, deadline=None)
    @given(st.integers(0, 10**6), st.integers(1, 4), st.sampled_from([1e-9, 0.5, 2, 7]))
    def test_it_is_that_written_by_hand(self, seed: int, frames: int, size: float) -> None:
        draw = np.random.default_rng(seed)
        poses, root = draw.normal(size=(frames, BODY, 3)) * size, draw.normal(size=(frames, 3))
        rest = draw.normal(size=(BODY, 3))
        posed = forward_kinematics(poses, root, rest)
        np.testing.assert_allclose(posed, posed_by_hand(rest, poses, root, PARENTS), atol=1e-9)

    @settings(deadline=None)
    @given(st.integers(0, 10**6))
    def test_bones_keep_their_length(self, seed: int) -> None:
        draw = np.random.default_rng(seed)
        posed = forward_kinematics(draw.normal(size=(3, BODY, 3)), draw.normal(size=(3, 3)))
        for joint, parent in enumerate(PARENTS[1:], 1):
            length = np.linalg.norm(REST[joint] - REST[parent])
            np.testing.assert_allclose(np.linalg.norm(posed[:, joint] - posed[:, parent], axis=-1), length)

    def test_without_rotation_it_is_the_rest_pose(self) -> None:
        root = np.array([[1.0, 2, 3]])
        np.testing.assert_allclose(forward_kinematics(np.zeros((1, BODY, 3)), root)[0], REST + root[0])

    def test_the_root_turns_the_whole_body_about_the_pelvis(self) -> None:
        poses = np.zeros((1, BODY, 3))
        poses[0, 0] = [0, np.pi, 0]
        posed = forward_kinematics(poses, np.zeros((1, 3)))[0]
        np.testing.assert_allclose(posed[0], REST[0], atol=1e-12)
        np.testing.assert_allclose((posed - REST[0]) * [-1, 1, -1], REST - REST[0], atol=1e-9)

    def test_shapes_that_do_not_fit(self) -> None:
        with pytest.raises(DataError, match=r"expected \(T, 22, 3\)"):
            forward_kinematics(np.zeros((2, 24, 3)), np.zeros((2, 3)))
        with pytest.raises(DataError, match="T at least 1"):
            forward_kinematics(np.zeros((0, BODY, 3)), np.zeros((0, 3)))
        with pytest.raises(DataError, match=r"root of shape"):
            forward_kinematics(np.zeros((2, BODY, 3)), np.zeros((3, 3)))


class TestApproximateBody:
    def test_it_is_a_grown_person_standing_upright_with_arms_stretched(self) -> None:
        place = {name: REST[index] for name, index in INDEX.items()}
        height = place["head"][1] - place["left_foot"][1]
        assert 1.4 < height < 1.6  # from the ball of the foot to the middle of the head
        assert 1.2 < place["left_wrist"][0] - place["right_wrist"][0] < 1.5
        assert place["left_foot"][2] > place["left_ankle"][2] + 0.08  # toes point forwards
        assert place["left_hip"][0] > 0 > place["right_hip"][0]

    def test_both_sides_are_alike(self) -> None:
        for name, index in INDEX.items():
            if name.startswith("left_"):
                other = INDEX["right_" + name.removeprefix("left_")]
                np.testing.assert_array_equal(REST[index] * [-1, 1, 1], REST[other])

    def test_nobody_changes_it(self) -> None:
        with pytest.raises(ValueError, match="read-only"):
            REST[0] = 0


class TestModel:
    @settings(max_examples=20, deadline=None)
    @given(st.integers(0, 10**6), st.integers(1, 3))
    def test_joints_are_those_written_by_hand(self, seed: int, frames: int) -> None:
        arrays = fabricated_smpl(seed)
        draw = np.random.default_rng(seed + 1)
        poses, translation = draw.normal(size=(frames, 24, 3)), draw.normal(size=(frames, 3))
        expected = posed_by_hand(rest_of(arrays), poses, translation, SMPL_PARENTS)[:, :BODY]
        posed = smpl_joints(rest_of(arrays), poses.reshape(frames, 72), translation)
        assert posed.shape == (frames, BODY, 3)
        np.testing.assert_allclose(posed, expected, atol=1e-5)

    def test_joints_are_those_of_smplx_own_model(self) -> None:
        arrays = fabricated_smpl(3)
        draw = np.random.default_rng(4)
        poses, translation = draw.normal(size=(5, 72)), draw.normal(size=(5, 3))
        theirs = smplx.SMPL(
            "",
            data_struct=Struct(**arrays),
            vertex_ids={"nose": 0, "reye": 1, "leye": 2, "rear": 3, "lear": 4}
            | {side + toe: 5 for side in "LR" for toe in ("BigToe", "SmallToe", "Heel")}
            | {side + tip: 6 for side in "lr" for tip in ("thumb", "index", "middle", "ring", "pinky")},
            create_betas=False,
            create_body_pose=False,
            create_global_orient=False,
            create_transl=False,
            dtype=torch.float64,
        )
        told = theirs(
            betas=torch.zeros(5, 10, dtype=torch.float64),
            global_orient=torch.from_numpy(poses[:, :3]),
            body_pose=torch.from_numpy(poses[:, 3:]),
            transl=torch.from_numpy(translation),
        ).joints[:, :BODY]
        ours = smpl_joints(rest_of(arrays), poses, translation)
        np.testing.assert_allclose(ours, told.numpy(), atol=1e-5)

    def test_hands_are_left_away(self) -> None:
        poses = np.arange(144.0).reshape(2, 72)
        np.testing.assert_array_equal(body_rotations(poses), poses.reshape(2, 24, 3)[:, :22])
        with pytest.raises(DataError, match=r"expected \(T, 72\)"):
            body_rotations(np.zeros((2, 63)))


class TestFile:
    def test_npz_and_pickle_of_arrays_are_the_same(self, tmp_path: Path) -> None:
        npz = read_rest_joints(write_npz(tmp_path / "SMPL_NEUTRAL.npz"))
        (tmp_path / "SMPL_NEUTRAL.pkl").write_bytes(pickle.dumps(fabricated_smpl(), protocol=2))
        pkl = read_rest_joints(tmp_path / "SMPL_NEUTRAL.pkl")
        np.testing.assert_array_equal(npz, pkl)
        np.testing.assert_allclose(npz, rest_of(fabricated_smpl()))

    def test_models_with_more_joints_give_the_same_22(self, tmp_path: Path) -> None:
        arrays = fabricated_smpl()
        more = np.arange(24, 52, dtype=np.uint32)
        table = np.hstack([arrays["kintree_table"], np.stack([more - 1, more])])
        regressor = np.vstack([arrays["J_regressor"], np.full((28, 60), 1 / 60)])
        np.savez(tmp_path / "smplh.npz", **(arrays | {"kintree_table": table, "J_regressor": regressor}))
        rest = read_rest_joints(tmp_path / "smplh.npz")
        np.testing.assert_allclose(rest[:BODY], rest_of(arrays)[:BODY])

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"J_regressor": None}, "lacks J_regressor"),
            ({"v_template": np.zeros((59, 3))}, "do not fit each other"),
            ({"v_template": np.full((60, 3), np.nan)}, "hold NaN"),
            ({"kintree_table": np.zeros((2, 24), dtype=np.uint32)}, "not those of SMPL's first 22"),
            ({"kintree_table": np.array("none")}, "not an array of numbers"),
            ({"J_regressor": np.array(["a", "b"])}, "not an array of numbers"),
        ],
    )
    def test_what_is_no_body_model(self, tmp_path: Path, changes: dict[str, Any], said: str) -> None:
        arrays = {key: value for key, value in (fabricated_smpl() | changes).items() if value is not None}
        np.savez(tmp_path / "model.npz", **arrays)
        with pytest.raises(DataError, match=said):
            read_rest_joints(tmp_path / "model.npz")

    def test_missing_and_truncated(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="no such file"):
            read_rest_joints(tmp_path / "SMPL_NEUTRAL.npz")
        path = write_npz(tmp_path / "half.npz")
        path.write_bytes(path.read_bytes()[:1000])
        with pytest.raises(DataError, match=r"not a whole \.npz"):
            read_rest_joints(path)
        (tmp_path / "list.pkl").write_bytes(pickle.dumps([1, 2]))
        with pytest.raises(DataError, match="a pickle of list"):
            read_rest_joints(tmp_path / "list.pkl")
        (tmp_path / "half.pkl").write_bytes(pickle.dumps(fabricated_smpl())[:1000])
        with pytest.raises(DataError, match="not a whole pickle"):
            read_rest_joints(tmp_path / "half.pkl")
