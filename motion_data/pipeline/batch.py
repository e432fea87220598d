"""Batches for losses and validation: padded clips, and motions resampled to the frames of the music."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from motion_data.labels import Labels
from motion_data.motion import Motion
from motion_data.negatives.recipe import Negative, roll_motion, sample_motion
from motion_data.pair import NO_BEATS
from motion_data.pipeline.beat_targets import BeatTargets, beat_targets, spread_pulses
from motion_data.pipeline.example import Example
from motion_data.pipeline.padded_targets import PaddedTarget, padded_targets
from motion_data.rhythm.motion_grid import motion_grid
from motion_data.skeleton import JOINTS
from motion_data.stages import stage
from motionbeat_upstream.config import FRAME_RATE, STRIDE
from motionbeat_upstream.tracking.grid import Grid, beats_to_time, fallback_grid, time_to_bars

if TYPE_CHECKING:
    from fairseq2.device import SupportsDeviceTransfer
else:  # tasks read batches too, and do not need fairseq2
    SupportsDeviceTransfer = object

SIDES = ("left", "right")
"""Prefixes of limb names; foot and hand of a side are added."""

SMOOTHING_FRAMES = 1.0
"""Standard deviation of the Gaussian that joints are smoothed with, in frames of 20 ms."""


@dataclass
class Batch(SupportsDeviceTransfer):
    """B clips of up to F frames of 20 ms, and R motions on the same frames.

    The first B motions are those of the clips, the others their hard negatives; R is 0 without motions.
    Padding is 0. The class is mutable because fairseq2 moves batches in place.
    """

    wav: Tensor
    """(B, T) float32 at 16 kHz."""
    wav_lengths: Tensor
    """(B,) int64 samples."""
    frame_lengths: Tensor
    """(B,) int64 frames of 20 ms, ceil(T / 320)."""
    grids: tuple[Grid, ...]
    """(B,) displaced grids: with an offset that music, motion and negatives share."""
    annotated: tuple[Grid | None, ...]
    """(B,) grids without that offset; None if beats are unknown."""
    beats: BeatTargets
    """Beats, bars and tempo of ``annotated``."""
    labels: tuple[Labels, ...]
    """(B,) labels other than beats."""
    targets: Mapping[str, PaddedTarget]
    """Frame targets made of the labels, by name."""
    joints: Tensor
    """(R, F, 22, 3) float32 in metres at 50 Hz; frame k is at (k + 0.5) · 20 ms, plus or minus 10 ms."""
    pulses: Tensor
    """(R, F, 2) touch-downs of left and right, in [0, 1]."""
    contacts: Tensor
    """(B, F) touch-downs of the clips' motions, spread over neighbouring frames, in [0, 1]; (0, F) without
    motions."""
    has_joints: Tensor
    """(R,) bool: false for a step chart, which has touch-downs only."""
    owner: Tensor
    """(R,) int64 index of the clip that a motion, or negative, belongs to."""
    owner_grids: tuple[Grid, ...]
    """(R,) displaced grid of the owner."""
    negatives: tuple[Negative, ...]
    """(R - B,) recipes of the motions from B on."""
    motion_grids: tuple[Grid, ...]
    """(B,) grids estimated from the clips' motions; () if not requested. A motion without a regular pulse has
    the fallback grid, with confidence 0."""
    pieces: Tensor
    """(B,) int64 ids of the pieces; clips of one piece are not negatives of each other."""
    takes: Tensor
    """(B,) int64 ids of the takes; the same applies."""
    names: tuple[str, ...]
    """(B,) names of the pairs."""
    starts: tuple[float, ...]
    """(B,) start of each clip in seconds of the pair."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def motion_lengths(self) -> Tensor:
        """(R,) int64 number of frames of each motion."""
        return self.frame_lengths[self.owner]

    def to(self, device: torch.device, *, non_blocking: bool = False) -> None:
        """Move all tensors in place."""
        parts: list[Batch | BeatTargets | PaddedTarget] = [self, self.beats, *self.targets.values()]
        for part in parts:
            for field in fields(part):
                value = getattr(part, field.name)
                if isinstance(value, Tensor):
                    setattr(part, field.name, value.to(device, non_blocking=non_blocking))


def collate(
    examples: Sequence[Example],
    phase: float,
    rng: np.random.Generator,
    rolled: bool = False,
    motions: bool = True,
    motion_grids: bool = False,
    targets: Sequence[str] = (),
) -> Batch:
    """Pad and stack clips, and resample their motions and hard negatives to the frames of their music.

    A network must not recognise a hard negative by artefacts of its creation. Therefore each motion is
    interpolated once, by the same spline, at a random fraction of a frame, and then smoothed, which removes
    the effect of interpolation on the highest frequencies from all of them [O].

    Args:
        examples: at least one, with or without recipes of hard negatives.
        phase: bar phase, in [0, 1), at which each clip begins on its displaced grid.
        rng: draws the fractions of a frame and the times of rolling.
        rolled: control condition: roll each motion around itself by a random time [O].
        motions: whether to resample motions, which takes most of the time.
        motion_grids: whether to estimate grids from the motions.
        targets: names of targets to compute from the labels, see :data:`~motion_data.label_targets.TARGETS`.
    """
    with stage("collate"):
        wav_lengths = torch.tensor([len(example.wav) for example in examples])
        frame_lengths = (wav_lengths + STRIDE - 1) // STRIDE
        frames = frame_lengths.tolist()
        annotated = tuple(example.grid for example in examples)
        labels = tuple(example.labels for example in examples)
        grids = displaced_grids(annotated, frames, phase)
        owner: list[int] = []
        rows: list[tuple[Motion, Negative | None]] = []
        if motions:
            sources = [example.motion for example in examples]
            if rolled:
                sources = [roll_motion(motion, float(rng.uniform(0, motion.seconds))) for motion in sources]
            owner = list(range(len(examples)))
            rows = [(motion, None) for motion in sources]
            for index, example in enumerate(examples):
                owner += [index] * len(example.negatives)
                rows += [(sources[negative.source], negative) for negative in example.negatives]
        joints, pulses = sample_motions(rows, [frames[index] for index in owner], max(frames), rng)
        return Batch(
            wav=pad_sequence([example.wav for example in examples], batch_first=True),
            wav_lengths=wav_lengths,
            frame_lengths=frame_lengths,
            grids=grids,
            annotated=annotated,
            beats=beat_targets(annotated, frames, [example.pair.grid == NO_BEATS for example in examples]),
            labels=labels,
            targets=padded_targets(labels, frames, targets),
            joints=joints,
            pulses=pulses,
            contacts=spread_pulses(pulses[: len(examples)].amax(-1)),
            has_joints=torch.tensor([bool(motion.names) for motion, _ in rows], dtype=torch.bool),
            owner=torch.tensor(owner, dtype=torch.int64),
            owner_grids=tuple(grids[index] for index in owner),
            negatives=tuple(negative for _, negative in rows if negative is not None),
            motion_grids=estimate_motion_grids(examples, frames) if motion_grids else (),
            pieces=torch.tensor([example.group_ids[0] for example in examples]),
            takes=torch.tensor([example.group_ids[1] for example in examples]),
            names=tuple(example.pair.name for example in examples),
            starts=tuple(example.start for example in examples),
        )


def sample_motions(
    rows: Sequence[tuple[Motion, Negative | None]],
    lengths: Sequence[int],
    size: int,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Resample motions, or hard negatives of them, to frames of 20 ms.

    Args:
        rows: R motions, each on the clock of its clip, with the recipe of a negative or None.
        lengths: number of frames of each.
        size: F, the number of frames of the longest clip.
        rng: draws the fractions of a frame.

    Returns:
        (R, F, 22, 3) joints and (R, F, 2) pulses of left and right, both 0 beyond a motion's length.
    """
    joints = torch.zeros(len(rows), size, len(JOINTS), 3)
    pulses = torch.zeros(len(rows), size, len(SIDES))
    for row, ((motion, negative), length) in enumerate(zip(rows, lengths, strict=True)):
        clock = (np.arange(length) + 0.5 + rng.uniform(-0.5, 0.5)) / FRAME_RATE
        positions, touches = sample_motion(motion, clock, negative)
        if motion.names:
            smooth = gaussian_filter1d(positions, SMOOTHING_FRAMES, axis=0, mode="nearest")
            joints[row, :length] = torch.from_numpy(smooth.astype(np.float32))
        pulses[row, :length] = torch.from_numpy(_side_activations(touches, length))
    return joints, pulses


def displaced_grids(
    annotated: Sequence[Grid | None], frames: Sequence[int], phase: float
) -> tuple[Grid, ...]:
    """Displace the grid of each clip by an offset that music, motion and negatives share [O].

    On the exact grid, a shifted or stretched motion is off the beat, so the motion tower could recognise
    negatives without the music (measured on a prototype). With an unknown offset, only music and motion
    together reveal the position of the beats relative to the grid. Nothing else may reveal the offset:
    therefore clips begin anywhere in their bars, and the bars of all grids of a batch are aligned. (Measured:
    with an offset per clip and clips that begin at a downbeat, pairs were retrieved in silence, too.)

    Args:
        annotated: grids of the clips; None gives the fallback grid.
        frames: number of frames of 20 ms of each clip.
        phase: bar phase at which each clip begins on its displaced grid.
    """
    return tuple(
        fallback_grid(length / FRAME_RATE) if grid is None else displace_grid(grid, phase)
        for grid, length in zip(annotated, frames, strict=True)
    )


def displace_grid(grid: Grid, phase: float) -> Grid:
    """Move a grid along its own tempo until a given bar phase is at 0 s.

    Args:
        grid: grid of a clip, on the clip's clock.
        phase: bar phase, in [0, 1); 0 is a downbeat.

    Returns:
        The same number of beats and the same metre, each beat moved by at most half a beat and renumbered.
    """
    late = (time_to_bars(grid, np.zeros(1))[0] - phase) * grid.metre
    whole = int(np.round(late))
    beats = beats_to_time(grid, np.arange(len(grid.beats)) + late - whole)
    positions = (grid.positions - 1 - whole) % grid.metre + 1
    return replace(grid, beats=beats, positions=positions)


def estimate_motion_grids(examples: Sequence[Example], frames: Sequence[int]) -> tuple[Grid, ...]:
    """Estimate the grid of each clip from its motion alone, for retrieval with each side on its own grid.

    The grid of a pair is that of its music, and would reveal tempo and downbeats of the music to the motion
    side [O]. ``frames`` are the numbers of frames of 20 ms.
    """
    return tuple(
        motion_grid(example.clip_motion, length / FRAME_RATE)
        for example, length in zip(examples, frames, strict=True)
    )


def pulse_activation(times: NDArray[np.float64], frames: int) -> NDArray[np.float32]:
    """Distribute pulses linearly to the two nearest frames, which are at (k + 0.5) * 20 ms [O].

    The sum is the number of pulses. The centre of mass of each pulse is its time, except within half a frame
    of either end.

    Args:
        times: (P,) seconds.
        frames: number of frames N.

    Returns:
        (N,) float32.
    """
    position = np.clip(times * FRAME_RATE - 0.5, 0, frames - 1)
    lower = np.minimum(np.floor(position).astype(np.int64), max(frames - 2, 0))
    share = position - lower
    activation = np.zeros(frames)
    np.add.at(activation, lower, 1.0 - share)
    np.add.at(activation, np.minimum(lower + 1, frames - 1), share)
    return activation.astype(np.float32)


def _side_activations(pulses: Mapping[str, NDArray[np.float64]], frames: int) -> NDArray[np.float32]:
    """(F, 2) activations of left and right limbs, at most 1."""
    sides = np.zeros((frames, len(SIDES)), dtype=np.float32)
    for number, side in enumerate(SIDES):
        for limb, times in pulses.items():
            if limb.startswith(side):
                sides[:, number] += pulse_activation(
                    times[(times >= 0) & (times < frames / FRAME_RATE)], frames
                )
    return np.minimum(sides, 1.0)
