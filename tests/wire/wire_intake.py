"""An intake that keeps what it is told in memory: the other side of the listener in these tests."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from dicomnode.network.intake import CommitmentReport, Ending, Peer, Rejection, StoreRequest


@dataclass
class Shelf:
    """Keeps finished instances; `refuse` may raise at begin, write or finish."""

    kept: dict[str, tuple[StoreRequest, bytes]] = field(default_factory=dict)
    history: dict[str, list[bytes]] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    endings: list[Ending] = field(default_factory=list)
    reports: list[CommitmentReport] = field(default_factory=list)
    peers: list[Peer] = field(default_factory=list)
    rejection: Rejection | None = None
    refuse: Callable[[str, StoreRequest], None] = lambda _moment, _request: None
    lock: threading.Lock = field(default_factory=threading.Lock)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def admit(self, peer: Peer) -> Rejection | None:
        return self.rejection

    def opened(self, peer: Peer) -> None:
        self.note("opened")
        self.peers.append(peer)

    def closed(self, peer: Peer, ending: Ending) -> None:
        self.endings.append(ending)
        self.note("closed")

    def begin(self, request: StoreRequest, peer: Peer) -> "Kept":
        self.refuse("begin", request)
        self.note("begun")
        return Kept(self, request)

    def committed(self, report: CommitmentReport, peer: Peer) -> int:
        self.reports.append(report)
        self.note("reported")
        return 0x0000

    def note(self, what: str) -> None:
        with self.changed:
            self.calls[what] += 1
            self.changed.notify_all()

    def wait_for(self, what: str, count: int = 1, seconds: float = 10.0) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.calls[what] >= count, seconds), (what, self.calls)


@dataclass
class Kept:
    """One instance on its way onto the shelf."""

    shelf: Shelf
    request: StoreRequest
    parts: list[bytes] = field(default_factory=list)
    memory: bytearray = field(default_factory=lambda: bytearray(50_000))

    def write(self, *pieces: memoryview | bytes) -> None:
        self.shelf.refuse("write", self.request)
        self.parts.append(b"".join(pieces))

    def room(self) -> memoryview:
        return memoryview(self.memory)

    def filled(self, count: int) -> None:
        self.write(bytes(self.memory[:count]))

    def finish(self) -> int:
        self.shelf.refuse("finish", self.request)
        self.shelf.kept[self.request.sop_instance_uid] = (self.request, b"".join(self.parts))
        self.shelf.history.setdefault(self.request.sop_instance_uid, []).append(b"".join(self.parts))
        self.shelf.note("finished")
        return 0x0000

    def settle(self) -> None:
        self.shelf.refuse("settle", self.request)

    def abandon(self) -> None:
        self.shelf.note("abandoned")
