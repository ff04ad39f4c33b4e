"""Result objects on disk: written before the outbox names them, read when they are sent."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from storage.errors import SpoolError
from storage.spool import Spool


class ResultStore:
    """A folder of result objects that wait to be sent: `<job>/<SOP UID>.dcm`, durable once `put` returns."""

    def __init__(self, root: Path) -> None:
        """Raises SpoolError when the folder cannot be made."""
        self._spool = Spool(root)
        self.root = root

    def put(self, name: str, data: bytes) -> Path:
        """Keep `data` under `name`; the path relative to the root. The same name again replaces it at once."""
        path = Path(name)
        if path.is_absolute() or len(path.parts) != 2 or any(part.startswith(".") for part in path.parts):
            raise SpoolError(f"{name!r} is not <job>/<name>")
        with self._spool.open_part() as part:
            part.write(data)
            part.keep_as(path)
        return path

    def absolute(self, path: Path | str) -> Path:
        """The place of a path that `put` returned."""
        return self.root / path

    def read(self, path: Path | str) -> bytes:
        """The bytes of a result. Raises FileNotFoundError."""
        return self.absolute(path).read_bytes()

    def remove(self, paths: Iterable[str]) -> int:
        """Delete results; how many bytes."""
        return self._spool.remove(Path(path) for path in paths)

    def sweep_parts(self, older_than: timedelta, now: datetime) -> int:
        """Delete what a crash left half written; how many files."""
        return self._spool.sweep_parts(older_than, now)
