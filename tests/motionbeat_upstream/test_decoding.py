"""Lengths and times of files whose headers are wrong or absent, against ffmpeg's own decoding."""

from __future__ import annotations

import shutil
import struct
import subprocess
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motionbeat_upstream.audio import AudioError, read_audio
from motionbeat_upstream.commands.feature_files import slice_starts
from motionbeat_upstream.decoding import audio_length, read_sound
from motionbeat_upstream.errors import AudioWarning, DamagedAudioWarning
from tests.conftest import skip_or_fail

RATE = 44100
CLICKS = tuple(range(1, 12))
"""Seconds of the clicks in every file of 12 s."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clicks.wav: 12 s of faint noise with a loud click each second."""
    if shutil.which("ffmpeg") is None:
        skip_or_fail("ffmpeg is not installed")
    folder = tmp_path_factory.mktemp("decoding")
    wave = np.random.default_rng(0).normal(0, 0.01, (12 * RATE, 2))
    for second in CLICKS:
        wave[second * RATE : second * RATE + 200] += 0.8 * np.sin(np.arange(200) / 8)[:, None]
    soundfile.write(folder / "clicks.wav", wave, RATE)
    return folder


def encode(folder: Path, name: str, *options: str, source: str = "clicks.wav") -> Path:
    command = ["ffmpeg", "-v", "error", "-y", "-i", str(folder / source), *options, str(folder / name)]
    subprocess.run(command, check=True)
    return folder / name


def seconds_by_ffmpeg(path: Path) -> float:
    """Length of the sound that the program ffmpeg decodes."""
    command = ["ffmpeg", "-v", "quiet", "-i", f"file:{path}", "-map", "0:a:0", "-ac", "1", "-ar", "16000"]
    done = subprocess.run([*command, "-f", "s16le", "-"], capture_output=True, check=False)
    return len(done.stdout) / 2 / 16000


def clicks_in(wav: NDArray[np.float32], rate: int = 16000) -> NDArray[np.float64]:
    loud = np.flatnonzero(np.abs(wav) > 0.3) / rate
    return loud[np.diff(loud, prepend=-1.0) > 0.2]


def check(path: Path, clicks: tuple[float, ...] = CLICKS) -> None:
    """Check length and click times against ffmpeg, without warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wav = read_audio(path).numpy()
        samples, rate = audio_length(path)
    assert len(wav) / 16000 == pytest.approx(seconds_by_ffmpeg(path), abs=0.001)
    assert samples / rate == pytest.approx(len(wav) / 16000, abs=0.001)
    # Encoders without a tag leave their delay in; it is below 60 ms.
    np.testing.assert_allclose(clicks_in(wav), clicks, atol=0.06)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("loud.mp3", ("-c:a", "libmp3lame", "-q:a", "2", "-write_xing", "0")),
        ("tagged.mp3", ("-c:a", "libmp3lame", "-q:a", "2")),
        ("a.aac", ("-c:a", "aac")),
        ("a.opus", ("-c:a", "libopus")),
        ("a.m4a", ("-c:a", "alac")),
        ("a.wma", ("-c:a", "wmav2")),
        ("a.webm", ("-c:a", "libvorbis")),
        ("a.caf", ()),
        ("Artist: Title.m4a", ("-c:a", "aac")),
    ],
)
def test_lengths_equal_those_of_ffmpeg(folder: Path, name: str, options: tuple[str, ...]) -> None:
    encode(folder, name.replace(":", "_"), *options)
    (folder / name.replace(":", "_")).rename(folder / name)
    check(folder / name)


def test_relative_paths_with_a_colon(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(folder / "clicks.wav", folder / "Artist: Title.wav")
    monkeypatch.chdir(folder)
    assert len(read_audio("Artist: Title.wav")) == 12 * 16000


def test_a_quiet_start_does_not_lengthen_an_mp3(folder: Path) -> None:
    """FFmpeg and libsndfile estimate the length from the first frames' bit rate."""
    sound, _ = soundfile.read(folder / "clicks.wav")
    soundfile.write(folder / "quiet.wav", np.concatenate([np.zeros((6 * RATE, 2)), sound]), RATE)
    path = encode(
        folder, "quiet.mp3", "-c:a", "libmp3lame", "-q:a", "2", "-write_xing", "0", source="quiet.wav"
    )
    check(path, tuple(6.0 + second for second in CLICKS))
    # 18.0 s hold 27 slices of 5 s, 0.5 s apart; the estimate of the length gave more than twice as many.
    assert len(slice_starts(*audio_length(path))) == 27


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_a_stream_recording_starts_anywhere(folder: Path, seed: int) -> None:
    path = encode(folder, "whole.mp3", "-c:a", "libmp3lame", "-q:a", "2", "-write_xing", "0")
    data = path.read_bytes()
    cut = folder / f"cut{seed}.mp3"
    cut.write_bytes(data[int(np.random.default_rng(seed).integers(1, len(data) // 2)) :])
    assert len(read_audio(cut)) / 16000 == pytest.approx(seconds_by_ffmpeg(cut), abs=0.001)


@pytest.mark.slow
@pytest.mark.parametrize("quality", ["2", "9"])
def test_joined_mp3s_are_read_to_the_end(folder: Path, quality: str) -> None:
    first = encode(folder, "one.mp3", "-c:a", "libmp3lame", "-q:a", "2")
    other = encode(folder, "other.mp3", "-c:a", "libmp3lame", "-q:a", quality)
    joined = folder / f"joined{quality}.mp3"
    joined.write_bytes(first.read_bytes() + other.read_bytes())
    check(joined, (*CLICKS, *(12 + second for second in CLICKS)))


@pytest.mark.slow
@pytest.mark.parametrize("serials", [(7, 7), (7, 8)])
def test_chained_ogg_is_read_to_the_end(folder: Path, serials: tuple[int, int]) -> None:
    chained = folder / f"chained{serials[1]}.ogg"
    options = [("-c:a", "libvorbis", "-serial_offset", str(serial)) for serial in serials]
    chained.write_bytes(b"".join(encode(folder, "one.ogg", *option).read_bytes() for option in options))
    check(chained, (*CLICKS, *(12 + second for second in CLICKS)))


def test_streamed_flac_without_a_length(folder: Path) -> None:
    path = folder / "streamed.flac"
    with path.open("wb") as file:
        command = ["ffmpeg", "-v", "error", "-i", str(folder / "clicks.wav"), "-f", "flac", "-"]
        subprocess.run(command, stdout=file, check=True)
    check(path)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_a_streamed_wav_is_read_to_the_end(folder: Path, size: int) -> None:
    data = (folder / "clicks.wav").read_bytes()
    start = data.index(b"data") + 4
    path = folder / f"streamed{size}.wav"
    path.write_bytes(data[:start] + struct.pack("<I", size) + data[start + 4 :])
    check(path)


@pytest.mark.parametrize("name", ["gap.flac", "gap.ogg", "gap.mp3"])
def test_damage_does_not_shift_later_sound(folder: Path, name: str) -> None:
    data = bytearray(encode(folder, f"whole.{name[4:]}").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = np.random.default_rng(1).bytes(3000)
    (folder / name).write_bytes(data)
    with pytest.warns(
        DamagedAudioWarning, match=rf"{name}: the file is damaged: silence replaces [0-2]\.\d+ s"
    ):
        wav = read_audio(folder / name).numpy()
    assert len(wav) / 16000 == pytest.approx(12, abs=0.06)
    clicks = clicks_in(wav)
    np.testing.assert_allclose(clicks[clicks > 8.5], [9, 10, 11], atol=0.06)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.aiff", "a.au", "a.mka"])
def test_a_truncated_file_warns_with_both_lengths(folder: Path, name: str) -> None:
    path = encode(folder, name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.warns(DamagedAudioWarning, match=r"the sound ends at [56]\.\d+ s, expected 1[12]\.\d+ s"):
        read_audio(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DamagedAudioWarning)
        with pytest.raises(AudioError, match="expected 1"):
            read_audio(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["late.mp4", "late.mkv", "late.ts", "late.mpg"])
def test_times_of_a_video_count_from_its_picture(folder: Path, name: str) -> None:
    video = ["-f", "lavfi", "-i", "color=s=64x64:r=25:d=14", "-itsoffset", "2"]
    sound = ["-i", str(folder / "clicks.wav")]
    codecs = ("-c:v", "mpeg2video", "-c:a", "mp2") if name.endswith("mpg") else ("-c:a", "aac")
    command = ["ffmpeg", "-v", "error", *video, *sound, "-map", "0:v", "-map", "1:a", *codecs]
    subprocess.run([*command, str(folder / name)], check=True)
    with pytest.warns(AudioWarning, match=r"the sound starts (1\.9|2\.0)\d\d s after the picture"):
        wav = read_audio(folder / name).numpy()
    np.testing.assert_allclose(clicks_in(wav), [2 + second for second in CLICKS], atol=0.01)


def test_cover_pictures_are_no_video(folder: Path) -> None:
    cover = ["-f", "lavfi", "-i", "color=s=64x64:d=0.04", "-map", "0:a", "-map", "1:v"]
    path = encode(folder, "cover.mp3", *cover, "-disposition:v", "attached_pic", "-frames:v", "1")
    check(path)


def test_the_rate_may_change_in_a_joined_file(folder: Path) -> None:
    first = encode(folder, "one.mp3", "-write_xing", "0", "-id3v2_version", "0")
    other = encode(folder, "mono.mp3", "-write_xing", "0", "-id3v2_version", "0", "-ar", "32000", "-ac", "1")
    (folder / "rates.mp3").write_bytes(first.read_bytes() + other.read_bytes())
    wav = read_audio(folder / "rates.mp3").numpy()
    np.testing.assert_allclose(clicks_in(wav), (*CLICKS, *(12 + second for second in CLICKS)), atol=0.15)
    sound, rate = read_sound(folder / "rates.mp3")
    assert (sound.shape[1], rate) == (2, RATE)


@cache
def whole_sound(path: Path) -> tuple[NDArray[np.float32], int]:
    return read_sound(path)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(
        ["clicks.wav", "part.flac", "part.mp3", "part.ogg", "part.m4a", "part.webm", "part.opus"]
    ),
    st.floats(0, 12.5),
    st.floats(0.05, 4),
)
def test_a_part_equals_the_same_part_of_the_whole(
    folder: Path, name: str, start: float, length: float
) -> None:
    path = folder / name
    if not path.exists():
        encode(folder, name)
    whole, rate = whole_sound(path)
    first, last = round(start * rate), round((start + length) * rate)
    if first >= len(whole):
        with pytest.raises(AudioError, match="has no samples from"):
            read_sound(path, start, start + length)
        return
    part, part_rate = read_sound(path, start, start + length)
    assert part_rate == rate
    # AAC puts noise of its own into a band; a click moved by one sample would differ by 0.1.
    np.testing.assert_allclose(part, whole[first:last], atol=0.06)


@pytest.mark.parametrize("rate", [0x7F000000, 3])
def test_invalid_sampling_rates_are_refused(folder: Path, rate: int) -> None:
    """Otherwise resampling would stretch a sample to hours, or shorten a minute to nothing."""
    data = (folder / "clicks.wav").read_bytes()
    start = data.index(b"fmt ") + 12
    (folder / "rate.wav").write_bytes(data[:start] + struct.pack("<I", rate) + data[start + 4 :])
    with pytest.raises(AudioError, match=f"sampling rate of {rate} Hz, expected 1000 to 1000000"):
        read_audio(folder / "rate.wav")


def test_playlists_are_refused(folder: Path) -> None:
    encode(folder, "segment.ts", "-c:a", "aac")
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:12", "#EXTINF:12,", "segment.ts", "#EXT-X-ENDLIST"]
    (folder / "list.m4a").write_text("\n".join(lines))
    with pytest.raises(AudioError, match="not audio"):
        read_audio(folder / "list.m4a")
