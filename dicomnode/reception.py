"""Receive, in detail: one instance while it arrives, and its row in the ledger.

Success is a promise, so the order is: the bytes are durable in the spool, then 0x0000, then the arrival's row. The row
may be lost in a crash: reconciliation.py makes it again from the spool. What the peer need not wait for, the row and
the next part file, is done in `settle`, while it prepares its next instance.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from dicomnode.errors import Refuse
from dicomnode.series.header import Header, NeedMore, check_command, check_length, check_uid, scan
from dicomnode.series.part10 import SHORTEST_FILL_BYTES, file_meta, lengthened
from dicomnode.series.screening import Policy, Screening, screen
from storage.arrivals import Arrival
from storage.errors import SpoolFull, SpoolUnwritable
from storage.part import Kept
from storage.spool import Spool
from storage.states import Disposition

log = logging.getLogger(__name__)

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
"""PS3.4 Table B.2-1: Refused: Out of Resources."""
FIRST_SCAN_BYTES = 16 << 10
LAST_SCAN_BYTES = 4 << 20
LARGEST_NUMBER = 2**31 - 1
"""A column of numbers holds no more in every database."""


class Request(Protocol):
    """What the C-STORE command says, PS3.7 section 9.1.1."""

    @property
    def sop_class_uid(self) -> str: ...
    @property
    def sop_instance_uid(self) -> str: ...
    @property
    def transfer_syntax_uid(self) -> str: ...


class Sender(Protocol):
    """The peer at the other end of the association."""

    @property
    def calling_aet(self) -> str: ...
    @property
    def token(self) -> str: ...


@dataclass(frozen=True)
class Refused:
    """An instance that was not taken, for the log."""

    at: datetime
    calling_aet: str
    status: int
    reason: str
    sop_class_uid: str
    study_uid: str | None
    series_uid: str | None


Record = Callable[[Arrival | Refused], None]


class Reception:
    """One instance on its way into the spool. `write` raises nothing a peer caused.

    Ends with `abandon`, or with `finish` and then, once the peer has its answer, `settle`.
    """

    def __init__(
        self,
        request: Request,
        sender: Sender,
        spool: Spool,
        policy: Policy,
        record: Record,
        clock: Callable[[], datetime],
    ) -> None:
        self._request, self._sender, self._policy, self._record, self._clock = request, sender, policy, record, clock
        self._spool = spool
        self._kept: tuple[Kept, datetime] | None = None
        self._prefix = bytearray()
        self._room = memoryview(b"")
        self._header: Header | None = None
        self._screening: Screening | None = None
        self._refusal: Refuse | None = None
        self._next_scan = FIRST_SCAN_BYTES
        try:
            check_uid(request.sop_instance_uid, "SOP Instance UID of the C-STORE command")
            self._part = spool.open_part()
            meta = (request.sop_class_uid, request.sop_instance_uid, request.transfer_syntax_uid)
            self._meta = file_meta(*meta, sender.calling_aet)
            self._part.write_meta(self._meta)
        except (Refuse, SpoolFull, SpoolUnwritable) as error:
            self._refuse(error)

    def write(self, *pieces: bytes | memoryview) -> None:
        """Takes the next bytes of the encoded dataset. After a refusal the rest is read past, not kept."""
        if self._refusal is not None:
            return
        try:
            if self._header is None:
                self._look(pieces)
            self._part.write(*pieces)
        except (Refuse, SpoolFull, SpoolUnwritable) as error:
            self._refuse(error)

    def room(self) -> memoryview | None:
        """Memory for the next bytes, for who can put them there himself; None after a refusal."""
        if self._refusal is not None:
            return None
        self._room = self._part.room()
        return self._room

    def filled(self, count: int) -> None:
        """`count` bytes are where the last `room` said."""
        if self._refusal is not None:
            return
        try:
            self._part.filled(count)
            if self._header is None:
                self._look((self._room[:count],))
        except (Refuse, SpoolFull, SpoolUnwritable) as error:
            self._refuse(error)

    def finish(self) -> int:
        """0x0000, once the instance would survive the power going out. Raises Refuse, with the status to answer."""
        if self._refusal is None:
            try:
                return self._keep()
            except (Refuse, SpoolFull, SpoolUnwritable) as error:
                self._refuse(error)
        assert self._refusal is not None
        self._tell_refusal(self._refusal)
        raise self._refusal

    def settle(self) -> None:
        """Tell the ledger, and make the next part file."""
        if self._kept is not None and self._header is not None and self._screening is not None:
            kept, at = self._kept
            self._kept = None
            sender = self._sender
            self._record(arrival(self._header, kept, self._screening, at, sender.calling_aet, sender.token))
            self._spool.prepare_part()

    def abandon(self) -> None:
        """The association broke off: nothing was promised, nothing is kept."""
        if self._refusal is None:
            self._refuse(Refuse("the association broke off", OUT_OF_RESOURCES))

    def _look(self, pieces: Iterable[bytes | memoryview]) -> None:
        for piece in pieces:
            at = 0
            while self._header is None and at < len(piece):
                taken = piece[at : at + self._next_scan - len(self._prefix)]
                self._prefix += taken
                at += len(taken)
                if len(self._prefix) >= self._next_scan:
                    self._scan(final=len(self._prefix) >= LAST_SCAN_BYTES)

    def _scan(self, final: bool) -> None:
        try:
            header = scan(bytes(self._prefix), self._request.transfer_syntax_uid, final)
        except NeedMore:
            self._next_scan = 4 * len(self._prefix)
            return
        check_command(header, self._request.sop_class_uid, self._request.sop_instance_uid)
        screening = screen(header, self._policy)
        if screening.refusal is not None:
            raise screening.refusal
        self._header, self._screening = header, screening
        self._prefix.clear()
        if header.pixel_end is not None:
            self._fill_up(header.pixel_end)

    def _fill_up(self, size: int) -> None:
        """A dataset of `size` bytes shall end where a block of the disk ends; one that proves longer just does not."""
        count = self._part.lacking(size, SHORTEST_FILL_BYTES)
        if count and count % 2 == 0:
            self._part.replace_meta(lengthened(self._meta, count))

    def _keep(self) -> int:
        if self._header is None:
            self._scan(final=True)
        header = self._header
        assert header is not None
        check_length(header, self._part.size)
        kept = self._part.keep(header.study_uid, header.series_uid, header.sop_instance_uid)
        self._kept = kept, self._clock()
        return SUCCESS

    def _refuse(self, error: Refuse | SpoolFull | SpoolUnwritable) -> None:
        self._refusal = error if isinstance(error, Refuse) else _out_of_resources(error)
        if (part := getattr(self, "_part", None)) is not None:
            part.discard()

    def _tell_refusal(self, refusal: Refuse) -> None:
        header = self._header
        self._record(
            Refused(
                at=self._clock(),
                calling_aet=self._sender.calling_aet,
                status=refusal.status,
                reason=refusal.reason,
                sop_class_uid=self._request.sop_class_uid,
                study_uid=header.study_uid if header else None,
                series_uid=header.series_uid if header else None,
            )
        )


def _out_of_resources(error: SpoolFull | SpoolUnwritable) -> Refuse:
    """What the peer hears names no path; the log does."""
    log.error("an instance cannot be kept: %s", error)
    reason = "no room on the disk" if isinstance(error, SpoolFull) else "the disk cannot be written"
    return Refuse(reason, OUT_OF_RESOURCES)


def arrival(
    header: Header, kept: Kept, screening: Screening, at: datetime, calling_aet: str = "", token: str | None = None
) -> Arrival:
    """The ledger's row for a kept instance: a function of its header, so that it can be made again."""
    return Arrival(
        study_uid=header.study_uid,
        series_uid=header.series_uid,
        sop_uid=header.sop_instance_uid,
        sop_class_uid=header.sop_class_uid,
        transfer_syntax_uid=header.transfer_syntax_uid,
        digest=kept.digest,
        path=str(kept.path),
        size=kept.size,
        received_at=at,
        association_token=token,
        calling_aet=calling_aet,
        modality=_text(header.modality),
        patient_id=_text(header.patient_id),
        accession_number=_text(header.accession_number),
        series_description=_text(header.series_description),
        series_number=_number(header.series_number),
        instance_number=_number(header.instance_number),
        # A file that was kept under another policy stays: it is set aside now.
        disposition=Disposition.SET_ASIDE if screening.refusal else Disposition(screening.disposition),
        disposition_reason=screening.reason or None,
    )


def _text(value: str) -> str:
    """A peer may send what not every database takes."""
    return value.replace("\0", " ")


def _number(value: int | None) -> int | None:
    return value if value is not None and abs(value) <= LARGEST_NUMBER else None
