"""The whole node with its job log in PostgreSQL: as with SQLite, and a server that goes away costs nothing."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.states import JobState
from tests.factories import ct_series
from tests.node.harness import StubNode, statuses
from tests.postgresql import Server

pytestmark = pytest.mark.xdist_group("node")


@pytest.fixture
def node(postgresql_server: Server, tmp_path: Path) -> Iterator[StubNode]:
    postgresql_server.create("node")
    storage = {"database_url": postgresql_server.url("node")}
    with StubNode(tmp_path / "node", settings={"storage": storage}) as node:
        yield node
    postgresql_server.drop("node")


def test_instances_are_taken_while_the_server_is_away_and_judged_when_it_is_back(
    node: StubNode, postgresql_server: Server, tmp_path: Path
) -> None:
    """A series before, one while it is down, with a receiver and a worker killed meanwhile, one after."""
    for number, name in enumerate(("before", "meanwhile", "after"), start=1):
        ct_series(tmp_path / name, 12, series=name)
        if name == "meanwhile":
            postgresql_server.stop()
        assert statuses(node.send(tmp_path / name)) == {0x0000}
        if name == "meanwhile":
            for process in (*node.processes("receiver"), *node.processes("worker")):
                os.kill(process, signal.SIGKILL)
            postgresql_server.start()
        node.wait(lambda count=number: node.finished(count), 60, f"end of the series {name}")
    assert [line.job.state for line in node.lines()] == [JobState.BUILT] * 3
    assert [line.job.instance_count for line in node.lines()] == [12] * 3
