"""The spool: bytes that were received, each under a path that is a function of what it holds.

    <root>/<study UID>/<series UID>/<SOP UID>_<first 16 hex digits of the dataset's SHA-256>.dcm
    <root>/<study UID>/<series UID>/….dcm.damaged-<n>   is not what its name said: see `Spool.set_aside`
    <root>/part/<process>-<random>-<number>.part        while it is being received

`Part.keep` returns only once the instance would survive the power going out: file, name and folders synced (see
storage/part.py for what holds before). The same bytes come to the same path, so receiving twice has the effect of once;
other bytes under the same UID come to another path, so both are kept.
"""

import contextlib
import fcntl
import itertools
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from storage.direct import ChunkMemory
from storage.durable import locked, sync_file, sync_folder, translated
from storage.errors import NotAUid, SpoolError
from storage.part import Part

PART_FOLDER = "part"
UID_PATTERN = re.compile(r"[0-9]+(\.[0-9]+)*")
NAME_PATTERN = re.compile(r"(?P<sop>[0-9.]{1,64})_(?P<digest16>[0-9a-f]{16})\.dcm")
KNOWN_FOLDERS = 10_000
"""How many folders are remembered as durable, before the memory is emptied."""
SPARE_PARTS = 8
SPARE_SECONDS = 60.0
"""An older one may soon be swept."""


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
        self.place = str(root)
        """The root, for who makes many paths of it."""
        self.reserve_bytes = reserve_bytes
        self._numbers = itertools.count()
        self._parts = f"{root / PART_FOLDER}/{os.getpid()}-{secrets.token_hex(4)}"
        self._durable: dict[Path, int] = {}
        self._spares: list[Part] = []
        self.memory = ChunkMemory()
        with translated(root):
            (root / PART_FOLDER).mkdir(parents=True, exist_ok=True)
            sync_folder(root)

    def open_part(self) -> Part:
        """A new file to write one instance into; a context manager that discards what was not kept."""
        while (part := self._spare()) is not None:
            if time.monotonic() - part.made_at < SPARE_SECONDS:
                return part
            part.discard()
        return self._new_part()

    def prepare_part(self) -> None:
        """Make the next `open_part` quick, while nobody waits; what is left over is for `discard_spares`."""
        if len(self._spares) < SPARE_PARTS:
            with contextlib.suppress(SpoolError):
                self._spares.append(self._new_part())

    def discard_spares(self) -> None:
        """Nobody is about to send."""
        while (part := self._spare()) is not None:
            part.discard()

    def _spare(self) -> Part | None:
        try:
            return self._spares.pop()
        except IndexError:
            return None

    def _new_part(self) -> Part:
        return Part(self, f"{self._parts}-{next(self._numbers)}.part")

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

    @contextlib.contextmanager
    def opened(self, folder: Path) -> Iterator[int]:
        """The descriptor of a durable folder, relative to the root, held against removal.

        Raises FileNotFoundError when it was removed, or removed and made again, by another process just now.
        """
        self.make_durable_folder(folder)
        with locked(f"{self.place}/{folder}", fcntl.LOCK_SH) as fd:
            if os.fstat(fd).st_ino != self._durable.get(folder):
                raise FileNotFoundError(folder)
            yield fd

    def make_durable(self, path: Path) -> None:
        """Sync an instance, relative to the root, that another process may have left in memory.

        Raises FileNotFoundError when it is gone, SpoolError.
        """
        with translated(self.root), contextlib.suppress(FileNotFoundError):
            sync_file(self.root / path)
            self.make_durable_folder(path.parent)
            sync_folder(self.root / path.parent)
            return
        raise FileNotFoundError(path)

    def set_aside(self, path: Path, inode: int) -> Path | None:
        """Rename a file that is not what its name says: nothing takes it for an instance, and nothing is deleted.

        None when another file than the one with that inode lies there by now.
        """
        aside = path.with_name(f"{path.name}.damaged-{inode}")
        gone = contextlib.suppress(FileNotFoundError)
        with translated(self.root), gone, locked(self.root / path.parent) as folder:
            if os.stat(path.name, dir_fd=folder, follow_symlinks=False).st_ino == inode:
                os.rename(path.name, aside.name, src_dir_fd=folder, dst_dir_fd=folder)
                os.fsync(folder)
                return aside
        return None

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


def check_uid(text: str) -> str:
    """`text`, when it is shaped like a UID (PS3.5 9.1; leading zeros are let pass). Raises NotAUid."""
    if len(text) > 64 or not UID_PATTERN.fullmatch(text):
        raise NotAUid(f"not a UID: {text[:80]!r}")
    return text


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
