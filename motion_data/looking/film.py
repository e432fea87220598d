"""A pair as a film with its sound: the stage above, the music and the touch-downs passing by below."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from motion_data.looking.excerpt import ONSET_RATE, Excerpt
from motion_data.looking.pen import BODY, FAINT, PAPER, Pen, side_colour
from motion_data.looking.stage import BodyStage, StepStage
from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.commands.plot import BAR, BEAT, INK, ONSET, SOFT

WIDTH, STAGE_HEIGHT, STRIP_HEIGHT = 1280, 540, 180
"""Pixels of the film's two parts, one above the other."""

FPS = 30
"""Frames of the film a second."""

SCALE = 160
"""Pixels a second in the strip: 8 s are seen at once."""

PLAYHEAD = 384
"""Column of the strip at which the moment stands that is heard."""


def write_film(path: Path, excerpt: Excerpt) -> None:
    """Write the film (.mp4), whole or not at all.

    Frame k shows the moment in its middle, (k + 1/2) / 30 s, so what is seen is never further than
    half a frame from what is heard.
    """
    draw = frame_painter(excerpt)
    frames = max(1, math.ceil(excerpt.seconds * FPS - 1e-6))
    samples = np.clip(excerpt.sound, -1, 1).astype(np.float32)
    layout = "mono" if samples.shape[1] == 1 else "stereo"
    rates = av.Codec("aac", "w").audio_rates or []
    with (
        atomic_path(path) as draft,
        draft.open("wb") as file,
        av.open(file, "w", format="mp4", options={"movflags": "+faststart"}) as film,
    ):
        picture = film.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "crf": "20"})
        picture.width, picture.height, picture.pix_fmt = WIDTH, STAGE_HEIGHT + STRIP_HEIGHT, "yuv420p"
        rate = excerpt.rate if excerpt.rate in rates else 48_000
        sound = film.add_stream("aac", rate=rate, layout=layout)
        sound.bit_rate = 160_000
        for index in tqdm(range(frames), desc=path.name, unit="frame"):
            image = av.VideoFrame.from_ndarray(np.concatenate(draw((index + 0.5) / FPS)), format="rgba")
            film.mux(picture.encode(image))
            first, last = (round(k * excerpt.rate / FPS) for k in (index, index + 1))
            if len(block := samples[first:last]):
                part = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="flt", layout=layout)
                part.sample_rate, part.pts = excerpt.rate, first
                film.mux(sound.encode(part))
        film.mux(picture.encode(None))
        film.mux(sound.encode(None))


def frame_painter(excerpt: Excerpt) -> Callable[[float], tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """A function that draws a moment (seconds of the excerpt): RGBA of stage and strip, top row first.

    What it gives holds until it is called again.
    """
    pen = Pen(WIDTH, STAGE_HEIGHT)
    stage = BodyStage(excerpt) if excerpt.names and len(excerpt.times) else StepStage(excerpt)
    strip = np.empty((STRIP_HEIGHT, WIDTH, 4), dtype=np.uint8)
    tile = functools.lru_cache(maxsize=3)(functools.partial(strip_tile, excerpt))
    # Text is slow to draw, and changes only with the beat and the second.
    backdrop = functools.lru_cache(maxsize=1)(functools.partial(draw_counter, excerpt))

    def draw(time: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        pen.pixels[:] = backdrop(beat_at(excerpt, time), int(excerpt.start + time))
        stage.draw(pen, time)
        first = round(time * SCALE) - PLAYHEAD
        index, offset = divmod(first, WIDTH)
        strip[:, : WIDTH - offset] = tile(index)[:, offset:]
        if offset:
            strip[:, WIDTH - offset :] = tile(index + 1)[:, :offset]
        strip[:, PLAYHEAD - 1 : PLAYHEAD + 2, :3] = 29, 36, 51
        strip[0] = 230, 233, 239, 255
        return pen.pixels, strip

    return draw


def strip_tile(excerpt: Excerpt, index: int) -> NDArray[np.uint8]:
    """(180, 1280, 4) the strip from 8 · ``index`` seconds on, for 8 seconds."""
    pen = Pen(WIDTH, STRIP_HEIGHT)
    begin, end = index * WIDTH / SCALE, (index + 1) * WIDTH / SCALE
    limbs = sorted({*excerpt.pulses, *excerpt.contacts})
    row = min(30.0, 78 / max(1, len(limbs)))
    ground = row * len(limbs) + 10
    top = STRIP_HEIGHT - 24

    def x(time: float) -> float:
        return (time - begin) * SCALE

    outside = [(begin, min(end, 0.0)), (max(begin, excerpt.seconds), end)]
    for left, right in outside:
        if left < right:
            corners = [(x(left), 0), (x(right), 0), (x(right), STRIP_HEIGHT), (x(left), STRIP_HEIGHT)]
            pen.fill(corners, FAINT)
    # A little beyond the tile, so that lines and numbers on its border are whole.
    near = (excerpt.beats > begin - 1) & (excerpt.beats < end + 1)
    for beat, position, bar in zip(
        excerpt.beats[near], excerpt.positions[near], excerpt.bars[near], strict=True
    ):
        down = position == 1
        line = [(x(beat), 0), (x(beat), STRIP_HEIGHT if down else top)]
        pen.stroke([line], 2 if down else 1, BAR if down else BEAT, cap="butt")
        if down:
            pen.text(x(beat) + 6, top + 7, str(bar), 13, BAR, bold=True)
    first = max(0, math.floor((begin - 0.1) * ONSET_RATE))
    onset = excerpt.onset[first : math.ceil((end + 0.1) * ONSET_RATE)]
    if len(onset):
        peak = max(float(np.quantile(excerpt.onset, 0.999)), 1e-6)
        times = (first + np.arange(len(onset)) + 0.5) / ONSET_RATE
        heights = ground + np.minimum(onset / peak, 1) * (top - ground)
        curve = np.stack([(times - begin) * SCALE, heights], 1)
        pen.fill([(curve[0, 0], ground), *curve, (curve[-1, 0], ground)], ONSET)
    for place, limb in enumerate(reversed(limbs)):
        low, colour = 4 + row * place, side_colour(limb, BODY)
        for since, until in excerpt.contacts.get(limb, np.empty((0, 2))):
            if until > begin and since < end:
                left, right = x(max(since, begin - 1)), x(min(until, end + 1))
                bottom, upper = low + 0.2 * row, low + 0.8 * row
                pen.fill([(left, bottom), (right, bottom), (right, upper), (left, upper)], colour, 0.3)
        for pulse in excerpt.pulses.get(limb, np.empty(0)):
            if begin - 1 < pulse < end + 1:
                pen.stroke([[(x(pulse), low + 0.16 * row), (x(pulse), low + 0.84 * row)]], 4, colour)
    return pen.pixels


def beat_at(excerpt: Excerpt, time: float) -> int:
    """Index of the last beat up to ``time``; -1 before the first."""
    return int(np.searchsorted(excerpt.beats, time, side="right")) - 1


def draw_counter(excerpt: Excerpt, beat: int, second: int) -> NDArray[np.uint8]:
    """The stage's backdrop, RGBA: bar and beat (by its index), name, seconds of the pair, what left and right
    look like."""
    pen = Pen(WIDTH, STAGE_HEIGHT)
    place = (int(excerpt.bars[beat]), int(excerpt.positions[beat])) if beat >= 0 else excerpt.opening
    if place is not None:
        bar, position = place
        pen.text(28, pen.height - 50, f"bar {bar} · beat {position}", 30, INK, bold=True)
        for dot in range(excerpt.metre):
            centre, colour = (38 + 26 * dot, pen.height - 78), BAR if dot == 0 else INK
            pen.disc(centre, 8, colour if dot + 1 == position or dot == 0 else BEAT)
            if dot + 1 != position:
                pen.disc(centre, 6, PAPER)
    name = excerpt.pair.name if len(excerpt.pair.name) <= 60 else excerpt.pair.name[:59] + "…"
    pen.text(28, 22, f"{name}   {second // 60}:{second % 60:02d}", 15, SOFT)
    for x, side in ((pen.width - 160, "left"), (pen.width - 82, "right")):
        pen.disc((x, pen.height - 41), 7, side_colour(side, BODY))
        pen.text(x + 13, pen.height - 46, side, 15, side_colour(side, BODY))
    return pen.pixels
