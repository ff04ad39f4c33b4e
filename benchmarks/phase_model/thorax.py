"""Donors of the thorax: lfcp0001 is unenhanced; ctpe0117 and TotalSegmentator's cardiac CTA are flattened.

The numbers fit these volumes and no others. Rows run from front to back.
"""

from pathlib import Path

import numpy as np
from donors import PLANE, Donor, Floats, Labels, Mask, Scan, body_of, ellipse, largest, read_outlines, tissues
from numpy.typing import NDArray
from reading import read_nifti, read_series
from scipy import ndimage

from inference.phantom.organs import Organ

LFCP_SLICES = 26
"""Above them no vessel was outlined."""
CTPE_FIELD = (255.5, 255.5, 256.2, 256.2)
"""Circle of the reconstruction."""
CTPE_OUTSIDE_HU = -3024
"""The padding as it was stored; the body reaches it, so that it counts where the volume is blurred."""
CTA_MM, CTA_FROM = 1.5, 55
"""Spacing of the CTA, and its first slice that is of use."""
HEART = (
    Organ.MYOCARDIUM,
    Organ.LEFT_HEART,
    Organ.RIGHT_HEART,
    Organ.INFERIOR_VENA_CAVA,
    Organ.AORTA,
    Organ.PULMONARY_VEIN,
)


def lfcp0001(root: Path) -> Donor:
    """Upper thorax, unenhanced: arteries and veins."""
    scan = read_series(root / "lfcp0001")
    smooth, outline = scan.smooth(1.2), read_outlines("lfcp0001", scan.shape)
    body, tissue = body_of(smooth), (smooth > 10) & (smooth < 140)
    labels = tissues(scan, smooth, body)
    labels[body & (smooth > 150)] = Organ.BONE
    labels[outline["veins"] & tissue] = Organ.SUPERIOR_VENA_CAVA
    labels[outline["arteries"] & tissue] = Organ.AORTA
    return Donor(scan.hounsfield[:LFCP_SLICES].astype(np.int16), labels[:LFCP_SLICES], scan.spacing_mm)


def ctpe0117(root: Path) -> Donor:
    """Lower thorax with bright pulmonary vessels and heart: blood is found by its brightness, then flattened."""
    scan = read_series(root / "ctpe0117")
    scan.hounsfield[:, ~ellipse(scan.shape[1:], *CTPE_FIELD)] = CTPE_OUTSIDE_HU
    smooth, soft = scan.smooth(1.0), scan.smooth(3.0)
    outlined, body = read_outlines("ctpe0117", scan.shape)["aorta"], body_of(smooth)
    labels, new = tissues(scan, smooth, body), scan.hounsfield.copy()
    for i in range(scan.shape[0]):
        aorta = largest(outlined[i] & (smooth[i] > 120))
        region, bone = _ctpe_slice(labels[i], smooth[i], soft[i], body[i], aorta, low=i < 30)
        region |= ndimage.binary_dilation(labels[i] == Organ.PULMONARY_VEIN, iterations=2) & (new[i] > 45)
        new[i] = _ctpe_flat(new[i], region, bone, i)
    return Donor(new.clip(-1024, 3071).astype(np.int16), labels, scan.spacing_mm)


def _ctpe_slice(
    labels: Labels, image: Floats, soft: Floats, body: Mask, aorta: Mask, *, low: bool
) -> tuple[Mask, Mask]:
    """Label one slice; (what is to be flattened, bone). `low`: the vena cava is still below the heart."""
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    front = (rows < 215) & (columns > 130) & (columns < 430) & body
    blood = _ctpe_blood((image > 140) & front & (rows > 75))
    clear = ~ndimage.binary_dilation(blood | aorta, iterations=3)
    bone = ndimage.binary_closing(body & (image > 150) & clear, iterations=3) & body
    labels[bone] = Organ.BONE
    _ctpe_liver(labels, (soft > 30) & (soft < 110) & (columns < 300) & clear & ~bone & (image > 15), rows)
    closed = ndimage.binary_closing(np.pad(blood, 40), iterations=25)[40:-40, 40:-40]
    near = closed | ndimage.binary_dilation(blood, iterations=14)
    muscle = near & (image > 45) & ~blood & (labels != Organ.LIVER) & ~bone & front & (columns > 215)
    labels[muscle] = Organ.MYOCARDIUM
    left = rows > 187 - 0.75 * (columns - 255)
    labels[blood & left & (columns >= 225)] = Organ.LEFT_HEART
    labels[blood & ~left | blood & (columns < 225)] = Organ.RIGHT_HEART
    if low:
        labels[blood & (columns < 228) & (rows > 165)] = Organ.INFERIOR_VENA_CAVA
    labels[aorta] = Organ.AORTA
    vessel = (image > 60) & ndimage.binary_fill_holes(labels == Organ.LUNG) & ~bone
    labels[vessel & (labels < Organ.LIVER)] = Organ.PULMONARY_VEIN
    zone = (columns > 130) & (columns < 440) & (rows > 80) & (rows < 262) & ndimage.binary_erosion(body, iterations=28)
    zone &= ~ndimage.binary_dilation(bone, iterations=2)
    zone |= ndimage.binary_dilation(np.isin(labels, HEART), iterations=4)
    return zone & (image > 46) & ~bone & (labels != Organ.LIVER), bone


def _ctpe_blood(bright: Mask) -> Mask:
    """Large bright pieces that are not the breastbone."""
    opened = ndimage.binary_opening(bright, iterations=2)
    pieces, count = ndimage.label(opened)
    numbers = np.arange(1, count + 1)
    sizes, centres = ndimage.sum_labels(opened, pieces, numbers), ndimage.center_of_mass(opened, pieces, numbers)
    kept = [k for k, size, centre in zip(numbers, sizes, centres, strict=True) if size > 120 and centre[0] > 95]
    return np.isin(pieces, kept)


def _ctpe_liver(labels: Labels, soft: Mask, rows: NDArray[np.int64]) -> None:
    liver = largest(ndimage.binary_opening(soft, iterations=7))
    if liver.sum() > 800 and ndimage.center_of_mass(liver)[0] < 300:
        labels[liver & (rows < 350)] = Organ.LIVER


def _ctpe_flat(image: Floats, region: Mask, bone: Mask, seed: int) -> Floats:
    """Muscle with the slice's own fine texture where contrast was; the seam is blurred."""
    detail = np.clip(image - ndimage.gaussian_filter(image, 1.6), -60, 60) * 0.6
    muscle = 42 + detail + np.random.default_rng(seed).normal(0, 6, image.shape)
    flat = np.where(region, np.minimum(image, muscle), image)
    seam = ndimage.binary_dilation(region, iterations=2) & ~bone
    return np.where(seam, 0.5 * ndimage.gaussian_filter(flat, 0.7) + 0.5 * flat, flat).astype(np.float32)


def cta(root: Path) -> Donor:
    """TotalSegmentator's cardiac CTA, cropped to heart and aorta; the aorta's mask is its own."""
    folder = root / "totalseg-reference" / "cta"
    hu = read_nifti(folder / "ct_cropped.nii.gz", turned=False).clip(-1024, 3071).astype(np.int16).astype(np.float32)
    aorta = read_nifti(folder / "aorta.nii.gz", turned=False) > 0
    scan = Scan(hu, (CTA_MM, CTA_MM, CTA_MM))
    (rows, columns), smooth = scan.grid, scan.smooth(0.7)
    front = (rows < 92) & (rows > 18)
    core = largest(ndimage.binary_opening(smooth > 190, np.ones((3, 3, 3))) & front)
    blood = ndimage.binary_dilation(core | aorta & (smooth > 100), PLANE) & (smooth > 70) & (front | aorta)
    labels = np.full(hu.shape, Organ.BODY, np.uint8)
    labels[smooth < -20] = Organ.FAT
    labels[smooth < -400] = Organ.LUNG
    labels[(smooth > 170) & ~blood] = Organ.BONE
    labels[blood], labels[aorta & blood] = Organ.LEFT_HEART, Organ.AORTA
    middle = (rows < 88) & (rows > 12) & (columns > 15) & (columns < 105)
    zone = (ndimage.binary_dilation(blood, np.ones((1, 5, 5))) | middle) & (hu > 55) & (labels != Organ.BONE)
    new, noise = hu.copy(), np.random.default_rng(0).normal(0, 8, int(zone.sum()))
    new[zone] = 44 + np.clip(hu - smooth, -40, 40)[zone] * 0.7 + noise
    new[(smooth < -100) & (hu > 40)] = 20
    return Donor(new[CTA_FROM:].astype(np.int16), labels[CTA_FROM:], scan.spacing_mm)
