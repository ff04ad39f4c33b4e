"""The addresses for programs."""

import re
import socket
import threading
import urllib.error
import urllib.request
from datetime import timedelta

from sample import NOW, Sample, row
from starlette.testclient import TestClient

from dicomnode.web.app import create_app
from dicomnode.web.presenting import percent, size, status
from dicomnode.web.server import serve
from storage.roles import Roles


def test_jobs_are_paged_by_the_address_of_the_next_page(browser: TestClient) -> None:
    seen, address = list[int](), "/api/jobs?limit=4"
    while address:
        answer = browser.get(address).json()
        assert answer["notice"] == "not for diagnostic use"
        seen += [job["id"] for job in answer["jobs"]]
        address = answer["next"]
    assert seen == [9, 8, 7, 6, 5, 4, 3, 2, 1]


def test_a_job_is_the_same_row_as_elsewhere_with_results_and_steps(sample: Sample, browser: TestClient) -> None:
    answer = browser.get("/api/jobs/7").json()
    assert row(sample.jobs.line(7)).items() <= answer.items()
    assert {(r["destination"], r["state"], r["status"]) for r in answer["results"]} == {
        ("PACS", "REJECTED", 0x0122),
        ("BACKUP", "PENDING", None),
    }
    assert answer["steps"][0]["kind"] == "association opened"


def test_errors_come_as_json(browser: TestClient) -> None:
    assert browser.get("/api/jobs/4711").json() == {"error": "there is no job 4711"}
    assert browser.get("/api/jobs?state=x").status_code == 400
    assert browser.get("/api/nothing").json() == {"error": "There is nothing at this address."}


def test_a_degraded_node_is_still_alive_and_says_why(browser: TestClient) -> None:
    answer = browser.get("/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "degraded"
    assert "1 job has failed." in answer.json()["troubles"]


def test_a_healthy_node_is_ok(empty: Sample) -> None:
    Roles(empty.database).seen("worker-0", "worker", now=NOW)
    answer = TestClient(create_app(empty.node(roles=["worker"]))).get("/health")
    assert answer.json() == {"status": "ok", "troubles": []}


def test_metrics_are_well_formed_and_name_no_patient(browser: TestClient) -> None:
    answer = browser.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    values = [line for line in answer.text.splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r'dicomnode_\w+(\{(\w+="[^"]*",?)+\})? [0-9.]+', line) for line in values)
    assert 'dicomnode_jobs{state="BUILT"} 5' in values
    assert 'dicomnode_results{destination="PACS",state="REJECTED"} 3' in values
    assert 'dicomnode_processes{role="receiver"} 2' in values
    assert not re.search(r"PID-|ACC7|1\.2\.826", answer.text)


def test_a_silent_process_is_not_counted_as_living(empty: Sample) -> None:
    Roles(empty.database).seen("worker-0", "worker", now=NOW - timedelta(hours=1))
    text = TestClient(create_app(empty.node(roles=["worker"]))).get("/metrics").text
    assert 'dicomnode_processes{role="worker"} 0' in text


def test_the_server_answers_until_it_is_told_to_stop(sample: Sample) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    stopped, app = threading.Event(), create_app(sample.node())
    options = {"host": "127.0.0.1", "port": port, "stopped": stopped}
    server = threading.Thread(target=serve, args=(app,), kwargs=options)
    server.start()
    try:
        assert _get(f"http://127.0.0.1:{port}/health").startswith('{"status":')
    finally:
        stopped.set()
        server.join(10)
    assert not server.is_alive()


def _get(address: str) -> str:
    """The answer, once the server listens."""
    for _ in range(200):
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return str(answer.read().decode())
        except urllib.error.URLError:
            threading.Event().wait(0.02)
    raise AssertionError("the server did not come up")


def test_numbers_are_told_without_false_certainty() -> None:
    assert [percent(share) for share in (None, 0.0, 0.934, 0.996, 1.0)] == ["–", "0 %", "93 %", "99 %", "99 %"]
    assert [size(count) for count in (0, 999, 1000, 63_100_000, 2_000_000_000_000)] == [
        "0 B", "999 B", "1.0 kB", "63.1 MB", "2.0 TB",
    ]  # fmt: skip
    assert [status(code) for code in (None, 0, 0xB007, 0x0122, 0xA700, 409, 200)] == [
        "no answer", "0x0000", "0xB007", "0x0122", "0xA700", "HTTP 409", "HTTP 200",
    ]  # fmt: skip
