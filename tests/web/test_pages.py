"""The pages for people."""

import re
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from sample import NOW, START, Sample, judged
from starlette.testclient import TestClient

from dicomnode.web.app import create_app
from storage.audit import Audit
from storage.roles import Roles

ADDRESSES = ["/", "/jobs", "/jobs/1", "/jobs/4", "/jobs/5", "/jobs/6", "/jobs/8", "/jobs/9", "/jobs/4711", "/nothing"]


def rows(text: str) -> list[str]:
    """The job numbers of a list, in its order."""
    return re.findall(r'<td><a href="/jobs/(\d+)">', text)


def audited(sample: Sample) -> list[tuple[str, str]]:
    return [(entry.action, entry.subject) for entry in Audit(sample.database).entries()]


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_page_says_that_it_is_not_for_diagnosis(browser: TestClient, address: str) -> None:
    assert "Not for diagnostic use" in browser.get(address).text


@pytest.mark.parametrize("address", [*ADDRESSES, "/api/jobs", "/health", "/metrics", "/static/style.css"])
def test_every_answer_forbids_scripts_foreign_content_and_caches(browser: TestClient, address: str) -> None:
    headers = browser.get(address).headers
    assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_page_needs_what_its_policy_forbids(browser: TestClient, address: str) -> None:
    text = browser.get(address).text
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=|https?://", text)


def test_the_overview_names_what_needs_a_look(browser: TestClient) -> None:
    text = browser.get("/").text
    assert "1 job has failed." in text
    assert "3 results could not be sent to BACKUP yet: connection refused." in text
    assert "PACS refused 3 results for good." in text
    assert "judges slice 40 of 120" in text


def test_the_overview_of_a_healthy_node_says_so(empty: Sample) -> None:
    for role in ("receiver", "assembler", "worker", "courier"):
        Roles(empty.database).seen(role, role, now=NOW)
    text = TestClient(create_app(empty.node(destinations=["PACS"]))).get("/").text
    assert "All is well." in text
    assert "none yet" in text


def test_the_overview_names_a_full_disk_and_a_silent_role(empty: Sample) -> None:
    Roles(empty.database).seen("worker-0", "worker", now=NOW - timedelta(minutes=5))
    text = TestClient(create_app(empty.node(free_bytes=lambda: 5, roles=["worker"]))).get("/").text
    assert "below its reserve" in text
    assert "No worker was heard of for 30 seconds." in text


def test_the_overview_names_no_patient(browser: TestClient) -> None:
    text = browser.get("/").text
    assert "PID-" not in text
    assert "ACC7" not in text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "9 8 7 6 5 4 3 2 1"),
        ("state=FAILED", "6"),
        ("state=built&phase=arterial", "4 2"),
        ("patient_id=PID-1002", "5 4"),
        ("accession_number=ACC70002", "5 4"),
        ("series_uid=1.2.826.0.1.3680043.8.498.1.5", "7 3"),
        ("since=2026-03-01&until=2026-03-01&limit=3", "9 8 7"),
        ("since=2026-03-02", ""),
        ("until=2026-03-01T09:30:00", "2 1"),
        ("until=2026-03-01T10:30:00%2B01:00", "2 1"),
        ("limit=2&before=7", "6 5"),
    ],
)
def test_the_list_shows_what_was_asked_for_newest_first(browser: TestClient, query: str, found: str) -> None:
    assert rows(browser.get(f"/jobs?{query}").text) == found.split()


def test_the_list_is_paged_by_its_own_links(browser: TestClient) -> None:
    seen, address = list[str](), "/jobs?limit=4"
    while address:
        text = browser.get(address).text
        seen += rows(text)
        older = re.search(r'<a href="([^"]+)">Older jobs', text)
        address = older[1].replace("&amp;", "&") if older else ""
    assert seen == ["9", "8", "7", "6", "5", "4", "3", "2", "1"]


def test_empty_fields_of_the_form_vanish_from_the_address(browser: TestClient) -> None:
    answer = browser.get("/jobs?state=FAILED&phase=&patient_id=&since=", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/jobs?state=FAILED")


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("state=GONE", "state: &#39;GONE&#39; is none of QUEUED"),
        ("since=yesterday", "since: &#39;yesterday&#39; is no date"),
        ("until=2026-02-30", "until:"),
        ("until=9999-12-31", "until:"),
        ("limit=-1", "limit: &#39;-1&#39; is no number"),
        ("before=1e9", "before:"),
        ("before=99999999999999999999", "before:"),
    ],
)
def test_a_filter_that_makes_no_sense_is_named(browser: TestClient, query: str, why: str) -> None:
    answer = browser.get(f"/jobs?{query}")
    assert answer.status_code == 400
    assert why in answer.text


def test_a_job_page_tells_the_whole_story_in_order(browser: TestClient) -> None:
    text = browser.get("/jobs/3").text
    told = [
        "CT_SCANNER_2 at 10.1.4.22 called DICOMNODE",
        "120 instances kept, 63.1 MB",
        "series closed with 120 instances",
        "taken by worker-0:4711, attempt 1",
        "judged, results are ready to be sent",
        "BACKUP: sent, 0x0000",
        "PACS: storage committed",
    ]
    places = [text.index(step) for step in told]
    assert places == sorted(places)
    assert "Not current:" in text


def test_a_job_page_tells_each_part_and_its_doubts(browser: TestClient) -> None:
    text = browser.get("/jobs/4").text
    assert "Acquisition 2" in text
    assert "91 % sure" in text
    assert "Indeterminate" in text
    assert "header: no contrast; image: arterial" in text


def test_looking_at_jobs_is_written_into_the_audit_log(sample: Sample, browser: TestClient) -> None:
    before = len(audited(sample))
    browser.get("/jobs/1")
    browser.get("/jobs?patient_id=PID-1001")
    browser.get("/api/jobs/2")
    assert audited(sample)[before:] == [("viewed", "job 1"), ("listed", "jobs by patient_id"), ("viewed", "job 2")]
    assert Audit(sample.database).verify() is None


def test_the_pictures_of_a_job_are_shown_once_each(browser: TestClient) -> None:
    text = browser.get("/jobs/1").text
    addresses = re.findall(r'<img [^>]*src="([^"]+)"', text)
    assert len(addresses) == 2
    for address in addresses:
        answer = browser.get(address)
        assert answer.headers["content-type"] == "image/png"
        assert answer.content.startswith(b"\x89PNG")


@pytest.mark.parametrize("address", ["/jobs/1/pictures/4711.png", "/jobs/2/pictures/1.png", "/jobs/1/pictures/5.png"])
def test_only_pictures_of_that_job_can_be_had(browser: TestClient, address: str) -> None:
    """Number 1 is a picture of job 1; number 5 of job 1 is its report."""
    assert browser.get("/jobs/1/pictures/1.png").status_code == 200
    assert browser.get(address).status_code == 404


def test_a_job_whose_result_files_are_gone_is_shown_without_pictures(empty: Sample) -> None:
    job = empty.built(1, START, "ABD", [judged("arterial", 0.9)])
    shutil.rmtree(empty.results.root)
    answer = TestClient(create_app(empty.node())).get(f"/jobs/{job.id}")
    assert answer.status_code == 200
    assert "<img" not in answer.text


def test_what_a_sender_wrote_cannot_become_markup(empty: Sample) -> None:
    empty.built(1, START, '<script>alert("x")</script>', [judged("arterial", 0.9)])
    browser = TestClient(create_app(empty.node()))
    for address in ("/jobs", "/jobs/1"):
        text = browser.get(address).text
        assert "<script" not in text
        assert "&lt;script&gt;" in text


def test_a_foreign_host_name_is_turned_away(browser: TestClient) -> None:
    assert browser.get("/jobs", headers={"host": "attacker.example"}).status_code == 400


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("address", ["/", "/jobs", "/jobs/1", "/api/jobs/1"])
def test_nothing_can_be_changed_from_outside(browser: TestClient, method: str, address: str) -> None:
    assert browser.request(method, address).status_code == 405


def test_a_database_that_cannot_be_read_is_told(empty: Sample) -> None:
    browser = TestClient(create_app(empty.node()))
    empty.database.close()
    Path(empty.folder, "node.db").write_bytes(b"torn " * 1000)
    for left in empty.folder.glob("node.db-*"):
        left.unlink()
    answer = browser.get("/jobs")
    assert answer.status_code == 503
    assert "not a database" in answer.text
    assert browser.get("/health").status_code == 503
