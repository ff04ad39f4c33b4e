"""Part 10 files (PS3.10 section 7): the meta information before a received dataset, and the header of a file that lies.

A peer chose the bytes of a dataset: see header.py and elements.py for what bounds its reading.
"""

import functools
import struct
from pathlib import Path

from dicomnode.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicomnode.series.elements import NotADataset, walk
from dicomnode.series.header import Header, MalformedHeader, NeedMore, ascii_text, check_length, check_uid, scan

META_BYTES = 16 << 10
"""Preamble and file meta information are looked for in so many bytes."""
FIRST_READ_BYTES = 64 << 10
LAST_READ_BYTES = 4 << 20
"""read_file_header gives a file up when its header needs more than this."""


def file_meta(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, source_aet: str = "") -> bytes:
    """Preamble, "DICM" and File Meta Information (PS3.10 section 7.1): what goes before the dataset's own bytes.

    The same arguments give the same bytes. Raises MalformedHeader for UIDs that are none.
    """
    before, after = _meta_around(sop_class_uid, transfer_syntax_uid, source_aet)
    elements = before + _meta_element(0x0003, b"UI", check_uid(sop_instance_uid, "SOP Instance UID").encode()) + after
    return _with_length(elements)


@functools.lru_cache(128)
def _meta_around(sop_class_uid: str, transfer_syntax_uid: str, source_aet: str) -> tuple[bytes, bytes]:
    """What stands before and behind the SOP Instance UID: the same for all instances of a series."""
    aet = source_aet.strip().encode("ascii", "replace")[:16]
    return (
        _VERSION + _meta_element(0x0002, b"UI", check_uid(sop_class_uid, "SOP Class UID").encode()),
        _meta_element(0x0010, b"UI", check_uid(transfer_syntax_uid, "Transfer Syntax UID").encode())
        + _IMPLEMENTATION
        + (_meta_element(0x0016, b"AE", aet) if source_aet else b""),
    )


def _with_length(elements: bytes) -> bytes:
    """Preamble, group length and the elements of group 2 behind it."""
    return _PREAMBLE + _meta_element(0x0000, b"UL", struct.pack("<L", len(elements))) + elements


def _meta_element(number: int, vr: bytes, value: bytes) -> bytes:
    value += (b"\0" if vr in (b"UI", b"OB") else b" ") * (len(value) % 2)
    length = struct.pack("<HL", 0, len(value)) if vr == b"OB" else struct.pack("<H", len(value))
    return struct.pack("<HH", 2, number) + vr + length + value


def lengthened(meta: bytes, count: int) -> bytes:
    """What `file_meta` gave, `count` bytes longer by private information that means nothing (PS3.10 Table 7.1-1).

    `count` is even and at least SHORTEST_FILL_BYTES.
    """
    elements = meta[_ELEMENTS_AT:] + _FILL_CREATOR + _meta_element(0x0102, b"OB", bytes(count - _FILL_HEADS_BYTES))
    return _with_length(elements)


_PREAMBLE = bytes(128) + b"DICM"
_VERSION = _meta_element(0x0001, b"OB", b"\x00\x01")
_IMPLEMENTATION = _meta_element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID.encode()) + _meta_element(
    0x0013, b"SH", IMPLEMENTATION_VERSION_NAME.encode()
)
_ELEMENTS_AT = len(_PREAMBLE + _meta_element(0x0000, b"UL", bytes(4)))
_FILL_CREATOR = _meta_element(0x0100, b"UI", IMPLEMENTATION_CLASS_UID.encode())
_FILL_HEADS_BYTES = len(_FILL_CREATOR + _meta_element(0x0102, b"OB", b""))
SHORTEST_FILL_BYTES = _FILL_HEADS_BYTES + 2
"""Private Information (0002,0102) must not be empty."""


def read_file_header(path: Path) -> Header:
    """The header of a DICOM file (PS3.10), read from as few of its bytes as will do.

    Raises MalformedHeader when the file is none, and OSError when it cannot be read.
    """
    size = path.stat().st_size
    wanted = FIRST_READ_BYTES
    with path.open("rb") as file:
        while True:
            file.seek(0)
            content = file.read(wanted)
            transfer_syntax_uid, start = read_file_meta(content)
            final = len(content) >= min(size, LAST_READ_BYTES)
            try:
                header = scan(content[start:], transfer_syntax_uid, final)
                check_length(header, size - start)
                return header
            except NeedMore:
                wanted *= 4


def read_file_meta(content: bytes) -> tuple[str, int]:
    """(Transfer Syntax UID, offset of the dataset) of a file that begins with `content`. Raises MalformedHeader."""
    if content[128:132] != b"DICM":
        raise MalformedHeader("this is not a DICOM file")
    meta = content[132:META_BYTES]
    transfer_syntax_uid, end = "", 0
    try:
        for element in walk(meta, "1.2.840.10008.1.2.1"):
            if element.tag >> 16 != 2:
                break
            end = element.start + element.length
            if element.tag == 0x00020010:
                transfer_syntax_uid = check_uid(
                    ascii_text(meta[element.start : element.start + element.length]), "Transfer Syntax UID"
                )
    except NotADataset:
        # The dataset behind group 2 may well be implicit or deflated: then it ends here.
        pass
    if not transfer_syntax_uid or end > len(meta):
        raise MalformedHeader("the file does not name its transfer syntax")
    return transfer_syntax_uid, 132 + end
