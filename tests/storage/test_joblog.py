"""Reading the job log: filters, pages, and how the questions are answered."""

from datetime import timedelta

import pytest
from ledger_factories import NOON, ON_SQLITE, STUDY, arrival, built, queued
from sqlalchemy import text
from sqlalchemy.dialects import sqlite

from storage import joblog, waiting
from storage.arrivals import Arrivals
from storage.associations import Associations
from storage.database import Database
from storage.errors import NotFound
from storage.joblog import JobFilter, JobLog
from storage.jobs import Jobs
from storage.outbox import Outbox
from storage.states import Disposition, JobState, OutboxState
from storage.story import tell

HOUR = timedelta(hours=1)
FILTERS = [
    JobFilter(),
    JobFilter(state=JobState.QUEUED),
    JobFilter(patient_id="P1"),
    JobFilter(accession_number="A1"),
    JobFilter(study_uid=STUDY),
    JobFilter(series_uid="1.2.1"),
    JobFilter(since=NOON, until=NOON + HOUR),
    JobFilter(phase="arterial"),
]


def ids(log: JobLog, **wanted: object) -> list[int]:
    return [line.job.id for line in log.list(JobFilter(**wanted))]  # type: ignore[arg-type]


def test_pages_follow_each_other_newest_first_without_gap_or_overlap(database: Database) -> None:
    made = [queued(database, series=f"1.2.{n}", slices=1, now=NOON + (n // 3) * HOUR).id for n in range(10)]
    pages, before = list[list[int]](), None
    while page := JobLog(database).list(limit=3, before_id=before):
        pages.append([line.job.id for line in page])
        before = pages[-1][-1]
    assert [len(page) for page in pages] == [3, 3, 3, 1]
    assert [job_id for page in pages for job_id in page] == made[::-1]


def test_each_filter_finds_its_jobs_and_no_others(database: Database) -> None:
    first = built(database, series="1.2.1")
    Arrivals(database).record_many(
        [arrival(1, series="1.2.2", patient_id="P2", accession_number="A2", study_uid="1.5")]
    )
    second = Jobs(database).create("1.5", "1.2.2", closed_reason="quiet", now=NOON + HOUR)
    assert second is not None
    log = JobLog(database)
    for wanted, other in [
        ({"state": JobState.BUILT}, {"state": JobState.QUEUED}),
        ({"patient_id": "P1"}, {"patient_id": "P2"}),
        ({"accession_number": "A1"}, {"accession_number": "A2"}),
        ({"study_uid": STUDY}, {"study_uid": "1.5"}),
        ({"series_uid": "1.2.1"}, {"series_uid": "1.2.2"}),
        ({"until": NOON + HOUR}, {"since": NOON + HOUR}),
    ]:
        assert (ids(log, **wanted), ids(log, **other)) == ([first.id], [second.id])
    assert ids(log, phase="arterial") == [first.id]
    assert ids(log, phase="delayed") == []


def test_a_line_tells_what_was_said_and_how_far_the_results_got(database: Database) -> None:
    job, outbox = built(database, results=2), Outbox(database)
    first, second = outbox.due("PACS", NOON)
    outbox.accepted(first.id, status=0, now=NOON)
    line = JobLog(database).line(job.id)
    assert [verdict.phase for verdict in line.verdicts] == ["arterial"]
    assert line.outbox == {"PACS": {OutboxState.SENT: 1, OutboxState.PENDING: 1}}
    assert not line.delivered
    outbox.accepted(second.id, status=0, now=NOON)
    assert JobLog(database).line(job.id).delivered


@ON_SQLITE
@pytest.mark.parametrize("wanted", FILTERS)
@pytest.mark.parametrize("before_id", [None, 7])
def test_no_list_scans_or_sorts_the_jobs(database: Database, wanted: JobFilter, before_id: int | None) -> None:
    """Each filter has an index in the order of the list, so a page costs the same with a million jobs."""
    query = joblog._newest(wanted, before_id).limit(50)
    compiled = query.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    with database.reading() as connection:
        plan = [row[3] for row in connection.execute(text(f"EXPLAIN QUERY PLAN {compiled}".replace(":", "\\:")))]
    assert not [step for step in plan if "TEMP B-TREE" in step]
    assert not [step for step in plan if step.startswith("SCAN") and "USING INDEX ix_jobs_newest" not in step], plan


@ON_SQLITE
def test_series_that_wait_are_found_by_their_own_index(database: Database) -> None:
    conditions = [str(condition) for condition in waiting._is_waiting(Disposition.JUDGE)]
    statement = f"SELECT study_uid FROM arrivals WHERE {' AND '.join(conditions)} GROUP BY study_uid, series_uid"
    with database.reading() as connection:
        plan = [row[3] for row in connection.execute(text(f"EXPLAIN QUERY PLAN {statement}"))]
    assert plan == ["SCAN arrivals USING INDEX ix_arrivals_waiting"]


def test_counts_name_every_state(database: Database) -> None:
    built(database, series="1.2.1")
    queued(database, series="1.2.2")
    counts = JobLog(database).counts()
    assert counts == {state: int(state in {JobState.BUILT, JobState.QUEUED}) for state in JobState}


def test_a_story_tells_everything_in_order(database: Database) -> None:
    peer = {"calling_aet": "SCANNER", "called_aet": "DICOMNODE", "address": "10.0.0.1", "process": "receiver-0:1"}
    Associations(database).opened("a1", now=NOON - HOUR, **peer)
    Associations(database).closed("a1", "released", now=NOON + timedelta(seconds=1))
    job = built(database, now=NOON + HOUR)
    outbox = Outbox(database)
    (waits,) = outbox.due("PACS", NOON + HOUR)
    outbox.later(waits.id, status=0xA700, reason="Out of Resources", next_attempt_at=NOON + 2 * HOUR, now=NOON + HOUR)
    outbox.accepted(waits.id, status=0, now=NOON + 2 * HOUR)
    story = tell(database, job.id)
    assert [step.kind for step in story.steps] == [
        "association opened",
        "arrivals",
        "association closed",
        "job create",
        "job claim",
        "job finish",
        "result later",
        "result accept",
    ]
    assert story.steps[3].text == "series closed with 3 instances, generation 1: quiet for 10 s"
    assert story.steps[6].text == "PACS: not sent yet, 0xA700: Out of Resources"
    assert story.line.delivered


def test_a_story_of_no_job_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound):
        tell(database, 1)
