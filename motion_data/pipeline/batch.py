"""Clips padded and stacked: what a training step gets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from motion_data.motion import Motion
from motion_data.pipeline.example import Example
from motion_data.skeleton import JOINTS
from motionbeat_upstream.config import SAMPLE_RATE, STRIDE
from motionbeat_upstream.nn.grid import Grid


@dataclass(frozen=True)
class Batch:
    """B clips, padded with 0 to the longest; times are seconds from each clip's first sample."""

    wav: Tensor
    """(B, T) float32 at 16 kHz."""
    wav_lengths: Tensor
    """(B,) int64 samples."""
    joints: Tensor
    """(B, F, 22, 3) float32 in metres, y up; frame k stands at k / fps."""
    joint_lengths: Tensor
    """(B,) int64 frames of motion; 0 where a pair has none."""
    has_joints: Tensor
    """(B,) bool: false for a step chart, which has pulses alone."""
    pulse_times: Tensor
    """(B, L, P) float32 touch-downs of each limb, increasing, then 0."""
    pulse_counts: Tensor
    """(B, L) int64, how many there are."""
    pulse_frames: Tensor
    """(B, L, N) float32 on the music features' frames, frame k about (k + 0.5) * 20 ms: each pulse is 1,
    shared between the two nearest frames so that its time is kept."""
    has_pulses: Tensor
    """(B, L) bool: whether the pair knows that limb's touch-downs, of which there may be none."""
    pieces: Tensor
    """(B,) int64, the music's number in the corpus; clips of one piece are no negatives of each other."""
    takes: Tensor
    """(B,) int64, the same for the motion's take."""
    starts: Tensor
    """(B,) float64 seconds of the pair at which each clip begins."""
    fps: float
    """Frames of motion a second."""
    limbs: tuple[str, ...]
    """(L,) whose pulses; the same in every batch of a corpus."""
    grids: tuple[Grid | None, ...]
    """(B,) beats and bars; None where the corpus knows none."""
    names: tuple[str, ...]
    """(B,) names of the pairs."""
    motions: tuple[Motion, ...]
    """(B,) joints and pulses of each clip, with what lies around it; (F, 0, 3) without joints."""
    negatives: tuple[Any, ...] = ()
    """(B,) recipes of each clip's hard negatives, as the given function draws them; () without one."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def feature_lengths(self) -> Tensor:
        """(B,) int64 frames of music features, ceil(T / 320)."""
        lengths: Tensor = (self.wav_lengths + STRIDE - 1) // STRIDE
        return lengths

    def motion(self, row: int) -> Motion:
        """One clip's joints and pulses as a motion, without what lies around it; (F, 0, 3) without joints."""
        if self.has_joints[row]:
            joints = self.joints[row, : self.joint_lengths[row]].cpu().numpy()
        else:
            seconds = int(self.wav_lengths[row]) / SAMPLE_RATE
            joints = np.zeros((max(2, math.ceil(seconds * self.fps - 1e-6)), 0, 3), dtype=np.float32)
        pulses = {
            limb: self.pulse_times[row, index, : self.pulse_counts[row, index]].cpu().double().numpy()
            for index, limb in enumerate(self.limbs)
            if self.has_pulses[row, index]
        }
        return Motion(self.fps, JOINTS if self.has_joints[row] else (), joints, 0.0, None, pulses)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, value in values.items():
            if isinstance(value, Tensor):
                values[name] = value.to(device, non_blocking=True)
        return Batch(**values)


def collate(
    examples: Sequence[Example],
    limbs: Sequence[str],
    pieces: Mapping[str, int],
    takes: Mapping[str, int],
    fps: float,
    negatives: tuple[Any, ...] = (),
) -> Batch:
    """Pad and stack clips.

    Args:
        examples: at least one.
        limbs: whose pulses.
        pieces: number of each piece.
        takes: number of each take.
        fps: frames of motion a second.
        negatives: recipes, one a clip, or none at all.
    """
    lengths = [len(example.wav) for example in examples]
    no_joints = np.zeros((0, len(JOINTS), 3), dtype=np.float32)
    joints = [no_joints if example.joints is None else example.joints for example in examples]
    nothing = np.empty(0)
    times = [[example.pulses.get(limb, nothing) for limb in limbs] for example in examples]
    counts = torch.tensor([[len(limb) for limb in clip] for clip in times]).reshape(len(examples), len(limbs))
    pulse_times = torch.zeros(len(examples), len(limbs), int(counts.max()) if counts.numel() else 0)
    size = -(-max(lengths) // STRIDE)
    pulse_frames = torch.zeros(len(examples), len(limbs), size)
    for row, clip in enumerate(times):
        frames = -(-lengths[row] // STRIDE)
        for limb, pulses in enumerate(clip):
            pulse_times[row, limb, : len(pulses)] = torch.from_numpy(pulses)
            pulse_frames[row, limb, :frames] = torch.from_numpy(pulse_activation(pulses, frames))
    return Batch(
        wav=pad_sequence([example.wav for example in examples], batch_first=True),
        wav_lengths=torch.tensor(lengths),
        joints=pad_sequence([torch.from_numpy(motion) for motion in joints], batch_first=True),
        joint_lengths=torch.tensor([len(motion) for motion in joints]),
        has_joints=torch.tensor([example.joints is not None for example in examples]),
        pulse_times=pulse_times,
        pulse_counts=counts,
        pulse_frames=pulse_frames,
        has_pulses=torch.tensor(
            [[limb in example.pulses for limb in limbs] for example in examples], dtype=torch.bool
        ).reshape(len(examples), len(limbs)),
        pieces=torch.tensor([pieces[example.pair.piece] for example in examples]),
        takes=torch.tensor([takes[example.pair.take] for example in examples]),
        starts=torch.tensor([example.start for example in examples], dtype=torch.float64),
        fps=fps,
        limbs=tuple(limbs),
        grids=tuple(example.grid for example in examples),
        names=tuple(example.pair.name for example in examples),
        motions=tuple(example.motion for example in examples),
        negatives=negatives,
    )


def pulse_activation(times: NDArray[np.float64], frames: int) -> NDArray[np.float32]:
    """Pulses on frames about (k + 0.5) * 20 ms, linearly shared between the two nearest [O].

    The sum is the number of pulses, and the centre of each is its time, but within half a frame of
    either end.

    Args:
        times: (P,) seconds.
        frames: N.

    Returns:
        (N,) float32.
    """
    places = np.clip(times * (SAMPLE_RATE / STRIDE) - 0.5, 0, frames - 1)
    lower = np.minimum(np.floor(places).astype(np.int64), max(frames - 2, 0))
    share = places - lower
    activation = np.zeros(frames)
    np.add.at(activation, lower, 1.0 - share)
    np.add.at(activation, np.minimum(lower + 1, frames - 1), share)
    return activation.astype(np.float32)
