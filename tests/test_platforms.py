"""What runs on a laptop runs without what macOS or Windows lacks."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
import torch

from motion_data.corpora.folder import _name
from motionbeat_upstream.file_name import escape_unprintable
from recipes.downstream.beat_tracking.synthetic_clips import synthetic_splits
from recipes.downstream.beat_tracking.windows import AudioCache, TrainCrops
from recipes.downstream.clip_probing.clip_expert import Slices
from recipes.downstream.clip_probing.clips import ClipData
from recipes.downstream.clip_probing.synthetic import (
    synthetic_mixtures,
    synthetic_moods,
    synthetic_notes,
    synthetic_rhythms,
)
from tests.small import music

AS_ON_WINDOWS = """
import json, multiprocessing, os, signal, sys

import symusic  # takes Linux for granted where it sees sys.platform

LACKING = {
    os: "sched_getaffinity getloadavg fork forkpty getuid geteuid getpgid killpg setsid nice",
    signal: "SIGKILL SIGUSR1 SIGUSR2 SIGALRM SIGHUP SIGQUIT alarm setitimer",
}
for owner, names in LACKING.items():
    for name in names.split():
        delattr(owner, name)
for name in ("fcntl", "resource", "pwd", "grp", "termios", "fairseq2"):
    sys.modules[name] = None
multiprocessing.set_start_method("spawn", force=True)
multiprocessing.context._concrete_contexts = {"spawn": multiprocessing.get_context("spawn")}

if __name__ == "__main__":
    from motionbeat_upstream.commands.__main__ import main

    for arguments in json.loads(sys.argv[1]):
        sys.argv = ["motionbeat", *arguments]
        code = main()
        assert code == 0, (arguments, code)
"""


@pytest.mark.slow
def test_every_part_of_the_command_runs_as_on_windows(tmp_path: Path) -> None:
    (tmp_path / "windows.py").write_text(AS_ON_WINDOWS, encoding="utf-8")
    soundfile.write(tmp_path / "song.wav", 0.5 * music(6.0, 120.0, 0).numpy(), 16_000)
    commands = (
        ["beats", "song.wav", "-o", "song.beats"],
        ["features", "song.wav", "-o", "features"],
        ["plot", "song.wav", "-o", "song.png"],
        ["dance", "song.wav", "-o", "song.bvh", "--seconds", "3", "--steps", "1"],
        ["data", "prepare", "constructed", "corpus", "--pairs", "10", "--tunes", "0", "--seconds", "4"],
        ["data", "inspect", "corpus", "--list"],
    )
    done = subprocess.run(
        [sys.executable, "windows.py", json.dumps(commands)],
        cwd=tmp_path,
        capture_output=True,
        encoding="cp1252",
        # A pipe's encoding on a western Windows.
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for made in ("song.beats", "features/song.wav.npz", "song.png", "song.bvh", "corpus/manifest.jsonl"):
        assert (tmp_path / made).stat().st_size > 0
    assert "constructed-000000" in done.stdout


@pytest.mark.parametrize("made", [synthetic_notes, synthetic_rhythms, synthetic_mixtures, synthetic_moods])
def test_clips_can_be_handed_to_a_process_that_is_not_forked(made: Callable[[], ClipData]) -> None:
    clips = made().splits["test"]
    for dataset in (Slices(clips, 2.0, (0, 0)), Slices(clips, 2.0)):
        handed = pickle.loads(pickle.dumps(dataset))
        assert len(handed) == len(dataset)
        assert torch.equal(handed._clips[0].load(), clips[0].load())


def test_recordings_can_be_handed_to_a_process_that_is_not_forked() -> None:
    recordings = synthetic_splits()["test"]
    dataset = TrainCrops(recordings, AudioCache(recordings, 100), 2.0, 0, 0)
    (sound, _), (expected, _) = pickle.loads(pickle.dumps(dataset))[0], dataset[0]
    assert torch.equal(sound, expected)


def test_text_that_the_output_cannot_encode_is_printed_as_escapes() -> None:
    script = (
        "from motionbeat_upstream.file_name import escape_unprintable; escape_unprintable(); print('a → é')"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, env=environment, check=True)
    assert done.stdout.split() == [b"a", b"\\u2192", b"\xe9"]


def test_an_output_of_another_kind_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook's has no encoding."""
    monkeypatch.setattr(sys, "stdout", object())
    escape_unprintable()


def test_the_name_of_a_pair_fits_a_file_on_every_system() -> None:
    assert _name("takes/one.pkl#dancer 1:left/2?") == "one-dancer 1-left-2-"
