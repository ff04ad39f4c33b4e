"""Storage commitment and queries, against the demonstration's archive and one that reports at once."""

from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel
from test_sending import instance

from dicomnode.errors import Retry
from dicomnode.network import commitment, query
from dicomnode.network.archive import Archive
from dicomnode.network.outbound import Destination
from dicomnode.network.sender import send
from dicomnode.network.statuses import Outcome


@pytest.fixture
def stored(listen, tmp_path: Path):
    """(archive destination, shelf of the node, instances that are there)."""
    listener, shelf = listen()
    items = [instance(tmp_path, number) for number in range(1, 4)]
    with Archive(tmp_path / "archive", callers={"DICOMNODE": ("127.0.0.1", listener.port)}) as archive:
        destination = Destination("ARCHIVE", "127.0.0.1", archive.port)
        assert {answer.outcome for _, answer in send(destination, items)} == {Outcome.ACCEPTED}
        yield destination, shelf, [item[:2] for item in items]


def test_a_report_on_a_new_association_reaches_the_intake(stored) -> None:
    """What is there is committed, what is not has failed with its reason."""
    destination, shelf, instances = stored
    answer, report = commitment.request(destination, "1.2.9.9", [*instances, (instances[0][0], "1.2.404")])
    assert (answer.outcome, report) == (Outcome.ACCEPTED, None)
    shelf.wait_for("reported")
    assert shelf.reports[0].transaction_uid == "1.2.9.9"
    assert set(shelf.reports[0].committed) == {uid for _, uid in instances}
    assert shelf.reports[0].failed == (("1.2.404", 0x0112),)


def test_a_report_on_the_same_association_is_returned() -> None:
    """An archive that reports before the request's association ends."""

    def act(event: evt.Event) -> tuple[int, None]:
        request = event.action_information
        event.assoc.report = request
        return 0x0000, None

    def sent(event: evt.Event) -> None:
        request = getattr(event.assoc, "report", None)
        if request is not None and type(event.message).__name__ == "N_ACTION_RSP":
            report = Dataset()
            report.TransactionUID, report.ReferencedSOPSequence = request.TransactionUID, request.ReferencedSOPSequence
            threading.Thread(
                target=event.assoc.send_n_event_report,
                args=(report, 1, StorageCommitmentPushModel, commitment.WELL_KNOWN_INSTANCE),
            ).start()

    import threading

    ae = AE("ARCHIVE")
    ae.add_supported_context(StorageCommitmentPushModel)
    handlers = [(evt.EVT_N_ACTION, act), (evt.EVT_DIMSE_SENT, sent)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        destination = Destination("ARCHIVE", "127.0.0.1", server.server_address[1], reply_seconds=5)
        answer, report = commitment.request(destination, "1.2.9.9", [("1.2.840.10008.5.1.4.1.1.2", "1.2.3")], 5)
    finally:
        server.shutdown()
    assert answer.outcome is Outcome.ACCEPTED
    assert report is not None
    assert report.committed == ("1.2.3",)


def test_an_archive_without_commitment_says_so(tmp_path: Path) -> None:
    """No presentation context: permanent; nobody there: later; refused: the status tells."""
    ae = AE("PLAIN")
    ae.add_supported_context("1.2.840.10008.1.1")
    server = ae.start_server(("127.0.0.1", 0), block=False)
    try:
        plain = Destination("PLAIN", "127.0.0.1", server.server_address[1])
        assert commitment.request(plain, "1.2", [])[0].outcome is Outcome.REJECTED
    finally:
        server.shutdown()
    assert commitment.request(Destination("X", "127.0.0.1", 1), "1.2", [])[0].outcome is Outcome.LATER
    with Archive(tmp_path) as stranger:
        refused = commitment.request(Destination("ARCHIVE", "127.0.0.1", stranger.port), "1.2", [])
        assert (refused[0].outcome, refused[0].status) == (Outcome.LATER, 0x0110)


def test_the_archive_counts_and_lists_what_it_has(stored) -> None:
    """Number of Series Related Instances, and read-back of instances."""
    destination, _, instances = stored
    assert query.series_instances(destination, "1.2.3", "1.2.3.0") == 3
    assert query.series_instances(destination, "1.2.3", "1.2.3.404") is None
    uids = {uid for _, uid in instances}
    assert query.instances_present(destination, "1.2.3", "1.2.3.0", [*uids, "1.2.404"]) == uids


def test_an_archive_that_cannot_be_asked_is_asked_again() -> None:
    """Retry, not an empty answer: nothing is concluded from silence."""
    with pytest.raises(Retry):
        query.series_instances(Destination("X", "127.0.0.1", 1), "1.2.3", "1.2.3.0")
