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
from recipes.downstream.beat_tracking.dataset import Recording, listed_in, load_recordings

T = TypeVar("T")

LARGEST_CHANGE = 1.9
"""Largest factor by which a recording is played faster or slower; beyond it, it hardly sounds like music."""

SAME_BEAT = 0.07
"""Seconds within which beats of neighbouring pairs are one, and by which estimates may be outside a pair."""

NOT_TO_COMPARE_WITH = ("none", NO_BEATS, "estimated")
"""Sources of grids that are no annotation, or of none: an estimate from the audio would be compared with
estimates."""


@dataclass(frozen=True)
class AnnotatedSound:
    """A recording with its annotated beats."""

    name: str
    """Unique in its set."""
    piece: str
    """Intervals are over pieces; a piece may have several recordings."""
    annotated: Beats
    """Positions are all 0 where downbeats are not known."""
    spans: tuple[tuple[float, float], ...] | None
    """Start and stop in seconds of what is annotated; None for all of it."""
    source: Path | NDArray[np.float32]
    """An audio file, or (T,) samples at 16 kHz."""
    sha256: str
    """Of the file, or of the samples."""

    def samples(self, rate: int) -> NDArray[np.float32]:
        """(T,) mean of the channels at ``rate`` Hz; at 16 kHz as ``motionbeat beats`` reads it."""
        if isinstance(self.source, Path):
            if rate == SAMPLE_RATE:
                return read_audio(self.source).numpy()
            sound, own_rate = read_sound(self.source)
            mono = sound.mean(axis=1)
        else:
            mono, own_rate = self.source, SAMPLE_RATE
        return mono if own_rate == rate else np.asarray(soxr.resample(mono, own_rate, rate), np.float32)

    def scored(self, beats: Beats) -> Beats:
        """Those of some beats that lie in what is annotated, or within 70 ms of it."""
        if self.spans is None:
            return beats
        start, stop = np.array(self.spans).T
        times = beats.times[:, None]
        inside = ((times >= start - SAME_BEAT) & (times <= stop + SAME_BEAT)).any(axis=1)
        return Beats(beats.times[inside], beats.positions[inside])


@dataclass(frozen=True)
class MusicSet:
    """A set of recordings; each is loaded when it is called for."""

    name: str
    sounds: tuple[Callable[[], AnnotatedSound], ...]


def read_set(text: str, limit: int | None = None) -> MusicSet:
    """The recordings of a set, checked but not loaded.

    Args:
        text: path of a data set or a prepared corpus, perhaps with ``:train``, ``:dev`` or ``:test``.
        limit: most recordings, taken evenly from all, always the same; None for all.

    Raises:
        DataError: no such set or split, or what is wrong in it.
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
        return MusicSet(name, _of_corpus(read_corpus(path), split, limit))
    return MusicSet(name, _of_data_set(path, split, limit))


def played_at(one: MusicSet, slowest: float, fastest: float) -> MusicSet:
    """A set, each recording played at a tempo between two others, so that its pitch changes as well.

    Recordings that would need a larger factor than ``LARGEST_CHANGE`` are left out.

    Args:
        one: the set; each of its recordings is loaded here. A pair that is rendered is rendered again when it
            is called for, so that memory does not hold the sound of all.
        slowest: lowest tempo in bpm.
        fastest: highest tempo in bpm. Tempi are drawn evenly from this range, always the same ones.

    Raises:
        DataError: no recording is left.
    """
    draw = np.random.default_rng(0)
    loaders: list[Callable[[], AnnotatedSound]] = []
    for load in one.sounds:
        target = draw.uniform(slowest, fastest)
        sound = load()
        times = sound.annotated.times
        if len(times) < 2:
            continue
        speed = float(target * np.median(np.diff(times)) / 60)
        if 1 / LARGEST_CHANGE <= speed <= LARGEST_CHANGE:
            again = load if isinstance(sound.source, np.ndarray) else partial(_itself, sound)
            loaders.append(partial(_at_speed, again, speed))
    if not loaders:
        raise DataError(
            f"--tempo {slowest:g} {fastest:g}: no recording of {one.name} is within a factor of "
            f"{LARGEST_CHANGE:g} of that; give another range or another set"
        )
    return MusicSet(f"{one.name} at {slowest:g} to {fastest:g} bpm", tuple(loaders))


def _itself(sound: AnnotatedSound) -> AnnotatedSound:
    return sound


def _at_speed(load: Callable[[], AnnotatedSound], speed: float) -> AnnotatedSound:
    sound = load()
    played = np.asarray(
        soxr.resample(sound.samples(SAMPLE_RATE), SAMPLE_RATE * speed, SAMPLE_RATE), np.float32
    )
    spans = None
    if sound.spans is not None:
        spans = tuple((start / speed, stop / speed) for start, stop in sound.spans)
    beats = Beats(sound.annotated.times / speed, sound.annotated.positions)
    sha256 = hashlib.sha256(played.tobytes()).hexdigest()
    return AnnotatedSound(sound.name, sound.piece, beats, spans, played, sha256)


def spread(items: Sequence[T], limit: int | None) -> list[T]:
    """At most ``limit`` of some items, evenly spread from the first to the last."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[place] for place in np.linspace(0, len(items) - 1, limit).round().astype(int)]


def _of_data_set(
    root: Path, split: str | None, limit: int | None
) -> tuple[Callable[[], AnnotatedSound], ...]:
    rows = listed_in(root)
    if split is not None:
        found = sorted({row.split for row in rows if row.split})
        rows = [row for row in rows if row.split == split]
        if not rows:
            raise DataError(
                f"{root}: has no recordings in the split {split}; found "
                f"{', '.join(found) or 'no column split'}: name one of those, or none for all recordings"
            )
    rows = spread(rows, limit)
    return tuple(
        partial(_of_recording, recording, row.audio)
        for row, recording in zip(rows, load_recordings(root, rows), strict=True)
    )


def _of_recording(recording: Recording, audio: Path) -> AnnotatedSound:
    return AnnotatedSound(recording.name, recording.piece, recording.beats, None, audio, file_sha256(audio))


def _of_corpus(
    corpus: Corpus, split: str | None, limit: int | None
) -> tuple[Callable[[], AnnotatedSound], ...]:
    pairs = [
        pair
        for pair in (corpus.pairs if split is None else corpus.split(split))
        if pair.grid not in NOT_TO_COMPARE_WITH
    ]
    if not pairs:
        raise DataError(
            f"{corpus.folder}: no pair{f' of the split {split}' if split else ''} has an annotated grid; "
            f"name another split or another set"
        )
    joined: dict[str, list[MotionPair]] = {}
    for pair in pairs:
        file = pair.audio_file
        joined.setdefault(pair.name if file is None else file.path, []).append(pair)
    loaders: list[Callable[[], AnnotatedSound]] = []
    for group in spread(list(joined.values()), limit):
        audio = group[0].audio_file
        if audio is None:
            loaders.append(partial(_of_played_pair, group[0], corpus.folder))
            continue
        if not (corpus.folder / audio.path).is_file():
            raise DataError(f"{corpus.folder / audio.path}: no such file; prepare the corpus again")
        loaders.append(partial(_of_pairs, group, corpus.folder))
    return tuple(loaders)


def _of_played_pair(pair: MotionPair, folder: Path) -> AnnotatedSound:
    """A constructed pair, which is played."""
    loaded = load_pair(pair, folder)
    assert loaded.grid is not None  # pairs without are left out
    wav = loaded.wav.numpy()
    inside = (loaded.grid.beats >= 0) & (loaded.grid.beats <= len(wav) / SAMPLE_RATE)
    positions = loaded.grid.positions if loaded.grid.downbeat_confidence > 0 else 0 * loaded.grid.positions
    beats = Beats(loaded.grid.beats[inside], positions[inside])
    return AnnotatedSound(pair.name, pair.piece, beats, None, wav, hashlib.sha256(wav.tobytes()).hexdigest())


def _of_pairs(pairs: Sequence[MotionPair], folder: Path) -> AnnotatedSound:
    """The audio file of some pairs, annotated where they are."""
    spans = tuple((pair.audio.start, pair.audio.stop) for pair in pairs if pair.audio is not None)
    audio = pairs[0].audio
    assert audio is not None
    path = folder / audio.path
    if (found := file_sha256(path)) != audio.sha256:
        raise DataError(
            f"{path}: changed since the corpus was prepared (sha256 {found[:12]}, expected "
            f"{audio.sha256[:12]}); prepare it again"
        )
    name = pairs[0].name if len(pairs) == 1 else audio.path
    return AnnotatedSound(name, pairs[0].piece, joined_beats(pairs, folder), spans, path, found)


def joined_beats(pairs: Sequence[MotionPair], folder: Path) -> Beats:
    """The beats of pairs of one audio file, on the file's clock.

    Beats within 70 ms of the one before are the same: neighbouring pairs share the downbeat between them.
    Positions are all 0 where one of the pairs does not know its downbeats.
    """
    parts, known = [], True
    for pair in pairs:
        _, grid = read_motion(folder / str(pair.motion))
        if grid is None or pair.audio is None:
            raise DataError(f"{folder}: the pair {pair.name!r} has no grid, or no audio; prepare it again")
        inside = (grid.beats >= 0) & (grid.beats <= pair.seconds)
        parts.append(np.stack([grid.beats[inside] + pair.audio.start, grid.positions[inside]]))
        known &= grid.downbeat_confidence > 0
    times, positions = np.concatenate(parts, axis=1)
    order = np.argsort(times, kind="stable")
    order = order[np.diff(times[order], prepend=-1.0) > SAME_BEAT]
    return Beats(times[order], positions[order].astype(np.int64) if known else np.full(len(order), UNKNOWN))
