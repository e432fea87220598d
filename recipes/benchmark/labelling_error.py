"""How often the labels of a recordings corpus are wrong, against MIDI files of the same music.

    python -m recipes.benchmark.labelling_error CORPUS MIDI [--package NAME]

CORPUS is a recordings corpus prepared with ``--without-midi``, so that these tracks were labelled like the
others; MIDI a folder with a ``.mid`` for some of its tracks, of the same name
(Debian's ``planetblupi-music-midi`` beside ``planetblupi-music-ogg``); ``--package`` names the folder of the
tracks where other packages have files of the same name. The truth of a track is the grid of
its MIDI file's tempi and time signatures, moved by one constant lag: the one at which the file's note onsets
correlate most with the recording's onset envelope, within ±5 s. The labels have no part in the lag. Then, for
each track that was kept:

- level: the median period of the labelled beats is within 2 % of the truth's;
- phase: the level is right, and 95 % of the labelled beats lie within 70 ms of a true one;
- bars: the phase is right, bars are known, and 95 % of the labelled downbeats lie within 70 ms of a true one,
  and as many the other way round.

A MIDI file's nominal beat is itself a notation that somebody chose: half or double of it may be as good to a
listener, and counts as wrong here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError
from motion_data.manifest import Corpus, read_corpus
from motion_data.midi_beats import midi_beats
from motion_data.midi_file import read_score, ticks_to_seconds
from motion_data.pair import MotionPair
from motionbeat_upstream.commands.command import command
from recipes.results.tables import markdown_table

Array = NDArray[np.float64]

NEAR = 0.07
"""Seconds within which a beat is the same, as in MIREX."""

SHARE = 0.95
"""Of the labelled beats that must be near true ones."""

SAME_PERIOD = 0.02


@dataclass(frozen=True)
class TrackResult:
    """One track's labels against its MIDI file."""

    track: str
    lag: float
    """Seconds that the recording is behind the MIDI file."""
    lag_clearness: float
    """Correlation at the lag, over the highest that is 100 ms or more away."""
    ratio: float
    """Tempo of the labels, over the truth's."""
    beats_near: float
    """Share of the labelled beats near true ones."""
    level: bool
    phase: bool
    bars: bool | None
    """None where bars are unknown."""


def compare(
    beats: Array,
    downbeats: Array | None,
    true_beats: Array,
    true_downbeats: Array,
) -> tuple[float, float, bool, bool, bool | None]:
    """Ratio of tempi, share of beats near, and whether level, phase and bars are right.

    Args:
        beats: (N,) labelled, in seconds.
        downbeats: (M,) labelled; None where bars are unknown.
        true_beats: (K,) on the recording's clock.
        true_downbeats: (L,) likewise.
    """
    ratio = float(np.median(np.diff(true_beats)) / np.median(np.diff(beats)))
    inside = beats[(beats > true_beats[0] - NEAR) & (beats < true_beats[-1] + NEAR)]
    near = _near(inside, true_beats)
    level = abs(ratio - 1) <= SAME_PERIOD
    phase = level and near >= SHARE
    if downbeats is None:
        return ratio, near, level, phase, None
    labelled = downbeats[(downbeats > true_beats[0] - NEAR) & (downbeats < true_beats[-1] + NEAR)]
    expected = true_downbeats[(true_downbeats > beats[0] - NEAR) & (true_downbeats < beats[-1] + NEAR)]
    bars = phase and _near(labelled, true_downbeats) >= SHARE and _near(expected, downbeats) >= SHARE
    return ratio, near, level, phase, bars


def _near(times: Array, others: Array) -> float:
    """Share of times that have one of the others within ``NEAR``."""
    if not len(times) or not len(others):
        return 0.0
    return float((np.abs(times[:, None] - others).min(axis=1) <= NEAR).mean())


def track_result(corpus: Corpus, pairs: Sequence[MotionPair], midi: Path) -> TrackResult:
    """Compare the labels of a track, joined from its pairs, with its MIDI file."""
    from motion_data.corpora.recordings.midi_grid import estimate_lag
    from motion_data.corpora.recordings.tatum import audio_onset_envelope
    from motionbeat_upstream.audio import read_audio
    from recipes.benchmark.beats.sets import joined_beats

    first = pairs[0].audio
    assert first is not None
    score = read_score(midi)
    onsets = ticks_to_seconds(score, np.array([note.time for part in score.tracks for note in part.notes]))
    lag, clearness = estimate_lag(audio_onset_envelope(read_audio(corpus.folder / first.path)), onsets)
    truth = midi_beats(midi)
    beats = joined_beats(pairs, corpus.folder)
    true_beats = truth.times + lag
    downbeats = beats.downbeats if beats.downbeats_known else None
    found = compare(beats.times, downbeats, true_beats, true_beats[truth.positions == 1])
    return TrackResult(pairs[0].piece, lag, clearness, *found)


def results(corpus: Corpus, folder: Path, package: str = "") -> tuple[list[TrackResult], dict[str, str]]:
    """Results of the tracks with a MIDI file, and why others with one were left out of the corpus.

    Raises:
        DataError: no MIDI file is of a track.
    """
    midis = {path.stem: path for path in sorted(folder.rglob("*.mid"))}
    pieces: dict[str, list[MotionPair]] = {}
    for pair in corpus.pairs:
        if _matches(pair.piece, midis, package):
            pieces.setdefault(pair.piece, []).append(pair)
    left_out = {
        name: str(why) for name, why in corpus.info["left_out"].items() if _matches(name, midis, package)
    }
    if not pieces and not left_out:
        raise DataError(f"{folder}: no .mid file has the name of a track of {corpus.folder}")
    return [track_result(corpus, pairs, midis[Path(piece).stem]) for piece, pairs in pieces.items()], left_out


def _matches(track: str, midis: Mapping[str, Path], package: str) -> bool:
    return Path(track).stem in midis and (not package or Path(track).parts[0] == package)


@command("labelling_error", mistake=1)
def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.benchmark.labelling_error",
        description="Error rate of a recordings corpus's labels against MIDI files of the same music.",
    )
    parser.add_argument("corpus", type=Path, metavar="CORPUS", help="prepared by `data prepare recordings`")
    parser.add_argument("midi", type=Path, metavar="MIDI", help="folder of .mid files named as tracks are")
    parser.add_argument("--package", default="", metavar="NAME", help="folder of the tracks (any)")
    options = parser.parse_args(arguments)
    found, left_out = results(read_corpus(options.corpus), options.midi, options.package)
    words = {True: "right", False: "wrong", None: "unknown"}
    rows = [
        [
            Path(one.track).name,
            *(f"{one.lag:.2f}", f"{one.lag_clearness:.2f}", f"{one.ratio:.3f}", f"{one.beats_near:.3f}"),
            *(words[right] for right in (one.level, one.phase, one.bars)),
        ]
        for one in found
    ]
    heading = ["track", "lag (s)", "clearness of lag", "tempo ratio", "beats near", "level", "phase", "bars"]
    print("\n".join(markdown_table(heading, rows)))
    for name, why in left_out.items():
        print(f"left out: {name}: {why}")
    known = [one for one in found if one.bars is not None]
    print(
        f"{len(found)} of {len(found) + len(left_out)} tracks kept; level right in "
        f"{sum(one.level for one in found)}, phase in {sum(one.phase for one in found)}; bars known in "
        f"{len(known)}, right in {sum(bool(one.bars) for one in known)}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
