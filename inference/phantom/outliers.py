"""Outliers: pictures that must not be judged, for teaching a model what it does not know.

Heads, necks, legs, arms, water and calibration phantoms, noise, localizers, screens of text, and trunks whose HU are
not HU. All of them carry `phase` None and a `kind` other than "trunk".
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from inference.phantom.canvas import SUPERSAMPLING, Canvas, Grid, canvas_for
from inference.phantom.contrast import Physiology, attenuation_table
from inference.phantom.field import Field
from inference.phantom.organs import Organ
from inference.phantom.patient import Anatomy, Patient
from inference.phantom.scanner import Scan, picture
from inference.phantom.slices import PhantomSlice, final_labels

Painter = Callable[[Canvas, Generator], None]


def random_outliers(seed: int, count: int, size: int = 256, setting: str = "training") -> list[PhantomSlice]:
    """`count` outliers of all kinds, a function of the arguments."""
    rng = np.random.default_rng([seed, size, 5, int(setting == "held-out")])
    kinds = list(_PAINTERS) + list(_PICTURES)
    return [_outlier(kinds[int(rng.integers(len(kinds)))], size, rng) for _ in range(count)]


def _outlier(kind: str, size: int, rng: Generator) -> PhantomSlice:
    if kind in _PICTURES:
        hounsfield, labels = _PICTURES[kind](size, rng).astype(np.float32), np.zeros((size, size), np.uint8)
        return PhantomSlice(hounsfield, labels, (1.0, 1.0), float("nan"), None, None, kind)
    patient = Patient.random(int(rng.integers(2**31)))
    field = rng.uniform(190, 300) if kind in ("head", "neck") else rng.uniform(220, 480)
    scan = replace(Scan.random(rng, patient), field_of_view_mm=float(field), centre_mm=(0.0, 0.0))
    grid = scan.grid(size)
    anatomy = _paint(_PAINTERS[kind], grid, rng)
    seconds = None if rng.random() < 0.5 else float(rng.uniform(15, 300))
    table = attenuation_table(seconds, Physiology.random(rng))
    hounsfield, spacing = picture(anatomy, table, scan, rng), (grid.spacing_mm, grid.spacing_mm)
    return PhantomSlice(hounsfield, final_labels(anatomy), spacing, float("nan"), seconds, None, kind)


def _paint(painter: Painter, grid: Grid, rng: Generator) -> Anatomy:
    warp = (Field.random(rng, 45.0), Field.random(rng, 45.0), float(rng.uniform(1, 4)))
    canvas, window = canvas_for(grid, 0.0, (1.0, 1.0, 1.0), warp, (240.0, -240.0, 240.0))
    painter(canvas, rng)
    count = grid.size * SUPERSAMPLING
    labels, offset = np.zeros((count, count), np.uint8), np.zeros((count, count), np.float32)
    labels[window], offset[window] = canvas.labels, canvas.offset
    return Anatomy(labels, offset, grid, float("nan"))


def _disc(canvas: Canvas, x: float, y: float, a: float, b: float, organ: Organ, offset: float = 0.0) -> None:
    canvas.ball((x, y, 0.0), (a, b, 1e4), organ, offset=offset)


def _head(canvas: Canvas, rng: Generator) -> None:
    a, b, bone = rng.uniform(66, 78), rng.uniform(82, 98), rng.uniform(5, 9)
    for shrink, organ in ((0, Organ.SKIN), (2, Organ.FAT), (5, Organ.BODY), (7, Organ.BONE), (7 + bone, Organ.BRAIN)):
        _disc(canvas, 0, 0, a - shrink, b - shrink, organ, offset=500.0 if organ is Organ.BONE else 0.0)
    folds = np.abs(canvas.noise(Field.random(rng, 8.0))) < 0.12
    canvas.paint(canvas.everything, folds & (canvas.labels == Organ.BRAIN), Organ.WATER, offset=8)
    level = rng.random()
    if level < 0.5:
        for side in (-1, 1):
            canvas.ball((side * 12, -4, 0), (6, 26, 1e4), Organ.WATER, angle=side * 0.25)
            _disc(canvas, side * 18, 28, 3, 3, Organ.CALCIFICATION)
        if rng.random() < 0.4:
            r = rng.uniform(6, 20)
            _disc(canvas, rng.uniform(-35, 35), rng.uniform(-40, 40), r, r, Organ.HYPERVASCULAR_TUMOUR)
    else:
        for side in (-1, 1):
            _disc(canvas, side * 32, -b + 26, 17, 18, Organ.FAT)
            _disc(canvas, side * 32, -b + 24, 12, 12, Organ.WATER, offset=10)
            canvas.rod((side * 20, 20, 0), (side * 55, 28, 0), (9, 13), Organ.BONE, offset=700)
            _disc(canvas, side * 48, 26, 7, 8, Organ.GAS)
        _disc(canvas, 0, -b + 35, 12, 22, Organ.GAS)
        canvas.rod((0, -b + 14, 0), (0, -b + 55, 0), (1.5, 1.5), Organ.BONE)


def _neck(canvas: Canvas, rng: Generator) -> None:
    a, b = rng.uniform(50, 66), rng.uniform(50, 66)
    for shrink, organ in ((0, Organ.SKIN), (2, Organ.FAT), (rng.uniform(5, 14), Organ.BODY)):
        _disc(canvas, 0, 0, a - shrink, b - shrink, organ)
    gaps = np.abs(canvas.noise(Field.random(rng, 14.0))) < 0.2
    canvas.paint(canvas.everything, gaps & (canvas.labels == Organ.BODY), Organ.FAT)
    _disc(canvas, 0, 10, 16, 11, Organ.BONE)
    _disc(canvas, 0, 10, 14, 9, Organ.MARROW)
    _disc(canvas, 0, 27, 9, 7, Organ.SPINAL_CANAL)
    canvas.rod((0, 36, 0), (0, 48, 0), (3, 4), Organ.BONE)
    _disc(canvas, 0, -20, 10, 9, Organ.GAS)
    if rng.random() < 0.5:
        for side in (-1, 1):
            canvas.rod((side * 5, -b + 8, 0), (side * 42, -5, 0), (6, 6), Organ.BONE, offset=300)
    for side in (-1, 1):
        _disc(canvas, side * 28, -8, 3.6, 3.6, Organ.AORTA)
        _disc(canvas, side * 34, -4, 5.5, 5, Organ.BRACHIOCEPHALIC_VEIN)


def _legs(canvas: Canvas, rng: Generator) -> None:
    a, gap, knee = rng.uniform(52, 90), rng.uniform(2, 30), rng.random() < 0.4
    for side in (-1, 1):
        x = side * (a + gap)
        skin = rng.uniform(3, 20)
        for shrink, organ in ((0, Organ.SKIN), (2, Organ.FAT), (2 + skin, Organ.BODY)):
            _disc(canvas, x, 0, a - shrink, a - shrink, organ)
        gaps = np.abs(canvas.noise(Field.random(rng, 16.0))) < 0.12
        canvas.paint(canvas.everything, gaps & (canvas.labels == Organ.BODY), Organ.FAT)
        r = rng.uniform(26, 34) if knee else rng.uniform(12, 16)
        wall = 2.0 if knee else rng.uniform(4, 7)
        _disc(canvas, x, -6, r, 0.85 * r, Organ.BONE, offset=200)
        _disc(canvas, x, -6, r - wall, 0.85 * r - wall, Organ.MARROW, offset=0 if knee else -200)
        _disc(canvas, x + side * 8, 22, 3.5, 3.5, Organ.ILIAC_ARTERY)
        _disc(canvas, x + side * 14, 26, 4.5, 4, Organ.ILIAC_VEIN)
        if knee and rng.random() < 0.3:
            _disc(canvas, x, -6, r - 4, 0.85 * r - 4, Organ.METAL)


def _water(canvas: Canvas, rng: Generator) -> None:
    a = rng.uniform(60, 170)
    _disc(canvas, 0, 0, a, a * rng.choice((1.0, rng.uniform(0.6, 1.0))), Organ.TABLE, offset=120)
    _disc(canvas, 0, 0, a - 6, a - 6, Organ.WATER)
    if rng.random() < 0.6:
        for k in range(int(rng.integers(3, 10))):
            turn = k * 0.7
            organ = (Organ.GAS, Organ.BONE, Organ.FAT, Organ.ORAL_CONTRAST)[k % 4]
            r = rng.uniform(3, 14)
            _disc(canvas, 0.6 * a * np.cos(turn), 0.6 * a * np.sin(turn), r, r, organ)


_PAINTERS: Mapping[str, Painter] = {"head": _head, "neck": _neck, "leg": _legs, "water": _water}

Pixels = NDArray[np.float64]


def _only_noise(size: int, rng: Generator) -> Pixels:
    noise = ndimage.gaussian_filter(rng.standard_normal((size, size)), rng.uniform(0, 3))
    return np.asarray(
        np.clip(rng.choice((-1000.0, 0.0, 40.0)) + noise / noise.std() * rng.uniform(5, 400), -1024, 3071)
    )


def _localizer(size: int, rng: Generator) -> Pixels:
    """A projection radiograph: the sum over a trunk's rows, stretched."""
    y = np.linspace(-1, 1, size)[None, :]
    rows = np.cumsum(rng.normal(0, 0.02, size))[:, None]
    body = np.clip(1 - (y / (0.6 + 0.1 * rows)) ** 2, 0, 1) ** 0.5
    spine = np.exp(-((y / 0.07) ** 2)) * (1 + 0.4 * np.sin(np.arange(size)[:, None] / 4))
    lungs = np.exp(-(((np.abs(y) - 0.3) / 0.15) ** 2)) * (np.arange(size)[:, None] < size * 0.45)
    image = -600 + 900 * body + 250 * spine * body - 350 * lungs * body
    return np.asarray(image + rng.normal(0, 15, (size, size)))


def _screen(size: int, rng: Generator) -> Pixels:
    """Lines of text, as dose reports and pasted screens have."""
    image = np.full((size, size), float(rng.choice((-1024.0, 0.0))))
    for row in range(4, size - 6, int(rng.integers(7, 14))):
        marks = rng.random(size) < 0.45
        marks[int(size * rng.uniform(0.2, 0.95)) :] = False
        image[row : row + 5, marks] = rng.choice((255.0, 1000.0, 3071.0))
    return image


def _not_hounsfield(size: int, rng: Generator) -> Pixels:
    """A trunk whose values were rescaled to something else: 8 bit, inverted, no intercept."""
    patient = Patient.random(int(rng.integers(2**31)))
    scan = Scan.random(rng, patient)
    anatomy = patient.labels(float(rng.uniform(0.1, 0.9)), scan.grid(size))
    hu = picture(anatomy, attenuation_table(70.0, patient.physiology), scan, rng).astype(np.float64)
    how = int(rng.integers(4))
    if how == 0:
        return np.asarray(np.clip((hu + 160) / 400 * 255, 0, 255))
    if how == 1:
        return -hu
    return hu + 1024.0 if how == 2 else hu * float(rng.choice((0.1, 10.0)))


_PICTURES: Mapping[str, Callable[[int, Generator], Pixels]] = {
    "noise": _only_noise,
    "localizer": _localizer,
    "screen": _screen,
    "not hounsfield": _not_hounsfield,
}
