"""`dicomnode jobs` and `dicomnode audit`: the job log for a person, or as JSON or CSV for a program.

Answers in well under half a second: nothing heavy is imported here.
"""

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dicomnode.config import load
from dicomnode.errors import ConfigurationError
from inference.sentences import percent
from storage.audit import Audit, NewEntry
from storage.database import Database
from storage.errors import DatabaseError, NotFound, WrongTransition
from storage.joblog import JobFilter, JobLine, JobLog
from storage.jobs import Jobs
from storage.states import JobState
from storage.story import Story, tell

COLUMNS = ("id", "created_at", "state", "phase", "confidence", "series", "description", "delivered", "reason")


@dataclass(frozen=True)
class Filters:
    """What to list."""

    wanted: JobFilter
    limit: int
    before: int | None

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> "Filters":
        """From the arguments of the command line. Raises ConfigurationError for a state that is none."""
        state = options["state"]
        if state is not None and state not in JobState.__members__:
            raise ConfigurationError(f"--state: {state!r} is none of {', '.join(JobState)}")
        wanted = JobFilter(
            state=JobState(state) if state else None,
            since=options["since"],
            until=options["until"],
            phase=options["phase"],
            patient_id=options["patient_id"],
            accession_number=options["accession"],
            study_uid=options["study"],
            series_uid=options["series"],
        )
        return cls(wanted, options["limit"], options["before"])


def _database(config: Path | None, *, read_only: bool = True) -> Database:
    database = Database(load(config).storage.url, read_only=read_only)
    try:
        JobLog(database).counts()
    except DatabaseError as error:
        raise ConfigurationError(str(error)) from None
    return database


def print_list(config: Path | None, filters: Filters, form: str) -> int:
    """Newest first, one row a job."""
    lines = JobLog(_database(config)).list(filters.wanted, limit=filters.limit, before_id=filters.before)
    rows = [job_row(line) for line in lines]
    if form == "json":
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    elif form == "csv":
        _print_csv(rows)
    else:
        _print_table(rows)
    return 0


def job_row(line: JobLine) -> dict[str, Any]:
    """One job as plain values."""
    job = line.job
    return {
        "id": job.id,
        "state": str(job.state),
        "created_at": job.created_at.isoformat(),
        "finished_at": job.finished_at.isoformat() if job.finished_at else None,
        "patient_id": job.patient_id,
        "accession_number": job.accession_number,
        "study_uid": job.study_uid,
        "series_uid": job.series_uid,
        "series_number": job.series_number,
        "series_description": job.series_description,
        "instances": job.instance_count,
        "generation": job.generation,
        "attempts": job.attempts,
        "supersedes": job.supersedes,
        "superseded_by": line.superseded_by,
        "closed_reason": job.closed_reason,
        "reason": job.reason,
        "model": job.model,
        "parts": [
            {
                "part": verdict.part,
                "label": verdict.label,
                "state": str(verdict.state),
                "phase": verdict.phase,
                "confidence": verdict.confidence,
                "probabilities": dict(verdict.probabilities),
                "seconds_after_injection": verdict.seconds,
                "reason": verdict.reason,
                "disagreement": verdict.disagreement,
            }
            for verdict in line.verdicts
        ],
        "outbox": {name: {str(state): n for state, n in counts.items()} for name, counts in line.outbox.items()},
        "delivered": line.delivered,
    }


def _short(row: Mapping[str, Any]) -> dict[str, str]:
    """The columns that a person reads, for one job."""
    parts = row["parts"]
    phases = [part["phase"] or "declined" for part in parts]
    sure = [f"{percent(part['confidence'])} %" for part in parts if part["confidence"] is not None]
    notes = [row["reason"], *(part["reason"] or part["disagreement"] for part in parts)]
    return {
        "id": str(row["id"]),
        "created_at": _local(row["created_at"]),
        "state": row["state"],
        "phase": " + ".join(dict.fromkeys(phases)),
        "confidence": ", ".join(sure),
        "series": f"{row['series_number'] if row['series_number'] is not None else '-'} / {row['instances']} slices",
        "description": row["series_description"][:28],
        "delivered": "yes" if row["delivered"] else ("no" if row["outbox"] else "-"),
        "reason": next((note for note in notes if note), ""),
    }


def _local(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _print_csv(rows: Sequence[Mapping[str, Any]]) -> None:
    simple = [name for name in job_fields() if name not in ("parts", "outbox")]
    columns = [*simple, "phase", "confidence"]
    writer = csv.DictWriter(sys.stdout, columns)
    writer.writeheader()
    for row in rows:
        phases = " + ".join(part["phase"] or "declined" for part in row["parts"])
        sure = " + ".join("" if part["confidence"] is None else f"{part['confidence']:.4f}" for part in row["parts"])
        writer.writerow({name: row[name] for name in simple} | {"phase": phases, "confidence": sure})


def job_fields() -> tuple[str, ...]:
    """Names of the fields of a job's row."""
    return (
        "id", "state", "created_at", "finished_at", "patient_id", "accession_number", "study_uid", "series_uid",
        "series_number", "series_description", "instances", "generation", "attempts", "supersedes", "superseded_by",
        "closed_reason", "reason", "model", "parts", "outbox", "delivered",
    )  # fmt: skip


def _print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        print("no jobs")
        return
    shorts = [_short(row) for row in rows]
    widths = {name: max(len(name), *(len(short[name]) for short in shorts)) for name in COLUMNS}
    widths["reason"] = 0
    for short in [{name: name.replace("_", " ").upper() for name in COLUMNS}, *shorts]:
        print("  ".join(f"{short[name]:<{widths[name]}}" for name in COLUMNS).rstrip())


def print_story(config: Path | None, job_id: int, form: str) -> int:
    """Everything that happened to one job, in order."""
    try:
        story = tell(_database(config), job_id)
    except NotFound as error:
        print(error, file=sys.stderr)
        return 1
    if form == "json":
        steps = [{"at": s.at.isoformat(), "kind": s.kind, "role": s.role, "text": s.text} for s in story.steps]
        print(json.dumps(job_row(story.line) | {"steps": steps, "results": _results(story)}, indent=2))
    else:
        _print_story(story)
    return 0


def _results(story: Story) -> list[dict[str, Any]]:
    return [
        {
            "destination": item.destination,
            "sop_class_uid": item.sop_class_uid,
            "sop_uid": item.sop_uid,
            "path": item.path,
            "state": str(item.state),
            "status": None if item.last_status is None else f"0x{item.last_status:04X}",
            "reason": item.last_reason,
            "attempts": item.attempts,
        }
        for item in story.outbox
    ]


def _print_story(story: Story) -> None:
    job = story.line.job
    print(f"job {job.id}: {job.state}" + (f" ({job.reason})" if job.reason else ""))
    print(f"  series {job.series_uid}")
    print(f"  study  {job.study_uid}")
    print(f"  generation {job.generation} of {len(story.generations)}", end="")
    current = story.line.superseded_by
    print(f", superseded by job {current}" if current else ", current")
    for verdict in story.line.verdicts:
        label = verdict.label or "the series"
        sure = "" if verdict.confidence is None else f" {percent(verdict.confidence)} %"
        print(f"  {label}: {verdict.phase or verdict.state}{sure}")
        for note in (verdict.reason, verdict.disagreement):
            if note:
                print(f"    {note}")
    for step in story.steps:
        print(f"{_local(step.at.isoformat())}  {step.role:<10}  {step.text}")


def retry(config: Path | None, job_id: int) -> int:
    """Queues a failed, declined or finished job again."""
    database = _database(config, read_only=False)
    now = datetime.now(UTC)
    try:
        Jobs(database).requeue_by_hand(job_id, now=now)
    except (NotFound, WrongTransition) as error:
        print(error, file=sys.stderr)
        return 1
    Audit(database).append(NewEntry(at=now, actor="command line", action="retried", subject=f"job {job_id}"))
    print(f"job {job_id} is queued again")
    return 0


def verify_audit(config: Path | None) -> int:
    """`dicomnode audit verify`: 0 when the chain of the audit log is whole."""
    audit = Audit(_database(config))
    damage = audit.verify()
    if damage is None:
        print(f"the audit log is whole: {audit.head().count} rows")
        return 0
    print(f"row {damage.id} of the audit log {damage.reason}", file=sys.stderr)
    return 1
