"""Score generated dances against true ones.

    python -m recipes.benchmark dance-metrics GENERATED TRUTH --music DIR -o OUT

GENERATED and TRUTH are folders with a file a dance: AIST++'s .pkl (smpl_poses, smpl_trans, smpl_scaling;
these need --smpl), EDGE's .pkl (full_pose), Bailando's or any .npy of positions (T, 24, 3) or (T, 72), or
this project's motions in .npz. Beats of the music are tracked in the audio of --music, or read from the
files of --beats; without either, those that an .npz brings count. OUT/metrics.jsonl holds every dance's
scores, OUT/metrics.md the table.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motionbeat_upstream.atomic_write import write_text
from motionbeat_upstream.commands.command import RaisingParser, command
from motionbeat_upstream.commands.paths import refuse_to_replace

if TYPE_CHECKING:
    from recipes.dance_metrics.dance import Dance
    from recipes.results.record import Run


@command("recipes.benchmark dance-metrics")
def main(arguments: Sequence[str]) -> int:
    """Score, print the table and write it."""
    options = parser().parse_args(arguments)
    if options.output is not None:
        refuse_to_replace([options.output / "metrics.jsonl"], options.overwrite)

    from tqdm import tqdm

    from recipes.dance_metrics.scores import dance_results, markdown
    from recipes.results.record import write_results

    generated, truth = read_both(options)
    results = dance_results(
        _run(options), generated, truth, lambda dances: tqdm(dances, unit=" dances", disable=None)
    )
    text = markdown(results)
    if options.output is not None:
        write_text(options.output / "metrics.md", text)
        write_results(options.output / "metrics.jsonl", results)
    print(text)
    return 0


def parser() -> argparse.ArgumentParser:
    """Of the command line."""
    made = RaisingParser(
        "python -m recipes.benchmark dance-metrics",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("generated", type=Path, metavar="GENERATED", help="folder of generated dances")
    made.add_argument("truth", type=Path, metavar="TRUTH", help="folder of true dances")
    made.add_argument(
        "-o", "--output", type=Path, metavar="OUT", help="folder of metrics.jsonl and metrics.md"
    )
    made.add_argument("--overwrite", action="store_true", help="replace the metrics that OUT holds")
    for option, what in (("", "GENERATED"), ("truth-", "TRUTH")):
        made.add_argument(
            f"--{option}fps",
            type=float,
            metavar="RATE",
            help=f"frames a second of {what}: if not given 60 for AIST++'s .pkl, 30 for EDGE's",
        )
        made.add_argument(
            f"--{option}up",
            choices=("y", "z"),
            help=f"axis of {what} that is up; without it z for EDGE's, y for others",
        )
    made.add_argument("--smpl", type=Path, metavar="MODEL", help="SMPL's .pkl or .npz, for rotations")
    music = made.add_mutually_exclusive_group()
    music.add_argument(
        "--music",
        type=Path,
        metavar="DIR",
        help="audio, called as the dances are, or as AIST++'s pieces in their names",
    )
    music.add_argument("--beats", type=Path, metavar="DIR", help=".beats files, called likewise")
    made.add_argument(
        "--tracker",
        choices=("librosa", "motionbeat"),
        default="librosa",
        help="of --music; published scores take librosa's (%(default)s)",
    )
    made.add_argument(
        "--exact-steps",
        action="store_true",
        help="touch-downs in .npz files are the true ones, as a constructed dancer's: score contacts on them",
    )
    made.add_argument("--seed", type=int, default=0, help="of the halves of the truth (%(default)s)")
    return made


def read_both(options: argparse.Namespace) -> tuple[list[Dance], list[Dance]]:
    """The generated and the true dances with the beats of their music.

    Raises:
        DataError, AudioError: what cannot be used, with its file.
    """
    from tqdm import tqdm

    from motion_data.body.smpl import read_rest_joints
    from recipes.dance_metrics.dance_files import Reading, dance_paths, read_dance
    from recipes.dance_metrics.music_beats import annotated_beats, librosa_beats, own_beats, with_beats

    folders = [dance_paths(options.generated), dance_paths(options.truth)]
    rest = read_rest_joints(options.smpl) if options.smpl else None
    both = []
    for paths, fps, up in zip(
        folders, (options.fps, options.truth_fps), (options.up, options.truth_up), strict=True
    ):
        reading = Reading(fps, up, rest, options.exact_steps)
        bar = tqdm(paths, desc=f"reading {paths[0].parent.name}", unit=" files", disable=None)
        both.append([read_dance(path, reading) for path in bar])
    if options.music or options.beats:
        trackers = {"librosa": librosa_beats, "motionbeat": own_beats}
        track: Callable[[Path], Any] = annotated_beats if options.beats else trackers[options.tracker]
        every = with_beats([*both[0], *both[1]], options.beats or options.music, track)
        both = [every[: len(both[0])], every[len(both[0]) :]]
    return both[0], both[1]


def _run(options: argparse.Namespace) -> Run:
    from recipes.results.record import Run, command_and_versions

    if options.music:
        beats = f"{options.tracker} on {options.music.name}"
    else:
        beats = f"files of {options.beats.name}" if options.beats else "what the dances' files bring"
    settings = {
        key: None if value is None else str(value)
        for key, value in vars(options).items()
        if key not in ("output", "overwrite")
    }
    return Run(
        task="dance_metrics",
        data=str(options.truth),
        upstream=options.generated.name,
        seed=options.seed,
        details={"beats": beats, "settings": settings, **command_and_versions()},
    )


if __name__ == "__main__":
    sys.exit(main())
