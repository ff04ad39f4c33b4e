"""The scanner: noise, kernels, thickness, tables, limits; each does what its name says."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.phantom.contrast import attenuation_table
from inference.phantom.organs import Organ
from inference.phantom.patient import Anatomy, Patient
from inference.phantom.scanner import TABLES, Scan, picture
from inference.phantom.slices import final_labels

CLEAN = Scan(noise_hu=0.01, table="none", blur_mm=0.3)
SIZE = 96


def disc(scan: Scan) -> Anatomy:
    """A disc of muscle with a core of bone in air."""
    axis = np.linspace(-1, 1, 2 * SIZE)
    radius = np.hypot(axis[:, None], axis[None, :])
    labels = np.where(radius < 0.7, Organ.BODY, Organ.BACKGROUND).astype(np.uint8)
    labels[radius < 0.2] = Organ.BONE
    return Anatomy(labels, np.zeros(labels.shape, np.float32), scan.grid(SIZE), 0.5)


def scanned(scan: Scan, anatomy: Anatomy | None = None, seed: int = 0) -> NDArray[np.float32]:
    table = attenuation_table(None, Patient.random(1).physiology)
    return picture(anatomy or disc(scan), table, scan, np.random.default_rng(seed))


def ring(image: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    axis = np.linspace(-1, 1, SIZE)
    radius = np.hypot(axis[:, None], axis[None, :])
    return image[(radius > low) & (radius < high)]


@pytest.mark.parametrize("noise_hu", [5.0, 20.0])
def test_noise_has_the_strength_it_is_given(noise_hu: float) -> None:
    """Within the body, away from edges, the standard deviation is noise_hu, a little less towards the rim."""
    values = ring(scanned(replace(CLEAN, noise_hu=noise_hu)), 0.32, 0.5)
    assert 0.7 * noise_hu < values.std() < 1.3 * noise_hu + 3


def test_soft_kernels_make_coarser_noise_than_sharp_ones() -> None:
    """Neighbouring pixels of a soft kernel's noise are more alike."""

    def alike(cut: float) -> float:
        image = scanned(replace(CLEAN, noise_hu=40.0, noise_cut=cut))
        part = image[21:34, SIZE // 2 - 18 : SIZE // 2 + 18]
        return float(np.corrcoef(part[:, :-1].ravel(), part[:, 1:].ravel())[0, 1])

    assert alike(0.05) > alike(0.6) + 0.2


def test_sharp_kernels_overshoot_at_edges() -> None:
    """Sharpening makes bone brighter at its rim than a plain kernel does."""
    fine = replace(CLEAN, field_of_view_mm=90.0)
    plain, sharp = (ring(scanned(replace(fine, sharpening=s)), 0.1, 0.22).max() for s in (0.0, 1.2))
    assert sharp > plain + 20


def test_limits_cut_the_picture() -> None:
    """No value lies outside the limits."""
    image = scanned(replace(CLEAN, clip=(-200.0, 300.0)))
    assert image.min() == -200
    assert image.max() == 300


def test_padding_fills_the_corners_only() -> None:
    """Outside the circle lies the padding value, inside nothing of it."""
    image = scanned(replace(CLEAN, padding=-2000.0))
    assert image[0, 0] == image[-1, -1] == -2000
    assert image[SIZE // 2, 2] > -1100


@pytest.mark.parametrize("table", [t for t in TABLES if t not in ("none", "mattress")])
def test_a_table_lies_below_the_body(table: str) -> None:
    """Dense pixels appear under the body and nowhere else."""
    with_it, without = (scanned(replace(CLEAN, table=t)) for t in (table, "none"))
    added = (with_it - without) > 200
    rows = np.nonzero(added.any(axis=1))[0]
    assert len(rows)
    assert rows.min() > 0.7 * SIZE


def test_thick_slices_blur_what_slants() -> None:
    """At the dome of the liver a thick slice has more intermediate pixels than a thin one."""
    patient = Patient.random(2, switches={"liver_cysts": False, "tumours": False})
    table = attenuation_table(None, patient.physiology)

    def mixed(thickness: float) -> int:
        scan = replace(CLEAN, thickness_mm=thickness)
        total = 0
        for position in np.linspace(0.6, 0.7, 6):
            image = picture(patient.labels(float(position), scan.grid(SIZE)), table, scan, np.random.default_rng(0))
            total += int(((image > -700) & (image < -200)).sum())
        return total

    assert mixed(10.0) > mixed(0.6)


def test_metal_throws_streaks() -> None:
    """A prosthesis changes pixels far from itself."""
    scan = replace(CLEAN, field_of_view_mm=420.0)
    images = []
    for switched in (False, True):
        patient = Patient.random(4, switches={"hip_prosthesis": switched})
        images.append(scanned(scan, patient.labels(0.1, scan.grid(SIZE))))
        labels = final_labels(patient.labels(0.1, scan.grid(SIZE)))
    soft = np.abs(images[1] - images[0])[(labels == Organ.BODY)]
    assert np.percentile(soft, 95) > 25


def test_field_of_view_and_position_vary() -> None:
    """Random scans zoom, shift, turn, and use thick and thin slices, sharp and soft kernels, limits and padding."""
    rng = np.random.default_rng(0)
    scans = [Scan.random(rng, Patient.random(i)) for i in range(150)]
    fields = np.array([s.field_of_view_mm for s in scans])
    assert fields.min() < 330 < 480 < fields.max()
    assert min(s.thickness_mm for s in scans) <= 0.7
    assert max(s.thickness_mm for s in scans) > 5
    assert {s.table for s in scans} == set(TABLES)
    assert any(s.sharpening > 0.3 for s in scans)
    assert any(s.clip != (-1024.0, 3071.0) for s in scans)
    assert any(s.padding is not None for s in scans)
    assert max(s.noise_hu for s in scans) > 25


def test_held_out_scanners_differ_from_training() -> None:
    """Noise spectra of the held-out setting start where those of training are rare."""
    rng = np.random.default_rng(0)
    patient = Patient.random(0)
    rises = {s: np.mean([Scan.random(rng, patient, s).noise_rise for _ in range(60)]) for s in ("training", "held-out")}
    assert rises["held-out"] < rises["training"] - 0.3
