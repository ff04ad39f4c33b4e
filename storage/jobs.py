"""The ledger of jobs: every change goes through the table of transitions and leaves an event, in one transaction."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, exists, insert, or_, select, update
from sqlalchemy.orm import aliased

from storage import outbox
from storage.errors import LeaseLost, NotFound
from storage.events import NewEvent, append
from storage.joblog import Job, JobLog, Verdict, get_job
from storage.outbox import NewItem
from storage.schema import JobRow, VerdictRow
from storage.states import ENDED, JOB_TRANSITIONS, JobAction, JobState, after
from storage.waiting import OpenSeries, closing, open_series, take_in

LOST = "the worker stopped without a word: killed, out of memory, or past its time limit"


class Jobs(JobLog):
    """The ledger of one database: the job log, and what changes it."""

    def open_series(self) -> list[OpenSeries]:
        """All series with arrivals that no job has taken in, oldest first."""
        with self._database.reading() as connection:
            return open_series(connection)

    def create(
        self, study_uid: str, series_uid: str, *, closed_reason: str, now: datetime, up_to: int | None = None
    ) -> Job | None:
        """Close a series: the next generation, QUEUED, with arrivals up to `up_to`; None when nothing waits.

        An older generation that is still QUEUED is declined, so that only the newest is judged.
        """
        with self._database.writing() as connection:
            content = closing(connection, study_uid, series_uid, up_to)
            if content is None:
                return None
            earlier = _generations(connection, study_uid, series_uid)
            generation = earlier[-1].generation + 1 if earlier else 1
            for job in earlier:
                if job.state is JobState.QUEUED:
                    _change(connection, job, JobAction.SUPERSEDE, now, f"generation {generation} takes its place")
            row = {
                "study_uid": study_uid,
                "series_uid": series_uid,
                "generation": generation,
                "state": JobState.QUEUED,
                "attempts": 0,
                "not_before": now,
                "created_at": now,
                "closed_reason": closed_reason,
                "reason": "",
                "model": "",
                "supersedes": _superseded(earlier),
                **vars(content),
            }
            job_id = connection.execute(insert(JobRow).values(**row).returning(JobRow.id)).scalar_one()
            take_in(connection, study_uid, series_uid, content.last_arrival_id, job_id)
            job = get_job(connection, job_id)
            text = f"series closed with {job.instance_count} instances, generation {generation}: {closed_reason}"
            append(connection, _event(job, now, "job create", "assembler", text))
            return job

    def claim(self, owner: str, lease_seconds: float, now: datetime) -> Job | None:
        """The job that has waited longest, now RUNNING and ours until the lease runs out; None when none is due.

        A series is judged by one worker at a time: a job waits while an older generation of its series runs.
        """
        older = aliased(JobRow)
        runs = exists().where(
            older.study_uid == JobRow.study_uid,
            older.series_uid == JobRow.series_uid,
            older.id != JobRow.id,
            older.state == JobState.RUNNING,
        )
        due = select(JobRow).where(JobRow.state == JobState.QUEUED, JobRow.not_before <= now, ~runs)
        due = due.order_by(JobRow.not_before, JobRow.id).limit(1)
        with self._database.reading() as connection:
            if connection.execute(due).first() is None:
                return None
        with self._database.writing() as connection:
            row = connection.execute(due).first()
            if row is None:
                return None
            job = Job(**row._asdict())
            earlier = _generations(connection, job.study_uid, job.series_uid, before=job.generation)
            return _change(
                connection,
                job,
                JobAction.CLAIM,
                now,
                "",
                attempts=job.attempts + 1,
                lease_owner=owner,
                lease_until=now + timedelta(seconds=lease_seconds),
                started_at=now,
                supersedes=_superseded(earlier),
            )

    def renew(self, job: Job, lease_seconds: float, now: datetime) -> Job:
        """Hold a job longer. Raises LeaseLost."""
        with self._database.writing() as connection:
            _own(connection, job)
            until = now + timedelta(seconds=lease_seconds)
            connection.execute(update(JobRow).where(JobRow.id == job.id).values(lease_until=until))
            return get_job(connection, job.id)

    def finish_built(
        self, job: Job, verdicts: Sequence[Verdict], items: Sequence[NewItem], *, model: str, now: datetime
    ) -> Job:
        """BUILT: verdicts and results in the outbox, all or nothing. Raises LeaseLost."""
        with self._database.writing() as connection:
            job = _own(connection, job)
            _replace_verdicts(connection, job, verdicts)
            outbox.put(connection, job.id, items, now)
            return _change(connection, job, JobAction.FINISH, now, "", model=model)

    def decline(
        self, job: Job, reason: str, verdicts: Sequence[Verdict] = (), items: Sequence[NewItem] = (), *, now: datetime
    ) -> Job:
        """DECLINED: no part of the series can be judged; `items` are reports that say so. Raises LeaseLost."""
        with self._database.writing() as connection:
            job = _own(connection, job)
            _replace_verdicts(connection, job, verdicts)
            outbox.put(connection, job.id, items, now)
            return _change(connection, job, JobAction.DECLINE, now, reason)

    def retry_later(self, job: Job, reason: str, *, not_before: datetime, max_attempts: int, now: datetime) -> Job:
        """QUEUED again until `max_attempts` are used up, then FAILED. Raises LeaseLost."""
        with self._database.writing() as connection:
            return _put_back(connection, _own(connection, job), JobAction.RETRY, reason, not_before, max_attempts, now)

    def give_back(self, job: Job, reason: str, *, not_before: datetime, now: datetime) -> Job:
        """QUEUED again as if it had not been tried: nothing is wrong with the job. Raises LeaseLost."""
        with self._database.writing() as connection:
            mine = _own(connection, job)
            untried = replace(mine, attempts=mine.attempts - 1)
            return _put_back(connection, untried, JobAction.RETRY, reason, not_before, mine.attempts, now)

    def fail(self, job: Job, reason: str, *, now: datetime) -> Job:
        """FAILED: it cannot work, however often it is tried. Raises LeaseLost."""
        with self._database.writing() as connection:
            return _change(connection, _own(connection, job), JobAction.GIVE_UP, now, reason)

    def requeue_by_hand(self, job_id: int, *, now: datetime, actor: str = "") -> Job:
        """QUEUED again with all its attempts, due at once. Raises NotFound; WrongTransition while it runs."""
        with self._database.writing() as connection:
            job = get_job(connection, job_id)
            why = f"by hand{f' ({actor})' if actor else ''}"
            return _change(connection, job, JobAction.BY_HAND, now, why, attempts=0, not_before=now)

    def release_lost_leases(
        self,
        now: datetime,
        max_attempts: int,
        pause: timedelta = timedelta(0),
        living: Collection[str] | None = None,
    ) -> list[Job]:
        """Put back the jobs whose owner let the lease run out, or fail those that used up their attempts.

        `living` names the owners that are known to be alive: every other's lease is lost at once.
        """
        gone = JobRow.lease_until < now
        if living is not None:
            gone = or_(gone, JobRow.lease_owner.not_in(list(living)))
        lost = select(JobRow).where(JobRow.state == JobState.RUNNING, gone)
        with self._database.writing() as connection:
            jobs = [Job(**row._asdict()) for row in connection.execute(lost)]
            return [
                _put_back(connection, job, JobAction.LOSE_LEASE, LOST, now + pause, max_attempts, now) for job in jobs
            ]


def _change(connection: Connection, job: Job, action: JobAction, now: datetime, reason: str, **values: Any) -> Job:
    """One step of the life cycle with its event. Raises WrongTransition."""
    state = after(JOB_TRANSITIONS, job.state, action)
    if state is not JobState.RUNNING:
        values |= {"lease_until": None, "lease_owner": None}
    values["finished_at"] = now if state in ENDED else None
    connection.execute(update(JobRow).where(JobRow.id == job.id).values(state=state, reason=reason, **values))
    changed = get_job(connection, job.id)
    role, said = _SAID[action]
    text = said.format(owner=changed.lease_owner, attempt=changed.attempts) + (f": {reason}" if reason else "")
    data = {"from": job.state, "to": state, "attempt": changed.attempts, "owner": changed.lease_owner}
    append(connection, _event(changed, now, f"job {action}", role, text, data))
    return changed


_SAID = {
    JobAction.CLAIM: ("worker", "taken by {owner}, attempt {attempt}"),
    JobAction.FINISH: ("worker", "judged, results are ready to be sent"),
    JobAction.DECLINE: ("worker", "declined"),
    JobAction.RETRY: ("worker", "put back into the queue after attempt {attempt}"),
    JobAction.GIVE_UP: ("worker", "failed"),
    JobAction.LOSE_LEASE: ("supervisor", "put back into the queue after attempt {attempt}"),
    JobAction.SUPERSEDE: ("assembler", "declined"),
    JobAction.BY_HAND: ("hand", "queued again"),
}
"""Who does it, and how the event log says it."""


def _put_back(
    connection: Connection,
    job: Job,
    action: JobAction,
    reason: str,
    not_before: datetime,
    max_attempts: int,
    now: datetime,
) -> Job:
    """Back into the queue, unless its attempts are used up or a newer generation waits."""
    if job.attempts >= max_attempts:
        gave_up = f"given up after {job.attempts} attempt{'s' if job.attempts > 1 else ''}: {reason}"
        return _change(connection, job, JobAction.GIVE_UP, now, gave_up)
    newest = _generations(connection, job.study_uid, job.series_uid)[-1]
    if newest.generation > job.generation:
        replaced = f"generation {newest.generation} takes its place"
        return _change(connection, job, JobAction.SUPERSEDE, now, replaced)
    return _change(connection, job, action, now, reason, not_before=not_before, attempts=job.attempts)


def _own(connection: Connection, job: Job) -> Job:
    """The job as it stands, when it still is the claimer's. Raises LeaseLost."""
    try:
        found = get_job(connection, job.id)
    except NotFound:
        raise LeaseLost(f"job {job.id} is no more") from None
    mine = (JobState.RUNNING, job.lease_owner, job.attempts, job.started_at)
    if (found.state, found.lease_owner, found.attempts, found.started_at) != mine:
        raise LeaseLost(f"job {job.id} is {found.state} and no longer held by {job.lease_owner}")
    return found


def _generations(connection: Connection, study_uid: str, series_uid: str, before: int | None = None) -> list[Job]:
    query = select(JobRow).where(JobRow.study_uid == study_uid, JobRow.series_uid == series_uid)
    if before is not None:
        query = query.where(JobRow.generation < before)
    return [Job(**row._asdict()) for row in connection.execute(query.order_by(JobRow.generation))]


def _superseded(earlier: Sequence[Job]) -> int | None:
    """The newest earlier job with results, or else the newest that was declined."""
    for state in (JobState.BUILT, JobState.DECLINED):
        found = [job.id for job in earlier if job.state is state]
        if found:
            return found[-1]
    return None


def _replace_verdicts(connection: Connection, job: Job, verdicts: Sequence[Verdict]) -> None:
    connection.execute(delete(VerdictRow).where(VerdictRow.job_id == job.id))
    if verdicts:
        connection.execute(insert(VerdictRow), [vars(verdict) | {"job_id": job.id} for verdict in verdicts])


def _event(job: Job, now: datetime, kind: str, role: str, text: str, data: dict[str, Any] | None = None) -> NewEvent:
    return NewEvent(
        at=now,
        kind=kind,
        role=role,
        text=text,
        job_id=job.id,
        study_uid=job.study_uid,
        series_uid=job.series_uid,
        data=data or {},
    )
