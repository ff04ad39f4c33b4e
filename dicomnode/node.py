"""The composition root: settings become storage, models, roles and processes. Start order, stop order, supervision.

serve             prepares the folder and the job log, then supervises one process a role
serve receiver    one role alone; they meet only in the spool and in the database
"""

import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dicomnode.config import Settings, load
from dicomnode.errors import ConfigurationError
from dicomnode.supervisor import Child, Supervisor, Tell
from dicomnode.upkeep import Upkeep
from storage.arrivals import Arrivals
from storage.associations import Associations
from storage.audit import Audit
from storage.database import Database, migrate
from storage.errors import SpoolError, StorageError
from storage.jobs import Jobs
from storage.outbox import Outbox
from storage.results import ResultStore
from storage.retention import Retention
from storage.roles import Roles
from storage.spool import Spool

if TYPE_CHECKING:
    from dicomnode.pipeline import JudgeVolume

log = logging.getLogger("dicomnode")

ASSEMBLER_IDLE_SECONDS = 0.5
WORKER_IDLE_SECONDS = 0.3
COURIER_IDLE_SECONDS = 0.5
WORKER_NICENESS = 5
"""The worker gives way: receiving goes before judging."""
SWITCH_SECONDS = 0.0005
"""How long a thread of a receiver may keep the interpreter from the others; Python's own is ten times that."""
SIGN_OF_LIFE_SECONDS = 10.0


def utc_now() -> datetime:
    """The present moment, aware."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Stores:
    """What the roles meet in: spool, result store and job log."""

    settings: Settings

    @cached_property
    def database(self) -> Database:
        """The job log."""
        return Database(self.settings.storage.url)

    @cached_property
    def spool(self) -> Spool:
        """What was received."""
        return Spool(self.settings.storage.folder / "spool", self.settings.storage.reserve_bytes)

    @cached_property
    def results(self) -> ResultStore:
        """What was made."""
        return ResultStore(self.settings.storage.folder / "results")

    @property
    def arrivals(self) -> Arrivals:
        """The ledger of instances."""
        return Arrivals(self.database)

    @property
    def jobs(self) -> Jobs:
        """The ledger of jobs."""
        return Jobs(self.database)

    @property
    def outbox(self) -> Outbox:
        """The ledger of deliveries."""
        return Outbox(self.database)


def serve(config: Path | None, role: str | None, *, supervised: bool, sockets: Sequence[int] = ()) -> int:
    """`dicomnode serve`: the whole node, or one role. The exit status is 2 when it cannot work as configured.

    `sockets` are descriptors of the open ports that a receiver shares with others; without them it opens its own.
    """
    settings = load(config)
    log_to_standard_error(settings.log.level)
    if role is None:
        from dicomnode.worker import check_bundle

        check_bundle(settings)
    try:
        if role is None:
            return supervise(settings, lambda children, tell: Supervisor(children, tell), config)
        if not supervised:
            prepare(settings)
        return run_role(role, settings, supervised=supervised, sockets=[socket.socket(fileno=fd) for fd in sockets])
    except StorageError as error:
        log.error("%s", error)
        return 1


def prepare(settings: Settings) -> Stores:
    """Makes the folder, brings the job log to this version's tables. Raises ConfigurationError with what to do."""
    stores = Stores(settings)
    try:
        settings.storage.folder.mkdir(parents=True, exist_ok=True)
        stores.spool.free_bytes()
        stores.results.root.exists()
        migrate(settings.storage.url)
        stores.database.check()
    except OSError as error:
        raise ConfigurationError(f"storage.folder: {settings.storage.folder}: {error.strerror}") from None
    except SpoolError as error:
        raise ConfigurationError(f"storage.folder: {error}") from None
    except StorageError as error:
        raise ConfigurationError(f"storage.database_url: {error}") from None
    return stores


MakeSupervisor = Callable[[Sequence[Child], Tell], Supervisor]


def supervise(settings: Settings, make: MakeSupervisor, config: Path | None) -> int:
    """All roles, each in a process of its own, until stopped. Raises ConfigurationError before the first one starts."""
    prepare(settings)
    children = _children(settings, config)
    upkeep = Upkeep(settings.storage.url, settings.analyse.attempts, children, utc_now)
    upkeep.wait_for_orphans()
    ports = _open_ports(settings)
    for child in children:
        child.sockets = ports if child.name.startswith("receiver") else ()
    _check_keys(settings)
    warn_of_open_doors(settings)
    upkeep.bury_the_dead()
    supervisor = make(children, upkeep.tell)
    supervisor.watch = upkeep.look
    _stop_on_signals(supervisor.stop)
    log.info("%s listens on %s port %d", settings.node.ae_title, settings.node.host, settings.node.port)
    if settings.web.enabled:
        log.info("pages for administrators: http://%s:%d/", settings.web.host, settings.web.port)
    return supervisor.run()


def _children(settings: Settings, config: Path | None) -> list[Child]:
    names = [f"receiver-{number}" for number in range(1, settings.node.receivers + 1)]
    names += ["assembler", "worker", "courier"] + (["web"] if settings.web.enabled else [])
    base = [sys.executable, "-m", "dicomnode", *(["--config", str(config)] if config else []), "serve"]
    return [Child(name, [*base, name.partition("-")[0], "--supervised"]) for name in names]


def _open_ports(settings: Settings) -> list[socket.socket]:
    """The ports for DICOM; one in use stops the start. The web's is its own process's, and only tried."""
    from dicomnode import listening

    ports = listening.open_ports(settings)
    if settings.web.enabled:
        listening.open_port("web.port", settings.web.host, settings.web.port).close()
    return ports


def _check_keys(settings: Settings) -> None:
    """A wrong certificate stops the start, not the first association."""
    from dicomnode.destinations import dicom_peer
    from dicomnode.listening import server_tls

    if settings.node.tls_port is not None:
        server_tls(settings)
    for place in settings.destinations:
        if place.kind == "dicom":
            dicom_peer(settings, place)


def warn_of_open_doors(settings: Settings) -> None:
    """Loud where the node listens beyond this machine and takes from whoever calls."""
    access = settings.access
    beyond_loopback = settings.node.host not in ("127.0.0.1", "::1", "localhost")
    if beyond_loopback and not access.calling_ae_titles and not access.networks:
        log.warning(
            "ANYBODY who reaches port %d may send: set access.calling_ae_titles or access.networks", settings.node.port
        )


def run_role(
    role: str,
    settings: Settings,
    *,
    supervised: bool,
    sockets: Sequence[socket.socket] = (),
    judge: "JudgeVolume | None" = None,
) -> int:
    """One role until it is stopped; its exit status.

    `sockets`: open ports for a receiver that shares them with others. `judge` stands in for the model that the settings
    name.
    """
    from dicomnode.intake import process_name

    stopped = threading.Event()
    _stop_on_signals(stopped.set)
    if supervised:
        _stop_with_parent(stopped.set)
    stores = Stores(settings)
    name = process_name(role)
    runners: dict[str, Callable[[], None]] = {
        "receiver": lambda: _receiver(stores, name, stopped, sockets),
        "assembler": lambda: _assembler(stores, stopped),
        "worker": lambda: _worker(stores, name, stopped, judge),
        "courier": lambda: _courier(stores, stopped),
        "web": lambda: _web(stores, stopped),
    }
    try:
        _give_signs_of_life(stores, role, name, stopped)
        runners[role]()
    except StorageError as error:
        log.error("%s cannot work: %s", role, error)
        return 1
    return 0


def _receiver(stores: Stores, name: str, stopped: threading.Event, sockets: Sequence[socket.socket]) -> None:
    from dicomnode.intake import Ledger, NodeIntake
    from dicomnode.listening import listeners, open_ports, screening_policy
    from dicomnode.reconciliation import reconcile
    from dicomnode.recorder import Recorder

    # An association that waits for the interpreter holds up its peer; the ledger can wait.
    sys.setswitchinterval(SWITCH_SECONDS)
    policy = screening_policy(stores.settings)
    ledger = Ledger(stores.arrivals, Associations(stores.database), Audit(stores.database), name)
    recorder = Recorder(ledger.write, lambda: _tell_rebuilt(reconcile(stores.spool, stores.arrivals, policy)))
    intake = NodeIntake(stores.spool, stores.outbox, policy, recorder.put, utc_now, recorder.hurry)
    sockets = sockets or open_ports(stores.settings)
    open_listeners = [listener.start() for listener in listeners(stores.settings, intake, sockets)]
    recorder.start()
    # What is there now stays until the end: to look through it for cycles again and again would halt all associations.
    gc.freeze()
    stopped.wait()
    for listener in open_listeners:
        listener.stop()
    recorder.stop()


def _tell_rebuilt(count: int) -> None:
    if count:
        log.warning("%d arrivals were rebuilt from the spool", count)


def _assembler(stores: Stores, stopped: threading.Event) -> None:
    from dicomnode.destinations import counter
    from dicomnode.roles import Assembler, repeat
    from dicomnode.series.assembly import Rules

    settings = stores.settings
    rules = Rules(quiet_seconds=settings.assemble.quiet_seconds, patience_seconds=settings.assemble.patience_seconds)
    assembler = Assembler(
        jobs=stores.jobs,
        spool=stores.spool,
        count=counter(settings),
        rules=rules,
        attempts=settings.analyse.attempts,
        retry_pause=timedelta(seconds=2),
        clock=utc_now,
        retention=_retention(stores),
    )
    repeat(assembler, stopped, ASSEMBLER_IDLE_SECONDS)


def _retention(stores: Stores) -> Retention | None:
    settings = stores.settings
    if settings.storage.keep_days is None:
        return None
    keep = timedelta(days=settings.storage.keep_days)
    confirming = [place.name for place in settings.destinations if place.commitment or place.verify]
    return Retention(stores.database, stores.spool, stores.results, keep, confirming)


def _worker(stores: Stores, name: str, stopped: threading.Event, judge: "JudgeVolume | None") -> None:
    from dicomnode import worker
    from dicomnode.holding import Hold, WorkPolicy
    from dicomnode.roles import Worker, repeat

    settings = stores.settings
    os.nice(WORKER_NICENESS)
    worker.limit_memory(settings.analyse.memory_limit_bytes)
    if judge is None:
        worker.phase_bundle(settings)
    policy = WorkPolicy(
        attempts=settings.analyse.attempts,
        lease_seconds=settings.analyse.lease_seconds,
        time_limit_seconds=settings.analyse.time_limit_seconds,
    )
    role = Worker(
        jobs=stores.jobs,
        arrivals=stores.arrivals,
        outbox=stores.outbox,
        spool=stores.spool,
        results=stores.results,
        judge=judge or worker.judge_with(settings),
        options=worker.result_options(settings),
        limits=worker.part_limits(settings),
        context=lambda job: worker.result_context(job.created_at, job.generation),
        destinations=[destination.name for destination in settings.destinations],
        hold=Hold(stores.jobs, policy, utc_now, stopped, leave=lambda: os._exit(0)),
        policy=policy,
        owner=name,
        clock=utc_now,
    )
    repeat(role, stopped, WORKER_IDLE_SECONDS)


def _courier(stores: Stores, stopped: threading.Event) -> None:
    from dicomnode.destinations import couriers
    from dicomnode.roles import repeat

    threads = [
        threading.Thread(target=repeat, args=(courier, stopped, COURIER_IDLE_SECONDS), name=courier.destination)
        for courier in couriers(stores.settings, stores.outbox, stores.results, utc_now)
    ]
    for thread in threads:
        thread.start()
    stopped.wait()
    for thread in threads:
        thread.join()


def _web(stores: Stores, stopped: threading.Event) -> None:
    from dicomnode.pages import serve_pages

    serve_pages(stores, stopped)


def echo(config: Path | None, destination: str | None) -> int:
    """`dicomnode echo`: 0 when the node, or the destination, answers to C-ECHO."""
    from dicomnode.destinations import echo_to

    settings = load(config)
    answer = echo_to(settings, destination)
    print(answer or "answers")
    return 1 if answer else 0


def _give_signs_of_life(stores: Stores, role: str, name: str, stopped: threading.Event) -> None:
    def live() -> None:
        while True:
            with suppress(StorageError):
                Roles(stores.database).seen(name, role, now=utc_now())
            if stopped.wait(SIGN_OF_LIFE_SECONDS):
                return

    threading.Thread(target=live, name="sign of life", daemon=True).start()


def _stop_on_signals(stop: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())


def _stop_with_parent(stop: Callable[[], None]) -> None:
    """The supervisor holds the other end of standard input: when it is gone, this process has no business here."""

    def watch() -> None:
        while os.read(0, 1):
            pass
        stop()
        # What does not end by itself after that (a judgement that goes on) ends now: nothing is lost by it.
        threading.Event().wait(15.0)
        os._exit(0)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def log_to_standard_error(level: str) -> None:
    """Where a service manager or a container engine looks for it."""
    logging.basicConfig(
        stream=sys.stderr,
        level=level.upper(),
        format="%(asctime)s %(levelname)s %(processName)s[%(process)d] %(name)s: %(message)s",
    )
    for noisy in ("pynetdicom", "pydicom", "matplotlib", "PIL", "alembic", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
