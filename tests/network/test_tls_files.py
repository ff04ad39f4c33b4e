"""Wrong key files stop the start with one line that names them."""

import subprocess
from pathlib import Path

import pytest

from dicomnode.errors import ConfigurationError
from dicomnode.network.tls import client_context, server_context


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name, cipher in (("one", ["-nodes"]), ("two", ["-nodes"]), ("locked", ["-passout", "pass:secret"])):
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", *cipher, "-subj", f"/CN={name}"]
        files = ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt")]
        subprocess.run([*command, *files], check=True, capture_output=True)
    (folder / "text.crt").write_text("no certificate")
    return folder


@pytest.mark.parametrize(
    ("certificate", "key", "authorities", "named"),
    [
        ("absent.crt", "one.key", None, "absent.crt"),
        ("one.crt", "absent.key", None, "absent.key"),
        ("one.crt", "two.key", None, "two.key"),
        ("text.crt", "one.key", None, "text.crt"),
        ("one.crt", "one.key", "absent.crt", "absent.crt"),
        ("one.crt", "one.key", "text.crt", "text.crt"),
        ("locked.crt", "locked.key", None, "locked.key"),
    ],
)
def test_a_wrong_file_is_named(keys: Path, certificate: str, key: str, authorities: str | None, named: str) -> None:
    """Absent, not PEM, of another pair, or locked with a password."""
    with pytest.raises(ConfigurationError, match=named):
        server_context(keys / certificate, keys / key, keys / authorities if authorities else None)


def test_a_certificate_needs_its_key(keys: Path) -> None:
    """For the client side too."""
    with pytest.raises(ConfigurationError, match=r"one\.crt"):
        client_context(certificate=keys / "one.crt")
    client_context(keys / "one.crt", keys / "one.crt", keys / "one.key")
