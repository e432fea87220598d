"""Pairs in tars of WebDataset's layout: what of a pair stands in a tar, and how it is read back.

A pair is three members of one number: its manifest's line in ``000012.json``; motion, grid and labels in
``000012.npz``; the sound in ``000012.flac``, or in ``000012.wav`` as float32 where FLAC would not give the
same samples. The manifest beside the tars says which bytes of which tar they are, so any pair is read alone,
by one request: the plan of an epoch, its resuming and its sharing among ranks are those of every corpus.
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
"""From one value of 24-bit FLAC to the next, where full scale is 1."""


@dataclass(frozen=True)
class ShardContent:
    """What a pair's members hold; all times are seconds from the pair's start."""

    sound: Tensor
    """(T,) float32 at 16 kHz."""
    motion: Motion
    grid: Grid | None
    """None where the corpus knows no beats."""
    labels: Labels


def to_members(content: ShardContent, lossy: bool = False) -> dict[str, bytes]:
    """A pair's members by suffix: npz, and flac or wav.

    Args:
        content: of the pair.
        lossy: whether FLAC may move a sample by up to 2⁻²³; otherwise it is used where each is the same.
    """
    import soundfile
    from scipy.io import wavfile

    packed, coded = io.BytesIO(), io.BytesIO()
    np.savez(packed, **to_arrays(content.motion, content.grid, content.labels))
    wav = content.sound.numpy()
    soundfile.write(coded, wav, SAMPLE_RATE, format="FLAC", subtype="PCM_24")
    error = np.abs(_decode_sound(coded.getvalue()) - wav).max(initial=0.0)
    if error <= (FLAC_STEP if lossy else 0.0):
        return {"npz": packed.getvalue(), "flac": coded.getvalue()}
    # Not soundfile, which writes the time of day into a float WAV: the same pairs would give other shards.
    plain = io.BytesIO()
    wavfile.write(plain, SAMPLE_RATE, wav)
    return {"npz": packed.getvalue(), "wav": plain.getvalue()}


def read_shard(span: ShardSpan) -> ShardContent:
    """Read a pair.

    Args:
        span: with the whole path of the tar, or its URL.

    Raises:
        ShardError: the tar cannot be read, or holds other bytes than were written.
    """
    with stage("audio"):
        try:
            found = read_range(span.path, span.start, span.stop)
        except (OSError, DataError) as error:
            raise ShardError(str(error)) from error
        if (sha256 := hashlib.sha256(found).hexdigest()) != span.sha256:
            raise ShardError(
                f"{span.path}: the bytes from {span.start} to {span.stop} are not those that were "
                f"written ({len(found)} bytes, sha256 {sha256[:12]}, expected {span.sha256[:12]}); copy the "
                f"shard again, or write the shards again"
            )
        # A stretch of whole members is a tar itself.
        with tarfile.open(fileobj=io.BytesIO(found)) as tar:
            members = {member.name.partition(".")[2]: _content(tar, member) for member in tar}
    return from_members(members)


def from_members(members: Mapping[str, bytes]) -> ShardContent:
    """What :func:`to_members` was given."""
    with stage("audio"):
        sound = torch.from_numpy(_decode_sound(members.get("flac") or members["wav"]))
    with stage("motion"), np.load(io.BytesIO(members["npz"]), allow_pickle=False) as file:
        return ShardContent(sound, *from_arrays(dict(file)))


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None  # what is written are files
    return file.read()


def _decode_sound(sound: bytes) -> NDArray[np.float32]:
    import soundfile

    wav: NDArray[np.float32]
    wav, _ = soundfile.read(io.BytesIO(sound), dtype="float32")
    return wav
