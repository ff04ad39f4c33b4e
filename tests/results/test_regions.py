"""Regions: closed polygons that hold what they outline."""

import findings_factory as make
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.results import regions
from inference.findings import SliceMap

VALUES = st.lists(st.floats(0, 1), min_size=16 * 12, max_size=16 * 12)


def slice_map(values: np.ndarray) -> SliceMap:
    return SliceMap(0, "sam", "block2", "arterial", values.astype(np.float32), 1.0)


@settings(max_examples=50)
@given(VALUES)
def test_a_hot_region_is_closed_and_holds_the_peak_of_its_part(values: list[float]) -> None:
    """Whatever the map, the polygon lies on the slice and is the convex outline of hot pixels."""
    heat = np.array(values).reshape(16, 12)
    polygon = regions.hot_region(slice_map(heat))
    if heat.astype(np.float32).max() <= 0:
        assert polygon is None
        return
    assert polygon is not None
    assert (polygon[0] == polygon[-1]).all()
    assert len(polygon) >= 5
    assert polygon.min() >= 0
    assert polygon[:, 0].max() <= 12
    assert polygon[:, 1].max() <= 16
    inside = regions.mask(polygon, (16, 12))
    assert (heat[inside] >= regions.HOT * heat.max()).any()


def test_one_hot_pixel_is_outlined_by_its_corners() -> None:
    """(column, row) of the four corners, PS3.3 C.10.5.1.2."""
    heat = np.zeros((8, 8))
    heat[2, 5] = 1
    polygon = regions.hot_region(slice_map(heat))
    assert polygon is not None
    assert {tuple(p) for p in polygon} == {(5.0, 2.0), (6.0, 2.0), (6.0, 3.0), (5.0, 3.0)}


def test_an_empty_map_has_no_hot_region() -> None:
    """Zeros and values that are no numbers alike."""
    assert regions.hot_region(slice_map(np.zeros((4, 4)))) is None
    assert regions.hot_region(slice_map(np.full((4, 4), np.nan))) is None


def test_the_body_of_the_phantom_is_outlined() -> None:
    """An ellipse of 0.9 x 0.66 of the slice."""
    volume = make.volume()
    area = regions.mask(regions.body_region(volume, 0), volume.shape).mean()
    assert abs(area - np.pi * 0.45 * 0.33) < 0.01


def test_a_slice_of_air_is_its_own_region() -> None:
    """Nothing to outline, so everything."""
    from inference.volume import Volume

    air = Volume.from_array(np.full((1, 10, 20), -1000, np.float32))
    assert regions.mask(regions.body_region(air, 0), (10, 20)).all()
