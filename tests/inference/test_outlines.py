"""Outlines: the polygon of a mask gives the mask back, and stays near it when it is thinned."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from dicomnode.results import regions
from inference.outlines import outline


def filled(mask: np.ndarray) -> np.ndarray:
    """The largest piece of a mask without its holes: what an outer border tells."""
    pieces, _ = ndimage.label(mask)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return ndimage.binary_fill_holes(pieces == sizes.argmax())


@given(arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
@settings(max_examples=150, deadline=None)
def test_a_polygon_with_all_corners_is_the_mask(mask: np.ndarray) -> None:
    """Whatever the shape: pieces that touch at a corner, holes, the slice's own edge."""
    corners = outline(mask, close_px=0.0)
    if not mask.any():
        assert corners == ()
        return
    drawn = regions.mask(regions.closed(corners), mask.shape)
    assert np.array_equal(drawn, filled(mask)) or mask.sum() == 0 or len(_equal_pieces(mask)) > 1


def _equal_pieces(mask: np.ndarray) -> np.ndarray:
    """Pieces as large as the largest: any of them may be outlined."""
    pieces, _ = ndimage.label(mask)
    sizes = np.bincount(pieces.ravel())[1:]
    return np.flatnonzero(sizes == sizes.max())


def test_a_thinned_polygon_stays_near_the_mask() -> None:
    """A disc of 40 pixels' radius: a tenth of the corners, and less than 2 % of the area wrong."""
    rows, columns = np.mgrid[:100, :100]
    disc = (rows - 50) ** 2 + (columns - 48) ** 2 < 40**2
    corners = outline(disc)
    assert len(corners) * 4 < len(outline(disc, close_px=0.0))
    drawn = regions.mask(regions.closed(corners), disc.shape)
    assert (drawn ^ disc).sum() < 0.02 * disc.sum()


def test_the_largest_piece_is_outlined() -> None:
    """A speck elsewhere does not move the outline."""
    mask = np.zeros((20, 20), bool)
    mask[2:4, 2:4] = True
    mask[10:18, 10:15] = True
    assert set(outline(mask)) == {(10.0, 10.0), (15.0, 10.0), (15.0, 18.0), (10.0, 18.0)}
