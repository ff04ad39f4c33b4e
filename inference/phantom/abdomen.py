"""Abdomen: liver with its vessels, spleen, pancreas, gallbladder, stomach, adrenals, kidneys with ureters; lesions."""

from functools import lru_cache
from itertools import pairwise

import numpy as np

from inference.phantom.body import Spaces
from inference.phantom.canvas import Canvas, Point
from inference.phantom.organs import Organ
from inference.phantom.traits import Traits
from inference.phantom.vessels import Rods, grow, paint_tree


def paint_liver(canvas: Canvas, traits: Traits, spaces: Spaces) -> None:
    """The liver fills the right dome and thins out to the left in front of the stomach."""
    z = canvas.height
    if not 200 < z < 460:
        return
    rng = traits.rng("liver")
    bumps = 6 * canvas.noise(traits.middle)
    x, y = canvas.x + bumps, canvas.y + bumps
    low = rng.uniform(225, 275) + rng.uniform(0.45, 0.75) * np.maximum(x + 70, np.float32(-20)) + 0.25 * (y + 40)
    tip = rng.uniform(25, 90)
    back = 52.0 - rng.uniform(0.75, 1.05) * np.maximum(x + rng.uniform(68, 84), np.float32(0))
    # Below the hilum the left lobe lies in front: pancreas and bowel are behind it.
    back -= 38 * np.clip((342 - canvas.z) / 45, 0, 1) * np.clip((x + 62) / 50, 0, 1)
    body = spaces.abdominal(canvas, canvas.everything) & (canvas.z > low) & (x < tip) & (y < back)
    canvas.paint(canvas.everything, body, Organ.LIVER)
    if 310 < z < 385:
        canvas.ball((-30, -30, 350), (20, 24, 34), Organ.LIVER, over=(Organ.FAT,))
    if z < 350:
        canvas.rod((-12, -150, 300), (-14, -72, 338), (3.5, 4), Organ.FAT, over=(Organ.LIVER,))
    _liver_vessels(canvas, traits)


def _liver_vessels(canvas: Canvas, traits: Traits) -> None:
    for organ, rods in _liver_trees(traits):
        paint_tree(canvas, rods, organ, over=(Organ.LIVER,))


@lru_cache(maxsize=32)
def _liver_trees(traits: Traits) -> tuple[tuple[Organ, Rods], ...]:
    """Three portal branches from the hilum, three hepatic veins from the vena cava."""
    rng = traits.rng("liver vessels")
    lift = 0.7 * traits.breath
    portal: list[tuple[Point, Point, float]] = [
        ((-42, -46, 338 + lift), (-1, 0.25, 0.25), 5.2),
        ((-42, -46, 338 + lift), (-0.6, -0.2, -0.8), 4.4),
        ((-34, -50, 340 + lift), (0.75, -1, 0.35), 4.4),
    ]
    trees = []
    for root, way, r in portal:
        rods = grow(rng, root, way, r * rng.uniform(0.8, 1.15), rng.uniform(24, 34), 4)
        trees.append((Organ.PORTAL_VEIN, rods))
    for way in ((-1.0, 0.35, -0.75), (-0.55, -1.0, -0.8), (0.35, -1.0, -0.55)):
        rods = grow(rng, (-28, -44, 396 + lift), way, rng.uniform(4.2, 5.8), rng.uniform(30, 40), 4)
        trees.append((Organ.HEPATIC_VEIN, rods))
    return tuple(trees)


def paint_upper_organs(canvas: Canvas, traits: Traits, spaces: Spaces) -> None:
    """Spleen, pancreas, adrenals, gallbladder."""
    if not 215 < canvas.height < 440:
        return
    rng = traits.rng("upper organs")
    lift = 0.7 * traits.breath
    g = float(np.exp(rng.normal(0, 0.15)))
    shape = canvas.ellipsoid((98 + rng.normal(0, 5), 10, 362 + lift), (27 * g, 50 * g, 50 * g), rng.uniform(0.3, 0.7))
    if shape is not None:
        window, q = shape
        q = q + np.float32(traits.wobble) * canvas.noise(traits.middle, window)
        canvas.paint(window, (q < 1) & spaces.abdominal(canvas, window), Organ.SPLEEN, over=(Organ.FAT,))
    head = rng.normal(0, 4, 3)
    pancreas: list[Point] = [
        (-32 + head[0], -46, 282), (-24, -56, 298), (2, -62, 308 + head[1]), (38, -46, 318), (76, -14, 332 + head[2]),
    ]  # fmt: skip
    for k, (a, b) in enumerate(pairwise(pancreas)):
        shape = canvas.capsule(a, b, 12.5 - 1.5 * k, 11.0 - 1.3 * k)
        if shape is not None:
            lobes = shape[1] + np.float32(0.28) * canvas.noise(traits.fine, shape[0])
            canvas.paint(shape[0], lobes < 1, Organ.PANCREAS, over=(Organ.FAT, Organ.LIVER))
    for side, z in ((-1, 330.0), (1, 322.0)):
        canvas.tube([(side * 30 - 4, -18, z + 8), (side * 36 - 4, -2, z)], 2.6, Organ.ADRENAL, over=(Organ.FAT,))
        canvas.tube([(side * 30 - 4, -18, z + 8), (side * 27 - 4, 0, z)], 2.4, Organ.ADRENAL, over=(Organ.FAT,))
    _gallbladder(canvas, traits, spaces)


def _gallbladder(canvas: Canvas, traits: Traits, spaces: Spaces) -> None:
    rng = traits.rng("gallbladder")
    if rng.random() < 0.15 and not traits.confounders.gallstones:
        return
    a, b = (-58.0 + rng.normal(0, 6), -92.0, 266.0 + rng.normal(0, 8)), (-46.0, -62.0, 305.0)
    r = rng.uniform(9, 17)
    shape = canvas.capsule(a, b, r + 1.5, 0.5 * r + 1.5)
    if shape is None:
        return
    window, q = shape
    room = spaces.abdominal(canvas, window)
    canvas.paint(window, (q < 1) & room, Organ.BODY)
    canvas.paint(window, (q < (1 - 1.5 / r) ** 2) & room, Organ.GALLBLADDER)
    if traits.confounders.gallstones:
        for _ in range(int(rng.integers(1, 7))):
            s = rng.uniform(2, 7)
            centre = (a[0] + rng.normal(0, 0.3 * r), a[1] + 0.45 * r, a[2] + rng.normal(0, 0.5 * r))
            canvas.ball(centre, (s, s, s), Organ.STONE, over=(Organ.GALLBLADDER,), offset=rng.uniform(-100, 0))


def paint_stomach(canvas: Canvas, traits: Traits, spaces: Spaces) -> None:
    """Stomach with gas above, and below it water, food or oral contrast."""
    if not 235 < canvas.height < 430:
        return
    rng = traits.rng("stomach")
    full = rng.uniform(0.55, 1.05) + 0.25 * traits.confounders.distended_gas
    lift = 0.7 * traits.breath
    path: list[tuple[Point, float]] = [
        ((62, -8, 388 + lift), 34 * full), ((66, -30, 355), 34 * full), ((58, -74, 322), 28 * full),
        ((30, -96, 292), 21 * full), ((-12, -84, 288), 15 * full), ((-36, -62, 292), 9),
    ]  # fmt: skip
    wall = rng.uniform(3, 6)
    dense = traits.confounders.oral_contrast and rng.random() < 0.7
    level = rng.uniform(-95, -20) if not traits.confounders.distended_gas else rng.uniform(-60, 0)
    inner: list[tuple[Point, Point, float, float]] = []
    for (a, ra), (b, rb) in pairwise(path):
        shape = canvas.capsule(a, b, ra, rb)
        if shape is not None:
            mask = (shape[1] < 1) & spaces.abdominal(canvas, shape[0])
            canvas.paint(shape[0], mask, Organ.BOWEL_WALL, over=(Organ.FAT, Organ.BOWEL_WALL))
        inner.append((a, b, max(2.0, ra - wall), max(2.0, rb - wall)))
    for a, b, ra, rb in inner:
        shape = canvas.capsule(a, b, ra, rb)
        if shape is None:
            continue
        window, q = shape
        hole = (q < 1) & (canvas.labels[window] == Organ.BOWEL_WALL)
        food = 14 * canvas.noise(traits.fine, window)
        canvas.paint(window, hole, Organ.ORAL_CONTRAST if dense else Organ.STOMACH, offset=food)
        canvas.paint(window, hole & (canvas.y[window] < level), Organ.GAS)


def paint_kidneys(canvas: Canvas, traits: Traits) -> None:
    """Kidneys with cortex, pyramids, sinus fat, pelvis and ureters; cysts and stones where switched on."""
    if not 60 < canvas.height < 370:
        return
    missing = traits.rng("kidney side").choice((-1, 1)) if traits.confounders.one_kidney else 0
    for side in (-1, 1):
        if side != missing:
            _kidney(canvas, traits, side)
            _ureter(canvas, traits, side)


def _kidney(canvas: Canvas, traits: Traits, side: int) -> None:
    rng = traits.rng(f"kidney {side}")
    g = float(np.exp(rng.normal(0.0, 0.1)))
    height = 285 + 8 * side + rng.normal(0, 10) + 0.4 * traits.breath
    centre = (side * (60 + rng.normal(0, 4)), 12 + rng.normal(0, 4), height)
    lean = 0.12 * (canvas.height - centre[2])  # the upper pole lies nearer to the spine
    centre = (centre[0] - side * lean, centre[1] + 0.3 * lean, centre[2])
    radii = (26 * g, 29 * g, 55 * g)
    angle = side * rng.uniform(0.4, 0.9)
    shape = canvas.ellipsoid(centre, radii, angle)
    if shape is None:
        return
    window, q = shape
    q = q + np.float32(0.6 * traits.wobble) * canvas.noise(traits.middle, window)
    canvas.paint(window, q < 1, Organ.KIDNEY_CORTEX)
    dx, dy = canvas.x[window] - centre[0], canvas.y[window] - centre[1]
    spokes = np.cos(np.arctan2(dy, dx) * rng.integers(5, 8) + canvas.height * 0.16 + rng.uniform(0, 6))
    depth = np.sqrt(np.maximum(q, 0))
    pyramid = (depth < 0.76 + 0.07 * spokes) & (spokes > -0.45)
    canvas.paint(window, pyramid & (q < 1), Organ.KIDNEY_MEDULLA)
    hilum = (centre[0] - side * 11 * g, centre[1] - 5 * g, centre[2])
    wide = 1.5 if traits.confounders.hydronephrosis else 1.0
    sinus = canvas.ellipsoid(hilum, (16 * g, 9 * g * wide, 29 * g), angle)
    if sinus is not None:
        canvas.paint(sinus[0], sinus[1] < 1, Organ.FAT, over=(Organ.KIDNEY_CORTEX, Organ.KIDNEY_MEDULLA))
    pelvis = (hilum[0] - side * 2, hilum[1], hilum[2] - 4)
    size = rng.uniform(0.6, 1.1) * g * wide**1.5
    canvas.ball(pelvis, (9 * size, 4.5 * size, 15 * size), Organ.RENAL_PELVIS, angle=angle)
    for k in range(3):  # calyces reach from the pelvis between the pyramids
        end = (pelvis[0] + side * 15 * g, pelvis[1] + rng.normal(2, 8), pelvis[2] + 18 * (k - 1) * g)
        canvas.rod(pelvis, end, (2.4 * size, 3.4 * size), Organ.RENAL_PELVIS)
    _kidney_lesions(canvas, traits, centre, radii, side)


def _kidney_lesions(canvas: Canvas, traits: Traits, centre: Point, radii: Point, side: int) -> None:
    rng, c = traits.rng(f"kidney lesions {side}"), traits.confounders
    if c.kidney_cysts:
        for _ in range(int(rng.integers(1, 5))):
            way = rng.normal(0, 1, 3)
            way /= np.linalg.norm(way)
            r = float(min(26.0, rng.gamma(2.5, 4) + 3))
            at = tuple(float(m + 0.85 * w * q) for m, w, q in zip(centre, way, radii, strict=True))
            canvas.ball((at[0], at[1], at[2]), (r, r, r), Organ.CYST)
    if c.kidney_stones:
        for _ in range(int(rng.integers(1, 4))):
            r = rng.uniform(1.5, 5)
            at = (centre[0] - side * 6 + rng.normal(0, 5), centre[1] + rng.normal(0, 5), centre[2] + rng.normal(0, 20))
            canvas.ball(at, (r, r, r), Organ.STONE)
    if (c.tumours and rng.random() < 0.25) or (c.hypervascular_tumours and rng.random() < 0.5):
        r = rng.uniform(8, 28)
        at = (centre[0] + side * radii[0] * 0.6, centre[1] + rng.normal(0, 10), centre[2] + rng.normal(0, 25))
        organ = Organ.HYPERVASCULAR_TUMOUR if c.hypervascular_tumours else Organ.TUMOUR
        shape = canvas.ellipsoid(at, (r, r, r))
        if shape is not None:
            canvas.paint(shape[0], shape[1] + 0.2 * canvas.noise(traits.fine, shape[0]) < 1, organ)


def _ureter(canvas: Canvas, traits: Traits, side: int) -> None:
    """The ureter from pelvis to bladder; peristalsis leaves stretches of it empty, and those stay collapsed."""
    rng = traits.rng(f"ureter {side}")
    wide = 2.2 if traits.confounders.hydronephrosis else 1.0
    path: list[Point] = [
        (side * 44, -2, 278), (side * 38, -16, 255), (side * 36, -18, 210), (side * 38, -26, 170),
        (side * 52, -4, 130), (side * 40, -10, 95), (side * 18, -32, 84),
    ]  # fmt: skip
    open_here = np.sin(canvas.height / rng.uniform(14, 30) + rng.uniform(0, 6)) > rng.uniform(-1.4, 0.0)
    canvas.tube(path, rng.uniform(1.6, 2.4) * wide if open_here else 1.0, Organ.URETER)


def paint_liver_lesions(canvas: Canvas, traits: Traits) -> None:
    """Cysts and tumours in the liver, anywhere in it."""
    c, rng = traits.confounders, traits.rng("liver lesions")
    wanted = (
        (c.liver_cysts, Organ.CYST),
        (c.tumours, Organ.TUMOUR),
        (c.hypervascular_tumours, Organ.HYPERVASCULAR_TUMOUR),
    )
    for switched, organ in wanted:
        if not switched:
            continue
        for _ in range(int(rng.integers(2, 8))):
            centre = (rng.uniform(-115, 0), rng.uniform(-100, 40), rng.uniform(275, 405))
            r = float(np.clip(rng.gamma(2.5, 5.0), 3, 45))
            shape = canvas.ellipsoid(centre, (r, r * rng.uniform(0.8, 1.2), r))
            if shape is None:
                continue
            q = shape[1] + np.float32(0.25) * canvas.noise(traits.fine, shape[0])
            canvas.paint(shape[0], q < 1, organ, over=(Organ.LIVER, Organ.PORTAL_VEIN, Organ.HEPATIC_VEIN))
            if organ is not Organ.CYST and r > 12 and rng.random() < 0.6:
                necrosis = (q < 0.35) & (canvas.labels[shape[0]] == organ)
                canvas.paint(shape[0], necrosis, Organ.CYST, offset=float(rng.uniform(0, 14)))
