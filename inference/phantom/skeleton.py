"""Skeleton: spine, ribs, sternum, shoulder girdle, pelvis, hips, and the muscles that lie upon them."""

import numpy as np

from inference.phantom.body import Spaces
from inference.phantom.canvas import Canvas, Point
from inference.phantom.organs import Organ
from inference.phantom.traits import Traits

_DISC = 31.0
"""Height of a lumbar vertebra with its disc; thoracic ones are lower."""


def paint_muscles(canvas: Canvas, traits: Traits) -> None:
    """Back muscles, psoas, and in the pelvis iliacus."""
    z, m = canvas.height, traits.muscle
    for side in (-1, 1):
        if z > 60:
            canvas.ball((side * 30, 38, z), (31 * m, 18, 1e4), Organ.BODY, over=(Organ.FAT,))
        if 110 < z < 330:
            thick = float(np.interp(z, (110, 160, 220, 330), (15, 19, 19, 7))) * m
            y = float(np.interp(z, (110, 170, 220, 330), (-32, -12, 4, 14)))
            x = float(np.interp(z, (110, 170, 220, 330), (62, 46, 40, 26)))
            canvas.ball((side * x, y, z), (thick, thick * 1.25, 1e4), Organ.BODY, angle=0.3 * side, over=(Organ.FAT,))
        if 210 < z < 330:
            canvas.ball((side * 68, 38, z), (17 * m, 9, 1e4), Organ.BODY, angle=-0.5 * side, over=(Organ.FAT,))


def paint_spine(canvas: Canvas, traits: Traits) -> None:
    """Vertebra or disc, arch, spinous and transverse processes."""
    z = canvas.height
    if z < 178:
        return
    rng = traits.rng("spine")
    lumbar = float(np.clip((420 - z) / 160, 0, 1))
    width, depth = 15 + 8.5 * lumbar, 12.5 + 4.5 * lumbar
    step = 22.0 + (_DISC - 22.0) * lumbar
    beat = (z / step + rng.random()) % 1.0
    disc = beat < (0.26 * lumbar + 0.14)
    scoliosis = rng.normal(0, 5) * np.sin(z / rng.uniform(90, 160))
    centre = (float(scoliosis), 0.0, z)
    canvas.ball((centre[0], 24, z), (19, 17, 1e4), Organ.BODY, over=(Organ.FAT,))
    if disc and rng.random() < 0.9:
        canvas.ball(centre, (width, depth, 1e4), Organ.CARTILAGE)
    else:
        waist = 1 - 0.1 * np.sin(np.pi * beat)
        canvas.ball(centre, (width * waist, depth * waist, 1e4), Organ.BONE)
        canvas.ball(centre, (width * waist - 1.6, depth * waist - 1.6, 1e4), Organ.MARROW)
    _arch(canvas, centre, beat, lumbar)


def _arch(canvas: Canvas, centre: Point, beat: float, lumbar: float) -> None:
    x, z = centre[0], centre[2]
    y = 22.0 + 3 * lumbar
    canvas.ball((x, y, z), (13.5, 12, 1e4), Organ.BONE)
    canvas.ball((x, y, z), (9.5 + 1.5 * lumbar, 8, 1e4), Organ.SPINAL_CANAL)
    end = 52.0 + 8 * lumbar
    if beat > 0.2:
        canvas.rod((x, y + 11, z), (x, end, z), (3.4, 3.8), Organ.BONE)
    for side in (-1, 1):
        if beat > 0.45:
            canvas.rod((x + side * 11, y - 8, z), (x + side * 12, y + 3, z), (4.5, 5.0), Organ.BONE)
            reach = 26 + 14 * lumbar
            canvas.rod((x + side * 12, y, z), (x + side * reach, y + 9 - 6 * lumbar, z), (4.2, 3.0), Organ.BONE)
        else:
            canvas.ball((x + side * 17, y + 6, z), (6.5, 6, 1e4), Organ.BONE)
        canvas.ball((x + side * 15, y + 5, z), (2.8, 2.6, 1e4), Organ.MARROW, over=(Organ.BONE,))


def paint_ribs(canvas: Canvas, traits: Traits, spaces: Spaces) -> None:
    """Ribs as bands that wind down around the chest wall from the spine to the front; cartilage in front."""
    z = canvas.height
    if z < 225:
        return
    rng = traits.rng("ribs")
    x, y = canvas.x, canvas.y + np.float32(30)
    angle = np.arctan2(np.abs(x), y) * np.float32(1 / np.pi)  # 0 at the back, 1 in front
    spacing, drop = 23.5, rng.uniform(85, 125)
    turn = (canvas.z + np.float32(drop) * angle - np.float32(345)) * np.float32(1 / spacing)
    turn += np.where(x > 0, np.float32(rng.uniform(0, 0.5)), np.float32(0))
    beat = np.abs(turn - np.floor(turn) - np.float32(0.5)) * np.float32(2)
    wall = np.float32(1.09)
    depth = np.abs(spaces.cavity - wall) * np.float32(130 / 2)
    depth = np.where(spaces.cavity > 0.9, depth, np.float32(99))
    number = np.floor(turn)
    # The lower ribs float: the first ends at the flank, each following one reaches further forward.
    present = (number >= 0) & (number <= 11.5) & (angle < np.float32(0.42) + number * np.float32(0.11)) & (angle > 0.08)
    rib = (depth * depth * np.float32(1 / 20) + beat * beat * np.float32(5.0) < 1) & present
    hard = angle < np.float32(rng.uniform(0.68, 0.78))
    canvas.paint(canvas.everything, rib & hard, Organ.BONE)
    core = (depth * depth * np.float32(1 / 6) + beat * beat * np.float32(9.0) < 1) & present & hard
    canvas.paint(canvas.everything, core, Organ.MARROW)
    canvas.paint(canvas.everything, rib & ~hard, Organ.CARTILAGE)
    if 400 < z < 580:
        _sternum(canvas, spaces, z)


def _sternum(canvas: Canvas, spaces: Spaces, z: float) -> None:
    y = -(spaces.frame.front - 0.45 * spaces.frame.wall)
    width = float(np.interp(z, (400, 440, 530, 575), (9, 17, 19, 30)))
    canvas.ball((0, y, z), (width, 6.5, 1e4), Organ.BONE)
    canvas.ball((0, y, z), (width - 2, 4.5, 1e4), Organ.MARROW)


def paint_shoulders(canvas: Canvas, traits: Traits) -> None:
    """Scapulae, clavicles, humeral heads, and the muscles around them."""
    z = canvas.height
    if z < 455:
        return
    up = not traits.confounders.arms_down
    reach = 22.0 if up else 0.0
    for side in (-1, 1):
        top = float(np.clip((z - 455) / 120, 0, 1))
        inner = (side * (78 + 12 * top), 52.0 - 4 * top, z)
        outer = (side * (112 + 28 * top - reach), 26.0 - 20 * top, z)
        canvas.rod(inner, outer, (3.0, 5.0 + 3 * top), Organ.BONE)
        if z > 520:
            spine_end = (side * (125 - reach + 12 * top), 52.0 - 14 * top, z)
            canvas.rod((side * 98, 46, z), spine_end, (3.0, 4.5), Organ.BONE)
        canvas.rod((side * 20, -72, 578), (side * 80, -58, 596), (9, 7), Organ.BONE)
        canvas.rod((side * 80, -58, 596), (side * (150 - reach), -5, 618), (7, 7), Organ.BONE)
        head = (side * (158 - reach), -2.0, 592.0)
        canvas.ball(head, (24, 24, 26), Organ.BONE)
        canvas.ball(head, (21, 21, 23), Organ.MARROW)


def paint_pelvis(canvas: Canvas, traits: Traits) -> None:
    """Sacrum, iliac wings, hip joints, pubis, ischium, femora."""
    z = canvas.height
    if z > 215:
        return
    wide = 6.0 if traits.female else 0.0
    _sacrum(canvas, z)
    for side in (-1, 1):
        if 92 < z < 212:
            _wing(canvas, side, z, wide)
        _hip(canvas, side, z, wide, prosthesis=traits.confounders.hip_prosthesis and side == 1)


def _sacrum(canvas: Canvas, z: float) -> None:
    if not 40 < z < 185:
        return
    y = float(np.interp(z, (40, 70, 120, 160, 185), (42, 56, 46, 22, 4)))
    width = float(np.interp(z, (40, 70, 110, 165, 185), (7, 12, 30, 52, 30)))
    depth = float(np.interp(z, (40, 70, 120, 185), (5, 7, 12, 19)))
    canvas.ball((0, y, z), (width, depth, 1e4), Organ.BONE)
    canvas.ball((0, y, z), (width - 2.5, depth - 2.5, 1e4), Organ.MARROW)
    if z > 100:
        canvas.ball((0, y + depth, z), (9, 5, 1e4), Organ.SPINAL_CANAL)
        canvas.rod((0, y + depth + 5, z), (0, y + depth + 14, z), (3.5, 3.0), Organ.BONE)
    for side in (-1, 1):
        canvas.ball((side * 17, y, z), (3.5, 4.5, 1e4), Organ.FAT, over=(Organ.MARROW, Organ.BONE))


def _wing(canvas: Canvas, side: int, z: float, wide: float) -> None:
    t = (z - 92) / 120
    back = (side * (58 + wide + 16 * t), 38.0 - 2 * t, z)
    middle = (side * (82 + wide + 22 * t), 0.0 - 2 * t, z)
    front = (side * (104 + wide + 14 * t - 26 * max(0.0, t - 0.75)), -52.0 + 34 * max(0.0, t - 0.5), z)
    for a, b, ra, rb in ((back, middle, 8.5, 5.0), (middle, front, 5.0, 7.0)):
        canvas.rod(a, b, (ra, rb), Organ.BONE)
        canvas.rod(a, b, (ra - 2.2, rb - 2.2), Organ.MARROW)


def _hip(canvas: Canvas, side: int, z: float, wide: float, prosthesis: bool) -> None:
    x = side * (88.0 + wide)
    if 35 < z < 105:
        canvas.ball((x, -6, 66), (34, 35, 36), Organ.BONE, over=(Organ.BODY, Organ.FAT))
        canvas.ball((x, -6, 66), (30, 31, 32), Organ.MARROW, over=(Organ.BONE,))
        canvas.ball((x + side * 22, -4, 58), (38, 33, 40), Organ.BODY, over=(Organ.BONE, Organ.MARROW))
        canvas.ball((x, -6, 66), (27.5, 27.5, 27.5), Organ.BONE)
        canvas.ball((x, -6, 66), (25.5, 25.5, 25.5), Organ.MARROW)
    canvas.rod((x - side * 14, -32, 52), (side * 7, -70, 34), (9, 8), Organ.BONE)
    canvas.rod((x - side * 14, -32, 52), (side * 7, -70, 34), (6, 5.5), Organ.MARROW)
    canvas.rod((x - side * 20, 28, 48), (side * 62, 34, -5), (13, 15), Organ.BONE)
    canvas.rod((x - side * 20, 28, 48), (side * 62, 34, -5), (10, 12), Organ.MARROW)
    canvas.rod((x, -4, 64), (x + side * 38, 8, 38), (14, 17), Organ.BONE)
    canvas.rod((x, -4, 64), (x + side * 38, 8, 38), (11.5, 14.5), Organ.MARROW)
    canvas.rod((x + side * 38, 8, 30), (x + side * 34, 2, -90), (16, 14), Organ.BONE)
    canvas.rod((x + side * 38, 8, 30), (x + side * 34, 2, -90), (11, 8), Organ.MARROW)
    if prosthesis:
        canvas.ball((x, -6, 66), (16, 16, 16), Organ.METAL)
        canvas.rod((x, -6, 62), (x + side * 34, 6, 30), (7, 8), Organ.METAL)
        canvas.rod((x + side * 34, 6, 30), (x + side * 35, 2, -60), (7, 5), Organ.METAL)


def roughen_marrow(canvas: Canvas, traits: Traits) -> None:
    """Trabeculae."""
    marrow = canvas.labels == Organ.MARROW
    canvas.offset[marrow] = 40 * canvas.noise(traits.grain)[marrow] + 20 * canvas.noise(traits.fine)[marrow]


def paint_metal(canvas: Canvas, traits: Traits) -> None:
    """Screws in the spine, clips, a pacemaker's leads: whatever is denser than bone."""
    c, rng = traits.confounders, traits.rng("metal")
    if c.spine_screws:
        level = rng.uniform(190, 420)
        for k in range(int(rng.integers(2, 5))):
            z = level + k * 30
            for side in (-1, 1):
                canvas.rod((side * 22, 34, z), (side * 6, -8, z), (2.6, 2.6), Organ.METAL)
                canvas.rod((side * 22, 36, z), (side * 22, 36, z + 30), (2.8, 2.8), Organ.METAL)
    if c.clips:
        middle = (rng.uniform(-80, 60), rng.uniform(-70, 0), rng.uniform(80, 480))
        for _ in range(int(rng.integers(5, 24))):
            a = tuple(float(v) for v in np.array(middle) + rng.normal(0, (18, 18, 50)))
            b = tuple(float(v) for v in np.array(a) + rng.normal(0, 3.5, 3))
            canvas.rod((a[0], a[1], a[2]), (b[0], b[1], b[2]), (1.3, 1.3), Organ.METAL)
    if c.pacemaker:
        points: list[Point] = [
            (60, -105, 585), (20, -80, 590), (-22, -60, 560), (-28, -62, 470), (-20, -80, 435), (25, -90, 415),
        ]  # fmt: skip
        canvas.tube(points, 1.3, Organ.METAL)
        canvas.ball((72, -112, 560), (24, 7, 22), Organ.METAL)
