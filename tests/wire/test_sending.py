"""What becomes of instances that the node sends, with well-behaved and other peers."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import raw_peer
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.dsutils import split_dataset
from wire_ports import QUICK

from dicomnode.network.archive import Archive, files
from dicomnode.network.outbound import Destination
from dicomnode.network.sender import Item, echo, send
from dicomnode.network.statuses import Answer, Outcome

CT = raw_peer.CT


def instance(folder: Path, number: int, size: int = 4000) -> Item:
    """A small CT object in a file."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CT, f"1.2.3.{number}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.0"
    dataset.Rows, dataset.Columns, dataset.BitsAllocated, dataset.PixelRepresentation = 1, min(size // 2, 65_535), 16, 0
    dataset.PixelData = bytes(size)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = folder / f"{number}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return CT, dataset.SOPInstanceUID, path


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    return [instance(tmp_path, number) for number in range(1, 4)]


def outcomes(answers: Iterator[tuple[Item, Answer]]) -> list[Outcome]:
    return [answer.outcome for _, answer in answers]


@contextmanager
def misbehaving(script: Callable[[socket.socket], None]) -> Iterator[Destination]:
    """A peer that accepts the association, then does as `script` says."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = threading.Event()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                contexts = b"".join(
                    raw_peer.item(0x21, bytes((number, 0, 0, 0)) + raw_peer.item(0x40, raw_peer.EXPLICIT.encode()))
                    for number in (1, 3)
                )
                answer = bytearray(raw_peer.associate())
                start = answer.index(b"\x20\0")
                user = raw_peer.item(
                    0x50, raw_peer.item(0x51, (16384).to_bytes(4, "big")) + raw_peer.item(0x52, b"1.2")
                )
                body = bytes(answer[6:start]) + contexts + user
                connection.sendall(b"\x02\0" + len(body).to_bytes(4, "big") + body)
                script(connection)
                done.wait(10)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = server.getsockname()[1]
        try:
            yield Destination("PEER", "127.0.0.1", port, connect_seconds=3, reply_seconds=0.7)
        finally:
            done.set()
            thread.join(5)


@pytest.mark.peer
@pytest.mark.real
def test_dcmtk_receives_exactly_what_lies_on_disk(storescp, real_data: Path) -> None:
    """Data sets leave without being decoded, in every transfer syntax that the peer takes."""
    port, folder = storescp("+B", "+xa")
    sent = [
        item
        for item, answer in send(Destination("STORESCP", "127.0.0.1", port), files(real_data / "robust"))
        if answer.outcome is Outcome.ACCEPTED
    ]
    assert len(sent) > 15
    tails = {path.read_bytes()[split_dataset(path)[1] :] for path in folder.iterdir()}
    on_disk = {item[2].read_bytes()[split_dataset(item[2])[1] :] for item in sent}
    assert tails <= {data + b"\0" * (len(data) % 2) for data in on_disk}
    assert len(tails) > 10


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"])
def test_a_peer_that_takes_another_uncompressed_syntax_gets_that(items: list[Item], syntax: str) -> None:
    """Explicit VR files reach a peer that knows only implicit VR, with the same content."""
    got: list[Dataset] = []
    ae = AE("IMPLICIT")
    ae.add_supported_context(CT, syntax)

    def keep(event: evt.Event) -> int:
        got.append(event.dataset)
        return 0

    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
    try:
        answers = dict(send(Destination("IMPLICIT", "127.0.0.1", server.server_address[1]), items))
    finally:
        server.shutdown()
    if syntax.endswith(".99"):
        assert {answer.outcome for answer in answers.values()} == {Outcome.REJECTED}
        return
    assert {answer.outcome for answer in answers.values()} == {Outcome.ACCEPTED}
    assert got == [dcmread(path) for _, _, path in items]


def test_each_instance_has_its_own_answer(tmp_path: Path, items: list[Item]) -> None:
    """Success, warning, transient and permanent failure are told apart, and one does not hold up the others."""
    statuses = {"1.2.3.1": 0xB007, "1.2.3.2": 0xA700, "1.2.3.3": 0xC123}
    with Archive(tmp_path / "archive", verdict=lambda uid: statuses.get(uid, 0)) as archive:
        more = [*items, instance(tmp_path, 4)]
        answers = list(send(Destination("ARCHIVE", "127.0.0.1", archive.port), more))
        assert [item for item, _ in answers] == more
        assert [(answer.outcome, answer.status) for _, answer in answers] == [
            (Outcome.ACCEPTED, 0xB007),
            (Outcome.LATER, 0xA700),
            (Outcome.REJECTED, 0xC123),
            (Outcome.ACCEPTED, 0x0000),
        ]
        assert set(archive.instances()) == {"1.2.3.1", "1.2.3.4"}


def test_a_class_that_the_peer_does_not_take_is_rejected_with_a_reason(tmp_path: Path, items: list[Item]) -> None:
    """Only the instances concerned."""
    odd = ("1.2.840.10008.5.1.4.1.1.7", "1.2.3.9", items[0][2])
    ae = AE("CTONLY")
    ae.add_supported_context(CT)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda _: 0)])
    try:
        answers = list(send(Destination("CTONLY", "127.0.0.1", server.server_address[1]), [odd, items[1]]))
    finally:
        server.shutdown()
    assert answers[0][1].outcome is Outcome.REJECTED
    assert "Secondary Capture" in answers[0][1].reason
    assert answers[1][1].outcome is Outcome.ACCEPTED


def test_a_peer_that_is_away_is_tried_later(items: list[Item]) -> None:
    """Nothing listens, or no such host: every item LATER."""
    assert outcomes(send(Destination("X", "127.0.0.1", 1), items)) == [Outcome.LATER] * 3
    assert outcomes(send(Destination("X", "host.invalid", 104), items)) == [Outcome.LATER] * 3
    assert echo(Destination("X", "127.0.0.1", 1)).outcome is Outcome.LATER


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(lambda connection: connection.sendall(raw_peer.ABORT), id="aborts"),
        pytest.param(lambda connection: connection.close(), id="closes"),
        pytest.param(lambda connection: None, id="is silent"),
        pytest.param(lambda connection: connection.sendall(b"\x99" * 64), id="talks nonsense"),
        pytest.param(lambda connection: connection.sendall(raw_peer.echo()), id="answers something else"),
        pytest.param(lambda connection: connection.sendall(raw_peer.RELEASE), id="wants to go"),
    ],
)
def test_a_peer_that_fails_amid_the_association_is_tried_later(items: list[Item], script) -> None:
    """Whatever it does, each item is answered once, within the time limits."""
    with misbehaving(script) as destination:
        assert outcomes(send(destination, items)) == [Outcome.LATER] * 3


def test_an_instance_that_breaks_the_association_does_not_hold_up_the_others(items: list[Item]) -> None:
    """A peer that aborts at one instance gets the others on the next association."""

    def abort_at_the_first(event: evt.Event) -> int:
        if event.request.AffectedSOPInstanceUID == items[0][1]:
            event.assoc.abort()
        return 0x0000

    ae = AE("FRAGILE")
    ae.add_supported_context(CT)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, abort_at_the_first)])
    try:
        answers = list(send(Destination("FRAGILE", "127.0.0.1", server.server_address[1]), items))
    finally:
        server.shutdown()
    assert [answer.outcome for _, answer in answers] == [Outcome.LATER, Outcome.ACCEPTED, Outcome.ACCEPTED]


def test_a_peer_that_stops_reading_is_given_up(tmp_path: Path) -> None:
    """A data set larger than the socket's buffers, and nobody takes it."""
    large = instance(tmp_path, 1, 40_000_000)
    with misbehaving(lambda connection: None) as destination:
        assert outcomes(send(destination, [large])) == [Outcome.LATER]


def test_a_rejected_association_is_told_apart(items: list[Item], listen) -> None:
    """Permanent rejections stop the delivery, transient ones do not."""
    from dicomnode.network.access import AccessPolicy
    from dicomnode.network.transport import Limits

    unknown, _ = listen(access=AccessPolicy(calling_aets=frozenset({"PACS"})))
    full, _ = listen(limits=Limits(associations=0))
    answers = list(send(Destination("DICOMNODE", "127.0.0.1", unknown.port), items))
    assert [answer.outcome for _, answer in answers] == [Outcome.REJECTED] * 3
    assert "Calling AE title not recognised" in answers[0][1].reason
    assert outcomes(send(Destination("DICOMNODE", "127.0.0.1", full.port), items)) == [Outcome.LATER] * 3


def test_a_file_that_is_gone_or_broken_does_not_stop_the_others(tmp_path: Path, items: list[Item]) -> None:
    """It is rejected, with a reason; the rest is sent."""
    (tmp_path / "broken.dcm").write_bytes(b"not DICOM")
    odd = [(CT, "1.2.9.1", tmp_path / "absent.dcm"), (CT, "1.2.9.2", tmp_path / "broken.dcm")]
    with Archive(tmp_path / "archive") as archive:
        answers = list(send(Destination("ARCHIVE", "127.0.0.1", archive.port), [*odd, *items]))
    by_item = [answer.outcome for _, answer in answers]
    assert by_item == [Outcome.REJECTED] * 2 + [Outcome.ACCEPTED] * 3


def test_more_than_128_contexts_take_more_than_one_association(tmp_path: Path, items: list[Item]) -> None:
    """Every item is answered, however many SOP classes there are."""
    classes = [f"1.2.840.10008.5.1.4.1.1.{number}" for number in range(1, 140)]
    many = [(sop_class, f"1.2.4.{n}", items[0][2]) for n, sop_class in enumerate(classes)]
    with Archive(tmp_path / "archive") as archive:
        answers = list(send(Destination("ARCHIVE", "127.0.0.1", archive.port), many))
    assert len(answers) == len(many)
    assert {answer.outcome for _, answer in answers} <= {Outcome.ACCEPTED, Outcome.REJECTED}


def test_small_pdus_of_the_peer_are_respected(tmp_path: Path, listen) -> None:
    """A peer that takes 16,384 bytes a PDU gets no longer one, and the whole data set."""
    listener, shelf = listen(limits=replace(QUICK, pdu_bytes=16_384))
    item = instance(tmp_path, 1, 100_000)
    assert outcomes(send(Destination("DICOMNODE", "127.0.0.1", listener.port), [item])) == [Outcome.ACCEPTED]
    assert shelf.kept[item[1]][1] == item[2].read_bytes()[split_dataset(item[2])[1] :]
