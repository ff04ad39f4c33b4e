"""What every DICOMweb service of the tests does: reads a request's body, chunked or not, and answers in JSON."""

import json
from http.server import BaseHTTPRequestHandler


class JsonService(BaseHTTPRequestHandler):
    """A handler of requests; what is answered is for its subclasses to say."""

    def body(self) -> bytes:
        """All of the request's body."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"]))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def answer(self, status: int, payload: object) -> None:
        """An answer as application/dicom+json."""
        data = json.dumps(payload).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None: ...
