"""The band below a picture that says how to read it."""

from dataclasses import dataclass

from inference.rendering.colour import Picture, colour_bar
from inference.rendering.page import AMBER, PALE, WHITE, Page
from inference.rendering.wording import METHOD_NAMES, Words


@dataclass(frozen=True)
class Legend:
    """What the band says."""

    method: str
    """A key of METHOD_NAMES."""
    explains: str
    """What the map explains, in words: "What spoke for portal venous, 93 % sure"."""
    position: str
    """Which slice: "slice 23 of 51, -112.5 mm"."""
    verdict: str
    """What the map's checks say of it."""
    weak: bool
    """Whether the verdict is a warning."""
    origin: str
    """Model, version and time."""


def band_height(width: int) -> int:
    """Rows of the band below a picture of `width` columns."""
    return 4 * round(width * 28 / 512) + 2 * round(width * 8 / 512)


def legend_band(width: int, legend: Legend, words: Words) -> Picture:
    """rgb[band_height(width), width, 3]: four lines, legible from 512 columns on."""
    unit, line, margin = width / 512, round(width * 28 / 512), round(width * 10 / 512)
    page, room = Page(width, band_height(width)), width - 2 * margin
    rows = [round(width * 8 / 512) + (number + 0.5) * line for number in range(4)]
    small, right = 13 * unit, width - margin

    page.text((margin, rows[0]), METHOD_NAMES.get(legend.method, legend.method), 17 * unit, room / 2, WHITE, "bold")
    page.text((right, rows[0]), words.not_for_diagnosis, 15 * unit, room / 2, AMBER, "bold right")

    page.text((margin, rows[1]), legend.explains, 15 * unit, 0.66 * room, WHITE)
    page.text((right, rows[1]), legend.position, small, 0.33 * room, PALE, "right")

    used = page.text((margin, rows[2]), words.low, small, 0.2 * room, PALE) + margin + 8 * unit
    bar = colour_bar(round(130 * unit), round(14 * unit))
    page.picture(used, rows[2] - 7 * unit, bar)
    used += bar.shape[1] + 8 * unit
    used += page.text((used, rows[2]), words.high, small, 0.15 * room, PALE) + 16 * unit
    page.text((right, rows[2]), legend.verdict, small, right - used, AMBER if legend.weak else PALE, "right")

    page.text((margin, rows[3]), legend.origin, small, room, PALE)
    return page.pixels()
