"""BVH: forward kinematics against independent ones, real files, damaged files, and pairs with their audio."""

import argparse
import math
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pybvh
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data.commands import data
from motion_data.corpora import bvh
from motion_data.corpora.bvh_file import forward_kinematics, read_bvh_file
from motion_data.corpora.motion_source import read_source, rest_frames
from motion_data.corpora.paired_files import as_motion
from motion_data.errors import DataError
from motion_data.loading import load_pair
from motion_data.manifest import Corpus, read_corpus
from motion_data.skeleton import INDEX, JOINTS
from tests.moving_body import (
    BVH_JOINTS,
    bvh_text,
    moving_body,
    plain_bvh,
    rest_offset,
    write_clicks,
)
from tests.shared_data import shared

ORDERS = ("XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX", "ZXZ")


def turn(axis: str, degrees: float) -> NDArray[np.float64]:
    """The rotation about an axis, written out."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array(
        {
            "X": [[1, 0, 0], [0, c, -s], [0, s, c]],
            "Y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
            "Z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
        }[axis]
    )


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_kinematics_agree_with_a_loop_for_any_channel_order(
    tmp_path_factory: pytest.TempPathFactory, seed: int, positions: bool
) -> None:
    generator = np.random.default_rng(seed)
    names = list(BVH_JOINTS)
    orders = [str(generator.choice(ORDERS)) for _ in names]
    angles = generator.uniform(-180, 180, (3, len(names), 3)).round(6)
    root = generator.uniform(-100, 100, (3, 3)).round(6)
    moved = generator.uniform(-50, 50, (3, len(names), 3)).round(6) if positions else None
    path = tmp_path_factory.mktemp("bvh") / "a.bvh"
    path.write_text(bvh_text(orders, angles, root, moved=moved))
    file = read_bvh_file(path)
    found = forward_kinematics(file)
    for frame in range(3):
        places: dict[str, NDArray[np.float64]] = {}
        turns: dict[str, NDArray[np.float64]] = {}
        for index, name in enumerate(names):
            parent = BVH_JOINTS[name][0]
            local = np.eye(3)
            for axis, degrees in zip(orders[index], angles[frame, index], strict=True):
                local = local @ turn(axis, degrees)
            step = rest_offset(name) * 100 if moved is None else moved[frame, index]
            places[name] = places[parent] + turns[parent] @ step if parent else root[frame]
            turns[name] = turns[parent] @ local if parent else local
            column = file.names.index(name)
            np.testing.assert_allclose(found[frame, column], places[name], atol=1e-4, err_msg=name)
        end = places["Head"] + turns["Head"] @ np.array([0.0, 5.0, 1.0])
        np.testing.assert_allclose(found[frame, file.names.index("Head_End")], end, atol=1e-4)


@pytest.mark.parametrize(
    "name",
    [
        "cmu_salsa/60_01",
        *(f"animated_drawings/{name}" for name in ("dab", "jesse_dance", "jumping_jacks", "wave_hello")),
    ],
)
def test_kinematics_agree_with_pybvh_on_real_files(name: str) -> None:
    path = shared(f"motion/{name}.bvh")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = pybvh.read_bvh_file(path).node_positions()
    np.testing.assert_allclose(forward_kinematics(read_bvh_file(path)), expected, atol=1e-9)


def test_position_channels_below_the_root_are_followed_as_in_bandai_namco() -> None:
    path = shared("motion/bandai_namco/dataset-1_dance-short_normal_001.bvh")
    with pytest.raises(ValueError, match="does not model position channels"):
        pybvh.read_bvh_file(path)
    file = read_bvh_file(path)
    assert (file.fps, len(file.values), file.values.shape[1]) == (30.0, 1901, 6 * 22)
    found = forward_kinematics(file)
    # A loop over the first joints of one frame: every joint's positions stand in its channels.
    for frame in (0, 777):
        row = file.values[frame].reshape(22, 6)
        joints = [index for index, node in enumerate(file.nodes) if node.rotations]
        turns: dict[int, NDArray[np.float64]] = {}
        for number, index in enumerate(joints):
            z, x, y = row[number, 3:]
            local = turn("Z", z) @ turn("X", x) @ turn("Y", y)
            parent = file.nodes[index].parent
            place = row[number, :3]
            if parent >= 0:
                place = found[frame, parent] + turns[parent] @ place
            np.testing.assert_allclose(found[frame, index], place, atol=1e-9)
            turns[index] = local if parent < 0 else turns[parent] @ local


@pytest.mark.parametrize(
    ("name", "unit", "up", "stature", "missed", "fps"),
    [
        ("cmu_salsa/60_01", None, "y", 1.30, ("spine2",), 60.0),
        ("bandai_namco/dataset-1_dance-short_normal_001", None, "y", 1.54, ("spine2",), 30.0),
        ("bandai_namco/dataset-1_walk_normal_001", None, "y", 1.54, ("spine2",), 30.0),
        ("animated_drawings/jesse_dance", None, "y", 1.74, (), 60.0),
        ("animated_drawings/jumping_jacks", None, "y", 1.58, (), 30.0),
        # z up, and of no human size in any unit: drawn figures.
        ("animated_drawings/dab", "0.0254", "z", 1.17, (), 30.0),
        ("animated_drawings/zombie", "0.0254", "z", 1.14, (), 30.0),
    ],
)
def test_real_files_become_bodies_that_stand_on_the_floor(
    name: str, unit: str | None, up: str, stature: float, missed: tuple[str, ...], fps: float
) -> None:
    path = shared(f"motion/{name}.bvh")
    motion, body = as_motion(read_source(path), unit)
    assert body.facts["up"].startswith(f"{up} (")
    assert (body.facts["missed_joints"], body.facts["filled"]) == (list(missed), 0)
    assert body.facts["stature_m"] == pytest.approx(stature, abs=0.006)
    assert body.facts["mirrored"].startswith("no (")
    assert (motion.names, motion.fps) == (JOINTS, fps)
    height = np.median(motion.joints[:, :, 1], axis=0)
    assert height[INDEX["head"]] > 0.75 * stature
    feet = [INDEX["left_foot"], INDEX["right_foot"]]
    assert abs(np.percentile(motion.joints[:, feet, 1].min(axis=1), 5)) < 0.05


def test_drawn_figures_are_refused_with_their_height_until_the_unit_is_given() -> None:
    path = shared("motion/animated_drawings/dab.bvh")
    with pytest.raises(DataError, match=r"dab\.bvh: the bones make a body 46\.05 tall, no human size"):
        bvh.read_bvh(path)
    assert bvh.read_bvh(path, unit="in").frames == 339


@pytest.mark.parametrize(("take", "dropped"), [("60_01", 4), ("61_01", 4)])
def test_the_rest_pose_in_front_of_cmu_files_is_dropped(take: str, dropped: int) -> None:
    motion = bvh.read_bvh(shared(f"motion/cmu_salsa/{take}.bvh"))
    assert motion.start == pytest.approx(dropped / 120)
    # The shared .npz has the same take without its first frame, every second one, in its own axes.
    with np.load(shared("motion/cmu_salsa/salsa_joints_60fps.npz")) as arrays:
        known = arrays[f"take_{take}"].astype(np.float64)[:, arrays["names"].tolist().index("lHand")]
    ours = motion.joints[:, INDEX["left_wrist"]].astype(np.float64)
    speed = np.linalg.norm(np.diff(ours, axis=0), axis=1)
    best = min(
        range(6),
        key=lambda lag: np.abs(
            speed[10:900] - np.linalg.norm(np.diff(known, axis=0), axis=1)[10 + lag : 900 + lag]
        ).mean(),
    )
    assert abs(best - dropped / 2) <= 1
    assert np.linalg.norm(np.diff(motion.joints[:10], axis=0), axis=2).max() < 0.12


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_a_rest_pose_of_a_few_frames_is_found_and_a_plain_beginning_is_kept(frames: int) -> None:
    # Not from its very first frame on, where all its waves are in phase and it is fastest.
    body = moving_body(frames=360, fps=120.0)[60:]
    assert rest_frames(body, 120.0) == 0
    far = body[:1] + np.random.default_rng(0).normal(scale=0.5, size=(1, 22, 3))
    share = np.linspace(0, 1, frames, endpoint=False)[:, None, None]
    assert rest_frames(np.concatenate([(1 - share) * far + share * body[:1], body]), 120.0) == frames


@pytest.mark.parametrize(
    ("text", "fps"),
    [
        ("0.0333333", 30.0),
        (".03333", 30.0),
        ("0.008333", 120.0),
        ("0.01", 100.0),
        ("0.0166667", 60.0),
        ("0.016683", 60 / 1.001),
        ("0.033367", 30 / 1.001),
        ("0.008342", 120 / 1.001),
        ("0.03", 1 / 0.03),
        ("4e-2", 25.0),
    ],
)
def test_the_rate_is_the_one_the_frame_time_was_cut_from(tmp_path: Path, text: str, fps: float) -> None:
    (tmp_path / "a.bvh").write_text(plain_bvh(4, text))
    assert read_bvh_file(tmp_path / "a.bvh").fps == pytest.approx(fps, rel=1e-9)


@pytest.mark.parametrize(
    ("text", "fps", "noted"),
    [
        (".033", 30.0, True),
        ("0.008", 120.0, True),
        ("0.017", 60.0, True),
        ("0.016", 60.0, True),
        ("0.0083", 120.0, True),
        # These are exact, or within what 4 digits can say.
        ("0.04", 25.0, False),
        ("0.02", 50.0, False),
        ("0.005", 200.0, False),
        ("0.0333", 30.0, False),
        ("0.0125", 80.0, False),
    ],
)
def test_a_frame_time_rounded_to_few_digits_is_read_as_a_usual_rate_with_a_note(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, fps: float, noted: bool
) -> None:
    (tmp_path / "a.bvh").write_text(plain_bvh(4, text))
    assert read_bvh_file(tmp_path / "a.bvh").fps == pytest.approx(fps, rel=1e-9)
    said = f"{tmp_path / 'a.bvh'}: `Frame Time` {text} has too few digits: read as {fps:.0f} frames a second"
    assert [message.startswith(said) for message in caplog.messages] == [True] * noted


@pytest.mark.parametrize("frame_time", ["0.008", "0", "nan", ""])
def test_a_rate_that_is_given_overrides_any_frame_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, frame_time: str
) -> None:
    (tmp_path / "a.bvh").write_text(plain_bvh(60, frame_time))
    motion = bvh.read_bvh(tmp_path / "a.bvh", fps=50.0)
    assert (motion.fps, motion.seconds) == (50.0, 1.2)
    assert caplog.messages == []
    with pytest.raises(DataError, match="2000 frames a second given; expected 5 to 1000"):
        bvh.read_bvh(tmp_path / "a.bvh", fps=2000.0)


@pytest.mark.parametrize("said", [59, 61])
def test_rows_count_where_frames_is_one_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, said: int
) -> None:
    path = tmp_path / "a.bvh"
    path.write_text(plain_bvh(60))
    whole = read_bvh_file(path)
    path.write_text(plain_bvh(60).replace("Frames: 60", f"Frames: {said}"))
    np.testing.assert_array_equal(read_bvh_file(path).values, whole.values)
    assert caplog.messages == [f"{path}: `Frames` says {said}, but there are 60 rows; the rows are used"]


def test_rows_of_another_width_are_not_taken_for_frames_one_off(tmp_path: Path) -> None:
    # As many frames as channels, and a number too many in each row: a whole number of rows by their count.
    channels = read_bvh_file(write_plain(tmp_path / "a.bvh", 4)).values.shape[1]
    lines = plain_bvh(channels).splitlines()
    first = len(lines) - channels
    lines[first:] = [f"{line} 0" for line in lines[first:]]
    (tmp_path / "a.bvh").write_text("\n".join(lines))
    with pytest.raises(DataError, match="truncated or damaged"):
        read_bvh_file(tmp_path / "a.bvh")


def write_plain(path: Path, frames: int) -> Path:
    path.write_text(plain_bvh(frames))
    return path


@pytest.mark.parametrize(
    "how",
    [
        lambda text: re.sub(r"\s*\{", " {", text),
        lambda text: re.sub(r"\n\t*\}", " }", text),
        lambda text: text + "\x1a",
        lambda text: text + "\n\0\0\r\n\x1a\n",
        lambda text: text.lower(),
        lambda text: text.upper(),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("Frames:", "Frames").replace("Frame Time:", "Frame  Time "),
        lambda text: re.sub(r"MOTION\n(Frames.*)\n", r"MOTION \1 ", text),
    ],
)
def test_the_same_file_as_other_exporters_write_it(tmp_path: Path, how: Callable[[str], str]) -> None:
    path = write_plain(tmp_path / "a.bvh", 8)
    plain = read_bvh_file(path)
    text = how(path.read_text())
    assert text != path.read_text()
    path.write_bytes(text.encode())
    found = read_bvh_file(path)
    assert [name.lower() for name in found.names] == [name.lower() for name in plain.names]
    assert found.fps == plain.fps
    np.testing.assert_array_equal(forward_kinematics(found), forward_kinematics(plain))


def spoil(text: str, how: str) -> str:
    """A file damaged in one way."""
    lines = text.splitlines()
    motion = lines.index("MOTION")
    match how:
        case "truncated":
            return "\n".join(lines[:-3]) + "\n"
        case "cut in a line":
            return text[: -len(lines[-1]) // 2]
        case "cut in the hierarchy":
            return "\n".join(lines[: motion // 2])
        case "a word":
            return text.replace(lines[-1], lines[-1].replace(lines[-1].split()[5], "oops", 1))
        case "no fps":
            return text.replace("Frame Time: 0.0333333\n", "")
        case "fps 0":
            return text.replace("0.0333333", "0")
        case "fps 1e6":
            return text.replace("Frame Time: 0.0333333", "Frame Time: 1e-6")
        case "seconds a frame 1e6":
            return text.replace("Frame Time: 0.0333333", "Frame Time: 1e6")
        case "fps nan":
            return text.replace("Frame Time: 0.0333333", "Frame Time: nan")
        case "one frame":
            return "\n".join([*lines[: motion + 1], "Frames: 1", "Frame Time: 0.0333333", lines[-1]])
        case "no feet":
            return re.sub(r"(Left|Right)(Foot|ToeBase)", r"\1Extra\2Bone", text)
        case "no offset":
            return re.sub(r"OFFSET.*", "", text, count=1)
        case "bad channels":
            return text.replace("CHANNELS 3", "CHANNELS 4", 1)
        case "two roots":
            return text.replace("MOTION", "ROOT again\nMOTION")
        case "empty":
            return ""
    raise AssertionError(how)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("truncated", r"says 90 of \d+ numbers, the file holds 87\.0; it is truncated"),
        ("cut in a line", "truncated or damaged"),
        ("cut in the hierarchy", "not a whole BVH file"),
        ("a word", r"a\.bvh:\d+: 'oops' is no number"),
        ("no fps", "no `Frame Time`"),
        ("fps 0", r"`Frame Time` is '0'; expected 0\.001 to 0\.2 s"),
        ("fps 1e6", "`Frame Time` is '1e-6'"),
        ("seconds a frame 1e6", "`Frame Time` is '1e6'"),
        ("fps nan", "`Frame Time` is 'nan'"),
        ("one frame", r"1 frame\(s\); a motion needs at least 2"),
        ("no feet", "lacks left_ankle, right_ankle; found the joints Hips, "),
        ("no offset", "has no OFFSET"),
        ("bad channels", r"a\.bvh:\d+: CHANNELS of \w+ are "),
        ("two roots", "a second ROOT"),
        ("empty", "not a whole BVH file"),
    ],
)
def test_damaged_files_are_refused_by_name(tmp_path: Path, how: str, message: str) -> None:
    path = tmp_path / "a.bvh"
    path.write_text(spoil(plain_bvh(), how))
    with pytest.raises(DataError, match=message) as error:
        bvh.read_bvh(path)
    assert "a.bvh" in str(error.value)
    assert "\n" not in str(error.value)


@settings(deadline=None, max_examples=40)
@given(drawn=st.data())
def test_no_damage_gets_through_or_raises_anything_else(
    tmp_path_factory: pytest.TempPathFactory, drawn: st.DataObject
) -> None:
    text = plain_bvh(frames=12)
    # Mostly in the hierarchy, where the words are.
    first = drawn.draw(st.integers(0, len(text) - 1) | st.integers(0, text.index("MOTION") + 60))
    removed = drawn.draw(st.integers(0, 200))
    put = drawn.draw(
        st.sampled_from(
            ["", "x", "-", "{", "}", " nan ", "\n", "\0", "1e999", "1e40", "JOINT a\n", "\t", "9" * 5000]
        )
    )
    path = tmp_path_factory.mktemp("damaged") / "a.bvh"
    path.write_text(text[:first] + put + text[first + removed :])
    said = ""
    try:
        assert np.isfinite(bvh.read_bvh(path).joints).all()
    except DataError as error:
        said = str(error)
    # Anything else that is raised fails the test.
    assert "\n" not in said
    assert not said or str(path) in said


def test_short_runs_of_nan_are_filled_and_long_ones_refused(tmp_path: Path) -> None:
    text = plain_bvh()
    lines = text.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("Frame Time")) + 1
    path = tmp_path / "a.bvh"

    def lose(frames: range) -> None:
        # The third joint's channels, and with it all that hangs on it.
        damaged = list(lines)
        for frame in frames:
            numbers = damaged[first + frame].split()
            damaged[first + frame] = " ".join([*numbers[:9], "nan", *numbers[10:]])
        path.write_text("\n".join(damaged))

    lose(range(20, 24))
    motion, body = as_motion(read_source(path))
    whole = tmp_path / "whole.bvh"
    whole.write_text(text)
    assert body.facts["filled"] > 0
    assert body.facts["filled"] % 4 == 0
    np.testing.assert_allclose(motion.joints, bvh.read_bvh(whole).joints, atol=0.03)
    lose(range(20, 40))
    with pytest.raises(DataError, match=r"a\.bvh: joint \d+ \(\w+\) is missing .* frames 20 to 39, 0\.67 s"):
        bvh.read_bvh(path)


@pytest.mark.parametrize(("scale", "unit"), [(1.0, "m"), (100.0, "cm"), (1000.0, "mm"), (39.37, "in")])
def test_whatever_the_unit_the_body_is_the_same(tmp_path: Path, scale: float, unit: str) -> None:
    path, metres = tmp_path / "a.bvh", tmp_path / "metres.bvh"
    path.write_text(plain_bvh(scale=scale))
    metres.write_text(plain_bvh(scale=1.0))
    motion, body = as_motion(read_source(path))
    assert body.facts["unit"].startswith(f"{unit} (")
    np.testing.assert_allclose(motion.joints, bvh.read_bvh(metres).joints, atol=1e-3)


def options(**given: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    bvh.add_options(parser)
    return argparse.Namespace(**{**vars(parser.parse_args([])), **given})


def prepare(raw: Path, out: Path, **given: object) -> Corpus:
    return bvh.prepare(raw, out, options(**given))


def test_motoricas_layout_becomes_pairs_of_the_same_piece(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for folder in ("bvh", "wav"):
        (raw / folder).mkdir(parents=True)
    stems = [
        "kthjazz_gCH_sFM_cAll_d02_mCH_ch01_atune_003",
        "kthjazz_gCH_sFM_cAll_d01_mCH_ch01_atune_001",
        "kthmisc_gCA_sFM_cAll_d01_mCA_ch24",
        "kthjazz_gTP_sFM_sngl_d02_015",
    ]
    for seed, stem in enumerate(stems):
        (raw / f"bvh/{stem}.bvh").write_text(plain_bvh(seed=seed))
    for stem in stems[:3]:
        write_clicks(raw / f"wav/{stem}.wav", 3.0)
    corpus = prepare(raw, tmp_path / "out", licence="research only")
    assert [pair.name for pair in corpus.pairs] == sorted(stems[:3])
    assert [pair.piece for pair in corpus.pairs] == ["atune", "atune", "mCA_ch24"]
    assert {pair.licence for pair in corpus.pairs} == {"research only"}
    assert list(corpus.info["left_out"]) == [stems[3]]
    assert "no audio of that name" in corpus.info["left_out"][stems[3]]
    pair = read_corpus(tmp_path / "out").pairs[0]
    clip = load_pair(pair, tmp_path / "out")
    assert len(clip.wav) == round(pair.seconds * 16000)
    assert clip.motion.seconds == pytest.approx(3.0)
    assert pair.provenance["unit"].startswith("cm")
    assert set(pair.pulses) == {"left_foot", "right_foot"}


def test_audio_may_lie_elsewhere_and_the_command_line_says_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, sound = tmp_path / "raw", tmp_path / "sound"
    raw.mkdir()
    sound.mkdir()
    (raw / "a.bvh").write_text(plain_bvh(scale=1000.0))
    (raw / "b.bvh").write_text(plain_bvh())
    write_clicks(sound / "a.WAV", 3.0)
    arguments = ["prepare", "bvh", str(raw), str(tmp_path / "out"), "--audio", str(sound), "--up=y"]
    # 1: something was left out.
    assert data.main(arguments) == 1
    assert "1 pairs" in capsys.readouterr().out
    (pair,) = read_corpus(tmp_path / "out").pairs
    assert pair.provenance["up"] == "y (given)"
    assert pair.provenance["unit"].startswith("mm")
    assert data.main([*arguments, "--unit", "m"]) == 2
    assert "not one pair could be prepared" in capsys.readouterr().err


def test_what_was_put_right_is_told_by_each_preparation_and_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.bvh").write_text(plain_bvh(60, ".033").replace("Frames: 60", "Frames: 61"))
    (tmp_path / "a.beats").write_text("-0.1\t4\n0.4\t1\n0.9\t2\n")
    write_clicks(tmp_path / "a.wav", 2.0)
    arguments = ["prepare", "bvh", str(tmp_path), str(tmp_path / "out")]
    # The second run keeps the pair and tells of it all the same.
    for _ in range(2):
        assert data.main(arguments) == 0
        notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
        assert len(notes) == 3
        assert "a.bvh: `Frame Time` .033 has too few digits: read as 30" in notes[0]
        assert "a.bvh: `Frames` says 61, but there are 60 rows" in notes[1]
        assert "a.beats: 1 beat(s) before 0 s" in notes[2]
    (pair,) = read_corpus(tmp_path / "out").pairs
    assert [f"note: {pair.name}: {note}" for note in pair.provenance["notes"]] == notes
    assert (pair.fps, pair.seconds) == (30.0, 2.0)
    # 60 frames at 60 a second are too short for the audio, at 30 they fit.
    assert data.main([*arguments, "--fps", "60"]) == 2
    assert "1.00 s of motion and 2.00 s of audio" in capsys.readouterr().err
    assert data.main([*arguments, "--fps", "30"]) == 0
    assert "too few digits" not in capsys.readouterr().err


def test_a_splits_table_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.bvh").write_text(plain_bvh())
    (tmp_path / "splits.csv").write_bytes(b"\xff\xfe\0")
    with pytest.raises(DataError, match=r"splits\.csv: no column name .*, in UTF-8"):
        prepare(tmp_path, tmp_path / "out", splits=tmp_path / "splits.csv")


@pytest.mark.parametrize(
    ("stem", "piece"),
    [
        ("gBR_sBM_cAll_d04_mBR0_ch02", "mBR0"),
        ("kthstreet_gLH_sFM_cAll_d01_mLH12_ch12", "mLH12"),
        ("kthstreet_gPO_sFM_cAll_d02_mPO_ch01_luco100bpm_001", "luco100bpm"),
        ("my song", "my song"),
    ],
)
def test_the_piece_is_read_from_aists_names(stem: str, piece: str) -> None:
    assert bvh.piece_of(stem) == piece


def test_lengths_that_differ_by_more_than_five_percent_are_refused(tmp_path: Path) -> None:
    for name, seconds in (("fits", 3.1), ("short", 2.8), ("long", 3.3)):
        (tmp_path / f"{name}.bvh").write_text(plain_bvh())
        write_clicks(tmp_path / f"{name}.wav", seconds)
    corpus = prepare(tmp_path, tmp_path / "out")
    assert [pair.name for pair in corpus.pairs] == ["fits"]
    assert corpus.pairs[0].seconds == pytest.approx(3.0)
    for name in ("short", "long"):
        assert "3.00 s of motion and" in corpus.info["left_out"][name]


@pytest.mark.parametrize("offset", [0.5, -0.5, 0.013, -0.2071])
def test_an_offset_moves_audio_and_motion_against_each_other(tmp_path: Path, offset: float) -> None:
    (tmp_path / "a.bvh").write_text(plain_bvh(frames=120))
    write_clicks(tmp_path / "a.wav", 4.0 - offset)
    pair = prepare(tmp_path, tmp_path / "out", offset=offset).pairs[0]
    assert pair.audio is not None
    # One of the two waits for the other.
    assert pair.audio.start == pytest.approx(max(0.0, -offset))
    assert pair.seconds == pytest.approx(4.0 - max(0.0, offset), abs=1e-3)
    clip = load_pair(pair, tmp_path / "out")
    whole = bvh.read_bvh(tmp_path / "a.bvh")
    # The frame at motion time t stands at t - offset of the audio file.
    frame = 50
    when = clip.motion.start + frame / clip.motion.fps + pair.audio.start + offset
    np.testing.assert_allclose(clip.motion.joints[frame], whole.joints[round(when * whole.fps)], atol=1e-5)


def test_an_offset_beyond_the_motion_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.bvh").write_text(plain_bvh())
    write_clicks(tmp_path / "a.wav", 3.0)
    with pytest.raises(DataError, match="do not meet; correct the offset"):
        prepare(tmp_path, tmp_path / "out", offset=30.0)


def test_beats_beside_the_audio_give_the_grid(tmp_path: Path) -> None:
    (tmp_path / "a.bvh").write_text(plain_bvh())
    write_clicks(tmp_path / "a.wav", 3.0)
    (tmp_path / "a.beats").write_text("".join(f"{0.25 + 0.5 * k}\t{k % 3 + 1}\n" for k in range(8)))
    pair = prepare(tmp_path, tmp_path / "out").pairs[0]
    assert (pair.grid, pair.metre, pair.bpm) == ("annotated", 3, 120.0)
    grid = load_pair(pair, tmp_path / "out").grid
    assert grid is not None
    np.testing.assert_allclose(grid.beats, 0.25 + 0.5 * np.arange(6))


def test_splits_come_from_a_csv_or_by_the_piece(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    for seed, name in enumerate(("a", "b")):
        (raw / f"{name}.bvh").write_text(plain_bvh(seed=seed))
        write_clicks(raw / f"{name}.wav", 3.0 + seed / 100)
    splits = tmp_path / "splits.csv"
    splits.write_text("name,piece,take,split\na,waltz,duo,test\nb,waltz,solo,test\n")
    pairs = prepare(raw, tmp_path / "out", splits=splits).pairs
    assert [(pair.piece, pair.take, pair.split) for pair in pairs] == [
        ("waltz", "duo", "test"),
        ("waltz", "solo", "test"),
    ]
    splits.write_text("name,piece,take,split\na,waltz,duo,test\nb,waltz,solo,train\n")
    with pytest.raises(DataError, match="the piece 'waltz' is in two splits"):
        prepare(raw, tmp_path / "out", splits=splits)
    for text, message in (
        ("name,piece\n", r"splits\.csv: no column take and no column split"),
        ("name,piece,take,split\nz,p,t,test\n", r"splits\.csv:2: name 'z' is no BVH file"),
        ("name,piece,take,split\na,p,t,validation\n", r"splits\.csv:2: split is 'validation'"),
        ("name,piece,take,split\na,p,t,test\na,p,t,test\n", r"splits\.csv:3: 'a' needs one line"),
    ):
        splits.write_text(text)
        with pytest.raises(DataError, match=message):
            prepare(raw, tmp_path / "out", splits=splits)


def test_one_unreadable_audio_among_many_is_left_out(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.bvh").write_text(plain_bvh())
        write_clicks(tmp_path / f"{name}.wav", 3.0)
    (tmp_path / "b.wav").write_bytes(b"RIFF no sound")
    corpus = prepare(tmp_path, tmp_path / "out")
    assert [pair.name for pair in corpus.pairs] == ["a", "c"]
    assert "b.wav" in corpus.info["left_out"]["b"]


def test_a_folder_without_bvh_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no \.bvh file"):
        prepare(tmp_path, tmp_path / "out")
    with pytest.raises(DataError, match="no such folder"):
        prepare(tmp_path / "nowhere", tmp_path / "out")
