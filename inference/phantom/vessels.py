"""Vessels: the great arteries and veins as chains of rods, and trees that branch at random."""

from collections.abc import Iterable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from inference.phantom.canvas import Canvas, Point
from inference.phantom.organs import Organ
from inference.phantom.traits import Traits

Rods = NDArray[np.float64]
"""rods[i] = (ax, ay, az, bx, by, bz, radius_a, radius_b) in mm."""


def grow(rng: Generator, start: Point, direction: Point, radius: float, length: float, depth: int) -> Rods:
    """A tree of rods: each twig is shorter and thinner than its branch (Murray's law for two equal twigs: 0.79)."""
    rods: list[tuple[float, ...]] = []
    todo = [(np.array(start), np.array(direction, float), radius, length, depth)]
    while todo:
        at, way, r, reach, left = todo.pop()
        way = way / np.linalg.norm(way)
        end = at + way * reach
        rods.append((*at, *end, r, 0.85 * r))
        if left > 0:
            for _ in range(2):
                turn = way + rng.normal(0, 0.45, 3)
                todo.append((end, turn, r * 0.77, reach * rng.uniform(0.65, 0.95), left - 1))
    return np.array(rods)


def paint_tree(canvas: Canvas, rods: Rods, organ: Organ, over: Iterable[Organ] | None = None) -> None:
    """Paint the rods that cross this slice."""
    reach = np.maximum(rods[:, 6], rods[:, 7]) + 5
    low, high = np.minimum(rods[:, 2], rods[:, 5]) - reach, np.maximum(rods[:, 2], rods[:, 5]) + reach
    allowed = None if over is None else tuple(over)
    for ax, ay, az, bx, by, bz, ra, rb in rods[(low <= canvas.height) & (canvas.height <= high)].tolist():
        canvas.rod((ax, ay, az), (bx, by, bz), (ra, rb), organ, over=allowed)


def _shifted(points: Iterable[Point], rng: Generator, spread: float) -> list[Point]:
    return [(p[0] + rng.normal(0, spread), p[1] + rng.normal(0, spread), p[2]) for p in points]


def paint_abdominal_vessels(canvas: Canvas, traits: Traits) -> None:
    """Aorta and its branches, inferior vena cava, iliac and renal vessels, portal system outside the liver."""
    if canvas.height > 440:
        return
    rng = traits.rng("abdominal vessels")
    aorta, cava = rng.uniform(7.5, 11.5), rng.uniform(9, 13.5)
    flat = rng.uniform(0.55, 1.0)
    s = rng.normal(0, 3, 6)
    if canvas.height > 210:
        x = float(np.interp(canvas.height, (210, 290, 400), (-20, -24, -28))) + s[0]
        y = float(np.interp(canvas.height, (210, 290, 330, 400), (-24, -27, -36, -48)))
        organ = Organ.INFERIOR_VENA_CAVA if canvas.height > 288 else Organ.INFRARENAL_VENA_CAVA
        canvas.ball((x, y, canvas.height), (cava, cava * flat, 1e4), organ)
    path: list[Point] = [
        (8 + s[1], -27, 206), (11 + s[2], -30, 285), (9 + s[3], -28, 350), (14, -24, 420), (18, -22, 445),
    ]  # fmt: skip
    canvas.tube(path, aorta, Organ.AORTA)
    _paint_iliacs(canvas, rng)
    for side, z in ((-1, 292.0), (1, 297.0)):
        if traits.confounders.one_kidney and side == traits.rng("kidney side").choice((-1, 1)):
            continue
        end = (side * 46.0, 2.0, z - 6)
        canvas.tube([(10, -32, z), (side * 22, -22, z - 2), end], 2.6, Organ.AORTA)
        start = (-22.0, -28.0, z - 4) if side < 0 else (-16.0, -38.0, z - 2)
        middle = (-30.0, -20.0, z - 6) if side < 0 else (20.0, -40.0, z - 2)
        canvas.tube([start, middle, (side * 48, -5, z - 10)], 4.6, Organ.RENAL_VEIN)
    _paint_portal(canvas, rng)
    canvas.tube([(10, -36, 318), (6, -52, 306), (-2, -60, 270), (-8, -62, 225)], 3.4, Organ.AORTA)
    canvas.tube([(10, -36, 328), (8, -52, 330), (-25, -55, 332)], 2.8, Organ.AORTA)
    canvas.tube(_shifted([(8, -52, 330), (35, -40, 326), (60, -25, 338), (85, 0, 345)], rng, 5), 2.3, Organ.AORTA)
    _paint_mesentery(canvas, traits)


def _paint_iliacs(canvas: Canvas, rng: Generator) -> None:
    if canvas.height > 220:
        return
    j = rng.normal(0, 3, 4)
    for side in (-1, 1):
        artery: list[Point] = [
            (8, -27, 208), (side * 26 + j[0], -22, 175), (side * 46 + j[1], -26, 140), (side * 58, -50, 100),
            (side * 68, -72, 70), (side * 74, -78, 30), (side * 78, -74, -60),
        ]  # fmt: skip
        vein: list[Point] = [
            (-20, -22, 205), (side * 27 + j[2], -8, 172), (side * 44, -8, 140), (side * 52, -38, 100),
            (side * 58, -64, 70), (side * 63, -70, 30), (side * 68, -64, -60),
        ]  # fmt: skip
        canvas.tube(vein, 6.2 + 0.4 * j[3], Organ.ILIAC_VEIN)
        canvas.tube(artery, 4.8, Organ.ILIAC_ARTERY)
        canvas.tube([(side * 40, -22, 150), (side * 48, 5, 125), (side * 46, 16, 95)], 2.8, Organ.ILIAC_ARTERY)
        canvas.tube([(side * 40, -10, 150), (side * 50, 10, 125), (side * 49, 20, 95)], 3.2, Organ.ILIAC_VEIN)


def _paint_portal(canvas: Canvas, rng: Generator) -> None:
    r = rng.uniform(4.6, 7.2)
    trunk = _shifted([(-12, -58, 225), (-12, -60, 270), (-10, -54, 302), (-28, -50, 322), (-42, -46, 338)], rng, 2)
    canvas.tube(trunk[:3], 0.8 * r, Organ.PORTAL_VEIN)
    canvas.tube(trunk[2:], r, Organ.PORTAL_VEIN)
    splenic = _shifted([(15, -44, 306), (45, -34, 318), (70, -18, 330), (92, 2, 345)], rng, 4)
    canvas.tube([trunk[2], *splenic], 0.62 * r, Organ.PORTAL_VEIN)


def _paint_mesentery(canvas: Canvas, traits: Traits) -> None:
    """Thin vessels that fan out in the fat between the bowel loops, a vein beside each artery."""
    if not 130 < canvas.height < 310:
        return
    rng = traits.rng("mesentery")
    n = 46
    root = np.stack([rng.normal(-5, 10, n), rng.normal(-62, 8, n), rng.uniform(200, 285, n)], 1)
    way = np.stack([rng.normal(0, 40, n), rng.normal(-14, 16, n), rng.normal(-22, 30, n)], 1)
    r = rng.uniform(1.0, 2.4, n)[:, None]
    rods = np.concatenate([root, root + way, r, 0.7 * r], 1)
    paint_tree(canvas, rods, Organ.PORTAL_VEIN, over=(Organ.FAT,))
    rods[:, [0, 3]] += 4.5
    rods[:, 6:] *= 0.65
    paint_tree(canvas, rods, Organ.AORTA, over=(Organ.FAT,))


def paint_plaque(canvas: Canvas, traits: Traits) -> None:
    """Calcified shells on the walls of aorta and iliac arteries, and stents within them."""
    c = traits.confounders
    if not (c.plaque or c.vascular_stent):
        return
    arteries = np.isin(canvas.labels, (Organ.AORTA, Organ.ILIAC_ARTERY))
    rows, columns = np.nonzero(arteries.any(axis=1))[0], np.nonzero(arteries.any(axis=0))[0]
    if len(rows) == 0:
        return
    window = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    step = float(canvas.row_mm[1] - canvas.row_mm[0])
    depth = ndimage.distance_transform_edt(np.pad(arteries[window], 1))[1:-1, 1:-1] * step
    wide = ndimage.binary_dilation(depth > 3.0, iterations=max(2, int(5 / step)))
    rim = max(1.01 * step, 2.0)
    rng = traits.rng("plaque")
    if c.plaque:
        spots = canvas.noise(traits.fine, window) + 0.6 * canvas.noise(traits.middle, window) > rng.uniform(0.5, 1.5)
        canvas.paint(window, (depth > 0) & (depth <= rim) & wide & spots, Organ.CALCIFICATION)
    low = rng.uniform(150, 300)
    if c.vascular_stent and low < canvas.height < low + 110:
        wires = canvas.noise(traits.grain, window) > 0.2
        canvas.paint(window, (depth > rim) & (depth <= rim + max(1.01 * step, 1.6)) & wide & wires, Organ.STENT)
