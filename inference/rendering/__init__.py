"""Pictures of what was found: a slice with its map and legend, and the summary page.

Drawn with Pillow in DejaVu Sans, on dark ground as in a viewer. Everything says "not for diagnostic use".
"""

from inference.rendering.caption import Caption
from inference.rendering.colour import WINDOWS_HU, colour_bar, overlay, window
from inference.rendering.key_slice import SlicePicture, key_slice
from inference.rendering.legend import Legend, band_height, legend_band
from inference.rendering.organ_page import organ_page
from inference.rendering.summary import summary

__all__ = [
    "WINDOWS_HU",
    "Caption",
    "Legend",
    "SlicePicture",
    "band_height",
    "colour_bar",
    "key_slice",
    "legend_band",
    "organ_page",
    "overlay",
    "summary",
    "window",
]
