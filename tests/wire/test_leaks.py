"""Nothing is left behind: memory and file descriptors after many associations, over both receive paths.

`benchmarks/ingest.py --associations 10000` does the same at full length.
"""

import gc
import os
import threading
import time

import pytest
import raw_peer
from raw_peer import RawPeer


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def resident_kib() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024


def visit(port: int, number: int) -> None:
    """One association of each kind: released, aborted, closed, never requested."""
    with RawPeer(port) as peer:
        if number % 4 == 3:
            return
        peer.associated().send(raw_peer.store("1.2.3", b"x" * 2000))
        assert peer.status() == 0
        if number % 4 < 2:
            peer.send(raw_peer.RELEASE if number % 4 == 0 else raw_peer.ABORT)
            peer.read()


@pytest.mark.slow
def test_descriptors_threads_and_memory_stay_flat(listen, streaming: bool) -> None:
    """After a warm-up, hundreds more associations change none of them."""
    listener, shelf = listen()
    for number in range(200):
        visit(listener.port, number)
    gc.collect()
    before, memory = descriptors(), resident_kib()
    for number in range(1200 if streaming else 400):
        visit(listener.port, number)
    shelf.wait_for("closed", shelf.calls["opened"])
    assert listener.associations() == 0
    # pynetdicom's own path notices a connection that was closed before its request only when the time for that is over.
    ends_at = time.monotonic() + 10
    while threading.active_count() >= 30 and time.monotonic() < ends_at:
        time.sleep(0.05)
    gc.collect()
    assert descriptors() <= before + 4
    assert threading.active_count() < 30
    assert resident_kib() - memory < 12_000
