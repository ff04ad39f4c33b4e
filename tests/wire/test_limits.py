"""What a listener makes of peers that take more than their share, over both receive paths."""

import contextlib
import ipaddress
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import raw_peer
from raw_peer import RawPeer
from wire_intake import Shelf
from wire_ports import QUICK

from dicomnode.network.access import AccessPolicy
from dicomnode.network.intake import RejectCause, Rejection

SOON = replace(QUICK, idle_seconds=0.5, request_seconds=0.5)


def gone(peer: RawPeer) -> bool:
    """The node has closed the connection, with an A-ABORT or without."""
    kind, _ = peer.read()
    return kind == 0 or (kind == 7 and peer.read()[0] == 0)


def rejection(peer: RawPeer) -> tuple[int, int, int]:
    """(Result, Source, Reason) of the A-ASSOCIATE-RJ."""
    kind, body = peer.read()
    assert kind == 3
    return body[1], body[2], body[3]


@pytest.mark.parametrize("kind", [1, 4, 5, 7])
@pytest.mark.parametrize("length", [200_000, 0xFFFFFFFF])
def test_a_huge_pdu_is_refused_before_it_is_read(listen, kind: int, length: int) -> None:
    """The connection ends at the declared length, of whatever PDU type, without its bytes having come."""
    listener, _shelf = listen()
    with RawPeer(listener.port) as peer:
        if kind != 1:
            peer.associated()
        peer.send(struct.pack(">BBL", kind, 0, length))
        assert gone(peer)
    with RawPeer(listener.port).associated():
        pass


def test_a_huge_pdu_amid_a_data_set_is_refused_before_it_is_read(listen) -> None:
    """One that looks like any other long fragment, but for its length."""
    listener, shelf = listen()
    request = raw_peer.pdv(1, 3, raw_peer.command(1, sop_class=raw_peer.CT, sop_instance="1.2.3"))
    with RawPeer(listener.port).associated() as peer:
        peer.send(raw_peer.p_data(request) + struct.pack(">BBLLBB", 4, 0, 200_000, 199_996, 1, 0))
        assert gone(peer)
    assert not shelf.kept


@pytest.mark.parametrize("fragment", [16_000, 100_000])
def test_a_message_over_the_cap_ends_the_association_and_leaves_nothing(listen, fragment: int) -> None:
    """Bytes per instance are capped; the peer is aborted amid the data set."""
    listener, shelf = listen(limits=replace(QUICK, instance_bytes=300_000))
    with RawPeer(listener.port).associated() as peer:
        peer.send(raw_peer.store("1.2.3", b"a" * 200_000))
        assert peer.status() == 0
        with contextlib.suppress(ConnectionError):
            peer.send(raw_peer.store("1.2.4", b"a" * 400_000, fragment=fragment))
        assert gone(peer)
    shelf.wait_for("closed")
    assert list(shelf.kept) == ["1.2.3"]
    assert shelf.calls["begun"] - shelf.calls["finished"] == shelf.calls["abandoned"]


def test_a_command_set_without_end_is_capped_too(listen) -> None:
    """Fragments of a command that never ends count like those of a data set."""
    listener, _ = listen(limits=replace(QUICK, instance_bytes=300_000))
    with RawPeer(listener.port).associated() as peer:
        try:
            for _ in range(10):
                peer.send(raw_peer.p_data(raw_peer.pdv(1, 1, b"\0" * 100_000)))
        except ConnectionError:
            pass
        assert gone(peer)


@pytest.mark.parametrize("sent", [b"", raw_peer.associate()[:3], raw_peer.associate()[:50]])
def test_a_half_open_connection_is_closed(listen, sent: bytes) -> None:
    """Who connects and does not ask for an association in time is dropped (ARTIM)."""
    listener, shelf = listen(limits=SOON)
    with RawPeer(listener.port) as peer:
        peer.send(sent)
        started = time.monotonic()
        assert gone(peer)
        assert time.monotonic() - started < 3
    assert not shelf.calls["opened"]


def test_an_association_request_that_trickles_in_is_cut_off(listen) -> None:
    """A byte now and then does not keep a half-open connection alive."""
    listener, _ = listen(limits=SOON)
    with RawPeer(listener.port) as peer:
        started = time.monotonic()
        try:
            for byte in raw_peer.associate():
                peer.send(bytes([byte]))
                time.sleep(0.05)
        except ConnectionError:
            pass
        assert gone(peer)
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("sent", [b"", raw_peer.store("1.2.3", b"a" * 50_000)[:30_000]])
def test_silence_ends_an_association(listen, sent: bytes) -> None:
    """Between messages and amid a data set."""
    listener, shelf = listen(limits=SOON)
    with RawPeer(listener.port).associated() as peer:
        peer.send(sent)
        assert gone(peer)
    shelf.wait_for("closed")
    assert not shelf.kept
    assert shelf.calls["begun"] == shelf.calls["abandoned"]


def test_an_association_has_an_end_however_busy_it_is(listen) -> None:
    """Time per association is capped."""
    listener, shelf = listen(limits=replace(QUICK, association_seconds=0.7))
    started = time.monotonic()
    with RawPeer(listener.port).associated() as peer:
        try:
            while time.monotonic() - started < 8:
                peer.send(raw_peer.echo())
                if peer.read()[0] != 4:
                    break
                time.sleep(0.05)
        except ConnectionError:
            pass
    shelf.wait_for("closed")
    assert time.monotonic() - started < 4


def test_a_slow_peer_delays_nobody(listen) -> None:
    """While one peer dawdles amid a data set, others store."""
    listener, shelf = listen()
    whole = raw_peer.store("1.2.1", b"a" * 50_000)
    with RawPeer(listener.port).associated() as slow, RawPeer(listener.port).associated() as quick:
        slow.send(whole[:20_000])
        for number in range(2, 12):
            quick.send(raw_peer.store(f"1.2.{number}", b"b" * 50_000))
            assert quick.status() == 0
        slow.send(whole[20_000:])
        assert slow.status() == 0
    assert len(shelf.kept) == 11


def test_associations_over_the_cap_are_rejected_as_transient(listen) -> None:
    """Result 2 (transient), source 3, reason 2 (local limit exceeded); there is room again once one has gone."""
    listener, shelf = listen(limits=replace(QUICK, associations=2))
    with RawPeer(listener.port).associated(), RawPeer(listener.port) as third:
        with RawPeer(listener.port).associated():
            third.send(raw_peer.associate())
            assert rejection(third) == (2, 3, 2)
        shelf.wait_for("closed")
        with RawPeer(listener.port).associated():
            assert listener.associations() == 2


def test_associations_of_one_address_are_capped(listen) -> None:
    """One peer cannot take all there is."""
    listener, _ = listen(limits=replace(QUICK, associations_per_address=1))
    with RawPeer(listener.port).associated(), RawPeer(listener.port) as second:
        second.send(raw_peer.associate())
        assert rejection(second) == (2, 3, 2)


def test_connections_over_the_cap_are_closed_at_once(listen) -> None:
    """Half-open connections are counted as well."""
    listener, _ = listen(limits=replace(QUICK, connections=1))
    with RawPeer(listener.port).associated(), RawPeer(listener.port) as second:
        assert gone(second)


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (AccessPolicy(called_aets=frozenset({"OTHER"})), (1, 1, 7)),
        (AccessPolicy(calling_aets=frozenset({"PACS"})), (1, 1, 3)),
    ],
)
def test_an_unknown_ae_title_is_rejected_for_good(listen, policy: AccessPolicy, reason: tuple[int, int, int]) -> None:
    """PS3.8 Table 9-21: called or calling AE title not recognised."""
    listener, shelf = listen(access=policy)
    with RawPeer(listener.port) as peer:
        peer.send(raw_peer.associate())
        assert rejection(peer) == reason
    assert not shelf.calls["opened"]


def test_another_network_is_not_even_answered(listen) -> None:
    """The connection is closed before a byte is read."""
    listener, _ = listen(access=AccessPolicy(networks=(ipaddress.ip_network("10.0.0.0/8"),)))
    with RawPeer(listener.port) as peer:
        assert gone(peer)


def test_the_intake_can_turn_peers_away(listen) -> None:
    """A full disk rejects associations as temporarily congested; an error of the intake lets nobody in either."""
    listener, shelf = listen(Shelf(rejection=Rejection(RejectCause.CONGESTION, "disk is full")))
    with RawPeer(listener.port) as peer:
        peer.send(raw_peer.associate())
        assert rejection(peer) == (2, 3, 1)
    shelf.rejection = None
    shelf.admit = lambda _peer: 1 / 0
    with RawPeer(listener.port) as peer:
        peer.send(raw_peer.associate())
        assert rejection(peer) == (2, 3, 1)


def test_two_hundred_connections_at_once_are_each_accepted_or_rejected(listen) -> None:
    """Within the cap they store, beyond it they hear why; afterwards nothing is left open."""
    listener, shelf = listen(limits=replace(QUICK, associations=16, associations_per_address=16, request_seconds=20))
    together = threading.Barrier(200)

    def call(number: int) -> int:
        with RawPeer(listener.port, 30) as peer:
            together.wait()
            peer.send(raw_peer.associate())
            kind, _ = peer.read()
            if kind == 2:
                peer.send(raw_peer.store(f"1.2.{number}", b"x" * 20_000))
                assert peer.status() == 0
                peer.send(raw_peer.RELEASE)
                assert peer.read()[0] == 6
            return kind

    with ThreadPoolExecutor(200) as pool:
        kinds = list(pool.map(call, range(200)))
    assert set(kinds) <= {2, 3}
    assert len(shelf.kept) == kinds.count(2) > 0
    shelf.wait_for("closed", kinds.count(2))
    assert listener.associations() == 0


def test_a_half_open_connection_does_not_delay_the_stop(listen) -> None:
    """Stopping waits for instances, not for peers that never asked for an association."""
    listener, _ = listen(limits=replace(QUICK, request_seconds=30))
    with RawPeer(listener.port):
        time.sleep(0.2)
        started = time.monotonic()
        listener.stop()
        assert time.monotonic() - started < 5
