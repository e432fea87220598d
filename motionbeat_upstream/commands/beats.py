"""``motionbeat beats``: find the beats and downbeats of one audio file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from motionbeat_upstream.atomic_write import atomic_path, write_text
from motionbeat_upstream.commands.audio_warnings import add_strict_option
from motionbeat_upstream.commands.command import command
from motionbeat_upstream.commands.made_by import made_by
from motionbeat_upstream.commands.model_option import (
    add_hint_options,
    add_model_options,
    load_model,
    read_hints,
)
from motionbeat_upstream.commands.paths import audio_file, output_file, refuse_inputs
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.tracking.grid import Grid, confidence_text

DESCRIPTION = """\
Estimate beats, downbeats and metre, with a model's beat heads where it has them and otherwise by rules over
the onsets. Printed, or written with -o, as a .beats file: a line a beat,
its time in seconds and its position in the bar, 1 being the downbeat. Silences of several bars have no
beats. Tempo, metre and how sure beats and downbeats are, from 0 to 1, go to the standard error."""

CLICK_SECONDS = 0.05

CLICK_LEVEL = 0.6
"""Peak of a click, relative to the sound's."""


@command("motionbeat beats")
def main(arguments: Sequence[str]) -> int:
    """Run the command; 0 when beats were found, 1 when the file has no pulse."""
    parser = argparse.ArgumentParser("motionbeat beats", description=DESCRIPTION)
    parser.add_argument("file", metavar="FILE", type=audio_file, help="audio of any format and rate")
    parser.add_argument(
        "-o",
        "--output",
        type=output_file(".beats", ".txt"),
        metavar="FILE.beats",
        help="write the beats here; .txt holds the same text",
    )
    parser.add_argument(
        "--click",
        type=output_file(".wav"),
        metavar="FILE.wav",
        help="write the sound, its rate and channels kept, with a click on each beat, higher on downbeats",
    )
    add_options(parser)
    options = parser.parse_args(arguments)
    refuse_inputs([options.output, options.click], [options.file])

    find, _ = load_finder(options)
    grid, text = find(options.file)
    if grid.confidence == 0:
        print(f"motionbeat beats: {options.file}: no pulse was heard; nothing is written", file=sys.stderr)
        return 1
    print(
        f"{options.file.name}: {grid.bpm:.1f} bpm, {grid.metre} beats a bar, {len(grid.beats)} beats, "
        f"{confidence_text(grid)}",
        file=sys.stderr,
    )
    if options.output is None:
        sys.stdout.write(text)
    else:
        write_text(options.output, text)
    if options.click is not None:
        import soundfile

        from motionbeat_upstream.decoding import read_sound

        sound, rate = read_sound(options.file)
        # An open file, because soundfile takes no names that are not UTF-8.
        with atomic_path(options.click) as draft, draft.open("wb") as file:
            soundfile.write(file, with_clicks(sound, rate, grid), rate, format="WAV")
    return 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what beats depend on, whichever the file is."""
    add_model_options(parser)
    add_hint_options(parser)
    add_strict_option(parser)


def load_finder(options: argparse.Namespace) -> tuple[Callable[[Path], tuple[Grid, str]], str]:
    """What finds the beats of files as the options say, and what says that beats were found by it.

    Returns:
        A function that gives the grid of a file and the text of its .beats file; it raises AudioError for
        a file that cannot be read. And the text of ``made_by``.

    Raises:
        ConfigError: the hints leave no tempo or metre, or the device is not there.
        CheckpointError: the checkpoint cannot be used.
    """
    from motionbeat_upstream.audio import read_audio

    expert = load_model(options, uses_weights=False)
    hints = read_hints(options, expert)
    device = next(expert.parameters()).device

    def find(path: Path) -> tuple[Grid, str]:
        wav = read_audio(path)
        grid = expert.tower.estimate_grid(wav.to(device), hints)
        inside = (grid.beats >= 0) & (grid.beats <= len(wav) / SAMPLE_RATE)
        return grid, format_beats(grid.beats[inside], grid.positions[inside])

    return find, made_by(expert, hints=asdict(hints))


def format_beats(beats: NDArray[np.float64], positions: NDArray[np.int64]) -> str:
    """A .beats file's text: time in seconds, a tab, position in the bar."""
    return "".join(f"{beat:.3f}\t{position}\n" for beat, position in zip(beats, positions, strict=True))


def with_clicks(sound: NDArray[np.float32], rate: int, grid: Grid) -> NDArray[np.float32]:
    """The sound (N, C) at ``rate`` Hz with a click on each beat, 1 kHz, and on each downbeat, 1.5 kHz.

    Clicks are as loud in all channels, relative to the sound's peak; all is scaled down where it would clip.
    """
    clicks = np.zeros(len(sound) + round(CLICK_SECONDS * rate), dtype=np.float32)
    seconds = np.arange(round(CLICK_SECONDS * rate)) / rate
    for frequency, times in ((1500.0, grid.downbeats), (1000.0, grid.beats[grid.positions != 1])):
        click = np.sin(2 * np.pi * frequency * seconds) * 2.0 ** (-10 * seconds / CLICK_SECONDS)
        for first in np.round(times[(times >= 0) & (times < len(sound) / rate)] * rate).astype(int):
            clicks[first : first + len(click)] += click.astype(np.float32)
    clicks = clicks[: len(sound)]
    mixed: NDArray[np.float32] = sound + CLICK_LEVEL * np.abs(sound).max(initial=0) * clicks[:, None]
    return mixed / max(1.0, float(np.abs(mixed).max(initial=0)))
