"""Bowel: packed loops of small bowel, the colon's frame, rectum; what they hold."""

from itertools import pairwise

import numpy as np
from numpy.random import Generator

from inference.phantom.body import Spaces
from inference.phantom.canvas import Canvas, Point
from inference.phantom.field import Floats
from inference.phantom.organs import Organ
from inference.phantom.traits import Traits

_ROOM = (Organ.FAT, Organ.BOWEL_WALL, Organ.BOWEL, Organ.GAS, Organ.ORAL_CONTRAST, Organ.STOMACH)


def paint_small_bowel(canvas: Canvas, traits: Traits, spaces: Spaces) -> None:
    """Loops on a jittered lattice in the middle and lower abdomen, each a short bent tube."""
    z = canvas.height
    if not 85 < z < 325:
        return
    rng = traits.rng("small bowel")
    step = rng.uniform(27, 38)
    count = int(5.5e6 / step**3)
    centres = np.stack(
        [rng.uniform(-98, 98, count), rng.uniform(-125, -38, count), rng.uniform(95, 310, count)], axis=1
    )
    ways = rng.normal(0, 1, (count, 3)) * (17, 15, 9)
    radii = rng.uniform(8.5, 14.5, count) * (1.15 if traits.confounders.distended_gas else 1.0)
    draws = rng.random((count, 3))
    dense = rng.uniform(0.3, 0.95) if traits.confounders.oral_contrast else 0.0
    mucosa = rng.uniform(1.6, 2.6)
    for centre, way, radius, draw in zip(centres, ways, radii, draws, strict=True):
        if abs(centre[2] - z) > abs(way[2]) + radius + 8:
            continue
        a, b = centre - way, centre + way
        _loop(canvas, traits, spaces, _point(a), _point(b), float(radius), float(mucosa), draw, float(dense))


def _point(v: np.ndarray) -> Point:
    return float(v[0]), float(v[1]), float(v[2])


def _loop(
    canvas: Canvas, traits: Traits, spaces: Spaces, a: Point, b: Point, radius: float, mucosa: float,
    draw: Floats, dense: float,
) -> None:  # fmt: skip
    shape = canvas.capsule(a, b, radius, radius)
    if shape is None:
        return
    window, q = shape
    q = q + np.float32(0.22) * canvas.noise(traits.middle, window)
    free = (spaces.cavity[window] < 0.93) & np.isin(canvas.labels[window], _ROOM)
    canvas.paint(window, (q < 1) & free, Organ.BOWEL_WALL)
    # Where loops touch, a rim of fat stays between them.
    lumen = (q < (1 - mucosa / radius) ** 2) & free & (draw[0] > 0.3)
    if draw[1] < dense:
        canvas.paint(window, lumen, Organ.ORAL_CONTRAST, offset=float(350 * (draw[2] - 0.5)))
    else:
        canvas.paint(window, lumen, Organ.BOWEL, offset=float(24 * (draw[2] - 0.5)))
    gassy = 0.5 if traits.confounders.distended_gas else 0.1
    if draw[2] < gassy:
        canvas.paint(window, lumen & (canvas.y[window] < (a[1] + b[1]) / 2 - 0.2 * radius), Organ.GAS)


def colon_path(traits: Traits, rng: Generator) -> list[Point]:
    """From the caecum to the rectum."""
    sag, v = rng.uniform(-20, 50), 6 * traits.visceral
    j = rng.normal(0, 6, 8)
    return [
        (-84, -42, 165), (-92 - v, -18 + j[0], 205), (-94 - v, -12, 250), (-90 - v, -40 + j[1], 288 + j[2]),
        (-50, -100 - v, 282 - 0.6 * sag), (0, -112 - v, 270 - sag), (50, -100 - v, 290 - 0.6 * sag),
        (92 + v, -45 + j[3], 336 + j[4]), (100 + v, -6, 300), (98 + v, 4, 230), (86, -28, 180), (58, -55, 150),
        (15 + j[5], -62 + j[6], 142 + j[7]), (18, -25, 138), (2, 14, 122), (0, 30, 95), (0, 22, 60), (0, 18, 25),
    ]  # fmt: skip


def paint_colon(canvas: Canvas, traits: Traits, spaces: Spaces) -> None:
    """The colon with haustra, filled with stool, gas or contrast, differently from stretch to stretch."""
    if not 15 < canvas.height < 365:
        return
    rng = traits.rng("colon")
    path = colon_path(traits, rng)
    fine: list[Point] = []
    for a, b in pairwise(path):
        n = max(2, int(np.linalg.norm(np.subtract(b, a)) / 16))
        fine += [_point(np.add(a, np.multiply(np.subtract(b, a), k / n))) for k in range(n)]
    base = rng.uniform(13, 21) + 5 * traits.confounders.distended_gas
    wobble = base * (1 + 0.22 * np.sin(np.arange(len(fine)) * 2.1 + rng.uniform(0, 6)))
    fill = np.repeat(rng.random((len(fine) // 5 + 2, 2)), 5, axis=0)
    for k, (a, b) in enumerate(pairwise(fine)):
        slim = 0.62 if k > 0.55 * len(fine) else 1.0
        _stretch(canvas, traits, spaces, a, b, float(wobble[k] * slim), fill[k])


def _stretch(canvas: Canvas, traits: Traits, spaces: Spaces, a: Point, b: Point, radius: float, fill: Floats) -> None:
    shape = canvas.capsule(a, b, radius, radius)
    if shape is None:
        return
    window, q = shape
    q = q + np.float32(0.18) * canvas.noise(traits.middle, window)
    free = np.isin(canvas.labels[window], _ROOM) & ((spaces.cavity[window] < 0.95) | (a[2] < 100))
    canvas.paint(window, (q < 1) & free & ~np.isin(canvas.labels[window], _LUMEN), Organ.BOWEL_WALL)
    lumen = (q < (1 - 2.0 / radius) ** 2) & free
    speckle = canvas.noise(traits.grain, window) + 0.7 * canvas.noise(traits.fine, window)
    tagged = traits.confounders.oral_contrast and fill[1] < 0.6
    if tagged:
        canvas.paint(window, lumen, Organ.ORAL_CONTRAST, offset=60 * speckle)
    else:
        canvas.paint(window, lumen, Organ.BOWEL, offset=18 * speckle)
    stool = lumen & (speckle > np.float32(0.4 + 1.6 * fill[0]))
    canvas.paint(window, stool, Organ.GAS, offset=np.float32(420) * (fill[0] < 0.6) + 60 * speckle)
    amount = 0.9 - 1.6 * fill[1] + 0.5 * traits.confounders.distended_gas
    canvas.paint(window, lumen & (canvas.y[window] < a[1] + np.float32(amount * radius)), Organ.GAS)


_LUMEN = (Organ.BOWEL, Organ.GAS, Organ.ORAL_CONTRAST)


def paint_pelvic_organs(canvas: Canvas, traits: Traits) -> None:
    """Bladder, uterus or prostate, obturator and pelvic floor muscles."""
    z = canvas.height
    if z > 165:
        return
    rng = traits.rng("pelvis")
    if z <= 100:
        wide, long = (float(np.interp(z, (-20, 20, 60, 100), row)) for row in ((12, 32, 52, 58), (16, 36, 60, 64)))
        canvas.ball((0, -8, z), (wide, long, 1e4), Organ.FAT, over=(Organ.BODY,))
        for side in (-1, 1):
            canvas.ball((side * 52, 2, 60), (11, 36, 42), Organ.BODY, over=(Organ.FAT,), angle=0.2 * side)
            canvas.rod((side * 40, 0, 55), (side * 10, 24, 22), (5, 6), Organ.BODY, over=(Organ.FAT,))
    full = rng.uniform(0.55, 1.25)
    bladder = (rng.normal(0, 3), -48.0, 76 + 14 * full)
    if traits.female:
        canvas.ball((rng.normal(0, 10), -14, 108), (32, 21, 28), Organ.UTERUS_OR_PROSTATE, over=_ROOM)
        canvas.ball((0, -12, 62), (14, 9, 20), Organ.UTERUS_OR_PROSTATE, over=_ROOM)
    else:
        canvas.ball((0, -38, 52), (24, 18, 18), Organ.UTERUS_OR_PROSTATE, over=_ROOM)
        for side in (-1, 1):
            canvas.ball((side * 16, -10, 76), (17, 7, 9), Organ.UTERUS_OR_PROSTATE, over=_ROOM)
    radii = (40 * full, 28 * full, 32 * full)
    canvas.ball(bladder, (radii[0] + 3, radii[1] + 3, radii[2] + 3), Organ.BOWEL_WALL, over=(*_ROOM, Organ.BODY))
    canvas.ball(bladder, radii, Organ.BLADDER, over=(Organ.BOWEL_WALL,))


def paint_ascites(canvas: Canvas, traits: Traits, spaces: Spaces) -> None:
    """Free fluid along the cavity's wall, around liver and spleen, in the pelvis."""
    if not traits.confounders.ascites or not 60 < canvas.height < 430:
        return
    rng = traits.rng("ascites")
    amount = rng.uniform(0.0, 0.5)
    rim = spaces.cavity + np.float32(0.16) * canvas.noise(traits.middle) > np.float32(0.9 - amount)
    front = canvas.y < np.float32(25)
    inner = spaces.cavity < 1.0
    canvas.paint(canvas.everything, rim & front & inner, Organ.ASCITES, over=(Organ.FAT,))
