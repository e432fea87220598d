"""``python -m recipes.benchmark dance-metrics``, from folders to the table."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile

from motion_data.beats_file import Beats, write_beats
from motion_data.motion import Motion
from motion_data.motion_file import write_motion
from motion_data.skeleton import JOINTS
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.tracking.grid import regular_grid
from recipes.benchmark.__main__ import main
from recipes.dance_metrics.scores import FEATURES, dance_scores
from recipes.results.record import item_table, read_results
from tests.dancing import BPM, constructed
from tests.fabricated_smpl import write_npz
from tests.small import music


def run(*arguments: object) -> int:
    return main(["dance-metrics", *map(str, arguments)])


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """EDGE's pickles of three dances, and motions of this project of four, with their grids."""
    made, true = tmp_path / "made", tmp_path / "true"
    made.mkdir()
    true.mkdir()
    for seed in range(3):
        joints = constructed(seed + 50, 4.0, fps=30.0).joints
        z_up = np.stack([joints[..., 0], -joints[..., 2], joints[..., 1]], axis=2).astype(np.float32)
        (made / f"1_{seed}_mMH3_tune{seed}.pkl").write_bytes(pickle.dumps({"full_pose": z_up}))
    for seed in range(4):
        dance = constructed(seed, 4.0)
        assert dance.steps is not None
        motion = Motion(60.0, JOINTS, dance.joints[:, :22], 0.0, None, {"left_foot": dance.steps})
        write_motion(true / f"take{seed}_mMH3_ch0{seed}.npz", motion, regular_grid(4.0, BPM, 4))
    return made, true


def test_a_whole_evaluation(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, true = folders
    beats = tmp_path / "beats"
    write_beats(beats / "mMH3.beats", Beats(np.arange(8) * 60 / BPM, np.arange(8) % 4 + 1))
    out = tmp_path / "out"
    assert run(made, true, "--beats", beats, "-o", out, "--exact-steps") == 0
    text = capsys.readouterr().out
    assert (out / "metrics.md").read_text() in text
    assert "| | generated (3) | to others' music | truth (4) |" in text
    assert "| BeatAlign, Bailando ↑ | 0." in text
    assert "Beats of the music: files of beats." in text
    assert "3 generated and 4 true dances" in text
    generated, truth = read_results(out / "metrics.jsonl")
    table = item_table(generated)
    names = [name for name, _ in table.index]
    assert names == sorted(path.stem for path in made.iterdir())
    assert set(FEATURES["kinetic"]) | set(FEATURES["geometric"]) <= set(table.columns)
    assert "contacts_on_steps" not in table
    assert item_table(truth)["contacts_on_steps"].iloc[0] > 0.8
    assert dance_scores([generated, truth]).generated["pfc"].value == pytest.approx(table["pfc"].mean())
    assert generated.run.details["beats"] == "files of beats"


def test_with_audio_and_with_what_the_files_bring(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, true = folders
    assert run(true, true) == 0
    text = capsys.readouterr().out
    assert "| FIDk ↓ | 0.000 [" in text
    assert "the files of the dances" in text
    assert "true steps" not in text
    sound = tmp_path / "sound"
    sound.mkdir()
    soundfile.write(sound / "mMH3.wav", music(8.0, BPM, 0).numpy(), SAMPLE_RATE)
    for tracker in ("librosa", "motionbeat"):
        assert run(made, true, "--music", sound, "--tracker", tracker) == 0
        text = capsys.readouterr().out
        assert f"{tracker} on sound" in text
        assert "BeatAlign, FACT" in text


def test_aists_own_files_with_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_npz(tmp_path / "smpl.npz", 3)
    draw = np.random.default_rng(0)
    folder = tmp_path / "motions"
    folder.mkdir()
    for seed in range(3):
        held = {
            "smpl_poses": np.cumsum(draw.normal(0, 0.02, (90, 72)), axis=0),
            "smpl_trans": np.cumsum(draw.normal(0, 0.5, (90, 3)), axis=0),
            "smpl_scaling": np.array([93.0]),
        }
        (folder / f"gBR_sBM_cAll_d04_mBR0_ch0{seed}.pkl").write_bytes(pickle.dumps(held))
    assert run(folder, folder, "--smpl", model) == 0
    assert "| FIDg ↓ | 0.000 [" in capsys.readouterr().out
    assert run(folder, folder) == 2
    assert "give the SMPL model (--smpl)" in capsys.readouterr().err


def test_a_users_mistakes_are_one_line(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, true = folders
    empty = tmp_path / "empty"
    empty.mkdir()
    one = tmp_path / "one"
    one.mkdir()
    (one / "a.pkl").write_bytes(next(made.iterdir()).read_bytes())
    plain = tmp_path / "plain"
    plain.mkdir()
    np.save(plain / "a.npy", constructed(0, 2.0).joints)
    for arguments, message in (
        ((made, empty), "no dance in it"),
        ((made, tmp_path / "nowhere"), "no such folder"),
        ((one, true), "1 generated dance(s); expected at least 2"),
        ((plain, true), "says no frame rate"),
        ((plain, true, "--fps", 0), "0 frames per second"),
        ((made, true, "--beats", empty), "no music for the dance 1_0_mMH3_tune0"),
        ((made, true, "--music", empty, "--beats", empty), "not allowed with"),
        ((made, true, "--smpl", tmp_path / "smpl.npz"), "no such file"),
        ((made,), "required: TRUTH; see python -m recipes.benchmark dance-metrics --help"),
    ):
        assert run(*arguments) == 2
        stderr = capsys.readouterr().err
        assert message in stderr
        assert stderr.splitlines()[-1].startswith("recipes.benchmark dance-metrics: ")
        assert "Traceback" not in stderr
