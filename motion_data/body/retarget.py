"""Mapping of skeletons to the common skeleton by joint names.

Naming conventions differ: LeftUpLeg (CMU), lThigh (DAZ), UpperLeg_L (Bandai Namco), mixamorig:LeftUpLeg
(Mixamo), Bip01 L Thigh (Biped), LEFT_HIP (MediaPipe). They are compared without case, prefix, separators and
side. Only positions are mapped; bones keep their lengths.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError
from motion_data.skeleton import JOINTS

WORD_PATTERN = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")

SIDES = {"left": "left", "l": "left", "right": "right", "r": "right"}

PREFIX_WORDS = {
    *("bip", "joint", "jnt", "bone", "def", "org", "rig", "mixamorig", "armature", "skeleton"),
    *("character", "cc", "base", "valvebiped"),
}
"""Words that programs prepend to joint names."""

LIMBS: Mapping[str, tuple[str, ...]] = {
    "knee": ("knee", "shin", "calf", "lowerleg", "lowleg", "leg"),
    "hip": ("upleg", "upperleg", "thigh", "thighbend", "hip", "hipjoint", "leg", "buttock"),
    "ankle": ("ankle", "foot"),
    "foot": (
        *("toebase", "toes", "toe", "toe0", "toe1", "ball", "footindex", "bigtoe", "foot"),
        *("footend", "ankleend"),
    ),
    "shoulder": ("upperarm", "uparm", "shldr", "shldrbend", "arm", "shoulder"),
    "collar": ("collar", "clavicle", "collarbone", "shoulder"),
    "elbow": ("elbow", "forearm", "forearmbend", "lowerarm", "lowarm"),
    "wrist": ("wrist", "hand"),
}
"""Names of each joint of a side, most specific first. Joints are assigned in this order and each name once,
so LeftShoulder is the collar if there is a LeftArm, and the shoulder otherwise."""

MIDDLE: Mapping[str, tuple[str, ...]] = {
    "pelvis": ("hips", "hip", "pelvis"),
    "neck": ("lowerneck", "neck", "neck1", "necklower", "neckbase"),
    "head": ("head",),
}

TRUNK_PATTERN = re.compile(
    r"(spine\d*|lowerback|abdomen\d*|abdomen(lower|upper)|chest\d*|chest(lower|upper)|upperchest|torso"
    r"|upperbody\d*|(lower|mid|upper)spine|l[35]|t(8|12))"
)
"""Joints between pelvis and neck; their number varies."""

SPINE_HEIGHTS = {"spine1": 0.25, "spine2": 0.5, "spine3": 0.6}
"""Approximate relative height of SMPL's spine joints between pelvis and neck."""

REQUIRED_JOINTS = tuple(
    f"{side}_{part}"
    for part in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
    for side in ("left", "right")
)
"""Joints that cannot be inferred; head or neck is required as well."""

MAX_ROOT_DISTANCE = 0.35
"""A joint called root is the pelvis if it is closer to the hips than this, relative to the length of a
thigh."""

HEAD_ABOVE_NECK = 0.2
"""Distance of an inferred head from the neck, relative to the distance between hips and neck [O]."""

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class RetargetedMotion:
    """A motion on the common skeleton."""

    joints: Floats
    """(T, 22, 3) in the order of :data:`~motion_data.skeleton.JOINTS`, in the source's unit and axes."""
    inferred: tuple[str, ...]
    """Joints that are missing in the source and inferred from their neighbours."""


def map_to_common(names: Sequence[str], joints: Floats) -> RetargetedMotion:
    """Map a motion to the common skeleton.

    Missing joints are inferred: spine joints on the line from pelvis to neck, collars between upper spine and
    shoulder, the pelvis between the hips, the neck between the shoulders, the head between the ears (or at
    the nose, or above the neck), the ball of a foot at its ankle. All of them are linear functions of the
    source's positions, so unit and axes do not matter, and NaN is preserved.

    Args:
        names: (J,) in any case, with or without a common prefix.
        joints: (T, J, 3).

    Raises:
        DataError: hips, knees, ankles, shoulders, elbows, wrists, or both head and neck are missing; the
            message lists them and the existing names.
    """
    if joints.ndim != 3 or joints.shape[1:] != (len(names), 3):
        raise DataError(
            f"joints of shape {joints.shape}; expected (T, {len(names)}, 3) for {len(names)} names"
        )
    keys = _columns_by_name(names)
    columns = _assign_columns(keys)
    missing = [name for name in REQUIRED_JOINTS if name not in columns]
    face = _head_columns(keys)
    if not {"head", "neck"} & columns.keys() and not face:
        missing.append("head or neck")
    if missing:
        shown = ", ".join(names[:40]) + (f" and {len(names) - 40} more" if len(names) > 40 else "")
        raise DataError(
            f"the skeleton lacks {', '.join(missing)}; found the joints {shown}: rename them as CMU, DAZ, "
            f"Mixamo or SMPL do, or leave this motion out"
        )
    body = {name: joints[:, column] for name, column in columns.items()}
    if "pelvis" not in columns and _is_pelvis(keys.get("root"), joints, body):
        columns["pelvis"] = keys["root"]
        body["pelvis"] = joints[:, keys["root"]]
    _infer_ends(body, joints, face)
    columns |= _infer_trunk(body, joints, keys, set(columns.values()))
    common = np.stack([body[name] for name in JOINTS], axis=1)
    inferred = tuple(name for name in JOINTS if name not in columns)
    return RetargetedMotion(common, inferred)


def _columns_by_name(names: Sequence[str]) -> dict[str, int]:
    """Column by name without case, prefix and separators; names with a side begin with ``left`` or
    ``right``."""
    stems = [re.split(r"[:|]", name)[-1] for name in names]
    cut = len(_common_prefix(stems))
    keys: dict[str, int] = {}
    for column, stem in enumerate(stems):
        # Leading zeros are removed: spine_01 is spine1.
        words = [word.lower().lstrip("0") or "0" for word in WORD_PATTERN.findall(stem[cut:])]
        while len(words) > 1 and (words[0] in PREFIX_WORDS or words[0].isdigit()):
            words = words[1:]
        for key in _name_variants(words):
            keys.setdefault(key, column)
    return keys


def _common_prefix(stems: Sequence[str]) -> str:
    """Common prefix of all names, up to a separator: m_avg_, Actor1_."""
    first, last = min(stems, default=""), max(stems, default="")
    length = 0
    while len(stems) > 1 and length < len(first) and first[length] == last[length]:
        length += 1
    prefix = first[:length]
    return prefix[: max(prefix.rfind("_"), prefix.rfind(" ")) + 1]


def _name_variants(words: list[str]) -> Iterator[str]:
    """Interpretations of a name: with the side first, last, or as its first letter."""
    for index in (0, len(words) - 1):
        part = "".join(words[:index] + words[index + 1 :])
        # L5 is a vertebra.
        if words and words[index] in SIDES and part and not part.isdigit():
            yield SIDES[words[index]] + part
            return
    joined = "".join(words)
    yield joined
    if joined[:1] in SIDES and any(joined[1:] in names for names in LIMBS.values()):
        yield SIDES[joined[0]] + joined[1:]


def _assign_columns(keys: Mapping[str, int]) -> dict[str, int]:
    """Column of each joint of the common skeleton that the source has, without the trunk."""
    columns: dict[str, int] = {}
    for side in ("left", "right"):
        for part, names in LIMBS.items():
            for name in names:
                column = keys.get(side + name)
                if column is not None and column not in columns.values():
                    columns[f"{side}_{part}"] = column
                    break
    for part, names in MIDDLE.items():
        for name in names:
            if name in keys:
                columns[part] = keys[name]
                break
    return columns


def _head_columns(keys: Mapping[str, int]) -> list[int]:
    """Columns of ears or nose, whose mean is the position of the head; may be empty."""
    ears = [keys[name] for name in ("leftear", "rightear") if name in keys]
    if len(ears) == 2:
        return ears
    return [keys["nose"]] if "nose" in keys else []


def _infer_ends(body: dict[str, Floats], joints: Floats, face: list[int]) -> None:
    """Add pelvis, neck, head and the balls of the feet if they are missing."""
    hips = (body["left_hip"] + body["right_hip"]) / 2
    body.setdefault("pelvis", hips)
    if "neck" not in body:
        body["neck"] = (body["left_shoulder"] + body["right_shoulder"]) / 2
    if "head" not in body:
        beyond = body["neck"] + HEAD_ABOVE_NECK * (body["neck"] - hips)
        body["head"] = joints[:, face].mean(axis=1) if face else beyond
    for side in ("left", "right"):
        body.setdefault(f"{side}_foot", body[f"{side}_ankle"])


def _infer_trunk(
    body: dict[str, Floats], joints: Floats, keys: Mapping[str, int], taken: set[int]
) -> dict[str, int]:
    """Add spine and collars; return the columns of those that the source has.

    The source's joints between pelvis and neck are sorted along that line. The lowest, middle and highest
    become spine1 to spine3; two become spine1 and spine3, one becomes the nearest.
    """
    trunk = sorted({column for name, column in keys.items() if TRUNK_PATTERN.fullmatch(name)} - taken)
    line = body["neck"] - body["pelvis"]
    order = {column: _mean_dot(joints[:, column] - body["pelvis"], line) for column in trunk}
    trunk.sort(key=order.__getitem__)
    match len(trunk):
        case 0:
            columns = {}
        case 1:
            height = order[trunk[0]] / max(_mean_dot(line, line), 1e-12)
            columns = {min(SPINE_HEIGHTS, key=lambda name: abs(SPINE_HEIGHTS[name] - height)): trunk[0]}
        case 2:
            columns = {"spine1": trunk[0], "spine3": trunk[1]}
        case count:
            columns = {"spine1": trunk[0], "spine2": trunk[(count - 1) // 2], "spine3": trunk[-1]}
    body |= {name: joints[:, column] for name, column in columns.items()}
    chain = ("pelvis", *SPINE_HEIGHTS, "neck")
    known = [index for index, name in enumerate(chain) if name in body]
    for index, name in enumerate(chain):
        if name not in body:
            below, above = max(k for k in known if k < index), min(k for k in known if k > index)
            share = (index - below) / (above - below)
            body[name] = (1 - share) * body[chain[below]] + share * body[chain[above]]
    for side in ("left", "right"):
        body.setdefault(f"{side}_collar", (body["spine3"] + body["neck"] + 2 * body[f"{side}_shoulder"]) / 4)
    return columns


def _is_pelvis(root: int | None, joints: Floats, body: Mapping[str, Floats]) -> bool:
    """Whether a joint called root is the pelvis and not a reference point on the floor."""
    if root is None:
        return False
    hips = (body["left_hip"] + body["right_hip"]) / 2
    thigh = np.linalg.norm(body["left_knee"] - body["left_hip"], axis=1)
    distance = np.linalg.norm(joints[:, root] - hips, axis=1)
    known = np.isfinite(distance) & np.isfinite(thigh)
    return bool(known.any() and np.median(distance[known]) < MAX_ROOT_DISTANCE * np.median(thigh[known]))


def _mean_dot(a: Floats, b: Floats) -> float:
    products = np.einsum("ti,ti->t", a, b)
    known = np.isfinite(products)
    return float(products[known].mean()) if known.any() else 0.0
