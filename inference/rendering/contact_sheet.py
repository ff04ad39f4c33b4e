"""Many small pictures in rows and columns, for looking at maps side by side."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from inference.rendering.colour import WINDOWS_HU, Picture, colour_bar, overlay
from inference.rendering.page import AMBER, PALE, WHITE, Page
from inference.rendering.wording import WORDS

_MARGIN, _GAP, _LINE, _LABELS = 20, 6, 24, 190
"""Pixels: around the sheet, between pictures, of a line of text, for the rows' labels."""


_OUTLINE = (0, 222, 160)


@dataclass(frozen=True)
class Cell:
    """One small picture."""

    hounsfield: NDArray[np.float32]
    """hounsfield[row, column]."""
    values: NDArray[np.float32] | None = None
    """values[row, column], a map of any resolution that covers the same field; None for the slice alone."""
    scale: float = 1.0
    """The value shown as full heat."""
    outlined: NDArray[np.bool_] | None = None
    """A mask[row, column] that covers the same field, drawn as a line; None for none."""


@dataclass(frozen=True)
class Sheet:
    """What a contact sheet shows."""

    title: str
    columns: tuple[str, ...]
    """A label for each column, in lines."""
    rows: tuple[str, ...]
    """A label for each row, in lines."""
    cells: tuple[tuple[Cell | None, ...], ...]
    """cells[row][column]; None leaves a place empty."""
    footer: str
    """Model and origin, one line."""


def contact_sheet(sheet: Sheet, size: int = 176, window_hu: tuple[float, float] = WINDOWS_HU[None]) -> Picture:
    """rgb[row, column, 3] with each picture `size` pixels square."""
    head = _MARGIN + 2 * _LINE + _LINE * max(label.count("\n") + 1 for label in sheet.columns)
    width = 2 * _MARGIN + _LABELS + len(sheet.columns) * (size + _GAP)
    bottom = head + len(sheet.rows) * (size + _GAP) + 8
    page = Page(max(width, 760), bottom + 2 * _LINE + _MARGIN)
    right = max(width, 760) - _MARGIN
    page.text((_MARGIN, _MARGIN + 8), sheet.title, 20, right - _MARGIN - 300, WHITE, "bold")
    page.text((right, _MARGIN + 8), WORDS["en"].not_for_diagnosis.upper(), 15, 280, AMBER, "bold right")
    for column, label in enumerate(sheet.columns):
        left = _MARGIN + _LABELS + column * (size + _GAP)
        _lines(page, (left, head - _LINE * (label.count("\n") + 1)), label, size)
    for row, label in enumerate(sheet.rows):
        top = head + row * (size + _GAP)
        _lines(page, (_MARGIN, top + 10), label, _LABELS - 8)
        for column, cell in enumerate(sheet.cells[row]):
            if cell is not None:
                left = _MARGIN + _LABELS + column * (size + _GAP)
                page.picture(left, top, _drawn(cell, size, window_hu))
    _key(page, bottom + _LINE, right, sheet.footer)
    return page.pixels()


def _drawn(cell: Cell, size: int, window_hu: tuple[float, float]) -> Picture:
    image = _resized(cell.hounsfield, size, Image.Resampling.BICUBIC)
    heat = None if cell.values is None else _resized(cell.values, size, Image.Resampling.BILINEAR)
    picture = overlay(image, heat, cell.scale, window_hu)
    if cell.outlined is not None and cell.outlined.any():
        inside = _resized(cell.outlined.astype(np.float32), size, Image.Resampling.BILINEAR) > 0.5
        picture[inside & ~ndimage.binary_erosion(inside, border_value=1)] = _OUTLINE
    return picture


def _resized(values: NDArray[np.float32], size: int, how: Image.Resampling) -> NDArray[np.float32]:
    image = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(image.resize((size, size), how), dtype=np.float32)


def _lines(page: Page, at: tuple[float, float], text: str, room: float) -> None:
    for number, line in enumerate(text.split("\n")):
        page.text((at[0], at[1] + number * 20), line, 15, room, PALE if number else WHITE)


def _key(page: Page, middle: float, right: float, footer: str) -> None:
    words = WORDS["en"]
    used = right - page.text((right, middle), words.high, 15, 100, PALE, "right") - 8
    bar = colour_bar(120, 14)
    page.picture(used - bar.shape[1], middle - 7, bar)
    used -= bar.shape[1] + 8
    used -= page.text((used, middle), words.low, 15, 120, PALE, "right") + 20
    page.text((_MARGIN, middle), footer, 15, used - _MARGIN, PALE)
