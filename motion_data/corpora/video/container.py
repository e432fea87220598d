"""What a video file holds: when each picture is shown, and its sound on the same clock.

The clock begins where the container's does, at the earlier of its first picture and its first sound. So the
offset between the two is in the times of the pictures and in silence put before the sound, and no one
else has to know it. ffprobe and ffmpeg do the reading, as programs. AVI has no times of its own for
pictures: they are those that ffmpeg makes up from their order, which may be a frame or two late.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError
from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.config import SAMPLE_RATE

SHOWN = re.compile(rb"showinfo.* n: *\d+ .*pts_time: *(-?[\d.]+)")
"""A picture's line in the log of ffmpeg's filter ``showinfo``."""

LONGEST_SIDE = 960
"""Pixels that pictures are brought down to; the pose model sees 256 of them."""


@dataclass(frozen=True)
class Container:
    """The streams that are used: the first of pictures and the first of sound."""

    frames: int
    """Number of pictures as the file tells or, where it does not, as its length and rate make it: for
    progress only."""
    seconds: float
    """Length as the file tells it."""
    start: float
    """The container's own time at the beginning of the clock."""
    audio_start: float
    """Seconds of the first sound on the clock of the container."""
    codecs: str
    """Of pictures and sound."""


def probe(path: Path) -> Container:
    """Look into a video.

    Raises:
        DataError: no ffmpeg, no such file, no video, or one without pictures or sound.
    """
    for program in ("ffprobe", "ffmpeg"):
        if shutil.which(program) is None:
            raise DataError(f"{program} is not installed, and videos are read by it; install ffmpeg")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    told = subprocess.run(
        ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", f"file:{path}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if told.returncode:
        raise DataError(
            f"{path}: not a video that ffmpeg can read ({_last_line(told.stderr)}); check that it plays"
        )
    found = json.loads(told.stdout)
    streams = found.get("streams", [])
    # A picture of the cover is a stream of pictures too.
    pictures = [
        s for s in streams if s["codec_type"] == "video" and not s.get("disposition", {}).get("attached_pic")
    ]
    sounds = [s for s in streams if s["codec_type"] == "audio"]
    if not pictures or not sounds:
        lacking = "pictures" if not pictures else "sound"
        raise DataError(f"{path}: has no {lacking}; a pair needs both: leave it out")
    picture, sound = pictures[0], sounds[0]
    start = float(found["format"].get("start_time", 0.0))
    seconds = float(found["format"].get("duration", picture.get("duration", 0.0)))
    rate = _ratio(picture.get("avg_frame_rate", "0/0"))
    return Container(
        int(picture.get("nb_frames", 0)) or round(seconds * rate),
        seconds,
        start,
        float(sound.get("start_time", start)) - start,
        f"{picture.get('codec_name')} {sound.get('codec_name')}",
    )


def read_frames(
    path: Path, container: Container, seconds: float | None = None
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """The pictures of a video, each when it is shown, turned upright, their pixels square.

    Frame rates may vary: the times are those of the container.

    Args:
        path: the video.
        container: what :func:`probe` found in it.
        seconds: how much of it; None for all.

    Yields:
        Seconds on the clock of the container, and (H, W, 3) red, green, blue.

    Raises:
        DataError: the pictures cannot be decoded.
    """
    side = f"min(1\\,{LONGEST_SIDE}/max(iw\\,ih))"
    scale = f"scale=iw*sar:ih,setsar=1,scale=trunc(iw*{side}/2)*2:trunc(ih*{side}/2)*2"
    command = ["ffmpeg", "-v", "info", "-nostdin", "-nostats", *_input(path, seconds)]
    command += ["-map", "0:V:0", "-vf", f"{scale},showinfo", "-fps_mode", "passthrough"]
    command += ["-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "-"]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as told:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=told)
        assert process.stdout is not None
        times = _shown(log)
        number = 0
        try:
            while (picture := _read_ppm(process.stdout)) is not None:
                yield next(times) - container.start, picture
                number += 1
            if process.wait() or not number:
                fault = _last_line(log.read_text(encoding="utf-8", errors="replace"))
                raise DataError(f"{path}: its pictures cannot be decoded ({fault}); check that it plays")
        finally:
            process.kill()
            process.stdout.close()
            process.wait()


def extract_sound(path: Path, container: Container, out: Path, seconds: float | None = None) -> None:
    """Write the sound as mono FLAC at 16 kHz, silence where the container has none before or in between.

    Args:
        path: the video.
        container: what :func:`probe` found in it.
        out: the file to be written.
        seconds: how much of it; None for all.

    Raises:
        DataError: the sound cannot be decoded.
    """
    with atomic_path(out) as draft:
        command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *_input(path, seconds)]
        command += ["-map", "0:a:0", "-vn", "-ac", "1"]
        first = round(container.start * SAMPLE_RATE)
        command += ["-af", f"aresample={SAMPLE_RATE}:async=1:first_pts={first}"]
        done = subprocess.run(
            [*command, "-f", "flac", f"file:{draft}"], capture_output=True, text=True, check=False
        )
        if done.returncode or not draft.stat().st_size:
            raise DataError(
                f"{path}: its sound cannot be decoded ({_last_line(done.stderr)}); check that it plays"
            )


def _input(path: Path, seconds: float | None) -> list[str]:
    """ffmpeg's options for its input, its times left as they are: it would move each stream on its own."""
    return ["-copyts", *([] if seconds is None else ["-t", f"{seconds:.6f}"]), "-i", f"file:{path}"]


def _shown(log: Path) -> Iterator[float]:
    """The times that ffmpeg's ``showinfo`` writes to its log: each before its picture is handed on."""
    with log.open("rb") as lines:
        while True:
            place = lines.tell()
            line = lines.readline()
            if not line.endswith(b"\n"):
                # Not written to its end yet.
                lines.seek(place)
                time.sleep(0.001)
            elif found := SHOWN.search(line):
                yield float(found[1])


def _read_ppm(pipe: IO[bytes]) -> NDArray[np.uint8] | None:
    """One picture, or None at the end; a picture cut off in the middle is the end too."""
    if pipe.readline().strip() != b"P6":
        return None
    width, height = (int(side) for side in pipe.readline().split())
    pipe.readline()
    data = pipe.read(width * height * 3)
    if len(data) < width * height * 3:
        return None
    return np.frombuffer(data, dtype=np.uint8).reshape(height, width, 3)


def _ratio(text: str) -> float:
    numerator, _, denominator = text.partition("/")
    return float(numerator) / float(denominator) if float(denominator or 0) else 0.0


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else "no word from ffmpeg"
