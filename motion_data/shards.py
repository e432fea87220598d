"""Pairs in tars of WebDataset's layout: conversion to and from the members of a tar.

A pair has three members: its manifest line in ``000012.json``; motion, grid and labels in ``000012.npz``; the
sound in ``000012.flac``, or in ``000012.wav`` as float32 if FLAC would change samples. The manifest next to
the tars contains the byte range of each pair, so a pair is read by one request. Planning, resuming and
sharing among ranks work as for every corpus.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motion_data.errors import DataError, ShardError
from motion_data.labels import Labels
from motion_data.motion import Motion
from motion_data.motion_file import from_arrays, to_arrays
from motion_data.pair import ShardSpan
from motion_data.stages import stage
from motion_data.storage import read_range
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.tracking.grid import Grid

FLAC_STEP = 2.0**-23
"""Quantisation step of 24-bit FLAC; full scale is 1."""


@dataclass(frozen=True)
class ShardContent:
    """Content of a pair's members; all times are seconds from the pair's start."""

    sound: Tensor
    """(T,) float32 at 16 kHz."""
    motion: Motion
    grid: Grid | None
    """None if there are no known beats."""
    labels: Labels


def to_members(content: ShardContent, lossy: bool = False) -> dict[str, bytes]:
    """Convert a pair to its members by suffix: npz, and flac or wav.

    Args:
        content: data of the pair.
        lossy: whether FLAC may change a sample by up to 2⁻²³; otherwise FLAC is used only if it is exact.
    """
    import soundfile
    from scipy.io import wavfile

    npz, flac = io.BytesIO(), io.BytesIO()
    np.savez(npz, **to_arrays(content.motion, content.grid, content.labels))
    samples = content.sound.numpy()
    soundfile.write(flac, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_24")
    error = np.abs(_decode_sound(flac.getvalue()) - samples).max(initial=0.0)
    if error <= (FLAC_STEP if lossy else 0.0):
        return {"npz": npz.getvalue(), "flac": flac.getvalue()}
    # soundfile writes the current time into a float WAV, so shards would not be reproducible.
    wav = io.BytesIO()
    wavfile.write(wav, SAMPLE_RATE, samples)
    return {"npz": npz.getvalue(), "wav": wav.getvalue()}


def read_shard(span: ShardSpan) -> ShardContent:
    """Read a pair.

    Args:
        span: byte range, with the full path or URL of the tar.

    Raises:
        ShardError: the tar cannot be read, or its bytes have changed.
    """
    with stage("audio"):
        try:
            data = read_range(span.path, span.start, span.stop)
        except (OSError, DataError) as error:
            raise ShardError(str(error)) from error
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 != span.sha256:
            raise ShardError(
                f"{span.path}: the bytes from {span.start} to {span.stop} are not those that were "
                f"written ({len(data)} bytes, sha256 {sha256[:12]}, expected {span.sha256[:12]}); copy the "
                f"shard again, or write the shards again"
            )
        # A range of complete members is a tar itself.
        members = {}
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                members[member.name.partition(".")[2]] = file.read()
    return from_members(members)


def from_members(members: Mapping[str, bytes]) -> ShardContent:
    """Convert the members of :func:`to_members` back."""
    with stage("audio"):
        sound = torch.from_numpy(_decode_sound(members.get("flac") or members["wav"]))
    with stage("motion"), np.load(io.BytesIO(members["npz"]), allow_pickle=False) as file:
        return ShardContent(sound, *from_arrays(dict(file)))


def _decode_sound(data: bytes) -> NDArray[np.float32]:
    import soundfile

    samples: NDArray[np.float32]
    samples, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    return samples
