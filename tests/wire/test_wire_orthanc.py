"""A real PACS at the other end: Orthanc takes, commits, counts and lists what the node sends, by DIMSE and DICOMweb."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from test_sending import instance
from wire_intake import Shelf
from wire_ports import await_port, free_port

from dicomnode.network import commitment, query, stow
from dicomnode.network.contexts import accepted_contexts
from dicomnode.network.listener import Listener, ListenerSettings
from dicomnode.network.outbound import Destination
from dicomnode.network.sender import Item, echo, send
from dicomnode.network.statuses import Outcome

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")

pytestmark = pytest.mark.peer


@dataclass(frozen=True)
class Pacs:
    """A running Orthanc that reports commitment to `shelf`."""

    dimse: Destination
    web: stow.WebDestination
    shelf: Shelf


@pytest.fixture(scope="module")
def pacs(require_peer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pacs]:
    folder, port, web_port, shelf = tmp_path_factory.mktemp("orthanc"), free_port(), free_port(), Shelf()
    with Listener(ListenerSettings("DICOMNODE", port=0), shelf, accepted_contexts()) as listener:
        configuration = {
            "StorageDirectory": str(folder),
            "IndexDirectory": str(folder),
            "DicomAet": "PACS",
            "DicomPort": port,
            "HttpPort": web_port,
            "DicomModalities": {"node": ["DICOMNODE", "127.0.0.1", listener.port]},
            "AuthenticationEnabled": False,
            "Plugins": [str(PLUGIN)] if PLUGIN.exists() else [],
        }
        (folder / "orthanc.json").write_text(json.dumps(configuration))
        command = [require_peer("Orthanc"), str(folder / "orthanc.json")]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            await_port(port, process)
            web = stow.WebDestination(f"http://127.0.0.1:{web_port}/dicom-web", timeout_seconds=20)
            yield Pacs(Destination("PACS", "127.0.0.1", port), web, shelf)
        finally:
            process.terminate()
            process.wait()


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    return [instance(tmp_path, number) for number in range(21, 25)]


def test_what_is_sent_is_counted_listed_and_committed(pacs: Pacs, items: list[Item]) -> None:
    """C-ECHO, C-STORE, C-FIND at two levels, and storage commitment with the report on a new association."""
    assert echo(pacs.dimse).outcome is Outcome.ACCEPTED
    assert {answer.outcome for _, answer in send(pacs.dimse, items)} == {Outcome.ACCEPTED}
    uids = {uid for _, uid, _ in items}
    assert query.series_instances(pacs.dimse, "1.2.3", "1.2.3.0") == len(items)
    assert query.instances_present(pacs.dimse, "1.2.3", "1.2.3.0", [*uids, "1.2.404"]) == uids
    answer, _ = commitment.request(pacs.dimse, "1.2.9.1", [item[:2] for item in items])
    assert answer.outcome is Outcome.ACCEPTED
    pacs.shelf.wait_for("reported", seconds=20)
    assert pacs.shelf.reports[-1].transaction_uid == "1.2.9.1"
    assert set(pacs.shelf.reports[-1].committed) == uids


@pytest.mark.skipif(not PLUGIN.exists(), reason="Orthanc's DICOMweb plugin is not installed")
def test_what_is_stored_over_dicomweb_is_listed(pacs: Pacs, tmp_path: Path) -> None:
    """STOW-RS and QIDO-RS; storing again does no harm."""
    items = [instance(tmp_path, number) for number in range(31, 34)]
    for _ in range(2):
        assert {answer.outcome for _, answer in stow.store(pacs.web, items)} == {Outcome.ACCEPTED}
    uids = {uid for _, uid, _ in items}
    assert stow.instances_present(pacs.web, "1.2.3", "1.2.3.0", [*uids, "1.2.404"]) == uids
