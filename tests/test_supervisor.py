"""The supervisor starts what dies again, with growing pauses, and tells why."""

import socket
import sys
from itertools import pairwise

from dicomnode.supervisor import LONGEST_PAUSE_SECONDS, Child, Supervisor, cause_of_death, pause_seconds


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def _child(program: str) -> Child:
    return Child("worker", [sys.executable, "-c", program])


def test_a_dead_child_is_started_again_and_the_cause_is_told() -> None:
    """A child that kills itself comes back, after a pause, and the log says by which signal it ended."""
    told: list[str] = []
    clock = Clock()
    child = _child("import os; os.kill(os.getpid(), 9)")
    supervisor = Supervisor([child], lambda _, text: told.append(text), clock)
    supervisor.step()
    assert child.process is not None
    child.process.wait()
    supervisor.step()
    assert child.process is None
    assert "SIGKILL" in told[-1]
    clock.now += pause_seconds(1)
    supervisor.step()
    assert child.process is not None
    supervisor._stop_all()


def test_pauses_grow_up_to_a_limit() -> None:
    """A child that keeps dying is started less and less often, but never given up."""
    pauses = [pause_seconds(n) for n in range(1, 30)]
    assert all(a <= b for a, b in pairwise(pauses))
    assert pauses[-1] == LONGEST_PAUSE_SECONDS


def test_a_child_that_cannot_work_stops_the_node() -> None:
    """Exit status 2 means a wrong configuration: starting again would not help."""
    child = _child("raise SystemExit(2)")
    supervisor = Supervisor([child], lambda *_: None)
    assert supervisor.run(poll_seconds=0.01) == 2


def test_what_comes_between_two_lives_of_a_child_waits_in_the_shared_socket() -> None:
    """A child is told its sockets; the next one takes who called when the first was dead; at the end none is open."""
    answer = "import socket, sys; socket.socket(fileno=int(sys.argv[2])).accept()[0].sendall(b'here')"
    child = _child(answer)
    clock = Clock()
    supervisor = Supervisor([child], lambda *_: None, clock)
    shared = socket.create_server(("127.0.0.1", 0))
    address = shared.getsockname()
    child.sockets = [shared]
    supervisor.step()
    with socket.create_connection(address, 10) as first, socket.create_connection(address, 10) as second:
        assert first.recv(4) == b"here"
        assert child.process is not None
        child.process.wait(10)
        clock.now += 1.0
        supervisor.step()
        clock.now += 1.0
        supervisor.step()
        assert second.recv(4) == b"here"
    supervisor._stop_all()
    with socket.socket() as late:
        assert late.connect_ex(address) != 0


def test_causes_are_words() -> None:
    """An administrator reads a name, not a number."""
    assert "SIGSEGV" in cause_of_death(-11)
    assert cause_of_death(1) == "ended with exit status 1"
