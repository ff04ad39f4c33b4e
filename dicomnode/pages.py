"""From settings to the web role: what the pages are told of the node."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from dicomnode import __version__
from dicomnode.joblog import job_row
from dicomnode.results.picture import picture
from dicomnode.web.app import create_app
from dicomnode.web.node import THIS_MACHINE, Node
from dicomnode.web.server import serve
from storage.audit import Audit
from storage.database import Database

if TYPE_CHECKING:
    from dicomnode.node import Stores


def serve_pages(stores: "Stores", stopped: threading.Event) -> None:
    """Serves the pages until stopped. Raises OSError when the port cannot be had."""
    web = stores.settings.web
    serve(create_app(web_node(stores)), host=web.host, port=web.port, stopped=stopped)


def web_node(stores: "Stores") -> Node:
    """The node as its pages see it: the job log read-only, the audit log to write looks into."""
    from dicomnode.node import utc_now

    settings = stores.settings
    return Node(
        ae_title=settings.node.ae_title,
        version=__version__,
        database=Database(settings.storage.url, read_only=True),
        audit=Audit(stores.database),
        results=stores.results.root,
        picture=_png,
        row=job_row,
        free_bytes=stores.spool.free_bytes,
        now=utc_now,
        reserve_bytes=settings.storage.reserve_bytes,
        destinations=[place.name for place in settings.destinations],
        allowed_hosts=(*THIS_MACHINE, *settings.web.allowed_hosts),
    )


def _png(path: Path) -> bytes:
    image = picture(path.read_bytes())
    if image is None:
        raise ValueError("not a picture")
    return image
