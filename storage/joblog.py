"""The job log: what is read of jobs, by people and by programs. Nothing here writes.

Lists are newest first and paged by key: the last row of a page names where the next one begins.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, exists, func, select, tuple_
from sqlalchemy.orm import aliased

from storage.database import Database
from storage.errors import NotFound
from storage.schema import JobRow, OutboxRow, VerdictRow
from storage.states import JobState, OutboxState, VerdictState


@dataclass(frozen=True, kw_only=True)
class Job:
    """One generation of one series."""

    id: int
    study_uid: str
    series_uid: str
    generation: int
    """1, 2, 3, …: a late slice opens the next one."""
    state: JobState
    attempts: int
    """How often it was claimed since it was queued by the assembler or by hand."""
    not_before: datetime
    lease_until: datetime | None
    lease_owner: str | None
    last_arrival_id: int
    """It works on the arrivals up to this one."""
    instance_count: int
    """SOP instances to be judged in the series, when it was closed."""
    closed_reason: str
    """By what evidence the series was taken to be complete."""
    reason: str
    """Why it was declined, failed or put back; empty when all is well."""
    created_at: datetime
    """When the series was closed: the results' UIDs are made from it."""
    started_at: datetime | None
    finished_at: datetime | None
    model: str
    """Name, version and hash of the model that judged; empty before."""
    supersedes: int | None
    """The job of the same series whose results this one replaces."""
    patient_id: str
    accession_number: str
    series_description: str
    series_number: int | None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What was said of one part (acquisition) of a series."""

    part: int
    label: str
    """"" for a series of one part, else such as "acquisition 2"."""
    state: VerdictState
    phase: str | None = None
    """None: declined, or indeterminate."""
    confidence: float | None = None
    """0..1."""
    probabilities: Mapping[str, float] = field(default_factory=dict)
    """By phase; they sum to 1."""
    seconds: float | None = None
    """Estimated time since the injection, in seconds."""
    reason: str = ""
    """Why declined or indeterminate."""
    disagreement: str = ""
    """Set when header and picture contradict each other."""
    findings: Mapping[str, Any] = field(default_factory=dict)
    """All that was found, as JSON."""


@dataclass(frozen=True, kw_only=True)
class JobFilter:
    """Which jobs to list; None: whichever."""

    state: JobState | None = None
    since: datetime | None = None
    """Closed then or later."""
    until: datetime | None = None
    """Closed before then."""
    phase: str | None = None
    patient_id: str | None = None
    accession_number: str | None = None
    study_uid: str | None = None
    series_uid: str | None = None


@dataclass(frozen=True, kw_only=True)
class JobLine:
    """One line of a list: a job, what was said, and how far its results got."""

    job: Job
    superseded_by: int | None
    """A later job of the same series that was built; None: this one is current."""
    verdicts: tuple[Verdict, ...]
    outbox: Mapping[str, Mapping[OutboxState, int]]
    """By destination: how many results in which state."""

    @property
    def delivered(self) -> bool:
        """Whether every destination has every result: a view over the outbox, kept nowhere."""
        states = [state for counts in self.outbox.values() for state in counts]
        arrived = {OutboxState.SENT, OutboxState.COMMITTED, OutboxState.VERIFIED}
        return bool(states) and all(state in arrived for state in states)


class JobLog:
    """Questions about the jobs of one database; a read-only one will do."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, job_id: int) -> Job:
        """One job. Raises NotFound."""
        with self._database.reading() as connection:
            return get_job(connection, job_id)

    def list(
        self, wanted: JobFilter | None = None, *, limit: int = 50, before_id: int | None = None
    ) -> Sequence[JobLine]:
        """Newest first; `before_id` is the last job of the page before."""
        query = _newest(wanted or JobFilter(), before_id).limit(limit)
        with self._database.reading() as connection:
            rows = [row._asdict() for row in connection.execute(query)]
            later = {row["id"]: row.pop("superseded_by") for row in rows}
            return _lines(connection, [Job(**row) for row in rows], later)

    def line(self, job_id: int) -> JobLine:
        """One job as a line. Raises NotFound."""
        with self._database.reading() as connection:
            row = connection.execute(_select_jobs().where(JobRow.id == job_id)).first()
            if row is None:
                raise NotFound(f"there is no job {job_id}")
            columns = row._asdict()
            later = {job_id: columns.pop("superseded_by")}
            return _lines(connection, [Job(**columns)], later)[0]

    def generations(self, study_uid: str, series_uid: str) -> Sequence[Job]:
        """All jobs of one series, oldest first."""
        query = select(JobRow).where(JobRow.study_uid == study_uid, JobRow.series_uid == series_uid)
        with self._database.reading() as connection:
            return [Job(**row._asdict()) for row in connection.execute(query.order_by(JobRow.generation))]

    def verdicts(self, job_id: int) -> Sequence[Verdict]:
        """What was said of each part of a job."""
        with self._database.reading() as connection:
            return _verdicts(connection, [job_id]).get(job_id, [])

    def counts(self) -> Mapping[JobState, int]:
        """How many jobs are in which state; every state is named."""
        query = select(JobRow.state, func.count().label("jobs")).group_by(JobRow.state)
        with self._database.reading() as connection:
            found = {row.state: row.jobs for row in connection.execute(query)}
        return {state: found.get(state, 0) for state in JobState}


def get_job(connection: Connection, job_id: int) -> Job:
    """One job, inside a transaction. Raises NotFound."""
    row = connection.execute(select(JobRow).where(JobRow.id == job_id)).first()
    if row is None:
        raise NotFound(f"there is no job {job_id}")
    return Job(**row._asdict())


def _select_jobs() -> Select[Any]:
    later = aliased(JobRow)
    superseded_by = (
        select(func.max(later.id))
        .where(later.study_uid == JobRow.study_uid, later.series_uid == JobRow.series_uid)
        .where(later.generation > JobRow.generation, later.state == JobState.BUILT)
        .scalar_subquery()
    )
    return select(JobRow, superseded_by.label("superseded_by"))


def _newest(wanted: JobFilter, before_id: int | None) -> Select[Any]:
    """The list's query: each filter has an index that ends in (created_at, id), the order of the list."""
    query = _select_jobs().where(*_conditions(wanted))
    if before_id is not None:
        last = aliased(JobRow)
        created_at = select(last.created_at).where(last.id == before_id).scalar_subquery()
        query = query.where(tuple_(JobRow.created_at, JobRow.id) < tuple_(created_at, before_id))
    return query.order_by(JobRow.created_at.desc(), JobRow.id.desc())


def _conditions(wanted: JobFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [
        getattr(JobRow, name) == getattr(wanted, name)
        for name in ("state", "patient_id", "accession_number", "study_uid", "series_uid")
        if getattr(wanted, name) is not None
    ]
    if wanted.since is not None:
        conditions.append(JobRow.created_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(JobRow.created_at < wanted.until)
    if wanted.phase is not None:
        conditions.append(exists().where(VerdictRow.job_id == JobRow.id, VerdictRow.phase == wanted.phase))
    return conditions


def _lines(connection: Connection, jobs: Sequence[Job], later: Mapping[int, int | None]) -> Sequence[JobLine]:
    ids = [job.id for job in jobs]
    verdicts, outbox = _verdicts(connection, ids), _outbox_counts(connection, ids)
    return [
        JobLine(
            job=job,
            superseded_by=later[job.id],
            verdicts=tuple(verdicts.get(job.id, ())),
            outbox=outbox.get(job.id, {}),
        )
        for job in jobs
    ]


def _verdicts(connection: Connection, job_ids: Sequence[int]) -> dict[int, Sequence[Verdict]]:
    query = select(VerdictRow).where(VerdictRow.job_id.in_(job_ids)).order_by(VerdictRow.job_id, VerdictRow.part)
    found: dict[int, Any] = {}
    for row in connection.execute(query):
        columns = row._asdict()
        del columns["id"]
        found.setdefault(columns.pop("job_id"), []).append(Verdict(**columns))
    return found


def _outbox_counts(connection: Connection, job_ids: Sequence[int]) -> dict[int, dict[str, dict[OutboxState, int]]]:
    keys = (OutboxRow.job_id, OutboxRow.destination, OutboxRow.state)
    query = select(*keys, func.count()).where(OutboxRow.job_id.in_(job_ids)).group_by(*keys)
    found: dict[int, dict[str, dict[OutboxState, int]]] = {}
    for job_id, destination, state, count in connection.execute(query):
        found.setdefault(job_id, {}).setdefault(destination, {})[state] = count
    return found
