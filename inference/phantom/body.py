"""Body: skin, fat, muscles, the chest wall with its ribs, arms, breasts; the spaces that organs lie in.

Heights of the reference anatomy (mm above the lower edge of the ischium): hip joint 65, iliac crest 205, L4 210,
L2 285, T12 345, right dome of the diaphragm 418, heart 400–500, carina 510, aortic arch 525, T1 592, inlet 600.
x = 0, y = 0 is the middle of the vertebral bodies; y is negative in front of them.
"""

from dataclasses import dataclass

import numpy as np

from inference.phantom.canvas import Canvas, Mask, Window
from inference.phantom.field import Floats
from inference.phantom.organs import Organ
from inference.phantom.traits import Traits

_HEIGHTS = (-40, 0, 60, 120, 180, 240, 300, 360, 420, 480, 530, 570, 600, 640)
_WIDTH = (158, 160, 168, 160, 146, 132, 132, 138, 144, 150, 160, 172, 182, 150)
_FRONT = (90, 95, 100, 104, 108, 106, 112, 122, 128, 124, 112, 92, 74, 62)
_BACK = (76, 82, 84, 76, 64, 58, 56, 56, 60, 66, 68, 66, 62, 52)


@dataclass(frozen=True)
class Frame:
    """Measures of the body at one height, in reference mm."""

    width: float
    """Half width of the muscular wall's outer face."""
    front: float
    back: float
    wall: float
    """Thickness of the wall."""
    fat_side: float
    fat_front: float
    fat_back: float

    @property
    def centre(self) -> float:
        """y between front and back of the cavity."""
        return -30.0

    @classmethod
    def at(cls, height: float, traits: Traits) -> "Frame":
        """The frame at a height of the reference anatomy."""
        width, front, back = (float(np.interp(height, _HEIGHTS, row)) for row in (_WIDTH, _FRONT, _BACK))
        belly = float(np.exp(-(((height - 240) / 110) ** 2)))
        front += (34 * traits.visceral - 10) * belly
        width += (16 * traits.visceral - 6) * belly
        if traits.female:
            width += 8 * float(np.exp(-(((height - 60) / 70) ** 2))) - 6 * float(np.exp(-(((height - 470) / 90) ** 2)))
        if not traits.confounders.arms_down and height > 540:
            width -= min(26.0, 0.5 * (height - 540))
        fat = traits.subcutaneous_mm
        hip = float(np.exp(-(((height - 40) / 90) ** 2)))
        chest = float(np.clip((height - 330) / 120, 0, 1))
        return cls(
            width=width,
            front=front,
            back=back,
            wall=float(np.interp(height, (320, 345, 440, 500, 550, 590), (17, 12, 12, 20, 30, 36))) * traits.muscle,
            fat_side=fat * (0.75 + 0.5 * hip - 0.25 * chest),
            fat_front=fat * (0.9 + 0.25 * belly - 0.55 * chest),
            fat_back=fat * (0.9 + 0.7 * hip - 0.3 * chest),
        )


def extent(traits: Traits) -> tuple[float, float, float]:
    """(half width, front, back) in patient mm of the box that holds the body at any height."""
    fat = 1.4 * traits.subcutaneous_mm
    arms = 95.0 if traits.confounders.arms_down else 0.0
    breast = 30.0 if traits.female else 0.0
    return (
        (190 + fat + arms) * traits.scale[0],
        -(165 + fat + breast) * traits.scale[1],
        (88 + fat) * traits.scale[1],
    )


def squircle(canvas: Canvas, width: float, front: float, back: float, centre: float, squareness: float) -> Floats:
    """e[row, column] < 1 inside a rounded box with its own depth in front of and behind `centre`."""
    u = canvas.x * np.float32(1 / width)
    y = canvas.y - np.float32(centre)
    v = y * np.where(y < 0, np.float32(1 / (front + centre)), np.float32(1 / (back - centre)))
    # Beyond the box the product would win over the sum and close the shape again.
    u = np.minimum(u * u, np.float32(2))
    v = np.minimum(v * v, np.float32(2))
    return u + v - np.float32(squareness) * u * v


@dataclass(frozen=True)
class Spaces:
    """What the wall leaves free, for the organs."""

    frame: Frame
    cavity: Floats
    """cavity[row, column] < 1 inside the wall."""
    dome: Floats
    """Height of the diaphragm over every pixel, reference mm."""

    def abdominal(self, canvas: Canvas, window: Window) -> Mask:
        """Pixels of a window that lie inside the wall and below the diaphragm."""
        return (self.cavity[window] < 0.955) & (canvas.z[window] < self.dome[window] - 3)


def paint_wall(canvas: Canvas, traits: Traits) -> Spaces:
    """Skin, subcutaneous fat, muscle, and the fat of the cavity inside it."""
    f = Frame.at(canvas.height, traits)
    everything = canvas.everything
    shape = (f.centre, 0.5 * traits.squareness)
    ripple = canvas.noise(traits.coarse)
    skin = squircle(canvas, f.width + f.fat_side + 2, f.front + f.fat_front + 2, f.back + f.fat_back + 2, *shape)
    skin += np.float32(0.02) * ripple
    canvas.paint(everything, skin < 1, Organ.SKIN)
    canvas.paint(everything, skin < 0.968, Organ.FAT)
    if traits.female:
        _breasts(canvas, traits, f)
    outer = squircle(canvas, f.width, f.front, f.back, *shape)
    outer += np.float32(0.03) * ripple
    canvas.paint(everything, outer < 1, Organ.BODY)
    cavity = squircle(canvas, f.width - f.wall, f.front - 0.75 * f.wall, 52.0, f.centre, 0.5 * traits.squareness)
    cavity += np.float32(0.02) * ripple
    streaks = canvas.noise(traits.fine)
    marbled = (streaks > np.float32(1.55 + 0.6 * traits.muscle - 0.5 * traits.visceral)) & (outer < 0.98) & (cavity > 1)
    canvas.paint(everything, marbled, Organ.FAT)
    _layers(canvas, traits, f, outer, cavity)
    if canvas.height > 565:
        canvas.paint(everything, (cavity < 1) & (np.abs(canvas.noise(traits.middle)) < 0.3), Organ.FAT)
    elif canvas.height > 90:
        canvas.paint(everything, cavity < 1, Organ.FAT)
    if traits.confounders.arms_down:
        _arms(canvas, traits, f)
    return Spaces(f, cavity, diaphragm(canvas, traits))


def diaphragm(canvas: Canvas, traits: Traits) -> Floats:
    """Height of the diaphragm z[row, column] in reference mm: two domes that fall off towards the wall."""
    x, y = canvas.x, canvas.y
    right = ((x + 62) / 88) ** 2 + ((y + 42) / 100) ** 2
    left = ((x - 68) / 84) ** 2 + ((y + 40) / 100) ** 2
    height = np.maximum(np.float32(420) - 78 * right, np.float32(408) - 78 * left)
    return height + np.float32(traits.breath) + 5 * canvas.noise(traits.coarse)


def _layers(canvas: Canvas, traits: Traits, f: Frame, outer: Floats, cavity: Floats) -> None:
    """Thin fat between the three sheets of the lateral wall, and between gluteal muscles."""
    depth = (1 - outer) / np.maximum(cavity - outer, np.float32(0.05))
    sheets = np.abs(np.sin(depth * np.float32(3 * np.pi))) < np.float32(0.16 + 0.12 * traits.visceral)
    side = (np.abs(canvas.x) > np.float32(0.55 * f.width)) & (outer < 0.97) & (cavity > 1.02)
    if 180 < canvas.height < 330:
        canvas.paint(canvas.everything, sheets & side, Organ.FAT)
    elif canvas.height <= 180:
        gaps = np.abs(canvas.noise(traits.middle)) < np.float32(0.13 + 0.08 * traits.visceral)
        canvas.paint(canvas.everything, gaps & (outer < 0.98) & (cavity > 1.0), Organ.FAT)
    elif canvas.height > 430:
        gaps = np.abs(canvas.noise(traits.middle)) < np.float32(0.12)
        canvas.paint(canvas.everything, gaps & (outer < 0.99) & (cavity > 1.12), Organ.FAT)


def _breasts(canvas: Canvas, traits: Traits, f: Frame) -> None:
    rng = traits.rng("breast")
    size, gland = rng.uniform(22, 46), rng.uniform(0.2, 1.0)
    z, spread = 425 + rng.normal(0, 15), rng.uniform(62, 85)
    for side in (-1, 1):
        centre = (side * spread, -f.front + 0.25 * size, z)
        canvas.ball(centre, (size + 18, size, size + 20), Organ.SKIN, over=(Organ.BACKGROUND,))
        canvas.ball(centre, (size + 16, size - 2, size + 18), Organ.FAT, over=(Organ.SKIN,))
        shape = canvas.ellipsoid(centre, (0.7 * size, 0.7 * size, 0.7 * size))
        if shape is not None:
            window, q = shape
            fibres = canvas.noise(traits.fine, window) + 1.2 * gland > 0.6 + q
            canvas.paint(window, (q < 1) & fibres, Organ.BREAST, over=(Organ.FAT,))


def _arms(canvas: Canvas, traits: Traits, f: Frame) -> None:
    """Both arms beside the trunk, with their bones."""
    rng = traits.rng("arms")
    z = canvas.height
    lower = z < 290
    for side in (-1, 1):
        x = side * (f.width + f.fat_side + rng.uniform(40, 58) + 0.06 * max(0.0, 400 - z))
        y = rng.uniform(-30, 20)
        radius = (34.0 if lower else 42.0) * rng.uniform(0.9, 1.1)
        tall = 1e4
        muscle = radius - 3 - traits.subcutaneous_mm / 5
        for organ, r in ((Organ.SKIN, radius), (Organ.FAT, radius - 2), (Organ.BODY, muscle)):
            canvas.ball((x, y, z), (r, 0.9 * r, tall), organ, over=(Organ.BACKGROUND, Organ.SKIN, Organ.FAT))
        bones = ((-11.0, 7.0), (11.0, 8.0)) if lower else ((0.0, 12.0),)
        for dx, r in bones:
            canvas.ball((x + dx, y, z), (r, r, tall), Organ.BONE, over=(Organ.BODY,))
            canvas.ball((x + dx, y, z), (0.55 * r, 0.55 * r, tall), Organ.MARROW, over=(Organ.BONE,))
