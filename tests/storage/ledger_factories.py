"""Rows for ledger tests, each in a line."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from storage.arrivals import Arrival, Arrivals
from storage.database import Database
from storage.joblog import Job, Verdict
from storage.jobs import Jobs
from storage.outbox import NewItem, OutboxItem
from storage.states import VerdictState

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ON_POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
STUDY = "1.2.826.1"
SERIES = "1.2.826.1.7"
CT = "1.2.840.10008.5.1.4.1.1.2"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def arrival(
    number: int, *, series: str = SERIES, content: str = "", token: str | None = "a1", **more: object
) -> Arrival:
    """Slice `number` of a series; other `content` makes other bytes under the same UID."""
    sop_uid = f"{series}.{number}"
    digest = hashlib.sha256(f"{sop_uid} {content}".encode()).hexdigest()
    values = {
        "study_uid": STUDY,
        "series_uid": series,
        "sop_uid": sop_uid,
        "sop_class_uid": CT,
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "digest": digest,
        "path": f"{STUDY}/{series}/{sop_uid}_{digest[:16]}.dcm",
        "size": 524_288,
        "received_at": NOON + timedelta(seconds=number / 10),
        "association_token": token,
        "calling_aet": "SCANNER",
        "modality": "CT",
        "patient_id": "P1",
        "accession_number": "A1",
    }
    return Arrival(**{**values, **more})  # type: ignore[arg-type]


def queued(database: Database, *, series: str = SERIES, slices: int = 3, now: datetime = NOON) -> Job:
    """A job of a series that was just received."""
    Arrivals(database).record_many([arrival(n, series=series) for n in range(slices)])
    job = Jobs(database).create(STUDY, series, closed_reason="quiet for 10 s", now=now)
    assert job is not None
    return job


def claimed(database: Database, *, series: str = SERIES, now: datetime = NOON) -> Job:
    """A job that a worker has."""
    queued(database, series=series, now=now)
    job = Jobs(database).claim("worker-0", 60, now)
    assert job is not None
    return job


def built(database: Database, *, series: str = SERIES, results: int = 1, now: datetime = NOON) -> Job:
    """A job with results for one destination."""
    return finish(database, claimed(database, series=series, now=now), results=results, now=now)


def finish(database: Database, job: Job, *, results: int = 1, phase: str = "arterial", now: datetime = NOON) -> Job:
    """End a job that a worker has."""
    verdict = Verdict(
        part=0, label="", state=VerdictState.JUDGED, phase=phase, confidence=0.9, probabilities={phase: 0.9}
    )
    items = [item(f"{job.series_uid}.{job.generation}.9.{n}") for n in range(results)]
    return Jobs(database).finish_built(job, [verdict], items, model="phase 1.0 (abc)", now=now)


def item(sop_uid: str, destination: str = "PACS") -> NewItem:
    """A result for a destination."""
    return NewItem(destination=destination, sop_class_uid=SECONDARY_CAPTURE, sop_uid=sop_uid, path=f"1/{sop_uid}.dcm")


def only(items: list[OutboxItem]) -> OutboxItem:
    """The one item there is."""
    (found,) = items
    return found
