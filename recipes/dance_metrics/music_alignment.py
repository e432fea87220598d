"""Alignment of a dance with its music: the two published beat alignment scores, and touch-downs on beats.

FACT measures whether each kinematic beat is near a beat of the music, Bailando whether each beat of the music
has a kinematic beat nearby; a dance with a single stop on a beat has full score by the first and nearly none
by the second. Their kinematic beats, minima of the speed of the body, are also defined differently. Both are
computed at 60 frames per second, as in the published code. EDGE and later works report Bailando's. Without a
beat of the music in the dance the scores are NaN; without kinematic beats they are 0.

Beat alignment rewards any minimum of speed near an estimated beat. If beats and steps are known exactly, as
for constructed dances, touch-downs are scored like estimated beats, with F at ±70 ms (mir_eval), against the
beats and against the true steps [O].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from mir_eval.beat import f_measure
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import argrelextrema

from motion_data.rhythm.contacts import contact_pulses
from motion_data.rhythm.speed import resample_track
from motion_data.skeleton import JOINTS
from recipes.dance_metrics.dance import Dance
from recipes.results.estimates import group_means

RATE = 60.0
"""Frames per second of AIST++ and of the published code."""

FACT_REACH = 10
"""Radius in frames of the window of a minimum, a third of a second in total."""

BAILANDO_SMOOTHING = 5.0
"""Standard deviation of the Gaussian over the speed, in frames."""

BEAT_TOLERANCE = 3.0 / RATE
"""σ of the score in seconds: 3 frames, as in the published code."""

MUSIC_MEASURES = ("beat_align_fact", "beat_align_bailando", "contacts_on_beats", "contacts_on_steps")
"""Measures of the alignment with the music, in [0, 1]."""

TOLERANCE = 0.07
"""Tolerance of matches of touch-downs and beats, and minimum interval of touch-downs, in seconds."""

MAX_OTHERS = 5
"""Maximum number of other dances whose music a dance is scored on."""


@dataclass(frozen=True)
class Movement:
    """Kinematic beats and touch-downs of a dance; (N,) seconds each."""

    fact: NDArray[np.float64]
    """Kinematic beats as defined by FACT."""
    bailando: NDArray[np.float64]
    """Kinematic beats as defined by Bailando."""
    touch_downs: NDArray[np.float64]
    """Touch-downs of both feet; a contact at the start of the dance has none."""


def movement(dance: Dance) -> Movement:
    """Estimate kinematic beats and touch-downs of a dance."""
    contacts = contact_pulses(dance.joints[:, : len(JOINTS)], JOINTS, dance.fps)
    return Movement(
        fact_beats(dance.joints, dance.fps),
        bailando_beats(dance.joints, dance.fps),
        merge_touch_downs(np.concatenate(list(contacts.values()))),
    )


def merge_touch_downs(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) sorted times, without those that follow another by less than the tolerance.

    Simultaneous touch-downs of both feet become one.
    """
    merged: list[float] = []
    for time in np.sort(times):
        if not merged or time - merged[-1] >= TOLERANCE:
            merged.append(float(time))
    return np.array(merged, dtype=np.float64)


def music_scores(dance: Dance, moves: Movement) -> dict[str, float]:
    """The :data:`MUSIC_MEASURES` of a dance; NaN if beats or steps are unknown."""
    fact = bailando = float("nan")
    music = None if dance.beats is None else dance.times_within(dance.beats)
    if music is not None and len(music):
        fact, bailando = beat_alignment(moves.fact, music), beat_alignment(music, moves.bailando)
    on_beats, on_steps = (
        float("nan")
        if times is None
        else _f_measure(merge_touch_downs(dance.times_within(times)), moves.touch_downs)
        for times in (dance.beats, dance.steps)
    )
    return dict(zip(MUSIC_MEASURES, (fact, bailando, on_beats, on_steps), strict=True))


def scores_on_others_music(dances: Sequence[Dance], moves: Sequence[Movement]) -> list[dict[str, float]]:
    """Mean scores of each dance on the music of the following dances, in circular order.

    They estimate how often touch-downs are near beats by chance; the difference to the own score is due to
    the music [O]. Dances with the same beats are skipped. NaN without other music.

    Args:
        dances: dances with their beats.
        moves: the :func:`movement` of each dance.

    Returns:
        The :data:`MUSIC_MEASURES` of each dance.
    """
    means = []
    for number, (dance, own) in enumerate(zip(dances, moves, strict=True)):
        circle = [*dances[number + 1 :], *dances[:number]]
        others = [other for other in circle if not _same_music(dance, other)][:MAX_OTHERS]
        scores = [music_scores(replace(dance, beats=other.beats, steps=other.steps), own) for other in others]
        means.append({key: _mean([score[key] for score in scores]) for key in MUSIC_MEASURES})
    return means


def _f_measure(reference: NDArray[np.float64], touch_downs: NDArray[np.float64]) -> float:
    if not len(reference):
        return float("nan")
    return (
        float(f_measure(reference, touch_downs, f_measure_threshold=TOLERANCE)) if len(touch_downs) else 0.0
    )


def _mean(values: Sequence[float]) -> float:
    """The mean of the values that are not NaN; NaN if there are none."""
    defined = group_means(values)
    return float(defined.mean()) if len(defined) else float("nan")


def _same_music(dance: Dance, other: Dance) -> bool:
    if dance.beats is None or other.beats is None:
        return dance.beats is other.beats
    return np.array_equal(dance.beats, other.beats)


def fact_beats(joints: NDArray[np.floating[Any]], fps: float) -> NDArray[np.float64]:
    """Minima of the joints' summed speed within a sixth of a second to either side.

    Source: Li et al., "AI Choreographer: Music Conditioned 3D Dance Generation with AIST++", ICCV
    2021, and its code, google-research/mint, tools/calculate_beat_scores.py. As there, the step
    between two frames is assigned to the second one.

    Args:
        joints: (T, J, 3) in metres; T at least 2.
        fps: frames per second.

    Returns:
        (N,) increasing seconds from the first frame.
    """
    speed = np.concatenate([[0.0], _steps(joints, fps).sum(axis=1)])
    (frames,) = argrelextrema(speed, np.less, order=FACT_REACH)
    beats: NDArray[np.float64] = frames / RATE
    return beats


def bailando_beats(joints: NDArray[np.floating[Any]], fps: float) -> NDArray[np.float64]:
    """Minima of the joints' mean speed, smoothed over about a sixth of a second.

    Source: Siyao et al., "Bailando: 3D Dance Generation by Actor-Critic GPT with Choreographic
    Memory", CVPR 2022, and its code, lisiyao21/Bailando, utils/beat_align_score.py. As there, the step
    between two frames is assigned to the first one.

    Arguments and result as for :func:`fact_beats`.
    """
    speed = gaussian_filter1d(_steps(joints, fps).mean(axis=1), BAILANDO_SMOOTHING)
    (frames,) = argrelextrema(speed, np.less)
    beats: NDArray[np.float64] = frames / RATE
    return beats


def beat_alignment(times: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """Mean over ``times`` of exp(-d² / 2σ²), d the distance to the nearest of ``reference``, σ = 50 ms.

    FACT's score has kinematic beats as ``times`` and beats of the music as ``reference``; Bailando's
    score the reverse. It is 0 if either is empty.

    Args:
        times: (N,) seconds.
        reference: (M,) seconds.
    """
    if not len(times) or not len(reference):
        return 0.0
    distance = np.abs(times[:, None] - reference).min(axis=1)
    return float(np.exp(-0.5 * (distance / BEAT_TOLERANCE) ** 2).mean())


def _steps(joints: NDArray[np.floating[Any]], fps: float) -> NDArray[np.float64]:
    """(T' - 1, J) displacements of joints between frames at ``RATE``, in metres."""
    steps: NDArray[np.float64] = np.linalg.norm(np.diff(resample_track(joints, fps, RATE), axis=0), axis=-1)
    return steps
