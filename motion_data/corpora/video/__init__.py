"""Any video of someone who dances, with its sound: poses by MediaPipe, beats estimated from the sound.

What is known of the body is what MediaPipe says: joints in metres about the hips. Where the body is in the
room is estimated across the picture and unknown in depth, see ``stretches``. Each stretch in which the
whole body is seen becomes a pair.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from motion_data.corpora.video.container import extract_sound, probe
from motion_data.corpora.video.pose import kept_poses, read_poses, write_poses
from motion_data.errors import DataError
from motion_data.files import file_sha256, find_files
from motion_data.manifest import Corpus
from motion_data.motion import Motion
from motion_data.pair import AudioSpan, MotionPair
from motion_data.preparation import (
    Job,
    PreparedPair,
    check_lengths,
    failed_job,
    motion_fields,
    prepare_pairs,
    read_splits,
    split_by_hash,
)
from motion_data.skeleton import FEET, INDEX, JOINTS
from motionbeat_upstream.atomic_write import is_unwritable_disk
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.file_name import printable, safe_file_name
from motionbeat_upstream.tracking.grid import Grid as Grid

if TYPE_CHECKING:
    from motion_data.corpora.video.stretches import Stretch

SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".wmv", ".flv")

LAYOUT = """Videos with their sound: RAW is a folder, searched with its folders, or one video.

  RAW/**/*.mp4, .mov, .avi, .mkv, .webm ...

One person should be in view, from head to foot, and the camera should stand still (--moving-camera where
it does not). Poses are found by MediaPipe (the extra `video`), about real time on one core, and kept in
OUT/poses; the sound goes to OUT/audio. Beats are estimated from the sound. Of each video the stretches in
which every joint is seen become pairs."""

LICENCE = (
    "of the videos' makers and of those who are seen and heard in them; for use from the user's own disk"
)

SHORTEST = 4.0
"""Seconds; two bars at 120 bpm."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--seconds``, ``--shortest``, ``--moving-camera`` and ``--splits``."""
    parser.add_argument(
        "--seconds", type=float, metavar="S", help="take the first S seconds of each video (default: all)"
    )
    parser.add_argument(
        "--shortest",
        type=float,
        default=SHORTEST,
        metavar="S",
        help="drop stretches below S seconds (default: %(default)s)",
    )
    parser.add_argument(
        "--moving-camera", action="store_true", help="leave the hips in place: the picture does not tell"
    )
    parser.add_argument(
        "--splits",
        type=Path,
        metavar="CSV",
        help="columns piece (the video's path from RAW) and split; the rest goes by hash, 80/10/10",
    )


def prepare(raw: Path, out: Path, options: argparse.Namespace) -> Corpus:
    """Prepare the videos under ``raw``.

    Raises:
        DataError: RAW is not what ``LAYOUT`` says, MediaPipe is not installed, or no video could
            be used.
    """
    if not raw.exists():
        raise DataError(f"{raw}: no such video or folder")
    for name, value in (("--seconds", options.seconds), ("--shortest", options.shortest)):
        if value is not None and not 0 < value < float("inf"):
            raise DataError(f"{name} {value:g}: expected seconds above 0")
    paths = [raw] if raw.is_file() else find_files(raw, SUFFIXES)
    if not paths:
        raise DataError(f"{raw}: holds no video ({', '.join(SUFFIXES)})")
    splits = read_splits(options.splits) if options.splits else {}
    jobs: list[Job] = []
    pieces: dict[str, str] = {}
    labels = [path.name if raw.is_file() else path.relative_to(raw).as_posix() for path in paths]
    for path, label, name in zip(
        tqdm(paths, desc="poses", unit="video"), labels, video_names(labels), strict=True
    ):
        try:
            # The same video under two names is one piece.
            piece = pieces.setdefault(file_sha256(path), printable(label))
            split = splits.get(piece) or split_by_hash(piece)
            jobs += _video_jobs(path, label, name, piece, split, out, options)
        except (ValueError, OSError) as error:
            if isinstance(error, OSError) and is_unwritable_disk(error):
                raise
            jobs.append(failed_job(name, (path,), error))
    told = {
        "seconds": options.seconds,
        "shortest": options.shortest,
        "moving_camera": options.moving_camera,
        "splits": splits,
    }
    return prepare_pairs(out, "video", told, jobs)


def video_names(labels: Sequence[str]) -> list[str]:
    """A name for the files of each video, made from its path: two videos never share one, in any case."""
    plain = [re.sub(r"\W+", "_", label).strip("_") for label in labels]
    count = Counter(name.casefold() for name in plain)
    digests = [hashlib.sha256(os.fsencode(label)).hexdigest()[:8] for label in labels]
    return [
        safe_file_name(name if name and count[name.casefold()] == 1 else f"{name}_{digest}")
        for name, digest in zip(plain, digests, strict=True)
    ]


def _video_jobs(
    path: Path, label: str, name: str, piece: str, split: str, out: Path, options: argparse.Namespace
) -> list[Job]:
    """A job for every stretch of a video.

    Raises:
        DataError: there is none, or the file is no video with sound.
        AudioError: the sound cannot be read.
    """
    from motion_data.corpora.video.stretches import find_stretches
    from motionbeat_upstream.audio import read_audio

    container = probe(path)
    state = f"{path.stat().st_size} {path.stat().st_mtime_ns} {options.seconds}"
    store = out / "poses" / f"{name}.npz"
    poses = kept_poses(store, state)
    if poses is None:
        poses = read_poses(path, container, options.seconds)
        write_poses(store, poses, state)
    stretches = find_stretches(poses, options.shortest, options.moving_camera)
    if not stretches:
        raise DataError(
            f"{label}: no stretch of {options.shortest:g} s in which every joint that is in view is seen "
            f"(a body in {100 * (poses.visibility > 0).any(axis=1).mean():.0f} % of the pictures); "
            f"lower --shortest, or leave it out"
        )
    sound = out / "audio" / f"{name}.flac"
    extract_sound(path, sound, options.seconds)
    heard = len(read_audio(sound)) / SAMPLE_RATE
    check_lengths(
        label, float(poses.times[-1] + poses.times[1] - 2 * poses.times[0]), heard - float(poses.times[0])
    )
    audio = AudioSpan(f"audio/{sound.name}", 0.0, heard, file_sha256(sound))
    provenance = {
        "file": label,
        "codecs": container.codecs,
        "picture_start": float(poses.times[0]),
        "sound_start": container.audio_start,
        "pose": "mediapipe, complexity 1",
    }

    def make(pair_name: str, stretch: Stretch) -> list[PreparedPair]:
        from motionbeat_upstream.tracking.beat_estimation import estimate_grid

        start, stop = max(0.0, stretch.start), min(stretch.start + stretch.seconds, heard)
        offset = stretch.start - start
        pulses, limbs = _pulses(stretch, offset)
        motion = Motion(stretch.fps, JOINTS, stretch.joints, offset, None, pulses)
        estimated = estimate_grid(read_audio(sound)[round(start * SAMPLE_RATE) : round(stop * SAMPLE_RATE)])
        grid = None if estimated.confidence == 0 else estimated
        pair = MotionPair(
            name=pair_name,
            corpus="video",
            piece=piece,
            take=label,
            split=split,
            licence=LICENCE,
            seconds=stop - start,
            **motion_fields(motion, grid, "estimated"),
            audio=replace(audio, start=start, stop=stop),
            provenance={
                **provenance,
                "filled": stretch.filled,
                "missed": list(stretch.inferred),
                "out_of_view": list(stretch.out_of_view),
                "limbs": limbs,
                "visibility": stretch.visibility,
                "root": stretch.root,
                "grid_confidence": estimated.confidence,
            },
        )
        return [(pair, motion, grid)]

    names = [f"{name}-{number}" for number in range(1, len(stretches) + 1)] if len(stretches) > 1 else [name]
    return [
        Job(one, (path,), partial(make, one, stretch), (piece, split))
        for one, stretch in zip(names, stretches, strict=True)
    ]


def _pulses(stretch: Stretch, start: float) -> tuple[dict[str, NDArray[np.float64]], str]:
    """Touch-downs of the feet, where they are in view and carry the body, and strokes of the hands, where
    these are in view; and why."""
    from motion_data.corpora.paired_files import SEATED, hips_above_knees
    from motion_data.rhythm.contacts import foot_contacts, hand_strokes

    there = [name for name in JOINTS if name not in stretch.out_of_view]
    joints = stretch.joints[:, [INDEX[name] for name in there]]
    hands = hand_strokes(joints, there, stretch.fps, start)
    feet = {name for pair in FEET.values() for name in pair}
    if not feet <= set(there):
        return hands, "hands: the feet are out of view"
    share = hips_above_knees(stretch.joints)
    if share < SEATED:
        return hands, f"hands: the body sits, its hips {share:.2f} of a thigh above the lower knee"
    touched = foot_contacts(joints, there, stretch.fps, start)
    return {limb: contacts.onsets for limb, contacts in touched.items()} | hands, "feet and hands"
