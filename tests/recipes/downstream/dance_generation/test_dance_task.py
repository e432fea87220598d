"""The task dance_generation as a whole, and `motionbeat dance`."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from motion_data.body.kinematics import REST, forward_kinematics
from motion_data.commands.data import main as data_command
from motion_data.errors import DataError
from motion_data.manifest import read_corpus
from motion_data.motion import Motion
from motion_data.motion_file import read_motion, write_motion
from motion_data.pipeline.pair_cache import PairCache
from motion_data.safe_pickle import load_arrays
from motion_data.skeleton import JOINTS
from motionbeat_upstream import hubconf
from motionbeat_upstream.audio import read_audio
from motionbeat_upstream.checkpoint import CheckpointError, Provenance
from motionbeat_upstream.shipped import SHIPPED, SHIPPED_V1
from recipes.benchmark import plan as plan_module
from recipes.benchmark.corpus_tasks import DancePlan
from recipes.benchmark.plan import Job
from recipes.benchmark.upstream_choice import read_upstreams
from recipes.dance_metrics.scores import dance_scores
from recipes.downstream import run_downstream
from recipes.downstream.dance_generation.body_numbers import FPS, JointNumbers, RotationNumbers
from recipes.downstream.dance_generation.command import load_song_encoder
from recipes.downstream.dance_generation.command import main as dance_command
from recipes.downstream.dance_generation.dance_file import (
    FORMAT,
    DanceFile,
    read_dance_model,
    write_dance_model,
)
from recipes.downstream.dance_generation.dance_file import SHIPPED as DANCER
from recipes.downstream.dance_generation.expert import DownstreamExpert
from recipes.downstream.dance_generation.export import main as export
from recipes.downstream.dance_generation.model import DanceModel
from recipes.downstream.dance_generation.settings import read_settings
from recipes.downstream.dance_generation.slices import (
    EvalPieces,
    TrainSlices,
    danceable_pairs,
    encode_motion,
    select_layout,
)
from recipes.results.record import item_table, read_results, results_path, write_results
from tests.made_corpus import Made, write_corpus
from tests.small import music

SMALL = {"modelrc": {"width": 16, "layers": 1, "heads": 2, "hidden": 16}, "diffusionrc": {"steps": 2}}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("constructed") / "c"
    assert data_command(["prepare", "constructed", str(folder), "--pairs", "60", "--seconds", "8"]) == 0
    return folder


def run(corpus: Path, out: Path, upstream: str = "motionbeat_log_mel", steps: int = 2, pairs: int = 3) -> int:
    options = {
        "config.downstream_expert.datarc.root": corpus,
        "config.downstream_expert.datarc.eval_pairs": pairs,
        **{
            f"config.downstream_expert.{section}.{key}": value
            for section, of in SMALL.items()
            for key, value in of.items()
        },
        **{f"config.runner.{key}": steps for key in ("total_steps", "eval_step", "save_step")},
    }
    arguments = ["-m", "train", "-u", upstream, "-d", "dance_generation", "-p", str(out), "--device", "cpu"]
    return run_downstream.main(
        [*arguments, "-o", ",,".join(f"{key}={value}" for key, value in options.items())]
    )


@pytest.fixture(scope="module")
def trained(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    assert run(corpus, out) == 0
    return out


@pytest.fixture(scope="module")
def dancer(trained: Path) -> Path:
    file = trained / "dancer.safetensors"
    assert export([str(trained), str(file)]) == 0
    return file


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "a song.wav"
    soundfile.write(path, 0.5 * music(7.0, 120.0, 0).numpy(), 16_000)
    return path


def test_slices_stand_on_the_clock_of_their_sound(tmp_path: Path) -> None:
    # The pelvis of these bodies is at z metres z seconds after the sound has begun.
    made = [Made(f"p{index}", seconds=9.0, motion_start=0.35 * index) for index in range(3)]
    corpus = write_corpus(tmp_path, made)
    pairs = danceable_pairs(corpus, "train", 5.0)
    cache = PairCache(corpus.folder, pairs, FPS, 1000)
    settings = read_settings({"datarc": {"root": "x", "pairs_a_step": 3, "slices_a_pair": 5}}).datarc
    numbers = select_layout(cache, pairs, "auto")
    assert isinstance(numbers, JointNumbers)
    steps = TrainSlices(cache, pairs, numbers, settings, 0, 0)
    wavs, (slices,) = steps[0]
    assert len(steps) == 1
    assert slices.numbers.shape == (15, 150, 70)
    assert slices.owner.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    for owner, times in zip(slices.owner.tolist(), slices.times, strict=True):
        assert times[0] >= 0
        assert times[-1] < len(wavs[owner]) / 16_000
        np.testing.assert_allclose(times.diff(), 1 / 30, atol=1e-9)
    # What the slice shows is the body at those times: seen from its start, so far along.
    order = np.random.default_rng([0, 0]).permutation(3)
    for owner, times in zip(slices.owner.tolist(), slices.times, strict=True):
        start = 0.35 * int(order[owner])
        frame = (times[0].item() + max(0.0, start) - start) * 30
        assert frame == pytest.approx(round(frame), abs=1e-6)
        assert round(frame) % 15 == 0
    again = TrainSlices(cache, pairs, numbers, settings, 0, 0)[0][1][0]
    torch.testing.assert_close(again.numbers, slices.numbers)
    other = TrainSlices(cache, pairs, numbers, settings, 0, 1)[0][1][0]
    assert not torch.equal(other.times, slices.times)

    whole = [
        piece for _, pieces in (EvalPieces(cache, pairs, 6.0, 2)[i] for i in range(2)) for piece in pieces
    ]
    for piece, one in zip(whole, made, strict=True):
        assert len(piece.wav) == 96_000
        times = one.motion_start + piece.motion.start + np.arange(len(piece.motion.joints)) / 30
        np.testing.assert_allclose(piece.motion.joints[20:-20, 0, 2], times[20:-20], atol=0.01)
        assert piece.grid is not None


def test_a_corpus_of_rotations_is_told_in_edges_numbers(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path, [Made("a", seconds=7.0), Made("b", seconds=7.0)])
    draw = np.random.default_rng(0)
    for pair in corpus.pairs:
        assert pair.motion is not None
        path = corpus.folder / pair.motion
        motion, grid = read_motion(path)
        swing = np.sin(np.arange(motion.frames) / 20)[:, None, None] * draw.normal(0, 0.5, (22, 3))
        root = np.array([0.0, 1.1, 0.0]) + np.arange(motion.frames)[:, None] * [0.01, 0.0, 0.002]
        joints = forward_kinematics(swing, root)
        write_motion(path, Motion(motion.fps, JOINTS, joints, 0.0, swing, motion.pulses), grid)
    cache = PairCache(corpus.folder, corpus.pairs, FPS, 100)
    numbers = select_layout(cache, corpus.pairs, "auto")
    assert isinstance(numbers, RotationNumbers)
    np.testing.assert_allclose(numbers.rest - numbers.rest[0], REST - REST[0], atol=2e-3)
    settings = read_settings({"datarc": {"root": "x"}}).datarc
    _, (slices,) = TrainSlices(cache, corpus.pairs, numbers, settings, 0, 0)[0]
    assert slices.numbers.shape == (8, 150, 151)
    # Both layouts give the same joints, up to resampling.
    motion = cache.load(corpus.pairs[0]).motion
    index = np.arange(30, 180)[None]
    by_rotations, by_joints = (
        layout.joints(encode_motion(motion, layout, index)) for layout in (numbers, JointNumbers())
    )
    torch.testing.assert_close(by_rotations, by_joints, atol=0.01, rtol=0)


def test_what_cannot_be_danced_is_refused(tmp_path: Path) -> None:
    short = [Made("chart", joints=False, seconds=9.0), Made("short", seconds=4.0)]
    corpus = write_corpus(tmp_path, short)
    with pytest.raises(
        DataError, match=r"2 pairs of train, of which 1 have no joints .* and 1 last less than 5"
    ):
        danceable_pairs(corpus, "train", 5.0)
    with pytest.raises(DataError, match="0 pairs of dev"):
        danceable_pairs(corpus, "dev", 5.0)
    corpus = write_corpus(tmp_path / "b", [Made("a", seconds=9.0)])
    cache = PairCache(corpus.folder, corpus.pairs, FPS, 100)
    with pytest.raises(DataError, match=r"its motion has no rotations; set datarc\.body to joints"):
        select_layout(cache, corpus.pairs, "rotations")


@pytest.mark.slow
def test_a_run_ends_in_scores_and_dances(trained: Path, corpus: Path) -> None:
    results = read_results(results_path(trained))
    names, true_names = ([name for name, _ in item_table(one).index] for one in results)
    assert names == true_names
    assert set(names) <= {pair.name for pair in read_corpus(corpus).split("test")}
    scores = dance_scores(results)
    # Hardly trained, it dances nothing like those who know.
    assert scores.truth["contacts_on_steps"].value > 0.8
    assert scores.generated["contacts_on_steps"].value < scores.truth["contacts_on_steps"].value
    assert scores.generated["fid_kinetic"].value > 100
    assert "a covariance needs" in (trained / "scores-test.md").read_text()
    details = results[0].run.details
    assert details["settings"]["modelrc"]["width"] == SMALL["modelrc"]["width"]
    assert details["beats"] == "exact, of c"
    motion, grid = read_motion(trained / "dances-test" / f"{names[0]}.npz")
    assert motion.names == JOINTS
    assert motion.fps == 30
    assert motion.seconds == pytest.approx(8.0, abs=0.1)
    assert grid is not None


@pytest.mark.slow
def test_only_training_without_a_checkpoint_looks_at_bodies_first(corpus: Path, tmp_path: Path) -> None:
    section = {"datarc": {"root": str(corpus)}, **SMALL}
    expert = DownstreamExpert(4, 320.0, section, str(tmp_path), upstream="x")
    assert not expert.model.is_standardised
    kept = {name: value.clone() for name, value in expert.state_dict().items()}
    expert.get_dataloader("train", 0)
    assert expert.model.is_standardised
    spread = expert.model.spread.clone()
    # What a checkpoint says is kept.
    kept["model.spread"] = 2 * spread
    expert.load_state_dict(kept)
    expert.get_dataloader("train", 0)
    torch.testing.assert_close(expert.model.spread, 2 * spread)


@pytest.mark.slow
def test_checkpoints_know_which_weights_were_heard_in_training(corpus: Path, tmp_path: Path) -> None:
    file = tmp_path / "tower.safetensors"
    file.write_bytes(b"weights")
    for upstream, given, known in (
        ("motionbeat_local", str(file), hashlib.sha256(b"weights").hexdigest()),
        ("motionbeat", None, hashlib.sha256(SHIPPED.read_bytes()).hexdigest()),
        ("fbank", None, 64 * "0"),
    ):
        section = {"datarc": {"root": str(corpus)}, **SMALL}
        expert = DownstreamExpert(4, 320.0, section, str(tmp_path), upstream=upstream, upstream_ckpt=given)
        assert bytes(expert.state_dict()["heard"].tolist()).hex() == known


def test_a_model_keeps_the_weights_that_its_upstreams_name_stood_for() -> None:
    dancer = dataclasses.replace(read_dance_model(DANCER), upstream="motionbeat")
    for file in (SHIPPED, SHIPPED_V1):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        chosen = dataclasses.replace(dancer, sha256=digest).weights_file(None)
        assert chosen is not None
        assert hashlib.sha256(chosen.read_bytes()).hexdigest() == digest
    with pytest.raises(CheckpointError, match="trained on 000000000000"):
        dataclasses.replace(dancer, sha256="0" * 64).weights_file(None)


def test_the_benchmarks_table_stands_beside_the_truth(
    trained: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    made: list[tuple[str, str]] = []

    def remembered(jobs: list[Job], cache: Path | None, overwrite: bool) -> None:
        for job in jobs:
            asked.append([*job.options, *job.overrides])
            made.append((job.folder.name, job.fingerprint))
            results = read_results(results_path(trained))
            if "mfcc" in job.folder.name:  # all feet of this one come down a little nearer
                rows = [(*row[:3], row[3] + (row[2] == "pfc")) for row in results[0].rows]
                results[0] = dataclasses.replace(results[0], rows=rows)
            write_results(results_path(job.folder), results)

    monkeypatch.setattr(plan_module, "run_jobs", remembered)
    upstreams = read_upstreams(["fbank", "mfcc"])
    plan = DancePlan(corpus, (0, 1))
    for choice in upstreams:
        plan.run(choice, tmp_path, None)
    assert len(asked) == 4
    assert all(
        "dance_generation" in options and f"config.downstream_expert.datarc.root={corpus}" in options
        for options in asked
    )
    (table,) = plan.tables(upstreams, tmp_path, 50)
    assert list(table.rows) == ["fbank", "mfcc"]
    column = table.measures.index("PFC ↓")
    assert table.margins["fbank − mfcc"][column].value == pytest.approx(-1.0)
    assert table.margins["fbank − mfcc"][0].value == pytest.approx(0.0)
    text = "\n".join(table.lines())
    assert "| the true dances | " in text
    assert "3 pieces danced, means over 2 seed(s)" in text

    # Another size of the generator stands beside the first, and is made anew where its settings change.
    edge = tmp_path / "edge.yaml"
    for settings in ("a: 1", "a: 2"):
        edge.write_text(settings)
        larger = DancePlan(corpus, (0,), edge)
        larger.run(upstreams[0], tmp_path / settings[-1], None)
        assert asked[-1][asked[-1].index("-c") + 1] == str(edge)
        assert made[-1][0] == "fbank-edge-seed0"
    assert list(larger.tables(upstreams[:1], tmp_path / "2", 50)[0].rows) == ["fbank"]
    assert len({made[0][1], made[-2][1], made[-1][1]}) == 3


@pytest.mark.slow
def test_too_few_dances_are_said(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(corpus, tmp_path, pairs=1) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("run_downstream.py: error: 1 generated dance(s); expected at least 2")


@pytest.mark.slow
def test_a_song_is_danced(dancer: Path, song: Path, tmp_path: Path) -> None:
    outputs = [tmp_path / f"d{suffix}" for suffix in (".npz", ".pkl", ".bvh", ".html", ".mp4")]
    arguments = [str(song), "-k", str(dancer), *(part for path in outputs for part in ("-o", str(path)))]
    assert dance_command(arguments) == 0
    assert all(path.stat().st_size > 1000 for path in outputs)
    motion, grid = read_motion(outputs[0])
    assert motion.joints.shape == (210, 22, 3)
    assert grid is not None
    assert load_arrays(outputs[1])["smpl_poses"].shape == (420, 72)
    # The tempo and beats that `motionbeat beats` and `plot` give the song.
    song_grid = hubconf.motionbeat().tower.estimate_grid(read_audio(song))
    np.testing.assert_array_equal(grid.beats, song_grid.beats[song_grid.beats < 7.0])
    out = tmp_path / "again.npz"

    def danced(*options: str) -> Motion:
        assert dance_command([str(song), "-k", str(dancer), "-o", str(out), *options]) == 0
        return read_motion(out)[0]

    np.testing.assert_array_equal(danced().joints, motion.joints)
    assert np.abs(danced("--seed", "1").joints - motion.joints).max() > 0.01
    assert danced("--start", "2", "--seconds", "3").seconds == pytest.approx(3.0)
    part = read_motion(out)[1]
    assert part is not None
    inside = song_grid.beats[(song_grid.beats >= 2) & (song_grid.beats < 5)]
    np.testing.assert_allclose(part.beats, inside - 2, atol=1e-9)
    # Less than a slice, and a dance that goes on from another.
    assert danced("--seconds", "1.5").seconds == pytest.approx(1.5)
    before = tmp_path / "before.npz"
    write_motion(before, motion, None)
    gone_on = danced("--begin-with", str(before)).joints
    bones = (motion.joints[-60:, 4] - motion.joints[-60:, 0], gone_on[:60, 4] - gone_on[:60, 0])
    lengths = [np.linalg.norm(one, axis=1) for one in bones]
    assert np.abs(lengths[0] - lengths[1]).max() < 0.15


@pytest.mark.slow
def test_the_model_that_ships_dances_without_being_asked_for(song: Path, tmp_path: Path) -> None:
    dancer = read_dance_model(DANCER)
    assert "constructed" in dancer.provenance.training
    assert dancer.upstream == "motionbeat_v1"
    assert dancer.weights_file(None) == SHIPPED_V1
    out = tmp_path / "d.npz"
    assert dance_command([str(song), "-o", str(out), "--seconds", "4"]) == 0
    motion, _ = read_motion(out)
    assert motion.joints.shape == (120, 22, 3)
    # A body of this world: as tall as one, upright, with its feet about the floor.
    heights = motion.joints[..., 1]
    assert 1.3 < np.median(heights[:, JOINTS.index("head")]) < 1.9
    assert np.abs(heights[:, JOINTS.index("left_foot")]).max() < 0.5


def test_silence_is_danced_too(dancer: Path, tmp_path: Path) -> None:
    quiet = tmp_path / "quiet.wav"
    soundfile.write(quiet, np.zeros(16_000 * 3), 16_000)
    assert dance_command([str(quiet), "-k", str(dancer), "-o", str(tmp_path / "q.npz")]) == 0
    motion, grid = read_motion(tmp_path / "q.npz")
    assert np.isfinite(motion.joints).all()
    assert grid is None


def test_mistakes_are_one_line(
    trained: Path, dancer: Path, song: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, file = str(tmp_path / "d.npz"), str(tmp_path / "d.safetensors")
    assert dance_command([str(song), "-k", str(dancer), "-o", out, "--start", "9"]) == 2
    assert "lasts 7.00 s" in capsys.readouterr().err
    write_motion(tmp_path / "chart.npz", Motion(30.0, (), np.zeros((9, 0, 3))), None)
    wrong = ["--begin-with", str(tmp_path / "chart.npz")]
    assert dance_command([str(song), "-k", str(dancer), "-o", out, *wrong]) == 2
    assert "0 joints; expected the 22" in capsys.readouterr().err
    with pytest.raises(CheckpointError, match=f"expected format '{FORMAT}'"):
        read_dance_model(SHIPPED)
    assert export([str(tmp_path), file]) == 2
    assert "no such file; train first" in capsys.readouterr().err
    held = torch.load(trained / "dev-best.ckpt", weights_only=False)
    held["Args"].upstream_trainable = True
    torch.save(held, tmp_path / "tuned.ckpt")
    assert export([str(tmp_path / "tuned.ckpt"), file]) == 2
    assert "was trained with -f" in capsys.readouterr().err
    held["Args"].upstream_trainable = False
    held["Args"].upstream_feature_normalize = True
    torch.save(held, tmp_path / "normalised.ckpt")
    assert export([str(tmp_path / "normalised.ckpt"), file]) == 2
    assert "was trained with --upstream_feature_normalize" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        dance_command([str(song), "-k", str(dancer), "-o", "d.gif"])
    capsys.readouterr()
    for wrong in (["--steps", "0"], ["--guidance", "-1"]):
        assert dance_command([str(song), "-k", str(dancer), "-o", out, *wrong]) == 2
        assert "--guidance must be at least 0, --steps at least 1" in capsys.readouterr().err
    assert not Path(out).exists()
    assert not Path(file).exists()


def test_a_model_of_another_upstreams_features_is_refused(tmp_path: Path) -> None:
    values = {"datarc": {"slice_seconds": 1.0}, "modelrc": SMALL["modelrc"]}
    settings = read_settings(values, inference=True)
    model, made = DanceModel(JointNumbers(), 5, settings), Provenance("made", {})
    file = tmp_path / "other.safetensors"
    for only, said in (
        (None, "has 13 layers; the dance model was trained on 1 layers"),
        (30, "trained on layer 30"),
        (2, "features of width 192; the dance model was trained on width 5"),
    ):
        dance = DanceFile(model, values, "motionbeat", None, 320.0, torch.ones(1), only, made)
        write_dance_model(file, dance)
        with pytest.raises(CheckpointError, match=said):
            load_song_encoder(read_dance_model(file), None)(torch.zeros(16_000))
    # The same shape, and other weights.
    write_dance_model(
        file, DanceFile(model, values, "motionbeat", 64 * "0", 320.0, torch.ones(11) / 11, None, made)
    )
    with pytest.raises(CheckpointError, match=r"trained on 000000000000… of motionbeat: give those"):
        load_song_encoder(read_dance_model(file), None)
