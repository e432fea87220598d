"""Decoding of audio files with FFmpeg (PyAV), whole or in part, with times that damage does not shift.

Time 0 is the first sample. In a file with video it is the earlier of the first picture and the first sample,
where the container's clock starts, so that times agree with those of a player. Sound that is missing
according to the timestamps is replaced by silence. The length in the header is only compared with the decoded
length: it is wrong or absent in MP3 without a Xing header, joined MP3, chained Ogg, and streamed FLAC and
WAV.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream
from numpy.typing import NDArray

from motionbeat_upstream.errors import AudioError, AudioWarning, DamagedAudioWarning
from motionbeat_upstream.mp3_tag import read_mp3_tag

AUDIO_SUFFIXES = (
    *(".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64"),
    *(".m4a", ".aac", ".mp4", ".wma", ".webm", ".mka"),
)
"""Suffixes of the files that are used from a folder."""

OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,matroska,mov,mp3,mpc,mpc8,"
    "mpeg,mpegts,ogg,rm,tak,tta,voc,w64,wav,wv",
}
"""Options of FFmpeg: no network, and no playlists, which read other files."""

# Replaces bytes in tags that are not UTF-8; PyAV 19 does so by default.
TAG_OPTIONS: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}

MAX_JITTER_SECONDS = 0.06
"""Maximum error of timestamps; those of Vorbis are off by up to half a block of up to 4,096 samples."""

MAX_GAP_SECONDS = 600.0
"""Maximum silence inserted into a file. A longer jump of the timestamps starts another recording."""

LENGTH_TOLERANCE_SECONDS = 0.15
"""Maximum difference of the stated and the decoded length: two frames of the codecs with the longest
frames."""

PREROLL_SECONDS = 1.0
"""Sound decoded before a part, until the state of the decoder has settled."""

SEEKABLE = frozenset({"wav", "w64", "aiff", "au", "flac", "mp3", "ogg", "mov,mp4,m4a,3gp,3g2,mj2"})
"""Formats, by FFmpeg's names, with exact seeking."""

FORMATS_WITH_LENGTH = frozenset(
    {"aiff", "au", "wav", "flac", "asf", "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"}
)
"""Formats with a length in the header; for others FFmpeg estimates it from the bit rate."""

FORMATS_WITHOUT_TIMESTAMPS = frozenset({"mp3", "aac"})
"""Formats without timestamps, in which the length of undecodable parts is estimated from their size."""

MIN_RATE, MAX_RATE = 1_000, 1_000_000
"""Range of sampling rates in Hz; with others a damaged header could mean days of sound."""

TAGS = (b"ID3", b"TAG", b"APETAGEX")
"""First bytes of tags in an MP3."""

BLOCK_FRAMES = 64
"""Codec frames per block that is yielded."""

MIN_REPORTED_DELAY_SECONDS = 0.01
"""Delay of the sound after the picture from which it is reported."""

UNKNOWN_WAV_SIZE = 0x7FFFF000
"""Sizes in bytes from this on, and 0, are written by programs that stream a WAV."""


@dataclass
class _DecodingState:
    """Properties of a file's sound, updated while it is decoded."""

    rate: int = 0
    samples: int = 0
    """Index of the next sample."""
    delay: float = 0.0
    """Seconds from time 0 to the first sample."""
    gaps: list[tuple[float, float]] = field(default_factory=list)
    """Start and length, in seconds, of missing sound."""
    seekable: bool = False
    """Whether timestamps and samples agree everywhere, so that a part can be decoded separately."""
    stated_seconds: float | None = None
    """Length in the header."""
    damage: str = ""
    """Why the rest of the file is not decoded, or has shifted times."""

    @property
    def seconds(self) -> float:
        """Time of the next sample."""
        return self.samples / max(self.rate, 1)

    def advance(self, samples: NDArray[np.float32]) -> tuple[int, NDArray[np.float32]]:
        """Count (C, n) samples, and return the index of the first with the samples."""
        start = self.samples
        self.samples += samples.shape[1]
        return start, samples


def decode(
    path: Path, start: float = 0.0, stop: float | None = None
) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Decode a file or a part of it.

    Args:
        path: of a file in any format that FFmpeg reads.
        start: seconds.
        stop: seconds; None for the end of the file.

    Yields:
        Successive (C, n) samples in about [-1, 1], and the constant sampling rate in Hz. They end before
        ``stop`` if the file does.

    Raises:
        AudioError: the file is missing, has no sound or cannot be decoded.

    Warns:
        DamagedAudioWarning: sound is missing and replaced by silence, or the file ends early.
        AudioWarning: the sound of a video starts later than its picture.
    """
    state = _DecodingState()
    seek = start > PREROLL_SECONDS and _scan(path).seekable
    buffer: list[NDArray[np.float32]] = []
    for index, samples in _blocks(path, state, start if seek else 0.0):
        first = max(0, round(start * state.rate) - index)
        last = samples.shape[1] if stop is None else max(0, round(stop * state.rate) - index)
        if first < min(last, samples.shape[1]):
            buffer.append(samples[:, first:last])
        # A frame may have only 64 samples, which are decoded faster than the caller handles them.
        if len(buffer) == BLOCK_FRAMES:
            yield np.concatenate(buffer, 1), state.rate
            buffer.clear()
        if last < samples.shape[1]:
            break
    else:
        if not seek:
            _STATES[_file_key(path)] = state
    if buffer:
        yield np.concatenate(buffer, 1), state.rate
    _warn(path, state)


def read_sound(
    path: str | Path, start: float = 0.0, stop: float | None = None
) -> tuple[NDArray[np.float32], int]:
    """Read a file or a part of it without conversion.

    Args:
        path, start, stop: as in :func:`decode`.

    Returns:
        (N, C) samples at the sampling rate of the file, and this rate in Hz.

    Raises:
        AudioError: the file is missing or empty, is not audio, or has no samples from ``start`` to ``stop``.
    """
    blocks = list(decode(Path(path), start, stop))
    if not blocks:
        raise AudioError(f"{path}: has no samples from {start:g} s on; download or export it again")
    return np.concatenate([samples for samples, _ in blocks], 1).T, blocks[0][1]


def audio_length(path: str | Path) -> tuple[int, int]:
    """Return the number of samples of a file, as decoded by :func:`decode`, and the sampling rate in Hz.

    The file is decoded for this once per process.

    Raises:
        AudioError: as :func:`decode`, or the file has no samples.
    """
    state = _scan(Path(path))
    if not state.samples:
        raise AudioError(f"{path}: the file has no samples; download or export it again")
    return state.samples, state.rate


@contextmanager
def open_container(path: Path) -> Iterator[InputContainer]:
    """Open a file with PyAV, without access to other files and the network.

    Raises:
        AudioError: the file is missing or empty, or FFmpeg cannot read it.
    """
    if not path.is_file():
        raise AudioError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: the file is empty (0 bytes); download or export it again")
    # Without `file:` FFmpeg would take the path `Artist: Title.m4a` for a protocol.
    with _open(f"file:{path}", str(path), "check that it plays, or convert it to WAV or FLAC") as container:
        yield container


@contextmanager
def _open(
    source: str | BinaryIO, name: str, remedy: str, buffer_size: int = 32768
) -> Iterator[InputContainer]:
    """Open a URL or a file object with PyAV, with FFmpeg's errors as AudioError."""
    try:
        with av.open(source, "r", options=OPTIONS, buffer_size=buffer_size, **TAG_OPTIONS) as container:
            yield container
    except av.FFmpegError as error:
        raise AudioError(f"{name}: not audio: FFmpeg cannot read it ({error.strerror}); {remedy}") from error


def decode_stream(file: BinaryIO, name: str) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Decode audio while it arrives, for example from a pipe; missing sound is not replaced.

    Args:
        file: need not be seekable.
        name: for messages.

    Yields:
        (C, n) samples and their rate in Hz, which stays the same.

    Raises:
        AudioError: FFmpeg cannot read it, or it has no audio.
    """
    # A small buffer, so that what has arrived is decoded at once.
    with _open(file, name, "send WAV, FLAC, Ogg or MP3", buffer_size=4096) as container:
        stream = container.streams.best("audio")
        if not isinstance(stream, AudioStream):
            raise AudioError(f"{name}: no audio in it")
        converter = _Converter()
        for frame in container.decode(stream):
            yield converter(frame), converter.rate
        if converter.rate:
            yield converter(None), converter.rate


def video_stream(container: InputContainer) -> VideoStream | None:
    """The first video stream that is not a cover picture; None without one."""
    streams = container.streams.video
    return next((stream for stream in streams if not stream.disposition & Disposition.attached_pic), None)


def clock_start(container: InputContainer) -> float:
    """Time in seconds of the first picture or sample on the container's clock."""
    streams = [stream for stream in (video_stream(container), container.streams.best("audio")) if stream]
    return min((_start(stream) for stream in streams), default=0.0)


def _start(stream: av.stream.Stream) -> float:
    if stream.start_time is None or stream.time_base is None:
        return 0.0
    return float(stream.start_time * stream.time_base)


_STATES: dict[tuple[Path, int, int], _DecodingState] = {}
"""Final states of files that were decoded to their end, by path, size and time of modification."""


def _file_key(path: Path) -> tuple[Path, int, int]:
    status = path.stat()
    return path.absolute(), status.st_size, status.st_mtime_ns


def _scan(path: Path) -> _DecodingState:
    if not path.is_file() or _file_key(path) not in _STATES:
        state = _DecodingState()
        for _ in _blocks(path, state):
            pass
        _STATES[_file_key(path)] = state
    return _STATES[_file_key(path)]


def _blocks(
    path: Path, state: _DecodingState, seek: float = 0.0
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield all sound of a file in order, as the index of the first sample and (C, n) samples, with gaps
    filled.

    Args:
        path: of the file.
        state: is updated.
        seek: if above 0, blocks start somewhere before this time in seconds.
    """
    with open_container(path) as container:
        stream = container.streams.best("audio")
        if not isinstance(stream, AudioStream) or stream.time_base is None:
            raise AudioError(f"{path}: not audio: the file has no sound; leave it out")
        if stream.codec_context is None:
            raise AudioError(f"{path}: FFmpeg has no decoder for the sound; convert it to WAV or FLAC")
        has_video = video_stream(container) is not None
        origin = clock_start(container) if has_video else _start(stream)
        if seek:
            container.seek(round((seek - PREROLL_SECONDS + origin) / stream.time_base), stream=stream)
        state.seekable = container.format.name in SEEKABLE
        convert = _Converter()
        for frame, time, lost in _frames(container, stream, state):
            samples = convert(frame)
            gap = lost if time is None else time - origin - state.seconds
            if not state.rate:
                state.rate = convert.rate
                if not MIN_RATE <= state.rate <= MAX_RATE:
                    raise AudioError(
                        f"{path}: sampling rate of {state.rate} Hz, expected {MIN_RATE} to {MAX_RATE}; the "
                        f"header is damaged: export it again"
                    )
                if seek:
                    state.samples = max(0, round(gap * state.rate))
                elif has_video:
                    state.delay = max(0.0, gap)
                    if state.delay > MAX_GAP_SECONDS:
                        raise AudioError(
                            f"{path}: the sound starts {gap:.0f} s after the picture, expected less than "
                            f"{MAX_GAP_SECONDS:.0f} s; convert the sound alone to WAV or FLAC"
                        )
                    yield state.advance(convert.silence(state.delay))
                else:
                    origin += gap
            elif abs(gap) > MAX_JITTER_SECONDS or lost:
                state.seekable = False
                if 0 < gap <= MAX_GAP_SECONDS - sum(length for _, length in state.gaps):
                    state.gaps.append((state.seconds, gap))
                    yield state.advance(convert.silence(gap))
                else:
                    origin += gap
                    if gap > 0:
                        state.damage = f"the timestamps jump by {gap:.0f} s at {state.seconds:.3f} s"
            yield state.advance(samples)
        if state.rate:
            yield state.advance(convert(None))
        state.stated_seconds = _stated_seconds(path, container, stream, state.delay)


def _frames(
    container: InputContainer, stream: AudioStream, state: _DecodingState
) -> Iterator[tuple[AudioFrame, float | None, float]]:
    """Yield each frame, its time or None without a timestamp, and the seconds before it that could not be
    decoded in a format without timestamps."""
    no_timestamps = container.format.name in FORMATS_WITHOUT_TIMESTAMPS
    size = lost = 0
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                state.seekable = False
                lost += 0 if bytes(packet).startswith(TAGS) else packet.size
                continue
            size += packet.size
            for frame in frames:
                state.seekable &= frame.time is not None
                if no_timestamps and state.rate:
                    yield frame, None, lost * state.seconds / size
                else:
                    yield frame, frame.time, 0.0
                lost = 0
    except av.FFmpegError as error:
        state.damage = f"decoding ends at {state.seconds:.3f} s ({error.strerror})"


class _Converter:
    """Conversion of frames to (C, n) floats with the channels and rate of the first; both may change in
    joined files."""

    def __init__(self) -> None:
        self.rate = self.channels = 0
        self._layout = ""
        self._source: tuple[str, str, int] | None = None
        self._resampler: AudioResampler | None = None

    def __call__(self, frame: AudioFrame | None) -> NDArray[np.float32]:
        """Convert a frame; None flushes the resampler at the end."""
        source = None if frame is None else (frame.format.name, frame.layout.name, frame.rate)
        converted: list[AudioFrame] = []
        if source != self._source:
            if self._resampler is not None:
                converted += self._resampler.resample(None)
            elif frame is not None:
                self.rate, self._layout = frame.rate, frame.layout.name
                self.channels = frame.layout.nb_channels
                # Packed samples, because PyAV reads past the end of frames with eight or more planes.
            self._resampler = AudioResampler("flt", self._layout, self.rate)
            self._source = source
        if frame is not None and self._resampler is not None:
            converted += self._resampler.resample(frame)
        packed = [block.to_ndarray()[0] for block in converted]
        samples: NDArray[np.float32] = np.concatenate([*packed, np.zeros(0, np.float32)])
        return samples.reshape(-1, self.channels).T

    def silence(self, seconds: float) -> NDArray[np.float32]:
        """(C, n) zeros."""
        return np.zeros((self.channels, round(seconds * self.rate)), np.float32)


def _stated_seconds(path: Path, container: InputContainer, stream: AudioStream, delay: float) -> float | None:
    """Length of the sound in the header, in seconds; None if it is absent or FFmpeg's estimate."""
    name = container.format.name
    if name == "mp3":
        tag = read_mp3_tag(path)
        return None if tag is None else tag.seconds
    if name == "wav" and (size := _wav_size(path)) and stream.bit_rate:
        return size * 8 / stream.bit_rate
    if name not in FORMATS_WITH_LENGTH:
        return None
    lengths = [container.duration / av.time_base] if container.duration else []
    if stream.duration and stream.time_base:
        lengths.append(float(stream.duration * stream.time_base) + delay)
    elif video_stream(container) is not None:
        return None
    return min(lengths, default=None)


def _wav_size(path: Path) -> int:
    """Bytes of sound in the header of a WAV; 0 if unknown."""
    with path.open("rb") as file:
        file.seek(12)
        while len(header := file.read(8)) == 8:
            size = int.from_bytes(header[4:], "little")
            if header[:4] == b"data":
                return size if size < UNKNOWN_WAV_SIZE else 0
            file.seek(size + size % 2, 1)
    return 0


def _warn(path: Path, state: _DecodingState) -> None:
    if state.delay > MIN_REPORTED_DELAY_SECONDS:
        warnings.warn(
            f"{path}: the sound starts {state.delay:.3f} s after the picture; times count from the picture",
            AudioWarning,
            stacklevel=3,
        )
    damages = []
    if state.gaps:
        total = sum(length for _, length in state.gaps)
        damages.append(f"silence replaces {total:.3f} s that are missing from {state.gaps[0][0]:.3f} s on")
    if state.stated_seconds is not None and state.stated_seconds - state.seconds > LENGTH_TOLERANCE_SECONDS:
        damages.append(f"the sound ends at {state.seconds:.3f} s, expected {state.stated_seconds:.3f} s")
    if state.damage:
        damages.append(state.damage)
    if damages:
        warnings.warn(
            f"{path}: the file is damaged: {'; '.join(damages)}; download or export it again",
            DamagedAudioWarning,
            stacklevel=3,
        )
