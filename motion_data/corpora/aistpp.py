"""AIST++: dancers in motion, reconstructed from the AIST Dance Video Database, with the music they dance to.

In the published cross-modal lists, validation and test are danced to the same ten pieces
(choreography 1 for the one, 2 for the other). Here nothing of a piece may be in two splits:
the test list stays as published, so that its numbers can be compared; takes of the validation list
whose piece is in another list are passed over; and a development split is made of some pieces of the
training list [O]. Its choreographies occur in training too, danced to other pieces: those of
the test list do not.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from motion_data.corpora.aistpp_annotations import (
    FPS,
    IGNORED,
    LISTS,
    Annotations,
    find_annotations,
    parse_name,
)
from motion_data.errors import DataError
from motion_data.files import file_sha256
from motion_data.manifest import Corpus
from motion_data.motion import Motion
from motion_data.pair import AudioSpan, MotionPair
from motion_data.preparation import (
    Job,
    PreparedPair,
    check_lengths,
    check_option,
    motion_fields,
    prepare_pairs,
)
from motion_data.skeleton import JOINTS
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.tracking.grid import Grid

if TYPE_CHECKING:
    from motion_data.body.smpl_motion import SmplMotion
    from motion_data.corpora.known_tempo import HeardGrid

LAYOUT = """The annotations of AIST++ (https://google.github.io/aistplusplus_dataset: the complete dataset),
fullset.zip or what is in it, and the music of the AIST Dance Video Database
(https://aistdancedb.ongaaccel.jp).

  RAW[/FOLDER]/motions/*.pkl             smpl_poses (T, 72), smpl_trans (T, 3), smpl_scaling (1,) at 60 fps
  RAW[/FOLDER]/splits/crossmodal_*.txt   takes of train, val and test, a name a line
  RAW[/FOLDER]/ignore_list.txt           takes that are not to be used
  --audio AUDIO/mBR0.wav ...             the 60 pieces; or gBR_sBM_cAll_d04_mBR0_ch02.wav ..., one a take
  --smpl SMPL_MALE.pkl                   the SMPL model (https://smpl.is.tue.mpg.de), the male one, which the
                                         motions were fitted with; without it joints are those of an
                                         approximate skeleton, centimetres off

Validation and test of the published lists share their pieces, which is not allowed here: test stays,
validation takes of a test piece are passed over, and some training pieces become the dev split."""

LICENCE = """annotations: CC BY 4.0, Google LLC; music: the AIST Dance Video Database's own terms of use,
for research that is not commercial (read them at https://aistdancedb.ongaaccel.jp before use)"""

SMPL_LICENCE = "joints made with SMPL: its own licence, for research that is not commercial"

METRE = 4
"""Beats a bar: the database's choreographies are counted in eights [O: no file says it]."""

DEV_PIECES = 5


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--audio``, ``--smpl`` and ``--dev-pieces``."""
    parser.add_argument("--audio", type=Path, required=True, metavar="AUDIO", help="folder of the music")
    parser.add_argument("--smpl", type=Path, metavar="FILE", help="the SMPL model, .pkl or .npz")
    parser.add_argument(
        "--dev-pieces",
        type=int,
        default=DEV_PIECES,
        metavar="N",
        help="training pieces to be dev; 0 keeps the published training list whole (default: %(default)s)",
    )


def prepare(raw: Path, out: Path, options: argparse.Namespace) -> Corpus:
    """Prepare the takes of the cross-modal lists.

    Raises:
        DataError: RAW is not what ``LAYOUT`` says, or not one take could be used.
    """
    from motion_data.body.smpl import read_rest_joints

    if not options.audio.is_dir():
        raise DataError(f"--audio {options.audio}: no such folder; expected the music of AIST, mBR0.wav ...")
    check_option("--dev-pieces", options.dev_pieces, 0)
    annotations = find_annotations(raw)
    splits = assign_splits(
        {split: annotations.names(file) for split, file in LISTS.items()},
        annotations.names(IGNORED),
        options.dev_pieces,
    )
    body = (options.smpl.name, read_rest_joints(options.smpl)) if options.smpl else None
    folder = options.audio.resolve()
    # A piece is read once for all its takes.
    recording = cache(_recording)
    takes = {take: split for take, split in splits.takes.items() if take in annotations.motions}
    jobs = []
    for take, split in takes.items():
        audio = _music_file(folder, take)
        make = partial(_pair, annotations, take, split, body, audio, recording)
        jobs.append(Job(take, (annotations.source(take), audio), make))
    told = {
        "audio": str(folder),
        "smpl": file_sha256(options.smpl) if options.smpl else None,
        "splits": hashlib.sha256(json.dumps(sorted(splits.takes.items())).encode()).hexdigest(),
    }
    notes = dict(splits.passed_over)
    notes["takes of the lists without a motion in RAW"] = len(splits.takes) - len(takes)
    notes["motions that no cross-modal list names"] = len(set(annotations.motions) - splits.named)
    return prepare_pairs(
        out, "aistpp", told, jobs, notes={note: count for note, count in notes.items() if count}
    )


@dataclass(frozen=True)
class Splits:
    """Which takes are used, and as what."""

    takes: Mapping[str, str]
    """Split of each take, in the order of the lists."""
    named: frozenset[str]
    """Every take that a list names."""
    passed_over: Mapping[str, int]
    """Why takes of the lists are not used, and how many."""


def assign_splits(lists: Mapping[str, Sequence[str]], ignored: Sequence[str], dev_pieces: int) -> Splits:
    """Train, dev and test from the published lists, apart by piece.

    Args:
        lists: takes of ``train``, ``val`` and ``test``.
        ignored: takes not to be used.
        dev_pieces: how many pieces of ``train`` become dev, spread evenly over their names, at most all
            but one. Validation takes of pieces that no other list has are dev in any case.

    Raises:
        DataError: a take in two lists.
    """
    lists = {name: list(dict.fromkeys(takes)) for name, takes in lists.items()}
    seen: dict[str, str] = {}
    for name, takes in lists.items():
        for take in takes:
            if seen.setdefault(take, name) != name:
                raise DataError(
                    f"{take}: in crossmodal_{seen[take]}.txt and in crossmodal_{name}.txt; fetch them again"
                )
    skipped = set(ignored)
    used = {name: [take for take in takes if take not in skipped] for name, takes in lists.items()}
    elsewhere = {_piece(take) for take in (*used["train"], *used["test"])}
    apart = [take for take in used["val"] if _piece(take) not in elsewhere]

    pieces = sorted({_piece(take) for take in used["train"]} - {_piece(take) for take in used["test"]})
    count = min(dev_pieces, len(pieces) - 1)
    dev = {pieces[(2 * k + 1) * len(pieces) // (2 * count)] for k in range(count)}
    splits = {take: "dev" if _piece(take) in dev else "train" for take in used["train"]}
    splits |= dict.fromkeys(apart, "dev") | dict.fromkeys(used["test"], "test")
    return Splits(
        splits,
        frozenset(seen),
        {
            f"takes of the lists that {IGNORED} names": len(skipped & set(seen)),
            "takes of crossmodal_val.txt whose piece is in another list": len(used["val"]) - len(apart),
        },
    )


def _piece(take: str) -> str:
    """Of a name that is perhaps none: then a piece of its own, and its job says what is wrong."""
    try:
        return parse_name(take).music
    except DataError:
        return take


def _music_file(folder: Path, take: str) -> Path:
    """The file of a take, or of its piece; where there is none, the one that is expected."""
    from motionbeat_upstream.decoding import AUDIO_SUFFIXES

    piece = _piece(take)
    files = (folder / (stem + suffix) for stem in (take, piece) for suffix in AUDIO_SUFFIXES)
    return next((file for file in files if file.is_file()), folder / f"{piece}.wav")


def _recording(path: Path, bpm: float) -> tuple[float, str, HeardGrid]:
    """Length in seconds, hash and grid of a file of music.

    Raises:
        AudioError: it cannot be read.
    """
    from motion_data.corpora.known_tempo import heard_grid
    from motionbeat_upstream.audio import read_audio

    wav = read_audio(path)
    return len(wav) / SAMPLE_RATE, file_sha256(path), heard_grid(wav, bpm, METRE)


def _pair(
    annotations: Annotations,
    take: str,
    split: str,
    body: tuple[str, NDArray[np.float64]] | None,
    audio: Path,
    recording: Callable[[Path, float], tuple[float, str, HeardGrid]],
) -> list[PreparedPair]:
    """A take; ``body`` is the SMPL model's file name and joints at rest."""
    from motion_data.body.orientation import floor_height
    from motion_data.body.smpl import body_rotations
    from motion_data.rhythm.contacts import contact_pulses

    name = parse_name(take)
    raw = annotations.take(take)
    music_seconds, sha256, heard = recording(audio, name.bpm)
    # The music goes on after the dance; it may not end before it.
    seconds = len(raw.poses) / FPS
    check_lengths(take, seconds, min(seconds, music_seconds))
    frames = min(len(raw.poses), int(music_seconds * FPS))
    joints = _joints(raw, body and body[1])[:frames]
    floor = floor_height(joints)
    joints = joints - [0.0, floor, 0.0]
    rotations = body_rotations(raw.poses)[:frames]
    pulses = contact_pulses(joints, JOINTS, FPS)
    motion = Motion(FPS, JOINTS, joints, 0.0, rotations, pulses)
    stop = min(motion.seconds, music_seconds)
    provenance: dict[str, Any] = {
        "motion": f"{annotations.root.name}/{annotations.motions[take]}",
        "dance": name.genre,
        "situation": name.situation,
        "dancer": name.dancer,
        "choreography": name.choreography,
        "smpl_scaling": raw.scaling,
        "joints": f"SMPL, mean shape, {body[0]}" if body else "approximate rest skeleton: no SMPL file given",
        "floor_taken_off": round(floor, 4),
        "grid": {
            "tempo": "from the name of the piece, taken as constant",
            "metre": "4 assumed",
            "phase_from": heard.beats_from,
            "bars_from": heard.bars_from,
            "lock": round(heard.lock, 3),
            "heard_bpm": round(heard.heard_bpm, 2),
        },
    }
    pair = MotionPair(
        name=take,
        corpus="aistpp",
        piece=name.music,
        take=take,
        split=split,
        licence=" ".join(LICENCE.split()) + (f"; {SMPL_LICENCE}" if body else ""),
        seconds=stop,
        **motion_fields(motion, heard.grid, "estimated") | {"bpm": name.bpm},
        audio=AudioSpan(str(audio), 0.0, stop, sha256),
        provenance=provenance,
    )
    return [(pair, motion, _until(heard.grid, stop))]


def _joints(take: SmplMotion, rest: NDArray[np.float64] | None) -> NDArray[np.float64]:
    from motion_data.body.kinematics import forward_kinematics
    from motion_data.body.smpl import body_rotations, smpl_joints

    if rest is None:
        return forward_kinematics(body_rotations(take.poses), take.translation)
    return smpl_joints(rest, take.poses, take.translation)


def _until(grid: Grid, stop: float) -> Grid:
    """The beats up to the first at or after ``stop``, so that the grid covers the pair."""
    count = max(2, int(np.searchsorted(grid.beats, stop)) + 1)
    return replace(grid, beats=grid.beats[:count], positions=grid.positions[:count])
