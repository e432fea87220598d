"""Error rate of the labels of a recordings corpus, against MIDI files of the same music.

    python -m recipes.benchmark.labelling_error CORPUS MIDI [--package NAME]

CORPUS is a recordings corpus prepared with ``--without-midi``, so that these tracks are labelled like the
others. MIDI is a folder with ``.mid`` files that have the names of some tracks (Debian's
``planetblupi-music-midi`` for ``planetblupi-music-ogg``). ``--package`` selects a folder of tracks if several
packages have files of the same name. The reference of a track is the grid of tempi and time signatures of its
MIDI file, shifted by the lag within ±5 s at which the note onsets correlate most with the onset envelope of
the recording. The labels do not affect the lag. For each track of the corpus:

- level: the median period of the labelled beats is within 2 % of the reference;
- phase: the level is right, and 95 % of the labelled beats are within 70 ms of a reference beat;
- bars: the phase is right, bars are known, and 95 % of the labelled downbeats are within 70 ms of a reference
  downbeat, and vice versa.

The beat of a MIDI file is a choice of its author: half or double of it may be as plausible, but counts as
wrong.
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

TOLERANCE_SECONDS = 0.07
"""Tolerance of a beat, as in MIREX."""

MIN_MATCHED_SHARE = 0.95
"""Minimum share of labelled beats within the tolerance of reference beats."""

MAX_PERIOD_DEVIATION = 0.02
"""Maximum relative deviation of the median period."""


@dataclass(frozen=True)
class TrackResult:
    """The labels of a track against its MIDI file."""

    track: str
    lag: float
    """Seconds by which the recording is behind the MIDI file."""
    lag_clearness: float
    """Correlation at the lag, divided by the maximum at least 100 ms away."""
    ratio: float
    """Tempo of the labels divided by the reference."""
    matched_share: float
    """Share of labelled beats within the tolerance of reference beats."""
    level: bool
    phase: bool
    bars: bool | None
    """None if bars are unknown."""


def compare(
    beats: Array, downbeats: Array | None, reference_beats: Array, reference_downbeats: Array
) -> tuple[float, float, bool, bool, bool | None]:
    """Return the tempo ratio, the share of matched beats, and whether level, phase and bars are right.

    Args:
        beats: (N,) labelled beats in seconds.
        downbeats: (M,) labelled downbeats; None if bars are unknown.
        reference_beats: (K,) reference beats in seconds of the recording.
        reference_downbeats: (L,) reference downbeats.
    """
    ratio = float(np.median(np.diff(reference_beats)) / np.median(np.diff(beats)))
    matched_share = _matched_share(_within(beats, reference_beats), reference_beats)
    level = abs(ratio - 1) <= MAX_PERIOD_DEVIATION
    phase = level and matched_share >= MIN_MATCHED_SHARE
    if downbeats is None:
        return ratio, matched_share, level, phase, None
    labelled, expected = _within(downbeats, reference_beats), _within(reference_downbeats, beats)
    bars = (
        phase
        and _matched_share(labelled, reference_downbeats) >= MIN_MATCHED_SHARE
        and _matched_share(expected, downbeats) >= MIN_MATCHED_SHARE
    )
    return ratio, matched_share, level, phase, bars


def _within(times: Array, span: Array) -> Array:
    """Times between the first and last time of ``span``, or within the tolerance."""
    inside: Array = times[(times > span[0] - TOLERANCE_SECONDS) & (times < span[-1] + TOLERANCE_SECONDS)]
    return inside


def _matched_share(times: Array, others: Array) -> float:
    """Share of times that are within ``TOLERANCE_SECONDS`` of one of the others."""
    if not len(times) or not len(others):
        return 0.0
    return float((np.abs(times[:, None] - others).min(axis=1) <= TOLERANCE_SECONDS).mean())


def track_result(corpus: Corpus, pairs: Sequence[MotionPair], midi: Path) -> TrackResult:
    """Compare the labels of a track, joined over its pairs, with its MIDI file."""
    from motion_data.corpora.recordings.midi_grid import estimate_lag
    from motion_data.corpora.recordings.tatum import audio_onset_envelope
    from motionbeat_upstream.audio import read_audio
    from recipes.benchmark.beats.sets import joined_beats

    first = pairs[0].audio
    assert first is not None
    score = read_score(midi)
    onsets = ticks_to_seconds(score, np.array([note.time for part in score.tracks for note in part.notes]))
    lag, clearness = estimate_lag(audio_onset_envelope(read_audio(corpus.folder / first.path)), onsets)
    reference = midi_beats(midi)
    beats = joined_beats(pairs, corpus.folder)
    reference_beats = reference.times + lag
    downbeats = beats.downbeats if beats.downbeats_known else None
    comparison = compare(beats.times, downbeats, reference_beats, reference_beats[reference.positions == 1])
    return TrackResult(pairs[0].piece, lag, clearness, *comparison)


def compare_tracks(
    corpus: Corpus, folder: Path, package: str = ""
) -> tuple[list[TrackResult], dict[str, str]]:
    """Compare all tracks with a MIDI file; also return the reasons why tracks with one are not in the corpus.

    Raises:
        DataError: no MIDI file has the name of a track.
    """
    midis = {path.stem: path for path in sorted(folder.rglob("*.mid"))}
    pieces: dict[str, list[MotionPair]] = {}
    for pair in corpus.pairs:
        if _matches(pair.piece, midis, package):
            pieces.setdefault(pair.piece, []).append(pair)
    skipped = {
        name: str(reason)
        for name, reason in corpus.info["left_out"].items()
        if _matches(name, midis, package)
    }
    if not pieces and not skipped:
        raise DataError(f"{folder}: no .mid file has the name of a track of {corpus.folder}")
    return [track_result(corpus, pairs, midis[Path(piece).stem]) for piece, pairs in pieces.items()], skipped


def _matches(track: str, midis: Mapping[str, Path], package: str) -> bool:
    return Path(track).stem in midis and (not package or Path(track).parts[0] == package)


@command("labelling_error", error_code=1)
def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.benchmark.labelling_error",
        description="Error rate of the labels of a recordings corpus against MIDI files of the same music.",
    )
    parser.add_argument("corpus", type=Path, metavar="CORPUS", help="prepared by `data prepare recordings`")
    parser.add_argument(
        "midi", type=Path, metavar="MIDI", help="folder of .mid files with the names of tracks"
    )
    parser.add_argument("--package", default="", metavar="NAME", help="folder of the tracks (all)")
    options = parser.parse_args(arguments)
    track_results, skipped = compare_tracks(read_corpus(options.corpus), options.midi, options.package)
    texts = {True: "right", False: "wrong", None: "unknown"}
    rows = [
        [
            Path(result.track).name,
            f"{result.lag:.2f}",
            f"{result.lag_clearness:.2f}",
            f"{result.ratio:.3f}",
            f"{result.matched_share:.3f}",
            texts[result.level],
            texts[result.phase],
            texts[result.bars],
        ]
        for result in track_results
    ]
    heading = ["track", "lag (s)", "clearness of lag", "tempo ratio", "beats near", "level", "phase", "bars"]
    print("\n".join(markdown_table(heading, rows)))
    for name, reason in skipped.items():
        print(f"left out: {name}: {reason}")
    total = len(track_results) + len(skipped)
    level, phase, bars = (
        sum(bool(getattr(result, name)) for result in track_results) for name in ("level", "phase", "bars")
    )
    known = sum(result.bars is not None for result in track_results)
    print(
        f"{len(track_results)} of {total} tracks kept; level right in {level}, phase in {phase}; bars known "
        f"in {known}, right in {bars}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
