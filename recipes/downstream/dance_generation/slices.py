"""Pairs as they are danced: the sound of each heard whole, and slices of its motion on the same clock."""

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

BODIES_LOOKED_AT = 16
"""Motions whose mean body is the one that rotations turn."""


class Slices(NamedTuple):
    """Of P pairs whose sound is heard, S slices of T frames."""

    owner: Tensor
    """(S,) int64: of the P pairs."""
    times: Tensor
    """(S, T) float64 seconds of the pair's sound at which the frames stand."""
    numbers: Tensor
    """(S, T, N) each beginning at the origin, facing +z."""


def with_joints(corpus: Corpus, split: str, least_seconds: float) -> list[MotionPair]:
    """The pairs of a split that a body dances in, and that are long enough.

    Raises:
        DataError: there is none.
    """
    found = corpus.split(split)
    kept = [pair for pair in found if pair.joints and pair.seconds >= least_seconds + 1 / FPS]
    if not kept:
        bodiless = sum(not pair.joints for pair in found)
        raise DataError(
            f"{corpus.folder}: {len(found)} pairs of {split}, of which {bodiless} have no joints (step "
            f"charts) and {len(found) - bodiless} last less than {least_seconds:g} s; a dance needs both"
        )
    return kept


def numbers_for(cache: PairCache, pairs: Sequence[MotionPair], body: str) -> BodyNumbers:
    """The layout of bodies: rotations where all of some pairs have them, or what is asked for.

    Raises:
        DataError: rotations are asked for, and a pair has none.
    """
    motions = [cache.load(pair).motion for pair in pairs[:BODIES_LOOKED_AT]]
    lacking = [pair.name for pair, of in zip(pairs, motions, strict=False) if of.rotations is None]
    if body == "joints" or (body == "auto" and lacking):
        return JointNumbers()
    if lacking:
        raise DataError(f"{lacking[0]}: its motion has no rotations; set datarc.body to joints")
    rests = [posed_body(motion).rest for motion in motions]
    return RotationNumbers(torch.from_numpy(np.mean(rests, axis=0)))


class TrainSlices(Dataset[tuple[list[Tensor], list[Slices]]]):
    """The steps of an epoch; pairs, at 30 frames a second, are dealt anew in each."""

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
        pairs = [self._cache.load(self._pairs[place]) for place in self._steps[index]]
        cut = [
            cut_slices(pair, self._numbers, self._settings, rng, owner) for owner, pair in enumerate(pairs)
        ]
        return [wav for wav, _ in cut], [join([slices for _, slices in cut])]


class EvalPieces(Dataset[tuple[list[Tensor], list[LoadedPair]]]):
    """Pairs, at 30 frames a second, from their beginning; ``batch_size`` at a time."""

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
    """The sound of a pair, at 30 frames a second, and random slices of its motion, marked with ``owner``.

    Raises:
        DataError, AudioError: what is wrong with the pair.
    """
    low, high = loaded.overlap
    begin = loaded.motion.start
    if high - low > settings.longest_seconds:
        low += rng.random() * (high - low - settings.longest_seconds)
        high = low + settings.longest_seconds
    if isinstance(numbers, RotationNumbers) and loaded.motion.rotations is None:
        raise DataError(
            f"{loaded.pair.name}: its motion has no rotations, as the first {BODIES_LOOKED_AT} of the corpus "
            f"have; set datarc.body to joints"
        )
    first = max(0, int(np.ceil((low - begin) * FPS - 1e-6)))
    frames, stride = round(settings.slice_seconds * FPS), round(settings.stride_seconds * FPS)
    last = int((high - begin) * FPS + 1e-6) - frames
    if last < first:
        raise DataError(
            f"{loaded.pair.name}: sound and motion share {max(0.0, high - low):.2f} s; a slice takes "
            f"{settings.slice_seconds:g} s (datarc.slice_seconds)"
        )
    firsts = first + stride * rng.integers((last - first) // stride + 1, size=settings.slices_a_pair)
    sound = round(low * SAMPLE_RATE)
    wav = loaded.samples(sound, round(high * SAMPLE_RATE))
    index = firsts[:, None] + np.arange(frames)
    times = begin + index / FPS - sound / SAMPLE_RATE
    return wav, Slices(
        torch.full((len(firsts),), owner),
        torch.from_numpy(times),
        encode_motion(loaded.motion, numbers, index),
    )


def encode_motion(motion: Motion, numbers: BodyNumbers, index: NDArray[np.int64]) -> Tensor:
    """(S, T, N) of the (S, T) frames of a motion, each slice beginning at the origin."""
    rotations = None
    if motion.rotations is not None and isinstance(numbers, RotationNumbers):
        rotations = torch.from_numpy(axis_angle_to_matrix(motion.rotations[index])).float()
    whole = numbers.encode(torch.from_numpy(motion.joints[index]), rotations)
    return numbers.moved(whole, numbers.place(whole), to_origin=True)


def cut_piece(loaded: LoadedPair, longest_seconds: float) -> LoadedPair:
    """A pair, at 30 frames a second, from where both sound and motion are there, to be danced whole.

    Raises:
        DataError, AudioError: what is wrong with the pair.
    """
    low, high = loaded.overlap
    high = min(high, low + longest_seconds)
    wav = loaded.samples(round(low * SAMPLE_RATE), round(high * SAMPLE_RATE))
    motion = loaded.motion.between(low, high)
    # Frames from the first one within the sound to the last one that ends within it.
    first = max(0, int(np.ceil(-motion.start * FPS - 1e-6)))
    last = int((high - low - motion.start) * FPS + 1e-6)
    inside = replace(
        motion, joints=motion.joints[first:last], start=motion.start + first / FPS, rotations=None
    )
    grid = None if loaded.grid is None else relative_grid(loaded.grid, low, high)
    return LoadedPair(loaded.pair, wav, inside, grid)


def join(parts: Sequence[Slices]) -> Slices:
    """Slices of several pairs as one."""
    return Slices(*map(torch.cat, zip(*parts, strict=True)))
