"""DIMSE statuses as tables, with their sections; error -> status, status -> outcome."""

import errno
from dataclasses import dataclass
from enum import StrEnum

from dicomnode.errors import Refuse, Retry

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
DATASET_MISMATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
PROCESSING_FAILURE = 0x0110
INVALID_INSTANCE = 0x0117
SOP_CLASS_NOT_SUPPORTED = 0x0122
NOT_AUTHORIZED = 0x0124


class Outcome(StrEnum):
    """What a status means for a delivery."""

    ACCEPTED = "accepted"
    LATER = "later"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a peer made of one instance."""

    outcome: Outcome
    status: int | None
    """DIMSE status or HTTP status code; None where the peer gave none."""
    reason: str
    """One sentence; empty for a plain success."""


@dataclass(frozen=True, slots=True)
class Row:
    """All statuses from `first` to `last`."""

    first: int
    last: int
    outcome: Outcome
    meaning: str
    section: str


_ACCEPTED, _LATER, _REJECTED = Outcome.ACCEPTED, Outcome.LATER, Outcome.REJECTED

C_STORE_STATUSES = (
    Row(0x0000, 0x0000, _ACCEPTED, "", "PS3.4 Table B.2-1"),
    Row(0xB000, 0xB000, _ACCEPTED, "warning: data elements were coerced", "PS3.4 Table B.2-1"),
    Row(0xB006, 0xB006, _ACCEPTED, "warning: data elements were discarded", "PS3.4 Table B.2-1"),
    Row(0xB007, 0xB007, _ACCEPTED, "warning: data set does not match SOP class", "PS3.4 Table B.2-1"),
    # What the node sends has UIDs that are functions of its content: an instance that is there already is this one.
    Row(0x0111, 0x0111, _ACCEPTED, "duplicate SOP instance: the peer has it already", "PS3.7 C.5"),
    Row(0xA700, 0xA7FF, _LATER, "refused: out of resources", "PS3.4 Table B.2-1"),
    Row(0x0110, 0x0110, _LATER, "processing failure", "PS3.7 C.5"),
    Row(0x0213, 0x0213, _LATER, "resource limitation", "PS3.7 C.5"),
    Row(0xFE00, 0xFE00, _LATER, "cancelled", "PS3.7 C.3"),
    Row(0xA900, 0xA9FF, _REJECTED, "error: data set does not match SOP class", "PS3.4 Table B.2-1"),
    Row(0xC000, 0xCFFF, _REJECTED, "error: cannot understand", "PS3.4 Table B.2-1"),
    Row(0x0105, 0x0105, _REJECTED, "no such attribute", "PS3.7 C.5"),
    Row(0x0106, 0x0106, _REJECTED, "invalid attribute value", "PS3.7 C.5"),
    Row(0x0112, 0x0112, _REJECTED, "no such SOP instance", "PS3.7 C.5"),
    Row(0x0117, 0x0117, _REJECTED, "invalid SOP instance", "PS3.7 C.5"),
    Row(0x0118, 0x0118, _REJECTED, "no such SOP class", "PS3.7 C.5"),
    Row(0x0122, 0x0122, _REJECTED, "refused: SOP class not supported", "PS3.7 C.5"),
    Row(0x0124, 0x0124, _REJECTED, "refused: not authorized", "PS3.7 C.5"),
    Row(0x0210, 0x0210, _REJECTED, "duplicate invocation", "PS3.7 C.5"),
    Row(0x0211, 0x0211, _REJECTED, "unrecognized operation", "PS3.7 C.5"),
    Row(0x0212, 0x0212, _REJECTED, "mistyped argument", "PS3.7 C.5"),
)


def answer_of(status: int, comment: str = "") -> Answer:
    """What a C-STORE-RSP status means. One that no table knows is a warning in Bxxx (PS3.7 C.4), else permanent."""
    for row in C_STORE_STATUSES:
        if row.first <= status <= row.last:
            return Answer(row.outcome, status, _sentence(row.meaning, comment))
    if 0xB000 <= status <= 0xBFFF:
        return Answer(Outcome.ACCEPTED, status, _sentence("warning", comment))
    return Answer(Outcome.REJECTED, status, _sentence(f"unknown status 0x{status:04X}", comment))


def _sentence(meaning: str, comment: str) -> str:
    return f"{meaning}: {comment}" if meaning and comment else meaning or comment


_NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO))


def status_of(error: BaseException) -> tuple[int, str]:
    """(status, comment) of the C-STORE-RSP for an instance that was not kept; the comment names no path or person."""
    if isinstance(error, Refuse):
        return error.status, error.reason
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return OUT_OF_RESOURCES, "storage is not available"
    if isinstance(error, (MemoryError, Retry)):
        return OUT_OF_RESOURCES, "out of resources"
    return PROCESSING_FAILURE, "processing failure"
