"""Trainings with degenerate corpora, infinite losses, full disks and invalid folders."""

from __future__ import annotations

import functools
import json
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from motion_data.files import file_sha256
from motion_data.manifest import read_corpus, write_manifest
from motion_data.motion_file import read_motion, write_motion
from motion_data.pair import MotionPair
from recipes.pretrain import model
from recipes.pretrain.criterion.pretraining_loss import pretraining_loss
from recipes.pretrain.metrics import LOSS_METRICS
from tests.conftest import skip_or_fail
from tests.made_corpus import Made, write_corpus
from tests.pretrain_run import PAIRS, error_line, metrics, prepare, run, start

pytestmark = pytest.mark.slow

SHORT = ("regime.num_steps=2", "validation.clips=4")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("pretrain"))


@pytest.fixture(scope="module")
def finished(config: Path) -> Path:
    """The folder of a run of four steps; tests copy it."""
    out = config.parent / "finished"
    assert run(out, config, "regime.num_steps=4").code() == 0
    return out


def assert_trains(out: Path, config: Path, *overrides: str) -> None:
    attempt = run(out, config, *SHORT, *overrides)
    assert attempt.code() == 0, attempt.read_output()
    for record in metrics(out):
        assert record["total_skipped_steps"] == 0
        for name in LOSS_METRICS:
            assert np.isfinite(record.get("Loss" if name == "loss" else name, 0.0))
        assert record["Loss"] > 0
        assert record["Gradient Norm"] > 0


# Corpora.


def test_a_batch_of_one_piece(tmp_path: Path) -> None:
    config = prepare(tmp_path, [replace(made, piece=made.split) for made in PAIRS])
    assert_trains(tmp_path / "out", config)
    assert metrics(tmp_path / "out")[-1]["negative_cosine"] == 0


def test_a_single_pair_trains_against_its_own_hard_negatives_or_is_refused(tmp_path: Path) -> None:
    config = prepare(tmp_path, [Made("alone", bpm=90.0, seconds=7.0)])
    assert_trains(tmp_path / "out", config, "validation.clips=0")
    # One clip does not form a batch.
    attempt = run(tmp_path / "none", config, *SHORT, "validation.clips=0", "data.clips_per_pair=1")
    assert attempt.code() == 2
    assert "least_clips" in error_line(attempt.read_output())
    # There is no dev split.
    attempt = run(tmp_path / "none", config, *SHORT)
    assert attempt.code() == 2
    assert "no corpus has a dev split" in error_line(attempt.read_output())


def test_pairs_that_form_a_batch_only_in_some_epochs(tmp_path: Path) -> None:
    # Two tempi that the moving borders of the buckets separate in every other epoch, but not in the first.
    pairs = [Made("slow", bpm=88.0, seconds=7.0), Made("fast", bpm=96.0, seconds=7.0)]
    config = prepare(tmp_path, pairs)
    overrides = ("validation.clips=0", "data.clips_per_pair=1", "regime.num_steps=6", "common.seed=1")
    assert run(tmp_path / "out", config, *overrides).code() == 0
    records = metrics(tmp_path / "out")
    assert [record["Step"] for record in records] == [1, 2, 3, 4, 5, 6]
    assert records[-1]["Data Epoch"] > 6


def test_motion_without_any_contact(tmp_path: Path) -> None:
    config = prepare(tmp_path)
    folder = tmp_path / "corpus"

    def remove_contacts(pair: MotionPair) -> MotionPair:
        assert pair.motion is not None
        motion, grid = read_motion(folder / pair.motion)
        motion = replace(motion, pulses={limb: np.empty(0) for limb in motion.pulses})
        write_motion(folder / pair.motion, motion, grid)
        return replace(pair, pulses=dict.fromkeys(pair.pulses, 0))

    write_manifest(folder, [remove_contacts(pair) for pair in read_corpus(folder).pairs], "folder", {})
    assert_trains(tmp_path / "out", config)


def test_music_without_beats(tmp_path: Path) -> None:
    config = prepare(tmp_path, [replace(made, bpm=None) for made in PAIRS])
    assert_trains(tmp_path / "out", config)
    assert_trains(tmp_path / "beats", config, "criterion.settings.frames.pulse_target=beats")


def test_silence(tmp_path: Path) -> None:
    config = prepare(tmp_path)
    folder = tmp_path / "corpus"

    def silence(number: int, pair: MotionPair) -> MotionPair:
        assert pair.audio is not None
        file = folder / pair.audio.path
        # Of different lengths: two splits must not share a recording.
        soundfile.write(file, np.zeros(7 * 16_000 + number), 16_000, subtype="PCM_24")
        return replace(pair, audio=replace(pair.audio, sha256=file_sha256(file)))

    pairs = [silence(number, pair) for number, pair in enumerate(read_corpus(folder).pairs)]
    write_manifest(folder, pairs, "folder", {})
    assert_trains(tmp_path / "out", config)


# Losses.


def make_losses_infinite(*calls: int) -> None:
    """Make the loss infinite in some of its calls, counted from 1."""
    original = pretraining_loss
    count = 0

    def infinite_loss(*arguments: Any, **keywords: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        nonlocal count
        count += 1
        loss, parts = original(*arguments, **keywords)
        if count in calls:
            loss = loss * torch.inf
            parts |= {"loss": loss.detach()}
        return loss, parts

    pytest.MonkeyPatch().setattr(model, "pretraining_loss", infinite_loss)


def test_steps_without_a_finite_loss_are_skipped_and_counted(tmp_path: Path, config: Path) -> None:
    overrides = ("criterion.stop_after=3", "validation.clips=4")
    attempt = start(
        tmp_path / "out", config, *overrides, before=functools.partial(make_losses_infinite, 2, 3, 5)
    )
    assert attempt.code() == 0, attempt.read_output()
    records = metrics(tmp_path / "out")
    assert [record["total_skipped_steps"] for record in records] == [0, 1, 2, 2, 3, 3, 3, 3]
    norms = [record["Gradient Norm"] for record in records]
    assert [norm > 0 for norm in norms] == [True, False, False, True, False, True, True, True]
    assert all(
        np.isfinite(value) for record in records for value in record.values() if isinstance(value, float)
    )
    assert not (tmp_path / "out/bad_batches.json").exists()


def test_the_count_of_skipped_steps_is_resumed(tmp_path: Path, config: Path) -> None:
    out = tmp_path / "out"
    make_infinite = functools.partial(make_losses_infinite, 2)
    assert start(out, config, "regime.num_steps=2", "validation.clips=4", before=make_infinite).code() == 0
    assert run(out, config, "regime.num_steps=4", "validation.clips=4").code() == 0
    assert [record["total_skipped_steps"] for record in metrics(out)] == [0, 1, 1, 1]


def test_too_many_skipped_steps_stop_the_run_and_list_their_clips(tmp_path: Path, config: Path) -> None:
    out = tmp_path / "out"
    make_infinite = functools.partial(make_losses_infinite, 2, 4, 5, 6)
    attempt = start(out, config, "criterion.stop_after=3", "validation.clips=4", before=make_infinite)
    assert attempt.code() == 1
    error = error_line(attempt.read_output())
    assert "3 steps in a row without a finite gradient" in error
    assert str(out / "bad_batches.json") in error
    batches = json.loads((out / "bad_batches.json").read_text())
    assert [batch["step"] for batch in batches] == [4, 5, 6]
    names = {made.name for made in PAIRS if made.split == "train"}
    for batch in batches:
        assert 2 <= len(batch["clips"]) <= 4
        for clip in batch["clips"]:
            assert clip["pair"] in names
            assert 0 <= clip["start"] < 7
    # Without the infinite losses, the run is resumed.
    assert run(out, config, "criterion.stop_after=3", "validation.clips=4").code() == 0


# Disks and folders.


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        skip_or_fail("a small file system is mounted as root only")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        skip_or_fail("a small file system could not be mounted")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("free", [0, 20_000, 300_000])
def test_a_full_disk_has_one_error_line_and_keeps_the_last_checkpoint(
    config: Path, small_disk: Path, free: int
) -> None:
    out = small_disk / "out"
    assert run(out, config, "regime.num_steps=2", "validation.clips=4").code() == 0
    filling = small_disk / "filling"
    filling.write_bytes(bytes(shutil.disk_usage(small_disk).free - free))

    attempt = run(out, config, "validation.clips=4")
    assert attempt.code() == 2
    assert "could not be written: No space left on device" in error_line(attempt.read_output())

    filling.unlink()
    assert run(out, config, "validation.clips=4").code() == 0
    assert [record["Step"] for record in metrics(out)] == list(range(1, 9))


def limit_files(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_file_size_limit_has_one_error_line(tmp_path: Path, config: Path) -> None:
    attempt = start(
        tmp_path / "out",
        config,
        "validation.clips=0",
        "common.metric_recorders.tensorboard.enabled=false",
        before=functools.partial(limit_files, 100_000),
    )
    assert attempt.code() == 2
    assert "could not be written: File too large" in error_line(attempt.read_output())


def test_a_folder_that_cannot_be_written_to(tmp_path: Path, config: Path) -> None:
    (tmp_path / "file").write_text("")
    attempt = run(tmp_path / "file" / "out", config)
    assert attempt.code() == 2
    assert "Not a directory" in error_line(attempt.read_output())


def test_a_checkpoint_of_another_configuration(tmp_path: Path, config: Path, finished: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    attempt = run(
        out, config, "optimizer.config.lr=0.1", "criterion.settings.sral_weight=0.7", "common.seed=3"
    )
    assert attempt.code() == 2
    error = error_line(attempt.read_output())
    for part in ("optimizer.config.lr is 0.1, was 0.0005", "sral_weight is 0.7, was 0.1", "seed is 3, was 0"):
        assert part in error
    # Other keys may change, also if config.yaml is incomplete after a kill.
    (out / "config.yaml").write_text("model: {arch")
    assert run(out, config, "regime.num_steps=6", "validation.clips=4", "data.workers=2").code() == 0


def test_two_jobs_in_one_folder(tmp_path: Path, config: Path) -> None:
    out = tmp_path / "out"
    first = start(out, config, "regime.num_steps=1000", "validation.clips=0")
    try:
        while not (out / "metrics/train.jsonl").exists():
            assert first.process.is_alive(), first.read_output()
        second = run(out, config, "regime.num_steps=1000", "validation.clips=0")
        assert second.code() == 2
        assert f"{out}: another job is training in this folder" in error_line(second.read_output())
        assert first.process.is_alive()
    finally:
        first.process.kill()
        first.process.join()


def test_a_changed_corpus_is_refused(tmp_path: Path, config: Path, finished: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    other = prepare(tmp_path, [*PAIRS, Made("another", bpm=90.0, seconds=7.0)])
    attempt = run(out, other)
    assert attempt.code() == 2
    error = error_line(attempt.read_output())
    old_hash, new_hash = (read_corpus(file.parent / "corpus").sha256 for file in (config, other))
    assert f"corpus is {new_hash!r}, was {old_hash!r}" in error
    # A copy of the corpus is accepted.
    write_corpus(tmp_path / "copy", PAIRS)
    assert run(out, config, f"data.corpora=[{tmp_path / 'copy'}]", "regime.num_steps=4").code() == 0


@pytest.mark.parametrize("state", ["model", "optimizer", "trainer", "data_reader"])
@pytest.mark.parametrize("damage", ["empty", "half", "text", "gone"])
def test_a_damaged_checkpoint_is_named(
    tmp_path: Path, config: Path, finished: Path, state: str, damage: str
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    (file,) = (out / "checkpoints/step_4" / state).rglob("*.pt")
    whole = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(
            {"empty": b"", "half": whole[: len(whole) // 2], "text": b"not a checkpoint"}[damage]
        )
    attempt = run(out, config)
    assert attempt.code() in (1, 2)
    error = error_line(attempt.read_output())
    assert str(file) in error
    assert "checkpoints/step_4" in error


def test_a_run_resumes_from_the_checkpoint_before_a_damaged_one(
    tmp_path: Path, config: Path, finished: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    shutil.rmtree(out / "checkpoints/step_4")
    assert run(out, config, "regime.num_steps=4").code() == 0
    assert (out / "metrics/train.jsonl").read_text().count("\n") == 4
