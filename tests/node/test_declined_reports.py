"""Reports of declined series, by the whole node: silence need not be interpreted, and no report answers another."""

import time
from pathlib import Path

import pytest
from pydicom import dcmread

from dicomnode.network import sender
from dicomnode.network.archive import files
from storage.states import JobState
from tests.factories import SECONDARY_CAPTURE, ct_series, uid
from tests.node.harness import StubNode, statuses
from tests.node.kills import CountingArchive

pytestmark = pytest.mark.xdist_group("node")

MR = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4", "Modality": "MR"}
LOCALIZER = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
CAPTURE = {"SOPClassUID": SECONDARY_CAPTURE, "Modality": "OT"}
OTHER_NODES_REPORT = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.33", "Modality": "SR", "PixelData": None}


def test_what_scanners_made_is_answered_once_and_nothing_else(tmp_path: Path) -> None:
    """MR and localizer get a report each; a capture, another node's report and the answers themselves get none."""
    for name, attributes in (("mr", MR), ("localizer", LOCALIZER), ("capture", CAPTURE), ("sr", OTHER_NODES_REPORT)):
        ct_series(tmp_path / name, 2, series=name, **attributes)
    with CountingArchive(tmp_path / "archive") as archive:
        places = [{"name": "pacs", "ae_title": archive.aet, "port": archive.port}]
        reporting = {"results": {"declined_report": True}}
        with StubNode(tmp_path / "node", settings=reporting, destinations=places) as node:
            for name in ("mr", "localizer", "capture", "sr"):
                assert statuses(node.send(tmp_path / name)) == {0x0000}
            node.wait(lambda: node.finished(4) and len(archive.instances()) == 2, 60, "two reports")
            returned = [answer for _, answer in sender.send(node.peer("PACS"), files(tmp_path / "archive"))]
            assert statuses(returned) == {0x0000}
            time.sleep(4.0)
            lines = {line.job.series_uid: line for line in node.lines()}
            assert len(node.lines()) == 4
            assert {line.job.state for line in lines.values()} == {JobState.DECLINED}
            outboxes = [lines[uid(name)].outbox.get("pacs", {}) for name in ("mr", "localizer", "capture", "sr")]
            assert [sum(counts.values()) for counts in outboxes] == [1, 1, 0, 0]
            assert len(archive.stores) == 2
    made = {dcmread(path).Modality for path in archive.instances().values()}
    assert made == {"SR"}
