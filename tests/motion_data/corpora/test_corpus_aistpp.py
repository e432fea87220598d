"""AIST++ on files fabricated in its published layout: the real ones are on no machine of this project.

Motions are random, the music is made of clicks at the tempo of the piece's name.
"""

from __future__ import annotations

import argparse
import os
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data.body.kinematics import REST
from motion_data.body.orientation import floor_height
from motion_data.commands.prepare import main as prepare_command
from motion_data.corpora.aistpp import assign_splits, prepare
from motion_data.corpora.aistpp_annotations import find_annotations, parse_name
from motion_data.errors import DataError
from motion_data.loading import load_pair
from motion_data.manifest import MARK, read_corpus
from motion_data.motion_file import read_motion
from motion_data.skeleton import INDEX, PARENTS
from motionbeat_upstream.config import SAMPLE_RATE
from tests.clicks_at_tempo import clicks
from tests.fabricated_smpl import fabricated_smpl, posed_by_hand, write_npz

TRAIN = (
    "gBR_sBM_cAll_d04_mBR1_ch03",
    "gBR_sFM_cAll_d05_mBR1_ch09",
    "gHO_sBM_cAll_d20_mHO0_ch03",
    "gLO_sBM_cAll_d13_mLO5_ch04",
)
VAL = ("gBR_sBM_cAll_d04_mBR0_ch01",)
TEST = ("gBR_sBM_cAll_d04_mBR0_ch02", "gBR_sBM_cAll_d05_mBR0_ch02")
IGNORED = "gLO_sBM_cAll_d14_mLO5_ch04"
UNLISTED = "gBR_sBM_cAll_d06_mBR0_ch05"
SCALING = 93.7


def motion(frames: int = 600, seed: int = 0) -> dict[str, NDArray[Any]]:
    """A pickle's content: limbs that swing and a body that drifts, in AIST++'s centimetre-like units."""
    draw = np.random.default_rng(seed)
    swing = np.sin(2 * np.pi * np.outer(np.arange(frames) / 60, draw.uniform(0.3, 1.2, 72)))
    drift = np.stack([0.1 * np.arange(frames) / 60, np.full(frames, 1.2), np.zeros(frames)], axis=1)
    return {
        "smpl_poses": 0.4 * swing * draw.normal(size=72),
        "smpl_scaling": np.array([SCALING]),
        "smpl_trans": drift * SCALING,
        "smpl_loss": np.array(0.1),
    }


def fabricate(root: Path, motions: Mapping[str, bytes] | None = None, frames: int = 600) -> tuple[Path, Path]:
    """Annotations and music under ``root``; ``motions`` in place of those of some takes."""
    raw, audio = root / "annotations", root / "music"
    (raw / "motions").mkdir(parents=True)
    (raw / "splits").mkdir()
    audio.mkdir()
    for seed, take in enumerate((*TRAIN, *VAL, *TEST, IGNORED, UNLISTED)):
        (raw / "motions" / f"{take}.pkl").write_bytes(
            pickle.dumps(motion(frames, seed), protocol=2 + seed % 4)
        )
    for take, data in (motions or {}).items():
        (raw / "motions" / f"{take}.pkl").write_bytes(data)
    for name, takes in (("train", (*TRAIN, IGNORED)), ("val", VAL), ("test", TEST)):
        (raw / "splits" / f"crossmodal_{name}.txt").write_text("\n".join(takes))
    (raw / "ignore_list.txt").write_text(f"{IGNORED} \n\n")
    for piece, bpm in (("mBR0", 80), ("mBR1", 90), ("mHO0", 110), ("mLO5", 130)):
        soundfile.write(audio / f"{piece}.wav", clicks(bpm, frames / 60 + 3), SAMPLE_RATE)
    return raw, audio


def options(audio: Path, **changes: Any) -> argparse.Namespace:
    return argparse.Namespace(**({"audio": audio, "smpl": None, "dev_pieces": 1} | changes))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Annotations, music and the corpus prepared of them, with a fabricated SMPL model."""
    root = tmp_path_factory.mktemp("aistpp")
    raw, audio = fabricate(root)
    prepare(raw, root / "out", options(audio, smpl=write_npz(root / "model.npz")))
    return raw, audio, root / "out"


class TestNames:
    def test_tempo_goes_by_the_number(self) -> None:
        tempos = {
            name: parse_name(f"gBR_sBM_cAll_d04_{name}_ch02").bpm for name in ("mBR0", "mJB5", "mHO0", "mHO5")
        }
        assert tempos == {"mBR0": 80, "mJB5": 130, "mHO0": 110, "mHO5": 135}

    def test_fields(self) -> None:
        name = parse_name("gKR_sFM_cAll_d29_mKR5_ch14")
        assert (name.genre, name.situation, name.dancer, name.choreography) == ("KR", "FM", "d29", "ch14")
        assert name.music == "mKR5"

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "take1",
            "gBR_sBM_cAll_d04_mXX0_ch02",
            "gBR_sBM_cAll_d04_mBR6_ch02",
            "gBR_sBM_cAll_d04_mBR0_ch02_x",
        ],
    )
    def test_others_are_refused(self, name: str) -> None:
        with pytest.raises(DataError, match="not a take of AIST"):
            parse_name(name)


class TestSplits:
    def test_validation_on_test_pieces_is_passed_over_and_dev_is_made_of_training_pieces(self) -> None:
        splits = assign_splits({"train": TRAIN, "val": VAL, "test": TEST}, [IGNORED], 1)
        assert {take for take, split in splits.takes.items() if split == "test"} == set(TEST)
        assert not set(VAL) & set(splits.takes)
        assert sum(splits.passed_over.values()) == 1
        dev = {parse_name(take).music for take, split in splits.takes.items() if split == "dev"}
        train = {parse_name(take).music for take, split in splits.takes.items() if split == "train"}
        assert len(dev) == 1
        assert len(train) == 2
        assert not dev & train

    def test_a_validation_piece_of_its_own_is_dev(self) -> None:
        own = "gKR_sBM_cAll_d30_mKR2_ch01"
        splits = assign_splits({"train": TRAIN, "val": (own,), "test": TEST}, [], 0)
        assert splits.takes[own] == "dev"
        assert all(splits.takes[take] == "train" for take in TRAIN)

    def test_a_take_in_two_lists_is_an_error(self) -> None:
        with pytest.raises(DataError, match=r"crossmodal_train\.txt and in crossmodal_test\.txt"):
            assign_splits({"train": TRAIN, "val": (), "test": TRAIN[:1]}, [], 0)

    @settings(deadline=None)
    @given(st.integers(0, 60), st.integers(1, 12), st.integers(0, 10**6))
    def test_splits_are_apart_by_piece_and_dev_never_takes_all(
        self, dev: int, pieces: int, seed: int
    ) -> None:
        draw = np.random.default_rng(seed)
        names = [f"m{genre}{number}" for genre in ("BR", "HO") for number in range(6)][:pieces]
        train = [f"gBR_sBM_cAll_d{k:02d}_{draw.choice(names)}_ch03" for k in range(30)]
        splits = assign_splits({"train": train, "val": VAL, "test": TEST}, [], dev)
        held: dict[str, set[str]] = {}
        for take, split in splits.takes.items():
            held.setdefault(split, set()).add(parse_name(take).music)
        available = {parse_name(take).music for take in train} - {"mBR0"}
        assert not held.get("dev", set()) & (held.get("train", set()) | held["test"])
        assert len(held.get("dev", set())) == max(0, min(dev, len(available) - 1))

    def test_the_published_lists_as_far_as_their_rule_is_known(self) -> None:
        """980 takes over 50 pieces, 20 over the ten others with choreography 1, and 20 with 2."""
        genres = ("BR", "PO", "LO", "MH", "LH", "HO", "WA", "KR", "JS", "JB")
        test = [f"gBR_sBM_cAll_d{d:02d}_m{g}0_ch02" for g in genres for d in (1, 2)]
        val = [take.replace("ch02", "ch01") for take in test]
        train = [
            f"gBR_sBM_cAll_d{k % 30:02d}_m{genres[k % 10]}{1 + k // 10 % 5}_ch{k // 50:02d}"
            for k in range(980)
        ]
        splits = assign_splits({"train": train, "val": val, "test": test}, [], 5)
        pieces = {
            name: {parse_name(take).music for take, split in splits.takes.items() if split == name}
            for name in ("train", "dev", "test")
        }
        assert [len(pieces[name]) for name in ("train", "dev", "test")] == [45, 5, 10]
        assert len({piece[:3] for piece in pieces["dev"]}) == 5  # of five genres
        assert "takes of crossmodal_val.txt whose piece is in another list" in splits.passed_over


class TestPrepared:
    def test_manifest(self, prepared: tuple[Path, Path, Path]) -> None:
        _, audio, out = prepared
        corpus = read_corpus(out)
        assert {pair.take for pair in corpus.split("test")} == set(TEST)
        assert {pair.take for pair in corpus.pairs} == {*TRAIN, *TEST}
        assert corpus.info["left_out"] == {}
        assert corpus.info["notes"] == {
            "takes of the lists that ignore_list.txt names": 1,
            "takes of crossmodal_val.txt whose piece is in another list": 1,
            "motions that no cross-modal list names": 1,
        }
        pair = next(pair for pair in corpus.pairs if pair.take == TEST[0])
        assert (pair.piece, pair.bpm, pair.metre, pair.fps, pair.grid) == ("mBR0", 80, 4, 60, "estimated")
        assert pair.audio is not None
        assert Path(pair.audio.path) == audio / "mBR0.wav"
        assert pair.seconds == pair.audio.stop == 10.0
        assert "CC BY 4.0" in pair.licence
        assert "AIST" in pair.licence
        assert "SMPL" in pair.licence
        assert pair.provenance["dancer"] == "d04"
        assert pair.provenance["joints"].startswith("SMPL")

    def test_joints_are_those_written_by_hand(self, prepared: tuple[Path, Path, Path]) -> None:
        _, _, out = prepared
        made = motion(seed=0)
        found, _ = read_motion(out / f"motion/{TRAIN[0]}.npz")
        arrays = fabricated_smpl()
        rest = (arrays["J_regressor"] @ arrays["v_template"])[:22]
        poses = made["smpl_poses"].reshape(-1, 24, 3)[:5, :22]
        expected = posed_by_hand(rest, poses, made["smpl_trans"][:5] / SCALING, PARENTS)
        moved = found.joints[:5] - expected
        np.testing.assert_allclose(moved[..., [0, 2]], 0, atol=1e-5)
        np.testing.assert_allclose(moved[..., 1], moved[0, 0, 1], atol=1e-5)  # the floor was taken off
        assert found.rotations is not None
        np.testing.assert_allclose(found.rotations[:5], poses, atol=1e-6)

    def test_clip(self, prepared: tuple[Path, Path, Path]) -> None:
        _, _, out = prepared
        corpus = read_corpus(out)
        clip = load_pair(corpus.split("test")[0], out)
        assert clip.grid is not None
        assert len(clip.wav) == 10 * SAMPLE_RATE
        assert clip.motion.frames == 600
        assert (
            abs((clip.grid.beats[1] - 0.2) % 0.75) < 0.02
            or abs((clip.grid.beats[1] - 0.2) % 0.75 - 0.75) < 0.02
        )
        assert clip.grid.beats[-1] >= 10.0 - 0.75
        assert clip.grid.beats[-1] < 10.0 + 0.75
        lowest = clip.motion.joints[:, [INDEX[foot] for foot in ("left_foot", "right_foot")], 1].min()
        assert abs(lowest) < 0.5

    def test_a_second_preparation_finds_it_whole(self, prepared: tuple[Path, Path, Path]) -> None:
        raw, audio, out = prepared
        before = {path: path.stat().st_mtime_ns for path in (out / "motion").iterdir()}
        (out / MARK).unlink()
        prepare(raw, out, options(audio, smpl=out.parent / "model.npz"))
        assert {path: path.stat().st_mtime_ns for path in (out / "motion").iterdir()} == before

    def test_the_zip_gives_the_same_and_nothing_is_unpacked(
        self, prepared: tuple[Path, Path, Path], tmp_path: Path
    ) -> None:
        raw, audio, out = prepared
        archive = tmp_path / "fullset.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            for path in sorted(raw.rglob("*")):
                if path.is_file():
                    file.write(path, f"aist_plusplus_final/{path.relative_to(raw)}")
            file.writestr("../../evil.txt", "out of the folder")
            file.writestr("../motions/../../gBR_sBM_cAll_d09_mBR3_ch03.txt", "the same")
        corpus = prepare(archive, tmp_path / "out", options(audio, smpl=out.parent / "model.npz"))
        for one, other in zip(corpus.pairs, read_corpus(out).pairs, strict=True):
            assert one.name == other.name
            assert one.split == other.split
            mine, theirs = (
                read_motion(tmp_path / "out" / str(one.motion))[0],
                read_motion(out / str(other.motion))[0],
            )
            np.testing.assert_array_equal(mine.joints, theirs.joints)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["fullset.zip", "out"]
        assert not (tmp_path.parent / "evil.txt").exists()

    def test_a_folder_around_it_is_looked_into(
        self, prepared: tuple[Path, Path, Path], tmp_path: Path
    ) -> None:
        raw, _, _ = prepared
        (tmp_path / "aist_plusplus_final").symlink_to(raw)
        assert find_annotations(tmp_path).motions == find_annotations(raw).motions


def test_without_the_licensed_model_joints_are_approximate_and_said_so(tmp_path: Path) -> None:
    raw, audio = fabricate(tmp_path, frames=240)
    corpus = prepare(raw, tmp_path / "out", options(audio, dev_pieces=0))
    assert not corpus.split("dev")
    assert len(corpus.split("train")) == len(TRAIN)
    pair = corpus.split("test")[0]
    assert "approximate" in pair.provenance["joints"]
    joints = read_motion(tmp_path / "out" / str(pair.motion))[0].joints
    for joint, parent in enumerate(PARENTS[1:], 1):
        length = np.linalg.norm(REST[joint] - REST[parent])
        np.testing.assert_allclose(
            np.linalg.norm(joints[:, joint] - joints[:, parent], axis=-1), length, rtol=1e-3
        )


def test_other_splits_or_another_body_make_the_pairs_anew(tmp_path: Path) -> None:
    raw, audio = fabricate(tmp_path, frames=240)
    out = tmp_path / "out"
    first = prepare(raw, out, options(audio, dev_pieces=0))
    assert not first.split("dev")
    joints = read_motion(out / str(first.pairs[0].motion))[0].joints
    second = prepare(raw, out, options(audio, dev_pieces=1))
    assert second.split("dev")
    prepare(raw, out, options(audio, dev_pieces=1, smpl=write_npz(tmp_path / "model.npz")))
    assert not np.allclose(read_motion(out / str(first.pairs[0].motion))[0].joints, joints, atol=0.01)


def test_a_motion_that_comes_later_is_added_and_the_others_are_kept(tmp_path: Path) -> None:
    raw, audio = fabricate(tmp_path, frames=240)
    later = raw / "motions" / f"{TRAIN[0]}.pkl"
    data = later.read_bytes()
    later.unlink()
    first = prepare(raw, tmp_path / "out", options(audio))
    before = {pair.name: (tmp_path / "out" / str(pair.motion)).stat().st_mtime_ns for pair in first.pairs}
    later.write_bytes(data)
    second = prepare(raw, tmp_path / "out", options(audio))
    assert {pair.name for pair in second.pairs} - set(before) == {TRAIN[0]}
    for name, time in before.items():
        assert (tmp_path / "out" / "motion" / f"{name}.npz").stat().st_mtime_ns == time


def test_music_a_take_goes_before_music_a_piece_and_other_formats_are_read(tmp_path: Path) -> None:
    raw, audio = fabricate(tmp_path, frames=240)
    soundfile.write(audio / f"{TEST[0]}.wav", clicks(80, 4.0, phase=0.4), SAMPLE_RATE)
    (audio / "mLO5.wav").unlink()
    soundfile.write(audio / "mLO5.flac", np.repeat(clicks(130, 5), 2), 2 * SAMPLE_RATE)
    corpus = prepare(raw, tmp_path / "out", options(audio))
    files = {pair.take: Path(pair.audio.path).name for pair in corpus.pairs if pair.audio}
    assert files[TEST[0]] == f"{TEST[0]}.wav"
    assert files[TEST[1]] == "mBR0.wav"
    assert files[TRAIN[3]] == "mLO5.flac"


class Evil:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in motion(240).items() if name != key}


def damaged(key: str, place: tuple[int, ...], value: float) -> dict[str, Any]:
    made = motion(240)
    made[key][place] = value
    return made


def test_poses_joint_by_joint_are_the_same(tmp_path: Path) -> None:
    """As the data set's page describes them, with a scalar for the scaling."""
    made = motion(240)
    told = made | {"smpl_poses": made["smpl_poses"].reshape(-1, 24, 3), "smpl_scaling": np.float32(SCALING)}
    raw, _ = fabricate(tmp_path, {TRAIN[0]: pickle.dumps(made), TRAIN[1]: pickle.dumps(told)}, frames=240)
    annotations = find_annotations(raw)
    one, other = annotations.take(TRAIN[0]), annotations.take(TRAIN[1])
    np.testing.assert_array_equal(one.poses, other.poses)
    np.testing.assert_allclose(one.translation, other.translation, rtol=1e-6)


BAD: dict[str, tuple[dict[str, Any] | list[int], str]] = {
    "no translation": (without("smpl_trans"), "expected smpl_poses, smpl_trans, smpl_scaling"),
    "a list": ([1, 2], "holds list"),
    "NaN": (damaged("smpl_poses", (7, 3), np.nan), "1 of 17280 numbers of smpl_poses are NaN"),
    "infinite": (damaged("smpl_trans", (7, 1), np.inf), "1 of 720 numbers of smpl_trans"),
    "one frame": (motion(1), r"1 frame\(s\); a motion needs at least 2"),
    "other shapes": (motion(240) | {"smpl_poses": np.zeros((240, 69))}, r"expected \(T, 72\)"),
    "ragged": (motion(240) | {"smpl_trans": np.zeros((239, 3))}, r"expected \(T, 72\) or"),
    "EDGE's": (motion(240) | {"full_pose": np.zeros((240, 24, 3))}, "full_pose shows that EDGE wrote it"),
    "words": (
        motion(240) | {"smpl_trans": np.array([["a", "b", "c"]] * 240)},
        "smpl_trans: not an array of numbers",
    ),
    "no scale": (
        motion(240) | {"smpl_scaling": np.array([0.0])},
        "smpl_scaling is 0; expected one number above 0",
    ),
    "no metres": (motion(240) | {"smpl_scaling": np.array([1.0])}, "m from the origin; expected"),
    "longer than its music": (motion(480), "8.00 s of motion and 7.00 s of audio"),
}


class TestBadInput:
    """Each bad take is left out with its reason, and the rest goes on."""

    def left_out(self, tmp_path: Path, data: bytes) -> str:
        raw, audio = fabricate(tmp_path, {TRAIN[0]: data}, frames=240)
        corpus = prepare(raw, tmp_path / "out", options(audio))
        assert len(corpus.pairs) == len(TRAIN) + len(TEST) - 1
        assert list(corpus.info["left_out"]) == [TRAIN[0]]
        return str(corpus.info["left_out"][TRAIN[0]])

    @pytest.mark.slow
    @pytest.mark.parametrize("fault", BAD)
    def test_a_bad_motion(self, tmp_path: Path, fault: str) -> None:
        content, said = BAD[fault]
        message = self.left_out(tmp_path, pickle.dumps(content, protocol=2))
        with pytest.raises(DataError, match=said):
            raise DataError(message)
        assert TRAIN[0] in message
        assert "\n" not in message

    def test_a_pickle_with_code_is_refused_before_it_runs(self, tmp_path: Path) -> None:
        marker = tmp_path / "ran"
        message = self.left_out(tmp_path, pickle.dumps(motion(240) | {"smpl_loss": Evil(marker)}))
        assert "only numpy arrays are read" in message
        assert not marker.exists()

    @pytest.mark.slow
    @settings(max_examples=5, deadline=None)
    @given(st.floats(0, 0.99))
    def test_a_truncated_pickle(self, tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
        data = pickle.dumps(motion(240), protocol=2)
        message = self.left_out(tmp_path_factory.mktemp("half"), data[: int(share * len(data))])
        assert "not a whole pickle" in message

    def test_music_that_is_missing_empty_or_no_music(self, tmp_path: Path) -> None:
        raw, audio = fabricate(tmp_path, frames=240)
        (audio / "mBR1.wav").unlink()
        (audio / "mHO0.wav").write_bytes(b"")
        (audio / "mLO5.wav").write_bytes(b"these are words " * 100)
        corpus = prepare(raw, tmp_path / "out", options(audio))
        said = corpus.info["left_out"]
        assert {pair.take for pair in corpus.pairs} == set(TEST)
        assert "mBR1.wav: no such file" in said[TRAIN[0]]
        assert "empty" in said[TRAIN[2]]
        assert "not audio" in said[TRAIN[3]]

    def test_a_listed_take_with_an_unknown_piece_and_one_without_motion(self, tmp_path: Path) -> None:
        raw, audio = fabricate(tmp_path, frames=240)
        odd = "gBR_sBM_cAll_d04_mXY7_ch03"
        (raw / "motions" / f"{odd}.pkl").write_bytes(pickle.dumps(motion(240)))
        with (raw / "splits" / "crossmodal_train.txt").open("a") as file:
            file.write(f"\n{odd}\ngBR_sBM_cAll_d04_mBR2_ch03\n")
        corpus = prepare(raw, tmp_path / "out", options(audio))
        assert "whose music is m" in corpus.info["left_out"][odd]
        assert corpus.info["notes"]["takes of the lists without a motion in RAW"] == 1

    def test_one_damaged_member_of_a_zip(self, tmp_path: Path) -> None:
        raw, audio = fabricate(tmp_path, frames=240)
        archive = tmp_path / "annotations.zip"
        with zipfile.ZipFile(archive, "w") as file:
            for path in sorted(raw.rglob("*.*")):
                file.write(path, path.relative_to(raw))
            place = file.getinfo(f"motions/{TRAIN[0]}.pkl").header_offset + 2000
        data = bytearray(archive.read_bytes())
        data[place : place + 8] = b"\xff" * 8
        archive.write_bytes(data)
        corpus = prepare(archive, tmp_path / "out", options(audio))
        assert "cannot be read (Bad CRC" in corpus.info["left_out"][TRAIN[0]]
        assert len(corpus.pairs) == len(TRAIN) + len(TEST) - 1

    def test_two_sets_of_annotations_in_a_zip(self, tmp_path: Path) -> None:
        archive = tmp_path / "both.zip"
        with zipfile.ZipFile(archive, "w") as file:
            for folder in ("old", "new"):
                file.writestr(f"{folder}/motions/{TRAIN[0]}.pkl", pickle.dumps(motion(240)))
        with pytest.raises(DataError, match=f"{TRAIN[0]}.pkl is there twice"):
            find_annotations(archive)

    @pytest.mark.parametrize(
        ("harm", "said"),
        [
            (lambda raw: (raw / "splits" / "crossmodal_val.txt").unlink(), "lacks crossmodal_val.txt"),
            (lambda raw: (raw / "ignore_list.txt").unlink(), "lacks ignore_list.txt"),
            (lambda raw: (raw / "ignore_list.txt").write_bytes(b"\xff\xfe\xff"), "not a text of names"),
            (lambda raw: (raw / "motions").rename(raw / "moved"), r"no motions/\*\.pkl"),
            (
                lambda raw: (raw / "splits" / "crossmodal_test.txt").write_text(TRAIN[0]),
                r"in crossmodal_train\.txt and in",
            ),
        ],
    )
    def test_annotations_that_are_not_whole(
        self, tmp_path: Path, harm: Callable[[Path], object], said: str
    ) -> None:
        raw, audio = fabricate(tmp_path, frames=60)
        harm(raw)
        with pytest.raises(DataError, match=said):
            prepare(raw, tmp_path / "out", options(audio))

    def test_folders_and_files_that_are_not_there(self, tmp_path: Path) -> None:
        raw, audio = fabricate(tmp_path, frames=60)
        with pytest.raises(DataError, match="no such folder or zip"):
            prepare(tmp_path / "none", tmp_path / "out", options(audio))
        with pytest.raises(DataError, match=r"--audio .*no such folder"):
            prepare(raw, tmp_path / "out", options(tmp_path / "none"))
        with pytest.raises(DataError, match="--dev-pieces -1"):
            prepare(raw, tmp_path / "out", options(audio, dev_pieces=-1))
        with pytest.raises(DataError, match="no such file"):
            prepare(raw, tmp_path / "out", options(audio, smpl=tmp_path / "SMPL_NEUTRAL.npz"))
        (tmp_path / "half.zip").write_bytes(b"PK\x03\x04 and then nothing")
        with pytest.raises(DataError, match="not a whole zip"):
            prepare(tmp_path / "half.zip", tmp_path / "out", options(audio))

    def test_a_piece_in_two_splits_is_an_error(self, tmp_path: Path) -> None:
        raw, audio = fabricate(tmp_path, frames=240)
        (raw / "splits" / "crossmodal_test.txt").write_text("gBR_sFM_cAll_d05_mBR1_ch10")
        take = raw / "motions" / "gBR_sFM_cAll_d05_mBR1_ch10.pkl"
        take.write_bytes(pickle.dumps(motion(240)))
        with pytest.raises(DataError, match="piece 'mBR1' is in two splits"):
            prepare(raw, tmp_path / "out", options(audio))


@settings(deadline=None)
@given(st.floats(-3, 3), st.integers(0, 10**6))
def test_the_floor_is_where_the_lower_foot_rests(height: float, seed: int) -> None:
    draw = np.random.default_rng(seed)
    joints = np.broadcast_to(REST + np.array([0, height, 0]), (200, 22, 3))
    lifted = joints + draw.random((200, 1, 1)) * (draw.random((200, 1, 1)) > 0.5) * [0.0, 0.3, 0.0]
    assert floor_height(lifted) == pytest.approx(height + REST[INDEX["left_foot"], 1])


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw, audio = fabricate(tmp_path, {TRAIN[0]: b"no pickle"}, frames=240)
    arguments = ["aistpp", str(raw), str(tmp_path / "out"), "--audio", str(audio), "--dev-pieces", "1"]
    assert prepare_command(arguments) == 1
    told = capsys.readouterr()
    assert "5 pairs" in told.out
    assert "1  takes of crossmodal_val.txt" in told.out
    assert f"left out: {TRAIN[0]}" in told.err
