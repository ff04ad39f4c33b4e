"""The same for programs: jobs as JSON, health for a load balancer, metrics for Prometheus."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from dicomnode.web.asking import read
from dicomnode.web.condition import Condition, examine
from dicomnode.web.node import Node
from dicomnode.web.pages import listed, note_look
from storage.errors import StorageError
from storage.joblog import JobLog
from storage.outbox import OutboxItem
from storage.story import Step, tell

NOT_FOR_DIAGNOSIS = "not for diagnostic use"


class Api:
    """The handlers, one an address."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def jobs(self, request: Request) -> Response:
        """A page of jobs, newest first; `next` is the address of the next one, or null."""
        asked = read(request.query_params, self._node.zone)
        lines = JobLog(self._node.database).list(asked.wanted, limit=asked.limit, before_id=asked.before_id)
        note_look(self._node, request, "listed", listed(asked))
        more = asked.older(lines[-1].job.id, "/api/jobs") if len(lines) == asked.limit else None
        return JSONResponse(
            {"jobs": [self._node.row(line) for line in lines], "next": more, "notice": NOT_FOR_DIAGNOSIS}
        )

    def job(self, request: Request) -> Response:
        """One job with its results and its story."""
        story = tell(self._node.database, request.path_params["job_id"])
        note_look(self._node, request, "viewed", f"job {story.line.job.id}")
        results = [_result(item) for item in story.outbox]
        steps = [_step(step) for step in story.steps]
        row = dict(self._node.row(story.line))
        return JSONResponse(row | {"results": results, "steps": steps, "notice": NOT_FOR_DIAGNOSIS})

    def health(self, request: Request) -> Response:
        """200 while the node works, with "ok" or "degraded" and why; 503 when it cannot work."""
        try:
            condition = examine(self._node)
        except StorageError:
            return JSONResponse({"status": "failing", "troubles": ["database or spool cannot be read"]}, 503)
        troubles = [trouble.text for trouble in condition.troubles]
        return JSONResponse({"status": "ok" if condition.well else "degraded", "troubles": troubles})

    def metrics(self, request: Request) -> Response:
        """Numbers in Prometheus' text format 0.0.4; no patient data."""
        lines = list(metrics(examine(self._node), self._node))
        return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")


def metrics(condition: Condition, node: Node) -> Iterator[str]:
    """The lines of /metrics."""
    yield from _metric("jobs", "Jobs by state.", [({"state": s}, n) for s, n in condition.jobs.items()])
    results = [
        ({"destination": d.destination, "state": s}, n) for d in condition.destinations for s, n in d.counts.items()
    ]
    yield from _metric("results", "Result objects by destination and state.", results)
    waits = [({"destination": d.destination}, _age(node, d.oldest_pending_at)) for d in condition.destinations]
    yield from _metric("oldest_waiting_result_seconds", "Age of the oldest result that waits to be sent.", waits)
    yield from _metric("spool_free_bytes", "Free space where the spool lies.", [({}, condition.free_bytes)])
    yield from _metric("spool_reserve_bytes", "Free space that must stay free.", [({}, node.reserve_bytes)])
    roles = {role.role: 0 for role in condition.roles} | dict.fromkeys(node.roles, 0)
    for role in condition.roles:
        roles[role.role] += role.process not in condition.silent
    yield from _metric("processes", "Living processes by role.", [({"role": r}, n) for r, n in sorted(roles.items())])


def _metric(name: str, said: str, values: Sequence[tuple[Mapping[str, str], float]]) -> Iterator[str]:
    yield f"# HELP dicomnode_{name} {said}"
    yield f"# TYPE dicomnode_{name} gauge"
    for labels, value in values:
        inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"dicomnode_{name}{f'{{{inside}}}' if inside else ''} {value}"


def _escaped(text: str) -> str:
    return str(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _age(node: Node, since: datetime | None) -> float:
    return 0.0 if since is None else max(0.0, round((node.now() - since).total_seconds(), 3))


def _result(item: OutboxItem) -> dict[str, Any]:
    return {
        "destination": item.destination,
        "sop_class_uid": item.sop_class_uid,
        "sop_uid": item.sop_uid,
        "path": item.path,
        "state": str(item.state),
        "status": item.last_status,
        "reason": item.last_reason,
        "attempts": item.attempts,
        "sent_at": item.sent_at.isoformat() if item.sent_at else None,
        "confirmed_at": item.confirmed_at.isoformat() if item.confirmed_at else None,
    }


def _step(step: Step) -> dict[str, Any]:
    return {"at": step.at.isoformat(), "kind": step.kind, "role": step.role, "text": step.text}
