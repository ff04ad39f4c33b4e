"""Processes of a whole node are killed at random moments; then it is counted what was promised and what is there.

Series are sent without a pause, by senders that repeat what was not acknowledged; the archive counts what it is sent.
"""

import contextlib
import hashlib
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from dicomnode.network import sender
from dicomnode.network.archive import Archive, files
from dicomnode.series.part10 import read_file_header, read_file_meta
from storage.audit import Audit
from storage.states import JobState, OutboxState
from tests.factories import ct_series, uid
from tests.node.harness import StubNode, children
from tests.postgresql import Server

TARGETS = {"receiver": 6, "worker": 6, "courier": 4, "assembler": 2, "supervisor": 1, "whole node": 1}
"""What is killed, and how often in comparison."""
DATABASE_SERVER = "database server"
"""Is killed as well, where the job log is in one."""
ROWS = (16, 64, 160)


class CountingArchive(Archive):
    """Notes every data set it is sent, the repeated ones too."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.pause_seconds = 0.0
        """Between keeping and answering: the longer, the more often a sender is killed just there."""
        self.stores: list[tuple[str, str]] = []
        """(SOP Instance UID, SHA-256 of the data set), in the order they came."""

    def _store(self, event: Any) -> int:
        digest = hashlib.sha256(event.request.DataSet.getvalue()).hexdigest()
        self.stores.append((str(event.request.AffectedSOPInstanceUID), digest))
        status = super()._store(event)
        time.sleep(self.pause_seconds)
        return status


@dataclass(frozen=True)
class Acknowledged:
    """An instance that was answered with Success."""

    path: str
    """Where it must lie, relative to the spool's root."""
    digest: str
    """SHA-256 of its data set."""
    series_uid: str


@dataclass
class Tally:
    """What was done, and what did not hold."""

    kills: Counter[str] = field(default_factory=Counter)
    acknowledged: dict[str, Acknowledged] = field(default_factory=dict)
    series: int = 0
    generations: int = 0
    results: int = 0
    repeated_stores: int = 0
    seconds: float = 0.0
    damage: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        kills = ", ".join(f"{count} {name}" for name, count in self.kills.most_common())
        return (
            f"{self.kills.total()} kills in {self.seconds:.0f} s ({kills}); {len(self.acknowledged)} instances "
            f"acknowledged, {self.series} series, {self.generations} generations, {self.results} results delivered, "
            f"{self.repeated_stores} sent again; damage: {len(self.damage)}"
        )


class Scanner(threading.Thread):
    """Sends one new series after the other, each instance until it is acknowledged."""

    def __init__(self, node: StubNode, folder: Path, name: str, seed: int, tally: Tally) -> None:
        super().__init__(name=name)
        self._node, self._folder, self._random, self._tally = node, folder, Random(seed), tally
        self.enough = threading.Event()

    def run(self) -> None:
        number = 0
        while not self.enough.is_set():
            folder = self._folder / f"{self.name}-{number}"
            count, rows = self._random.randint(8, 14), self._random.choice(ROWS)
            series, study = f"{self.name} {number}", uid(self.name, number // 3)
            ct_series(folder, count, rows=rows, series=series, StudyInstanceUID=study)
            self._tally.series += 1
            self._deliver(folder)
            number += 1
            self.enough.wait(self._random.uniform(0.6, 1.8))

    def _deliver(self, folder: Path) -> None:
        waiting = list(files(folder))
        while waiting:
            left = []
            for item, answer in sender.send(self._node.peer(self.name), waiting):
                if answer.status == 0x0000:
                    promise = acknowledged(item[2])
                    self._tally.acknowledged[promise.path] = promise
                else:
                    left.append(item)
            waiting = left
            if waiting:
                time.sleep(0.1)


def acknowledged(file: Path) -> Acknowledged:
    """What an acknowledged file is expected to have become."""
    header = read_file_header(file)
    digest = dataset_digest(file)
    path = f"{header.study_uid}/{header.series_uid}/{header.sop_instance_uid}_{digest[:16]}.dcm"
    return Acknowledged(path, digest, header.series_uid)


def dataset_digest(file: Path) -> str:
    """SHA-256 of the encoded data set in a Part 10 file."""
    content = file.read_bytes()
    return hashlib.sha256(content[read_file_meta(content)[1] :]).hexdigest()


@contextlib.contextmanager
def node_and_archive(
    folder: Path, settings: dict[str, dict[str, Any]] | None = None
) -> Iterator[tuple[StubNode, CountingArchive]]:
    """A node with two receivers, and the archive that takes its results and commits to them."""
    with CountingArchive(folder / "archive") as archive:
        destination = {"name": "pacs", "ae_title": archive.aet, "port": archive.port, "commitment": True}
        basic: dict[str, dict[str, Any]] = {
            "node": {"receivers": 2},
            "analyse": {"attempts": 1000},
            "deliver": {"commitment_seconds": 2.0, "first_pause_seconds": 0.2, "longest_pause_seconds": 1.0},
            "log": {"level": "warning"},
        }
        node = StubNode(folder / "node", settings=basic | (settings or {}), destinations=[destination])
        archive.pause_seconds = 0.15
        archive.callers[node.aet] = ("127.0.0.1", node.port)
        with node:
            yield node, archive


def bombard(
    folder: Path,
    kills: int,
    seed: int,
    progress: Callable[[int], None] = lambda _: None,
    server: Server | None = None,
) -> Tally:
    """So many kills at random moments while series come in; then what was promised is looked for.

    The job log is in SQLite or, with a server, in a new database of it, and the server is killed too.
    """
    tally, random, began = Tally(), Random(seed), time.monotonic()
    targets = TARGETS | ({DATABASE_SERVER: 1} if server else {})
    with database_settings(server) as settings, node_and_archive(folder, settings) as (node, archive):
        scanners = [Scanner(node, folder / "sent", f"CT{n}", seed + n, tally) for n in range(2)]
        for scanner in scanners:
            scanner.start()
        try:
            while tally.kills.total() < kills:
                time.sleep(random.uniform(0.05, 0.5))
                target = random.choices(list(targets), list(targets.values()))[0]
                if server and target == DATABASE_SERVER:
                    server.stop()
                    time.sleep(random.uniform(0.0, 1.0))
                    server.start()
                    tally.kills[target] += 1
                elif kill(node, target, random):
                    tally.kills[target] += 1
                else:
                    continue
                progress(tally.kills.total())
        finally:
            for scanner in scanners:
                scanner.enough.set()
            for scanner in scanners:
                scanner.join(120)
        tally.damage += [f"{scanner.name} is still not acknowledged" for scanner in scanners if scanner.is_alive()]
        tally.damage += settle(node, tally)
        node.halt()
        tally.damage += inspect(node, archive, tally)
    tally.seconds = time.monotonic() - began
    return tally


@contextlib.contextmanager
def database_settings(server: Server | None) -> Iterator[dict[str, dict[str, Any]]]:
    """Where the job log is, as the node's settings say it; a database is there as long as the block lasts."""
    if server is None:
        yield {}
        return
    server.create("kills")
    try:
        yield {"storage": {"database_url": server.url("kills")}}
    finally:
        server.drop("kills")


def kill(node: StubNode, target: str, random: Random) -> bool:
    """SIGKILL to one process, or to all at once; False when it does not run just now."""
    if target in ("supervisor", "whole node"):
        doomed = [node.supervisor, *(children(node.supervisor) if target == "whole node" else [])]
        for number in doomed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        node.launch()
        return True
    running = node.processes(target)
    if not running:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(random.choice(running), signal.SIGKILL)
        return True
    return False


def settle(node: StubNode, tally: Tally, seconds: float = 300.0) -> list[str]:
    """Waits until nothing is left to be done; what did not come to its end."""
    wanted = {promise.series_uid for promise in tally.acknowledged.values()}
    ends_at = time.monotonic() + seconds
    left = ["the node was not asked"]
    while left and time.monotonic() < ends_at:
        time.sleep(0.3)
        left = _unfinished(node, wanted)
    return left


def _unfinished(node: StubNode, wanted: set[str]) -> list[str]:
    with _sql(node) as query:
        waiting = query("SELECT count(*) FROM arrivals WHERE job_id IS NULL AND disposition = 'judge'")[0][0]
        jobs = query("SELECT series_uid, state FROM jobs")
        outbox = query(f"SELECT count(*) FROM outbox WHERE state != '{OutboxState.COMMITTED}'")[0][0]
    running = [state for _, state in jobs if state in (JobState.QUEUED, JobState.RUNNING)]
    left = [f"{waiting} arrivals in no job"] if waiting else []
    left += [f"{len(running)} jobs not ended"] if running else []
    left += [f"{outbox} results not committed"] if outbox else []
    missing = wanted - {series for series, _ in jobs}
    return left + ([f"{len(missing)} series without a job"] if missing else [])


def inspect(node: StubNode, archive: CountingArchive, tally: Tally) -> list[str]:
    """Every promise against what is on disk, in the job log and in the archive."""
    with _sql(node) as query:
        return [
            *_instances(node, query, tally),
            *_jobs(query, tally),
            *_results(query, archive, tally),
            *_logs(node, query),
        ]


Query = Callable[[str], Sequence[Any]]


@contextlib.contextmanager
def _sql(node: StubNode) -> Iterator[Query]:
    database = node.database()
    try:
        with database.reading() as connection:
            yield lambda text: connection.exec_driver_sql(text).all()
    finally:
        database.close()


def _instances(node: StubNode, query: Query, tally: Tally) -> Iterator[str]:
    rows = dict(query("SELECT path, digest FROM arrivals"))
    for promise in tally.acknowledged.values():
        file = node.folder / "var" / "spool" / promise.path
        if not file.exists():
            yield f"acknowledged and not in the spool: {promise.path}"
        elif dataset_digest(file) != promise.digest:
            yield f"acknowledged and other bytes in the spool: {promise.path}"
        if rows.get(promise.path) != promise.digest:
            yield f"acknowledged and not in the ledger: {promise.path}"


def _jobs(query: Query, tally: Tally) -> Iterator[str]:
    jobs = query("SELECT id, series_uid, generation, state, reason FROM jobs ORDER BY series_uid, generation")
    ends: Counter[int] = Counter()
    for (job,) in query("SELECT job_id FROM events WHERE kind IN ('job finish', 'job decline', 'job supersede')"):
        ends[job] += 1
    tally.generations = len(jobs)
    newest: dict[str, tuple[int, str]] = {}
    for number, series, generation, state, reason in jobs:
        if state not in (JobState.BUILT, JobState.DECLINED):
            yield f"job {number} is {state}: {reason}"
        if ends[number] != 1:
            yield f"job {number} ended {ends[number]} times"
        if generation != newest.get(series, (0, ""))[0] + 1:
            yield f"job {number}: generation {generation} does not follow"
        newest[series] = (generation, state)
    for series in {promise.series_uid for promise in tally.acknowledged.values()}:
        if newest.get(series, (0, ""))[1] != JobState.BUILT:
            yield f"the newest generation of a whole series is {newest.get(series)}"


def _results(query: Query, archive: CountingArchive, tally: Tally) -> Iterator[str]:
    made = dict(query("SELECT sop_uid, job_id FROM outbox"))
    stored: dict[str, set[str]] = {}
    for sop_uid, digest in archive.stores:
        stored.setdefault(sop_uid, set()).add(digest)
    tally.results, tally.repeated_stores = len(stored), len(archive.stores) - len(stored)
    for sop_uid in made.keys() - archive.instances().keys():
        yield f"result {sop_uid} is not in the archive"
    for sop_uid in stored.keys() - made.keys():
        yield f"the archive holds {sop_uid}, which no job accounts for"
    for sop_uid, digests in stored.items():
        if len(digests) > 1:
            yield f"result {sop_uid} was sent in {len(digests)} versions"
    for job, count in query(
        "SELECT jobs.id, count(outbox.id) FROM jobs LEFT JOIN outbox ON outbox.job_id = jobs.id "
        "WHERE jobs.state = 'BUILT' GROUP BY jobs.id"
    ):
        if count != 2:
            yield f"job {job} is BUILT with {count} results instead of a capture and a report"


def _logs(node: StubNode, query: Query) -> Iterator[str]:
    database = node.database()
    if database.url.get_backend_name() == "sqlite" and (found := query("PRAGMA integrity_check")[0][0]) != "ok":
        yield f"the database is damaged: {found}"
    if damage := Audit(database).verify():
        yield f"audit row {damage.id} {damage.reason}"
    database.close()
