"""Malformed traffic: no crash, no hang, nothing kept that was not sent whole, memory bounded, others go on.

The streaming association lives on one thread, so a case needs no server: bytes in one end of a socket pair, the
reactor on the other. 20,000 mutations of real traffic run that way; pynetdicom's own path gets some over loopback.
"""

import logging
import random
import resource
import socket
import struct
import time
from collections.abc import Iterator

import pytest
import raw_peer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pynetdicom import AE
from raw_peer import RawPeer
from wire_intake import Shelf
from wire_ports import QUICK

from dicomnode.network.acceptor import Connection
from dicomnode.network.contexts import accepted_contexts
from dicomnode.network.listener import Listener, ListenerSettings
from dicomnode.network.negotiation import Agreements

DATA = bytes(range(256)) * 4
SEEDS = (
    raw_peer.associate() + raw_peer.store("1.2.3", DATA, fragment=400) + raw_peer.RELEASE,
    raw_peer.associate() + raw_peer.echo() + raw_peer.store("1.2.3", DATA) + raw_peer.ABORT,
    raw_peer.associate()
    + raw_peer.store("1.2.3", DATA)
    + raw_peer.store("1.2.4", b"", message_id=2)
    + raw_peer.RELEASE,
    raw_peer.associate()
    + raw_peer.p_data(
        raw_peer.pdv(1, 3, raw_peer.command(1, sop_class=raw_peer.CT, sop_instance="1.2.3")), raw_peer.pdv(1, 2, DATA)
    )
    + raw_peer.RELEASE,
)
INTERESTING = (0, 1, 2, 3, 4, 5, 6, 7, 0x7F, 0x80, 0xFF)


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    """pytest would keep each of the many log records."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


class Harness:
    """Runs the acceptor's code over a socket pair, as its server would."""

    stopping = False

    def __init__(self) -> None:
        self.listener = Listener(ListenerSettings("DICOMNODE", limits=QUICK), Shelf(), accepted_contexts())
        self.ae = AE("DICOMNODE")
        self.ae.acse_timeout = self.ae.network_timeout = self.ae.dimse_timeout = 2
        self.contexts, self.ae_title, self.server_address = accepted_contexts(), "DICOMNODE", ("127.0.0.1", 1)
        self.agreements = Agreements()
        self.kind = type("Here", (Connection,), {"listener": self.listener})

    def enter(self, assoc: object) -> None: ...

    def leave(self, assoc: object) -> None: ...

    def shutdown_request(self, request: socket.socket) -> None:
        request.close()

    def run(self, traffic: bytes, shelf: Shelf | None = None) -> tuple[Shelf, bytes]:
        """All of the traffic, then the end of the connection; what was kept, and what was answered."""
        shelf = self.listener.intake = shelf or Shelf()
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.sendall(traffic)
            theirs.shutdown(socket.SHUT_WR)
            self.kind(ours, ("127.0.0.1", 2), self)
            theirs.setblocking(False)
            try:
                answered = theirs.recv(1 << 20)
            except OSError:
                answered = b""
        assert ours.fileno() == -1, "left open"
        assert shelf.calls["begun"] == shelf.calls["finished"] + shelf.calls["abandoned"]
        assert shelf.calls["opened"] == shelf.calls["closed"]
        assert self.listener.associations() == 0
        return shelf, answered


HARNESS = Harness()


def mutated(source: random.Random) -> bytes:
    """Real traffic with some bytes, lengths or pieces changed."""
    data = bytearray(source.choice(SEEDS))
    for _ in range(source.randint(1, 4)):
        at = source.randrange(len(data))
        match source.randrange(6):
            case 0:
                data[at] = source.choice(INTERESTING)
            case 1:
                data[at] ^= 1 << source.randrange(8)
            case 2:
                del data[at : at + source.randint(1, 60)]
            case 3:
                data[at:at] = source.randbytes(source.randint(1, 60))
            case 4:
                data[at : at + 4] = struct.pack(source.choice(("<L", ">L")), source.choice((0, 1, 6, 65536, 1 << 31)))
            case _:
                data[at:at] = data[source.randrange(len(data)) :][: source.randint(1, 300)]
        if not data:
            break
    return bytes(data)


def test_untouched_traffic_is_understood() -> None:
    """The harness itself works: what the mutations start from is stored and answered."""
    for traffic in SEEDS:
        shelf, answered = HARNESS.run(traffic)
        assert shelf.kept["1.2.3"][1] == DATA
        assert answered[0] == 2


@pytest.mark.slow
def test_twenty_thousand_mutations_do_no_harm() -> None:
    """Each ends within seconds, keeps whole instances only, and leaves memory as it was."""
    source = random.Random(20_000)
    for _ in range(1_000):
        HARNESS.run(mutated(source))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    slowest = 0.0
    for _ in range(19_000):
        started = time.monotonic()
        HARNESS.run(mutated(source))
        slowest = max(slowest, time.monotonic() - started)
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert slowest < 5
    assert grown_mib < 64


PDUS = st.one_of(
    st.sampled_from([raw_peer.associate(), raw_peer.echo(), raw_peer.RELEASE, raw_peer.ABORT]),
    st.builds(raw_peer.store, st.sampled_from(["1.2.3", "../../x", "x" * 65, ""]), st.binary(max_size=300)),
    st.builds(
        lambda kind, body: struct.pack(">BBL", kind, 0, len(body)) + body, st.integers(0, 9), st.binary(max_size=80)
    ),
    st.builds(
        lambda items: raw_peer.p_data(*items),
        st.lists(
            st.builds(raw_peer.pdv, st.sampled_from([0, 1, 3, 5, 255]), st.integers(0, 255), st.binary(max_size=80)),
            max_size=4,
        ),
    ),
    st.binary(max_size=40),
)


@settings(max_examples=1_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PDUS, max_size=8))
def test_any_sequence_of_pdus_ends_in_order(pdus: list[bytes]) -> None:
    """Whatever order they come in, once associated or not: the harness's invariants hold."""
    HARNESS.run(raw_peer.associate() + b"".join(pdus))
    HARNESS.run(b"".join(pdus))


@pytest.mark.slow
def test_malformed_traffic_over_loopback_leaves_others_alone(listen, streaming: bool) -> None:
    """While one association stores, hundreds of broken ones come and go."""
    listener, shelf = listen()
    source = random.Random(7)
    with RawPeer(listener.port).associated() as steady:
        for number in range(300):
            with RawPeer(listener.port) as broken:
                broken.send(mutated(source))
            if number % 10 == 0:
                steady.send(raw_peer.store(f"1.9.{number}", b"x" * 1000))
                assert steady.status() == 0
    assert sum(uid.startswith("1.9.") for uid in shelf.kept) == 30
