"""From a line of a manifest to sound, motion, grid and labels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

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
    """What a :class:`~motion_data.pair.MotionPair` stands for; all times are seconds from its start."""

    pair: MotionPair
    sound: Tensor | AudioSpan
    """(T,) float32 at 16 kHz, played at its own speed; or where its samples are read from, piece by piece."""
    motion: Motion
    grid: Grid | None
    """None where the corpus knows no beats, or knows that there are none (the pair's ``grid`` says which)."""
    labels: Labels = field(default_factory=Labels)
    speed: float = 1.0
    """How fast the pair is played; the times of motion, grid and labels are those of the sound as played."""
    motion_seconds: float | None = None
    """How long the motion lasts, where it was brought to another frame rate, which makes it up to a frame
    longer; None: as long as its frames."""

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
        """Seconds from which on, and until which, there are both sound and motion."""
        lasts = self.motion.seconds if self.motion_seconds is None else self.motion_seconds
        return max(0.0, self.motion.start), min(self.seconds, self.motion.start + lasts)

    @property
    def wav(self) -> Tensor:
        """(T,) all samples at 16 kHz; :meth:`samples` reads some of them.

        Raises:
            DataError, AudioError: the file that they are read from is not what it should be.
        """
        if isinstance(self.sound, Tensor) and self.speed == 1.0:
            return self.sound
        return self.samples(0, round(self.seconds * SAMPLE_RATE))

    def samples(self, start: int, stop: int) -> Tensor:
        """(stop - start,) samples at 16 kHz of a stretch; at another speed their pitch is another one too.

        Args:
            start: first sample, of the sound as it is played.
            stop: sample behind the last.

        Raises:
            DataError: samples that are no numbers, or a file that is not what it should be.
            AudioError: a file that cannot be read.
        """
        if self.speed == 1.0:
            return self._source_samples(start, stop)
        source = self._source_samples(round(start * self.speed), round(stop * self.speed))
        rate = SAMPLE_RATE * self.speed
        played = torch.from_numpy(soxr.resample(source.numpy(), rate, SAMPLE_RATE, "LQ"))
        return pad(played[: stop - start], (0, max(0, stop - start - len(played))))

    def at_rate(self, fps: float, speed: float = 1.0) -> LoadedPair:
        """The pair with ``fps`` frames of motion a second, played ``speed`` times as fast as it is.

        Raises:
            DataError: a rate that cannot be, or a motion too short for it.
        """
        lasts = self.motion.seconds if self.motion_seconds is None else self.motion_seconds
        with stage("resample"):
            motion = self.motion.at_rate(fps, speed)
        return replace(
            self,
            motion=motion,
            grid=None if self.grid is None else replace(self.grid, beats=self.grid.beats / speed),
            labels=self.labels.at_speed(speed),
            speed=self.speed * speed,
            motion_seconds=lasts / speed,
        )

    def _source_samples(self, start: int, stop: int) -> Tensor:
        """(stop - start,) samples of the sound at its own speed."""
        if isinstance(self.sound, Tensor):
            wav = self.sound[start:stop]
        else:
            begin = self.sound.start
            wav = read_span(
                replace(self.sound, start=begin + start / SAMPLE_RATE, stop=begin + stop / SAMPLE_RATE)
            )
        if not bool(torch.isfinite(wav).all()):
            raise DataError(
                f"{self.pair.name}: the sound holds samples that are NaN or infinite; export it again"
            )
        return wav


def load_pair(pair: MotionPair, folder: str | Path, sound: Tensor | AudioSpan | None = None) -> LoadedPair:
    """Read or play a pair.

    Args:
        pair: from a manifest.
        folder: of that manifest.
        sound: of a pair in files, where it is not to be read here.

    Raises:
        DataError: its files are missing or are not what they should be.
        ShardError: its shard cannot be read, or is not what was written.
        AudioError: its sound cannot be read.
    """
    if pair.shard is not None:
        read = read_shard(pair.shard)
        count_decoded(len(read.sound) / SAMPLE_RATE)
        return LoadedPair(pair, read.sound, read.motion, read.grid, read.labels)
    if pair.audio is None or pair.motion is None:
        from motion_data.corpora.constructed.plan import render_pair

        with stage("audio"):
            played = render_pair(pair, folder)
        count_decoded(played.seconds)
        return played
    folder = Path(folder)
    with stage("motion"):
        motion, grid, labels = read_motion_and_labels(folder / pair.motion)
    return LoadedPair(pair, read_span(pair.audio, folder) if sound is None else sound, motion, grid, labels)


def to_common_skeleton(motion: Motion, name: str) -> Motion:
    """The motion with the joints of :data:`~motion_data.skeleton.JOINTS`, or still without any.

    Rotations are kept where they are those of all these joints.

    Args:
        motion: with these joints in any order, and perhaps others; or touch-downs alone.
        name: of its pair, for messages.

    Raises:
        DataError: joints are missing.
    """
    whole = motion.rotations is None or motion.rotations.shape[1] == len(JOINTS)
    if not motion.names or (motion.names == JOINTS and whole):
        return motion
    missing = [joint for joint in JOINTS if joint not in motion.names]
    if missing:
        raise DataError(
            f"{name}: the motion lacks the joints {', '.join(missing)}; prepare it on the common skeleton"
        )
    chosen = motion.joints[:, [motion.names.index(joint) for joint in JOINTS]]
    return replace(motion, names=JOINTS, joints=chosen, rotations=None)


def read_span(span: AudioSpan, folder: Path = Path()) -> Tensor:
    """(T,) float32 at 16 kHz: the span of a file.

    Args:
        span: seconds of a file.
        folder: that its path starts from, unless it is absolute.

    Raises:
        AudioError: the file cannot be read.
        DataError: the file ends more than 0.1 s before the span does.
    """
    path, wanted = folder / span.path, round((span.stop - span.start) * SAMPLE_RATE)
    with stage("audio"):
        wav = read_audio(path, span.start, span.stop)
    count_decoded(len(wav) / SAMPLE_RATE)
    if len(wav) < wanted - SAMPLE_RATE // 10:
        raise DataError(
            f"{path}: ends at {span.start + len(wav) / SAMPLE_RATE:.2f} s, but the pair reaches to "
            f"{span.stop:.2f} s; the file has changed since the corpus was prepared: prepare it again"
        )
    return torch.nn.functional.pad(wav, (0, max(0, wanted - len(wav))))[:wanted]
