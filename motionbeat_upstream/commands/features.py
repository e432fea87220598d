"""``motionbeat features``: audio files in, one .npz of features a file out."""

from __future__ import annotations

import argparse
import errno
import hashlib
import json
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.audio import AUDIO_SUFFIXES, AudioError, read_audio
from motionbeat_upstream.commands.model_option import add_model_options, load_model
from motionbeat_upstream.config import SAMPLE_RATE, STRIDE, ConfigError
from motionbeat_upstream.expert import UpstreamExpert
from motionbeat_upstream.version import __version__

DESCRIPTION = """\
Extract MotionBeat features. One .npz is written per file, with
  features        (T, D), or (L, T, D) for several layers, float32 or float16
  times           (T,) middle of each frame in seconds; 50 frames a second
  embedding       (E,) the clip as one vector
  beats           (N,) estimated beats in seconds; positions (N,) in the bar, 1 is a downbeat
  metre           beats per bar; confidence of the grid in [0, 1], 0: no pulse was heard
  beat_tokens     (M, D); token_times (M, 2) start and end of each token in seconds
  onset_envelope  (2T,) onset strength at 100 Hz
  pulse_activation (T,) in [0, 1], how much a trained model takes each frame for a step
  made_by         version, architecture, layers and hash of the weights, as JSON
Files that are there already and were made by the same model are skipped, so an interrupted run
is taken up by calling it again."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; 0 when every file is done, 1 when some could not be."""
    options = _parse(arguments)
    if Path(options.output).exists() and not Path(options.output).is_dir():
        raise NotADirectoryError(f"-o {options.output}: expected a folder, found a file")
    audio = find_audio([Path(name) for name in options.files])
    expert = load_model(options)
    count = expert.tower.config.layers
    if isinstance(options.layers, list) and not all(0 <= index < count for index in options.layers):
        raise ConfigError(f"--layers {options.layers}: this model has layers 0 to {count - 1}")
    made_by = _made_by(expert, options)
    failed: list[str] = []
    done = skipped = 0
    for path, relative in tqdm(audio, unit="file", desc="features", disable=None):
        target = Path(options.output) / relative.with_name(relative.name + ".npz")
        if not options.overwrite and _is_made_by(target, made_by):
            skipped += 1
            continue
        try:
            arrays = _extract(expert, path, options)
            with atomic_path(target) as draft, draft.open("wb") as file:
                np.savez(file, allow_pickle=False, made_by=np.array(made_by), **arrays)
            done += 1
        except AudioError as error:
            failed.append(str(error))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
                # The next file would fare no better.
                raise OSError(
                    error.errno, f"{error.strerror} while writing {target}; {done} finished before it"
                ) from error
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
    found: dict[Path, Path] = {}
    for given in inputs:
        if given.is_dir():
            inside = sorted(p for p in given.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES and p.is_file())
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


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "motionbeat features", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="audio files, or folders that are searched for audio"
    )
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="where the .npz files go")
    parser.add_argument(
        "-l", "--layers", type=_layers, default="last", metavar="last|all|0,3,…", help="default: last"
    )
    parser.add_argument("--half", action="store_true", help="store features as float16, half the space")
    parser.add_argument("--overwrite", action="store_true", help="make anew what is there already")
    add_model_options(parser)
    return parser.parse_args(arguments)


def _layers(text: str) -> str | list[int]:
    if text in ("last", "all"):
        return text
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected last, all, or numbers such as 0,3, got {text!r}"
        ) from None


def _made_by(expert: UpstreamExpert, options: argparse.Namespace) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(expert.tower.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return json.dumps(
        {
            "version": __version__,
            "arch": expert.tower.config.arch,
            "grid": [expert.tower.config.grid_from, expert.tower.config.grid_trust],
            "weights": digest.hexdigest()[:16],
            "training": expert.provenance.training,
            "layers": options.layers,
            "half": options.half,
        },
        sort_keys=True,
    )


def _is_made_by(target: Path, made_by: str) -> bool:
    if not target.is_file():
        return False
    try:
        with np.load(target, allow_pickle=False) as stored:
            return bool(str(stored["made_by"]) == made_by)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return False


def _extract(
    expert: UpstreamExpert, path: Path, options: argparse.Namespace
) -> dict[str, NDArray[np.generic]]:
    with torch.inference_mode():
        said = expert([read_audio(path)])
    layers: list[torch.Tensor] = [state[0] for state in said["hidden_states"]]
    if options.layers == "last":
        features = layers[-1]
    else:
        chosen = range(len(layers)) if options.layers == "all" else options.layers
        features = torch.stack([layers[index] for index in chosen])
    grid = said["grids"][0]
    return {
        "features": features.to(torch.float16 if options.half else torch.float32).cpu().numpy(),
        "times": (np.arange(features.shape[-2]) + 0.5) * STRIDE / SAMPLE_RATE,
        "embedding": said["embedding"][0].float().cpu().numpy(),
        "beats": grid.beats,
        "positions": grid.positions,
        "metre": np.array(grid.metre),
        "confidence": np.array(grid.confidence),
        "beat_tokens": said["beat_tokens"][0].float().cpu().numpy(),
        "token_times": said["token_times"][0].float().cpu().numpy(),
        "onset_envelope": said["onset_envelope"][0].float().cpu().numpy(),
        "pulse_activation": said["pulse_activation"][0].cpu().numpy(),
    }
