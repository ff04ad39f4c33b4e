"""Scanner: from the labels of one slice and the attenuation of every organ to a picture that looks like CT.

Blur and noise belong to the reconstruction kernel: the noise of filtered back-projection has a power spectrum that
rises from zero with frequency and falls with the kernel's transfer function (Hanson, Med Phys 1979;6:441), here

    NPS(f) = f^p * exp(-(f / f0)^2)         f in cycles/mm

and its strength falls towards the body's edge. Streaks run along the longest paths through bone, and out of metal.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from math import exp, log
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from inference.phantom.canvas import SUPERSAMPLING, Grid
from inference.phantom.contrast import Attenuation
from inference.phantom.field import Field, Floats
from inference.phantom.organs import Organ
from inference.phantom.patient import Anatomy, Patient

TABLES = ("none", "curved", "double", "flat", "trapezoid", "mattress")


@dataclass(frozen=True)
class Scan:
    """How a patient was scanned and reconstructed."""

    field_of_view_mm: float = 380.0
    centre_mm: tuple[float, float] = (0.0, -35.0)
    """(x, y) of the picture's centre relative to the vertebral bodies."""
    rotation: float = 0.0
    """Radians."""
    tilt: float = 0.0
    """Gantry tilt as a slope."""
    thickness_mm: float = 3.0
    blur_mm: float = 0.6
    """Standard deviation of the kernel's point spread."""
    sharpening: float = 0.0
    """Overshoot of sharp kernels at edges."""
    noise_hu: float = 10.0
    """Standard deviation in the middle of the body, at the picture's pixel size."""
    noise_rise: float = 1.0
    """Exponent p of the noise power spectrum."""
    noise_cut: float = 0.3
    """f0 of the noise power spectrum, cycles/mm."""
    streaks_hu: float = 0.0
    """Standard deviation of streaks along rows, as in shoulders and pelvis at low dose."""
    cupping_hu: float = 0.0
    """Fall towards the middle from beam hardening."""
    gain: float = 1.0
    """Calibration error of the HU scale: factor on the attenuation above air."""
    table: str = "curved"
    table_mm: float = 8.0
    """From the patient's back to the table."""
    clip: tuple[float, float] = (-1024.0, 3071.0)
    padding: float | None = None
    """Value outside the reconstruction circle; None when the whole square is reconstructed."""

    @classmethod
    def random(cls, rng: Generator, patient: Patient, setting: str = "training") -> "Scan":
        """A scan of `patient`: kernels, noise, fields of view and tables differ between 'training' and 'held-out'."""
        held_out = setting == "held-out"
        t = patient.traits
        width = 2 * (165 + t.subcutaneous_mm) * t.scale[0]
        fit = rng.uniform(0.94, 1.25)
        if rng.random() < 0.2:
            fit = rng.uniform(0.74, 0.94) if rng.random() < 0.5 else rng.uniform(1.25, 1.7)
        sharp = rng.random() < 0.22
        noise = exp(rng.normal(log(7.5), 0.55)) * (1 + t.subcutaneous_mm / 90) * (1.9 if sharp else 1.0)
        return cls(
            field_of_view_mm=float(np.clip(width * fit, 260, 700)),
            centre_mm=(float(rng.normal(0, 9)), float(-38 + rng.normal(0, 14))),
            rotation=float(rng.normal(0, 0.03)),
            tilt=float(rng.normal(0, 0.01)),
            thickness_mm=_thickness(rng, held_out),
            blur_mm=float(rng.uniform(0.35, 0.6) if sharp else rng.uniform(0.5, 1.25)),
            sharpening=float(rng.uniform(0.3, 1.3) if sharp else rng.uniform(0, 0.25)),
            noise_hu=float(np.clip(noise, 1.5, 60)),
            noise_rise=float(rng.uniform(0.2, 0.7) if held_out else rng.uniform(0.5, 1.6)),
            noise_cut=float(rng.uniform(0.45, 0.8) if sharp else rng.uniform(0.16, 0.42)),
            streaks_hu=float(min(30.0, rng.exponential(0.8) * noise)) if rng.random() < 0.3 else 0.0,
            cupping_hu=float(rng.normal(0, 4)),
            gain=float(rng.normal(1.0, 0.012)),
            table=str(rng.choice(("none", "flat", "mattress") if held_out else TABLES)),
            table_mm=float(rng.uniform(0, 30)),
            clip=_clip(rng),
            padding=float(rng.choice((-1024.0, -2000.0, -3024.0, -2048.0))) if rng.random() < 0.45 else None,
        )

    def grid(self, size: int) -> Grid:
        """The pixel grid of a picture of size x size."""
        return Grid(size, self.field_of_view_mm / size, self.centre_mm, self.rotation, self.thickness_mm, self.tilt)

    def noisier(self, factor: float) -> "Scan":
        """The same scan at another dose."""
        return replace(self, noise_hu=self.noise_hu * factor, streaks_hu=self.streaks_hu * factor)


def _thickness(rng: Generator, held_out: bool) -> float:
    if rng.random() < 0.06:
        return float(rng.uniform(7, 10))
    return float(rng.uniform(0.6, 5.0) if held_out else rng.choice((0.625, 1.0, 1.25, 2.0, 2.5, 3.0, 4.0, 5.0)))


def _clip(rng: Generator) -> tuple[float, float]:
    """Limits that archives put on HU: mostly none, 10 or 12 bit, or a soft-tissue window burnt in."""
    draw = rng.random()
    if draw < 0.72:
        return -1024.0, 3071.0
    if draw < 0.84:
        return -1024.0, 1023.0
    if draw < 0.90:
        return -200.0, float(rng.choice((300.0, 500.0, 1023.0, 3071.0)))
    if draw < 0.95:
        return -150.0, 250.0
    return -1000.0, float(rng.choice((400.0, 1000.0)))


def picture(
    anatomy: Anatomy, table: tuple[Attenuation, Attenuation], scan: Scan, rng: Generator
) -> NDArray[np.float32]:
    """hounsfield[row, column] of one slice; `table` as `contrast.attenuation_table` gives it."""
    mean, unmixed = table
    hu = mean[anatomy.labels] + anatomy.offset
    spacing = anatomy.grid.spacing_mm
    _stream(hu, anatomy, unmixed, rng)
    _layer(hu, anatomy, mean, rng)
    hu = _shrink(hu)
    body = _shrink((anatomy.labels != Organ.BACKGROUND).astype(np.float32))
    _add_texture(hu, body, spacing, rng)
    _add_table(hu, body, anatomy.grid, scan)
    hu = _blur(hu, scan, spacing)
    metal = anatomy.labels == Organ.METAL
    if metal.any():
        hu += _star(metal, spacing, 1.0, rng)
    if max(mean[Organ.SUPERIOR_VENA_CAVA], mean[Organ.BRACHIOCEPHALIC_VEIN]) > 700:
        dense = np.isin(anatomy.labels, (Organ.SUPERIOR_VENA_CAVA, Organ.BRACHIOCEPHALIC_VEIN))
        if dense.any():
            hu += _star(dense, spacing, 0.3, rng)
    return finished(hu, body, scan, spacing, rng)


def finished(hu: Floats, body: Floats, scan: Scan, spacing: float, rng: Generator) -> NDArray[np.float32]:
    """Noise, the scale's error, whole numbers, limits and padding upon a blurred slice; `body` is 1 inside the body."""
    size = len(hu)
    hu = hu + _noise(size, spacing, body, scan, rng)
    hu = (hu + 1000) * np.float32(scan.gain) - 1000
    hu = np.clip(np.rint(hu), *scan.clip).astype(np.float32)
    if scan.padding is not None:
        hu[_outside_circle(size)] = max(scan.padding, scan.clip[0]) if scan.clip[0] > -1000 else scan.padding
    return hu


def _shrink(fine: Floats) -> Floats:
    n = SUPERSAMPLING
    small = fine[0::n, 0::n].copy()
    for i in range(n):
        for j in range(n):
            if i or j:
                small += fine[i::n, j::n]
    small *= np.float32(1 / n**2)
    return small


def _stream(hu: Floats, anatomy: Anatomy, unmixed: Attenuation, rng: Generator) -> None:
    """Contrast that has not mixed with the blood yet: swirls in right heart and veins, stripes in the spleen."""
    present = np.unique(anatomy.labels[::4, ::4])
    if float(np.abs(unmixed[present]).max()) < 2:
        return
    axis = anatomy.grid.axis(0.0)
    swirl = Field.random(rng, float(rng.uniform(4, 8))).plane(0.0, axis, axis * np.float32(rng.uniform(0.6, 1.6)))
    hu += unmixed[anatomy.labels] * np.clip(swirl, -1.8, 1.8)


def _layer(hu: Floats, anatomy: Anatomy, mean: Attenuation, rng: Generator) -> None:
    """Contrast is heavier than urine: it lies at the back of the bladder; the mean stays what it is."""
    bladder = anatomy.labels == Organ.BLADDER
    strength = float(mean[Organ.BLADDER]) - 15
    if strength < 15 or not bladder.any() or rng.random() < 0.25:
        return
    rows = np.nonzero(bladder)[0]
    depth = (rows - rows.mean()) * anatomy.grid.spacing_mm / SUPERSAMPLING
    share = 1 / (1 + np.exp(-(depth - rng.uniform(-8, 10)) / rng.uniform(0.7, 4)))
    hu[bladder] += (strength * (share / max(share.mean(), 0.05) - 1)).astype(np.float32)


def _add_texture(hu: Floats, body: Floats, spacing: float, rng: Generator) -> None:
    """Tissue is never one value: soft clouds of a few HU inside the body."""
    axis = np.arange(len(hu), dtype=np.float32) * np.float32(spacing)
    for scale, strength in ((24.0, 2.5), (5.0, 3.0)):
        clouds = Field.random(rng, scale).plane(0.0, axis, axis)
        hu += np.float32(strength * rng.uniform(0.4, 1.5)) * clouds * body


def _blur(hu: Floats, scan: Scan, spacing: float) -> Floats:
    sigma = scan.blur_mm / spacing
    blurred: Floats = ndimage.gaussian_filter(hu, max(0.25, sigma), truncate=2.5)
    if scan.sharpening > 0.05:
        edges = blurred - ndimage.gaussian_filter(blurred, 1.2 / spacing, truncate=2.5)
        blurred += np.float32(scan.sharpening) * edges
    return blurred


@lru_cache(maxsize=40)
def _noise_tile(rise: float, cut: float) -> Floats:
    """512 x 512 of noise with unit variance; `cut` in cycles per pixel."""
    rng = np.random.default_rng([17, int(100 * rise), int(1000 * cut)])
    f = np.hypot(np.fft.fftfreq(512)[:, None], np.fft.rfftfreq(512)[None, :])
    spectrum = np.sqrt((f + 0.004) ** rise * np.exp(-((f / cut) ** 2)))
    tile = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((512, 512))) * spectrum, s=(512, 512))
    scaled: Floats = (tile / tile.std()).astype(np.float32)
    return scaled


def _noise(size: int, spacing: float, body: Floats, scan: Scan, rng: Generator) -> Floats:
    cut = float(np.clip(round(scan.noise_cut * spacing / 0.08) * 0.08, 0.08, 1.2))
    tile = _noise_tile(round(scan.noise_rise * 3) / 3, cut)
    if rng.random() < 0.5:
        tile = tile.T
    rows, columns = ((np.arange(size) + rng.integers(512)) * rng.choice((-1, 1)) % 512 for _ in range(2))
    noise = tile[np.ix_(rows, columns)]
    axis = np.linspace(-1, 1, size, dtype=np.float32) ** 2
    strength = (1.12 - 0.42 * (axis[:, None] + axis[None, :])) * (0.45 + 0.55 * body) * np.float32(scan.noise_hu)
    if scan.streaks_hu > 0:
        white = rng.standard_normal((size, size), dtype=np.float32)
        lines = ndimage.uniform_filter1d(white, max(5, size // 12), axis=1)
        noise = noise * strength + lines * np.float32(scan.streaks_hu * (size / 12) ** 0.5 * 0.8) * body
    else:
        noise = noise * strength
    bowl = (1 - axis[:, None] - axis[None, :]) * body
    noise -= np.float32(scan.cupping_hu) * bowl
    return noise.astype(np.float32)


def _star(dense: NDArray[np.bool_], spacing: float, strength: float, rng: Generator) -> Floats:
    """Bright and dark rays out of every piece of metal, and fainter ones out of veins full of contrast."""
    metal, count = ndimage.label(_shrink(dense.astype(np.float32)) > 0.2)
    size = len(metal)
    rays = np.zeros((size, size), np.float32)
    yy, xx = np.ogrid[:size, :size]
    for k in range(1, min(count, 8) + 1):
        piece = np.argwhere(metal == k)
        y, x = piece.mean(axis=0)
        area = len(piece) * spacing**2
        angle = np.arctan2(yy - y, xx - x)
        distance = np.hypot(yy - y, xx - x) * spacing
        waves = sum(np.cos(int(n) * angle + rng.uniform(0, 6)) for n in rng.integers(3, 24, 6))
        fall = np.exp(-distance / (18 + 0.12 * area)) / (1 + distance / 25)
        rays += (strength * min(420.0, 40 + 1.0 * area) * 0.4 * fall * waves).astype(np.float32)
    return rays


@lru_cache(maxsize=8)
def _outside_circle(size: int) -> NDArray[np.bool_]:
    axis = np.linspace(-1, 1, size)
    return np.asarray(axis[:, None] ** 2 + axis[None, :] ** 2 > 1.0)


def _add_table(hu: Floats, body: Floats, grid: Grid, scan: Scan) -> None:
    """The table's shells below the body; mattresses and sheets are fainter."""
    if scan.table == "none":
        return
    rows = np.nonzero(body.max(axis=1) > 0.5)[0]
    if len(rows) == 0:
        return
    step = grid.spacing_mm
    x = (np.arange(grid.size, dtype=np.float32) - grid.size / 2) * np.float32(step)
    top = (rows[-1] * step) + scan.table_mm
    y = np.arange(grid.size, dtype=np.float32)[:, None] * np.float32(step)
    shells = _shells(scan.table, x, top)
    for curve, thick, value, half in shells:
        shell = np.clip(thick / 2 / step + 0.5 - np.abs(y - curve[None, :]) / step, 0, 1) * (np.abs(x) < half)[None, :]
        free = 1 - body
        hu += (value + 1000) * shell * free


def _shells(table: str, x: Floats, top: float) -> list[tuple[NDArray[Any], float, float, float]]:
    """(y of the shell over x, thickness in mm, HU, half width in mm) of each shell."""
    sag = top - (x / 200) ** 2 * 38
    if table == "curved":
        return [(sag, 2.2, 150, 200)]
    if table == "double":
        return [(sag, 2.0, 120, 210), (sag + 42 - (x / 210) ** 2 * 8, 2.5, 160, 190)]
    if table == "flat":
        return [(top + 0 * x, 3.0, 60, 235), (top + 38 + 0 * x, 3.0, 60, 215)]
    if table == "trapezoid":
        low = np.minimum(np.float32(top + 58), top - 10 + np.maximum(np.float32(0), 240 - np.abs(x)) * 0.55)
        return [(sag, 1.8, 110, 205), (low, 2.4, 220, 215)]
    return [(top - 4 + 0 * x, 14.0, -880, 190), (sag + 16, 2.4, 130, 215)]
