"""Plot a pretraining run: losses, and metrics of the dev split with the audio and with blanked audio.

python -m recipes.benchmark.pretraining_curves runs/tiny -o curves.png
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.commands.command import command
from motionbeat_upstream.commands.paths import output_file
from motionbeat_upstream.errors import MotionBeatError
from recipes.pretrain.export import read_metrics

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
HARD_BASELINES = {"hard_no_learning.accuracy": "no learning", "hard_shared.chance": "chance"}
PROBE = {
    "probe.trunk.beat_f": "trunk's last layer",
    "probe.middle.beat_f": "trunk's middle layer",
    "probe.last.beat_f": "last token layer",
}

COLOURS = ("#1b6ca8", "#d1495b", "#3b8c5a", "#8a5fb0", "#c98a1b")
GREY = "#8a8f98"


@command("pretraining_curves")
def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        "python -m recipes.benchmark.pretraining_curves", description=__doc__.splitlines()[0]
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument("-o", "--output", type=output_file(".png"), required=True, metavar="FILE.png")
    options = parser.parse_args(arguments)
    for name in ("train", "valid"):
        if not (file := options.run / f"metrics/{name}.jsonl").is_file():
            raise MotionBeatError(f"{file}: no such file; give the folder of a run that was validated")
    figure = draw(read_metrics(options.run, "train"), read_metrics(options.run, "valid"))
    with atomic_path(options.output) as draft:
        figure.savefig(draft, format="png", dpi=110)
    return 0


def draw(train: Records, valid: Records) -> Figure:
    """Draw four panels over the steps."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"font.size": 9}):
        figure = Figure(figsize=(12, 8), layout="constrained")
        losses, retrieval, hard, probe = figure.subplots(2, 2).ravel()
        _plot_lines(losses, train, LOSSES)
        losses.set(yscale="log", ylabel="training loss")
        _plot_lines(retrieval, valid, RETRIEVAL)
        _plot_lines(retrieval, valid, BLANKED, style=":")
        _plot_lines(retrieval, valid, NO_LEARNING, style="--", colours=(GREY,))
        retrieval.set(ylim=(0, 1), ylabel="dev: R@1, music to motion")
        _plot_lines(hard, valid, HARD)
        _plot_lines(hard, valid, HARD_BLANKED, style=":")
        _plot_lines(hard, valid, HARD_BASELINES, style="--", colours=(GREY, "#c4c8ce"))
        hard.set(ylim=(0, 1), ylabel="dev: own motion among its jittered and stretched")
        _plot_lines(probe, valid, PROBE, band=True)
        probe.set(ylabel="dev: F of a linear beat probe")
        for axes in (losses, retrieval, hard, probe):
            axes.set_xlabel("step")
            axes.grid(color="#e8eaed", linewidth=0.7)
            axes.spines[["top", "right"]].set_visible(False)
            if axes.get_lines():
                axes.legend(fontsize=8, frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
    return figure


def _plot_lines(
    axes: Axes,
    records: Records,
    names: Mapping[str, str],
    style: str = "-",
    colours: Sequence[str] = COLOURS,
    band: bool = False,
) -> None:
    """Plot a line for each recorded metric, with ``band`` also its 95 % interval over pieces."""
    for (metric, label), colour in zip(names.items(), colours, strict=False):
        available = [record for record in records if metric in record]
        if not available:
            continue
        steps = [record["Step"] for record in available]
        axes.plot(
            steps, [record[metric] for record in available], style, color=colour, label=label, linewidth=1.4
        )
        edges = [
            record[f"{metric}_{end}"]
            for end in ("low", "high")
            for record in available
            if f"{metric}_{end}" in record
        ]
        if band and len(edges) == 2 * len(available):
            low, high = edges[: len(available)], edges[len(available) :]
            axes.fill_between(steps, low, high, color=colour, alpha=0.12, linewidth=0)


if __name__ == "__main__":
    sys.exit(main())
