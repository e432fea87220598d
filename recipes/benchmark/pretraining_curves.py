"""The course of a pretraining run as a picture: the losses, and the dev split with and without the audio.

python -m recipes.benchmark.pretraining_curves runs/tiny -o curves.png
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.commands.command import command
from motionbeat_upstream.commands.paths import output_file
from motionbeat_upstream.errors import MotionBeatError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Records = Sequence[Mapping[str, Any]]

LOSSES = {
    "ecl": "ECL",
    "frame_infonce": "frame InfoNCE",
    "frame_pulses": "pulse head",
    "frame_onsets": "onset head",
    "sral": "SRAL (before λ)",
}
RETRIEVAL = {
    "shared.recall_at_1": "shared grid",
    "frames_shared.recall_at_1": "frames, no grid",
    "own_grids.recall_at_1": "own grids",
}
BLANKED = {
    "silence.recall_at_1": "shared grid, silence",
    "frames_silence.recall_at_1": "frames, silence",
    "own_grids_silence.recall_at_1": "own grids, silence",
}
NO_LEARNING = {"no_learning.recall_at_1": "no learning, shared grid"}
HARD = {"hard_shared.accuracy": "with the audio", "hard_shared.beats_jittered_1": "one beat off told"}
HARD_BLANKED = {
    "hard_silence.accuracy": "silence",
    "hard_silence.beats_jittered_1": "one beat off told, silence",
}
HARD_BASE = {"hard_no_learning.accuracy": "no learning", "hard_shared.chance": "chance"}
PROBE = {
    "probe.trunk.beat_f": "trunk's last layer",
    "probe.middle.beat_f": "trunk's middle layer",
    "probe.last.beat_f": "last token layer",
}

COLOURS = ("#1b6ca8", "#d1495b", "#3b8c5a", "#8a5fb0", "#c98a1b")
SOFT = "#8a8f98"


@command("pretraining_curves")
def main(arguments: Sequence[str]) -> int:
    """Draw."""
    parser = argparse.ArgumentParser(
        "python -m recipes.benchmark.pretraining_curves", description=__doc__.splitlines()[0]
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument("-o", "--output", type=output_file(".png"), required=True, metavar="FILE.png")
    options = parser.parse_args(arguments)
    figure = draw(records(options.run, "train"), records(options.run, "valid"))
    with atomic_path(options.output) as draft:
        figure.savefig(draft, format="png", dpi=110)
    return 0


def records(run: Path, name: str) -> list[dict[str, Any]]:
    """What a run wrote at each step.

    Raises:
        MotionBeatError: nothing.
    """
    file = run / f"metrics/{name}.jsonl"
    if not file.is_file():
        raise MotionBeatError(f"{file}: no such file; give the folder of a run that was validated")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def draw(train: Records, valid: Records) -> Figure:
    """Four panels over the steps."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"font.size": 9}):
        figure = Figure(figsize=(12, 8), layout="constrained")
        losses, retrieval, hard, probe = figure.subplots(2, 2).ravel()
        _lines(losses, train, LOSSES)
        losses.set(yscale="log", ylabel="training loss")
        _lines(retrieval, valid, RETRIEVAL)
        _lines(retrieval, valid, BLANKED, style=":")
        _lines(retrieval, valid, NO_LEARNING, style="--", colours=(SOFT,))
        retrieval.set(ylim=(0, 1), ylabel="dev: R@1, music to motion")
        _lines(hard, valid, HARD)
        _lines(hard, valid, HARD_BLANKED, style=":")
        _lines(hard, valid, HARD_BASE, style="--", colours=(SOFT, "#c4c8ce"))
        hard.set(ylim=(0, 1), ylabel="dev: own motion among its jittered and stretched")
        _lines(probe, valid, PROBE, band=True)
        probe.set(ylabel="dev: F of a linear beat probe")
        for axes in (losses, retrieval, hard, probe):
            axes.set_xlabel("step")
            axes.grid(color="#e8eaed", linewidth=0.7)
            axes.spines[["top", "right"]].set_visible(False)
            if axes.get_lines():
                axes.legend(fontsize=8, frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
    return figure


def _lines(
    axes: Axes,
    found: Records,
    names: Mapping[str, str],
    style: str = "-",
    colours: Sequence[str] = COLOURS,
    band: bool = False,
) -> None:
    """A line for each figure that was recorded; with ``band`` its 95 % interval over pieces."""
    for (name, label), colour in zip(names.items(), colours, strict=False):
        there = [record for record in found if name in record]
        if not there:
            continue
        steps = [record["Step"] for record in there]
        axes.plot(steps, [record[name] for record in there], style, color=colour, label=label, linewidth=1.4)
        edges = [
            record[f"{name}_{end}"]
            for end in ("low", "high")
            for record in there
            if f"{name}_{end}" in record
        ]
        if band and len(edges) == 2 * len(there):
            low, high = edges[: len(there)], edges[len(there) :]
            axes.fill_between(steps, low, high, color=colour, alpha=0.12, linewidth=0)


if __name__ == "__main__":
    sys.exit(main())
