"""The few bytes of DIMSE and of the upper layer that the streaming sink reads and writes by hand. Pure.

Anything that is not plain and well-formed is answered with None: pynetdicom then reads the same bytes.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

P_DATA_TF = 4
"""PDU type, PS3.8 Table 9-22."""

A_ABORT_INVALID_PARAMETER = bytes((7, 0, 0, 0, 0, 4, 0, 0, 2, 6))
"""A-ABORT of the service provider: invalid PDU parameter value, PS3.8 Table 9-26."""

_COMMAND, _LAST = 1, 2
_C_STORE_RQ, _C_STORE_RSP, _NO_DATA_SET = 0x0001, 0x8001, 0x0101
_CLASS, _FIELD, _MESSAGE, _RESPONDED, _DATA_SET = 0x0002, 0x0100, 0x0110, 0x0120, 0x0800
_STATUS, _COMMENT, _INSTANCE = 0x0900, 0x0902, 0x1000


class Pdv(NamedTuple):
    """One presentation data value item, PS3.8 Table 9-23 and Annex E.2."""

    context_id: int
    is_command: bool
    is_last: bool
    fragment: memoryview


class Fragment(NamedTuple):
    """What the heads say about the one fragment of a data set that fills a PDU."""

    length: int
    """Bytes."""
    is_last: bool


LONG_HEADS_BYTES = 12
"""The heads of a PDU and of the only item in it."""
_HEADS = struct.Struct(">BxLLBB")
_ELEMENT, _NUMBER = struct.Struct("<HHL"), struct.Struct("<HHLH")
"""The head of an element of a command set, and a whole one that holds a number of 16 bits."""
_LONG_BYTES = 32 << 10


def long_fragment(heads: memoryview, context_id: int | None) -> Fragment | None:
    """What follows, if it is one fragment of the context's data set, fills the PDU, and is worth a read of its own."""
    if len(heads) < LONG_HEADS_BYTES:
        return None
    kind, pdu_length, length, context, control = _HEADS.unpack(heads)
    if kind != P_DATA_TF or pdu_length < _LONG_BYTES or length + 4 != pdu_length:
        return None
    if context != context_id or control not in (0, _LAST):
        return None
    return Fragment(length - 2, control == _LAST)


@dataclass(frozen=True, slots=True)
class StoreCommand:
    """C-STORE-RQ, PS3.7 Table 9.3-1."""

    message_id: int
    sop_class_uid: str
    sop_instance_uid: str


def pdvs(body: memoryview) -> Iterator[Pdv]:
    """The items of a P-DATA-TF PDU without its 6 header bytes. Raises ValueError if they do not fill it exactly."""
    at, end = 0, len(body)
    if end == 0:
        raise ValueError("a P-DATA-TF PDU without items")
    while at < end:
        if end - at < 6:
            raise ValueError("a presentation data value item is cut off")
        length, context_id, control = struct.unpack_from(">LBB", body, at)
        stop = at + 4 + length
        if length < 2 or stop > end:
            raise ValueError("a presentation data value item has a wrong length")
        yield Pdv(context_id, bool(control & _COMMAND), bool(control & _LAST), body[at + 6 : stop])
        at = stop


def store_command(fragment: memoryview) -> StoreCommand | None:
    """Parse a whole command set (implicit VR little endian, PS3.7 6.3.1) if it is a C-STORE-RQ with a data set."""
    found = _elements(fragment)
    if found is None or _number(found.get(_FIELD)) != _C_STORE_RQ:
        return None
    message_id, data_set = _number(found.get(_MESSAGE)), _number(found.get(_DATA_SET))
    sop_class, sop_instance = _uid(found.get(_CLASS)), _uid(found.get(_INSTANCE))
    if message_id is None or data_set in (None, _NO_DATA_SET) or sop_class is None or sop_instance is None:
        return None
    return StoreCommand(message_id, sop_class, sop_instance)


def store_response(context_id: int, command: StoreCommand, status: int, comment: str = "") -> bytes:
    """A P-DATA-TF PDU with the C-STORE-RSP, PS3.7 Table 9.3-2. The comment is cut to the 64 characters of an LO."""
    numbers = ((_FIELD, _C_STORE_RSP), (_RESPONDED, command.message_id), (_DATA_SET, _NO_DATA_SET), (_STATUS, status))
    body = b"".join(
        (
            _element(_CLASS, command.sop_class_uid.encode("ascii")),
            *[_NUMBER.pack(0, number, 2, value) for number, value in numbers],
            _element(_COMMENT, comment[:64].encode("ascii", "replace"), pad=b" ") if comment else b"",
            _element(_INSTANCE, command.sop_instance_uid.encode("ascii")),
        )
    )
    message = _element(0x0000, len(body).to_bytes(4, "little")) + body
    return _HEADS.pack(P_DATA_TF, len(message) + 6, len(message) + 2, context_id, _COMMAND | _LAST) + message


def _element(number: int, value: bytes, pad: bytes = b"\0") -> bytes:
    value += pad * (len(value) % 2)
    return _ELEMENT.pack(0, number, len(value)) + value


def _elements(data: memoryview) -> dict[int, bytes] | None:
    found: dict[int, bytes] = {}
    at, end = 0, len(data)
    while at < end:
        if end - at < 8:
            return None
        group, number, length = _ELEMENT.unpack_from(data, at)
        at += 8 + length
        if group != 0 or at > end:
            return None
        found[number] = bytes(data[at - length : at])
    return found


def _number(value: bytes | None) -> int | None:
    return int.from_bytes(value, "little") if value is not None and len(value) == 2 else None


def _uid(value: bytes | None) -> str | None:
    """Any printable ASCII text of 1 to 64 characters: whether it is a UID is for the receiver of it to say."""
    text = (value or b"").rstrip(b"\0 ").decode("ascii", "replace")
    return text if 0 < len(text) <= 64 and text.isascii() and text.isprintable() else None
