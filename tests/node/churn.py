"""Many associations with a receiver, and what they leave in it."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from tests.wire.raw_peer import RELEASE, RawPeer, echo


@dataclass(frozen=True)
class Footprint:
    """What a process holds."""

    descriptors: int
    resident_bytes: int
    threads: int


def footprint(process: int) -> Footprint:
    """Of a process that runs."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines() if ":" in line
    )
    return Footprint(
        descriptors=len(os.listdir(f"/proc/{process}/fd")),
        resident_bytes=int(status["VmRSS"].split()[0]) * 1024,
        threads=int(status["Threads"]),
    )


def associate_often(port: int, times: int) -> None:
    """One association after the other: C-ECHO, then in turn released, aborted by closing, and left with half a PDU."""
    for number in range(times):
        with RawPeer(port).associated() as peer:
            peer.send(echo())
            assert peer.status() == 0
            if number % 10 == 8:
                continue
            if number % 10 == 9:
                peer.send(b"\4\0\0\0\1\0half")
                continue
            peer.send(RELEASE)
            peer.read()


def at_rest(process: int, seconds: float = 15.0) -> Footprint:
    """Once the last connections are over."""
    ends_at = time.monotonic() + seconds
    found = footprint(process)
    while time.monotonic() < ends_at:
        time.sleep(0.5)
        found, before = footprint(process), found
        if (found.descriptors, found.threads) == (before.descriptors, before.threads):
            break
    return found
