"""The tables: columns, constraints, indexes; nothing else. Times are aware and UTC.

An index stands here for each question that is asked often; every list is paged by key, never by OFFSET.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Enum,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from storage.states import Disposition, JobState, OutboxState, VerdictState

Number = BigInteger().with_variant(Integer, "sqlite")
"""A row number. SQLite's own row numbers are INTEGER and 64 bits wide."""

Uid = String(64)
"""A UID has at most 64 characters (PS3.5 9.1)."""


class UtcTime(TypeDecorator[datetime]):
    """An aware time, kept and handed out in UTC. SQLite keeps no zone, so it is put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a time without a zone: it would silently mean something else."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be kept")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """UTC, whatever the database made of it."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def plain(value: str) -> str:
    """`value` without NUL: a peer may well send one, and PostgreSQL keeps none."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}")


class PlainText(TypeDecorator[str]):
    """Text of any length, `plain` where it has to be."""

    impl = Text
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], str | None] | None:
        """Nothing to do for SQLite."""
        if dialect.name == "sqlite":
            return None
        return lambda value: value and plain(value)


def _words(kind: type[JobState] | type[OutboxState] | type[Disposition] | type[VerdictState]) -> Enum:
    """A column of words out of an enumeration, kept as text."""
    return Enum(kind, native_enum=False, length=16, values_callable=lambda members: [m.value for m in members])


class Base(DeclarativeBase):
    """Holds the metadata of all tables."""

    type_annotation_map: ClassVar = {datetime: UtcTime, dict[str, Any]: JSON, str: PlainText}


class AssociationRow(Base):
    """One DICOM association that a peer opened."""

    __tablename__ = "associations"
    __table_args__ = (Index("ix_associations_open", "process", sqlite_where=text("closed_at IS NULL")),)

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    token: Mapped[str] = mapped_column(String(64), unique=True)
    calling_aet: Mapped[str] = mapped_column(String(16))
    called_aet: Mapped[str] = mapped_column(String(16))
    address: Mapped[str]
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    outcome: Mapped[str] = mapped_column(default="")
    process: Mapped[str]


class ArrivalRow(Base):
    """One instance that lies in the spool. The spool is the truth; this row can be rebuilt from it."""

    __tablename__ = "arrivals"
    __table_args__ = (
        Index("ix_arrivals_series", "study_uid", "series_uid", "id"),
        Index("ix_arrivals_sop_uid", "sop_uid"),
        Index(
            "ix_arrivals_waiting",
            "study_uid",
            "series_uid",
            sqlite_where=text("job_id IS NULL AND disposition = 'judge'"),
            postgresql_where=text("job_id IS NULL AND disposition = 'judge'"),
        ),
        Index(
            "ix_arrivals_aside",
            "study_uid",
            "series_uid",
            sqlite_where=text("job_id IS NULL AND disposition = 'set aside'"),
            postgresql_where=text("job_id IS NULL AND disposition = 'set aside'"),
        ),
        Index(
            "ix_arrivals_kept",
            "study_uid",
            "series_uid",
            sqlite_where=text("removed_at IS NULL"),
            postgresql_where=text("removed_at IS NULL"),
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    study_uid: Mapped[str] = mapped_column(Uid)
    series_uid: Mapped[str] = mapped_column(Uid)
    sop_uid: Mapped[str] = mapped_column(Uid)
    sop_class_uid: Mapped[str] = mapped_column(Uid)
    transfer_syntax_uid: Mapped[str] = mapped_column(Uid)
    digest: Mapped[str] = mapped_column(String(64))
    path: Mapped[str] = mapped_column(unique=True)
    size: Mapped[int] = mapped_column(BigInteger)
    received_at: Mapped[datetime]
    association_token: Mapped[str | None] = mapped_column(String(64))
    calling_aet: Mapped[str]
    modality: Mapped[str]
    patient_id: Mapped[str]
    accession_number: Mapped[str]
    series_description: Mapped[str]
    series_number: Mapped[int | None]
    instance_number: Mapped[int | None]
    disposition: Mapped[Disposition] = mapped_column(_words(Disposition))
    disposition_reason: Mapped[str | None]
    changed: Mapped[bool] = mapped_column(default=False)
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id"))
    """The job that took it in first. NULL: it still waits for one, or is set aside."""
    removed_at: Mapped[datetime | None]
    """When its file was removed, its time being over. NULL: the file lies in the spool."""


class JobRow(Base):
    """One generation of one series."""

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("study_uid", "series_uid", "generation"),
        Index("ix_jobs_newest", "created_at", "id"),
        Index("ix_jobs_state", "state", "created_at", "id"),
        Index("ix_jobs_patient", "patient_id", "created_at", "id"),
        Index("ix_jobs_accession", "accession_number", "created_at", "id"),
        Index("ix_jobs_study", "study_uid", "created_at", "id"),
        Index("ix_jobs_series", "series_uid", "created_at", "id"),
        Index("ix_jobs_due", "state", "not_before", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    study_uid: Mapped[str] = mapped_column(Uid)
    series_uid: Mapped[str] = mapped_column(Uid)
    generation: Mapped[int]
    state: Mapped[JobState] = mapped_column(_words(JobState))
    attempts: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    lease_owner: Mapped[str | None]
    last_arrival_id: Mapped[int] = mapped_column(BigInteger)
    instance_count: Mapped[int]
    closed_reason: Mapped[str]
    reason: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    model: Mapped[str] = mapped_column(default="")
    supersedes: Mapped[int | None] = mapped_column(ForeignKey("jobs.id"))
    patient_id: Mapped[str]
    accession_number: Mapped[str]
    series_description: Mapped[str]
    series_number: Mapped[int | None]


class VerdictRow(Base):
    """What was said of one part (acquisition) of a job's series."""

    __tablename__ = "verdicts"
    __table_args__ = (UniqueConstraint("job_id", "part"), Index("ix_verdicts_phase", "phase", "job_id"))

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"))
    part: Mapped[int]
    label: Mapped[str]
    state: Mapped[VerdictState] = mapped_column(_words(VerdictState))
    phase: Mapped[str | None] = mapped_column(String(32))
    confidence: Mapped[float | None]
    probabilities: Mapped[dict[str, Any]]
    seconds: Mapped[float | None]
    reason: Mapped[str]
    disagreement: Mapped[str]
    findings: Mapped[dict[str, Any]]


class OutboxRow(Base):
    """One result object on its way to one destination."""

    __tablename__ = "outbox"
    __table_args__ = (
        UniqueConstraint("destination", "sop_uid"),
        Index("ix_outbox_due", "destination", "state", "next_attempt_at", "id"),
        Index("ix_outbox_job", "job_id"),
        Index("ix_outbox_sop_uid", "sop_uid"),
        Index("ix_outbox_transaction", "transaction_uid"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"))
    destination: Mapped[str] = mapped_column(String(64))
    sop_class_uid: Mapped[str] = mapped_column(Uid)
    sop_uid: Mapped[str] = mapped_column(Uid)
    path: Mapped[str]
    state: Mapped[OutboxState] = mapped_column(_words(OutboxState))
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime]
    last_status: Mapped[int | None]
    """DIMSE status of the last answer (PS3.7 Annex C), or an HTTP status. NULL: no answer yet."""
    last_reason: Mapped[str] = mapped_column(default="")
    transaction_uid: Mapped[str | None] = mapped_column(Uid)
    asked_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]


class EventRow(Base):
    """What happened. Rows are added, never changed."""

    __tablename__ = "events"
    __table_args__ = (
        Index("ix_events_job", "job_id", "id"),
        Index("ix_events_series", "study_uid", "series_uid", "id"),
        Index("ix_events_kind", "kind", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(String(32))
    role: Mapped[str] = mapped_column(String(32))
    job_id: Mapped[int | None] = mapped_column(BigInteger)
    study_uid: Mapped[str | None] = mapped_column(Uid)
    series_uid: Mapped[str | None] = mapped_column(Uid)
    text: Mapped[str]
    data: Mapped[dict[str, Any]]


class AuditRow(Base):
    """Who did what. Each row carries the hash of the one before it."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(Number, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    actor: Mapped[str]
    action: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str]
    detail: Mapped[str]
    previous_hash: Mapped[str] = mapped_column(String(64), unique=True)
    hash: Mapped[str] = mapped_column(String(64))


class AuditHeadRow(Base):
    """One row: how many audit rows there are and the last one's hash, so that a cut-off tail shows."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(Number, primary_key=True, autoincrement=False)
    count: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str] = mapped_column(String(64))


class RoleRow(Base):
    """The last sign of life of one process of the node."""

    __tablename__ = "roles"

    process: Mapped[str] = mapped_column(String(64), primary_key=True)
    """One start of one process, such as "worker-0:4711": a process that is started again has another."""
    role: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(16))
    text: Mapped[str]
    since: Mapped[datetime]
    seen_at: Mapped[datetime]
