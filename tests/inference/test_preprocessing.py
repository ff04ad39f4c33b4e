"""Slices reach the network in true size and come back to their own pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from inference.preprocessing import AIR_HU, Grid, channels, clean, noise_hu, place, prepare, resample, to_source

GRID = Grid(size=64, pixel_mm=4.0)


def disc(
    shape: tuple[int, int], spacing: tuple[float, float], centre_mm: tuple[float, float], radius_mm: float
) -> NDArray[np.float32]:
    """Water in air; centre in mm from pixel (0, 0)."""
    rows, columns = np.indices(shape)
    away = np.hypot(rows * spacing[0] - centre_mm[0], columns * spacing[1] - centre_mm[1])
    return np.where(away < radius_mm, 40.0, AIR_HU).astype(np.float32)


def area_mm2(image: NDArray[np.float32], pixel_mm2: float) -> float:
    return float(((image - AIR_HU) / (40.0 - AIR_HU)).sum() * pixel_mm2)


@given(
    spacing=st.tuples(st.floats(0.4, 3.0), st.floats(0.4, 3.0)),
    off=st.tuples(st.floats(-30, 30), st.floats(-30, 30)),
)
@settings(max_examples=25, deadline=None)
def test_area_in_mm_is_kept_whatever_the_pixel_size(spacing: tuple[float, float], off: tuple[float, float]) -> None:
    """A body's area in mm² is the same on the network's grid as on the source's, at every spacing and place."""
    shape = (round(300 / spacing[0]), round(300 / spacing[1]))
    source = disc(shape, spacing, (150 + off[0], 150 + off[1]), 60.0)
    seen = resample(source, place(source, spacing), GRID)
    assert area_mm2(seen, GRID.pixel_mm**2) == pytest.approx(area_mm2(source, spacing[0] * spacing[1]), rel=0.02)


@given(off=st.tuples(st.floats(-40, 40), st.floats(-40, 40)))
@settings(max_examples=20, deadline=None)
def test_the_body_is_centred(off: tuple[float, float]) -> None:
    """Where the patient lies in the field of view does not matter."""
    source = disc((256, 256), (1.0, 1.0), (128 + off[0], 128 + off[1]), 50.0)
    seen = resample(source, place(source, (1.0, 1.0)), GRID)
    rows, columns = np.nonzero(seen > -500)
    assert abs(rows.mean() - 31.5) < 0.5
    assert abs(columns.mean() - 31.5) < 0.5


def test_uniform_tissue_keeps_its_hounsfield() -> None:
    """Resampling neither gains nor loses HU inside the source, at any phase of the two grids."""
    source = np.full((200, 180), 57.0, np.float32)
    for spacing in ((0.7, 0.9), (1.0, 1.3), (4.0, 4.0), (7.0, 5.0)):
        seen = resample(source, place(source, spacing), Grid(size=20, pixel_mm=4.0))
        assert np.abs(seen - 57.0).max() < 0.05


@given(spacing=st.floats(0.5, 5.0), at=st.tuples(st.integers(20, 43), st.integers(20, 43)))
@settings(max_examples=25, deadline=None)
def test_a_map_comes_back_to_where_it_was(spacing: float, at: tuple[int, int]) -> None:
    """A hot spot on the network's grid lies at the same millimetres on the source's pixels."""
    shape = (round(260 / spacing), round(260 / spacing))
    placement = place(disc(shape, (spacing, spacing), (130, 130), 60.0), (spacing, spacing))
    values = np.zeros((64, 64), np.float32)
    values[at[0] - 2 : at[0] + 3, at[1] - 2 : at[1] + 3] = 1.0
    back = to_source(values, placement, GRID)
    rows, columns = np.indices(shape)
    found = np.array([(rows * back).sum(), (columns * back).sum()]) / back.sum()
    wanted = [placement.centre[i] + (at[i] - 31.5) * GRID.pixel_mm / spacing for i in (0, 1)]
    assert np.abs(found - wanted).max() * spacing < 0.6 * GRID.pixel_mm


def test_a_coarse_map_covers_the_same_field() -> None:
    """A map of a deep layer, with fewer pixels, is spread over the whole field and nowhere else."""
    placement = place(np.full((100, 100), 40.0, np.float32), (4.0, 4.0))
    back = to_source(np.ones((4, 4), np.float32), placement, GRID)
    assert back.sum() == pytest.approx(64 * 64, rel=0.04)
    assert back[:10].max() == 0.0
    assert back[50, 50] == pytest.approx(1.0)


@given(bad=st.sampled_from([np.nan, np.inf, -np.inf, 1e30, -1e30, -3024.0]))
def test_any_number_becomes_an_input(bad: float) -> None:
    """NaN, infinity and absurd HU become something a CT can hold."""
    source = np.full((40, 40), 40.0, np.float32)
    source[3:20, 5:9] = bad
    inputs, _ = prepare(source[None], (3.0, 3.0), GRID)
    assert np.isfinite(inputs).all()
    assert inputs.min() >= -1.0
    assert inputs.max() <= 1.0


def test_nothing_but_bad_numbers_becomes_air() -> None:
    """A slice of NaN is a slice of air, not a crash."""
    assert (clean(np.full((5, 5), np.nan, np.float32)) == AIR_HU).all()


def test_iodine_stays_apart_from_soft_tissue() -> None:
    """What saturates the soft-tissue window still differs in another one."""
    inputs = channels(np.array([[[260.0, 400.0]]], np.float32), Grid().windows)
    assert inputs[0, 0, 0, 0] == inputs[0, 0, 0, 1] == 1.0
    assert inputs[0, 1, 0, 1] - inputs[0, 1, 0, 0] > 0.5


def test_the_options_of_a_card_make_the_same_grid() -> None:
    """What is written to a card is what is read from it."""
    assert Grid.from_options(Grid().as_options()) == Grid()


@given(level=st.floats(5.0, 60.0))
@settings(max_examples=10, deadline=None)
def test_noise_is_measured_in_hounsfield(level: float) -> None:
    """White noise in tissue is estimated to within a tenth; an edge is not taken for noise."""
    random = np.random.default_rng(1)
    image = np.full((1, 120, 120), 50.0) + (np.arange(120) > 60) * 60.0 + random.normal(0, level, (1, 120, 120))
    assert noise_hu(image.astype(np.float32)) == pytest.approx(level, rel=0.1, abs=1.0)


def test_no_tissue_has_no_noise() -> None:
    """A slice of air has a noise of 0, not NaN."""
    assert noise_hu(np.full((1, 20, 20), AIR_HU, np.float32)) == 0.0
