"""Recordings with annotated beats, from data sets of beat tracking and from prepared corpora."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import soxr
from numpy.typing import NDArray

from motion_data.beats_file import UNKNOWN, Beats
from motion_data.errors import DataError
from motion_data.files import file_sha256
from motion_data.loading import load_pair
from motion_data.manifest import MANIFEST, Corpus, read_corpus
from motion_data.motion_file import read_motion
from motion_data.pair import NO_BEATS, SPLITS, MotionPair
from motionbeat_upstream.audio import read_audio
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.decoding import read_sound
from recipes.downstream.beat_tracking.dataset import Recording, list_rows, load_recordings

T = TypeVar("T")

MAX_SPEED_FACTOR = 1.9
"""Maximum factor by which the tempo is changed; larger ones do not sound like music."""

BEAT_TOLERANCE_SECONDS = 0.07
"""Beats of neighbouring pairs within this distance are merged; estimates may be outside a pair by this
much."""

EXCLUDED_GRIDS = ("none", NO_BEATS, "estimated")
"""Sources of grids that are not annotations, such as estimates from the audio."""


@dataclass(frozen=True)
class AnnotatedSound:
    """A recording with its annotated beats."""

    name: str
    """Name, unique in its set."""
    piece: str
    """Piece, which may have several recordings; intervals are over pieces."""
    annotated: Beats
    """Annotated beats; positions are all 0 if downbeats are unknown."""
    spans: tuple[tuple[float, float], ...] | None
    """Annotated spans as start and stop in seconds; None for the whole recording."""
    source: Path | NDArray[np.float32]
    """Audio file, or (T,) samples at 16 kHz."""
    sha256: str
    """Hash of the file or of the samples."""

    def samples(self, rate: int) -> NDArray[np.float32]:
        """(T,) mono samples at ``rate`` Hz; at 16 kHz the same as in ``motionbeat beats``."""
        if isinstance(self.source, Path):
            if rate == SAMPLE_RATE:
                return read_audio(self.source).numpy()
            sound, own_rate = read_sound(self.source)
            mono = sound.mean(axis=1)
        else:
            mono, own_rate = self.source, SAMPLE_RATE
        return mono if own_rate == rate else np.asarray(soxr.resample(mono, own_rate, rate), np.float32)

    def within_spans(self, beats: Beats) -> Beats:
        """Select the beats within the annotated spans, or at most 70 ms outside."""
        if self.spans is None:
            return beats
        start, stop = np.array(self.spans).T
        times = beats.times[:, None]
        inside = ((times >= start - BEAT_TOLERANCE_SECONDS) & (times <= stop + BEAT_TOLERANCE_SECONDS)).any(
            axis=1
        )
        return Beats(beats.times[inside], beats.positions[inside])


@dataclass(frozen=True)
class MusicSet:
    """A set of recordings, given by functions that load them."""

    name: str
    sounds: tuple[Callable[[], AnnotatedSound], ...]


def read_set(text: str, limit: int | None = None) -> MusicSet:
    """Read a set and check it, without loading the recordings.

    Args:
        text: path of a data set or a prepared corpus, optionally with ``:train``, ``:dev`` or ``:test``.
        limit: maximum number of recordings, evenly spaced; None for all.

    Raises:
        DataError: no such set or split, or an invalid one.
        AudioError: audio that cannot be read.
    """
    path, split = Path(text), None
    head, _, tail = text.rpartition(":")
    if head and tail in SPLITS and not path.exists():
        path, split = Path(head), tail
    if not path.exists():
        raise DataError(
            f"--sets {text}: no such folder or file; expected a folder with splits.csv, or a prepared "
            f"corpus, perhaps with :dev or :test after it"
        )
    name = path.resolve().name + (f":{split}" if split else "")
    if (path / MANIFEST).is_file():
        return MusicSet(name, _corpus_loaders(read_corpus(path), split, limit))
    return MusicSet(name, _data_set_loaders(path, split, limit))


def change_tempo(music_set: MusicSet, min_bpm: float, max_bpm: float) -> MusicSet:
    """Change the tempo of each recording to a random value by resampling, which also changes its pitch.

    Recordings that need a larger factor than ``MAX_SPEED_FACTOR`` are left out.

    Args:
        music_set: set of recordings, each of which is loaded here. Rendered pairs are rendered again later,
            to save memory.
        min_bpm: minimum tempo in bpm.
        max_bpm: maximum tempo in bpm. Tempi are uniform in this range, with a fixed seed.

    Raises:
        DataError: no recording is left.
    """
    draw = np.random.default_rng(0)
    loaders: list[Callable[[], AnnotatedSound]] = []
    for load in music_set.sounds:
        target = draw.uniform(min_bpm, max_bpm)
        sound = load()
        times = sound.annotated.times
        if len(times) < 2:
            continue
        speed = float(target * np.median(np.diff(times)) / 60)
        if 1 / MAX_SPEED_FACTOR <= speed <= MAX_SPEED_FACTOR:
            reload = load if isinstance(sound.source, np.ndarray) else partial(_identity, sound)
            loaders.append(partial(_resampled, reload, speed))
    if not loaders:
        raise DataError(
            f"--tempo {min_bpm:g} {max_bpm:g}: no recording of {music_set.name} is within a factor of "
            f"{MAX_SPEED_FACTOR:g} of that; give another range or another set"
        )
    return MusicSet(f"{music_set.name} at {min_bpm:g} to {max_bpm:g} bpm", tuple(loaders))


def _identity(sound: AnnotatedSound) -> AnnotatedSound:
    return sound


def _resampled(load: Callable[[], AnnotatedSound], speed: float) -> AnnotatedSound:
    sound = load()
    resampled = np.asarray(
        soxr.resample(sound.samples(SAMPLE_RATE), SAMPLE_RATE * speed, SAMPLE_RATE), np.float32
    )
    spans = None
    if sound.spans is not None:
        spans = tuple((start / speed, stop / speed) for start, stop in sound.spans)
    beats = Beats(sound.annotated.times / speed, sound.annotated.positions)
    sha256 = hashlib.sha256(resampled.tobytes()).hexdigest()
    return AnnotatedSound(sound.name, sound.piece, beats, spans, resampled, sha256)


def evenly_spaced(items: Sequence[T], limit: int | None) -> list[T]:
    """Select at most ``limit`` items, evenly spaced from the first to the last."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[index] for index in np.linspace(0, len(items) - 1, limit).round().astype(int)]


def _data_set_loaders(
    root: Path, split: str | None, limit: int | None
) -> tuple[Callable[[], AnnotatedSound], ...]:
    rows = list_rows(root)
    if split is not None:
        splits_found = sorted({row.split for row in rows if row.split})
        rows = [row for row in rows if row.split == split]
        if not rows:
            raise DataError(
                f"{root}: has no recordings in the split {split}; found "
                f"{', '.join(splits_found) or 'no column split'}: name one of those, or none for all "
                f"recordings"
            )
    rows = evenly_spaced(rows, limit)
    return tuple(
        partial(_load_recording, recording, row.audio)
        for row, recording in zip(rows, load_recordings(root, rows), strict=True)
    )


def _load_recording(recording: Recording, audio: Path) -> AnnotatedSound:
    return AnnotatedSound(recording.name, recording.piece, recording.beats, None, audio, file_sha256(audio))


def _corpus_loaders(
    corpus: Corpus, split: str | None, limit: int | None
) -> tuple[Callable[[], AnnotatedSound], ...]:
    pairs = [
        pair
        for pair in (corpus.pairs if split is None else corpus.split(split))
        if pair.grid not in EXCLUDED_GRIDS
    ]
    if not pairs:
        raise DataError(
            f"{corpus.folder}: no pair{f' of the split {split}' if split else ''} has an annotated grid; "
            f"name another split or another set"
        )
    groups: dict[str, list[MotionPair]] = {}
    for pair in pairs:
        file = pair.audio_file
        groups.setdefault(pair.name if file is None else file.path, []).append(pair)
    loaders: list[Callable[[], AnnotatedSound]] = []
    for group in evenly_spaced(list(groups.values()), limit):
        audio = group[0].audio_file
        if audio is None:
            loaders.append(partial(_load_rendered_pair, group[0], corpus.folder))
            continue
        if not (corpus.folder / audio.path).is_file():
            raise DataError(f"{corpus.folder / audio.path}: no such file; prepare the corpus again")
        loaders.append(partial(_load_joined_pairs, group, corpus.folder))
    return tuple(loaders)


def _load_rendered_pair(pair: MotionPair, folder: Path) -> AnnotatedSound:
    """Render a constructed pair."""
    loaded = load_pair(pair, folder)
    assert loaded.grid is not None  # see EXCLUDED_GRIDS
    wav = loaded.wav.numpy()
    inside = (loaded.grid.beats >= 0) & (loaded.grid.beats <= len(wav) / SAMPLE_RATE)
    positions = loaded.grid.positions if loaded.grid.downbeat_confidence > 0 else 0 * loaded.grid.positions
    beats = Beats(loaded.grid.beats[inside], positions[inside])
    return AnnotatedSound(pair.name, pair.piece, beats, None, wav, hashlib.sha256(wav.tobytes()).hexdigest())


def _load_joined_pairs(pairs: Sequence[MotionPair], folder: Path) -> AnnotatedSound:
    """Join pairs of one audio file to a recording that is annotated within the pairs."""
    spans = tuple((pair.audio.start, pair.audio.stop) for pair in pairs if pair.audio is not None)
    audio = pairs[0].audio
    assert audio is not None
    path = folder / audio.path
    if (sha256 := file_sha256(path)) != audio.sha256:
        raise DataError(
            f"{path}: changed since the corpus was prepared (sha256 {sha256[:12]}, expected "
            f"{audio.sha256[:12]}); prepare it again"
        )
    name = pairs[0].name if len(pairs) == 1 else audio.path
    return AnnotatedSound(name, pairs[0].piece, joined_beats(pairs, folder), spans, path, sha256)


def joined_beats(pairs: Sequence[MotionPair], folder: Path) -> Beats:
    """Join the beats of pairs of one audio file, in seconds of the file.

    Beats within 70 ms of the previous one are dropped, because neighbouring pairs share a downbeat. Positions
    are all 0 if a pair has no downbeats.
    """
    parts, downbeats_known = [], True
    for pair in pairs:
        _, grid = read_motion(folder / str(pair.motion))
        if grid is None or pair.audio is None:
            raise DataError(f"{folder}: the pair {pair.name!r} has no grid, or no audio; prepare it again")
        inside = (grid.beats >= 0) & (grid.beats <= pair.seconds)
        parts.append(np.stack([grid.beats[inside] + pair.audio.start, grid.positions[inside]]))
        downbeats_known &= grid.downbeat_confidence > 0
    times, positions = np.concatenate(parts, axis=1)
    order = np.argsort(times, kind="stable")
    order = order[np.diff(times[order], prepend=-1.0) > BEAT_TOLERANCE_SECONDS]
    return Beats(
        times[order], positions[order].astype(np.int64) if downbeats_known else np.full(len(order), UNKNOWN)
    )
