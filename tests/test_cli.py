"""The command line: what administrators type, and one clear line when it is wrong."""

import csv
import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dicomnode import cli
from tests.factories import ct_series
from tests.story import Story


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Story:
    """A job log with one finished and one declined job, found through the environment."""
    story = Story(tmp_path / "node")
    for name, slices in (("good", 12), ("short", 1)):
        story.receive(ct_series(tmp_path / name, slices, rows=64, series=name, PatientID=f"PATIENT-{name}"))
        story.assemble()
        story.work()
    monkeypatch.setenv("DICOMNODE_STORAGE_DATABASE_URL", story.url)
    monkeypatch.chdir(tmp_path)
    return story


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_jobs_are_listed_newest_first(log: Story, capsys: pytest.CaptureFixture[str]) -> None:
    """The declined job was the last one, and its reason is in the list."""
    status, out, _ = _run(capsys, "jobs")
    assert status == 0
    lines = out.splitlines()
    assert "DECLINED" in lines[1]
    assert "1 slice" in lines[1]
    assert "portal venous" in lines[2]


def test_jobs_are_filtered_and_come_as_json(log: Story, capsys: pytest.CaptureFixture[str]) -> None:
    """A program asks for one patient's jobs and gets rows."""
    _, out, _ = _run(capsys, "jobs", "--patient-id", "PATIENT-good", "--json")
    (row,) = json.loads(out)
    assert (row["state"], row["parts"][0]["phase"]) == ("BUILT", "portal venous")
    _, out, _ = _run(capsys, "jobs", "--phase", "arterial", "--json")
    assert json.loads(out) == []


def test_jobs_come_as_csv(log: Story, capsys: pytest.CaptureFixture[str]) -> None:
    """One line a job below a head line."""
    _, out, _ = _run(capsys, "jobs", "--csv", "--state", "built")
    (row,) = csv.DictReader(io.StringIO(out))
    assert row["phase"] == "portal venous"


def test_a_job_tells_its_story(log: Story, capsys: pytest.CaptureFixture[str]) -> None:
    """From the closing of the series to the outbox, in order."""
    _, out, _ = _run(capsys, "jobs", "show", "1")
    assert "current" in out
    told = ["12 instances kept", "series closed with 12 instances", "taken by worker", "ready to be sent"]
    places = [out.index(text) for text in told]
    assert places == sorted(places)


def test_a_job_is_tried_again_by_hand_and_the_audit_log_knows(log: Story, capsys: pytest.CaptureFixture[str]) -> None:
    """`jobs retry` queues a finished job; the audit chain is whole until somebody changes it."""
    assert _run(capsys, "jobs", "retry", "1")[0] == 0
    log.now = datetime.now(UTC)
    assert log.work()
    assert _run(capsys, "audit", "verify")[:2] == (0, "the audit log is whole: 1 rows\n")
    assert _run(capsys, "jobs", "retry", "77")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (("config",), {"DICOMNODE_NODE_PORT": "no"}, "node.port"),
        (("jobs",), {"DICOMNODE_STORAGE_FOLDER": "nowhere"}, "there is no database yet"),
        (("jobs", "--state", "lost"), {}, "--state"),
        (("judge", "nowhere"), {}, "nowhere"),
        (("--config", "nowhere.toml", "config"), {}, "nowhere.toml"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    environment: dict[str, str],
    said: str,
) -> None:
    """Exit status 2, one line on standard error that names what is wrong."""
    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    status, _, err = _run(capsys, *arguments)
    assert status == 2
    assert len(err.splitlines()) == 1
    assert said in err


def test_config_prints_values_with_their_sources(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """An administrator sees what is in force and why."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DICOMNODE_NODE_PORT", "11113")
    _, out, _ = _run(capsys, "config")
    (line,) = [line for line in out.splitlines() if line.startswith("node.port")]
    assert "11113" in line
    assert line.endswith("# DICOMNODE_NODE_PORT")


def test_light_commands_import_nothing_heavy(log: Story) -> None:
    """`jobs` answers at once because torch, pydicom and the rest stay out."""
    program = (
        "import sys; from dicomnode import cli\n"
        "try: cli.main(['jobs'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'pydicom', 'pynetdicom', 'highdicom', 'numpy', 'scipy', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    ended = subprocess.run([sys.executable, "-c", program], env=os.environ.copy(), capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
