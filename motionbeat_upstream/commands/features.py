"""``motionbeat features``: extract features of audio files, as one .npz a file or as slices for EDGE."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from motionbeat_upstream.commands.audio_warnings import add_strict_option
from motionbeat_upstream.commands.command import command
from motionbeat_upstream.commands.made_by import made_by as made_by_model
from motionbeat_upstream.commands.many_files import (
    OutputWriter,
    add_many_files_options,
    find_audio,
    make_outputs,
)
from motionbeat_upstream.commands.model_option import add_model_options, load_model
from motionbeat_upstream.commands.paths import output_folder
from motionbeat_upstream.errors import ConfigError

if TYPE_CHECKING:
    from motionbeat_upstream.commands.feature_files import EdgeFormat, Layers, NpzFormat

DESCRIPTION = """\
Extract MotionBeat features. One .npz is written per file, with
  features        (T, D), or (L, T, D) for several layers, float32 or float16
  times           (T,) middle of each frame in seconds; 50 frames a second
  embedding       (E,) the clip as one vector
  beats           (N,) estimated beats in seconds, none in silences of several bars;
                  positions (N,) in the bar, 1 is a downbeat
  metre           beats per bar
  confidence      of the beats in [0, 1], 0: no pulse was heard; downbeat_confidence of downbeats and
                  metre, 0: a guess
  beat_tokens     (M, D); token_times (M, 2) start and end of each token in seconds
  onset_envelope  (2T,) onset strength at 100 Hz
  pulse_activation (T,) in [0, 1], how much a trained model takes each frame for a step
  made_by         version, architecture, layers and hash of the weights, as JSON
Files that are there already and were made by the same model are skipped, so an interrupted run
is taken up by calling it again. Features of another model, of other layers or from another program
are not replaced without --overwrite.

--format edge writes what the dance generator EDGE reads for Jukebox's features instead: 5 s from
every half second of a song on, SONG_sliceK.npy, (150, D) float32 at 30 frames a second, in one folder.
Let that be data/train/jukebox_feats and data/test/jukebox_feats, and set EDGE.py's feature_dim to D.
Songs are heard whole and cut then, so that a slice knows what is around it. A file that is called
SONG_sliceK, as in EDGE's wavs_sliced, is a slice already: it must last 5 s, and is heard alone.
For EDGE's test.py --use_cached_features lay them beside the slices of each song that it has cut:
  motionbeat features CACHE/SONG/*.wav -o CACHE/SONG --format edge
Several layers stand side by side, D of each."""


@command("motionbeat features", interrupted="interrupted; what is finished is kept")
def main(arguments: Sequence[str]) -> int:
    """Run the command; 0 when every file is done, 1 when some could not be."""
    options = _parse(arguments)
    form = output_format(options, options.output)
    audio = find_audio(options.files)
    if options.format == "edge":
        from motionbeat_upstream.commands.feature_files import check_unique_stems

        check_unique_stems([path for path, _ in audio])
    return make_outputs("features", audio, form, partial(load_writer, options, options.output), options)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what features depend on, whichever the files are."""
    parser.add_argument("--format", choices=("npz", "edge"), default="npz", help="default: npz")
    parser.add_argument(
        "-l", "--layers", type=_layers, default="last", metavar="last|all|0,3,…", help="default: last"
    )
    parser.add_argument(
        "--half", action="store_true", help="store features of an .npz as float16, half the space"
    )
    add_model_options(parser)
    add_strict_option(parser)


def output_format(options: argparse.Namespace, output: Path) -> NpzFormat | EdgeFormat:
    """The files that the options ask for, in the folder ``output``.

    Raises:
        ConfigError: EDGE's slices in half precision.
    """
    if options.format == "edge" and options.half:
        raise ConfigError("--half: EDGE computes in float32; leave it out with --format edge")
    from motionbeat_upstream.commands.feature_files import EdgeFormat, NpzFormat

    if options.format == "edge":
        return EdgeFormat(output, options.layers)
    return NpzFormat(output, options.layers, options.half)


def load_writer(options: argparse.Namespace, output: Path) -> tuple[OutputWriter, str]:
    """What writes the features of a file into a folder as the options say, and what they are made by.

    Raises:
        ConfigError: the model lacks a layer that is asked for, or the device is not there.
        CheckpointError: the checkpoint cannot be used.
    """
    form, expert = output_format(options, output), load_model(options)
    count = expert.tower.config.layers
    if isinstance(options.layers, list) and not all(0 <= index < count for index in options.layers):
        raise ConfigError(f"--layers {options.layers}: this model has layers 0 to {count - 1}")
    made_by = made_by_model(expert, layers=options.layers, half=options.half)
    return lambda path, relative: form.write(expert, path, relative, made_by), made_by


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "motionbeat features", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="audio files, or folders that are searched for audio",
    )
    parser.add_argument(
        "-o", "--output", required=True, type=output_folder, metavar="DIR", help="where the features go"
    )
    add_options(parser)
    add_many_files_options(parser)
    return parser.parse_args(arguments)


def _layers(text: str) -> Layers:
    if text in ("last", "all"):
        return text
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected last, all, or numbers such as 0,3, got {text!r}"
        ) from None
