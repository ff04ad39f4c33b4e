"""Labelled: a real CT with the organs that a segmentation tool found in it, and those that can be derived from them.

No tool labels cortex and medulla, the renal pelvis, ureters, or the vessels inside the liver; contrast cannot be
painted without them, so they are derived from the kidneys, the liver and their neighbours.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.phantom.organs import Organ
from inference.phantom.vessels import grow

Labels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Voxel = NDArray[np.float64]
Spacing = tuple[float, float, float]

_NAMES: tuple[tuple[str, Organ], ...] = (
    ("kidney_cyst", Organ.CYST), ("kidney", Organ.KIDNEY_CORTEX), ("spleen", Organ.SPLEEN), ("liver", Organ.LIVER),
    ("gallbladder", Organ.GALLBLADDER), ("stomach", Organ.STOMACH), ("pancreas", Organ.PANCREAS),
    ("adrenal", Organ.ADRENAL),
    ("lung", Organ.LUNG), ("trachea", Organ.GAS), ("esophagus", Organ.BOWEL_WALL), ("thyroid", Organ.THYROID),
    ("small_bowel", Organ.BOWEL), ("duodenum", Organ.BOWEL), ("colon", Organ.BOWEL), ("urinary_bladder", Organ.BLADDER),
    ("prostate", Organ.UTERUS_OR_PROSTATE), ("uterus", Organ.UTERUS_OR_PROSTATE), ("spinal_cord", Organ.SPINAL_CANAL),
    ("vertebra", Organ.BONE), ("sacrum", Organ.BONE), ("rib", Organ.BONE), ("hip", Organ.BONE), ("femur", Organ.BONE),
    ("sternum", Organ.BONE), ("scapula", Organ.BONE), ("clavicula", Organ.BONE), ("humerus", Organ.BONE),
    ("costal_cartilage", Organ.CARTILAGE), ("gluteus", Organ.BODY), ("autochthon", Organ.BODY),
    ("iliopsoas", Organ.BODY),
    ("pulmonary_vein", Organ.PULMONARY_VEIN), ("pulmonary_artery", Organ.PULMONARY_ARTERY),
    ("heart_myocardium", Organ.MYOCARDIUM), ("heart_atrium_left", Organ.LEFT_HEART),
    ("atrial_appendage", Organ.LEFT_HEART),
    ("heart_ventricle_left", Organ.LEFT_HEART), ("heart_atrium_right", Organ.RIGHT_HEART),
    ("heart_ventricle_right", Organ.RIGHT_HEART), ("heart", Organ.LEFT_HEART), ("aorta", Organ.AORTA),
    ("superior_vena_cava", Organ.SUPERIOR_VENA_CAVA), ("inferior_vena_cava", Organ.INFERIOR_VENA_CAVA),
    ("brachiocephalic_vein", Organ.BRACHIOCEPHALIC_VEIN), ("brachiocephalic_trunk", Organ.AORTA),
    ("subclavian_artery", Organ.AORTA), ("carotid", Organ.AORTA), ("portal_vein", Organ.PORTAL_VEIN),
    ("iliac_artery", Organ.ILIAC_ARTERY), ("iliac_vena", Organ.ILIAC_VEIN), ("iliac_vein", Organ.ILIAC_VEIN),
)  # fmt: skip
"""Part of a label's name, as segmentation tools write it -> Organ; the first that fits counts."""


@dataclass(frozen=True)
class Labelled:
    """A real unenhanced volume with its organs."""

    hounsfield: Floats
    """hounsfield[slice, row, column], feet to head, front to back, the patient's right to left."""
    organs: Labels
    """organs[slice, row, column] of Organ, derived structures included."""
    body: Floats
    """1 inside the body, 0 outside."""
    spacing_mm: Spacing
    means: Floats
    """Median HU of each organ in this volume: float32[256]; NaN where there is too little of it."""


def load_labelled(
    hounsfield: Floats, labels: NDArray[np.integer], names: Mapping[int, str], spacing_mm: Spacing
) -> Labelled:
    """A labelled volume from arrays[slice, row, column] oriented as `Labelled` says and the tool's names of its labels.

    Raises ValueError when the arrays do not fit each other or no name is known.
    """
    if hounsfield.shape != labels.shape:
        raise ValueError(f"volume {hounsfield.shape}, labels {labels.shape}")
    table = np.zeros(int(labels.max()) + 1, np.uint8)
    for value, name in names.items():
        organ = next((organ for part, organ in _NAMES if part in name), None)
        if organ is not None and value < len(table):
            table[value] = organ
    if not table.any():
        raise ValueError("no label has a name that is known")
    hu = hounsfield.astype(np.float32)
    organs = table[labels]
    body = _body(hu)
    _name_the_rest(organs, hu, body)
    _split_kidneys(organs, hu, spacing_mm)
    _grow_liver_vessels(organs, spacing_mm)
    _split_cava(organs)
    _line_bowel(organs, hu)
    return Labelled(hu, organs, body.astype(np.float32), spacing_mm, _means(hu, organs))


def read_nifti(ct: Path, segmentation: Path) -> Labelled:
    """The same from two NIfTI files; the names come from the segmentation's label table (needs nibabel)."""
    import nibabel
    from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

    def oriented(image: Any) -> tuple[Floats, Spacing]:
        turned = image.as_reoriented(ornt_transform(io_orientation(image.affine), axcodes2ornt(("L", "P", "S"))))
        x, y, z = (float(zoom) for zoom in turned.header.get_zooms()[:3])
        return np.asarray(turned.dataobj, np.float32).transpose(2, 1, 0), (z, y, x)

    hounsfield, spacing = oriented(nibabel.load(ct))
    image = nibabel.load(segmentation)
    labels, _ = oriented(image)
    return load_labelled(hounsfield, labels.astype(np.int64), _label_table(image.header.extensions), spacing)


def _label_table(extensions: Iterable[Any]) -> dict[int, str]:
    """Label -> name from the Caret extension that TotalSegmentator writes."""
    names: dict[int, str] = {}
    for extension in extensions:
        text = extension.get_content()
        text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        for key, name in re.findall(r'Key="(\d+)".*?CDATA\[(.*?)\]', text):
            names[int(key)] = name
    return names


def _body(hu: Floats) -> Mask:
    """The largest solid piece of each slice, holes filled: leaves out table and air."""
    body = np.zeros(hu.shape, bool)
    for i, image in enumerate(ndimage.gaussian_filter(hu, (0, 0.7, 0.7)) > -250):
        pieces, count = ndimage.label(ndimage.binary_opening(image))
        if count:
            largest = 1 + int(np.argmax(ndimage.sum_labels(image, pieces, np.arange(1, count + 1))))
            body[i] = ndimage.binary_fill_holes(pieces == largest)
    return body


def _name_the_rest(organs: Labels, hu: Floats, body: Mask) -> None:
    """What no tool named is told by its HU."""
    rest = (organs == 0) & body
    for low, high, organ in (
        (-2000, -250, Organ.GAS),
        (-250, -30, Organ.FAT),
        (-30, 160, Organ.BODY),
        (160, 9999, Organ.BONE),
    ):
        organs[rest & (hu >= low) & (hu < high)] = organ


def _split_kidneys(organs: Labels, hu: Floats, spacing: Spacing) -> None:
    """Cortex by depth, medulla below it, the collecting system in the hollow, a ureter down to the bladder."""
    kidneys, count = ndimage.label(organs == Organ.KIDNEY_CORTEX)
    sizes_ml = ndimage.sum_labels(kidneys > 0, kidneys, np.arange(1, count + 1)) * float(np.prod(spacing)) / 1000
    for k in np.nonzero(sizes_ml > 20)[0] + 1:
        kidney = kidneys == k
        depth = ndimage.distance_transform_edt(kidney, spacing)
        organs[kidney & (depth > 6.5)] = Organ.KIDNEY_MEDULLA
        organs[kidney & (hu < -20)] = Organ.FAT
        _drain_kidney(organs, np.argwhere(kidney).mean(axis=0), spacing)


def _drain_kidney(organs: Labels, middle: Voxel, spacing: Spacing) -> None:
    """Renal pelvis, calyces and ureter of the kidney whose middle voxel is given."""
    inward = float(np.sign(organs.shape[2] / 2 - middle[2]))

    def off(z: float, y: float, x: float) -> Voxel:
        return np.array([z, y, x * inward]) / spacing

    hilum = middle + off(0, -2, 9)
    _rod(organs, hilum + off(-8, 0, 0), hilum + off(6, 0, 0), 5.0, Organ.RENAL_PELVIS, spacing, _SOFT)
    for way in (-14.0, 0.0, 14.0):
        _rod(organs, hilum, middle + off(way, 0, -4), 2.6, Organ.RENAL_PELVIS, spacing, _SOFT)
    bladder = np.argwhere(organs == Organ.BLADDER)
    # Where the volume ends above the bladder, the ureter runs down to its edge.
    below = np.array([0.0, hilum[1], hilum[2]]) + off(0, 0, 6)
    end = bladder.mean(axis=0) + off(0, 10, -14) if len(bladder) else below
    knee = np.array([0.6 * hilum[0] + 0.4 * end[0], hilum[1], hilum[2]]) + off(0, 0, 14)
    for a, b in ((hilum, knee), (knee, end)):
        _rod(organs, a, b, 2.0, Organ.URETER, spacing, (Organ.FAT, Organ.BODY))


_SOFT = (Organ.FAT, Organ.BODY, Organ.KIDNEY_CORTEX, Organ.KIDNEY_MEDULLA)


def _rod(
    organs: Labels, a: Voxel, b: Voxel, radius: float, organ: Organ, spacing: Spacing, over: tuple[Organ, ...]
) -> None:  # fmt: skip
    """A rod between two voxel positions, upon some organs only."""
    step = np.array(spacing)
    low = np.maximum(0, np.floor(np.minimum(a, b) - radius / step)).astype(int)
    high = np.minimum(organs.shape, np.ceil(np.maximum(a, b) + radius / step).astype(int) + 1)
    if (high <= low).any():
        return
    box = tuple(slice(lo, hi) for lo, hi in zip(low, high, strict=True))
    points = np.stack(np.meshgrid(*(np.arange(lo, hi) for lo, hi in zip(low, high, strict=True)), indexing="ij"), -1)
    axis = (b - a) * step
    away = (points - a) * step
    t = np.clip(away @ axis / max(float(axis @ axis), 1e-6), 0, 1)
    near = np.linalg.norm(away - t[..., None] * axis, axis=-1) <= max(radius, 0.55 * float(step.min()))
    part = organs[box]
    part[near & np.isin(part, over)] = organ


def _grow_liver_vessels(organs: Labels, spacing: Spacing) -> None:
    """Portal branches from where the portal vein meets the liver, hepatic veins from the top of the vena cava."""
    liver = organs == Organ.LIVER
    if liver.sum() < 1000:
        return
    rng = np.random.default_rng(5)
    near = ndimage.binary_dilation(liver, iterations=2)
    centre = np.argwhere(liver).mean(axis=0)
    for trunk, organ in ((Organ.PORTAL_VEIN, Organ.PORTAL_VEIN), (Organ.INFERIOR_VENA_CAVA, Organ.HEPATIC_VEIN)):
        touching = np.argwhere((organs == trunk) & near)
        if len(touching) == 0:
            continue
        highest, rightmost = touching[np.argmax(touching[:, 0])], touching[np.argmin(touching[:, 2])]
        root = highest if organ is Organ.HEPATIC_VEIN else rightmost
        for _ in range(3):
            way = (centre - root) * spacing + rng.normal(0, 30, 3)
            for rod in grow(rng, _point(root * np.array(spacing)), _point(way), 4.2, 30.0, 4):
                _rod(organs, rod[:3] / spacing, rod[3:6] / spacing, float(rod[6]), organ, spacing, (Organ.LIVER,))


def _point(v: Voxel) -> tuple[float, float, float]:
    return float(v[0]), float(v[1]), float(v[2])


def _split_cava(organs: Labels) -> None:
    """Below the kidneys' middle the vena cava carries blood from the legs only."""
    kidneys = np.nonzero((organs == Organ.KIDNEY_CORTEX).any(axis=(1, 2)))[0]
    if len(kidneys):
        lower = organs[: int(kidneys.mean())]
        lower[lower == Organ.INFERIOR_VENA_CAVA] = Organ.INFRARENAL_VENA_CAVA


def _line_bowel(organs: Labels, hu: Floats) -> None:
    """The outermost voxels of stomach and bowel are wall, their gas is gas."""
    hollow = np.isin(organs, (Organ.BOWEL, Organ.STOMACH))
    organs[hollow & (hu < -250)] = Organ.GAS
    organs[hollow & ~ndimage.binary_erosion(hollow) & (hu > -10)] = Organ.BOWEL_WALL


def _means(hu: Floats, organs: Labels) -> Floats:
    means = np.full(256, np.nan, np.float32)
    for organ in np.unique(organs):
        values = hu[organs == organ]
        if len(values) >= 50:
            means[organ] = float(np.median(values))
    return means
