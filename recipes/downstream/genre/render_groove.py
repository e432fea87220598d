"""Renders the takes of the Groove MIDI Dataset, as a replacement for its recordings.

    python -m recipes.downstream.genre.render_groove SOURCE OUT

SOURCE is the folder of groove-v1.0.0-midionly with info.csv. Takes without fills are rendered with a
soundfont to mono FLAC at 16 kHz, in the layout of the published audio, so that the task genre can read OUT.
The drums are those of the soundfont, which the name of the data set tells. The licence of the data set, CC BY
4.0, applies to the files. A second run keeps complete files.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from motion_data.csv_file import read_csv
from motion_data.errors import DataError
from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.commands.command import INTERRUPTED_RESUMABLE, command
from motionbeat_upstream.config import SAMPLE_RATE


@command(
    "recipes.downstream.genre.render_groove", interrupted=INTERRUPTED_RESUMABLE, error_code=1, extra="s3prl"
)
def main(arguments: Sequence[str]) -> int:
    """Run the command; returns 1 if nothing could be rendered."""
    parser = argparse.ArgumentParser(
        "python -m recipes.downstream.genre.render_groove",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, metavar="SOURCE", help="folder with info.csv and the MIDI files")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write to")
    parser.add_argument("--seconds", type=float, metavar="S", help="render the first S seconds of each")
    options = parser.parse_args(arguments)
    if options.seconds is not None and options.seconds <= 0:
        parser.error("--seconds must be above 0")
    for line in render_groove(options.source, options.out, options.seconds):
        print(f"left out: {line}", file=sys.stderr)
    return 0


def render_groove(source: Path, out: Path, seconds: float | None) -> list[str]:
    """Render missing takes; returns a line for each take that is left out.

    Raises:
        DataError: ``source`` is not the data set, or none of its takes can be rendered.
    """
    import torch

    from motion_data.files import write_sound
    from motion_data.soundfont import default_soundfont
    from recipes.downstream.beat_tracking.prepare.rendered import render
    from recipes.downstream.clip_probing.published import require_path
    from recipes.downstream.genre.expert import GROOVE

    index = require_path(source, "info.csv", GROOVE)
    rows = [row.cells for row in read_csv(index, ("beat_type", "midi_filename"))]
    takes = [row for row in rows if row["beat_type"] == "beat"]
    soundfont = default_soundfont()
    left_out: list[str] = []
    for row in tqdm(takes, desc="groove", unit=" takes", disable=None):
        target = (out / row["midi_filename"]).with_suffix(".flac")
        if target.is_file():
            continue
        try:
            wav = render(source / row["midi_filename"], soundfont)
        except DataError as error:
            left_out.append(str(error))
            continue
        if seconds is not None:
            wav = wav[: round(seconds * SAMPLE_RATE)]
        write_sound(target, torch.from_numpy(wav))
    if len(left_out) == len(takes):
        raise DataError(f"{source}: none of {len(takes)} takes could be rendered; {' '.join(left_out[:1])}")
    with atomic_path(out / "info.csv") as draft:
        shutil.copyfile(index, draft)
    return left_out


if __name__ == "__main__":
    sys.exit(main())
