"""The film: its picture and its sound at the same moment, whole or not at all."""

from __future__ import annotations

import io
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data.loading import load_pair
from motion_data.looking.excerpt import Excerpt, cut_excerpt
from motion_data.looking.film import FPS, STAGE_HEIGHT, STRIP_HEIGHT, WIDTH, frame_painter, write_film
from motion_data.looking.stage import View, bones, facing
from motion_data.skeleton import JOINTS
from motionbeat_upstream.decoding import audio_length
from tests.conftest import skip_or_fail
from tests.looking_pairs import make_corpus


def excerpt_of(folder: Path, which: int = 0, seconds: float = 3.0) -> Excerpt:
    corpus = make_corpus(folder, seconds)
    return cut_excerpt(load_pair(corpus.pairs[which], corpus.folder), corpus.folder)


def decode(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """(T, H, W, 3) pictures, and sound at 48 kHz as a player hears it, from 0 s on."""
    read = ["ffmpeg", "-v", "error", "-i", str(path)]
    shown = subprocess.run(
        [*read, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True
    )
    heard = subprocess.run(
        [*read, "-ac", "1", "-ar", "48000", "-f", "wav", "-"], capture_output=True, check=True
    )
    height = STAGE_HEIGHT + STRIP_HEIGHT
    samples, _ = soundfile.read(io.BytesIO(heard.stdout), dtype="float32")
    return np.frombuffer(shown.stdout, np.uint8).reshape(-1, height, WIDTH, 3), samples


RAISED = 41
"""Frame of the motion in which a hand is up; a click sounds at the moment at which it stands."""


@dataclass(frozen=True)
class Film:
    excerpt: Excerpt
    pictures: NDArray[np.uint8]
    samples: NDArray[np.float32]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Film:
    if shutil.which("ffmpeg") is None:
        skip_or_fail("ffmpeg is not installed")
    folder = tmp_path_factory.mktemp("film")
    excerpt = excerpt_of(folder, 0, 1.8)
    joints = np.tile(excerpt.joints[:1], (len(excerpt.joints), 1, 1))
    joints[RAISED:, JOINTS.index("left_wrist")] = (0.9, 1.9, 0.0)
    sound = np.zeros_like(excerpt.sound)
    begin = round(RAISED / 30 * 22_050)
    sound[begin : begin + 2205, 0] = 0.8 * np.sin(2 * np.pi * 2000 * np.arange(2205) / 22_050)
    excerpt = replace(excerpt, joints=joints, sound=sound, pulses={}, contacts={})
    write_film(folder / "a.mp4", excerpt)
    assert not list(folder.glob(".*"))
    return Film(excerpt, *decode(folder / "a.mp4"))


@pytest.mark.slow
def test_a_raised_hand_and_a_click_coincide(film: Film) -> None:
    assert len(film.pictures) == 1.8 * FPS
    paint = frame_painter(film.excerpt)
    down, up = (np.array(paint(time)[0][..., :3], dtype=int) for time in (1.0, 1.78))
    hand = np.abs(up - down).sum(-1) > 200
    assert hand.sum() > 300
    stage = film.pictures[:, :STAGE_HEIGHT].astype(int)
    raised = np.abs(stage[:, hand] - down[hand]).mean((1, 2)) / np.abs(up - down)[hand].mean()
    seen = np.flatnonzero(raised > 0.5)[0] / FPS
    heard = np.flatnonzero(np.abs(film.samples) > 0.2)[0] / 48_000
    assert heard == pytest.approx(RAISED / 30, abs=0.003)
    assert abs(seen - heard) <= 1 / FPS + 1e-9


@pytest.mark.parametrize("frame", [5, 19, 40, 52])
def test_each_frame_is_the_moment_in_its_middle(film: Film, frame: int) -> None:
    paint = frame_painter(film.excerpt)
    shown = film.pictures[frame].astype(int)
    apart = [
        np.abs(shown - np.concatenate(paint((frame + shift + 0.5) / FPS))[..., :3]).mean()
        for shift in (-1, 0, 1)
    ]
    assert np.argmin(apart) == 1
    assert apart[1] < 4


@pytest.mark.parametrize("which", [0, 1])
def test_the_picture_moves(tmp_path: Path, which: int) -> None:
    paint = frame_painter(excerpt_of(tmp_path, which))
    one, other = (np.concatenate(paint(time)) for time in (0.9, 1.3))
    assert (one[:STAGE_HEIGHT] != other[:STAGE_HEIGHT]).any(-1).sum() > 500
    assert (one[STAGE_HEIGHT:] != other[STAGE_HEIGHT:]).any(-1).sum() > 500
    assert (one[..., 3] == 255).all()


def test_a_foot_lights_up_when_it_touches_down(tmp_path: Path) -> None:
    excerpt = excerpt_of(tmp_path)
    without = frame_painter(replace(excerpt, pulses={}, contacts={}))
    paint = frame_painter(excerpt)
    pulse = float(excerpt.pulses["left_foot"][0])
    lit = {}
    for time in (pulse - 0.02, pulse + 0.02):
        stage = np.array(paint(time)[0], dtype=int)
        lit[time] = (np.abs(stage - without(time)[0]).sum(-1) > 60).sum()
    assert lit[pulse + 0.02] > lit[pulse - 0.02] + 100


def test_an_interrupted_film_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    excerpt = excerpt_of(tmp_path / "corpus")
    paint = frame_painter(excerpt)

    def interrupted(time: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        if time > 0.3:
            raise KeyboardInterrupt
        return paint(time)

    monkeypatch.setattr("motion_data.looking.film.frame_painter", lambda _: interrupted)
    (tmp_path / "a.mp4").write_bytes(b"an older film")
    with pytest.raises(KeyboardInterrupt):
        write_film(tmp_path / "a.mp4", excerpt)
    assert (tmp_path / "a.mp4").read_bytes() == b"an older film"
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("rate", [8000, 44100, 96000, 192000])
def test_any_rate_of_the_sound(tmp_path: Path, rate: int) -> None:
    excerpt = excerpt_of(tmp_path, 0, 0.5)
    sound = np.random.default_rng(0).normal(0, 0.1, (rate // 2, 2)).astype(np.float32)
    write_film(tmp_path / "a.mp4", replace(excerpt, sound=sound, rate=rate))
    samples, decoded = audio_length(tmp_path / "a.mp4")
    assert samples / decoded == pytest.approx(0.5, abs=0.15)


@given(st.sets(st.sampled_from(JOINTS), min_size=1))
def test_bones_of_any_part_of_the_skeleton(some: set[str]) -> None:
    names = tuple(name for name in JOINTS if name in some)
    found = bones(names)
    children = [child for _, child in found]
    assert len(set(children)) == len(children)
    assert all(parent < child for parent, child in found)
    if "pelvis" in some:
        assert len(found) == len(names) - 1


@settings(max_examples=30)
@given(st.floats(-3.1, 3.1))
def test_the_camera_finds_the_front(tmp_path_factory: pytest.TempPathFactory, turn: float) -> None:
    """Turned by any angle, the body is seen from the same side: its left on the right, its toes nearer."""
    joints = np.zeros((2, 4, 3), dtype=np.float32)
    joints[:, :, [0, 2]] = [(0.1, 0), (-0.1, 0), (0, 0.3), (0, -0.3)]
    joints[..., [0, 2]] = joints[..., [0, 2]] @ np.array(
        [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    )
    excerpt = object.__new__(Excerpt)
    object.__setattr__(excerpt, "names", ("left_hip", "right_hip", "left_foot", "pelvis"))
    object.__setattr__(excerpt, "joints", joints)
    view = View(np.zeros(3), facing(excerpt), (0.0, 0.0), 1000.0)
    at, size = view.project(joints[0])
    assert at[0, 0] > 0 > at[1, 0]
    assert at[0, 0] == pytest.approx(-at[1, 0], rel=1e-3)
    assert size[2] > size[3]
