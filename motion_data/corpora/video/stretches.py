"""From poses to motion: the stretches in which a body is seen, on the common skeleton, in metres, y up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motion_data.body.normalisation import MAX_GAP_SECONDS, fill_gaps
from motion_data.body.orientation import floor_height
from motion_data.body.retarget import map_to_common
from motion_data.corpora.video.pose import LANDMARKS, Poses
from motion_data.motion import MAX_FPS, MIN_FPS
from motion_data.skeleton import JOINTS

SEEN = 0.5
"""Visibility below which a landmark is taken for hidden: a gap."""

IN_VIEW = 0.5
"""Share of the pictures with a body in which a joint must be seen. One that is not is out of view: it stays
where MediaPipe believes it to be, is named, and makes no rhythm."""

UPRIGHT = np.array([1.0, -1.0, -1.0])
"""From MediaPipe's axes to y up, z towards the camera: half a turn about x."""

FLOOR_SHARE = 5.0
"""Percentile of the lower foot's height that is put at y = 0."""


@dataclass(frozen=True)
class Stretch:
    """A part of a video in which every joint that is in view is seen."""

    start: float
    """Seconds of the first frame on the clock of the container."""
    fps: float
    joints: NDArray[np.float64]
    """(T, 22, 3) the common skeleton in metres, y up, z towards the camera, no gaps."""
    filled: int
    """Joints times frames that were filled."""
    inferred: tuple[str, ...]
    """Joints that were inferred from their neighbours."""
    out_of_view: tuple[str, ...]
    """Joints that are hardly ever seen."""
    visibility: dict[str, float]
    """Mean visibility of each landmark."""
    root: str
    """What is known of the way of the hips."""

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.joints) / self.fps


def find_stretches(poses: Poses, shortest: float, moving_camera: bool) -> list[Stretch]:
    """Cut poses into stretches.

    Pictures are brought to their usual rate by linear interpolation between the times at which they are
    shown. Landmarks of low visibility are gaps: those up to ``MAX_GAP_SECONDS`` are filled, longer ones end
    a stretch.

    MediaPipe's metres are from the middle of the hips; where the body is in the room it does not
    say. With a camera that stands still the way of the hips across the picture is turned into metres
    by the ratio of the body's size in metres to that in pixels, one for a stretch; how far away the
    body is stays unknown, and is taken for constant [O]. With a moving camera the hips stay in place.
    The floor is put under the lower foot [O].

    Args:
        poses: of a video.
        shortest: seconds below which a stretch is dropped.
        moving_camera: whether the camera moves.
    """
    if len(poses.times) < 3:
        return []
    times, fps = _steady_times(poses.times)
    if not MIN_FPS <= fps <= MAX_FPS:
        return []
    believed = _at(times, poses.times, poses.world * UPRIGHT)
    hidden = ~(poses.visibility >= SEEN)
    seen = np.where(hidden[..., None], np.nan, poses.world * UPRIGHT)
    world = _at(times, poses.times, seen)
    image = _at(times, poses.times, poses.image.astype(np.float64))
    visibility = _at(times, poses.times, poses.visibility.astype(np.float64))
    found = np.isfinite(believed).all(axis=(1, 2))
    body = map_to_common(LANDMARKS, world)
    view = (
        np.isfinite(body.joints[found]).all(axis=2).mean(axis=0) >= IN_VIEW if found.any() else np.zeros(22)
    )
    if not view.any():
        return []
    whole = np.where(view[None, :, None], body.joints, map_to_common(LANDMARKS, believed).joints)
    out_of_view = tuple(name for name, there in zip(JOINTS, view, strict=True) if not there)
    root = "in place" if moving_camera else "across the picture, depth unknown"
    stretches = []
    for first, stop in _runs(np.isfinite(whole).all(axis=2), fps):
        if (stop - first) / fps < shortest:
            continue
        joints, filled = fill_gaps(whole[first:stop], fps)
        joints = joints.astype(np.float64)
        if not moving_camera:
            joints += _way(world[first:stop], image[first:stop], fps)[:, None]
        joints[..., 1] -= floor_height(joints, FLOOR_SHARE)
        means = np.nan_to_num(np.nanmean(visibility[first:stop], axis=0))
        told = {name: round(float(mean), 3) for name, mean in zip(LANDMARKS, means, strict=True)}
        start = float(times[first])
        stretches.append(Stretch(start, fps, joints, filled, body.inferred, out_of_view, told, root))
    return stretches


def _steady_times(times: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Times of a constant rate from the first picture to the last, and that rate."""
    steps = np.diff(times)
    # Each step is a whole number of periods; pauses say little about the rate.
    periods = np.round(steps / np.median(steps))
    near = periods <= 4
    fps = periods[near].sum() / steps[near].sum()
    # Containers round times to milliseconds; rates are whole or a thousandth less than whole.
    whole = round(fps)
    fps = next((rate for rate in (whole, whole / 1.001) if abs(fps - rate) < 4e-4 * rate), fps)
    count = int((times[-1] - times[0]) * fps + 1e-3) + 1
    return times[0] + np.arange(count) / fps, float(fps)


def _at(
    wanted: NDArray[np.float64], times: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Linear interpolation; NaN beside NaN, and in holes between pictures that are too long to fill."""
    after = np.clip(np.searchsorted(times, wanted), 1, len(times) - 1)
    width = times[after] - times[after - 1]
    share = np.clip((wanted - times[after - 1]) / width, 0.0, 1.0)
    # Near a picture it is the picture, so that a gap beside it does not spread.
    share = np.where(share < 0.01, 0.0, np.where(share > 0.99, 1.0, share))
    share = share.reshape(-1, *[1] * (values.ndim - 1))
    before, behind = values[after - 1], values[after]
    between = np.where(
        share == 0, before, np.where(share == 1, behind, (1 - share) * before + share * behind)
    )
    hole = (width > MAX_GAP_SECONDS).reshape(share.shape) & (share > 0) & (share < 1)
    return np.where(hole, np.nan, between)


def _runs(known: NDArray[np.bool_], fps: float) -> Iterator[tuple[int, int]]:
    """First frame and end of the stretches in which no joint is hidden for longer than can be filled."""
    long = np.zeros(len(known), dtype=bool)
    for joint in known.T:
        for first, stop in _edges(~joint):
            if (stop - first) / fps > MAX_GAP_SECONDS:
                long[first:stop] = True
    for first, stop in _edges(~long):
        # A gap at the border is nobody's guess: the stretch begins and ends with every joint seen.
        whole = np.flatnonzero(known[first:stop].all(axis=1))
        if len(whole):
            yield first + int(whole[0]), first + int(whole[-1]) + 1


def _edges(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    return [(int(first), int(stop)) for first, stop in edges.reshape(-1, 2)]


def _way(world: NDArray[np.float64], image: NDArray[np.float64], fps: float) -> NDArray[np.float64]:
    """(T, 3) metres that the hips have gone since the first frame, to the right and up."""
    hips = [LANDMARKS.index("left_hip"), LANDMARKS.index("right_hip")]
    centre = image[:, hips].mean(axis=1)
    seen = np.isfinite(world).all(axis=2)[..., None]
    metres = np.where(seen, world[..., :2] - world[:, hips, :2].mean(axis=1, keepdims=True), np.nan)
    pixels = np.where(seen, image - centre[:, None], np.nan)
    ratio = np.nansum(np.abs(metres), axis=(1, 2)) / np.maximum(np.nansum(np.abs(pixels), axis=(1, 2)), 1e-9)
    scale = float(np.median(ratio[np.isfinite(ratio) & (ratio > 0)]))
    way = np.zeros((len(image), 3))
    way[:, :2] = (centre - centre[0]) * np.array([scale, -scale])
    return fill_gaps(way[:, None], fps)[0][:, 0].astype(np.float64)
