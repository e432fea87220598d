"""``motionbeat data inspect``: show a pair as a picture, video or web page, or export its motion."""

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
Show a pair of a prepared corpus. The suffix of -o selects the format:
  .png .pdf .svg  beats, bars, onset envelope, poses, contacts, speed and accent mass on one time axis; if
                  they are known, also sections, chords, drums, and notes over the spectrogram
  .mp4            a stick figure with the sound
  .html           a page that plays in a browser, without a network; the skeleton can be rotated
  .bvh            the motion for animation programs: centimetres, y up, original frame rate
  .glb            the motion on a stick body, for Blender, three.js and game engines: metres, y up
  .pkl            the motion in the format of AIST++: smpl_poses, smpl_trans, smpl_scaling, 60 fps
Rotations in .bvh, .glb and .pkl are those of the motion if it has any, otherwise fitted to its joints,
without twist about the bones. These formats do not store the offset to the sound: the time of frame 0 is
printed. Without -o, the manifest entry of the pair is printed."""


@command("motionbeat data inspect", extra="data")
def main(arguments: Sequence[str]) -> int:
    """Run the command; returns 0 if everything is written."""
    parser = argparse.ArgumentParser(
        "motionbeat data inspect",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("corpus", metavar="CORPUS", help="folder of a prepared corpus, or a URL of shards")
    parser.add_argument("name", nargs="?", metavar="NAME", help="name of the pair; default: the first")
    parser.add_argument(
        "-o",
        "--output",
        action="append",
        default=[],
        type=output_file(*DRAWN, *MOTIONS),
        metavar="FILE",
        help="output file; may be repeated",
    )
    parser.add_argument("--list", action="store_true", help="list the pairs instead")
    parser.add_argument("--start", type=float, default=0.0, metavar="S", help="start in seconds; default: 0")
    parser.add_argument(
        "--seconds", type=float, metavar="S", help="length; default: 16 in a picture, otherwise all"
    )
    options = parser.parse_args(arguments)
    corpus = read_corpus(options.corpus)
    if options.list:
        for pair in corpus.pairs:
            print(f"{pair.name}\t{pair.split}\t{pair.seconds:.1f} s\t{caption(pair)}")
        return 0
    pair = find_pair(corpus, options.name)
    if not options.output:
        entries = facts(pair)
        width = max(len(key) for key in entries)
        print("\n".join(f"{key:{width}}  {value}" for key, value in entries.items()))
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
    """Cut a motion from the frame nearest to ``start``, without changing its clock.

    Args:
        motion: any motion.
        start: seconds of the audio.
        seconds: length; None, or a length beyond the end, cuts to the end.

    Raises:
        DataError: the span contains fewer than two frames.
    """
    # Both ends are moved to the nearest frames.
    first, last = (
        motion.start + math.ceil((time - motion.start) * motion.fps - 0.5) / motion.fps
        for time in (start, motion.start + motion.seconds if seconds is None else start + seconds)
    )
    return motion.between(first, last).shift(first)


def find_pair(corpus: Corpus, name: str | None) -> MotionPair:
    """Find a pair by name; None gives the first.

    Raises:
        DataError: there is no such pair; the message suggests similar names.
    """
    if name is None:
        return corpus.pairs[0]
    for pair in corpus.pairs:
        if pair.name == name:
            return pair
    similar = [pair.name for pair in corpus.pairs if name.lower() in pair.name.lower()][:5]
    hint = f"; did you mean {', '.join(similar)}?" if similar else "; --list names them all"
    raise DataError(f"{corpus.folder}: no pair {name!r} among {len(corpus.pairs)}{hint}")
