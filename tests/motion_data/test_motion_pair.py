"""The shared record, its file, its manifest, and preparations that go on where they were."""

from __future__ import annotations

import io
import json
import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data.errors import DataError
from motion_data.files import file_sha256
from motion_data.loading import load_pair, read_span
from motion_data.manifest import MANIFEST, MARK, check_splits, read_corpus, write_manifest
from motion_data.motion import Motion
from motion_data.motion_file import read_motion, write_motion
from motion_data.pair import AudioSpan, MotionPair, from_record, to_record
from motion_data.preparation import Job, PreparedPair, check_lengths, prepare_pairs
from motion_data.safe_pickle import load_arrays
from motion_data.skeleton import FEET, INDEX, JOINTS, PARENTS
from motionbeat_upstream.tracking.grid import Grid, regular_grid


def made_motion(frames: int = 20, seed: int = 0) -> Motion:
    draw = np.random.default_rng(seed)
    joints = draw.normal(size=(frames, len(JOINTS), 3))
    pulses = {"left_foot": np.sort(draw.random(4)), "right_foot": np.empty(0)}
    return Motion(30.0, JOINTS, joints, -0.1, draw.normal(size=(frames, 22, 3)), pulses)


def made_pair(name: str = "a", **changes: object) -> MotionPair:
    pair = MotionPair(
        name, "folder", f"piece-{name}", f"take-{name}", "train", "CC0", 2.0, 30.0, JOINTS, {"left_foot": 4}
    )
    return replace(pair, **changes)  # type: ignore[arg-type]


def test_the_skeleton_is_a_tree_and_its_feet_are_in_it() -> None:
    assert len(JOINTS) == len(PARENTS) == len(set(JOINTS)) == 22
    assert all(parent < joint for joint, parent in enumerate(PARENTS))
    assert all(name in INDEX for joints in FEET.values() for name in joints)


class TestMotion:
    @given(st.floats(-1, 1), st.integers(2, 50))
    def test_frames_stand_on_the_clock_of_the_audio(self, start: float, frames: int) -> None:
        motion = Motion(25.0, ("pelvis",), np.zeros((frames, 1, 3)), start)
        assert motion.times[0] == start
        assert motion.times[-1] == pytest.approx(start + motion.seconds - 1 / 25)

    @pytest.mark.parametrize(
        ("fps", "joints", "said"),
        [
            (0.0, np.zeros((5, 1, 3)), "frames a second"),
            (float("nan"), np.zeros((5, 1, 3)), "frames a second"),
            (30.0, np.zeros((5, 2, 3)), "joints of shape"),
            (30.0, np.zeros((1, 1, 3)), "T at least 2"),
            (30.0, np.full((5, 1, 3), np.nan), "15 coordinates"),
        ],
    )
    def test_what_cannot_be_is_refused(self, fps: float, joints: NDArray[np.float64], said: str) -> None:
        with pytest.raises(ValueError, match=said):
            Motion(fps, ("pelvis",), joints)

    def test_pulses_increase(self) -> None:
        with pytest.raises(ValueError, match="pulses of left_foot"):
            Motion(30.0, (), np.zeros((5, 0, 3)), pulses={"left_foot": np.array([0.5, 0.2])})


class TestMotionFile:
    @pytest.mark.parametrize("grid", [None, regular_grid(2.0, 120.0, 3)])
    def test_comes_back_as_it_was(self, tmp_path: Path, grid: Grid | None) -> None:
        motion = made_motion()
        write_motion(tmp_path / "m.npz", motion, grid)
        again, beats = read_motion(tmp_path / "m.npz")
        assert (again.joints == motion.joints).all()
        assert again.rotations is not None
        assert (again.rotations == motion.rotations).all()
        assert (again.names, again.fps, again.start) == (motion.names, motion.fps, motion.start)
        assert {limb: list(times) for limb, times in again.pulses.items()} == {
            limb: list(times) for limb, times in motion.pulses.items()
        }
        if grid is None:
            assert beats is None
        else:
            assert beats is not None
            assert (beats.beats == grid.beats).all()
            assert beats.metre == 3

    @settings(deadline=None, max_examples=25)
    @given(st.floats(0, 0.99))
    def test_a_truncated_file_is_refused(
        self, tmp_path_factory: pytest.TempPathFactory, share: float
    ) -> None:
        path = tmp_path_factory.mktemp("cut") / "m.npz"
        write_motion(path, made_motion(), None)
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(DataError, match=r"m.npz: not a motion"):
            read_motion(path)

    def test_a_pickle_inside_is_not_loaded(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "m.npz", fps=np.array([print], dtype=object))
        with pytest.raises(DataError, match="not a motion"):
            read_motion(tmp_path / "m.npz")


class TestManifest:
    def test_comes_back_as_it_was(self, tmp_path: Path) -> None:
        span = AudioSpan("a.wav", 1.0, 3.0, "0" * 64)
        pairs = [made_pair("b", audio=span, motion="motion/b.npz"), made_pair("a", split="test")]
        written = write_manifest(tmp_path, pairs, "folder", {"fps": 30}, {"c": "broken"})
        again = read_corpus(tmp_path)
        assert again == written
        assert [pair.name for pair in again.pairs] == ["a", "b"]
        assert again.pairs[1] == pairs[0]
        assert again.info["left_out"] == {"c": "broken"}
        assert [pair.name for pair in again.split("test")] == ["a"]

    def test_pieces_and_takes_are_numbered_by_name_over_all_splits(self, tmp_path: Path) -> None:
        pairs = [
            made_pair("c", piece="p", take="z"),
            made_pair("b", piece="p", take="y"),
            made_pair("a", piece="q", take="x", split="test"),
        ]
        corpus = write_manifest(tmp_path, pairs, "folder", {})
        assert [corpus.group_ids(pair) for pair in pairs] == [(0, 2), (0, 1), (1, 0)]

    def test_without_its_mark_it_is_not_whole(self, tmp_path: Path) -> None:
        write_manifest(tmp_path, [made_pair()], "folder", {})
        (tmp_path / MARK).unlink()
        with pytest.raises(DataError, match="no prepared corpus"):
            read_corpus(tmp_path)

    def test_a_change_is_seen(self, tmp_path: Path) -> None:
        write_manifest(tmp_path, [made_pair()], "folder", {})
        manifest = tmp_path / MANIFEST
        manifest.write_text(manifest.read_text().replace("CC0", "CC1"))
        with pytest.raises(DataError, match="changed since"):
            read_corpus(tmp_path)

    @pytest.mark.parametrize("key", ["piece", "take", "recording"])
    def test_splits_share_nothing(self, key: str) -> None:
        first, second = made_pair("a"), made_pair("b", split="test")
        if key == "recording":
            span = AudioSpan("a.wav", 0.0, 1.0, "f" * 64)
            first, second = replace(first, audio=span), replace(second, audio=replace(span, path="b.wav"))
        else:
            second = replace(second, **{key: getattr(first, key)})
        with pytest.raises(DataError, match=rf"the {key} .* is in two splits: 'a' in train, 'b' in test"):
            check_splits([first, second])
        check_splits([first, replace(second, split="train")])

    def test_a_name_stands_once(self) -> None:
        with pytest.raises(DataError, match="'a' is there twice"):
            check_splits([made_pair(), made_pair()])

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"split": "valid"}, "split must be one of"),
            ({"seconds": 0.0}, "seconds = 0.0: must be greater than 0"),
            ({"units": "cm"}, "units = 'cm': must be 'm'"),
            ({"extra": 1}, "unknown key extra"),
            ({"piece": None}, "piece is missing"),
            ({"grid": "guessed"}, "grid must be one of"),
            ({"grid": "exact"}, "bpm belongs"),
            ({"seconds": float("inf")}, "seconds = inf: must be a finite number"),
            ({"seconds": "3"}, "seconds = '3': must be a number"),
            ({"piece": 7}, "piece = 7: must be"),
            ({"joints": 5}, "joints = 5: must be"),
            ({"pulses": {"left_foot": 1.5}}, "pulses.left_foot = 1.5: must be a valid integer"),
            ({"fps": float("nan")}, "fps = nan: must be a finite number"),
            (
                {"audio": {"path": "a.wav", "start": 0.0, "stop": float("inf"), "sha256": "0"}},
                "audio.stop = inf: must be a finite number",
            ),
            ({"audio": {"path": "a.wav", "start": 0.0, "stop": 1.0}}, "audio.sha256 is missing"),
            (
                {"audio": {"path": "a.wav", "start": 2.0, "stop": 1.0, "sha256": "0"}},
                "audio: it must stop after it starts",
            ),
            (
                {"audio": {"path": "a.wav", "start": -1.0, "stop": 1.0, "sha256": "0"}},
                "audio.start = -1.0: must",
            ),
        ],
    )
    def test_a_wrong_line_is_named(self, change: dict[str, object], said: str) -> None:
        record = {key: value for key, value in (to_record(made_pair()) | change).items() if value is not None}
        with pytest.raises(DataError, match=f"manifest.jsonl:7.*{said}"):
            from_record(record, "manifest.jsonl:7")


class TestPreparation:
    @pytest.fixture
    def jobs(self, tmp_path: Path) -> list[Job]:
        self.made: list[str] = []

        def job(name: str) -> Job:
            source = tmp_path / f"{name}.txt"
            source.write_text(name)

            def make() -> list[PreparedPair]:
                self.made.append(name)
                if name == "bad":
                    raise DataError("bad.txt: broken")
                return [(made_pair(name), made_motion(), None)]

            return Job(name, (source,), make)

        return [job(name) for name in ("a", "bad", "b")]

    def test_goes_on_where_it_was(self, tmp_path: Path, jobs: list[Job]) -> None:
        out = tmp_path / "out"
        first = prepare_pairs(out, "folder", {}, jobs)
        assert [pair.name for pair in first.pairs] == ["a", "b"]
        assert first.info["left_out"] == {"bad": "bad.txt: broken"}
        assert prepare_pairs(out, "folder", {}, jobs).pairs == first.pairs
        assert self.made == ["a", "bad", "b", "bad"]
        (tmp_path / "a.txt").write_text("changed")
        (out / "motion" / "b.npz").write_bytes(b"torn")
        prepare_pairs(out, "folder", {}, jobs)
        assert self.made[4:] == ["a", "bad", "b"]
        prepare_pairs(out, "folder", {"fps": 60}, jobs)
        assert self.made[7:] == ["a", "bad", "b"]

    def test_an_interrupted_one_is_not_taken_for_whole(self, tmp_path: Path, jobs: list[Job]) -> None:
        out = tmp_path / "out"
        prepare_pairs(out, "folder", {}, jobs)

        def stop() -> list[PreparedPair]:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            prepare_pairs(out, "folder", {}, [*jobs, Job("c", (), stop)])
        with pytest.raises(DataError, match="no prepared corpus"):
            read_corpus(out)

    def test_nothing_usable_is_an_error(self, tmp_path: Path, jobs: list[Job]) -> None:
        with pytest.raises(DataError, match=r"not one pair could be prepared \(bad: bad.txt: broken\)"):
            prepare_pairs(tmp_path / "out", "folder", {}, jobs[1:2])

    @given(st.floats(1, 100), st.floats(0.5, 1.5))
    def test_lengths_may_differ_by_five_per_cent(self, audio: float, ratio: float) -> None:
        if abs(ratio - 1) <= 0.0499:
            check_lengths("a", audio * ratio, audio)
        elif abs(ratio - 1) >= 0.0501:
            with pytest.raises(DataError, match="s of motion and"):
                check_lengths("a", audio * ratio, audio)


class TestClip:
    def test_the_span_of_a_file(self, tmp_path: Path) -> None:
        rate, samples = 44_100, np.sin(2 * np.pi * 440 * np.arange(3 * 44_100) / 44_100).astype(np.float32)
        soundfile.write(tmp_path / "a.wav", np.stack([samples, samples], 1), rate)
        span = AudioSpan("a.wav", 1.0, 2.5, file_sha256(tmp_path / "a.wav"))
        wav = read_span(span, tmp_path).numpy()
        assert len(wav) == 24_000
        expected = np.sin(2 * np.pi * 440 * np.arange(24_000) / 16_000)
        assert np.abs(wav - expected)[200:-200].max() < 1e-3
        with pytest.raises(DataError, match=r"ends at 3\.00 s"):
            read_span(replace(span, stop=4.0), tmp_path)

    def test_a_pair_of_files(self, tmp_path: Path) -> None:
        soundfile.write(tmp_path / "a.flac", np.zeros(16_000), 16_000)
        write_motion(tmp_path / "m.npz", made_motion(), regular_grid(1.0, 120.0, 4))
        span = AudioSpan("a.flac", 0.0, 1.0, "0" * 64)
        clip = load_pair(made_pair(audio=span, motion="m.npz", seconds=1.0), tmp_path)
        assert clip.wav.shape == (16_000,)
        assert clip.motion.frames == 20
        assert clip.grid is not None


class Mischief:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("ran",)


class TestSafePickle:
    @pytest.mark.parametrize("protocol", range(2, 6))
    def test_arrays_come_back(self, tmp_path: Path, protocol: int) -> None:
        told = {
            "smpl_poses": np.random.default_rng(0).normal(size=(5, 72)),
            "n": np.float32(2),
            "names": ["a"],
        }
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(told, protocol=protocol))
        again = load_arrays(tmp_path / "a.pkl")
        assert (again["smpl_poses"] == told["smpl_poses"]).all()
        assert again["n"] == 2

    @pytest.mark.parametrize("protocol", range(6))
    def test_code_is_refused_before_it_runs(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "a.pkl").write_bytes(pickle.dumps({"poses": Mischief()}, protocol=protocol))
        with pytest.raises(DataError, match=r"a.pkl: the pickle asks for .*mkdir"):
            load_arrays(tmp_path / "a.pkl")
        assert not (tmp_path / "ran").exists()

    @pytest.mark.parametrize(
        ("module", "name"), [("numpy", "load"), ("numpy", "dtype.type"), ("os", "system")]
    )
    def test_nothing_beyond_arrays_can_be_named(self, tmp_path: Path, module: str, name: str) -> None:
        stream = io.BytesIO()
        stream.write(b"\x80\x04")
        for text in (module, name):
            stream.write(b"\x8c" + bytes([len(text)]) + text.encode())
        stream.write(b"\x93.")
        (tmp_path / "a.pkl").write_bytes(stream.getvalue())
        with pytest.raises(DataError, match="asks for"):
            load_arrays(tmp_path / "a.pkl")

    def test_truncated(self, tmp_path: Path) -> None:
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(np.zeros(100))[:-50])
        with pytest.raises(DataError, match="not a whole pickle"):
            load_arrays(tmp_path / "a.pkl")


def test_records_are_json() -> None:
    pair = made_pair(audio=AudioSpan("a.wav", 0.0, 1.0, "0"), provenance={"source": ["a.bvh"]})
    assert from_record(json.loads(json.dumps(to_record(pair))), "x") == pair
