"""The first job: what do MotionBeat's features add for beats in real songs?

    python -m recipes.benchmark first                  # eight songs from Debian packages (58 MB)
    python -m recipes.benchmark first --data FOLDER    # your own audio with .beats files

Linear probes are trained on frozen features of several upstreams. Every song is tested once, by a probe that
was neither trained nor selected on it. A finished training is not repeated: the same command goes on where it
was interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from motion_data.errors import DataError
from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.errors import AudioError
from recipes.benchmark.beat_tracking_table import Scores, read_folds, read_scores, run_all, run_folders
from recipes.benchmark.result_table import ResultTable
from recipes.benchmark.runner import RunFailed
from recipes.benchmark.upstream_choice import UpstreamChoice, read_upstreams
from recipes.downstream.beat_tracking.prepare.debian_songs import prepare as prepare_debian_songs
from recipes.downstream.beat_tracking.prepare.folds import write_folds
from recipes.downstream.beat_tracking.report import DECODER_NAMES
from recipes.statistics.estimate import Estimate, mean_estimate

UPSTREAMS = ("motionbeat", "fbank", "motionbeat_log_mel")

STEPS = 100
"""Half of what ``config.yaml`` takes; with it the job lasts minutes."""

SEED, PROBE, FOLDS = 0, "linear", 4

MEASURES = {
    f"{target} F ({name})": (decoder, row)
    for row, target in enumerate(("beat", "downbeat"))
    for decoder, name in (("peaks", "peak picking"), ("dbn", "Bayesian decoder"))
}
"""Columns of the table: the decoder, and the row of its scores."""

OWN_SONGS = (
    "or use your own songs: --data FOLDER, audio files with a .beats file of the same name beside each"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing and print the table; 2 for what the user can mend, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(
        "python -m recipes.benchmark first",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("result/first"), metavar="OUT", help="results (%(default)s)"
    )
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", help="songs with .beats files, or a CSV that lists them"
    )
    parser.add_argument(
        "-u",
        "--upstreams",
        nargs="+",
        default=list(UPSTREAMS),
        metavar="NAME",
        help="of S3PRL's hub, or a .safetensors file; the first is compared with the others (%(default)s)",
    )
    options = parser.parse_args(arguments)
    try:
        upstreams = read_upstreams(options.upstreams)
        data = find_songs(options.data, options.out)
        count = len(upstreams) * len(read_folds(data))
        print(f"{count} short trainings; what each prints goes to {options.out}/*/log.txt", file=sys.stderr)
        run_all(upstreams, data, options.out, [SEED], PROBE, STEPS, quiet=True)
    except (DataError, AudioError, OSError, ValueError) as error:
        print(f"recipes.benchmark first: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return _interrupted()
    except RunFailed as failed:
        return _interrupted() if failed.code == 130 else failed.code
    text = report(upstreams, data, options.out)
    with atomic_path(options.out / "table.md") as draft:
        draft.write_text(text, encoding="utf-8")
    print(f"\n{text}", end="")
    return 0


def find_songs(given: Path | None, out: Path) -> Path:
    """The CSV of the songs; downloads them where none are given, deals folds where there are none.

    Raises:
        DataError, AudioError: the songs cannot be downloaded, or what is wrong with those given.
    """
    if given is None:
        folder = Path("data/debian_songs")
        try:
            prepare_debian_songs(folder, say=lambda line: print(line, file=sys.stderr))
        except DataError as error:
            raise DataError(f"{'; '.join(str(error).splitlines())}; {OWN_SONGS}") from error
        return folder / "splits.csv"
    if given.is_file():
        return given
    if (given / "splits.csv").is_file():
        return given / "splits.csv"
    from recipes.downstream.beat_tracking.dataset import listed_in

    count = len(listed_in(given))
    if count < 3:
        raise DataError(f"{given}: {count} songs; expected at least 3: to train on, to select by, to test on")
    target = out / "splits.csv"
    target.unlink(missing_ok=True)
    return write_folds(given, min(FOLDS, count), target)


def report(upstreams: Sequence[UpstreamChoice], data: Path, out: Path) -> str:
    """The table, what it shows, and what was reached."""
    folders = {one.label: run_folders(one.label, data, out, [SEED], PROBE) for one in upstreams}
    table = first_table(
        {label: {name: read_scores(of, name) for name in DECODER_NAMES} for label, of in folders.items()}
    )
    kept = "; ".join(f"{', '.join(map(str, steps(of)))} ({label})" for label, of in folders.items())
    lines = [
        *table.lines(),
        "",
        *(f"{name}: {verdict(table.measures, row)}." for name, row in table.margins.items()),
        "",
        f"Peak picking shows what the features say; the Bayesian decoder adds knowledge of tempo. "
        f"One seed ({SEED}), one small data set: other songs may order the rows otherwise.",
        f"Trained: {PROBE} probes on frozen features, {STEPS} steps, {len(read_folds(data))} fold(s).",
        f"Kept: the weights with the least dev loss, those of steps {kept}.",
        f"Results: {out / 'table.md'}; every song: {out}/*/scores-test.md; every setting: "
        f"{out}/*/scores-test.json.",
    ]
    return "\n".join(lines) + "\n"


def first_table(scores: Mapping[str, Mapping[str, Scores]]) -> ResultTable:
    """Beat and downbeat F by both decoders.

    Args:
        scores: of each upstream, by decoder, of each song.
    """
    columns = {
        label: np.array(
            [[song[row, 0] for song in by_decoder[decoder].values()] for decoder, row in MEASURES.values()]
        )
        for label, by_decoder in scores.items()
    }
    first, *others = columns
    rows = {label: [mean_estimate(of) for of in values] for label, values in columns.items()}
    margins = {
        f"{first} − {other}": [mean_estimate(of) for of in columns[first] - columns[other]]
        for other in others
    }
    notes = (
        f"{columns[first].shape[1]} songs, each tested by a probe that was neither trained nor selected on "
        f"it; 95 % intervals over songs; the last rows are paired differences."
    )
    return ResultTable("", tuple(MEASURES), rows, margins, notes=notes)


def verdict(measures: Sequence[str], margin: Sequence[Estimate]) -> str:
    """Which measures a margin is above 0 in, which below, and which it leaves open."""
    groups: dict[str, list[str]] = {"higher in": [], "lower in": [], "not told apart in": []}
    for measure, one in zip(measures, margin, strict=True):
        sign = "higher in" if one.low > 0 else "lower in" if one.high < 0 else "not told apart in"
        groups[sign].append(measure)
    return "; ".join(f"{sign} {', '.join(of)}" for sign, of in groups.items() if of)


def steps(folders: Sequence[Path]) -> list[int]:
    """The training step of the weights that each run kept."""
    return [json.loads((of / "scores-test.json").read_text(encoding="utf-8"))["step"] for of in folders]


def _interrupted() -> int:
    print("\nrecipes.benchmark first: interrupted; the same command goes on from here", file=sys.stderr)
    return 130


if __name__ == "__main__":
    sys.exit(main())
