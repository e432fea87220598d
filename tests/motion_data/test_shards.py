"""Shards: the pairs of the corpus that they were written from, read alone in any order from a disk or URL."""

from __future__ import annotations

import io
import json
import random
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import soundfile
import torch
import webdataset
from fairseq2.device import CPU
from fairseq2.gang import FakeGang
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data import sharding
from motion_data.commands.data import main
from motion_data.corpora.constructed.plan import plan_pair
from motion_data.corpora.constructed.preparing import make_pair
from motion_data.errors import DataError, ShardError
from motion_data.loading import LoadedPair, load_pair
from motion_data.manifest import MANIFEST, MARK, Corpus, read_corpus, write_manifest
from motion_data.motion import Motion
from motion_data.negatives.drawing import NegativeCounts
from motion_data.pair import MotionPair
from motion_data.pipeline.config import PipelineConfig
from motion_data.pipeline.example import Example
from motion_data.pipeline.reader import ClipReader, Mixture
from motion_data.sharding import write_shards
from motion_data.shards import ShardContent, from_members, to_members
from motionbeat_upstream.tracking.grid import regular_grid
from recipes.pretrain.data_reader import PretrainReader
from tests.made_corpus import Made, write_corpus
from tests.motion_data.pipeline.test_pipeline import fingerprints
from tests.random_labels import labels

CONFIG = PipelineConfig(bars=1, batch_size=3, clips_per_pair=2, speed_octaves=0.2, workers=2)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Files of two rates, a step chart and a pair without a grid."""
    made = [
        Made(f"a.{i}", bpm=100.0 + i, rate=(16_000, 22_050)[i % 2], joints=i % 4 != 3, style="waltz")
        for i in range(9)
    ]
    made += [Made("nogrid", bpm=None), Made("dev", split="dev"), Made("test", split="test")]
    return write_corpus(tmp_path_factory.mktemp("corpus"), made)


@pytest.fixture(scope="module")
def constructed(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    pairs = [make_pair(plan_pair(3, index, {}, 6.0, None)) for index in range(5)]
    return write_manifest(tmp_path_factory.mktemp("constructed"), pairs, "constructed", {})


@pytest.fixture(scope="module")
def shards(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    out = tmp_path_factory.mktemp("shards")
    write_shards(corpus, out, 4)
    return read_corpus(out)


@pytest.fixture
def url(shards: Corpus) -> Iterator[str]:
    """The shards in a storage that is no disk."""
    files = fsspec.filesystem("memory")
    files.put(f"{shards.folder}/", "/bucket/shards/", recursive=True)
    yield "memory://bucket/shards"
    files.rm("/bucket", recursive=True)


def apart_from_shards(pair: MotionPair) -> MotionPair:
    return replace(pair, shard=None)


def read(clips: Iterator[list[Example]]) -> list[str]:
    """A hash of each batch, bit by bit, whatever tar its pairs come from."""
    return fingerprints(
        [replace(example, pair=apart_from_shards(example.pair)) for example in batch] for batch in clips
    )


def assert_same(one: LoadedPair | ShardContent, other: LoadedPair | ShardContent) -> None:
    assert isinstance(one.sound, torch.Tensor)
    assert isinstance(other.sound, torch.Tensor)
    assert (one.grid is None) == (other.grid is None)
    a, b = one.motion, other.motion
    assert (a.fps, a.names, a.start, list(a.pulses)) == (b.fps, b.names, b.start, list(b.pulses))
    arrays: list[tuple[NDArray[Any], NDArray[Any]]] = [(one.sound.numpy(), other.sound.numpy())]
    arrays += [(a.joints, b.joints), *((times, b.pulses[limb]) for limb, times in a.pulses.items())]
    assert (a.rotations is None) == (b.rotations is None)
    if a.rotations is not None and b.rotations is not None:
        arrays.append((a.rotations, b.rotations))
    if one.grid is not None and other.grid is not None:
        arrays += [(one.grid.beats, other.grid.beats), (one.grid.positions, other.grid.positions)]
        for name in ("metre", "confidence", "downbeat_confidence"):
            assert getattr(one.grid, name) == getattr(other.grid, name)
    assert one.labels.events.keys() == other.labels.events.keys()
    arrays += [(rows, other.labels.events[kind]) for kind, rows in one.labels.events.items()]
    for x, y in arrays:
        assert x.dtype == y.dtype
        assert np.array_equal(x, y)


@st.composite
def contents(draw: st.DrawFn) -> ShardContent:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    wav = rng.normal(0, 10 ** rng.uniform(-8, 0.5), draw(st.integers(1, 5000))).astype(np.float32)
    if draw(st.booleans()):  # as of a 16-bit recording
        wav = np.round(np.clip(wav, -1, 1) * 32767).astype(np.float32) / np.float32(32768)
    names = ("a", "b") if draw(st.booleans()) else ()
    frames = draw(st.integers(2, 30))
    rotations = rng.normal(size=(frames, 1, 3)) if names and draw(st.booleans()) else None
    pulses = {limb: np.unique(rng.uniform(0, 9, rng.integers(5))) for limb in ("left_foot", "right_hand")}
    motion = Motion(
        rng.uniform(5, 200), names, rng.normal(size=(frames, len(names), 3)), rng.normal(), rotations, pulses
    )
    grid = (
        replace(regular_grid(9.0, 100.0, 3), confidence=float(rng.random())) if draw(st.booleans()) else None
    )
    return ShardContent(torch.from_numpy(wav), motion, grid, draw(labels()))


@settings(max_examples=60, deadline=None)
@given(contents())
def test_members_hold_all_of_a_pair_bit_by_bit(content: ShardContent) -> None:
    assert_same(from_members(to_members(content)), content)


@settings(max_examples=30, deadline=None)
@given(contents())
def test_flac_that_is_asked_for_moves_no_sample_by_more_than_a_step(content: ShardContent) -> None:
    members = to_members(content, lossy=True)
    loud = float(content.sound.abs().max()) >= 1
    assert "flac" in members or loud
    assert float((from_members(members).sound - content.sound).abs().max()) <= 2.0**-23


@pytest.mark.slow
@pytest.mark.parametrize("which", ["corpus", "constructed"])
def test_pairs_of_shards_are_those_of_the_corpus(
    which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    source: Corpus = request.getfixturevalue(which)
    written = write_shards(source, tmp_path, 3)
    shards = read_corpus(tmp_path)
    assert written.sha256 == shards.sha256
    assert [apart_from_shards(pair) for pair in shards.pairs] == list(source.pairs)
    for pair, from_shards in zip(source.pairs, shards.pairs, strict=True):
        loaded = load_pair(from_shards, "nowhere")
        assert_same(loaded, load_pair(pair, source.folder))
        assert loaded.seconds == load_pair(pair, source.folder).seconds
    # Recordings of 24 bits at 16 kHz are what FLAC holds; what is resampled or rendered is not.
    with tarfile.open(tmp_path / "train-000000.tar") as tar:
        sounds = [name.rpartition(".")[2] for name in tar.getnames()[2::3]]
    assert sounds == (["flac", "wav", "flac"] if which == "corpus" else ["wav"] * 3)


@pytest.mark.slow
def test_batches_are_those_of_the_corpus_whatever_fits_in_memory(
    corpus: Corpus, shards: Corpus, url: str
) -> None:
    expected = read(ClipReader(corpus, "train", CONFIG, negatives=NegativeCounts()))
    for source, megabytes in (
        (shards, 1000.0),
        (read_corpus(url), 0.5),
        (read_corpus(f"filecache::{url}"), 0.0),
    ):
        config = replace(CONFIG, memory_megabytes=megabytes)
        assert read(ClipReader(source, "train", config, negatives=NegativeCounts())) == expected


@pytest.mark.slow
def test_a_reading_goes_on_from_any_batch_wherever_the_shards_lie(shards: Corpus, url: str) -> None:
    whole = ClipReader(shards, "train", CONFIG)
    expected = [read(whole), read(whole)]
    assert expected[0] != expected[1]
    assert read(ClipReader(shards, "train", replace(CONFIG, seed=1))) != expected[0]
    for steps in range(len(expected[0])):
        begun = ClipReader(shards, "train", CONFIG)
        head = read(islice(begun, steps))
        state = json.loads(json.dumps(begun.state_dict()))
        resumed = ClipReader(read_corpus(url), "train", replace(CONFIG, workers=1))
        resumed.load_state_dict(state)
        assert head + read(resumed) == expected[0]
        assert read(resumed) == expected[1]


def _mixture(folder: str) -> Mixture:
    return Mixture([ClipReader(read_corpus(folder), "train", replace(CONFIG, prefetch=0))], seed=3)


@pytest.mark.slow
def test_a_process_of_its_own_reads_a_url(corpus: Corpus, shards: Corpus) -> None:
    read_on = [
        [batch for (batch,) in PretrainReader(partial(_mixture, folder), FakeGang(CPU), 3, own_process=own)]
        for folder, own in ((str(corpus.folder), False), (f"file://{shards.folder}", True))
    ]
    assert len(read_on[0]) == len(read_on[1]) > 5
    for a, b in zip(*read_on, strict=True):
        assert (a.names, a.starts) == (b.names, b.starts)
        assert torch.equal(a.wav, b.wav)
        assert torch.equal(a.joints, b.joints)


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_the_clips_of_fewer_shards_than_they_are(
    corpus: Corpus, tmp_path: Path, ranks: int
) -> None:
    write_shards(corpus, tmp_path, 100)
    assert len(list(tmp_path.glob("train-*.tar"))) == 1
    shards, config = read_corpus(tmp_path), replace(CONFIG, clips_per_pair=1)
    parts = [
        {example.pair.name for batch in ClipReader(shards, "train", config, rank, ranks) for example in batch}
        for rank in range(ranks)
    ]
    assert all(parts)
    assert sum(map(len, parts)) == len(set.union(*parts)) == len(shards.split("train"))
    # Too few pairs for the ranks, and not too few shards, is what cannot be.
    with pytest.raises(DataError, match=r"10 pairs of train make no batch of 3 clips on 20 ranks"):
        ClipReader(shards, "train", replace(CONFIG, least_clips=3), 0, 20)


def test_webdataset_reads_them(corpus: Corpus, shards: Corpus) -> None:
    tars = sorted(str(path) for path in shards.folder.glob("train-*.tar"))
    samples = list(webdataset.WebDataset(tars, shardshuffle=False))
    assert [json.loads(sample["json"])["pair"]["name"] for sample in samples] == [
        pair.name for pair in corpus.split("train")
    ]
    assert len({sample["__key__"] for sample in samples}) == len(samples)
    for sample, pair in zip(samples, corpus.split("train"), strict=True):
        sound, rate = soundfile.read(io.BytesIO(sample.get("flac") or sample["wav"]), dtype="float32")
        assert rate == 16_000
        assert np.array_equal(sound, load_pair(pair, corpus.folder).wav.numpy())
        assert "joints" in np.load(io.BytesIO(sample["npz"]))


def copied(shards: Corpus, folder: Path) -> Path:
    for file in shards.folder.iterdir():
        folder.joinpath(file.name).write_bytes(file.read_bytes())
    return folder


def cut_off(tar: Path) -> None:
    tar.write_bytes(tar.read_bytes()[:-20_000])


def put_another_in_place(tar: Path) -> None:
    with tarfile.open(tar, "w") as file:
        file.add(__file__, "test_shards.py")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut_off, r"train-000001\.tar: \d+ bytes, expected \d+: it is cut off, or another file"),
        (put_another_in_place, r"train-000001\.tar: \d+ bytes, expected \d+: it is cut off, or another file"),
        (Path.unlink, r"one of its 5 shards is missing .*train-000001\.tar"),
    ],
)
def test_tars_that_are_not_whole_are_refused_before_anything_is_read(
    shards: Corpus, tmp_path: Path, damage: object, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(shards, tmp_path)
    assert callable(damage)
    damage(folder / "train-000001.tar")
    for place in (str(folder), f"file://{folder}"):
        with pytest.raises(ShardError, match=said):
            read_corpus(place)
        assert main(["profile", place]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_bytes_that_are_not_those_that_were_written_stop_the_reading_at_once(
    shards: Corpus, tmp_path: Path
) -> None:
    folder = copied(shards, tmp_path)
    broken = folder / "train-000001.tar"
    draw = random.Random(0)
    whole = broken.read_bytes()
    expected = read(ClipReader(shards, "train", CONFIG))
    bad = {pair.name for pair in shards.pairs if pair.shard and pair.shard.path.endswith("train-000001.tar")}
    for pair in shards.pairs:
        span = pair.shard
        if pair.name not in bad or span is None:
            continue
        at = draw.randrange(span.start, span.stop)
        broken.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        reader = ClipReader(read_corpus(folder), "train", CONFIG)
        done: list[list[Example]] = []
        with pytest.raises(ShardError, match=r"train-000001\.tar: the bytes from \d+ to \d+ are not those"):
            done.extend(reader)
        # What was read before it is whole: no batch misses a clip.
        assert read(iter(done)) == expected[: len(done)]
        assert pair.name not in {example.pair.name for batch in done for example in batch}


def test_a_shard_that_vanishes_while_it_is_read_stops_the_reading(shards: Corpus, tmp_path: Path) -> None:
    folder = copied(shards, tmp_path)
    reader = ClipReader(read_corpus(folder), "train", CONFIG)
    (folder / "train-000002.tar").unlink()
    with pytest.raises(ShardError, match=r"train-000002\.tar: no such file"):
        list(reader)


def test_other_shards_than_a_run_began_with_are_refused(
    corpus: Corpus, shards: Corpus, tmp_path: Path
) -> None:
    begun = ClipReader(shards, "train", CONFIG)
    next(begun)
    for name, pairs_per_tar, source in (
        ("sizes", 5, corpus),
        ("pairs", 4, replace(corpus, pairs=corpus.pairs[1:])),
    ):
        write_shards(source, tmp_path / name, pairs_per_tar)
        other = ClipReader(read_corpus(tmp_path / name), "train", CONFIG)
        with pytest.raises(DataError, match=r"cannot go on with other data than it began with: corpus is"):
            other.load_state_dict(begun.state_dict())
    folder = copied(shards, tmp_path)
    lines = (folder / MANIFEST).read_text().splitlines(keepends=True)
    (folder / MANIFEST).write_text("".join(lines[:-1]))
    with pytest.raises(DataError, match=r"manifest\.jsonl: changed since it was prepared"):
        read_corpus(folder)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("memory://bucket/nothing", "no prepared corpus"),
        ("nosuch://bucket/shards", "Protocol not known: nosuch"),
        ("{tar}", "no prepared corpus"),
    ],
)
def test_places_without_shards(shards: Corpus, place: str, said: str) -> None:
    with pytest.raises(DataError, match=said) as told:
        read_corpus(place.format(tar=shards.folder / "train-000000.tar"))
    assert len(str(told.value).splitlines()) == 1


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_interrupted_writing_goes_on_and_comes_to_the_same_bytes(
    corpus: Corpus, shards: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def interrupted(pair: MotionPair, folder: Path) -> LoadedPair:
        calls.append(pair.name)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return load_pair(pair, folder)

    monkeypatch.setattr(sharding, "load_pair", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_shards(corpus, tmp_path, 4)
    assert [path.name for path in tmp_path.iterdir()] == ["train-000000.tar"]
    (tmp_path / ".part-killed.tar").touch()  # as a process leaves that had no time to end
    with pytest.raises(DataError, match="no prepared corpus"):
        read_corpus(tmp_path)
    write_shards(corpus, tmp_path, 4)
    assert len(calls) == 7 + len(corpus.pairs) - 4
    (tmp_path / ".part-killed.tar").unlink()
    assert bytes_of(tmp_path) == bytes_of(shards.folder)
    # Damage is found, and one tar written again.
    for damage in (cut_off, put_another_in_place):
        damage(tmp_path / "train-000001.tar")
        write_shards(corpus, tmp_path, 4)
        assert bytes_of(tmp_path) == bytes_of(shards.folder)
    assert len(calls) == 7 + len(corpus.pairs) - 4 + 2 * 4


@pytest.mark.slow
def test_the_command(
    corpus: Corpus, shards: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["shards", str(corpus.folder), str(out), "--pairs", "4"]) == 0
    assert "5  shards" in capsys.readouterr().out
    assert bytes_of(out) == bytes_of(shards.folder)
    # Shards of shards are the same pairs.
    again = tmp_path / "again"
    assert main(["shards", f"file://{out}", str(again), "--pairs", "100", "--workers", "2"]) == 0
    assert read(ClipReader(read_corpus(again), "train", CONFIG)) == read(ClipReader(shards, "train", CONFIG))
    capsys.readouterr()
    before = bytes_of(out)
    for arguments, said in (
        ([str(corpus.folder), str(out), "--pairs", "5"], "which is none of the 4 shards to write"),
        ([str(corpus.folder), str(out), "--pairs", "4", "--flac"], "or with other settings"),
        ([str(corpus.folder), str(corpus.folder)], "holds a prepared corpus"),
        ([str(corpus.folder), str(tmp_path / "new"), "--pairs", "0"], "--pairs 0: expected 1 or more"),
        ([str(tmp_path), str(tmp_path / "new")], "no prepared corpus"),
    ):
        assert main(["shards", *arguments]) == 2
        assert said in capsys.readouterr().err
    assert bytes_of(out) == before
    assert not (tmp_path / "new").exists()


def test_a_pair_that_cannot_be_loaded_leaves_no_shards(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", [Made(f"p{i}") for i in range(3)])
    (corpus.folder / "audio/p2.wav").unlink()
    assert main(["shards", str(corpus.folder), str(tmp_path / "out"), "--pairs", "2"]) == 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["train-000000.tar"]
    assert not (tmp_path / "out" / MARK).exists()
