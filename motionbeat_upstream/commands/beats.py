"""``motionbeat beats``: find the beats and downbeats of one audio file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.commands.model_option import add_model_options, load_model
from motionbeat_upstream.commands.paths import audio_file, output_file, refuse_inputs
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.nn.grid import Grid

DESCRIPTION = """\
Estimate beats, downbeats and metre, from the onset envelope, or from the pulses that a trained model
hears where it was exported so. Printed, or written with -o, as a .beats file: a line a beat,
its time in seconds and its position in the bar, 1 being the downbeat. Tempo, metre and confidence
go to the standard error."""


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
        help="write the audio with a click on each beat, higher on downbeats",
    )
    add_model_options(parser)
    options = parser.parse_args(arguments)
    refuse_inputs([options.output, options.click], [options.file])

    from motionbeat_upstream.audio import read_audio

    wav = read_audio(options.file)
    expert = load_model(options, uses_weights=False)
    grid = expert.tower.estimate_grid(wav.to(next(expert.parameters()).device))
    if grid.confidence == 0:
        print(f"motionbeat beats: {options.file}: no pulse was heard; nothing is written", file=sys.stderr)
        return 1
    print(
        f"{options.file.name}: {grid.bpm:.1f} bpm, {grid.metre} beats a bar, {len(grid.beats)} beats, "
        f"confidence {grid.confidence:.2f}",
        file=sys.stderr,
    )
    inside = (grid.beats >= 0) & (grid.beats <= len(wav) / SAMPLE_RATE)
    text = format_beats(grid.beats[inside], grid.positions[inside])
    if options.output is None:
        sys.stdout.write(text)
    else:
        with atomic_path(options.output) as draft:
            draft.write_text(text, encoding="utf-8")
    if options.click is not None:
        import soundfile

        # An open file, because soundfile takes no names that are not UTF-8.
        with atomic_path(options.click) as draft, draft.open("wb") as file:
            soundfile.write(file, with_clicks(wav.numpy(), grid), SAMPLE_RATE, format="WAV")
    return 0


def format_beats(beats: NDArray[np.float64], positions: NDArray[np.int64]) -> str:
    """A .beats file's text: time in seconds, a tab, position in the bar."""
    return "".join(f"{beat:.3f}\t{position}\n" for beat, position in zip(beats, positions, strict=True))


def with_clicks(wav: NDArray[np.float32], grid: Grid) -> NDArray[np.float32]:
    """The waveform (T,) at 16 kHz with a click on each beat, 1 kHz, and on each downbeat, 1.5 kHz."""
    import librosa

    peak = max(float(np.abs(wav).max()), 1e-9)
    mixed = 0.6 * wav / peak
    for frequency, times in ((1500.0, grid.downbeats), (1000.0, grid.beats[grid.positions != 1])):
        heard = times[(times >= 0) & (times < len(wav) / SAMPLE_RATE)]
        if len(heard):
            mixed = mixed + 0.35 * librosa.clicks(
                times=heard, sr=SAMPLE_RATE, click_freq=frequency, click_duration=0.05, length=len(wav)
            )
    return np.clip(mixed, -1, 1).astype(np.float32)
