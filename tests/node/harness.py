"""A whole node as an administrator starts it, for tests: its processes, its job log, and a way to send to it."""

import atexit
import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dicomnode.network import sender
from dicomnode.network.archive import files
from dicomnode.network.outbound import Destination
from dicomnode.network.statuses import Answer
from storage.database import Database
from storage.joblog import JobLine, JobLog
from storage.outbox import Outbox, OutboxItem
from storage.states import JobState


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@dataclass
class Node:
    """One node, in a folder of its own."""

    folder: Path
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    destinations: Sequence[dict[str, Any]] = ()
    port: int = field(default_factory=free_port)
    aet: str = "DICOMNODE"
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def file(self) -> Path:
        """The settings file."""
        return self.folder / "dicomnode.toml"

    def write_settings(self) -> None:
        """What an administrator would write."""
        sections: dict[str, dict[str, Any]] = {
            "node": {"port": self.port, "receivers": 1},
            "storage": {"folder": str(self.folder / "var"), "reserve_bytes": 1_000_000},
            "assemble": {"quiet_seconds": 1.0},
            "deliver": {"first_pause_seconds": 0.3, "longest_pause_seconds": 2.0},
            "web": {"enabled": False},
        }
        for name, values in self.settings.items():
            sections.setdefault(name, {}).update(values)
        text = "".join(f"[{name}]\n{_toml(values)}\n" for name, values in sections.items())
        text += "".join(f"[[destinations]]\n{_toml(place)}\n" for place in self.destinations)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file.write_text(text)

    def start(self, seconds: float = 60.0) -> "Node":
        """Starts all roles; returns once the node answers to C-ECHO."""
        self.write_settings()
        with open(self.folder / "node.log", "ab") as log:
            command = [sys.executable, "-m", "dicomnode", "--config", str(self.file), "serve"]
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        self.wait(lambda: not sender.echo(self.peer()).reason, seconds, "an answer to C-ECHO")
        return self

    def stop(self) -> None:
        """As an administrator stops it."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(40)

    __enter__ = start

    def __exit__(self, *_: object) -> None:
        self.stop()

    def peer(self, calling_aet: str = "CTSIM") -> Destination:
        """The node as a sender knows it."""
        return Destination(self.aet, "127.0.0.1", self.port, calling_aet=calling_aet)

    def send(self, folder: Path, calling_aet: str = "CTSIM") -> list[Answer]:
        """C-STORE of every DICOM file in a folder."""
        return [answer for _, answer in sender.send(self.peer(calling_aet), files(folder))]

    def lines(self) -> Sequence[JobLine]:
        """The job log, newest first."""
        return JobLog(self.database()).list(limit=1000)

    def results(self, job_id: int) -> list[OutboxItem]:
        """The results of one job."""
        return Outbox(self.database()).of_job(job_id)

    def events(self, kind: str) -> list[str]:
        """Texts of the events of one kind, newest first."""
        from storage.events import Events

        return [event.text for event in Events(self.database()).latest(1000, kind=kind)]

    def finished(self, count: int) -> bool:
        """Whether so many jobs are finished, and none is not."""
        lines = self.lines()
        ended = {JobState.BUILT, JobState.DECLINED, JobState.FAILED}
        return len(lines) >= count and all(line.job.state in ended for line in lines)

    def wait(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Until the condition holds. Fails with the end of the node's log."""
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            if condition():
                return
            if self.process is not None and self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise AssertionError(f"no {what} within {seconds:.0f} s:\n{self.log()[-4000:]}")

    def log(self) -> str:
        """What the node has written."""
        try:
            return (self.folder / "node.log").read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def processes(self, role: str) -> list[int]:
        """Process numbers of a role's processes that run now."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    command = (entry / "cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if str(self.file).encode() in command and role.encode() in command:
                    found.append(int(entry.name))
        return found

    def kill(self, role: str) -> None:
        """SIGKILL to every process of a role."""
        for number in self.processes(role):
            os.kill(number, signal.SIGKILL)

    def database(self) -> Database:
        """The job log, to be read."""
        default = f"sqlite:///{self.folder / 'var' / 'dicomnode.sqlite'}"
        return Database(self.settings.get("storage", {}).get("database_url", default), read_only=True)


@dataclass
class StubNode(Node):
    """A node whose judge needs no model and whose processes start in milliseconds: see stub_node.py."""

    supervisor: int = 0

    def start(self, seconds: float = 60.0) -> "StubNode":
        """Starts the supervisor; returns once the node answers to C-ECHO."""
        self.launch()
        self.wait(lambda: not sender.echo(self.peer()).reason, seconds, "an answer to C-ECHO")
        return self

    def launch(self) -> None:
        """Starts the supervisor, and waits for nothing."""
        if not self.file.exists():
            self.write_settings()
        process = nursery()
        assert process.stdin is not None
        assert process.stdout is not None
        print(self.file, self.folder / "node.log", sep="\t", file=process.stdin, flush=True)
        self.supervisor = int(process.stdout.readline())

    def stop(self) -> None:
        """As an administrator stops it."""
        self.halt()

    __enter__ = start

    def halt(self, seconds: float = 40.0) -> None:
        """Stops the supervisor and its roles."""
        if not self.supervisor:
            return
        ends_at = time.monotonic() + seconds
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.supervisor, signal.SIGTERM)
            while time.monotonic() < ends_at:
                os.kill(self.supervisor, 0)
                time.sleep(0.05)
        self.supervisor = 0

    def processes(self, role: str) -> list[int]:
        """Process numbers of a role, children of the supervisor."""
        if role == "supervisor":
            return [self.supervisor]
        return [number for number in children(self.supervisor) if name_of(number) == role]

    def says(self, mode: str) -> None:
        """What the judge does from now on."""
        (self.folder / "judge").write_text(mode)


@functools.cache
def nursery() -> "subprocess.Popen[str]":
    """The process that forks all stub nodes of this test run."""
    words = ["--supervised", "receiver", "assembler", "worker", "courier"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.node.stub_node", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    atexit.register(process.kill)
    return process


def children(process: int) -> list[int]:
    """Process numbers of its children."""
    try:
        return [int(number) for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def name_of(process: int) -> str:
    """What a process calls itself."""
    try:
        return Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:
        return ""


def _toml(values: dict[str, Any]) -> str:
    return "".join(f"{name} = {_literal(value)}\n" for name, value in values.items())


def _literal(value: Any) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def statuses(answers: Iterable[Answer]) -> set[int | None]:
    """The DIMSE statuses that were answered."""
    return {answer.status for answer in answers}
