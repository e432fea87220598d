"""A small prepared corpus of click tracks and swaying bodies, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from motion_data.files import file_sha256
from motion_data.manifest import Corpus, write_manifest
from motion_data.motion import Motion
from motion_data.motion_file import write_motion
from motion_data.pair import AudioSpan, MotionPair
from motion_data.skeleton import JOINTS
from motionbeat_upstream.tracking.grid import regular_grid


@dataclass(frozen=True)
class Made:
    """What a pair is made of."""

    name: str
    bpm: float | None = 120.0
    """None: no grid."""
    metre: int = 4
    seconds: float = 6.0
    split: str = "train"
    piece: str = ""
    """By default the name."""
    style: str | None = None
    fps: float = 60.0
    joints: bool = True
    rate: int = 16_000
    first_downbeat: float = 0.25
    motion_start: float = 0.0


def write_corpus(folder: Path, made: Sequence[Made]) -> Corpus:
    """Write sound, motion and manifest.

    The sound is a ramp under clicks on the beats, its value telling the time; the pelvis moves along
    z at 1 m/s, its place telling the time too. Feet touch down on the beats in turn.
    """
    return write_manifest(folder, [_write_pair(folder, one) for one in made], "folder", {})


def _write_pair(folder: Path, made: Made) -> MotionPair:
    time = np.arange(round(made.seconds * made.rate)) / made.rate
    wav = 0.5 * time / 60.0
    grid = None
    pulses = {"left_foot": np.empty(0), "right_foot": np.empty(0)}
    if made.bpm is not None:
        grid = regular_grid(made.seconds, made.bpm, made.metre, made.first_downbeat)
        heard = grid.beats[(grid.beats >= 0) & (grid.beats < made.seconds - 0.01)]
        pulses = {"left_foot": heard[::2], "right_foot": heard[1::2]}
        for beat in heard:
            first = round(beat * made.rate)
            wav[first : first + made.rate // 200] += 0.4
    # Every recording differs: two splits must not share one.
    wav += 1e-4 * np.random.default_rng(list(made.name.encode())).standard_normal(len(wav))
    audio = folder / "audio" / f"{made.name}.wav"
    audio.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(audio, wav, made.rate, subtype="PCM_24")
    frames = round((made.seconds - made.motion_start) * made.fps)
    names = JOINTS if made.joints else ()
    joints = np.zeros((frames, len(names), 3))
    joints[..., 2] = (made.motion_start + np.arange(frames) / made.fps)[:, None]
    motion = Motion(made.fps, names, joints, made.motion_start, None, pulses)
    write_motion(folder / "motion" / f"{made.name}.npz", motion, grid)
    return MotionPair(
        name=made.name,
        corpus="folder",
        piece=made.piece or made.name,
        take=f"take-{made.name}",
        split=made.split,
        licence="CC0",
        seconds=made.seconds,
        fps=made.fps if made.joints else 0.0,
        joints=names,
        pulses={limb: len(times) for limb, times in pulses.items()},
        grid="none" if grid is None else "exact",
        metre=None if grid is None else made.metre,
        bpm=None if grid is None else made.bpm,
        audio=AudioSpan(f"audio/{made.name}.wav", 0.0, made.seconds, file_sha256(audio)),
        motion=f"motion/{made.name}.npz",
        provenance={} if made.style is None else {"style": made.style},
    )
