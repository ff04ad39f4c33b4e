"""An Orthanc for one test session: loopback, two free ports, DICOMweb and web viewer, state in a temporary folder."""

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLUGINS = Path("/usr/share/orthanc/plugins")


@dataclass(frozen=True)
class Archive:
    """A running Orthanc."""

    url: str
    """Of its REST interface, without a slash at the end."""

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}{path}", timeout=120) as answer:
            body = answer.read()
            return json.loads(body) if "json" in answer.headers.get("Content-Type", "") else body

    def store(self, encoded: bytes) -> str:
        """Keeps one instance; returns Orthanc's identifier. Raises HTTPError when it is refused."""
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/instances", encoded), timeout=120) as answer:
            return str(json.load(answer)["ID"])


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def orthanc(program: str, folder: Path) -> Iterator[Archive]:
    """Starts Orthanc and stops it. Raises TimeoutError when it does not answer within a minute."""
    archive = Archive(f"http://127.0.0.1:{free_port()}")
    settings = folder / "orthanc.json"
    settings.write_text(json.dumps(_settings(archive, folder)))
    with open(folder / "orthanc.log", "w") as log:
        process = subprocess.Popen([program, str(settings)], stdout=log, stderr=subprocess.STDOUT, cwd=folder)
        try:
            _wait_for(archive)
            yield archive
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _settings(archive: Archive, folder: Path) -> dict[str, Any]:
    plugins = [PLUGINS / f"lib{name}.so" for name in ("OrthancDicomWeb", "OrthancWebViewer")]
    port = int(archive.url.rsplit(":", 1)[1])
    return {
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(path) for path in plugins if path.exists()],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "Host": f"127.0.0.1:{port}", "StudiesMetadata": "Full"},
        "WebViewer": {"CachePath": str(folder / "viewer-cache")},
    }


def _wait_for(archive: Archive) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            archive.get("/system")
            return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > end:
                raise TimeoutError("Orthanc does not answer") from None
            time.sleep(0.3)
