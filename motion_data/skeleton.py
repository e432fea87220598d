"""The common skeleton: the 22 body joints of SMPL. AIST++ uses them, and other sources are mapped to them."""

from __future__ import annotations

JOINTS = (
    *("pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2"),
    *("left_ankle", "right_ankle", "spine3", "left_foot", "right_foot", "neck"),
    *("left_collar", "right_collar", "head", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist"),
)
"""Names in SMPL's order. ``*_ankle`` is the ankle, ``*_foot`` the ball of the foot."""

PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)
"""Parent of each joint; -1 for the root."""

SMPL_JOINTS = (*JOINTS, "left_hand", "right_hand")
"""SMPL's 24 joints: the common skeleton and two hands."""

SMPL_PARENTS = (*PARENTS, JOINTS.index("left_wrist"), JOINTS.index("right_wrist"))
"""Parent of each joint of ``SMPL_JOINTS``."""

INDEX = {name: index for index, name in enumerate(JOINTS)}

FEET = {"left_foot": ("left_ankle", "left_foot"), "right_foot": ("right_ankle", "right_foot")}
"""Joints that determine the contacts of each foot."""

HANDS = {"left_hand": ("left_wrist",), "right_hand": ("right_wrist",)}
"""Joints that determine the strokes of each hand, if no foot is in view."""
