"""The pipeline on the corpora themselves: what is in a batch is what the pair has at that place."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from motion_data.corpora import corpus_module
from motion_data.loading import LoadedPair, load_pair
from motion_data.manifest import Corpus
from motion_data.negatives.drawing import NegativeCounts
from motion_data.pipeline.config import PipelineConfig
from motion_data.pipeline.example import Example
from motion_data.pipeline.reader import ClipReader
from tests.motion_data.pipeline.test_pipeline import fingerprints
from tests.shared_data import shared

pytestmark = pytest.mark.slow

CONFIG = PipelineConfig(bars=2, seconds=4.0, batch_size=4, clips_per_pair=2)


def prepared(name: str, raw: Path, out: Path, *arguments: str) -> Corpus:
    module = corpus_module(name)
    parser = argparse.ArgumentParser()
    module.add_options(parser)
    return module.prepare(raw, out, parser.parse_args(arguments))


@pytest.fixture(scope="module")
def constructed(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return prepared(
        "constructed", Path(), tmp_path_factory.mktemp("c"), "--pairs", "8", "--tunes", "0", "--seconds", "10"
    )


@pytest.fixture(scope="module")
def danced(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The song that someone dances to, the pianist and the dancer, without beats."""
    folder = tmp_path_factory.mktemp("f")
    rows = [
        ("wavefile/wavefile_short.mp3", "wavefile/wavefile_joints_30fps.npz"),
        ("pianist_dancer/pianist.flac", "pianist_dancer/pianist_mediapipe33.npz"),
        ("pianist_dancer/dancer.flac", "pianist_dancer/dancer_mediapipe33.npz"),
    ]
    lines = [f"{shared(f'motion/{audio}')},{shared(f'motion/{motion}')},train" for audio, motion in rows]
    (folder / "pairs.csv").write_text("\n".join(["audio,motion,split", *lines]) + "\n")
    return prepared("folder", folder / "pairs.csv", folder / "out")


@pytest.fixture(scope="module")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return prepared("stepmania", shared("audio/stepmania"), tmp_path_factory.mktemp("s"))


def check_clip(example: Example, whole: LoadedPair) -> None:
    """Compare a clip with the whole pair, cut and interpolated here."""
    first, length = round(example.start * 16_000), len(example.wav)
    start, stop = first / 16_000, (first + length) / 16_000
    assert example.wav.equal(whole.wav[first : first + length])
    motion = example.clip_motion
    assert bool(motion.names) == bool(whole.motion.names)
    if motion.names:
        assert abs(motion.frames - (stop - start) * motion.fps) < 1 + 1e-6
        joints = whole.motion.joints
        for axis in range(3):
            expected = np.interp(start + motion.times, whole.motion.times, joints[:, 0, axis])
            # The pelvis moves slowly; interpolation, filter and a sample's rounding differ by little.
            assert motion.joints[:, 0, axis] == pytest.approx(expected, abs=0.02)
    assert motion.pulses.keys() == whole.motion.pulses.keys()
    for limb, times in whole.motion.pulses.items():
        expected = times[(times >= start) & (times < stop)]
        assert motion.pulses[limb] + start == pytest.approx(expected, abs=1e-9)
    grid = example.grid
    assert (grid is None) == (whole.grid is None)
    if grid is not None and whole.grid is not None:
        inside = (whole.grid.beats > start) & (whole.grid.beats < stop)
        kept = (grid.beats + start > start) & (grid.beats + start < stop)
        assert grid.beats[kept] + start == pytest.approx(whole.grid.beats[inside])
        assert np.abs(grid.downbeats).min() <= 1 / motion.fps


def check(corpus: Corpus, split: str) -> int:
    pairs = {pair.name: load_pair(pair, corpus.folder) for pair in corpus.split(split)}
    reader = ClipReader(corpus, split, CONFIG, negatives=NegativeCounts())
    count = 0
    for examples in reader:
        count += len(examples)
        for example in examples:
            check_clip(example, pairs[example.pair.name])
    assert not reader.failures
    return count


def test_constructed(constructed: Corpus) -> None:
    assert check(constructed, "train") == 2 * len(constructed.split("train"))


def test_constructed_is_the_same_with_any_threads_and_memory(constructed: Corpus) -> None:
    expected = fingerprints(ClipReader(constructed, "train", replace(CONFIG, workers=1)))
    many = replace(CONFIG, workers=4, memory_megabytes=0.0)
    assert fingerprints(ClipReader(constructed, "train", many)) == expected


def test_real_dances(danced: Corpus) -> None:
    assert check(danced, "train") == 6


def test_a_real_song_with_its_chart(charts: Corpus) -> None:
    (split,) = {pair.split for pair in charts.pairs}
    assert check(charts, split) == 2 * len(charts.pairs)
