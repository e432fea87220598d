"""How much later StepMania hears an MP3's sound than the decoder used here.

An MP3 begins with silence: the encoder's delay, and the 529 samples that every decoder adds. Where the
file has an encoder's tag, FFmpeg cuts both away. StepMania cuts neither, and plays the frame
that holds the tag of a file of constant bit rate, marked Info, as one more frame of silence, while it skips
the tag of a file of variable bit rate, marked Xing. Charts are timed by StepMania's ear
[S: its RageSoundReader_MP3.cpp].
"""

from __future__ import annotations

from pathlib import Path

from motionbeat_upstream.mp3_tag import read_mp3_tag

DECODER_DELAY = 529
"""Samples."""


def mp3_lead(path: str | Path) -> float:
    """Seconds from the start of the sound here to its start in StepMania; 0 for other files than MP3."""
    path = Path(path)
    tag = read_mp3_tag(path) if path.suffix.lower() == ".mp3" else None
    if tag is None:
        return 0.0
    samples = tag.delay + DECODER_DELAY if tag.delay else 0
    return (samples + (tag.frame if tag.constant else 0)) / tag.rate
