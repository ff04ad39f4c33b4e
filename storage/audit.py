"""The audit log: who did what. Each row carries the hash of the one before, so that a change to the past shows.

    hash = SHA-256(previous hash ‖ canonical JSON of id, time, actor, action, subject, detail)

A changed, missing or moved row breaks the chain; a cut-off tail contradicts the head row. Whoever can write the whole
database can also make a new chain: against that, keep `head()` somewhere else and hand it to `verify`.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import Connection, insert, select, update

from storage.database import Database
from storage.schema import AuditHeadRow, AuditRow, plain

GENESIS = "0" * 64
"""What stands for the hash before the first row."""
CHUNK = 1000


@dataclass(frozen=True, kw_only=True)
class NewEntry:
    """Something that someone did."""

    at: datetime
    actor: str
    """An AE title with its address, a user, or a role of the node."""
    action: str
    """One word: "connected", "stored", "sent", "retried", "viewed", …"""
    subject: str
    """On what: a series UID, a job's number, …"""
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Entry(NewEntry):
    """A row of the log."""

    id: int
    """1, 2, 3, … without a gap."""
    previous_hash: str
    hash: str


@dataclass(frozen=True)
class Head:
    """How far the log reaches."""

    count: int
    hash: str
    """The last row's hash; GENESIS for an empty log."""


@dataclass(frozen=True)
class Damage:
    """The first row that is wrong."""

    id: int
    reason: str


class Audit:
    """The audit log of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, *entries: NewEntry) -> None:
        """Add rows, all or none."""
        if not entries:
            return
        with self._database.writing() as connection:
            head = _head(connection)
            for entry in entries:
                head = _append(connection, head, entry)
            connection.execute(update(AuditHeadRow).values(count=head.count, hash=head.hash))

    def head(self) -> Head:
        """How far the log reaches now."""
        with self._database.reading() as connection:
            found = connection.execute(select(AuditHeadRow.count, AuditHeadRow.hash)).first()
            return Head(*found) if found else Head(0, GENESIS)

    def verify(self, known: Head | None = None) -> Damage | None:
        """The first bad row, or None. `known` is a head that was kept elsewhere: the log must still contain it."""
        head, last = self.head(), Head(0, GENESIS)
        for entry in self.entries():
            damage = _check(entry, last)
            if damage:
                return damage
            last = Head(entry.id, entry.hash)
            if known and known.count == last.count and known.hash != last.hash:
                return Damage(entry.id, "differs from the head that was kept elsewhere")
            if last.count == head.count and last.hash != head.hash:
                return Damage(entry.id, "differs from the head row")
        if last.count > self.head().count:
            return Damage(last.count, "was added past the head row")
        wanted = max(head.count, known.count if known else 0)
        return Damage(last.count + 1, "is missing at the end") if last.count < wanted else None

    def entries(self, *, after_id: int = 0) -> Iterator[Entry]:
        """All rows after one, oldest first, a chunk in memory at a time."""
        while True:
            query = select(AuditRow).where(AuditRow.id > after_id).order_by(AuditRow.id).limit(CHUNK)
            with self._database.reading() as connection:
                rows = [Entry(**row._asdict()) for row in connection.execute(query)]
            if not rows:
                return
            yield from rows
            after_id = rows[-1].id


def _append(connection: Connection, head: Head, entry: NewEntry) -> Head:
    number = head.count + 1
    # What is hashed is what can be kept.
    entry = replace(entry, actor=plain(entry.actor), subject=plain(entry.subject), detail=plain(entry.detail))
    digest = _digest(head.hash, number, entry)
    row = {"actor": entry.actor, "action": entry.action, "subject": entry.subject, "detail": entry.detail}
    connection.execute(insert(AuditRow).values(id=number, at=entry.at, previous_hash=head.hash, hash=digest, **row))
    return Head(number, digest)


def _head(connection: Connection) -> Head:
    """The head row; made where there is none."""
    found = connection.execute(select(AuditHeadRow.count, AuditHeadRow.hash)).first()
    if found is None:
        connection.execute(insert(AuditHeadRow).values(id=1, count=0, hash=GENESIS))
        return Head(0, GENESIS)
    return Head(*found)


def _digest(previous: str, number: int, entry: NewEntry) -> str:
    at = entry.at.astimezone(UTC).isoformat(timespec="microseconds")
    said = json.dumps([number, at, entry.actor, entry.action, entry.subject, entry.detail], ensure_ascii=True)
    return hashlib.sha256(f"{previous}\n{said}".encode()).hexdigest()


def _check(entry: Entry, last: Head) -> Damage | None:
    if entry.id != last.count + 1:
        return Damage(last.count + 1, "is missing")
    if entry.previous_hash != last.hash:
        return Damage(entry.id, "does not follow the row before it")
    if entry.hash != _digest(last.hash, entry.id, entry):
        return Damage(entry.id, "was changed")
    return None
