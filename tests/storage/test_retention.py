"""What is done with is removed; nothing else ever is."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ledger_factories import NOON, SERIES, STUDY, claimed

from storage import retention
from storage.arrivals import Arrival, Arrivals
from storage.database import Database
from storage.events import Events
from storage.jobs import Jobs
from storage.outbox import NewItem, Outbox
from storage.results import ResultStore
from storage.retention import Retention
from storage.spool import Spool
from storage.states import Disposition

KEEP = timedelta(days=7)
LATER = NOON + timedelta(days=8)


class Node:
    """Spool, results and job log, and the retention that works on them."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.database = database
        self.spool, self.results = Spool(folder / "spool"), ResultStore(folder / "results")
        self.arrivals, self.jobs, self.outbox = Arrivals(database), Jobs(database), Outbox(database)
        self.retention = Retention(database, self.spool, self.results, KEEP, confirming=["asked"])

    def receive(self, number: int, at: Any = NOON, disposition: Disposition = Disposition.JUDGE) -> Path:
        """Slice `number`, as a receiver keeps it."""
        with self.spool.open_part() as part:
            part.write(f"pixels {number}".encode())
            kept = part.keep(STUDY, SERIES, f"{SERIES}.{number}")
        file = self.spool.absolute(kept.path)
        os.utime(file, (at.timestamp(), at.timestamp()))
        row = Arrival(
            study_uid=STUDY,
            series_uid=SERIES,
            sop_uid=f"{SERIES}.{number}",
            sop_class_uid="1.2",
            transfer_syntax_uid="1.2",
            digest=kept.digest,
            path=str(kept.path),
            size=kept.size,
            received_at=at,
            disposition=disposition,
        )
        self.arrivals.record_many([row])
        return file

    def build(self, destination: str = "plain") -> int:
        """The waiting slices become a job that is BUILT with one result."""
        self.jobs.create(STUDY, SERIES, closed_reason="quiet", now=NOON)
        job = self.jobs.claim("worker", 60, NOON)
        assert job is not None
        path = self.results.put(f"{job.id}/1.2.{job.id}.dcm", b"a result")
        item = NewItem(destination=destination, sop_class_uid="1.2", sop_uid=f"1.2.{job.id}", path=str(path))
        self.jobs.finish_built(job, [], [item], model="m", now=NOON)
        return self.outbox.of_job(job.id)[0].id

    def deliver(self, item: int) -> None:
        self.outbox.accepted(item, status=0, now=NOON)


@pytest.fixture
def node(tmp_path: Path, database: Database) -> Node:
    return Node(tmp_path, database)


def delivered(node: Node) -> list[Path]:
    """A series that is done with: its files."""
    files = [node.receive(number) for number in range(3)]
    node.deliver(node.build())
    return files


def test_a_finished_and_delivered_series_is_removed_with_its_results_and_its_rows_stay(node: Node) -> None:
    files = delivered(node)
    assert node.retention.step(LATER) == 1
    assert not any(file.exists() for file in files)
    assert not files[0].parent.parent.exists()
    assert not list(node.results.root.rglob("*.dcm"))
    assert {row.removed_at for row in node.arrivals.of_series(STUDY, SERIES)} == {LATER}
    assert "3 received instances and 1 result files" in Events(node.database).latest(1, kind="removed")[0].text


def test_it_is_not_removed_before_its_time(node: Node) -> None:
    files = delivered(node)
    assert node.retention.step(NOON + KEEP - timedelta(seconds=1)) == 0
    assert all(file.exists() for file in files)


def _late_slice(node: Node) -> None:
    node.receive(99, LATER - timedelta(hours=1))


def _waiting_slice(node: Node) -> None:
    node.receive(99)


def _sent_again(node: Node) -> None:
    node.outbox.send_again(node.outbox.of_job(1)[0].id, now=NOON)


def _requeued(node: Node) -> None:
    node.jobs.requeue_by_hand(1, now=NOON)


def _unconfirmed(node: Node) -> None:
    node.receive(99)
    node.deliver(node.build(destination="asked"))


def _failed(node: Node) -> None:
    node.jobs.requeue_by_hand(1, now=NOON)
    job = node.jobs.claim("worker", 60, NOON)
    assert job is not None
    node.jobs.fail(job, "broken", now=NOON)


def _renewed(node: Node) -> None:
    """The same bytes come again: their row is not written anew, their file's date is."""
    with node.spool.open_part() as part:
        part.write(b"pixels 1")
        assert part.keep(STUDY, SERIES, f"{SERIES}.1").duplicate


@pytest.mark.parametrize(
    "reason", [_late_slice, _waiting_slice, _sent_again, _requeued, _unconfirmed, _failed, _renewed]
)
def test_a_series_that_something_is_still_to_be_done_with_is_left_alone(
    node: Node, reason: Callable[[Node], None]
) -> None:
    files = delivered(node)
    reason(node)
    assert node.retention.step(LATER) == 0
    assert all(file.exists() for file in files)
    assert not Events(node.database).latest(1, kind="removed")


def test_a_declined_series_and_a_refused_result_are_done_with(node: Node) -> None:
    file = node.receive(1)
    item = node.build()
    node.outbox.rejected(item, status=0xA900, reason="no", now=NOON)
    assert node.retention.step(LATER) == 1
    assert not file.exists()


def test_what_an_archive_sent_back_is_removed_by_age(node: Node) -> None:
    file = node.receive(1, disposition=Disposition.OWN)
    assert node.retention.step(LATER) == 1
    assert not file.exists()


def test_an_instance_that_was_removed_and_comes_again_is_there_again_and_opens_no_job(node: Node) -> None:
    delivered(node)
    node.retention.step(LATER)
    file = node.receive(1, LATER + timedelta(hours=1))
    assert file.exists()
    assert [row.removed_at for row in node.arrivals.of_series(STUDY, SERIES)].count(None) == 1
    assert node.jobs.open_series() == []


def test_rebuilding_the_ledger_resurrects_only_what_came_again(node: Node) -> None:
    files = delivered(node)
    contents = files[0].read_bytes()
    node.retention.step(LATER)
    files[0].parent.mkdir(parents=True)
    files[0].write_bytes(contents)
    os.utime(files[0], (NOON.timestamp(), NOON.timestamp()))
    assert list(node.arrivals.unrecorded(node.spool.walk())) == []
    os.utime(files[0], (LATER.timestamp() + 5, LATER.timestamp() + 5))
    assert len(list(node.arrivals.unrecorded(node.spool.walk()))) == 1


def test_what_a_crash_left_between_row_and_file_is_removed_by_the_next_process(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = delivered(node)
    with monkeypatch.context() as crash:
        crash.setattr(Spool, "remove", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            node.retention.step(LATER)
    assert all(file.exists() for file in files)
    again = Retention(node.database, node.spool, node.results, KEEP)
    again.step(LATER + timedelta(hours=1))
    assert not any(file.exists() for file in files)


def test_old_series_are_looked_for_now_and_then_only(node: Node) -> None:
    assert node.retention.step(LATER) == 0
    delivered(node)
    assert node.retention.step(LATER + timedelta(minutes=1)) == 0
    assert node.retention.step(LATER + retention.PAUSE) == 1


def test_a_job_that_is_given_back_has_lost_no_attempt(database: Database) -> None:
    job = claimed(database)
    job = Jobs(database).give_back(job, "the disk is full", not_before=NOON, now=NOON)
    assert (job.attempts, job.state) == (0, "QUEUED")
