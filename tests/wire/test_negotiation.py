"""Who proposes the same again is answered the same, over both receive paths; whether he may come in is asked anew."""

import random
import struct
from collections.abc import Callable

import pytest
import raw_peer
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom import acse
from pynetdicom.pdu import A_ASSOCIATE_AC
from raw_peer import RawPeer, item
from test_fuzz import Harness, mutated
from test_receiving import run
from wire_intake import Shelf

from dicomnode.network.access import AccessPolicy
from dicomnode.network.intake import RejectCause, Rejection
from dicomnode.network.negotiation import FIXED_BYTES, LONGEST_PROPOSAL_BYTES, MOST_AGREEMENTS, Agreement, Agreements

SCP_TOO = item(0x54, struct.pack(">H", len(raw_peer.CT)) + raw_peer.CT.encode() + b"\1\1")
"""Role selection, PS3.7 Table D.3-9."""
WINDOW = item(0x53, struct.pack(">HH", 0, 0))
"""Asynchronous operations, PS3.7 Table D.3-7."""
PASSWORD = item(0x58, b"\2\0" + struct.pack(">H", 4) + b"user" + struct.pack(">H", 6) + b"secret")
"""User identity, PS3.7 Table D.3-14."""
AGREEMENT = Agreement("", [], [], {}, [], b"")


def proposing(*more: bytes) -> bytes:
    """An A-ASSOCIATE-RQ with these items more in its user information, which is its last item."""
    request = raw_peer.associate()
    at = request.rindex(item(0x51, struct.pack(">L", 131072))) - 4
    items = request[at + 4 :] + b"".join(more)
    body = request[6:at] + item(0x50, items)
    return struct.pack(">BBL", 1, 0, len(body)) + body


def answer(port: int, request: bytes) -> tuple[int, bytes]:
    """PDU type and body, of an association that then stores something if it can."""
    with RawPeer(port) as peer:
        peer.send(request)
        kind, body = peer.read()
        if kind == 2:
            peer.send(raw_peer.store("1.2.3", b"data"))
            assert peer.status() == 0
            peer.send(raw_peer.echo())
            assert peer.status() == 0
            peer.send(raw_peer.RELEASE)
            assert peer.read()[0] == 6
        return kind, body


@pytest.fixture
def negotiated(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Grows by one whenever pynetdicom negotiates."""
    calls: list[object] = []
    original = acse.negotiate_as_acceptor

    def counted(*arguments: object) -> object:
        calls.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(acse, "negotiate_as_acceptor", counted)
    return calls


@pytest.mark.parametrize("more", [(), (SCP_TOO,), (WINDOW,), (SCP_TOO, WINDOW)])
def test_the_same_proposal_is_negotiated_once(
    listen, streaming: bool, negotiated: list[object], more: tuple[bytes, ...]
) -> None:
    """Bytes of the answer, storing, echo and release are the same three times."""
    listener, shelf = listen()
    answers = [answer(listener.port, proposing(*more)) for _ in range(3)]
    shelf.wait_for("closed", 3)
    assert answers[0][0] == 2
    assert answers == answers[:1] * 3
    assert len(negotiated) == (1 if streaming else 3)
    assert [peer.calling_aet for peer in shelf.peers] == ["RAWPEER"] * 3


def test_another_proposal_is_another_answer(listen) -> None:
    """What one peer agreed upon says nothing about the next: here the transfer syntax is another."""
    listener, _ = listen()
    explicit, implicit = (raw_peer.associate(syntax=syntax) for syntax in (raw_peer.EXPLICIT, raw_peer.IMPLICIT))
    for _ in range(2):
        assert item(0x40, raw_peer.EXPLICIT.encode()) in answer(listener.port, explicit)[1]
        assert item(0x40, raw_peer.EXPLICIT.encode()) not in answer(listener.port, implicit)[1]


def test_titles_are_those_of_each_request(listen) -> None:
    """The answer repeats them, and the log shows them."""
    listener, shelf = listen()
    for calling in ("FIRST", "SECOND", "THIRD"):
        kind, body = answer(listener.port, raw_peer.associate(calling=calling, called=f"TO{calling}"))
        assert kind == 2
        assert body[4:36] == f"TO{calling}".ljust(16).encode() + calling.ljust(16).encode()
    shelf.wait_for("closed", 3)
    assert [(peer.calling_aet, peer.called_aet) for peer in shelf.peers] == [
        ("FIRST", "TOFIRST"),
        ("SECOND", "TOSECOND"),
        ("THIRD", "TOTHIRD"),
    ]


def test_a_familiar_proposal_opens_no_door(listen) -> None:
    """Allow-lists, the intake and the protocol version are asked each time."""
    access = AccessPolicy(calling_aets=frozenset({"RAWPEER"}))
    listener, shelf = listen(access=access)
    assert answer(listener.port, raw_peer.associate())[0] == 2
    assert answer(listener.port, raw_peer.associate(calling="STRANGER")) == (3, bytes((0, 1, 1, 3)))
    shelf.rejection = Rejection(RejectCause.CONGESTION, "busy")
    assert answer(listener.port, raw_peer.associate()) == (3, bytes((0, 2, 3, 1)))
    shelf.rejection = None
    odd = raw_peer.associate()
    assert answer(listener.port, odd[:6] + b"\0\2" + odd[8:]) == (3, bytes((0, 1, 2, 2)))
    assert answer(listener.port, raw_peer.associate())[0] == 2


def test_passwords_are_not_remembered(listen, negotiated: list[object]) -> None:
    """A proposal with a user identity is accepted as ever, and looked at each time."""
    listener, _ = listen()
    answers = [answer(listener.port, proposing(PASSWORD)) for _ in range(2)]
    assert [kind for kind, _ in answers] == [2, 2]
    assert len(negotiated) == 2


@pytest.mark.peer
def test_dcmtk_is_answered_the_same(
    listen, streaming: bool, negotiated: list[object], require_peer: Callable[[str], str]
) -> None:
    """A hundred contexts: what it says of the answer is the same each time."""
    listener, _ = listen()
    said = [run(require_peer("echoscu"), "-d", "-pts", 10, "-ppc", 100, "127.0.0.1", listener.port) for _ in range(3)]
    assert all(result.returncode == 0 for result in said)
    agreed = ["\n".join(line for line in result.stderr.splitlines() if "Syntax" in line) for result in said]
    assert agreed[0].count("Accepted Transfer Syntax") == 100
    assert agreed[1:] == agreed[:1] * 2
    assert len(negotiated) == (1 if streaming else 3)


@given(st.integers(0, 2**32))
def test_whatever_is_proposed_is_answered_the_same_again(seed: int) -> None:
    """Mutated requests too, but for the fixed fields, where pynetdicom tidies up and the standard says repeat."""
    traffic = mutated(random.Random(seed))
    harness = Harness()
    _, first = harness.run(traffic)
    for _ in range(2):
        _, again = harness.run(traffic)
        assert again[:10] + again[FIXED_BYTES:] == first[:10] + first[FIXED_BYTES:]


def test_the_answer_is_whole(listen) -> None:
    """pynetdicom reads what the remembered answer says."""
    listener, _ = listen()
    for _ in range(2):
        kind, body = answer(listener.port, proposing(SCP_TOO))
        pdu = A_ASSOCIATE_AC()
        pdu.decode(struct.pack(">BBL", kind, 0, len(body)) + body)
        assert [context.result for context in pdu.presentation_context] == [0, 0]
        assert pdu.to_primitive().user_information


def test_only_so_many_are_remembered() -> None:
    """The one that nobody asked for longest goes first."""
    agreements = Agreements()
    for number in range(MOST_AGREEMENTS):
        agreements.keep(bytes([number]), AGREEMENT)
    assert agreements.find(b"\0") is AGREEMENT
    agreements.keep(b"one more", AGREEMENT)
    assert len(agreements) == MOST_AGREEMENTS
    assert agreements.find(b"\0") is AGREEMENT
    assert agreements.find(b"\1") is None


def test_a_long_proposal_is_not_remembered() -> None:
    """It would cost memory, and nobody is known who sends one."""
    agreements = Agreements()
    agreements.keep(bytes(LONGEST_PROPOSAL_BYTES), AGREEMENT)
    agreements.keep(bytes(LONGEST_PROPOSAL_BYTES + 1), AGREEMENT)
    assert len(agreements) == 1


def test_only_who_was_let_in_is_remembered() -> None:
    """A rejected peer leaves nothing behind."""
    harness = Harness()
    shelf = Shelf(rejection=Rejection(RejectCause.LIMIT, "full"))
    harness.run(raw_peer.associate(), shelf)
    assert len(harness.agreements) == 0
    harness.run(raw_peer.associate())
    assert len(harness.agreements) == 1
