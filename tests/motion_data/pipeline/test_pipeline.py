"""The pipeline on small corpora of files: what a batch holds, and that nothing but the seed decides it."""

from __future__ import annotations

import hashlib
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from motion_data.errors import DataError
from motion_data.manifest import Corpus, read_corpus, write_manifest
from motion_data.pipeline import reader
from motion_data.pipeline.config import PipelineConfig
from motion_data.pipeline.example import Example
from motion_data.pipeline.reader import ClipReader
from motion_data.stages import measure_stages
from tests.made_corpus import Made, write_corpus

CONFIG = PipelineConfig(bars=2, batch_size=4, clips_per_pair=2)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Two metres, tempos of 90 to 160, three sample rates, three frame rates, charts, one without a grid."""
    made = [
        Made(
            f"p{i:02d}",
            bpm=90 + 7 * i % 70,
            metre=3 + i % 2,
            seconds=6.0 + i % 3,
            piece=f"piece{i // 2}",
            rate=(16_000, 44_100, 22_050)[i % 3],
            fps=(30.0, 60.0, 120.0)[i % 3],
            joints=i % 5 != 0,
            motion_start=(0.0, -0.315, 0.1)[i % 3],
        )
        for i in range(14)
    ]
    made += [Made("nogrid", bpm=None), Made("dev", split="dev"), Made("test", split="test")]
    return write_corpus(tmp_path_factory.mktemp("corpus"), made)


def fingerprint(examples: Sequence[Example]) -> str:
    """A hash of everything in a batch, bit by bit."""
    digest = hashlib.sha256()
    for example in examples:
        motion, grid = example.motion, example.grid
        arrays = [example.wav.numpy(), motion.joints, *motion.pulses.values()]
        arrays += [] if grid is None else [grid.beats, grid.positions]
        arrays += [] if motion.rotations is None else [motion.rotations]
        for array in arrays:
            digest.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
        plain = (
            example.start,
            motion.fps,
            motion.names,
            motion.start,
            list(motion.pulses),
            example.group_ids,
        )
        digest.update(repr((example.pair, *plain, example.negatives, example.labels)).encode())
    return digest.hexdigest()


def fingerprints(batches: Iterator[list[Example]]) -> list[str]:
    return [fingerprint(examples) for examples in batches]


def test_sound_motion_pulses_and_grid_are_on_one_clock(corpus: Corpus) -> None:
    clips = 0
    for example in itertools.chain(*ClipReader(corpus, "train", CONFIG)):
        clips += 1
        wav, motion, pair, grid = example.wav, example.clip_motion, example.pair, example.grid
        # The sound's value and the body's place tell the time; the clicks lie on the beats.
        quiet = torch.where(wav - wav.median() > 0.1, torch.nan, wav)
        time = example.start + torch.arange(len(wav)) / 16_000
        assert float((quiet * 120 - time).nanmedian().abs()) < 0.02
        assert motion.names == pair.joints
        assert motion.frames == -(-round(example.seconds * 30, 6) // 1)
        if motion.names:
            assert motion.joints[:, 0, 2] == pytest.approx(example.start + motion.times, abs=2e-3)
        assert (grid is None) == (pair.grid == "none")
        if grid is not None:
            assert grid.metre == pair.metre
            assert grid.bpm == pytest.approx(pair.bpm)
            # The clip begins less than a frame before a downbeat, and ends on one.
            assert np.abs(grid.downbeats).min() <= (1 / 30 if pair.joints else 1e-4)
            assert np.abs(grid.beats - example.seconds).min() <= 1e-3
            heard = grid.beats[(grid.beats >= 0.02) & (grid.beats < example.seconds - 0.02)]
            for beat in heard:
                at = round(beat * 16_000)
                assert float(wav[at + 16 : at + 48].mean() - wav[at - 100 : at - 30].mean()) > 0.2
            felt = np.sort(np.concatenate(list(motion.pulses.values())))
            felt = felt[(felt >= 0.02) & (felt < example.seconds - 0.02)]
            assert felt == pytest.approx(heard, abs=1e-4)
    assert clips == 2 * len(corpus.split("train"))


def test_no_clip_is_played_beyond_the_tempi_of_music(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    known = [pair for pair in corpus.split("train") if pair.bpm]
    slowest, fastest = (
        0.95 * min(pair.bpm or 0 for pair in known),
        1.2 * max(pair.bpm or 0 for pair in known),
    )
    monkeypatch.setattr(reader, "MIN_BPM", slowest)
    monkeypatch.setattr(reader, "MAX_BPM", fastest)
    speeds = []
    for example in itertools.chain(*ClipReader(corpus, "train", replace(CONFIG, speed_octaves=0.9))):
        if example.grid is not None and example.pair.bpm:
            assert slowest - 1e-3 <= example.grid.bpm <= fastest + 1e-3
            speeds.append(example.grid.bpm / example.pair.bpm)
    assert len(speeds) == len(known) * CONFIG.clips_per_pair
    # Some would leave the range, and keep their own speed; others do not.
    assert 0 < np.isclose(speeds, 1.0).sum() < len(speeds)


def test_another_speed_changes_sound_motion_pulses_and_grid_alike(corpus: Corpus) -> None:
    speeds: set[float] = set()
    for examples in ClipReader(corpus, "train", replace(CONFIG, speed_octaves=0.4)):
        of_batch = []
        for example in examples:
            wav, motion, grid = example.wav, example.clip_motion, example.grid
            if grid is None:
                continue
            speed = grid.bpm / (example.pair.bpm or np.nan)
            of_batch.append(speed)
            # The sound's value tells the time of the pair, of which `speed` seconds pass in one.
            quiet = torch.where(wav - wav.median() > 0.1, torch.nan, wav)
            time = example.start + speed * torch.arange(len(wav)) / 16_000
            assert float((quiet * 120 - time).nanmedian().abs()) < 0.03
            if motion.names:
                frames = example.start + speed * motion.times
                assert motion.joints[2:-2, 0, 2] == pytest.approx(frames[2:-2], abs=5e-3)
            beats = grid.beats[(grid.beats >= 0.02) & (grid.beats < example.seconds - 0.02)]
            for beat in beats:
                at = round(beat * 16_000)
                assert float(wav[at + 16 : at + 40].mean() - wav[at - 100 : at - 30].mean()) > 0.2
            pulses = np.sort(np.concatenate(list(motion.pulses.values())))
            pulses = pulses[(pulses >= 0.02) & (pulses < example.seconds - 0.02)]
            assert pulses == pytest.approx(beats, abs=1e-4)
        assert np.ptp(of_batch) < 1e-3 if of_batch else True
        speeds.update(round(speed, 3) for speed in of_batch)
    assert len(speeds) > 2
    assert all(2**-0.45 < speed < 2**0.45 for speed in speeds)


def test_a_margin_brings_what_lies_around_a_clip_where_the_pair_has_it(corpus: Corpus) -> None:
    plain = itertools.chain(*ClipReader(corpus, "train", CONFIG))
    wide = itertools.chain(*ClipReader(corpus, "train", replace(CONFIG, margin_seconds=0.5)))
    for one, other in zip(plain, wide, strict=True):
        assert one.start == other.start
        near, far = one.clip_motion, other.motion
        assert np.array_equal(near.joints, other.clip_motion.joints)
        if near.names:
            whole = far.start + far.seconds
            assert -0.5 - 1e-6 <= far.start <= 0
            assert other.seconds - 1e-6 <= whole <= other.seconds + 0.5 + 1 / 30 + 1e-6
            assert far.joints[:, 0, 2] == pytest.approx(other.start + far.times, abs=2e-3)
        for limb, times in near.pulses.items():
            known = far.pulses[limb]
            assert np.array_equal(known[(known >= 0) & (known < other.seconds)], times)


def test_ids_are_those_of_the_whole_corpus(corpus: Corpus) -> None:
    pieces = sorted({pair.piece for pair in corpus.pairs})
    for split in ("train", "dev", "test"):
        for examples in ClipReader(corpus, split, CONFIG):
            assert [pieces[e.group_ids[0]] for e in examples] == [e.pair.piece for e in examples]
            assert len({(e.group_ids[1], e.pair.name) for e in examples}) == len(
                {e.pair.name for e in examples}
            )


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 4])
def test_workers_and_prefetch_do_not_change_the_batches(corpus: Corpus, workers: int) -> None:
    expected = fingerprints(ClipReader(corpus, "train", replace(CONFIG, workers=1, prefetch=1)))
    assert fingerprints(ClipReader(corpus, "train", replace(CONFIG, workers=workers, prefetch=4))) == expected


def test_another_seed_and_another_epoch_give_other_clips(corpus: Corpus) -> None:
    reader = ClipReader(corpus, "train", CONFIG)
    first, second = fingerprints(reader), fingerprints(reader)
    assert reader.epoch == 1
    assert first != second
    assert first != fingerprints(ClipReader(corpus, "train", replace(CONFIG, seed=1)))


def test_validation_is_the_same_every_time(corpus: Corpus) -> None:
    reader = ClipReader(corpus, "train", replace(CONFIG, same_every_epoch=True))
    first = fingerprints(reader)
    assert fingerprints(reader) == first
    next(iter(reader))
    reader.reset()
    assert fingerprints(reader) == first


def test_two_ranks_share_the_split(corpus: Corpus) -> None:
    def clips(rank: int, world_size: int) -> list[tuple[str, float]]:
        reader = ClipReader(corpus, "train", CONFIG, rank, world_size)
        return [(example.pair.name, example.start) for example in itertools.chain(*reader)]

    one, two = clips(0, 2), clips(1, 2)
    assert sorted(one + two) == sorted(clips(0, 1))


@pytest.mark.slow
@pytest.mark.parametrize("read", [0, 1, 3, 7])
def test_a_run_goes_on_at_the_very_next_batch(corpus: Corpus, read: int) -> None:
    whole = ClipReader(corpus, "train", CONFIG)
    expected = fingerprints(whole) + fingerprints(whole)
    stopped = ClipReader(corpus, "train", CONFIG)
    before = fingerprints(islice(stopped, read))
    state = json.loads(json.dumps(stopped.state_dict()))  # plain values, whatever they are saved with
    resumed = ClipReader(corpus, "train", replace(CONFIG, workers=1))
    resumed.load_state_dict(state)
    rest = fingerprints(resumed)
    assert before + rest + fingerprints(resumed) == expected
    # The reader that gave the state is not disturbed by it.
    assert fingerprints(stopped) == rest


RESUME = """
import json, sys
from motion_data.manifest import read_corpus
from motion_data.pipeline.reader import ClipReader
from tests.motion_data.pipeline.test_pipeline import CONFIG, fingerprints
reader = ClipReader(read_corpus(sys.argv[1]), "train", CONFIG)
reader.load_state_dict(json.loads(sys.argv[2]))
print("\\n".join(fingerprints(reader)))
"""


@pytest.mark.slow
def test_a_run_goes_on_in_another_process(corpus: Corpus) -> None:
    reader = ClipReader(corpus, "train", CONFIG)
    for _ in islice(reader, 3):
        pass
    command = [sys.executable, "-c", RESUME, str(corpus.folder), json.dumps(reader.state_dict())]
    root = Path(__file__).parents[3]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.split() == fingerprints(reader)


LEAVE = """
import sys
from motion_data.manifest import read_corpus
from motion_data.pipeline.reader import ClipReader
from tests.motion_data.pipeline.test_pipeline import CONFIG
corpus = read_corpus(sys.argv[1])
def leave_one():
    for _ in ClipReader(corpus, "train", CONFIG):
        return
leave_one()
reader = ClipReader(corpus, "train", CONFIG)
next(reader)
"""


@pytest.mark.slow
def test_a_process_may_end_in_the_middle_of_an_epoch(corpus: Corpus) -> None:
    """Neither a reader that is there nor one that is gone may crash an interpreter that is taken down."""
    command = [sys.executable, "-c", LEAVE, str(corpus.folder)]
    done = subprocess.run(command, capture_output=True, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stderr


def test_a_run_does_not_go_on_with_other_data(corpus: Corpus, tmp_path: Path) -> None:
    state = ClipReader(corpus, "train", CONFIG).state_dict()
    changed = write_manifest(tmp_path, corpus.pairs[1:], "folder", {})
    with pytest.raises(DataError, match=r"cannot go on with other data.*corpus is '.*', was '"):
        ClipReader(changed, "train", CONFIG).load_state_dict(state)
    with pytest.raises(DataError, match=r"batch_size is 3, was 4; fps is 25\.0, was 30\.0"):
        ClipReader(corpus, "train", replace(CONFIG, batch_size=3, fps=25.0)).load_state_dict(state)
    with pytest.raises(DataError, match="rank is 1, was 0; world_size is 2, was 1"):
        ClipReader(corpus, "train", CONFIG, 1, 2).load_state_dict(state)


def test_sound_read_clip_by_clip_is_that_read_whole(tmp_path: Path) -> None:
    """At 16 kHz bit by bit; at other rates the resampler's edges differ."""
    for rate, largest in ((16_000, 0.0), (44_100, 5e-3)):
        made = [Made(f"{rate}-{i}", seconds=8.0, rate=rate) for i in range(4)]
        corpus = write_corpus(tmp_path / str(rate), made)
        whole = list(ClipReader(corpus, "train", CONFIG))
        parts = list(ClipReader(corpus, "train", replace(CONFIG, memory_megabytes=0.0)))
        for one, other in zip(itertools.chain(*whole), itertools.chain(*parts), strict=True):
            assert one.pair == other.pair
            assert float((one.wav - other.wav).abs().mean()) <= largest
            assert np.array_equal(one.motion.joints, other.motion.joints)


def test_a_run_goes_on_with_other_memory_unless_sound_is_read_otherwise(corpus: Corpus) -> None:
    state = ClipReader(corpus, "train", CONFIG).state_dict()
    ClipReader(corpus, "train", replace(CONFIG, memory_megabytes=2048.0)).load_state_dict(state)
    with pytest.raises(DataError, match="sound read whole is False, was True"):
        ClipReader(corpus, "train", replace(CONFIG, memory_megabytes=1.0)).load_state_dict(state)


@pytest.mark.parametrize(("memory", "decoded"), [(1024.0, 8.0), (0.5, None)])
def test_a_recording_that_pairs_share_is_decoded_once(
    tmp_path: Path, memory: float, decoded: float | None
) -> None:
    """As the charts of a song, or the dances to one, do; where it fits in memory."""
    corpus = write_corpus(tmp_path, [Made("song", seconds=8.0)])
    pairs = [replace(corpus.pairs[0], name=f"chart{i}", take=f"t{i}") for i in range(5)]
    corpus = write_manifest(tmp_path, pairs, "folder", {})
    config = replace(CONFIG, memory_megabytes=memory, workers=1)
    with measure_stages() as stages:
        clips = sum(len(examples) for examples in ClipReader(corpus, "train", config))
    assert clips == 10
    assert stages.decoded_seconds == decoded or (decoded is None and stages.decoded_seconds > 30)


@pytest.fixture
def damaged(tmp_path: Path) -> Corpus:
    """Twelve pairs: sound cut off, no sound, no motion, a motion that is no motion."""
    corpus = write_corpus(tmp_path, [Made(f"p{i:02d}") for i in range(12)])
    sound = corpus.folder / "audio/p01.wav"
    sound.write_bytes(sound.read_bytes()[:20_000])
    (corpus.folder / "audio/p04.wav").write_bytes(b"not sound")
    (corpus.folder / "motion/p07.npz").unlink()
    (corpus.folder / "motion/p08.npz").write_bytes(b"not motion")
    return read_corpus(corpus.folder)


BAD = {"p01", "p04", "p07", "p08"}


@pytest.mark.parametrize("memory", [0.0, 1024.0])
def test_clips_that_cannot_be_used_are_skipped_counted_and_named(
    damaged: Corpus, memory: float, caplog: pytest.LogCaptureFixture
) -> None:
    config = replace(CONFIG, memory_megabytes=memory)
    reader = ClipReader(damaged, "train", config)
    names = [example.pair.name for example in itertools.chain(*reader)]
    assert set(names) == {pair.name for pair in damaged.pairs} - BAD
    assert len(names) == 2 * 8
    assert reader.failures == dict.fromkeys(BAD, 2)
    for name in BAD:
        assert caplog.text.count(f"skipped {name}: ") == 1
    # What was skipped before belongs to the state.
    resumed = ClipReader(damaged, "train", config)
    resumed.load_state_dict(reader.state_dict())
    assert resumed.failures == reader.failures


def test_too_many_in_a_row_stop_the_reading(damaged: Corpus) -> None:
    for path in (damaged.folder / "motion").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"5 clips in a row.*p\d\d, p\d\d.*no such file"):
        list(ClipReader(damaged, "train", replace(CONFIG, failures_in_row=5)))


def test_a_batch_without_one_good_clip_is_passed_over(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path, [Made("a", bpm=80.0), Made("b", bpm=150.0)])
    (tmp_path / "motion/a.npz").unlink()
    reader = ClipReader(corpus, "train", CONFIG)
    assert [[example.pair.name for example in examples] for examples in reader] == [["b", "b"]]


def test_sound_that_is_not_finite_is_not_used(tmp_path: Path) -> None:
    import soundfile

    corpus = write_corpus(tmp_path, [Made("a"), Made("b")])
    soundfile.write(tmp_path / "audio/a.wav", np.full(6 * 16_000, np.nan), 16_000, subtype="FLOAT")
    reader = ClipReader(corpus, "train", CONFIG)
    assert {example.pair.name for example in itertools.chain(*reader)} == {"b"}
    assert set(reader.failures) == {"a"}


def test_a_split_that_is_not_there_is_told(corpus: Corpus) -> None:
    with pytest.raises(DataError, match="the split 'tset' has no pairs"):
        ClipReader(corpus, "tset", CONFIG)
    with pytest.raises(DataError, match=r"1 pairs of dev make no batch of 4 clips"):
        ClipReader(corpus, "dev", replace(CONFIG, least_clips=4))
    with pytest.raises(DataError, match="rank 2 of 2"):
        ClipReader(corpus, "train", CONFIG, 2, 2)
