"""The user's own pairs from a CSV: what is read, what is refused and where, and the real files."""

import argparse
import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from motion_data.commands.data import main as data
from motion_data.commands.prepare import main as prepare_command
from motion_data.corpora import folder
from motion_data.corpora.motion_source import COCO, read_source
from motion_data.errors import DataError
from motion_data.loading import load_pair
from motion_data.manifest import Corpus, read_corpus
from motion_data.pair import MotionPair
from motion_data.skeleton import INDEX, JOINTS
from tests.moving_body import moving_body, plain_bvh, write_clicks, write_joints
from tests.shared_data import shared


def prepare(path: Path, out: Path) -> Corpus:
    return folder.prepare(path, out, argparse.Namespace())


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A folder with two seconds of sound and of motion."""
    write_clicks(tmp_path / "a.wav", 2.0)
    write_joints(tmp_path / "a.npz", moving_body())
    return tmp_path


def write(raw: Path, text: str) -> Path:
    (raw / "pairs.csv").write_text(text)
    return raw / "pairs.csv"


def refusal(raw: Path, header: str, line: str) -> str:
    """Why the second line of two is left out."""
    count = header.count(",") - 1
    corpus = prepare(write(raw, f"{header}\na.wav,a.npz{',' * count}\n{line}\n"), raw / "out")
    assert len(corpus.pairs) == 1
    (why,) = corpus.info["left_out"].values()
    return str(why)


def test_a_line_becomes_a_pair(raw: Path) -> None:
    write_clicks(raw / "b.wav", 3.0)
    (raw / "b.bvh").write_text(plain_bvh())
    (raw / "b.beats").write_text("".join(f"{0.5 * k}\t{k % 4 + 1}\n" for k in range(6)))
    path = write(
        raw,
        "motion,audio,piece,take,split,beats,licence\n"
        "a.npz,a.wav,song,first,test,,CC0\n\n"
        "b.bvh,b.wav,,,train,b.beats,\n",
    )
    prepare(path, raw / "out")
    one, two = read_corpus(raw / "out").pairs
    assert (one.name, one.piece, one.take, one.split, one.licence) == ("a", "song", "first", "test", "CC0")
    assert (two.name, two.piece, two.take, two.split, two.grid) == ("b", "b", "b", "train", "annotated")
    assert one.provenance["offset"] == 0.0
    clip = load_pair(one, raw / "out")
    assert clip.wav.shape == (32000,)
    np.testing.assert_allclose(clip.motion.joints[..., 1], moving_body()[..., 1], atol=0.01)
    assert two.bpm == pytest.approx(120.0)


def test_beats_that_are_not_given_are_estimated_and_the_summary_says_so(
    raw: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clicks(raw / "a.wav", 12.0)
    soundfile.write(raw / "b.wav", np.zeros(8000 * 12), 8000)
    write_joints(raw / "a.npz", moving_body(360))
    (raw / "a.beats").write_text("".join(f"{0.5 * k}\t{k % 3 + 1}\n" for k in range(24)))
    lines = ["audio,motion,beats,split,take", "a.wav,a.npz,,train,1", "a.wav,a.npz,a.beats,train,2"]
    path = write(raw, "\n".join([*lines, "b.wav,a.npz,,test,3"]) + "\n")
    assert prepare_command(["folder", str(path), str(raw / "out")]) == 0
    told = capsys.readouterr().out
    assert "      1  pairs came without beats: estimated from the sound\n" in told
    assert "      1  pairs have no beats: none were given, and none can be heard" in told
    estimated, annotated, silent = read_corpus(raw / "out").pairs
    assert [pair.grid for pair in (estimated, annotated, silent)] == ["estimated", "annotated", "none"]
    # The clicks are at 120 a minute.
    assert estimated.bpm == pytest.approx(120.0, rel=0.01)
    assert 0 < estimated.provenance["grid_confidence"] <= 1
    assert (annotated.metre, silent.bpm) == (3, None)
    grid = load_pair(estimated, raw / "out").grid
    assert grid is not None
    assert np.abs((grid.beats + 0.25) % 0.5 - 0.25).max() < 0.03


def test_a_second_call_finds_it_whole_and_only_a_changed_line_is_made_again(raw: Path) -> None:
    write_joints(raw / "b.npz", moving_body(seed=1))
    path = write(raw, "audio,motion,piece\na.wav,a.npz,one\na.wav,b.npz,one\n")
    first = prepare(path, raw / "out")

    def made() -> list[int]:
        return [(raw / f"out/motion/{name}.npz").stat().st_mtime_ns for name in ("a", "b")]

    before = made()
    assert prepare(path, raw / "out").sha256 == first.sha256
    assert made() == before
    write(raw, "audio,motion,piece,licence\na.wav,b.npz,one,\na.wav,a.npz,one,CC0\n")
    assert [pair.licence for pair in prepare(path, raw / "out").pairs] == ["CC0", "the user's own"]
    assert (made()[0] == before[0], made()[1] == before[1]) == (False, True)


def test_a_folder_of_other_pairs_is_left_as_it_is(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(write(raw, "audio,motion\na.wav,a.npz\n"), raw / "out")
    before = {path: path.read_bytes() for path in (raw / "out").rglob("*") if path.is_file()}
    write_joints(raw / "b.npz", moving_body(seed=1))
    path = write(raw, "audio,motion\na.wav,b.npz\n")
    with pytest.raises(DataError, match=r"holds 1 other pairs \(a, …\) and none of these"):
        prepare(path, raw / "out")
    for options, said in (
        (
            ["constructed", str(raw / "out"), "--pairs", "3"],
            "holds the corpus 'folder', expected 'constructed'",
        ),
        (["bvh", str(raw), str(raw)], "is RAW; give another folder as OUT"),
    ):
        assert data(["prepare", *options]) == 2
        assert said in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (raw / "out").rglob("*") if path.is_file()} == before


def test_two_lines_of_one_motion_have_two_names(raw: Path) -> None:
    write_clicks(raw / "b.wav", 2.0)
    path = write(raw, "audio,motion,split\na.wav,a.npz,train\nb.wav,a.npz,train\n")
    assert [pair.name for pair in prepare(path, raw / "out").pairs] == ["a-2", "a-3"]


@pytest.mark.parametrize(
    ("header", "line", "message"),
    [
        ("audio,motion", "none.wav,a.npz", r"audio is 'none.wav'; expected a file, none is at"),
        ("audio,motion", ",a.npz", "audio is ''; expected a file"),
        ("audio,motion", "a.wav,b.npz", "motion is 'b.npz'; expected a file"),
        ("audio,motion,beats", "a.wav,a.npz,a.beats", "beats is 'a.beats'; expected a file"),
        ("audio,motion,offset", "a.wav,a.npz,soon", "offset is 'soon'; expected a number"),
        ("audio,motion,offset", "a.wav,a.npz,nan", "offset is 'nan'; expected a number"),
        ("audio,motion,fps", "a.wav,a.npz,1e6", "1e+06 frames a second given; expected 5 to 1000"),
        ("audio,motion,fps", "a.wav,a.npz,0", "0 frames a second given"),
        ("audio,motion,fps", "a.wav,a.npz,60", "1.00 s of motion and 2.00 s of audio"),
        ("audio,motion,split", "a.wav,a.npz,val", "split is 'val'; expected train, dev, test"),
        ("audio,motion,unit", "a.wav,a.npz,cm", "tall in the unit given (cm)"),
        ("audio,motion,unit", "a.wav,a.npz,yards", "unit 'yards' is not known"),
        ("audio,motion,up", "a.wav,a.npz,w", "up axis 'w' is not known"),
        ("audio,motion,limbs", "a.wav,a.npz,wings", "limbs is 'wings'; expected feet, hands"),
        ("audio,motion,offset", "a.wav,a.npz,9", "do not meet; correct the offset"),
        ("audio,motion", "a.wav,a.npz,more", "more cells than columns"),
        ("audio,motion", "a.wav,a.wav", "motions are read from .bvh, .npz, .pkl"),
    ],
)
def test_a_fault_names_file_line_and_column(raw: Path, header: str, line: str, message: str) -> None:
    why = refusal(raw, header, line)
    assert f"{raw / 'pairs.csv'}:3: " in why
    assert message in why
    assert "\n" not in why


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("audio\na.wav\n", r"pairs\.csv: no column motion; expected audio,motion"),
        ("audio,motion,ofset\na.wav,a.npz,1\n", r"pairs\.csv:1: has unknown columns \['ofset'\]"),
        ("audio,motion\n", "no line below the header"),
        ("", r"pairs\.csv: no column audio and no column motion; expected audio,motion"),
        ('audio,motion\n"a.wav,a.npz\n', "not a CSV"),
        (
            "audio,motion,piece,split\na.wav,a.npz,p,train\na.wav,a.npz,p,test\n",
            "the piece 'p' is in two splits",
        ),
        (
            "audio,motion,piece,take,split\na.wav,a.npz,p,1,train\na.wav,a.npz,q,2,test\n",
            "the recording '.*' is in two splits",
        ),
        ("audio,motion\nb.wav,a.npz\n", "not one pair could be prepared"),
    ],
)
def test_a_file_that_cannot_be_used_at_all_is_an_error(raw: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        prepare(write(raw, text), raw / "out")


BODY = moving_body()


def with_gap(first: int, length: int) -> NDArray[np.float64]:
    joints = BODY.copy()
    joints[first : first + length, INDEX["left_ankle"]] = np.nan
    return joints


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"joints": BODY[:1], "names": JOINTS, "fps": 30}, "1 frame(s); a motion needs at least 2"),
        ({"joints": BODY, "names": JOINTS}, "no `fps`; give the frames a second"),
        ({"joints": BODY, "names": JOINTS, "fps": 0}, "`fps` is 0; expected 5 to 1000"),
        ({"joints": BODY, "names": JOINTS, "fps": 1e6}, "`fps` is 1000000.0"),
        ({"joints": BODY, "names": JOINTS, "fps": "fast"}, "`fps` is fast"),
        ({"joints": BODY, "fps": 30}, "`names` is none; expected 22 joint names"),
        ({"joints": BODY, "names": JOINTS[:3], "fps": 30}, "`names` is (3,)"),
        ({"joints": BODY[..., :2], "names": JOINTS, "fps": 30}, "joints has shape (60, 22, 2)"),
        ({"motion": BODY, "names": JOINTS, "fps": 30}, "no array of positions joints,"),
        ({"joints": with_gap(10, 12), "names": JOINTS, "fps": 30}, "(left_ankle) is missing (NaN"),
        ({"joints": 0.3 * BODY, "names": JOINTS, "fps": 30}, "no human size in any unit"),
        (
            {"joints": BODY, "names": [f"marker{k}" for k in range(22)], "fps": 30},
            "lacks left_hip, right_hip, left_knee",
        ),
        (
            {"joints": np.array([BODY], dtype=object), "names": JOINTS, "fps": 30},
            "not a whole .npz of arrays",
        ),
        (
            {"joints": BODY, "names": JOINTS, "fps": 30, "audio_offset_s": [0.0, 1.0]},
            "`audio_offset_s` is an array of shape (2,); expected one number of seconds: correct it, or give",
        ),
        (
            {"joints": BODY, "names": JOINTS, "fps": 30, "audio_offset_s": np.nan},
            "`audio_offset_s` is nan; exp",
        ),
        (
            {"joints": BODY, "names": JOINTS, "fps": 30, "audio_offset_s": "late"},
            "`audio_offset_s` is late; ex",
        ),
        (
            {"joints": BODY, "names": JOINTS, "fps": [30, 30]},
            "`fps` is an array of shape (2,); expected 5 to",
        ),
        ({"joints": BODY[:0], "names": JOINTS, "fps": 30}, "0 frame(s); a motion needs at least 2"),
        (
            {"joints": np.ones((0, 22, 4)), "names": JOINTS, "fps": 30},
            "0 frame(s); a motion needs at least 2",
        ),
        ({"joints": 1e30 * BODY, "names": JOINTS, "fps": 30}, "is missing (NaN"),
    ],
)
def test_arrays_that_cannot_be_a_motion_are_refused(
    raw: Path, arrays: dict[str, object], message: str
) -> None:
    np.savez(raw / "b.npz", **{name: np.asarray(array) for name, array in arrays.items()})
    assert message in refusal(raw, "audio,motion", "a.wav,b.npz")


def test_an_offset_of_the_line_stands_in_for_a_wrong_one_of_the_file(raw: Path) -> None:
    write_joints(raw / "a.npz", moving_body(66), audio_offset_s=np.nan)
    pair = prepare(write(raw, "audio,motion,offset\na.wav,a.npz,0.2\n"), raw / "out").pairs[0]
    assert pair.provenance["offset"] == 0.2


def test_short_gaps_are_filled_and_counted(raw: Path) -> None:
    write_joints(raw / "a.npz", with_gap(10, 6))
    pair = prepare(write(raw, "audio,motion\na.wav,a.npz\n"), raw / "out").pairs[0]
    assert pair.provenance["filled"] == 6


def test_a_truncated_archive_is_refused(raw: Path) -> None:
    whole = (raw / "a.npz").read_bytes()
    (raw / "b.npz").write_bytes(whole[: len(whole) // 2])
    assert "b.npz: not a whole .npz" in refusal(raw, "audio,motion", "a.wav,b.npz")


def test_centimetres_with_z_up_come_out_in_metres_with_y_up(raw: Path) -> None:
    z_up = BODY[..., [0, 2, 1]] * [100.0, -100.0, 100.0]
    write_joints(raw / "a.npz", z_up)
    pair = prepare(write(raw, "audio,motion\na.wav,a.npz\n"), raw / "out").pairs[0]
    assert pair.provenance["unit"].startswith("cm (")
    assert pair.provenance["up"].startswith("z (")
    joints = load_pair(pair, raw / "out").motion.joints
    np.testing.assert_allclose(joints - joints[:1, :1], BODY - BODY[:1, :1], atol=1e-5)


def test_a_fast_motion_is_kept_at_sixty_frames_a_second(raw: Path) -> None:
    write_joints(raw / "a.npz", moving_body(240, 120.0), 120.0)
    pair = prepare(write(raw, "audio,motion\na.wav,a.npz\n"), raw / "out").pairs[0]
    assert (pair.fps, pair.provenance["source_fps"]) == (60.0, 120.0)
    joints = load_pair(pair, raw / "out").motion.joints
    assert joints.shape == (120, 22, 3)
    # Away from the ends, and from the corners of the lifted feet.
    hand = INDEX["left_wrist"]
    np.testing.assert_allclose(joints[10:-10, hand], moving_body(240, 120.0)[20:-20:2, hand], atol=2e-3)


def test_the_offset_of_the_file_holds_until_the_line_gives_one(raw: Path) -> None:
    write_joints(raw / "a.npz", moving_body(75), audio_offset_s=0.5)
    pair = prepare(write(raw, "audio,motion,offset\na.wav,a.npz,\n"), raw / "out").pairs[0]
    assert pair.provenance["offset"] == 0.5
    assert pair.seconds == pytest.approx(2.0)
    write_joints(raw / "a.npz", moving_body(66), audio_offset_s=0.5)
    pair = prepare(write(raw, "audio,motion,offset\na.wav,a.npz,0.2\n"), raw / "out").pairs[0]
    assert pair.provenance["offset"] == 0.2


def sitting() -> NDArray[np.float64]:
    """A body with its thighs level, hands going up and down twice a second."""
    joints = moving_body()
    for side in ("left", "right"):
        knee = joints[:, INDEX[f"{side}_hip"]] + [0.0, -0.02, 0.4]
        shift = knee - joints[:, INDEX[f"{side}_knee"]]
        for part in ("knee", "ankle", "foot"):
            joints[:, INDEX[f"{side}_{part}"]] += shift
        wave = 0.1 * np.sin(2 * np.pi * 2 * np.arange(60) / 30)
        joints[:, INDEX[f"{side}_wrist"], 1] = 0.9 + wave
    return joints


@pytest.mark.parametrize(
    ("joints", "limbs", "found"),
    [(sitting(), "", "hand"), (sitting(), "feet", "foot"), (BODY, "hands", "hand")],
)
def test_a_body_that_sits_makes_its_rhythm_with_its_hands(
    raw: Path, joints: NDArray[np.float64], limbs: str, found: str
) -> None:
    write_joints(raw / "a.npz", joints)
    pair = prepare(write(raw, f"audio,motion,limbs\na.wav,a.npz,{limbs}\n"), raw / "out").pairs[0]
    assert set(pair.pulses) == {f"left_{found}", f"right_{found}"}


def test_feet_out_of_view_leave_the_rhythm_to_the_hands(raw: Path) -> None:
    visible = np.ones((60, 22, 1))
    visible[:, [INDEX[f"{side}_{part}"] for side in ("left", "right") for part in ("ankle", "foot")]] = 0.2
    write_joints(raw / "a.npz", np.concatenate([BODY, visible], axis=2))
    pair = prepare(write(raw, "audio,motion\na.wav,a.npz\n"), raw / "out").pairs[0]
    assert set(pair.pulses) == {"left_hand", "right_hand"}
    assert pair.provenance["limbs"] == "hands: the feet are out of view"


def test_aists_pickles_of_keypoints_and_of_smpl_are_read(raw: Path) -> None:
    coco = {"left_eye": "head", "right_eye": "head", "left_ear": "head", "right_ear": "head", "nose": "head"}
    columns = [INDEX[coco.get(name, name)] for name in COCO]
    body = moving_body(120, 60.0)
    (raw / "k.pkl").write_bytes(pickle.dumps({"keypoints3d_optim": 100 * body[:, columns]}))
    poses = {"smpl_poses": np.zeros((120, 72)), "smpl_trans": np.full((120, 3), 93.0), "smpl_scaling": [93.0]}
    (raw / "s.pkl").write_bytes(pickle.dumps(poses))
    path = write(raw, "audio,motion,piece\na.wav,k.pkl,p\na.wav,s.pkl,p\n")
    keypoints, smpl = prepare(path, raw / "out").pairs
    assert (keypoints.fps, smpl.fps) == (60.0, 60.0)
    assert keypoints.provenance["unit"].startswith("cm")
    assert {"pelvis", "left_foot", "neck", "head"} <= set(keypoints.provenance["missed_joints"])
    assert smpl.provenance["missed_joints"] == []
    wrist = INDEX["left_wrist"]
    joints = load_pair(keypoints, raw / "out").motion.joints
    height = body[:, wrist, 1] - body[:, INDEX["left_hip"], 1]
    np.testing.assert_allclose(joints[:, wrist, 1] - joints[:, INDEX["left_hip"], 1], height, atol=1e-5)


def test_edges_pickle_is_read_at_thirty_frames_a_second_from_its_positions(raw: Path) -> None:
    hands = np.concatenate([BODY, BODY[:, [INDEX["left_wrist"], INDEX["right_wrist"]]]], axis=1)
    # 60 frames are the 2 s of the audio at EDGE's rate; z is up.
    z_up = np.stack([hands[..., 0], -hands[..., 2], hands[..., 1]], axis=2)
    written = {"smpl_poses": np.zeros((60, 72)), "smpl_trans": np.zeros((60, 3)), "full_pose": z_up}
    (raw / "e.pkl").write_bytes(pickle.dumps(written))
    pair = prepare(write(raw, "audio,motion\na.wav,e.pkl\n"), raw / "out").pairs[0]
    assert (pair.fps, pair.seconds) == (30.0, 2.0)
    assert pair.provenance["up"].startswith("z (")
    assert "notes" not in pair.provenance
    joints = load_pair(pair, raw / "out").motion.joints
    np.testing.assert_allclose(joints[..., 1], BODY[..., 1], atol=0.01)


def test_a_pickle_whose_keys_leave_the_rate_open_is_read_with_a_note(raw: Path) -> None:
    poses = {"smpl_poses": np.zeros((120, 72)), "smpl_trans": np.zeros((120, 3))}
    (raw / "s.pkl").write_bytes(pickle.dumps(poses))
    pair = prepare(write(raw, "audio,motion\na.wav,s.pkl\n"), raw / "out").pairs[0]
    assert pair.fps == 60.0
    (note,) = pair.provenance["notes"]
    assert note.startswith(
        f"{raw / 's.pkl'}: says no frame rate and has neither AIST++'s smpl_scaling nor EDGE's"
    )
    (raw / "s.pkl").write_bytes(pickle.dumps({name: array[:60] for name, array in poses.items()}))
    pair = prepare(write(raw, "audio,motion,fps\na.wav,s.pkl,30\n"), raw / "out").pairs[0]
    assert pair.fps == 30.0
    assert "notes" not in pair.provenance


SMPL = {"smpl_poses": np.zeros((120, 72)), "smpl_trans": np.zeros((120, 3)), "smpl_scaling": np.ones(1)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"smpl_scaling": [0.0]}, "smpl_scaling is 0; expected one number above 0: correct it"),
        ({"smpl_scaling": [np.nan]}, "smpl_scaling is nan; expected one number above 0"),
        (
            {"smpl_scaling": [1.0, 1.0]},
            "smpl_poses (120, 72), smpl_trans (120, 3), smpl_scaling (2,); expected",
        ),
        ({"smpl_scaling": "big"}, "smpl_scaling: not an array of numbers"),
        ({"smpl_poses": np.zeros((120, 71))}, "smpl_poses (120, 71), smpl_trans (120, 3)"),
        (
            {"smpl_poses": np.full((120, 72), np.nan)},
            "8640 of 8640 numbers of smpl_poses are NaN or infinite",
        ),
        ({"smpl_trans": np.zeros((3, 3))}, "smpl_poses (120, 72), smpl_trans (3, 3)"),
        ({"smpl_poses": np.zeros((0, 72)), "smpl_trans": np.zeros((0, 3))}, "0 frame(s)"),
        ({"full_pose": np.zeros((0, 24, 3))}, "0 frame(s)"),
        ({"full_pose": np.zeros((60, 22, 3))}, "full_pose has shape (60, 22, 3); expected (T, 24, 3)"),
    ],
)
def test_a_pickle_with_a_field_that_cannot_be_is_refused_by_its_name(
    raw: Path, changes: dict[str, object], message: str
) -> None:
    (raw / "b.pkl").write_bytes(pickle.dumps({**SMPL, **changes}))
    why = refusal(raw, "audio,motion", "a.wav,b.pkl")
    assert f"b.pkl: {message}" in why
    assert "\n" not in why


class Harm:
    """Its pickle runs a command when it is loaded by an unpickler that knows more than numpy."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize(
    "content", ["harm", [1, 2], {"poses": np.zeros(3)}, {"keypoints3d": np.zeros((3, 5, 3))}]
)
def test_other_pickles_are_refused_before_anything_runs(raw: Path, content: object) -> None:
    harmed = raw / "harmed"
    (raw / "b.pkl").write_bytes(pickle.dumps(Harm(harmed) if content == "harm" else content))
    why = refusal(raw, "audio,motion", "a.wav,b.pkl")
    assert "b.pkl: " in why
    assert not harmed.exists()


def real(tmp_path: Path, audio: str, motion: str) -> MotionPair:
    """The pair that the shared data's files make."""
    path = tmp_path / "pairs.csv"
    path.write_text(f"audio,motion\n{shared(f'motion/{audio}')},{shared(f'motion/{motion}')}\n")
    return prepare(path, tmp_path / "out").pairs[0]


def test_wavefile_dances_to_its_song_from_its_offset_on(tmp_path: Path) -> None:
    pair = real(tmp_path, "wavefile/wavefile_short.mp3", "wavefile/wavefile_joints_30fps.npz")
    assert pair.audio is not None
    assert (pair.fps, pair.provenance["source_joints"], pair.audio.start) == (30.0, 21, 0.0)
    assert pair.provenance["offset"] == pytest.approx(160 / 30)
    assert pair.seconds == pytest.approx(2810 / 30 - 160 / 30)
    assert pair.provenance["missed_joints"] == ["pelvis", "spine1", "spine3"]
    assert pair.provenance["unit"].startswith("m (")
    clip = load_pair(pair, tmp_path / "out")
    with np.load(shared("motion/wavefile/wavefile_joints_30fps.npz")) as arrays:
        knees = arrays["pos_m"][160:, arrays["names"].tolist().index("left_knee")]
    ours = clip.motion.joints[:, INDEX["left_knee"]]
    np.testing.assert_allclose(ours - ours[0], knees - knees[0], atol=1e-5)
    assert min(pair.pulses.values()) > 40


@pytest.mark.parametrize(
    ("who", "fps", "frames", "filled", "limb"),
    [("pianist", 30.0, 2925, 0, "hand"), ("dancer", 25.0, 1571, 132, "foot")],
)
def test_poses_from_video_become_bodies_in_metres_y_up(
    tmp_path: Path, who: str, fps: float, frames: int, filled: int, limb: str
) -> None:
    pair = real(tmp_path, f"pianist_dancer/{who}.flac", f"pianist_dancer/{who}_mediapipe33.npz")
    assert (pair.fps, pair.provenance["source_joints"], pair.provenance["filled"]) == (fps, 33, filled)
    assert pair.provenance["up"].startswith("-y (")
    assert set(pair.pulses) == {f"left_{limb}", f"right_{limb}"}
    clip = load_pair(pair, tmp_path / "out")
    assert clip.motion.joints.shape == (frames, 22, 3)
    height = np.median(clip.motion.joints[:, :, 1], axis=0)
    assert 0 < height[INDEX["left_ankle"]] < height[INDEX["left_knee"]] < height[INDEX["head"]]


def test_each_take_of_an_archive_can_be_named() -> None:
    path = shared("motion/cmu_salsa/salsa_joints_60fps.npz")
    source = read_source(f"{path}#take_61_15")
    assert (source.joints.shape, source.fps) == ((1070, 23, 3), 60.0)
    with pytest.raises(DataError, match=r"it holds names, fps, take_60_01, .*name the array as salsa"):
        read_source(path)
