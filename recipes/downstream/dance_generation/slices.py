"""Training and test data: the audio of pairs, and slices of their motions on the same time axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from motion_data.body.kinematics import axis_angle_to_matrix
from motion_data.body.rotation_fit import posed_body
from motion_data.errors import DataError
from motion_data.loading import LoadedPair
from motion_data.manifest import Corpus
from motion_data.motion import Motion
from motion_data.pair import MotionPair
from motion_data.pipeline.example import relative_grid
from motion_data.pipeline.pair_cache import PairCache
from motionbeat_upstream.config import SAMPLE_RATE
from recipes.downstream.dance_generation.body_numbers import FPS, BodyNumbers, JointNumbers, RotationNumbers
from recipes.downstream.dance_generation.settings import DataSettings

LAYOUT_PAIRS = 16
"""Number of motions for the layout and the mean body."""


class Slices(NamedTuple):
    """S slices of T frames of the motions of P pairs."""

    owner: Tensor
    """(S,) int64 index of the pair."""
    times: Tensor
    """(S, T) float64 times of the frames in seconds of the pair's audio."""
    numbers: Tensor
    """(S, T, N) body numbers; each slice starts at the origin, facing +z."""


def danceable_pairs(corpus: Corpus, split: str, min_seconds: float) -> list[MotionPair]:
    """The pairs of a split with joints that last at least ``min_seconds``.

    Raises:
        DataError: there are none.
    """
    all_pairs = corpus.split(split)
    pairs = [pair for pair in all_pairs if pair.joints and pair.seconds >= min_seconds + 1 / FPS]
    if not pairs:
        without_joints = sum(not pair.joints for pair in all_pairs)
        raise DataError(
            f"{corpus.folder}: {len(all_pairs)} pairs of {split}, of which {without_joints} have no joints "
            f"(step charts) and {len(all_pairs) - without_joints} last less than {min_seconds:g} s"
        )
    return pairs


def select_layout(cache: PairCache, pairs: Sequence[MotionPair], body: str) -> BodyNumbers:
    """The representation of bodies: ``body``, or rotations if the first pairs have them.

    Raises:
        DataError: ``body`` is rotations, and a pair has none.
    """
    motions = [cache.load(pair).motion for pair in pairs[:LAYOUT_PAIRS]]
    lacking = [pair.name for pair, motion in zip(pairs, motions, strict=False) if motion.rotations is None]
    if body == "joints" or (body == "auto" and lacking):
        return JointNumbers()
    if lacking:
        raise DataError(f"{lacking[0]}: its motion has no rotations; set datarc.body to joints")
    rests = [posed_body(motion).rest for motion in motions]
    return RotationNumbers(torch.from_numpy(np.mean(rests, axis=0)))


class TrainSlices(Dataset[tuple[list[Tensor], list[Slices]]]):
    """The batches of an epoch, in random order of the pairs, which have 30 frames per second."""

    def __init__(
        self,
        cache: PairCache,
        pairs: Sequence[MotionPair],
        numbers: BodyNumbers,
        settings: DataSettings,
        seed: int,
        epoch: int,
    ) -> None:
        self._cache, self._pairs, self._numbers, self._settings = cache, pairs, numbers, settings
        self._key = (seed, epoch)
        order = np.random.default_rng([seed, epoch]).permutation(len(pairs))
        count = max(1, len(pairs) // settings.pairs_a_step)
        self._steps = [part.tolist() for part in np.array_split(order, count)]

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, index: int) -> tuple[list[Tensor], list[Slices]]:
        rng = np.random.default_rng([*self._key, index])
        pairs = [self._cache.load(self._pairs[number]) for number in self._steps[index]]
        parts = [
            cut_slices(pair, self._numbers, self._settings, rng, owner) for owner, pair in enumerate(pairs)
        ]
        return [wav for wav, _ in parts], [join([slices for _, slices in parts])]


class EvalPieces(Dataset[tuple[list[Tensor], list[LoadedPair]]]):
    """Batches of whole pairs at 30 frames per second."""

    def __init__(
        self, cache: PairCache, pairs: Sequence[MotionPair], longest_seconds: float, batch_size: int
    ) -> None:
        self._cache, self._longest = cache, longest_seconds
        self._batches = [pairs[first : first + batch_size] for first in range(0, len(pairs), batch_size)]

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[list[Tensor], list[LoadedPair]]:
        pieces = [cut_piece(self._cache.load(pair), self._longest) for pair in self._batches[index]]
        return [piece.wav for piece in pieces], pieces


def cut_slices(
    loaded: LoadedPair, numbers: BodyNumbers, settings: DataSettings, rng: np.random.Generator, owner: int
) -> tuple[Tensor, Slices]:
    """The audio of a pair at 30 frames per second, and random slices of its motion with index ``owner``.

    Raises:
        DataError, AudioError: the pair cannot be used.
    """
    low, high = loaded.overlap
    begin = loaded.motion.start
    if high - low > settings.longest_seconds:
        low += rng.random() * (high - low - settings.longest_seconds)
        high = low + settings.longest_seconds
    if isinstance(numbers, RotationNumbers) and loaded.motion.rotations is None:
        raise DataError(
            f"{loaded.pair.name}: its motion has no rotations, as the first {LAYOUT_PAIRS} of the corpus "
            f"have; set datarc.body to joints"
        )
    first = max(0, int(np.ceil((low - begin) * FPS - 1e-6)))
    frames, stride = round(settings.slice_seconds * FPS), round(settings.stride_seconds * FPS)
    last = int((high - begin) * FPS + 1e-6) - frames
    if last < first:
        raise DataError(
            f"{loaded.pair.name}: audio and motion overlap by {max(0.0, high - low):.2f} s; expected at "
            f"least {settings.slice_seconds:g} s (datarc.slice_seconds)"
        )
    firsts = first + stride * rng.integers((last - first) // stride + 1, size=settings.slices_a_pair)
    first_sample = round(low * SAMPLE_RATE)
    wav = loaded.samples(first_sample, round(high * SAMPLE_RATE))
    index = firsts[:, None] + np.arange(frames)
    times = begin + index / FPS - first_sample / SAMPLE_RATE
    return wav, Slices(
        torch.full((len(firsts),), owner),
        torch.from_numpy(times),
        encode_motion(loaded.motion, numbers, index),
    )


def encode_motion(motion: Motion, numbers: BodyNumbers, index: NDArray[np.int64]) -> Tensor:
    """(S, T, N) body numbers of (S, T) frames of a motion; each slice starts at the origin."""
    rotations = None
    if motion.rotations is not None and isinstance(numbers, RotationNumbers):
        rotations = torch.from_numpy(axis_angle_to_matrix(motion.rotations[index])).float()
    encoded = numbers.encode(torch.from_numpy(motion.joints[index]), rotations)
    return numbers.move(encoded, numbers.placement(encoded), to_origin=True)


def cut_piece(loaded: LoadedPair, longest_seconds: float) -> LoadedPair:
    """The overlap of audio and motion of a pair at 30 frames per second, at most ``longest_seconds``.

    Raises:
        DataError, AudioError: the pair cannot be used.
    """
    low, high = loaded.overlap
    high = min(high, low + longest_seconds)
    wav = loaded.samples(round(low * SAMPLE_RATE), round(high * SAMPLE_RATE))
    motion = loaded.motion.between(low, high)
    # Frames within the audio.
    first = max(0, int(np.ceil(-motion.start * FPS - 1e-6)))
    last = int((high - low - motion.start) * FPS + 1e-6)
    inside = replace(
        motion, joints=motion.joints[first:last], start=motion.start + first / FPS, rotations=None
    )
    grid = None if loaded.grid is None else relative_grid(loaded.grid, low, high)
    return LoadedPair(loaded.pair, wav, inside, grid)


def join(parts: Sequence[Slices]) -> Slices:
    """Concatenate slices."""
    return Slices(*map(torch.cat, zip(*parts, strict=True)))
