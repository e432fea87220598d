"""BVH files: hierarchy, channels of any order, and forward kinematics.

pybvh 0.9 writes our files but cannot be the reader: it refuses position channels on joints below the
root, which Bandai Namco's files have throughout.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from motion_data.errors import DataError
from motion_data.files import read_bytes
from motion_data.motion import MAX_FPS, MIN_FPS

END = "_End"
"""Added to a joint's name for the end site below it."""

CHANNEL = re.compile(r"([xyz])(position|rotation)", re.IGNORECASE)

MOTION = re.compile(r"^[ \t}]*(MOTION)\b", re.IGNORECASE | re.MULTILINE)

HEADER = re.compile(r"\s*(?:([a-z][a-z \t]*):|(frames|frame[ \t]+time)\b)[ \t]*(\S*)", re.IGNORECASE)
"""A line between MOTION and the rows; the colon is often missing."""

FILLING = " \t\r\n\0\x1a"
"""What may follow the last row; DOS programs end a text with \\x1a."""

USUAL_RATES = (24, 25, 30, 50, 60, 90, 100, 120, 200, 240)
"""Frames a second that a frame time with few digits is taken to stand for."""

CLOSE = 2e-3
"""Share of a frame time within which it is that of a rate."""

ROUNDED = 0.05
"""Share of a frame time that rounding is believed to have changed it by."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Node:
    """A joint or an end site."""

    name: str
    parent: int
    """Index of the parent; -1 for the root."""
    offset: NDArray[np.float64]
    """(3,) from the parent, in the file's unit."""
    positions: tuple[tuple[int, int], ...]
    """(axis, column) of each position channel; it replaces the offset along that axis."""
    rotations: tuple[tuple[str, int], ...]
    """(X, Y or Z, column) of each rotation channel, outermost first."""


@dataclass(frozen=True)
class BvhFile:
    """What a file holds, in its own unit and axes."""

    nodes: tuple[Node, ...]
    values: NDArray[np.float64]
    """(T, C) channels, degrees and lengths; NaN where the file says so."""
    fps: float

    @property
    def names(self) -> tuple[str, ...]:
        """(N,) of joints and end sites."""
        return tuple(node.name for node in self.nodes)


def read_bvh_file(path: str | Path, fps: float | None = None) -> BvhFile:
    """Read a BVH file.

    ``Frames`` that is one off the number of rows, and a frame time with too few digits, are put right
    with a warning in the log.

    Args:
        path: the file.
        fps: frames a second, instead of the file's frame time.

    Raises:
        DataError: no such file, no BVH, truncated, one frame, or a frame time that is missing or absurd;
            the message gives the line.
    """
    path = Path(path)
    text = read_bytes(path).decode("utf-8-sig", errors="replace")
    text = text.replace("\r\n", "\n").replace("\r", "\n").rstrip(FILLING)
    start = MOTION.search(text)
    if start is None or not re.search(r"\bROOT\b", text[: start.start()], re.IGNORECASE):
        raise DataError(
            f"{path}: not a whole BVH file (expected HIERARCHY with a ROOT, then MOTION); fetch it again"
        )
    nodes, channels = _hierarchy(path, text[: start.start(1)])
    header: dict[str, str] = {}
    end = start.end()
    while match := HEADER.match(text, end):
        header[" ".join((match[1] or match[2]).lower().split())] = match[3]
        end = match.end()
    place = f"{path}:{_line(text, start.start(1))}"
    if fps is None:
        if not header.get("frame time"):
            raise DataError(
                f"{place}: no `Frame Time` after MOTION; add it, in seconds a frame, or give the rate "
                f"(--fps, or the column fps)"
            )
        fps = _rate(path, header["frame time"])
    if not re.fullmatch("[0-9]{1,9}", header.get("frames", "")):
        raise DataError(f"{place}: `Frames` is {header.get('frames', '')[:30]!r}; expected a number")
    return BvhFile(nodes, _values(path, text, end, int(header["frames"]), channels), fps)


def forward_kinematics(bvh: BvhFile) -> NDArray[np.float64]:
    """(T, N, 3) positions of all joints and end sites, in the file's unit and axes.

    A rotation of channels ABC is the matrix product A·B·C (turns about the joint's own moved axes).
    NaN channels make the joints that depend on them NaN.
    """
    frames = len(bvh.values)
    positions = np.empty((frames, len(bvh.nodes), 3))
    turned: list[NDArray[np.float64]] = []
    for index, node in enumerate(bvh.nodes):
        local = np.tile(node.offset, (frames, 1))
        for axis, column in node.positions:
            local[:, axis] = bvh.values[:, column]
        turn = _turns(bvh.values, node.rotations)
        if node.parent < 0:
            positions[:, index] = local
        else:
            parent = turned[node.parent]
            positions[:, index] = positions[:, node.parent] + np.einsum("tij,tj->ti", parent, local)
            turn = parent @ turn
        turned.append(turn)
    return positions


def _turns(values: NDArray[np.float64], rotations: tuple[tuple[str, int], ...]) -> NDArray[np.float64]:
    """(T, 3, 3)."""
    if not rotations:
        return np.tile(np.eye(3), (len(values), 1, 1))
    angles = values[:, [column for _, column in rotations]]
    known = np.isfinite(angles).all(axis=1)
    order = "".join(axis for axis, _ in rotations)
    matrices = np.full((len(values), 3, 3), np.nan)
    if known.any():
        matrices[known] = Rotation.from_euler(order, angles[known].reshape(-1, len(order)), True).as_matrix()
    return matrices


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _words(text: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and words of each statement; braces are statements of their own, wherever they stand."""
    for number, line in enumerate(text.split("\n"), 1):
        for part in re.split(r"([{}])", line):
            if part.strip():
                yield number, part.split()


def _hierarchy(path: Path, text: str) -> tuple[tuple[Node, ...], int]:
    """The nodes, parents first, and the number of channels."""
    nodes: list[Node] = []
    opened: list[int] = []
    pending: str | None = None
    columns = 0
    for number, words in _words(text):
        place = f"{path}:{number}"
        match words[0].upper():
            case "ROOT" if nodes:
                raise DataError(f"{place}: a second ROOT; split the file into one body a file")
            case "ROOT" | "JOINT" if len(words) > 1 and bool(nodes) == bool(opened):
                pending = " ".join(words[1:])
            case "END" if opened:
                pending = nodes[opened[-1]].name + END
            case "{" if pending is not None:
                nodes.append(Node(pending, opened[-1] if opened else -1, np.full(3, np.nan), (), ()))
                opened.append(len(nodes) - 1)
                pending = None
            case "}" if opened:
                opened.pop()
            case "OFFSET" if opened:
                nodes[opened[-1]] = _with_offset(place, nodes[opened[-1]], words[1:])
            case "CHANNELS" if opened:
                nodes[opened[-1]] = _with_channels(place, nodes[opened[-1]], words[1:], columns)
                columns += len(words) - 2
            case "HIERARCHY" if not nodes:
                pass
            case _:
                shown = " ".join(words)[:60]
                raise DataError(f"{place}: {shown!r} has no place here; the file is damaged or no BVH")
    lacking = [node.name for node in nodes if not np.isfinite(node.offset).all()]
    if opened or lacking or not columns:
        fault = (
            f"{lacking[0]} has no OFFSET"
            if lacking
            else f"{len(opened)} brackets are not closed"
            if opened
            else "no CHANNELS"
        )
        raise DataError(f"{path}: {fault}; the hierarchy is damaged, fetch the file again")
    return tuple(nodes), columns


def _with_offset(place: str, node: Node, words: list[str]) -> Node:
    try:
        offset = np.array([float(word) for word in words])
    except ValueError:
        offset = np.empty(0)
    if offset.shape != (3,) or not np.isfinite(offset).all():
        raise DataError(f"{place}: OFFSET of {node.name} is {' '.join(words)[:60]!r}; expected three numbers")
    return replace(node, offset=offset)


def _with_channels(place: str, node: Node, words: list[str], columns: int) -> Node:
    found = [CHANNEL.fullmatch(word) for word in words[1:]]
    if not words or words[0] != str(len(found)) or None in found:
        raise DataError(
            f"{place}: CHANNELS of {node.name} are {' '.join(words)[:60]!r}; expected their number and names "
            f"such as Xposition or Zrotation"
        )
    positions, rotations = [], []
    for column, match in enumerate((match for match in found if match), columns):
        if match[2].lower() == "position":
            positions.append(("XYZ".index(match[1].upper()), column))
        else:
            rotations.append((match[1].upper(), column))
    axes = [axis for axis, _ in rotations]
    if len(axes) > 3 or any(a == b for a, b in itertools.pairwise(axes)):
        raise DataError(f"{place}: rotations of {node.name} about {''.join(axes)}; expected three axes")
    return replace(node, positions=tuple(positions), rotations=tuple(rotations))


def _rate(path: Path, text: str) -> float:
    """Frames a second; the round rate (also of NTSC) that a frame time cut to its digits stands for."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = float("nan")
    if not (np.isfinite(seconds) and 1 / MAX_FPS <= seconds <= 1 / MIN_FPS):
        raise DataError(
            f"{path}: `Frame Time` is {text[:30]!r}; expected {1 / MAX_FPS:g} to {1 / MIN_FPS:g} s "
            f"a frame ({MIN_FPS:g} to {MAX_FPS:g} frames a second): correct it, or give the rate "
            f"(--fps, or the column fps)"
        )
    digit = 10.0 ** int(Decimal(text).as_tuple().exponent)
    exact = 1 / seconds
    if round(exact) in USUAL_RATES and abs(exact - round(exact)) < 1e-6:
        return float(round(exact))
    # Rounded to few digits, or cut off after them: .008 is 120 frames a second rather than 125.
    highest = min(digit, ROUNDED * seconds)
    meant = [rate for rate in USUAL_RATES if -min(digit / 2, highest) <= 1 / rate - seconds < highest]
    if digit > CLOSE * seconds and meant:
        usual = min(meant, key=lambda rate: abs(1 / rate - seconds))
        if abs(1 / usual - seconds) > CLOSE * seconds:
            log.warning(
                "%s: `Frame Time` %s has too few digits: read as %d frames a second, not %.2f; if that is "
                "wrong, give the rate (--fps, or the column fps)",
                path,
                text,
                usual,
                exact,
            )
        return float(usual)
    for rate in (round(exact), round(1.001 / seconds) / 1.001):
        if abs(1 / rate - seconds) <= min(max(digit, 1e-9), CLOSE * seconds):
            return float(rate)
    return exact


def _values(path: Path, text: str, start: int, frames: int, channels: int) -> NDArray[np.float64]:
    """(T, C); lines may be broken anywhere, unless ``frames`` is one off."""
    try:
        values = np.array(text[start:].split(), dtype=np.float64)
    except ValueError as error:
        for word in re.finditer(r"\S+", text[start:]):
            try:
                float(word[0])
            except ValueError:
                number = _line(text, start + word.start())
                raise DataError(f"{path}:{number}: {word[0][:30]!r} is no number; fetch it again") from error
        raise DataError(f"{path}: not rows of numbers ({error}); fetch it again") from error
    rows, rest = divmod(len(values), channels)
    if len(values) != frames * channels:
        whole_lines = not rest and all(
            len(line.split()) in (0, channels) for line in text[start:].split("\n")
        )
        if not whole_lines or abs(rows - frames) != 1:
            raise DataError(
                f"{path}: `Frames` says {frames} of {channels} numbers, the file holds "
                f"{len(values) / channels:.1f}; it is truncated or damaged: fetch it again"
            )
        log.warning("%s: `Frames` says %d, but there are %d rows; the rows are used", path, frames, rows)
    if rows < 2:
        raise DataError(f"{path}: {rows} frame(s); a motion needs at least 2")
    return values.reshape(rows, channels)
