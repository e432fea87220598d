"""Labels of all kinds at random, for tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from motion_data.labels import DRUMS, KINDS, MODES, QUALITIES, SECTIONS, Labels

HIGHEST = {
    **{"pitch": 127, "velocity": 127, "program": 127, "part": 5, "root": 11, "tonic": 11},
    **{"class": len(DRUMS) - 1, "quality": len(QUALITIES) - 1, "mode": len(MODES) - 1},
    "kind": len(SECTIONS) - 1,
}
"""Greatest value of each column."""


@st.composite
def labels(draw: st.DrawFn, seconds: float = 12.0) -> Labels:
    """Some of the kinds, each with some events that begin from 2 s before the sound on."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kinds = draw(st.sets(st.sampled_from(sorted(KINDS))))
    events = {}
    for kind in sorted(kinds):
        count = draw(st.integers(0, 12))
        begin = rng.uniform(-2, seconds, count)
        end = begin + rng.choice([0.0, 0.003, 0.3, 4.0], count) * rng.random(count)
        values = [rng.integers(0, HIGHEST[name] + 1, count) for name in KINDS[kind]]
        events[kind] = np.column_stack([begin, end, *values])
    return Labels(events)
