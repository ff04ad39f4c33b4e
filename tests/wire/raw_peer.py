"""A peer that is written byte by byte, so that it can misbehave."""

import socket
import struct
from dataclasses import dataclass

CT = "1.2.840.10008.5.1.4.1.1.2"
VERIFICATION = "1.2.840.10008.1.1"
EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"

RELEASE = bytes((5, 0, 0, 0, 0, 4, 0, 0, 0, 0))
ABORT = bytes((7, 0, 0, 0, 0, 4, 0, 0, 0, 0))


def item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value


def associate(calling: str = "RAWPEER", called: str = "DICOMNODE", abstract: str = CT, syntax: str = EXPLICIT) -> bytes:
    """A-ASSOCIATE-RQ with context 1 for `abstract` and 3 for Verification, PS3.8 Table 9-11."""
    contexts = b"".join(
        item(0x20, bytes((number, 0, 0, 0)) + item(0x30, uid.encode()) + item(0x40, transfer.encode()))
        for number, uid, transfer in ((1, abstract, syntax), (3, VERIFICATION, IMPLICIT))
    )
    user = item(0x50, item(0x51, struct.pack(">L", 131072)) + item(0x52, b"1.2.3.4"))
    body = struct.pack(">HH16s16s32x", 1, 0, called.ljust(16).encode(), calling.ljust(16).encode())
    body += item(0x10, b"1.2.840.10008.3.1.1.1") + contexts + user
    return struct.pack(">BBL", 1, 0, len(body)) + body


def element(number: int, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHL", 0, number, len(value)) + value


def command(field: int, message_id: int = 1, data_set: int = 1, **uids: str) -> bytes:
    """A command set with (0000,0002) `sop_class` and (0000,1000) `sop_instance` if given."""
    body = element(0x0002, uids["sop_class"].encode()) if "sop_class" in uids else b""
    body += element(0x0100, struct.pack("<H", field)) + element(0x0110, struct.pack("<H", message_id))
    body += element(0x0700, struct.pack("<H", 2)) + element(0x0800, struct.pack("<H", data_set))
    body += element(0x1000, uids["sop_instance"].encode()) if "sop_instance" in uids else b""
    return element(0x0000, struct.pack("<L", len(body))) + body


def pdv(context_id: int, control: int, fragment: bytes) -> bytes:
    return struct.pack(">LBB", len(fragment) + 2, context_id, control) + fragment


def p_data(*items: bytes) -> bytes:
    body = b"".join(items)
    return struct.pack(">BBL", 4, 0, len(body)) + body


def store(uid: str, data: bytes, *, fragment: int = 16000, message_id: int = 1, sop_class: str = CT) -> bytes:
    """A whole C-STORE-RQ message on context 1."""
    request = command(0x0001, message_id, sop_class=sop_class, sop_instance=uid)
    pieces = [data[at : at + fragment] for at in range(0, len(data), fragment)] or [b""]
    pdus = [p_data(pdv(1, 3, request))]
    pdus += [p_data(pdv(1, 0, piece)) for piece in pieces[:-1]]
    return b"".join([*pdus, p_data(pdv(1, 2, pieces[-1]))])


def echo(message_id: int = 1) -> bytes:
    return p_data(pdv(3, 3, command(0x0030, message_id, 0x0101, sop_class=VERIFICATION)))


@dataclass
class RawPeer:
    """A connection to a listener."""

    port: int
    seconds: float = 10.0

    def __post_init__(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self.port), self.seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> "RawPeer":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self) -> tuple[int, bytes]:
        """(PDU type, body) of the next PDU; (0, b"") once the connection is closed or reset."""
        try:
            header = self._exactly(6)
            return (header[0], self._exactly(struct.unpack(">L", header[2:])[0])) if header else (0, b"")
        except ConnectionError:
            return 0, b""

    def associated(self, **names: str) -> "RawPeer":
        self.send(associate(**names))
        kind, _ = self.read()
        assert kind == 2, f"association answered with PDU type {kind}"
        return self

    def status(self) -> int:
        """(0000,0900) of the next response."""
        kind, body = self.read()
        assert kind == 4, f"PDU type {kind}"
        at = body.index(b"\0\0\0\x09\2\0\0\0") + 8
        return int.from_bytes(body[at : at + 2], "little")

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                return b""
            data += more
        return data
