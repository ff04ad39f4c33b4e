"""The few attributes of one instance that a path and an arrival need, read from its first bytes without its pixels.

Runs inside the receiver while the bytes pass, on what a peer chose to send: see elements.py for the bounds.
What comes out is a Header whose UIDs are UIDs (they become paths), or a MalformedHeader with a DIMSE status,
or NeedMore: nothing else, whatever goes in.
"""

import functools
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dicomnode.errors import DicomnodeError, Refuse
from dicomnode.series.elements import (
    DEFLATED,
    EXPLICIT_BIG,
    PIXEL_DATA,
    UNDEFINED_LENGTH,
    Element,
    NotADataset,
    inflated,
    walk,
)

CANNOT_UNDERSTAND = 0xC000
"""PS3.4 Table B.2-1: Error: Cannot understand."""
DOES_NOT_MATCH = 0xA900
"""PS3.4 Table B.2-1: Error: Data Set does not match SOP Class."""

TEXT_BYTES = 1024
"""A longer text value is cut: no attribute that is read here may be longer (LO 64, PS3.5 Table 6.2-1)."""
EQUIPMENT_BYTES = 8192
LAST_NEEDED = 0x00200013
"""Instance Number: a prefix that reaches beyond it tells all that an arrival needs."""

_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_INTEGER = re.compile(r"[+-]?[0-9]{1,12}")


class MalformedHeader(Refuse):
    """The instance cannot be understood, or its UIDs are none."""

    def __init__(self, reason: str, status: int = CANNOT_UNDERSTAND) -> None:
        super().__init__(reason, status)


class NeedMore(DicomnodeError):
    """The prefix ends before the attributes that must be known; scan again with more bytes."""


@dataclass(frozen=True)
class Header:
    """What the first bytes of one instance say. Text is "" and a number None where the attribute is absent."""

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    modality: str = ""
    image_type: tuple[str, ...] = ()
    series_number: int | None = None
    series_description: str = ""
    acquisition_number: int | None = None
    instance_number: int | None = None
    patient_id: str = ""
    """Identifies a person: never logged above debug."""
    accession_number: str = ""
    study_date: str = ""
    """YYYYMMDD as it stands in the object."""
    body_part: str = ""
    manufacturer: str = ""
    model_name: str = ""
    """Manufacturer's Model Name."""
    equipment: bytes = b""
    """The Contributing Equipment Sequence as encoded, at most EQUIPMENT_BYTES: to be searched, not read."""
    burned_in: str = ""
    """Burned In Annotation: "YES", "NO" or ""."""
    rows: int | None = None
    columns: int | None = None
    frames: int | None = None
    has_pixel_data: bool | None = None
    """None: the prefix ended before it could have been seen."""
    pixel_end: int | None = None
    """Bytes that the encoded dataset has at least when it is whole; None: unknown, deflated, or pixels in fragments."""


@functools.lru_cache(512)
def check_uid(text: str, what: str = "UID") -> str:
    """`text` without its padding, checked: digits and dots, at most 64 characters (PS3.5 section 9.1).

    A component with a leading zero is let through: it is common in the field and harmless in a path.
    Raises MalformedHeader.
    """
    uid = text.rstrip("\0 ")
    if len(uid) > 64 or not _UID.fullmatch(uid):
        raise MalformedHeader(f"the {what} is not a UID")
    return uid


def scan(prefix: bytes, transfer_syntax_uid: str, final: bool = False) -> Header:
    """The header of the encoded dataset that begins with `prefix`.

    `final` says that no byte follows the prefix. Raises NeedMore (only when not final) if the prefix ends before
    Instance Number (0020,0013), and MalformedHeader for what cannot be understood or lacks a UID.
    """
    try:
        data = inflated(bytes(prefix), transfer_syntax_uid)
        found, last, reached_end = _collect(data, transfer_syntax_uid)
    except NotADataset as error:
        raise MalformedHeader(f"the dataset cannot be understood: {error}") from error
    if last <= LAST_NEEDED and not final:
        raise NeedMore(f"the header is not within the first {len(prefix)} bytes")
    has_pixels = True if last in PIXEL_DATA else (False if final and reached_end else None)
    return _header(data, found, transfer_syntax_uid, has_pixels)


def _collect(data: bytes, transfer_syntax_uid: str) -> tuple[dict[int, Element], int, bool]:
    """(wanted elements by tag, the last element's tag, whether that element ends where the data end)."""
    found: dict[int, Element] = {}
    last, end = 0, 0
    try:
        for element in walk(data, transfer_syntax_uid):
            last = element.tag
            end = len(data) if element.length == UNDEFINED_LENGTH else element.start + element.length
            if last in _READERS or last in PIXEL_DATA:
                _keep(data, element, found)
    except NotADataset:
        # What stands behind the attributes of a path is for the reader of pixels to judge.
        if last <= LAST_NEEDED:
            raise
        return found, last, False
    return found, last, end == len(data)


def _keep(data: bytes, element: Element, found: dict[int, Element]) -> None:
    other = found.setdefault(element.tag, element)
    if other is not element and _value(data, other) != _value(data, element):
        raise MalformedHeader(f"the element ({element.tag >> 16:04X},{element.tag & 0xFFFF:04X}) stands in it twice")


def _value(data: bytes, element: Element) -> bytes:
    return data[element.start : element.start + min(element.length, TEXT_BYTES)]


def _header(data: bytes, found: dict[int, Element], transfer_syntax_uid: str, has_pixels: bool | None) -> Header:
    values: dict[str, Any] = {}
    charset = ascii_text(_value(data, found[_CHARSET])) if _CHARSET in found else ""
    order = ">" if transfer_syntax_uid == EXPLICIT_BIG else "<"
    for tag, start, length in found.values():
        name, read = _READERS.get(tag, _NOT_READ)
        # A value that reaches beyond the prefix is not read at all: half a UID is a UID too.
        if name and start + length <= len(data):
            values[name] = read(data[start : start + min(length, TEXT_BYTES)], order, charset)
    if (equipment := found.get(_EQUIPMENT)) is not None:
        values["equipment"] = data[equipment.start : equipment.start + min(equipment.length, EQUIPMENT_BYTES)]
    for name, what in _REQUIRED.items():
        if name not in values:
            raise MalformedHeader(f"the {what} is missing")
        values[name] = check_uid(values[name], what)
    pixels = next((found[tag] for tag in PIXEL_DATA if tag in found), None)
    if pixels is not None and pixels.length != UNDEFINED_LENGTH and transfer_syntax_uid not in DEFLATED:
        values["pixel_end"] = pixels.start + pixels.length
    return Header(transfer_syntax_uid=transfer_syntax_uid, has_pixel_data=has_pixels, **values)


def check_command(header: Header, sop_class_uid: str, sop_instance_uid: str) -> None:
    """Raises MalformedHeader (0xA900) when the C-STORE command names another class or instance than the dataset."""
    if header.sop_class_uid != sop_class_uid:
        raise MalformedHeader("the SOP Class UID differs from the one in the C-STORE command", DOES_NOT_MATCH)
    if header.sop_instance_uid != sop_instance_uid:
        raise MalformedHeader("the SOP Instance UID differs from the one in the C-STORE command", DOES_NOT_MATCH)


def check_length(header: Header, encoded_bytes: int) -> None:
    """Raises MalformedHeader when a dataset of `encoded_bytes` ends before its pixel data do."""
    if header.pixel_end is not None and header.pixel_end > encoded_bytes:
        raise MalformedHeader(f"the dataset is truncated: {encoded_bytes} of {header.pixel_end} bytes")


def ascii_text(value: bytes) -> str:
    """Without padding; what is no ASCII is replaced."""
    return value.decode("ascii", "replace").strip("\0 ")


def _text(value: bytes, order: str, charset: str) -> str:
    """Text of one value; what cannot be decoded is replaced, for it only ever serves a list or a hint."""
    if value.isascii() and b"\x1b" not in value:
        return ascii_text(value)
    from pydicom.charset import convert_encodings, decode_bytes

    try:
        encodings = convert_encodings(charset.split("\\"))
        return str(decode_bytes(value, encodings, set())).strip("\0 ")
    except (LookupError, ValueError, TypeError, AttributeError):
        return value.decode("latin-1").strip("\0 ")


def _uid(value: bytes, order: str, charset: str) -> str:
    return ascii_text(value)


def _texts(value: bytes, order: str, charset: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in ascii_text(value).split("\\")) if value else ()


def _integer(value: bytes, order: str, charset: str) -> int | None:
    """An IS value (PS3.5 Table 6.2-1); None for what is none."""
    text = ascii_text(value).split("\\")[0].strip()
    return int(text) if _INTEGER.fullmatch(text) else None


def _unsigned(value: bytes, order: str, charset: str) -> int | None:
    return int(struct.unpack_from(f"{order}H", value)[0]) if len(value) >= 2 else None


_CHARSET, _EQUIPMENT = 0x00080005, 0x0018A001
_NOT_READ: tuple[str, Callable[[bytes, str, str], Any]] = ("", _uid)
_REQUIRED = {
    "sop_class_uid": "SOP Class UID",
    "sop_instance_uid": "SOP Instance UID",
    "study_uid": "Study Instance UID",
    "series_uid": "Series Instance UID",
}
_READERS: dict[int, tuple[str, Callable[[bytes, str, str], Any]]] = {
    _CHARSET: ("", _uid),
    0x00080008: ("image_type", _texts),
    0x00080016: ("sop_class_uid", _uid),
    0x00080018: ("sop_instance_uid", _uid),
    0x00080020: ("study_date", _text),
    0x00080050: ("accession_number", _text),
    0x00080060: ("modality", _text),
    0x00080070: ("manufacturer", _text),
    0x0008103E: ("series_description", _text),
    0x00081090: ("model_name", _text),
    0x00100020: ("patient_id", _text),
    0x00180015: ("body_part", _text),
    _EQUIPMENT: ("", _uid),
    0x0020000D: ("study_uid", _uid),
    0x0020000E: ("series_uid", _uid),
    0x00200011: ("series_number", _integer),
    0x00200012: ("acquisition_number", _integer),
    0x00200013: ("instance_number", _integer),
    0x00280008: ("frames", _integer),
    0x00280010: ("rows", _unsigned),
    0x00280011: ("columns", _unsigned),
    0x00280301: ("burned_in", _text),
}
"""Tag -> (field of Header, or "" when it is used otherwise; reader of its value)."""
