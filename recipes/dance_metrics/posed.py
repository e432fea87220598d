"""The 24 joints of an SMPL body from its rotations."""

from __future__ import annotations

from motion_data.body.kinematics import forward_kinematics
from motion_data.body.smpl import BodyModel, Floats, smpl_joints
from motion_data.errors import DataError
from motion_data.skeleton import SMPL_JOINTS, SMPL_PARENTS
from recipes.dance_metrics.hands import with_hands


def posed_joints(model: BodyModel, poses: Floats, translation: Floats) -> Floats:
    """Joints of the mean shape, as the published evaluations take them.

    SMPL's own hands where the model has SMPL's 24 joints; SMPL+H and SMPL-X have fingers in their place,
    and get hands that continue the forearms.

    Args:
        model: from :func:`~motion_data.body.smpl.read_body_model`.
        poses: (T, 72) axis times angle in radians.
        translation: (T, 3) metres.

    Returns:
        (T, 24, 3) metres.

    Raises:
        DataError: shapes that do not fit.
    """
    if poses.ndim != 2 or poses.shape[1] != 3 * len(SMPL_JOINTS):
        raise DataError(f"poses of shape {poses.shape}; expected (T, 72)")
    if len(model.joint_regressor) != len(SMPL_JOINTS):
        return with_hands(smpl_joints(model, poses, translation))
    rest = model.joint_regressor @ model.template
    return forward_kinematics(poses.reshape(len(poses), -1, 3), translation, rest, SMPL_PARENTS)
