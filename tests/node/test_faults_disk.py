"""The disk is full, read-only, or the database is locked, torn or gone: right status, no false success, recovery."""

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomnode.network import sender
from dicomnode.network.archive import files
from dicomnode.network.statuses import Outcome
from storage.states import JobState
from tests.factories import ct_series
from tests.node.disks import small_disk
from tests.node.harness import StubNode, statuses
from tests.node.kills import acknowledged, dataset_digest
from tests.wire.raw_peer import RawPeer, associate

pytestmark = pytest.mark.xdist_group("node")

RESERVE = 8_000_000
OUT_OF_RESOURCES = 0xA700


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """A folder with a series of twelve slices, 130 KB each."""
    ct_series(tmp_path / "series", 12, rows=256)
    return tmp_path / "series"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[StubNode]:
    with StubNode(tmp_path / "node") as node:
        yield node


def database(node: StubNode) -> Path:
    return node.folder / "var" / "dicomnode.sqlite"


def in_spool(node: StubNode, folder: Path) -> bool:
    """Whether every instance of a folder lies in the spool byte for byte."""
    promises = [acknowledged(item[2]) for item in files(folder)]
    spool = node.folder / "var" / "spool"
    return all(dataset_digest(spool / promise.path) == promise.digest for promise in promises)


def rows(node: StubNode) -> int:
    """Arrivals in the job log; -1 where it cannot be read."""
    try:
        with sqlite3.connect(f"file:{database(node)}?mode=ro", uri=True) as connection:
            return int(connection.execute("SELECT count(*) FROM arrivals").fetchone()[0])
    except sqlite3.Error:
        return -1


def test_below_the_reserve_associations_are_rejected_as_transient_until_there_is_room(
    tmp_path: Path, series: Path
) -> None:
    """A-ASSOCIATE-RJ 2, 3, 2 (rejected-transient, presentation, local limit exceeded); then all is as before."""
    with small_disk(tmp_path / "node" / "var", 32) as disk:
        node = StubNode(tmp_path / "node", settings={"storage": {"reserve_bytes": RESERVE}})
        with node:
            disk.fill(leave_bytes=RESERVE - 500_000)
            with RawPeer(node.port) as peer:
                peer.send(associate())
                kind, body = peer.read()
                assert (kind, tuple(body[1:4])) == (3, (2, 3, 2))
            assert {answer.outcome for answer in node.send(series)} == {Outcome.LATER}
            disk.make_room()
            assert statuses(node.send(series)) == {0x0000}
            node.wait(lambda: node.finished(1), 60, "end of the job")
            assert node.lines()[0].job.state is JobState.BUILT


def test_a_disk_that_is_full_amid_an_association_refuses_and_takes_again_once_there_is_room(
    tmp_path: Path, series: Path
) -> None:
    """0xA700 for what has no room, on the same association 0x0000 for what has; no acknowledged byte is missing."""
    with small_disk(tmp_path / "node" / "var", 32) as disk:
        node = StubNode(tmp_path / "node", settings={"storage": {"reserve_bytes": 0}})
        with node:
            answers = []
            for number, (_, answer) in enumerate(sender.send(node.peer(), files(series))):
                answers.append(answer.status)
                if number == 3:
                    disk.fill()
                if number == 7:
                    disk.make_room()
            assert answers == [0x0000] * 4 + [OUT_OF_RESOURCES] * 4 + [0x0000] * 4
            assert statuses(node.send(series)) == {0x0000}
            assert in_spool(node, series)
            node.wait(lambda: rows(node) == 12, 30, "rows of all instances")
            node.wait(lambda: node.finished(1), 60, "end of the job")


def test_a_job_whose_results_have_no_room_waits_and_is_built_once_there_is(tmp_path: Path, series: Path) -> None:
    """A full disk is no fault of the job: it is not FAILED, and no attempt is lost."""
    folder = tmp_path / "node" / "var"
    with small_disk(folder / "results", 24) as disk:
        disk.fill()
        with StubNode(tmp_path / "node", settings={"analyse": {"attempts": 1}}, destinations=NOWHERE) as node:
            node.send(series)
            node.wait(lambda: "no room" in node.log(), 60, "word of the full disk")
            assert node.lines()[0].job.state in (JobState.QUEUED, JobState.RUNNING)
            disk.make_room()
            node.wait(lambda: node.finished(1), 60, "end of the job")
            assert node.lines()[0].job.state is JobState.BUILT


NOWHERE = [{"name": "nowhere", "port": 9}]


def test_a_read_only_spool_refuses_and_takes_again_when_it_is_writable(tmp_path: Path, series: Path) -> None:
    """Associations go on, each instance gets 0xA700, and afterwards 0x0000."""
    with small_disk(tmp_path / "node" / "var" / "spool", 32) as disk, StubNode(tmp_path / "node") as node:
        disk.read_only(True)
        assert statuses(node.send(series)) == {OUT_OF_RESOURCES}
        disk.read_only(False)
        assert statuses(node.send(series)) == {0x0000}
        assert in_spool(node, series)


def test_a_database_that_another_process_holds_delays_rows_but_no_answer(node: StubNode, series: Path) -> None:
    """Instances are acknowledged meanwhile, for they are in the spool; the rows come when the database is free."""
    connection = sqlite3.connect(database(node), timeout=30, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    assert statuses(node.send(series)) == {0x0000}
    assert in_spool(node, series)
    assert rows(node) == 0
    time.sleep(max(0.0, 3.0 - (time.monotonic() - began)))
    connection.execute("ROLLBACK")
    connection.close()
    node.wait(lambda: node.finished(1), 60, "end of the job")
    assert rows(node) == 12


def test_a_receiver_that_dies_while_the_database_is_held_is_back_at_once(node: StubNode, series: Path) -> None:
    """Neither the supervisor nor a new receiver waits for the job log."""
    connection = sqlite3.connect(database(node), timeout=30, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    (before,) = node.processes("receiver")
    node.kill("receiver")
    node.wait(lambda: node.processes("receiver") not in ([], [before]), 15, "another receiver")
    node.wait(lambda: not sender.echo(node.peer()).reason, 15, "an answer to C-ECHO")
    assert statuses(node.send(series)) == {0x0000}
    connection.execute("ROLLBACK")
    connection.close()
    node.wait(lambda: rows(node) == 12 and node.finished(1), 60, "end of the job")


def test_a_database_deleted_while_the_node_runs_is_made_anew_from_the_spool(node: StubNode, series: Path) -> None:
    """The node says so, makes a new job log, and takes in again what lies in the spool."""
    node.send(series)
    node.wait(lambda: node.finished(1), 60, "end of the job")
    database(node).unlink()
    node.wait(lambda: "the job log's file is gone" in node.log(), 30, "word of it")
    node.wait(lambda: rows(node) == 12 and node.finished(1), 60, "the job, done again")
    assert statuses(node.send(series)) == {0x0000}
    assert rows(node) == 12


def test_a_torn_database_costs_no_instance_and_is_named_with_what_to_do(node: StubNode, series: Path) -> None:
    """Instances are kept and acknowledged; once the torn file is moved away the node is whole again by itself."""
    os.truncate(database(node), 6_000)
    assert statuses(node.send(series)) == {0x0000}
    node.wait(lambda: "the database file is damaged: restore it from a backup" in node.log(), 60, "advice")
    shutil.move(database(node), node.folder / "torn")
    node.wait(lambda: rows(node) == 12 and node.finished(1), 90, "a new job log from the spool")
    assert in_spool(node, series)


def test_arrivals_are_rebuilt_at_the_start_when_the_database_was_deleted(node: StubNode, series: Path) -> None:
    """The spool is enough."""
    node.send(series)
    node.wait(lambda: rows(node) == 12, 30, "rows")
    node.halt()
    database(node).unlink()
    node.start()
    node.wait(lambda: rows(node) == 12 and node.finished(1), 60, "rows and job")
