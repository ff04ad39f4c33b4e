"""The recorder writes the ledger behind the receivers' backs, so that no association waits for the database."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence

from storage.errors import DatabaseRefused, StorageError

log = logging.getLogger(__name__)

GATHER_SECONDS = 1.0
"""Rows wait so long for others, unless they are waited for: a transaction costs the receivers more than a row."""
HURRY_SECONDS = 0.05
"""And so long if they are: associations that were opened together end together, and one that goes on is not held up."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 5.0
"""Between attempts to write to a database that cannot be written."""


class Recorder:
    """Writes many rows in one transaction, in the order they came.

    It begins with `catch_up`, for what an earlier process left unwritten, and so needs no database to be started.
    The queue is bounded. When the database stays away for so long that it fills up, rows are dropped and made again
    by another `catch_up`, which is cheaper than a receiver that stops to promise.
    """

    def __init__(self, write: Callable[[Sequence[object]], None], catch_up: Callable[[], None], limit: int = 50_000):
        self._write, self._catch_up = write, catch_up
        self._queue: queue.Queue[object | None] = queue.Queue(limit)
        self._behind = True
        self._urgent = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Begins to write."""
        self._thread.start()

    def put(self, row: object) -> None:
        """Takes a row; never waits."""
        try:
            self._queue.put_nowait(row)
        except queue.Full:
            self._behind = True

    def hurry(self) -> None:
        """Write now what has come so far."""
        self._urgent.set()

    def stop(self, timeout_seconds: float = 10.0) -> None:
        """Writes what is left and ends; what a database that is away keeps from being written is made again later."""
        try:
            self._queue.put(None, timeout=timeout_seconds)
            self.hurry()
        except queue.Full:
            return
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        rows: list[object | None] = []
        while not rows or rows[-1] is not None:
            self._insist([])
            rows = self._take()
            self._insist([row for row in rows if row is not None])

    def _insist(self, rows: list[object]) -> None:
        """Until they are written."""
        wait, pause = threading.Event(), FIRST_PAUSE_SECONDS
        while not self._written(rows):
            wait.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _take(self) -> list[object | None]:
        rows = [self._queue.get()]
        if self._urgent.wait(GATHER_SECONDS):
            time.sleep(HURRY_SECONDS)
        self._urgent.clear()
        while rows[-1] is not None and len(rows) < 1000:
            try:
                rows.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return rows

    def _written(self, rows: list[object]) -> bool:
        try:
            if rows:
                self._write(rows)
            if self._behind and self._queue.empty():
                self._behind = False
                self._caught_up()
        except (DatabaseRefused, ValueError):
            return self._written_one_by_one(rows)
        except StorageError as error:
            log.error("the job log cannot be written, and is tried again: %s", error)
            return False
        except Exception:
            log.exception("the job log cannot be written, and is tried again")
            return False
        return True

    def _caught_up(self) -> None:
        try:
            self._catch_up()
        except BaseException:
            self._behind = True
            raise

    def _written_one_by_one(self, rows: list[object]) -> bool:
        """One row that the database refuses must not hold up those behind it."""
        if len(rows) > 1:
            return all(self._written([row]) for row in rows)
        log.exception("a row is left out of the job log: the database refuses it")
        return True
