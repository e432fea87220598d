"""Pairs decoded and brought to the pipeline's rates, kept in memory while there is room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from motion_data.audio_span import read_span
from motion_data.body.resampling import resample_positions, resample_rotations
from motion_data.errors import DataError
from motion_data.loading import load_clip
from motion_data.motion import Motion
from motion_data.motion_file import read_motion
from motion_data.pair import AudioSpan, MotionPair
from motion_data.pipeline.stages import StageClock
from motion_data.skeleton import JOINTS
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.nn.grid import Grid

MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Material:
    """A whole pair at the pipeline's rates; all times are seconds from its start."""

    seconds: float
    """Length of the sound."""
    wav: Tensor | None
    """(T,) float32 at 16 kHz; None where clips of it are decoded one by one."""
    joints: NDArray[np.float32] | None
    """(F, 22, 3) in metres, y up, at the pipeline's rate; None where the pair has pulses alone."""
    motion_start: float
    """Where frame 0 stands."""
    motion_seconds: float
    """How long the motion lasts."""
    pulses: dict[str, NDArray[np.float64]]
    """Touch-downs by limb."""
    grid: Grid | None
    rotations: NDArray[np.float32] | None = None
    """(F, 22, 3) of each joint against its parent, axis times angle; None where the motion has none."""

    @property
    def megabytes(self) -> float:
        """What it takes in memory."""
        size = 0 if self.wav is None else self.wav.numel() * 4
        motion = sum(part.nbytes for part in (self.joints, self.rotations) if part is not None)
        return (size + motion) / MEGABYTE

    def at_speed(self, speed: float, fps: float) -> Material:
        """The same pair played ``speed`` times as fast, without its sound; frames again at ``fps``."""
        if speed == 1.0:
            return self
        joints, rotations = self.joints, self.rotations
        if joints is not None:
            joints = resample_positions(joints, fps * speed, fps).astype(np.float32)
        if rotations is not None:
            rotations = resample_rotations(rotations, fps * speed, fps).astype(np.float32)
        return Material(
            seconds=self.seconds / speed,
            wav=None,
            joints=joints,
            motion_start=self.motion_start / speed,
            motion_seconds=self.motion_seconds / speed,
            pulses={limb: times / speed for limb, times in self.pulses.items()},
            grid=None if self.grid is None else replace(self.grid, beats=self.grid.beats / speed),
            rotations=rotations,
        )


class Materials:
    """Gives the material of pairs, from memory where it has been made before; may be asked by many threads.

    Sound in files is decoded whole and kept if the whole split fits in memory, else a stretch at a
    time; a recording that several pairs share is kept once. Motions, and what is rendered, are made
    whole and kept while there is room.
    """

    def __init__(
        self,
        folder: Path,
        pairs: Sequence[MotionPair],
        fps: float,
        memory_megabytes: float,
        clock: StageClock,
    ) -> None:
        """See above.

        Args:
            folder: of the corpus.
            pairs: those that will be asked for.
            fps: frames of motion a second.
            memory_megabytes: room for what is decoded.
            clock: counts the time of each stage.
        """
        self._folder = folder
        self._fps = fps
        self._room = memory_megabytes
        self._clock = clock
        sounds = {pair.audio or pair.name: pair.seconds for pair in pairs}
        motions = sum(pair.seconds for pair in pairs)
        size = 4 * SAMPLE_RATE * sum(sounds.values()) + 12 * len(JOINTS) * fps * motions
        self._fits = size / MEGABYTE <= memory_megabytes
        self.whole = self._fits or all(pair.audio is None for pair in pairs)
        """Whether all sound is decoded or rendered whole."""
        self._sounds: dict[AudioSpan, Tensor] = {}
        self._kept: OrderedDict[str, Material] = OrderedDict()
        self._used = 0.0
        self._lock = Lock()

    def material(self, pair: MotionPair) -> Material:
        """The pair at the pipeline's rates.

        Raises:
            DataError: files are missing or not what they should be.
            AudioError: sound that cannot be read.
        """
        with self._lock:
            if pair.name in self._kept:
                self._kept.move_to_end(pair.name)
                return self._kept[pair.name]
        material = self._make(pair)
        self._keep(pair.name, material)
        return material

    def sound(
        self, pair: MotionPair, material: Material, start: int, stop: int, speed: float = 1.0
    ) -> Tensor:
        """(stop - start,) the samples of a stretch at 16 kHz; raises as :meth:`material` does.

        Args:
            pair: the pair.
            material: of the pair, as :meth:`material` gives it.
            start: first sample, of the sound as it is played.
            stop: sample behind the last.
            speed: how fast it is played; pitch changes with it.
        """
        if speed != 1.0:
            source = self.sound(pair, material, round(start * speed), round(stop * speed))
            played = torch.from_numpy(soxr.resample(source.numpy(), SAMPLE_RATE * speed, SAMPLE_RATE, "LQ"))
            return pad(played[: stop - start], (0, max(0, stop - start - len(played))))
        if material.wav is not None:
            wav = material.wav[start:stop]
        else:
            assert pair.audio is not None
            offset = pair.audio.start
            span = replace(pair.audio, start=offset + start / SAMPLE_RATE, stop=offset + stop / SAMPLE_RATE)
            with self._clock.stage("audio"):
                wav = read_span(self._folder / span.path, span)
            self._clock.decoded(len(wav) / SAMPLE_RATE)
        if not bool(torch.isfinite(wav).all()):
            raise DataError(f"{pair.name}: the sound holds samples that are NaN or infinite; export it again")
        return wav

    def _make(self, pair: MotionPair) -> Material:
        wav: Tensor | None = None
        if pair.audio is None or pair.motion is None:
            with self._clock.stage("audio"):
                clip = load_clip(pair, self._folder)
            wav, motion, grid = clip.wav, clip.motion, clip.grid
            self._clock.decoded(len(wav) / SAMPLE_RATE)
            seconds = len(wav) / SAMPLE_RATE
        else:
            with self._clock.stage("motion"):
                motion, grid = read_motion(self._folder / pair.motion)
            seconds = pair.audio.stop - pair.audio.start
            if self._fits:
                wav = self._recording(pair.audio)
        with self._clock.stage("resample"):
            joints = _joints(pair.name, motion, self._fps)
            rotations = _rotations(motion, self._fps)
        pulses = dict(motion.pulses)
        return Material(seconds, wav, joints, motion.start, motion.seconds, pulses, grid, rotations)

    def _recording(self, span: AudioSpan) -> Tensor:
        if span not in self._sounds:
            with self._clock.stage("audio"):
                self._sounds[span] = read_span(self._folder / span.path, span)
            self._clock.decoded(len(self._sounds[span]) / SAMPLE_RATE)
        return self._sounds[span]

    def _keep(self, name: str, material: Material) -> None:
        with self._lock:
            if name in self._kept:  # another thread was first
                return
            self._kept[name] = material
            self._used += material.megabytes
            while self._used > self._room and not self._fits:
                self._used -= self._kept.popitem(last=False)[1].megabytes


def _joints(name: str, motion: Motion, fps: float) -> NDArray[np.float32] | None:
    if not motion.names:
        return None
    missing = [joint for joint in JOINTS if joint not in motion.names]
    if missing:
        raise DataError(
            f"{name}: the motion lacks the joints {', '.join(missing)}; prepare it on the common skeleton"
        )
    joints = motion.joints
    if motion.names != JOINTS:
        joints = joints[:, [motion.names.index(joint) for joint in JOINTS]]
    if motion.fps != fps:
        joints = resample_positions(joints, motion.fps, fps).astype(np.float32)
    return joints


def _rotations(motion: Motion, fps: float) -> NDArray[np.float32] | None:
    if motion.rotations is None or motion.names != JOINTS or motion.rotations.shape[1] != len(JOINTS):
        return None
    if motion.fps == fps:
        return motion.rotations.astype(np.float32)
    return resample_rotations(motion.rotations, motion.fps, fps).astype(np.float32)
