"""Dances and beats from files: as each work writes them, and what is said of those that cannot be used."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from motion_data.beats_file import Beats, write_beats
from motion_data.body.smpl import read_rest_joints, smpl_joints
from motion_data.errors import DataError
from motion_data.motion import Motion
from motion_data.motion_file import write_motion
from motion_data.skeleton import JOINTS, SMPL_PARENTS
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.errors import AudioError
from motionbeat_upstream.tracking.grid import regular_grid
from recipes.dance_metrics.dance import Dance, with_hands
from recipes.dance_metrics.dance_files import ReadOptions, dance_paths, read_dance
from recipes.dance_metrics.music_beats import (
    annotated_beats,
    find_music,
    librosa_beats,
    motionbeat_beats,
    piece_tempo,
    with_beats,
)
from tests.dancing import swaying
from tests.fabricated_smpl import fabricated_smpl, posed_by_hand, write_npz
from tests.moving_body import moving_body
from tests.small import music

JOINTS_24 = swaying(0, 60, 60.0)
SMPL_SEED = 3
"""Of a fabricated body whose thigh is as long as a body's."""


def pickled(path: Path, held: Any) -> Path:
    path.write_bytes(pickle.dumps(held))
    return path


def rotations(frames: int = 60) -> tuple[np.ndarray[Any, np.dtype[np.float64]], ...]:
    draw = np.random.default_rng(0)
    return draw.normal(0, 0.3, (frames, 72)), draw.normal(0, 0.2, (frames, 3))


def test_edges_pickle_is_turned_y_up(tmp_path: Path) -> None:
    z_up = np.stack([JOINTS_24[..., 0], -JOINTS_24[..., 2], JOINTS_24[..., 1]], axis=2)
    path = pickled(tmp_path / "e1_b0.pkl", {"smpl_poses": 0, "smpl_trans": 0, "full_pose": z_up})
    dance = read_dance(path, ReadOptions())
    np.testing.assert_allclose(dance.joints, JOINTS_24)
    assert (dance.name, dance.fps, dance.beats) == ("e1_b0", 30.0, None)
    np.testing.assert_array_equal(read_dance(path, ReadOptions(60.0, "y")).joints, z_up)
    assert read_dance(path, ReadOptions(60.0)).fps == 60


def test_a_pickle_whose_keys_leave_the_rate_open_is_read_at_sixty_with_a_note(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    poses, translation = rotations()
    path = pickled(tmp_path / "a.pkl", {"smpl_poses": poses, "smpl_trans": translation})
    rest = read_rest_joints(write_npz(tmp_path / "smpl.npz", SMPL_SEED))
    assert read_dance(path, ReadOptions(rest=rest)).fps == 60
    (message,) = caplog.messages
    assert message.startswith(f"{path}: says no frame rate and has neither AIST++'s smpl_scaling nor EDGE's")
    caplog.clear()
    assert read_dance(path, ReadOptions(30.0, rest=rest)).fps == 30
    pickled(path, {"smpl_poses": poses, "smpl_trans": translation, "smpl_scaling": [1.0]})
    assert read_dance(path, ReadOptions(rest=rest)).fps == 60
    assert caplog.messages == []


def test_bailandos_and_plain_arrays(tmp_path: Path) -> None:
    held: dict[str, Any] = {
        "bailando": {"pred_position": JOINTS_24.reshape(60, 72)},
        "flat": JOINTS_24.reshape(60, 72),
        "deep": JOINTS_24,
    }
    for name, what in held.items():
        np.save(tmp_path / f"{name}.npy", what, allow_pickle=True)
        dance = read_dance(tmp_path / f"{name}.npy", ReadOptions(60.0))
        np.testing.assert_array_equal(dance.joints, JOINTS_24)
    with pytest.raises(DataError, match=r"deep\.npy: says no frame rate; give it \(--fps, --truth-fps\)"):
        read_dance(tmp_path / "deep.npy", ReadOptions())


def test_aists_pickle_needs_the_model_and_has_its_hands(tmp_path: Path) -> None:
    poses, translation = rotations()
    held = {"smpl_poses": poses, "smpl_trans": 90 * translation, "smpl_scaling": np.array([90.0])}
    path = pickled(tmp_path / "gBR_sBM_cAll_d04_mBR0_ch02.pkl", held)
    with pytest.raises(DataError, match="contains rotations; give the SMPL model"):
        read_dance(path, ReadOptions())
    rest = read_rest_joints(write_npz(tmp_path / "smpl.npz", SMPL_SEED))
    dance = read_dance(path, ReadOptions(rest=rest))
    assert dance.fps == 60
    np.testing.assert_allclose(dance.joints[:, :22], smpl_joints(rest, poses, translation), atol=1e-12)
    arrays = fabricated_smpl(SMPL_SEED)
    rest = arrays["J_regressor"] @ arrays["v_template"]
    by_hand = posed_by_hand(rest, poses.reshape(60, 24, 3), translation, SMPL_PARENTS)
    np.testing.assert_allclose(dance.joints, by_hand, atol=1e-9)


def test_a_model_with_fingers_gets_straight_hands(tmp_path: Path) -> None:
    arrays = fabricated_smpl(SMPL_SEED)
    arrays["J_regressor"] = np.concatenate([arrays["J_regressor"]] + [arrays["J_regressor"][:1]] * 3)
    parents = np.concatenate([arrays["kintree_table"][0], [0, 0, 0]])
    arrays["kintree_table"] = np.stack([parents, np.arange(len(parents), dtype=np.uint32)])
    np.savez(tmp_path / "smplh.npz", **arrays)
    poses, translation = rotations()
    path = pickled(tmp_path / "a.pkl", {"smpl_poses": poses.reshape(60, 24, 3), "smpl_trans": translation})
    rest = read_rest_joints(tmp_path / "smplh.npz")
    dance = read_dance(path, ReadOptions(rest=rest))
    np.testing.assert_allclose(dance.joints, with_hands(smpl_joints(rest, poses, translation)))


def test_this_projects_motions_bring_their_grid(tmp_path: Path) -> None:
    order = tuple(reversed(JOINTS))
    joints = moving_body(90, 30.0)
    pulses = {"left_foot": np.array([0.9, 1.9]), "right_foot": np.array([1.4, 1.9])}
    motion = Motion(30.0, order, joints[:, ::-1], 0.5, None, pulses)
    write_motion(tmp_path / "a.npz", motion, regular_grid(4.0, 120, 4))
    dance = read_dance(tmp_path / "a.npz", ReadOptions(fps=60.0, exact_steps=True))
    np.testing.assert_allclose(dance.joints[:, :22], joints, atol=1e-6)
    assert dance.fps == 30
    assert dance.beats is not None
    np.testing.assert_allclose(dance.times_within(dance.beats), np.arange(0, 3, 0.5), atol=1e-9)
    assert dance.steps is not None
    np.testing.assert_allclose(dance.steps, [0.4, 0.9, 1.4])
    assert read_dance(tmp_path / "a.npz", ReadOptions()).steps is None
    write_motion(tmp_path / "b.npz", Motion(30.0, JOINTS[:-1], joints[:, :-1]), None)
    with pytest.raises(DataError, match=r"b\.npz: has no right_wrist; expected all 22 joints"):
        read_dance(tmp_path / "b.npz", ReadOptions())


class CodeInPickle:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return (pytest.fail, ("the pickle was run",))


@pytest.mark.parametrize(
    ("held", "message"),
    [
        (CodeInPickle(), "only numpy arrays are read"),
        ({"poses": JOINTS_24}, "contains poses; expected smpl_poses and smpl_trans"),
        ([1, 2], "contains a list; expected"),
        ({"full_pose": JOINTS_24[:, :22]}, r"full_pose: an array of shape \(60, 22, 3\)"),
        ({"full_pose": "nothing"}, "full_pose: not an array of numbers"),
        ({"full_pose": np.where(JOINTS_24 > 0.9, np.nan, JOINTS_24)}, "odd: .* are NaN or infinite"),
        ({"smpl_poses": JOINTS_24[0], "smpl_trans": 0}, r"smpl_poses \(24, 3\), smpl_trans \(\)"),
        (
            {"smpl_poses": rotations()[0], "smpl_trans": rotations()[1], "smpl_scaling": [0.0]},
            "smpl_scaling is 0; expected one number above 0",
        ),
        ({"smpl_poses": np.zeros((0, 24, 3)), "smpl_trans": np.zeros((0, 3))}, r"0 frame\(s\)"),
        (
            {"smpl_poses": rotations()[0] * np.nan, "smpl_trans": rotations()[1]},
            "numbers of smpl_poses are NaN",
        ),
    ],
)
def test_pickles_of_something_else(tmp_path: Path, held: Any, message: str) -> None:
    rest = read_rest_joints(write_npz(tmp_path / "smpl.npz", SMPL_SEED))
    with pytest.raises(DataError, match=message) as caught:
        read_dance(pickled(tmp_path / "odd.pkl", held), ReadOptions(rest=rest))
    assert str(tmp_path) in str(caught.value)


def test_arrays_of_something_else(tmp_path: Path) -> None:
    np.save(tmp_path / "code.npy", np.array(CodeInPickle()), allow_pickle=True)
    np.save(tmp_path / "other.npy", {"music": 1}, allow_pickle=True)  # type: ignore[arg-type]
    np.save(tmp_path / "shape.npy", np.zeros((60, 225)))
    (tmp_path / "short.npy").write_bytes((tmp_path / "shape.npy").read_bytes()[:200])
    (tmp_path / "text.npy").write_text("hello")
    (tmp_path / "text.npz").write_text("hello")
    for name, message in (
        ("code.npy", "only numpy arrays are read"),
        ("other.npy", "contains music; expected pred_position"),
        ("shape.npy", r"shape \(60, 225\); expected positions"),
        ("short.npy", "not a complete .npy file"),
        ("text.npy", "not a complete .npy file"),
        ("text.npz", "not a whole .npz of arrays"),
    ):
        with pytest.raises(DataError, match=message):
            read_dance(tmp_path / name, ReadOptions(60.0))


def test_a_folder_without_dances(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none: no such folder"):
        dance_paths(tmp_path / "none")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(DataError, match=r"no dance in it; expected \.npy, \.npz, \.pkl files"):
        dance_paths(tmp_path)


def test_music_is_found_by_name() -> None:
    folder = Path("music")
    take = "gBR_sBM_cAll_d04_mBR0_ch02"
    files = {stem: folder / f"{stem}.wav" for stem in (take, "ch02", "mBR0", "mHO5", f"{take}_slice3")}
    for name, stem in (
        (take, take),
        (f"0_12_{take}", take),
        (f"e5_b1_{take}_slice3", f"{take}_slice3"),
        ("gHO_sFM_cAll_d19_mHO5_ch12", "mHO5"),
    ):
        assert find_music(name, files, folder) == files[stem]
    with pytest.raises(DataError, match="no music for the dance waltz; expected a file named waltz"):
        find_music("waltz", files, folder)
    with pytest.raises(DataError, match="expected a file named x_mWA1_y or mWA1"):
        find_music("x_mWA1_y", files, folder)
    with pytest.raises(DataError, match="mHO5 is a whole piece and x_mHO5_ch01_slice0 a slice"):
        find_music("x_mHO5_ch01_slice0", files, folder)
    assert [piece_tempo(name) for name in ("mBR0", "gKR_sBM_cAll_d28_mKR5_ch01", "mHO1", "tune")] == [
        *(80, 130, 115),
        120,
    ]


def test_beats_of_audio_and_of_beats_files(tmp_path: Path) -> None:
    true = np.arange(0, 12, 0.5)
    soundfile.write(tmp_path / "mMH4.wav", music(12.0, 120.0, 0).numpy(), SAMPLE_RATE)
    write_beats(tmp_path / "mMH4.beats", Beats(true, np.arange(24) % 4 + 1))
    dances = [
        Dance(name, JOINTS_24, 60.0) for name in ("gMH_sBM_cAll_d22_mMH4_ch01", "gMH_sBM_cAll_d23_mMH4_ch02")
    ]
    for track, off in ((librosa_beats, 0.05), (motionbeat_beats, 0.05), (annotated_beats, 0.0)):
        for dance in with_beats(dances, tmp_path, track):
            assert dance.beats is not None
            assert len(dance.beats) > 15
            assert np.median(np.abs(dance.beats[:, None] - true).min(axis=1)) <= off
    with pytest.raises(DataError, match="none: no such folder"):
        with_beats(dances, tmp_path / "none", annotated_beats)
    (tmp_path / "mMH4.wav").write_text("no sound")
    with pytest.raises(AudioError, match=r"mMH4\.wav: not audio"):
        with_beats(dances, tmp_path, librosa_beats)


def test_each_piece_is_tracked_once(tmp_path: Path) -> None:
    write_beats(tmp_path / "mMH4.beats", Beats(np.arange(4.0), np.zeros(4, np.int64)))
    looked: list[Path] = []

    def track(path: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
        looked.append(path)
        return np.arange(3.0)

    (tmp_path / "mMH4.wav").touch()
    with_beats([Dance(f"a{k}_mMH4_b", JOINTS_24, 60.0) for k in range(3)], tmp_path, track)
    assert looked == [tmp_path / "mMH4.wav"]
