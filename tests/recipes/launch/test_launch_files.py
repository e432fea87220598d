"""Commands on lists of files: the list, the work of a task and the report; nothing runs on SLURM here."""

from __future__ import annotations

import argparse
import csv
import errno
import os
import signal
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from motionbeat_upstream.checkpoint import Provenance, save_music_tower
from motionbeat_upstream.commands.features import main as extract
from motionbeat_upstream.commands.many_files import OutputWriter
from motionbeat_upstream.errors import MotionBeatError
from motionbeat_upstream.nn.music_tower import untrained_music_tower
from recipes.launch.__main__ import main
from recipes.launch.files.commands import COMMANDS, FileCommand
from recipes.launch.files.file_list import FileList, read_file_list, read_files, task_folder, write_file_list
from recipes.launch.files.outcomes import read_outcomes
from recipes.launch.files.planning import file_runs, plan_files
from recipes.launch.files.report import write_report
from recipes.launch.files.task import process_files
from tests.launched import processes_of, wait, wait_until_over
from tests.small import SMALL, music


def write(path: Path, seconds: float = 6.0, bpm: float = 120.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.5 * music(seconds, bpm, 0).numpy(), 16_000)
    return path


def write_names(path: Path, *files: Path) -> Path:
    path.write_text("".join(f"{file}\n" for file in files))
    return path


def rows(folder: Path) -> dict[str, dict[str, str]]:
    """The report, by the name of the file."""
    with (folder / "report.csv").open(newline="") as file:
        return {Path(row["file"]).name: row for row in csv.DictReader(file)}


class Copy(FileCommand):
    """Stands for a command: copies files; what it does with some of them is said by their content."""

    process_counts: ClassVar[Counter[str]] = Counter()

    def __init__(self, parser: argparse.ArgumentParser, options: Sequence[str], out: Path) -> None:
        parser.add_argument("--colour", default="red")
        self.options, self.out = parser.parse_args(options), out

    def outputs(self, relative: Path) -> list[Path]:
        return [self.out / f"{relative}.copy"]

    def load(self) -> tuple[OutputWriter, str]:
        def make(path: Path, relative: Path) -> None:
            text = path.read_text()
            self.process_counts[path.name] += 1
            if text == "mistake":
                raise MotionBeatError(f"{path}: a mistake")
            if text == "fault":
                raise RuntimeError("a\nfault")
            if text == "full":
                raise OSError(errno.ENOSPC, "No space left on device")
            if text == "kill" and self.process_counts[path.name] == 1:
                raise KeyboardInterrupt
            self.outputs(relative)[0].write_text(f"{self.options.colour} {text}")

        return make, self.options.colour


@pytest.fixture
def copying(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "beats", Copy)


def plan_list(folder: Path, list_path: Path, tasks: int, *options: str, overwrite: bool = False) -> FileList:
    file_list = plan_files(folder, "beats", options, list_path, None, tasks, overwrite, concurrent=False)
    folder.mkdir(exist_ok=True)
    write_file_list(folder, file_list)
    return file_list


def attempt(folder: Path, file_list: FileList, task: int) -> int | None:
    """What a task returns; None where it is killed."""
    try:
        return process_files(file_list, folder, task_folder(folder, task), task)
    except KeyboardInterrupt:
        return None


@pytest.mark.slow
@pytest.mark.usefixtures("copying")
@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["good", "mistake", "fault", "kill"]), min_size=1, max_size=12), st.data())
def test_whatever_fails_or_is_killed_each_file_ends_done_or_failed_and_none_is_made_twice(
    contents: list[str], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as name:
        files = [Path(name) / f"{number}" for number in range(len(contents))]
        for file, content in zip(files, contents, strict=True):
            file.write_text(content)
        out, tasks = Path(name) / "out", data.draw(st.integers(1, 14))
        file_list = plan_list(out, write_names(Path(name) / "list", *files), tasks)
        Copy.process_counts.clear()
        assert file_list.tasks == min(tasks, len(files))
        bad = {
            file.name
            for file, content in zip(files, contents, strict=True)
            if content in ("mistake", "fault")
        }
        for task in data.draw(st.permutations(range(file_list.tasks))):
            own = contents[task :: file_list.tasks]
            # Requeued once for each kill, it goes on.
            results = [attempt(out, file_list, task) for _ in range(own.count("kill") + 1)]
            assert results == [None] * own.count("kill") + [sum(text in ("mistake", "fault") for text in own)]
        assert write_report(out) == (1 if bad else 0)
        report = rows(out)
        assert {name for name, row in report.items() if row["status"] == "failed"} == bad
        for file, content in zip(files, contents, strict=True):
            assert Copy.process_counts[file.name] == (2 if content == "kill" else 1)
            row = report[file.name]
            assert (row["output"] == f"{file.name}.copy") == (row["status"] == "done") == (not row["reason"])
            assert "\n" not in row["reason"]
        # Launched again, only what failed is tried again; also by another number of tasks.
        Copy.process_counts.clear()
        second_list = plan_list(out, Path(name) / "list", 1 + tasks % 3)
        assert sum(
            process_files(second_list, out, task_folder(out, task), task) for task in range(second_list.tasks)
        ) == len(bad)
        assert set(Copy.process_counts) == bad


@pytest.mark.usefixtures("copying")
def test_a_file_that_ends_its_task_comes_last_the_next_time(tmp_path: Path) -> None:
    files = [tmp_path / name for name in "abc"]
    for file, text in zip(files, ("kill", "good", "good"), strict=True):
        file.write_text(text)
    out = tmp_path / "out"
    file_list = plan_list(out, write_names(tmp_path / "list", *files), 1)
    Copy.process_counts.clear()
    assert attempt(out, file_list, 0) is None
    assert write_report(out) == 1
    assert [(row["status"], row["reason"][:5]) for row in rows(out).values()] == [
        ("missing", "start"),
        ("missing", "not s"),
        ("missing", "not s"),
    ]
    assert attempt(out, file_list, 0) == 0
    assert list(Copy.process_counts) == ["a", "b", "c"]
    ended = [outcome.file[-1] for outcome in read_outcomes(out).values()]
    assert sorted(ended) == ["a", "b", "c"]
    journal = (task_folder(out, 0) / "metrics" / "files.jsonl").read_text()
    assert journal.rindex('/a"') > journal.rindex('/c"')


@pytest.mark.usefixtures("copying")
def test_a_full_disk_ends_the_task_and_a_line_cut_off_by_a_kill_is_passed_over(tmp_path: Path) -> None:
    good, full = tmp_path / "good", tmp_path / "full"
    for file in (good, full):
        file.write_text(file.name)
    out = tmp_path / "out"
    file_list = plan_list(out, write_names(tmp_path / "list", good, full), 1)
    with pytest.raises(OSError, match="No space left"):
        attempt(out, file_list, 0)
    journal = task_folder(out, 0) / "metrics" / "files.jsonl"
    journal.write_bytes(journal.read_bytes() + b'{"Time": 1, "outc')
    full.write_text("room")
    assert attempt(out, file_list, 0) == 0
    assert write_report(out) == 0
    (out / "good.copy").unlink()
    assert write_report(out) == 1
    assert rows(out)["good"]["reason"] == "the output was deleted"
    assert attempt(out, file_list, 0) == 0
    assert write_report(out) == 0


@pytest.mark.usefixtures("copying")
def test_other_options_and_other_programs_outputs_are_replaced_when_asked(tmp_path: Path) -> None:
    own, other = tmp_path / "mine", tmp_path / "other"
    for file in (own, other):
        file.write_text(file.name)
    list_path, out = write_names(tmp_path / "list", own, other), tmp_path / "out"
    out.mkdir()
    (out / "other.copy").write_text("of another program")
    for _ in range(2):
        assert process_files(plan_list(out, list_path, 1), out, task_folder(out, 0), 0) == 1
        assert (out / "other.copy").read_text() == "of another program"
        write_report(out)
        assert "was not made by this command" in rows(out)["other"]["reason"]
    with pytest.raises(MotionBeatError, match=r"1 of 2 outputs.*--overwrite to replace them"):
        plan_list(out, list_path, 1, "--colour", "blue")
    Copy.process_counts.clear()
    file_list = plan_list(out, list_path, 1, "--colour", "blue", overwrite=True)
    for _ in range(2):
        assert process_files(file_list, out, task_folder(out, 0), 0) == 0
    assert [(out / f"{name}.copy").read_text() for name in ("mine", "other")] == ["blue mine", "blue other"]
    assert Copy.process_counts == {"mine": 1, "other": 1}


@pytest.mark.usefixtures("copying")
def test_a_list_that_changes_keeps_what_is_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / name for name in "abcd"]
    for file in files:
        file.write_text("good")
    out = tmp_path / "out"
    assert (
        process_files(
            plan_list(out, write_names(tmp_path / "list", *files[:3]), 1), out, task_folder(out, 0), 0
        )
        == 0
    )
    Copy.process_counts.clear()
    file_list = plan_list(out, write_names(tmp_path / "list", files[3], files[1]), 9)
    assert "--tasks 9: reduced to 2, the number of files" in capsys.readouterr().err
    # What is in the list now is not read again when the tasks begin.
    (tmp_path / "list").unlink()
    for task in (0, 1):
        assert process_files(read_file_list(out), out, task_folder(out, task), task) == 0
    assert Copy.process_counts == {"d": 1}
    assert write_report(out) == 0
    assert list(rows(out)) == ["d", "b"]
    assert sorted(path.stem for path in out.glob("*.copy")) == ["a", "b", "c", "d"]
    assert [run.name for run in file_runs(out, file_list)] == ["task0", "task1"]


@given(
    st.lists(st.sampled_from(["a", "b", "./b", "x/../a", "c d", "ü", "#e", " f"]), min_size=1), st.booleans()
)
def test_a_list_names_each_file_once_in_its_order(lines: list[str], windows: bool) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.chdir(name)
        for file in ("a", "b", "c d", "ü", "#e", " f"):
            Path(file).touch()
        Path("x").mkdir()
        end = "\r\n" if windows else "\n"
        Path("list").write_bytes("".join(f"{line}{end}{end}" for line in lines).encode())
        report = read_files(Path("list"), None)
        assert [file for file, _ in report] == list(dict.fromkeys(os.path.abspath(line) for line in lines))
        assert read_files(Path("list"), Path(name)) == report


def test_mistakes_are_told_in_one_line_and_leave_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    song, same = write(tmp_path / "x" / "a.wav", 0.1), write(tmp_path / "y" / "a.wav", 0.1)
    lists = {
        "good": [song],
        "same": [song, same],
        "absent": [song, tmp_path / "gone.wav"],
        "folder": [tmp_path / "x"],
        "slices": [song, write(tmp_path / "a_slice2.wav", 0.1)],
        "empty": [],
    }
    for name, files in lists.items():
        write_names(tmp_path / name, *files)
    (tmp_path / "empty").write_text("\n \n")
    (tmp_path / "binary").write_bytes(song.read_bytes())
    before = sorted(tmp_path.rglob("*"))
    for command, options, message in (
        ("features", "--files gone", "--files gone: No such file"),
        ("features", "--files x", "--files x: Is a directory"),
        ("features", "--files empty", "--files empty: is empty; expected one file name per line"),
        ("features", "--files binary", "--files binary: is not a text file"),
        ("features", "--files absent", f"--files absent: line 2: {tmp_path}/gone.wav: no such file; 1 of 2"),
        ("beats", "--files folder", f"line 1: {tmp_path}/x: is a folder; name its files"),
        ("beats", "--files same", f"{song} and {same} would both be written to"),
        ("features", "--files slices -- --format edge", "would be written to slices of one name"),
        ("beats", "--files good --root y", f"--root y: {song} is not in it (1 of 1 files are not)"),
        ("beats", "--files good --tasks 0", "--tasks 0: expected at least 1"),
        ("beats", "--files good -- a.wav", "unrecognized arguments: a.wav; see motionbeat beats --help"),
        ("beats", "--files good -- --metre 9", "metres must be one or more of"),
        ("features", "--files good -- --layers 99", "--layers [99]: expected layers from 0 to"),
        ("features", "--files good -- -k gone", "argument -k/--checkpoint: gone: no such file"),
        ("features", "--files good -- --half --format edge", "--half: EDGE reads float32"),
        ("dance", "--files good -- --steps 0", "--steps at least 1"),
        ("dance", "--files good -- --suffix .gif", "invalid choice: '.gif'"),
        ("beats", "--files good --mem 4G", "--mem: is an option of --cluster slurm only"),
    ):
        assert main([command, "--cluster", "local", "--folder", "out", *options.split()]) == 2, options
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
        assert sorted(tmp_path.rglob("*")) == before
    assert main(["report", "out"]) == 2
    assert "expected a folder that was the --folder of" in capsys.readouterr().err


@pytest.mark.slow
def test_features_here_and_now_with_what_was_extracted_without_the_launcher(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    songs = [write(tmp_path / "in" / name, 1.0) for name in ("a.wav", "b.wav", "deep/a.wav")]
    out, bad = tmp_path / "out", tmp_path / "in" / "bad.wav"
    bad.write_text("not audio")
    assert extract([str(songs[0]), "-o", str(out)]) == 0
    stamp = (out / "a.wav.npz").stat().st_mtime_ns
    list_path = write_names(tmp_path / "list", *songs, bad, songs[0])
    arguments = ["features", "--cluster", "debug", "--folder", str(out), "--files", str(list_path)]
    arguments += ["--root", str(tmp_path / "in"), "--tasks", "2"]
    assert main(arguments) == 1
    assert "1 duplicate lines are ignored" in capfd.readouterr().err
    assert (out / "a.wav.npz").stat().st_mtime_ns == stamp
    assert (out / "deep" / "a.wav.npz").is_file()
    with (out / "report.csv").open(newline="") as file:
        report = list(csv.DictReader(file))
    assert [row["status"] for row in report] == ["done", "done", "done", "failed"]
    assert [row["output"] for row in report] == ["a.wav.npz", "b.wav.npz", "deep/a.wav.npz", ""]
    assert report[0]["seconds"] == ""
    assert float(report[1]["seconds"]) > 0
    assert "not audio" in report[3]["reason"]
    assert main(["watch", str(out)]) == 1
    assert "step 2  files: of 2, failed 1" in capfd.readouterr().out
    bad.unlink()
    write(bad, 1.0)
    assert main(arguments) == 0
    capfd.readouterr()
    assert main(["report", str(out)]) == 0
    assert "4 done, 0 failed, 0 missing" in capfd.readouterr().out
    # The same files are not asked for as something else in one folder.
    assert main(["beats", *arguments[1:]]) == 2


def test_the_report_is_made_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the options' files, which have relative names, are not."""
    save_music_tower(untrained_music_tower(SMALL), tmp_path / "small.safetensors", Provenance("made", {}))
    list_path, out = write_names(tmp_path / "list", write(tmp_path / "a.wav", 1.0)), tmp_path / "out"
    out.mkdir()
    monkeypatch.chdir(tmp_path)
    options = ("-k", "small.safetensors", "--format", "edge")
    write_file_list(
        out, plan_files(out, "features", options, list_path, None, 1, overwrite=False, concurrent=False)
    )
    monkeypatch.chdir(out)
    assert write_report(out) == 1
    assert [row["reason"] for row in rows(out).values()] == ["not started"]


def test_dances_with_two_suffixes(tmp_path: Path) -> None:
    song, silent = write(tmp_path / "a.wav", 3.0), write(tmp_path / "short.wav", 0.2)
    out = tmp_path / "out"
    list_path = write_names(tmp_path / "list", song, silent)
    options = ("--steps", "2", "--seconds", "2", "--suffix", ".npz", "--suffix", ".bvh")
    out.mkdir()
    for _ in range(2):
        file_list = plan_files(out, "dance", options, list_path, None, 1, overwrite=False, concurrent=False)
        write_file_list(out, file_list)
        assert process_files(file_list, out, task_folder(out, 0), 0) == 1
        write_report(out)
    assert rows(out)["a.wav"]["output"] == "a.wav.npz a.wav.bvh"
    assert "0.20 s of audio" in rows(out)["short.wav"]["reason"]
    assert {path.name for path in out.iterdir()} == {"launch", "report.csv", "a.wav.npz", "a.wav.bvh"}


@pytest.mark.slow
def test_a_killed_task_here_leaves_the_others_at_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    songs = [write(tmp_path / f"{number}.wav", 20.0) for number in range(8)]
    out, list_path = tmp_path / "out", tmp_path / "list"
    arguments = [
        "beats",
        "--cluster",
        "local",
        "--folder",
        str(out),
        "--files",
        str(write_names(list_path, *songs)),
    ]
    arguments += ["--tasks", "2"]
    assert main(arguments) == 0
    folders = [task_folder(out, task) for task in (0, 1)]
    wait(lambda: all(processes_of(folder) for folder in folders), "two tasks at once")
    wait(lambda: bool(read_outcomes(out)), "a first file")
    for process in processes_of(folders[0]):
        os.kill(process, signal.SIGKILL)
    assert wait_until_over(out, "task0") == "FAILED (exit -9)"
    assert wait_until_over(out, "task1") == "FINISHED"
    assert not (out / "report.csv").exists()
    assert main(["report", str(out)]) == 1
    report = rows(out)
    assert [report[f"{number}.wav"]["status"] for number in (1, 3, 5, 7)] == ["done"] * 4
    assert "missing" in {row["status"] for row in report.values()}
    stamps = {path: path.stat().st_mtime_ns for path in out.glob("*.beats")}
    (out / "report.csv").unlink()

    wait(lambda: processes_of(out) == [], "the end of the processes")
    assert main(arguments) == 0
    assert wait_until_over(out, "task0") == "FINISHED"
    assert wait_until_over(out, "task1") == "FINISHED"
    assert {row["status"] for row in rows(out).values()} == {"done"}
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
