"""The sound of a file, decoded by FFmpeg (PyAV): whole or in part, on a clock that damage does not shift.

The clock starts with the first sample. In a file that has a picture as well it starts where the container's
clock does, at the earlier of the first picture and the first sample, so that times agree with what a player
shows. Sound that is missing by the timestamps is silence here. The length that a header states is compared
with what was decoded and otherwise not used: it is wrong or absent in MP3 without a Xing header, joined MP3,
chained Ogg, and FLAC and WAV that were streamed.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

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
"""File names that a folder is searched for."""

OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,matroska,mov,mp3,mpc,mpc8,"
    "mpeg,mpegts,ogg,rm,tak,tta,voc,w64,wav,wv",
}
"""Of FFmpeg: no network, and no playlists, which read other files."""

# PyAV 19 replaces what is not UTF-8 in tags; before, it is told to.
UNREADABLE_TAGS: dict[str, str] = (
    {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
)

LARGEST_JITTER = 0.06
"""Seconds. Timestamps of Vorbis are off by up to half a block, which has up to 4,096 samples."""

LONGEST_GAP = 600.0
"""Seconds of silence put into a file. A longer jump of the timestamps starts another recording."""

TOLERANCE = 0.15
"""Seconds between the stated and the decoded length: two frames of the longest codecs."""

PREROLL = 1.0
"""Seconds decoded before a part, in which the decoder settles."""

SEEKABLE = frozenset({"wav", "w64", "aiff", "au", "flac", "mp3", "ogg", "mov,mp4,m4a,3gp,3g2,mj2"})
"""FFmpeg's names of the formats in which it seeks exactly."""

STATED = frozenset({"aiff", "au", "wav", "flac", "asf", "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"})
"""Formats whose header states the length; for others FFmpeg estimates it from the bit rate."""

UNTIMED = frozenset({"mp3", "aac"})
"""Formats without timestamps: the size of what cannot be decoded tells how long it was."""

RATES = 1_000, 1_000_000
"""Least and most samples a second; with others a damaged header would ask for days of sound."""

TAGS = (b"ID3", b"TAG", b"APETAGEX")
"""First bytes of what is no sound in an MP3."""

FRAMES = 64
"""Frames in a block."""

LEAST_REPORTED = 0.01
"""Seconds from the picture to the sound that are reported."""

UNKNOWN_SIZE = 0x7FFFF000
"""Bytes. Programs that stream a WAV state 0, or a size from this on."""


@dataclass
class _Decoded:
    """What is known of a file's sound so far."""

    rate: int = 0
    samples: int = 0
    """Position of the next sample on the clock."""
    late: float = 0.0
    """Seconds from the start of the clock to the first sample."""
    silence: list[tuple[float, float]] = field(default_factory=list)
    """Start and length, in seconds, of missing sound."""
    seekable: bool = False
    """Whether timestamps and samples agree throughout, so that a part can be decoded alone."""
    stated: float | None = None
    """Seconds by the header."""
    fault: str = ""
    """Why the rest of the file is not decoded, or not at its own time."""

    @property
    def seconds(self) -> float:
        """The position of the next sample in seconds."""
        return self.samples / max(self.rate, 1)

    def place(self, samples: NDArray[np.float32]) -> tuple[int, NDArray[np.float32]]:
        """The position of the next (C, n) samples, and they themselves."""
        position = self.samples
        self.samples += samples.shape[1]
        return position, samples


def decode(
    path: Path, start: float = 0.0, stop: float | None = None
) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Decode a file or a part of it.

    Args:
        path: a file in any format that FFmpeg reads.
        start: seconds on the clock of this module.
        stop: likewise; None for the end of the file.

    Yields:
        (C, n) samples in about [-1, 1] that follow one another, and samples a second, always the same. They
        end before ``stop`` where the file does.

    Raises:
        AudioError: no such file, or one that holds no sound or cannot be decoded.

    Warns:
        DamagedAudioWarning: sound is missing; silence is in its place, or the file ends early.
        AudioWarning: the sound of a video starts later than its picture.
    """
    known = _Decoded()
    alone = start > PREROLL and _scan(path).seekable
    held: list[NDArray[np.float32]] = []
    for position, samples in _blocks(path, known, start if alone else 0.0):
        first = max(0, round(start * known.rate) - position)
        last = samples.shape[1] if stop is None else max(0, round(stop * known.rate) - position)
        if first < min(last, samples.shape[1]):
            held.append(samples[:, first:last])
        # A frame may be as short as 64 samples; a step of whoever reads them costs more than decoding it.
        if len(held) == FRAMES:
            yield np.concatenate(held, 1), known.rate
            held.clear()
        if last < samples.shape[1]:
            break
    else:
        if not alone:
            _SCANNED[_identity(path)] = known
    if held:
        yield np.concatenate(held, 1), known.rate
    _warn(path, known)


def read_sound(
    path: str | Path, start: float = 0.0, stop: float | None = None
) -> tuple[NDArray[np.float32], int]:
    """Read a file or a part of it as it is.

    Args:
        path, start, stop: as in :func:`decode`.

    Returns:
        (N, C) samples at the file's own rate, and that rate in Hz.

    Raises:
        AudioError: the file is missing, empty or no audio, or holds no samples from ``start`` to ``stop``.
    """
    blocks = list(decode(Path(path), start, stop))
    if not blocks:
        raise AudioError(f"{path}: holds no samples from {start:g} s on; fetch or export it again")
    return np.concatenate([samples for samples, _ in blocks], 1).T, blocks[0][1]


def audio_length(path: str | Path) -> tuple[int, int]:
    """Samples of the whole file that :func:`decode` gives, and samples a second.

    The file is decoded once in a process for this.

    Raises:
        AudioError: as :func:`decode` does; or the file holds no samples.
    """
    known = _scan(Path(path))
    if not known.samples:
        raise AudioError(f"{path}: the file holds no samples; fetch or export it again")
    return known.samples, known.rate


@contextmanager
def open_container(path: Path) -> Iterator[InputContainer]:
    """Open a file with PyAV; no other file and no network is reached through it.

    Raises:
        AudioError: no such file, an empty one, or one that FFmpeg cannot read.
    """
    if not path.is_file():
        raise AudioError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: the file is empty (0 bytes); fetch or export it again")
    try:
        # Without a protocol FFmpeg takes the path `Artist: Title.m4a` for one.
        with av.open(f"file:{path}", "r", options=OPTIONS, **UNREADABLE_TAGS) as container:
            yield container
    except av.FFmpegError as error:
        raise AudioError(
            f"{path}: not audio that FFmpeg can read ({error.strerror}); check that it plays, or convert it "
            f"to WAV or FLAC"
        ) from error


def pictures(container: InputContainer) -> VideoStream | None:
    """The first stream of pictures that is not the cover of an album."""
    streams = container.streams.video
    return next((stream for stream in streams if not stream.disposition & Disposition.attached_pic), None)


def clock_start(container: InputContainer) -> float:
    """The container's own time, in seconds, at the first picture or sample."""
    streams = [stream for stream in (pictures(container), container.streams.best("audio")) if stream]
    return min((_start(stream) for stream in streams), default=0.0)


def _start(stream: av.stream.Stream) -> float:
    if stream.start_time is None or stream.time_base is None:
        return 0.0
    return float(stream.start_time * stream.time_base)


_SCANNED: dict[tuple[Path, int, int], _Decoded] = {}
"""What is known of files that were decoded to their end, by path, size and time of change."""


def _identity(path: Path) -> tuple[Path, int, int]:
    state = path.stat()
    return path.absolute(), state.st_size, state.st_mtime_ns


def _scan(path: Path) -> _Decoded:
    if not path.is_file() or _identity(path) not in _SCANNED:
        known = _Decoded()
        for _ in _blocks(path, known):
            pass
        _SCANNED[_identity(path)] = known
    return _SCANNED[_identity(path)]


def _blocks(path: Path, known: _Decoded, seek: float = 0.0) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """The position and the (C, n) samples of all sound of a file, in order; silence where sound is missing.

    Args:
        path: the file.
        known: is kept up to date.
        seek: where above 0, blocks start anywhere before this time in seconds.
    """
    with open_container(path) as container:
        stream = container.streams.best("audio")
        if not isinstance(stream, AudioStream) or stream.time_base is None:
            raise AudioError(f"{path}: not audio: the file holds no sound; leave it out")
        if stream.codec_context is None:
            raise AudioError(f"{path}: FFmpeg has no decoder for its sound; convert it to WAV or FLAC")
        film = pictures(container) is not None
        origin = clock_start(container) if film else _start(stream)
        if seek:
            container.seek(round((seek - PREROLL + origin) / stream.time_base), stream=stream)
        known.seekable = container.format.name in SEEKABLE
        convert = _Converter()
        for frame, time, lost in _frames(container, stream, known):
            samples = convert(frame)
            gap = lost if time is None else time - origin - known.seconds
            if not known.rate:
                known.rate = convert.rate
                if not RATES[0] <= known.rate <= RATES[1]:
                    raise AudioError(
                        f"{path}: has {known.rate} samples a second, expected {RATES[0]} to {RATES[1]}; its "
                        f"header is damaged: export it again"
                    )
                if seek:
                    known.samples = max(0, round(gap * known.rate))
                elif film:
                    known.late = max(0.0, gap)
                    if known.late > LONGEST_GAP:
                        raise AudioError(
                            f"{path}: the sound starts {gap:.0f} s after the picture, expected less than "
                            f"{LONGEST_GAP:.0f} s; convert the sound alone to WAV or FLAC"
                        )
                    yield known.place(convert.silence(known.late))
                else:
                    origin += gap
            elif abs(gap) > LARGEST_JITTER or lost:
                known.seekable = False
                if 0 < gap <= LONGEST_GAP - sum(length for _, length in known.silence):
                    known.silence.append((known.seconds, gap))
                    yield known.place(convert.silence(gap))
                else:
                    origin += gap
                    if gap > 0:
                        known.fault = f"the timestamps jump by {gap:.0f} s at {known.seconds:.3f} s"
            yield known.place(samples)
        if known.rate:
            yield known.place(convert(None))
        known.stated = _stated_seconds(path, container, stream, known.late)


def _frames(
    container: InputContainer, stream: AudioStream, known: _Decoded
) -> Iterator[tuple[AudioFrame, float | None, float]]:
    """Each frame; its time where the container states one; and the seconds before it that could not be
    decoded, where the container states no time but the first."""
    untimed = container.format.name in UNTIMED
    size = lost = 0
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                known.seekable = False
                lost += 0 if bytes(packet).startswith(TAGS) else packet.size
                continue
            size += packet.size
            for frame in frames:
                known.seekable &= frame.time is not None
                if untimed and known.rate:
                    yield frame, None, lost * known.seconds / size
                else:
                    yield frame, frame.time, 0.0
                lost = 0
    except av.FFmpegError as error:
        known.fault = f"decoding ends at {known.seconds:.3f} s ({error.strerror})"


class _Converter:
    """Frames as (C, n) floats with the channels and rate of the first; both may change in a joined file."""

    def __init__(self) -> None:
        self.rate = self.channels = 0
        self._layout = ""
        self._source: tuple[str, str, int] | None = None
        self._resampler: AudioResampler | None = None

    def __call__(self, frame: AudioFrame | None) -> NDArray[np.float32]:
        """Samples of a frame; None gives those that the resampler still holds at the end."""
        source = None if frame is None else (frame.format.name, frame.layout.name, frame.rate)
        converted: list[AudioFrame] = []
        if source != self._source:
            if self._resampler is not None:
                converted += self._resampler.resample(None)
            elif frame is not None:
                self.rate, self._layout = frame.rate, frame.layout.name
                self.channels = frame.layout.nb_channels
            # Packed: PyAV reads past the end of a frame that has eight or more planes.
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


def _stated_seconds(path: Path, container: InputContainer, stream: AudioStream, late: float) -> float | None:
    """Seconds of sound by the header of the file; None where there is none, or FFmpeg estimates it."""
    name = container.format.name
    if name == "mp3":
        tag = read_mp3_tag(path)
        return None if tag is None else tag.seconds
    if name == "wav" and (size := _wav_size(path)) and stream.bit_rate:
        return size * 8 / stream.bit_rate
    if name not in STATED:
        return None
    lengths = [container.duration / av.time_base] if container.duration else []
    if stream.duration and stream.time_base:
        lengths.append(float(stream.duration * stream.time_base) + late)
    elif pictures(container) is not None:
        return None
    return min(lengths, default=None)


def _wav_size(path: Path) -> int:
    """Bytes of sound by the header of a WAV; 0 where it does not state them."""
    with path.open("rb") as file:
        file.seek(12)
        while len(header := file.read(8)) == 8:
            size = int.from_bytes(header[4:], "little")
            if header[:4] == b"data":
                return size if size < UNKNOWN_SIZE else 0
            file.seek(size + size % 2, 1)
    return 0


def _warn(path: Path, known: _Decoded) -> None:
    if known.late > LEAST_REPORTED:
        warnings.warn(
            f"{path}: the sound starts {known.late:.3f} s after the picture; times count from the picture",
            AudioWarning,
            stacklevel=3,
        )
    faults = []
    if known.silence:
        total = sum(length for _, length in known.silence)
        faults.append(f"silence replaces {total:.3f} s that are missing from {known.silence[0][0]:.3f} s on")
    if known.stated is not None and known.stated - known.seconds > TOLERANCE:
        faults.append(f"the sound ends at {known.seconds:.3f} s, expected {known.stated:.3f} s")
    if known.fault:
        faults.append(known.fault)
    if faults:
        warnings.warn(
            f"{path}: the file is damaged: {'; '.join(faults)}; fetch or export it again",
            DamagedAudioWarning,
            stacklevel=3,
        )
