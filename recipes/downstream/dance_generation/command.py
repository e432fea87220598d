"""``motionbeat dance``: dance to a song: a film, a page that plays, or a motion for other programs."""

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
Dance to a song. The suffix of -o says as what the dance is written; -o may be given again:
  .mp4   a stick figure with the sound
  .png   music and touch-downs of the first 16 s on one time axis (.pdf, .svg alike)
  .html  one page that plays in a browser, without a network: the dancer can be turned
  .bvh   for animation programs: centimetres, y up, 30 frames a second
  .glb   a stick body for Blender, three.js and game engines: metres, y up, 30 frames a second
  .pkl   as AIST++ has it: smpl_poses, smpl_trans, smpl_scaling, 60 frames a second
  .npz   joints in metres with touch-downs and estimated beats, as this project keeps motions
The model that ships is small, and has learned from constructed dances alone; no download is needed. To train
one: run_downstream.py -m train -d dance_generation, then
python -m recipes.downstream.dance_generation.export RUN FILE makes the file for -k."""


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
    danced = dance(options.song)
    for output in options.output:
        write_dance(output, danced)
        print(f"wrote {output}", file=sys.stderr)
    return 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what a dance depends on, whichever the song is."""
    parser.add_argument("--seed", type=int, default=0, help="another one gives another dance (%(default)s)")
    parser.add_argument(
        "--guidance", type=float, help="how strongly music counts; 1: as learned, 0: not at all (the model's)"
    )
    parser.add_argument("--steps", type=int, help="of the diffusion; fewer are faster (the model's)")
    parser.add_argument("--start", type=float, default=0.0, metavar="S", help="dance from this second on")
    parser.add_argument("--seconds", type=float, metavar="S", help="dance so much of the song (all)")
    parser.add_argument(
        "--begin-with",
        type=input_file,
        metavar="FILE.npz",
        help="go on from where this motion ends, up to 2 s of it",
    )
    parser.add_argument(
        "-k",
        "--checkpoint",
        type=input_file,
        metavar="FILE",
        help="the dance model (the small one that ships)",
    )
    parser.add_argument(
        "--upstream-weights",
        type=Path,
        metavar="FILE",
        help="-k of the upstream that the model was trained on",
    )
    add_strict_option(parser)


def load_dancer(options: argparse.Namespace) -> tuple[Callable[[Path], LoadedPair], str]:
    """What dances to songs as the options say, and what says that dances were made by it.

    Returns:
        A function that gives a song with its dance, or the stretch that is asked for. It raises AudioError
        for a file that cannot be read, DataError for one without that stretch. And the text of ``made_by``.

    Raises:
        ConfigError: numbers that are not allowed.
        CheckpointError: the model or the upstream's weights cannot be used.
        DataError: the motion to begin with cannot be used.
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
    encode = encoder_of(dancer, options.upstream_weights)
    begin = None
    if options.begin_with is not None:
        begin = start_numbers(dancer.model, read_motion(options.begin_with)[0], str(options.begin_with))
    # Its grid is what `motionbeat beats` and `plot` give the song, whatever upstream the dancer has.
    listener = motionbeat()

    def dance(song: Path) -> LoadedPair:
        whole = read_audio(song)
        length = len(whole) / SAMPLE_RATE
        seconds = length - options.start if options.seconds is None else options.seconds
        if not 0 <= options.start < length or seconds <= 0:
            raise DataError(f"--start {options.start:g} --seconds {seconds:g}: {song} lasts {length:.2f} s")
        stop = min(length, options.start + seconds)
        wav = whole[round(options.start * SAMPLE_RATE) : round(stop * SAMPLE_RATE)]
        frames = int(len(wav) / SAMPLE_RATE * FPS)
        with tqdm(total=frames, unit=" frames", desc="dancing", disable=None) as bar:
            motion = dance_song(
                wav, encode, dancer, options.seed, options.guidance, options.steps, begin, bar.update
            )
        return _as_pair(song, options, wav, motion, listener.tower.estimate_grid(whole), stop)

    chosen = ("seed", "guidance", "steps", "start", "seconds")
    return dance, made_by(
        listener,
        dancer=file_sha256(file),
        upstream=weights_sha256(dancer.upstream, options.upstream_weights),
        begin_with=options.begin_with and file_sha256(options.begin_with),
        **{name: getattr(options, name) for name in chosen},
    )


def encoder_of(dancer: DanceFile, weights: Path | None) -> Callable[[Tensor], Tensor]:
    """What gives (1, F, D) of samples, as the dancer was trained to hear them.

    Raises:
        CheckpointError: the upstream's weights are others, or its features of another width.
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
        wanted = dancer.model.music_scale.num_features
        if mixed.shape[-1] != wanted:
            raise CheckpointError(
                f"{dancer.upstream}: features of {mixed.shape[-1]} numbers, the dance model was trained on "
                f"{wanted}; give the weights that it was trained with (--upstream-weights)"
            )
        return mixed

    return encode


def _as_pair(
    song: Path, options: argparse.Namespace, wav: Tensor, motion: Motion, grid: Grid, stop: float
) -> LoadedPair:
    """The dance as a pair, for what draws and writes pairs; ``grid`` and its tempo are the whole song's."""
    from motion_data.loading import LoadedPair

    digest = file_sha256(song)
    inside = (grid.beats >= options.start) & (grid.beats < stop)
    heard = grid.confidence > 0 and inside.sum() >= 2
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
        grid="estimated" if heard else "none",
        metre=grid.metre if heard else None,
        bpm=grid.bpm if heard else None,
        audio=AudioSpan(str(song.resolve()), options.start, stop, digest),
        motion="",
    )
    shown = None
    if heard:
        beats = grid.beats[inside] - options.start
        shown = replace(grid, beats=beats, positions=grid.positions[inside])
    return LoadedPair(pair, wav, motion, shown)


def write_dance(output: Path, danced: LoadedPair) -> None:
    """Write a dance as the suffix of ``output`` says."""
    from motion_data.looking.excerpt import cut_excerpt

    suffix = output.suffix.lower()
    if suffix in DRAWN:
        draw(output, cut_excerpt(danced, Path(), seconds=seconds_shown(suffix)))
    elif suffix in MOTIONS:
        export_motion(output, danced.motion)
    else:
        write_motion(output, danced.motion, danced.grid)
