"""What a listener makes of well-behaved peers, over both receive paths."""

import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import raw_peer
from pydicom.filereader import read_file_meta_info
from pynetdicom.dsutils import split_dataset
from raw_peer import RawPeer
from wire_intake import Shelf

from dicomnode.errors import Refuse
from dicomnode.network.archive import files
from dicomnode.network.contexts import TRANSFER_SYNTAXES, decodable
from dicomnode.network.intake import Ending
from dicomnode.network.outbound import Destination
from dicomnode.network.sender import send
from dicomnode.network.server import open_port
from dicomnode.network.statuses import Outcome


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)


def data_set(path: Path) -> bytes:
    """The encoded data set of a Part 10 file."""
    return path.read_bytes()[split_dataset(path)[1] :]


def padded(data: bytes) -> bytes:
    """With the NULL that a deflated stream of odd length gets (PS3.5 A.5)."""
    return data + b"\0" * (len(data) % 2)


@pytest.mark.peer
def test_dcmtk_echoscu_is_answered(listen, require_peer: Callable[[str], str]) -> None:
    """C-ECHO of a foreign implementation succeeds."""
    listener, shelf = listen()
    assert run(require_peer("echoscu"), "-aec", "DICOMNODE", "127.0.0.1", listener.port).returncode == 0
    shelf.wait_for("closed")
    assert shelf.endings == [Ending.RELEASED]


@pytest.mark.peer
@pytest.mark.real
@pytest.mark.parametrize("program", ["storescu", "dcmsend"])
def test_a_series_is_kept_byte_for_byte(listen, storescp, require_peer, real_data: Path, program: str) -> None:
    """A foreign sender's real series is kept as dcmtk's receiver keeps it in its bit-preserving mode."""
    listener, shelf = listen()
    port, folder = storescp("+B")
    arguments = [require_peer(program), "-aec", "DICOMNODE", "+sd", "+r", "127.0.0.1"]
    for target in (listener.port, port):
        found = run(*arguments, target, real_data / "ct" / "crlm1006")
        assert found.returncode == 0, found.stderr
    kept = sorted(data for _, data in shelf.kept.values())
    assert len(kept) == 51
    assert kept == sorted(data_set(path) for path in folder.iterdir())


@pytest.mark.real
def test_every_transfer_syntax_that_can_be_decoded_is_kept_byte_for_byte(listen, real_data: Path) -> None:
    """Real objects in all transfer syntaxes of the table; any other is refused at negotiation, with a reason."""
    listener, shelf = listen(others=("1.2.840.10008.5.1.4.1.1.7",))
    destination = Destination("DICOMNODE", "127.0.0.1", listener.port)
    seen = set()
    for item, answer in send(destination, files(real_data / "robust")):
        syntax = str(read_file_meta_info(item[2]).TransferSyntaxUID)
        if answer.outcome is Outcome.ACCEPTED:
            seen.add(syntax)
            request, kept = shelf.kept[item[1]]
            assert (request.sop_class_uid, request.transfer_syntax_uid) == (item[0], syntax)
            assert shelf.history[item[1]][-1] == kept == padded(data_set(item[2]))
        else:
            assert answer.reason.startswith("the peer does not accept")
    in_hand = {row.uid for row in TRANSFER_SYNTAXES if not row.uid.startswith("1.2.840.10008.1.2.4.20")}
    assert seen == in_hand & decodable()


@pytest.mark.peer
@pytest.mark.parametrize(("option", "syntax"), [("-xe", "1.2.840.10008.1.2.1"), ("-xi", "1.2.840.10008.1.2")])
@pytest.mark.real
def test_a_foreign_peer_chooses_an_uncompressed_syntax(listen, require_peer, real_data, option, syntax) -> None:
    """What was negotiated is what is told of the instance."""
    listener, shelf = listen()
    path = next((real_data / "ct" / "acrin001-abd").iterdir())
    assert (
        run(require_peer("storescu"), option, "-R", "-aec", "DICOMNODE", "127.0.0.1", listener.port, path).returncode
        == 0
    )
    assert [request.transfer_syntax_uid for request, _ in shelf.kept.values()] == [syntax]


@pytest.mark.parametrize("fragment", [1, 2, 1000, 32_766, 65530, 131_060])
def test_fragments_are_joined_whatever_their_size(listen, fragment: int) -> None:
    """A data set in many small pieces is the same data set."""
    listener, shelf = listen()
    data = bytes(range(256)) * 16
    with RawPeer(listener.port).associated() as peer:
        peer.send(raw_peer.store("1.2.3", data, fragment=fragment))
        assert peer.status() == 0x0000
    assert shelf.kept["1.2.3"][1] == data


@pytest.mark.parametrize("split", ["one PDU for all", "command in two items", "command in two PDUs", "empty last item"])
def test_unusual_but_legal_framings_are_understood(listen, split: str) -> None:
    """PS3.8 Annex E lets items be cut and grouped freely."""
    listener, shelf = listen()
    request = raw_peer.command(1, sop_class=raw_peer.CT, sop_instance="1.2.3")
    data = raw_peer.pdv(1, 2, b"data set")
    head, tail = raw_peer.pdv(1, 1, request[:20]), raw_peer.pdv(1, 3, request[20:])
    whole = raw_peer.pdv(1, 3, request)
    framed = {
        "one PDU for all": raw_peer.p_data(whole, data),
        "command in two items": raw_peer.p_data(head, tail) + raw_peer.p_data(data),
        "command in two PDUs": raw_peer.p_data(head) + raw_peer.p_data(tail) + raw_peer.p_data(data),
        "empty last item": raw_peer.p_data(whole)
        + raw_peer.p_data(raw_peer.pdv(1, 0, b"data set"))
        + raw_peer.p_data(raw_peer.pdv(1, 2, b"")),
    }
    with RawPeer(listener.port).associated() as peer:
        peer.send(framed[split] + raw_peer.echo(2))
        assert peer.status() == 0x0000
        assert peer.status() == 0x0000
    assert shelf.kept["1.2.3"][1] == b"data set"


def test_messages_may_come_before_the_answer_to_the_last_one(listen) -> None:
    """A peer that does not wait gets every answer, in order."""
    listener, shelf = listen()
    with RawPeer(listener.port).associated() as peer:
        peer.send(b"".join(raw_peer.store(f"1.2.{n}", b"x" * n, message_id=n) for n in range(1, 6)) + raw_peer.echo(6))
        assert [peer.status() for _ in range(6)] == [0] * 6
        peer.send(raw_peer.RELEASE)
        assert peer.read()[0] == 6
    shelf.wait_for("closed")
    assert sorted(shelf.kept) == [f"1.2.{n}" for n in range(1, 6)]


@pytest.mark.parametrize("moment", ["begin", "write", "finish"])
def test_a_refusal_is_a_status_and_the_association_goes_on(listen, moment: str) -> None:
    """Whenever an instance is refused, the peer hears why, nothing of it is kept, and the next one is welcome."""

    def refuse(now: str, request) -> None:
        if now == moment and request.sop_instance_uid == "1.2.666":
            raise Refuse("not wanted", 0x0124)

    listener, shelf = listen(Shelf(refuse=refuse))
    with RawPeer(listener.port).associated() as peer:
        peer.send(raw_peer.store("1.2.666", b"a" * 100_000))
        kind, body = peer.read()
        assert kind == 4
        assert b"not wanted" in body
        assert b"\x24\x01" in body
        peer.send(raw_peer.store("1.2.3", b"b"))
        assert peer.status() == 0x0000
    assert list(shelf.kept) == ["1.2.3"]
    assert shelf.calls["abandoned"] == (0 if moment == "begin" else 1)


@pytest.mark.parametrize(
    ("error", "status"),
    [(OSError(28, "no space left"), 0xA700), (MemoryError(), 0xA700), (KeyError("a bug"), 0x0110)],
)
def test_an_error_of_ours_is_never_a_success(listen, error: Exception, status: int) -> None:
    """A full disk is 0xA700, a bug is a processing failure; the association goes on."""

    def fail(now: str, request) -> None:
        if now == "finish" and request.sop_instance_uid == "1.2.666":
            raise error

    listener, shelf = listen(Shelf(refuse=fail))
    with RawPeer(listener.port).associated() as peer:
        peer.send(raw_peer.store("1.2.666", b"a"))
        assert peer.status() == status
        peer.send(raw_peer.store("1.2.3", b"b"))
        assert peer.status() == 0x0000
    assert list(shelf.kept) == ["1.2.3"]


def test_a_class_that_is_not_the_negotiated_one_is_refused(listen) -> None:
    """A C-STORE-RQ for MR on a presentation context for CT: 0x0122."""
    listener, shelf = listen()
    with RawPeer(listener.port).associated() as peer:
        peer.send(raw_peer.store("1.2.3", b"a", sop_class="1.2.840.10008.5.1.4.1.1.4"))
        assert peer.status() == 0x0122
    assert not shelf.kept


@pytest.mark.parametrize("last", ["closes", "aborts", "releases"])
def test_an_instance_that_is_cut_off_leaves_nothing(listen, last: str) -> None:
    """Half a data set is not kept, however the peer goes."""
    listener, shelf = listen()
    whole = raw_peer.store("1.2.3", b"a" * 300_000)
    with RawPeer(listener.port).associated() as peer:
        peer.send(whole[: len(whole) // 2])
        if last != "closes":
            whole = raw_peer.p_data(
                raw_peer.pdv(1, 3, raw_peer.command(1, sop_class=raw_peer.CT, sop_instance="1.2.4"))
            )
    with RawPeer(listener.port).associated() as peer:
        if last != "closes":
            peer.send(whole + raw_peer.p_data(raw_peer.pdv(1, 0, b"half")))
            peer.send(raw_peer.ABORT if last == "aborts" else raw_peer.RELEASE)
            peer.read()
    shelf.wait_for("closed", 2)
    assert not shelf.kept
    assert shelf.calls["begun"] == shelf.calls["abandoned"]


def long_pieces(*sizes: int) -> tuple[bytes, bytes]:
    """(the data set, the PDUs behind the command) in fragments of these sizes."""
    pieces = [bytes([number + 1]) * size for number, size in enumerate(sizes)]
    pdus = [raw_peer.p_data(raw_peer.pdv(1, 2 * (at == len(pieces)), piece)) for at, piece in enumerate(pieces, 1)]
    return b"".join(pieces), b"".join(pdus)


@pytest.mark.parametrize("sizes", [(120_000,), (120_000, 10, 90_000), (5, 120_000), (60_000, 0), (131_000, 131_000, 2)])
@pytest.mark.parametrize("step", [7_000, 65_536, 1 << 20])
def test_long_and_short_fragments_follow_each_other(listen, sizes: tuple[int, ...], step: int) -> None:
    """However the network cuts them, and with the next message right behind."""
    listener, shelf = listen()
    data, pdus = long_pieces(*sizes)
    sent = b"".join(
        raw_peer.p_data(raw_peer.pdv(1, 3, raw_peer.command(1, sop_class=raw_peer.CT, sop_instance=uid))) + pdus
        for uid in ("1.2.3", "1.2.4")
    )
    with RawPeer(listener.port).associated() as peer:
        for start in range(0, len(sent), step):
            peer.send(sent[start : start + step])
        assert (peer.status(), peer.status()) == (0, 0)
    assert shelf.kept["1.2.3"][1] == shelf.kept["1.2.4"][1] == data


def test_a_connection_that_ends_within_a_long_fragment_leaves_nothing(listen) -> None:
    listener, shelf = listen()
    with RawPeer(listener.port).associated() as peer:
        peer.send(raw_peer.store("1.2.3", b"a" * 100_000, fragment=100_000)[:70_000])
    shelf.wait_for("closed", seconds=5)
    assert not shelf.kept
    assert shelf.calls["begun"] == shelf.calls["abandoned"]


@pytest.mark.parametrize("odd", [raw_peer.ABORT, raw_peer.RELEASE])
def test_the_end_of_an_association_amid_a_data_set_is_seen_at_once(listen, odd: bytes) -> None:
    """Between two long fragments, in a PDU that is shorter than the heads of one, on a connection that stays open."""
    listener, shelf = listen()
    request = raw_peer.pdv(1, 3, raw_peer.command(1, sop_class=raw_peer.CT, sop_instance="1.2.3"))
    with RawPeer(listener.port).associated() as peer:
        peer.send(raw_peer.p_data(request) + raw_peer.p_data(raw_peer.pdv(1, 0, b"a" * 100_000)) + odd)
        shelf.wait_for("closed", seconds=5)
    assert not shelf.kept
    assert shelf.calls["begun"] == shelf.calls["abandoned"]


def test_what_comes_in_one_go_is_taken_apart(listen) -> None:
    """Instances larger than what is read ahead, small ones, an echo between them and the release, without a pause."""
    listener, shelf = listen()
    sizes = {f"1.2.{number}": size for number, size in enumerate([700_001, 3, 393_216, 1_300_000, 0], start=1)}
    whole = {uid: bytes([int(uid[4:])]) * size for uid, size in sizes.items()}
    stores = [raw_peer.store(uid, data, fragment=131_000) for uid, data in whole.items()]
    with RawPeer(listener.port).associated() as peer:
        sender = threading.Thread(target=peer.send, args=(b"".join([*stores[:2], raw_peer.echo(), *stores[2:]]),))
        sender.start()
        assert [peer.status() for _ in range(6)] == [0] * 6
        sender.join(10)
        peer.send(raw_peer.RELEASE)
        assert peer.read()[0] == 6
    shelf.wait_for("closed")
    assert {uid: data for uid, (_, data) in shelf.kept.items()} == whole
    assert shelf.endings == [Ending.RELEASED]


def test_crumbs_are_put_together(listen) -> None:
    """PDUs with many items of a few bytes, and PDUs of a few bytes."""
    listener, shelf = listen()
    data = bytes(range(256)) * 8
    head = raw_peer.store("1.2.3", b"", fragment=1)[: -len(raw_peer.p_data(raw_peer.pdv(1, 2, b"")))]
    many = raw_peer.p_data(*(raw_peer.pdv(1, 0, data[at : at + 1]) for at in range(1500)))
    few = b"".join(raw_peer.p_data(raw_peer.pdv(1, 0, data[at : at + 1])) for at in range(1500, 2048))
    with RawPeer(listener.port).associated() as peer:
        peer.send(head + many + few + raw_peer.p_data(raw_peer.pdv(1, 2, b"")))
        assert peer.status() == 0
    assert shelf.kept["1.2.3"][1] == data


def test_several_listeners_share_a_port(listen) -> None:
    """Each can leave alone, and what comes while nobody is there waits."""
    port = open_port("127.0.0.1", 0)
    number = port.getsockname()[1]
    first, _ = listen(shared=True, listening=port.dup())
    second, shelf = listen(shared=True, listening=port.dup())
    assert first.port == second.port == number
    first.stop()
    with RawPeer(number).associated() as peer:
        peer.send(raw_peer.store("1.2.3", b"x"))
        assert peer.status() == 0
    assert list(shelf.kept) == ["1.2.3"]
    second.stop()
    with RawPeer(number) as peer:
        _, shelf = listen(listening=port.dup())
        peer.associated()
        peer.send(raw_peer.store("1.2.4", b"x"))
        assert peer.status() == 0
    port.close()


def test_connections_are_shared_out(listen) -> None:
    """Who has fewer takes the next: about half of them each, on a machine that is not too busy to be polite."""
    port = open_port("127.0.0.1", 0)
    listeners = [listen(shared=True, listening=port.dup())[0] for _ in range(2)]
    with port, ExitStack() as stack:
        for _ in range(12):
            stack.enter_context(RawPeer(port.getsockname()[1]).associated())
        taken = [listener.associations() for listener in listeners]
    assert sum(taken) == 12
    assert min(taken) >= 4


def test_who_has_guests_lets_the_others_go_first(listen) -> None:
    """One that is idle takes nearly all that comes, on a machine that is not too busy to be polite."""
    port = open_port("127.0.0.1", 0)
    number = port.getsockname()[1]
    with port, ExitStack() as stack:
        busy, shelf = listen(shared=True, listening=port.dup())
        for _ in range(4):
            stack.enter_context(RawPeer(number).associated())
        assert busy.associations() == 4
        _, idle_shelf = listen(shared=True, listening=port.dup())
        for at in range(10):
            with RawPeer(number).associated() as peer:
                peer.send(raw_peer.store(f"1.2.{at + 1}", b"x"))
                assert peer.status() == 0
            time.sleep(0.03)  # who was woken for this one is not there at once for the next
    assert len(shelf.kept) + len(idle_shelf.kept) == 10
    assert len(idle_shelf.kept) >= 9


def test_stopping_lets_an_instance_finish(listen, streaming: bool) -> None:
    """An instance that is on its way when the listener stops is kept, and answered, by the streaming sink."""
    if not streaming:
        pytest.skip("pynetdicom's own path ends its associations at once")
    writing = threading.Event()
    listener, shelf = listen(Shelf(refuse=lambda now, _: writing.set() if now == "begin" else None))
    whole = raw_peer.store("1.2.3", b"a" * 100_000)
    with RawPeer(listener.port).associated() as peer:
        peer.send(whole[:60_000])
        assert writing.wait(5)
        stopping = threading.Thread(target=listener.stop)
        stopping.start()
        peer.send(whole[60_000:])
        assert peer.status() == 0
        assert peer.read()[0] == 7
        stopping.join(10)
    assert shelf.kept["1.2.3"][1] == b"a" * 100_000
