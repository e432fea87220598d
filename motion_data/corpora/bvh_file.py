"""BVH files: hierarchy, channels of any order, and forward kinematics.

pybvh 0.9 writes our files but cannot be the reader: it refuses position channels on joints below the
root, which Bandai Namco's files have throughout.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from motion_data.errors import DataError
from motion_data.motion import FASTEST_RATE, SLOWEST_RATE

END = "_End"
"""Added to a joint's name for the end site below it."""

CHANNEL = re.compile(r"([xyz])(position|rotation)", re.IGNORECASE)


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


def read_bvh_file(path: str | Path) -> BvhFile:
    """Read a BVH file.

    Raises:
        DataError: no such file, no BVH, truncated, one frame, or a frame time that is missing or absurd;
            the message gives the line.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    start = next((i for i, line in enumerate(lines) if line.split()[:1] == ["MOTION"]), None)
    if not lines or start is None or not any(line.split()[:1] == ["ROOT"] for line in lines):
        raise DataError(
            f"{path}: not a whole BVH file (expected HIERARCHY with a ROOT, then MOTION); fetch it again"
        )
    nodes, channels = _hierarchy(path, lines[:start])
    header: dict[str, str] = {}
    row = start + 1
    while row < len(lines) and (":" in lines[row] or not lines[row].strip()):
        key, _, value = lines[row].partition(":")
        header[" ".join(key.lower().split())] = value.strip()
        row += 1
    if not header.get("frame time"):
        raise DataError(f"{path}:{start + 1}: no `Frame Time` after MOTION; add it, in seconds a frame")
    fps = _rate(path, header["frame time"])
    if not header.get("frames", "").isdigit():
        raise DataError(f"{path}:{start + 1}: `Frames` is {header.get('frames')!r}; expected a number")
    frames = int(header["frames"])
    if frames < 2:
        raise DataError(f"{path}: {frames} frame(s); a motion needs at least 2")
    return BvhFile(nodes, _values(path, lines, row, frames, channels), fps)


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


def _hierarchy(path: Path, lines: list[str]) -> tuple[tuple[Node, ...], int]:
    """The nodes, parents first, and the number of channels."""
    nodes: list[Node] = []
    opened: list[int] = []
    pending = ""
    columns = 0
    for number, line in enumerate(lines, 1):
        words = line.split()
        place = f"{path}:{number}"
        match [word.upper() for word in words[:1]]:
            case ["ROOT"] if nodes:
                raise DataError(f"{place}: a second ROOT; split the file into one body a file")
            case ["ROOT" | "JOINT"] if len(words) > 1:
                pending = " ".join(words[1:])
            case ["END"]:
                pending = (nodes[opened[-1]].name if opened else "") + END
            case ["{"]:
                nodes.append(Node(pending, opened[-1] if opened else -1, np.full(3, np.nan), (), ()))
                opened.append(len(nodes) - 1)
            case ["}"] if opened:
                opened.pop()
            case ["OFFSET"] if opened:
                nodes[opened[-1]] = _with_offset(place, nodes[opened[-1]], words[1:])
            case ["CHANNELS"] if opened:
                nodes[opened[-1]] = _with_channels(place, nodes[opened[-1]], words[1:], columns)
                columns += len(words) - 2
            case [] | ["HIERARCHY"]:
                pass
            case _:
                raise DataError(f"{place}: {line.strip()!r} has no place here; the file is damaged or no BVH")
    lacking = [node.name for node in nodes if not np.isfinite(node.offset).all()]
    if opened or lacking:
        fault = f"{lacking[0]} has no OFFSET" if lacking else f"{len(opened)} brackets are not closed"
        raise DataError(f"{path}: {fault}; the hierarchy is damaged, fetch the file again")
    return tuple(nodes), columns


def _with_offset(place: str, node: Node, words: list[str]) -> Node:
    try:
        offset = np.array([float(word) for word in words])
    except ValueError:
        offset = np.empty(0)
    if offset.shape != (3,) or not np.isfinite(offset).all():
        raise DataError(f"{place}: OFFSET of {node.name} is {' '.join(words)!r}; expected three numbers")
    return Node(node.name, node.parent, offset, node.positions, node.rotations)


def _with_channels(place: str, node: Node, words: list[str], columns: int) -> Node:
    found = [CHANNEL.fullmatch(word) for word in words[1:]]
    if not words or words[0] != str(len(found)) or None in found:
        raise DataError(
            f"{place}: CHANNELS of {node.name} are {' '.join(words)!r}; expected their number and names such "
            f"as Xposition or Zrotation"
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
    return Node(node.name, node.parent, node.offset, tuple(positions), tuple(rotations))


def _rate(path: Path, text: str) -> float:
    """Frames a second; the round rate (also of NTSC) that a frame time cut to its digits stands for."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = float("nan")
    if not (np.isfinite(seconds) and 1 / FASTEST_RATE <= seconds <= 1 / SLOWEST_RATE):
        raise DataError(
            f"{path}: `Frame Time` is {text!r}; expected {1 / FASTEST_RATE:g} to {1 / SLOWEST_RATE:g} s a "
            f"frame ({SLOWEST_RATE:g} to {FASTEST_RATE:g} frames a second): correct it"
        )
    digits = len(text.lower().partition("e")[0].partition(".")[2])
    unit = 0.0 if "e" in text.lower() else 10.0**-digits
    for rate in (round(1 / seconds), round(1.001 / seconds) / 1.001):
        error = abs(1 / rate - seconds)
        if error <= max(unit, 1e-9) and error <= 2e-3 * seconds:
            return float(rate)
    return 1 / seconds


def _values(path: Path, lines: list[str], row: int, frames: int, channels: int) -> NDArray[np.float64]:
    """(T, C); lines may be broken anywhere."""
    try:
        values = np.array(" ".join(lines[row:]).split(), dtype=np.float64)
    except ValueError as error:
        for number, line in enumerate(lines[row:], row + 1):
            for word in line.split():
                try:
                    float(word)
                except ValueError:
                    raise DataError(f"{path}:{number}: {word!r} is no number; fetch it again") from error
        raise
    if len(values) != frames * channels:
        whole = len(values) / channels if channels else 0
        raise DataError(
            f"{path}: `Frames` says {frames} of {channels} numbers, the file holds {whole:.1f}; it is "
            f"truncated or damaged: fetch it again"
        )
    return values.reshape(frames, channels)
