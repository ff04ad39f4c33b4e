"""The whole node with a judge that needs no model: real roles under the real supervisor, restarted in milliseconds.

    python -m tests.node.stub_node WORD…        (the words name the roles, so that an orphan is known for what it is)

This process imports everything once. For each line "SETTINGS.toml<TAB>LOG" on its standard input it forks a supervisor
and prints its process number; the supervisor forks the roles. The file `judge` beside the settings says what the judge
does with its next series: "judge" (the default), "hang", "eat" (all the memory it gets), "raise" or "die".
"""

import functools
import importlib
import os
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from dicomnode.config import Settings, load
from dicomnode.errors import ConfigurationError
from dicomnode.node import log_to_standard_error, run_role, supervise
from dicomnode.supervisor import Child, Spawn, Supervisor, Tell
from inference.findings import Findings, SliceEvidence
from inference.models import ModelCard
from inference.phases import Phase
from inference.volume import Volume
from storage import database

WARMED = (
    "alembic.command", "dicomnode.destinations", "dicomnode.intake", "dicomnode.listening", "dicomnode.reception",
    "dicomnode.results.objects", "dicomnode.roles", "dicomnode.series.volume", "inference.rendering",
)  # fmt: skip
CARD = ModelCard(
    name="stub",
    version="1",
    task="phase",
    network="none",
    weights_sha256="0" * 64,
    intended_use="tests",
    limits="knows nothing",
    data="none",
)


@dataclass
class Fork:
    """A forked process, as the supervisor knows its children."""

    pid: int
    lifeline: int
    """Our end of its standard input."""
    returncode: int | None = field(default=None)

    def poll(self) -> int | None:
        if self.returncode is None and (ended := os.waitpid(self.pid, os.WNOHANG))[0]:
            self.returncode = os.waitstatus_to_exitcode(ended[1])
            os.close(self.lifeline)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        ends_at = time.monotonic() + (timeout or 1e9)
        while self.poll() is None and time.monotonic() < ends_at:
            time.sleep(0.01)
        if self.returncode is None:
            import subprocess

            raise subprocess.TimeoutExpired("fork", timeout or 0)
        return self.returncode

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def spawner(settings: Settings, judge: Callable[[Volume], Findings]) -> Spawn:
    """A `Spawn` for the supervisor that forks instead of starting a program."""
    children: list[Fork] = []
    ports: set[socket.socket] = set()

    def spawn(command: Sequence[str], sockets: Sequence[socket.socket]) -> Fork:
        ports.update(sockets)
        role = command[-2]
        for open_database in list(database._OPEN):
            open_database.close()
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            for end in [write, *(child.lifeline for child in children if child.returncode is None)]:
                os.close(end)
            os.dup2(read, 0)
            os.close(read)
            os.setsid()
            for port in ports.difference(sockets):
                port.close()
            _run(role, lambda: run_role(role, settings, supervised=True, sockets=sockets, judge=judge))
        os.close(read)
        children.append(Fork(pid, write))
        return children[-1]

    return spawn


def _run(name: str, call: Callable[[], int]) -> None:
    """In a child: do it, and end as the command line would."""
    status = 1
    try:
        Path("/proc/self/comm").write_text(name)
        status = call()
    except ConfigurationError as error:
        print(f"dicomnode: {error}", file=sys.stderr)
        status = 2
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def judge_with(mode: Path) -> Callable[[Volume], Findings]:
    """An answer that is a function of the pixels; or a fault, if the file says so."""

    def judge(volume: Volume) -> Findings:
        act = mode.read_text().strip() if mode.exists() else "judge"
        if act == "hang":
            time.sleep(600)
        elif act == "eat":
            hoard = []
            while True:
                hoard.append(np.zeros(1 << 28, np.uint8))
        elif act == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif act == "raise":
            raise RuntimeError("the judge fails")
        time.sleep(0.15)
        total = sum(float(volume.slice(index).sum()) for index in range(len(volume)))
        phase = list(Phase)[int(abs(total)) % len(Phase)]
        probabilities = {each: 0.7 if each is phase else 0.3 / (len(Phase) - 1) for each in Phase}
        return Findings(
            phase=phase,
            confidence=0.7,
            probabilities=probabilities,
            seconds=None,
            reason=None,
            key_slices=(0,),
            slices=tuple(SliceEvidence(index, probabilities, 1.0) for index in range(len(volume))),
            maps=(),
            map_scores={},
            model=CARD,
        )

    return judge


def main() -> None:
    """Forks supervisors until the standard input ends."""
    for name in WARMED:
        importlib.import_module(name)
    _rehearse()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while line := sys.stdin.readline():
        config, log = line.rstrip("\n").split("\t")
        if (pid := os.fork()) == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT), sys.stderr.fileno())
            _run("supervisor", functools.partial(serve, Path(config)))
        print(pid, flush=True)
    os._exit(0)  # taking apart what was imported would take seconds


def _rehearse() -> None:
    """Composes once, so that no forked worker has to load and index tables of the standard again."""
    from dicomnode import pipeline
    from dicomnode.results import ResultOptions
    from dicomnode.series.volume import Limits
    from dicomnode.worker import result_context
    from tests.factories import ct_series

    with tempfile.TemporaryDirectory() as folder:
        outcomes = pipeline.analyse(ct_series(Path(folder)), judge_with(Path(folder, "judge")), Limits())
        pipeline.compose(outcomes, ResultOptions(), result_context(datetime.now(UTC)), {})


def serve(config: Path) -> int:
    """As `dicomnode serve` does, but for the model and for how processes are made."""
    settings = load(config)
    log_to_standard_error(settings.log.level)
    spawn = spawner(settings, judge_with(config.parent / "judge"))

    def make(children: Sequence[Child], tell: Tell) -> Supervisor:
        return Supervisor(children, tell, longest_pause_seconds=0.4, spawn=spawn)

    return supervise(settings, make, config)


if __name__ == "__main__":
    main()
