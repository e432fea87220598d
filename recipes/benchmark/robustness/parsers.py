"""The parsers of users' files: valid samples of each format, and what must be true of what is read."""

from __future__ import annotations

import argparse
import csv
import functools
import hashlib
import io
import json
import math
import pickle
import shutil
import struct
import subprocess
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from motion_data.beats_file import Beats, read_beats, write_beats
from motion_data.body.smpl import read_body_model
from motion_data.corpora import folder
from motion_data.corpora.aistpp_annotations import find_annotations
from motion_data.corpora.bvh import _read_splits as read_bvh_splits
from motion_data.corpora.constructed.dancer import dance
from motion_data.corpora.motion_source import MotionSource, read_source
from motion_data.corpora.recordings.tempo_file import read_tempi
from motion_data.corpora.stepmania.footing import PANELS
from motion_data.corpora.stepmania.grid import chart_grid
from motion_data.corpora.stepmania.pairs import step_pulses
from motion_data.corpora.stepmania.song import read_song
from motion_data.manifest import MANIFEST, MARK, read_corpus
from motion_data.midi_file import read_score
from motion_data.motion import Motion
from motion_data.motion_file import read_motion, write_motion
from motion_data.pair import AudioSpan, MotionPair, to_record
from motion_data.preparation import read_splits
from motion_data.skeleton import JOINTS, SMPL_PARENTS
from motionbeat_upstream.audio import read_audio
from motionbeat_upstream.beats.grid import regular_grid
from motionbeat_upstream.checkpoint import (
    Provenance,
    load_motionbeat,
    load_music_tower,
    save_motion_side,
    save_music_tower,
)
from motionbeat_upstream.config import MotionTowerConfig, MusicTowerConfig
from motionbeat_upstream.errors import MotionBeatError
from motionbeat_upstream.nn.motionbeat import MotionBeat
from motionbeat_upstream.nn.music_tower import untrained_music_tower
from recipes.dance_metrics.dance import with_hands
from recipes.dance_metrics.dance_files import Reading, read_dance
from recipes.downstream.beat_tracking.dataset import load_splits
from recipes.downstream.beat_tracking.prepare.midi_corpora import asap_beats, midi_beats
from recipes.downstream.beat_tracking.settings import read_settings as beat_settings
from recipes.downstream.clip_probing.settings import TaskSettings as ClipSettings
from recipes.downstream.dance_generation.body_numbers import JointNumbers
from recipes.downstream.dance_generation.dance_file import Heard, Layers, read_dance_model, write_dance_model
from recipes.downstream.dance_generation.model import dance_model
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

ERRORS = (MotionBeatError,)
"""What a parser may raise: errors whose message a command prints in one line."""


class SilentlyWrong(Exception):
    """A parser returned what the file does not hold, or what cannot be."""


@dataclass(frozen=True)
class Parser:
    """A parser of one format."""

    name: str
    suffix: str
    samples: Callable[[], Sequence[Any]]
    """Valid files as plain values: numbers, text, bytes and arrays in lists and dictionaries."""
    encode: Callable[[Any], bytes]
    """The file of a sample, whatever its values have been changed to."""
    read: Callable[[Path], None]
    """Reads a file and checks the result.

    Raises one of ``ERRORS``, or ``SilentlyWrong``."""
    share: float = 1.0
    """Of the inputs that a cheap parser is given."""


def expect(holds: bool, what: str) -> None:
    """Raise ``SilentlyWrong`` where something that must hold does not."""
    if not holds:
        raise SilentlyWrong(what)


def _increasing(times: Sequence[float] | NDArray[Any], what: str) -> None:
    times = np.asarray(times)
    expect(
        bool(np.isfinite(times).all() and (np.diff(times) > 0).all()), f"{what} do not increase: {times[:8]}"
    )


# --- encoders: plain values of any kind in, bytes out -----------------------------------------------------


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", errors="surrogatepass")


def _items(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else [value]


def _lines(separator: str) -> Callable[[Any], bytes]:
    return lambda rows: _bytes(
        "".join(separator.join(map(_text, _items(row))) + "\n" for row in _items(rows))
    )


def _csv(rows: Any) -> bytes:
    text = io.StringIO()
    for row in _items(rows):
        csv.writer(text, lineterminator="\n", escapechar="\\").writerow(map(_text, _items(row)))
    return _bytes(text.getvalue())


def _json_lines(records: Any) -> bytes:
    return _bytes("".join(_json(record) + "\n" for record in _items(records)))


def _json(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)


def _yaml(value: Any) -> bytes:
    try:
        return _bytes(yaml.safe_dump(value, allow_unicode=True))
    except yaml.YAMLError:
        return _bytes(yaml.dump(value))


def _simfile(value: Any) -> bytes:
    """A list of [tag, value]."""
    return _bytes("".join(f"#{_text(tag)}:{_text(rest)};\n" for tag, rest in map(_two, _items(value))))


def _two(value: Any) -> tuple[Any, Any]:
    first, second, *_ = [*_items(value), "", ""]
    return first, second


def _npz(arrays: Any) -> bytes:
    file = io.BytesIO()
    named = arrays if isinstance(arrays, dict) else {"joints": arrays}
    with zipfile.ZipFile(file, "w") as archive, warnings.catch_warnings():
        # Two members of one name are a case to try, and not worth a warning.
        warnings.simplefilter("ignore")
        for name, value in named.items():
            archive.writestr(_member(f"{_text(name)}.npy"), _npy(value))
    return file.getvalue()


def _array(value: Any) -> NDArray[Any]:
    try:
        return np.asarray(value)
    except (ValueError, OverflowError):
        return np.array(str(value))


def _npy(value: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, _array(value), allow_pickle=True)
    return file.getvalue()


def _zip(members: Any) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, content in (members if isinstance(members, dict) else {"x": members}).items():
            data = (
                content
                if isinstance(content, bytes)
                else _bytes(content)
                if isinstance(content, str)
                else pickle.dumps(content)
            )
            archive.writestr(_member(_text(name)), data)
    return file.getvalue()


def _member(name: str) -> str:
    """A name that a zip can hold: no half of a surrogate pair, and not empty."""
    return name.encode("utf-8", "replace").decode().replace("\0", "0") or "x"


def _whole(value: Any, bits: int) -> int:
    try:
        return int(value) & ((1 << bits) - 1)
    except (TypeError, ValueError, OverflowError):
        return 0


def _wav(value: Any) -> bytes:
    """[riff size, format, channels, rate, bytes a second, block, bits, data size, samples]"""
    head = [*_items(value), *[0] * 9]
    data = _array(head[8])
    with np.errstate(all="ignore"):
        samples = (
            np.nan_to_num(data.astype(np.float64)).astype("<i2")
            if data.dtype.kind in "fiu"
            else np.zeros(0, "<i2")
        )
    sizes = [_whole(n, bits) for n, bits in zip(head[:8], (32, 16, 16, 32, 32, 16, 16, 32), strict=True)]
    return (
        struct.pack(
            "<4sI4s4sIHHIIHH4sI", b"RIFF", sizes[0], b"WAVE", b"fmt ", 16, *sizes[1:7], b"data", sizes[7]
        )
        + samples.tobytes()
    )


def _midi(value: Any) -> bytes:
    """{format, division, tracks: lists of [ticks before, bytes of the event]}"""
    header = value if isinstance(value, dict) else {}
    tracks = [b"".join(map(_midi_event, _items(track))) for track in _items(header.get("tracks"))]
    chunks = [b"MTrk" + struct.pack(">I", len(track)) + track for track in tracks]
    sizes = _whole(header.get("format"), 16), len(tracks) & 0xFFFF, _whole(header.get("division"), 16)
    return b"MThd" + struct.pack(">IHHH", 6, *sizes) + b"".join(chunks)


def _midi_event(event: Any) -> bytes:
    delta, body = _two(event)
    number = _whole(delta, 28)
    digits = [number >> shift & 127 for shift in (21, 14, 7, 0)]
    return bytes([*(digit | 128 for digit in digits[:3]), digits[3], *(_whole(b, 8) for b in _items(body))])


def _safetensors(value: Any) -> bytes:
    """{metadata, header: {name: {dtype, shape, data_offsets}}, data}; metadata's own values as JSON."""
    parts = value if isinstance(value, dict) else {"header": value}
    told = parts.get("metadata")
    metadata = (
        {key: v if isinstance(v, str) else _json(v) for key, v in told.items()}
        if isinstance(told, dict)
        else told
    )
    tensors = parts.get("header")
    header = _bytes(
        _json({"__metadata__": metadata, **(tensors if isinstance(tensors, dict) else {"x": tensors})})
    )
    data = parts.get("data")
    return struct.pack("<Q", len(header)) + header + (data if isinstance(data, bytes) else b"")


def _from_safetensors(data: bytes) -> Any:
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    metadata = header.pop("__metadata__")
    metadata |= {key: json.loads(metadata[key]) for key in ("config", "provenance")}
    return {"metadata": metadata, "header": header, "data": data[8 + size :]}


def _same(value: bytes) -> bytes:
    return value


# --- parsers ----------------------------------------------------------------------------------------------


def _written(write: Callable[[Path], object], suffix: str) -> bytes:
    """What a function writes to a path."""
    with tempfile.TemporaryDirectory() as folder_name:
        path = Path(folder_name) / f"sample{suffix}"
        write(path)
        return path.read_bytes()


@functools.cache
def _scratch() -> Path:
    """A folder for what a parser reads beside its input, in the worker's own."""
    return Path(tempfile.mkdtemp(prefix="robustness-"))


def _clicks(seconds: float) -> NDArray[np.int16]:
    time = np.arange(round(8000 * seconds)) / 8000
    clicks: NDArray[np.int16] = (8000 * np.sin(2 * np.pi * 440 * time) * (time % 0.5 < 0.1)).astype(np.int16)
    return clicks


def _wav_sample(seconds: float) -> list[Any]:
    samples = _clicks(seconds)
    return [36 + 2 * len(samples), 1, 1, 8000, 16000, 2, 16, 2 * len(samples), samples]


def write_wav(path: Path, seconds: float) -> None:
    """A file of clicks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_wav(_wav_sample(seconds)))


FFMPEG_FORMATS = ("flac", "mp3", "ogg", "opus", "m4a", "aiff", "au", "caf", "w64", "webm", "mpg", "ts")


def _audio_samples() -> list[Any]:
    samples: list[Any] = [_wav(_wav_sample(0.6))]
    if shutil.which("ffmpeg"):
        source = _scratch() / "source.wav"
        source.write_bytes(samples[0])
        for suffix in FFMPEG_FORMATS:
            samples.append(_written(lambda path: _ffmpeg("-i", source, path), f".{suffix}"))
    return samples


def _ffmpeg(*arguments: object) -> bytes:
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout


def _read_audio(path: Path) -> None:
    wav = read_audio(path)
    expect(wav.dim() == 1 and len(wav) > 0 and bool(torch.isfinite(wav).all()), f"samples {tuple(wav.shape)}")


BEATS = [[f"{0.5 * k + 0.25:.3f}", str(k % 4 + 1)] for k in range(9)]


def _read_beats(path: Path) -> None:
    beats = read_beats(path)
    _increasing(beats.times, "beats")
    expect(bool((beats.times >= 0).all() and (beats.positions >= 0).all()), "a beat before 0")
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


ROWS = "1000\n0100\n2010\n0001\n,\n0000\n1001\n3000\n0M00\n"

SIMFILE = [
    ["TITLE", "T"],
    ["ARTIST", "A"],
    ["MUSIC", "song.ogg"],
    ["OFFSET", "-0.250"],
    ["BPMS", "0.000=120.000,4.000=180.500"],
    ["STOPS", "6.000=0.500"],
    ["DELAYS", ""],
    ["WARPS", "7.000=0.500"],
    ["TIMESIGNATURES", "0=4=4,4=3=4"],
]

SM = [*SIMFILE, ["NOTES", f"\n dance-single:\n by:\n Easy:\n 3:\n 0,0,0,0,0:\n{ROWS}"]]

SSC = [
    ["VERSION", "0.83"],
    *SIMFILE,
    ["NOTEDATA", ""],
    ["STEPSTYPE", "dance-single"],
    ["DIFFICULTY", "Hard"],
    ["METER", "5"],
    ["BPMS", "0=140"],
    ["NOTES", f"\n{ROWS}"],
]


def _read_song(path: Path) -> None:
    song = read_song(path, {name: len(places) for name, places in PANELS.items()})
    for chart in song.charts:
        grid = chart_grid(chart, 20.0)
        _increasing(grid.beats, "beats")
        for times in step_pulses(chart, 20.0, 0.0, path.name)[0].values():
            _increasing(times, "steps")


BVH = [
    ["HIERARCHY"],
    ["ROOT", "Hips"],
    ["{"],
    ["OFFSET", 0.0, 90.0, 0.0],
    ["CHANNELS", 6, "Xposition", "Yposition", "Zposition", "Zrotation", "Xrotation", "Yrotation"],
    *[
        line
        for name in ("LeftUpLeg", "RightUpLeg", "Spine")
        for line in (
            ["JOINT", name],
            ["{"],
            ["OFFSET", 10.0, -5.0, 0.0],
            ["CHANNELS", 3, "Zrotation", "Xrotation", "Yrotation"],
            ["End", "Site"],
            ["{"],
            ["OFFSET", 0.0, -40.0, 0.0],
            ["}"],
            ["}"],
        )
    ],
    ["}"],
    ["MOTION"],
    ["Frames:", 5],
    ["Frame", "Time:", 0.033333],
    *[[round(0.1 * frame + 0.01 * column, 3) for column in range(15)] for frame in range(5)],
]


def _check_source(source: MotionSource) -> None:
    frames, joints, axes = source.joints.shape
    expect(frames >= 2 and axes == 3 and joints == len(source.names), f"joints {source.joints.shape}")
    expect(5 <= source.fps <= 1000, f"{source.fps} frames a second")
    expect(not np.isinf(source.joints).any(), "an infinite coordinate")
    expect(source.offset is None or bool(np.isfinite(source.offset)), f"offset {source.offset}")


def _read_source(path: Path) -> None:
    _check_source(read_source(path))


def _draw() -> np.random.Generator:
    return np.random.default_rng(0)


def _aist_samples() -> list[Any]:
    draw = _draw()
    smpl = {
        "smpl_poses": draw.normal(0, 0.2, (16, 72)),
        "smpl_trans": draw.normal(0, 90, (16, 3)),
        "smpl_scaling": np.array([93.0]),
    }
    return [
        smpl,
        {"keypoints3d_optim": draw.normal(0, 50, (4, 17, 3)), "keypoints3d": draw.normal(0, 50, (4, 17, 3))},
    ]


def _aist_zip() -> list[Any]:
    take = "gBR_sBM_cAll_d04_mBR0_ch02"
    lists = {
        f"splits/{name}": f"{take}\n"
        for name in ("crossmodal_train.txt", "crossmodal_val.txt", "crossmodal_test.txt")
    }
    return [{f"motions/{take}.pkl": _aist_samples()[0], "ignore_list.txt": f"{take} \n", **lists}]


def _read_aist_zip(path: Path) -> None:
    annotations = find_annotations(path)
    for file in annotations.lists:
        annotations.names(file)
    for name in annotations.motions:
        take = annotations.take(name)
        expect(
            bool(np.isfinite(take.poses).all() and np.isfinite(take.translation).all()),
            "a pose that is no number",
        )


def _dance_joints(frames: int = 24) -> NDArray[Any]:
    """(T, 24, 3) SMPL's joints at 30 frames a second."""
    return with_hands(dance(regular_grid(2.0, 120.0, 4), "two_step", 2.0, 0.5, _draw(), 30.0).joints)[:frames]


def _body_model() -> dict[str, Any]:
    """A body whose vertices are its joints."""
    parents = [2**32 - 1, *SMPL_PARENTS[1:]]
    return {
        "v_template": _dance_joints()[0],
        "shapedirs": _draw().normal(0, 0.02, (24, 3, 4)),
        "J_regressor": np.eye(24),
        "kintree_table": np.array([parents, range(len(parents))], dtype=np.uint32),
    }


def _read_body_model(path: Path) -> None:
    expect(bool(np.isfinite(read_body_model(path).rest()).all()), "joints that are no numbers")


def _dance_samples() -> list[Any]:
    positions = _dance_joints()
    draw = _draw()
    smpl = {"smpl_poses": draw.normal(0, 0.05, (16, 72)), "smpl_trans": draw.normal(0, 0.1, (16, 3))}
    # EDGE's dances are z up.
    return [{"full_pose": positions[..., [0, 2, 1]] * [1.0, -1.0, 1.0]}, {**smpl, "smpl_scaling": np.ones(1)}]


@functools.cache
def _fixed_body_model() -> Any:
    path = _scratch() / "body.npz"
    path.write_bytes(_npz(_body_model()))
    return read_body_model(path)


def _read_dance(path: Path) -> None:
    dance = read_dance(path, Reading(fps=30.0, model=_fixed_body_model()))
    expect(bool(np.isfinite(dance.joints).all()), "joints that are no numbers")


def _bailando_samples() -> list[Any]:
    positions = _dance_joints()
    return [positions.reshape(len(positions), 72), {"pred_position": positions}]


def _npz_source() -> list[Any]:
    return [
        {
            "joints": _draw().normal(0, 1, (8, 4, 3)),
            "names": np.array(["hips", "head", "l_foot", "r_foot"]),
            "fps": np.array(30.0),
            "audio_offset_s": np.array(0.1),
        }
    ]


def _motion_samples() -> list[Any]:
    joints = _draw().normal(0, 1, (12, 22, 3))
    motion = Motion(6.0, JOINTS, joints, 0.0, None, {"left_foot": np.array([0.5, 1.0])})
    data = _written(lambda path: write_motion(path, motion, regular_grid(2.0, 120.0, 4)), ".npz")
    with np.load(io.BytesIO(data)) as arrays:
        return [dict(arrays)]


def _read_motion(path: Path) -> None:
    motion, grid = read_motion(path)
    expect(bool(np.isfinite(motion.times).all()), "a frame at no time")
    if grid is not None:
        _increasing(grid.beats, "beats")
        expect(grid.metre >= 1, f"metre {grid.metre}")


TEMPI = [
    {"package": "some-data", "file": "usr/a.ogg", "tatum": 560.0, "R": 0.76, "drift_ms": 3.2},
    {"package": "some-data", "file": "usr/b.ogg", "tatum": 480.5},
    {"package": "more-data", "file": "usr/c.ogg", "tatum": 500.0, "R": 0.3},
]


def _read_tempi(path: Path) -> None:
    for package, file, tatum in read_tempi(path):
        expect(isinstance(package, str) and isinstance(file, str), "a name that is no text")
        expect(tatum is None or (math.isfinite(tatum) and tatum > 0), f"tatum {tatum}")


def _manifest() -> list[Any]:
    pairs = [
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
        for split in ("train", "dev", "test")
    ]
    return [[to_record(pair) for pair in pairs]]


def _read_manifest(path: Path) -> None:
    """The manifest is what was prepared, so its mark is made to fit."""
    corpus_folder = _scratch() / "corpus"
    corpus_folder.mkdir(exist_ok=True)
    data = path.read_bytes()
    (corpus_folder / MANIFEST).write_bytes(data)
    sha256 = hashlib.sha256(data.decode("utf-8", errors="replace").replace("\r\n", "\n").encode()).hexdigest()
    (corpus_folder / MARK).write_text(json.dumps({"sha256": sha256}), encoding="utf-8")
    for pair in read_corpus(corpus_folder).pairs:
        expect(math.isfinite(pair.seconds) and pair.seconds > 0, f"seconds {pair.seconds}")
        expect(isinstance(pair.name, str) and isinstance(pair.piece, str), "a name that is no text")
        expect(math.isfinite(pair.fps) and pair.fps >= 0, f"fps {pair.fps}")
        if pair.audio is not None:
            expect(math.isfinite(pair.audio.stop), f"audio until {pair.audio.stop}")
        expect(pair.bpm is None or (math.isfinite(pair.bpm) and pair.bpm > 0), f"bpm {pair.bpm}")
        expect(pair.metre is None or pair.metre >= 1, f"metre {pair.metre}")


def _read_mark(path: Path) -> None:
    corpus_folder = _scratch() / "marked"
    corpus_folder.mkdir(exist_ok=True)
    (corpus_folder / MANIFEST).write_bytes(_json_lines(_manifest()[0]))
    (corpus_folder / MARK).write_bytes(path.read_bytes())
    read_corpus(corpus_folder)


def _results() -> list[Any]:
    shared = {
        "format": FORMAT,
        "version": VERSION,
        "rows": 3,
        **asdict(Run("genre", "set", "fbank", fold="1")),
    }
    return [[shared, ["a", "x", "F", 0.5], ["b", "x", "F", 1], ["", "", "median rank", 3.0]]]


def _read_results(path: Path) -> None:
    for one in read_results(path):
        for item, group, measure, value in one.rows:
            expect(math.isfinite(value), f"the value {value}")
            expect(all(isinstance(text, str) for text in (item, group, measure)), "a name that is no text")


def _marks() -> list[Any]:
    text = _json_lines(_manifest()[0])
    return [
        {
            "corpus": "folder",
            "version": "1",
            "options": {"a": 1},
            "pairs": 3,
            "left_out": {},
            "notes": {},
            "sha256": hashlib.sha256(text).hexdigest(),
        }
    ]


SPLITS = [["piece", "split"], ["a", "train"], ["b", "dev"], ["c", "test"]]

BVH_SPLITS = [["name", "piece", "take", "split"], ["a", "p", "t", "train"], ["b", "q", "u", "dev"]]


def _folder_samples() -> list[Any]:
    return [
        [
            ["audio", "motion", "offset", "piece", "split", "fps"],
            ["a.wav", "a.npz", "0.1", "p", "train", "30"],
        ]
    ]


def _read_folder(path: Path) -> None:
    raw = _scratch() / "folder"
    if not raw.exists():
        raw.mkdir()
        (raw / "a.wav").write_bytes(_wav(_wav_sample(1.9)))
        joints = dance(regular_grid(2.0, 120.0, 4), "two_step", 2.0, 0.5, _draw(), 30.0).joints
        np.savez(raw / "a.npz", joints=joints, names=np.array(JOINTS), fps=np.array(30.0))
    (raw / "pairs.csv").write_bytes(path.read_bytes())
    out = _scratch() / "prepared"
    try:
        folder.prepare(raw / "pairs.csv", out, argparse.Namespace())
    finally:
        shutil.rmtree(out, ignore_errors=True)


def _beat_set_samples() -> list[Any]:
    rows = [
        [f"{name}.wav", f"{name}.beats", name, split, str(k)]
        for k, (name, split) in enumerate(zip("abc", ("train", "dev", "test"), strict=True))
    ]
    return [[["audio", "beats", "piece", "split", "fold"], *rows]]


def _read_beat_set(path: Path) -> None:
    root = _scratch() / "beat_set"
    if not root.exists():
        root.mkdir()
        for name in "abc":
            (root / f"{name}.wav").write_bytes(_wav(_wav_sample(5.0)))
            write_beats(root / f"{name}.beats", Beats(np.arange(1.0, 5.0), np.array([1, 2, 3, 4])))
    (root / "splits.csv").write_bytes(path.read_bytes())
    for recordings in load_splits(root).values():
        expect(
            len(recordings) > 0 and all(one.seconds == 5.0 for one in recordings), "a length that is not 5 s"
        )


def _emotion_samples() -> list[Any]:
    return [
        [
            ["song_id", "mean_arousal", "mean_valence"],
            *[[str(song), f"{song / 2}", f"{9 - song / 4}"] for song in range(2, 12)],
        ]
    ]


def write_emotion_set(root: Path) -> None:
    """Ten songs in EmoMusic's layout, whose audio is clicks."""
    (table,) = EMOMUSIC.annotations
    for relative in (table, *EMOMUSIC.metadata):
        (root / relative).parent.mkdir(parents=True, exist_ok=True)
    (root / table).write_bytes(_csv(_emotion_samples()[0]))
    for song in range(2, 12):
        write_wav(root / EMOMUSIC.audio[0] / f"{song}.mp3", 0.5 + song / 20)
    for relative in EMOMUSIC.metadata:
        (root / relative).write_bytes(
            _csv([["song_id", "Artist"], *[[song, f"A{song}"] for song in range(2, 12)]])
        )


def _read_emotion(path: Path) -> None:
    root = _scratch() / "emotion"
    if not root.exists():
        write_emotion_set(root)
    (root / next(iter(EMOMUSIC.annotations))).write_bytes(path.read_bytes())
    for clips in read_emotion(EMOMUSIC, root, 0).splits.values():
        expect(all(bool(np.isfinite(clip.label).all()) for clip in clips), "a label that is no number")


def _tagging_samples() -> list[Any]:
    tags = [f"tag{k}" for k in range(5)]
    rows = [[str(k), *[str(k >> bit & 1) for bit in range(5)], f"{k:x}/song-{k}-0-29.mp3"] for k in range(16)]
    return [[["clip_id", *tags, "mp3_path"], *rows]]


def _read_tagging(path: Path) -> None:
    root = _scratch() / "tagging"
    root.mkdir(exist_ok=True)
    (root / "annotations_final.csv").write_bytes(path.read_bytes())
    for clips in read_magnatagatune(root, 0).splits.values():
        expect(all(set(np.unique(clip.label)) <= {0, 1} for clip in clips), "a tag that is neither 0 nor 1")


def _midi_samples() -> list[Any]:
    notes = [
        event
        for k in range(8)
        for event in ([0, [0x99, 38, 100]], [240, [0x89, 38, 0]], [240, [0xFF, 1, 1, 65]])
    ]
    head = [
        [0, [0xFF, 0x51, 3, 7, 0xA1, 0x20]],
        [0, [0xFF, 0x58, 4, 4, 2, 24, 8]],
        [0, [0xFF, 0x59, 2, 0, 0]],
    ]
    end = [[0, [0xFF, 0x2F, 0]]]
    tempo = [[960, [0xFF, 0x51, 3, 6, 0x1A, 0x80]]]
    return [
        {"format": 1, "division": 480, "tracks": [[*head, *tempo, *end], [*notes, *end]]},
        {"format": 0, "division": 96, "tracks": [[*head, *notes, *end]]},
    ]


def _read_midi(path: Path) -> None:
    read_score(path)
    beats = midi_beats(path)
    if len(beats.times):
        _increasing(beats.times, "beats")
        expect(bool((beats.positions >= 1).all()), "a position below 1")


ASAP = [[f"{0.5 * k:.3f}", f"{0.5 * k:.3f}", "db,4/4,0" if k % 4 == 1 else "b"] for k in range(9)]


def _read_asap(path: Path) -> None:
    beats = asap_beats(path)
    _increasing(beats.times, "beats")
    expect(bool((beats.positions >= 1).all()), "a position below 1")


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

    return Parser(f"YAML, task {task}", ".yaml", samples, _yaml, read)


PRETRAINING = {
    "model": {
        "arch": "tiny",
        "config_overrides": {"music": {"dropout": 0.0, "dim": 64}, "motion": {"dim": 48, "token_layers": 1}},
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

    config = read_config(path)
    expect(
        isinstance(config.regime.num_steps, int) and config.regime.num_steps > 0,
        f"num_steps {config.regime.num_steps}",
    )


SMALL = MusicTowerConfig(
    arch="small", dim=8, heads=2, token_layers=1, trunk_dilations=(1,), embedding_dim=4, n_mels=8
)

SMALL_MOTION = MotionTowerConfig(
    arch="small", dim=8, heads=2, token_layers=1, trunk_dilations=(1,), embedding_dim=4
)


@functools.cache
def _music_tower() -> bytes:
    return _written(
        lambda path: save_music_tower(untrained_music_tower(SMALL), path, Provenance("made", {"step": 3})),
        ".safetensors",
    )


def _read_music_tower(path: Path) -> None:
    tower, _ = load_music_tower(path)
    expect(
        all(bool(value.isfinite().all()) for value in tower.state_dict().values()),
        "weights that are no numbers",
    )


def _motion_sides() -> list[Any]:
    torch.manual_seed(0)
    model = MotionBeat(SMALL, SMALL_MOTION, 4, 0)
    model.music.load_state_dict(untrained_music_tower(SMALL).state_dict())
    return [
        _from_safetensors(
            _written(lambda path: save_motion_side(model, path, Provenance("made", {})), ".safetensors")
        )
    ]


def _read_motion_side(path: Path) -> None:
    music = _scratch() / "music.safetensors"
    if not music.exists():
        music.write_bytes(_music_tower())
    load_motionbeat(music, path)


def _dance_models() -> list[Any]:
    section = {
        "modelrc": {"width": 8, "layers": 1, "heads": 2, "hidden": 8},
        "diffusionrc": {"steps": 4, "levels": 20},
    }
    settings = dance_settings(section, inference=True)
    heard = Heard("fbank", None, 160.0, Layers(torch.ones(1)))
    model = dance_model(JointNumbers(), 3, settings)
    return [
        _from_safetensors(
            _written(
                lambda path: write_dance_model(path, model, section, heard, Provenance("made", {})),
                ".safetensors",
            )
        )
    ]


def _read_dance_model(path: Path) -> None:
    read_dance_model(path)


def _run_checkpoints() -> list[Any]:
    kept = {
        "Args": argparse.Namespace(upstream="fbank", downstream="genre", expdir="out", config="c.yaml"),
        "Config": {"runner": {"total_steps": 10}, "downstream_expert": {}},
        "Downstream": {"weight": torch.zeros(3)},
        "Step": 3,
    }
    return [_written(lambda path: torch.save(kept, path), ".ckpt")]


def _read_run_checkpoint(path: Path) -> None:
    run_files.read_settings(path)


PARSERS = {
    parser.name: parser
    for parser in (
        Parser("audio, WAV header", ".wav", lambda: [_wav_sample(0.6)], _wav, _read_audio, 0.5),
        Parser("audio, other containers", ".mka", _audio_samples, _same, _read_audio, 0.5),
        Parser(
            ".beats",
            ".beats",
            lambda: [BEATS, [["# made"], *[row[:1] for row in BEATS]]],
            _lines("\t"),
            _read_beats,
        ),
        Parser("StepMania .sm", ".sm", lambda: [SM], _simfile, _read_song),
        Parser("StepMania .ssc", ".ssc", lambda: [SSC], _simfile, _read_song),
        Parser("BVH", ".bvh", lambda: [BVH], _lines(" "), _read_source),
        Parser("pickle, AIST++", ".pkl", _aist_samples, pickle.dumps, _read_source),
        Parser("zip, AIST++", ".zip", _aist_zip, _zip, _read_aist_zip),
        Parser("pickle, SMPL", ".pkl", lambda: [_body_model()], pickle.dumps, _read_body_model),
        Parser(".npz, SMPL", ".npz", lambda: [_body_model()], _npz, _read_body_model),
        Parser("pickle, dances", ".pkl", _dance_samples, pickle.dumps, _read_dance),
        Parser(".npy, dances", ".npy", _bailando_samples, _npy, _read_dance),
        Parser(".npz, joints", ".npz", _npz_source, _npz, _read_source),
        Parser(".npz, motion", ".npz", _motion_samples, _npz, _read_motion),
        Parser("tempo file", ".jsonl", lambda: [TEMPI], _json_lines, _read_tempi),
        Parser("manifest", ".jsonl", _manifest, _json_lines, _read_manifest),
        Parser("results", ".jsonl", _results, _json_lines, _read_results),
        Parser("manifest's mark", ".json", _marks, lambda value: _bytes(_json(value)), _read_mark),
        Parser(
            "CSV, splits",
            ".csv",
            lambda: [SPLITS],
            _csv,
            lambda path: expect(bool(read_splits(path)) or True, ""),
        ),
        Parser(
            "CSV, BVH splits",
            ".csv",
            lambda: [BVH_SPLITS],
            _csv,
            lambda path: expect(read_bvh_splits(path, {"a", "b"}) is not None, ""),
        ),
        Parser("CSV, pairs", ".csv", _folder_samples, _csv, _read_folder, 0.2),
        Parser("CSV, beat sets", ".csv", _beat_set_samples, _csv, _read_beat_set),
        Parser("CSV, labels", ".csv", _emotion_samples, _csv, _read_emotion),
        Parser("CSV, tags", ".csv", _tagging_samples, _lines("\t"), _read_tagging),
        Parser("MIDI", ".mid", _midi_samples, _midi, _read_midi),
        Parser("ASAP annotations", ".txt", lambda: [ASAP], _lines("\t"), _read_asap),
        *map(_task_config, TASKS),
        Parser("YAML, pretraining", ".yaml", lambda: [PRETRAINING], _yaml, _read_pretraining, 0.2),
        Parser(
            "safetensors, music tower",
            ".safetensors",
            lambda: [_from_safetensors(_music_tower())],
            _safetensors,
            _read_music_tower,
        ),
        Parser(
            "safetensors, motion side", ".safetensors", _motion_sides, _safetensors, _read_motion_side, 0.5
        ),
        Parser("safetensors, dance model", ".safetensors", _dance_models, _safetensors, _read_dance_model),
        Parser("checkpoint of a run", ".ckpt", _run_checkpoints, _same, _read_run_checkpoint),
    )
}
