"""The body at beats, one beside the other under the music: a dance at a glance."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from numpy.typing import NDArray

from motion_data.looking.excerpt import Excerpt
from motion_data.looking.pen import Pen
from motion_data.looking.stage import BodyStage

MOST = 16
"""Bodies that stand beside each other without touching."""

WIDTH, HEIGHT = 480, 480
"""Pixels that a body is drawn on."""

INCHES = 1.9
"""Height of these pixels in the picture; the body takes about two thirds of it."""


def draw_poses(axes: Axes, excerpt: Excerpt) -> None:
    """Draw the body as it is at its moments."""
    stage = BodyStage(excerpt)
    for time in moments(excerpt):
        pen = Pen(WIDTH, HEIGHT)
        stage.draw_pose(pen, time)
        pixels = pen.pixels.copy()
        # The beat's line is seen where there is nothing but paper.
        pixels[(pixels == 255).all(-1), 3] = 0
        image = OffsetImage(pixels, zoom=72 * INCHES / HEIGHT)
        place = (excerpt.start + time, 0.5)
        box = AnnotationBbox(image, place, xycoords=("data", "axes fraction"), frameon=False, pad=0)
        box.set_clip_on(False)
        # What sticks out of the row must not push the rows apart.
        box.set_in_layout(False)
        axes.add_artist(box)
    axes.set(ylim=(0, 1), yticks=[], ylabel="poses")


def moments(excerpt: Excerpt) -> NDArray[np.float64]:
    """Seconds of the excerpt: its beats, of many every 2nd, 3rd ... so that places in the bar come back,
    the downbeat among them; without a grid moments at equal distances."""
    seen = (excerpt.beats >= excerpt.times[0]) & (excerpt.beats <= excerpt.times[-1])
    inside, down = excerpt.beats[seen], np.flatnonzero(excerpt.positions[seen] == 1)
    if not len(inside):
        count = int(np.clip(np.ceil(excerpt.seconds), 1, MOST))
        return (np.arange(count) + 0.5) * excerpt.seconds / count
    metre = max(1, excerpt.metre)
    every = max(1, -(-len(inside) // MOST))
    while metre % every and every % metre:
        every += 1
    first = int(down[0]) % every if len(down) else 0
    chosen: NDArray[np.float64] = inside[first::every]
    return chosen
