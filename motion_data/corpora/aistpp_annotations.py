"""The published annotations of AIST++, in a folder or in the zip as it comes; nothing is unpacked."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from motion_data.body.smpl_motion import EDGE_POSES_KEY, SMPL_KEYS, SmplMotion, parse_smpl_motion
from motion_data.errors import DataError
from motion_data.safe_pickle import load_arrays_from_bytes

FPS = 60.0
"""Frames a second of every motion. The files do not say it, and their makers took 60 for all, though some
videos run slightly otherwise: of a long take, the end may stand some hundredths of a second off the music."""

LISTS = {"train": "crossmodal_train.txt", "val": "crossmodal_val.txt", "test": "crossmodal_test.txt"}

IGNORED = "ignore_list.txt"
"""Takes whose reconstruction failed, says their maker."""

LARGEST_MEMBER = 100_000_000
"""Bytes; the longest motion is under 1 MB, and a zip may promise anything."""

FARTHEST = 20.0
"""Metres from the origin that a dancer may be; beyond it the scaling is not the translation's."""

MOTIONS = "motions"

PIECE = r"m(?:BR|PO|LO|MH|LH|HO|WA|KR|JS|JB)[0-5]"
"""Name of one of the 60 pieces: m, the genre of its dances, its number."""

_NAME = re.compile(
    r"g(?P<genre>[A-Z]{2})_s(?P<situation>[A-Z]{2})_c(?:All|\d\d)_d(?P<dancer>\d\d)"
    rf"_(?P<music>{PIECE})_ch(?P<choreography>\d\d)"
)


@dataclass(frozen=True)
class TakeName:
    """What the name of a take says, such as ``gBR_sBM_cAll_d04_mBR0_ch02``."""

    genre: str
    """Of the dance: BR break, PO pop, LO lock, MH middle hip-hop, LH LA-style hip-hop, HO house, WA waack,
    KR krump, JS street jazz, JB ballet jazz."""
    situation: str
    """BM basic dance, FM advanced dance."""
    dancer: str
    music: str
    """One of 60 pieces."""
    choreography: str
    bpm: float
    """Of the piece: 80 to 130 in steps of 10 by its number, for house 110 to 135 in steps of 5."""


def parse_name(name: str) -> TakeName:
    """Read a take's name.

    Raises:
        DataError: it is not made as those of AIST++ are, or names no piece of theirs.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise DataError(
            f"{name}: not a take of AIST++; expected a name such as gBR_sBM_cAll_d04_mBR0_ch02, whose music "
            f"is m, one of BR PO LO MH LH HO WA KR JS JB, and 0 to 5"
        )
    return TakeName(
        match["genre"],
        match["situation"],
        "d" + match["dancer"],
        match["music"],
        "ch" + match["choreography"],
        piece_bpm(match["music"]),
    )


def piece_bpm(piece: str) -> float:
    """Beats a minute of a piece, by its name (:data:`PIECE`)."""
    number = int(piece[-1])
    return 110.0 + 5 * number if piece.startswith("mHO") else 80.0 + 10 * number


@dataclass(frozen=True)
class Annotations:
    """Where the parts of the annotations are."""

    root: Path
    """The folder that holds ``motions``, or the zip."""
    motions: Mapping[str, str]
    """Files or members with the takes' motions, by take."""
    lists: Mapping[str, str]
    """Files or members of the split lists and the ignore list, by file name."""

    def source(self, take: str) -> Path:
        """The file that a take depends on."""
        return self.root / self.motions[take] if self.root.is_dir() else self.root

    def names(self, file: str) -> list[str]:
        """The takes in a list.

        Raises:
            DataError: there is no such list, or it is not text.
        """
        if file not in self.lists:
            raise DataError(
                f"{self.root}: lacks {file}; fetch the annotations whole, with splits and {IGNORED}"
            )
        place = f"{self.root}/{self.lists[file]}"
        try:
            lines = self._bytes(self.lists[file]).decode("utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise DataError(f"{place}: not a text of names ({error}); fetch it again") from error
        # A line of the published ignore list ends in a blank.
        return [line.strip() for line in lines if line.strip()]

    def take(self, name: str) -> SmplMotion:
        """Read one motion; nothing in its pickle but arrays is looked at, and nothing is run.

        Raises:
            DataError: damaged, code in the pickle, or arrays that are no motion.
        """
        place = f"{self.root}/{self.motions[name]}"
        arrays = load_arrays_from_bytes(self._bytes(self.motions[name]), place)
        if not isinstance(arrays, dict) or any(key not in arrays for key in SMPL_KEYS):
            found = ", ".join(map(str, arrays)) if isinstance(arrays, dict) else type(arrays).__name__
            raise DataError(f"{place}: holds {found}; expected {', '.join(SMPL_KEYS)}; fetch it again")
        if EDGE_POSES_KEY in arrays:
            raise DataError(
                f"{place}: {EDGE_POSES_KEY} shows that EDGE wrote it, at another frame rate than AIST++'s "
                f"{FPS:g}; prepare it with the corpus folder"
            )
        take = parse_smpl_motion(arrays, place, joints=24)
        farthest = np.abs(take.translation).max()
        if farthest > FARTHEST:
            raise DataError(
                f"{place}: the dancer is {farthest:.0f} m from the origin; expected smpl_trans over "
                f"smpl_scaling ({take.scaling:g}) in metres, at most {FARTHEST:g}"
            )
        return take

    def _bytes(self, member: str) -> bytes:
        place = f"{self.root}/{member}"
        try:
            if self.root.is_dir():
                return (self.root / member).read_bytes()
            with zipfile.ZipFile(self.root) as archive:
                if archive.getinfo(member).file_size > LARGEST_MEMBER:
                    raise DataError(f"{place}: larger than {LARGEST_MEMBER:,} bytes; no file of AIST++ is")
                return archive.read(member)
        except DataError:
            raise
        except Exception as error:  # a damaged zip raises errors of many kinds
            raise DataError(f"{place}: cannot be read ({error}); fetch it again") from error


def find_annotations(raw: Path) -> Annotations:
    """Find motions and lists under a folder, or in a zip.

    Raises:
        DataError: neither, or no motions in it.
    """
    if raw.is_dir():
        folders = [raw, *sorted(path for path in raw.iterdir() if path.is_dir())]
        root = next((folder for folder in folders if (folder / MOTIONS).is_dir()), raw)
        members = [
            path.relative_to(root).as_posix()
            for folder in (root, root / MOTIONS, root / "splits")
            if folder.is_dir()
            for path in sorted(folder.iterdir())
            if path.is_file()
        ]
    elif raw.is_file():
        root = raw
        try:
            with zipfile.ZipFile(raw) as archive:
                members = sorted(archive.namelist())
        except Exception as error:  # a damaged zip raises errors of many kinds
            raise DataError(f"{raw}: not a whole zip ({error}); fetch the annotations again") from error
    else:
        raise DataError(f"{raw}: no such folder or zip; expected the annotations of AIST++")
    paths = [PurePosixPath(member) for member in members if "__MACOSX" not in member]
    found = [path for path in paths if path.suffix == ".pkl" and path.parent.name == MOTIONS]
    motions = {path.stem: str(path) for path in found}
    if not motions:
        raise DataError(f"{raw}: no {MOTIONS}/*.pkl in it; expected the annotations of AIST++")
    if len(motions) < len(found):
        twice = next(path for path in found if str(path) != motions[path.stem])
        raise DataError(f"{raw}: {twice.name} is there twice; leave one set of annotations in it")
    lists = {path.name: str(path) for path in paths if path.name in (*LISTS.values(), IGNORED)}
    return Annotations(root, motions, lists)
