"""The pages for people: overview, list of jobs, one job's story, its pictures."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dicomnode.web.asking import Asked, read
from dicomnode.web.condition import examine
from dicomnode.web.node import Node
from dicomnode.web.presenting import bars, environment, pictures
from storage.audit import NewEntry
from storage.errors import NotFound
from storage.events import Events
from storage.joblog import JobLog
from storage.outbox import Outbox
from storage.states import JobState
from storage.story import tell

EVENTS = 30


class Pages:
    """The handlers, one a page. They read; the one thing written is the audit log."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._environment = environment(node)

    def overview(self, request: Request) -> Response:
        """How the node is."""
        condition = examine(self._node)
        events = Events(self._node.database).latest(EVENTS)
        return self._page("overview.html", "overview", {"condition": condition, "events": events})

    def jobs(self, request: Request) -> Response:
        """The list, newest first."""
        asked = read(request.query_params, self._node.zone)
        if asked.given != {key: value for key, value in request.query_params.items() if key not in ("before", "limit")}:
            return RedirectResponse(f"/jobs?{urlencode(asked.given)}", 303)
        lines = JobLog(self._node.database).list(asked.wanted, limit=asked.limit, before_id=asked.before_id)
        older = asked.older(lines[-1].job.id, "/jobs") if len(lines) == asked.limit else ""
        note_look(self._node, request, "listed", listed(asked))
        values = {"asked": asked, "lines": lines, "older": older, "states": list(JobState)}
        return self._page("jobs.html", "jobs", values)

    def job(self, request: Request) -> Response:
        """One job's story."""
        story = tell(self._node.database, request.path_params["job_id"])
        note_look(self._node, request, "viewed", f"job {story.line.job.id}")
        parts = [(verdict, bars(verdict.probabilities, self._node.phases)) for verdict in story.line.verdicts]
        shown = [item for item in pictures(story.outbox) if (self._node.results / item.path).is_file()]
        return self._page("job.html", "jobs", {"story": story, "parts": parts, "pictures": shown})

    def picture(self, request: Request) -> Response:
        """One picture among a job's results, as PNG."""
        job_id, item_id = request.path_params["job_id"], request.path_params["item_id"]
        for item in pictures(Outbox(self._node.database).of_job(job_id)):
            path = self._node.results / item.path
            if item.id == item_id and path.is_file():
                return Response(self._node.picture(path), media_type="image/png")
        raise NotFound(f"job {job_id} has no picture {item_id}")

    def message(self, title: str, text: str, status_code: int) -> Response:
        """A page that says why there is none."""
        return self._page("message.html", "", {"title": title, "text": text}, status_code)

    def _page(self, template: str, here: str, values: Mapping[str, Any], status_code: int = 200) -> Response:
        text = self._environment.get_template(template).render(here=here, **values)
        return HTMLResponse(text, status_code)


def note_look(node: Node, request: Request, action: str, subject: str) -> None:
    """Write down who looked at patient data."""
    actor = f"web {request.client.host if request.client else 'unknown'}"
    node.audit.append(NewEntry(at=node.now(), actor=actor, action=action, subject=subject))


def listed(asked: Asked) -> str:
    """Which list was looked at: the filters' names, without their values, for those may name a patient."""
    return "jobs by " + ", ".join(asked.given) if asked.given else "jobs"
