"""The spool: bytes that were received, each under a path that is a function of what it holds.

    <root>/<study UID>/<series UID>/<SOP UID>_<first 16 hex digits of the dataset's SHA-256>.dcm
    <root>/part/<process>-<number>-<random>.part        while it is being received

`Part.keep` returns only once the instance would survive the power going out: file synced, renamed, folders synced, in
that order. The same bytes come to the same path, so receiving twice has the effect of once; other bytes under the same
UID come to another path, so both are kept.
"""

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import itertools
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from storage.errors import NotAUid, SpoolFull, SpoolUnwritable

PART_FOLDER = "part"
UID_PATTERN = re.compile(r"[0-9]+(\.[0-9]+)*")
NAME_PATTERN = re.compile(r"(?P<sop>[0-9.]{1,64})_(?P<digest16>[0-9a-f]{16})\.dcm")
READ_BYTES = 1 << 20
EARLY_BYTES = 128 << 10
"""Whenever so much has come, the disk begins to write it."""
KNOWN_FOLDERS = 10_000
"""How many folders are remembered as durable, before the memory is emptied."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

_write_back = getattr(ctypes.CDLL(None), "sync_file_range", None)
"""Linux's call that begins to write pages to the disk without waiting for them; it promises nothing."""
if _write_back is not None:
    _write_back.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
_BEGIN = 2
"""SYNC_FILE_RANGE_WRITE."""


@contextlib.contextmanager
def translated(root: Path) -> Iterator[None]:
    """The one place where the operating system's errors become errors of this package."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise SpoolFull(f"{root}: no room left on the disk") from error
        raise SpoolUnwritable(f"{root}: cannot be written: {error.strerror}") from error


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


@dataclass(frozen=True)
class Located:
    """A file found in the spool; its path says what it is."""

    path: Path
    """Relative to the spool's root."""
    study_uid: str
    series_uid: str
    sop_uid: str
    digest16: str
    """The first 16 hex digits of the dataset's SHA-256."""
    size: int
    """Bytes of the file, meta information included."""
    modified: float
    """Seconds since the epoch."""


class Spool:
    """A folder of received instances. One object a process; its parts may be written by several threads."""

    def __init__(self, root: Path, reserve_bytes: int = 0) -> None:
        """Below `reserve_bytes` of free space there is no room. Raises SpoolError when the folder cannot be made."""
        self.root = root
        self.reserve_bytes = reserve_bytes
        self._numbers = itertools.count()
        self._parts = str(root / PART_FOLDER)
        self._durable: dict[Path, int] = {}
        with translated(root):
            (root / PART_FOLDER).mkdir(parents=True, exist_ok=True)
            sync_folder(root)

    def open_part(self) -> "Part":
        """A new file to write one instance into; a context manager that discards what was not kept."""
        name = f"{os.getpid()}-{next(self._numbers)}-{secrets.token_hex(4)}.part"
        return Part(self, f"{self._parts}/{name}")

    def path_of(self, study_uid: str, series_uid: str, sop_uid: str, digest: str) -> Path:
        """Where a dataset belongs, relative to the root. Raises NotAUid."""
        for uid in (study_uid, series_uid, sop_uid):
            check_uid(uid)
        return Path(study_uid, series_uid, f"{sop_uid}_{digest[:16]}.dcm")

    def absolute(self, path: Path | str) -> Path:
        """The place of a path that is relative to the root."""
        return self.root / path

    def free_bytes(self) -> int:
        """Bytes that this process may still write. Raises SpoolError."""
        with translated(self.root):
            found = os.statvfs(self.root)
        return found.f_bavail * found.f_frsize

    def has_room(self) -> bool:
        """Whether the reserve is still untouched."""
        return self.free_bytes() >= self.reserve_bytes

    def walk(self) -> Iterator[Located]:
        """Every kept instance, folder by folder; names that this class did not give are passed over."""
        for study in _folders(self.root):
            for series in _folders(Path(study.path)):
                yield from _instances(study.name, series)

    def sweep_parts(self, older_than: timedelta, now: datetime) -> int:
        """Delete part files that nobody has written to for that long; how many."""
        limit = now.timestamp() - older_than.total_seconds()
        swept = 0
        with translated(self.root), os.scandir(self.root / PART_FOLDER) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    if entry.stat().st_mtime < limit:
                        os.unlink(entry.path)
                        swept += 1
        return swept

    def make_durable_folder(self, folder: Path) -> None:
        """Make a folder, relative to the root, that would survive the power going out."""
        if folder in self._durable:
            return
        (self.root / folder).mkdir(parents=True, exist_ok=True)
        for parent in folder.parents:
            sync_folder(self.root / parent)
        if len(self._durable) >= KNOWN_FOLDERS:
            self._durable.clear()
        self._durable[folder] = (self.root / folder).stat().st_ino

    def confirm_folder(self, folder: Path) -> None:
        """Sync the names of a folder that another process removed and made again meanwhile."""
        if self._durable.get(folder) != (self.root / folder).stat().st_ino:
            self.forget_folder(folder)
            self.make_durable_folder(folder)

    def forget_folder(self, folder: Path) -> None:
        """Someone deleted a folder: make it again next time."""
        self._durable.pop(folder, None)

    def remove(self, paths: Iterable[Path]) -> int:
        """Delete files, and the folders that become empty; how many bytes. The caller holds `locked` on the folder."""
        removed, folders = 0, set[Path]()
        with translated(self.root):
            for path in paths:
                folders.add(path.parent)
                with contextlib.suppress(FileNotFoundError):
                    removed += (self.root / path).stat().st_size
                    (self.root / path).unlink()
            for folder in folders:
                self.forget_folder(folder)
                for each in (folder, folder.parent):
                    with contextlib.suppress(OSError):
                        (self.root / each).rmdir()
        return removed


class Part:
    """One instance while it is being received: meta information first, then the dataset as it comes."""

    def __init__(self, spool: Spool, path: str) -> None:
        self.size = 0
        """Bytes of the dataset so far."""
        self._spool = spool
        self._path = path
        self._begun = 0
        self._hash = hashlib.sha256()
        with translated(spool.root):
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)

    def __enter__(self) -> "Part":
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    @property
    def digest(self) -> str:
        """SHA-256 of the dataset so far, 64 hex digits."""
        return self._hash.hexdigest()

    def write_meta(self, meta: bytes) -> None:
        """Preamble and file meta information (PS3.10 7.1): it names the sender, so it is no part of the digest."""
        self._append(memoryview(meta))

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """The next bytes of the dataset. Raises SpoolFull, SpoolUnwritable."""
        self._append(memoryview(data))
        self.size += len(data)
        self._begin_to_sync()
        self._hash.update(data)

    def keep(self, study_uid: str, series_uid: str, sop_uid: str) -> Kept:
        """Make the instance durable under its own path. Raises NotAUid, SpoolFull, SpoolUnwritable."""
        path = self._spool.path_of(study_uid, series_uid, sop_uid, self.digest)
        duplicate = self._is_there(path) and self._renewed(path)
        if duplicate:
            self.discard()
        else:
            self.keep_as(path)
        return Kept(path, self.digest, self.size, duplicate)

    def keep_as(self, path: Path) -> None:
        """Make the file durable under `path`, relative to the root, in place of what is there."""
        with translated(self._spool.root):
            self._spool.make_durable_folder(path.parent)
            os.fdatasync(self._fd)
            self._rename(path)
            self._close()
            sync_folder(self._spool.root / path.parent)
            self._spool.confirm_folder(path.parent)

    def discard(self) -> None:
        """Delete the file unless it was kept. May be called more than once."""
        if self._fd >= 0:
            self._close()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)

    def _append(self, view: memoryview) -> None:
        with translated(self._spool.root):
            while view:
                view = view[os.write(self._fd, view) :]

    def _begin_to_sync(self) -> None:
        """Let the disk write while the peer still sends: less is left to wait for at the end. No promise yet."""
        if _write_back is not None and self.size - self._begun >= EARLY_BYTES:
            _write_back(self._fd, self._begun, self.size - self._begun, _BEGIN)
            self._begun = self.size

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        os.close(fd)

    def _rename(self, path: Path) -> None:
        target = self._spool.root / path
        try:
            os.rename(self._path, target)
        except FileNotFoundError:
            self._spool.forget_folder(path.parent)
            self._spool.make_durable_folder(path.parent)
            os.rename(self._path, target)

    def _renewed(self, path: Path) -> bool:
        """Give the file that lies there a new date, so that it is not removed now; False when it is gone already."""
        try:
            with translated(self._spool.root):
                self._spool.make_durable_folder(path.parent)
        except SpoolUnwritable:
            return False
        with contextlib.suppress(FileNotFoundError), locked(self._spool.root / path.parent, fcntl.LOCK_SH):
            os.utime(self._spool.root / path)
            sync_folder(self._spool.root / path.parent)
            return True
        return False

    def _is_there(self, path: Path) -> bool:
        """Whether the same dataset lies there undamaged; a damaged file is replaced by the one just received."""
        try:
            with open(self._spool.root / path, "rb") as file:
                if file.seek(0, os.SEEK_END) < self.size:
                    return False
                file.seek(-self.size, os.SEEK_END)
                found = hashlib.sha256()
                while block := file.read(READ_BYTES):
                    found.update(block)
        except FileNotFoundError:
            return False
        return found.digest() == self._hash.digest()


def check_uid(text: str) -> str:
    """`text`, when it is shaped like a UID (PS3.5 9.1; leading zeros are let pass). Raises NotAUid."""
    if len(text) > 64 or not UID_PATTERN.fullmatch(text):
        raise NotAUid(f"not a UID: {text[:80]!r}")
    return text


@contextlib.contextmanager
def locked(folder: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold a folder, until the process ends at the latest; who removes holds it alone. Raises FileNotFoundError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, how)
        yield
    finally:
        os.close(fd)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _entries(folder: Path | str) -> Iterator["os.DirEntry[str]"]:
    """What lies in a folder; nothing, when it is gone meanwhile."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        yield from entries


def _folders(root: Path) -> Iterator["os.DirEntry[str]"]:
    for entry in _entries(root):
        if UID_PATTERN.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
            yield entry


def _instances(study_uid: str, series: "os.DirEntry[str]") -> Iterator[Located]:
    for entry in _entries(series.path):
        match = NAME_PATTERN.fullmatch(entry.name)
        if match is None or not entry.is_file(follow_symlinks=False):
            continue
        try:
            found = entry.stat()
        except FileNotFoundError:
            continue
        path = Path(study_uid, series.name, entry.name)
        uids = (study_uid, series.name, match["sop"])
        yield Located(path, *uids, match["digest16"], found.st_size, found.st_mtime)
