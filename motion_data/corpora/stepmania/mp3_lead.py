"""How much later StepMania hears an MP3's sound than the decoders used here.

An MP3 begins with silence: the encoder's delay, and the 529 samples that every decoder adds. Where the
file has an encoder's tag, libsndfile and ffmpeg cut both away. StepMania cuts neither, and plays the frame
that holds the tag of a file of constant bit rate, marked Info, as one more frame of silence, while it skips
the tag of a file of variable bit rate, marked Xing. Charts are timed by StepMania's ear
[S: its RageSoundReader_MP3.cpp].
"""

from __future__ import annotations

from pathlib import Path

DECODER_DELAY = 529
"""Samples."""

RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
"""Sample rates by the version bits of a frame's header: MPEG-1, MPEG-2, MPEG-2.5."""

TAG_FIELDS = ((1, 4), (2, 4), (4, 100), (8, 4))
"""Flag and bytes of the fields that stand between a tag's flags and the encoder's name."""

DELAY_AT = 21
"""Bytes from the encoder's name to its delay, 12 bits."""


def mp3_lead(path: str | Path) -> float:
    """Seconds from the start of the sound here to its start in StepMania; 0 for other files than MP3."""
    path = Path(path)
    if path.suffix.lower() != ".mp3":
        return 0.0
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
        return 0.0
    version, layer, rate_index = frame[1] >> 3 & 3, frame[1] >> 1 & 3, frame[2] >> 2 & 3
    if version not in RATES or layer != 1 or rate_index == 3:
        return 0.0
    mono = frame[3] >> 6 == 3
    tag = 4 + ((17 if mono else 32) if version == 3 else (9 if mono else 17))
    mark = frame[tag : tag + 4]
    if mark not in (b"Xing", b"Info"):
        return 0.0
    flags = int.from_bytes(frame[tag + 4 : tag + 8])
    encoder = tag + 8 + sum(size for flag, size in TAG_FIELDS if flags & flag)
    delay = int.from_bytes(frame[encoder + DELAY_AT : encoder + DELAY_AT + 2]) >> 4
    samples = delay + DECODER_DELAY if frame[encoder : encoder + 1].isalpha() and delay else 0
    if mark == b"Info":
        samples += 1152 if version == 3 else 576
    return samples / RATES[version][rate_index]
