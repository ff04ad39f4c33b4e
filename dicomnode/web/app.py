"""The web application: addresses, errors, and what every answer carries."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dicomnode.web.api import Api
from dicomnode.web.asking import BadQuestion
from dicomnode.web.node import Node
from dicomnode.web.pages import Pages
from storage.errors import NotFound, StorageError

HEADERS = (
    (b"content-security-policy", b"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
     b"frame-ancestors 'none'; base-uri 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)  # fmt: skip
"""On every answer: nothing from elsewhere, no scripts, and patient data stay out of caches and referrers."""


def create_app(node: Node) -> Starlette:
    """The application over one node's read side."""
    pages, api = Pages(node), Api(node)
    routes = [
        Route("/", pages.overview),
        Route("/jobs", pages.jobs),
        Route("/jobs/{job_id:int}", pages.job),
        Route("/jobs/{job_id:int}/pictures/{item_id:int}.png", pages.picture),
        Route("/api/jobs", api.jobs),
        Route("/api/jobs/{job_id:int}", api.job),
        Route("/health", api.health),
        Route("/metrics", api.metrics),
        Mount("/static", StaticFiles(packages=[("dicomnode.web", "static")])),
    ]
    middleware = [
        Middleware(FixedHeaders),
        Middleware(TrustedHostMiddleware, allowed_hosts=list(node.allowed_hosts), www_redirect=False),
    ]
    answers = _Answers(pages)
    return Starlette(
        routes=routes,
        middleware=middleware,
        exception_handlers={
            NotFound: answers.not_found,
            BadQuestion: answers.bad_question,
            StorageError: answers.unavailable,
            HTTPException: answers.http,
        },
    )


class _Answers:
    """What is answered instead of a page: JSON below /api, a page elsewhere."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def not_found(self, request: Request, error: Exception) -> Response:
        return self._answer(request, "Not found", str(error), 404)

    def bad_question(self, request: Request, error: Exception) -> Response:
        return self._answer(request, "This cannot be asked", str(error), 400)

    def unavailable(self, request: Request, error: Exception) -> Response:
        return self._answer(request, "The job log cannot be read", str(error), 503)

    def http(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return self._answer(request, error.detail, "There is nothing at this address.", error.status_code)

    def _answer(self, request: Request, title: str, text: str, status_code: int) -> Response:
        if request.url.path.startswith("/api"):
            return JSONResponse({"error": text}, status_code)
        return self._pages.message(title, text, status_code)


class FixedHeaders:
    """Adds HEADERS to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)
