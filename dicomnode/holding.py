"""A job while it is worked on: its lease is renewed, its time is limited, and a stop puts it back."""

import faulthandler
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from storage.errors import StorageError
from storage.joblog import Job
from storage.jobs import Jobs

log = logging.getLogger(__name__)

STOP_LOOK_SECONDS = 0.5
"""How often it is looked whether the node is being stopped."""


@dataclass(frozen=True)
class WorkPolicy:
    """How long and how often a job is tried."""

    attempts: int
    lease_seconds: float
    time_limit_seconds: float
    retry_pause_seconds: float = 2.0
    stop_seconds: float = 10.0
    """How long a stop waits for the end of the running job; less than the supervisor waits for the worker."""
    wait_seconds: float = 5.0
    """Until a job is tried again that the disk or the database was not ready for."""


@dataclass(frozen=True)
class Hold:
    """`with hold(job):` keeps a claimed job this worker's."""

    jobs: Jobs
    policy: WorkPolicy
    clock: Callable[[], datetime]
    stopped: threading.Event = field(default_factory=threading.Event)
    """Set when the node is being stopped."""
    leave: Callable[[], None] = lambda: None
    """Ends this process, whatever native code its work hangs in."""

    @contextmanager
    def __call__(self, job: Job) -> Iterator[None]:
        """Renews the lease while the work goes on; a stop that the work would outlast puts the job back."""
        done = threading.Event()
        watches = (self._renew, self._yield_to_stop)
        threads = [threading.Thread(target=watch, args=(job, done), name="lease", daemon=True) for watch in watches]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            done.set()
            for thread in threads:
                thread.join()

    def _renew(self, job: Job, done: threading.Event) -> None:
        while not done.wait(self.policy.lease_seconds / 4):
            try:
                self.jobs.renew(job, self.policy.lease_seconds, self.clock())
            except Exception:
                log.exception("job %d: the lease cannot be renewed", job.id)

    def _yield_to_stop(self, job: Job, done: threading.Event) -> None:
        while not done.wait(STOP_LOOK_SECONDS):
            if self.stopped.is_set() and not done.wait(self.policy.stop_seconds):
                self._put_back(job)
                return

    def _put_back(self, job: Job) -> None:
        """The job is tried again after the next start, at no attempt's cost."""
        try:
            self.jobs.give_back(job, "the node was stopped", not_before=self.clock(), now=self.clock())
        except StorageError as error:
            log.warning("job %d: %s", job.id, error)
        else:
            log.warning("job %d: put back, the node is being stopped", job.id)
            self.leave()


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Past the limit the process ends, whatever native code it hangs in; the supervisor starts another."""
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
