"""Files are removed when their time is over, by the whole node, and what comes again is taken again."""

from pathlib import Path

import pytest

from storage.states import JobState
from tests.factories import ct_datasets, uid, write
from tests.node.harness import StubNode, statuses
from tests.node.kills import CountingArchive

pytestmark = pytest.mark.xdist_group("node")

FOUR_SECONDS = 4 / 86_400


def _kept(node: StubNode, folder: str) -> list[Path]:
    return list((node.folder / "var" / folder).rglob("*.dcm"))


def test_a_delivered_series_is_removed_and_a_late_slice_asks_for_the_whole_of_it(tmp_path: Path) -> None:
    """Rows stay; a slice that comes later is declined, with the reason and what to do."""
    datasets = ct_datasets(12, series="old")
    write(tmp_path / "first", datasets[:11])
    write(tmp_path / "late", datasets[11:])
    with CountingArchive(tmp_path / "archive") as archive:
        places = [{"name": "pacs", "ae_title": archive.aet, "port": archive.port}]
        node = StubNode(tmp_path / "node", settings={"storage": {"keep_days": FOUR_SECONDS}}, destinations=places)
        with node:
            assert statuses(node.send(tmp_path / "first")) == {0x0000}
            node.wait(lambda: len(archive.instances()) == 2, 60, "delivery")
            node.wait(lambda: not _kept(node, "spool") and not _kept(node, "results"), 60, "removal")
            assert "11 received instances and 2 result files removed" in node.events("removed")[0]
            assert statuses(node.send(tmp_path / "late")) == {0x0000}
            node.wait(lambda: node.finished(2), 60, "end of the late slice's job")
            late = node.lines()[0].job
            assert (late.series_uid, late.state) == (uid("old"), JobState.DECLINED)
            assert "11 of the 12 instances of this series were removed" in late.reason
            assert len(node.lines()) == 2
