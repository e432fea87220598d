"""Cached features of frozen upstreams: computed once, equal to new ones, and never damaged."""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from s3prl.upstream.interfaces import UpstreamBase
from torch import Tensor, nn

from motionbeat_upstream import expert
from motionbeat_upstream.expert import UpstreamExpert
from recipes.downstream.encoder import fingerprint
from recipes.downstream.run_downstream import main
from recipes.downstream.s3prl_runner import registration
from recipes.downstream.s3prl_runner.cached_upstream import CachedUpstream, batch_difference
from recipes.downstream.s3prl_runner.options import parse
from recipes.downstream.s3prl_runner.run_files import checkpoint_classes
from tests.beat_tracking_clicks import write_clicks
from tests.s3prl_corpora import write_clip

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[3]
TASK = "config.downstream_expert"


class Counting(nn.Module):
    """An upstream of two layers that records its waveforms and modifies them in place."""

    def __init__(self, scale: float = 1.0, named: bool = False) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))
        self.named = named
        self.lengths: list[int] = []

    def forward(self, wavs: Sequence[Tensor]) -> dict[str, Any]:
        self.lengths.extend(len(wav) for wav in wavs)
        frames = max(-(-len(wav) // 160) for wav in wavs)
        base = torch.zeros(len(wavs), frames, 4)
        for index, wav in enumerate(wavs):
            padded = nn.functional.pad(wav, (0, -len(wav) % 160)).view(-1, 160)
            base[index, : len(padded)] = self.scale * padded[:, :4]
            wav.zero_()
        layers = {"first": base, "second": base**2}
        return {
            "hidden_states": layers if self.named else list(layers.values()),
            "last_hidden_state": base**2,
        }


def cached(
    upstream: nn.Module, folder: Path, name: str = "hidden_states", gigabytes: float = 1, repeats: bool = True
) -> CachedUpstream:
    return CachedUpstream(upstream.eval(), name, CPU, folder, gigabytes, lambda: repeats)


def entries(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*.safetensors")}


def noise(*lengths: int) -> list[Tensor]:
    return [torch.randn(length, generator=torch.Generator().manual_seed(length)) for length in lengths]


@pytest.mark.slow
@given(
    st.lists(st.lists(st.integers(1, 2000), min_size=1, max_size=4), min_size=1, max_size=6), st.booleans()
)
@settings(max_examples=30, deadline=None)
@torch.no_grad()
def test_each_waveform_is_computed_once_whatever_the_batches(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]], named: bool
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    plain, counting = Counting(named=named), Counting(named=named)
    for upstream in (counting, Counting(named=named)):  # the second as in another run
        model = cached(upstream, folder)
        for lengths in batches:
            wavs = noise(*lengths)
            features = model(wavs)["hidden_states"]
            torch.testing.assert_close(wavs, noise(*lengths), rtol=0, atol=0)
            outputs = plain(noise(*lengths))["hidden_states"]
            expected = list(outputs.values()) if named else outputs
            torch.testing.assert_close(features, expected, rtol=0, atol=0)
    distinct = {length for lengths in batches for length in lengths}
    assert sorted(counting.lengths) == sorted(distinct)
    assert upstream.lengths == []
    assert len(entries(folder)) == len(distinct)


@torch.no_grad()
def test_a_key_depends_on_everything_that_features_depend_on(tmp_path: Path) -> None:
    wavs = noise(800)
    cached(Counting(), tmp_path)(wavs)
    for number, other in enumerate(
        [
            cached(Counting(1.001), tmp_path),
            cached(Counting(), tmp_path, "last_hidden_state"),
            cached(Counting(named=True), tmp_path),
        ]
    ):
        other(wavs)
        assert (other.computed, other.read) == (1, 0)
        assert len(entries(tmp_path)) == number + 2
    # A sample more, another sample, another precision.
    model = cached(Counting(), tmp_path)
    longer, changed = nn.functional.pad(wavs[0], (0, 1)), wavs[0].clone()
    changed[-1] += 1e-6
    model([wavs[0], longer, changed])
    assert (model.computed, model.read) == (2, 1)
    with torch.autocast("cpu", torch.bfloat16):
        model(wavs)
    assert (model.computed, model.read) == (3, 1)
    cached(Counting(), tmp_path / "elsewhere", repeats=False)(wavs)
    assert not entries(tmp_path / "elsewhere")


@pytest.mark.parametrize("damage", ["empty", "header", "cut", "bit", "another"])
@torch.no_grad()
def test_a_damaged_entry_is_computed_again(
    damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wavs = noise(4000)
    whole = cached(Counting(), tmp_path)(wavs)["hidden_states"]
    (file,) = tmp_path.rglob("*.safetensors")
    content = file.read_bytes()
    if damage == "another":
        cached(Counting(), tmp_path / "other")(noise(4001))
        (other,) = (tmp_path / "other").rglob("*.safetensors")
        file.write_bytes(other.read_bytes())
    elif damage == "bit":
        file.write_bytes(content[:-7] + bytes([content[-7] ^ 1]) + content[-6:])
    else:
        file.write_bytes(content[: {"empty": 0, "header": 20, "cut": len(content) - 9}[damage]])
    capsys.readouterr()
    model = cached(Counting(), tmp_path)
    again = model(wavs)["hidden_states"]
    torch.testing.assert_close(again, whole, rtol=0, atol=0)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{file}: damaged (")
    assert len(file.read_bytes()) == len(content)
    assert (model.computed, model.read) == (1, 0)
    model(wavs)
    assert (model.computed, model.read) == (1, 1)
    assert capsys.readouterr().err == ""


@torch.no_grad()
def test_a_full_or_invalid_folder_does_not_stop_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = Counting()(noise(1600, 1601, 1602))["hidden_states"]
    (tmp_path / "file").touch()
    for model, entries_left, reason in (
        (cached(Counting(), tmp_path / "small", gigabytes=8e-7), 1, "may not grow further"),
        (cached(Counting(), tmp_path / "none", gigabytes=0), 0, "may not grow further"),
        (cached(Counting(), tmp_path / "file"), 0, "Not a directory"),
    ):
        for _ in range(2):
            torch.testing.assert_close(
                model(noise(1600, 1601, 1602))["hidden_states"], expected, rtol=0, atol=0
            )
        (line,) = capsys.readouterr().err.splitlines()
        assert reason in line
        assert "--feature_cache" in line
        assert model.read == entries_left
    # Existing files count.
    size = len(next(iter(entries(tmp_path / "small").values())))
    cached(Counting(), tmp_path / "small", gigabytes=1.5 * size / 1e9)(noise(1700))
    assert len(entries(tmp_path / "small")) == 1


def _fill(folder: Path, start: Any, results: Any) -> None:
    model = cached(Counting(), folder)
    start.wait()
    with torch.no_grad():
        sums = [model(noise(length))["hidden_states"][1].double().sum().item() for length in range(400, 440)]
    results.put(sums)


def test_processes_share_a_folder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    start, results = context.Barrier(3), context.Queue()
    processes = [context.Process(target=_fill, args=(tmp_path, start, results)) for _ in range(3)]
    for process in processes:
        process.start()
    sums = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    expected = [
        Counting()(noise(length))["hidden_states"][1].double().sum().item() for length in range(400, 440)
    ]
    assert sums == [expected] * 3
    assert len(list(tmp_path.rglob("*"))) == len({name[:2] for name in entries(tmp_path)}) + 40  # no drafts
    model = cached(Counting(), tmp_path)
    with torch.no_grad():
        for length in range(400, 440):
            model(noise(length))
    assert model.computed == 0


def test_a_fingerprint_is_the_same_in_every_process() -> None:
    """The representation of S3PRL's upstreams contains addresses in memory, of their hooks."""

    class Hooked(UpstreamBase):  # type: ignore[misc] # S3PRL has no types
        def __init__(self) -> None:
            super().__init__(hooks=[("self.layer", lambda input, output: output)])
            self.layer = nn.Identity()

    models = [Hooked() for _ in range(3)]
    assert len({repr(model.hooks) for model in models}) == 3
    assert len({fingerprint(model, CPU) for model in models}) == 1


def test_features_that_depend_on_the_batch_are_detected() -> None:
    assert batch_difference(Counting().eval(), "hidden_states", 160, CPU) == 0

    class Normalised(Counting):
        def forward(self, wavs: Sequence[Tensor]) -> dict[str, Any]:
            layers = super().forward(wavs)["hidden_states"]
            return {"hidden_states": [layer / layer.std() for layer in layers]}

    assert batch_difference(Normalised().eval(), "hidden_states", 160, CPU) > 0.01


class Calls:
    """Counts the calls of MotionBeat's upstream."""

    def __init__(self) -> None:
        self.calls = 0

    def count(self, command: list[str]) -> int:
        self.calls = 0
        assert main(command) == 0
        return self.calls


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    counter, original = Calls(), UpstreamExpert.forward

    def forward(self: UpstreamExpert, *args: Any, **options: Any) -> dict[str, Any]:
        counter.calls += 1
        return original(self, *args, **options)

    monkeypatch.setattr(expert.UpstreamExpert, "forward", forward)
    return counter


START = 5
"""Calls at the start of a run, which check the features and their dependence on the batch."""


@pytest.fixture
def loudness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Options that train the task ``loudness`` of the tests for six steps on four clips of four lengths."""
    for number in range(4):
        name = f"{'loud' if number % 2 else 'quiet'}-{number}.wav"
        write_clip(tmp_path / "clips" / name, seed=number, seconds=0.4 + 0.1 * number)
    monkeypatch.setattr(registration, "TASKS", ROOT / "tests" / "tasks")
    monkeypatch.chdir(tmp_path)
    overrides = f"{TASK}.datarc.root={tmp_path / 'clips'},,config.runner.total_steps=6"
    return ["-m", "train", "-d", "loudness", "-o", overrides]


def weights(expdir: str) -> dict[str, Tensor]:
    with checkpoint_classes():
        states = torch.load(Path(expdir) / "states-6.ckpt", weights_only=True)
    tensors: dict[str, Tensor] = {**states["Downstream"], **states["Featurizer"]}
    return tensors


def cache_summary(capsys: pytest.CaptureFixture[str]) -> tuple[int, int]:
    """Numbers of waveforms that were computed and read."""
    ((computed, read),) = re.findall(
        r"^\[features\] (\d+) waveforms computed, (\d+) read", capsys.readouterr().out, re.M
    )
    return int(computed), int(read)


@pytest.mark.slow
def test_another_seed_does_not_call_the_upstream(
    loudness: list[str], calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    motionbeat = [*loudness, "-u", "motionbeat"]
    without = calls.count([*motionbeat, "-p", "without", "--feature_cache", "none"])
    capsys.readouterr()
    assert calls.count([*motionbeat, "-p", "first", "--feature_cache", "kept"]) == START + 4 < without
    computed, read = cache_summary(capsys)
    assert computed == 4
    assert read > 12
    assert len(entries(Path("kept"))) == 4
    first = weights("first")
    for name, value in weights("without").items():
        torch.testing.assert_close(first[name], value, rtol=1e-4, atol=1e-5)
    assert calls.count([*motionbeat, "-p", "again", "--feature_cache", "kept"]) == START
    torch.testing.assert_close(weights("again"), first, rtol=0, atol=0)
    assert calls.count([*motionbeat, "-p", "seed", "--feature_cache", "kept", "--seed", "5"]) == START
    assert calls.count(["-m", "evaluate", "-e", "seed", "--feature_cache", "kept"]) == START
    # Other weights; a trained upstream.
    assert (
        calls.count([*loudness, "-u", "motionbeat_untrained", "-p", "x", "--feature_cache", "kept"])
        == START + 4
    )
    capsys.readouterr()
    assert calls.count([*motionbeat, "-f", "-p", "tuned", "--feature_cache", "kept"]) == without
    assert "[features]" not in capsys.readouterr().out
    assert len(entries(Path("kept"))) == 8


@pytest.mark.slow
def test_s3prls_own_upstreams(loudness: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("none", "kept", "kept"):
        capsys.readouterr()
        assert main([*loudness, "-u", "fbank", "--overwrite", "-p", folder, "--feature_cache", folder]) == 0
    torch.testing.assert_close(weights("kept"), weights("none"), rtol=0, atol=0)
    assert cache_summary(capsys)[0] == 0
    # S3PRL normalises mel over the batch.
    mel = [*loudness, "-u", "mel", "--overwrite", "-p", "mel", "--feature_cache", "mel_kept"]
    assert main(mel) == 0
    assert "--clip_by_clip" in capsys.readouterr().out
    assert not entries(Path("mel_kept"))
    assert main([*mel, "--clip_by_clip"]) == 0
    assert cache_summary(capsys)[0] == len(entries(Path("mel_kept"))) == 4


@pytest.mark.slow
@pytest.mark.parametrize("step", [0.0, 6.0])
def test_beat_tracking_caches_excerpts_that_repeat(
    step: float, tmp_path: Path, calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clicks(tmp_path / "data", seconds=12.0)
    overrides = {
        f"{TASK}.datarc.root": tmp_path / "data",
        f"{TASK}.datarc.crop_seconds": 6.0,
        f"{TASK}.datarc.crop_step_seconds": step,
        f"{TASK}.scoringrc.resamples": 50,
        "config.runner.total_steps": 12,
        "config.runner.eval_step": 12,
        "config.runner.save_step": 12,
    }
    options = ",,".join(f"{key}={value}" for key, value in overrides.items())
    command = ["-m", "train", "-u", "motionbeat", "-d", "beat_tracking", "-o", options]
    command += ["--feature_cache", str(tmp_path / "kept")]
    first = calls.count([*command, "-p", str(tmp_path / "first")])
    computed, _ = cache_summary(capsys)
    assert computed == len(entries(tmp_path / "kept"))
    second = calls.count([*command, "-p", str(tmp_path / "second"), "--seed", "7"])
    assert cache_summary(capsys)[0] == 0
    if step:
        assert first == START + computed
        assert second == START
    else:
        assert first - computed == second == START + 12


def test_the_folder_of_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def folder(*options: str) -> Path | None:
        return parse(["-m", "train", *options])[2].folder

    assert folder() is None  # as set in tests/conftest.py
    monkeypatch.setenv("MOTIONBEAT_FEATURE_CACHE", str(tmp_path))
    assert folder() == tmp_path
    assert folder("--feature_cache", "none") is None
    assert folder("--feature_cache", "here") == Path("here")
    monkeypatch.delenv("MOTIONBEAT_FEATURE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert folder() == tmp_path / "motionbeat" / "features"
