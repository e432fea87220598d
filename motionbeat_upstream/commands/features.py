"""``motionbeat features``: extract features of audio files, as one .npz per file or as slices for EDGE."""

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
  times           (T,) centre of each frame in seconds; 50 frames per second
  embedding       (E,) one vector of the file
  beats           (N,) estimated beats in seconds, none in silences of several bars;
                  positions (N,) in the bar, 1 is a downbeat
  metre           beats per bar
  confidence      of the beats in [0, 1], 0: no pulse; downbeat_confidence of downbeats and
                  metre, 0: chance
  beat_tokens     (M, D); token_times (M, 2) start and end of each token in seconds
  onset_envelope  (2T,) onset strength at 100 Hz
  pulse_activation (T,) in [0, 1], probability of a foot contact by a trained model
  made_by         version, architecture, layers and hash of the weights, as JSON
Existing files of the same model are skipped, so the same command continues an interrupted run. Features of
another model, of other layers or from another program are not replaced without --overwrite.

--format edge writes files that the dance generator EDGE reads in place of Jukebox features: 5 s from
every half second of a song on, SONG_sliceK.npy, (150, D) float32 at 30 frames per second, in one folder.
Use data/train/jukebox_feats and data/test/jukebox_feats, and set feature_dim in EDGE.py to D.
Features are extracted from whole songs and then cut. An input with the name
SONG_sliceK, as in EDGE's wavs_sliced, is a slice: it must last 5 s, and is processed alone.
For EDGE's test.py --use_cached_features write them beside the slices of each song that it has cut:
  motionbeat features CACHE/SONG/*.wav -o CACHE/SONG --format edge
Several layers are concatenated."""


@command("motionbeat features", interrupted="interrupted; what is finished is kept")
def main(arguments: Sequence[str]) -> int:
    """Run the command; 0 if all files are done, 1 if some failed."""
    options = _parse(arguments)
    form = output_format(options, options.output)
    audio = find_audio(options.files)
    if options.format == "edge":
        from motionbeat_upstream.commands.feature_files import check_unique_stems

        check_unique_stems([path for path, _ in audio])
    return make_outputs("features", audio, form, partial(load_writer, options, options.output), options)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that features depend on."""
    parser.add_argument("--format", choices=("npz", "edge"), default="npz", help="default: npz")
    parser.add_argument(
        "-l", "--layers", type=_layers, default="last", metavar="last|all|0,3,…", help="default: last"
    )
    parser.add_argument("--half", action="store_true", help="store the features of .npz files as float16")
    add_model_options(parser)
    add_strict_option(parser)


def output_format(options: argparse.Namespace, output: Path) -> NpzFormat | EdgeFormat:
    """Return the output format of the options, in the folder ``output``.

    Raises:
        ConfigError: slices for EDGE in half precision.
    """
    if options.format == "edge" and options.half:
        raise ConfigError("--half: EDGE reads float32; leave it out with --format edge")
    from motionbeat_upstream.commands.feature_files import EdgeFormat, NpzFormat

    if options.format == "edge":
        return EdgeFormat(output, options.layers)
    return NpzFormat(output, options.layers, options.half)


def load_writer(options: argparse.Namespace, output: Path) -> tuple[OutputWriter, str]:
    """Load a model, and return the function that writes features into a folder, and its ``made_by``.

    Raises:
        ConfigError: the model does not have a requested layer, or the device is not available.
        CheckpointError: the checkpoint cannot be used.
    """
    form, expert = output_format(options, output), load_model(options)
    count = expert.tower.config.layers
    if isinstance(options.layers, list) and not all(0 <= index < count for index in options.layers):
        raise ConfigError(f"--layers {options.layers}: expected layers from 0 to {count - 1} of this model")
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
        help="audio files, or folders with audio files",
    )
    parser.add_argument(
        "-o", "--output", required=True, type=output_folder, metavar="DIR", help="folder of the features"
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
