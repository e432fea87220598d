"""``motionbeat data inspect``: a pair as a picture, a film, a page that plays, or its motion as a file."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from motion_data.errors import DataError
from motion_data.looking import SUFFIXES as DRAWN
from motion_data.looking import caption, draw, facts, seconds_shown
from motion_data.manifest import Corpus, read_corpus
from motion_data.motion import Motion
from motion_data.pair import MotionPair
from motion_data.writing import SUFFIXES as MOTIONS
from motion_data.writing import export_motion
from motionbeat_upstream.commands.command import command
from motionbeat_upstream.commands.paths import output_file, refuse_inputs

DESCRIPTION = """\
Look at a pair of a prepared corpus. The suffix of -o says as what:
  .png .pdf .svg  beats, bars, onset envelope, poses, contacts, speed and accent mass on one time axis; where
                  they are known, sections, chords, drums, and notes over the spectrogram too
  .mp4            a stick figure with the sound
  .html           one page that plays in a browser, without a network: the skeleton can be turned
  .bvh            its motion for animation programs: centimetres, y up, the motion's own frame rate
  .glb            its motion on a stick body, for Blender, three.js and game engines: metres, y up
  .pkl            its motion as AIST++ has it: smpl_poses, smpl_trans, smpl_scaling, 60 frames a second
Rotations in .bvh, .glb and .pkl are the motion's own where it has them, else fitted to its joints, without
twist about the bones. None has a place for the sound's clock: where frame 0 stands in it is printed.
Without -o, what the manifest says of the pair."""


@command("motionbeat data inspect", extra="data")
def main(arguments: Sequence[str]) -> int:
    """Run the command; 0 when all is written."""
    parser = argparse.ArgumentParser(
        "motionbeat data inspect",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("corpus", metavar="CORPUS", help="folder of a prepared corpus, or a URL of shards")
    parser.add_argument("name", nargs="?", metavar="NAME", help="of the pair; default: the first")
    parser.add_argument(
        "-o",
        "--output",
        action="append",
        default=[],
        type=output_file(*DRAWN, *MOTIONS),
        metavar="FILE",
        help="may be given again",
    )
    parser.add_argument("--list", action="store_true", help="list the pairs instead")
    parser.add_argument(
        "--start", type=float, default=0.0, metavar="S", help="first second that is shown; default: 0"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help="how much is shown; default: 16 in a picture, else all",
    )
    options = parser.parse_args(arguments)
    corpus = read_corpus(options.corpus)
    if options.list:
        for pair in corpus.pairs:
            print(f"{pair.name}\t{pair.split}\t{pair.seconds:.1f} s\t{caption(pair)}")
        return 0
    pair = find_pair(corpus, options.name)
    if not options.output:
        told = facts(pair)
        width = max(len(key) for key in told)
        print("\n".join(f"{key:{width}}  {value}" for key, value in told.items()))
        return 0
    file = pair.audio_file
    refuse_inputs(options.output, [corpus.folder / file.path] if file is not None else [])

    from motion_data.loading import load_pair
    from motion_data.looking.excerpt import cut_excerpt
    from motionbeat_upstream.threads import use_idle_cores

    use_idle_cores()
    loaded = load_pair(pair, corpus.folder)
    for output in options.output:
        suffix = output.suffix.lower()
        if suffix in MOTIONS:
            _write_motion(output, pair.name, loaded.motion, options.start, options.seconds)
            continue
        seconds = seconds_shown(suffix) if options.seconds is None else options.seconds
        draw(output, cut_excerpt(loaded, corpus.folder, options.start, seconds))
        print(f"wrote {output}", file=sys.stderr)
    return 0


def _write_motion(output: Path, name: str, motion: Motion, start: float, seconds: float | None) -> None:
    try:
        motion = cut_motion(motion, start, seconds)
        export_motion(output, motion)
    except DataError as error:
        raise DataError(f"pair {name!r}: {error}; {output} is not written") from error
    print(f"wrote {output}: frame 0 stands at {motion.start:.3f} s of the sound", file=sys.stderr)


def cut_motion(motion: Motion, start: float = 0.0, seconds: float | None = None) -> Motion:
    """The motion from the frame nearest to ``start`` on, on the clock that it has.

    Args:
        motion: any.
        start: seconds of the audio.
        seconds: how long; to the end where it is None or reaches beyond it.

    Raises:
        DataError: under two frames stand in the stretch.
    """
    # Ends that lie between frames are moved to the nearest ones.
    first, last = (
        motion.start + math.ceil((time - motion.start) * motion.fps - 0.5) / motion.fps
        for time in (start, motion.start + motion.seconds if seconds is None else start + seconds)
    )
    return motion.between(first, last).shift(first)


def find_pair(corpus: Corpus, name: str | None) -> MotionPair:
    """The pair of that name, or the first.

    Raises:
        DataError: there is none; the message names those that come close.
    """
    if name is None:
        return corpus.pairs[0]
    for pair in corpus.pairs:
        if pair.name == name:
            return pair
    near = [pair.name for pair in corpus.pairs if name.lower() in pair.name.lower()][:5]
    hint = f"; did you mean {', '.join(near)}?" if near else "; --list names them all"
    raise DataError(f"{corpus.folder}: no pair {name!r} among {len(corpus.pairs)}{hint}")
