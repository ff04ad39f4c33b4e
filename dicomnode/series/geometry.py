"""Where a slice lies in the patient: PS3.3 section C.7.6.2.1.1.

Patient axes: x to the left, y to the back, z to the head.
"""

import math
from dataclasses import dataclass

Vector = tuple[float, float, float]

MOST_TILT_DEGREES = 30.0
"""Gantries tilt by up to 30 degrees; what is turned further is a reformat in another plane."""
MOST_TURN_DEGREES = 45.0


@dataclass(frozen=True)
class Plane:
    """The plane of one slice. Raises ValueError when the directions are not two perpendicular unit vectors."""

    origin: Vector
    """Image Position (Patient): centre of the first pixel, in mm."""
    along_row: Vector
    """Direction in which the column index rises."""
    along_column: Vector
    """Direction in which the row index rises."""

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self.origin)):
            raise ValueError("the position is not finite")
        for direction in (self.along_row, self.along_column):
            if not abs(math.hypot(*direction) - 1) <= 0.01:  # not >, for NaN is neither
                raise ValueError("a direction is not a unit vector")
        if abs(_dot(self.along_row, self.along_column)) > 0.01:
            raise ValueError("the directions are not perpendicular")

    @property
    def normal(self) -> Vector:
        (a, b, c), (d, e, f) = self.along_row, self.along_column
        return (b * f - c * e, c * d - a * f, a * e - b * d)

    @property
    def tilt_degrees(self) -> float:
        """Angle between the slice's normal and the patient's long axis, 0..90."""
        return math.degrees(math.acos(min(1.0, abs(self.normal[2]))))

    @property
    def axial(self) -> bool:
        return self.tilt_degrees <= MOST_TILT_DEGREES

    @property
    def turned(self) -> bool:
        """True when rows do not run from side to side: the picture lies on its side."""
        return abs(self.along_row[0]) < math.cos(math.radians(MOST_TURN_DEGREES))

    @property
    def position_mm(self) -> float:
        """Where the plane cuts the patient's long axis; for a plane that does not, the offset along its normal.

        Unlike the z of the first pixel, this stays put when the field of view is shifted within a tilted plane.
        """
        offset = _dot(self.normal, self.origin)
        return offset / self.normal[2] if self.axial else offset

    @property
    def flip_rows(self) -> bool:
        """True when row 0 is the patient's back."""
        return self.along_column[1] < 0

    @property
    def flip_columns(self) -> bool:
        """True when column 0 is the patient's left."""
        return self.along_row[0] < 0

    def angle_degrees(self, other: "Plane") -> float:
        """The largest angle between this plane's directions and the other's."""
        cosines = (_dot(self.along_row, other.along_row), _dot(self.along_column, other.along_column))
        return max(math.degrees(math.acos(max(-1.0, min(1.0, cosine)))) for cosine in cosines)


def _dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
