"""The roles: each repeats one step until it is stopped. What a step needs is handed in.

receiver    listens; rows go into the ledger through the recorder          (node.py, intake.py)
assembler   closes series that are complete, puts lost jobs back, sweeps
worker      claims one job: analyse, compose, outbox
courier     sends what is due to one destination, asks for confirmation
web         serves the pages                                               (node.py)
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any, Protocol

from dicomnode import pipeline
from dicomnode.declining import declined_unread
from dicomnode.errors import Fail
from dicomnode.errors import Verdict as Decision
from dicomnode.errors import verdict as decide
from dicomnode.findings_table import declined_row, judged_row
from dicomnode.holding import Hold, WorkPolicy, time_limit
from dicomnode.results import InstanceReference, ResultContext, ResultObject, ResultOptions
from dicomnode.series.assembly import Rules
from dicomnode.series.volume import Limits
from storage.arrivals import Arrivals
from storage.errors import DatabaseFull, DatabaseLocked, DatabaseUnwritable, LeaseLost, SpoolError, StorageError
from storage.joblog import Job, Verdict
from storage.jobs import Jobs
from storage.outbox import NewItem, Outbox, OutboxItem
from storage.pauses import pause
from storage.results import ResultStore
from storage.retention import Retention
from storage.spool import Spool
from storage.states import VerdictState

log = logging.getLogger(__name__)

Clock = Callable[[], datetime]


class Role(Protocol):
    """Something that repeats a step."""

    def step(self) -> bool:
        """Does what is to be done now. True: there may be more at once."""


def repeat(role: Role, stopped: threading.Event, idle_seconds: float) -> None:
    """Steps until stopped. An error of the surroundings is logged and the step tried again after a growing pause."""
    failures = 0
    while not stopped.is_set():
        try:
            busy = role.step()
            failures = 0
        except StorageError as error:
            failures += 1
            busy = False
            log.error("a step of %s failed, and is tried again: %s", type(role).__name__, error)
        except Exception:
            failures += 1
            busy = False
            log.exception("a step of %s failed, and is tried again", type(role).__name__)
        if not busy:
            stopped.wait(min(30.0, idle_seconds * 2.0 ** min(failures, 8)))


@dataclass(frozen=True)
class Assembler:
    """Closes series that are complete, and puts back the jobs of workers that went silent."""

    jobs: Jobs
    spool: Spool
    count: pipeline.Count
    rules: Rules
    attempts: int
    retry_pause: timedelta
    clock: Clock
    retention: Retention | None = None
    """Removes what is done with; None: nothing is ever removed."""

    def step(self) -> bool:
        """One look at each series that has something new, one at what is old."""
        now = self.clock()
        for lost in self.jobs.release_lost_leases(now, self.attempts, self.retry_pause):
            log.warning("job %d: its worker went silent; now %s", lost.id, lost.state)
        self.spool.sweep_parts(timedelta(days=1), now)
        closed = [
            pipeline.assemble(series, self.jobs, self.count, self.rules, now) for series in self.jobs.open_series()
        ]
        for job in closed:
            if job is not None:
                log.info("job %d: generation %d, %s", job.id, job.generation, job.closed_reason)
        if self.retention is not None and (removed := self.retention.step(now)):
            log.info("%d series removed from the spool: their time is over", removed)
        return False


@dataclass(frozen=True)
class Worker:
    """Judges one job at a time and puts its results into the outbox."""

    jobs: Jobs
    arrivals: Arrivals
    outbox: Outbox
    spool: Spool
    results: ResultStore
    judge: pipeline.JudgeVolume
    options: ResultOptions
    limits: Limits
    context: Callable[[Job], ResultContext]
    destinations: Sequence[str]
    hold: Hold
    policy: WorkPolicy
    owner: str
    clock: Clock

    def step(self) -> bool:
        """Claims the job that waits longest and carries it to its end."""
        job = self.jobs.claim(self.owner, self.policy.lease_seconds, self.clock())
        if job is None:
            return False
        log.info("job %d: attempt %d", job.id, job.attempts)
        try:
            with self.hold(job), time_limit(self.policy.time_limit_seconds):
                self._work(job)
        except LeaseLost as error:
            log.warning("job %d: %s", job.id, error)
        except (SpoolError, DatabaseFull, DatabaseLocked, DatabaseUnwritable) as error:
            self._give_back(job, error)
        except Exception as error:
            self._failed(job, error)
        return True

    def _work(self, job: Job) -> None:
        outcomes = self._outcomes(job)
        composed, refusal = self._composed(job, outcomes)
        verdicts = [_verdict(outcome, objects) for outcome, objects in zip(outcomes, composed, strict=True)]
        items = [item for objects in composed for made in objects for item in self._kept(job, made)]
        judged = [outcome for outcome in outcomes if isinstance(outcome, pipeline.Judged)]
        if judged:
            card = judged[0].findings.model
            model = f"{card.name} {card.version} {card.weights_sha256[:12]}"
            self.jobs.finish_built(job, verdicts, items, model=model, now=self.clock())
            log.info("job %d: BUILT, %d results", job.id, len(items))
        else:
            reason = " ".join(dict.fromkeys([*(verdict.reason for verdict in verdicts), *refusal]))
            self.jobs.decline(job, reason, verdicts, items, now=self.clock())
            log.info("job %d: DECLINED", job.id)

    def _outcomes(self, job: Job) -> Sequence[pipeline.Outcome]:
        """What is said of each part; a series that the ledger alone declines is not read."""
        arrived = self.arrivals.of_series(job.study_uid, job.series_uid, up_to=job.last_arrival_id)
        declined = declined_unread(job, arrived, self.arrivals, self.spool, report=self.options.declined_report)
        if declined is not None:
            return [declined]
        return pipeline.analyse([self.spool.absolute(one.path) for one in arrived], self.judge, self.limits)

    def _composed(
        self, job: Job, outcomes: Sequence[pipeline.Outcome]
    ) -> tuple[Sequence[Sequence[ResultObject]], Sequence[str]]:
        """(the objects of each outcome, why there are none): a declined series stays declined without its report."""
        try:
            return pipeline.compose(outcomes, self.options, self.context(job), self._predecessors(job)), ()
        except Fail as error:
            if any(isinstance(outcome, pipeline.Judged) for outcome in outcomes):
                raise
            log.error("job %d: the report that it was declined is not sent: %s", job.id, error)
            return [()] * len(outcomes), [f"No report is sent: {error}"]

    def _kept(self, job: Job, made: ResultObject) -> Iterator[NewItem]:
        path = self.results.put(f"{job.id}/{made.sop_instance_uid}.dcm", made.encoded)
        for destination in self.destinations:
            yield NewItem(
                destination=destination,
                sop_class_uid=made.sop_class_uid,
                sop_uid=made.sop_instance_uid,
                path=str(path),
            )

    def _predecessors(self, job: Job) -> dict[int, InstanceReference]:
        """The reports of findings of the job that this one supersedes, by part; one of declining is not said anew."""
        if job.supersedes is None:
            return {}
        found = {}
        for verdict in self.jobs.verdicts(job.supersedes):
            report = verdict.findings.get("report")
            if report and verdict.state is VerdictState.JUDGED:
                found[verdict.part] = InstanceReference(study_uid=job.study_uid, **report)
        return found

    def _give_back(self, job: Job, error: StorageError) -> None:
        """The disk or the database is not ready, whatever the job: that costs it no attempt."""
        log.error("job %d waits: %s", job.id, error)
        now = self.clock()
        again = now + timedelta(seconds=self.policy.wait_seconds)
        self.jobs.give_back(job, str(error), not_before=again, now=now)

    def _failed(self, job: Job, error: Exception) -> None:
        """An exception class is a decision; the attempt limit turns the last retry into a failure."""
        reason = str(error) or type(error).__name__
        if isinstance(error, MemoryError):
            reason = f"out of memory: {reason}"
        now = self.clock()
        match decide(error):
            case Decision.DECLINE:
                log.info("job %d: DECLINED", job.id)
                self.jobs.decline(job, getattr(error, "reason", reason), now=now)
            case Decision.FAIL:
                log.exception("job %d: FAILED", job.id)
                self.jobs.fail(job, reason, now=now)
            case Decision.RETRY:
                log.exception("job %d: attempt %d failed", job.id, job.attempts)
                again = now + timedelta(seconds=self.policy.retry_pause_seconds * job.attempts)
                self.jobs.retry_later(job, reason, not_before=again, max_attempts=self.policy.attempts, now=now)


def _verdict(outcome: pipeline.Outcome, objects: Sequence[ResultObject]) -> Verdict:
    part = outcome.part
    made = {"report": _reference(objects), "objects": len(objects), "notes": list(part.notes)}
    if isinstance(outcome, pipeline.Declined):
        facts = declined_row(part.label, outcome.reason)
        return Verdict(
            part=part.index, label=part.label, state=VerdictState.DECLINED, reason=outcome.reason, findings=facts | made
        )
    findings = outcome.findings
    row = judged_row(part.label, findings)
    return Verdict(
        part=part.index,
        label=part.label,
        state=VerdictState.JUDGED,
        phase=row["phase"],
        confidence=findings.confidence,
        probabilities=row["probabilities"],
        seconds=findings.seconds.estimate if findings.seconds else None,
        reason=findings.reason or "",
        disagreement=findings.disagreement or "",
        findings=row | made,
    )


def _reference(objects: Sequence[ResultObject]) -> Mapping[str, Any] | None:
    report = next((made for made in objects if made.kind == "report"), None)
    if report is None:
        return None
    return {
        "series_uid": report.series_uid,
        "sop_class_uid": report.sop_class_uid,
        "sop_instance_uid": report.sop_instance_uid,
    }


class Ask(Protocol):
    """Asks a destination whether it keeps what was sent."""

    def __call__(self, items: Sequence[OutboxItem]) -> None: ...


@dataclass(frozen=True)
class Courier:
    """Carries results to one destination; another that is down holds it up in nothing."""

    destination: str
    outbox: Outbox
    send: pipeline.Send
    ask: Ask | None
    """Asks for storage commitment or reads back; None: the destination's status is all there is."""
    first_pause: timedelta
    longest_pause: timedelta
    ask_again_after: timedelta
    clock: Clock
    random: Random

    def step(self) -> bool:
        """Sends what is due, then asks about what was sent."""
        due = self.outbox.due(self.destination, self.clock())
        if due:
            accepted = pipeline.deliver(due, self.send, self.outbox, self._next_attempt, self.clock)
            log.info("%s: %d of %d results accepted", self.destination, accepted, len(due))
        if self.ask is not None:
            waiting = self.outbox.awaiting_commitment(
                self.destination, self.clock(), ask_again_after=self.ask_again_after
            )
            if waiting:
                self.ask(waiting)
        return bool(due)

    def _next_attempt(self, attempt: int) -> datetime:
        return self.clock() + pause(attempt, first=self.first_pause, longest=self.longest_pause, rng=self.random)
