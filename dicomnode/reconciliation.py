"""Reconciliation: after a crash the ledger is made to tell again what lies in the spool, which is the truth."""

import hashlib
import logging
import os
from datetime import UTC, datetime
from pathlib import Path

from dicomnode.reception import arrival
from dicomnode.series.header import MalformedHeader
from dicomnode.series.part10 import META_BYTES, read_file_header, read_file_meta
from dicomnode.series.screening import Policy, screen
from storage.arrivals import Arrival, Arrivals
from storage.part import Kept
from storage.spool import NAME_PATTERN, Spool

log = logging.getLogger(__name__)

REBUILT_AT_ONCE = 500


class _Damaged(Exception):
    """A file in the spool is not what its name says."""

    def __init__(self, inode: int) -> None:
        super().__init__("not what its name says")
        self.inode = inode


def reconcile(spool: Spool, arrivals: Arrivals, policy: Policy) -> int:
    """Writes the rows of instances that lie in the spool and not in the ledger; the number of rows written.

    A name may have survived the power going out and the bytes not: nobody was told Success for it. A file that is not
    what its name says is set aside and told; what is whole is made durable before its row says that it is there.
    """
    found: list[Arrival] = []
    written = 0
    for path in arrivals.unrecorded(spool.walk()):
        try:
            found.append(_rebuilt(spool, path, policy))
        except _Damaged as damage:
            _set_aside(spool, path, damage.inode)
        except MalformedHeader as error:
            log.warning("a file in the spool is no instance: %s", error)
        except FileNotFoundError:
            continue
        if len(found) >= REBUILT_AT_ONCE:
            written += arrivals.record_many(found)
            found = []
    return written + arrivals.record_many(found)


def _rebuilt(spool: Spool, path: str, policy: Policy) -> Arrival:
    """The row of a file that lies in the spool; it was received when it was last written to. Raises _Damaged."""
    place = spool.absolute(path)
    digest, size, received_at = _read(place)
    header = read_file_header(place)
    spool.make_durable(Path(path))
    return arrival(header, Kept(Path(path), digest, size, duplicate=False), screen(header, policy), received_at)


def _read(place: Path) -> tuple[str, int, datetime]:
    """(SHA-256 of the dataset, its bytes, when the file was last written to). Raises _Damaged, FileNotFoundError."""
    with place.open("rb") as file:
        about = os.fstat(file.fileno())
        try:
            start = read_file_meta(file.read(META_BYTES))[1]
        except MalformedHeader as error:
            raise _Damaged(about.st_ino) from error
        file.seek(start)
        found = hashlib.file_digest(file, "sha256")
        size = file.tell() - start
    name = NAME_PATTERN.fullmatch(place.name)
    if name is None or not found.hexdigest().startswith(name["digest16"]):
        raise _Damaged(about.st_ino)
    return found.hexdigest(), size, datetime.fromtimestamp(about.st_mtime, UTC)


def _set_aside(spool: Spool, path: str, inode: int) -> None:
    if (aside := spool.set_aside(Path(path), inode)) is not None:
        log.error("%s is not what its name says, as when the power went out before Success: set aside", aside)
