"""Preparation of recordings: each track is measured, labelled, given a dance, and cut into pairs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motion_data.corpora.constructed.dancer import STYLES, Follows, dance, take_name
from motion_data.corpora.constructed.responsive import dance_to_music
from motion_data.corpora.recordings.labelling import UNKNOWN_METRE, label_track
from motion_data.corpora.recordings.midi_grid import align_midi_grid
from motion_data.corpora.recordings.sound_cues import cues_from_audio
from motion_data.corpora.recordings.tatum import audio_onset_envelope, measure_tatum
from motion_data.corpora.recordings.tracks import (
    MIN_TRACK_SECONDS,
    Track,
    find_tracks,
    package_half,
    sounding_span,
    track_file_name,
)
from motion_data.errors import DataError
from motion_data.files import file_sha256, write_sound
from motion_data.manifest import Corpus, write_manifest
from motion_data.motion import Motion
from motion_data.pair import AudioSpan, MotionPair
from motion_data.preparation import Job, Outcome, PreparedPair, check_option, motion_fields, run_jobs
from motionbeat_upstream.audio import read_audio
from motionbeat_upstream.checkpoint import load_music_tower
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.tracking.grid import Grid

MIN_PAIR_SECONDS, MAX_PAIR_SECONDS = 4.0, 120.0
"""Range of the requested length of a pair."""


FPS = 60.0
"""Frames of motion per second."""

EDGE_SECONDS = 0.1
"""Pairs begin and end on multiples of this, which are whole frames and samples, outside their downbeats."""

STEP_SPREAD_SECONDS = (0.010, 0.025)
"""Range of the standard deviation of a take's steps, as that of the parametric dancer."""

STEP_LAG_SECONDS = 0.004
"""Standard deviation of the constant lag of a take."""


class BeatModel(Protocol):
    """A music tower with beat heads, which labels tracks."""

    def beat_activations(self, wav: Tensor) -> tuple[Tensor, Tensor]:
        """(F,) logits of beats and of downbeats of a waveform (T,), frame k at (k + .5) · 20 ms."""


@dataclass(frozen=True)
class Settings:
    """Settings of a preparation, which its options give."""

    checkpoints: tuple[Path, ...]
    """One that labels all tracks, or two, trained on half 0 and half 1 of the train split."""
    half: int | None
    """Half of the train split to use; None for both."""
    seconds: float
    """Approximate length of a pair."""
    seed: int
    """Seed of the dances."""
    beat_margin: float
    bar_margin: float
    midi: bool = True
    """Whether tracks with a MIDI file get its grid, instead of labels of the model."""
    follows: Follows = "music"
    """What the dancer follows."""


def prepare_recordings(
    raw: Path, out: Path, tempo: Path | None, settings: Settings, workers: int = 2
) -> Corpus:
    """Prepare every track under ``raw`` that is not prepared yet, and write the manifest.

    ``tempo`` is a tempo file or None.

    Raises:
        DataError: settings are invalid, there is no music, the tempo file names missing tracks, a checkpoint
            has no beat heads, or no track is usable.
        CheckpointError: a checkpoint cannot be read.
    """
    _check_settings(settings, workers)
    for path in settings.checkpoints:
        load_beat_model(path)
    tracks, left_out, notes = find_tracks(raw, tempo)
    if settings.half is not None:
        tracks = [
            track
            for track in tracks
            if track.split != "train" or package_half(track.package) == settings.half
        ]
    if not settings.midi:
        tracks = [replace(track, midi=None) for track in tracks]
    digests = [file_sha256(path) for path in settings.checkpoints]
    asked = {**asdict(settings), "checkpoints": digests, "tempo": None if tempo is None else tempo.name}
    depends_on = {
        name: value for name, value in asked.items() if name not in ("checkpoints", "half", "tempo", "midi")
    }
    jobs = []
    for track in tracks:
        labellers = _labellers(track, len(digests))
        models = {digests[number]: settings.checkpoints[number] for number in labellers}
        midi = () if track.midi is None else (track.midi,)
        jobs.append(
            Job(
                track_file_name(track),
                (track.path, *midi),
                partial(_track_pairs, track, out, settings, models),
                (track.name, track.split, track.licence, track.rate, *models),
                remember_failure=True,
            )
        )
    outcomes = run_jobs(out, "recordings", depends_on, jobs, workers)
    pairs, without = drop_copies([track.name for track in tracks], outcomes)
    left_out |= without
    return write_manifest(out, pairs, "recordings", asked, left_out, notes)


def drop_copies(names: Sequence[str], outcomes: Sequence[Outcome]) -> tuple[list[MotionPair], dict[str, str]]:
    """Pairs of tracks with distinct recordings, and the reason for each track that is left out."""
    pairs: list[MotionPair] = []
    left_out: dict[str, str] = {}
    first: dict[str, str] = {}
    for name, outcome in zip(names, outcomes, strict=True):
        if not outcome.pairs:
            left_out[name] = outcome.left_out
            continue
        audio = outcome.pairs[0].audio
        assert audio is not None
        other = first.setdefault(audio.sha256, name)
        if other == name:
            pairs += outcome.pairs
        else:
            left_out[name] = f"the same recording as {other}"
    return pairs, left_out


def _labellers(track: Track, checkpoints: int) -> tuple[int, ...]:
    """Indices of the checkpoints that label a track, i.e. that were not trained on it."""
    if checkpoints == 1:
        return (0,)
    return (1 - package_half(track.package),) if track.split == "train" else (0, 1)


def _check_settings(settings: Settings, workers: int) -> None:
    check_option("--seconds", settings.seconds, MIN_PAIR_SECONDS, MAX_PAIR_SECONDS)
    check_option("--seed", settings.seed, 0)
    check_option("--workers", workers, 1)
    check_option("--beat-margin", settings.beat_margin, 0)
    check_option("--bar-margin", settings.bar_margin, 0)
    if len(settings.checkpoints) > 2:
        raise DataError(
            f"-k: {len(settings.checkpoints)} checkpoints; expected one, or two: trained on --half 0 and 1"
        )


def _track_pairs(
    track: Track, out: Path, settings: Settings, models: Mapping[str, Path]
) -> list[PreparedPair]:
    """Prepare the pairs of a track and write its sound; ``models`` are checkpoints by hash.

    Raises:
        DataError: the reason to leave the track out.
        AudioError: it cannot be decoded.
    """
    wav = read_audio(track.path)
    start, stop = sounding_span(wav.numpy(), SAMPLE_RATE)
    if stop - start < MIN_TRACK_SECONDS:
        raise DataError(f"{stop - start:.1f} s of sound; expected at least {MIN_TRACK_SECONDS:g} s")
    provenance: dict[str, Any] = {
        "file": track.name,
        "package": track.package,
        "half": package_half(track.package),
    }
    if track.midi is None:
        grid, facts, deviations = _label_recording(track, wav, start, stop, settings, models)
        source = "self-labelled"
    else:
        found = align_midi_grid(track.midi, audio_onset_envelope(wav))
        grid, source, deviations = found.grid, "exact", np.zeros((0, 2))
        facts = {
            "midi": track.midi.name,
            "lag_ms": round(1000 * found.lag, 1),
            "lag_change_ms": round(1000 * found.change, 1),
        }
    stem = track_file_name(track)
    audio = write_track(out, stem, wav, stop)
    pairs = cut_pairs(
        *("recordings", track, stem, grid, source, audio, {**provenance, **facts}),
        seconds=settings.seconds,
        seed=settings.seed,
        wav=wav if settings.follows == "music" else None,
    )
    kept = [made for made in pairs if made[0].audio and not _overlap(made[0].audio, deviations)]
    if not kept:
        raise DataError(f"all {len(pairs)} excerpts have onsets that deviate from the tatum")
    return kept


def _overlap(audio: AudioSpan, spans: NDArray[np.float64]) -> bool:
    """Whether an excerpt has a part in one of the spans (N, 2), in seconds."""
    return bool(((spans[:, 0] < audio.stop) & (spans[:, 1] > audio.start)).any())


def _label_recording(
    track: Track, wav: Tensor, start: float, stop: float, settings: Settings, models: Mapping[str, Path]
) -> tuple[Grid, Mapping[str, Any], NDArray[np.float64]]:
    """A track's grid by the models, facts for its provenance, and (N, 2) seconds of what is not on its tatum.

    Raises:
        DataError: why it cannot be labelled.
    """
    tatum = measure_tatum(audio_onset_envelope(wav), track.rate)
    if tatum.rejection:
        raise DataError(tatum.rejection)
    beats, downbeats = (
        torch.stack(logits).mean(0).double().numpy()
        for logits in zip(
            *(load_beat_model(path).beat_activations(wav) for path in models.values()), strict=True
        )
    )
    labels = label_track(
        beats, downbeats, tatum.rate, tatum.phase, start, stop, settings.beat_margin, settings.bar_margin
    )
    if isinstance(labels, str):
        raise DataError(labels)
    facts = {
        "tatums_a_minute": round(60 * tatum.rate, 4),
        "tatum_from": "onsets" if track.rate is None else "tempo file",
        "vector_strength": round(tatum.strength, 4),
        "drift_ms": round(1000 * tatum.drift, 2),
        "tatums_a_beat": labels.tatums_a_beat,
        "beat_margin": round(labels.beat_margin, 4),
        "beat_logit": round(labels.beat_logit, 4),
        "bar_margin": round(labels.bar_margin, 4),
        "bars_known": labels.bars_known,
        "labelled_by": list(models),
    }
    return labels.grid, facts, tatum.deviations


def write_track(out: Path, stem: str, wav: Tensor, stop: float) -> AudioSpan:
    """Write (T,) samples at 16 kHz into a corpus, scaled if they would clip; the sound ends at ``stop``."""
    audio = f"audio/{stem}.flac"
    write_sound(out / audio, wav / max(1.0, float(wav.abs().max())))
    return AudioSpan(audio, 0.0, stop, file_sha256(out / audio))


def cut_pairs(
    corpus: str,
    track: Track,
    stem: str,
    grid: Grid,
    grid_source: str,
    audio: AudioSpan,
    provenance: Mapping[str, Any],
    seconds: float,
    seed: int,
    wav: Tensor | None,
) -> list[PreparedPair]:
    """Dance to a whole labelled track, and cut the dance at downbeats.

    With known bars, the parametric dancer follows the sound or the grid. With unknown bars there are no
    joints, only the touch-downs of a step on every beat.

    Args:
        corpus: name of the corpus.
        track: the track.
        stem: prefix of the pairs' names; determines the take together with ``seed``.
        grid: of the whole track; its ``downbeat_confidence`` is 0 if bars are unknown.
        grid_source: one of ``GRID_SOURCES``.
        audio: the track's whole sound in the corpus.
        provenance: of each pair.
        seconds: requested length; a pair has the number of whole bars that is nearest to it.
        seed: of the preparation.
        wav: (T,) whole sound at 16 kHz, which the dancer follows; None to follow beats and bars only.
    """
    own_seed = int.from_bytes(hashlib.sha256(f"{seed} {stem}".encode()).digest()[:6])
    rng = np.random.default_rng([own_seed, 1])
    danced = grid.downbeat_confidence > 0 and grid.metre in STYLES
    style = str(rng.choice(STYLES[grid.metre] if danced else STYLES[UNKNOWN_METRE]))
    energy = float(rng.uniform(0.2, 1.0))
    end = float(grid.beats[-1]) + 1.0
    follows: Follows = "beats" if wav is None else "music"
    if danced:
        dancer = np.random.default_rng(own_seed)
        if wav is None:
            motion = dance(grid, style, end, energy, dancer, FPS)
        else:
            motion = dance_to_music(grid, cues_from_audio(wav, grid), style, end, energy, dancer, FPS)
        take = take_name(style, own_seed, follows)
    else:
        pulses = alternating_steps(grid.beats, np.random.default_rng(own_seed))
        motion = Motion(FPS, (), np.zeros((round(end * FPS), 0, 3)), 0.0, None, pulses)
        take = f"steps-{own_seed}"
    take_facts: dict[str, Any] = {"dance": style if danced else "steps", "energy": energy, "seed": own_seed}
    if danced:
        take_facts["follows"] = follows
    pairs: list[PreparedPair] = []
    for number, (first, last) in enumerate(_bar_spans(grid.downbeats, seconds)):
        # The rounded end includes the last downbeat, so that the last bar is complete.
        start, stop = (
            np.floor(first / EDGE_SECONDS + 1e-6) * EDGE_SECONDS,
            np.ceil(last / EDGE_SECONDS + 1e-6) * EDGE_SECONDS,
        )
        start, stop = max(0.0, float(start)), float(stop)
        inside = (grid.beats >= start) & (grid.beats <= stop)
        pair_grid = replace(grid, beats=grid.beats[inside] - start, positions=grid.positions[inside])
        part = motion.between(start, stop)
        pair = MotionPair(
            name=f"{stem}-{number:03}",
            corpus=corpus,
            piece=track.name,
            take=take,
            split=track.split,
            licence=track.licence,
            seconds=round(stop - start, 3),
            **motion_fields(part, pair_grid, grid_source),
            audio=replace(audio, start=round(start, 3), stop=round(stop, 3)),
            provenance={**provenance, **take_facts},
        )
        pairs.append((pair, part, pair_grid))
    return pairs


def _bar_spans(downbeats: NDArray[np.float64], seconds: float) -> list[tuple[float, float]]:
    """Start and end of spans of whole bars whose length is nearest to ``seconds``."""
    bar = float(np.median(np.diff(downbeats)))
    bars = max(1, round(seconds / bar))
    spans = max(1, round((len(downbeats) - 1) / bars))
    edges = np.linspace(0, len(downbeats) - 1, spans + 1).round().astype(int)
    return [(float(downbeats[a]), float(downbeats[b])) for a, b in pairwise(edges) if b > a]


def alternating_steps(beats: NDArray[np.float64], rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """A step on every beat, left and right in turn, with human timing errors [O].

    Errors are as of the parametric dancer: each take has a lag and a spread, and each error includes .35 of
    the previous one.
    """
    sigma = rng.uniform(*STEP_SPREAD_SECONDS)
    lag = float(np.clip(rng.normal(0.0, STEP_LAG_SECONDS), -0.01, 0.01))
    error, times = 0.0, np.empty(len(beats))
    for number, beat in enumerate(beats):
        error = 0.35 * error + 0.94 * float(rng.normal(0, sigma))
        times[number] = beat + lag + float(np.clip(error, -2.2 * sigma, 2.2 * sigma))
    first = int(rng.integers(2))
    steps = {"left_foot": times[first::2], "right_foot": times[1 - first :: 2]}
    return {limb: t[t >= 0] for limb, t in steps.items()}


_models: dict[Path, BeatModel] = {}
"""Models of this process, which are read once."""


def load_beat_model(path: Path) -> BeatModel:
    """Load the model of a checkpoint.

    Raises:
        CheckpointError: it cannot be read.
        DataError: it has no beat heads.
    """
    if path not in _models:
        tower: Any = load_music_tower(path)[0]
        if not hasattr(tower, "beat_activations"):
            raise DataError(_no_heads_message(path))
        try:
            tower.beat_activations(torch.zeros(SAMPLE_RATE))
        except (ValueError, AttributeError, RuntimeError) as error:
            raise DataError(f"{_no_heads_message(path)} ({error})") from error
        _models[path] = tower
    return _models[path]


def _no_heads_message(path: Path) -> str:
    return f"{path}: the checkpoint has no beat heads, which labelling needs; give another with -k"
