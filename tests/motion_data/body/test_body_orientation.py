"""Unit, up axis and handedness are found from the body, whatever they were."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data.body.orientation import AXES, HUMAN_STATURE_METRES, UNITS, estimate_stature, orient
from motion_data.errors import DataError
from motion_data.skeleton import INDEX
from tests.moving_body import moving_body


def frame_with_up(up: str, turn: float) -> NDArray[np.float64]:
    """A proper rotation that takes y to ``up`` and turns about it, by cross products."""
    axis, sign = AXES[up]
    y = np.eye(3)[axis] * sign
    x = np.eye(3)[(axis + 1) % 3]
    z = np.cross(x, y)
    turned = np.cos(turn) * x + np.sin(turn) * z
    return np.stack([turned, y, np.cross(turned, y)], axis=1)


def distances(joints: NDArray[np.float64]) -> NDArray[np.float64]:
    gaps: NDArray[np.float64] = np.linalg.norm(joints[:, :, None] - joints[:, None], axis=3)
    return gaps


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(sorted(UNITS)),
    st.sampled_from(sorted(AXES)),
    st.floats(0, 6.28),
    st.floats(1.25, 2.05),
    st.booleans(),
    st.integers(0, 1000),
)
def test_any_unit_and_axes_come_back_in_metres_y_up(
    unit: str, up: str, turn: float, stature: float, mirrored: bool, seed: int
) -> None:
    body = moving_body(seed=seed)
    body *= stature / estimate_stature(body)
    axes = frame_with_up(up, turn)
    raw = body @ axes.T / UNITS[unit] + np.random.default_rng(seed).normal(size=3)
    if mirrored:
        # Mirrored along an axis that is not the upright one.
        raw[..., (AXES[up][0] + 1) % 3] *= -1
    oriented, found = orient(raw)
    told = [found[key].partition(" ")[0] for key in ("unit", "up", "mirrored")]
    assert told == [unit, up, "yes" if mirrored else "no"]
    assert found["stature_m"] == pytest.approx(stature, abs=6e-4)
    assert estimate_stature(oriented) == pytest.approx(stature, rel=1e-6)
    np.testing.assert_allclose(distances(oriented), distances(body), atol=1e-6)
    # The floor is a low percentile of the lower foot: within a step's height of the lowest.
    np.testing.assert_allclose(oriented[..., 1], body[..., 1], atol=0.01)
    left = oriented[:, INDEX["left_hip"]] - oriented[:, INDEX["right_hip"]]
    toes = oriented[:, INDEX["left_foot"]] - oriented[:, INDEX["left_ankle"]]
    assert (np.einsum("ti,ti->t", np.cross(left, [0.0, 1.0, 0.0]), toes) > 0).all()


@given(st.floats(0.001, 1e4))
def test_no_height_fits_two_units_and_what_is_no_human_size_is_refused(height: float) -> None:
    # Not within rounding of a border.
    assume(
        all(
            abs(height * scale - border) > 1e-9 for scale in UNITS.values() for border in HUMAN_STATURE_METRES
        )
    )
    fits = [
        unit
        for unit, scale in UNITS.items()
        if HUMAN_STATURE_METRES[0] <= height * scale <= HUMAN_STATURE_METRES[1]
    ]
    assert len(fits) <= 1
    body = moving_body(frames=3)
    body *= height / estimate_stature(body)
    if fits:
        assert orient(body)[1]["unit"].startswith(f"{fits[0]} (")
    else:
        with pytest.raises(DataError, match=r"no human size .*1\.2-2\.1 m"):
            orient(body)


def test_centimetres_that_are_called_metres_are_refused() -> None:
    body = moving_body(frames=5) * 100
    with pytest.raises(DataError, match=r"\d+ m tall in the unit given \(m\); expected 0.5 to 3 m"):
        orient(body, unit="m")


def test_a_unit_can_be_given_as_a_number() -> None:
    body = moving_body(frames=5)
    oriented, found = orient(body / 0.037, unit="0.037")
    np.testing.assert_allclose(distances(oriented), distances(body), atol=1e-9)
    assert found["unit"] == "0.037 (given)"


@pytest.mark.parametrize(
    ("unit", "up"), [("yard", None), ("-1", None), (None, "w"), (None, "+y"), ("nan", None)]
)
def test_overrides_that_cannot_be_are_refused(unit: str | None, up: str | None) -> None:
    with pytest.raises(DataError, match="is not known; expected one of"):
        orient(moving_body(frames=5), unit, up)


def test_a_body_between_two_axes_is_refused_until_the_axis_is_given() -> None:
    slanted = moving_body(frames=5) @ np.array([[1, 0, 0], [0, 0.7071, -0.7071], [0, 0.7071, 0.7071]]).T
    with pytest.raises(DataError, match="no axis is clearly up"):
        orient(slanted)
    assert orient(slanted, up="y")[1]["up"] == "y (given)"


def test_a_body_that_lies_down_for_a_while_still_tells_up() -> None:
    standing = moving_body(frames=60)
    lying = standing[:20] @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]).T
    assert orient(np.concatenate([standing, lying]))[1]["up"].startswith("y (")
