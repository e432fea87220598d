"""The Groove MIDI Dataset's takes as audio, where its own recordings are not at hand.

    python -m recipes.downstream.genre.render_groove SOURCE OUT

SOURCE is the folder of groove-v1.0.0-midionly with info.csv. Takes (no fills) are played through a soundfont,
mono at 16 kHz, beside where the published audio would be, as FLAC; the task genre then reads OUT as it reads
the data set itself. The drums are then the soundfont's and not the drummers', and the data's name says so.
The data set's licence, CC BY 4.0, holds for what is made of it. A second run keeps what is whole.
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
from motionbeat_upstream.commands.command import RESUMES, command
from motionbeat_upstream.config import SAMPLE_RATE


@command("recipes.downstream.genre.render_groove", interrupted=RESUMES, mistake=1, extra="s3prl")
def main(arguments: Sequence[str]) -> int:
    """Run the command; 1 when nothing could be made."""
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
    """Render every take that is not there yet; returns why takes are left out, a line each.

    Raises:
        DataError: SOURCE is not the data set, or none of its takes can be rendered.
    """
    import torch

    from motion_data.files import write_sound
    from motion_data.soundfont import default_soundfont
    from recipes.downstream.beat_tracking.prepare.rendered import render
    from recipes.downstream.clip_probing.published import expect
    from recipes.downstream.genre.expert import GROOVE

    index = expect(source, "info.csv", GROOVE)
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
