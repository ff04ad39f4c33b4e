"""The doorway: what the listener asks of the node, answered from spool, ledger and outbox.

Rows go through the recorder, so that no association waits for the database.
"""

import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from dicomnode import pipeline
from dicomnode.network.intake import CommitmentReport, Ending, Peer, RejectCause, Rejection, StoreRequest
from dicomnode.reception import Reception, Refused
from dicomnode.series.screening import Policy
from storage.arrivals import Arrival, Arrivals
from storage.associations import Associations
from storage.audit import Audit, NewEntry
from storage.errors import SpoolError, StorageError
from storage.outbox import Outbox
from storage.spool import Spool

log = logging.getLogger(__name__)

PROCESSING_FAILURE = 0x0110
"""PS3.7 C.5.14."""
SUCCESS = 0x0000


@dataclass(frozen=True)
class Opened:
    """An association was accepted."""

    peer: Peer
    at: datetime


@dataclass(frozen=True)
class Closed:
    """An association is over, and how many instances of which series it brought."""

    peer: Peer
    ending: str
    brought: tuple[tuple[str, int], ...]
    at: datetime


class Ledger:
    """Writes what the receivers saw, many rows in a transaction, in the order in which they happened."""

    def __init__(self, arrivals: Arrivals, associations: Associations, audit: Audit, process: str) -> None:
        self._arrivals, self._associations, self._audit, self._process = arrivals, associations, audit, process

    def write(self, rows: Sequence[object]) -> None:
        """Raises StorageError; writing the same rows again has no further effect but on the audit log."""
        batch: list[Arrival] = []
        for row in rows:
            if isinstance(row, Arrival):
                batch.append(row)
            elif isinstance(row, Opened):
                self._opened(row)
        if batch:
            self._arrivals.record_many(batch)
        for row in rows:
            if isinstance(row, Refused):
                self._refused(row)
            elif isinstance(row, Closed):
                self._closed(row)

    def _opened(self, row: Opened) -> None:
        peer = row.peer
        names = {"calling_aet": peer.calling_aet, "called_aet": peer.called_aet, "address": peer.address}
        self._associations.opened(peer.token, **names, process=self._process, now=row.at)

    def _closed(self, row: Closed) -> None:
        peer = row.peer
        self._associations.closed(peer.token, row.ending, now=row.at)
        actor = f"{peer.calling_aet}@{peer.address}"
        stored = [
            NewEntry(at=row.at, actor=actor, action="stored", subject=series_uid, detail=f"{count} instances")
            for series_uid, count in row.brought
        ]
        self._audit.append(NewEntry(at=row.at, actor=actor, action="connected", subject=peer.called_aet), *stored)

    def _refused(self, row: Refused) -> None:
        facts = {
            "calling_aet": row.calling_aet,
            "sop_class_uid": row.sop_class_uid,
            "study_uid": row.study_uid,
            "series_uid": row.series_uid,
        }
        self._arrivals.refused(row.reason, now=row.at, status=row.status, data=facts)


class NodeIntake:
    """The listener's `Intake`, for one receiver process."""

    def __init__(
        self,
        spool: Spool,
        outbox: Outbox,
        policy: Policy,
        put: Callable[[object], None],
        clock: Callable[[], datetime],
        hurry: Callable[[], None] = lambda: None,
    ) -> None:
        """`put` takes a row for the ledger; `hurry` says that what was put is waited for."""
        self._spool, self._outbox, self._policy, self._put, self._clock = spool, outbox, policy, put, clock
        self._hurry = hurry
        self._brought: dict[str, Counter[str]] = {}

    def admit(self, peer: Peer) -> Rejection | None:
        """Under the reserve of free space nobody comes in, until there is room again (PS3.8 Table 9-21: transient)."""
        try:
            if self._spool.has_room():
                return None
            return Rejection(RejectCause.LIMIT, "the disk is below its reserve")
        except SpoolError as error:
            log.error("the spool cannot be used: %s", error)
            return Rejection(RejectCause.CONGESTION, "the spool cannot be used")

    def opened(self, peer: Peer) -> None:
        """Into the ledger, before anything the association brings."""
        self._brought[peer.token] = Counter()
        self._put(Opened(peer, self._clock()))

    def closed(self, peer: Peer, ending: Ending) -> None:
        """Into the ledger, behind all that the association brought."""
        brought = self._brought.pop(peer.token, Counter())
        self._put(Closed(peer, str(ending), tuple(sorted(brought.items())), self._clock()))
        if not self._brought:
            self._spool.discard_spares()
        self._hurry()

    def begin(self, request: StoreRequest, peer: Peer) -> Reception:
        """An instance is about to come."""

        def record(row: Arrival | Refused) -> None:
            if isinstance(row, Arrival) and peer.token in self._brought:
                self._brought[peer.token][row.series_uid] += 1
            self._put(row)

        return pipeline.receive(request, peer, self._spool, self._policy, record, self._clock)

    def committed(self, report: CommitmentReport, peer: Peer) -> int:
        """What the archive says it keeps, or not; written down before it is answered."""
        try:
            pipeline.confirm(report.transaction_uid, report.committed, report.failed, self._outbox, self._clock())
        except StorageError as error:
            log.error("a commitment report cannot be written down: %s", error)
            return PROCESSING_FAILURE
        return SUCCESS


def process_name(role: str) -> str:
    """The name of one start of one process in the ledgers."""
    return f"{role}:{os.getpid()}"
