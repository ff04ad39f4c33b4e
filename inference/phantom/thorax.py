"""Thorax: lungs, heart with its chambers, great vessels, airways, thyroid."""

from functools import lru_cache

import numpy as np

from inference.phantom.body import Spaces
from inference.phantom.canvas import Canvas, Point
from inference.phantom.field import Floats
from inference.phantom.organs import Organ
from inference.phantom.traits import Traits
from inference.phantom.vessels import Rods, grow, paint_tree


def paint_lungs(canvas: Canvas, traits: Traits, spaces: Spaces) -> None:
    """Both lungs, the mediastinum between them, effusions behind them."""
    z, dome = canvas.height, spaces.dome
    if z < 295:
        return
    rng = traits.rng("lungs")
    apex = float(np.clip((z - 540) / 70, 0, 1))
    side = squeeze(canvas, 1 - 0.45 * apex**1.5, spaces)
    air = (canvas.z > dome) & (side < 0.97)
    half = float(np.interp(z, (380, 440, 480, 530, 580, 610), (30, 24, 26, 30, 34, 44)))
    # The mediastinum is wider in front, where the heart lies, than beside the spine.
    edge = half * (1.0 - 0.30 * np.clip((canvas.y + 10) / 40, -1, 1)) + 3 * canvas.noise(traits.middle)
    air &= (np.abs(canvas.x - 3) > edge) & ((np.abs(canvas.x) > 26) | (canvas.y < 14) | (canvas.y > 60))
    if z > 612:
        air[:] = False
    texture = 35 * canvas.noise(traits.fine) + 25 * canvas.noise(traits.coarse) + 0.5 * (canvas.y + 30)
    chest = (canvas.z > dome) & (side < 0.97)
    narrow = (canvas.x / np.float32(np.interp(z, (540, 580, 610), (260, 60, 38)))) ** 2 < 1
    if z > 560:
        narrow &= ((canvas.y + 34) / np.float32(42)) ** 2 + (canvas.x / np.float32(60)) ** 2 < 1
    canvas.paint(canvas.everything, chest & ~air & narrow & (z > 370), Organ.MEDIASTINUM)
    canvas.paint(canvas.everything, air, Organ.LUNG, offset=texture.astype(np.float32))
    _lung_vessels(canvas, traits)
    if traits.confounders.pleural_effusion:
        level, which = rng.uniform(5, 45), rng.choice((-1, 0, 1))
        wet = (canvas.y > level + 0.35 * (z - 400)) & (air | (side < 1.0)) & (canvas.z > dome - 4)
        if which:
            wet &= canvas.x * which > 15
        canvas.paint(canvas.everything, wet, Organ.PLEURAL_EFFUSION, over=(Organ.LUNG,))
    if rng.random() < 0.3:
        hazy = (canvas.noise(traits.middle) + 0.02 * (canvas.y - 30) > 1.6) & air
        canvas.offset[hazy & (canvas.labels == Organ.LUNG)] += np.float32(rng.uniform(150, 700))


def squeeze(canvas: Canvas, factor: float, spaces: Spaces) -> Floats:
    """The cavity's e, narrowed sideways by a factor for the apices."""
    if factor > 0.995:
        return spaces.cavity
    x = canvas.x / np.float32((spaces.frame.width - spaces.frame.wall) * factor)
    narrowed: Floats = np.maximum(spaces.cavity, x * x + ((canvas.y + 10) / np.float32(70)) ** 2)
    return narrowed


def _lung_vessels(canvas: Canvas, traits: Traits) -> None:
    for organ, rods in _lung_trees(traits):
        paint_tree(canvas, rods, organ, over=(Organ.LUNG, Organ.MEDIASTINUM))


@lru_cache(maxsize=32)
def _lung_trees(traits: Traits) -> tuple[tuple[Organ, Rods], ...]:
    trees = []
    for side in (-1, 1):
        for organ, shift in ((Organ.PULMONARY_ARTERY, 0.0), (Organ.PULMONARY_VEIN, 8.0)):
            rng = traits.rng(f"lung {side} {organ}")
            for way in ((side, 0.3, -1.1), (side, -0.6, -0.4), (side, 0.2, 0.8)):
                root = (side * 34.0, -30.0 + shift, 482.0 + rng.normal(0, 8))
                trees.append((organ, grow(rng, root, way, rng.uniform(4.0, 5.2), rng.uniform(28, 38), 5)))
    return tuple(trees)


def paint_heart(canvas: Canvas, traits: Traits) -> None:
    """Heart with four chambers in its own fat; it stands higher or lower with the diaphragm."""
    if not 375 < canvas.height < 520:
        return
    rng = traits.rng("heart")
    lift = 0.6 * traits.breath + rng.normal(0, 4)
    g = rng.uniform(0.88, 1.15)
    j = rng.normal(0, 3.0, 8)

    def at(x: float, y: float, z: float) -> Point:
        return x + float(j[0]), y + float(j[1]), z + lift

    def r(*radii: float) -> Point:
        return radii[0] * g, radii[1] * g, radii[2] * g

    room = (Organ.LUNG, Organ.MEDIASTINUM, Organ.FAT)
    canvas.ball(at(12, -66, 440), r(66, 47, 54), Organ.HEART_FAT, angle=-0.35, over=room)
    canvas.ball(at(4, -86, 432), r(45, 26, 40), Organ.RIGHT_HEART, angle=-0.35)
    canvas.ball(at(-32, -66, 446), r(23, 29, 34), Organ.RIGHT_HEART)
    canvas.ball(at(36, -64, 428), r(44, 31, 42), Organ.MYOCARDIUM, angle=-0.65)
    thick = rng.uniform(8, 12)
    canvas.ball(at(35, -63, 430), r(42 - thick, 29 - thick, 39 - thick), Organ.LEFT_HEART, angle=-0.65)
    canvas.ball(at(4, -38, 464), r(34, 19, 24), Organ.LEFT_HEART)
    shape = canvas.ellipsoid(at(-18, -88, 440), r(4, 14, 26), -0.2)
    if shape is not None:
        canvas.paint(shape[0], shape[1] < 1, Organ.HEART_FAT, over=(Organ.RIGHT_HEART,))


def paint_great_vessels(canvas: Canvas, traits: Traits) -> None:
    """Aortic arch and its branches, pulmonary trunk, venae cavae, azygos; airways and oesophagus."""
    z = canvas.height
    if z < 395:
        return
    rng = traits.rng("great vessels")
    a = rng.uniform(10, 15)
    j = rng.normal(0, 2.5, 6)
    canvas.tube([(8, -22, 395), (8, -22, 440), (4, -24, 500), (2, -22, 600)], 6.0, Organ.BODY)
    if z > 500:
        canvas.ball((0, -30, z), (9, 8.5, 1e4), Organ.BODY)
        canvas.ball((0, -30, z), (7.5, 7, 1e4), Organ.GAS)
    for side in (-1, 1):
        canvas.tube([(0, -30, 508), (side * 22, -28, 488), (side * 40, -22, 466)], 6.0, Organ.GAS)
    canvas.tube([(14, -24, 395), (19, -20, 440), (21 + j[0], -17, 510)], 0.88 * a, Organ.AORTA)
    arch: list[Point] = [
        (21 + j[0], -17, 510), (18, -30, 531), (4, -52, 538), (-13, -66, 524), (-16 + j[1], -70, 500), (-4, -66, 470),
    ]  # fmt: skip
    canvas.tube(arch, a, Organ.AORTA)
    canvas.tube([(22, -92, 470), (20, -80, 488), (14, -62, 497)], 12.5, Organ.PULMONARY_ARTERY)
    canvas.tube([(14, -62, 497), (-6, -46, 494), (-36, -36, 486)], 9.5, Organ.PULMONARY_ARTERY)
    canvas.tube([(14, -62, 497), (26, -44, 500), (38, -30, 488)], 9.5, Organ.PULMONARY_ARTERY)
    for side in (-1, 1):
        canvas.tube([(side * 12, -36, 462), (side * 42, -28, 458)], 5.0, Organ.PULMONARY_VEIN)
    cava = rng.uniform(7.5, 10.5)
    canvas.tube([(-29, -66, 456), (-30 + j[2], -62, 500), (-27, -62, 548)], cava, Organ.SUPERIOR_VENA_CAVA)
    canvas.tube([(-26, -38, 380), (-28, -46, 405), (-32, -56, 428)], 12.0, Organ.INFERIOR_VENA_CAVA)
    canvas.tube([(-8, -12, 380), (-9, -12, 505), (-20, -30, 518), (-28, -58, 518)], 3.0, Organ.INFERIOR_VENA_CAVA)
    reach = 22.0 if not traits.confounders.arms_down else 0.0
    injected = rng.choice((-1, 1))
    for side in (-1, 1):
        joint = (side * 34.0, -62.0, 580.0)
        vein = Organ.BRACHIOCEPHALIC_VEIN if side == injected else Organ.JUGULAR_VEIN
        canvas.tube([(-27, -62, 548), (side * 10 - 10, -74, 560), joint], 6.5, vein)
        canvas.tube([joint, (side * 80, -48, 598), (side * (140 - reach), -18, 600)], 5.2, vein)
        canvas.tube([joint, (side * 34, -46, 640)], 5.5, Organ.JUGULAR_VEIN)
        root = (-8.0, -58.0, 540.0) if side < 0 else (12.0, -42.0, 538.0)
        canvas.tube([root, (side * 22, -44, 575), (side * 26, -40, 640)], 3.6, Organ.AORTA)
        subclavian: list[Point] = [root, (side * 30, -28, 570), (side * 70, -36, 600), (side * (135 - reach), -14, 606)]
        canvas.tube(subclavian, 4.2, Organ.AORTA)
    if z > 585:
        for side in (-1, 1):
            canvas.ball((side * 15, -40, 622), (8.5, 10, 24), Organ.THYROID)
