"""Fixtures that every test may use: the real CT series, and the Debian peers.

Both are required when CI is set: there a missing one is a failure, never a silent skip.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from storage.database import migrate
from tests.postgresql import Server, programs, running

# Before numpy and torch are imported: tests run side by side, and threads that wait for each other are slower than one.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

REPOSITORY = Path(__file__).resolve().parent.parent
IN_CI = bool(os.environ.get("CI"))


def _missing(what: str) -> NoReturn:
    if IN_CI:
        pytest.fail(f"{what}: required in CI")
    pytest.skip(f"{what}: not on this machine")


def _unpacked(source: Path) -> Path:
    """The real series, unpacked once a machine into the temporary folder (about 320 MB)."""
    target = Path(tempfile.gettempdir()) / "dicomnode-real-data"
    with open(f"{target}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / "complete").exists():
            shutil.rmtree(target, ignore_errors=True)
            subprocess.run(["bash", str(source / "unpack.sh"), str(target)], check=True, capture_output=True)
            (target / "complete").touch()
    return target


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with ct/<series>/… and robust/…: public, de-identified, real CT beside the checkout."""
    source = REPOSITORY.parent / "shared" / "data"
    if not (source / "unpack.sh").exists():
        _missing("the real CT series (../shared/data)")
    return _unpacked(source)


@pytest.fixture(scope="session")
def testbed() -> Path:
    """Folder with the throw-away PACS (Orthanc with auto-routing)."""
    folder = REPOSITORY.parent / "shared" / "testbed"
    if not (folder / "pacs.py").exists():
        _missing("the PACS test bed (../shared/testbed)")
    return folder


@pytest.fixture(scope="session")
def require_peer() -> Callable[[str], str]:
    """require_peer("dciodvfy") -> its path; scripts/debian-packages.sh installs all of them."""

    def find(name: str) -> str:
        path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin")
        if path is None:
            _missing(f"the program {name}")
        return str(path)

    return find


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Server]:
    """A server with a migrated database to copy, "migrated"."""
    folder = programs()
    if folder is None:
        _missing("the program postgres")
    with running(folder) as server:
        server.create("migrated")
        migrate(server.url("migrated"))
        yield server
