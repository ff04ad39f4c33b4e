"""The ledger of jobs, one promise at a time; test_life_cycles.py walks it at random."""

import multiprocessing
from datetime import timedelta

import pytest
from ledger_factories import NOON, SERIES, STUDY, arrival, built, claimed, finish, item, queued

from storage.arrivals import Arrivals
from storage.database import Database
from storage.errors import DatabaseRefused, LeaseLost, NotFound, WrongTransition
from storage.events import Events
from storage.joblog import JobLog, Verdict
from storage.jobs import LOST, Jobs
from storage.outbox import Outbox
from storage.states import JobState, OutboxState, VerdictState

MINUTE = timedelta(minutes=1)


def claim_all(url: str, owner: str) -> list[int]:
    """A worker process that takes whatever it gets."""
    jobs, mine = Jobs(Database(url)), list[int]()
    while job := jobs.claim(owner, 60, NOON):
        mine.append(job.id)
    return mine


def late_slice(database: Database, number: int = 99) -> None:
    Arrivals(database).record_many([arrival(number)])
    Jobs(database).create(STUDY, SERIES, closed_reason="a late slice", now=NOON + MINUTE)


def test_no_job_is_claimed_by_two_processes(database: Database, database_url: str) -> None:
    ids = [queued(database, series=f"1.2.{n}", slices=1).id for n in range(40)]
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        shares = pool.starmap(claim_all, [(database_url, f"worker-{n}") for n in range(4)])
    assert sorted(job_id for share in shares for job_id in share) == ids


def test_a_series_without_anything_new_gets_no_job(database: Database) -> None:
    queued(database)
    assert Jobs(database).open_series() == []
    assert Jobs(database).create(STUDY, SERIES, closed_reason="again", now=NOON) is None


def test_a_job_takes_in_what_its_evidence_covered_and_leaves_the_rest(database: Database) -> None:
    Arrivals(database).record_many([arrival(n) for n in range(5)])
    (seen,) = Jobs(database).open_series()
    Arrivals(database).record_many([arrival(7)])
    job = Jobs(database).create(STUDY, SERIES, closed_reason="quiet", now=NOON, up_to=seen.last_arrival_id)
    assert job is not None
    assert (job.instance_count, job.last_arrival_id) == (5, seen.last_arrival_id)
    (left,) = Jobs(database).open_series()
    assert (left.new_count, left.count, left.generation) == (1, 6, 2)


def test_a_late_slice_opens_a_generation_that_supersedes_the_built_one(database: Database) -> None:
    first = built(database)
    late_slice(database)
    second = Jobs(database).claim("worker-0", 60, NOON + MINUTE)
    assert second is not None
    assert (second.generation, second.supersedes, second.instance_count) == (2, first.id, 4)
    finish(database, second)
    assert [line.superseded_by for line in JobLog(database).list()] == [None, second.id]


def test_only_the_newest_waiting_generation_is_judged(database: Database) -> None:
    first = queued(database)
    late_slice(database)
    second = Jobs(database).claim("worker-0", 60, NOON + MINUTE)
    assert second is not None
    assert second.generation == 2
    old = Jobs(database).get(first.id)
    assert (old.state, old.reason) == (JobState.DECLINED, "generation 2 takes its place")
    assert Jobs(database).claim("worker-1", 60, NOON + MINUTE) is None


def test_a_newer_generation_waits_until_the_older_one_is_done_and_then_supersedes_it(database: Database) -> None:
    first = claimed(database)
    late_slice(database)
    assert Jobs(database).claim("worker-1", 60, NOON + MINUTE) is None
    finish(database, first)
    second = Jobs(database).claim("worker-1", 60, NOON + MINUTE)
    assert second is not None
    assert second.supersedes == first.id


def test_a_job_that_is_put_back_gives_way_to_a_newer_generation(database: Database) -> None:
    first = claimed(database)
    late_slice(database)
    put_back = Jobs(database).retry_later(first, "no memory", not_before=NOON, max_attempts=3, now=NOON)
    assert (put_back.state, put_back.reason) == (JobState.DECLINED, "generation 2 takes its place")


def test_a_job_is_tried_again_up_to_its_limit_and_then_failed_with_the_reason(database: Database) -> None:
    queued(database)
    for attempt in (1, 2):
        job = Jobs(database).claim("worker-0", 60, NOON + attempt * MINUTE)
        assert job is not None
        assert job.attempts == attempt
        job = Jobs(database).retry_later(
            job, "out of memory", not_before=NOON, max_attempts=2, now=NOON + attempt * MINUTE
        )
    assert (job.state, job.reason) == (JobState.FAILED, "given up after 2 attempts: out of memory")


def test_a_job_is_not_claimed_before_its_time(database: Database) -> None:
    job = claimed(database)
    Jobs(database).retry_later(job, "busy", not_before=NOON + MINUTE, max_attempts=5, now=NOON)
    assert Jobs(database).claim("worker-0", 60, NOON + MINUTE / 2) is None
    assert Jobs(database).claim("worker-0", 60, NOON + MINUTE) is not None


def test_a_lost_lease_costs_one_attempt_and_the_late_worker_is_turned_away(database: Database) -> None:
    jobs, lost = Jobs(database), claimed(database)
    assert jobs.release_lost_leases(NOON + timedelta(seconds=59), 3) == []
    (released,) = jobs.release_lost_leases(NOON + timedelta(seconds=61), 3)
    assert (released.state, released.attempts, released.reason) == (JobState.QUEUED, 1, LOST)
    again = jobs.claim("worker-0", 60, NOON + 2 * MINUTE)
    with pytest.raises(LeaseLost):
        finish(database, lost)
    assert again is not None
    assert finish(database, again).state is JobState.BUILT


def test_a_renewed_lease_is_not_lost(database: Database) -> None:
    jobs = Jobs(database)
    job = jobs.renew(claimed(database), 600, NOON)
    assert jobs.release_lost_leases(NOON + 2 * MINUTE, 3) == []
    assert job.lease_until == NOON + 10 * MINUTE


def test_results_and_verdicts_come_with_the_state_or_not_at_all(database: Database) -> None:
    job = claimed(database)
    broken = [Verdict(part=0, label="", state=VerdictState.JUDGED)] * 2
    with pytest.raises(DatabaseRefused, match=r"UNIQUE constraint failed|violates unique constraint"):
        Jobs(database).finish_built(job, broken, [item("1.9")], model="m", now=NOON)
    assert Jobs(database).get(job.id).state is JobState.RUNNING
    assert Outbox(database).of_job(job.id) == []
    assert list(Jobs(database).verdicts(job.id)) == []


def test_a_declined_job_keeps_why_for_each_part(database: Database) -> None:
    parts = [Verdict(part=n, label=f"acquisition {n}", state=VerdictState.DECLINED, reason="head scan") for n in (1, 2)]
    job = Jobs(database).decline(claimed(database), "no part can be judged", parts, now=NOON)
    assert (job.state, job.reason) == (JobState.DECLINED, "no part can be judged")
    assert list(Jobs(database).verdicts(job.id)) == parts


@pytest.mark.parametrize("state", [JobState.BUILT, JobState.DECLINED, JobState.FAILED])
def test_a_job_that_has_ended_runs_again_by_hand_with_all_its_attempts(database: Database, state: JobState) -> None:
    jobs, job = Jobs(database), claimed(database)
    {
        JobState.BUILT: lambda: finish(database, job),
        JobState.DECLINED: lambda: jobs.decline(job, "too few slices", now=NOON),
        JobState.FAILED: lambda: jobs.fail(job, "no such model", now=NOON),
    }[state]()
    again = jobs.requeue_by_hand(job.id, now=NOON + MINUTE, actor="admin")
    assert (again.state, again.attempts, again.created_at) == (JobState.QUEUED, 0, job.created_at)
    assert jobs.claim("worker-0", 60, NOON + MINUTE) is not None


def test_a_running_job_cannot_be_queued_by_hand(database: Database) -> None:
    job = claimed(database)
    with pytest.raises(WrongTransition, match="RUNNING cannot by hand"):
        Jobs(database).requeue_by_hand(job.id, now=NOON)


def test_a_job_that_is_not_there_is_named(database: Database) -> None:
    with pytest.raises(NotFound, match="no job 4711"):
        Jobs(database).requeue_by_hand(4711, now=NOON)


def test_a_finished_job_that_runs_again_sends_its_results_again_as_the_same(database: Database) -> None:
    job = built(database, results=2)
    outbox = Outbox(database)
    for waiting in outbox.due("PACS", NOON):
        outbox.accepted(waiting.id, status=0, now=NOON)
    Jobs(database).requeue_by_hand(job.id, now=NOON)
    again = Jobs(database).claim("worker-0", 60, NOON)
    assert again is not None
    finish(database, again, results=2)
    items = outbox.of_job(job.id)
    assert [(i.state, i.attempts) for i in items] == [(OutboxState.PENDING, 0)] * 2


def test_events_of_jobs_hold_no_patient_data(database: Database) -> None:
    Arrivals(database).record_many([arrival(n, patient_id="SECRET-ID", accession_number="SECRET-AN") for n in range(3)])
    built(database)
    assert all("SECRET" not in str(event) for event in Events(database).latest())
