"""Options of the launcher: errors, and the parameters derived from them; nothing is started."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from submitit import SlurmExecutor

import recipes.launch.__main__
from motionbeat_upstream.errors import MotionBeatError
from recipes.launch import RECIPES
from recipes.launch.__main__ import main
from recipes.launch.record import Progress, Record, progress_file, write_progress
from recipes.launch.resources import Resources, parse_time_limit
from recipes.launch.runs import plan_runs
from recipes.launch.watching import last_metrics, last_step
from tests.launched import launch

SBATCH = Path(recipes.launch.__file__).parent / "sbatch"


def check_refused(
    capsys: pytest.CaptureFixture[str], folder: Path, *options: str, config: tuple[str, ...] = ()
) -> str:
    """Check that options are refused with one line and no files; return the message."""
    before = sorted(folder.parent.rglob("*"))
    assert launch(folder, *options, config=config) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert sorted(folder.parent.rglob("*")) == before
    return message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--nodes", "0"), "--nodes = 0: must be greater than or equal to 1"),
        (("--gpus", "-1"), "--gpus = -1: must be"),
        (("--tasks-per-node", "0"), "--tasks-per-node = 0: must be greater than or equal to 1"),
        (("--cpus", "0"), "--cpus = 0: must be greater than or equal to 1"),
        (("--gpus", "8", "--tasks-per-node", "4"), "each GPU has one process"),
        (("--time", "soon"), "--time = 'soon': expected minutes, H:MM:SS"),
        (("--time", "0"), "--time = '0': expected"),
        (("--time", "2"), "not longer than the --notice of 120 s"),
        (("--notice", "0"), "--notice = 0"),
        (("--restarts", "-1"), "--restarts = -1"),
        (("--nodes", "2"), "--cluster local has one"),
        (("--partition", "main"), "--partition: is an option of --cluster slurm only"),
        (("--mem", "lots"), "--mem = 'lots': String should match pattern '^[0-9]+[KMGT]?$'"),
        (("--sweep", "nowhere.yaml"), "--config-file nowhere.yaml: no such file"),
        (("--seeds", "1,1"), "two runs would be named seed1"),
        (("--", "out"), "out: expected options of the recipe after --; its OUT is the --folder"),
        (("--", "--config", "colour=red"), "unexpected keyword argument 'colour'"),
    ],
)
def test_errors_have_one_line(
    options: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in check_refused(capsys, tmp_path / "new", "--cluster", "local", *options)


def test_all_errors_are_listed_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = ("--nodes", "0", "--notice", "0", "--mem", "lots", "--time", "soon")
    message = check_refused(capsys, tmp_path / "new", "--cluster", "slurm", *wrong)
    for option in wrong[::2]:
        assert f"{option} = " in message
    message = check_refused(
        capsys, tmp_path / "new", "--cluster", "local", "--nodes", "2", "--qos", "q", "--setup", "x"
    )
    for part in ("--cluster local has one", "--qos: is an option", "--setup: is an option"):
        assert part in message


def test_the_help_names_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["pretrain", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for option, default in (
        ("--nodes NODES number of nodes", Resources.nodes),
        ("the job requeues itself", Resources.notice),
        ("a job out of time is requeued", Resources.restarts),
    ):
        assert f"{option} ({default}" in text


def test_a_launch_without_gpus_says_that_it_trains_on_the_cpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes.launch.__main__, "launch", lambda *_: Record("local", "small", "h", "t", ()))
    for options, message in (((), True), (("--gpus", "0"), False), (("--gpus", "2"), False)):
        assert launch(tmp_path / "out", "--cluster", "local", *options) == 0
        assert ("on the CPU, 1 process(es) per node; --gpus N" in capsys.readouterr().out) == message


def test_debug_is_one_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = check_refused(capsys, tmp_path / "new", "--cluster", "debug", "--tasks-per-node", "2")
    assert "use --cluster local for more" in message


def test_without_slurm_another_cluster_is_suggested(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    message = check_refused(capsys, tmp_path / "new", "--cluster", "slurm")
    assert "sbatch not found on PATH" in message
    assert "--cluster local" in message


def test_folders_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    here = ("--cluster", "local")
    assert "cannot be written" in check_refused(capsys, tmp_path / "file", *here)
    assert "cannot be written" in check_refused(capsys, tmp_path / "file" / "below", *here)
    assert "interpret the % in it" in check_refused(capsys, tmp_path / "50%", *here)


def test_a_folder_of_another_recipe_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = {"name": "run", "folder": str(tmp_path), "job": "1"}
    record = {
        "cluster": "local",
        "recipe": "pretrain",
        "host": "h",
        "submitted": "",
        "runs": [run],
        "stopped": "t",
    }
    (tmp_path / "launch").mkdir()
    (tmp_path / "launch" / "record.json").write_text(json.dumps(record))
    message = check_refused(capsys, tmp_path, "--cluster", "local")
    assert "contains a launch of pretrain; give small another folder" in message


@pytest.mark.slow
@pytest.mark.parametrize("record", ["", "[]", "{}", '{"runs": [1]}', '{"runs": []}'])
def test_a_damaged_record_is_told(record: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "launch").mkdir()
    (tmp_path / "launch" / "record.json").write_text(record)
    for command in ("watch", "stop"):
        assert main([command, str(tmp_path)]) == 2
        assert "is not a record of a launch" in capsys.readouterr().err
    assert "is not a record of a launch" in check_refused(capsys, tmp_path, "--cluster", "local")


def test_a_launch_of_another_machine_is_not_taken_for_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = {"name": "run", "folder": str(tmp_path), "job": str(os.getpid())}
    record = {"cluster": "local", "recipe": "small", "host": "elsewhere", "submitted": "", "runs": [run]}
    (tmp_path / "launch").mkdir()
    (tmp_path / "launch" / "record.json").write_text(json.dumps(record))
    assert "the launch runs on elsewhere" in check_refused(capsys, tmp_path, "--cluster", "local")
    assert main(["stop", str(tmp_path)]) == 2
    # What the job has told is known everywhere.
    write_progress(progress_file(tmp_path / "launch", "run"), Progress("t", "u", 0))
    capsys.readouterr()
    assert main(["watch", str(tmp_path)]) == 0
    assert "FINISHED" in capsys.readouterr().out


def test_watch_and_stop_need_a_launch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("watch", "stop"):
        assert main([command, str(tmp_path)]) == 2
        assert "contains no launch" in capsys.readouterr().err
        assert main([command, str(tmp_path), "--", "--config"]) == 2
        assert "takes no options after --" in capsys.readouterr().err


def test_the_module_is_a_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "recipes.launch", "watch", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == (
        f"recipes.launch watch: {tmp_path}: contains no launch; expected the --folder of an earlier launch\n"
    )


@given(st.integers(0, 30), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_every_way_of_writing_a_time_limit_means_the_same(
    days: int, hours: int, mins: int, secs: int
) -> None:
    """By the table in sbatch's manual; a part of a minute counts as one."""
    total_minutes = (days * 24 + hours) * 60 + mins
    expected = total_minutes + (secs > 0)
    if expected:
        assert parse_time_limit(f"{days}-{hours}:{mins}:{secs}") == expected
        assert parse_time_limit(f"{days * 24 + hours}:{mins}:{secs}") == expected
        assert parse_time_limit(f"{total_minutes}:{secs}") == expected
    if total_minutes:
        assert (
            parse_time_limit(str(total_minutes))
            == parse_time_limit(f"{days}-{hours}:{mins}")
            == total_minutes
        )
    if days or hours:
        assert parse_time_limit(f"{days}-{hours}") == (days * 24 + hours) * 60


@pytest.mark.parametrize("text", ["", "-5", "1:2:3:4", "1-", "1:", "1.5", "2h", "1-2:3:4:5", "infinite", "٣"])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(MotionBeatError, match="expected minutes"):
        parse_time_limit(text)


def test_a_plan_is_every_combination_in_folders_of_their_own(tmp_path: Path) -> None:
    configs = [str(tmp_path / "narrow.yaml"), "wide"]
    runs = plan_runs(tmp_path / "out", ["--config", "steps=3"], configs, [0, 1])
    assert [run.name for run in runs] == ["narrow-seed0", "narrow-seed1", "wide-seed0", "wide-seed1"]
    assert len({run.folder for run in runs}) == 4
    assert runs[1].arguments == (
        str(tmp_path / "out" / "narrow-seed1"),
        *("--config", "steps=3", "--config-file", configs[0], "--config", "common.seed=1"),
    )
    assert plan_runs(tmp_path, ["--x"], [], [])[0].arguments == (str(tmp_path), "--x")
    with pytest.raises(MotionBeatError, match="leave --config-file out"):
        plan_runs(tmp_path, ["--config-file", "x"], configs, [])


def test_each_value_of_an_option_is_a_run_in_the_one_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = plan_runs(tmp_path, ["--data", "d"], [], [], ("upstreams", ["fbank", "whole=a/b.safetensors"]))
    assert [run.name for run in runs] == ["fbank", "whole_a_b.safetensors"]
    assert [run.arguments for run in runs] == [
        (str(tmp_path), "--data", "d", "--upstreams", "fbank"),
        (str(tmp_path), "--data", "d", "--upstreams", "whole=a/b.safetensors"),
    ]
    with pytest.raises(MotionBeatError, match="--each: two runs would be named a_b"):
        plan_runs(tmp_path, [], [], [], ("upstreams", ["a/b", "a=b"]))
    with pytest.raises(MotionBeatError, match="leave it out after the --"):
        plan_runs(tmp_path, ["--upstreams", "x"], [], [], ("upstreams", ["a"]))
    with pytest.raises(MotionBeatError, match="cannot be combined with --sweep and --seeds"):
        plan_runs(tmp_path, [], [], [1], ("upstreams", ["a"]))
    arguments = ["benchmark", "--cluster", "debug", "--folder", str(tmp_path / "out")]
    with pytest.raises(SystemExit):
        main([*arguments, "--each", "upstreams"])
    assert "expected OPTION=VALUE,VALUE, without dashes" in capsys.readouterr().err
    # The recipe refuses what it could not run before anything is started.
    assert main([*arguments, "--each", "upstreams=fbank", "--", "--data", str(tmp_path)]) == 2
    assert "contains none of the data sets" in capsys.readouterr().err
    assert main([*arguments, "--each", "upstreams=fbank", "--", "--dta", "x"]) == 2
    assert "see python -m recipes.benchmark run --help" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_sbatch_is_asked_for(tmp_path: Path) -> None:
    resources = Resources(
        "slurm", "name", nodes=2, tasks_per_node=8, gpus_per_node=8, cpus_per_task=6, minutes=90, notice=60,
        partition="p", account="a", qos="q", mem="64G", setup=("module load x",),
        slurm=("constraint=big", "exclusive"),
    )  # fmt: skip
    executor = SlurmExecutor.__new__(SlurmExecutor)
    executor.folder, executor.parameters = tmp_path, resources.slurm_parameters()
    script = executor._make_submission_file_text("true", "0").splitlines()
    for line in (
        *(
            "--nodes=2",
            "--ntasks-per-node=8",
            "--gpus-per-node=8",
            "--cpus-per-task=6",
            "--time=90",
            "--requeue",
        ),
        *("--signal=USR2@60", "--partition=p", "--account=a", "--qos=q", "--mem=64G", "--constraint=big"),
        *("--exclusive", "--open-mode=append", "--job-name=name"),
    ):
        assert f"#SBATCH {line}" in script
    assert not [line for line in script if "wckey" in line]
    assert "module load x" in script
    (srun,) = (line for line in script if line.startswith("srun"))
    assert "--kill-on-bad-exit=1 --cpus-per-task=6" in srun
    cpu_parameters = Resources("slurm", "name").slurm_parameters()
    assert "gpus_per_node" not in cpu_parameters
    assert cpu_parameters["time"] == 24 * 60


def test_a_job_here_takes_gpus_that_its_caller_may_see() -> None:
    resources = Resources("local", "name", tasks_per_node=2, gpus_per_node=2)
    assert resources.local_parameters("3,5,7")["visible_gpus"] == (3, 5, 7)
    assert "visible_gpus" not in resources.local_parameters(None)
    for visible in ("3", "GPU-1,GPU-2"):
        with pytest.raises(MotionBeatError, match="CUDA_VISIBLE_DEVICES"):
            resources.local_parameters(visible)


def test_the_last_whole_line_of_each_metric_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    (folder / "valid").mkdir(parents=True)
    padding = json.dumps({"Step": 1, "Text": "x" * 100_000})
    (folder / "train.jsonl").write_text(f'{padding}\n{{"Step": 30, "Loss": 0.5}}\n{{"Step": 40, "Lo')
    (folder / "valid" / "real.jsonl").write_text('{"Step": 20}\n{"Step": 25, "Lo\n')
    (folder / "empty.jsonl").write_text("")
    metrics = last_metrics(tmp_path)
    assert metrics == {"train": {"Step": 30, "Loss": 0.5}, "valid/real": {"Step": 20}}
    assert last_step(metrics) == 30
    assert last_metrics(tmp_path / "nothing") == {}
    assert last_step({}) is None


@pytest.mark.parametrize("script", sorted(SBATCH.glob("*.sbatch")), ids=lambda path: path.name)
def test_sbatch_files_are_sound(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)
    lines = script.read_text().splitlines()
    options = [
        line.removeprefix("#SBATCH ").partition("=")[0] for line in lines if line.startswith("#SBATCH")
    ]
    assert {"--requeue", "--signal", "--nodes", "--ntasks-per-node", "--time", "--open-mode"} <= set(options)
    # What differs from site to site is there to be named, and no site's.
    for line in ("##SBATCH --account=", "##SBATCH --partition=", "# module load ", "# source "):
        assert any(written.startswith(line) for written in lines)
    assert not {"--partition", "--account", "--qos", "--nodelist", "--mail-user"} & set(options)
    assert not script.stat().st_mode & stat.S_IWOTH
    assert f"sbatch {script.name}" in script.read_text().replace("--array=0-1 ", "")


def test_the_documentation_lists_the_four_sbatch_files() -> None:
    page = (Path(__file__).parents[3] / "docs/clusters.md").read_text()
    names = {path.name for path in SBATCH.iterdir()}
    assert len(names) == 4
    assert all(name in page for name in names)


def test_known_recipes_are_modules_of_the_project() -> None:
    assert all(module.startswith("recipes.") for module in RECIPES.values())


def test_watching_goes_on_when_slurm_does_not_answer_for_a_while(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = {"name": "run", "folder": str(tmp_path), "job": "7"}
    record = {"cluster": "slurm", "recipe": "small", "host": "", "submitted": "", "runs": [run]}
    (tmp_path / "launch").mkdir()
    (tmp_path / "launch" / "record.json").write_text(json.dumps(record))
    answers = tmp_path / "answers"
    for program in ("sbatch", "srun", "scancel"):
        (tmp_path / program).symlink_to("/bin/true")
    squeue = tmp_path / "squeue"
    # Says one line after another of the file of answers, and fails where that says so.
    squeue.write_text(
        f"#!/bin/bash\nread -r line < {answers}\nsed -i 1d {answers}\n"
        '[ "$line" = fail ] && { echo "slurm_load_jobs error: timed out" >&2; exit 1; }\necho "$line"\n'
    )
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    answers.write_text("7|PENDING|Resources\nfail\n7|RUNNING|None\n7|RUNNING|None\n7|TIMEOUT|TimeLimit\n")
    assert main(["watch", str(tmp_path), "--every", "0.01"]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if "launched" not in line]
    assert [line.split("  ", 2)[-1].strip() for line in lines] == [
        "PENDING (Resources)  -",
        "squeue: slurm_load_jobs error: timed out; try again when SLURM answers",
        "RUNNING  -",
        "TIMEOUT  -",
    ]
    answers.write_text("fail\n")
    assert main(["watch", str(tmp_path)]) == 2
