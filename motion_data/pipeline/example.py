"""One clip: a stretch of a pair with its sound, motion, pulses and grid on one clock."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from motion_data.motion import Motion
from motion_data.pair import MotionPair
from motion_data.pipeline.config import PipelineConfig
from motion_data.pipeline.material import Material, Materials
from motion_data.pipeline.plan import Draw
from motion_data.pipeline.stages import StageClock
from motion_data.pipeline.windows import choose_window, relative_grid
from motion_data.skeleton import JOINTS
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.nn.grid import Grid, without_gaps


@dataclass(frozen=True)
class Example:
    """A clip; all times are seconds from its first sample."""

    pair: MotionPair
    index: int
    """Of the pair in the corpus."""
    start: float
    """Where the clip begins in the pair."""
    wav: Tensor
    """(T,) float32 at 16 kHz."""
    joints: NDArray[np.float32] | None
    """(F, 22, 3) in metres, frame k at k / fps; None where the pair has pulses alone."""
    fps: float
    """Frames of motion a second."""
    pulses: dict[str, NDArray[np.float64]]
    """Touch-downs by limb, in [0, seconds)."""
    grid: Grid | None
    motion: Motion
    """Joints and pulses as a motion, with what lies around the clip; (F, 0, 3) without joints."""

    @property
    def seconds(self) -> float:
        """Length of the clip."""
        return len(self.wav) / SAMPLE_RATE


def cut_example(
    materials: Materials,
    pair: MotionPair,
    draw: Draw,
    config: PipelineConfig,
    epoch: int,
    clock: StageClock,
    speed: float = 1.0,
) -> Example:
    """Cut the clip that was planned; the same one whenever it is asked for.

    A clip begins on a frame of the motion, less than a frame before its place in the bar, so that no
    motion has to be shifted by part of a frame.

    Args:
        materials: give the pair.
        pair: the pair itself.
        draw: its index, and which of the epoch's clips of it.
        config: of the pipeline.
        epoch: counted from 0.
        clock: counts the time of each stage.
        speed: how fast the pair is played.

    Raises:
        DataError: files are missing, not what they should be, or too short.
        AudioError: sound that cannot be read.
    """
    whole = materials.material(pair)
    material = whole.at_speed(speed, config.fps)
    with clock.stage("window"):
        rng = np.random.default_rng([config.seed, epoch, draw.pair, draw.number])
        low = max(0.0, material.motion_start)
        high = min(material.seconds, material.motion_start + material.motion_seconds)
        place = rng.random() if config.start_place is None else config.start_place
        begin, end = choose_window(material.grid, low, high, config, rng, place)
        frame = 0
        if material.joints is not None:
            frame, begin = _on_a_frame(material, begin, low, config.fps)
        first, last = round(begin * SAMPLE_RATE), min(round(end * SAMPLE_RATE), round(high * SAMPLE_RATE))
    wav = materials.sound(pair, whole, first, last, speed)
    with clock.stage("cut"):
        start, stop = first / SAMPLE_RATE, (first + len(wav)) / SAMPLE_RATE
        joints = None
        if material.joints is not None:
            frames = math.ceil((stop - start) * config.fps - 1e-6)
            joints = material.joints[frame : frame + frames]
        pulses = {
            limb: times[(times >= start) & (times < stop)] - start for limb, times in material.pulses.items()
        }
        grid = None if material.grid is None else relative_grid(without_gaps(material.grid), start, stop)
        motion = _surroundings(material, frame, start, stop, config)
    return Example(pair, draw.pair, start * speed, wav, joints, config.fps, pulses, grid, motion)


def _surroundings(
    material: Material, frame: int, start: float, stop: float, config: PipelineConfig
) -> Motion:
    """The motion of a clip and up to ``margin_seconds`` to either side, on the clip's clock.

    Args:
        material: of the pair.
        frame: of the motion that stands at the clip's start.
        start: of the clip in seconds of the pair.
        stop: the same.
        config: of the pipeline.
    """
    count = math.ceil((stop - start) * config.fps - 1e-6)
    margin = math.floor(config.margin_seconds * config.fps + 1e-6)
    if material.joints is None:
        low, joints = -margin, np.zeros((max(2, count + 2 * margin), 0, 3), dtype=np.float32)
    else:
        low = max(-frame, -margin)
        joints = material.joints[frame + low : frame + count + margin]
    begin, end = low / config.fps, (low + len(joints)) / config.fps
    pulses = {
        limb: times[(times >= start + begin) & (times < start + end)] - start
        for limb, times in material.pulses.items()
    }
    if margin == 0:
        pulses = {limb: times[(times >= 0) & (times < stop - start)] for limb, times in pulses.items()}
    names = () if material.joints is None else JOINTS
    return Motion(config.fps, names, joints, begin, None, pulses)


def _on_a_frame(material: Material, begin: float, low: float, fps: float) -> tuple[int, float]:
    """The frame at or before ``begin``, unless that lies before the sound, and its time."""
    frame = math.floor((begin - material.motion_start) * fps + 1e-6)
    if material.motion_start + frame / fps < low - 1e-9:
        frame += 1
    return frame, max(low, material.motion_start + frame / fps)
