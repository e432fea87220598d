"""`motionbeat features` and `beats` for many files: several processes, and continued runs."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from motionbeat_upstream.checkpoint import Provenance, save_music_tower
from motionbeat_upstream.commands import many_files
from motionbeat_upstream.commands.beats import main as beats
from motionbeat_upstream.commands.features import main as features
from motionbeat_upstream.nn.music_tower import untrained_music_tower
from tests.small import SMALL, music


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    save_music_tower(untrained_music_tower(SMALL), path, Provenance("none", {}))
    return path


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    """Six files: valid ones, one of them in a subfolder; a damaged, a silent and an unreadable one."""
    folder = tmp_path / "songs"
    for number, name in enumerate(("a.wav", "deep/b.flac", "c.wav", "damaged.wav")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, 0.5 * music(8.0, 100 + 10 * number, 0).numpy(), 16_000)
    damaged = (folder / "damaged.wav").read_bytes()
    (folder / "damaged.wav").write_bytes(damaged[: len(damaged) // 2])
    soundfile.write(folder / "silent.wav", np.zeros(64_000), 16_000)
    (folder / "text.wav").write_text("no audio")
    return folder


def read(folder: Path) -> dict[str, bytes]:
    """Contents of all files of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize("strict", [[], ["--strict"]], ids=["warn", "strict"])
def test_two_processes_have_the_results_of_one(
    songs: Path, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], strict: list[str]
) -> None:
    results = []
    for jobs in ("1", "2"):
        out = tmp_path / jobs
        more = [str(tmp_path / "gone.wav"), "-o", str(out), "-k", str(small), "--jobs", jobs, *strict]
        code = features([str(songs), *more])
        captured = [line for line in capsys.readouterr().err.splitlines() if "file/s" not in line]
        arrays = {}
        for name in read(out):
            with np.load(out / name) as stored:
                arrays[name] = {key: stored[key] for key in stored.files}
        results.append((code, captured, arrays))
    (code, captured, first), (second_code, second_captured, second) = results
    assert (code, captured) == (second_code, second_captured)
    assert code == 1
    assert sum("tower is not trained" in line for line in captured) == 1
    assert f"{5 - len(strict)} extracted, 0 already present, {2 + len(strict)} failed" in captured
    failed = [line for line in captured if line.startswith("failed: ")]
    expected = [*(["damaged.wav"] if strict else []), "text.wav", "gone.wav"]
    assert [Path(line.split(": ")[1]).name for line in failed] == expected
    assert any("motionbeat features: warning" in line and "damaged.wav" in line for line in captured) != bool(
        strict
    )
    assert first.keys() == second.keys()
    for name in first:
        for key in first[name]:
            np.testing.assert_array_equal(first[name][key], second[name][key])


@pytest.mark.slow
def test_beats_of_a_folder_are_those_of_each_file(
    songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = [str(songs), "-o", str(out)]
    assert beats([*command, "--jobs", "2"]) == 1
    captured = capsys.readouterr().err
    assert "4 extracted, 0 already present, 2 failed" in captured
    assert f"failed: {songs}/silent.wav: no pulse; nothing is written" in captured
    written = {name: text for name, text in read(out).items() if name.endswith(".beats")}
    assert sorted(written) == [f"{name}.beats" for name in ("a.wav", "c.wav", "damaged.wav", "deep/b.flac")]
    for name, text in written.items():
        assert beats([str(songs / name.removesuffix(".beats"))]) == 0
        assert capsys.readouterr().out.encode() == text
    # Taken up: what is there stays, what was removed comes back.
    (out / "c.wav.beats").unlink()
    stamp = (out / "a.wav.beats").stat().st_mtime_ns
    assert beats(command) == 1
    assert "1 extracted, 3 already present, 2 failed" in capsys.readouterr().err
    assert (out / "a.wav.beats").stat().st_mtime_ns == stamp
    assert {name: text for name, text in read(out).items() if name in written} == written


def test_beats_of_a_folder_in_another_format(
    songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = [str(songs / "a.wav"), str(songs / "c.wav"), "-o", str(out)]
    assert beats([*command, "--format", "mid"]) == 0
    assert {path.name for path in out.iterdir()} == {".made_by", "a.wav.mid", "c.wav.mid"}
    assert (out / "a.wav.mid").read_bytes().startswith(b"MThd")
    # Another format beside it says for itself what found its beats.
    assert beats([*command, "--metre", "3"]) == 0
    capsys.readouterr()
    for more in (["--format", ".mid"], ["--metre", "3"]):
        assert beats([*command, *more]) == 0
        assert "0 extracted, 2 already present, 0 failed" in capsys.readouterr().err
    assert beats([*command, "--format", "mid", "--metre", "3"]) == 2
    assert "a.wav.mid: was made by another model, version or program" in capsys.readouterr().err


def test_beats_of_others_are_replaced_with_overwrite(
    songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = [str(songs / "a.wav"), str(songs / "c.wav"), "-o", str(out)]
    out.mkdir()
    (out / "c.wav.beats").write_text("0.5\t1\n")
    assert beats(command) == 2
    assert "c.wav.beats: was made by another model, version or program" in capsys.readouterr().err
    assert read(out) == {"c.wav.beats": b"0.5\t1\n"}
    assert beats([*command, "--overwrite"]) == 0
    before = read(out)
    assert len(before["c.wav.beats"]) > 20
    assert beats(command) == 0
    assert "0 extracted, 2 already present" in capsys.readouterr().err
    assert beats([*command, "--metre", "3"]) == 2
    assert "2 of 2 outputs were" in capsys.readouterr().err
    assert read(out) == before


@pytest.mark.parametrize(
    ("idle", "files", "device", "expected"),
    [
        (4, 100, None, 4),
        (4, 100, "cpu", 4),
        (4, 40, None, 2),
        (4, 5, None, 1),
        (64, 9999, None, 8),
        (4, 100, "cuda", 1),
    ],
)
def test_default_number_of_processes(
    monkeypatch: pytest.MonkeyPatch, idle: int, files: int, device: str | None, expected: int
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(many_files, "idle_cores", lambda: idle)
    assert many_files._idle_processes(Namespace(device=device), files) == expected
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert many_files._idle_processes(Namespace(device=device), files) == 1
