"""A cache of loaded pairs at the pipeline's frame rate."""

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
    """Loads pairs and keeps them in memory; thread-safe.

    If a whole split of files fits in memory, its sound is decoded completely and kept, once for a recording
    that several pairs share. Otherwise it is read clip by clip. Motions, and the sound of rendered pairs and
    shards, are always loaded completely, and the least recently used are dropped.
    """

    def __init__(
        self, folder: Path, pairs: Sequence[MotionPair] | None, fps: float, memory_megabytes: float
    ) -> None:
        """Create an empty cache.

        Args:
            folder: folder of the corpus.
            pairs: pairs that will be loaded repeatedly; None for an endless source.
            fps: frame rate of motions.
            memory_megabytes: memory for decoded data.
        """
        self._folder, self._fps, self._memory_megabytes = folder, fps, memory_megabytes
        self._fits = pairs is not None and _megabytes_of_all(pairs, fps) <= memory_megabytes
        self.decodes_whole = self._fits or (
            pairs is not None and all(pair.audio_file is None for pair in pairs)
        )
        """Whether all sound is decoded or rendered completely."""
        self._sounds: dict[AudioSpan, Tensor] = {}
        self._pairs: OrderedDict[str, LoadedPair] = OrderedDict()
        self._used_megabytes = 0.0
        self._lock = Lock()

    def load(self, pair: MotionPair) -> LoadedPair:
        """Return the pair on the common skeleton, at the pipeline's frame rate.

        Raises:
            DataError: files are missing, damaged or changed.
            AudioError: the sound cannot be read.
        """
        with self._lock:
            if pair.name in self._pairs:
                self._pairs.move_to_end(pair.name)
                return self._pairs[pair.name]
        file = pair.audio_file
        loaded = load_pair(pair, self._folder, None if file is None else self._sound(file))
        loaded = replace(loaded, motion=to_common_skeleton(loaded.motion, pair.name)).at_rate(self._fps)
        with self._lock:
            if pair.name not in self._pairs:  # else another thread was first
                self._pairs[pair.name] = loaded
                self._used_megabytes += _megabytes(loaded)
                while self._used_megabytes > self._memory_megabytes and not self._fits:
                    self._used_megabytes -= _megabytes(self._pairs.popitem(last=False)[1])
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
    """Create a cache for each split; each gets a share of ``megabytes`` in proportion to its length."""
    seconds = {split: sum(pair.seconds for pair in split_pairs) for split, split_pairs in pairs.items()}
    total = sum(seconds.values()) or 1.0
    return {
        split: PairCache(folder, split_pairs, fps, megabytes * seconds[split] / total)
        for split, split_pairs in pairs.items()
    }


def _megabytes(loaded: LoadedPair) -> float:
    """Memory of a loaded pair."""
    motion = loaded.motion
    size = loaded.sound.numel() * 4 if isinstance(loaded.sound, Tensor) else 0
    size += motion.joints.nbytes + (0 if motion.rotations is None else motion.rotations.nbytes)
    return size / MEGABYTE


def _megabytes_of_all(pairs: Sequence[MotionPair], fps: float) -> float:
    """Expected memory of all pairs, with each recording counted once."""
    sounds = {pair.audio_file or pair.name: pair.seconds for pair in pairs}
    motions = 12 * len(JOINTS) * fps * sum(pair.seconds for pair in pairs)
    return (4 * SAMPLE_RATE * sum(sounds.values()) + motions) / MEGABYTE
