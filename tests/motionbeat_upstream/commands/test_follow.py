"""`motionbeat beats --follow`: beats of audio that is still arriving."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from motionbeat_upstream.commands.beats import main
from motionbeat_upstream.config import SAMPLE_RATE
from tests.drum_patterns import beat_times, piece

SECONDS = 12.0


@pytest.fixture(scope="module")
def song() -> bytes:
    """A WAV file with two channels."""
    wav = piece(beat_times(126, SECONDS), 4, SECONDS).numpy()
    file = io.BytesIO()
    soundfile.write(file, np.stack([wav, wav], 1), SAMPLE_RATE, format="WAV")
    return file.getvalue()


def printed_times(text: str) -> list[float]:
    return [float(line.split("\t")[0]) for line in text.splitlines()]


def test_a_file(song: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.wav").write_bytes(song)
    assert main([str(tmp_path / "a.wav"), "--follow"]) == 0
    times = printed_times(capsys.readouterr().out)
    np.testing.assert_allclose(times, beat_times(126, SECONDS), atol=0.03)


@pytest.mark.slow
def test_beats_are_printed_before_the_end(song: bytes) -> None:
    command = [
        sys.executable,
        "-m",
        "motionbeat_upstream.commands",
        "beats",
        "--follow",
        "-",
        "--latency",
        "1",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=False) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(song[: len(song) * 3 // 4])
        process.stdin.flush()
        first = process.stdout.readline()
        process.stdin.write(song[len(song) * 3 // 4 :])
        process.stdin.close()
        rest = process.stdout.read()
    assert process.returncode == 0
    np.testing.assert_allclose(printed_times((first + rest).decode()), beat_times(126, SECONDS), atol=0.03)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.wav", "--follow", "-o", "b.beats"], "leave out -o"),
        (["a.wav", "a.wav", "--follow"], "the beats of one FILE"),
        (["a.wav", "--latency", "3"], "--latency needs --follow"),
        (["a.wav", "--follow", "--latency", "99"], "latency must be in"),
        (["text.wav", "--follow"], "not audio"),
    ],
)
def test_mistakes(
    song: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.wav").write_bytes(song)
    Path("text.wav").write_text("no sound")
    try:
        code = main(arguments)
    except SystemExit as error:
        code = int(error.code or 0)
    assert code == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert message in output.err.splitlines()[-1]


def test_silence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(5 * 8000), 8000)
    assert main([str(tmp_path / "a.wav"), "--follow"]) == 1
    assert "no pulse" in capsys.readouterr().err
