"""The prebuilt OHIF viewer (npm package @ohif/app) served against an archive, on one loopback port.

The build expects the root of its server and an archive that needs no CORS: static files from the package, its index
page for every other path, and the archive's DICOMweb under the same origin.
"""

import mimetypes
import shutil
import subprocess
import tarfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

VERSION = "3.12.10"

SETTINGS = """
window.__filename = "/index.js"; window.__dirname = "/";
window.config = {
  routerBasename: "/", extensions: [], modes: [], customizationService: {}, showStudyList: true,
  maxNumberOfWebWorkers: 1, showWarningMessageForCrossOrigin: false, showCPUFallbackMessage: false,
  investigationalUseDialog: { option: "never" }, defaultDataSourceName: "archive",
  dataSources: [{ namespace: "@ohif/extension-default.dataSourcesModule.dicomweb", sourceName: "archive",
    configuration: { friendlyName: "archive", name: "archive", wadoUriRoot: "/wado", qidoRoot: "/dicom-web",
      wadoRoot: "/dicom-web", qidoSupportsIncludeField: false, imageRendering: "wadors", thumbnailRendering: "wadors",
      enableStudyLazyLoad: true, supportsWildcard: true, omitQuotationForMultipartRequest: true,
      bulkDataURI: { enabled: true, relativeResolution: "studies" } } }],
};
"""


def unpacked(cache: Path) -> Path | None:
    """The package's dist folder in a cache outside the repository; fetched by npm where it is absent, None without."""
    dist = cache / VERSION / "package" / "dist"
    if not dist.exists() and shutil.which("npm"):
        _fetch(cache)
    return dist if dist.exists() else None


def _fetch(cache: Path) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    command = ["npm", "pack", "--silent", f"@ohif/app@{VERSION}"]
    try:
        subprocess.run(command, cwd=cache, check=True, capture_output=True, timeout=240)
    except (subprocess.SubprocessError, OSError):
        return
    part = cache / f"{VERSION}.part"
    with tarfile.open(cache / f"ohif-app-{VERSION}.tgz") as package:
        package.extractall(part, filter="data")
    part.rename(cache / VERSION)


@contextmanager
def served(dist: Path, archive_url: str) -> Iterator[str]:
    """The viewer's address while the context lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(dist.resolve(), archive_url))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(dist: Path, archive_url: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *values: object) -> None:
            return

        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            if path.startswith(("/dicom-web", "/wado")):
                self._forward()
            elif path == "/app-config.js":
                self._answer(200, SETTINGS.encode(), "text/javascript")
            else:
                self._file(path)

        def _file(self, path: str) -> None:
            file = (dist / path.lstrip("/")).resolve()
            if not (file.is_file() and dist in file.parents):
                file = dist / "index.html"
            kind = "application/wasm" if file.suffix == ".wasm" else mimetypes.guess_type(file.name)[0]
            self._answer(200, file.read_bytes(), kind or "application/octet-stream")

        def _forward(self) -> None:
            wanted = {"Accept": self.headers.get("Accept", "*/*")}
            try:
                with urllib.request.urlopen(
                    urllib.request.Request(archive_url + self.path, headers=wanted), timeout=240
                ) as answer:
                    body, kind = answer.read(), answer.headers.get("Content-Type", "")
            except urllib.error.HTTPError as error:
                self._answer(error.code, error.read(), error.headers.get("Content-Type", "text/plain"))
                return
            if "json" in kind:
                # Bulk data must come from the viewer's own origin.
                body = body.replace(archive_url.encode(), f"http://{self.headers['Host']}".encode())
            self._answer(200, body, kind)

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
            self.end_headers()
            self.wfile.write(body)

    return Handler
