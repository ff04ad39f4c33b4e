"""Planes in the patient."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.series.geometry import Plane

angles = st.floats(-180, 180)
places = st.tuples(*[st.floats(-500, 500)] * 3)


def turned(origin: tuple[float, float, float], tilt: float, turn: float) -> Plane:
    """An axial plane, turned within itself, then tilted about the left-right axis; degrees."""
    t, s = math.radians(tilt), math.radians(turn)
    tilted = np.array([[1, 0, 0], [0, math.cos(t), -math.sin(t)], [0, math.sin(t), math.cos(t)]])
    row, column = tilted @ [math.cos(s), math.sin(s), 0], tilted @ [-math.sin(s), math.cos(s), 0]
    return Plane(origin, tuple(map(float, row)), tuple(map(float, column)))


@given(places, angles, angles)
def test_tilt_is_the_angle_of_the_gantry(origin: tuple[float, float, float], tilt: float, turn: float) -> None:
    """Turning within the plane is no tilt; upside down is none either."""
    expected = min(abs(tilt), 180 - abs(tilt))
    assert turned(origin, tilt, turn).tilt_degrees == pytest.approx(expected, abs=1e-5)


@given(places, st.floats(-29, 29), st.floats(-300, 300), st.floats(-300, 300), st.floats(-100, 100))
def test_position_ignores_where_in_its_plane_the_first_pixel_lies(
    origin: tuple[float, float, float], tilt: float, right: float, down: float, along: float
) -> None:
    """Shifting the field of view moves nothing; moving the table moves the position by as much."""
    plane = turned(origin, tilt, 0)
    moved = np.array(origin) + right * np.array(plane.along_row) + down * np.array(plane.along_column) + [0, 0, along]
    other = Plane(tuple(map(float, moved)), plane.along_row, plane.along_column)
    assert other.position_mm - plane.position_mm == pytest.approx(along, abs=1e-6)


@pytest.mark.parametrize(("turn", "flips"), [(0, (False, False)), (180, (True, True)), (30, (False, False))])
def test_flips_follow_the_directions(turn: float, flips: tuple[bool, bool]) -> None:
    """Supine needs none; prone, seen from the feet, both."""
    plane = turned((0, 0, 0), 0, turn)
    assert (plane.flip_rows, plane.flip_columns) == flips
    assert not plane.turned


def test_a_picture_on_its_side_is_turned() -> None:
    """Rows that run from front to back."""
    assert turned((0, 0, 0), 0, 90).turned
    assert not turned((0, 0, 0), 45, 0).axial


@pytest.mark.parametrize(
    "directions",
    [((0, 0, 0), (0, 1, 0)), ((1, 0, 0), (1, 0, 0)), ((2, 0, 0), (0, 1, 0)), ((math.nan, 0, 0), (0, 1, 0))],
)
def test_what_is_no_plane_is_never_made(
    directions: tuple[tuple[float, float, float], tuple[float, float, float]],
) -> None:
    """Zero, parallel, long and undefined directions."""
    with pytest.raises(ValueError, match="direction"):
        Plane((0, 0, 0), *directions)
