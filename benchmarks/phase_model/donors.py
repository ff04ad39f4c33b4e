"""Donors: real CT volumes with organs outlined by hand, their contrast taken out, so that contrast can be painted in.

What all donors share is here; what holds for one volume only is in volumes.py, its outlines in outlines/NAME.json:
organ -> slice number (feet to head) -> ellipses [column, row, half width, half height] and polygons [column, row, ...]
in the volume's own pixels. Between two outlined slices the signed distances to both outlines are mixed. Outlines say
roughly where an organ is; thresholds on the smoothed volume say where it ends.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from inference.phantom.organs import Organ

Floats = NDArray[np.float32]
Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
OUTLINES = Path(__file__).parent / "outlines"
PLANE = np.ones((1, 3, 3))
NATIVE_HU = {
    Organ.LIVER: 58,
    Organ.SPLEEN: 48,
    Organ.KIDNEY_CORTEX: 32,
    Organ.KIDNEY_MEDULLA: 32,
    Organ.RENAL_PELVIS: 8,
    Organ.PORTAL_VEIN: 42,
    Organ.HEPATIC_VEIN: 42,
    Organ.MYOCARDIUM: 45,
    Organ.LEFT_HEART: 42,
    Organ.RIGHT_HEART: 42,
    Organ.INFERIOR_VENA_CAVA: 42,
    Organ.AORTA: 42,
    Organ.BOWEL_WALL: 38,
}
"""Organ -> HU without contrast, to which a contrasted organ is brought down."""
UNEVEN = (Organ.KIDNEY_CORTEX, Organ.KIDNEY_MEDULLA, Organ.BOWEL_WALL)
"""Organs whose texture is contrast in part."""


@dataclass(frozen=True)
class Donor:
    """An unenhanced or flattened volume that contrast can be painted into."""

    hounsfield: NDArray[np.int16]
    """[slice, row, column], feet to head, front to back, the patient's right to left."""
    labels: Labels
    """[slice, row, column] of Organ."""
    spacing_mm: tuple[float, float, float]
    """Between slices, rows and columns."""

    def save(self, path: Path) -> None:
        """Keep the donor; the file holds real pixels and stays in the work folder."""
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, hu=self.hounsfield, labels=self.labels, spacing_mm=self.spacing_mm)

    @classmethod
    def read(cls, path: Path) -> "Donor":
        """What `save` kept."""
        kept = np.load(path)
        z, y, x = (float(mm) for mm in kept["spacing_mm"])
        return cls(kept["hu"], kept["labels"], (z, y, x))


@dataclass(frozen=True)
class Scan:
    """A volume as it was scanned, and what is derived from it slice by slice."""

    hounsfield: Floats
    spacing_mm: tuple[float, float, float]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        depth, rows, columns = self.hounsfield.shape
        return depth, rows, columns

    @property
    def pixel_mm(self) -> float:
        """Pixels are square in all donors."""
        return self.spacing_mm[1]

    @property
    def grid(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(row, column) of every pixel of a slice."""
        rows, columns = np.mgrid[: self.shape[1], : self.shape[2]]
        return rows, columns

    @property
    def height(self) -> NDArray[np.int64]:
        """Slice number, to be broadcast: [slice, 1, 1]."""
        return np.arange(self.shape[0])[:, None, None]

    def smooth(self, sigma: float) -> Floats:
        """Every slice blurred by itself, `sigma` in pixels."""
        return np.stack([ndimage.gaussian_filter(image, sigma) for image in self.hounsfield])


def body_of(smooth: Floats) -> Mask:
    """The largest solid piece of each slice, holes filled, without table and air around it."""
    solid = (ndimage.binary_opening(image > -300, iterations=3) for image in smooth)
    return np.stack([largest(ndimage.binary_fill_holes(image)) for image in solid])


def largest(mask: Mask) -> Mask:
    """The largest piece; nothing of nothing."""
    pieces, count = ndimage.label(mask)
    if not count:
        return np.zeros(mask.shape, bool)
    return np.asarray(pieces == 1 + int(np.argmax(ndimage.sum_labels(mask, pieces, np.arange(1, count + 1)))))


def tissues(scan: Scan, smooth: Floats, body: Mask) -> Labels:
    """Muscle, fat and lung by thresholds on the blurred volume; bone is found by each donor's own rule."""
    labels = np.zeros(scan.shape, np.uint8)
    labels[body] = Organ.BODY
    labels[body & (smooth < -20)] = Organ.FAT
    labels[body & (smooth < -400)] = Organ.LUNG
    return labels


def read_outlines(name: str, shape: tuple[int, int, int]) -> dict[str, Mask]:
    """Organ as written in outlines/NAME.json -> mask[slice, row, column]. Raises ValueError for another volume."""
    kept = json.loads((OUTLINES / f"{name}.json").read_text(encoding="utf-8"))
    if tuple(kept["shape"]) != shape:
        raise ValueError(f"{name} has {shape} slices, rows, columns; the outlines were drawn on {kept['shape']}")
    return {organ: between(outlined, shape) for organ, outlined in kept["outlines"].items()}


def between(outlined: Mapping[str, Sequence[Sequence[str | float]]], shape: tuple[int, int, int]) -> Mask:
    """Outlines on some slices -> a mask on all slices from the first to the last of them."""
    numbers = sorted(map(int, outlined))
    distance = {number: signed_distance(drawn(outlined[str(number)], shape[1:])) for number in numbers}
    mask = np.zeros(shape, bool)
    for low, high in itertools.pairwise(numbers):
        for i in range(low, min(high + 1, shape[0])):
            mask[i] = (distance[low] * (high - i) + distance[high] * (i - low)) / (high - low) > 0
    return mask


def drawn(shapes: Sequence[Sequence[str | float]], size: tuple[int, int]) -> Mask:
    """Ellipses and polygons -> mask[row, column]."""
    mask = np.zeros(size, bool)
    for kind, *numbers in shapes:
        values = [float(number) for number in numbers]
        mask |= ellipse(size, *values) if kind == "ellipse" else _polygon(size, values)
    return mask


def ellipse(size: tuple[int, int], x: float, y: float, width: float, height: float) -> Mask:
    """Pixels within half `width` and half `height` of column `x` and row `y`."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    return np.asarray(((columns - x) / width) ** 2 + ((rows - y) / height) ** 2 <= 1)


def _polygon(size: tuple[int, int], values: list[float]) -> Mask:
    image = Image.new("1", (size[1], size[0]))
    ImageDraw.Draw(image).polygon(list(zip(values[::2], values[1::2], strict=True)), fill=1)
    return np.array(image)


def signed_distance(mask: Mask) -> NDArray[np.float64]:
    """Pixels to the edge: positive inside."""
    inside: NDArray[np.float64] = ndimage.distance_transform_edt(mask)
    outside: NDArray[np.float64] = ndimage.distance_transform_edt(~mask)
    return inside - outside


def depth_mm(mask: Mask, pixel_mm: float) -> NDArray[np.float64]:
    """Millimetres to the edge of the mask within each slice."""
    return np.stack([ndimage.distance_transform_edt(plane) * pixel_mm for plane in mask])


@dataclass(frozen=True)
class KidneyRule:
    """How a kidney is divided by depth, in mm below its surface."""

    closing: int
    """Pixels by which the hollow is closed."""
    cortex_mm: float = 8.0
    hollow_mm: float = 12.0
    """What is hollow and deeper than this is renal pelvis."""
    core_mm: float = float("inf")
    """What is deeper than this is renal pelvis in any case."""


def divide_kidney(labels: Labels, kidney: Mask, rule: KidneyRule, pixel_mm: float, wet: Mask | None = None) -> None:
    """Cortex, medulla and renal pelvis; `wet`: where the pelvis may be, everywhere without."""
    filled = np.stack([ndimage.binary_closing(plane, iterations=rule.closing) for plane in kidney]) | kidney
    depth = depth_mm(filled, pixel_mm)
    labels[kidney & (depth <= rule.cortex_mm)] = Organ.KIDNEY_CORTEX
    labels[kidney & (depth > rule.cortex_mm)] = Organ.KIDNEY_MEDULLA
    hollow = filled & ~kidney & (depth > rule.hollow_mm)
    labels[hollow if wet is None else hollow & wet] = Organ.RENAL_PELVIS
    labels[filled & (depth > rule.core_mm)] = Organ.RENAL_PELVIS


def flattened(scan: Scan, smooth: Floats, labels: Labels) -> Floats:
    """The volume with every contrasted organ brought to its native HU; noise and fine texture stay."""
    new = scan.hounsfield.copy()
    for i, image in enumerate(scan.hounsfield):
        known = np.zeros(image.shape, bool)
        for organ, native in NATIVE_HU.items():
            mask = labels[i] == organ
            if mask.any():
                texture = 0.7 if organ in UNEVEN else 1.0
                new[i][mask] = native + texture * (image - _local_mean(smooth[i], mask))[mask]
                known |= mask
        new[i][labels[i] == Organ.BODY] -= 10
        _cut_spill(new[i], image, known, np.isin(labels[i], (Organ.BONE, Organ.ORAL_CONTRAST)), i)
    return new


def _local_mean(image: Floats, mask: Mask) -> Floats:
    """Mean of the organ around each pixel, blind to what is outside the organ."""
    weight = ndimage.gaussian_filter(mask.astype(np.float32), 2.5)
    total = ndimage.gaussian_filter(np.where(mask, image, 0).astype(np.float32), 2.5)
    return np.asarray(total / np.maximum(weight, 1e-3))


def _cut_spill(new: Floats, image: Floats, known: Mask, dense: Mask, seed: int) -> None:
    """Bright edges that spill out of the labels are cut down to muscle."""
    spill = ndimage.binary_dilation(known, iterations=3) & ~known & ~dense & (image > 55)
    muscle = 45 + np.random.default_rng(seed).normal(0, 8, int(spill.sum()))
    new[spill] = np.minimum(new[spill], muscle)


def medians(donor: Donor) -> Floats:
    """Median HU of each organ: float32[256]; NaN where there are fewer than 50 voxels."""
    found = np.full(256, np.nan, np.float32)
    for organ in np.unique(donor.labels):
        values = donor.hounsfield[donor.labels == organ]
        if len(values) >= 50:
            found[organ] = float(np.median(values))
    return found
