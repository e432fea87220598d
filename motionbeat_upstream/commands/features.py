"""``motionbeat features``: extract features of audio files, as one .npz a file or as slices for EDGE."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from motionbeat_upstream.atomic_write import is_hidden, stops_writing
from motionbeat_upstream.commands.audio_warnings import add_strict_option
from motionbeat_upstream.commands.command import command
from motionbeat_upstream.commands.made_by import made_by as made_by_model
from motionbeat_upstream.commands.model_option import add_model_options, load_model
from motionbeat_upstream.errors import AudioError, ConfigError

if TYPE_CHECKING:
    from motionbeat_upstream.commands.feature_files import EdgeFormat, Layers, NpzFormat
    from motionbeat_upstream.expert import UpstreamExpert

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
    if Path(options.output).exists() and not Path(options.output).is_dir():
        raise NotADirectoryError(f"-o {options.output}: expected a folder, found a file")
    if not any(Path(name).exists() for name in options.files):
        raise FileNotFoundError(f"{options.files[0]}: no such file")
    form = output_format(options, Path(options.output))

    from tqdm import tqdm

    from motionbeat_upstream.commands.feature_files import refuse_one_name

    audio = find_audio([Path(name) for name in options.files])
    if options.format == "edge":
        refuse_one_name([path for path, _ in audio])
    expert, made_by = load_extractor(options)
    found = {relative: None if options.overwrite else form.made_by(relative) for _, relative in audio}
    others = [relative for relative, by in found.items() if by not in (None, made_by)]
    if others:
        raise ConfigError(
            f"{form.target(others[0])}: was made by another model, version or program, or with other layers "
            f"({len(others)} of {len(audio)} outputs were); give another -o, or --overwrite to replace them"
        )
    failed: list[str] = []
    done = skipped = 0
    for path, relative in tqdm(audio, unit="file", desc="features", disable=None):
        if found[relative] == made_by:
            skipped += 1
            continue
        try:
            form.write(expert, path, relative, made_by)
            done += 1
        except AudioError as error:
            failed.append(str(error))
        except OSError as error:
            if stops_writing(error) or error.errno == errno.EACCES:
                # The next file would fare no better.
                raise OSError(
                    error.errno,
                    f"{error.strerror} while writing {form.target(relative)}; {done} finished before it",
                ) from error
            if error.errno == errno.ENAMETOOLONG:
                failed.append(f"{path}: the name of its output is too long for the file system; shorten it")
            else:
                failed.append(f"{path}: {error}")
    print(f"{done} extracted, {skipped} there already, {len(failed)} failed", file=sys.stderr)
    for message in failed:
        print(f"failed: {message}", file=sys.stderr)
    return 1 if failed else 0


def find_audio(inputs: Sequence[Path]) -> list[tuple[Path, Path]]:
    """The audio files of files and folders, each with the relative path of its output.

    A file that is not there is kept, to be reported when its turn comes.

    Raises:
        AudioError: a folder without audio, or two inputs whose outputs would have one name.
    """
    from motionbeat_upstream.decoding import AUDIO_SUFFIXES

    found: dict[Path, Path] = {}
    for given in inputs:
        if given.is_dir():
            inside = sorted(
                path
                for path in given.rglob("*")
                if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file() and not is_hidden(path)
            )
            if not inside:
                raise AudioError(
                    f"{given}: no audio in this folder; looked for {' '.join(sorted(AUDIO_SUFFIXES))}"
                )
            pairs = [(path, path.relative_to(given)) for path in inside]
        else:
            pairs = [(given, Path(given.name))]
        for path, relative in pairs:
            if found.setdefault(relative, path).resolve() != path.resolve():
                raise AudioError(
                    f"{path} and {found[relative]} would both be written to {relative}.npz; "
                    f"give their common folder instead, or run them into two output folders"
                )
    return [(path, relative) for relative, path in found.items()]


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


def load_extractor(options: argparse.Namespace) -> tuple[UpstreamExpert, str]:
    """The model that the options name, and what says that features were made by it.

    Raises:
        ConfigError: it lacks a layer that is asked for, or the device is not there.
        CheckpointError: the checkpoint cannot be used.
    """
    expert = load_model(options)
    count = expert.tower.config.layers
    if isinstance(options.layers, list) and not all(0 <= index < count for index in options.layers):
        raise ConfigError(f"--layers {options.layers}: this model has layers 0 to {count - 1}")
    return expert, made_by_model(expert, layers=options.layers, half=options.half)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "motionbeat features", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="audio files, or folders that are searched for audio"
    )
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="where the features go")
    add_options(parser)
    parser.add_argument("--overwrite", action="store_true", help="make anew what is there already")
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
