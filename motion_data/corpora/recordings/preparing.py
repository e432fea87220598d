"""From recordings to a manifest: each track is measured, labelled, danced to and cut, on its own and once."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from motion_data.corpora.constructed.dancer import STYLES, dance, take_name
from motion_data.corpora.recordings.labelling import Labels, label_track
from motion_data.corpora.recordings.tatum import SHORTEST, envelope_of, measure_tatum
from motion_data.corpora.recordings.tracks import (
    Track,
    find_tracks,
    package_half,
    sounding_span,
    track_file_name,
)
from motion_data.errors import DataError
from motion_data.files import write_sound
from motion_data.manifest import MARK, Corpus, write_manifest
from motion_data.motion import Motion
from motion_data.motion_file import write_motion
from motion_data.pair import AudioSpan, MotionPair, from_record, to_record
from motion_data.preparation import file_sha256, motion_facts
from motionbeat_upstream.atomic_write import stops_writing, write_text
from motionbeat_upstream.audio import read_audio
from motionbeat_upstream.checkpoint import load_music_tower
from motionbeat_upstream.config import SAMPLE_RATE, STRIDE
from motionbeat_upstream.version import __version__

SHORTEST_PAIR, LONGEST_PAIR = 4.0, 120.0
"""Seconds that a pair may be asked to last."""


FPS = 60.0
"""Frames of motion a second."""

EDGE = 0.1
"""Seconds that pairs begin and end on multiples of, outside their downbeats: whole frames and samples."""

STEP_SPREAD = (0.010, 0.025)
"""Seconds, least and most, of the standard deviation of a take's steps, as the dancer's footfalls have it."""

STEP_LAG = 0.004
"""Seconds (standard deviation) by which a whole take is early or late."""

STRETCH, CONTEXT = 60.0, 8.0
"""Seconds of a track whose activations are computed at a time, and seconds that are heard to either side."""


class BeatModel(Protocol):
    """What labels: a music tower with beat heads."""

    def beat_activations(self, wav: Tensor) -> tuple[Tensor, Tensor]:
        """(F,) logits of beats and of downbeats of a waveform (T,), frame k at (k + .5) · 20 ms."""


@dataclass(frozen=True)
class Settings:
    """What a preparation was asked for."""

    checkpoints: tuple[Path, ...]
    """One that labels everything, or two: trained on half 0 and on half 1 of the train split."""
    half: int | None
    """Half of the train split to keep; None for both."""
    seconds: float
    """About the length of a pair."""
    seed: int
    """Of the dances."""
    beat_margin: float
    bar_margin: float


@dataclass(frozen=True)
class _Outcome:
    """What became of a track: pairs, or why there are none."""

    pairs: tuple[MotionPair, ...]
    left_out: str


def prepare_recordings(
    raw: Path, out: Path, tempo: Path | None, settings: Settings, workers: int = 2
) -> Corpus:
    """Prepare every track that is not prepared yet, then write the manifest.

    Args:
        raw: folder of music.
        out: folder of the corpus.
        tempo: file of known tempi, or None.
        settings: what was asked for.
        workers: processes.

    Raises:
        DataError: settings that cannot be, no music, a tempo file that names missing tracks, a checkpoint
            without beat heads, or not one track could be used.
        CheckpointError: a checkpoint cannot be read.
    """
    _check(settings, workers)
    for path in settings.checkpoints:
        _beat_model(path)
    tracks, left_out, notes = find_tracks(raw, tempo)
    if settings.half is not None:
        tracks = [
            track
            for track in tracks
            if track.split != "train" or package_half(track.package) == settings.half
        ]
    digests = [file_sha256(path) for path in settings.checkpoints]
    asked = {**asdict(settings), "checkpoints": digests, "tempo": None if tempo is None else tempo.name}
    (out / MARK).unlink(missing_ok=True)
    outcomes: dict[str, _Outcome] = {}
    jobs = []
    for track in tracks:
        job = _Job(track, out, settings, tuple(digests))
        kept = _kept(job)
        if kept is None:
            jobs.append(job)
        else:
            outcomes[track.name] = kept
    with tqdm(total=len(tracks), desc="prepare recordings", unit="track") as bar:
        bar.update(len(outcomes))
        for name, outcome in _outcomes(jobs, workers):
            outcomes[name] = outcome
            bar.update()
    pairs: list[MotionPair] = []
    first: dict[str, str] = {}
    for track in tracks:
        outcome = outcomes[track.name]
        if not outcome.pairs:
            left_out[track.name] = outcome.left_out
            continue
        audio = outcome.pairs[0].audio
        assert audio is not None
        other = first.setdefault(audio.sha256, track.name)
        if other == track.name:
            pairs += outcome.pairs
        else:
            left_out[track.name] = f"the same recording as {other}"
    return write_manifest(out, pairs, "recordings", asked, left_out, notes)


def _outcomes(jobs: Sequence[_Job], workers: int) -> Iterator[tuple[str, _Outcome]]:
    """Names of tracks and what became of them, as they are done."""
    if workers == 1 or len(jobs) < 2:
        for job in jobs:
            yield job.track.name, _prepare_track(job)
        return
    # A forked process would inherit torch's threads, and hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(jobs)), context, _begin_worker) as pool:
        futures = {pool.submit(_prepare_track, job): job.track.name for job in jobs}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _check(settings: Settings, workers: int) -> None:
    if not SHORTEST_PAIR <= settings.seconds <= LONGEST_PAIR:
        raise DataError(f"--seconds {settings.seconds:g}: expected {SHORTEST_PAIR:g} to {LONGEST_PAIR:g}")
    if settings.seed < 0:
        raise DataError(f"--seed {settings.seed}: expected 0 or more")
    if workers < 1:
        raise DataError(f"--workers {workers}: expected 1 or more")
    for option, margin in (("--beat-margin", settings.beat_margin), ("--bar-margin", settings.bar_margin)):
        if not 0 <= margin < float("inf"):
            raise DataError(f"{option} {margin:g}: expected nats, 0 or more")
    if len(settings.checkpoints) > 2:
        raise DataError(
            f"-k: {len(settings.checkpoints)} checkpoints; expected one, or two: trained on --half 0 and 1"
        )


@dataclass(frozen=True)
class _Job:
    track: Track
    out: Path
    settings: Settings
    digests: tuple[str, ...]
    """Of the checkpoints."""

    @property
    def labellers(self) -> tuple[int, ...]:
        """Which of the checkpoints label the track: those that were not trained on it."""
        if len(self.digests) == 1:
            return (0,)
        return (1 - package_half(self.track.package),) if self.track.split == "train" else (0, 1)

    @property
    def record(self) -> Path:
        return self.out / "tracks" / f"{track_file_name(self.track)}.json"

    @property
    def fingerprint(self) -> str:
        state = self.track.path.stat()
        told = [
            __version__,
            [state.st_size, state.st_mtime_ns],
            [self.track.name, self.track.split, self.track.licence, self.track.rate],
            [self.digests[number] for number in self.labellers],
            {
                key: value
                for key, value in asdict(self.settings).items()
                if key not in ("checkpoints", "half")
            },
        ]
        return hashlib.sha256(json.dumps(told).encode(errors="backslashreplace")).hexdigest()


def _kept(job: _Job) -> _Outcome | None:
    """What an earlier preparation made of a track, if nothing has changed and it is whole."""
    try:
        record = json.loads(job.record.read_text(encoding="utf-8"))
        if record["fingerprint"] != job.fingerprint:
            return None
        pairs = tuple(from_record(pair, str(job.record)) for pair in record["pairs"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    files = {job.out / str(pair.motion) for pair in pairs} | {
        job.out / pair.audio.path for pair in pairs if pair.audio is not None
    }
    return _Outcome(pairs, str(record["left_out"])) if all(path.is_file() for path in files) else None


def _begin_worker() -> None:
    torch.set_num_threads(1)


def _prepare_track(job: _Job) -> _Outcome:
    """Measure, label, dance and cut one track, and write down what came of it, last."""
    try:
        pairs, left_out = tuple(_track_pairs(job)), ""
    except (ValueError, OSError) as error:  # DataError and AudioError are kinds of ValueError
        if isinstance(error, OSError) and stops_writing(error):
            raise
        pairs, left_out = (), str(error)
    record = {
        "fingerprint": job.fingerprint,
        "pairs": [to_record(pair) for pair in pairs],
        "left_out": left_out,
    }
    write_text(job.record, json.dumps(record, ensure_ascii=False))
    return _Outcome(pairs, left_out)


def _track_pairs(job: _Job) -> Sequence[MotionPair]:
    """The pairs of a track.

    Raises:
        DataError: why it has to be left out.
        AudioError: it cannot be decoded.
    """
    track, settings = job.track, job.settings
    wav = read_audio(track.path)
    start, stop = sounding_span(wav.numpy(), SAMPLE_RATE)
    if stop - start < SHORTEST:
        raise DataError(f"{stop - start:.1f} s of sound; expected {SHORTEST:g} s or more")
    tatum = measure_tatum(envelope_of(wav), track.rate)
    if tatum.fault:
        raise DataError(tatum.fault)
    beats, downbeats = (
        torch.stack(logits).mean(0).double().numpy()
        for logits in zip(
            *(activations(_beat_model(settings.checkpoints[number]), wav) for number in job.labellers),
            strict=True,
        )
    )
    labels = label_track(
        beats, downbeats, tatum.rate, tatum.phase, start, stop, settings.beat_margin, settings.bar_margin
    )
    if isinstance(labels, str):
        raise DataError(labels)
    provenance: Mapping[str, Any] = {
        "file": track.name,
        "package": track.package,
        "half": package_half(track.package),
        "tatums_a_minute": round(60 * tatum.rate, 4),
        "tatum_from": "onsets" if track.rate is None else "tempo file",
        "vector_strength": round(tatum.strength, 4),
        "drift_ms": round(1000 * tatum.drift, 2),
        "tatums_a_beat": labels.tatums_a_beat,
        "beat_margin": round(labels.beat_margin, 4),
        "beat_logit": round(labels.beat_logit, 4),
        "bar_margin": round(labels.bar_margin, 4),
        "bars_known": labels.bars_known,
        "labelled_by": [job.digests[number] for number in job.labellers],
    }
    audio = f"audio/{track_file_name(track)}.flac"
    write_sound(job.out / audio, wav / max(1.0, float(wav.abs().max())))  # scaled down where it would clip
    return _cut_pairs(job, labels, AudioSpan(audio, 0.0, stop, file_sha256(job.out / audio)), provenance)


def _cut_pairs(
    job: _Job, labels: Labels, audio: AudioSpan, provenance: Mapping[str, Any]
) -> list[MotionPair]:
    """Dance to a labelled track from end to end, cut the dance at downbeats, and write the motions.

    Where bars are known, the parametric dancer dances to the grid; where they are not, there are no joints
    but the touch-downs of a step on every beat. A pair has as many whole bars as come nearest to the length
    asked for. The seed of the preparation and the track's name give the take.

    Args:
        job: the track, the folder of the corpus, and what was asked for.
        labels: of the track.
        audio: its whole sound in the corpus.
        provenance: what its pairs say of it.
    """
    grid, stem = labels.grid, track_file_name(job.track)
    own_seed = int.from_bytes(hashlib.sha256(f"{job.settings.seed} {stem}".encode()).digest()[:6])
    rng = np.random.default_rng([own_seed, 1])
    style = str(rng.choice(STYLES[grid.metre]))
    energy = float(rng.uniform(0.2, 1.0))
    end = float(grid.beats[-1]) + 1.0
    if labels.bars_known:
        motion = dance(grid, style, end, energy, np.random.default_rng(own_seed), FPS)
        take = take_name(style, own_seed)
    else:
        pulses = alternating_steps(grid.beats, np.random.default_rng(own_seed))
        motion = Motion(FPS, (), np.zeros((round(end * FPS), 0, 3)), 0.0, None, pulses)
        take = f"steps-{own_seed}"
    danced = {"dance": style if motion.names else "steps", "energy": energy, "seed": own_seed}
    pairs = []
    for number, (first, last) in enumerate(_spans(grid.downbeats, job.settings.seconds)):
        # The margin lets the last downbeat be in the pair, so that its last bar is whole.
        start, stop = np.floor(first / EDGE + 1e-6) * EDGE, np.ceil(last / EDGE + 1e-6) * EDGE
        start, stop = max(0.0, float(start)), float(stop)
        inside = (grid.beats >= start) & (grid.beats <= stop)
        own_grid = replace(grid, beats=grid.beats[inside] - start, positions=grid.positions[inside])
        part = motion.between(start, stop)
        name = f"{stem}-{number:03}"
        pair = MotionPair(
            name=name,
            corpus="recordings",
            piece=job.track.name,
            take=take,
            split=job.track.split,
            licence=job.track.licence,
            seconds=round(stop - start, 3),
            **motion_facts(part, own_grid, "self-labelled"),
            audio=replace(audio, start=round(start, 3), stop=round(stop, 3)),
            motion=f"motion/{name}.npz",
            provenance={**provenance, **danced},
        )
        write_motion(job.out / f"motion/{name}.npz", part, own_grid)
        pairs.append(pair)
    return pairs


def _spans(downbeats: NDArray[np.float64], seconds: float) -> list[tuple[float, float]]:
    """From downbeat to downbeat, whole bars whose length comes nearest to ``seconds``."""
    bar = float(np.median(np.diff(downbeats)))
    bars = max(1, round(seconds / bar))
    spans = max(1, round((len(downbeats) - 1) / bars))
    edges = np.linspace(0, len(downbeats) - 1, spans + 1).round().astype(int)
    return [(float(downbeats[a]), float(downbeats[b])) for a, b in pairwise(edges) if b > a]


def alternating_steps(beats: NDArray[np.float64], rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """A step on every beat, left and right in turn, as early and late as a human is [O].

    The errors are those of the dancer's footfalls: each take has its own lag and spread, and each error takes
    over .35 of the one before.
    """
    sigma = rng.uniform(*STEP_SPREAD)
    lag = float(np.clip(rng.normal(0.0, STEP_LAG), -0.01, 0.01))
    error, times = 0.0, np.empty(len(beats))
    for number, beat in enumerate(beats):
        error = 0.35 * error + 0.94 * float(rng.normal(0, sigma))
        times[number] = beat + lag + float(np.clip(error, -2.2 * sigma, 2.2 * sigma))
    first = int(rng.integers(2))
    steps = {"left_foot": times[first::2], "right_foot": times[1 - first :: 2]}
    return {limb: t[t >= 0] for limb, t in steps.items()}


_models: dict[Path, BeatModel] = {}
"""Of this process: read once and not with every track."""


def _beat_model(path: Path) -> BeatModel:
    """The model of a checkpoint.

    Raises:
        CheckpointError: it cannot be read.
        DataError: it has no beat heads.
    """
    if path not in _models:
        tower: Any = load_music_tower(path)[0]
        if not hasattr(tower, "beat_activations"):
            raise DataError(_no_heads(path))
        try:
            tower.beat_activations(torch.zeros(SAMPLE_RATE))
        except (ValueError, AttributeError, RuntimeError) as error:
            raise DataError(f"{_no_heads(path)} ({error})") from error
        _models[path] = tower
    return _models[path]


def _no_heads(path: Path) -> str:
    return f"{path}: this checkpoint has no beat heads to label with; give one that has with -k"


def activations(model: BeatModel, wav: Tensor) -> tuple[Tensor, Tensor]:
    """(F,) logits of beats and of downbeats at 50 Hz, computed in stretches: a track may last half an
    hour."""
    count = -(-len(wav) // STRIDE)
    own, context = round(STRETCH * SAMPLE_RATE / STRIDE), round(CONTEXT * SAMPLE_RATE / STRIDE)
    parts = []
    with torch.inference_mode():
        for first in range(0, count, own):
            low, high = max(0, first - context), min(count, first + own + context)
            logits = torch.stack(model.beat_activations(wav[low * STRIDE : high * STRIDE]))
            parts.append(logits[:, first - low : first - low + own])
    beats, downbeats = torch.cat(parts, 1)
    return beats, downbeats
