"""A motion-paired corpus exported for tasks of S3PRL whose files are untouched."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from motion_data.corpora.constructed.plan import plan_pair
from motion_data.corpora.constructed.preparing import make_pair
from motion_data.csv_file import read_csv
from motion_data.errors import DataError
from motion_data.labels import read_labels
from motion_data.loading import LoadedPair, load_pair
from motion_data.manifest import Corpus, write_manifest
from motion_data.pair import MotionPair
from motion_data.s3prl_adapter import cut_utterances, export, plan_export, style_of, tempo_of
from motion_data.s3prl_adapter import main as export_command
from recipes.downstream.beat_tracking.dataset import load_splits
from recipes.downstream.run_downstream import main as run_downstream
from tests.made_corpus import Made, write_corpus

STYLES = ("breaking", "waltz", "salsa")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Three styles in every split, two pairs each, of 44.1 kHz; one pair without style or grid."""
    made = [
        Made(
            f"{split}{i}",
            bpm=100.0 + 20 * (i % 3),
            metre=3 if i % 3 == 1 else 4,
            seconds=5.0,
            split=split,
            style=STYLES[i % 3],
            rate=44_100,
        )
        for split in ("train", "dev", "test")
        for i in range(6)
    ]
    return write_corpus(tmp_path_factory.mktemp("corpus"), [*made, Made("plain", bpm=None)])


def train(task: str, expdir: Path, **datarc: object) -> str:
    """Two steps of a task, evaluated; the log of the run."""
    short = {"total_steps": 2, "save_step": 2, "eval_step": 2, "log_step": 1, "gradient_accumulate_steps": 1}
    options = [f"config.runner.{key}={value}" for key, value in short.items()]
    options += [f"config.downstream_expert.datarc.{key}={value}" for key, value in datarc.items()]
    command = ["-m", "train", "-u", "fbank", "-d", task, "-p", str(expdir), "-o", ",,".join(options)]
    assert run_downstream(command) == 0
    log = expdir / "log.log"
    return log.read_text() if log.is_file() else ""


@pytest.mark.slow
def test_exported_beat_tracking_trains(corpus: Corpus, tmp_path: Path) -> None:
    done = export(plan_export(corpus, "beat_tracking"), tmp_path / "data")
    assert done.clips == {"train": 6, "dev": 6, "test": 6}
    assert set(done.left_out) == {"plain"}
    for split, recordings in load_splits(tmp_path / "data").items():
        assert {recording.piece for recording in recordings} == {f"{split}{i}" for i in range(6)}
        for recording in recordings:
            wav = recording.load().numpy()
            assert len(wav) == 80_000
            for beat in recording.beats.times[1:]:
                at = round(beat * 16_000)
                assert wav[at + 16 : at + 48].mean() - wav[at - 100 : at - 30].mean() > 0.2
    train("beat_tracking", tmp_path / "exp", root=tmp_path / "data", crop_seconds=2.0)
    assert (tmp_path / "exp" / "scores-test.jsonl").is_file()


def test_labels_are_exported_with_the_sounds_of_constructed_pairs(corpus: Corpus, tmp_path: Path) -> None:
    made = [make_pair(plan_pair(0, index, {}, 4.0, None)) for index in (0, 4, 9)]
    constructed = write_manifest(tmp_path / "corpus", made, "constructed", {})
    for _ in range(2):  # the second time nothing is rendered
        export(plan_export(constructed, "beat_tracking"), tmp_path / "data")
        rows = read_csv(tmp_path / "data/splits.csv", ("audio", "beats", "labels"))
        assert len(rows) == 3
        for pair, row in zip(constructed.pairs, rows, strict=True):
            expected = load_pair(pair, constructed.folder).labels.events
            found = read_labels(tmp_path / "data" / row.cells["labels"]).events
            assert found.keys() == expected.keys()
            assert all(np.array_equal(found[kind], events) for kind, events in expected.items())
    export(plan_export(corpus, "beat_tracking"), tmp_path / "others")
    assert {row.cells["labels"] for row in read_csv(tmp_path / "others/splits.csv", ("labels",))} == {""}


def test_a_file_that_holds_no_labels_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", joints=np.zeros((3, 3)))
    with pytest.raises(DataError, match=r"a\.npz: not labels of this project.*'joints'"):
        read_labels(tmp_path / "a.npz")
    with pytest.raises(DataError, match="no such file"):
        read_labels(tmp_path / "b.npz")


def test_exported_speech_commands_trains_in_s3prls_own_task(corpus: Corpus, tmp_path: Path) -> None:
    from s3prl.downstream.speech_commands.expert import split_dataset

    done = export(plan_export(corpus, "speech_commands", 2.0), tmp_path / "data")
    assert done.classes == dict(zip(("yes", "no", "up"), sorted(STYLES), strict=True))
    # Five seconds become two, two and one: half a clip is not thrown away.
    assert done.clips == {"train": 18, "dev": 18, "test": 18}
    root = tmp_path / "data" / "speech_commands_v0.01"
    test_root = tmp_path / "data" / "speech_commands_test_set_v0.01"
    found = {pair.name: pair for pair in corpus.pairs}
    parts = dict(zip(("train", "dev"), split_dataset(root), strict=True))
    parts["test"] = [(path.parent.name, path) for path in test_root.rglob("*.wav")]
    for split, files in parts.items():
        assert len(files) == 18
        for word, path in files:
            pair = found[Path(path).name.rpartition("_nohash_")[0].rpartition("-")[0]]
            assert (pair.split, style_of(pair)) == (split, done.classes[word])
            assert soundfile.info(path).samplerate == 16_000
    listed = (root / "validation_list.txt").read_text().split()
    assert {root / name for name in listed} == {Path(path) for _, path in parts["dev"]}
    log = train(
        "speech_commands",
        tmp_path / "exp",
        speech_commands_root=root,
        speech_commands_test_root=test_root,
        batch_size=4,
        num_workers=0,
    )
    assert "test at step 2: " in log


def test_exported_fluent_commands_trains_in_s3prls_own_task(corpus: Corpus, tmp_path: Path) -> None:
    done = export(plan_export(corpus, "fluent_commands"), tmp_path / "data")
    assert done.clips == {"train": 6, "dev": 6, "test": 6}
    table = (tmp_path / "data/data/valid_data.csv").read_text().splitlines()
    assert table[0] == ",path,speakerId,transcription,action,object,location"
    first = "0,wavs/dev/dev0_0.wav,take-dev0,breaking 4 beats medium,breaking,4 beats,medium"
    assert table[1] == first
    options = {"train_batch_size": 4, "eval_batch_size": 4, "num_workers": 0}
    log = train("fluent_commands", tmp_path / "exp", file_path=tmp_path / "data", **options)
    assert "test at step 2: " in log


@pytest.mark.slow
def test_the_rarest_of_many_styles_are_unknown_words(tmp_path: Path) -> None:
    styles = [f"style{i:02d}" for i in range(12)]
    made = [Made(f"{s}-{i}", style=s, seconds=2.0) for s in styles for i in range(1 + (s != "style03"))]
    made += [
        Made(f"{split}{s}", style=s, seconds=2.0, split=split) for split in ("dev", "test") for s in styles
    ]
    out = tmp_path / "out"
    done = export(plan_export(write_corpus(tmp_path / "corpus", made), "speech_commands"), out)
    assert done.classes["_unknown_"] == "style03, style11"
    assert done.classes["yes"] == "style00"
    assert len(done.classes) == 11
    train(
        "speech_commands",
        tmp_path / "exp",
        speech_commands_root=out / "speech_commands_v0.01",
        speech_commands_test_root=out / "speech_commands_test_set_v0.01",
        batch_size=4,
        num_workers=0,
    )
    truth = (tmp_path / "exp" / "test_truth.txt").read_text().splitlines()
    assert sum(line.endswith(" _unknown_") for line in truth) == 2


def test_one_recording_with_many_dances_is_one_item(corpus: Corpus, tmp_path: Path) -> None:
    again = replace(corpus.split("train")[1], name="again", take="another")
    both = write_manifest(tmp_path, [*corpus.pairs, again], "folder", {})
    for layout in ("beat_tracking", "speech_commands"):
        assert plan_export(both, layout).clips == plan_export(corpus, layout).clips


def test_what_was_not_learned_is_not_tested(tmp_path: Path) -> None:
    made = [Made("a", style="waltz"), Made("b", style="salsa"), Made("c", style="salsa", split="dev")]
    made += [Made("d", style="waltz", split="test"), Made("e", style="tango", split="test")]
    corpus = write_corpus(tmp_path / "corpus", made)
    done = export(plan_export(corpus, "fluent_commands"), tmp_path / "out")
    assert done.left_out == {"e": "tango: not in the training split"}
    assert not list((tmp_path / "out").rglob("e_0.wav"))


def test_an_interrupted_export_goes_on(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    loaded: list[str] = []
    again: list[str] = []

    def interrupted(pair: MotionPair, folder: Path) -> LoadedPair:
        if len(loaded) == 7:
            raise KeyboardInterrupt
        loaded.append(pair.name)
        return load_pair(pair, folder)

    def whole(pair: MotionPair, folder: Path) -> LoadedPair:
        again.append(pair.name)
        return load_pair(pair, folder)

    monkeypatch.setattr("motion_data.loading.load_pair", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(plan_export(corpus, "beat_tracking"), out)
    assert not (out / "splits.csv").exists()
    assert json.loads((out / "exported.json").read_text())["whole"] is False
    monkeypatch.setattr("motion_data.loading.load_pair", whole)
    export(plan_export(corpus, "beat_tracking"), out)
    assert not set(again) & set(loaded)
    assert len(again) + len(loaded) == 18
    assert json.loads((out / "exported.json").read_text())["whole"] is True
    assert not list(out.rglob(".*"))


def test_a_folder_of_something_else_is_left_alone(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/song.txt").touch()
    with pytest.raises(DataError, match="not empty and no export"):
        export(plan_export(corpus, "beat_tracking"), tmp_path / "mine")
    export(plan_export(corpus, "beat_tracking"), tmp_path / "out")
    with pytest.raises(DataError, match="holds another export"):
        export(plan_export(corpus, "fluent_commands"), tmp_path / "out")


def test_the_command_says_what_it_did(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [str(corpus.folder), str(tmp_path / "out"), "--layout", "speech_commands"]
    assert export_command([*options, "--seconds", "2"]) == 1
    told = capsys.readouterr()
    # 18 recordings of 5 s, each cut to 2, 2 and 1 s; a second is 32,000 bytes.
    first, classes, *_ = told.out.splitlines()
    assert first == (
        f"{tmp_path / 'out'}: speech_commands: 54 wav files (18 of train, 18 of dev, 18 of test), "
        f"0.03 h, 2.9 MB; 1 pairs left out"
    )
    assert classes == "  classified: style, 3 classes by number of recordings: breaking 6, salsa 6, waltz 6"
    written = sum(
        path.stat().st_size - 44 for path in (tmp_path / "out/speech_commands_v0.01").rglob("*.wav")
    )
    assert written == 18 * 5 * 32_000
    assert "18 of train, 18 of dev, 18 of test" in told.out
    assert "yes: breaking" in told.out
    assert "left out: plain: no style or dance in its provenance" in told.err
    plans = {layout: plan_export(corpus, layout).text() for layout in ("beat_tracking", "fluent_commands")}
    assert "nothing is classified" in plans["beat_tracking"]
    assert "tempo, 2 classes by number of recordings: fast 6, medium 12" in plans["fluent_commands"]
    assert export_command([str(tmp_path), str(tmp_path / "other"), "--layout", "beat_tracking"]) == 2
    assert "no prepared corpus" in capsys.readouterr().err


def test_a_task_without_its_split_is_told(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", [Made("a"), Made("b", split="test")])
    with pytest.raises(DataError, match="nothing to export for dev, which the task needs"):
        export(plan_export(corpus, "beat_tracking"), tmp_path / "out")


@pytest.mark.parametrize("layout", ["speech_commands", "fluent_commands"])
def test_a_corpus_without_labels_leaves_nothing(layout: str, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", [Made("a"), Made("b", split="test")])
    (tmp_path / "empty").mkdir()
    for out in (tmp_path / "out", tmp_path / "empty"):
        with pytest.raises(DataError, match="style"):
            export(plan_export(corpus, layout), out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "empty"]
    assert not list((tmp_path / "empty").iterdir())


@given(st.integers(1, 2_000_000), st.floats(0.5, 30.0))
def test_stretches_follow_each_other(samples: int, seconds: float) -> None:
    stretches = cut_utterances(samples, seconds)
    size = round(seconds * 16_000)
    assert stretches[0][0] == 0
    assert all(stop == start for (_, stop), (start, _) in itertools.pairwise(stretches))
    assert all(stop - start == size for start, stop in stretches[:-1])
    first, last = stretches[-1]
    assert 0 < last - first <= size
    assert len(stretches) == 1 or last - first >= size // 2
    assert samples - last < size / 2 + 1


def test_bands_of_tempo(corpus: Corpus) -> None:
    pair = corpus.split("train")[1]
    bands = [tempo_of(replace(pair, bpm=bpm)) for bpm in (99.9, 100.0, 129.9, 130.0)]
    assert bands == ["slow", "medium", "medium", "fast"]
