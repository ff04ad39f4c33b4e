"""The event log: what happened, in order. Rows are added, never changed; texts hold no patient data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from storage.database import Database
from storage.schema import EventRow


@dataclass(frozen=True, kw_only=True)
class NewEvent:
    """Something that just happened."""

    at: datetime
    kind: str
    """A few words from a small set, such as "job claim", "result accept", "refused", "role"."""
    role: str
    """Who says so: "receiver", "assembler", "worker", "courier", "web", "supervisor", "hand"."""
    text: str
    """One sentence for a person, without patient data."""
    job_id: int | None = None
    study_uid: str | None = None
    series_uid: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    """The same for a machine; must go into JSON."""


@dataclass(frozen=True, kw_only=True)
class Event(NewEvent):
    """A row of the log."""

    id: int


def append(connection: Connection, *events: NewEvent) -> None:
    """Add rows in a transaction that is already open, so that a change and its event stand or fall together."""
    if events:
        connection.execute(insert(EventRow), [_columns(event) for event in events])


class Events:
    """The event log of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, *events: NewEvent) -> None:
        """Add rows in a transaction of their own."""
        with self._database.writing() as connection:
            append(connection, *events)

    def latest(self, limit: int = 50, *, before_id: int | None = None, kind: str | None = None) -> list[Event]:
        """Newest first; `before_id` is the last row of the page before."""
        query = select(EventRow).order_by(EventRow.id.desc()).limit(limit)
        if before_id is not None:
            query = query.where(EventRow.id < before_id)
        if kind is not None:
            query = query.where(EventRow.kind == kind)
        with self._database.reading() as connection:
            return [Event(**row._asdict()) for row in connection.execute(query)]


def of_job(connection: Connection, job_id: int) -> list[Event]:
    """All that happened to one job, oldest first."""
    query = select(EventRow).where(EventRow.job_id == job_id).order_by(EventRow.id)
    return [Event(**row._asdict()) for row in connection.execute(query)]


def _columns(event: NewEvent) -> dict[str, Any]:
    return {name: getattr(event, name) for name in NewEvent.__dataclass_fields__}
