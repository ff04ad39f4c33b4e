"""A DICOMweb archive that keeps what it is sent, counts it, lists it, and answers as it is told."""

import io
import threading
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from typing import Any

from pydicom import dcmread

from tests.dicomweb import JsonService

REFERENCED, FAILED = "00081199", "00081198"
"""Referenced SOP Sequence and Failed SOP Sequence of the Store Instances Response Module, PS3.18 Table I.2-1."""
REASONS = {REFERENCED: "00081196", FAILED: "00081197"}
"""Warning Reason, Failure Reason."""


class StowArchive:
    """Listens on 127.0.0.1 within a `with` block.

    `verdict` says for each SOP Instance UID (HTTP status, DIMSE status): a warning or a failure is told in the response
    module, and what is refused is not kept.
    """

    def __init__(self, verdict: Callable[[str], tuple[int, int]] = lambda _: (200, 0x0000), port: int = 0) -> None:
        self.verdict = verdict
        self.stores: list[tuple[str, bytes]] = []
        """(SOP Instance UID, encoded object) of each request, in the order they came."""
        self.kept: dict[str, tuple[str, str, bytes]] = {}
        """SOP Instance UID -> (study UID, series UID, encoded object)."""
        kind = type("Bound", (_Service,), {"archive": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), kind)
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> "StowArchive":
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def store(self, body: bytes) -> tuple[int, dict[str, Any]]:
        """One request with one object: (HTTP status, response module)."""
        encoded = body[body.index(b"\r\n\r\n") + 4 : body.rindex(b"\r\n--")]
        dataset = dcmread(io.BytesIO(encoded))
        uid = str(dataset.SOPInstanceUID)
        self.stores.append((uid, encoded))
        http, status = self.verdict(uid)
        if http < 300 and (status == 0 or 0xB000 <= status <= 0xBFFF):
            self.kept[uid] = (str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID), encoded)
        sequence = REFERENCED if uid in self.kept else FAILED
        item = {"00081150": _ui(str(dataset.SOPClassUID)), "00081155": _ui(uid)}
        if status:
            item[REASONS[sequence]] = {"vr": "US", "Value": [status]}
        return http, {sequence: {"vr": "SQ", "Value": [item]}}

    def listed(self, path: str) -> list[dict[str, Any]]:
        """QIDO-RS: the instances of the series that the path names."""
        return [
            {"00080018": _ui(uid)}
            for uid, (study, series, _) in self.kept.items()
            if f"{study}/series/{series}/" in path
        ]


def _ui(uid: str) -> dict[str, Any]:
    return {"vr": "UI", "Value": [uid]}


class _Service(JsonService):
    archive: StowArchive

    def do_POST(self) -> None:
        self.answer(*self.archive.store(self.body()))

    def do_GET(self) -> None:
        self.answer(200, self.archive.listed(self.path))
