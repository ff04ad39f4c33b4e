"""One process that keeps the others alive.

Each role is a process of its own, so that a model that is killed for its memory takes no association with it. What
dies is started again after a pause that grows while it keeps dying, and why it died is told. A child that loses its
supervisor sees the end of its standard input and stops by itself, so that no orphan stays on the port.
"""

import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 30.0
HEALTHY_SECONDS = 20.0
"""A process that lived so long is started again at once."""
CANNOT_START = 2
"""Exit status of a role that cannot work as it is configured: the whole node stops."""

Tell = Callable[[str, str], None]
"""tell(role name, what happened)."""


class Process(Protocol):
    """A running child, as `subprocess.Popen` has it."""

    pid: int
    returncode: int | Any

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...
    def kill(self) -> None: ...


Spawn = Callable[[Sequence[str], Sequence[socket.socket]], Process]
"""spawn(command, sockets to share) -> the process; its standard input ends when the supervisor does."""


def start_program(command: Sequence[str], sockets: Sequence[socket.socket]) -> Process:
    """A program of its own, in a session of its own, told the descriptors of the sockets that it shares."""
    numbers = [shared.fileno() for shared in sockets]
    told = ["--sockets", *map(str, numbers)] if numbers else []
    return subprocess.Popen([*command, *told], stdin=subprocess.PIPE, start_new_session=True, pass_fds=numbers)


@dataclass
class Child:
    """One role's process, and its history."""

    name: str
    command: Sequence[str]
    sockets: Sequence[socket.socket] = ()
    """Open as long as the supervisor lives, whoever dies: what comes meanwhile waits in them."""
    process: Process | None = None
    started_at: float = 0.0
    next_start_at: float = 0.0
    failures: int = 0


@dataclass
class Supervisor:
    """Starts the children, in order, and keeps them running until `stop`."""

    children: Sequence[Child]
    tell: Tell
    clock: Callable[[], float] = time.monotonic
    grace_seconds: float = 20.0
    longest_pause_seconds: float = LONGEST_PAUSE_SECONDS
    spawn: Spawn = start_program
    watch: Callable[[], None] = lambda: None
    """Looks after what the children share; called with each step."""
    stopping: bool = field(default=False, init=False)
    exit_status: int = field(default=0, init=False)

    def run(self, poll_seconds: float = 0.1) -> int:
        """Works until stopped; the exit status is 2 when a role said that it cannot work as configured."""
        try:
            while not self.stopping:
                self.step()
                self.watch()
                time.sleep(poll_seconds)
        finally:
            self._stop_all()
        return self.exit_status

    def step(self) -> None:
        """Looks at each child once: starts what should run, notes what died."""
        for child in self.children:
            if self.stopping:
                return
            if child.process is not None and child.process.poll() is not None:
                self._died(child, child.process.returncode)
            if child.process is None and self.clock() >= child.next_start_at:
                self._start(child)

    def stop(self) -> None:
        """Ends `run` after its current step; safe in a signal handler."""
        self.stopping = True

    def _start(self, child: Child) -> None:
        child.process = self.spawn(child.command, child.sockets)
        child.started_at = self.clock()
        self.tell(child.name, f"started as process {child.process.pid}")

    def _died(self, child: Child, status: int) -> None:
        child.process = None
        if status == CANNOT_START:
            self.tell(child.name, "cannot work as configured: the node stops")
            self.exit_status = CANNOT_START
            self.stop()
            return
        healthy = self.clock() - child.started_at >= HEALTHY_SECONDS
        child.failures = 0 if healthy else child.failures + 1
        pause = pause_seconds(child.failures, self.longest_pause_seconds)
        child.next_start_at = self.clock() + pause
        self.tell(child.name, f"{cause_of_death(status)}; starts again in {pause:.1f} s")

    def _stop_all(self) -> None:
        for child in self.children:
            for shared in child.sockets:
                shared.close()
        running = [child for child in reversed(self.children) if child.process is not None]
        for child in running:
            assert child.process is not None
            child.process.send_signal(signal.SIGTERM)
        deadline = self.clock() + self.grace_seconds
        for child in running:
            assert child.process is not None
            try:
                child.process.wait(max(0.1, deadline - self.clock()))
            except subprocess.TimeoutExpired:
                self.tell(child.name, "did not stop in time and was killed")
                child.process.kill()
                child.process.wait()


def pause_seconds(failures: int, longest: float = LONGEST_PAUSE_SECONDS) -> float:
    """Pause before the next start after so many early deaths in a row."""
    return min(longest, FIRST_PAUSE_SECONDS * 2.0 ** min(failures, 12)) if failures else 0.0


def cause_of_death(status: int) -> str:
    """A process's exit status in words."""
    if status < 0:
        name = signal.Signals(-status).name if -status in {s.value for s in signal.Signals} else str(-status)
        hint = " (out of memory, or by hand)" if name == "SIGKILL" else ""
        return f"was ended by {name}{hint}"
    return f"ended with exit status {status}"
