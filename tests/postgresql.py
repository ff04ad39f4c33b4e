"""A PostgreSQL server for tests: in a folder of its own, on a socket there, gone afterwards."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

SERVER_USER = "postgres"
DEBIAN = Path("/usr/lib/postgresql")


def programs() -> Path | None:
    """The folder of the server's programs, if it is installed: Debian keeps them out of the path."""
    found = [Path(file) for file in [shutil.which("postgres")] if file]
    found += sorted(DEBIAN.glob("*/bin/postgres"), key=lambda file: float(file.parts[-3]), reverse=True)
    return found[0].resolve().parent if found else None


@dataclass(frozen=True)
class Server:
    """A running server."""

    folder: Path
    programs: Path

    @property
    def data(self) -> Path:
        """What it keeps."""
        return self.folder / "data"

    def url(self, database: str) -> str:
        """As SQLAlchemy writes it."""
        return f"postgresql+psycopg://node@/{database}?host={self.folder}"

    def create(self, name: str, template: str = "template0") -> None:
        """A new database, a copy of `template`."""
        self._do(f"CREATE DATABASE {name} TEMPLATE {template}")

    def drop(self, name: str) -> None:
        """Away with it, whoever is connected."""
        self._do(f"DROP DATABASE {name} WITH (FORCE)")

    def start(self) -> None:
        """Returns once it answers."""
        settings = f"-c listen_addresses= -c fsync=off -c unix_socket_directories={self.folder}"
        self.run("pg_ctl", "--wait", "--log", self.folder / "server.log", "--options", settings, "start")

    def stop(self) -> None:
        """As a crash would."""
        self.run("pg_ctl", "--wait", "--mode=immediate", "stop")

    def run(self, program: str, *arguments: object) -> None:
        """PostgreSQL refuses to run as root, so root runs it as the user postgres."""
        command = [self.programs / program, "--pgdata", self.data, *arguments]
        user = SERVER_USER if os.geteuid() == 0 else None
        subprocess.run([*map(str, command)], user=user, cwd=self.folder, check=True, stdout=subprocess.DEVNULL)

    def _do(self, statement: str) -> None:
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)


@contextmanager
def running(programs: Path) -> Iterator[Server]:
    """A server from the programs in a folder."""
    server = Server(Path(tempfile.mkdtemp(prefix="dicomnode-postgresql-")), programs)
    try:
        if os.geteuid() == 0:
            os.chown(server.folder, pwd.getpwnam(SERVER_USER).pw_uid, -1)
        server.run("initdb", "--no-sync", "--auth=trust", "--username=node")
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(server.folder, ignore_errors=True)
