"""Phase: the four answers, and how slices become one answer for a series."""

from enum import StrEnum


class Phase(StrEnum):
    """Contrast-enhancement phase of an abdominal or thoracic CT, in the order of time."""

    UNENHANCED = "unenhanced"
    ARTERIAL = "arterial"
    PORTAL_VENOUS = "portal venous"
    DELAYED = "delayed"
