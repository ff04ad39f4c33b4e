"""The ledger of arrivals: what lies in the spool, searchable. It is written after the fact and can be rebuilt."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, exists, insert, select, update
from sqlalchemy.orm import aliased

from storage.database import Database
from storage.events import NewEvent, append
from storage.schema import ArrivalRow
from storage.spool import Located
from storage.states import Disposition

CHUNK = 400
"""Values in one SQL statement: below the limit of every database."""

FRESH = {"changed": False, "job_id": None, "removed_at": None}
"""What the ledger adds to an arrival that was just recorded."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One instance that is durable in the spool."""

    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    digest: str
    """SHA-256 of the encoded dataset, 64 hex digits."""
    path: str
    """Relative to the spool's root; unique."""
    size: int
    """Bytes of the encoded dataset."""
    received_at: datetime
    association_token: str | None = None
    """None: the row was rebuilt from the spool."""
    calling_aet: str = ""
    modality: str = ""
    patient_id: str = ""
    accession_number: str = ""
    series_description: str = ""
    series_number: int | None = None
    instance_number: int | None = None
    disposition: Disposition = Disposition.JUDGE
    disposition_reason: str | None = None
    """Why it was set aside."""


@dataclass(frozen=True, kw_only=True)
class Arrived(Arrival):
    """A row of the ledger."""

    id: int
    changed: bool
    """Another dataset came under the same SOP Instance UID, before or after."""
    job_id: int | None
    """The job that took it in first; None: it waits for one, or is set aside."""
    removed_at: datetime | None
    """When its file was removed (see storage.retention); None: it lies in the spool."""


class Arrivals:
    """The ledger of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record_many(self, arrivals: Sequence[Arrival]) -> int:
        """Add the rows whose paths are new, in one transaction; how many. The same again changes nothing.

        A file that was removed and came again is there again; it opens no job that it did not open before.
        """
        by_path = {arrival.path: arrival for arrival in arrivals}
        with self._database.writing() as connection:
            for path, removed_at in _removed(connection, by_path).items():
                _came_again(connection, by_path[path], removed_at)
            new = [by_path[path] for path in _unknown(connection, by_path)]
            if new:
                connection.execute(insert(ArrivalRow), [vars(arrival) | FRESH for arrival in new])
                _flag_changed(connection, {arrival.sop_uid for arrival in new})
        return len(new)

    def unknown(self, paths: Iterable[str]) -> Iterator[str]:
        """Those of the spool's paths that have no row yet; holds a few hundred in memory at a time."""
        for chunk in _chunks(paths):
            with self._database.reading() as connection:
                yield from _unknown(connection, chunk)

    def unrecorded(self, places: Iterable[Located]) -> Iterator[str]:
        """Paths of files that have no row, or whose row says that they were removed before they came again."""
        for chunk in _chunks(places):
            modified = {str(place.path): place.modified for place in chunk}
            with self._database.reading() as connection:
                yield from _unknown(connection, modified)
                for path, removed_at in _removed(connection, modified).items():
                    if modified[path] > removed_at.timestamp():
                        yield path

    def left_behind(self, places: Iterable[Located]) -> Iterator[Located]:
        """Files whose rows say that they are removed: a crash came between the row and the file."""
        for chunk in _chunks(places):
            by_path = {str(place.path): place for place in chunk}
            with self._database.reading() as connection:
                for path, removed_at in _removed(connection, by_path).items():
                    if by_path[path].modified <= removed_at.timestamp():
                        yield by_path[path]

    def known_paths(self) -> Iterator[str]:
        """The path of every row, oldest first, in chunks."""
        last = 0
        while True:
            query = select(ArrivalRow.id, ArrivalRow.path).where(ArrivalRow.id > last).order_by(ArrivalRow.id)
            with self._database.reading() as connection:
                rows = connection.execute(query.limit(CHUNK)).all()
            if not rows:
                return
            yield from (row.path for row in rows)
            last = rows[-1].id

    def of_series(self, study_uid: str, series_uid: str, *, up_to: int | None = None) -> list[Arrived]:
        """What is to be judged of a series, in order of arrival; `up_to` is a job's `last_arrival_id`."""
        query = (
            select(ArrivalRow)
            .where(ArrivalRow.study_uid == study_uid, ArrivalRow.series_uid == series_uid)
            .where(ArrivalRow.disposition == Disposition.JUDGE)
            .order_by(ArrivalRow.id)
        )
        if up_to is not None:
            query = query.where(ArrivalRow.id <= up_to)
        with self._database.reading() as connection:
            return [Arrived(**row._asdict()) for row in connection.execute(query)]

    def set_aside(
        self, study_uid: str, series_uid: str, sop_class_uids: Iterable[str], *, up_to: int, limit: int
    ) -> list[Arrived]:
        """Up to `limit` instances of these classes that were set aside, those that still lie in the spool first."""
        query = (
            select(ArrivalRow)
            .where(*_aside(study_uid, series_uid, up_to), ArrivalRow.sop_class_uid.in_(list(sop_class_uids)))
            .order_by(ArrivalRow.removed_at.is_not(None), ArrivalRow.id)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [Arrived(**row._asdict()) for row in connection.execute(query)]

    def aside_reasons(self, study_uid: str, series_uid: str, *, up_to: int) -> list[str]:
        """Why instances of a series were set aside, each reason once, in order of arrival."""
        query = select(ArrivalRow.disposition_reason).where(*_aside(study_uid, series_uid, up_to))
        query = query.order_by(ArrivalRow.id)
        with self._database.reading() as connection:
            return list(dict.fromkeys(reason for reason in connection.scalars(query) if reason))

    def refused(self, reason: str, *, now: datetime, status: int, data: Mapping[str, Any] | None = None) -> None:
        """Log that an instance was not taken: the DIMSE status it got and why."""
        facts = {"status": f"0x{status:04X}", **(data or {})}
        event = NewEvent(at=now, kind="refused", role="receiver", text=f"refused: {reason}", data=facts)
        with self._database.writing() as connection:
            append(connection, event)


def _aside(study_uid: str, series_uid: str, up_to: int) -> tuple[ColumnElement[bool], ...]:
    """What was set aside of a series; `up_to` is a job's `last_arrival_id`."""
    return (
        ArrivalRow.study_uid == study_uid,
        ArrivalRow.series_uid == series_uid,
        ArrivalRow.disposition == Disposition.SET_ASIDE,
        ArrivalRow.id <= up_to,
    )


def _unknown(connection: Connection, paths: Iterable[str]) -> list[str]:
    unknown = []
    for chunk in _chunks(paths):
        known = set(connection.scalars(select(ArrivalRow.path).where(ArrivalRow.path.in_(_evened(chunk)))))
        unknown += [path for path in chunk if path not in known]
    return unknown


def _removed(connection: Connection, paths: Iterable[str]) -> dict[str, datetime]:
    """Path -> when it was removed, of those that were."""
    removed: dict[str, datetime] = {}
    for chunk in _chunks(paths):
        query = select(ArrivalRow.path, ArrivalRow.removed_at)
        query = query.where(ArrivalRow.path.in_(_evened(chunk)), ArrivalRow.removed_at.is_not(None))
        removed.update((row.path, row.removed_at) for row in connection.execute(query))
    return removed


def _came_again(connection: Connection, arrival: Arrival, removed_at: datetime) -> None:
    if arrival.received_at <= removed_at:
        return
    mine = update(ArrivalRow).where(ArrivalRow.path == arrival.path)
    again = {"received_at": arrival.received_at, "association_token": arrival.association_token}
    connection.execute(mine.values(removed_at=None, calling_aet=arrival.calling_aet, **again))


def _flag_changed(connection: Connection, sop_uids: Iterable[str]) -> None:
    """Flag every arrival of these UIDs that has a twin with another digest."""
    other = aliased(ArrivalRow)
    twin = exists().where(other.sop_uid == ArrivalRow.sop_uid, other.digest != ArrivalRow.digest)
    for chunk in _chunks(sop_uids):
        flag = update(ArrivalRow).where(ArrivalRow.sop_uid.in_(_evened(chunk)), ~ArrivalRow.changed, twin)
        connection.execute(flag.values(changed=True))


def _evened(values: list[T]) -> list[T]:
    """The values, the last of them again and again up to a power of two: the same to `IN`.

    A driver keeps a statement for each number of values, and batches have as many lengths as there are.
    """
    return values + values[-1:] * ((1 << (len(values) - 1).bit_length()) - len(values))


def _chunks(values: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(values)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk
