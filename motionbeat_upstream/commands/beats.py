"""``motionbeat beats``: estimate beats and downbeats of audio files."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from motionbeat_upstream.atomic_write import atomic_path, write_text
from motionbeat_upstream.beat_files import WRITERS, format_beats, save_beats
from motionbeat_upstream.commands.audio_warnings import add_strict_option
from motionbeat_upstream.commands.command import command
from motionbeat_upstream.commands.made_by import RECORDS, made_by
from motionbeat_upstream.commands.many_files import (
    OutputWriter,
    add_many_files_options,
    find_audio,
    make_outputs,
)
from motionbeat_upstream.commands.model_option import (
    add_hint_options,
    add_model_options,
    load_model,
    read_hints,
)
from motionbeat_upstream.commands.paths import audio_file, output_file, output_folder, refuse_inputs
from motionbeat_upstream.config import BEAT_STREAM_LATENCY
from motionbeat_upstream.errors import AudioError
from motionbeat_upstream.tracking.grid import confidence_text

if TYPE_CHECKING:
    from motionbeat_upstream.api import BeatEstimate

DESCRIPTION = """\
Estimate beats, downbeats and metre, with the beat heads of a model or, without heads, by rules over the
onsets. They are printed, or written with -o, as a .beats file: one line per beat, with its time in seconds
and its position in the bar, 1 for downbeats. Silences of several bars have no beats. Tempo, metre and the
confidences of beats and downbeats, from 0 to 1, are printed on standard error.

Other formats, by the suffix of -o or by --format: .txt (as .beats), .csv (time, position, bar), .json, .jams,
.lab (labels of Audacity), .svl (a layer of Sonic Visualiser), .mid (a tempo map), .xml (beat grid of
rekordbox).

For several files or a folder, FILE.beats is written into the folder -o for each, or FILE with the suffix
--format. Existing files of the same model and hints are skipped, so the same command continues an interrupted
run; other files of beats are not replaced without --overwrite.

--follow prints beats while audio arrives, for example from `ffmpeg -i URL -f wav -`."""

DEFAULT_FORMAT = ".beats"
"""Format without ``--format`` and a suffix."""

CLICK_SECONDS = 0.05

CLICK_LEVEL = 0.6
"""Peak of a click, relative to that of the sound."""


@command("motionbeat beats", interrupted="interrupted; what is finished is kept")
def main(arguments: Sequence[str]) -> int:
    """Run the command; 0 if all files have beats, 1 if a file has no pulse or one of several cannot be
    read."""
    parser = argparse.ArgumentParser("motionbeat beats", description=DESCRIPTION)
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="audio files of any format and rate, or folders with audio files",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE.beats|DIR",
        help="file of the beats, in the format of the suffix; for several files their folder",
    )
    parser.add_argument(
        "--click",
        type=output_file(".wav"),
        metavar="FILE.wav",
        help="for one file, write the sound, with its rate and channels, and a click on each beat, higher on "
        "downbeats",
    )
    parser.add_argument(
        "--follow",
        action="store_true",
        help="print the beats of one file, or of standard input if FILE is -, while it is read",
    )
    parser.add_argument(
        "--latency",
        type=float,
        metavar="S",
        help="with --follow, seconds of audio after a beat before it is printed; more gives better beats; "
        f"default: {BEAT_STREAM_LATENCY:g}",
    )
    add_options(parser)
    add_many_files_options(parser)
    options = parser.parse_args(arguments)
    if options.follow:
        return _follow(parser, options)
    if options.latency is not None:
        parser.error("--latency needs --follow")
    if len(options.files) == 1 and not Path(options.files[0]).is_dir():
        return _beats_of_one(parser, options)
    if options.output is None or Path(options.output).suffix.lower() in WRITERS or options.click is not None:
        parser.error("for several files or a folder, give the folder of the beats as -o DIR, and no --click")
    output = _checked(parser, "-o", output_folder, options.output)
    audio = find_audio([Path(name) for name in options.files])
    return make_outputs(
        "beats", audio, beats_files(options, output), partial(load_writer, options, output), options
    )


def _follow(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    """Print the beats of a stream, each as soon as it is final."""
    if len(options.files) > 1 or options.output or options.click or options.format:
        parser.error("--follow prints the beats of one FILE; leave out -o, --click, --format and other files")
    name = options.files[0]
    source = "standard input" if name == "-" else str(_checked(parser, "FILE", audio_file, name))

    from motionbeat_upstream.beat_stream import BeatStream
    from motionbeat_upstream.decoding import decode_stream

    model = load_model(options, uses_weights=False)
    hints = read_hints(options, model)
    stream: BeatStream | None = None
    count = 0

    def write(beats: Sequence[tuple[float, int]]) -> int:
        for time, position in beats:
            print(f"{time:.3f}\t{position}", flush=True)
        return len(beats)

    with nullcontext(sys.stdin.buffer) if name == "-" else open(name, "rb") as file:
        for samples, rate in decode_stream(file, source):
            if stream is None:
                latency = BEAT_STREAM_LATENCY if options.latency is None else options.latency
                stream = BeatStream(model, rate, latency, hints)
            count += write(stream.feed(samples.mean(0)))
    if stream is not None:
        count += write(stream.finish())
    if not count:
        print(f"motionbeat beats: {source}: no pulse", file=sys.stderr)
    return 0 if count else 1


def _beats_of_one(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    path = _checked(parser, "FILE", audio_file, options.files[0])
    output = options.output and _checked(parser, "-o", output_file(*WRITERS), options.output)
    if output and options.format not in (None, output.suffix.lower()):
        parser.error(f"--format {options.format}: {output} has another format; leave one of them out")
    refuse_inputs([output, options.click], [path])

    estimate_beats, _ = load_estimator(options)
    estimate = estimate_beats(path)
    if estimate.bpm is None:
        print(f"motionbeat beats: {path}: no pulse; nothing is written", file=sys.stderr)
        return 1
    print(
        f"{path.name}: {estimate.bpm:.1f} bpm, {estimate.metre} beats per bar, {len(estimate.times)} beats, "
        f"{confidence_text(estimate.confidence, estimate.downbeat_confidence)}",
        file=sys.stderr,
    )
    if output is not None:
        try:
            save_beats(estimate, output)
        except OSError as error:
            raise OSError(
                error.errno, f"cannot be written ({error.strerror}); give another -o", str(output)
            ) from error
    elif isinstance(content := format_beats(estimate, options.format or DEFAULT_FORMAT), str):
        sys.stdout.write(content)
    else:
        sys.stdout.buffer.write(content)
    if options.click is not None:
        import soundfile

        from motionbeat_upstream.decoding import read_sound

        sound, rate = read_sound(path)
        # An open file, because soundfile does not accept names that are not UTF-8.
        with atomic_path(options.click) as draft, draft.open("wb") as file:
            soundfile.write(file, with_clicks(sound, rate, estimate), rate, format="WAV")
    return 0


def _checked(parser: argparse.ArgumentParser, name: str, kind: Callable[[str], Path], value: str) -> Path:
    """Convert an argument whose type depends on others, with argparse's error."""
    try:
        return kind(value)
    except argparse.ArgumentTypeError as error:
        parser.error(f"argument {name}: {error}")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that beats depend on."""
    parser.add_argument(
        "--format",
        type=_suffix,
        metavar="SUFFIX",
        help=f"{', '.join(suffix[1:] for suffix in WRITERS)}; default: {DEFAULT_FORMAT[1:]}, or that of -o",
    )
    add_model_options(parser)
    add_hint_options(parser)
    add_strict_option(parser)


def _suffix(text: str) -> str:
    suffix = f".{text.lower().removeprefix('.')}"
    if suffix not in WRITERS:
        raise argparse.ArgumentTypeError(f"unknown format {text!r}; expected one of {', '.join(WRITERS)}")
    return suffix


def load_estimator(options: argparse.Namespace) -> tuple[Callable[[Path], BeatEstimate], str]:
    """Load a model for the estimation of beats.

    Returns:
        A function that estimates the beats of a file, and raises AudioError if it cannot be read; and the
        text of ``made_by``.

    Raises:
        ConfigError: the hints leave no tempo or metre, or the device is not available.
        CheckpointError: the checkpoint cannot be used.
    """
    from motionbeat_upstream import api

    expert = load_model(options, uses_weights=False)
    hints = asdict(read_hints(options, expert))
    return partial(api.beats, model=expert, **hints), made_by(expert, hints=hints)


def load_writer(options: argparse.Namespace, output: Path) -> tuple[OutputWriter, str]:
    """Load a model, and return the function that writes beats into a folder, and its ``made_by``."""
    estimate_beats, made_by = load_estimator(options)
    files = beats_files(options, output)

    def make(path: Path, relative: Path) -> None:
        estimate = estimate_beats(path)
        if estimate.bpm is None:
            raise AudioError(f"{path}: no pulse; nothing is written")
        files.write(relative, estimate, made_by)

    return make, made_by


def beats_files(options: argparse.Namespace, output: Path) -> BeatsFiles:
    """Return the output files of the options, in the folder ``output``."""
    return BeatsFiles(output, options.format or DEFAULT_FORMAT)


@dataclass(frozen=True)
class BeatsFiles:
    """A file of beats for each input, at its relative path, and a record of its ``made_by``."""

    output: Path
    suffix: str

    def target(self, relative: Path) -> Path:
        """Path of the output of an input."""
        return self.output / f"{relative}{self.suffix}"

    def made_by(self, relative: Path) -> str | None:
        """Text of ``made_by`` of an output: empty for another program, None if it is missing."""
        if not self.target(relative).is_file():
            return None
        try:
            return str(json.loads(self._record(relative).read_text(encoding="utf-8"))["made_by"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def write(self, relative: Path, estimate: BeatEstimate, made_by: str) -> None:
        """Write the beats of an input.

        Raises:
            AudioError: the format cannot contain them.
        """
        # Removed before the record changes, so that old beats are never taken for those of this model.
        self.target(relative).unlink(missing_ok=True)
        write_text(self._record(relative), json.dumps({"made_by": made_by}))
        save_beats(estimate, self.target(relative))

    def _record(self, relative: Path) -> Path:
        return self.output / RECORDS / self.suffix[1:] / f"{relative}.json"


def with_clicks(sound: NDArray[np.float32], rate: int, estimate: BeatEstimate) -> NDArray[np.float32]:
    """Add clicks to a sound (N, C) at ``rate`` Hz: of 1.5 kHz on downbeats, and of 1 kHz on other beats.

    Clicks are equally loud in all channels, relative to the peak of the sound; the sum is scaled down if it
    would clip.
    """
    clicks = np.zeros(len(sound) + round(CLICK_SECONDS * rate), dtype=np.float32)
    seconds = np.arange(round(CLICK_SECONDS * rate)) / rate
    for frequency, times in ((1500.0, estimate.downbeats), (1000.0, estimate.times[estimate.positions != 1])):
        click = np.sin(2 * np.pi * frequency * seconds) * 2.0 ** (-10 * seconds / CLICK_SECONDS)
        for first in np.round(times[(times >= 0) & (times < len(sound) / rate)] * rate).astype(int):
            clicks[first : first + len(click)] += click.astype(np.float32)
    clicks = clicks[: len(sound)]
    mixed: NDArray[np.float32] = sound + CLICK_LEVEL * np.abs(sound).max(initial=0) * clicks[:, None]
    return mixed / max(1.0, float(np.abs(mixed).max(initial=0)))
