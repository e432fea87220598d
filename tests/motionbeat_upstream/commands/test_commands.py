"""The command `motionbeat`: features, beats and plot, for valid and invalid input."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from matplotlib.image import imread

import motionbeat_upstream as motionbeat
from motionbeat_upstream import hubconf
from motionbeat_upstream.beat_files import WRITERS
from motionbeat_upstream.checkpoint import Provenance, save_music_tower
from motionbeat_upstream.commands.__main__ import main
from motionbeat_upstream.commands.many_files import find_audio
from motionbeat_upstream.commands.plot import BINS_PER_BEAT, SIMILARITY_SCALE, analyse, bar_similarity
from motionbeat_upstream.nn.music_tower import untrained_music_tower
from motionbeat_upstream.tracking.bar_profile import bar_numbers
from motionbeat_upstream.tracking.grid import regular_grid
from tests.small import SMALL, music

Run = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["motionbeat", *map(str, arguments)])
        try:
            return main()
        except SystemExit as stop:  # argparse
            return int(stop.code or 0)

    return call


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    save_music_tower(untrained_music_tower(SMALL), path, Provenance("made", {}))
    return path


def write(path: Path, seconds: float = 3.0, bpm: float = 120.0, rate: int = 16_000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.5 * music(seconds, bpm, 0).numpy(), rate)
    return path


def test_features_of_a_folder(run: Run, small: Path, tmp_path: Path) -> None:
    write(tmp_path / "in" / "a.wav")
    write(tmp_path / "in" / "deep" / "b.flac", 2.0)
    (tmp_path / "in" / "notes.txt").write_text("no audio")
    assert run("features", tmp_path / "in", "-o", tmp_path / "out", "-k", small) == 0
    actual = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert actual == {"a.wav.npz", "deep/b.flac.npz"}
    with np.load(tmp_path / "out" / "a.wav.npz") as stored:
        assert set(stored.files) == {
            *("features", "times", "embedding", "beats", "positions", "metre", "confidence", "beat_tokens"),
            *("token_times", "onset_envelope", "pulse_activation", "made_by", "downbeat_confidence"),
        }
        assert stored["features"].shape == (150, 32)
        np.testing.assert_allclose(stored["times"], (np.arange(150) + 0.5) * 0.02)
        assert stored["embedding"].shape == (8,)
        assert stored["beats"].shape == stored["positions"].shape
        assert len(stored["beat_tokens"]) == len(stored["token_times"])
        assert stored["onset_envelope"].shape == (300,)
        assert stored["pulse_activation"].shape == (150,)
        assert '"training": "made"' in str(stored["made_by"])


@pytest.mark.parametrize(
    ("layers", "shape"), [("last", (150, 32)), ("all", (SMALL.layers, 150, 32)), ("0,2", (2, 150, 32))]
)
def test_layers_and_half(run: Run, small: Path, tmp_path: Path, layers: str, shape: tuple[int, ...]) -> None:
    path = write(tmp_path / "a.wav")
    assert run("features", path, "-o", "out", "-k", small, "--layers", layers, "--half") == 0
    with np.load("out/a.wav.npz") as stored:
        assert stored["features"].shape == shape
        assert stored["features"].dtype == np.float16


def test_interrupted_features_are_continued(
    run: Run, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "abc":
        write(tmp_path / "in" / f"{name}.wav", 1.0)
    assert run("features", "in", "-o", "out", "-k", small) == 0
    whole = {path.name: path.stat().st_mtime_ns for path in Path("out").iterdir()}
    Path("out/b.wav.npz").write_bytes(Path("out/b.wav.npz").read_bytes()[:500])
    assert run("features", "in", "-o", "out", "-k", small) == 0
    again = {path.name: path.stat().st_mtime_ns for path in Path("out").iterdir()}
    assert [name for name in whole if whole[name] != again[name]] == ["b.wav.npz"]
    # Another model's features are not taken for this one's.
    save_music_tower(untrained_music_tower(SMALL, seed=1), small, Provenance("made", {}))
    assert run("features", "in", "-o", "out", "-k", small) == 2
    assert "a.wav.npz: was made by another model" in capsys.readouterr().err
    assert {path.name: path.stat().st_mtime_ns for path in Path("out").iterdir()} == again
    assert run("features", "in", "-o", "out", "-k", small, "--overwrite") == 0
    assert all(path.stat().st_mtime_ns != again[path.name] for path in Path("out").iterdir())


def test_an_npz_of_another_program_is_not_replaced(
    run: Run, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "a.wav", 1.0)
    Path("out").mkdir()
    np.savez("out/a.wav.npz", mine=np.zeros(3))
    assert run("features", "a.wav", "-o", "out", "-k", small) == 2
    assert "was made by another model, version or program" in capsys.readouterr().err
    with np.load("out/a.wav.npz") as stored:
        assert list(stored) == ["mine"]


@pytest.mark.slow
def test_a_missing_file_among_many(
    run: Run, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [write(tmp_path / f"{index:03d}.wav", 0.05) for index in range(60)]
    files[20].unlink()
    files[40].write_text("not audio")
    assert run("features", *files, "-o", "out", "-k", small) == 1
    assert len(list(Path("out").glob("*.npz"))) == 58
    captured = capsys.readouterr().err
    assert "58 extracted, 0 already present, 2 failed" in captured
    assert "020.wav: no such file" in captured
    assert "040.wav: not audio" in captured
    assert "Traceback" not in captured


def test_a_full_disk_stops_the_run(
    run: Run, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [write(tmp_path / f"{name}.wav", 0.5) for name in "abc"]
    real, calls = np.savez, []

    def savez(file: object, **arrays: object) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(file, **arrays)  # type: ignore[arg-type]

    monkeypatch.setattr(np, "savez", savez)
    assert run("features", *files, "-o", "out", "-k", small) == 2
    assert [path.name for path in Path("out").iterdir()] == ["a.wav.npz"]
    assert (
        "No space left on device while writing out/b.wav.npz; 1 finished before it" in capsys.readouterr().err
    )


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interruption_leaves_no_partial_files(small: Path, tmp_path: Path, jobs: int) -> None:
    for index in range(400):
        write(tmp_path / "in" / f"{index:03d}.wav", 2.0)
    command = [
        sys.executable,
        "-m",
        "motionbeat_upstream.commands",
        "features",
        "in",
        "-o",
        "out",
        "-k",
        small,
        "--jobs",
        jobs,
    ]
    process = subprocess.Popen(
        list(map(str, command)), cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("out/[0-9]*.npz"))) < 3:  # drafts begin with a dot
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, captured = process.communicate(timeout=60)
    assert process.returncode == 130, captured
    assert "interrupted; what is finished is kept" in captured
    assert "Traceback" not in captured
    left = list((tmp_path / "out").iterdir())
    assert 3 <= len(left) < 400
    for path in left:
        with np.load(path) as stored:
            assert stored["features"].shape == (100, 32)


def test_find_audio_refuses_two_files_of_one_name(tmp_path: Path) -> None:
    first, other = write(tmp_path / "x" / "a.wav", 0.1), write(tmp_path / "y" / "a.wav", 0.1)
    assert find_audio([first, first]) == [(first, Path("a.wav"))]
    with pytest.raises(ValueError, match="would both be written"):
        find_audio([first, other])
    # The draft of a process that was killed is no input.
    write(tmp_path / "z" / ".part-x.wav", 0.1)
    with pytest.raises(ValueError, match="no audio in this folder"):
        find_audio([tmp_path / "z"])


def test_beats_are_printed_and_clicks_written(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.wav", 12.0, 120.0)
    assert run("beats", path, "--click", "click.wav") == 0
    out, err = capsys.readouterr()
    rows = np.array([line.split("\t") for line in out.splitlines()], dtype=float)
    truth = np.arange(24) * 0.5
    # Every beat of the made clip but those at its borders has an estimate within 70 ms.
    assert all(np.abs(rows[:, 0] - beat).min() < 0.07 for beat in truth[2:-2])
    assert "bpm" in err
    clicks, rate = soundfile.read("click.wav")
    assert (len(clicks), rate) == (12 * 16_000, 16_000)
    assert np.abs(clicks).max() <= 1
    assert run("beats", path, "-o", "a.beats") == 0
    assert Path("a.beats").read_text() == out


def test_clicks_are_mixed_into_the_unchanged_song(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rate, seconds = 44_100, 12
    band = 0.3 * np.interp(
        np.arange(rate * seconds) / rate * 16_000, np.arange(16_000 * seconds), music(12.0, 120.0, 0)
    )
    song = np.stack([band, 0.5 * band], axis=1).astype(np.float32)
    soundfile.write("a.wav", song, rate, subtype="FLOAT")
    assert run("beats", "a.wav", "--click", "click.wav") == 0
    beats = np.array([line.split("\t")[0] for line in capsys.readouterr().out.splitlines()], dtype=float)
    mixed, found_rate = soundfile.read("click.wav", dtype="float32")
    assert (mixed.shape, found_rate) == (song.shape, rate)
    # Away from the clicks, which last 50 ms, the song is there as it was; at each click something is added.
    times = np.arange(len(song)) / rate
    since = times[:, None] - beats[None]
    clicking = ((since > -0.002) & (since < 0.055)).any(axis=1)
    np.testing.assert_allclose(mixed[~clicking], song[~clicking], atol=1e-4)
    for beat in beats[beats < seconds - 0.05]:
        at = slice(round(beat * rate), round((beat + 0.02) * rate))
        assert (np.abs(mixed[at] - song[at]).max(axis=0) > 0.05).all()


def test_beats_are_written_in_the_format_of_the_suffix(
    run: Run, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = write(tmp_path / "a.wav", 8.0, 100.0)
    estimate = motionbeat.beats("a.wav")
    for suffix in WRITERS:
        estimate.save(f"expected{suffix}")
        expected = Path(f"expected{suffix}").read_bytes()
        assert len(expected) > 50
        assert run("beats", "a.wav", "-o", f"out/a{suffix}") == 0
        assert Path(f"out/a{suffix}").read_bytes() == expected
        assert run("beats", path, "--format", suffix[1:]) == 0
        printed = capsysbinary.readouterr().out
        assert printed == expected or suffix == ".json"  # it holds the path as given
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(f"a{suffix}" for suffix in WRITERS)


def test_an_output_that_cannot_be_written_is_named(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "a.wav", 8.0, 100.0)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", ".part-0")

    with monkeypatch.context() as patch:
        patch.setattr("motionbeat_upstream.beat_files.write_text", full)
        assert run("beats", "a.wav", "-o", "a.csv") == 2
    assert "beats: a.csv: cannot be written (No space left on device); give" in capsys.readouterr().err
    # Before anything is computed; root may write everywhere.
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert run("beats", "a.wav", "-o", "x/a.csv") == 2
    assert "x/a.csv: . cannot be written into; give another name" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_beats_equal_the_grid_of_the_model(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tower = untrained_music_tower(replace(SMALL, grid_from="pulses", grid_trust=1.0)).eval()
    save_music_tower(tower, tmp_path / "pulses.safetensors", Provenance("made", {}))
    path = write(tmp_path / "a.wav", 12.0, 120.0)
    assert run("features", path, "-o", "out", "-k", "pulses.safetensors") == 0
    capsys.readouterr()
    assert run("beats", path, "-k", "pulses.safetensors") == 0
    of_model = capsys.readouterr().out
    with np.load("out/a.wav.npz") as stored:
        pairs = list(zip(stored["beats"], stored["positions"], strict=True))
    assert of_model.splitlines() == [f"{beat:.3f}\t{place}" for beat, place in pairs]
    assert run("beats", path) == 0
    assert capsys.readouterr().out != of_model


def test_hints_restrict_tempo_and_metre_of_a_model_with_beat_heads(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tower = untrained_music_tower(replace(SMALL, grid_from="heads")).eval()
    save_music_tower(tower, tmp_path / "heads.safetensors", Provenance("made", {}))
    path = write(tmp_path / "a.wav", 16.0, 120.0)
    for options, slowest, fastest in (
        (["--max-bpm", 70], 50, 72),
        (["--min-bpm", 100, "--max-bpm", 140], 98, 143),
    ):
        for metre in (3, 4):
            assert run("beats", path, "-k", "heads.safetensors", *options, "--metre", metre) == 0
            beats = np.array([line.split("\t") for line in capsys.readouterr().out.splitlines()], dtype=float)
            assert slowest < 60 / np.median(np.diff(beats[:, 0])) < fastest
            assert beats[:, 1].max() == metre
    assert run("plot", path, "-o", "a.png", "-k", "heads.safetensors", "--metre", 3) == 0


def test_impossible_hints_are_refused_and_unused_ones_reported(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.wav", 8.0, 120.0)
    assert run("beats", path, "--min-bpm", 200, "--max-bpm", 100) == 2
    assert "no tempo lies between 200 and 100 bpm" in capsys.readouterr().err
    assert run("beats", path, "--metre", 9) == 2
    assert "metres must be one or more of (2, 3, 4, 5, 6, 7)" in capsys.readouterr().err
    save_music_tower(
        untrained_music_tower(replace(SMALL, beat_heads=False)),
        tmp_path / "headless.safetensors",
        Provenance("made", {}),
    )
    assert run("beats", path, "-k", "headless.safetensors", "--metre", 3) == 0
    assert "hints are not used" in capsys.readouterr().err


def test_downbeats_of_plain_clicks_are_reported_as_uncertain(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clicks = np.zeros(30 * 16_000)
    # 120 bpm from 12 s to 22 s: 20 clicks between silences.
    time = np.arange(320) / 16_000
    for start in 12 * 16_000 + np.arange(20) * 8000:
        clicks[start : start + 320] = 0.5 * np.sin(2 * np.pi * 1000 * time) * np.exp(-150 * time)
    soundfile.write(tmp_path / "clicks.wav", clicks, 16_000)
    assert run("beats", "clicks.wav") == 0
    out, err = capsys.readouterr()
    rows = np.array([line.split("\t") for line in out.splitlines()], dtype=float)
    np.testing.assert_allclose(rows[:, 0], 12 + np.arange(20) * 0.5, atol=0.02)
    np.testing.assert_array_equal(np.diff(rows[:, 1]) % rows[:, 1].max(), 1)
    assert "120.0 bpm" in err
    assert "downbeats uncertain" in err


@pytest.mark.parametrize("command", ["beats", "plot", "features"])
def test_damaged_audio_is_a_warning_or_an_error(
    run: Run, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    path = write(tmp_path / "cut.wav", 6.0)
    path.write_bytes(path.read_bytes()[: 44 + 4 * 16_000 * 2])
    name = {"plot": "a.png", "beats": "a.beats"}.get(command, "out")
    assert run(command, path, "-k", small, "-o", tmp_path / name) == 0
    printed = capsys.readouterr().err
    error = "the file is damaged: the sound ends at 4.000 s, expected 6.000 s"
    assert f"motionbeat {command}: warning: {path}: {error}" in printed
    (tmp_path / "again").mkdir()
    refused = run(command, path, "-k", small, "-o", tmp_path / "again" / name, "--strict")
    assert refused == (1 if command == "features" else 2)
    assert error in capsys.readouterr().err
    assert not any((tmp_path / "again").rglob("*.*"))


def test_no_beats_without_a_pulse(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(64_000), 16_000)
    assert run("beats", "silence.wav", "-o", "a.beats", "--click", "c.wav") == 1
    assert "no pulse; nothing is written" in capsys.readouterr().err
    assert not Path("a.beats").exists()
    assert not Path("c.wav").exists()


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.01, 0.3, 2.0, 20.0])
def test_plot_draws_clips_of_any_length(run: Run, small: Path, tmp_path: Path, seconds: float) -> None:
    path = write(tmp_path / "a.wav", seconds)
    assert run("plot", path, "-o", "a.png", "-k", small) == 0
    picture = imread("a.png")
    assert picture.shape[0] > 500
    assert picture.std() > 0.05


def bursts(seed: int) -> torch.Tensor:
    """A bar of 2 s: eight bursts of noise with random level and colour."""
    generator = torch.Generator().manual_seed(seed)
    bar = 0.01 * torch.randn(32_000, generator=generator)
    for eighth in range(8):
        width, strength = torch.rand(2, generator=generator).tolist()
        burst = torch.randn(3_000, generator=generator) * torch.linspace(1, 0, 3_000)
        smooth = torch.nn.functional.avg_pool1d(burst[None], 1 + 2 * int(8 * width), 1, int(8 * width))[0]
        bar[eighth * 4_000 : eighth * 4_000 + 3_000] += strength * smooth
    return 0.5 * bar


@pytest.mark.slow
def test_similarity_of_a_repeated_bar_and_of_two_sections() -> None:
    expert = hubconf.motionbeat()
    tiled = analyse("tiled", bursts(0).repeat(48), expert).similarity
    # At either end the trunk, which sees 3.8 s ahead and back, sees the silence.
    inner = tiled[4:-4, 4:-4]
    assert len(inner) >= 8
    assert inner.min() > 0.95
    time = torch.arange(32_000) / 16_000
    chord = sum(0.1 * torch.sin(2 * torch.pi * pitch * time) for pitch in (110.0, 220.0, 277.2, 329.6))
    song = torch.cat([bursts(0).repeat(12), (chord * torch.exp(-2 * (time % 1.0))).repeat(12)])
    song_data = analyse("two sections", song, expert)
    bars = (
        bar_numbers(song_data.grid, np.array([8.0, 16.0, 32.0, 40.0]), BINS_PER_BEAT * song_data.grid.metre)
        - 1
    )
    of = song_data.similarity[np.ix_(bars, bars)]
    assert min(of[0, 1], of[2, 3]) > 0.9
    assert of[:2, 2:].max() < 0.5


def test_similarity_is_in_units_of_the_variance_of_frames() -> None:
    grid = regular_grid(8.0, 120.0, 4)
    frames = np.random.default_rng(0).normal(3.0, 5.0, (400, 2)).astype(np.float32)
    actual = bar_similarity([frames[:, :1], frames[:, 1:]], grid)
    assert actual.shape == (5, 5)
    scaled = (frames - frames.mean(0)) / frames.std(0)
    # A bar is 2 s, 100 frames; a frame within a 24th of a beat before a downbeat is counted to its bar.
    early = 1
    bars = [scaled[max(0, 100 * k - early) : 100 * (k + 1) - early].mean(0) for k in range(4)]
    for first in range(4):
        for other in range(4):
            distance = ((bars[first] - bars[other]) ** 2).mean()
            assert actual[first, other] == pytest.approx(np.exp(-distance / SIMILARITY_SCALE), abs=2e-3)


def test_plot_of_silence(run: Run, small: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(64_000), 16_000)
    assert run("plot", "silence.wav", "-o", "a.png", "-k", small) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nonsense"], 2, "unknown command 'nonsense'"),
        (["features", "a.wav"], 2, "required: -o"),
        (["features", "gone", "-o", "out"], 2, "gone: no such file"),
        (["features", "a.wav", "-o", "out", "--layers", "x"], 2, "expected last, all, or numbers"),
        (["features", "a.wav", "-o", "out", "--layers", "99"], 2, "expected layers from 0 to 12"),
        (
            ["features", "a.wav", "-o", "out", "-k", "gone.safetensors"],
            2,
            "gone.safetensors: no such file",
        ),
        (["features", "a.wav", "-o", "out", "--device", "abacus"], 2, "--device abacus: not available"),
        (["features", "a.wav", "-o", "a.wav"], 2, "-o/--output: a.wav: is a file, expected a folder"),
        (["beats", "gone.wav"], 2, "gone.wav: no such file"),
        (["beats", "."], 2, "for several files or a folder, give the folder of the beats as -o DIR"),
        (["beats", "a.wav", "a.wav", "-o", "a.beats"], 2, "give the folder of the beats as -o DIR"),
        (["beats", ".", "-o", "out", "--click", "c.wav"], 2, "and no --click"),
        (["beats", ".", "-o", "a.wav"], 2, "argument -o: a.wav: is a file, expected a folder"),
        (["beats", "gone.wav", "lost.wav", "-o", "out"], 2, "gone.wav: no such file"),
        (["beats", ".", "-o", "out", "--jobs", "0"], 2, "expected a whole number of at least 1, got '0'"),
        (
            ["beats", "a.wav", "-o", "a.ogg"],
            2,
            "a.ogg: unknown format; expected a name that ends in .beats, .txt, .csv, .json, .jams, ",
        ),
        (["beats", "a.wav", "-o", "beats"], 2, "beats: unknown format"),
        (
            ["beats", "a.wav", "--format", "ogg"],
            2,
            "unknown format 'ogg'; expected one of .beats, .txt, .csv",
        ),
        (
            ["beats", "a.wav", "-o", "a.csv", "--format", "mid"],
            2,
            "--format .mid: a.csv has another format",
        ),
        (["beats", ".", "-o", "a.MID", "--format", "mid"], 2, "give the folder of the beats as -o DIR"),
        (["beats", "a.wav", "-o", "a.wav/b.mid"], 2, "a.wav/b.mid: a.wav is a file, expected a folder"),
        (
            ["beats", "a.wav", "--click", "a.mp3"],
            2,
            "a.mp3: unknown format; expected a name that ends in .wav",
        ),
        (["beats", "a.wav", "--click", "a.wav"], 2, "a.wav: is an input, and would be overwritten"),
        (["beats", "a.wav", "--click", "./x/../a.wav"], 2, "a.wav: is an input, and would be overwritten"),
        (
            ["plot", ".", "-o", "a.png"],
            2,
            ".: is a folder, expected one audio file; for all files of a folder, `motionbeat features",
        ),
        (
            ["plot", "a.wav", "-o", "a.txt"],
            2,
            "a.txt: unknown format; expected a name that ends in .png, .pdf",
        ),
        (["dance", "film.mp4", "-o", "film.mp4"], 2, "film.mp4: is an input, and would be overwritten"),
        (["dance", "a.wav", "-o", "b.bvh", "-o", "b.bvh"], 2, "b.bvh: is another output"),
        (["dance", "a.wav", "-o", "b.jams"], 2, "b.jams: unknown format"),
        (["plot", "a.wav", "-o", "a.png", "--length", "-1"], 2, "--length must be above 0"),
    ],
)
def test_errors_of_the_user_are_one_line(
    run: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    if arguments[0] == "dance":
        pytest.importorskip("pydantic", reason="pip install '.[data]'")
    write(tmp_path / "a.wav", 0.1)
    (tmp_path / "x").mkdir()
    (tmp_path / "film.mp4").write_bytes((tmp_path / "a.wav").read_bytes())
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert run(*arguments) == code
    captured = capsys.readouterr().err
    assert message in captured
    assert "Traceback" not in captured
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_help_says_what_each_command_does(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == run("--help") == run("--version") == 0
    listed = capsys.readouterr().out
    for name in ("beats", "dance", "data", "features", "plot"):
        line = next(line for line in listed.splitlines() if line.startswith(f"  {name} "))
        assert len(line.split()) > 4


@pytest.mark.slow
def test_a_reader_that_closes_the_pipe_is_no_error(tmp_path: Path) -> None:
    """As in `motionbeat beats FILE | head`, with a pipe that is closed immediately."""
    soundfile.write(tmp_path / "a.wav", music(12.0, 120.0, 0).numpy(), 16_000)
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "motionbeat_upstream.commands", "beats", "a.wav"],
            cwd=tmp_path,
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert "Traceback" not in done.stderr
    assert "Broken pipe" not in done.stderr
