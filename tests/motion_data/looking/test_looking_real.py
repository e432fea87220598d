"""A whole song that is really danced to, looked at in every way."""

from __future__ import annotations

import base64
import itertools
from dataclasses import replace

import numpy as np
import pytest

from motion_data.files import file_sha256
from motion_data.loading import LoadedPair
from motion_data.looking.excerpt import Excerpt, cut_excerpt
from motion_data.looking.figure import draw
from motion_data.looking.film import STAGE_HEIGHT, frame_painter
from motion_data.looking.page import page_data
from motion_data.motion import Motion
from motion_data.pair import AudioSpan, MotionPair
from motion_data.rhythm.contacts import contact_pulses
from motion_data.skeleton import JOINTS
from motionbeat_upstream.audio import read_audio
from motionbeat_upstream.tracking.grid import regular_grid
from tests.shared_data import shared

RENAMED = {"center": "pelvis", "left_toe": "left_foot", "right_toe": "right_foot"}


@pytest.fixture(scope="module")
def excerpt() -> Excerpt:
    """All of it, with those joints whose names are the common skeleton's: there is no spine."""
    folder = shared("motion/wavefile")
    with np.load(folder / "wavefile_joints_30fps.npz") as told:
        names = [RENAMED.get(str(name), str(name)) for name in told["names"]]
        kept = [index for index, name in enumerate(names) if name in JOINTS]
        joints, offset = told["pos_m"][:, kept], float(told["audio_offset_s"])
    names = [names[index] for index in kept]
    wav = read_audio(folder / "wavefile_short.mp3")
    seconds = len(wav) / 16_000
    motion = Motion(30.0, tuple(names), joints, -offset, None, contact_pulses(joints, names, 30.0, -offset))
    grid = regular_grid(seconds, 135.0, 4)
    span = AudioSpan("wavefile_short.mp3", 0.0, seconds, file_sha256(folder / "wavefile_short.mp3"))
    counts = {limb: len(times) for limb, times in motion.pulses.items()}
    pair = MotionPair(
        name="wavefile",
        corpus="folder",
        piece="wavefile",
        take="wavefile",
        split="test",
        licence="non-commercial",
        seconds=seconds,
        fps=30.0,
        joints=motion.names,
        pulses=counts,
        grid="annotated",
        metre=4,
        bpm=135.0,
        audio=span,
    )
    return cut_excerpt(LoadedPair(pair, wav, motion, grid), folder)


def test_the_stretch_is_the_music_s(excerpt: Excerpt) -> None:
    assert excerpt.seconds == pytest.approx(90.05, abs=0.1)
    # What is danced before the music begins is left out.
    assert -1 / 30 < excerpt.times[0] <= 1 / 30
    assert excerpt.times[-1] == pytest.approx(88.3, abs=0.1)
    assert len(excerpt.sound) == pytest.approx(excerpt.seconds * excerpt.rate, abs=1)
    assert excerpt.sound.shape[1] == 2
    assert all(len(times) > 40 for times in excerpt.pulses.values())


@pytest.mark.slow
def test_picture(excerpt: Excerpt) -> None:
    figure = draw(excerpt)
    figure.draw_without_rendering()
    assert len(figure.axes) == 6


def test_film(excerpt: Excerpt) -> None:
    paint = frame_painter(excerpt)
    moments = [np.concatenate(paint(time)) for time in (0.0, 20.0, 55.5, 90.0)]
    for one, other in itertools.pairwise(moments):
        assert (one[:STAGE_HEIGHT] != other[:STAGE_HEIGHT]).any(-1).sum() > 1000


def test_page(excerpt: Excerpt) -> None:
    # Encoding takes most of the time, and five seconds of sound show as much.
    data = page_data(replace(excerpt, sound=excerpt.sound[: 5 * excerpt.rate]))
    joints = np.frombuffer(base64.b64decode(data["joints"]), "<i2").reshape(excerpt.joints.shape)
    assert np.abs(joints * data["scale"] - excerpt.joints).max() < 1e-3
    # Without a spine the neck hangs on the pelvis; every other joint has a bone too.
    names = data["names"]
    assert [names.index("pelvis"), names.index("neck")] in [list(bone) for bone in data["bones"]]
    assert len(data["bones"]) == len(names) - 1
