"""Series that have something new: judge-able arrivals that no job has taken in yet.

A series that has none at all (a localizer, another modality) waits for one job too, which says why it is declined.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, distinct, exists, func, select, text, update
from sqlalchemy.orm import aliased

from storage.associations import open_of_series
from storage.schema import ArrivalRow, JobRow
from storage.states import Disposition


@dataclass(frozen=True, kw_only=True)
class OpenSeries:
    """A series with new arrivals, as the assembler sees it."""

    study_uid: str
    series_uid: str
    new_count: int
    """Arrivals that no job has taken in."""
    first_at: datetime
    """When the first of them came."""
    last_at: datetime
    """When the last of them came."""
    last_arrival_id: int
    count: int
    """SOP instances to be judged in the whole series, earlier generations included."""
    open_associations: int
    """Associations that brought something of the series and are still open."""
    generation: int
    """The number that its next job gets."""


@dataclass(frozen=True, kw_only=True)
class Closing:
    """What a new job takes in."""

    last_arrival_id: int
    instance_count: int
    patient_id: str
    accession_number: str
    series_description: str
    series_number: int | None


def open_series(connection: Connection) -> list[OpenSeries]:
    """All series that wait, oldest first. Reads the partial indexes over waiting arrivals only."""
    other = aliased(ArrivalRow)
    same = (other.study_uid == ArrivalRow.study_uid, other.series_uid == ArrivalRow.series_uid)
    judged = exists().where(*same, other.disposition == Disposition.JUDGE)
    has_job = exists().where(JobRow.study_uid == ArrivalRow.study_uid, JobRow.series_uid == ArrivalRow.series_uid)
    found = _open(connection, Disposition.JUDGE) + _open(connection, Disposition.SET_ASIDE, ~judged, ~has_job)
    return sorted(found, key=lambda series: series.first_at)


def _open(connection: Connection, disposition: Disposition, *conditions: Any) -> list[OpenSeries]:
    waiting = (
        select(
            ArrivalRow.study_uid,
            ArrivalRow.series_uid,
            func.count().label("new_count"),
            func.min(ArrivalRow.received_at).label("first_at"),
            func.max(ArrivalRow.received_at).label("last_at"),
            func.max(ArrivalRow.id).label("last_arrival_id"),
        )
        .where(*_is_waiting(disposition), *conditions)
        .group_by(ArrivalRow.study_uid, ArrivalRow.series_uid)
        .subquery()
    )
    generation = (
        select(func.coalesce(func.max(JobRow.generation), 0) + 1)
        .where(JobRow.study_uid == waiting.c.study_uid, JobRow.series_uid == waiting.c.series_uid)
        .scalar_subquery()
    )
    query = select(
        waiting,
        _instance_count(disposition, waiting.c.study_uid, waiting.c.series_uid).scalar_subquery().label("count"),
        open_of_series(waiting.c.study_uid, waiting.c.series_uid).label("open_associations"),
        generation.label("generation"),
    )
    return [OpenSeries(**row._asdict()) for row in connection.execute(query)]


def closing(connection: Connection, study_uid: str, series_uid: str, up_to: int | None) -> Closing | None:
    """What a job of this series would take in now, or None when nothing waits."""
    return _closing(connection, Disposition.JUDGE, study_uid, series_uid, up_to) or _closing(
        connection, Disposition.SET_ASIDE, study_uid, series_uid, up_to
    )


def _closing(
    connection: Connection, disposition: Disposition, study_uid: str, series_uid: str, up_to: int | None
) -> Closing | None:
    of_series = (ArrivalRow.study_uid == study_uid, ArrivalRow.series_uid == series_uid)
    waiting = select(ArrivalRow.id).where(*of_series, *_is_waiting(disposition)).limit(1)
    newest = (
        select(ArrivalRow)
        .where(*of_series, ArrivalRow.disposition == disposition)
        .order_by(ArrivalRow.id.desc())
        .limit(1)
    )
    if up_to is not None:
        waiting, newest = waiting.where(ArrivalRow.id <= up_to), newest.where(ArrivalRow.id <= up_to)
    last = connection.execute(newest).first()
    if last is None or connection.execute(waiting).first() is None:
        return None
    count = _instance_count(disposition, study_uid, series_uid).where(ArrivalRow.id <= last.id)
    return Closing(
        last_arrival_id=last.id,
        instance_count=connection.scalar(count) or 0,
        patient_id=last.patient_id,
        accession_number=last.accession_number,
        series_description=last.series_description,
        series_number=last.series_number,
    )


def take_in(connection: Connection, study_uid: str, series_uid: str, up_to: int, job_id: int) -> None:
    """Mark what waits of a series as taken in by a job, what was set aside with it included."""
    mine = update(ArrivalRow).where(ArrivalRow.study_uid == study_uid, ArrivalRow.series_uid == series_uid)
    for disposition in (Disposition.JUDGE, Disposition.SET_ASIDE):
        waiting = mine.where(*_is_waiting(disposition), ArrivalRow.id <= up_to)
        connection.execute(waiting.values(job_id=job_id))


def _is_waiting(disposition: Disposition) -> tuple[Any, ...]:
    """The condition of the partial indexes ix_arrivals_waiting and ix_arrivals_aside, word for word."""
    return ArrivalRow.job_id.is_(None), text(f"arrivals.disposition = '{disposition.value}'")


def _instance_count(disposition: Disposition, study_uid: Any, series_uid: Any) -> Select[Any]:
    return select(func.count(distinct(ArrivalRow.sop_uid))).where(
        ArrivalRow.study_uid == study_uid,
        ArrivalRow.series_uid == series_uid,
        ArrivalRow.disposition == disposition,
    )
