"""What cannot work stops the start: one clear line and exit status 2."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.node.harness import free_port

pytestmark = pytest.mark.xdist_group("node")

BASIC = {"WEB_ENABLED": "false", "LOG_LEVEL": "error"}


def serve(folder: Path, toml: str = "", **variables: str) -> "subprocess.CompletedProcess[str]":
    """`dicomnode serve` in a folder, with variables without their prefix."""
    (folder / "dicomnode.toml").write_text(toml)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DICOMNODE_")}
    for name, value in (BASIC | {"NODE_PORT": str(free_port())} | variables).items():
        environment[f"DICOMNODE_{name}"] = value
    command = [sys.executable, "-m", "dicomnode", "serve"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def refused(folder: Path, says: str, toml: str = "", **variables: str) -> None:
    """Exit status 2 and one line that says it."""
    ended = serve(folder, toml, **variables)
    assert ended.returncode == 2, ended
    (line,) = ended.stderr.splitlines()
    assert line.startswith("dicomnode: ")
    assert says in line


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("[node\n", "not valid TOML"),
        ("[node]\nprot = 104\n", "node.prot"),
        ('[node]\ntls_port = "many"\n', "node.tls_port"),
        ('[access]\nnetworks = ["10.0.0.0/99"]\n', "access.networks"),
        ("[analyse]\nbundle = 'nowhere'\n", "analyse.bundle"),
        ("[storage]\ndatabase_url = 'nonsense'\n", "storage.database_url: not a URL"),
        ("[storage]\ndatabase_url = 'mysql://server/node'\n", "SQLite or PostgreSQL"),
        ("[storage]\ndatabase_url = 'postgresql+psycopg2://server/node'\n", "dicomnode[postgresql]"),
        (
            "[storage]\ndatabase_url = 'postgresql+psycopg://a:b@127.0.0.1:1/n'\n",
            "a:***@127.0.0.1:1/n: the database server",
        ),
    ],
)
def test_a_wrong_setting_stops_the_start(tmp_path: Path, toml: str, says: str) -> None:
    refused(tmp_path, says, toml)


def test_a_folder_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused(tmp_path, "storage.folder", STORAGE_FOLDER=str(tmp_path / "file" / "var"))


def test_a_port_in_use_stops_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused(tmp_path, f"node.port: 127.0.0.1 port {port} cannot be used", NODE_PORT=str(port))


def test_a_database_that_is_none_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "dicomnode.sqlite").write_bytes(b"no database at all\n" * 500)
    refused(tmp_path, "the file is not a database: move it away and start again")


def test_a_torn_database_stops_the_start(tmp_path: Path) -> None:
    """Torn off in the middle: named, with what to do."""
    from storage.database import migrate

    file = tmp_path / "var" / "dicomnode.sqlite"
    file.parent.mkdir()
    migrate(f"sqlite:///{file}")
    os.truncate(file, file.stat().st_size // 2)
    refused(tmp_path, "the database file is damaged: restore it from a backup")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pairs of key and certificate, "one" and "other"."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("one", "other"):
        new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
        files = ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt")]
        subprocess.run([*new, *files], check=True, capture_output=True)
    return folder


def _garbage(keys: Path) -> dict[str, Path]:
    (keys / "garbage.crt").write_text("no certificate")
    return {"certificate": keys / "garbage.crt", "key": keys / "one.key"}


def _strangers(keys: Path) -> dict[str, Path]:
    return {"certificate": keys / "one.crt", "key": keys / "other.key"}


def _missing(keys: Path) -> dict[str, Path]:
    return {"certificate": keys / "nowhere.crt", "key": keys / "one.key"}


@pytest.mark.parametrize(
    ("files", "says"), [(_garbage, "cannot be used"), (_strangers, "does not belong to"), (_missing, "No such file")]
)
def test_wrong_keys_stop_the_start(
    tmp_path: Path, keys: Path, files: Callable[[Path], dict[str, Path]], says: str
) -> None:
    text = "".join(f"{name} = '{path}'\n" for name, path in files(keys).items())
    toml = f"[node]\ntls_port = {free_port()}\n[tls]\nauthorities = '{keys / 'one.crt'}'\n{text}"
    refused(tmp_path, says, toml)
