"""The whole way with a real PACS and real CT: Orthanc routes a series to the node and takes the results back."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dicomnode.series.part10 import read_file_header
from storage.states import JobState, OutboxState
from tests.node.harness import Node, free_port

IN_SCOPE = ("crlm1006", "acrin001-abd", "ircad17", "ctpe0117", "lfcp0001")
OUT_OF_SCOPE = ("head-gbm", "tilt-ge")
DERIVED = ("crlm1006",)
"""Its Image Type says DERIVED\\SECONDARY: the PACS's routing rule passes it over, so that somebody sends it by hand."""
pytestmark = [pytest.mark.xdist_group("node"), pytest.mark.timeout(900), pytest.mark.slow]
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"


def _module(testbed: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, testbed / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def routed(
    testbed: Path,
    real_data: Path,
    require_peer: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Any, Node]]:
    """Orthanc and the node, after every real series went into Orthanc with storescu and its jobs are finished."""
    require_peer("Orthanc")
    storescu = require_peer("storescu")
    pacs_module = _module(testbed, "pacs")
    base = free_port() - 4
    while base + 42 > 60000:
        base = free_port() - 4
    folder = tmp_path_factory.mktemp("orthanc")
    node = Node(
        folder,
        settings={
            "node": {"port": base + 5, "receivers": 2, "ae_title": "AINODE"},
            "assemble": {"query_destination": "pacs"},
        },
        destinations=[{"name": "pacs", "ae_title": "PACS", "port": base + 4, "commitment": True}],
        port=base + 5,
        aet="AINODE",
    )
    with pacs_module.Pacs(base, autoroute=True, stable_age=2) as pacs, node:
        for series in (*IN_SCOPE, *OUT_OF_SCOPE):
            command = [storescu, "-aet", "CTSIM", "-aec", "PACS", "127.0.0.1", str(base + 4), "+sd", "+r"]
            subprocess.run([*command, str(real_data / "ct" / series)], check=True, capture_output=True)
        _send_by_hand(pacs, [_series_uid(real_data / "ct" / name) for name in DERIVED])
        node.wait(lambda: node.finished(len(IN_SCOPE + OUT_OF_SCOPE)), 700, "end of all jobs")
        node.wait(lambda: _all_committed(node), 60, "commitment of all results")
        yield pacs, node


def _send_by_hand(pacs: Any, series_uids: list[str]) -> None:
    for uid in series_uids:
        found = pacs.post("/tools/find", {"Level": "Series", "Query": {"SeriesInstanceUID": uid}})
        pacs.post("/modalities/ainode/store", {"Resources": found, "Synchronous": False})


def _all_committed(node: Node) -> bool:
    return all(
        item.state is OutboxState.COMMITTED
        for line in node.lines()
        if line.job.state is JobState.BUILT
        for item in node.results(line.job.id)
    )


def _classes_by_study(pacs: Any, study_uid: str) -> list[str]:
    (study,) = pacs.post("/tools/find", {"Level": "Study", "Query": {"StudyInstanceUID": study_uid}})
    return [
        pacs.get(f"/instances/{i['ID']}/simplified-tags")["SOPClassUID"]
        for i in pacs.get(f"/studies/{study}/instances")
    ]


def test_every_real_series_comes_back_with_pictures_and_a_report(routed: tuple[Any, Node], real_data: Path) -> None:
    """For each CT in scope the same study of the PACS holds a Secondary Capture series and one report more."""
    pacs, node = routed
    built = [line.job for line in node.lines() if line.job.state is JobState.BUILT]
    assert {job.series_uid for job in built} == {_series_uid(real_data / "ct" / name) for name in IN_SCOPE}
    for job in built:
        classes = _classes_by_study(pacs, job.study_uid)
        assert classes.count(COMPREHENSIVE_SR) == 1
        assert classes.count(SECONDARY_CAPTURE) >= 2


TRUTH = {
    "crlm1006": "portal venous",
    "acrin001-abd": "unenhanced",
    "ircad17": "portal venous",
    "ctpe0117": "arterial",
    "lfcp0001": "unenhanced",
}


def test_every_confident_answer_is_right(routed: tuple[Any, Node], real_data: Path) -> None:
    """Each answer is the true phase or "indeterminate", and of these there are at most two."""
    _, node = routed
    said = {line.job.series_uid: line.verdicts[0].phase for line in node.lines() if line.verdicts}
    phases = {name: said[_series_uid(real_data / "ct" / name)] for name in IN_SCOPE}
    assert {name: phase for name, phase in phases.items() if phase not in (TRUTH[name], "indeterminate")} == {}
    assert list(phases.values()).count("indeterminate") <= 2


def test_heads_are_declined_with_a_reason(routed: tuple[Any, Node], real_data: Path) -> None:
    """What is no abdomen or thorax comes back with nothing, and the job log says why."""
    _, node = routed
    declined = {line.job.series_uid: line.job.reason for line in node.lines() if line.job.state is JobState.DECLINED}
    for name in OUT_OF_SCOPE:
        assert len(declined[_series_uid(real_data / "ct" / name)]) > 20


def test_the_report_is_found_by_query(routed: tuple[Any, Node], testbed: Path, real_data: Path) -> None:
    """C-FIND at series level lists the captures and the report of a study."""
    pacs, node = routed
    job = next(line.job for line in node.lines() if line.job.state is JobState.BUILT)
    scu = _module(testbed, "scu")
    peer = scu.Peer("PACS", pacs.dicom_port, "CTSIM")
    found = peer.find("SERIES", StudyInstanceUID=job.study_uid, SeriesInstanceUID="", Modality="", SeriesDescription="")
    assert {"OT", "SR"} <= {str(series.Modality) for series in found}
    assert any(str(series.SeriesDescription).startswith("AI ") for series in found)


def test_nothing_the_node_made_came_back_as_a_job(routed: tuple[Any, Node]) -> None:
    """One job a series, and no more: results start no loop."""
    _, node = routed
    assert len(node.lines()) == len(IN_SCOPE + OUT_OF_SCOPE)


def test_the_pacs_count_closed_the_series(routed: tuple[Any, Node]) -> None:
    """The reason for which each series was closed is logged."""
    _, node = routed
    assert all(line.job.closed_reason for line in node.lines())


def _series_uid(folder: Path) -> str:
    return read_file_header(next(path for path in sorted(folder.rglob("*")) if path.is_file())).series_uid
