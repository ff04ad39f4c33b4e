"""What the supervisor does besides: it tells the job log, buries the dead, and sees to it that there is a job log.

Nothing here may hold up the supervisor: it waits for the database a moment only, and tries again later.
"""

import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from dicomnode.supervisor import Child
from storage.associations import Associations
from storage.database import Database, is_gone, migrate
from storage.errors import StorageError
from storage.events import Events, NewEvent
from storage.jobs import Jobs
from storage.roles import Roles

log = logging.getLogger("dicomnode")

BUSY_SECONDS = 1.0
LOOK_SECONDS = 2.0
ORPHAN_SECONDS = 20.0
RETRY_PAUSE = timedelta(seconds=1)


class Upkeep:
    """Looks after what the children of one supervisor share."""

    def __init__(self, url: str, attempts: int, children: Sequence[Child], clock: Callable[[], datetime]) -> None:
        """`attempts` is how often a job is tried."""
        self._url, self._attempts, self._children, self._clock = url, attempts, children, clock
        self._database = Database(url, busy_seconds=BUSY_SECONDS)
        self._looked_at = 0.0
        self._unburied = False

    def tell(self, name: str, text: str) -> None:
        """What happened to a child, in the log and in the job log; what it left open is ended."""
        started = text.startswith("started")
        log.log(logging.INFO if started else logging.WARNING, "%s %s", name, text)
        self._unburied = self._unburied or not started
        try:
            event = NewEvent(at=self._clock(), kind="role", role="supervisor", text=f"{name} {text}")
            Events(self._database).record(event)
        except StorageError as error:
            log.error("the job log cannot be written: %s", error)
            return
        self._bury()

    def look(self) -> None:
        """Every few seconds: is there a job log, and is everybody buried."""
        if time.monotonic() - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = time.monotonic()
        if is_gone(self._url):
            self._make_job_log()
        self._bury()

    def bury_the_dead(self) -> None:
        """End the associations and leases of processes that are no more. Raises StorageError."""
        now, living = self._clock(), _living(self._children)
        Roles(self._database).keep_only(living)
        Associations(self._database).close_orphans(living, now=now)
        Jobs(self._database).release_lost_leases(now, self._attempts, RETRY_PAUSE, living)
        self._unburied = False

    def wait_for_orphans(self) -> None:
        """After a supervisor was killed its roles end by themselves within seconds: until then the port is theirs."""
        ends_at = time.monotonic() + ORPHAN_SECONDS
        while time.monotonic() < ends_at and any(_is_orphan(role.process) for role in Roles(self._database).all()):
            time.sleep(0.1)

    def _bury(self) -> None:
        if not self._unburied:
            return
        try:
            self.bury_the_dead()
        except StorageError as error:
            log.error("the job log cannot be written: %s", error)

    def _make_job_log(self) -> None:
        log.error("the job log's file is gone: a new one is made, and what was received is taken in from the spool")
        try:
            migrate(self._url)
        except (StorageError, OSError) as error:
            log.error("no new job log can be made: %s", error)
            return
        for child in self._children:
            if child.name.startswith("receiver") and child.process is not None:
                child.process.send_signal(signal.SIGTERM)


def _living(children: Sequence[Child]) -> list[str]:
    running = [child for child in children if child.process is not None]
    return [f"{child.name.partition('-')[0]}:{child.process.pid}" for child in running if child.process is not None]


def _is_orphan(process: str) -> bool:
    """Whether a role of an earlier start ("receiver:4711") still runs."""
    role, _, number = process.partition(":")
    if number == str(os.getpid()):
        return False
    try:
        command = Path(f"/proc/{number}/cmdline").read_bytes()
    except OSError:
        return False
    return b"--supervised" in command and role.encode() in command
