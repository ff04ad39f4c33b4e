"""A small disk of its own, made by root in memory: it can be full, and it can be read-only."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator["SmallDisk"]:
    """Mounted at `folder` within the block. Skips where that is not allowed, but never in CI."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode != 0:
        reason = "a small disk can be mounted by root only"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


class SmallDisk:
    """One of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, leave_bytes: int = 0) -> None:
        """Until so much is left."""
        found = os.statvfs(self.folder)
        with open(self._ballast, "ab") as file:
            left = found.f_bavail * found.f_frsize - leave_bytes
            try:
                while left > 0:
                    left -= file.write(bytes(min(left, 1 << 16)))
                    file.flush()
            except OSError:
                pass

    def make_room(self) -> None:
        """What filled it is gone."""
        self._ballast.unlink()

    def read_only(self, on: bool) -> None:
        """Remounts it."""
        options = "remount,ro" if on else "remount,rw"
        subprocess.run(["mount", "-o", options, str(self.folder)], check=True)
