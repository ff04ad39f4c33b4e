"""The ledger of associations: who connected, when, and how it ended. An open one may still bring slices."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ScalarSelect, distinct, func, insert, select, update
from sqlalchemy.sql import ColumnElement

from storage.database import Database
from storage.schema import ArrivalRow, AssociationRow


@dataclass(frozen=True, kw_only=True)
class Association:
    """One association."""

    id: int
    token: str
    """A random name; arrivals carry it."""
    calling_aet: str
    called_aet: str
    address: str
    opened_at: datetime
    closed_at: datetime | None
    """None: still open, as far as is known."""
    outcome: str
    """"released", "aborted", "lost", …; empty while open."""
    process: str
    """The receiver process that held it, as in the ledger of roles."""


def open_of_series(study_uid: ColumnElement[str] | str, series_uid: ColumnElement[str] | str) -> ScalarSelect[int]:
    """SQL: how many associations that brought something of a series are still open."""
    return (
        select(func.count(distinct(AssociationRow.token)))
        .join(ArrivalRow, ArrivalRow.association_token == AssociationRow.token)
        .where(AssociationRow.closed_at.is_(None))
        .where(ArrivalRow.study_uid == study_uid, ArrivalRow.series_uid == series_uid)
        .scalar_subquery()
    )


class Associations:
    """The ledger of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def opened(
        self, token: str, *, calling_aet: str, called_aet: str, address: str, process: str, now: datetime
    ) -> None:
        """A peer's association was accepted; said twice, it counts once."""
        row = {"calling_aet": calling_aet, "called_aet": called_aet, "address": address, "process": process}
        known = select(AssociationRow.id).where(AssociationRow.token == token)
        with self._database.writing() as connection:
            if connection.execute(known).first() is None:
                connection.execute(insert(AssociationRow).values(token=token, opened_at=now, outcome="", **row))

    def closed(self, token: str, outcome: str, *, now: datetime) -> None:
        """It ended; a second end is ignored."""
        query = update(AssociationRow).where(AssociationRow.token == token, AssociationRow.closed_at.is_(None))
        with self._database.writing() as connection:
            connection.execute(query.values(closed_at=now, outcome=outcome))

    def open_for_series(self, study_uid: str, series_uid: str) -> int:
        """How many associations that brought something of this series are still open."""
        with self._database.reading() as connection:
            return connection.scalar(select(open_of_series(study_uid, series_uid))) or 0

    def close_orphans(self, living: Collection[str], *, now: datetime) -> int:
        """Close what belonged to processes that are no more; how many."""
        query = update(AssociationRow).where(AssociationRow.closed_at.is_(None))
        query = query.where(AssociationRow.process.not_in(list(living)))
        with self._database.writing() as connection:
            return connection.execute(query.values(closed_at=now, outcome="lost")).rowcount

    def latest(self, limit: int = 50) -> list[Association]:
        """Newest first."""
        query = select(AssociationRow).order_by(AssociationRow.id.desc()).limit(limit)
        with self._database.reading() as connection:
            return [Association(**row._asdict()) for row in connection.execute(query)]
