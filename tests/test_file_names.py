"""Names that are not UTF-8, or as long as a file system allows, in every command that walks a folder."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from motion_data.corpora.video import video_names
from motion_data.looking import facts
from motion_data.manifest import read_corpus, write_manifest
from motion_data.motion import Motion
from motion_data.pair import AudioSpan, MotionPair
from motion_data.preparation import Job, PreparedPair, prepare_pairs
from motion_data.s3prl_adapter import main as export_command
from motionbeat_upstream.atomic_write import atomic_path, write_text
from motionbeat_upstream.checkpoint import Provenance, save_music_tower
from motionbeat_upstream.commands.__main__ import main
from motionbeat_upstream.file_name import printable, safe_file_name
from motionbeat_upstream.nn.music_tower import untrained_music_tower
from tests.file_names import bytes_in_names
from tests.made_corpus import Made, write_corpus
from tests.moving_body import plain_bvh, write_clicks
from tests.small import SMALL, music

FLOWER = os.fsdecode("花".encode("cp932"))
"""A name as a Japanese archive leaves it on Linux."""

LONG = "花" * 81 + "12345678"
"""251 bytes: with a suffix of three letters it is as long as a name can be."""

Run = Callable[..., int]

any_name = st.binary(min_size=1, max_size=300).map(lambda name: os.fsdecode(name.replace(b"/", b"_")))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    def call(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["motionbeat", *map(str, arguments)])
        try:
            return main()
        except SystemExit as stop:  # argparse
            return int(stop.code or 0)

    return call


def test_names_as_text() -> None:
    assert printable("花 é") == "花 é"
    assert printable(FLOWER) == r"\x89\xd4"
    assert safe_file_name("花 é") == "花 é"
    assert len(LONG.encode()) == 251


@given(any_name)
def test_a_name_made_from_another_is_text_and_short(name: str) -> None:
    fitted = safe_file_name(name)
    assert len(fitted.encode()) <= 200
    assert safe_file_name(fitted) == fitted
    if len(os.fsencode(name)) <= 200 and printable(name) == name:
        assert fitted == name


@given(any_name, any_name)
def test_different_names_stay_different(one: str, other: str) -> None:
    assert (safe_file_name(one) == safe_file_name(other)) == (one == other)
    assert safe_file_name(LONG + one) != safe_file_name(LONG + one + "x")


@pytest.mark.parametrize("name", [LONG + ".npz", "a." + "x" * 253, "x" * 255])
def test_a_target_may_have_the_longest_name(tmp_path: Path, name: str) -> None:
    with atomic_path(tmp_path / name) as draft:
        assert len(os.fsencode(draft.name)) < 40
        draft.write_text("whole")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "whole")]


def test_text_with_any_name_is_json(tmp_path: Path) -> None:
    write_text(tmp_path / "a.json", json.dumps({"path": FLOWER + "花"}, ensure_ascii=False))
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"path": FLOWER + "花"}


# --- preparation -----------------------------------------------------------------------------------------


def job(name: str, audio: str, fault: Exception | None = None) -> Job:
    def make() -> list[PreparedPair]:
        if fault is not None:
            raise fault
        pair = MotionPair(
            name=name,
            corpus="folder",
            piece=name,
            take=name,
            split="train",
            licence="CC0",
            seconds=1.0,
            fps=30.0,
            joints=("hips",),
            pulses={},
            audio=AudioSpan(audio, 0.0, 1.0, audio.encode(errors="backslashreplace").hex()),
            provenance={"motion": f"/raw/{name}.bvh"},
        )
        return [(pair, Motion(30.0, ("hips",), np.zeros((30, 1, 3))), None)]

    return Job(name, (Path("/raw") / f"{name}.bvh", Path("no\0file")), make)


def test_pairs_of_any_name_are_prepared_and_found_again(tmp_path: Path) -> None:
    names = ["plain", LONG, FLOWER]
    jobs = [job(name, f"/raw/{name}.wav") for name in names]
    corpus = prepare_pairs(tmp_path, "folder", {}, jobs)
    assert {pair.name for pair in corpus.pairs} == {safe_file_name(name) for name in names}
    assert {pair.piece for pair in corpus.pairs} == {"plain", LONG, r"\x89\xd4"}
    read = read_corpus(tmp_path)
    assert read.pairs == corpus.pairs
    assert {pair.audio.path for pair in read.pairs if pair.audio} == {f"/raw/{name}.wav" for name in names}
    before = [path.stat().st_mtime_ns for path in (tmp_path / "motion").iterdir()]
    assert prepare_pairs(tmp_path, "folder", {}, jobs).sha256 == corpus.sha256
    assert before == [path.stat().st_mtime_ns for path in (tmp_path / "motion").iterdir()]
    for pair in corpus.pairs:
        assert all(text.isprintable() for text in facts(pair).values())


def test_a_name_may_hold_what_ends_a_line(tmp_path: Path) -> None:
    pairs = prepare_pairs(tmp_path, "folder", {}, [job("a\u2028b\x85c", "/a\rb.wav")]).pairs
    assert read_corpus(tmp_path).pairs == pairs


@pytest.mark.parametrize(
    "fault",
    [OSError(errno.ENAMETOOLONG, "File name too long"), PermissionError(13, "no"), ValueError("no numbers")],
)
def test_a_fault_of_one_pair_does_not_affect_the_others(tmp_path: Path, fault: Exception) -> None:
    jobs = [job("a", "/a.wav"), job(FLOWER, "/b.wav", fault), job("c", "/c.wav")]
    corpus = prepare_pairs(tmp_path, "folder", {}, jobs)
    assert [pair.name for pair in corpus.pairs] == ["a", "c"]
    assert corpus.info["left_out"] == {safe_file_name(FLOWER): str(fault)}


def test_a_full_disk_ends_the_preparation(tmp_path: Path) -> None:
    jobs = [job("a", "/a.wav"), job("b", "/b.wav", OSError(errno.ENOSPC, "No space left on device"))]
    with pytest.raises(OSError, match="No space left"):
        prepare_pairs(tmp_path, "folder", {}, jobs)
    with pytest.raises(ValueError, match="no prepared corpus"):
        read_corpus(tmp_path)


@bytes_in_names
def test_bvh_and_tables_of_any_name(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table names motions by their bytes; a line that names no file is left out alone."""
    raw = tmp_path / FLOWER
    raw.mkdir()
    write_clicks(tmp_path / "a.wav", 3.0)
    for name in (FLOWER, LONG):
        (raw / f"{name}.bvh").write_text(plain_bvh())
    lines = [f"a.wav,{FLOWER}/{name}.bvh,one" for name in (FLOWER, LONG, FLOWER + FLOWER)]
    (tmp_path / "pairs.csv").write_bytes(os.fsencode("\n".join(["audio,motion,piece", *lines])))
    assert run("data", "prepare", "folder", tmp_path / "pairs.csv", tmp_path / "out") == 1
    corpus = read_corpus(tmp_path / "out")
    assert {pair.name for pair in corpus.pairs} == {safe_file_name(FLOWER), safe_file_name(LONG)}
    assert {pair.provenance["motion"] for pair in corpus.pairs} == {
        str(raw / f"{name}.bvh") for name in (FLOWER, LONG)
    }
    (why,) = corpus.info["left_out"].values()
    assert "expected a file, none is at" in why
    assert why.endswith("save the CSV as UTF-8")
    assert "left out: " in capsys.readouterr().err
    assert run("data", "inspect", tmp_path / "out", safe_file_name(FLOWER), "-o", raw / "a.html") == 0
    assert run("data", "inspect", tmp_path / "out", safe_file_name(FLOWER), "-o", raw / "a.png") == 0


def test_no_two_videos_share_a_name() -> None:
    labels = [
        "a b.mp4",
        "a_b.mp4",
        "A.B.mp4",
        "plain.mp4",
        f"{FLOWER}/c.mp4",
        f"{FLOWER}{FLOWER}/c.mp4",
        "x" * 300,
    ]
    names = video_names(labels)
    assert names[3] == "plain_mp4"
    assert len({name.casefold() for name in names}) == len(labels)
    assert all(name and len(name.encode()) <= 200 for name in names)


# --- commands --------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    save_music_tower(untrained_music_tower(SMALL), path, Provenance("made", {}))
    return path


@pytest.fixture
def sound(tmp_path: Path) -> bytes:
    soundfile.write(tmp_path / "a.wav", 0.5 * music(6.0, 120.0, 0).numpy(), 16_000)
    return (tmp_path / "a.wav").read_bytes()


def test_features_of_long_names(
    run: Run,
    small: Path,
    sound: bytes,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "in").mkdir()
    names = ["a.wav", LONG[:80] + "x.wav", "x" * 247 + ".wav", "y" * 251 + ".wav", "z.wav"]
    for name in names:
        (tmp_path / "in" / name).write_bytes(sound)
    arguments = ("features", tmp_path / "in", "-o", tmp_path / "out", "-k", small)
    assert run(*arguments) == 1
    made = {path.name for path in (tmp_path / "out").iterdir()}
    assert made == {f"{name}.npz" for name in names if name[0] != "y"}
    said = capsys.readouterr().err
    assert "4 extracted, 0 already present, 1 failed" in said
    assert f"{'y' * 251}.wav: the name of its output is too long for the file system; shorten it" in said
    assert run(*arguments) == 1
    assert "0 extracted, 4 already present, 1 failed" in capsys.readouterr().err


@bytes_in_names
def test_features_beats_and_plot_of_names_that_are_not_utf8(
    run: Run,
    small: Path,
    sound: bytes,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "in" / FLOWER
    folder.mkdir(parents=True)
    for name in (FLOWER, "花"):
        (folder / f"{name}.wav").write_bytes(sound)
    out = tmp_path / FLOWER
    assert run("features", tmp_path / "in", "-o", out, "-k", small) == 0
    with np.load(out / FLOWER / f"{FLOWER}.wav.npz") as one, np.load(out / FLOWER / "花.wav.npz") as other:
        np.testing.assert_array_equal(one["features"], other["features"])
    assert run("features", tmp_path / "in", "-o", out, "-k", small, "--format", "edge") == 0
    assert len(list(out.glob(f"{FLOWER}_slice*.npy"))) == len(list(out.glob("花_slice*.npy"))) == 3
    song = folder / f"{FLOWER}.wav"
    clicks = out / f"{FLOWER}.wav"
    assert run("beats", song, "-o", out / f"{FLOWER}.beats", "--click", clicks, "-k", small) == 0
    assert clicks.stat().st_size > 0
    assert r"\x89\xd4.wav: 120" in capsys.readouterr().err.replace(r"\udc89\udcd4", r"\x89\xd4")
    assert (out / f"{FLOWER}.beats").read_text()
    assert run("plot", song, "-o", out / f"{FLOWER}.png", "-k", small) == 0
    with (out / f"{FLOWER}.png").open("rb") as file:
        assert imread(file).ndim == 3


@bytes_in_names
def test_an_export_for_s3prl_of_and_under_any_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [
        Made(f"{split}{number}", split=split, style=f"style {number}")
        for split in ("train", "dev", "test")
        for number in (0, 1)
    ]
    first, second, *others = write_corpus(tmp_path / "corpus", made).pairs
    assert first.audio is not None
    (tmp_path / "corpus" / first.audio.path).rename(tmp_path / "corpus" / FLOWER)
    moved = replace(first, audio=replace(first.audio, path=FLOWER))
    lost = replace(second, audio=AudioSpan(FLOWER + FLOWER, 0.0, 1.0, "0"))
    write_manifest(tmp_path / "corpus", [moved, lost, *others], "folder", {})
    for layout, count in (("beat_tracking", 5), ("speech_commands", 5)):
        out = tmp_path / f"{FLOWER} {layout}"
        assert export_command([str(tmp_path / "corpus"), str(out), "--layout", layout]) == 1
        exported = json.loads((out / "exported.json").read_text(encoding="utf-8"))
        assert sum(exported["clips"].values()) == count
        assert list(exported["left_out"]) == [second.name]
        assert f"left out: {second.name}" in capsys.readouterr().err


def test_a_terminal_that_cannot_show_a_name(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A prepared corpus is listed on a terminal that knows ASCII alone."""
    prepare_pairs(tmp_path, "folder", {}, [job("花", "/a.wav")])
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    assert run("data", "inspect", tmp_path, "--list") == 0
    sys.stdout.flush()
    assert written.getvalue().startswith(rb"\u82b1" + b"\ttrain\t1.0 s")
