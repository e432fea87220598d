"""How a dance fits its music: beat alignment, both published ways round, and touch-downs on beats.

FACT asks whether each slowing-down of the body falls on a beat of the music, Bailando whether each beat of
the music has one: a dance that halts once, on a beat, has the full score of the first and next to none of
the second. Their kinematic beats, at which a body as a whole slows down, differ as well. Both are given here
in seconds: motion of another frame rate is brought to the 60 frames a second that both are defined at, then
the beats are theirs, to the frame. EDGE and later works report Bailando's. What the published codes leave
undefined: without a beat of the music in the dance there is no score (NaN); with beats and a body that never
slows down it is 0.

Beat alignment rewards whatever slows down near an estimated beat. Where beats and steps are known exactly, as
those of constructed dances, touch-downs are scored as beat trackers are, by F at ±70 ms (mir_eval): against
the beats, and against the true steps [O].
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
"""Frames a second of AIST++, at which both codes count."""

FACT_REACH = 10
"""Frames to either side that a minimum must lie below: a window of a third of a second."""

BAILANDO_SMOOTHING = 5.0
"""Standard deviation in frames of the Gaussian over the speed."""

BEAT_TOLERANCE = 3.0 / RATE
"""Seconds at which a beat scores exp(-1/2): σ = 3 frames in both codes."""

OF_MUSIC = ("beat_align_fact", "beat_align_bailando", "contacts_on_beats", "contacts_on_steps")
"""Measures that ask how a dance fits its music, all in [0, 1]."""

TOLERANCE = 0.07
"""Seconds between two touch-downs, or a touch-down and a beat, that are the same."""

OTHERS = 5
"""Dances whose music each dance is laid on, at most."""


@dataclass(frozen=True)
class Movement:
    """When a body slows down and touches down, whatever the music; (N,) seconds each."""

    fact: NDArray[np.float64]
    """Kinematic beats by FACT's rule."""
    bailando: NDArray[np.float64]
    """The same by Bailando's."""
    touch_downs: NDArray[np.float64]
    """Of both feet; a contact that the dance begins in has none."""


def movement(dance: Dance) -> Movement:
    """Find it."""
    contacts = contact_pulses(dance.joints[:, : len(JOINTS)], JOINTS, dance.fps)
    return Movement(
        fact_beats(dance.joints, dance.fps),
        bailando_beats(dance.joints, dance.fps),
        one_step(np.concatenate(list(contacts.values()))),
    )


def one_step(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) seconds in order, without those that follow the last one kept by less than the tolerance.

    So both feet at once are one step.
    """
    kept: list[float] = []
    for time in np.sort(times):
        if not kept or time - kept[-1] >= TOLERANCE:
            kept.append(float(time))
    return np.array(kept, dtype=np.float64)


def music_scores(dance: Dance, moves: Movement) -> dict[str, float]:
    """How a dance that moves so fits its music, by :data:`OF_MUSIC`; NaN where beats or steps are unknown."""
    fact = bailando = float("nan")
    music = None if dance.beats is None else dance.heard(dance.beats)
    if music is not None and len(music):
        fact, bailando = beat_alignment(moves.fact, music), beat_alignment(music, moves.bailando)
    on_beats, on_steps = (
        float("nan") if times is None else _f(one_step(dance.heard(times)), moves.touch_downs)
        for times in (dance.beats, dance.steps)
    )
    return dict(zip(OF_MUSIC, (fact, bailando, on_beats, on_steps), strict=True))


def to_others_music(dances: Sequence[Dance], moves: Sequence[Movement]) -> list[dict[str, float]]:
    """By :data:`OF_MUSIC`, each dance's mean score on the music of those that come next to it in a circle.

    Touch-downs meet beats by chance, the more often the more there are. A dance's scores on music that
    it was not made to say how often; what its own score is above them, it owes to its music [O]. Dances whose
    music has the same beats are passed over. NaN where there is no other music.

    Args:
        dances: each with its own music.
        moves: of each its :func:`movement`.
    """
    found = []
    for place, (dance, own) in enumerate(zip(dances, moves, strict=True)):
        circle = [*dances[place + 1 :], *dances[:place]]
        others = [other for other in circle if not _same_music(dance, other)][:OTHERS]
        scores = [music_scores(replace(dance, beats=other.beats, steps=other.steps), own) for other in others]
        found.append({key: _mean([score[key] for score in scores]) for key in OF_MUSIC})
    return found


def _f(reference: NDArray[np.float64], touched: NDArray[np.float64]) -> float:
    if not len(reference):
        return float("nan")
    return float(f_measure(reference, touched, f_measure_threshold=TOLERANCE)) if len(touched) else 0.0


def _mean(values: Sequence[float]) -> float:
    """Of those that are not NaN; NaN without any."""
    known = group_means(values)
    return float(known.mean()) if len(known) else float("nan")


def _same_music(one: Dance, other: Dance) -> bool:
    if one.beats is None or other.beats is None:
        return one.beats is other.beats
    return np.array_equal(one.beats, other.beats)


def fact_beats(joints: NDArray[np.floating[Any]], fps: float) -> NDArray[np.float64]:
    """Minima of the joints' summed speed within a sixth of a second to either side.

    Source: Li et al., "AI Choreographer: Music Conditioned 3D Dance Generation with AIST++", ICCV
    2021, and the code beside it, google-research/mint, tools/calculate_beat_scores.py. There, a
    step from one frame to the next is counted at its second frame, and so it is here.

    Args:
        joints: (T, J, 3) in metres; T at least 2.
        fps: frames a second.

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
    Memory", CVPR 2022, and the code beside it, lisiyao21/Bailando, utils/beat_align_score.py. There, a
    step from one frame to the next is counted at its first frame, and so it is here.

    Arguments and result as for :func:`fact_beats`.
    """
    speed = gaussian_filter1d(_steps(joints, fps).mean(axis=1), BAILANDO_SMOOTHING)
    (frames,) = argrelextrema(speed, np.less)
    beats: NDArray[np.float64] = frames / RATE
    return beats


def beat_alignment(times: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """Mean over ``times`` of exp(-d² / 2σ²), d the distance to the nearest of ``reference``, σ = 50 ms.

    FACT's score takes the beats of the motion as ``times`` and those of the music as ``reference``;
    Bailando's takes them the other way round. 0 where one of them is empty.

    Args:
        times: (N,) seconds.
        reference: (M,) seconds.
    """
    if not len(times) or not len(reference):
        return 0.0
    distance = np.abs(times[:, None] - reference).min(axis=1)
    return float(np.exp(-0.5 * (distance / BEAT_TOLERANCE) ** 2).mean())


def _steps(joints: NDArray[np.floating[Any]], fps: float) -> NDArray[np.float64]:
    """(T' - 1, J) metres that each joint goes from one frame to the next at ``RATE``."""
    steps: NDArray[np.float64] = np.linalg.norm(np.diff(resample_track(joints, fps, RATE), axis=0), axis=-1)
    return steps
