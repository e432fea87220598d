"""Reading audio of any format and rate, and invalid input."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from motionbeat_upstream.audio import AudioError, as_waveform, read_audio
from tests.conftest import skip_or_fail


def tone(rate: int, seconds: float = 0.5, channels: int = 1) -> NDArray[np.float32]:
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(rate * seconds)) / rate)
    return np.tile(wave[:, None], (1, channels)).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000, 192000])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_any_rate_and_number_of_channels(tmp_path: Path, rate: int, channels: int) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(rate, channels=channels), rate)
    wav = read_audio(path)
    assert wav.dtype == torch.float32
    assert abs(len(wav) - 8000) <= 1
    spectrum = torch.fft.rfft(wav * torch.hann_window(len(wav))).abs()
    assert abs(float(spectrum.argmax()) * 16000 / len(wav) - 440) < 3
    assert abs(float(wav[1000:-1000].abs().max()) - 0.5) < 0.02


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        ("a.wav", "PCM_U8"),
        ("a.wav", "PCM_16"),
        ("a.wav", "PCM_24"),
        ("a.wav", "FLOAT"),
        ("a.wav", "DOUBLE"),
        ("a.flac", None),
        ("a.ogg", None),
        ("a.mp3", None),
        ("a.aiff", None),
        ("a.w64", None),
    ],
)
def test_any_format(tmp_path: Path, name: str, subtype: str | None) -> None:
    soundfile.write(tmp_path / name, tone(16000), 16000, subtype=subtype)
    wav = read_audio(tmp_path / name)
    assert abs(len(wav) - 8000) <= 2 * 1152
    assert 0.4 < float(wav[2000:6000].abs().max()) < 0.6


def test_formats_that_only_ffmpeg_reads(tmp_path: Path) -> None:
    if shutil.which("ffmpeg") is None:
        skip_or_fail("ffmpeg is not installed")
    soundfile.write(tmp_path / "a.wav", tone(44100, 2.0, 2), 44100)
    command = ["ffmpeg", "-loglevel", "error", "-i", str(tmp_path / "a.wav"), str(tmp_path / "a.m4a")]
    subprocess.run(command, check=True)
    wav = read_audio(tmp_path / "a.m4a")
    assert abs(len(wav) - 32000) < 2000
    assert 0.4 < float(wav[4000:20000].abs().max()) < 0.6


def test_opposite_channels_cancel(tmp_path: Path) -> None:
    stereo = np.concatenate([tone(16000), -tone(16000)], 1)
    soundfile.write(tmp_path / "a.wav", stereo, 16000)
    assert float(read_audio(tmp_path / "a.wav").abs().max()) < 1e-3


def test_invalid_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"gone\.wav: no such file"):
        read_audio(tmp_path / "gone.wav")
    (tmp_path / "empty.wav").touch()
    with pytest.raises(AudioError, match=r"empty\.wav: the file is empty"):
        read_audio(tmp_path / "empty.wav")
    (tmp_path / "text.mp3").write_text("not audio at all\n" * 100)
    with pytest.raises(AudioError, match=r"text\.mp3: not audio"):
        read_audio(tmp_path / "text.mp3")
    soundfile.write(tmp_path / "none.wav", np.zeros(0, np.float32), 16000)
    with pytest.raises(AudioError, match=r"none\.wav: the file has no samples"):
        read_audio(tmp_path / "none.wav")
    bad = tone(16000)
    bad[10], bad[20] = np.nan, np.inf
    soundfile.write(tmp_path / "nan.wav", bad, 16000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"nan\.wav: 2 of 8000 samples are NaN or infinite"):
        read_audio(tmp_path / "nan.wav")


def test_a_truncated_file_is_read_to_its_end_or_an_error(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", np.random.default_rng(0).normal(0, 0.1, 16000), 16000)
    data = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(data[: len(data) // 2])
    try:
        samples = len(read_audio(tmp_path / "a.flac"))
    except AudioError:
        samples = 1
    assert 0 < samples <= 16000


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32])
def test_integers_are_scaled_by_full_scale(dtype: torch.dtype) -> None:
    wav = torch.tensor([torch.iinfo(dtype).min, 0, torch.iinfo(dtype).max // 2], dtype=dtype)
    torch.testing.assert_close(as_waveform(wav), torch.tensor([-1.0, 0.0, 0.5]), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("wav", "message"),
    [
        ([0.0, 1.0], "expected a torch tensor, got list"),
        (torch.zeros(2, 100), r"expected one dimension \(samples\), got shape \(2, 100\)"),
        (torch.zeros(()), "expected one dimension"),
        (torch.zeros(0), "has no samples"),
        (torch.zeros(5, dtype=torch.uint8), "got torch.uint8"),
        (torch.zeros(5, dtype=torch.complex64), "got torch.complex64"),
        (torch.tensor([0.0, torch.nan, torch.inf]), "2 of 3 samples are NaN or infinite"),
    ],
)
def test_invalid_tensors_are_named(wav: torch.Tensor, message: str) -> None:
    with pytest.raises(AudioError, match=rf"^wavs\[3\]: .*{message}"):
        as_waveform(wav, "wavs[3]")
