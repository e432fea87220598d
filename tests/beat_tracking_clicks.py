"""A small made data set on disk: clicks in noise, low ones on downbeats."""

from pathlib import Path

import numpy as np
import soundfile

from motionbeat_upstream.config import SAMPLE_RATE

METRE = 3


def write_clicks(folder: Path, seconds: float = 24.0, pieces: int = 5) -> Path:
    """Pieces of 3/4 at several tempi with their ``.beats`` and a ``splits.csv``: 3 train, 1 dev, 1 test."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["audio,beats,piece,split"]
    for index in range(pieces):
        draw = np.random.default_rng(index)
        times = np.arange(0.31, seconds, 60 / (90 + 13 * index))
        audio = draw.normal(0, 0.01, int(seconds * SAMPLE_RATE))
        length = int(0.04 * SAMPLE_RATE)
        decay = np.exp(-np.arange(length) / 150)
        for beat, time in enumerate(times):
            pitch = 300 if beat % METRE == 0 else 3000
            start = round(time * SAMPLE_RATE)
            click = 0.5 * decay * np.sin(2 * np.pi * pitch * np.arange(length) / SAMPLE_RATE)
            audio[start : start + length] += click[: len(audio) - start]
        soundfile.write(folder / f"p{index}.wav", audio, SAMPLE_RATE)
        rows = (f"{time:.4f}\t{beat % METRE + 1}\n" for beat, time in enumerate(times))
        (folder / f"p{index}.beats").write_text("".join(rows))
        lines.append(
            f"p{index}.wav,p{index}.beats,p{index},{('train', 'train', 'train', 'dev', 'test')[index]}"
        )
    (folder / "splits.csv").write_text("\n".join(lines) + "\n")
    return folder
