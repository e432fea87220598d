"""S3PRL's own tasks with its unmodified files, trained and evaluated by run_downstream.py."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path

import pytest
import torch

from recipes.downstream.run_downstream import main
from recipes.downstream.s3prl_runner.run_files import checkpoint_classes
from tests import s3prl_corpora

pytestmark = pytest.mark.slow

STEPS = 3
SHORT = {
    "total_steps": STEPS,
    "save_step": STEPS,
    "eval_step": STEPS,
    "log_step": 1,
    "gradient_accumulate_steps": 1,
}

CORPORA: dict[str, Callable[[Path], dict[str, object]]] = {
    "speech_commands": s3prl_corpora.speech_commands,
    "fluent_commands": s3prl_corpora.fluent_commands,
    "emotion": s3prl_corpora.iemocap,
    "voxceleb1": s3prl_corpora.voxceleb1,
}
TEST_CLIPS = {"speech_commands": 12, "fluent_commands": 4, "emotion": 5, "voxceleb1": 4}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, object]]:
    written: dict[str, dict[str, object]] = {}

    def corpus(task: str) -> dict[str, object]:
        if task not in written:
            written[task] = CORPORA[task](tmp_path_factory.mktemp(task))
        return written[task]

    return corpus


@pytest.fixture(autouse=True)
def _lists_of_this_corpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """voxceleb1 stores the lists of its first corpus in the installed package."""
    from s3prl.downstream.voxceleb1 import dataset

    monkeypatch.setattr(dataset, "CACHE_PATH", str(tmp_path / "lists"))


def overrides(datarc: dict[str, object], **runner: object) -> list[str]:
    options = [f"config.downstream_expert.datarc.{key}={value}" for key, value in datarc.items()]
    options += [f"config.runner.{key}={value}" for key, value in runner.items()]
    return ["-o", ",,".join(options)]


def step_of(checkpoint: Path) -> int:
    with checkpoint_classes():
        return int(torch.load(checkpoint, weights_only=True)["Step"])


@pytest.mark.parametrize("upstream", ["motionbeat", "fbank"])
@pytest.mark.parametrize("task", CORPORA)
def test_trains_and_evaluates(
    task: str, upstream: str, corpora: Callable[[str], dict[str, object]], tmp_path: Path
) -> None:
    expdir = tmp_path / "exp"
    train = ["-m", "train", "-u", upstream, "-d", task, "-p", str(expdir), *overrides(corpora(task), **SHORT)]
    assert main(train) == 0
    assert step_of(expdir / f"states-{STEPS}.ckpt") == STEPS
    in_training = (expdir / "log.log").read_text().splitlines()
    for split in ("dev", "test"):
        assert [line for line in in_training if line.startswith(f"{split} at step {STEPS}: ")]

    assert main(["-m", "evaluate", "-t", "test", "-e", str(expdir)]) == 0
    again = (expdir / "log.log").read_text().splitlines()[len(in_training) :]
    accuracy = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in in_training + again}
    assert again == [f"test at step 0: {accuracy[f'test at step {STEPS}:']}"]
    assert 0 <= accuracy["test at step 0:"] <= 1
    (predicted,) = expdir.glob("test*predict*")
    (truth,) = expdir.glob("test*truth*")
    assert len(predicted.read_text().splitlines()) == TEST_CLIPS[task]
    assert len(truth.read_text().splitlines()) == TEST_CLIPS[task]


@pytest.mark.parametrize("upstream", ["motionbeat", "fbank"])
def test_example_trains_resumes_and_evaluates(
    upstream: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from s3prl.downstream.example import dataset

    # One second of noise instead of 5 to 20.
    monkeypatch.setattr(dataset, "EXAMPLE_WAV_MIN_SEC", 1)
    monkeypatch.setattr(dataset, "EXAMPLE_WAV_MAX_SEC", 1)
    expdir = tmp_path / "exp"
    quick = {"evaluate_ratio": 0.05}
    train = ["-m", "train", "-u", upstream, "-d", "example", "-p", str(expdir)]
    assert main([*train, *overrides({"num_workers": 0}, **SHORT, **quick)]) == 0
    assert main(["-m", "train", "-e", str(expdir), *overrides({}, total_steps=5, save_step=5)]) == 0
    assert [step_of(path) for path in expdir.glob("states-*.ckpt")] == [5]
    assert main(["-m", "evaluate", "-e", str(expdir)]) == 0


@pytest.mark.parametrize(
    "part", ["run_downstream.py", "downstream/runner.py", *[f"downstream/{t}" for t in CORPORA]]
)
def test_files_of_s3prl_are_unmodified(part: str) -> None:
    recorded = [
        file
        for file in distribution("s3prl").files or []
        if str(file).startswith(f"s3prl/{part}") and file.suffix == ".py"
    ]
    assert recorded
    for file in recorded:
        assert file.hash is not None
        digest = hashlib.new(file.hash.mode, file.read_binary()).digest()
        assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == file.hash.value, file
