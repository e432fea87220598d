"""Pairs made for the tests of pictures, films and pages: a walker with clicks, steps without joints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from motion_data.files import file_sha256
from motion_data.manifest import Corpus, write_manifest
from motion_data.motion import Motion
from motion_data.motion_file import write_motion
from motion_data.pair import AudioSpan, MotionPair
from motion_data.skeleton import JOINTS
from motionbeat_upstream.tracking.grid import regular_grid

STANDING = {
    **{"pelvis": (0, 0.95, 0), "spine1": (0, 1.05, 0), "spine2": (0, 1.18, 0), "spine3": (0, 1.3, 0)},
    **{"neck": (0, 1.48, 0), "head": (0, 1.62, 0), "left_hip": (0.09, 0.9, 0), "right_hip": (-0.09, 0.9, 0)},
    **{"left_knee": (0.1, 0.5, 0.02), "right_knee": (-0.1, 0.5, 0.02)},
    **{"left_ankle": (0.1, 0.08, 0), "right_ankle": (-0.1, 0.08, 0)},
    **{"left_foot": (0.1, 0.02, 0.12), "right_foot": (-0.1, 0.02, 0.12)},
    **{"left_collar": (0.06, 1.42, 0), "right_collar": (-0.06, 1.42, 0)},
    **{"left_shoulder": (0.18, 1.42, 0), "right_shoulder": (-0.18, 1.42, 0)},
    **{"left_elbow": (0.25, 1.15, 0), "right_elbow": (-0.25, 1.15, 0)},
    **{"left_wrist": (0.28, 0.9, 0.05), "right_wrist": (-0.28, 0.9, 0.05)},
}
"""Metres; facing +z, so the left is at +x."""

LEGS = {
    side: [JOINTS.index(f"{side}_{part}") for part in ("knee", "ankle", "foot")] for side in ("left", "right")
}
ARMS = {side: [JOINTS.index(f"{side}_{part}") for part in ("elbow", "wrist")] for side in ("left", "right")}


def stepping(seconds: float, fps: float, bpm: float) -> NDArray[np.float64]:
    """(T, 22, 3): steps on the spot that touch down on the beats, left on odd ones, and sways over a bar."""
    time = np.arange(round(seconds * fps)) / fps
    turn = time * bpm / 60 / 2
    joints = np.tile(np.array([STANDING[name] for name in JOINTS], dtype=np.float64), (len(time), 1, 1))
    for side, shift in (("left", 0.0), ("right", 0.5)):
        # Each foot rises and falls in the half of its turn before it touches down.
        phase = (turn + shift) % 1
        lift = 0.22 * np.sin(np.pi * np.clip(2 * phase - 1, 0, 1)) ** 2
        joints[:, LEGS[side], 1] += lift[:, None] * np.array([0.7, 1.0, 1.0])
        joints[:, LEGS[side], 2] += lift[:, None] * np.array([0.5, 0.1, 0.1])
        swing = 0.25 * np.sin(2 * np.pi * (phase + 0.5))
        joints[:, ARMS[side], 2] += swing[:, None] * np.array([0.4, 1.0])
    sway = 0.12 * np.sin(2 * np.pi * turn / 2)
    joints[..., 0] += sway[:, None] * np.minimum(joints[..., 1] / 0.95, 1)
    return joints


def clicks(seconds: float, bpm: float, rate: int = 16_000) -> NDArray[np.float32]:
    """(N,) clicks on the beats, the first of four higher."""
    wav = np.zeros(round(seconds * rate), dtype=np.float32)
    tone = np.arange(round(0.05 * rate)) / rate
    for beat in range(int(seconds * bpm / 60)):
        sound = 0.7 * np.sin(2 * np.pi * (1500 if beat % 4 == 0 else 1000) * tone) * np.exp(-tone * 90)
        at = round(beat * 60 / bpm * rate)
        wav[at : at + len(sound)] += sound[: len(wav) - at].astype(np.float32)
    return wav


def make_corpus(
    folder: Path, seconds: float = 6.0, bpm: float = 120.0, fps: float = 30.0, name: str = "made"
) -> Corpus:
    """Two pairs: ``name`` with joints and ``steps`` without; the first in the manifest is the lesser name."""
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / "clicks.wav", clicks(seconds, bpm, 22_050), 22_050)
    span = AudioSpan("clicks.wav", 0.0, seconds, file_sha256(folder / "clicks.wav"))
    grid = regular_grid(seconds, bpm, 4)
    beats = grid.beats[grid.beats < seconds - 0.01]
    # Touch-downs: the left foot on the odd beats of a bar, the right foot between; none at 0 s.
    pulses = {"left_foot": beats[2::2], "right_foot": beats[1::2]}
    written: list[MotionPair] = []
    for pair_name, names, joints in (
        (name, JOINTS, stepping(seconds, fps, bpm)),
        ("steps", (), np.zeros((round(seconds * fps), 0, 3))),
    ):
        motion = Motion(fps, names, joints, 0.0, None, pulses)
        path = f"motion/{len(written)}.npz"
        write_motion(folder / path, motion, grid)
        written.append(
            MotionPair(
                name=pair_name,
                corpus="folder",
                piece=f"clicks at {bpm:g}",
                take=pair_name,
                split="train",
                licence="CC0-1.0",
                seconds=seconds,
                fps=fps if names else 0.0,
                joints=names,
                pulses={limb: len(times) for limb, times in pulses.items()},
                grid="exact",
                metre=4,
                bpm=bpm,
                audio=span,
                motion=path,
                provenance={"source": "made for a test", "seed": 0},
            )
        )
    return write_manifest(folder, written, "folder", {})
