"""What the operating system promises: folders that are held, names and bytes that survive the power going out."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from storage.errors import SpoolFull, SpoolUnwritable

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextlib.contextmanager
def translated(root: Path) -> Iterator[None]:
    """The one place where the operating system's errors become errors of this package."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise SpoolFull(f"{root}: no room left on the disk") from error
        raise SpoolUnwritable(f"{root}: cannot be written: {error.strerror}") from error


@contextlib.contextmanager
def locked(folder: Path | str, how: int = fcntl.LOCK_EX) -> Iterator[int]:
    """Hold a folder, until the process ends at the latest; its descriptor. Raises FileNotFoundError.

    Who gives an instance its name holds its folder with others (LOCK_SH) until the name is durable or taken back. Who
    removes, sets aside or relies on what lies there holds it alone.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, how)
        yield fd
    finally:
        os.close(fd)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    _sync(folder, os.O_DIRECTORY)


def sync_file(file: Path) -> None:
    """Make the bytes and the date of a file durable, whoever wrote them. Raises FileNotFoundError."""
    _sync(file, os.O_NOFOLLOW)


def _sync(path: Path, flags: int) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
