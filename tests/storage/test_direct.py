"""Files that are written past the page cache: the same bytes lie there, whatever the file system can do."""

import ctypes
import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from storage.direct import BLOCK_BYTES, CHUNK_BYTES, DIRECT_BYTES, SPARE_CHUNKS, ChunkMemory, DirectFile
from storage.errors import SpoolFull
from storage.part import SHARED_BYTES, Part
from storage.spool import Spool

SIZES = [
    0,
    1,
    DIRECT_BYTES - 1,
    DIRECT_BYTES,
    CHUNK_BYTES - 4,
    CHUNK_BYTES,
    CHUNK_BYTES + 1,
    2 * CHUNK_BYTES + DIRECT_BYTES + 77,
]
DATA = Random(3).randbytes(max(SIZES))


def kept(folder: Path, data: bytes, step: int = 100_000) -> bytes:
    """What lies in the spool once `data` was kept."""
    return keep_in(Spool(folder), data, step)


def keep_in(spool: Spool, data: bytes, step: int = 100_000) -> bytes:
    with spool.open_part() as part:
        part.write_meta(b"meta")
        for start in range(0, len(data), step):
            part.write(data[start : start + step])
        path = part.keep("1.2", "1.3", "1.4").path
    return spool.absolute(path).read_bytes()


def is_direct(fd: int) -> bool:
    return bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT)


def refuse(kind: int) -> None:
    raise OSError(kind, os.strerror(kind))


@pytest.fixture
def on_disk(tmp_path: Path) -> Path:
    """A folder on a file system that can write past the page cache."""
    with open(tmp_path / "probe", "wb") as probe:
        try:
            fcntl.fcntl(probe, fcntl.F_SETFL, os.O_DIRECT)
        except OSError:
            pytest.skip("this file system always uses the page cache")
    (tmp_path / "probe").unlink()
    return tmp_path


@pytest.mark.parametrize("size", SIZES)
def test_bytes_come_back_whatever_their_number(tmp_path: Path, size: int) -> None:
    """Around the sizes where one way of writing gives way to the other."""
    assert kept(tmp_path, DATA[:size]) == b"meta" + DATA[:size]


def test_only_what_is_left_behind_the_last_block_goes_through_the_page_cache(
    on_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, real = list[tuple[bool, int]](), os.pwrite

    def pwrite(fd: int, data: memoryview, offset: int) -> int:
        calls.append((is_direct(fd), len(data)))
        return real(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    kept(on_disk, DATA[: CHUNK_BYTES + DIRECT_BYTES + 96])
    assert calls == [(True, CHUNK_BYTES), (True, DIRECT_BYTES), (False, 100)]


def test_a_file_system_that_knows_no_direct_writes_gets_all_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fcntl.fcntl
    monkeypatch.setattr(
        fcntl, "fcntl", lambda fd, what, value=0: refuse(errno.EINVAL) if value & os.O_DIRECT else real(fd, what, value)
    )
    assert kept(tmp_path, DATA) == b"meta" + DATA


@pytest.mark.parametrize("kind", [errno.EINVAL, errno.EOPNOTSUPP])
@pytest.mark.parametrize("before", [0, 1])
def test_a_file_system_that_refuses_direct_writes_gets_all_bytes(
    on_disk: Path, monkeypatch: pytest.MonkeyPatch, kind: int, before: int
) -> None:
    """At once, or amid the file."""
    real, taken = os.pwrite, list[int]()

    def pwrite(fd: int, data: memoryview, offset: int) -> int:
        if is_direct(fd) and len(taken) == before:
            refuse(kind)
        taken.append(len(data))
        return real(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    assert kept(on_disk, DATA) == b"meta" + DATA


@pytest.mark.parametrize("most", [5 * BLOCK_BYTES, 100_001])
def test_a_disk_that_takes_less_than_it_was_given_gets_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: real(fd, data[:most], offset))
    assert kept(tmp_path, DATA) == b"meta" + DATA


def test_other_errors_of_the_disk_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is no reason to try again through the page cache."""
    calls = list[int]()

    def pwrite(fd: int, *_: object) -> None:
        calls.append(fd)
        refuse(errno.ENOSPC)

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(SpoolFull):
        kept(tmp_path, DATA)
    assert len(calls) == 1
    assert list((tmp_path / "part").iterdir()) == []


def test_chunks_begin_on_pages_and_share_no_byte() -> None:
    """More of them than one piece of memory holds."""
    memory = ChunkMemory()
    chunks = [memory.take() for _ in range(7)]
    for number, chunk in enumerate(chunks):
        assert ctypes.addressof(ctypes.c_char.from_buffer(chunk)) % BLOCK_BYTES == 0
        chunk[:] = bytes([number]) * CHUNK_BYTES
    assert [set(chunk) for chunk in chunks] == [{number} for number in range(7)]


@pytest.mark.parametrize("end", ["keep", "discard"])
def test_the_memory_of_one_instance_serves_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    spool, made = Spool(tmp_path), list[int]()
    real: Callable[[], memoryview] = spool.memory.take
    monkeypatch.setattr(spool.memory, "take", lambda: made.append(id(chunk := real())) or chunk)
    for number in range(5):
        with spool.open_part() as part:
            part.write(b"%d" % number)
            if end == "keep":
                part.keep("1.2", "1.3", f"1.4.{number}")
    assert len(made) == 5
    assert len(set(made)) == 1


def test_an_instance_gets_its_name_once_all_its_bytes_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the disk takes."""
    real_write, real_rename, sizes = os.pwrite, os.rename, list[int]()

    def pwrite(fd: int, data: memoryview, offset: int) -> int:
        time.sleep(0.05)
        return real_write(fd, data, offset)

    def rename(source: str, *rest: object, **more: int) -> None:
        sizes.append(os.stat(source).st_size)
        real_rename(source, *rest, **more)

    monkeypatch.setattr(os, "pwrite", pwrite)
    monkeypatch.setattr(os, "rename", rename)
    assert kept(tmp_path, DATA) == b"meta" + DATA
    assert sizes == [len(DATA) + 4]


@pytest.mark.parametrize("chunks", [1, 2])
def test_a_disk_that_is_full_by_the_last_chunk_is_told_before_anything_is_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunks: int
) -> None:
    spool, real = Spool(tmp_path), os.pwrite

    def pwrite(fd: int, data: memoryview, offset: int) -> int:
        if offset + len(data) >= chunks * CHUNK_BYTES:
            refuse(errno.ENOSPC)
        return real(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(SpoolFull):
        keep_in(spool, DATA[: chunks * CHUNK_BYTES])
    assert list(spool.walk()) == []
    assert list((tmp_path / "part").iterdir()) == []


def test_memory_is_not_handed_on_while_another_core_hashes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk may say that it is full long before the hash is done."""
    spool, happened = Spool(tmp_path), list[str]()
    begun, refused, hashed, real = threading.Event(), threading.Event(), Part._digest, spool.memory.give_back

    def slow(part: Part) -> None:
        begun.set()
        assert refused.wait(10)
        time.sleep(0.05)
        hashed(part)
        happened.append("hashed")

    def full(*_: object) -> int:
        assert begun.wait(10)
        refused.set()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def give_back(chunk: memoryview) -> None:
        happened.append("handed on")
        real(chunk)

    monkeypatch.setattr(Part, "_digest", slow)
    monkeypatch.setattr(os, "pwrite", full)
    monkeypatch.setattr(spool.memory, "give_back", give_back)
    with pytest.raises(SpoolFull):
        keep_in(spool, DATA[:SHARED_BYTES])
    assert happened == ["hashed", "handed on"]


def test_memory_that_nobody_needs_goes_back_to_the_system() -> None:
    """Many associations at once, and then none."""
    memory = ChunkMemory()
    chunks = [memory.take() for _ in range(100)]
    assert len({id(chunk) for chunk in chunks}) == 100
    for chunk in chunks:
        memory.give_back(chunk)
    assert len(memory._spare) == SPARE_CHUNKS


def test_what_was_written_directly_is_where_it_belongs(on_disk: Path) -> None:
    """A chunk, a short rest: each behind what was written before."""
    memory = ChunkMemory()
    chunk = memory.take()
    chunk[:] = DATA[:CHUNK_BYTES]
    fd = os.open(on_disk / "file", os.O_WRONLY | os.O_CREAT)
    try:
        file = DirectFile(fd)
        file.write(chunk)
        file.write(chunk)
        file.write(chunk[:7])
    finally:
        os.close(fd)
    assert (on_disk / "file").read_bytes() == 2 * DATA[:CHUNK_BYTES] + DATA[:7]
