"""Pictures of pairs: music and motion on one time axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from motion_data.looking import caption
from motion_data.looking.excerpt import ACCENT_BINS, ONSET_RATE, Excerpt
from motion_data.looking.labelled import draw_drums, draw_form, draw_notes
from motion_data.looking.pen import BODY, MOTION, Pen, side_colour
from motion_data.looking.stage import BodyStage
from motion_data.pair import MotionPair
from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.commands.plot import BAR, BEAT, INK, ONSET, SOFT, number_bar

MAX_BEATS = 120
"""With more beats, only downbeats are drawn."""

MAX_ARROWHEADS = 60
"""With more touch-downs of a limb, arrowheads are omitted."""

MAX_BAR_NUMBERS = 24
"""With more bars, only every 2nd, 4th, 8th ... number is written."""


def write_figure(path: Path, excerpt: Excerpt) -> None:
    """Write a picture atomically, in the format of the suffix."""
    figure = draw(excerpt)
    with atomic_path(path) as draft:
        figure.savefig(draft, dpi=150)


def draw(excerpt: Excerpt) -> Figure:
    """Draw rows with the known ones of labels, onset envelope, poses, contacts, speed and accent mass."""
    rows: list[tuple[float, Callable[[Axes, Excerpt], None]]] = []
    known = excerpt.labels.events
    if "sections" in known or "chords" in known:
        rows.append((0.34, draw_form))
    if "notes" in known:
        rows.append((2.4, draw_notes))
    if "drums" in known:
        rows.append((0.8, draw_drums))
    rows.append((1.1, _draw_onset))
    if excerpt.names and len(excerpt.times):
        rows.append((1.2, draw_poses))
    if excerpt.pulses or excerpt.contacts:
        rows.append((0.28 + 0.22 * len(_limbs(excerpt)), _draw_contacts))
    if excerpt.foot_speed:
        rows.append((1.1, _draw_foot_speed))
    if len(excerpt.body_speed):
        rows.append((0.8, _draw_body_speed))
    if len(excerpt.music_accents):
        rows.append((1.2, _draw_accents))
    heights = [height for height, _ in rows]
    with matplotlib.rc_context(
        {"font.size": 9, "axes.edgecolor": SOFT, "text.color": INK, "axes.labelcolor": INK}
    ):
        figure = Figure(figsize=(12, 1.1 + 1.55 * sum(heights)), layout="constrained")
        panels: list[Axes] = list(
            figure.subplots(len(rows), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
        )
        figure.suptitle(headline(excerpt.pair), fontsize=12, x=0.01, ha="left")
        for panel, (_, draw_row) in zip(panels, rows, strict=True):
            draw_row(panel, excerpt)
            _draw_beats(panel, excerpt)
            panel.yaxis.set_label_coords(-0.066, 0.5)
            for side in ("top", "right", "left"):
                panel.spines[side].set_visible(False)
        _number_bars(panels[0], excerpt)
        panels[-1].set(xlim=(excerpt.start, excerpt.stop), xlabel="time (s)")
    return figure


def headline(pair: MotionPair) -> str:
    """Describe name, length, tempo and motion of a pair in one line."""
    minutes, seconds = divmod(round(pair.seconds), 60)
    name = pair.name if len(pair.name) <= 60 else pair.name[:59] + "…"
    # matplotlib would interpret $ as the start of a formula.
    return f"{name}   {minutes}:{seconds:02d} · {caption(pair)}".replace("$", r"\$")


def _limbs(excerpt: Excerpt) -> list[str]:
    """Limbs with touch-downs or contacts, left before right."""
    return sorted({*excerpt.pulses, *excerpt.contacts})


def _frame_times(excerpt: Excerpt) -> NDArray[np.float64]:
    return excerpt.start + (np.arange(len(excerpt.onset)) + 0.5) / ONSET_RATE


def _draw_onset(axes: Axes, excerpt: Excerpt) -> None:
    axes.fill_between(_frame_times(excerpt), 0, excerpt.onset, color=ONSET, linewidth=0)
    peak = max(float(excerpt.onset.max(initial=0)), 1e-3)
    axes.set(ylim=(0, 1.06 * peak), yticks=[], ylabel="onset envelope")


def _draw_contacts(axes: Axes, excerpt: Excerpt) -> None:
    limbs = _limbs(excerpt)
    for row, limb in enumerate(reversed(limbs)):
        colour = side_colour(limb, BODY)
        spans = excerpt.contacts.get(limb, np.empty((0, 2)))
        bars = np.stack([excerpt.start + spans[:, 0], spans[:, 1] - spans[:, 0]], 1)
        axes.broken_barh([(float(left), float(width)) for left, width in bars], (row - 0.3, 0.6),
                         color=colour, alpha=0.28, linewidth=0)  # fmt: skip
        pulses = excerpt.start + excerpt.pulses.get(limb, np.empty(0))
        axes.vlines(
            pulses,
            row - 0.38,
            row + 0.38,
            color=colour,
            linewidth=1.8 if len(pulses) <= MAX_ARROWHEADS else 1.0,
        )
        if len(pulses) <= MAX_ARROWHEADS:
            axes.plot(pulses, np.full(len(pulses), row + 0.38), "v", color=colour, markersize=5)
    axes.set_yticks(range(len(limbs)), [limb.replace("_", " ") for limb in reversed(limbs)])
    axes.tick_params(axis="y", length=0)
    axes.set(ylim=(-0.6, len(limbs) - 0.3), ylabel="contacts")


def _draw_foot_speed(axes: Axes, excerpt: Excerpt) -> None:
    for foot, speed in excerpt.foot_speed.items():
        axes.plot(
            excerpt.start + excerpt.times, speed, color=side_colour(foot, BODY), linewidth=1.1,
            label=foot.replace("_", " "),
        )  # fmt: skip
    _finish_speed(axes, "feet (m/s)")


def _draw_body_speed(axes: Axes, excerpt: Excerpt) -> None:
    axes.fill_between(
        excerpt.start + excerpt.times, 0, excerpt.body_speed, color=MOTION, alpha=0.55, linewidth=0
    )
    _finish_speed(axes, "body (m/s)")


def _finish_speed(axes: Axes, label: str) -> None:
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.set_ylabel(label)


def _draw_accents(axes: Axes, excerpt: Excerpt) -> None:
    times = _frame_times(excerpt)
    for sign, accents, colour in (
        (1.0, excerpt.music_accents, ONSET),
        (-1.0, excerpt.motion_accents, MOTION),
    ):
        # Each half has its own scale, because the mass of motion is concentrated on few steps. Incomplete
        # bars at either end are ignored, because their mass is concentrated on few frames.
        complete = accents[_whole_bars(excerpt)]
        peak = float(complete.max(initial=0)) or float(accents.max(initial=0))
        shares = np.minimum(accents / max(peak, 1e-9), 1)
        axes.fill_between(times, 0, sign * shares, color=colour, linewidth=0, step="mid")
    axes.axhline(0, color=SOFT, linewidth=0.8)
    axes.set_yticks([0.5, -0.5], ["music", "motion"])
    axes.tick_params(axis="y", length=0)
    axes.set(ylim=(-1.08, 1.08), ylabel="accents by bar")


def _whole_bars(excerpt: Excerpt) -> slice:
    """Frames of the onset envelope in complete bars; the first bin of a bar is centred on its downbeat."""
    downbeats = excerpt.beats[excerpt.positions == 1]
    if len(downbeats) < 2:
        return slice(None)
    half = float(np.median(np.diff(excerpt.beats))) / ACCENT_BINS / 2
    first, last = (max(0, round((beat - half) * ONSET_RATE)) for beat in downbeats[[0, -1]])
    return slice(first, last)


def _draw_beats(axes: Axes, excerpt: Excerpt) -> None:
    down = excerpt.positions == 1
    if len(excerpt.beats) <= MAX_BEATS:
        for beat in excerpt.beats[~down]:
            axes.axvline(excerpt.start + beat, color=BEAT, linewidth=0.8, zorder=0.5)
    width, alpha = (1.4, 1.0) if len(excerpt.beats) <= MAX_BEATS else (0.6, 0.5)
    for beat in excerpt.beats[down]:
        axes.axvline(excerpt.start + beat, color=BAR, linewidth=width, alpha=alpha, zorder=0.5)


def _number_bars(axes: Axes, excerpt: Excerpt) -> None:
    down = excerpt.positions == 1
    for beat, number in _thinned(excerpt.beats[down], excerpt.bars[down]):
        if beat <= 0.985 * excerpt.seconds:
            number_bar(axes, excerpt.start + beat, number)


def _thinned(beats: NDArray[np.float64], numbers: NDArray[np.int64]) -> Sequence[tuple[float, int]]:
    """Downbeats and bar numbers to write: all, or every 2nd, 4th, 8th ... bar from the first."""
    every = 1
    while len(beats) / every > MAX_BAR_NUMBERS:
        every *= 2
    return [
        (float(beat), int(number))
        for beat, number in zip(beats, numbers, strict=True)
        if (number - 1) % every == 0
    ]


MAX_POSES = 16
"""Maximum number of bodies that do not overlap."""

WIDTH, HEIGHT = 480, 480
"""Size of the image of a body in pixels."""

POSE_HEIGHT_INCHES = 1.9
"""Height of the image in the picture; the body fills about two thirds of it."""


def draw_poses(axes: Axes, excerpt: Excerpt) -> None:
    """Draw the body at the times of :func:`pose_times`."""
    stage = BodyStage(excerpt)
    for time in pose_times(excerpt):
        pen = Pen(WIDTH, HEIGHT)
        stage.draw_pose(pen, time)
        pixels = pen.pixels.copy()
        # The background is transparent, so that beat lines remain visible.
        pixels[(pixels == 255).all(-1), 3] = 0
        image = OffsetImage(pixels, zoom=72 * POSE_HEIGHT_INCHES / HEIGHT)
        position = (excerpt.start + time, 0.5)
        box = AnnotationBbox(image, position, xycoords=("data", "axes fraction"), frameon=False, pad=0)
        box.set_clip_on(False)
        # Parts outside of the row must not affect the layout.
        box.set_in_layout(False)
        axes.add_artist(box)
    axes.set(ylim=(0, 1), yticks=[], ylabel="poses")


def pose_times(excerpt: Excerpt) -> NDArray[np.float64]:
    """Choose the times at which poses are drawn, in seconds of the excerpt.

    They are the beats, or every 2nd, 3rd ... beat with the same positions in each bar, including the
    downbeat. Without a grid they are equidistant.
    """
    inside = (excerpt.beats >= excerpt.times[0]) & (excerpt.beats <= excerpt.times[-1])
    beats, downbeats = excerpt.beats[inside], np.flatnonzero(excerpt.positions[inside] == 1)
    if not len(beats):
        count = int(np.clip(np.ceil(excerpt.seconds), 1, MAX_POSES))
        return (np.arange(count) + 0.5) * excerpt.seconds / count
    metre = max(1, excerpt.metre)
    step = max(1, -(-len(beats) // MAX_POSES))
    while metre % step and step % metre:
        step += 1
    first = int(downbeats[0]) % step if len(downbeats) else 0
    times: NDArray[np.float64] = beats[first::step]
    return times
