"""Motions written for other programs, read back by readers that did not write them."""

from __future__ import annotations

import pickle
import pickletools
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from motion_data.body.kinematics import REST, forward_kinematics
from motion_data.body.resampling import resample_positions
from motion_data.body.smpl import body_rotations
from motion_data.commands.data import main
from motion_data.commands.inspect import cut_motion
from motion_data.corpora import bvh_file
from motion_data.corpora.aistpp_annotations import find_annotations
from motion_data.corpora.bvh import read_bvh
from motion_data.corpora.constructed.dancer import dance
from motion_data.errors import DataError
from motion_data.motion import Motion
from motion_data.motion_file import read_motion
from motion_data.skeleton import INDEX, JOINTS, PARENTS
from motion_data.writing import write_aistpp_pickle, write_bvh
from motionbeat_upstream.tracking.grid import regular_grid
from tests.looking_pairs import make_corpus

Array = NDArray[np.float64]

STEPS = Motion(30.0, (), np.zeros((4, 0, 3)))


def dancer(seconds: float = 3.0, fps: float = 30.0) -> Motion:
    return dance(regular_grid(seconds, 110.0, 4), "salsa", seconds, 0.8, np.random.default_rng(1), fps)


def posed(frames: int = 40, fps: float = 60.0, wide: float = 1.0) -> Motion:
    """A body of REST's proportions with rotations of its own, in any poses."""
    generator = np.random.default_rng(2)
    rotations = generator.normal(0, wide, (frames, 22, 3))
    # Euler angles of the order written have no unique values here.
    rotations[3, :] = [np.pi / 2, 0, 0]
    joints = forward_kinematics(rotations, np.cumsum(generator.normal(0, 0.01, (frames, 3)), axis=0))
    return Motion(fps, JOINTS, joints, 0.0, rotations)


def read_back(path: Path) -> Array:
    """(T, 22, 3) metres by our own reader."""
    file = bvh_file.read_bvh_file(path)
    columns = [file.names.index(name) for name in JOINTS]
    return bvh_file.forward_kinematics(file)[:, columns] / 100


@pytest.mark.parametrize("motion", [dancer(), posed()], ids=["fitted", "own rotations"])
def test_a_bvh_has_the_joints_in_centimetres(tmp_path: Path, motion: Motion) -> None:
    write_bvh(tmp_path / "new" / "a.bvh", motion)
    np.testing.assert_allclose(read_back(tmp_path / "new" / "a.bvh"), motion.joints, atol=1e-4)
    file = bvh_file.read_bvh_file(tmp_path / "new" / "a.bvh")
    assert file.fps == motion.fps
    ends = [node.name for node in file.nodes if node.name.endswith(bvh_file.END)]
    assert [name.removesuffix(bvh_file.END) for name in ends] == [
        *("left_foot", "right_foot", "head", "left_wrist", "right_wrist")
    ]
    assert all(PARENTS[INDEX[node.name]] == -1 for node in file.nodes if node.positions)


def test_a_bvh_is_a_motion_of_this_project_again(tmp_path: Path) -> None:
    motion = dancer(6.0, 60.0)
    write_bvh(tmp_path / "a.bvh", motion)
    again = read_bvh(tmp_path / "a.bvh")
    assert (again.names, again.fps, again.frames) == (JOINTS, 60.0, motion.frames)
    away = again.joints - motion.joints
    # The reader puts the floor where the feet rest; nothing else is moved.
    np.testing.assert_allclose(away, np.broadcast_to([0, away[..., 1].mean(), 0], away.shape), atol=1e-4)


def test_angles_run_on_between_frames(tmp_path: Path) -> None:
    turn = np.zeros((90, 22, 3))
    turn[:, 0, 1] = np.linspace(0, 6 * np.pi, 90)
    write_bvh(
        tmp_path / "a.bvh", Motion(30.0, JOINTS, forward_kinematics(turn, np.zeros((90, 3))), 0.0, turn)
    )
    assert np.abs(np.diff(bvh_file.read_bvh_file(tmp_path / "a.bvh").values[:, 3:], axis=0)).max() < 15


def take(path: Path) -> tuple[Array, Array, float]:
    """(T, 24, 3) poses, translation, scaling by our reader of AIST++, which refuses all but plain arrays."""
    read = find_annotations(path.parents[1]).take(path.stem)
    return read.poses, read.translation, read.scaling


def test_a_pickle_brings_rotations_and_place_back(tmp_path: Path) -> None:
    motion = posed()
    path = tmp_path / "motions" / "a.pkl"
    write_aistpp_pickle(path, motion)
    poses, translation, scaling = take(path)
    assert scaling == pytest.approx(1, abs=1e-5)
    assert motion.rotations is not None
    np.testing.assert_array_equal(poses[:, :22], motion.rotations)
    assert not poses[:, 22:].any()
    joints = forward_kinematics(body_rotations(poses), translation)
    np.testing.assert_allclose(joints, motion.joints, atol=1e-4)
    content = pickle.loads(path.read_bytes())
    assert {key: (array.shape, array.dtype.name) for key, array in content.items()} == {
        "smpl_poses": ((40, 72), "float32"),
        "smpl_scaling": ((1,), "float32"),
        "smpl_trans": ((40, 3), "float32"),
    }
    # Nothing is named but numpy's own, so that any reader of AIST++ opens it.
    named = [str(arg) for op, arg, _ in pickletools.genops(path.read_bytes()) if "UNICODE" in op.name]
    assert not [name for name in named if "motion" in name]


def test_a_dancer_of_other_size_keeps_feet_on_the_floor(tmp_path: Path) -> None:
    motion = dancer(4.0, 30.0)
    path = tmp_path / "motions" / "a.pkl"
    write_aistpp_pickle(path, motion)
    poses, translation, scaling = take(path)
    assert len(poses) == 2 * motion.frames
    joints = scaling * forward_kinematics(body_rotations(poses), translation)
    np.testing.assert_allclose(joints[::2, 0], motion.joints[:, 0], atol=1e-4)
    feet = [INDEX["left_foot"], INDEX["right_foot"]]
    away = joints[::2, feet, 1].min(axis=1) - motion.joints[:, feet, 1].min(axis=1)
    # Another body's hips, feet and chest: some centimetres, and steady.
    assert abs(np.median(away)) < 0.06
    assert np.ptp(away) < 0.08


@pytest.mark.parametrize("fps", [30.0, 60.0, 120.0])
def test_the_rate_of_a_pickle(tmp_path: Path, fps: float) -> None:
    motion = posed(60, 30.0, 0.1)
    path = tmp_path / "motions" / "a.pkl"
    write_aistpp_pickle(path, motion, fps)
    poses, translation, scaling = take(path)
    assert len(poses) == 60 * fps / 30
    root = resample_positions(motion.joints[:, 0], 30.0, fps)
    np.testing.assert_allclose(translation * scaling + scaling * REST[0], root, atol=1e-5)


def test_steps_without_a_body_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    for write, name in ((write_bvh, "a.bvh"), (write_aistpp_pickle, "a.pkl")):
        with pytest.raises(DataError, match="no joints; expected the 22 of the common skeleton"):
            write(tmp_path / name, STEPS)
    with pytest.raises(DataError, match=r"a\.txt: expected a name that ends in \.bvh"):
        write_bvh(tmp_path / "a.txt", dancer())
    assert not list(tmp_path.iterdir())


def test_a_stretch_begins_with_the_nearest_frame() -> None:
    motion = Motion(30.0, JOINTS, dancer().joints, -0.5)
    assert cut_motion(motion, -9.0).frames == motion.frames
    cut = cut_motion(motion, 0.51, 1.0)
    assert cut.frames == 30
    assert cut.start == pytest.approx(0.5)
    np.testing.assert_array_equal(cut.joints, motion.joints[30:60])
    own = posed()
    assert own.rotations is not None
    found = cut_motion(own, 0.25).rotations
    assert found is not None
    np.testing.assert_array_equal(found, own.rotations[15:])
    with pytest.raises(
        DataError, match=r"from 2\.47 to 2\.50 s contains 1 frame\(s\) of the motion, .* -0\.50 to 2\.47 s"
    ):
        cut_motion(motion, 2.48)


def test_the_command_writes_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = make_corpus(tmp_path / "corpus", 3.0)
    out = tmp_path / "motions"
    stretch = ["--start", "0.5", "--seconds", "1", "-o", str(out / "a.bvh"), "-o", str(out / "a.pkl")]
    assert main(["inspect", str(corpus.folder), "made", *stretch]) == 0
    assert capsys.readouterr().err.count("frame 0 stands at 0.500 s of the sound") == 2
    motion, _ = read_motion(corpus.folder / (corpus.pairs[0].motion or ""))
    found = read_back(out / "a.bvh")
    assert len(found) == 30
    np.testing.assert_allclose(found[:, 0], motion.joints[15:45, 0], atol=1e-4)
    assert len(take(out / "a.pkl")[0]) == 60
    assert main(["inspect", str(corpus.folder), "steps", "-o", str(out / "b.bvh")]) == 2
    said = capsys.readouterr().err
    assert "pair 'steps': the motion has no joints" in said
    assert said.count("\n") == 1
    assert sorted(path.name for path in out.iterdir()) == ["a.bvh", "a.pkl"]
