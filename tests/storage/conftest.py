"""A migrated database a test: copied from one that is migrated once; SQLite and PostgreSQL in turn."""

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.database import Database, migrate
from tests.postgresql import Server

NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("database") / "node.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(migrated_file: Path, tmp_path: Path) -> str:
    path = shutil.copy(migrated_file, tmp_path / "node.db")
    return f"sqlite:///{path}"


@pytest.fixture
def postgresql_url(postgresql_server: Server) -> Iterator[str]:
    name = f"test_{next(NUMBERS)}"
    postgresql_server.create(name, template="migrated")
    yield postgresql_server.url(name)
    postgresql_server.drop(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()
