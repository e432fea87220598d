"""An audio file and a motion file become a pair: overlap, length, pulses, grid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.beats_file import UNKNOWN, read_beats
from motion_data.body.normalisation import NormalisedMotion, normalise
from motion_data.corpora.motion_source import MotionSource, read_source
from motion_data.errors import DataError
from motion_data.files import file_sha256
from motion_data.motion import Motion
from motion_data.pair import AudioSpan, MotionPair
from motion_data.preparation import PreparedPair, check_lengths, motion_fields
from motion_data.rhythm.contacts import contact_pulses
from motion_data.skeleton import FEET, INDEX, JOINTS
from motionbeat_upstream.audio import read_audio
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.tracking.beat_estimation import estimate_grid
from motionbeat_upstream.tracking.grid import Grid

SEATED = 0.8
"""Median of how far the hips are above the lower knee, as a share of a thigh's length, below which a body
sits or lies, and its hands make the rhythm: a thigh 37 degrees off the plumb line [O]. The dancers at hand
have 0.93 and more, the pianist 0.67."""

LIMBS = ("feet", "hands")


@dataclass(frozen=True)
class PairedFiles:
    """Two files, and what the user says of them."""

    name: str
    """Of the pair; fit for a file name."""
    corpus: str
    audio: Path
    motion: str
    """Path of the motion; ``file.npz#array`` chooses an array."""
    piece: str
    take: str
    split: str
    licence: str
    offset: float | None = None
    """Seconds from the motion's first frame to the audio's beginning, negative where the audio is first;
    None takes what the motion's file says, or 0."""
    beats: Path | None = None
    """``.beats`` of the audio file; None: estimated from the sound."""
    fps: float | None = None
    unit: str | None = None
    up: str | None = None
    limbs: str | None = None
    """One of ``LIMBS``, to take pulses from; None: hands where feet are out of view or the body sits."""


def as_motion(
    source: MotionSource, unit: str | None = None, up: str | None = None
) -> tuple[Motion, NormalisedMotion]:
    """A source's motion on the common skeleton, frame 0 at the seconds it has in its file.

    Raises:
        DataError: what :func:`~motion_data.body.normalisation.normalise` refuses.
    """
    body = normalise(source.names, source.joints, source.fps, unit, up)
    pulses = _pulses(body, _limbs(source, body)[0], source.start)
    return Motion(body.fps, JOINTS, body.joints, source.start, pulses=pulses), body


def make_pair(files: PairedFiles) -> PreparedPair:
    """Read both files and lay them over each other; the pair is what they share.

    Where no beats are given they are estimated from the sound, and the pair's ``grid`` is ``estimated``.

    Raises:
        DataError: a motion that cannot be used, lengths that differ by more than 5 %, no overlap, or beats
            that are no grid.
        AudioError: audio that cannot be read.
    """
    source = read_source(files.motion, files.fps, files.offset)
    wav = read_audio(files.audio)
    audio_seconds = len(wav) / SAMPLE_RATE
    try:
        body = normalise(source.names, source.joints, source.fps, files.unit, files.up)
    except DataError as error:
        raise DataError(f"{files.motion}: {error}") from error
    offset = files.offset if files.offset is not None else (source.offset or 0.0)
    ends = source.start + len(source.joints) / source.fps
    beyond, before = max(offset, 0.0), max(-offset, 0.0)
    if beyond >= ends or before >= audio_seconds:
        raise DataError(
            f"{files.motion}: with the audio beginning {offset:g} s after the motion, {ends:.2f} s of motion "
            f"and {audio_seconds:.2f} s of audio do not meet; correct the offset"
        )
    check_lengths(files.motion, ends - beyond, audio_seconds - before)
    # Seconds of the audio file that the motion covers.
    begin, stop = max(source.start - offset, 0.0), min(ends - offset, audio_seconds)
    limbs, why = _limbs(source, body, files.limbs)
    motion = _cut(files.motion, body, limbs, source.start - offset - begin, stop - begin)
    if files.beats is None:
        grid = estimate_grid(wav[round(begin * SAMPLE_RATE) : round(stop * SAMPLE_RATE)])
    else:
        grid = _grid(files.beats, begin, stop)
    known = grid if grid.confidence > 0 else None
    pair = MotionPair(
        name=files.name,
        corpus=files.corpus,
        piece=files.piece,
        take=files.take,
        split=files.split,
        licence=files.licence,
        seconds=stop - begin,
        **motion_fields(motion, known, "estimated" if files.beats is None else "annotated"),
        audio=AudioSpan(str(files.audio.resolve()), begin, stop, file_sha256(files.audio)),
        provenance={
            "motion": files.motion,
            "source_joints": len(source.names),
            **body.facts,
            "rest_frames_dropped": source.dropped,
            "offset": offset,
            "limbs": why,
            "grid_confidence": grid.confidence,
        },
    )
    return pair, motion, known


def _cut(place: str, body: NormalisedMotion, limbs: Sequence[str], start: float, seconds: float) -> Motion:
    """The frames that lie within the pair, frame 0 standing at ``start`` on its clock, and the pulses."""
    # Pulses come from the whole motion: a cut makes no touch-down.
    whole = Motion(body.fps, JOINTS, body.joints, start, pulses=_pulses(body, limbs, start))
    try:
        return whole.between(0.0, seconds)
    except DataError as error:
        raise DataError(f"{place}: {error}") from error


def _pulses(body: NormalisedMotion, names: Sequence[str], start: float) -> dict[str, NDArray[np.float64]]:
    return contact_pulses(body.joints[:, [INDEX[name] for name in names]], names, body.fps, start)


def _limbs(
    source: MotionSource, body: NormalisedMotion, given: str | None = None
) -> tuple[tuple[str, ...], str]:
    """The joints that pulses are taken from, which limbs those are, and why."""
    hands = tuple(name for name in JOINTS if not any(name in foot for foot in FEET.values()))
    if given is not None:
        return (hands if given == "hands" else JOINTS), f"{given}: given"
    if not source.feet_in_view:
        return hands, "hands: the feet are out of view"
    share = hips_above_knees(body.joints)
    limbs, pose = (hands, "hands: the body sits") if share < SEATED else (JOINTS, "feet: the body stands")
    return limbs, f"{pose}, its hips {share:.2f} of a thigh above the lower knee"


def hips_above_knees(joints: NDArray[np.floating[Any]]) -> float:
    """Median of how far the hips of (T, 22, 3) joints are above the lower knee, as a share of a thigh."""
    thighs = np.stack(
        [joints[:, INDEX[f"{side}_hip"]] - joints[:, INDEX[f"{side}_knee"]] for side in ("left", "right")]
    )
    # The leg that carries: a kick in front of the body does not make it sit.
    return float(np.median(thighs[..., 1].max(axis=0)) / np.median(np.linalg.norm(thighs, axis=2)))


def _grid(path: Path, begin: float, stop: float) -> Grid:
    """The beats of the audio file that lie in the pair, on its clock."""
    beats = read_beats(path)
    inside = (beats.times >= begin) & (beats.times < stop)
    times, positions = beats.times[inside], beats.positions[inside]
    if len(times) < 2:
        raise DataError(f"{path}: {len(times)} beats within {begin:.2f} to {stop:.2f} s; expected at least 2")
    if (positions == UNKNOWN).any():
        raise DataError(
            f"{path}: beats without a position in the bar; add it as a second column, or give none"
        )
    metre = Counter(np.diff(np.flatnonzero(beats.positions == 1)).tolist()).most_common(1)
    return Grid(times - begin, positions, metre[0][0] if metre else int(beats.positions.max()))
