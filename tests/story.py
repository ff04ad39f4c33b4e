"""The six verbs in one hand, without sockets, processes or a model: what the story and the role tests drive."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from pydicom import dcmread

from dicomnode import pipeline
from dicomnode.holding import Hold, WorkPolicy
from dicomnode.reception import Refused
from dicomnode.results import ResultContext, ResultOptions
from dicomnode.roles import Assembler, Courier, Worker
from dicomnode.series.assembly import Rules
from dicomnode.series.part10 import read_file_meta
from dicomnode.series.screening import Policy
from dicomnode.series.volume import Limits
from inference.findings import Findings
from inference.volume import Volume
from storage.arrivals import Arrival, Arrivals
from storage.database import Database, migrate
from storage.jobs import Jobs
from storage.outbox import Outbox, OutboxItem
from storage.results import ResultStore
from storage.spool import Spool
from tests.results.findings_factory import findings


@dataclass(frozen=True)
class Request:
    """A C-STORE command."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True)
class Scanner:
    """Who sends."""

    calling_aet: str = "SCANNER"
    token: str = "association 1"


@dataclass(frozen=True)
class Said:
    """What an archive answers."""

    outcome: str = "accepted"
    status: int | None = 0
    reason: str = ""


def portal_venous(volume: Volume) -> Findings:
    """A judgement that needs no network."""
    return findings(volume)


@dataclass
class Story:
    """One node's stores and roles below a folder, with a clock that is set by hand."""

    folder: Path
    judge: Callable[[Volume], Findings] = portal_venous
    options: ResultOptions = field(default_factory=ResultOptions)
    version: str = "0"
    now: datetime = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    archive: dict[str, bytes] = field(default_factory=dict)
    answers: list[Said] = field(default_factory=list)
    """What the archive says next; "accepted" once there are no more."""

    def __post_init__(self) -> None:
        migrate(self.url)
        self.database = Database(self.url)
        self.spool = Spool(self.folder / "spool")
        self.results = ResultStore(self.folder / "results")
        self.jobs, self.outbox, self.arrivals = (kind(self.database) for kind in (Jobs, Outbox, Arrivals))

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder / 'log.sqlite'}"

    def receive(self, paths: Sequence[Path]) -> list[int]:
        """The statuses that the sender gets."""
        return [self._receive_one(path) for path in paths]

    def _receive_one(self, path: Path) -> int:
        content = path.read_bytes()
        syntax, start = read_file_meta(content)
        header = dcmread(path, stop_before_pixels=True)
        request = Request(header.SOPClassUID, header.SOPInstanceUID, syntax)
        rows: list[Arrival | Refused] = []
        reception = pipeline.receive(request, Scanner(), self.spool, Policy(), rows.append, lambda: self.now)
        reception.write(content[start:])
        status = reception.finish()
        reception.settle()
        self.arrivals.record_many([row for row in rows if isinstance(row, Arrival)])
        return status

    def assemble(self, later_seconds: float = 60.0) -> None:
        """Some time later the assembler looks."""
        self.now += timedelta(seconds=later_seconds)
        Assembler(self.jobs, self.spool, lambda *_: None, Rules(), 3, timedelta(seconds=1), lambda: self.now).step()

    def work(self, attempts: int = 3) -> bool:
        """The worker takes one job."""
        self.now += timedelta(seconds=60)
        policy = WorkPolicy(attempts, 60.0, 600.0)
        return Worker(
            jobs=self.jobs,
            arrivals=self.arrivals,
            outbox=self.outbox,
            spool=self.spool,
            results=self.results,
            judge=self.judge,
            options=self.options,
            limits=Limits(),
            context=lambda job: ResultContext(job.created_at, self.version, generation=job.generation),
            destinations=["archive"],
            hold=Hold(self.jobs, policy, lambda: self.now),
            policy=policy,
            owner="worker",
            clock=lambda: self.now,
        ).step()

    def deliver(self) -> None:
        """The courier goes once, long enough after the last time."""
        self.now += timedelta(days=1)
        minute = timedelta(minutes=1)
        Courier("archive", self.outbox, self._send, None, minute, minute, minute, lambda: self.now, Random(1)).step()

    def _send(self, items: Sequence[OutboxItem]) -> Iterator[tuple[OutboxItem, Said]]:
        for item in items:
            said = self.answers.pop(0) if self.answers else Said()
            if said.outcome == "accepted":
                self.archive[item.sop_uid] = self.results.read(item.path)
            yield item, replace(said)
