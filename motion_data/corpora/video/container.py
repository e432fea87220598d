"""What a video file holds: when each picture is shown, and its sound on the same clock.

The clock is that of :mod:`motionbeat_upstream.decoding`: it starts at the earlier of the first picture and
the first sample. So the offset between the two is in the times of the pictures and in silence before the
sound, and nobody else needs to know it. AVI has no timestamps: the times of its pictures follow from their
order, and may be a frame or two late.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError
from motion_data.files import write_sound
from motionbeat_upstream.decoding import clock_start, open_container, video_stream
from motionbeat_upstream.errors import AudioError

LONGEST_SIDE = 960
"""Pixels that pictures are brought down to; the pose model sees 256 of them."""


@dataclass(frozen=True)
class Container:
    """The streams that are used: the first of pictures and the best of sound."""

    frames: int
    """Number of pictures as the file states it or, where it does not, by its length and rate: for progress
    only."""
    seconds: float
    """Length as the file states it."""
    audio_start: float
    """Seconds of the first sample on the clock."""
    codecs: str
    """Of pictures and sound."""


def probe(path: Path) -> Container:
    """Look into a video.

    Raises:
        DataError: no such file, no video, or one without pictures or sound.
    """
    try:
        with open_container(path) as container:
            video, audio = video_stream(container), container.streams.best("audio")
            if video is None or audio is None:
                lacking = "pictures" if video is None else "sound"
                raise DataError(f"{path}: has no {lacking}; a pair needs both: leave it out")
            seconds = (container.duration or 0) / av.time_base
            audio_start = float((audio.start_time or 0) * (audio.time_base or 0)) - clock_start(container)
            frames = video.frames or round(seconds * float(video.average_rate or 0))
            return Container(frames, seconds, audio_start, f"{video.codec.name} {audio.codec_context.name}")
    except AudioError as error:
        raise DataError(str(error).replace("not audio", "not a video")) from error


def read_frames(path: Path, seconds: float | None = None) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """The pictures of a video, each when it is shown, turned upright, their pixels square.

    Frame rates may vary: the times are those of the container.

    Args:
        path: a video that :func:`probe` accepts.
        seconds: how much of it; None for all.

    Yields:
        Seconds on the clock, and (H, W, 3) red, green, blue.

    Raises:
        DataError: the pictures cannot be decoded.
    """
    number = 0
    with open_container(path) as container:
        video = video_stream(container)
        if video is None or video.time_base is None:
            raise DataError(f"{path}: has no pictures; leave it out")
        # A decoder that is freed before the end may wait for ever for its own threads.
        video.codec_context.thread_count = 1
        start = clock_start(container)
        for packet in container.demux(video):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                continue  # a damaged picture is left out: those after it have their own times
            for frame in frames:
                shown = frame.dts if frame.pts is None else frame.pts
                time = float((shown or 0) * video.time_base) - start
                if seconds is not None and time >= seconds:
                    return
                yield time, _upright(frame, float(video.sample_aspect_ratio or 1))
                number += 1
    if not number:
        raise DataError(f"{path}: holds no picture that can be decoded; check that it plays")


def extract_sound(path: Path, out: Path, seconds: float | None = None) -> None:
    """Write the sound of a video, or its first ``seconds``, as mono FLAC at 16 kHz, silence where the
    container has none before or in between.

    Raises:
        DataError: the sound cannot be decoded.
    """
    from motionbeat_upstream.audio import read_audio

    try:
        wav = read_audio(path, stop=seconds)
    except AudioError as error:
        raise DataError(str(error)) from error
    write_sound(out, wav)


def _upright(frame: av.VideoFrame, aspect: float) -> NDArray[np.uint8]:
    """(H, W, 3) of a picture whose pixels are ``aspect`` times as wide as high."""
    width = frame.width * aspect
    scale = min(1.0, LONGEST_SIDE / max(width, frame.height))
    image = frame.to_ndarray(format="rgb24", width=round(width * scale), height=round(frame.height * scale))
    return np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90)))
