"""What the pages are told of the node: plain values and callables, so that they know nothing of the rest of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

from storage.audit import Audit
from storage.database import Database
from storage.joblog import JobLine

PHASES = ("unenhanced", "arterial", "portal venous", "delayed")
THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, kw_only=True)
class Node:
    """One node, as its pages see it."""

    ae_title: str
    version: str
    database: Database
    """Opened read-only: no page can change a job."""
    audit: Audit
    """Takes a row for each look at patient data."""
    results: Path
    """The folder of the result store."""
    picture: Callable[[Path], bytes]
    """A Secondary Capture file -> PNG."""
    row: Callable[[JobLine], Mapping[str, Any]]
    """One job as JSON values: the same as on the command line."""
    free_bytes: Callable[[], int]
    """Free space where the spool lies."""
    now: Callable[[], datetime]
    reserve_bytes: int = 0
    """Below this much free space new associations are rejected."""
    destinations: Sequence[str] = ()
    """Names of the destinations as configured."""
    roles: Sequence[str] = ("receiver", "assembler", "worker", "courier")
    """Which roles must be alive for the node to be well."""
    silence: timedelta = timedelta(seconds=30)
    """A process that was not heard of for so long counts as gone."""
    zone: tzinfo | None = None
    """The zone of the times shown; None: that of the machine."""
    phases: Sequence[str] = PHASES
    allowed_hosts: Sequence[str] = THIS_MACHINE
    """Host names that a browser may ask for ("*": any): foreign pages cannot reach the node by another name."""
