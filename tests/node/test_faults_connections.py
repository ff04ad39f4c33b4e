"""Slow, silent and countless peers: limits hold, nothing leaks, and others are served."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.factories import ct_series
from tests.node.churn import associate_often, at_rest
from tests.node.harness import StubNode, statuses
from tests.wire.raw_peer import RawPeer, associate, command, p_data, pdv

pytestmark = pytest.mark.xdist_group("node")

CT = "1.2.840.10008.5.1.4.1.1.2"
MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StubNode]:
    receive = {"max_associations": 40, "max_associations_per_peer": 40, "idle_seconds": 20.0}
    with StubNode(tmp_path_factory.mktemp("connections"), settings={"receive": receive}) as node:
        yield node


def test_half_open_and_slow_peers_hold_nobody_up(node: StubNode, tmp_path: Path) -> None:
    """A hundred connections that say nothing and ten that stop amid an instance: a series goes in as ever."""
    ct_series(tmp_path, 12, series="beside the slow ones")
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(socket.create_connection(("127.0.0.1", node.port)))
        for number in range(10):
            peer = stack.enter_context(RawPeer(node.port)).associated()
            request = command(0x0001, sop_class=CT, sop_instance=f"1.2.{number + 1}")
            peer.send(p_data(pdv(1, 3, request)) + p_data(pdv(1, 0, b"\x08\0"))[:-1])
        assert statuses(node.send(tmp_path)) == {0x0000}


def test_two_hundred_connections_at_once_are_each_answered(node: StubNode) -> None:
    """As many as may are accepted, the others are rejected as transient; then the node takes them again."""
    answers: list[tuple[int, tuple[int, ...]]] = []
    held = ExitStack()

    def come(peer: RawPeer) -> None:
        peer.send(associate())
        kind, body = peer.read()
        answers.append((kind, tuple(body[1:4]) if kind == 3 else ()))

    with held:
        peers = [held.enter_context(RawPeer(node.port, seconds=60.0)) for _ in range(200)]
        threads = [threading.Thread(target=come, args=(peer,)) for peer in peers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(90)
    assert len(answers) == 200
    assert 30 <= sum(kind == 2 for kind, _ in answers) <= 40
    assert {body for kind, body in answers if kind == 3} == {(2, 3, 2)}
    node.wait(lambda: _comes_in(node), 30, "room for an association")


def _comes_in(node: StubNode) -> bool:
    with RawPeer(node.port) as peer:
        peer.send(associate())
        return peer.read()[0] == 2


def test_a_thousand_associations_leave_nothing_behind(node: StubNode) -> None:
    """Descriptors and threads of the receiver are what they were, and its memory is flat."""
    (receiver,) = node.processes("receiver")
    associate_often(node.port, 300)
    before = at_rest(receiver)
    associate_often(node.port, 1000)
    after = at_rest(receiver)
    assert after.descriptors <= before.descriptors + 4
    assert after.threads <= before.threads
    assert after.resident_bytes - before.resident_bytes < 6 * MEGABYTE


def test_every_association_ends_in_the_job_log(node: StubNode) -> None:
    """None stays open: one that seems open would hold up its series."""
    from storage.associations import Associations

    ends_at = time.monotonic() + 60
    while time.monotonic() < ends_at:
        if all(association.closed_at for association in Associations(node.database()).latest(5000)):
            return
        time.sleep(0.5)
    raise AssertionError("an association is still open")


def test_a_peer_that_calls_while_the_receiver_starts_again_waits(node: StubNode, tmp_path: Path) -> None:
    """The port is the supervisor's: nobody is refused because a process died."""
    ct_series(tmp_path, 3, series="after the fall")
    for receiver in node.processes("receiver"):
        os.kill(receiver, signal.SIGKILL)
    assert statuses(node.send(tmp_path)) == {0x0000}
