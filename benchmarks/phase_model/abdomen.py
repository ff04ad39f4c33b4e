"""Donors of the abdomen: acrin001-abd and TotalSegmentator's example are unenhanced, crlm1006 is flattened.

The numbers fit these volumes and no others. Rows run from front to back.
"""

import itertools
from pathlib import Path

import numpy as np
from donors import (
    PLANE,
    Donor,
    Floats,
    KidneyRule,
    Labels,
    Mask,
    Scan,
    body_of,
    depth_mm,
    divide_kidney,
    ellipse,
    flattened,
    read_outlines,
    tissues,
)
from reading import read_nifti, read_series
from scipy import ndimage

from inference.phantom.organs import Organ

Point = tuple[float, float, float]
"""Slice, row and column."""


def acrin001(root: Path) -> Donor:
    """Abdomen and pelvis, unenhanced: portal and hepatic veins cannot be seen and are put at plausible places."""
    scan = read_series(root / "acrin001-abd")
    smooth, outline = scan.smooth(1.2), read_outlines("acrin001-abd", scan.shape)
    body, tissue = body_of(smooth), (smooth > 8) & (smooth < 120)
    labels = tissues(scan, smooth, body)
    bone = ndimage.binary_closing(body & (smooth > 150), np.ones((1, 5, 5)))
    labels[bone] = Organ.BONE
    soft = scan.smooth(2.2)
    for organ, low, grown_hu, grown in ((Organ.LIVER, 30, 50, 14), (Organ.SPLEEN, 20, 44, 6)):
        rough = outline[organ.name.lower()]
        near = ndimage.binary_dilation(rough, PLANE, iterations=grown) & (soft > grown_hu)
        found = (rough | near) & (smooth > low) & (smooth < 120) & ~bone
        labels[ndimage.binary_opening(found, PLANE)] = organ
    labels[ndimage.binary_opening(outline["pancreas"] & tissue & ~bone, PLANE)] = Organ.PANCREAS
    for side in ("right", "left"):
        kidney = outline[f"{side} kidney"] & (smooth > 5) & (smooth < 90)
        divide_kidney(labels, kidney, KidneyRule(closing=4, hollow_mm=13, core_mm=17), scan.pixel_mm)
    heart = outline["heart"] & tissue
    depth, left = depth_mm(heart, scan.pixel_mm), scan.grid[1] > 285
    labels[heart] = Organ.MYOCARDIUM
    labels[heart & left & (depth > 11)] = Organ.LEFT_HEART
    labels[heart & ~left & (depth > 4)] = Organ.RIGHT_HEART
    labels[outline["inferior vena cava"] & tissue] = Organ.INFERIOR_VENA_CAVA
    labels[outline["aorta"] & tissue] = Organ.AORTA
    _plausible_veins(labels)
    _acrin_bowel(labels, body, scan)
    return Donor(scan.hounsfield.astype(np.int16), labels, scan.spacing_mm)


def _plausible_veins(labels: Labels) -> None:
    portal: tuple[tuple[float, tuple[Point, ...]], ...] = (
        (6, ((68, 256, 240), (72, 262, 238), (76, 268, 232), (79, 270, 215), (80, 265, 200))),
        (4.5, ((80, 265, 200), (82, 270, 170), (82, 290, 150))),
        (4.5, ((80, 265, 200), (83, 245, 205), (84, 225, 215))),
        (5, ((60, 255, 240), (64, 252, 238), (68, 256, 240))),
    )
    for radius, points in portal:
        _tube(labels, points, radius, Organ.PORTAL_VEIN)
    ends: tuple[Point, ...] = ((86, 235, 180), (86, 290, 150), (87, 225, 230))
    for end in ends:
        _tube(labels, ((91, 278, 228), (89, 265, 205), end), 4, Organ.HEPATIC_VEIN)


def _tube(labels: Labels, points: tuple[Point, ...], radius: float, organ: Organ) -> None:
    for start, end in itertools.pairwise(np.array(points, float)):
        for share in np.linspace(0, 1, max(2, int(np.abs(end - start).max() * 2))):
            z, y, x = start + (end - start) * share
            plane = labels[round(z)]
            over = np.isin(plane, (Organ.LIVER, Organ.FAT, Organ.BODY, Organ.PANCREAS))
            plane[ellipse(plane.shape, x, y, radius, radius) & over] = organ


def _acrin_bowel(labels: Labels, body: Mask, scan: Scan) -> None:
    """What is in the abdominal cavity and neither muscle nor a labelled organ is bowel wall and small vessels."""
    deep, muscle = depth_mm(body, scan.pixel_mm), labels == Organ.BODY
    back = np.interp(np.arange(scan.shape[0]), [36, 60, 98], [292, 300, 315])[:, None, None]
    cavity = muscle & (scan.grid[0] < back) & (deep > 32) & (scan.height < 93)
    sheet = ndimage.binary_opening(muscle, np.ones((1, 9, 9))) & (deep < 45)
    labels[cavity & ~sheet] = Organ.BOWEL_WALL


def crlm1006(root: Path) -> Donor:
    """Upper abdomen in the portal venous phase with dense oral contrast: outlined, then flattened."""
    scan = read_series(root / "crlm1006")
    smooth, soft = scan.smooth(1.0), scan.smooth(2.2)
    outline = read_outlines("crlm1006", scan.shape)
    body = body_of(smooth)
    labels = tissues(scan, smooth, body)
    liver = outline["liver"] & (soft > 82) & (soft < 170)
    spleen = outline["spleen"] & (soft > 80) & (soft < 170)
    kidneys = [outline[f"{side} kidney"] & (smooth > 95) for side in ("right", "left")]
    heart, aorta = outline["heart"] & (smooth > 40), outline["aorta"] & (smooth > 80)
    cava = outline["inferior vena cava"] & (smooth > 75)
    _crlm_bone_and_bowel(labels, liver | spleen | kidneys[0] | kidneys[1] | heart | aorta | cava, smooth, body, scan)
    labels[liver], labels[spleen] = Organ.LIVER, Organ.SPLEEN
    for kidney in kidneys:
        divide_kidney(labels, kidney, KidneyRule(closing=6), scan.pixel_mm, smooth > -20)
    bright = liver & (smooth > float(np.median(smooth[liver])) + 22)
    veins = ndimage.binary_opening(bright, np.ones((1, 2, 2)))
    labels[veins & (scan.height < 30)] = Organ.PORTAL_VEIN
    labels[veins & (scan.height >= 30)] = Organ.HEPATIC_VEIN
    rows, columns = scan.grid
    chamber = heart & (depth_mm(heart, scan.pixel_mm) > 7) & (smooth > 120)
    labels[heart] = Organ.MYOCARDIUM
    labels[chamber & (columns > 255)] = Organ.LEFT_HEART
    labels[chamber & (columns <= 255)] = Organ.RIGHT_HEART
    labels[heart & (scan.height >= 46) & (rows > 230) & (smooth > 110)] = Organ.LEFT_HEART
    labels[cava], labels[aorta] = Organ.INFERIOR_VENA_CAVA, Organ.AORTA
    new = flattened(scan, smooth, labels)
    return Donor(new.clip(-1024, 3071).astype(np.int16), labels, scan.spacing_mm)


def _crlm_bone_and_bowel(labels: Labels, organs: Mask, smooth: Floats, body: Mask, scan: Scan) -> None:
    """What is bright is bone near the spine and the skin, elsewhere oral contrast; the rest of the cavity is bowel."""
    (rows, columns), deep = scan.grid, depth_mm(body, scan.pixel_mm)
    bright = body & (smooth > 165) & ~ndimage.binary_dilation(organs, PLANE)
    spine = (columns > 190) & (columns < 350) & (rows > 255)
    bone = bright & (spine | (deep < 38) | (scan.height < 6) & (rows > 270))
    oral = bright & ~bone
    labels[bone], labels[oral] = Organ.BONE, Organ.ORAL_CONTRAST
    vertebra = (columns > 215) & (columns < 325) & (rows > 262)
    cavity = (labels == Organ.BODY) & (deep > 30) & (rows < 300) & (scan.height < 36) & (smooth > 75) & ~vertebra
    labels[cavity & ~ndimage.binary_dilation(oral, np.ones((1, 5, 5)))] = Organ.BOWEL_WALL


EXAMPLE_ORGANS = {
    1: Organ.SPLEEN, 4: Organ.GALLBLADDER, 5: Organ.LIVER, 6: Organ.STOMACH, 7: Organ.PANCREAS, 8: Organ.ADRENAL,
    9: Organ.ADRENAL, 21: Organ.BLADDER, 22: Organ.UTERUS_OR_PROSTATE, 52: Organ.AORTA,
    63: Organ.INFERIOR_VENA_CAVA, 64: Organ.PORTAL_VEIN, 65: Organ.ILIAC_ARTERY, 66: Organ.ILIAC_ARTERY,
    67: Organ.ILIAC_VEIN, 68: Organ.ILIAC_VEIN, 20: Organ.BOWEL, 117: Organ.CARTILAGE,
}  # fmt: skip
"""TotalSegmentator's label -> Organ."""
EXAMPLE_BONES = (*range(25, 51), *range(69, 80), *range(91, 117))
EXAMPLE_MM = 3.0


def totalseg(root: Path) -> Donor:
    """TotalSegmentator's example, unenhanced, with its own labels."""
    folder = root / "totalseg-reference"
    hu = read_nifti(folder / "example_ct.nii.gz", turned=True)
    named = read_nifti(folder / "example_seg_fast_force_split.nii.gz", turned=True).astype(np.int64)
    scan = Scan(hu, (EXAMPLE_MM, EXAMPLE_MM, EXAMPLE_MM))
    body = np.stack([ndimage.binary_fill_holes(image > -300) for image in ndimage.gaussian_filter(hu, 0.6)])
    labels = tissues(scan, hu, body)
    labels[np.isin(named, EXAMPLE_BONES) | (hu > 180)] = Organ.BONE
    for value, organ in EXAMPLE_ORGANS.items():
        labels[named == value] = organ
    labels[(named == 20) & (hu < -30)] = Organ.GAS
    for value in (18, 19):
        bowel = named == value
        labels[bowel] = Organ.BOWEL_WALL
        labels[np.stack([ndimage.binary_erosion(plane) for plane in bowel])] = Organ.BOWEL
    rule = KidneyRule(closing=2, cortex_mm=6, hollow_mm=6, core_mm=17)
    divide_kidney(labels, (named == 2) | (named == 3), rule, EXAMPLE_MM)
    small = (labels == Organ.BODY) & (named == 0) & (hu > 0)
    labels[small & (depth_mm(body, EXAMPLE_MM) > 30) & (scan.grid[0] < 52)] = Organ.BOWEL_WALL
    return Donor(hu.astype(np.int16), labels, scan.spacing_mm)
