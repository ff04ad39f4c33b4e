"""One file that is written in large chunks past the page cache, where the file system can do that.

The page cache must find a fresh page for each 4 KB that is received and copy into it, which costs more processor time
than anything else that is done with an instance, and throws out pages that somebody may still want. So the bytes are
gathered in memory that is used again and again, and the disk takes them from there (O_DIRECT). What is left behind the
last whole block goes through the page cache, and so does everything where the file system refuses.
"""

import contextlib
import errno
import fcntl
import mmap
import os

CHUNK_BYTES = 640 << 10
"""Written at once: a CT slice of 512 x 512 with its header, for each write waits for the disk; whole blocks."""
DIRECT_BYTES = 64 << 10
"""Less than that is left to the page cache: the disk then writes it along with the rest of the file."""
HUGE_PAGE_BYTES = 2 << 20
BLOCK_BYTES = 4096
"""Offsets, lengths and addresses that are multiples of it suit nearly every file system; another one refuses."""
SPARE_CHUNKS = 16
"""Pieces of memory that lie ready at most."""

_CANNOT = frozenset({errno.EINVAL, errno.EOPNOTSUPP})


class ChunkMemory:
    """Memory for chunks. What was given back is handed out again, for it is in the processor's cache."""

    def __init__(self) -> None:
        self._spare: list[memoryview] = []

    def take(self) -> memoryview:
        """CHUNK_BYTES that begin on a page of memory."""
        try:
            return self._spare.pop()
        except IndexError:
            first, *others = _chunks()
            self._spare += others
            return first

    def give_back(self, chunk: memoryview) -> None:
        """Nobody looks at it any more."""
        if len(self._spare) < SPARE_CHUNKS:
            self._spare.append(chunk)


def _chunks() -> list[memoryview]:
    """As many as fit on a huge page, which the disk takes as one piece of memory, if there is such a page."""
    page = mmap.mmap(-1, HUGE_PAGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without them
            page.madvise(mmap.MADV_HUGEPAGE)
    whole = memoryview(page)
    return [whole[at : at + CHUNK_BYTES] for at in range(0, HUGE_PAGE_BYTES - CHUNK_BYTES + 1, CHUNK_BYTES)]


class DirectFile:
    """A new file, written from its start to its end."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._offset = 0
        self._can = True
        self._is_direct = False

    def write(self, data: memoryview) -> None:
        """All of `data`, which begins on a page; a whole chunk, but for the last time. Raises OSError."""
        whole = len(data) - len(data) % BLOCK_BYTES
        at = self._write_direct(data[:whole]) if whole >= DIRECT_BYTES and self._can else 0
        if at < len(data):
            self._switch(False)
            while at < len(data):
                at += self._put(data[at:])

    def _write_direct(self, data: memoryview) -> int:
        """How many bytes the disk took; fewer where the file system can no more."""
        at = 0
        try:
            self._switch(True)
            while at < len(data) and at % BLOCK_BYTES == 0:
                at += self._put(data[at:])
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
            self._can = False
        return at

    def _put(self, data: memoryview) -> int:
        count = os.pwrite(self._fd, data, self._offset)
        self._offset += count
        return count

    def _switch(self, direct: bool) -> None:
        if direct != self._is_direct:
            fcntl.fcntl(self._fd, fcntl.F_SETFL, os.O_DIRECT if direct else 0)
            self._is_direct = direct
