"""Generate a dance to a song, as a video, a web page or a motion file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from motion_data.errors import DataError
from motion_data.files import file_sha256
from motion_data.looking import SUFFIXES as DRAWN
from motion_data.looking import draw, seconds_shown
from motion_data.motion_file import read_motion, write_motion
from motion_data.pair import AudioSpan, MotionPair
from motion_data.skeleton import JOINTS
from motion_data.writing import SUFFIXES as MOTIONS
from motion_data.writing import export_motion
from motionbeat_upstream.commands.audio_warnings import add_strict_option
from motionbeat_upstream.commands.command import command
from motionbeat_upstream.commands.made_by import made_by
from motionbeat_upstream.commands.paths import audio_file, input_file, output_file, refuse_inputs
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.errors import CheckpointError, ConfigError
from motionbeat_upstream.file_name import printable
from motionbeat_upstream.tracking.grid import Grid

if TYPE_CHECKING:
    from torch import Tensor

    from motion_data.loading import LoadedPair
    from motion_data.motion import Motion
    from recipes.downstream.dance_generation.dance_file import DanceFile

DESCRIPTION = """\
Generate a dance to a song. The suffix of -o determines the format; -o may be repeated:
  .mp4   video of a stick figure with the sound
  .png   music and touch-downs of the first 16 s on one time axis (also .pdf, .svg)
  .html  a self-contained page with an interactive player
  .bvh   for animation programs: centimetres, y up, 30 frames per second
  .glb   stick figure for Blender, three.js and game engines: metres, y up, 30 frames per second
  .pkl   as in AIST++: smpl_poses, smpl_trans, smpl_scaling, 60 frames per second
  .npz   a motion of this project: joints in metres, touch-downs, estimated beats
The shipped model is small and trained on constructed dances only. To train another one: run_downstream.py
-m train -d dance_generation, then python -m recipes.downstream.dance_generation.export RUN FILE for -k."""


@command("motionbeat dance", extra="s3prl")
def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        "motionbeat dance", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("song", type=audio_file, metavar="SONG", help="audio of any format and rate")
    parser.add_argument(
        "-o",
        "--output",
        action="append",
        required=True,
        type=output_file(*DRAWN, *MOTIONS, ".npz"),
        metavar="FILE",
    )
    add_options(parser)
    options = parser.parse_args(arguments)
    refuse_inputs(options.output, [options.song, options.begin_with])
    dance, _ = load_dancer(options)
    pair = dance(options.song)
    for output in options.output:
        write_dance(output, pair)
        print(f"wrote {output}", file=sys.stderr)
    return 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that a dance depends on."""
    parser.add_argument("--seed", type=int, default=0, help="seed of the dance (%(default)s)")
    parser.add_argument(
        "--guidance", type=float, help="influence of the music; 1: as learned, 0: none (the model's)"
    )
    parser.add_argument("--steps", type=int, help="diffusion steps; fewer are faster (the model's)")
    parser.add_argument(
        "--start", type=float, default=0.0, metavar="S", help="start at this second of the song"
    )
    parser.add_argument("--seconds", type=float, metavar="S", help="length of the dance (the whole song)")
    parser.add_argument(
        "--begin-with",
        type=input_file,
        metavar="FILE.npz",
        help="continue this motion, from its last 2 s",
    )
    parser.add_argument(
        "-k",
        "--checkpoint",
        type=input_file,
        metavar="FILE",
        help="dance model (the shipped one)",
    )
    parser.add_argument(
        "--upstream-weights",
        type=Path,
        metavar="FILE",
        help="weights of the upstream (-k) that the model was trained on",
    )
    add_strict_option(parser)


def load_dancer(options: argparse.Namespace) -> tuple[Callable[[Path], LoadedPair], str]:
    """Load the dance model of the options.

    Returns:
        A function that maps the path of a song to the song with its dance, and the text of ``made_by``. The
        function raises AudioError for a file that cannot be read, DataError for one without the requested
        span.

    Raises:
        ConfigError: invalid numbers.
        CheckpointError: the model or the weights of the upstream cannot be used.
        DataError: the motion of --begin-with cannot be used.
    """
    if (options.guidance is not None and options.guidance < 0) or (
        options.steps is not None and options.steps < 1
    ):
        raise ConfigError("--guidance must be at least 0, --steps at least 1")

    from tqdm import tqdm

    from motionbeat_upstream.audio import read_audio
    from motionbeat_upstream.hubconf import motionbeat
    from motionbeat_upstream.threads import use_idle_cores
    from recipes.downstream.dance_generation.body_numbers import FPS
    from recipes.downstream.dance_generation.dance_file import SHIPPED, read_dance_model
    from recipes.downstream.dance_generation.song_dance import dance_song, start_numbers
    from recipes.downstream.s3prl_runner.registration import weights_sha256

    use_idle_cores()
    file = options.checkpoint or SHIPPED
    dancer = read_dance_model(file)
    encode = load_song_encoder(dancer, options.upstream_weights)
    begin = None
    if options.begin_with is not None:
        begin = start_numbers(dancer.model, read_motion(options.begin_with)[0], str(options.begin_with))
    # Estimates the same grid as `motionbeat beats` and `plot`, whatever upstream the dance model uses.
    beat_tracker = motionbeat()

    def dance(song: Path) -> LoadedPair:
        audio = read_audio(song)
        length = len(audio) / SAMPLE_RATE
        seconds = length - options.start if options.seconds is None else options.seconds
        if not 0 <= options.start < length or seconds <= 0:
            raise DataError(f"--start {options.start:g} --seconds {seconds:g}: {song} lasts {length:.2f} s")
        stop = min(length, options.start + seconds)
        wav = audio[round(options.start * SAMPLE_RATE) : round(stop * SAMPLE_RATE)]
        frames = int(len(wav) / SAMPLE_RATE * FPS)
        with tqdm(total=frames, unit=" frames", desc="dancing", disable=None) as bar:
            motion = dance_song(
                wav, encode, dancer, options.seed, options.guidance, options.steps, begin, bar.update
            )
        return _as_pair(song, options, wav, motion, beat_tracker.tower.estimate_grid(audio), stop)

    names = ("seed", "guidance", "steps", "start", "seconds")
    return dance, made_by(
        beat_tracker,
        dancer=file_sha256(file),
        upstream=weights_sha256(dancer.upstream, options.upstream_weights),
        begin_with=options.begin_with and file_sha256(options.begin_with),
        **{name: getattr(options, name) for name in names},
    )


def load_song_encoder(dancer: DanceFile, weights: Path | None) -> Callable[[Tensor], Tensor]:
    """A function that computes the (1, F, D) features that the dance model was trained on from samples.

    Raises:
        CheckpointError: other weights of the upstream, or features of another width.
        MotionBeatError: there is no such upstream.
    """
    import torch

    from motionbeat_upstream import hubconf
    from recipes.downstream.s3prl_runner.registration import PACKAGED_WEIGHTS

    file = dancer.weights_file(weights)
    if dancer.upstream in PACKAGED_WEIGHTS:
        model: torch.nn.Module = hubconf.motionbeat_local(ckpt=file).eval()
    else:
        from recipes.downstream.encoder import load_encoder

        model = load_encoder(dancer.upstream, dancer.upstream, weights).model

    @torch.inference_mode()
    def encode(wav: Tensor) -> Tensor:
        mixed = dancer.mix(model([wav.clone()])["hidden_states"])
        expected = dancer.model.music_scale.num_features
        if mixed.shape[-1] != expected:
            raise CheckpointError(
                f"{dancer.upstream}: features of width {mixed.shape[-1]}; the dance model was trained on "
                f"width {expected}; give the weights that it was trained with (--upstream-weights)"
            )
        return mixed

    return encode


def _as_pair(
    song: Path, options: argparse.Namespace, wav: Tensor, motion: Motion, grid: Grid, stop: float
) -> LoadedPair:
    """The song and its dance as a pair; ``grid`` is the grid of the whole song."""
    from motion_data.loading import LoadedPair

    digest = file_sha256(song)
    inside = (grid.beats >= options.start) & (grid.beats < stop)
    has_grid = grid.confidence > 0 and inside.sum() >= 2
    pair = MotionPair(
        name=printable(song.stem),
        corpus="generated",
        piece=printable(song.stem),
        take=f"seed {options.seed}",
        split="test",
        licence="the song's own, for its sound",
        seconds=len(wav) / SAMPLE_RATE,
        fps=motion.fps,
        joints=JOINTS,
        pulses={limb: len(times) for limb, times in motion.pulses.items()},
        grid="estimated" if has_grid else "none",
        metre=grid.metre if has_grid else None,
        bpm=grid.bpm if has_grid else None,
        audio=AudioSpan(str(song.resolve()), options.start, stop, digest),
        motion="",
    )
    excerpt_grid = None
    if has_grid:
        beats = grid.beats[inside] - options.start
        excerpt_grid = replace(grid, beats=beats, positions=grid.positions[inside])
    return LoadedPair(pair, wav, motion, excerpt_grid)


def write_dance(output: Path, pair: LoadedPair) -> None:
    """Write a dance in the format of the suffix of ``output``."""
    from motion_data.looking.excerpt import cut_excerpt

    suffix = output.suffix.lower()
    if suffix in DRAWN:
        draw(output, cut_excerpt(pair, Path(), seconds=seconds_shown(suffix)))
    elif suffix in MOTIONS:
        export_motion(output, pair.motion)
    else:
        write_motion(output, pair.motion, pair.grid)
