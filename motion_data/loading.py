"""Loading of pairs: sound, motion, grid and labels."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import soxr
import torch
from torch import Tensor
from torch.nn.functional import pad

from motion_data.errors import DataError
from motion_data.labels import Labels
from motion_data.motion import Motion
from motion_data.motion_file import read_motion_and_labels
from motion_data.pair import AudioSpan, MotionPair
from motion_data.shards import read_shard
from motion_data.skeleton import JOINTS
from motion_data.stages import count_decoded, stage
from motionbeat_upstream.audio import read_audio
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.tracking.grid import Grid


@dataclass(frozen=True)
class LoadedPair:
    """The data of a :class:`~motion_data.pair.MotionPair`; all times are seconds from its start."""

    pair: MotionPair
    sound: Tensor | AudioSpan
    """(T,) float32 at 16 kHz at the original speed; or the span of a file that samples are read from."""
    motion: Motion
    grid: Grid | None
    """None if beats are unknown or there are none (see the pair's ``grid``)."""
    labels: Labels = field(default_factory=Labels)
    speed: float = 1.0
    """Playback speed. Motion, grid and labels have the times of the sound at this speed."""
    motion_seconds: float | None = None
    """Length of the motion before resampling, which lengthens it by up to a frame; None if not resampled."""

    @property
    def seconds(self) -> float:
        """Length of the sound."""
        span = self.pair.audio
        if span is not None:
            return (span.stop - span.start) / self.speed
        assert isinstance(self.sound, Tensor)
        return len(self.sound) / SAMPLE_RATE / self.speed

    @property
    def overlap(self) -> tuple[float, float]:
        """Start and end in seconds of the span that has both sound and motion."""
        seconds = self.motion.seconds if self.motion_seconds is None else self.motion_seconds
        return max(0.0, self.motion.start), min(self.seconds, self.motion.start + seconds)

    @property
    def shared(self) -> tuple[float, float]:
        """Old name of :attr:`overlap`."""
        warnings.warn("shared is called overlap", DeprecationWarning, stacklevel=2)
        return self.overlap

    @property
    def wav(self) -> Tensor:
        """(T,) all samples at 16 kHz; :meth:`samples` returns a part of them.

        Raises:
            DataError, AudioError: as :meth:`samples`.
        """
        if isinstance(self.sound, Tensor) and self.speed == 1.0:
            return self.sound
        return self.samples(0, round(self.seconds * SAMPLE_RATE))

    def samples(self, start: int, stop: int) -> Tensor:
        """Return (stop - start,) samples at 16 kHz. Speed changes the pitch as well.

        Args:
            start: first sample, counted at the current speed.
            stop: sample after the last.

        Raises:
            DataError: samples are NaN or infinite, or the file has changed.
            AudioError: the file cannot be read.
        """
        if self.speed == 1.0:
            return self._source_samples(start, stop)
        source = self._source_samples(round(start * self.speed), round(stop * self.speed))
        rate = SAMPLE_RATE * self.speed
        played = torch.from_numpy(soxr.resample(source.numpy(), rate, SAMPLE_RATE, "LQ"))
        return pad(played[: stop - start], (0, max(0, stop - start - len(played))))

    def at_rate(self, fps: float, speed: float = 1.0) -> LoadedPair:
        """Resample the motion to ``fps`` frames per second and multiply the speed by ``speed``.

        Raises:
            DataError: the frame rate is out of range, or the motion is too short for it.
        """
        seconds = self.motion.seconds if self.motion_seconds is None else self.motion_seconds
        with stage("resample"):
            motion = self.motion.at_rate(fps, speed)
        return replace(
            self,
            motion=motion,
            grid=None if self.grid is None else replace(self.grid, beats=self.grid.beats / speed),
            labels=self.labels.at_speed(speed),
            speed=self.speed * speed,
            motion_seconds=seconds / speed,
        )

    def _source_samples(self, start: int, stop: int) -> Tensor:
        """(stop - start,) samples of the sound at its original speed."""
        if isinstance(self.sound, Tensor):
            wav = self.sound[start:stop]
        else:
            offset = self.sound.start
            wav = read_span(
                replace(self.sound, start=offset + start / SAMPLE_RATE, stop=offset + stop / SAMPLE_RATE)
            )
        if not bool(torch.isfinite(wav).all()):
            raise DataError(
                f"{self.pair.name}: the sound contains samples that are NaN or infinite; export it again"
            )
        return wav


def __getattr__(name: str) -> Any:
    """Old names, for one version."""
    new = {"on_common_skeleton": "to_common_skeleton"}.get(name)
    if new is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(f"{name} is called {new}", DeprecationWarning, stacklevel=2)
    return globals()[new]


def load_pair(pair: MotionPair, folder: str | Path, sound: Tensor | AudioSpan | None = None) -> LoadedPair:
    """Read a pair from its files or shard, or render a constructed pair.

    Args:
        pair: from a manifest.
        folder: folder of that manifest.
        sound: replaces reading the sound of a pair in files.

    Raises:
        DataError: files are missing, damaged or changed.
        ShardError: the shard cannot be read, or its bytes have changed.
        AudioError: the sound cannot be read.
    """
    if pair.shard is not None:
        content = read_shard(pair.shard)
        count_decoded(len(content.sound) / SAMPLE_RATE)
        return LoadedPair(pair, content.sound, content.motion, content.grid, content.labels)
    if pair.audio is None or pair.motion is None:
        from motion_data.corpora.constructed.plan import render_pair

        with stage("audio"):
            loaded = render_pair(pair, folder)
        count_decoded(loaded.seconds)
        return loaded
    folder = Path(folder)
    with stage("motion"):
        motion, grid, labels = read_motion_and_labels(folder / pair.motion)
    return LoadedPair(pair, read_span(pair.audio, folder) if sound is None else sound, motion, grid, labels)


def to_common_skeleton(motion: Motion, name: str) -> Motion:
    """Select the joints of :data:`~motion_data.skeleton.JOINTS`; a motion without joints is not changed.

    Rotations are kept if they are those of exactly these joints, and dropped otherwise.

    Args:
        motion: contains these joints in any order, possibly among others; or touch-downs alone.
        name: name of the pair, for messages.

    Raises:
        DataError: joints are missing.
    """
    complete = motion.rotations is None or motion.rotations.shape[1] == len(JOINTS)
    if not motion.names or (motion.names == JOINTS and complete):
        return motion
    missing = [joint for joint in JOINTS if joint not in motion.names]
    if missing:
        raise DataError(
            f"{name}: the motion lacks the joints {', '.join(missing)}; prepare it on the common skeleton"
        )
    joints = motion.joints[:, [motion.names.index(joint) for joint in JOINTS]]
    return replace(motion, names=JOINTS, joints=joints, rotations=None)


def read_span(span: AudioSpan, folder: Path = Path()) -> Tensor:
    """Read a span of an audio file as (T,) float32 at 16 kHz.

    Args:
        span: file, start and stop.
        folder: folder that a relative path starts from.

    Raises:
        AudioError: the file cannot be read.
        DataError: the file ends more than 0.1 s before the span does.
    """
    path, length = folder / span.path, round((span.stop - span.start) * SAMPLE_RATE)
    with stage("audio"):
        wav = read_audio(path, span.start, span.stop)
    count_decoded(len(wav) / SAMPLE_RATE)
    if len(wav) < length - SAMPLE_RATE // 10:
        raise DataError(
            f"{path}: ends at {span.start + len(wav) / SAMPLE_RATE:.2f} s, but the pair reaches to "
            f"{span.stop:.2f} s; the file has changed since the corpus was prepared: prepare it again"
        )
    return pad(wav, (0, max(0, length - len(wav))))[:length]
