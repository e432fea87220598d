"""Loaded pairs at the pipeline's frame rate, kept in memory while there is room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock

from torch import Tensor

from motion_data.loading import LoadedPair, load_pair, read_span, to_common_skeleton
from motion_data.pair import AudioSpan, MotionPair
from motion_data.skeleton import JOINTS
from motionbeat_upstream.config import SAMPLE_RATE

MEGABYTE = 1 << 20


class PairCache:
    """Loads pairs, or has them from before; may be asked by many threads.

    Sound in files is decoded whole and kept if the whole split fits in memory, else a stretch at a time; a
    recording that several pairs share is kept once. Motions, and what is played or lies in shards, are made
    whole and kept while there is room.
    """

    def __init__(
        self, folder: Path, pairs: Sequence[MotionPair] | None, fps: float, memory_megabytes: float
    ) -> None:
        """See above.

        Args:
            folder: of the corpus.
            pairs: those that will be asked for, again and again; None where there are new ones without end.
            fps: frames of motion a second.
            memory_megabytes: room for what is decoded.
        """
        self._folder, self._fps, self._room = folder, fps, memory_megabytes
        self._fits = pairs is not None and _megabytes_of_all(pairs, fps) <= memory_megabytes
        self.decodes_whole = self._fits or (
            pairs is not None and all(pair.audio_file is None for pair in pairs)
        )
        """Whether all sound is decoded or played whole."""
        self._sounds: dict[AudioSpan, Tensor] = {}
        self._kept: OrderedDict[str, LoadedPair] = OrderedDict()
        self._used = 0.0
        self._lock = Lock()

    def load(self, pair: MotionPair) -> LoadedPair:
        """The pair on the common skeleton, at the pipeline's frame rate.

        Raises:
            DataError: files are missing or not what they should be.
            AudioError: sound that cannot be read.
        """
        with self._lock:
            if pair.name in self._kept:
                self._kept.move_to_end(pair.name)
                return self._kept[pair.name]
        file = pair.audio_file
        loaded = load_pair(pair, self._folder, None if file is None else self._sound(file))
        loaded = replace(loaded, motion=to_common_skeleton(loaded.motion, pair.name)).at_rate(self._fps)
        with self._lock:
            if pair.name not in self._kept:  # else another thread was first
                self._kept[pair.name] = loaded
                self._used += _megabytes(loaded)
                while self._used > self._room and not self._fits:
                    self._used -= _megabytes(self._kept.popitem(last=False)[1])
        return loaded

    def _sound(self, span: AudioSpan) -> Tensor | AudioSpan:
        if not self._fits:
            return replace(span, path=str(self._folder / span.path))
        if span not in self._sounds:
            self._sounds[span] = read_span(span, self._folder)
        return self._sounds[span]


def caches_by_split(
    folder: Path, pairs: Mapping[str, Sequence[MotionPair]], fps: float, megabytes: float
) -> dict[str, PairCache]:
    """One cache for each split, with a share of the room (``megabytes``) in proportion to its length."""
    seconds = {split: sum(pair.seconds for pair in of) for split, of in pairs.items()}
    total = sum(seconds.values()) or 1.0
    return {
        split: PairCache(folder, of, fps, megabytes * seconds[split] / total) for split, of in pairs.items()
    }


def _megabytes(loaded: LoadedPair) -> float:
    """What a pair takes in memory."""
    motion = loaded.motion
    size = loaded.sound.numel() * 4 if isinstance(loaded.sound, Tensor) else 0
    size += motion.joints.nbytes + (0 if motion.rotations is None else motion.rotations.nbytes)
    return size / MEGABYTE


def _megabytes_of_all(pairs: Sequence[MotionPair], fps: float) -> float:
    """What pairs will take, each recording once."""
    sounds = {pair.audio_file or pair.name: pair.seconds for pair in pairs}
    motions = 12 * len(JOINTS) * fps * sum(pair.seconds for pair in pairs)
    return (4 * SAMPLE_RATE * sum(sounds.values()) + motions) / MEGABYTE
