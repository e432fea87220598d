"""The encoder's tag in the first frame of an MP3: Xing, or Info for a constant bit rate.

The layout is that of the encoder LAME (its "MP3 Info Tag", revision 1) after Xing's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
"""Sampling rates in Hz by the version bits of a frame's header: MPEG-1, MPEG-2, MPEG-2.5."""

FIELDS = ((1, 4), (2, 4), (4, 100), (8, 4))
"""Flag and bytes of each field between the flags and the name of the encoder; the first is the number of
frames."""

DELAY_OFFSET = 21
"""Bytes from the encoder's name to its delay and padding, 12 bits each."""


@dataclass(frozen=True)
class Mp3Tag:
    """Contents of the tag; all lengths are samples at ``rate``."""

    constant: bool
    """Whether the bit rate is constant, marked by Info."""
    rate: int
    frame: int
    """Length of a frame."""
    frames: int | None
    """Number of frames after that of the tag."""
    delay: int
    """Silence that the encoder added before the sound; 0 if it is not stated."""
    padding: int
    """Silence after the sound; 0 if it is not stated."""

    @property
    def seconds(self) -> float | None:
        """Length of the sound without the encoder's silence; None if it is not stated."""
        if self.frames is None:
            return None
        return (self.frames * self.frame - self.delay - self.padding) / self.rate


def read_mp3_tag(path: Path) -> Mp3Tag | None:
    """Read the tag of a file; None if it has no tag or is not an MP3."""
    with path.open("rb") as file:
        data = file.read(10)
        skipped = 0
        if data[:3] == b"ID3" and len(data) == 10:
            size = sum((byte & 127) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))
            skipped = 10 + size + (10 if data[5] & 16 else 0)
        file.seek(skipped)
        data = file.read(4096)
    start = next(
        (i for i in range(len(data) - 200) if data[i] == 255 and data[i + 1] & 224 == 224), len(data)
    )
    frame = data[start : start + 400]
    if len(frame) < 200:
        return None
    version, layer, rate_index = frame[1] >> 3 & 3, frame[1] >> 1 & 3, frame[2] >> 2 & 3
    if version not in RATES or layer != 1 or rate_index == 3:
        return None
    mono = frame[3] >> 6 == 3
    tag = 4 + ((17 if mono else 32) if version == 3 else (9 if mono else 17))
    mark = frame[tag : tag + 4]
    if mark not in (b"Xing", b"Info"):
        return None
    flags = int.from_bytes(frame[tag + 4 : tag + 8])
    encoder = tag + 8 + sum(size for flag, size in FIELDS if flags & flag)
    silence = int.from_bytes(frame[encoder + DELAY_OFFSET : encoder + DELAY_OFFSET + 3])
    has_encoder = frame[encoder : encoder + 1].isalpha()
    return Mp3Tag(
        constant=mark == b"Info",
        rate=RATES[version][rate_index],
        frame=1152 if version == 3 else 576,
        frames=int.from_bytes(frame[tag + 8 : tag + 12]) if flags & 1 else None,
        delay=silence >> 12 if has_encoder else 0,
        padding=silence & 4095 if has_encoder else 0,
    )
