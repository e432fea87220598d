"""Excerpts of pairs with all the data that are drawn, on the excerpt's clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from motion_data.corpora.recordings.tatum import audio_onset_envelope
from motion_data.errors import DataError
from motion_data.labels import Labels
from motion_data.loading import LoadedPair
from motion_data.motion import Motion
from motion_data.pair import MotionPair
from motion_data.rhythm.accent_mass import accent_mass, pulse_weights
from motion_data.rhythm.contacts import foot_contacts
from motion_data.rhythm.speed import smoothed_speed
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.decoding import read_sound
from motionbeat_upstream.tracking.bar_profile import bar_numbers, bar_profile
from motionbeat_upstream.tracking.frontend import HOP
from motionbeat_upstream.tracking.grid import Grid, time_to_bars

ONSET_RATE = SAMPLE_RATE / HOP
"""Frame rate of the onset envelope in Hz."""

ACCENT_BINS = 4
"""Accent bins per beat; the first is centred on the beat."""


@dataclass(frozen=True)
class Excerpt:
    """The data of an excerpt that are drawn; all times are seconds from its start."""

    pair: MotionPair
    start: float
    """Start in seconds of the pair."""
    seconds: float
    """Length of the excerpt."""
    sound: NDArray[np.float32]
    """(N, C) samples of the excerpt."""
    rate: int
    """Sample rate in Hz."""
    onset: NDArray[np.float32]
    """(F,) onset envelope at 100 Hz; frame j is centred at (j + 0.5) · 10 ms."""
    beats: NDArray[np.float64]
    """(B,) times; empty without a grid."""
    positions: NDArray[np.int64]
    """(B,) position of each beat in its bar, from 1."""
    bars: NDArray[np.int64]
    """(B,) bar number of each beat; the bar in which the pair begins is 1."""
    opening: tuple[int, int] | None
    """Bar and position of the last beat before the excerpt begins; None if there is none."""
    metre: int
    """Most common number of beats per bar; 0 without a grid."""
    fps: float
    """Frame rate of the motion."""
    names: tuple[str, ...]
    joints: NDArray[np.float32]
    """(T, J, 3) metres, y up; J = 0 for a step chart."""
    times: NDArray[np.float64]
    """(T,) times of the frames of the motion."""
    foot_speed: Mapping[str, NDArray[np.float64]]
    """(T,) m/s of the fastest joint of each foot."""
    body_speed: NDArray[np.float64]
    """(T,) m/s, the mean over all joints; (0,) without joints."""
    pulses: Mapping[str, NDArray[np.float64]]
    """(P,) touch-downs of each limb."""
    contacts: Mapping[str, NDArray[np.float64]]
    """(C, 2) start and end of contacts of each foot with joints."""
    music_accents: NDArray[np.float64]
    """(F,) share of the bar's onset strength in the phase bin of each frame; (0,) without a grid."""
    motion_accents: NDArray[np.float64]
    """(F,) share of the weight of the bar's touch-downs in the phase bin of each frame; 0 without
    touch-downs."""
    labels: Labels = field(default_factory=Labels)
    """Notes, drums, chords, key and sections that overlap the excerpt, uncut."""

    @property
    def stop(self) -> float:
        """End in seconds of the pair."""
        return self.start + self.seconds


def cut_excerpt(
    loaded: LoadedPair, folder: Path, start: float = 0.0, seconds: float | None = None
) -> Excerpt:
    """Cut an excerpt of a pair.

    Onsets, contacts, speed and accents are computed from the whole pair and then cut, so they do not depend
    on the excerpt.

    Args:
        loaded: the pair at its original frame rate and speed.
        folder: folder of its corpus, where the sound is read at its original sample rate.
        start: seconds from the start of the pair; rounded to 10 ms, a frame of the onset envelope.
        seconds: length; None, or a length beyond the end, cuts to the end.

    Raises:
        DataError: the excerpt begins outside of the pair, or has no length.
    """
    duration = len(loaded.wav) / SAMPLE_RATE
    start = round(start * ONSET_RATE) / ONSET_RATE
    if not 0 <= start < duration or (seconds is not None and not seconds > 0):
        raise DataError(
            f"pair {loaded.pair.name!r}: a stretch from {start:g} s"
            + ("" if seconds is None else f" of {seconds:g} s")
            + f" was asked for; expected more than 0 s, from within the {duration:.2f} s of the pair"
        )
    length = duration - start if seconds is None else min(seconds, duration - start)
    stop = start + length
    onset = audio_onset_envelope(loaded.wav).astype(np.float32)
    motion = loaded.motion
    shown = slice(*motion.frames_between(start, stop + 1 / motion.fps))
    if shown.start == shown.stop:
        # Outside of the motion, the first or last pose is shown.
        nearest = int(np.abs(motion.times - start).argmin())
        shown = slice(nearest, nearest + 1)
    foot_speed, body_speed = _speeds(motion)
    beats, positions, bars, opening = _beats(loaded.grid, start, stop)
    first, last = round(start * ONSET_RATE), round(stop * ONSET_RATE)
    music, body = _accents(loaded, onset)
    sound, rate = read_sound_of(loaded, folder)
    return Excerpt(
        pair=loaded.pair,
        start=start,
        seconds=length,
        sound=sound[round(start * rate) : round(stop * rate)],
        rate=rate,
        onset=onset[first:last],
        beats=beats - start,
        positions=positions,
        bars=bars,
        opening=opening,
        metre=0 if loaded.grid is None else loaded.grid.metre,
        fps=motion.fps,
        names=motion.names,
        joints=np.asarray(motion.joints, dtype=np.float32)[shown],
        times=motion.times[shown] - start,
        foot_speed={foot: speed[shown] for foot, speed in foot_speed.items()},
        body_speed=body_speed[shown] if len(body_speed) else body_speed,
        pulses={
            limb: times[(times >= start) & (times < stop)] - start for limb, times in motion.pulses.items()
        },
        contacts={foot: _clipped(spans, start, stop) for foot, spans in _contacts(motion).items()},
        music_accents=music[first:last],
        motion_accents=body[first:last],
        labels=loaded.labels.between(start, stop),
    )


def read_sound_of(loaded: LoadedPair, folder: Path) -> tuple[NDArray[np.float32], int]:
    """Read the sound of the whole pair: (N, C) samples, C at most 2, and the sample rate.

    Recordings have their original rate and channels; rendered sound and sound in shards is mono at 16 kHz.
    """
    span = loaded.pair.audio_file
    if span is None:
        return loaded.wav.numpy()[:, None], SAMPLE_RATE
    sound, rate = read_sound(folder / span.path, span.start, span.stop)
    wanted = round((span.stop - span.start) * rate)
    return np.pad(sound, ((0, max(0, wanted - len(sound))), (0, 0)))[:, :2], rate


def _speeds(motion: Motion) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
    if not motion.names:
        return {}, np.empty(0)
    speed = smoothed_speed(motion.joints, motion.fps)
    feet = {
        side + "_foot": [
            i for i, name in enumerate(motion.names) if name in (side + "_ankle", side + "_foot")
        ]
        for side in ("left", "right")
    }
    return {foot: speed[:, among].max(1) for foot, among in feet.items() if among}, speed.mean(1)


def _contacts(motion: Motion) -> dict[str, NDArray[np.float64]]:
    if not motion.names:
        return {}
    contacts_by_foot = foot_contacts(motion.joints, motion.names, motion.fps, motion.start)
    return {foot: contacts.intervals for foot, contacts in contacts_by_foot.items()}


def _clipped(spans: NDArray[np.float64], start: float, stop: float) -> NDArray[np.float64]:
    inside = spans[(spans[:, 1] > start) & (spans[:, 0] < stop)]
    return np.clip(inside, start, stop) - start


def _beats(
    grid: Grid | None, start: float, stop: float
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], tuple[int, int] | None]:
    if grid is None:
        return np.empty(0), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), None
    inside = (grid.beats >= start) & (grid.beats < stop)
    numbers = bar_numbers(grid, grid.beats, ACCENT_BINS * grid.metre)
    before = int(np.searchsorted(grid.beats, start, side="right")) - 1
    opening = None if before < 0 else (int(numbers[before]), int(grid.positions[before]))
    return grid.beats[inside], grid.positions[inside], numbers[inside], opening


def _accents(
    loaded: LoadedPair, onset: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(F,) share of its bar's accent mass at each frame, of music and of motion; (0,) without a grid."""
    grid = loaded.grid
    if grid is None:
        return np.empty(0), np.empty(0)
    bins = ACCENT_BINS * grid.metre
    heard = np.nan_to_num(bar_profile(onset, ONSET_RATE, grid, bins))
    heard /= np.maximum(heard.sum(1, keepdims=True), 1e-9)
    weights = pulse_weights(loaded.motion)
    times = np.concatenate([np.empty(0), *(loaded.motion.pulses[limb] for limb in weights)])
    seconds = len(loaded.wav) / SAMPLE_RATE
    danced = accent_mass(times, np.concatenate([np.empty(0), *weights.values()]), grid, bins, seconds)
    frames = (np.arange(len(onset)) + 0.5) / ONSET_RATE
    row = bar_numbers(grid, frames, bins) - 1
    column = np.floor(time_to_bars(grid, frames) * bins + 0.5).astype(np.int64) % bins
    # The envelope may end a frame after the sound does, in a bar of which nothing is danced.
    return heard[row, column], danced[np.minimum(row, len(danced) - 1), column]
