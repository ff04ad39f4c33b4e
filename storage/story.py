"""The whole story of one job, in order: who brought the series, why it was closed, what was tried, said and sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from storage import events
from storage.arrivals import Arrived
from storage.associations import Association
from storage.database import Database
from storage.events import Event
from storage.joblog import Job, JobLine, JobLog
from storage.outbox import Outbox, OutboxItem
from storage.schema import ArrivalRow, AssociationRow
from storage.states import Disposition


@dataclass(frozen=True, kw_only=True)
class ArrivalSummary:
    """What came of one series over one association."""

    association: Association | None
    """None: the rows were rebuilt from the spool."""
    count: int
    size: int
    """Bytes of the encoded datasets, all together."""
    first_at: datetime
    last_at: datetime
    transfer_syntax_uids: tuple[str, ...]
    set_aside: Mapping[str, int]
    """Reason -> how many were kept but not judged."""
    changed: int
    """How many have a twin: another dataset under the same SOP Instance UID."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing that happened."""

    at: datetime
    kind: str
    role: str
    text: str
    data: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Story:
    """All that is known of one job."""

    line: JobLine
    generations: Sequence[Job]
    """All jobs of the series, this one among them."""
    arrivals: Sequence[ArrivalSummary]
    outbox: Sequence[OutboxItem]
    steps: Sequence[Step]
    """In the order of time."""


def tell(database: Database, job_id: int) -> Story:
    """The story of a job. Raises NotFound."""
    log = JobLog(database)
    line = log.line(job_id)
    with database.reading() as connection:
        arrivals = _arrivals(connection, line.job)
        happened = events.of_job(connection, job_id)
    return Story(
        line=line,
        generations=log.generations(line.job.study_uid, line.job.series_uid),
        arrivals=arrivals,
        outbox=Outbox(database).of_job(job_id),
        steps=_steps(arrivals, happened),
    )


def _arrivals(connection: Connection, job: Job) -> list[ArrivalSummary]:
    query = select(ArrivalRow).where(
        ArrivalRow.study_uid == job.study_uid,
        ArrivalRow.series_uid == job.series_uid,
        ArrivalRow.id <= job.last_arrival_id,
    )
    groups: dict[str | None, list[Arrived]] = {}
    for row in connection.execute(query.order_by(ArrivalRow.id)):
        arrived = Arrived(**row._asdict())
        groups.setdefault(arrived.association_token, []).append(arrived)
    tokens = [token for token in groups if token is not None]
    rows = connection.execute(select(AssociationRow).where(AssociationRow.token.in_(tokens)))
    associations = {row.token: Association(**row._asdict()) for row in rows}
    return [_summary(associations.get(token or ""), group) for token, group in groups.items()]


def _summary(association: Association | None, group: Sequence[Arrived]) -> ArrivalSummary:
    aside = [arrived.disposition_reason or "" for arrived in group if arrived.disposition is Disposition.SET_ASIDE]
    return ArrivalSummary(
        association=association,
        count=len(group),
        size=sum(arrived.size for arrived in group),
        first_at=min(arrived.received_at for arrived in group),
        last_at=max(arrived.received_at for arrived in group),
        transfer_syntax_uids=tuple(sorted({arrived.transfer_syntax_uid for arrived in group})),
        set_aside={reason: aside.count(reason) for reason in sorted(set(aside))},
        changed=sum(arrived.changed for arrived in group),
    )


def _steps(arrivals: Sequence[ArrivalSummary], happened: Sequence[Event]) -> list[Step]:
    steps = [step for summary in arrivals for step in _receiving(summary)]
    steps += [Step(at=e.at, kind=e.kind, role=e.role, text=e.text, data=e.data) for e in happened]
    return sorted(steps, key=lambda step: step.at)


def _receiving(summary: ArrivalSummary) -> list[Step]:
    def step(at: datetime, kind: str, text: str) -> Step:
        return Step(at=at, kind=kind, role="receiver", text=text, data={})

    came = f"{summary.count} instances kept, {summary.size / 1e6:.1f} MB"
    aside = "".join(f"; {count} set aside: {reason}" for reason, count in summary.set_aside.items())
    changed = f"; {summary.changed} with other bytes under a known UID" if summary.changed else ""
    steps = [step(summary.last_at, "arrivals", came + aside + changed)]
    association = summary.association
    if association is not None:
        peer = f"{association.calling_aet} at {association.address}"
        steps.insert(0, step(association.opened_at, "association opened", f"{peer} called {association.called_aet}"))
        if association.closed_at is not None:
            steps.append(step(association.closed_at, "association closed", f"{peer}: {association.outcome}"))
    return steps
