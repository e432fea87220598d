"""What is known of a pair's sound beside its beats: notes, programs, drums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Labels:
    """Events by their kind, on the clock of the sound. No corpus gives any yet: this is their place [O].

    They come with a :class:`~motion_data.loading.LoadedPair`, are cut and played faster with it, and reach
    the losses in a :class:`~motion_data.pipeline.batch.Batch`.
    """

    events: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """(N, 2 + K) of each kind, such as ``notes``: seconds at which an event begins and ends, then the K
    values of that kind, such as pitch and velocity."""

    def between(self, start: float, stop: float) -> Labels:
        """The events that begin or last in [start, stop), whole, on a clock that begins at ``start``."""
        return Labels(
            {
                kind: _with_times(rows[inside], rows[inside, :2] - start)
                for kind, rows in self.events.items()
                for inside in [(rows[:, 0] < stop) & ((rows[:, 1] > start) | (rows[:, 0] >= start))]
            }
        )

    def at_speed(self, speed: float) -> Labels:
        """The events of the sound played ``speed`` times as fast; their values, such as pitch, are kept."""
        return Labels({kind: _with_times(rows, rows[:, :2] / speed) for kind, rows in self.events.items()})


def _with_times(rows: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([times, rows[:, 2:]], axis=1)
