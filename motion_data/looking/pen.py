"""Drawing straight onto pixels with matplotlib's Agg, without figures and artists: fast enough for film."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import to_rgb
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.transforms import IdentityTransform
from numpy.typing import ArrayLike, NDArray

FAINT = "#e6e9ef"
LEFT = "#2f6db5"
RIGHT = "#2c9a6a"
BODY = "#4a5268"
MOTION = "#6b4fa0"


def side_colour(name: str, middle: str) -> str:
    """The colour of a joint or limb by the side that its name begins with; ``middle`` where it has none."""
    if name.startswith("left"):
        return LEFT
    return RIGHT if name.startswith("right") else middle


PAPER = "#ffffff"


class Pen:
    """A sheet of ``width`` times ``height`` pixels; the origin is its lower left corner."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        # At 72 dots an inch a point, in which Agg is told widths and sizes, is a pixel.
        # Agg's renderer has no types.
        self._renderer: Any = RendererAgg(width, height, 72)  # type: ignore[no-untyped-call]
        self._fonts = {
            bold: FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")
            for bold in (False, True)
        }
        self.pixels: NDArray[np.uint8] = np.asarray(self._renderer.buffer_rgba())  # type: ignore[no-untyped-call]
        """(height, width, 4) RGBA from the top row down; drawing changes it in place."""
        self.pixels[:] = 255

    def stroke(
        self, lines: ArrayLike, width: float, colour: str, alpha: float = 1.0, cap: str = "round"
    ) -> None:
        """Lines (K, N, 2) of N corners each, as one shape: where they cross nothing shows through."""
        points = np.asarray(lines, dtype=np.float64)
        if not points.size:
            return
        codes = np.full(points.shape[:2], Path.LINETO)
        codes[:, 0] = Path.MOVETO
        context = self._renderer.new_gc()
        context.set_foreground((*to_rgb(colour), alpha), isRGBA=True)
        context.set_linewidth(width)
        context.set_capstyle(cap)
        context.set_joinstyle("round")
        path = Path(points.reshape(-1, 2), codes.ravel())
        self._renderer.draw_path(context, path, IdentityTransform(), None)

    def fill(self, outline: ArrayLike, colour: str, alpha: float = 1.0) -> None:
        """A closed shape from its corners (N, 2)."""
        context = self._renderer.new_gc()
        context.set_linewidth(0)
        context.set_alpha(alpha)
        corners = np.asarray(outline, dtype=np.float64)
        path = Path(np.concatenate([corners, corners[:1]]), closed=True)
        self._renderer.draw_path(context, path, IdentityTransform(), (*to_rgb(colour), alpha))

    def disc(self, centre: ArrayLike, radius: float, colour: str) -> None:
        """A filled circle."""
        self.fill(np.asarray(centre) + radius * CIRCLE, colour)

    def text(self, x: float, y: float, text: str, size: float, colour: str, bold: bool = False) -> None:
        """One line of text from (x, y), the left end of its base line."""
        font = self._fonts[bold]
        font.set_size(size)
        context = self._renderer.new_gc()
        context.set_foreground(colour)
        self._renderer.draw_text(context, x, self.height - y, text, font, 0)


_ANGLES = np.linspace(0, 2 * np.pi, 37)[:-1]
CIRCLE: NDArray[np.float64] = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], 1)
"""(36, 2) corners of the unit circle."""
