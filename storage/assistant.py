"""A second thread for what a second core may do meanwhile, if it is idle.

SHA-256 of a CT slice takes as long as the disk takes to write it, and who waits for the disk needs no core. Where
none is idle, nothing is lost but a wake-up: work that has not been begun by the time it is needed is done by who needs
it.
"""

import queue
import threading
from collections.abc import Callable


class Task:
    """Something that is done once, by whoever comes first."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._claim = threading.Lock()
        self._done = threading.Lock()
        self._done.acquire()
        self._error: BaseException | None = None

    def try_to_do(self) -> None:
        """Do it, unless somebody has begun."""
        if not self._claim.acquire(blocking=False):
            return
        try:
            self._work()
        except BaseException as error:
            self._error = error
        finally:
            self._done.release()

    def finish(self) -> None:
        """Return once it is done. Raises what the work raised."""
        self.try_to_do()
        self._done.acquire()
        if self._error is not None:
            raise self._error


class Assistant:
    """A thread that takes one task after the other. It is started by the first."""

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def ask(self, work: Callable[[], None]) -> Task:
        """`work`, which may begin at once; who asks calls `finish`."""
        if self._thread is None:
            self._start()
        task = Task(work)
        self._tasks.put(task)
        return task

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="assistant", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._tasks.get().try_to_do()


ASSISTANT = Assistant()
"""The one of this process: more than one would only wait for the same cores."""
