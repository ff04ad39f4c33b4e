"""Evidence: HU and volume of organs are those that were put in, and a mask that cannot be right measures nothing."""

from dataclasses import replace

import numpy as np
import pytest
from organ_volumes import ORGANS, block_labels, block_masks, blocks

from inference.evidence import measure, represented_mm
from inference.phantom.organs import Organ
from inference.segment import OrganMasks
from inference.volume import Volume

HU = {Organ.AORTA: 170.0, Organ.LIVER: 105.0, Organ.PORTAL_VEIN: 160.0}


def measured(volume: Volume, masks: OrganMasks) -> dict[str, float]:
    return {found.organ: found.median_hu for found in measure(volume, masks)}


def test_hu_and_volume_are_those_put_in() -> None:
    """Median within a HU, volume of all slices, outline on a slice that has the organ."""
    found = {organ.organ: organ for organ in measure(blocks(HU), block_masks())}
    assert list(found) == ["aorta", "liver", "portal vein"]
    assert found["aorta"].median_hu == pytest.approx(170, abs=1)
    assert found["liver"].volume_ml == pytest.approx(6 * 5.0 * 35 * 45 / 1000)
    assert set(found["aorta"].outline) == {(50.0, 60.0), (70.0, 60.0), (70.0, 80.0), (50.0, 80.0)}


def test_the_border_of_a_mask_does_not_count() -> None:
    """A mask that is a millimetre too wide all around measures the same."""
    labels = block_labels()
    labels[:, 59:81, 49:71] = 1
    wide = measured(blocks(HU), replace(block_masks(), labels=labels))
    assert wide["aorta"] == pytest.approx(170, abs=1)


def test_slices_that_were_left_out_are_stood_for_by_their_neighbours() -> None:
    """Every third slice of a long volume gives its volume."""
    labels, indices = block_labels(30)[1::3], tuple(range(1, 30, 3))
    found = measure(blocks(HU, slices=30), OrganMasks(ORGANS, labels, indices))
    assert found[0].volume_ml == pytest.approx(30 * 5.0 * 20 * 20 / 1000)


def test_a_slice_alone_stands_for_its_own_thickness() -> None:
    """One segmented slice of a volume of 5 mm; and one of a volume that has no other."""
    volume = blocks(HU)
    assert represented_mm(volume, [3]).tolist() == [5.0]
    assert represented_mm(blocks(HU, slices=1), [0]).tolist() == [5.0]
    assert represented_mm(volume, []).tolist() == []


@pytest.mark.parametrize("hounsfield", [-90.0, 5.0, 900.0, float("nan")], ids=["fat", "water", "bone", "nothing"])
def test_an_aorta_of_what_no_aorta_is_made_of_is_not_measured(hounsfield: float) -> None:
    """The other organs are."""
    assert list(measured(blocks(HU | {Organ.AORTA: hounsfield}), block_masks())) == ["liver", "portal vein"]


def test_a_mask_full_of_gas_or_metal_is_not_measured() -> None:
    """A third of the mask lies in bowel gas, or in a prosthesis."""
    for foreign in (-800.0, 2800.0):
        volume = blocks(HU)
        image = np.stack([volume.slice(i) for i in range(len(volume))])
        image[:, 60:72, 50:70] = foreign
        assert "aorta" not in measured(Volume.from_array(image, (5.0, 1.0, 1.0)), block_masks())


def test_a_calcified_wall_does_not_move_the_median() -> None:
    """A tenth of bright plaque within the mask."""
    volume = blocks(HU)
    image = np.stack([volume.slice(i) for i in range(len(volume))])
    image[:, 62:64, 52:68] = 900.0
    assert measured(Volume.from_array(image, (5.0, 1.0, 1.0)), block_masks())["aorta"] == pytest.approx(170, abs=2)


def test_nothing_is_measured_where_nothing_was_found() -> None:
    """Empty masks, and masks of a few pixels."""
    empty = replace(block_masks(), labels=np.zeros_like(block_labels()))
    assert measure(blocks(HU), empty) == ()
    few = empty.labels.copy()
    few[2, 60:63, 50:53] = 1
    assert measure(blocks(HU), replace(empty, labels=few)) == ()


def test_an_organ_that_is_far_too_large_is_not_measured() -> None:
    """A mask that has run out over half of the body is no portal vein."""
    labels = np.full_like(block_labels(), 3)
    body = Volume.from_array(np.full(labels.shape, 120.0, np.float32), (5.0, 1.0, 1.0))
    assert measure(body, replace(block_masks(), labels=labels)) == ()


def test_half_an_organ_is_measured_as_it_is() -> None:
    """At the edge of the picture, and on the last slices only."""
    labels = np.zeros_like(block_labels())
    labels[3:, :40, :45] = 2
    volume = blocks(HU)
    image = np.stack([volume.slice(i) for i in range(len(volume))])
    image[3:, :40, :45] = 105.0
    (found,) = measure(Volume.from_array(image, (5.0, 1.0, 1.0)), replace(block_masks(), labels=labels))
    assert (found.organ, round(found.median_hu)) == ("liver", 105)
    assert found.slice_index == 3


def test_the_measurement_does_not_depend_on_the_pixels_size() -> None:
    """The same body at half of the pixel size: same HU, same volume."""
    coarse = blocks(HU, noise=0.0)
    image = np.stack([coarse.slice(i) for i in range(6)]).repeat(2, axis=1).repeat(2, axis=2)
    fine = Volume.from_array(np.ascontiguousarray(image), (5.0, 0.5, 0.5))
    masks = replace(block_masks(), labels=block_labels().repeat(2, axis=1).repeat(2, axis=2))
    for one, other in zip(measure(coarse, block_masks()), measure(fine, masks), strict=True):
        assert (one.organ, one.median_hu) == (other.organ, other.median_hu)
        assert one.volume_ml == pytest.approx(other.volume_ml)
