"""An arrangement played through a soundfont."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from motion_data.corpora.constructed.arrangement import LEAD, Arrangement
from motion_data.soundfont import make_score, play


def render(arrangement: Arrangement, soundfont: Path) -> NDArray[np.float32]:
    """Play an arrangement.

    Args:
        arrangement: its notes before 0 s are played as well, so that they sound on into the pair.
        soundfont: a .sf2 or .sf3 file.

    Returns:
        (T,) mono at 16 kHz, as long as the pair, its loudest sample at
        :data:`~motion_data.soundfont.PEAK`; later stages may make it softer.

    Raises:
        DataError: the soundfont cannot be used, or nothing sounds.
    """
    later = np.array([LEAD, 0, 0, 0])
    score = make_score(
        (part.role, part.program, part.drums, part.notes + later) for part in arrangement.parts
    )
    # Lead and pair are cut exactly: both are whole samples at both rates.
    return play(score, soundfont, LEAD, LEAD + arrangement.seconds)
