"""The outbox: one row for each result and destination, from "to be sent" to "the archive has it".

Three things are kept apart: *sent* (the DIMSE status of C-STORE), *committed* (storage commitment, PS3.4 Annex J) and
*verified* (read back by C-FIND or QIDO-RS). UIDs are functions of the input, so sending again is harmless.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, insert, or_, select, update

from storage.database import Database
from storage.errors import NotFound
from storage.events import NewEvent, append
from storage.schema import JobRow, OutboxRow
from storage.states import OUTBOX_TRANSITIONS, OutboxAction, OutboxState, after


@dataclass(frozen=True, kw_only=True)
class NewItem:
    """A result object to send to one destination; its bytes are durable already."""

    destination: str
    sop_class_uid: str
    sop_uid: str
    path: str
    """Relative to the result store's root."""


@dataclass(frozen=True, kw_only=True)
class OutboxItem(NewItem):
    """A row of the outbox."""

    id: int
    job_id: int
    state: OutboxState
    attempts: int
    """Failed attempts since it was last put into the outbox."""
    next_attempt_at: datetime
    last_status: int | None
    """DIMSE (or HTTP) status of the last answer; None: there was none."""
    last_reason: str
    transaction_uid: str | None
    """Storage commitment's Transaction UID (0008,1195) of the last request."""
    asked_at: datetime | None
    """When commitment or a read-back was last asked for."""
    sent_at: datetime | None
    confirmed_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class DestinationState:
    """How far the results for one destination got."""

    destination: str
    counts: Mapping[OutboxState, int]
    """Every state is named."""
    oldest_pending_at: datetime | None
    """When the job of the oldest result that still waits was closed."""
    last_sent_at: datetime | None
    attempts: int
    """Most failed attempts of a result that still waits: 0 when the destination answers."""
    last_reason: str
    """Why the result that waits longest could not be sent; empty when all is well."""


def put(connection: Connection, job_id: int, items: Sequence[NewItem], now: datetime) -> None:
    """Add results in the transaction that finishes their job; one that is there already is sent again."""
    for item in items:
        query = select(OutboxRow).where(OutboxRow.destination == item.destination, OutboxRow.sop_uid == item.sop_uid)
        row = connection.execute(query).first()
        if row is None:
            fresh = {"state": OutboxState.PENDING, "attempts": 0, "next_attempt_at": now, "last_reason": ""}
            connection.execute(insert(OutboxRow).values(job_id=job_id, **vars(item), **fresh))
        else:
            _send_again(connection, OutboxItem(**row._asdict()), now, job_id=job_id, path=item.path)


class Outbox:
    """The outbox of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, destination: str, now: datetime, limit: int = 100) -> list[OutboxItem]:
        """What is to be sent now, in the order it became due."""
        query = select(OutboxRow).where(OutboxRow.destination == destination, OutboxRow.state == OutboxState.PENDING)
        query = query.where(OutboxRow.next_attempt_at <= now)
        return self._items(query.order_by(OutboxRow.next_attempt_at, OutboxRow.id).limit(limit))

    def accepted(self, item_id: int, *, status: int, now: datetime, reason: str = "") -> OutboxItem:
        """SENT: the destination answered success or a warning (B000, B006, B007)."""
        values = {"last_status": status, "last_reason": reason, "sent_at": now}
        return self._change(item_id, OutboxAction.ACCEPT, now, **values)

    def later(
        self, item_id: int, *, status: int | None, reason: str, next_attempt_at: datetime, now: datetime
    ) -> OutboxItem:
        """Still PENDING: no answer, or one that may change."""
        with self._database.writing() as connection:
            attempts = _get(connection, item_id).attempts + 1
            values = {"attempts": attempts, "last_status": status, "last_reason": reason}
            return _change(connection, item_id, OutboxAction.LATER, now, next_attempt_at=next_attempt_at, **values)

    def rejected(self, item_id: int, *, status: int | None, reason: str, now: datetime) -> OutboxItem:
        """REJECTED: the destination will never take it; an administrator must look."""
        return self._change(item_id, OutboxAction.REJECT, now, last_status=status, last_reason=reason)

    def asked(self, item_ids: Collection[int], *, transaction_uid: str | None, now: datetime) -> None:
        """Commitment (or, without a transaction, a read-back) is about to be asked for: write it down before asking."""
        mine = update(OutboxRow).where(OutboxRow.id.in_(list(item_ids)), OutboxRow.state == OutboxState.SENT)
        with self._database.writing() as connection:
            connection.execute(mine.values(transaction_uid=transaction_uid, asked_at=now))

    def awaiting_commitment(
        self, destination: str, now: datetime, *, ask_again_after: timedelta, limit: int = 100
    ) -> list[OutboxItem]:
        """What is SENT and was not asked about yet, or so long ago that it is asked again; oldest first."""
        query = select(OutboxRow).where(OutboxRow.destination == destination, OutboxRow.state == OutboxState.SENT)
        query = query.where(or_(OutboxRow.asked_at.is_(None), OutboxRow.asked_at <= now - ask_again_after))
        return self._items(query.order_by(OutboxRow.id).limit(limit))

    def committed(self, transaction_uid: str, sop_uids: Iterable[str], *, now: datetime) -> int:
        """COMMITTED: the archive took responsibility (N-EVENT-REPORT); how many were waiting for it."""
        return self._answered(transaction_uid, dict.fromkeys(sop_uids, ""), OutboxAction.COMMIT, now, now)

    def not_committed(
        self, transaction_uid: str, reasons: Mapping[str, str], *, now: datetime, next_attempt_at: datetime
    ) -> int:
        """PENDING again: the archive does not hold these (SOP Instance UID -> Failure Reason); how many."""
        return self._answered(transaction_uid, reasons, OutboxAction.NOT_COMMITTED, now, next_attempt_at)

    def verified(self, item_id: int, *, now: datetime) -> OutboxItem:
        """VERIFIED: the destination lists it when asked."""
        return self._change(item_id, OutboxAction.VERIFY, now, confirmed_at=now)

    def missing(self, item_id: int, *, reason: str, next_attempt_at: datetime, now: datetime) -> OutboxItem:
        """PENDING again: a read-back did not find it."""
        with self._database.writing() as connection:
            return _missing(connection, _get(connection, item_id), reason, next_attempt_at, now)

    def send_again(self, item_id: int, *, now: datetime) -> OutboxItem:
        """PENDING again by hand, due at once."""
        with self._database.writing() as connection:
            return _send_again(connection, _get(connection, item_id), now)

    def of_job(self, job_id: int) -> list[OutboxItem]:
        """All results of one job, by destination."""
        query = select(OutboxRow).where(OutboxRow.job_id == job_id)
        return self._items(query.order_by(OutboxRow.destination, OutboxRow.id))

    def destinations(self) -> list[DestinationState]:
        """How far each destination got, by name."""
        keys = (OutboxRow.destination, OutboxRow.state)
        query = select(*keys, func.count()).group_by(*keys)
        with self._database.reading() as connection:
            counts: dict[str, dict[OutboxState, int]] = {}
            for name, state, count in connection.execute(query):
                counts.setdefault(name, {})[state] = count
            return [_destination(connection, name, counts[name]) for name in sorted(counts)]

    def _items(self, query: Any) -> list[OutboxItem]:
        with self._database.reading() as connection:
            return [OutboxItem(**row._asdict()) for row in connection.execute(query)]

    def _change(self, item_id: int, action: OutboxAction, now: datetime, **values: Any) -> OutboxItem:
        with self._database.writing() as connection:
            return _change(connection, item_id, action, now, **values)

    def _answered(
        self,
        transaction_uid: str,
        reasons: Mapping[str, str],
        action: OutboxAction,
        now: datetime,
        next_attempt_at: datetime,
    ) -> int:
        """What an N-EVENT-REPORT says, applied to those that still wait for it."""
        waiting = select(OutboxRow).where(
            OutboxRow.transaction_uid == transaction_uid, OutboxRow.state == OutboxState.SENT
        )
        with self._database.writing() as connection:
            items = [OutboxItem(**row._asdict()) for row in connection.execute(waiting)]
            items = [item for item in items if item.sop_uid in reasons]
            for item in items:
                if action is OutboxAction.COMMIT:
                    _change(connection, item.id, action, now, confirmed_at=now)
                else:
                    _missing(connection, item, reasons[item.sop_uid], next_attempt_at, now)
        return len(items)


def _get(connection: Connection, item_id: int) -> OutboxItem:
    row = connection.execute(select(OutboxRow).where(OutboxRow.id == item_id)).first()
    if row is None:
        raise NotFound(f"there is no outbox item {item_id}")
    return OutboxItem(**row._asdict())


def _change(connection: Connection, item_id: int, action: OutboxAction, now: datetime, **values: Any) -> OutboxItem:
    """One step of the life cycle with its event. Raises WrongTransition, NotFound."""
    before = _get(connection, item_id)
    state = after(OUTBOX_TRANSITIONS, before.state, action)
    connection.execute(update(OutboxRow).where(OutboxRow.id == item_id).values(state=state, **values))
    item = _get(connection, item_id)
    append(connection, _event(connection, before, item, action, now))
    return item


def _missing(
    connection: Connection, item: OutboxItem, reason: str, next_attempt_at: datetime, now: datetime
) -> OutboxItem:
    values = {"attempts": item.attempts + 1, "last_reason": reason, "next_attempt_at": next_attempt_at}
    fresh = {"asked_at": None, "transaction_uid": None}
    return _change(connection, item.id, OutboxAction.NOT_COMMITTED, now, **values, **fresh)


def _send_again(connection: Connection, item: OutboxItem, now: datetime, **values: Any) -> OutboxItem:
    fresh = {"attempts": 0, "next_attempt_at": now, "asked_at": None, "transaction_uid": None, "confirmed_at": None}
    return _change(connection, item.id, OutboxAction.BY_HAND, now, last_reason="", **fresh, **values)


_SAID = {
    OutboxAction.ACCEPT: "sent, {answer}",
    OutboxAction.LATER: "not sent yet, {answer}",
    OutboxAction.REJECT: "refused for good, {answer}",
    OutboxAction.COMMIT: "storage committed",
    OutboxAction.NOT_COMMITTED: "not held by the archive, will be sent again",
    OutboxAction.VERIFY: "found when asked",
    OutboxAction.BY_HAND: "to be sent again",
}
"""How the event log says it."""
_QUIET = {OutboxAction.COMMIT, OutboxAction.VERIFY, OutboxAction.BY_HAND}
"""Actions that an earlier answer's reason has nothing to do with."""


def _event(
    connection: Connection, before: OutboxItem, item: OutboxItem, action: OutboxAction, now: datetime
) -> NewEvent:
    answer = "no answer" if item.last_status is None else f"0x{item.last_status:04X}"
    why = f": {item.last_reason}" if item.last_reason and action not in _QUIET else ""
    uids = connection.execute(select(JobRow.study_uid, JobRow.series_uid).where(JobRow.id == item.job_id)).first()
    data = {
        "item": item.id,
        "from": before.state,
        "to": item.state,
        "destination": item.destination,
        "sop_uid": item.sop_uid,
        "status": item.last_status,
    }
    return NewEvent(
        at=now,
        kind=f"result {action}",
        role="hand" if action is OutboxAction.BY_HAND else "courier",
        text=f"{item.destination}: {_SAID[action].format(answer=answer)}{why}",
        job_id=item.job_id,
        study_uid=uids.study_uid if uids else None,
        series_uid=uids.series_uid if uids else None,
        data=data,
    )


def _destination(connection: Connection, name: str, counts: Mapping[OutboxState, int]) -> DestinationState:
    mine = OutboxRow.destination == name
    waits = select(OutboxRow, JobRow.created_at.label("closed_at")).join(JobRow, JobRow.id == OutboxRow.job_id)
    waits = waits.where(mine, OutboxRow.state == OutboxState.PENDING).order_by(OutboxRow.id).limit(1)
    oldest = connection.execute(waits).first()
    most = select(func.max(OutboxRow.attempts)).where(mine, OutboxRow.state == OutboxState.PENDING)
    sent = [_last_sent_at(connection, name, state) for state in counts if state is not OutboxState.REJECTED]
    return DestinationState(
        destination=name,
        counts={state: counts.get(state, 0) for state in OutboxState},
        oldest_pending_at=oldest.closed_at if oldest else None,
        last_sent_at=max((at for at in sent if at is not None), default=None),
        attempts=connection.scalar(most) or 0,
        last_reason=oldest.last_reason if oldest else "",
    )


def _last_sent_at(connection: Connection, name: str, state: OutboxState) -> datetime | None:
    """When that was sent which became due last: found by the index, without reading all rows."""
    query = select(OutboxRow.sent_at).where(OutboxRow.destination == name, OutboxRow.state == state)
    return connection.scalar(query.order_by(OutboxRow.next_attempt_at.desc()).limit(1))
