"""Evidence: attenuation and volume of each organ that was segmented, or nothing where the mask cannot be right.

The border of a mask is partial volume and error; the voxels are therefore taken from `BORDER_MM` inside it, slice by
slice. A mask that is too small or too large, that holds much fat, gas or metal, or whose median no such organ can have,
is no measurement: an organ that is missing misleads nobody.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inference.findings import OrganMeasurement
from inference.outlines import Outline, outline
from inference.phantom.organs import ENGLISH, Organ
from inference.volume import Hounsfield, Volume

if TYPE_CHECKING:
    from inference.segment import OrganMasks

BORDER_MM = 1.6
GAS_HU, FAT_HU, METAL_HU = -200.0, -30.0, 1500.0
MOST_FOREIGN = 0.3
"""Share of a mask that may be fat, gas or metal; in a noisy scan some soft tissue is as dark as fat."""


@dataclass(frozen=True)
class Plausible:
    """What a measurement of one organ must keep to."""

    low_hu: float
    high_hu: float
    least_ml: float
    """Of the voxels away from the border."""
    most_ml: float
    """Of the whole mask: a larger one has taken in something else."""


PLAUSIBLE: Mapping[Organ, Plausible] = {
    Organ.AORTA: Plausible(20, 800, 1.0, 600.0),
    Organ.INFERIOR_VENA_CAVA: Plausible(15, 500, 0.7, 400.0),
    Organ.PORTAL_VEIN: Plausible(15, 350, 0.4, 200.0),
    Organ.LIVER: Plausible(-25, 220, 20.0, 4000.0),
    Organ.SPLEEN: Plausible(20, 330, 5.0, 2500.0),
    Organ.KIDNEY_CORTEX: Plausible(12, 400, 1.5, 500.0),
    Organ.KIDNEY_MEDULLA: Plausible(12, 400, 1.5, 400.0),
    Organ.RENAL_PELVIS: Plausible(-15, 3071, 0.3, 300.0),
    Organ.BLADDER: Plausible(-15, 3071, 5.0, 2500.0),
}
"""Organ -> the widest limits, at any tube voltage and phase; an organ that is not named here is not measured."""


@dataclass
class _Tally:
    """What has been seen of one organ so far."""

    inside: list[Hounsfield] = field(default_factory=list)
    inside_ml: float = 0.0
    volume_ml: float = 0.0
    area_px: int = 0
    """Of the slice that shows most of it."""
    slice_index: int = 0
    border: Outline = ()


def measure(volume: Volume, masks: "OrganMasks") -> tuple[OrganMeasurement, ...]:
    """A measurement of each organ that was found and is plausible, in the order of `masks.organs`.

    Each segmented slice is read once. The volume in ml lets a slice stand for half the way to its segmented neighbours.
    """
    tallies: dict[Organ, _Tally] = {}
    thickness_mm = represented_mm(volume, masks.slice_indices)
    for labels, index, depth_mm in zip(masks.labels, masks.slice_indices, thickness_mm, strict=True):
        hounsfield = volume.slice(index)
        for organ, mask, box in _parts(masks.organs, labels):
            tally = tallies.setdefault(organ, _Tally())
            _add(tally, hounsfield[box], mask, depth_mm * _pixel_mm2(volume) / 1000.0, volume)
            if int(mask.sum()) > tally.area_px:
                tally.area_px, tally.slice_index = int(mask.sum()), index
                tally.border = _moved(outline(mask), box)
    found = ((organ, _measurement(organ, tallies[organ])) for organ in masks.organs if organ in tallies)
    return tuple(measured for _, measured in found if measured is not None)


def represented_mm(volume: Volume, indices: Sequence[int]) -> NDArray[np.float64]:
    """mm along the body that each of some slices of a volume stands for; 5 for a slice without a neighbour."""
    if len(indices) < 2:
        return np.full(len(indices), volume.slice_spacing_mm or 5.0)
    gaps = np.diff(np.array(volume.positions_mm)[list(indices)])
    return np.asarray((np.append(gaps, gaps[-1]) + np.insert(gaps, 0, gaps[0])) / 2.0)


def _pixel_mm2(volume: Volume) -> float:
    return volume.pixel_spacing_mm[0] * volume.pixel_spacing_mm[1]


Box = tuple[slice, slice]


def _parts(organs: Sequence[Organ], labels: NDArray[np.uint8]) -> Iterator[tuple[Organ, NDArray[np.bool_], Box]]:
    """Each organ on one slice: its mask within the box of rows and columns that holds it."""
    from scipy import ndimage

    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is not None and number <= len(organs) and organs[number - 1] in PLAUSIBLE:
            yield organs[number - 1], labels[box] == number, box


def _add(tally: _Tally, hounsfield: Hounsfield, mask: NDArray[np.bool_], voxel_ml: float, volume: Volume) -> None:
    from scipy import ndimage

    # The slice's own edge is no border of the organ, but what lies beyond it is unknown: it counts as one.
    depth_mm = ndimage.distance_transform_edt(np.pad(mask, 1), volume.pixel_spacing_mm)[1:-1, 1:-1]
    inside = hounsfield[depth_mm > BORDER_MM]
    tally.inside.append(inside[np.isfinite(inside)])
    tally.inside_ml += voxel_ml * inside.size
    tally.volume_ml += voxel_ml * int(mask.sum())


def _moved(corners: Outline, box: Box) -> Outline:
    return tuple((column + box[1].start, row + box[0].start) for column, row in corners)


def _measurement(organ: Organ, tally: _Tally) -> OrganMeasurement | None:
    """The measurement, or None where the mask cannot be that organ."""
    limits = PLAUSIBLE[organ]
    values = np.concatenate(tally.inside)
    metal_hu = METAL_HU if limits.high_hu < METAL_HU else np.inf
    tissue = values[(values > GAS_HU) & (values < metal_hu)]
    foreign = int((values < FAT_HU).sum() + (values >= metal_hu).sum())
    if tissue.size == 0 or foreign > MOST_FOREIGN * values.size:
        return None
    if tally.inside_ml < limits.least_ml or tally.volume_ml > limits.most_ml:
        return None
    median = float(np.median(tissue))
    if not limits.low_hu <= median <= limits.high_hu:
        return None
    return OrganMeasurement(
        organ=ENGLISH[organ],
        median_hu=median,
        mean_hu=float(tissue.mean(dtype=np.float64)),
        deviation_hu=float(tissue.std(dtype=np.float64)),
        volume_ml=tally.volume_ml,
        slice_index=tally.slice_index,
        outline=tally.border,
    )
