"""One instance on its way to disk, and what holds wherever the power goes out meanwhile.

The dataset is gathered in a chunk of memory, and each chunk is written (storage/direct.py) while another core hashes it
(storage/assistant.py).

`Part.keep` names the file first and syncs afterwards: file, then folder. A file system with a journal then commits
once for bytes and name, where syncing before and after the rename commits twice. The cases:

    before the rename        a part file: swept when it is old, never taken for an instance
    rename to end of sync    nothing was promised yet; the name may be there with some, none or all of its bytes.
                             The name holds the digest of all, so nobody needs to believe it: `keep` of the same
                             dataset reads what lies there, `reconcile` reads it, and what is not what its name says
                             is replaced or set aside
    after both syncs         bytes, name and folders are durable: now `keep` returns, and Success may be said
    a sync that fails        the file is emptied and its name taken back before the folder is let go, so that nobody
                             relies on pages that the disk refused

A process that dies within leaves whole files that are in memory only; who comes upon one syncs it before relying on it.
"""

import contextlib
import fcntl
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from storage.assistant import ASSISTANT, Task
from storage.direct import BLOCK_BYTES, CHUNK_BYTES, DIRECT_BYTES, DirectFile
from storage.durable import locked, sync_file, translated

if TYPE_CHECKING:
    from storage.spool import Spool

SHARED_BYTES = 128 << 10
"""To hash less takes no longer than to wake another core."""


@dataclass(frozen=True)
class Kept:
    """An instance that is safe."""

    path: Path
    """Relative to the spool's root."""
    digest: str
    """SHA-256 of the encoded dataset, 64 hex digits; the file's meta information is not part of it."""
    size: int
    """Bytes of the encoded dataset."""
    duplicate: bool
    """True when the same dataset was here already."""


class Part:
    """One instance while it is being received: meta information first, then the dataset as it comes."""

    def __init__(self, spool: "Spool", path: str) -> None:
        self.size = 0
        """Bytes of the dataset so far."""
        self.made_at = time.monotonic()
        self._spool = spool
        self._path = path
        self._hash = hashlib.sha256()
        self._chunk = memoryview(b"")
        self._filled = self._hashed = self._meta_bytes = 0
        with translated(spool.root):
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        self._file = DirectFile(self._fd)

    def __enter__(self) -> "Part":
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    @property
    def digest(self) -> str:
        """SHA-256 of the dataset so far, 64 hex digits."""
        self._digest()
        return self._hash.hexdigest()

    def write_meta(self, meta: bytes) -> None:
        """Preamble and file meta information (PS3.10 7.1), before the dataset.

        They name the sender, so they are no part of the digest.
        """
        self.room()[: len(meta)] = meta
        self._filled = self._hashed = self._meta_bytes = len(meta)

    def lacking(self, size: int, at_least: int) -> int:
        """How many bytes longer, `at_least` so many, the meta information would let the file end with a whole block.

        `size` bytes is the dataset said to have. 0: it does so already, is left to the page cache anyhow, or has begun
        to be written. What is behind the last whole block costs the disk another write.
        """
        begun = self._filled != self._meta_bytes + self.size
        if begun or size < DIRECT_BYTES or not (self._meta_bytes + size) % BLOCK_BYTES:
            return 0
        return at_least + -(self._meta_bytes + size + at_least) % BLOCK_BYTES

    def replace_meta(self, meta: bytes) -> None:
        """Other meta information, after `lacking`: what was gathered of the dataset moves up or down."""
        shift = len(meta) - self._meta_bytes
        if self._filled + shift < CHUNK_BYTES:
            self._chunk[len(meta) : self._filled + shift] = self._chunk[self._meta_bytes : self._filled]
            self._chunk[: len(meta)] = meta
            self._meta_bytes = len(meta)
            self._filled += shift
            self._hashed += shift

    def write(self, *pieces: bytes | bytearray | memoryview) -> None:
        """The next bytes of the dataset. Raises SpoolFull, SpoolUnwritable."""
        for piece in pieces:
            view = memoryview(piece)
            while view:
                room = self.room()[: len(view)]
                room[:] = view[: len(room)]
                self.filled(len(room))
                view = view[len(room) :]

    def room(self) -> memoryview:
        """Memory for the next bytes of the dataset, for who can put them there himself, and then calls `filled`."""
        if not self._chunk:
            self._chunk = self._spool.memory.take()
        return self._chunk[self._filled :]

    def filled(self, count: int) -> None:
        """`count` bytes of the dataset are where `room` said. Raises SpoolFull, SpoolUnwritable."""
        self.size += count
        self._filled += count
        if self._filled == CHUNK_BYTES:
            with translated(self._spool.root):
                self._put()

    def keep(self, study_uid: str, series_uid: str, sop_uid: str) -> Kept:
        """Make the instance durable under its own path. Raises NotAUid, SpoolFull, SpoolUnwritable."""
        with translated(self._spool.root):
            self._put()
        digest = self.digest
        path = self._spool.path_of(study_uid, series_uid, sop_uid, digest)
        duplicate = self._is_there(path) and self._renewed(path)
        if duplicate:
            self.discard()
        else:
            self.keep_as(path)
        return Kept(path, digest, self.size, duplicate)

    def keep_as(self, path: Path) -> None:
        """Make the file durable under `path`, relative to the root, in place of what is there."""
        with translated(self._spool.root):
            self._put()
            try:
                self._name(path)
            except FileNotFoundError:
                self._spool.forget_folder(path.parent)
                self._name(path)

    def discard(self) -> None:
        """Delete the file unless it was kept. May be called more than once."""
        if self._fd >= 0:
            self._close()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)

    def _digest(self) -> None:
        if self._hashed < self._filled:
            self._hash.update(self._chunk[self._hashed : self._filled])
            self._hashed = self._filled

    def _put(self) -> None:
        """Write what was gathered, if anything, while another core hashes it."""
        if not self._filled:
            return
        is_long = self._filled - self._hashed >= SHARED_BYTES
        hashing = ASSISTANT.ask(self._digest) if is_long else Task(self._digest)
        try:
            self._file.write(self._chunk[: self._filled])
        finally:
            # Even then: nobody else may get the chunk while it is looked at.
            hashing.finish()
        self._filled = self._hashed = 0

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        os.close(fd)
        if self._chunk:
            self._spool.memory.give_back(self._chunk)
            self._chunk = memoryview(b"")

    def _name(self, path: Path) -> None:
        """Raises FileNotFoundError when the folder was removed by someone else just now."""
        with self._spool.opened(path.parent) as folder:
            os.rename(self._path, path.name, dst_dir_fd=folder)
            try:
                os.fdatasync(self._fd)
                os.fsync(folder)
            except OSError:
                self._take_back(folder, path.name)
                raise
        self._close()

    def _take_back(self, folder: int, name: str) -> None:
        """Emptying the file touches no other, whoever took the name meanwhile; removing the name needs the folder."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, 0)
        with contextlib.suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_EX)
            if _is(self._fd, name, folder):
                os.unlink(name, dir_fd=folder)

    def _renewed(self, path: Path) -> bool:
        """Make sure of the file that lies there, and give it a new date, so that it is not removed now.

        False when it is gone already.
        """
        place = self._spool.root / path
        with translated(self._spool.root), contextlib.suppress(FileNotFoundError):
            self._spool.make_durable_folder(path.parent)
            with locked(place.parent) as folder:
                os.utime(place)
                sync_file(place)
                os.fsync(folder)
                return True
        return False

    def _is_there(self, path: Path) -> bool:
        """Whether the same dataset lies there undamaged; a damaged file is replaced by the one just received."""
        place = f"{self._spool.place}/{path}"
        if not os.path.exists(place):
            return False
        try:
            with open(place, "rb") as file:
                if file.seek(0, os.SEEK_END) < self.size:
                    return False
                file.seek(-self.size, os.SEEK_END)
                found = hashlib.file_digest(file, "sha256")
        except FileNotFoundError:
            return False
        return found.digest() == self._hash.digest()


def _is(fd: int, name: str, folder: int) -> bool:
    """Whether a name in a folder is still that of an open file."""
    return os.path.samestat(os.fstat(fd), os.stat(name, dir_fd=folder, follow_symlinks=False))
