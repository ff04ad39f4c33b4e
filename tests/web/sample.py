"""A node with something to show: jobs in every state, results in every state, processes, a picture."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from dicomnode.web.node import Node
from storage.arrivals import Arrival, Arrivals
from storage.associations import Associations
from storage.audit import Audit
from storage.database import Database, migrate
from storage.joblog import Job, JobLine, Verdict
from storage.jobs import Jobs
from storage.outbox import NewItem, Outbox
from storage.results import ResultStore
from storage.roles import Roles
from storage.states import VerdictState

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
NOW = datetime(2026, 3, 1, 14, 30, tzinfo=UTC)
CAPTURE, REPORT = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.88.33"
STUDY = "1.2.826.0.1.3680043.8.498.1"
MODEL = "phase 0.3.0 (3f2a91c07b5e)"


@dataclass
class Sample:
    """Fills one database, series by series."""

    folder: Path

    def __post_init__(self) -> None:
        self.url = f"sqlite:///{self.folder}/node.db"
        migrate(self.url)
        self.database = Database(self.url)
        self.jobs, self.outbox = Jobs(self.database), Outbox(self.database)
        self.results = ResultStore(self.folder / "results")

    def node(self, **more: Any) -> Node:
        """The node as the pages see it."""
        values: dict[str, Any] = {
            "ae_title": "DICOMNODE",
            "version": "0.1.0",
            "database": Database(self.url, read_only=True),
            "audit": Audit(self.database),
            "results": self.results.root,
            "picture": lambda path: picture(path.name),
            "row": row,
            "free_bytes": lambda: 412_000_000_000,
            "reserve_bytes": 1_000_000_000,
            "now": lambda: NOW,
            "zone": UTC,
            "allowed_hosts": ("testserver", "127.0.0.1"),
        }
        return Node(**{**values, **more})

    def closed(self, number: int, at: datetime, description: str, *, slices: int = 120, first: int = 0) -> Job:
        """A series that came over an association and was closed."""
        token, series = f"t{number}-{first}", f"{STUDY}.{number}"
        peer = {"calling_aet": "CT_SCANNER_2", "called_aet": "DICOMNODE", "address": "10.1.4.22"}
        ledger = Associations(self.database)
        ledger.opened(token, process="receiver-0:311", now=at - timedelta(seconds=40), **peer)
        Arrivals(self.database).record_many(
            [
                Arrival(
                    study_uid=STUDY,
                    series_uid=series,
                    sop_uid=f"{series}.{n}",
                    sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
                    transfer_syntax_uid="1.2.840.10008.1.2.1",
                    digest=f"{n:064x}",
                    path=f"{STUDY}/{series}/{n}.dcm",
                    size=526_000,
                    received_at=at - timedelta(seconds=30) + timedelta(seconds=(n - first) / 20),
                    association_token=token,
                    calling_aet="CT_SCANNER_2",
                    modality="CT",
                    patient_id=f"PID-{1000 + number // 3}",
                    accession_number=f"ACC{70_000 + number // 3}",
                    series_description=description,
                    series_number=number,
                )
                for n in range(first, first + slices)
            ]
        )
        ledger.closed(token, "released", now=at - timedelta(seconds=20))
        job = self.jobs.create(STUDY, series, closed_reason="quiet for 15 s, no association open", now=at)
        assert job is not None
        return job

    def claimed(self, number: int, at: datetime, description: str, **more: Any) -> Job:
        """A series that a worker judges."""
        self.closed(number, at, description, **more)
        job = self.jobs.claim("worker-0:4711", 900, at + timedelta(seconds=1))
        assert job is not None
        return job

    def built(self, number: int, at: datetime, description: str, verdicts: list[Verdict], **more: Any) -> Job:
        """A series with a report and two pictures for two destinations."""
        job = self.claimed(number, at, description, **more)
        items = []
        for n, sop_class in enumerate((CAPTURE, CAPTURE, REPORT)):
            name = f"{job.id}/{job.series_uid}.{job.generation}.9{n}.dcm"
            self.results.put(name, b"a result")
            for destination in ("PACS", "BACKUP"):
                uid = Path(name).stem
                items.append(NewItem(destination=destination, sop_class_uid=sop_class, sop_uid=uid, path=name))
        done = at + timedelta(seconds=5.4)
        return self.jobs.finish_built(job, verdicts, items, model=MODEL, now=done)

    def send(self, destination: str, answer: Callable[[Outbox, int, datetime], object], at: datetime) -> None:
        """The courier gets the same answer for all that is due."""
        for item in self.outbox.due(destination, at):
            answer(self.outbox, item.id, at)


def judged(phase: str | None, confidence: float, *, part: int = 0, **more: Any) -> Verdict:
    """An answer; the rest of the probability is spread over the other phases."""
    phases = ("unenhanced", "arterial", "portal venous", "delayed")
    rest = (1 - confidence) / 3
    shares = {name: confidence if name == (phase or "arterial") else rest for name in phases}
    values: dict[str, Any] = {"label": "", "state": VerdictState.JUDGED, **more}
    return Verdict(part=part, phase=phase, confidence=confidence, probabilities=shares, **values)


def accept(outbox: Outbox, item_id: int, at: datetime) -> None:
    """Success."""
    outbox.accepted(item_id, status=0, now=at)


def refuse(outbox: Outbox, item_id: int, at: datetime) -> None:
    """Refused for good."""
    outbox.rejected(item_id, status=0x0122, reason="SOP class not supported", now=at)


def no_answer(outbox: Outbox, item_id: int, at: datetime) -> None:
    """The destination is away."""
    later = at + timedelta(minutes=8)
    outbox.later(item_id, status=None, reason="connection refused", next_attempt_at=later, now=at)


def filled(folder: Path) -> Sample:
    """A working day of a node."""
    sample, hour = Sample(folder), timedelta(hours=1)
    venous = [judged("portal venous", 0.97, seconds=71.0)]
    sample.built(3, START, "ABD 5.0 B30f", [judged("unenhanced", 0.999)])
    sample.built(4, START + hour, "ABD ARTERIAL 1.5 I31f", [judged("arterial", 0.88, seconds=27.0)])
    late = sample.built(5, START + 2 * hour, "ABD PV 1.5 I31f", venous)
    parts = [
        judged("arterial", 0.91, part=1, label="acquisition 2", seconds=31.0),
        judged(
            None,
            0.44,
            part=2,
            label="acquisition 3",
            reason="The slices speak for arterial and portal venous alike.",
            disagreement="header: no contrast; image: arterial",
        ),
    ]
    sample.built(6, START + 2.5 * hour, "LIVER DYN 3.0", parts)
    for destination in ("PACS", "BACKUP"):
        sample.send(destination, accept, START + 3 * hour)
    sent = sample.outbox.awaiting_commitment("PACS", NOW, ask_again_after=hour)
    sample.outbox.asked([item.id for item in sent], transaction_uid="2.25.1", now=START + 3 * hour)
    sample.outbox.committed("2.25.1", [item.sop_uid for item in sent], now=START + 3.01 * hour)
    declined = sample.claimed(8, START + 4 * hour, "HEAD 5.0", slices=32)
    why = "The images show neither an abdomen nor a thorax."
    verdict = Verdict(part=0, label="", state=VerdictState.DECLINED, reason=why)
    sample.jobs.decline(declined, why, [verdict], now=START + 4.01 * hour)
    failed = sample.claimed(9, START + 4.5 * hour, "THX 1.0 LUNG", slices=410)
    sample.jobs.retry_later(failed, "worker ran out of memory", not_before=NOW, max_attempts=1, now=START + 4.6 * hour)
    again = sample.built(5, START + 5 * hour, "ABD PV 1.5 I31f", venous, slices=4, first=120)
    assert again.supersedes == late.id
    sample.send("PACS", refuse, START + 5.1 * hour)
    sample.send("BACKUP", no_answer, START + 5.1 * hour)
    sample.claimed(11, NOW - timedelta(seconds=9), "ABD DELAYED 3.0")
    sample.closed(12, NOW - timedelta(seconds=3), "ABD DELAYED 3.0 COR")
    roles = Roles(sample.database)
    for role, process in [("receiver", "0:311"), ("receiver", "1:312"), ("assembler", "0:313"), ("courier", "0:315")]:
        roles.seen(f"{role}-{process}", role, now=START)
        roles.seen(f"{role}-{process}", role, now=NOW - timedelta(seconds=4))
    roles.seen("worker-0:4711", "worker", now=NOW - timedelta(seconds=2), text="judges slice 40 of 120")
    return sample


def picture(text: str) -> bytes:
    """A PNG that says which file it shows."""
    image = Image.new("RGB", (1024, 768), "black")
    draw = ImageDraw.Draw(image)
    draw.ellipse((212, 134, 812, 634), outline=(150, 150, 150), width=6)
    draw.text((40, 40), f"{text}\nnot for diagnostic use", fill="white", font_size=22)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def row(line: JobLine) -> dict[str, Any]:
    """As little of a job as a test needs."""
    return {"id": line.job.id, "state": str(line.job.state), "patient_id": line.job.patient_id}
