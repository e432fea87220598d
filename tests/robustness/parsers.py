"""The parsers of users' files: valid samples of each format, and what must be true of what is read."""

from __future__ import annotations

import argparse
import functools
import hashlib
import io
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import mido
import numpy as np
import soundfile
import torch
import yaml
from numpy.typing import NDArray

from motion_data.beats_file import Beats, read_beats, write_beats
from motion_data.body.smpl import read_rest_joints
from motion_data.corpora import folder
from motion_data.corpora.aistpp_annotations import find_annotations
from motion_data.corpora.bvh import _read_splits as read_bvh_splits
from motion_data.corpora.constructed.dancer import dance
from motion_data.corpora.constructed.scores import FORMAT as SCORE_FORMAT
from motion_data.corpora.constructed.scores import read_score_file
from motion_data.corpora.modules.libopenmpt import play_in_process
from motion_data.corpora.motion_source import MotionSource, read_source
from motion_data.corpora.recordings.tracks import read_tempi
from motion_data.corpora.stepmania.footing import PANELS
from motion_data.corpora.stepmania.grid import chart_grid
from motion_data.corpora.stepmania.pairs import step_pulses
from motion_data.corpora.stepmania.song import read_song
from motion_data.manifest import MANIFEST, MARK, read_corpus
from motion_data.midi_beats import midi_beats
from motion_data.midi_file import read_score
from motion_data.motion import Motion
from motion_data.motion_file import read_motion, write_motion
from motion_data.pair import AudioSpan, MotionPair, to_record
from motion_data.preparation import read_splits
from motion_data.skeleton import JOINTS, SMPL_PARENTS
from motionbeat_upstream.audio import read_audio
from motionbeat_upstream.checkpoint import (
    Provenance,
    load_motionbeat,
    load_music_tower,
    save_motion_side,
    save_music_tower,
)
from motionbeat_upstream.config import MotionTowerConfig, MusicTowerConfig
from motionbeat_upstream.hub_model import MODEL_TYPE
from motionbeat_upstream.hub_model import read_config as read_hub_config
from motionbeat_upstream.nn.motionbeat import MotionBeat
from motionbeat_upstream.nn.music_tower import untrained_music_tower
from motionbeat_upstream.tracking.grid import Grid, regular_grid
from recipes.dance_metrics.dance import with_hands
from recipes.dance_metrics.dance_files import ReadOptions, read_dance
from recipes.downstream.beat_tracking.dataset import load_splits
from recipes.downstream.beat_tracking.prepare.midi_corpora import asap_beats
from recipes.downstream.beat_tracking.settings import read_settings as beat_settings
from recipes.downstream.clip_probing.settings import TaskSettings as ClipSettings
from recipes.downstream.dance_generation.body_numbers import JointNumbers
from recipes.downstream.dance_generation.dance_file import DanceFile, read_dance_model, write_dance_model
from recipes.downstream.dance_generation.model import DanceModel
from recipes.downstream.dance_generation.settings import read_settings as dance_settings
from recipes.downstream.music_emotion.expert import EMOMUSIC
from recipes.downstream.music_emotion.expert import read as read_emotion
from recipes.downstream.retrieval.settings import read_settings as retrieval_settings
from recipes.downstream.s3prl_runner import run_files
from recipes.downstream.s3prl_runner.registration import packaged_config
from recipes.downstream.s3prl_runner.request import check_config, read_config
from recipes.downstream.s3prl_runner.task_settings import read_section
from recipes.downstream.tagging.expert import read_magnatagatune
from recipes.results.record import FORMAT, VERSION, Run, read_results
from tests.made_module import made_module
from tests.robustness.inputs import encode, safetensors_values


@dataclass(frozen=True)
class Parser:
    """A parser of one format."""

    name: str
    suffix: str
    samples: Callable[[], Sequence[Any]]
    """Valid files: bytes, text, or values that ``inputs.ENCODERS`` has an encoder of the suffix for."""
    read: Callable[[Path], object]
    """Reads a file; gives what ``check`` is to look at. Raises the project's errors or ``SilentlyWrong``."""
    share: float = 1.0
    """Of the inputs that a cheap parser is given."""


# --- what is read -----------------------------------------------------------------------------------------


class SilentlyWrong(Exception):
    """A parser returned what the file does not hold, or what cannot be."""


def expect(holds: bool, what: str) -> None:
    """Raise ``SilentlyWrong`` where something that must hold does not."""
    if not holds:
        raise SilentlyWrong(what)


def check(value: object, name: str = "result") -> None:
    """Raise ``SilentlyWrong`` where a result, or anything in it, cannot be.

    That is a number that is not finite, text that is none, a beat before the one before it, or no sound.
    """
    if isinstance(value, MotionSource):
        frames, joints, axes = value.joints.shape
        expect(frames >= 2 and axes == 3 and joints == len(value.names), f"joints {value.joints.shape}")
        expect(5 <= value.fps <= 1000, f"{value.fps} frames a second")
        # A tracker's joint may be lost (NaN) in some frames.
        expect(not np.isinf(value.joints).any(), "an infinite coordinate")
        check((value.fps, value.offset), name)
    elif isinstance(value, Beats | Grid):
        times = value.times if isinstance(value, Beats) else value.beats
        expect(bool(np.isfinite(times).all() and (np.diff(times) > 0).all()), f"beats {times[:8]}")
        expect(bool((value.positions >= 0).all()), f"positions {value.positions[:8]}")
    elif isinstance(value, torch.nn.Module):
        check(dict(value.state_dict()), name)
    elif isinstance(value, torch.Tensor):
        expect(bool(value.isfinite().all()), f"{name} is not finite")
    elif isinstance(value, np.ndarray) and value.dtype.kind in "fc":
        expect(bool(np.isfinite(value).all()), f"{name} is not finite")
    elif isinstance(value, float):
        expect(bool(np.isfinite(value)), f"{name} is {value}")
    elif isinstance(value, dict):
        for key, one in value.items():
            check(one, f"{name} {key}")
    elif isinstance(value, list | tuple):
        for one in value:
            check(one, name)
    elif is_dataclass(value):
        for field in fields(value):
            one = getattr(value, field.name)
            expect(field.type not in ("str", str) or isinstance(one, str), f"{field.name} is {one!r}")
            check(one, field.name)


@functools.cache
def _scratch() -> Path:
    """A folder for what a parser reads beside its input, in the worker's own."""
    return Path(tempfile.mkdtemp(prefix="robustness-"))


def _folder(name: str, fill: Callable[[Path], object] = lambda _: None) -> Path:
    """A folder in ``_scratch()``, filled once."""
    path = _scratch() / name
    if not path.exists():
        path.mkdir()
        fill(path)
    return path


def _written(write: Callable[[Path], object], suffix: str) -> bytes:
    """What a function writes to a path."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / f"sample{suffix}"
        write(path)
        return path.read_bytes()


# --- sound ------------------------------------------------------------------------------------------------

FFMPEG_FORMATS = ("flac", "mp3", "ogg", "opus", "m4a", "aiff", "au", "caf", "w64", "webm", "mpg", "ts")


def write_wav(path: Path, seconds: float) -> None:
    """A file of clicks, at 8 kHz."""
    time = np.arange(round(8000 * seconds)) / 8000
    clicks = 0.25 * np.sin(2 * np.pi * 440 * time) * (time % 0.5 < 0.1)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, clicks, 8000, format="WAV")


def _wav_samples() -> list[bytes]:
    return [_written(lambda path: write_wav(path, 0.6), ".wav")]


def _audio_samples() -> list[bytes]:
    (wav,) = _wav_samples()

    def convert(path: Path) -> None:
        command = ["ffmpeg", "-v", "error", "-y", "-i", "-", str(path)]
        subprocess.run(command, input=wav, stderr=subprocess.DEVNULL, check=True)

    formats = FFMPEG_FORMATS if shutil.which("ffmpeg") else ()
    return [wav, *(_written(convert, f".{suffix}") for suffix in formats)]


def _read_audio(path: Path) -> object:
    wav = read_audio(path)
    expect(wav.dim() == 1 and len(wav) > 0, f"samples {tuple(wav.shape)}")
    return wav


# --- beats, charts and MIDI -------------------------------------------------------------------------------

BEATS = "".join(f"{0.5 * k + 0.25:.3f}\t{k % 4 + 1}\n" for k in range(9))

TIMES = "# made\n" + "".join(f"{0.5 * k + 0.25:.3f}\n" for k in range(9))

ASAP = "".join(f"{k / 2:.3f}\t{k / 2:.3f}\t{'db,4/4,0' if k % 4 == 1 else 'b'}\n" for k in range(9))


def _read_beats(path: Path) -> object:
    beats = read_beats(path)
    check(beats)
    expect(bool((beats.times >= 0).all()), "a beat before 0")
    in_file = set()
    for word in path.read_text(encoding="utf-8-sig").replace("#", " ").split():
        try:
            in_file.add(float(word))
        except ValueError:
            continue
    expect(set(beats.times) <= in_file, "a time that is not in the file")
    if (np.diff(beats.times) > 1e-3).all() and beats.times[-1] < 1e9:
        again = path.with_suffix(".again.beats")
        write_beats(again, beats)
        same = read_beats(again)
        expect(
            np.allclose(same.times, beats.times, atol=1e-4) and (same.positions == beats.positions).all(),
            "other beats after writing and reading",
        )
    return beats


def _read_asap(path: Path) -> object:
    return _positioned(asap_beats(path))


def _positioned(beats: Beats) -> Beats:
    expect(bool((beats.positions >= 1).all()), "a position below 1")
    return beats


SONG = """#TITLE:T;
#ARTIST:A;
#MUSIC:song.ogg;
#OFFSET:-0.250;
#BPMS:0.000=120.000,4.000=180.500;
#STOPS:6.000=0.500;
#DELAYS:;
#WARPS:7.000=0.500;
#TIMESIGNATURES:0=4=4,4=3=4;
"""

ROWS = "1000\n0100\n2010\n0001\n,\n0000\n1001\n3000\n0M00\n"

SM = f"{SONG}#NOTES:\n dance-single:\n by:\n Easy:\n 3:\n 0,0,0,0,0:\n{ROWS};\n"

SSC = (
    f"#VERSION:0.83;\n{SONG}#NOTEDATA:;\n#STEPSTYPE:dance-single;\n#DIFFICULTY:Hard;\n#METER:5;\n"
    f"#BPMS:0=140;\n#NOTES:\n{ROWS};\n"
)


def _read_song(path: Path) -> None:
    song = read_song(path, {name: len(places) for name, places in PANELS.items()})
    for chart in song.charts:
        check(chart_grid(chart, 20.0))
        for times in step_pulses(chart, 20.0, 0.0, path.name)[0].values():
            expect(bool((np.diff(times) > 0).all()), f"steps {times[:8]}")


def _midi_samples() -> list[bytes]:
    head = [
        mido.MetaMessage("set_tempo", tempo=500_000),
        mido.MetaMessage("time_signature", numerator=4),
        mido.MetaMessage("key_signature", key="D"),
    ]
    tempo = mido.MetaMessage("set_tempo", tempo=400_000, time=960)
    notes = [
        message
        for _ in range(8)
        for message in (
            mido.Message("note_on", channel=9, note=38, velocity=100),
            mido.Message("note_off", channel=9, note=38, time=240),
            mido.MetaMessage("text", text="A", time=240),
        )
    ]

    def file(kind: int, division: int, *tracks: Sequence[Any]) -> bytes:
        data = io.BytesIO()
        made = mido.MidiFile(type=kind, ticks_per_beat=division)
        made.tracks += [mido.MidiTrack(track) for track in tracks]
        made.save(file=data)
        return data.getvalue()

    return [file(1, 480, [*head, tempo], notes), file(0, 96, [*head, *notes])]


def _read_midi(path: Path) -> object:
    read_score(path)
    return _positioned(midi_beats(path))


def _score_samples() -> Sequence[Any]:
    notes = np.array([[k % 2, k / 2, 0.4, 40 + k % 12, 90] for k in range(64)], dtype=np.float32)
    header = {
        "format": SCORE_FORMAT,
        **dict.fromkeys(("source", "piece", "licence", "style"), "made"),
        "signature": "4/4",
        "metre": 4,
        "beats": 32,
        "bpm": [60.0, 200.0],
        "loop": [0, 32],
        "players": [["drums", 0, True], ["bass", 33, False]],
    }
    return [{"notes": notes, "header": np.array(json.dumps(header)), "seconds": np.arange(33) * 0.5}]


# --- motions ----------------------------------------------------------------------------------------------

BVH = "\n".join(
    [
        "HIERARCHY\nROOT Hips\n{\nOFFSET 0.0 90.0 0.0",
        "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation",
        *(
            f"JOINT {name}\n{{\nOFFSET 10.0 -5.0 0.0\nCHANNELS 3 Zrotation Xrotation Yrotation\n"
            f"End Site\n{{\nOFFSET 0.0 -40.0 0.0\n}}\n}}"
            for name in ("LeftUpLeg", "RightUpLeg", "Spine")
        ),
        "}\nMOTION\nFrames: 5\nFrame Time: 0.033333",
        *(" ".join(f"{0.1 * frame + 0.01 * column:.3f}" for column in range(15)) for frame in range(5)),
        "",
    ]
)


def _draw() -> np.random.Generator:
    return np.random.default_rng(0)


def _smpl(frames: int = 16, spread: float = 0.2) -> dict[str, NDArray[Any]]:
    draw = _draw()
    return {
        "smpl_poses": draw.normal(0, spread, (frames, 72)),
        "smpl_trans": draw.normal(0, 1, (frames, 3)),
        "smpl_scaling": np.ones(1),
    }


def _keypoints() -> dict[str, NDArray[Any]]:
    points = _draw().normal(0, 50, (4, 17, 3))
    return {"keypoints3d_optim": points, "keypoints3d": points}


def _aist_zip() -> dict[str, Any]:
    take = "gBR_sBM_cAll_d04_mBR0_ch02"
    lists = {f"splits/crossmodal_{split}.txt": f"{take}\n" for split in ("train", "val", "test")}
    return {f"motions/{take}.pkl": _smpl(), "ignore_list.txt": f"{take} \n", **lists}


def _read_aist_zip(path: Path) -> object:
    annotations = find_annotations(path)
    return [annotations.names(file) for file in annotations.lists] + [
        annotations.take(name) for name in annotations.motions
    ]


def _joints(seconds: float = 2.0) -> NDArray[Any]:
    """(T, 22, 3) of a dance at 30 frames a second."""
    return dance(regular_grid(seconds, 120.0, 4), "two_step", seconds, 0.5, _draw(), 30.0).joints


def write_joints(path: Path, seconds: float) -> int:
    """An .npz of joints and their names; gives the number of frames."""
    joints = _joints(seconds)
    np.savez(path, joints=joints, names=np.array(JOINTS), fps=np.array(30.0))
    return len(joints)


def _smpl_joints() -> NDArray[Any]:
    """(24, 24, 3) SMPL's joints at 30 frames a second."""
    return with_hands(_joints())[:24]


def _body_model() -> dict[str, Any]:
    """A body whose vertices are its joints."""
    parents = [2**32 - 1, *SMPL_PARENTS[1:]]
    return {
        "v_template": _smpl_joints()[0],
        "J_regressor": np.eye(24),
        "kintree_table": np.array([parents, range(len(parents))], dtype=np.uint32),
    }


@functools.cache
def _fixed_body_model() -> Any:
    path = _scratch() / "body.npz"
    path.write_bytes(encode(".npz", _body_model()))
    return read_rest_joints(path)


def _motion_samples() -> list[Any]:
    motion = Motion(6.0, JOINTS, _joints()[:12], 0.0, None, {"left_foot": np.array([0.5, 1.0])})
    data = _written(lambda path: write_motion(path, motion, regular_grid(2.0, 120.0, 4)), ".npz")
    with np.load(io.BytesIO(data)) as arrays:
        return [dict(arrays)]


def _read_motion(path: Path) -> object:
    motion, grid = read_motion(path)
    expect(grid is None or grid.metre >= 1, "a metre below 1")
    return motion.times, grid


# --- tracker modules --------------------------------------------------------------------------------------


def _module() -> bytes:
    return made_module([{row: 1 + row % 2 for row in range(0, 64, 4)}], speed=2, tempo=250)


def _read_module(path: Path) -> None:
    played = play_in_process(path, 1.0, 1.0)
    expect(bool(np.isfinite(played.wav).all()), "samples that are not finite")
    expect(bool((np.diff(played.times) > 0).all()), "rows that begin before the ones before them")
    expect(played.times[0] >= 0 and played.times[-1] <= played.seconds, "rows outside of the sound")


# --- manifests, records and tables ------------------------------------------------------------------------

TEMPI = [
    {"package": "some-data", "file": "usr/a.ogg", "tatum": 560.0, "R": 0.76, "drift_ms": 3.2},
    {"package": "some-data", "file": "usr/b.ogg", "tatum": 480.5},
    {"package": "more-data", "file": "usr/c.ogg", "tatum": 500.0, "R": 0.3},
]


def _read_tempi(path: Path) -> None:
    for package, file, tatum in read_tempi(path):
        expect(isinstance(package, str) and isinstance(file, str), "a name that is no text")
        expect(tatum is None or 0 < tatum < np.inf, f"tatum {tatum}")


def _manifest() -> list[Any]:
    return [
        to_record(
            MotionPair(
                name=f"pair{split}",
                corpus="folder",
                piece=split,
                take=split,
                split=split,
                licence="CC0",
                seconds=6.0,
                fps=60.0,
                joints=JOINTS[:3],
                pulses={"left_foot": 4},
                grid="exact",
                metre=4,
                bpm=120.0,
                audio=AudioSpan(f"audio/{split}.wav", 0.0, 6.0, split * 8),
                motion=f"motion/{split}.npz",
            )
        )
        for split in ("train", "dev", "test")
    ]


def _read_manifest(path: Path) -> object:
    """The manifest is what was prepared, so its mark is made to fit."""
    data = path.read_bytes()
    text = data.decode("utf-8", errors="replace").replace("\r\n", "\n")
    return _read_corpus(data, json.dumps({"sha256": hashlib.sha256(text.encode()).hexdigest()}).encode())


def _read_corpus(manifest: bytes, mark: bytes) -> object:
    corpus = _folder("corpus")
    (corpus / MANIFEST).write_bytes(manifest)
    (corpus / MARK).write_bytes(mark)
    pairs = read_corpus(corpus).pairs
    for pair in pairs:
        expect(pair.seconds > 0 and pair.fps >= 0, f"{pair.seconds} s at {pair.fps} frames a second")
        expect(pair.bpm is None or pair.bpm > 0, f"bpm {pair.bpm}")
        expect(pair.metre is None or pair.metre >= 1, f"metre {pair.metre}")
    return pairs


def _mark() -> dict[str, Any]:
    sha256 = hashlib.sha256(encode(".jsonl", _manifest())).hexdigest()
    made = {"corpus": "folder", "version": "1", "options": {"a": 1}, "pairs": 3, "left_out": {}, "notes": {}}
    return {**made, "sha256": sha256}


def _results() -> list[Any]:
    shared = {"format": FORMAT, "version": VERSION, "rows": 3}
    shared |= asdict(Run("genre", "set", "fbank", fold="1"))
    return [shared, ["a", "x", "F", 0.5], ["b", "x", "F", 1], ["", "", "median rank", 3.0]]


def _read_results(path: Path) -> None:
    for run in read_results(path):
        for *names, value in run.rows:
            expect(np.isfinite(value), f"the value {value}")
            expect(all(isinstance(text, str) for text in names), "a name that is no text")


SPLITS = "piece,split\na,train\nb,dev\nc,test\n"

BVH_SPLITS = "name,piece,take,split\na,p,t,train\nb,q,u,dev\n"

PAIRS = "audio,motion,offset,piece,split,fps\na.wav,a.npz,0.1,p,train,30\n"


def _read_folder(path: Path) -> None:
    def fill(raw: Path) -> None:
        write_wav(raw / "a.wav", 1.9)
        write_joints(raw / "a.npz", 2.0)

    raw, out = _folder("folder", fill), _scratch() / "prepared"
    shutil.copy(path, raw / "pairs.csv")
    try:
        folder.prepare(raw / "pairs.csv", out, argparse.Namespace())
    finally:
        shutil.rmtree(out, ignore_errors=True)


BEAT_SET = (
    "audio,beats,piece,split,fold\na.wav,a.beats,a,train,0\nb.wav,b.beats,b,dev,1\nc.wav,c.beats,c,test,2\n"
)


def _read_beat_set(path: Path) -> None:
    def fill(root: Path) -> None:
        for name in "abc":
            write_wav(root / f"{name}.wav", 5.0)
            write_beats(root / f"{name}.beats", Beats(np.arange(1.0, 5.0), np.array([1, 2, 3, 4])))

    root = _folder("beat_set", fill)
    shutil.copy(path, root / "splits.csv")
    for recordings in load_splits(root).values():
        expect(len(recordings) > 0 and all(one.seconds == 5.0 for one in recordings), "no length of 5 s")


EMOTIONS = "song_id,mean_arousal,mean_valence\n" + "".join(f"{n},{n / 2},{9 - n / 4}\n" for n in range(2, 12))


def write_emotion_set(root: Path) -> None:
    """Ten songs in EmoMusic's layout, whose audio is clicks."""
    artists = "song_id,Artist\n" + "".join(f"{song},A{song}\n" for song in range(2, 12))
    for relative, text in (
        *((name, EMOTIONS) for name in EMOMUSIC.annotations),
        *((name, artists) for name in EMOMUSIC.metadata),
    ):
        (root / relative).parent.mkdir(parents=True, exist_ok=True)
        (root / relative).write_text(text, encoding="utf-8")
    for song in range(2, 12):
        write_wav(root / EMOMUSIC.audio[0] / f"{song}.mp3", 0.5 + song / 20)


def _read_emotion(path: Path) -> object:
    root = _folder("emotion", write_emotion_set)
    shutil.copy(path, root / next(iter(EMOMUSIC.annotations)))
    return read_emotion(EMOMUSIC, root, 0).splits


TAGS = "clip_id\ttag0\ttag1\ttag2\ttag3\ttag4\tmp3_path\n" + "".join(
    "\t".join((f"{k}", *(f"{k >> bit & 1}" for bit in range(5)), f"{k:x}/song-{k}-0-29.mp3")) + "\n"
    for k in range(16)
)


def _read_tagging(path: Path) -> None:
    root = _folder("tagging")
    shutil.copy(path, root / "annotations_final.csv")
    for clips in read_magnatagatune(root, 0).splits.values():
        expect(all(set(np.unique(clip.label)) <= {0, 1} for clip in clips), "a tag that is neither 0 nor 1")


# --- configurations ---------------------------------------------------------------------------------------

TASKS: dict[str, Callable[[Any], object]] = {
    "beat_tracking": beat_settings,
    "genre": functools.partial(read_section, "genre", ClipSettings, layouts=("gtzan", "groove")),
    "retrieval": retrieval_settings,
    "dance_generation": dance_settings,
}


def _task_config(task: str) -> Parser:
    def samples() -> list[Any]:
        config = yaml.safe_load((packaged_config(task) or Path()).read_text(encoding="utf-8"))
        config["downstream_expert"]["datarc"]["root"] = "data"
        return [config]

    def read(path: Path) -> None:
        config = read_config(path)
        check_config(argparse.Namespace(mode="train", downstream=task, config=None), config)
        TASKS[task](config["downstream_expert"])

    return Parser(f"YAML, task {task}", ".yaml", samples, read)


PRETRAINING = {
    "model": {
        "arch": "tiny",
        "config_overrides": {
            "music": {"dropout": 0.0, "dim": 64, "n_mels": 32},
            "motion": {"dim": 48, "token_layers": 1},
        },
    },
    "data": {"corpora": ["data/a"], "batch_size": 16, "bars": 4, "seconds": 6.0, "workers": 1},
    "criterion": {"settings": {"ecl": {"jittered": 3}}, "stop_after": 20},
    "validation": {"clips": 16, "pool": 8, "probe": True},
    "trainer": {"mixed_precision": {"mode": "off"}, "max_grad_norm": 1.0},
    "optimizer": {"name": "adamw", "config": {"lr": 0.001, "weight_decay": 0.01, "betas": [0.9, 0.99]}},
    "lr_scheduler": {"name": "cosine_annealing", "config": {"cycle_len": 180, "num_warmup_steps": 20}},
    "regime": {"num_steps": 200, "validate_every_n_steps": 100},
    "common": {"seed": 1},
}


def _read_pretraining(path: Path) -> None:
    from recipes.pretrain.request import read_config

    steps = read_config(path).regime.num_steps
    expect(isinstance(steps, int) and steps > 0, f"num_steps {steps}")


# --- weights ----------------------------------------------------------------------------------------------

SMALL = MusicTowerConfig(
    arch="small", dim=8, heads=2, token_layers=1, trunk_dilations=(1,), embedding_dim=4, n_mels=8
)

SMALL_MOTION = MotionTowerConfig(
    arch="small", dim=8, heads=2, token_layers=1, trunk_dilations=(1,), embedding_dim=4
)

MADE = Provenance("made", {"step": 3})


def save_small_tower(path: Path) -> None:
    """A music tower of some thousand weights."""
    save_music_tower(untrained_music_tower(SMALL), path, MADE)


def _motion_side(path: Path) -> None:
    torch.manual_seed(0)
    model = MotionBeat(SMALL, SMALL_MOTION, 4, 0)
    model.music.load_state_dict(untrained_music_tower(SMALL).state_dict())
    save_motion_side(model, path, MADE)


def _read_motion_side(path: Path) -> object:
    music = _folder("tower", lambda made: save_small_tower(made / "music.safetensors")) / "music.safetensors"
    return load_motionbeat(music, path)


def _dance_model(path: Path) -> None:
    section = {
        "modelrc": {"width": 8, "layers": 1, "heads": 2, "hidden": 8},
        "diffusionrc": {"steps": 4, "levels": 20},
    }
    model = DanceModel(JointNumbers(), 3, dance_settings(section, inference=True))
    write_dance_model(path, DanceFile(model, section, "fbank", None, 160.0, torch.ones(1), None, MADE))


def _weights(
    name: str, write: Callable[[Path], None], read: Callable[[Path], object], share: float = 1.0
) -> Parser:
    def samples() -> list[Any]:
        return [safetensors_values(_written(write, ".safetensors"))]

    return Parser(f"safetensors, {name}", ".safetensors", samples, read, share)


def _run_checkpoint(path: Path) -> None:
    kept = {
        "Args": argparse.Namespace(upstream="fbank", downstream="genre", expdir="out", config="c.yaml"),
        "Config": {"runner": {"total_steps": 10}, "downstream_expert": {}},
        "Downstream": {"weight": torch.zeros(3)},
        "Step": 3,
    }
    torch.save(kept, path)


def _read_run_checkpoint(path: Path) -> None:
    run_files.read_checkpoint_options(path)


NPZ_SOURCE = {
    "joints": _draw().normal(0, 1, (8, 4, 3)),
    "names": np.array(["hips", "head", "l_foot", "r_foot"]),
    "fps": np.array(30.0),
    "audio_offset_s": np.array(0.1),
}

PARSERS = {
    parser.name: parser
    for parser in (
        Parser("audio, WAV header", ".wav", _wav_samples, _read_audio, 0.5),
        Parser("audio, other containers", ".mka", _audio_samples, _read_audio, 0.5),
        Parser(".beats", ".beats", lambda: [BEATS, TIMES], _read_beats),
        Parser("StepMania .sm", ".sm", lambda: [SM], _read_song),
        Parser("StepMania .ssc", ".ssc", lambda: [SSC], _read_song),
        Parser("BVH", ".bvh", lambda: [BVH], read_source),
        Parser("pickle, AIST++", ".pkl", lambda: [_smpl(), _keypoints()], read_source),
        Parser("zip, AIST++", ".zip", lambda: [_aist_zip()], _read_aist_zip),
        Parser("pickle, SMPL", ".pkl", lambda: [_body_model()], lambda path: read_rest_joints(path)),
        Parser(".npz, SMPL", ".npz", lambda: [_body_model()], lambda path: read_rest_joints(path)),
        Parser(
            "pickle, dances",
            ".pkl",
            # EDGE's dances are z up.
            lambda: [{"full_pose": _smpl_joints()[..., [0, 2, 1]] * [1.0, -1.0, 1.0]}, _smpl(spread=0.05)],
            lambda path: read_dance(path, ReadOptions(fps=30.0, rest=_fixed_body_model())).joints,
        ),
        Parser(
            ".npy, dances",
            ".npy",
            lambda: [_smpl_joints().reshape(24, 72), {"pred_position": _smpl_joints()}],
            lambda path: read_dance(path, ReadOptions(fps=30.0, rest=_fixed_body_model())).joints,
        ),
        Parser(".npz, joints", ".npz", lambda: [NPZ_SOURCE], read_source),
        Parser(".npz, motion", ".npz", _motion_samples, _read_motion),
        Parser("tempo file", ".jsonl", lambda: [TEMPI], _read_tempi),
        Parser("manifest", ".jsonl", lambda: [_manifest()], _read_manifest),
        Parser("results", ".jsonl", lambda: [_results()], _read_results),
        Parser(
            "manifest's mark",
            ".json",
            lambda: [_mark()],
            lambda path: _read_corpus(encode(".jsonl", _manifest()), path.read_bytes()),
        ),
        Parser("CSV, splits", ".csv", lambda: [SPLITS], read_splits),
        Parser(
            "CSV, BVH splits", ".csv", lambda: [BVH_SPLITS], lambda path: read_bvh_splits(path, {"a", "b"})
        ),
        Parser("CSV, pairs", ".csv", lambda: [PAIRS], _read_folder, 0.2),
        Parser("CSV, beat sets", ".csv", lambda: [BEAT_SET], _read_beat_set),
        Parser("CSV, labels", ".csv", lambda: [EMOTIONS], _read_emotion),
        Parser("CSV, tags", ".csv", lambda: [TAGS], _read_tagging),
        Parser("MIDI", ".mid", _midi_samples, _read_midi),
        Parser(".npz, score", ".npz", _score_samples, read_score_file),
        Parser("tracker module", ".mod", lambda: [_module()], _read_module, 0.5),
        Parser("ASAP annotations", ".txt", lambda: [ASAP], _read_asap),
        *map(_task_config, TASKS),
        Parser("YAML, pretraining", ".yaml", lambda: [PRETRAINING], _read_pretraining, 0.2),
        _weights("music tower", save_small_tower, lambda path: load_music_tower(path)[0]),
        Parser(
            "config.json", ".json", lambda: [{"model_type": MODEL_TYPE} | SMALL.to_dict()], read_hub_config
        ),
        _weights("motion side", _motion_side, _read_motion_side, 0.5),
        _weights("dance model", _dance_model, read_dance_model),
        Parser(
            "checkpoint of a run",
            ".ckpt",
            lambda: [_written(_run_checkpoint, ".ckpt")],
            _read_run_checkpoint,
        ),
    )
}
