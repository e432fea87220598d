"""Score generated dances against true ones.

    python -m recipes.benchmark dance-metrics GENERATED TRUTH --music DIR -o OUT

GENERATED and TRUTH are folders with a file per dance: AIST++'s .pkl (smpl_poses, smpl_trans, smpl_scaling;
these need --smpl), EDGE's .pkl (full_pose), Bailando's or any .npy of positions (T, 24, 3) or (T, 72), or
.npz of this project. Beats of the music are estimated from the audio of --music or read from the files of
--beats; by default they are those in .npz files. OUT/metrics.jsonl contains the scores of every dance,
OUT/metrics.md the table.
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
    """Run the command."""
    options = build_parser().parse_args(arguments)
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


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = RaisingParser(
        "python -m recipes.benchmark dance-metrics",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("generated", type=Path, metavar="GENERATED", help="folder of generated dances")
    parser.add_argument("truth", type=Path, metavar="TRUTH", help="folder of true dances")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="OUT", help="folder of metrics.jsonl and metrics.md"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing metrics in OUT")
    for option, folder in (("", "GENERATED"), ("truth-", "TRUTH")):
        parser.add_argument(
            f"--{option}fps",
            type=float,
            metavar="RATE",
            help=f"frames per second of {folder}; default: 60 for AIST++'s .pkl, 30 for EDGE's",
        )
        parser.add_argument(
            f"--{option}up",
            choices=("y", "z"),
            help=f"vertical axis of {folder}; default: z for EDGE's, y for others",
        )
    parser.add_argument("--smpl", type=Path, metavar="MODEL", help="SMPL's .pkl or .npz, for rotations")
    music = parser.add_mutually_exclusive_group()
    music.add_argument(
        "--music",
        type=Path,
        metavar="DIR",
        help="audio files, named like the dances or like the AIST++ pieces in their names",
    )
    music.add_argument("--beats", type=Path, metavar="DIR", help=".beats files, named likewise")
    parser.add_argument(
        "--tracker",
        choices=("librosa", "motionbeat"),
        default="librosa",
        help="beat tracker for --music; published scores use librosa (%(default)s)",
    )
    parser.add_argument(
        "--exact-steps",
        action="store_true",
        help="the touch-downs in .npz files are exact, as in constructed dances: score contacts on them",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the halves of the true dances (%(default)s)"
    )
    return parser


def read_both(options: argparse.Namespace) -> tuple[list[Dance], list[Dance]]:
    """Read the generated and the true dances with the beats of their music.

    Raises:
        DataError, AudioError: a file that cannot be used.
    """
    from tqdm import tqdm

    from motion_data.body.smpl import read_rest_joints
    from recipes.dance_metrics.dance_files import ReadOptions, dance_paths, read_dance
    from recipes.dance_metrics.music_beats import annotated_beats, librosa_beats, motionbeat_beats, with_beats

    folders = [dance_paths(options.generated), dance_paths(options.truth)]
    rest = read_rest_joints(options.smpl) if options.smpl else None
    both = []
    for paths, fps, up in zip(
        folders, (options.fps, options.truth_fps), (options.up, options.truth_up), strict=True
    ):
        read_options = ReadOptions(fps, up, rest, options.exact_steps)
        bar = tqdm(paths, desc=f"reading {paths[0].parent.name}", unit=" files", disable=None)
        both.append([read_dance(path, read_options) for path in bar])
    if options.music or options.beats:
        trackers = {"librosa": librosa_beats, "motionbeat": motionbeat_beats}
        track: Callable[[Path], Any] = annotated_beats if options.beats else trackers[options.tracker]
        dances = with_beats([*both[0], *both[1]], options.beats or options.music, track)
        both = [dances[: len(both[0])], dances[len(both[0]) :]]
    return both[0], both[1]


def _run(options: argparse.Namespace) -> Run:
    from recipes.results.record import Run, command_and_versions

    if options.music:
        beats = f"{options.tracker} on {options.music.name}"
    else:
        beats = f"files of {options.beats.name}" if options.beats else "the files of the dances"
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
