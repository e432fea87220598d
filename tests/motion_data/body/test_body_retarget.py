"""Skeletons of many makers map to the common one by their names; what is missing is inferred or refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data.body.retarget import REQUIRED_JOINTS, map_to_common
from motion_data.errors import DataError
from motion_data.skeleton import INDEX, JOINTS
from tests.moving_body import moving_body

PARTS = ("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist")


def sided(pattern: str, left: str, right: str, parts: str) -> dict[str, str]:
    """Common joint by name: ``pattern`` filled with side and each of ``PARTS``; ``-`` where there is none."""
    return {
        pattern.format(side=side, part=name): f"{common}_{part}"
        for side, common in ((left, "left"), (right, "right"))
        for part, name in zip(PARTS, parts.split(), strict=True)
        if name != "-"
    }


def middle(names: str) -> dict[str, str]:
    """Pelvis, spine1, spine2, spine3, neck, head; ``-`` where there is none."""
    called = zip(names.split(), ("pelvis", "spine1", "spine2", "spine3", "neck", "head"), strict=True)
    return {name: joint for name, joint in called if name != "-"}


MIXAMO = sided("{side}{part}", "Left", "Right", "UpLeg Leg Foot ToeBase Shoulder Arm ForeArm Hand")
MIXAMO |= middle("Hips Spine Spine1 Spine2 Neck Head")

MAKERS: dict[str, dict[str, str]] = {
    "mixamo": {f"mixamorig:{name}": joint for name, joint in MIXAMO.items()},
    "rokoko": MIXAMO,
    "prefixed": {f"Actor7_{name}": joint for name, joint in MIXAMO.items()},
    "motorica": {name: joint for name, joint in MIXAMO.items() if joint[:5] != "spine"}
    | {"Spine": "spine1", "Spine1": "spine3"},
    "cmu": {name: joint for name, joint in MIXAMO.items() if joint[:5] != "spine"}
    | {"LowerBack": "spine1", "Spine": "spine2", "Spine1": "spine3"},
    "classic": sided("{side}{part}", "Left", "Right", "Hip Knee Ankle Toe Collar Shoulder Elbow Wrist")
    | middle("Hips lowerback Chest Chest2 lowerneck Head"),
    "daz": sided("{side}{part}", "l", "r", "Thigh Shin Foot Foot_End Collar Shldr ForeArm Hand")
    | middle("hip abdomen - chest neck head"),
    "bandai": sided("{part}_{side}", "L", "R", "UpperLeg LowerLeg Foot Toes Shoulder UpperArm LowerArm Hand")
    | middle("Hips Spine - Chest Neck Head"),
    "biped": sided("Bip01 {side} {part}", "L", "R", "Thigh Calf Foot Toe0 Clavicle UpperArm Forearm Hand")
    | middle("Bip01_Pelvis Bip01_Spine Bip01_Spine1 Bip01_Spine2 Bip01_Neck Bip01_Head"),
    "unreal": sided("{part}_{side}", "l", "r", "thigh calf foot ball clavicle upperarm lowerarm hand")
    | middle("pelvis spine_01 spine_02 spine_03 neck_01 head"),
    "xsens": sided(
        "{side}{part}", "Left", "Right", "UpperLeg LowerLeg Foot Toe Shoulder UpperArm Forearm Hand"
    )
    | middle("Hips L5 L3 T8 Neck Head"),
    "smpl": sided("m_avg_{side}_{part}", "L", "R", "Hip Knee Ankle Foot Collar Shoulder Elbow Wrist")
    | middle("m_avg_Pelvis m_avg_Spine1 m_avg_Spine2 m_avg_Spine3 m_avg_Neck m_avg_Head"),
    "deepmimic": sided("{side}_{part}", "left", "right", "hip knee ankle - - shoulder elbow wrist")
    | middle("- - - chest neck -")
    | {"root": "pelvis"},
    "common": {name: name for name in JOINTS},
    "mediapipe": sided("{side}_{part}", "LEFT", "RIGHT", "HIP KNEE ANKLE FOOT_INDEX - SHOULDER ELBOW WRIST")
    | {"LEFT_EAR": "head", "RIGHT_EAR": "head"},
    "coco": sided("{side}_{part}", "left", "right", "hip knee ankle - - shoulder elbow wrist")
    | {"nose": "head"},
    "wavefile": sided("{side}_{part}", "left", "right", "hip knee ankle toe collar shoulder elbow wrist")
    | middle("- upper_body - - neck head"),
}
"""What the joints of each maker's skeleton are."""

EXTRA = {
    "cmu": (
        "LHipJoint",
        "RHipJoint",
        "Neck1",
        "LeftFingerBase",
        "LThumb",
        "RThumb",
        "RightHandIndex1",
        "Head_End",
    ),
    "classic": ("LHipJoint", "RHipJoint", "Neck", "lhand", "rhand", "LFingers", "RThumb"),
    "daz": ("lButtock", "rButtock", "leftEye", "rightEye", "lThumb1", "rMid2", "head_End", "lMid2_End"),
    "mixamo": ("mixamorig:LeftHandThumb1", "mixamorig:LeftToe_End", "mixamorig:HeadTop_End"),
    "bandai": ("joint_Root", "Hand_L_End", "Toes_R_End", "Head_End"),
    "mediapipe": ("LEFT_HEEL", "RIGHT_HEEL", "LEFT_PINKY", "RIGHT_INDEX", "MOUTH_LEFT", "LEFT_EYE_INNER"),
    "wavefile": ("center", "lower_body"),
}
"""Joints that must not be taken for others; they stand far away."""


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(sorted(MAKERS)),
    st.sampled_from([str, str.lower, str.upper]),
    st.integers(0, 2**32 - 1),
)
def test_each_name_brings_its_own_joint(maker: str, case: object, seed: int) -> None:
    known = MAKERS[maker]
    generator = np.random.default_rng(seed)
    body = moving_body(frames=3, seed=seed) + 0.001 * generator.normal(size=(3, 22, 3))
    names = [*known, *EXTRA.get(maker, ())]
    order = generator.permutation(len(names))
    far = 50 + generator.normal(size=(3, len(names), 3))
    for column, joint in enumerate(known.values()):
        far[:, column] = body[:, INDEX[joint]]
    written = [names[column] for column in order]
    # Words that have grown together in one case are another matter: see the test below.
    if case is str.lower and maker in ("biped", "unreal", "common", "deepmimic", "coco", "wavefile"):
        written = [name.lower() for name in written]
    if case is str.upper and maker in ("common", "deepmimic", "coco", "mediapipe"):
        written = [name.upper() for name in written]
    found = map_to_common(written, far[:, order])
    # Ears and nose tell of a head that is not there itself.
    there = {joint for name, joint in known.items() if name not in ("LEFT_EAR", "RIGHT_EAR", "nose")}
    assert set(found.inferred) == set(JOINTS) - there
    for joint in known.values():
        np.testing.assert_array_equal(found.joints[:, INDEX[joint]], body[:, INDEX[joint]], err_msg=joint)
    # What was inferred lies within reach of the body, not with the joints that stand far away.
    assert np.abs(found.joints - body).max() < 0.4


def test_case_does_not_matter_where_a_side_is_written_out() -> None:
    body = moving_body(frames=2)
    columns = [INDEX[joint] for joint in MIXAMO.values()]
    for change in (str.lower, str.upper):
        found = map_to_common([change(name) for name in MIXAMO], body[:, columns])
        np.testing.assert_array_equal(found.joints, body)


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(sorted(MAKERS)), st.integers(0, 2**32 - 1))
def test_unit_and_axes_do_not_matter(maker: str, seed: int) -> None:
    known = MAKERS[maker]
    generator = np.random.default_rng(seed)
    joints = moving_body(frames=4, seed=seed)[:, [INDEX[joint] for joint in known.values()]]
    turn, _ = np.linalg.qr(generator.normal(size=(3, 3)))
    scale, shift = generator.uniform(0.01, 100), generator.normal(size=3)

    def moved(x: NDArray[np.float64]) -> NDArray[np.float64]:
        turned: NDArray[np.float64] = scale * x @ turn + shift
        return turned

    plain = np.asarray(map_to_common(list(known), joints).joints)
    np.testing.assert_allclose(
        map_to_common(list(known), moved(joints)).joints, moved(plain), atol=1e-7 * scale
    )


@pytest.mark.parametrize("lacking", REQUIRED_JOINTS)
def test_what_nothing_can_stand_for_is_refused_by_name(lacking: str) -> None:
    left = {name: joint for name, joint in MAKERS["common"].items() if joint != lacking}
    if lacking.endswith("ankle"):
        # An ankle could be called foot; without either there are no feet.
        left = {name: joint for name, joint in left.items() if joint != lacking.replace("ankle", "foot")}
    if lacking.endswith("shoulder"):
        left = {name: joint for name, joint in left.items() if joint != lacking.replace("shoulder", "collar")}
    with pytest.raises(DataError, match=rf"lacks {lacking}; found the joints .*rename"):
        map_to_common(list(left), np.zeros((2, len(left), 3)))


def test_a_head_can_stand_for_a_neck_and_a_neck_for_a_head_but_one_must_be_there() -> None:
    body = moving_body(frames=2)
    for gone in ({"neck"}, {"head"}, {"neck", "head"}):
        names = [name for name in JOINTS if name not in gone]
        joints = body[:, [INDEX[name] for name in names]]
        if len(gone) == 2:
            with pytest.raises(DataError, match="lacks head or neck"):
                map_to_common(names, joints)
        else:
            assert set(map_to_common(names, joints).inferred) == gone


def test_a_root_on_the_floor_is_no_pelvis() -> None:
    names = [*(name for name in JOINTS if name != "pelvis"), "root"]
    body = moving_body(frames=2)
    joints = np.concatenate([body[:, 1:], np.zeros((2, 1, 3))], axis=1)
    found = map_to_common(names, joints)
    assert found.inferred == ("pelvis",)
    amid = (body[:, INDEX["left_hip"]] + body[:, INDEX["right_hip"]]) / 2
    np.testing.assert_allclose(found.joints[:, 0], amid)


def test_lost_joints_stay_lost() -> None:
    body = moving_body(frames=6)
    body[2, INDEX["left_knee"]] = np.nan
    found = map_to_common(list(JOINTS), body)
    assert np.isnan(found.joints[2, INDEX["left_knee"]]).all()
    assert np.isfinite(np.delete(found.joints, INDEX["left_knee"], axis=1)).all()


def test_names_and_joints_must_fit() -> None:
    with pytest.raises(DataError, match=r"expected \(T, 22, 3\)"):
        map_to_common(list(JOINTS), np.zeros((2, 21, 3)))
