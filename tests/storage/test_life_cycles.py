"""Jobs and results walked at random: whatever happens, the life cycles and their laws hold."""

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from ledger_factories import NOON, STUDY, arrival, finish

from storage.arrivals import Arrivals
from storage.database import Database, migrate
from storage.errors import LeaseLost, WrongTransition
from storage.events import Events
from storage.joblog import Job
from storage.jobs import Jobs
from storage.outbox import Outbox
from storage.states import (
    ENDED,
    JOB_TRANSITIONS,
    OUTBOX_TRANSITIONS,
    JobAction,
    JobState,
    OutboxAction,
    OutboxState,
    after,
)

MAX_ATTEMPTS = 3
LEASE_SECONDS = 60
SERIES = st.sampled_from(["1.2.1", "1.2.2"])

TEMPLATE = Path(tempfile.mkdtemp()) / "node.db"


class LifeCycles(RuleBasedStateMachine):
    """One database, two series, two workers, one destination."""

    @initialize()
    def open(self) -> None:
        if not TEMPLATE.exists():
            migrate(f"sqlite:///{TEMPLATE}")
        self.folder = tempfile.TemporaryDirectory()
        path = shutil.copy(TEMPLATE, Path(self.folder.name) / "node.db")
        self.database = Database(f"sqlite:///{path}")
        self.jobs, self.outbox = Jobs(self.database), Outbox(self.database)
        self.now, self.number = NOON, 0
        self.held = list[Job]()
        """What workers believe to hold, rightly or not."""

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.close()
            self.folder.cleanup()

    @rule(seconds=st.sampled_from([1, 30, 90]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(series=SERIES)
    def slices_arrive_and_the_series_is_closed(self, series: str) -> None:
        self.number += 1
        Arrivals(self.database).record_many([arrival(self.number, series=series)])
        job = self.jobs.create(STUDY, series, closed_reason="quiet", now=self.now)
        assert job is not None
        assert job.state is JobState.QUEUED
        earlier = [old for old in self.jobs.generations(STUDY, series) if old.id != job.id]
        assert all(old.state is not JobState.QUEUED for old in earlier)

    @rule(owner=st.sampled_from(["worker-0", "worker-1"]))
    def claim(self, owner: str) -> None:
        job = self.jobs.claim(owner, LEASE_SECONDS, self.now)
        if job is not None:
            assert job.not_before <= self.now
            self.held.append(job)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), action=st.sampled_from(["finish", "decline", "retry", "fail", "renew", "die"]))
    def a_worker_goes_on(self, data: st.DataObject, action: str) -> None:
        job = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        true_holder = self.jobs.get(job.id)
        holds = true_holder.state is JobState.RUNNING and true_holder.started_at == job.started_at
        holds = holds and true_holder.attempts == job.attempts and true_holder.lease_owner == job.lease_owner
        try:
            self._act(job, action)
        except LeaseLost:
            assert not holds
        else:
            assert holds or action == "die"

    def _act(self, job: Job, action: str) -> None:
        if action == "finish":
            finish(self.database, job, results=2, now=self.now)
        elif action == "decline":
            self.jobs.decline(job, "too few slices", now=self.now)
        elif action == "retry":
            later = self.now + timedelta(seconds=30)
            self.jobs.retry_later(job, "busy", not_before=later, max_attempts=MAX_ATTEMPTS, now=self.now)
        elif action == "fail":
            self.jobs.fail(job, "no such model", now=self.now)
        elif action == "renew":
            self.held.append(self.jobs.renew(job, LEASE_SECONDS, self.now))

    @rule()
    def leases_are_looked_after(self) -> None:
        for job in self.jobs.release_lost_leases(self.now, MAX_ATTEMPTS):
            assert job.state in {JobState.QUEUED, JobState.FAILED, JobState.DECLINED}

    @rule(data=st.data())
    def a_person_queues_a_job(self, data: st.DataObject) -> None:
        lines = self.jobs.list(limit=100)
        if not lines:
            return
        job = data.draw(st.sampled_from([line.job for line in lines]))
        try:
            again = self.jobs.requeue_by_hand(job.id, now=self.now)
        except WrongTransition:
            assert job.state is JobState.RUNNING
        else:
            assert (again.state, again.attempts) == (JobState.QUEUED, 0)

    @rule(action=st.sampled_from(["accept", "later", "reject"]))
    def the_courier_sends(self, action: str) -> None:
        for item in self.outbox.due("PACS", self.now, limit=2):
            if action == "accept":
                self.outbox.accepted(item.id, status=0, now=self.now)
            elif action == "later":
                later = self.now + timedelta(seconds=30)
                self.outbox.later(item.id, status=None, reason="down", next_attempt_at=later, now=self.now)
            else:
                self.outbox.rejected(item.id, status=0xA900, reason="mismatch", now=self.now)

    @rule(committed=st.booleans())
    def the_archive_answers_for_what_it_was_asked(self, committed: bool) -> None:
        items = self.outbox.awaiting_commitment("PACS", self.now, ask_again_after=timedelta(0), limit=3)
        self.number += 1
        transaction, uids = f"1.5.{self.number}", [item.sop_uid for item in items]
        self.outbox.asked([item.id for item in items], transaction_uid=transaction, now=self.now)
        if committed:
            assert self.outbox.committed(transaction, uids, now=self.now) == len(items)
        else:
            reasons = dict.fromkeys(uids, "0x0112")
            answered = self.outbox.not_committed(transaction, reasons, now=self.now, next_attempt_at=self.now)
            assert answered == len(items)

    @invariant()
    def every_step_was_in_the_table_and_the_log_agrees_with_the_rows(self) -> None:
        if not hasattr(self, "jobs"):
            return
        last = dict[int | None, str]()
        for event in reversed(Events(self.database).latest(10_000)):
            what, _, action = event.kind.partition(" ")
            if what != "job":
                continue
            if action == "create":
                last[event.job_id] = JobState.QUEUED
            else:
                assert last[event.job_id] == event.data["from"]
                state = after(JOB_TRANSITIONS, JobState(event.data["from"]), JobAction(action))
                assert state == event.data["to"]
                last[event.job_id] = state
        assert {line.job.id: line.job.state for line in self.jobs.list(limit=1000)} == last

    @invariant()
    def a_series_is_judged_by_one_worker_at_a_time_and_within_its_attempts(self) -> None:
        if not hasattr(self, "jobs"):
            return
        lines = self.jobs.list(limit=1000)
        running = [line.job.series_uid for line in lines if line.job.state is JobState.RUNNING]
        assert len(running) == len(set(running))
        assert all(line.job.attempts <= MAX_ATTEMPTS for line in lines)
        assert all((line.job.state in ENDED) == (line.job.finished_at is not None) for line in lines)
        assert all((line.job.state is JobState.RUNNING) == (line.job.lease_until is not None) for line in lines)

    @invariant()
    def results_are_confirmed_exactly_when_their_state_says_so_and_the_log_agrees(self) -> None:
        if not hasattr(self, "jobs"):
            return
        logged = _logged_states(self.database)
        for line in self.jobs.list(limit=1000):
            items = self.outbox.of_job(line.job.id)
            assert len({item.sop_uid for item in items}) == len(items)
            assert all((item.state is OutboxState.COMMITTED) == (item.confirmed_at is not None) for item in items)
            assert all(item.state is logged.get(item.id, OutboxState.PENDING) for item in items)


def _logged_states(database: Database) -> dict[int, OutboxState]:
    """Where each result's events lead, applied to PENDING one after another."""
    states = dict[int, OutboxState]()
    for event in reversed(Events(database).latest(10_000)):
        what, _, action = event.kind.partition(" ")
        if what == "result":
            before = states.get(event.data["item"], OutboxState.PENDING)
            states[event.data["item"]] = after(OUTBOX_TRANSITIONS, before, OutboxAction(action))
    return states


TestLifeCycles = LifeCycles.TestCase
TestLifeCycles.settings = settings(
    max_examples=30, stateful_step_count=35, deadline=None, suppress_health_check=list(HealthCheck)
)
