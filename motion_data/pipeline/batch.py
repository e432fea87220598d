"""A batch for losses and validation: clips padded, motions sampled on the frames of their music."""

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
"""What the names of limbs begin with; feet and hands of a side count alike."""

SMOOTHING_FRAMES = 1.0
"""Standard deviation in frames of 20 ms."""


@dataclass
class Batch(SupportsDeviceTransfer):
    """B clips of up to F frames of 20 ms, and R motions on the same frames: the clips' own, then their hard
    negatives; R is 0 where motions were not asked for. What is padded is 0. Mutable, as fairseq2 moves it in
    place."""

    wav: Tensor
    """(B, T) float32 at 16 kHz."""
    wav_lengths: Tensor
    """(B,) int64 samples."""
    frame_lengths: Tensor
    """(B,) int64 frames of 20 ms, ceil(T / 320)."""
    grids: tuple[Grid, ...]
    """(B,) the grid that each clip is shown on, with an error that music, motion and negatives share."""
    annotated: tuple[Grid | None, ...]
    """(B,) the pairs' own grids without that error; None where the corpus knows none."""
    beats: BeatTargets
    """Beats, bars and tempo of the pairs' own grids."""
    labels: tuple[Labels, ...]
    """(B,) what else is known of the sound."""
    targets: Mapping[str, PaddedTarget]
    """Those made of the labels that were asked for, by name."""
    joints: Tensor
    """(R, F, 22, 3) float32 in metres at 50 Hz; frame k stands at (k + 0.5) · 20 ms, give or take 10 ms."""
    pulses: Tensor
    """(R, F, 2) touch-downs of left and right, in [0, 1]."""
    contacts: Tensor
    """(B, F) touch-downs of the clips' own motions, each reaching over its neighbours, in [0, 1]; (0, F)
    without motions."""
    has_joints: Tensor
    """(R,) bool: false for a step chart, which has touch-downs alone."""
    owner: Tensor
    """(R,) int64, the clip that each is a motion or a negative of."""
    owner_grids: tuple[Grid, ...]
    """(R,) the grid that the owner is shown on."""
    negatives: tuple[Negative, ...]
    """(R - B,) recipes of the rows from B on."""
    motion_grids: tuple[Grid, ...]
    """(B,) grids of the clips' own motions, from their touch-downs and halts alone; () where they were not
    asked for. Where a motion has no pulse that repeats itself, it is the fallback grid, with confidence 0."""
    pieces: Tensor
    """(B,) int64 numbers of the music; clips of one piece are no negatives of each other."""
    takes: Tensor
    """(B,) int64 the same for the motions' takes."""
    names: tuple[str, ...]
    """(B,) names of the pairs."""
    starts: tuple[float, ...]
    """(B,) seconds of the pair at which each clip begins."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def motion_lengths(self) -> Tensor:
        """(R,) int64 frames of each motion."""
        return self.frame_lengths[self.owner]

    def to(self, device: torch.device, *, non_blocking: bool = False) -> None:
        """Move every tensor, in place."""
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
    """Pad and stack clips, and sample their motions and hard negatives on the frames of their music.

    A network must not tell a hard negative from a paired motion by how it was made. So every motion is
    sampled from its source by one spline, at a random fraction of a frame, and then smoothed: what
    interpolation does to the highest frequencies is removed from all of them [O].

    Args:
        examples: at least one, with recipes of hard negatives or without.
        phase: of the bar, in [0, 1), at which every clip begins on the grid that it is shown on.
        rng: draws the fractions of a frame, and where motions are rolled.
        rolled: give each clip its motion rolled around itself by a random time: the control [O].
        motions: whether motions are sampled; it takes most of the time.
        motion_grids: whether the motions' own grids are estimated.
        targets: names of targets to make of the labels, of :data:`~motion_data.label_targets.TARGETS`.
    """
    with stage("collate"):
        wav_lengths = torch.tensor([len(example.wav) for example in examples])
        frame_lengths = (wav_lengths + STRIDE - 1) // STRIDE
        frames = frame_lengths.tolist()
        annotated = tuple(example.grid for example in examples)
        labels = tuple(example.labels for example in examples)
        grids = displaced_grids(annotated, frames, phase)
        owner: list[int] = []
        wanted: list[tuple[Motion, Negative | None]] = []
        if motions:
            sources = [example.motion for example in examples]
            if rolled:
                sources = [roll_motion(motion, float(rng.uniform(0, motion.seconds))) for motion in sources]
            owner = list(range(len(examples)))
            wanted = [(motion, None) for motion in sources]
            for row, example in enumerate(examples):
                owner += [row] * len(example.negatives)
                wanted += [(sources[negative.source], negative) for negative in example.negatives]
        joints, pulses = sample_motions(wanted, [frames[row] for row in owner], max(frames), rng)
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
            has_joints=torch.tensor([bool(motion.names) for motion, _ in wanted], dtype=torch.bool),
            owner=torch.tensor(owner, dtype=torch.int64),
            owner_grids=tuple(grids[row] for row in owner),
            negatives=tuple(negative for _, negative in wanted if negative is not None),
            motion_grids=estimate_motion_grids(examples, frames) if motion_grids else (),
            pieces=torch.tensor([example.group_ids[0] for example in examples]),
            takes=torch.tensor([example.group_ids[1] for example in examples]),
            names=tuple(example.pair.name for example in examples),
            starts=tuple(example.start for example in examples),
        )


def sample_motions(
    wanted: Sequence[tuple[Motion, Negative | None]],
    lengths: Sequence[int],
    size: int,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Motions, or hard negatives of them, on frames of 20 ms.

    Args:
        wanted: R motions, each on the clock of its own clip.
        lengths: frames of each.
        size: F, of the longest clip of the batch.
        rng: draws the fractions of a frame.

    Returns:
        (R, F, 22, 3) joints and (R, F, 2) pulses of left and right, both 0 beyond a motion's length.
    """
    joints = torch.zeros(len(wanted), size, len(JOINTS), 3)
    pulses = torch.zeros(len(wanted), size, len(SIDES))
    for row, ((motion, negative), length) in enumerate(zip(wanted, lengths, strict=True)):
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
    """The grid that each clip is shown on, with an error that its music, motion and negatives share [O]; the
    fallback where it has none.

    On the exact grid a moved or stretched motion is visibly off the beat, and the motion tower would know the
    negatives without listening (measured on a prototype). With an error that nobody knows, only music and
    motion together tell where the beat lies against the grid. The error must not be told by anything else:
    clips begin anywhere in their bars, and all clips of a batch are shown grids whose bars lie alike
    (measured: where each clip had its own error and began at a downbeat, pairs were found in silence too).

    Args:
        annotated: the clips' own grids.
        frames: of 20 ms, of each clip.
        phase: of the bar at which every clip begins on its grid.
    """
    return tuple(
        fallback_grid(length / FRAME_RATE) if grid is None else displace_grid(grid, phase)
        for grid, length in zip(annotated, frames, strict=True)
    )


def displace_grid(grid: Grid, phase: float) -> Grid:
    """The grid, moved along with the tempo around it until a certain phase of a bar lies at 0 s.

    Args:
        grid: of a clip, on the clip's clock.
        phase: of the bar, in [0, 1); 0 is a downbeat.

    Returns:
        As many beats of the same metre, each moved by at most half a beat, and renumbered.
    """
    late = (time_to_bars(grid, np.zeros(1))[0] - phase) * grid.metre
    whole = int(np.round(late))
    beats = beats_to_time(grid, np.arange(len(grid.beats)) + late - whole)
    positions = (grid.positions - 1 - whole) % grid.metre + 1
    return replace(grid, beats=beats, positions=positions)


def estimate_motion_grids(examples: Sequence[Example], frames: Sequence[int]) -> tuple[Grid, ...]:
    """The grid of each clip's motion from the motion alone, for retrieval with each side on its own grid: the
    grid of a pair comes from its music, and would tell the motion's side tempo and downbeat of the music [O].
    ``frames`` of 20 ms are those of each clip.
    """
    return tuple(
        motion_grid(example.clip_motion, length / FRAME_RATE)
        for example, length in zip(examples, frames, strict=True)
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
    position = np.clip(times * FRAME_RATE - 0.5, 0, frames - 1)
    lower = np.minimum(np.floor(position).astype(np.int64), max(frames - 2, 0))
    share = position - lower
    activation = np.zeros(frames)
    np.add.at(activation, lower, 1.0 - share)
    np.add.at(activation, np.minimum(lower + 1, frames - 1), share)
    return activation.astype(np.float32)


def _side_activations(pulses: Mapping[str, NDArray[np.float64]], frames: int) -> NDArray[np.float32]:
    """(F, 2) pulses of left and right limbs, at most 1."""
    sides = np.zeros((frames, len(SIDES)), dtype=np.float32)
    for number, side in enumerate(SIDES):
        for limb, times in pulses.items():
            if limb.startswith(side):
                sides[:, number] += pulse_activation(
                    times[(times >= 0) & (times < frames / FRAME_RATE)], frames
                )
    return np.minimum(sides, 1.0)
