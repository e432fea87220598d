"""``motionbeat features --format edge``: the assertions of EDGE's loader."""

import errno
import glob
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from motionbeat_upstream.checkpoint import Provenance, save_music_tower
from motionbeat_upstream.commands.__main__ import main
from motionbeat_upstream.commands.feature_files import EdgeFormat, check_unique_stems, slice_starts
from motionbeat_upstream.expert import UpstreamExpert
from motionbeat_upstream.nn.music_tower import untrained_music_tower
from tests.small import SMALL, music

Run = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    save_music_tower(untrained_music_tower(SMALL), tmp_path / "small.safetensors", Provenance("made", {}))

    def call(*arguments: object) -> int:
        words = ["motionbeat", "features", *map(str, arguments), "-k", "small.safetensors"]
        monkeypatch.setattr(sys, "argv", [*words, "--format", "edge"])
        return main()

    return call


class Energy:
    """An upstream with the energy of each frame as its feature."""

    def __call__(self, wavs: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        frames = torch.nn.functional.pad(wavs[0], (0, -len(wavs[0]) % 320)).reshape(1, -1, 320)
        return {"hidden_states": [frames.square().sum(-1, keepdim=True)]}


def write(path: Path, samples: int, rate: int = 16_000, bpm: float = 120.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    wav = 0.5 * music(samples / 16_000, bpm, 0)[:samples].numpy()
    soundfile.write(path, wav, rate)
    return path


def slices_by_definition(path: Path, folder: Path) -> int:
    """Cut a song as EDGE does, at its sampling rate: 5 s every half second."""
    wav, rate = soundfile.read(path)
    count = 0
    while count * int(0.5 * rate) + 5 * rate <= len(wav):
        begin = count * int(0.5 * rate)
        folder.mkdir(exist_ok=True)
        soundfile.write(folder / f"{path.stem}_slice{count}.wav", wav[begin : begin + 5 * rate], rate)
        count += 1
    return count


@pytest.mark.slow
@pytest.mark.parametrize("sliced", [False, True], ids=["songs", "slices"])
def test_outputs_satisfy_the_assertions_of_edge(run: Run, tmp_path: Path, sliced: bool) -> None:
    split = tmp_path / "data" / "train"
    # One sample decides whether there is a slice more; names of which one begins as another; over ten slices.
    lengths = {"gBR_a": (8_000 * 21, 16_000), "gBR": (22_050 * 6, 22_050), "x": (11_025 * 6 - 1, 11_025)}
    for name, (samples, rate) in lengths.items():
        wav = write(split / "wavs" / f"{name}.wav", samples, rate)
        slices_by_definition(wav, split / "wavs_sliced")
    assert run(split / ("wavs_sliced" if sliced else "wavs"), "-o", split / "jukebox_feats") == 0
    # The loader's sorted lists: features, wavs, and motions, which are cut until the wavs end.
    wavs = sorted(str(path) for path in (split / "wavs_sliced").glob("*.wav"))
    features = sorted(str(path) for path in (split / "jukebox_feats").glob("*.npy"))
    assert len(features) == len(wavs) == 12 + 3 + 3
    assert [Path(path).stem for path in wavs] == [Path(path).stem for path in features]
    batch = np.array([np.load(path, allow_pickle=False) for path in features])
    assert batch.shape == (18, 5 * 30, SMALL.dim)
    assert batch.dtype == np.float32
    assert np.isfinite(batch).all()
    assert not [path for path in (split / "jukebox_feats").iterdir() if path.suffix == ".wav"]


@pytest.mark.slow
@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("spare", [-1, 0, 1])
def test_the_number_of_slices_is_that_of_edge(tmp_path: Path, rate: int, spare: int) -> None:
    path = write(tmp_path / "a.wav", 5 * rate + 2 * int(0.5 * rate) + spare, rate)
    starts = slice_starts(soundfile.info(path).frames, rate)
    assert len(starts) == slices_by_definition(path, tmp_path / "out")
    np.testing.assert_allclose(starts, 0.5 * np.arange(len(starts)), atol=2 / rate)


@pytest.mark.slow
def test_a_click_is_in_the_motion_frame_of_its_time(tmp_path: Path) -> None:
    """Both in slices of a song and in an input that is a slice."""
    form = EdgeFormat(tmp_path / "out", "last")
    expert = cast(UpstreamExpert, Energy())
    for frame in (0, 1, 75, 98, 99, 100, 101, 149, 200, 269):
        wav = np.zeros(16_000 * 9, np.float32)
        wav[round(frame / 30 * 16_000)] = 0.9
        song = tmp_path / f"at{frame}.wav"
        soundfile.write(song, wav, 16_000)
        form.write(expert, song, Path(song.name), "energy")
        for index in range(9):
            begin = 15 * index
            response = np.load(tmp_path / "out" / f"at{frame}_slice{index}.npy")[:, 0]
            if begin <= frame < begin + 150:
                assert response.argmax() == frame - begin
                assert response.max() > 0.1
            piece = tmp_path / f"cut{frame}_slice{index}.wav"
            soundfile.write(piece, wav[8_000 * index : 8_000 * index + 80_000], 16_000)
            form.write(expert, piece, Path(piece.name), "energy")
            alone = np.load(tmp_path / "out" / f"{piece.stem}.npy")[:, 0]
            # Half a second is 25 frames of features, so an upstream without context gives the same.
            np.testing.assert_allclose(alone[1:-1], response[1:-1], atol=1e-6)


def test_songs_are_processed_whole_and_slices_alone(run: Run, tmp_path: Path) -> None:
    song = write(tmp_path / "a.wav", 16_000 * 8)
    slices_by_definition(song, tmp_path / "cut")
    assert run("a.wav", "-o", "whole") == run("cut", "-o", "alone") == 0
    expert = UpstreamExpert(untrained_music_tower(SMALL), Provenance("made", {})).eval()
    centres = 0.01 + 0.02 * np.arange(400)
    with torch.inference_mode():
        for index, (folder, file) in enumerate((("whole", "a.wav"), ("alone", "cut/a_slice3.wav"))):
            whole = torch.from_numpy(soundfile.read(file, dtype="float32")[0])
            features = expert([whole])["last_hidden_state"][0].numpy()
            times = (1 - index) * 1.5 + np.arange(150) / 30
            expected = np.stack([np.interp(times, centres[: len(features)], row) for row in features.T], -1)
            np.testing.assert_allclose(np.load(f"{folder}/a_slice3.npy"), expected, atol=1e-4)
    assert np.abs(np.load("whole/a_slice3.npy") - np.load("alone/a_slice3.npy")).max() > 1e-3


def test_the_layout_of_edges_test_with_cached_features(run: Run, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    slices = [write(cache / "song" / f"song_slice{index}.wav", 80_000) for index in range(3)]
    assert run(*slices, "-o", cache / "song") == 0
    # For each folder of the cache it pairs slices and features by name, and stacks what is (150, D).
    assert [Path(folder).name for folder in glob.glob(f"{cache}/*/")] == ["song"]
    stems = [{Path(name).stem for name in glob.glob(f"{cache}/song/*{end}")} for end in (".wav", ".npy")]
    assert stems[0] == stems[1] == {slice.stem for slice in slices}
    stacked = np.array([np.load(path.with_suffix(".npy")) for path in slices])
    assert stacked.shape == (3, 150, SMALL.dim)


def test_layers_are_concatenated(run: Run, tmp_path: Path) -> None:
    write(tmp_path / "a.wav", 80_000)
    for layers, width in (("0,2", 2), ("all", SMALL.layers), ("1", 1)):
        assert run("a.wav", "-o", layers, "-l", layers) == 0
        assert np.load(f"{layers}/a_slice0.npy").shape == (150, width * SMALL.dim)
    np.testing.assert_array_equal(np.load("all/a_slice0.npy")[:, 32:64], np.load("1/a_slice0.npy"))
    np.testing.assert_array_equal(np.load("0,2/a_slice0.npy")[:, 32:], np.load("all/a_slice0.npy")[:, 64:96])


def changed() -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in sorted(Path("out").glob("*.npy"))}


def test_interrupted_slices_are_continued(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "ab":
        write(tmp_path / "in" / f"{name}.wav", 16_000 * 7)
    real, calls = np.save, []

    def save(*arguments: object, **options: object) -> None:
        calls.append(1)
        if len(calls) == 8:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(*arguments, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as full:
        full.setattr(np, "save", save)
        assert run("in", "-o", "out") == 2
    captured = capsys.readouterr().err
    assert "No space left on device while writing out/b_slice0.npy; 1 finished before it" in captured
    before = changed()
    assert len(before) == 7
    assert run("in", "-o", "out") == 0
    assert "1 extracted, 1 already present, 0 failed" in capsys.readouterr().err
    whole = changed()
    assert len(whole) == 10
    assert {name: whole[name] for name in whole if name[0] == "a"} == {
        name: before[name] for name in before if name[0] == "a"
    }
    assert run("in", "-o", "out") == 0
    assert changed() == whole
    Path("out/a_slice4.npy").unlink()
    assert run("in", "-o", "out") == 0
    assert sorted(changed()) == sorted(whole)
    whole = changed()
    # Another model's slices are not taken for this one's, and a song that has become shorter leaves none.
    save_music_tower(untrained_music_tower(SMALL, seed=1), Path("small.safetensors"), Provenance("made", {}))
    write(tmp_path / "in" / "a.wav", 16_000 * 6)
    assert run("in", "-o", "out") == 2
    assert changed() == whole
    assert run("in", "-o", "out", "--overwrite") == 0
    last = changed()
    assert sorted(last) == sorted(set(whole) - {"a_slice3.npy", "a_slice4.npy"})
    assert all(last[name] != whole[name] for name in last)
    assert json.loads(Path("out/.made_by/a.json").read_text())["slices"] == 3


def test_features_of_others_are_replaced_only_with_overwrite(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "a.wav", 80_000)
    (tmp_path / "out").mkdir()
    np.save(tmp_path / "out" / "a_slice0.npy", np.zeros((150, 4800), np.float32))
    assert run("a.wav", "-o", "out") == 2
    assert "a_slice0.npy: was made by another model, version or program" in capsys.readouterr().err
    assert np.load("out/a_slice0.npy").shape == (150, 4800)
    assert run("a.wav", "-o", "out", "--overwrite") == 0
    assert np.load("out/a_slice0.npy").shape == (150, SMALL.dim)


def test_errors_of_the_user(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "in" / "short.wav", 79_999)
    write(tmp_path / "in" / "a_slice3.wav", 82_000)
    write(tmp_path / "in" / "good.wav", 80_000)
    assert run("in", "-o", "out") == 1
    captured = capsys.readouterr().err
    assert "short.wav: lasts 4.99994 s; a slice takes 5 s; leave it out" in captured
    assert "a_slice3.wav: lasts 5.12 s; expected 5 s for a slice" in captured
    assert [path.name for path in Path("out").glob("*.npy")] == ["good_slice0.npy"]
    assert run("in/good.wav", "-o", "out", "--half") == 2
    assert "--half: EDGE reads float32" in capsys.readouterr().err


@pytest.mark.parametrize("other", ["deep/a.wav", "a.flac", "a_slice0.wav", "cut/a_slice7.wav"])
def test_two_inputs_with_one_name_are_refused(other: str) -> None:
    for paths in ([Path("a.wav"), Path(other)], [Path(other), Path("a.wav")]):
        with pytest.raises(ValueError, match="slices of one name, but EDGE reads one folder"):
            check_unique_stems(paths)
    check_unique_stems([Path("a_slice0.wav"), Path("a_slice1.wav"), Path("b.wav")])
